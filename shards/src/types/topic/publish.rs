//! Publishing events: one, or several as one batch.
//!
//! A command names a topic; the engine puts the partition in its place that the event goes to
//! (`engine/topics.rs`), so what runs here has the key of one partition. It checks that the choice
//! still holds: a topic may have been made anew meanwhile.

use super::definition::Definition;
use super::event::{NewEvent, write_packed};
use super::find;
use super::make::{ROOM_NAME, TOPIC_NAME, room_definition};
use super::names::{partition_of, split_key};
use super::packed;
use super::partition::Partition;
use super::record::{OFFSET_MAX, Writer};
use super::retention::count_of;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::limits::{EVENT_BYTES_MAX, EVENT_NAMES_MAX, VALUE_BYTES_MAX};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

const METADATA_PARTS: &[ArgSpec] =
    &[ArgSpec::bytes("name", "a name"), ArgSpec::bytes("value", "what it stands for")];
const METADATA: ArgSpec =
    ArgSpec::block("metadata", METADATA_PARTS, "names and values kept with the event")
        .optional()
        .repeated();
const JSON: ArgSpec = ArgSpec::flag("json", "JSON", "the data is JSON and shown as such");
const KEY: ArgSpec = ArgSpec::bytes("key", "events of one key go to one partition, in order")
    .with_token("KEY")
    .optional();
const PARTITION: ArgSpec =
    ArgSpec::integer("to_partition", "the partition it goes to").with_token("PARTITION").optional();
const EVENT_PARTS: &[ArgSpec] = &[
    ArgSpec::bytes("event_type", "what kind of event it is"),
    ArgSpec::bytes("data", "what it says"),
];

const NAME: Arg = Arg(0);

/// `SAPPEND`.
pub(super) const SAPPEND: CommandSpec = CommandSpec {
    id: "stream.publish",
    resp: "SAPPEND",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ROOM_NAME,
        ArgSpec::bytes("event", "what kind of event it is"),
        ArgSpec::bytes("data", "what it says"),
        ArgSpec::flag("create", "CREATE", "make the room if there is none"),
        JSON,
        METADATA,
    ],
    reply: ReplySpec::Integer,
    http: &[
        HttpRoute::post("/stream/{room}/publish", JsonReply::Shape("room_published")),
        HttpRoute::post("/stream/publish", JsonReply::Shape("room_published")),
    ],
    flags: Flags::DENY_OOM.and(Flags::FAST).and(Flags::RANDOM),
    since: "0.2.0",
    summary: "Appends an event to a room and answers its offset",
    complexity: "O(log N) for N blocks that go",
    run: Run::Write(append_to_room),
};

/// `TPUBLISH`.
pub(super) const TPUBLISH: CommandSpec = CommandSpec {
    id: "topic.publish",
    resp: "TPUBLISH",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        TOPIC_NAME,
        ArgSpec::bytes("event_type", "what kind of event it is"),
        ArgSpec::bytes("data", "what it says"),
        KEY,
        PARTITION,
        JSON,
        METADATA,
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/topics/{topic}/publish", JsonReply::Shape("topic_published"))],
    flags: Flags::DENY_OOM.and(Flags::FAST).and(Flags::SPREADS),
    since: "0.2.0",
    summary: "Appends an event to a topic and answers its partition and offset",
    complexity: "O(log N) for N blocks that go",
    run: Run::Write(publish),
};

/// `TMPUBLISH`.
pub(super) const TMPUBLISH: CommandSpec = CommandSpec {
    id: "topic.publish_batch",
    resp: "TMPUBLISH",
    args: &[
        TOPIC_NAME,
        KEY,
        PARTITION,
        JSON,
        ArgSpec::block("events", EVENT_PARTS, "the events, in order").repeated(),
    ],
    http: &[HttpRoute::post("/topics/{topic}/batch", JsonReply::Shape("topic_batch"))],
    flags: Flags::DENY_OOM.and(Flags::SPREADS),
    summary: "Appends events to one partition; answers it, the first offset, and how many",
    complexity: "O(N) for N events",
    run: Run::Write(publish_batch),
    ..TPUBLISH
};

/// `TPACK`.
pub(super) const TPACK: CommandSpec = CommandSpec {
    id: "topic.publish_packed",
    resp: "TPACK",
    args: &[
        TOPIC_NAME,
        KEY,
        PARTITION,
        ArgSpec::bytes("codec", "lz4 or zstd"),
        ArgSpec::integer("unpacked_bytes", "bytes of the events before they were packed"),
        ArgSpec::bytes("data", "the packed events"),
    ],
    http: &[HttpRoute::post("/topics/{topic}/packed", JsonReply::Shape("topic_batch"))],
    flags: Flags::DENY_OOM.and(Flags::SPREADS),
    summary: "Appends packed events as they are; answers partition, first offset, and how many",
    complexity: "O(N) for N bytes unpacked, which are checked and let go",
    run: Run::Write(publish_packed),
    ..TPUBLISH
};

const TOO_LARGE: CommandError = CommandError::Invalid("an event may not be larger than 64 MiB");
const BATCH_TOO_LARGE: CommandError =
    CommandError::Invalid("a batch of events may not be larger than 512 MiB");
const TOO_MANY_NAMES: CommandError =
    CommandError::Invalid("an event may not have more than 128 names of metadata");
const NO_OFFSETS: CommandError = CommandError::Invalid("the partition has given all its offsets");
const TRY_AGAIN: CommandError = CommandError::Coded {
    code: "TRYAGAIN",
    message: "the topic was made or changed just now, send it again",
};

/// Bytes that an event takes at most beside its words: its length, time and flags, and the lengths
/// of its key and its name.
const FRAME_BYTES: usize = 64;

/// Whether an event that is to be published is one that can be stored.
fn checked(event: &NewEvent<'_>) -> Result<(), CommandError> {
    if event.metadata.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    let metadata: usize = event.metadata.iter().map(|word| word.len() + 5).sum();
    let bytes = event.data.len() + event.name.len() + event.key.map_or(0, <[u8]>::len) + metadata;
    if bytes > EVENT_BYTES_MAX - FRAME_BYTES {
        return Err(TOO_LARGE);
    }
    if event.metadata.len() > 2 * EVENT_NAMES_MAX {
        return Err(TOO_MANY_NAMES);
    }
    Ok(())
}

/// Appends what `write` makes of the time that the events have; the offset of the first. `makes` is
/// what the partition is made as, where it is not there.
fn append(
    plan: &mut Plan<'_>,
    key: &[u8],
    (partition, makes): (Option<&Partition>, Option<Definition>),
    write: impl FnOnce(u64, &mut Vec<u8>),
) -> Result<u64, CommandError> {
    let now_ms = plan.now().unix_ms;
    let time_ms = partition.map_or(now_ms, |partition| partition.last_ms().max(now_ms));
    let mut items = Vec::new();
    write(time_ms, &mut items);
    if items.len() > VALUE_BYTES_MAX {
        return Err(BATCH_TOO_LARGE);
    }
    let base = partition.map_or(0, Partition::next);
    let mut writer = Writer { out: Vec::with_capacity(items.len() + 32) };
    if let Some(definition) = makes {
        writer.definition(&definition);
    }
    writer.append(base, &items);
    if let Some(partition) = partition {
        let retention = partition.definition.retention;
        if base + count_of(&items) > OFFSET_MAX {
            return Err(NO_OFFSETS);
        }
        let start = partition.start_with(retention, &items, now_ms);
        if start > partition.start() {
            writer.start(start);
        }
    }
    plan.edit(key, ValueType::Partition, &writer.out)?;
    Ok(base)
}

fn append_to_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (event_arg, data, create, json, metadata) = (Arg(1), Arg(2), Arg(3), Arg(4), Arg(5));
    let key = args.bytes(NAME);
    let event = NewEvent {
        key: None,
        name: args.bytes(event_arg),
        metadata: args.rest(metadata),
        json: args.flag(json),
        data: args.bytes(data),
    };
    checked(&event)?;
    let (room, makes) = match find::partition(plan, key)? {
        None if args.flag(create) => (None, Some(room_definition(plan, key, None, None)?)),
        Some(room) if room.definition.partitions > 1 => return Err(TRY_AGAIN_AS_TOPIC),
        Some(room) => (Some(room), None),
        None => return Err(CommandError::not_found(find::ROOM, split_key(key).0)),
    };
    let offset = append(plan, key, (room, makes), |time_ms, out| event.write(time_ms, out))?;
    Ok(Reply::Integer(offset as i64))
}

const TRY_AGAIN_AS_TOPIC: CommandError =
    CommandError::Invalid("this is a topic of several partitions, TPUBLISH appends to it");

/// The partition that was chosen, if the choice still holds.
fn chosen<'s>(
    plan: &Plan<'s>,
    args: &Args<'_>,
    (key_arg, partition_arg): (Arg, Arg),
) -> Result<&'s Partition, CommandError> {
    let key = args.bytes(NAME);
    let partition = find::existing(plan, key)?;
    let Definition { number, partitions, .. } = partition.definition;
    match (args.opt_integer(partition_arg), args.opt_bytes(key_arg)) {
        (Some(wanted), _) if wanted >= i64::from(partitions) || wanted < 0 => {
            let name = format!("{}/{wanted}", String::from_utf8_lossy(split_key(key).0));
            Err(CommandError::not_found(find::PARTITION, name.as_bytes()))
        }
        (Some(wanted), _) if wanted != i64::from(number) => Err(TRY_AGAIN),
        (None, Some(key)) if partition_of(key, partitions) != number => Err(TRY_AGAIN),
        (Some(_), _) | (None, _) => Ok(partition),
    }
}

fn placed(partition: &Partition, offset: u64, count: Option<u64>) -> Reply<'static> {
    let number = Reply::Integer(partition.definition.number.into());
    let mut words = vec![number, Reply::Integer(offset as i64)];
    words.extend(count.map(|count| Reply::Integer(count as i64)));
    Reply::Array(words)
}

fn publish(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (name, data, key, to, json, metadata) = (Arg(1), Arg(2), Arg(3), Arg(4), Arg(5), Arg(6));
    let event = NewEvent {
        key: args.opt_bytes(key),
        name: args.bytes(name),
        metadata: args.rest(metadata),
        json: args.flag(json),
        data: args.bytes(data),
    };
    checked(&event)?;
    let partition = chosen(plan, args, (key, to))?;
    let known = (Some(partition), None);
    let offset = append(plan, args.bytes(NAME), known, |time_ms, out| event.write(time_ms, out))?;
    Ok(placed(partition, offset, None))
}

/// Whether a batch, names and data of its events one after the other, can be stored. Every event
/// has a copy of the key, so that a small command may stand for more than fits memory.
fn batch_checked(key: Option<&[u8]>, words: &[&[u8]]) -> Result<(), CommandError> {
    if words.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    let key_bytes = key.map_or(0, <[u8]>::len);
    let mut total = 0usize;
    for pair in words.chunks_exact(2) {
        let bytes = pair[0].len() + pair[1].len() + key_bytes;
        if bytes > EVENT_BYTES_MAX - FRAME_BYTES {
            return Err(TOO_LARGE);
        }
        total = total.saturating_add(bytes + 32);
        if total > VALUE_BYTES_MAX {
            return Err(BATCH_TOO_LARGE);
        }
    }
    Ok(())
}

fn publish_batch(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, to, json, events) = (Arg(1), Arg(2), Arg(3), Arg(4));
    let words = args.rest(events);
    batch_checked(args.opt_bytes(key), words)?;
    let partition = chosen(plan, args, (key, to))?;
    let known = (Some(partition), None);
    let base = append(plan, args.bytes(NAME), known, |time_ms, out| {
        for pair in words.chunks(2) {
            let event = NewEvent {
                key: args.opt_bytes(key),
                name: pair[0],
                metadata: &[],
                json: args.flag(json),
                data: pair[1],
            };
            event.write(time_ms, out);
        }
    })?;
    Ok(placed(partition, base, Some(words.len() as u64 / 2)))
}

fn publish_packed(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, to, codec, unpacked, data) = (Arg(1), Arg(2), Arg(3), Arg(4), Arg(5));
    let bytes = args.bytes(data);
    let packed = packed::checked(args.bytes(codec), args.integer(unpacked), bytes)?;
    let partition = chosen(plan, args, (key, to))?;
    let known = (Some(partition), None);
    let base = append(plan, args.bytes(NAME), known, |time_ms, out| {
        write_packed(packed, time_ms, out);
    })?;
    Ok(placed(partition, base, Some(packed.count)))
}

#[cfg(test)]
mod tests {
    use super::super::event::check_items;
    use super::*;

    #[test]
    fn a_name_of_metadata_has_a_value() {
        let with = |metadata| checked(&NewEvent { metadata, ..NewEvent::default() });
        assert_eq!(with(&[b"a", b"1"]), Ok(()));
        assert_eq!(with(&[b"a", b"1", b"b"]), Err(CommandError::Syntax));
    }

    #[test]
    fn an_event_of_a_batch_is_as_large_as_an_event_may_be() {
        let half = vec![0; EVENT_BYTES_MAX / 2];
        let (quarter, less) = half.split_at(half.len() / 2);
        let less = &less[FRAME_BYTES..];
        assert_eq!(batch_checked(Some(&half), &[quarter, less]), Ok(()));
        assert_eq!(batch_checked(Some(&half), &[quarter, quarter]), Err(TOO_LARGE));
        assert_eq!(batch_checked(Some(&half), &[b"", &half]), Err(TOO_LARGE));
        let event = NewEvent { key: Some(&half), name: quarter, ..NewEvent::default() };
        assert_eq!(checked(&NewEvent { data: less, ..event }), Ok(()));
        assert_eq!(checked(&NewEvent { data: quarter, ..event }), Err(TOO_LARGE));
        let mut out = Vec::new();
        NewEvent { data: less, ..event }.write(1, &mut out);
        assert_eq!(check_items(&out), Some(1), "it can be stored");
    }

    #[test]
    fn the_key_counts_for_each_event_of_a_batch() {
        let key = vec![0; EVENT_BYTES_MAX / 2];
        let words = [&b""[..]; 32];
        assert_eq!(batch_checked(Some(&key), &words[..30]), Ok(()));
        assert_eq!(batch_checked(Some(&key), &words), Err(BATCH_TOO_LARGE));
        assert_eq!(batch_checked(None, &words[..31]), Err(CommandError::Syntax));
    }
}
