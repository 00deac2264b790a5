//! Reading events of a room or of a partition, from an offset or a time on.
//!
//! An answer is `[next offset, first offset there is, events]`, an event is `[offset, id, time,
//! key or nil, name, data, 1 if the data is JSON, metadata]`. Of a packed batch, if it is wanted as
//! it is, `[offset, id, time, codec, number of events, unpacked bytes, packed events]`.

use super::cold_read::{Lack, Source};
use super::event::{ANSWER_BYTES, Event, Item, Packed};
use super::find;
use super::make::{ROOM_NAME, TOPIC_NAME};
use super::names::{PARTITION, split_key};
use super::packed::{self, Inner};
use super::partition::Partition;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys,
    Pause, ReplySpec, Run,
};
use crate::command::timeout;
use crate::limits::{MEMBER_BYTES_MAX, READ_BYTES_MAX, ROOM_READ_MAX, TOPIC_READ_MAX};
use crate::shard::plan::{Plan, View};

pub(super) const PARTITION_ARG: ArgSpec =
    ArgSpec::integer(PARTITION, "the number of the partition");
const FROM: ArgSpec = ArgSpec::integer("from_offset", "the first offset that is wanted");
pub(super) const COUNT: ArgSpec =
    ArgSpec::integer("limit", "how many events at most").with_token("COUNT").optional();
pub(super) const BLOCK: ArgSpec =
    ArgSpec::integer("wait_ms", "wait so many milliseconds if there is nothing")
        .with_token("BLOCK")
        .optional();

const NAME: Arg = Arg(0);
const DEFAULT_COUNT: i64 = 100;
/// Longest wait of a command that reads.
const WAIT_MS_MAX: i64 = 30_000;

/// `SREAD`.
pub(super) const SREAD: CommandSpec = CommandSpec {
    id: "stream.consume",
    resp: "SREAD",
    family: Family::Topic,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ROOM_NAME,
        FROM,
        COUNT,
        BLOCK,
        ArgSpec::bytes("subscriber_id", "who reads, for the room's statistics")
            .with_token("READER")
            .optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get(
        "/stream/{room}/consume/{subscriber_id}",
        JsonReply::Shape("room_events"),
    )],
    flags: Flags::BLOCKING.and(Flags::WAKES_WHEN_GONE),
    since: "0.2.0",
    summary: "Reads events of a room; 0 is the first that is there, another that is gone an error",
    complexity: "O(log N + M) for N blocks and M events answered",
    run: Run::Block(read_room),
};

/// `TREAD`.
pub(super) const TREAD: CommandSpec = CommandSpec {
    id: "topic.consume",
    resp: "TREAD",
    args: &[
        TOPIC_NAME,
        PARTITION_ARG,
        FROM,
        COUNT,
        BLOCK,
        ArgSpec::flag("packed", "PACKED", "packed batches as they are, from the one that holds it"),
    ],
    http: &[HttpRoute::post(
        "/topics/{topic}/partitions/{partition}/consume",
        JsonReply::Shape("topic_events"),
    )],
    summary: "Reads events of a partition, from the first that is there where an offset is gone",
    run: Run::Block(read_partition),
    ..SREAD
};

/// `TOFFSET`.
pub(super) const TOFFSET: CommandSpec = CommandSpec {
    id: "topic.offset",
    resp: "TOFFSET",
    family: Family::Topic,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[TOPIC_NAME, PARTITION_ARG, ArgSpec::integer("time_ms", "Unix milliseconds")],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get(
        "/topics/{topic}/partitions/{partition}/offset",
        JsonReply::Field("offset"),
    )],
    flags: Flags::BLOCKING.and(Flags::WAKES_WHEN_GONE),
    since: "0.2.0",
    summary: "The offset of the first event of a partition at or behind a time, or of the next one",
    complexity: "O(log N) for N blocks",
    run: Run::Block(offset_of_time),
};

pub(super) fn count(args: &Args<'_>, arg: Arg, most: i64) -> Result<usize, CommandError> {
    let count = args.opt_integer(arg).unwrap_or(DEFAULT_COUNT);
    let count = Some(count).filter(|count| *count > 0).map(|count| count.min(most) as usize);
    count.ok_or(CommandError::Invalid("the number of events must be greater than 0"))
}

pub(super) fn wait_ms(args: &Args<'_>, arg: Arg) -> Result<Option<u64>, CommandError> {
    let Some(wait) = args.opt_integer(arg).filter(|wait| *wait != 0) else { return Ok(None) };
    timeout::milliseconds(wait.min(WAIT_MS_MAX)).map(Some)
}

fn offset(args: &Args<'_>, arg: Arg) -> Result<u64, CommandError> {
    let offset = u64::try_from(args.integer(arg));
    offset.map_err(|_| CommandError::Invalid("an offset may not be negative"))
}

fn read_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let room = find::room(plan, args.bytes(NAME))?;
    let (wanted, most) = (offset(args, Arg(1))?, count(args, Arg(2), ROOM_READ_MAX)?);
    if wanted > 0 && wanted < room.start() {
        return Err(CommandError::OffsetGone { offset: wanted, earliest: room.start() });
    }
    let reader = args.opt_bytes(Arg(4));
    if reader.is_some_and(|reader| reader.len() > MEMBER_BYTES_MAX) {
        return Err(CommandError::Invalid("a subscriber_id may have up to 1024 bytes"));
    }
    let source = Source { partition: room, warm: plan.warm(args.bytes(NAME)) };
    let found = match Found::read(source, wanted, most, Form::Single) {
        Ok(found) => found,
        Err(lack) => return lack.blocked(args.bytes(NAME)),
    };
    if let (Some(reader), false) = (reader, found.events.is_empty()) {
        let mut readers = room.readers().borrow_mut();
        let most = plan.thresholds(args.bytes(NAME)).defaults.room_readers as usize;
        readers.note(reader, found.next, (found.events.len(), most), plan.now().unix_ms);
    }
    Ok(finish(room, found, wait_ms(args, Arg(3))?))
}

fn read_partition(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let partition = numbered(plan, args)?;
    let most = plan.thresholds(args.bytes(NAME)).defaults.read_max;
    let most = i64::from(most).min(TOPIC_READ_MAX);
    let (wanted, most) = (offset(args, Arg(2))?, count(args, Arg(3), most)?);
    let form = if args.flag(Arg(5)) { Form::Packed } else { Form::Single };
    let source = Source { partition, warm: plan.warm(args.bytes(NAME)) };
    let found = match Found::read(source, wanted, most, form) {
        Ok(found) => found,
        Err(lack) => return lack.blocked(args.bytes(NAME)),
    };
    Ok(finish(partition, found, wait_ms(args, Arg(4))?))
}

/// The partition of the number that stands behind the topic.
pub(super) fn numbered<'s>(
    view: &View<'s>,
    args: &Args<'_>,
) -> Result<&'s Partition, CommandError> {
    let (key, number) = (args.bytes(NAME), args.integer(Arg(1)));
    let partition = find::existing(view, key)?;
    if i64::from(partition.definition.number) != number {
        // No partition has such a number, so the key is that of the first.
        let name = [split_key(key).0, format!("/{number}").as_bytes()].concat();
        return Err(CommandError::not_found(find::PARTITION, &name));
    }
    Ok(partition)
}

fn finish(partition: &Partition, found: Found, wait_ms: Option<u64>) -> Blocked {
    let is_empty = found.events.is_empty();
    let reply = Reply::Array(vec![
        Reply::Integer(found.next as i64),
        Reply::Integer(partition.start() as i64),
        Reply::Array(found.events),
    ]);
    match wait_ms {
        Some(wait_ms) if is_empty => Blocked::Wait(Pause::new(wait_ms, reply)),
        Some(_) | None => Blocked::Done(reply),
    }
}

fn offset_of_time(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let partition = numbered(plan, args)?;
    let time_ms = u64::try_from(args.integer(Arg(2))).unwrap_or(0);
    let source = Source { partition, warm: plan.warm(args.bytes(NAME)) };
    match source.offset_at(time_ms) {
        Ok(offset) => Ok(Blocked::Done(Reply::Integer(offset as i64))),
        Err(lack) => lack.blocked(args.bytes(NAME)),
    }
}

/// How packed batches are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Event by event.
    Single,
    /// As they are.
    Packed,
}

/// Events that were read.
struct Found {
    events: Vec<Reply<'static>>,
    /// Where reading goes on.
    next: u64,
    bytes: usize,
}

impl Found {
    /// The events from `wanted` on. Those in files come as far as they were read; what is not
    /// there is a lack only where nothing is before it.
    fn read(source: Source<'_>, wanted: u64, most: usize, form: Form) -> Result<Self, Lack> {
        let partition = source.partition;
        let from = wanted.max(partition.start());
        let mut found = Self { events: Vec::new(), next: from, bytes: 0 };
        loop {
            match source.cold_block(found.next) {
                Ok(None) => break,
                Ok(Some(block)) => {
                    let items = block.items(block.place(found.next));
                    if found.items(partition, items, most, form) {
                        return Ok(found);
                    }
                }
                Err(lack) if found.events.is_empty() => return Err(lack),
                Err(_) => return Ok(found),
            }
        }
        let items = partition.items(found.next);
        found.items(partition, items, most, form);
        Ok(found)
    }

    /// Adds items; true when that is as much as may be answered.
    fn items<'s>(
        &mut self,
        partition: &Partition,
        items: impl Iterator<Item = (u64, Item<'s>)>,
        most: usize,
        form: Form,
    ) -> bool {
        for (offset, item) in items {
            if self.events.len() >= most || self.bytes >= READ_BYTES_MAX {
                return true;
            }
            self.item(partition, (offset, item), most, form);
        }
        self.events.len() >= most || self.bytes >= READ_BYTES_MAX
    }

    fn item(
        &mut self,
        partition: &Partition,
        (at, item): (u64, Item<'_>),
        most: usize,
        form: Form,
    ) {
        match (item, form) {
            (Item::One(event), _) => {
                self.bytes += event.answer_bytes();
                self.events.push(event_reply(partition, at, &event));
                self.next = at + 1;
            }
            (Item::Packed { time_ms, packed }, Form::Packed) => {
                self.bytes += packed.bytes.len() + ANSWER_BYTES;
                self.events.push(packed_reply(partition, at, time_ms, &packed));
                self.next = at + packed.count;
            }
            (Item::Packed { time_ms, packed }, Form::Single) => {
                let rest = most - self.events.len();
                let from = self.next.max(at);
                let mut taken = 0;
                each_of(&packed, |number, inner| {
                    if at + number >= from && taken < rest {
                        taken += 1;
                        self.bytes += inner.answer_bytes();
                        self.next = at + number + 1;
                        self.events.push(inner_reply(partition, at + number, time_ms, &inner));
                    }
                });
            }
        }
    }
}

/// Calls `each` with the events of a batch and their numbers in it.
fn each_of(packed: &Packed<'_>, mut each: impl FnMut(u64, Inner<'_>)) {
    let unpacked = packed::unpack(packed).expect("batches are checked when they come");
    let mut rest = &unpacked[..];
    let mut number = 0;
    while let Some(inner) = packed::take(&mut rest) {
        each(number, inner);
        number += 1;
    }
}

/// An event as it is answered.
pub(super) fn event_reply(partition: &Partition, offset: u64, event: &Event<'_>) -> Reply<'static> {
    let words = event.metadata().flat_map(|(name, value)| [name, value]);
    let metadata = words.map(|word| Reply::owned(word.to_vec())).collect();
    reply(
        partition,
        offset,
        (event.time_ms, event.json),
        (event.key, event.name, event.data),
        metadata,
    )
}

pub(super) fn inner_reply(
    partition: &Partition,
    offset: u64,
    time_ms: u64,
    inner: &Inner<'_>,
) -> Reply<'static> {
    reply(partition, offset, (time_ms, false), (inner.key, inner.name, inner.data), Vec::new())
}

fn reply(
    partition: &Partition,
    offset: u64,
    (time_ms, json): (u64, bool),
    (key, name, data): (Option<&[u8]>, &[u8], &[u8]),
    metadata: Vec<Reply<'static>>,
) -> Reply<'static> {
    Reply::Array(vec![
        Reply::Integer(offset as i64),
        Reply::string(partition.definition.event_id(offset)),
        Reply::Integer(time_ms as i64),
        key.map_or(Reply::Nil, |key| Reply::owned(key.to_vec())),
        Reply::owned(name.to_vec()),
        Reply::owned(data.to_vec()),
        Reply::Integer(json.into()),
        Reply::Array(metadata),
    ])
}

fn packed_reply(
    partition: &Partition,
    offset: u64,
    time_ms: u64,
    packed: &Packed<'_>,
) -> Reply<'static> {
    Reply::Array(vec![
        Reply::Integer(offset as i64),
        Reply::string(partition.definition.event_id(offset)),
        Reply::Integer(time_ms as i64),
        Reply::Status(packed::codec_name(packed.codec)),
        Reply::Integer(packed.count as i64),
        Reply::Integer(packed.unpacked_bytes as i64),
        Reply::owned(packed.bytes.to_vec()),
    ])
}

#[cfg(test)]
mod tests {
    use crate::limits::{MEMBER_BYTES_MAX, READ_BYTES_MAX};
    use crate::one_table::OneTable;

    #[test]
    fn keys_names_and_metadata_count_for_what_an_answer_takes() {
        let large = "x".repeat(READ_BYTES_MAX / 4);
        for rest in [format!("e d KEY {large}"), format!("{large} d"), format!("e d n {large}")] {
            let mut db = OneTable::new();
            db.ask("TCREATE t PARTITIONS 1 FOREVER");
            for _ in 0..6 {
                db.ask(&format!("TPUBLISH t {rest}"));
            }
            let read = db.ask("TREAD t 0 0");
            assert!(read.starts_with("[4, 0, "), "{}", &read[..20]);
        }
    }

    #[test]
    fn a_reader_has_a_name_of_bounded_length() {
        let mut db = OneTable::new();
        db.ask("SAPPEND r e d CREATE");
        let name = "n".repeat(MEMBER_BYTES_MAX);
        assert!(db.ask(&format!("SREAD r 0 READER {name}")).starts_with("[1, 0, "));
        assert!(db.ask(&format!("SREAD r 0 READER {name}n")).contains("subscriber_id"));
    }
}
