//! Making and deleting topics and rooms.

use super::definition::{Definition, Retention};
use super::find::{self, ROOM, TOPIC};
use super::names::{partition_key, split_key};
use super::record::Writer;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::key::Namespace;
use crate::limits::PARTITIONS_MAX;
use crate::shard::ValueType;
use crate::shard::plan::Plan;

pub(super) const ROOM_NAME: ArgSpec =
    ArgSpec::name("room", Namespace::Partition, "the name of the room");
pub(crate) const TOPIC_NAME: ArgSpec =
    ArgSpec::name("topic", Namespace::Partition, "the name of the topic");

const MAX_EVENTS: ArgSpec = ArgSpec::integer("max_events", "how many of the newest events stay")
    .with_token("MAXEVENTS")
    .optional();
const MAX_BYTES: ArgSpec = ArgSpec::integer("max_bytes", "bytes of the newest events that stay")
    .with_token("MAXBYTES")
    .optional();
const RETENTION: ArgSpec = ArgSpec::integer("retention_secs", "seconds that events stay")
    .with_token("RETENTION")
    .optional();

const ROOM_ARGS: &[ArgSpec] = &[ROOM_NAME, MAX_EVENTS, RETENTION];
const ROOM_EVENTS_ARG: Arg = Arg(1);
const ROOM_TIME: Arg = Arg(2);

const NAME: Arg = Arg(0);
const PARTITIONS: Arg = Arg(1);
const REPLICATION: Arg = Arg(2);
const SEGMENT: Arg = Arg(3);
const EVENTS: Arg = Arg(4);
const BYTES: Arg = Arg(5);
const TIME: Arg = Arg(6);
const FOREVER: Arg = Arg(7);

/// `SCREATE`.
pub(super) const SCREATE: CommandSpec = CommandSpec {
    id: "stream.create",
    resp: "SCREATE",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: ROOM_ARGS,
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/stream/{room}", JsonReply::Shape("room_done"))],
    flags: Flags::DENY_OOM.and(Flags::FAST).and(Flags::RANDOM),
    since: "0.2.0",
    summary: "Makes a room, a stream that keeps its newest events; an error if it exists",
    complexity: "O(1)",
    run: Run::Write(create_room),
};

/// `SGETORCREATE`.
pub(super) const SGETORCREATE: CommandSpec = CommandSpec {
    id: "stream.get_or_create",
    resp: "SGETORCREATE",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::put("/stream/{room}", JsonReply::Shape("room_ensured"))],
    summary: "Makes a room if there is none of this name; 1 if it was made",
    run: Run::Write(ensure_room),
    ..SCREATE
};

/// `SDELETE`.
pub(super) const SDELETE: CommandSpec = CommandSpec {
    id: "stream.delete",
    resp: "SDELETE",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ROOM_NAME],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::delete("/stream/{room}", JsonReply::Shape("room_done"))],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Deletes a room with its events; an error if there is none",
    complexity: "O(1); memory is given back later",
    run: Run::Write(delete_room),
};

/// `TCREATE`.
pub(super) const TCREATE: CommandSpec = CommandSpec {
    id: "topic.create",
    resp: "TCREATE",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[
        TOPIC_NAME,
        ArgSpec::integer("num_partitions", "how many partitions it has")
            .with_token("PARTITIONS")
            .optional(),
        ArgSpec::integer("replication_factor", "kept and shown, nothing more")
            .with_token("REPLICATION")
            .optional(),
        ArgSpec::integer("segment_bytes", "kept and shown, nothing more")
            .with_token("SEGMENT")
            .optional(),
        MAX_EVENTS,
        MAX_BYTES,
        RETENTION,
        ArgSpec::flag("forever", "FOREVER", "events stay until the topic is deleted"),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/topics/{topic}", JsonReply::Shape("topic_created"))],
    flags: Flags::DENY_OOM.and(Flags::RANDOM).and(Flags::EVERYWHERE),
    since: "0.2.0",
    summary: "Makes a topic; answers its numbers of partitions and replicas",
    complexity: "O(N) for N partitions",
    run: Run::Write(create_topic),
};

/// `TDELETE`.
pub(super) const TDELETE: CommandSpec = CommandSpec {
    id: "topic.delete",
    resp: "TDELETE",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[TOPIC_NAME],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::delete("/topics/{topic}", JsonReply::Shape("topic_deleted"))],
    flags: Flags::EVERYWHERE,
    since: "0.2.0",
    summary: "Deletes a topic with its events; an error if there is none",
    complexity: "O(N) for N partitions; memory is given back later",
    run: Run::Write(delete_topic),
};

/// A number of at least one.
fn positive(number: i64, refusal: &'static str) -> Result<u64, CommandError> {
    let number = u64::try_from(number).ok().filter(|number| *number > 0);
    number.ok_or(CommandError::Invalid(refusal))
}

fn limit(args: &Args<'_>, arg: Arg, refusal: &'static str) -> Result<Option<u64>, CommandError> {
    args.opt_integer(arg).map(|number| positive(number, refusal)).transpose()
}

fn milliseconds(seconds: u64) -> Result<u64, CommandError> {
    // Times have 48 bits.
    let most = (1 << 47) / 1000;
    let fits = Some(seconds).filter(|seconds| *seconds <= most);
    fits.map(|seconds| seconds * 1000).ok_or(CommandError::Invalid("retention_secs is too great"))
}

const NO_EVENTS: &str = "max_events must be greater than 0";
const NO_BYTES: &str = "max_bytes must be greater than 0";
const NO_TIME: &str = "retention_secs must be greater than 0";

/// What the room of a key is made as.
pub(super) fn room_definition(
    plan: &Plan<'_>,
    key: &[u8],
    max_events: Option<u64>,
    time_ms: Option<u64>,
) -> Result<Definition, CommandError> {
    let defaults = plan.thresholds(key).defaults;
    defaults.admit_room()?;
    let default_ms = u64::from(defaults.room_secs) * 1000;
    Ok(Definition {
        room: true,
        number: 0,
        partitions: 1,
        incarnation: plan.draw(),
        created_ms: plan.now().unix_ms,
        replication_factor: 1,
        segment_bytes: defaults.segment_bytes,
        retention: Retention {
            time_ms: Some(time_ms.unwrap_or(default_ms)),
            bytes: None,
            messages: Some(max_events.unwrap_or(defaults.room_events)),
        },
    })
}

fn make_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let max_events = limit(args, ROOM_EVENTS_ARG, NO_EVENTS)?;
    let time_ms = limit(args, ROOM_TIME, NO_TIME)?.map(milliseconds).transpose()?;
    let (key, mut writer) = (args.bytes(NAME), Writer::default());
    writer.definition(&room_definition(plan, key, max_events, time_ms)?);
    plan.edit(key, ValueType::Partition, &writer.out)
}

fn create_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    refuse_existing(plan, args.bytes(NAME), true)?;
    make_room(plan, args)?;
    Ok(Reply::Ok)
}

fn ensure_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    if find::partition(plan, key)?.is_some_and(|found| found.definition.room) {
        return Ok(Reply::Integer(0));
    }
    refuse_existing(plan, key, true)?;
    make_room(plan, args)?;
    Ok(Reply::Integer(1))
}

/// Rooms and topics share their names.
fn refuse_existing(plan: &Plan<'_>, key: &[u8], room: bool) -> Result<(), CommandError> {
    let Some(found) = find::partition(plan, key)? else { return Ok(()) };
    let what = match (found.definition.room, room) {
        (true, true) => ROOM,
        (false, false) => TOPIC,
        (true, false) => "Room of this name",
        (false, true) => "Topic of this name",
    };
    Err(CommandError::exists(what, split_key(key).0))
}

fn delete_room(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    find::room(plan, key)?;
    plan.delete(key);
    Ok(Reply::Ok)
}

fn retention(args: &Args<'_>, default: Retention) -> Result<Retention, CommandError> {
    let retention = Retention {
        time_ms: limit(args, TIME, NO_TIME)?.map(milliseconds).transpose()?,
        bytes: limit(args, BYTES, NO_BYTES)?,
        messages: limit(args, EVENTS, NO_EVENTS)?,
    };
    match (args.flag(FOREVER), retention == Retention::default()) {
        (true, false) => Err(CommandError::Syntax),
        (true, true) => Ok(retention),
        (false, true) => Ok(default),
        (false, false) => Ok(retention),
    }
}

fn create_topic(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const PARTITIONS_REFUSAL: CommandError =
        CommandError::Invalid("num_partitions must be from 1 to 1024");
    const REPLICATION_REFUSAL: CommandError =
        CommandError::Invalid("replication_factor must be from 1 to 65535");
    let key = args.bytes(NAME);
    let defaults = plan.thresholds(key).defaults;
    let (partitions, replicas) =
        (i64::from(defaults.partitions), i64::from(defaults.replication_factor));
    let partitions = args.opt_integer(PARTITIONS).unwrap_or(partitions);
    let partitions = u16::try_from(partitions).ok().filter(|n| (1..=PARTITIONS_MAX).contains(n));
    let partitions = partitions.ok_or(PARTITIONS_REFUSAL)?;
    let replicas = u16::try_from(args.opt_integer(REPLICATION).unwrap_or(replicas));
    let replication_factor = replicas.ok().filter(|n| *n > 0).ok_or(REPLICATION_REFUSAL)?;
    let segment = match args.opt_integer(SEGMENT) {
        None => defaults.segment_bytes,
        Some(bytes) => positive(bytes, "segment_bytes must be greater than 0")?,
    };
    let mut definition = Definition {
        room: false,
        number: 0,
        partitions,
        incarnation: plan.draw(),
        created_ms: plan.now().unix_ms,
        replication_factor,
        segment_bytes: segment,
        retention: retention(args, defaults.retention)?,
    };
    refuse_existing(plan, key, false)?;
    let name = split_key(key).0.to_vec();
    for number in 0..partitions {
        definition.number = number;
        let mut writer = Writer::default();
        writer.definition(&definition);
        plan.edit(&partition_key(&name, number), ValueType::Partition, &writer.out)?;
    }
    Ok(Reply::Array(vec![
        Reply::Integer(partitions.into()),
        Reply::Integer(replication_factor.into()),
    ]))
}

fn delete_topic(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    let partitions = find::topic(plan, key)?.definition.partitions;
    let name = split_key(key).0.to_vec();
    for number in 0..partitions {
        plan.delete(&partition_key(&name, number));
    }
    Ok(Reply::Ok)
}
