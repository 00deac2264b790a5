//! Streams in the RDB format (types 15, 19 and 21: Redis 5, 7.0 and 7.2). Numbers are lengths.
//!
//! ```text
//! stream    count, then of each block its base (a string of 16 bytes, big endian) and a listpack
//!           number of entries, last id
//!           from 19 on: first id, greatest deleted id, entries ever added
//!           count, groups
//! group     name, last id, from 19 on: entries read
//!           count, then id (16 bytes), time u64, how often
//!           count, consumers
//! consumer  name, seen u64, from 21 on: active u64
//!           count, ids (16 bytes)
//! ```
//!
//! An id is two numbers; times are Unix milliseconds, little endian. The listpack of a block (see
//! Redis's `t_stream.c`):
//!
//! ```text
//! entries, deleted entries, number of names, names, 0
//! { flags, ms and seq above the base, [number of fields,] fields, elements of this entry }
//! ```
//!
//! Flag 1 is deleted; 2 says that the names are those of the block, and only values follow.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::listpack;
use super::string::{self, take_length};
use super::{STREAM_2, STREAM_3, VERSION};
use crate::shard::Entry;
use crate::types::xstream::{self, Id};

const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;
/// Elements of an entry beside its fields: flags, ms and seq; and the number of fields.
const FIXED_ELEMENTS: usize = 3;

/// Edits that build the stream at the front of `input`, which is taken off.
pub(super) fn read(input: &mut &[u8], kind: u8, bytes_max: usize) -> Option<Vec<u8>> {
    let mut reader =
        Reader { kind, bytes_max, writer: xstream::Writer::default(), entries: 0, last: None };
    for _ in 0..take_length(input)? {
        let room = bytes_max.checked_sub(reader.writer.out.len())?;
        let base = string::take(input, room)?;
        let base = Id::from_bytes(base.as_ref().try_into().ok()?);
        let packed = string::take(input, room)?;
        reader.block(base, &packed)?;
    }
    let count = take_length(input)?;
    let last_id = take_id(input)?;
    if count != reader.entries || reader.last.is_some_and(|last| last > last_id) {
        return None;
    }
    let (mut max_deleted, mut added) = (Id::ZERO, count);
    if kind >= STREAM_2 {
        take_id(input)?;
        max_deleted = take_id(input)?;
        added = take_length(input)?;
    }
    reader.writer.meta(last_id, added, max_deleted);
    for _ in 0..take_length(input)? {
        reader.group(input)?;
    }
    Some(reader.writer.out)
}

struct Reader {
    kind: u8,
    bytes_max: usize,
    writer: xstream::Writer,
    entries: u64,
    last: Option<Id>,
}

impl Reader {
    fn block(&mut self, base: Id, packed: &[u8]) -> Option<()> {
        let mut elements = listpack::Reader::open(packed)?;
        let mut number = || elements.take()?.integer();
        let (live, deleted) = (number()?, number()?);
        let count = usize::try_from(live.checked_add(deleted)?).ok()?;
        let mut names = Vec::new();
        for _ in 0..usize::try_from(number()?).ok()? {
            names.push(elements.take()?.bytes());
        }
        elements.take()?.integer().filter(|end| *end == 0)?;
        let before = self.entries;
        for _ in 0..count {
            self.entry(base, &names, &mut elements)?;
        }
        let is_whole = elements.is_done() && self.entries - before == u64::try_from(live).ok()?;
        is_whole.then_some(())
    }

    fn entry(
        &mut self,
        base: Id,
        names: &[Cow<'_, [u8]>],
        elements: &mut listpack::Reader<'_>,
    ) -> Option<()> {
        let flags = elements.take()?.integer()?;
        let above = |elements: &mut listpack::Reader<'_>, base: u64| {
            Some(base.wrapping_add_signed(elements.take()?.integer()?))
        };
        let id = Id::new(above(elements, base.ms)?, above(elements, base.seq)?);
        let mut fields = Vec::new();
        if flags & SAME_NAMES == 0 {
            for _ in 0..usize::try_from(elements.take()?.integer()?).ok()? {
                fields.push((elements.take()?.bytes(), elements.take()?.bytes()));
            }
        } else {
            for name in names {
                fields.push((Cow::Borrowed(&name[..]), elements.take()?.bytes()));
            }
        }
        elements.take()?.integer()?;
        if flags & DELETED != 0 {
            return Some(());
        }
        if fields.is_empty() || self.last.is_some_and(|last| id <= last) {
            return None;
        }
        self.writer.entry(id, fields.iter().map(|(name, value)| (&name[..], &value[..])));
        self.last = Some(id);
        self.entries += 1;
        (self.writer.out.len() <= self.bytes_max).then_some(())
    }

    fn name<'a>(&self, input: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        string::take(input, self.bytes_max.checked_sub(self.writer.out.len())?)
    }

    fn group(&mut self, input: &mut &[u8]) -> Option<()> {
        let name = self.name(input)?;
        let last_id = take_id(input)?;
        let read = if self.kind >= STREAM_2 { take_length(input)? } else { u64::MAX };
        // Unknown is -1.
        self.writer.group(&name, last_id, i64::try_from(read).ok().map(i64::cast_unsigned));
        let mut pending = BTreeMap::new();
        for _ in 0..take_length(input)? {
            let id = Id::from_bytes(take_array(input)?);
            pending.insert(id, (take_time(input)?, take_length(input)?));
        }
        for _ in 0..take_length(input)? {
            self.consumer(input, &name, &mut pending)?;
        }
        pending.is_empty().then_some(())
    }

    fn consumer(
        &mut self,
        input: &mut &[u8],
        group: &[u8],
        pending: &mut BTreeMap<Id, (u64, u64)>,
    ) -> Option<()> {
        let name = self.name(input)?;
        let seen_ms = take_time(input)?;
        let active = if self.kind >= STREAM_3 { take_time(input)? } else { seen_ms };
        let active_ms = i64::try_from(active).ok().map(i64::cast_unsigned);
        self.writer.consumer(group, &name, seen_ms, active_ms);
        for _ in 0..take_length(input)? {
            let id = Id::from_bytes(take_array(input)?);
            let given = pending.remove(&id)?;
            self.writer.pending((group, &name), given, &[id]);
            if self.writer.out.len() > self.bytes_max {
                return None;
            }
        }
        Some(())
    }
}

fn take_id(input: &mut &[u8]) -> Option<Id> {
    Some(Id::new(take_length(input)?, take_length(input)?))
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*bytes)
}

fn take_time(input: &mut &[u8]) -> Option<u64> {
    take_array(input).map(u64::from_le_bytes)
}

fn put_id(out: &mut Vec<u8>, id: Id) {
    string::write_length(out, id.ms);
    string::write_length(out, id.seq);
}

/// Writes the stream of an entry as Redis 7.0 does, which every Redis 7 reads.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) -> u16 {
    let stream = xstream::stream_in(entry);
    out.push(STREAM_2);
    string::write_length(out, stream.blocks().len() as u64);
    for (base, block) in stream.blocks() {
        string::write(out, &base.to_bytes());
        string::write(out, &pack(base, block));
    }
    string::write_length(out, stream.len() as u64);
    [stream.last_id(), stream.first_id(), stream.max_deleted()]
        .into_iter()
        .for_each(|id| put_id(out, id));
    string::write_length(out, stream.entries_added());
    string::write_length(out, stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        write_group(out, name, group);
    }
    VERSION
}

fn pack(base: Id, block: &xstream::Block) -> Vec<u8> {
    let mut packed = listpack::Writer::new();
    let names = block.shared_names();
    packed.push_integer(block.count() as i64);
    packed.push_integer(0);
    packed.push_integer(names.len() as i64);
    names.for_each(|name| packed.push(name));
    packed.push_integer(0);
    for entry in block.entries(base) {
        let shares = entry.shares_names();
        packed.push_integer(if shares { SAME_NAMES } else { 0 });
        packed.push_integer(entry.id.ms.wrapping_sub(base.ms).cast_signed());
        packed.push_integer(entry.id.seq.wrapping_sub(base.seq).cast_signed());
        let count = entry.count();
        if !shares {
            packed.push_integer(count as i64);
        }
        for (name, value) in entry.fields() {
            if !shares {
                packed.push(name);
            }
            packed.push(value);
        }
        let elements = if shares { count } else { 2 * count + 1 };
        packed.push_integer((elements + FIXED_ELEMENTS) as i64);
    }
    packed.finish()
}

fn write_group(out: &mut Vec<u8>, name: &[u8], group: &xstream::Group) {
    string::write(out, name);
    put_id(out, group.last_id);
    string::write_length(out, group.entries_read.unwrap_or(u64::MAX));
    string::write_length(out, group.pending.len() as u64);
    for (id, pending) in &group.pending {
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&pending.time_ms.to_le_bytes());
        string::write_length(out, pending.count);
    }
    string::write_length(out, group.consumers.len() as u64);
    for (name, consumer) in &group.consumers {
        string::write(out, name);
        out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
        string::write_length(out, consumer.pending.len() as u64);
        consumer.pending.iter().for_each(|id| out.extend_from_slice(&id.to_bytes()));
    }
}
