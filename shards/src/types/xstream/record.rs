//! Edits of streams. Each states what is now; applied again, or over a newer stream, they come to
//! the same in the end.
//!
//! ```text
//!  1 Add         id, number of entries ever added, fields   the entry is there and the last one
//!  2 Entry       id, fields                            the entry is there
//!  3 Delete      id                                    it is not
//!  4 Trim        id                                    neither it nor any entry before it is there
//!  5 Meta        last id, entries ever added, greatest deleted id
//!  6 Group       name, last id, entries read + 1 or 0  the group is there and has come so far
//!  7 Ungroup     name                                  it is not
//!  8 Consumer    group, name, seen, active + 1 or 0    the consumer is there, with these times
//!  9 Unconsumer  group, name                           it is not, nor what it had
//! 10 Pending     group, consumer, time, count, how many ids, ids   these are with that consumer
//! 11 Ack         group, how many ids, ids              these are with nobody
//! ```
//!
//! A number is LEB128 of up to 64 bits, a name stands behind its length, an id is two numbers,
//! times are Unix milliseconds. Fields are how many, at least one, then name and value of each.

use super::block::NewFields;
use super::codec::{put_id, take_id};
use super::id::Id;
use super::stream::Stream;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::Thresholds;
use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};

const ADD: u8 = 1;
const ENTRY: u8 = 2;
const DELETE: u8 = 3;
const TRIM: u8 = 4;
const META: u8 = 5;
const GROUP: u8 = 6;
const UNGROUP: u8 = 7;
const CONSUMER: u8 = 8;
const UNCONSUMER: u8 = 9;
const PENDING: u8 = 10;
const ACK: u8 = 11;

/// Bytes of the name of a group or a consumer.
pub(crate) const NAME_BYTES_MAX: usize = KEY_BYTES_MAX;
/// Bytes of the names and values of an entry, with their lengths: so that it fits an image.
pub(crate) const FIELDS_BYTES_MAX: usize = VALUE_BYTES_MAX - 64;

/// Ids in their encoded form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids<'a>(&'a [u8]);

impl Iterator for Ids<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        take_id(&mut self.0)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Edit<'a> {
    Add { id: Id, entries_added: u64, fields: NewFields<'a> },
    Entry { id: Id, fields: NewFields<'a> },
    Delete(Id),
    Trim(Id),
    Meta { last_id: Id, entries_added: u64, max_deleted: Id },
    Group { name: &'a [u8], last_id: Id, entries_read: Option<u64> },
    Ungroup(&'a [u8]),
    Consumer { group: &'a [u8], name: &'a [u8], seen_ms: u64, active_ms: Option<u64> },
    Unconsumer { group: &'a [u8], name: &'a [u8] },
    Pending { group: &'a [u8], consumer: &'a [u8], time_ms: u64, count: u64, ids: Ids<'a> },
    Ack { group: &'a [u8], ids: Ids<'a> },
}

/// Takes one edit off the front; nothing when there is none.
pub(super) fn take<'a>(input: &mut &'a [u8]) -> Option<Edit<'a>> {
    let (op, rest) = input.split_first()?;
    *input = rest;
    Some(match *op {
        ADD => {
            let (id, entries_added) = (take_id(input)?, take_number(input)?);
            Edit::Add { id, entries_added, fields: take_fields(input)? }
        }
        ENTRY => Edit::Entry { id: take_id(input)?, fields: take_fields(input)? },
        DELETE => Edit::Delete(take_id(input)?),
        TRIM => Edit::Trim(take_id(input)?),
        META => Edit::Meta {
            last_id: take_id(input)?,
            entries_added: take_number(input)?,
            max_deleted: take_id(input)?,
        },
        GROUP => Edit::Group {
            name: take_name(input)?,
            last_id: take_id(input)?,
            entries_read: take_number(input)?.checked_sub(1),
        },
        UNGROUP => Edit::Ungroup(take_name(input)?),
        CONSUMER => Edit::Consumer {
            group: take_name(input)?,
            name: take_name(input)?,
            seen_ms: take_number(input)?,
            active_ms: take_number(input)?.checked_sub(1),
        },
        UNCONSUMER => Edit::Unconsumer { group: take_name(input)?, name: take_name(input)? },
        PENDING => Edit::Pending {
            group: take_name(input)?,
            consumer: take_name(input)?,
            time_ms: take_number(input)?,
            count: take_number(input)?,
            ids: take_ids(input)?,
        },
        ACK => Edit::Ack { group: take_name(input)?, ids: take_ids(input)? },
        _ => return None,
    })
}

fn take_name<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_bytes(input).filter(|name| name.len() <= NAME_BYTES_MAX)
}

fn take_fields<'a>(input: &mut &'a [u8]) -> Option<NewFields<'a>> {
    let count = usize::try_from(take_number(input)?).ok().filter(|count| *count > 0)?;
    let start = *input;
    for _ in 0..count {
        take_bytes(input)?;
        take_bytes(input)?;
    }
    let pairs = &start[..start.len() - input.len()];
    (pairs.len() <= FIELDS_BYTES_MAX).then_some(NewFields { count, pairs })
}

fn take_ids<'a>(input: &mut &'a [u8]) -> Option<Ids<'a>> {
    let count = take_number(input)?;
    let start = *input;
    for _ in 0..count {
        take_id(input)?;
    }
    Some(Ids(&start[..start.len() - input.len()]))
}

/// Whether bytes are edits of a stream.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut rest = edits;
    while !rest.is_empty() {
        if take(&mut rest).is_none() {
            return false;
        }
    }
    true
}

impl Stream {
    /// Applies edits that [`check`] has found to be some.
    pub(super) fn apply_edits(&mut self, edits: &[u8], limits: &Thresholds) {
        let mut rest = edits;
        while !rest.is_empty() {
            let edit = take(&mut rest).expect("edits are checked before they are applied");
            self.apply_one(edit, limits);
        }
    }

    fn apply_one(&mut self, edit: Edit<'_>, limits: &Thresholds) {
        match edit {
            Edit::Add { id, entries_added, fields } => {
                self.insert(id, fields, limits);
                self.last_id = id;
                self.entries_added = entries_added;
            }
            Edit::Entry { id, fields } => self.insert(id, fields, limits),
            Edit::Delete(id) => self.remove(id),
            Edit::Trim(id) => self.trim_through(id),
            Edit::Meta { last_id, entries_added, max_deleted } => {
                self.last_id = last_id;
                self.entries_added = entries_added;
                self.max_deleted = max_deleted;
            }
            Edit::Group { name, last_id, entries_read } => {
                self.set_group(name, last_id, entries_read);
            }
            Edit::Ungroup(name) => self.remove_group(name),
            Edit::Consumer { group, name, seen_ms, active_ms } => {
                self.set_consumer(group, name, Some((seen_ms, active_ms)));
            }
            Edit::Unconsumer { group, name } => self.remove_consumer(group, name),
            Edit::Pending { group, consumer, time_ms, count, ids } => {
                ids.for_each(|id| self.give(group, consumer, id, (time_ms, count)));
            }
            Edit::Ack { group, ids } => ids.for_each(|id| self.acknowledge(group, id)),
        }
    }
}

/// Edits that are being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
}

impl Writer {
    /// Whether nothing was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// An entry was added behind all others.
    pub(crate) fn add(&mut self, id: Id, entries_added: u64, fields: NewFields<'_>) {
        self.out.push(ADD);
        put_id(&mut self.out, id);
        put_number(&mut self.out, entries_added);
        self.fields(fields);
    }

    fn fields(&mut self, fields: NewFields<'_>) {
        put_number(&mut self.out, fields.count as u64);
        self.out.extend_from_slice(fields.pairs);
    }

    /// An entry is there, with these names and values.
    pub(crate) fn entry<'a>(
        &mut self,
        id: Id,
        fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        self.out.push(ENTRY);
        put_id(&mut self.out, id);
        put_number(&mut self.out, fields.len() as u64);
        for (name, value) in fields {
            put_bytes(&mut self.out, name);
            put_bytes(&mut self.out, value);
        }
    }

    pub(crate) fn delete(&mut self, id: Id) {
        self.out.push(DELETE);
        put_id(&mut self.out, id);
    }

    pub(crate) fn trim(&mut self, through: Id) {
        self.out.push(TRIM);
        put_id(&mut self.out, through);
    }

    pub(crate) fn meta(&mut self, last_id: Id, entries_added: u64, max_deleted: Id) {
        self.out.push(META);
        put_id(&mut self.out, last_id);
        put_number(&mut self.out, entries_added);
        put_id(&mut self.out, max_deleted);
    }

    pub(crate) fn group(&mut self, name: &[u8], last_id: Id, entries_read: Option<u64>) {
        self.out.push(GROUP);
        put_bytes(&mut self.out, name);
        put_id(&mut self.out, last_id);
        put_number(&mut self.out, entries_read.map_or(0, |read| read.saturating_add(1)));
    }

    pub(crate) fn ungroup(&mut self, name: &[u8]) {
        self.out.push(UNGROUP);
        put_bytes(&mut self.out, name);
    }

    pub(crate) fn consumer(
        &mut self,
        group: &[u8],
        name: &[u8],
        seen_ms: u64,
        active_ms: Option<u64>,
    ) {
        self.out.push(CONSUMER);
        put_bytes(&mut self.out, group);
        put_bytes(&mut self.out, name);
        put_number(&mut self.out, seen_ms);
        put_number(&mut self.out, active_ms.map_or(0, |active| active.saturating_add(1)));
    }

    pub(crate) fn unconsumer(&mut self, group: &[u8], name: &[u8]) {
        self.out.push(UNCONSUMER);
        put_bytes(&mut self.out, group);
        put_bytes(&mut self.out, name);
    }

    /// These entries are with this consumer, given at this time for the so-manieth time.
    pub(crate) fn pending(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        (time_ms, count): (u64, u64),
        ids: &[Id],
    ) {
        if ids.is_empty() {
            return;
        }
        self.out.push(PENDING);
        put_bytes(&mut self.out, group);
        put_bytes(&mut self.out, consumer);
        put_number(&mut self.out, time_ms);
        put_number(&mut self.out, count);
        put_number(&mut self.out, ids.len() as u64);
        ids.iter().for_each(|id| put_id(&mut self.out, *id));
    }

    pub(crate) fn ack(&mut self, group: &[u8], ids: &[Id]) {
        if ids.is_empty() {
            return;
        }
        self.out.push(ACK);
        put_bytes(&mut self.out, group);
        put_number(&mut self.out, ids.len() as u64);
        ids.iter().for_each(|id| put_id(&mut self.out, *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::default();
        writer.add(Id::new(5, 1), 9, NewFields { count: 1, pairs: b"\x01f\x02vw" });
        writer.entry(Id::new(3, 0), [(&b"a"[..], &b"b"[..]), (b"c", b"")].into_iter());
        writer.meta(Id::new(6, 0), 9, Id::new(1, 1));
        writer.group(b"g", Id::new(5, 1), Some(4));
        writer.consumer(b"g", b"c", 77, Some(78));
        writer.pending((b"g", b"c"), (80, 2), &[Id::new(3, 0), Id::new(5, 1)]);
        writer.pending((b"g", b"d"), (81, 1), &[Id::new(3, 0)]);
        writer.ack(b"g", &[Id::new(5, 1)]);
        writer.delete(Id::new(5, 1));
        writer.out
    }

    fn applied(edits: &[u8]) -> Stream {
        let mut stream = Stream::default();
        stream.apply_edits(edits, &Thresholds::default());
        stream
    }

    #[test]
    fn edits_do_what_they_say_again_and_again() {
        let mut stream = applied(&sample());
        for _ in 0..2 {
            assert_eq!(
                (stream.len(), stream.last_id(), stream.entries_added()),
                (1, Id::new(6, 0), 9)
            );
            let group = stream.group(b"g").expect("it was made");
            assert_eq!((group.last_id, group.entries_read), (Id::new(5, 1), Some(4)));
            assert_eq!(group.pending.len(), 1);
            assert_eq!(&group.pending[&Id::new(3, 0)].consumer[..], b"d");
            assert_eq!(group.consumers[&b"c"[..]].pending.len(), 0);
            assert_eq!(group.consumers[&b"c"[..]].active_ms, Some(78));
            assert_eq!(group.consumers[&b"d"[..]].pending.len(), 1);
            stream.apply_edits(&sample(), &Thresholds::default());
        }
        let mut writer = Writer::default();
        writer.ack(b"none", &[Id::ZERO]);
        writer.unconsumer(b"g", b"d");
        writer.unconsumer(b"none", b"d");
        writer.pending((b"none", b"d"), (81, 1), &[Id::new(3, 0)]);
        stream.apply_edits(&writer.out, &Thresholds::default());
        assert_eq!(stream.group(b"g").map(|group| group.pending.len()), Some(0));
        writer.ungroup(b"g");
        writer.trim(Id::MAX);
        stream.apply_edits(&writer.out, &Thresholds::default());
        assert_eq!(stream.held_bytes(), size_of::<Stream>());
    }

    #[test]
    fn what_is_no_edit_is_refused_and_what_is_taken_applies() {
        let edits = sample();
        assert!(check(&edits));
        let mut rng = Rng::new(5);
        for _ in 0..20_000 {
            let mut broken = edits.clone();
            broken.truncate(1 + rng.below(edits.len()));
            let at = rng.below(broken.len());
            broken[at] = rng.draw() as u8;
            if check(&broken) {
                applied(&broken);
            }
        }
        assert!(!check(&[ENTRY, 1, 1, 0]), "an entry has a field");
        assert!(!check(&[99]));
    }
}
