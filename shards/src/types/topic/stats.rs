//! What there is: names of rooms and topics, and figures of them.

use super::find;
use super::make::{ROOM_NAME, TOPIC_NAME};
use super::names::{partition_key, split_key};
use super::partition::Partition;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::key::Namespace;
use crate::shard::plan::View;

const NAME: Arg = Arg(0);

/// `SLIST`.
pub(super) const SLIST: CommandSpec = CommandSpec {
    id: "stream.list",
    resp: "SLIST",
    family: Family::Topic,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/stream/list", JsonReply::Shape("room_list"))],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "The names of all rooms",
    complexity: "O(N) for N rooms and partitions",
    run: Run::Read(list_rooms),
};

/// `TLIST`.
pub(super) const TLIST: CommandSpec = CommandSpec {
    id: "topic.list",
    resp: "TLIST",
    http: &[HttpRoute::get("/topics", JsonReply::Shape("topic_list"))],
    summary: "The names of all topics",
    run: Run::Read(list_topics),
    ..SLIST
};

/// `SSTATS`.
pub(super) const SSTATS: CommandSpec = CommandSpec {
    id: "stream.stats",
    resp: "SSTATS",
    family: Family::Topic,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ROOM_NAME],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/stream/{room}/stats", JsonReply::Bare)],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Figures of a room",
    complexity: "O(1)",
    run: Run::Read(room_stats),
};

/// `TSTATS`.
pub(super) const TSTATS: CommandSpec = CommandSpec {
    id: "topic.stats",
    resp: "TSTATS",
    family: Family::Topic,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[TOPIC_NAME],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/topics/{topic}/stats", JsonReply::Bare)],
    flags: Flags::EVERYWHERE,
    since: "0.2.0",
    summary: "Figures of a topic and of each of its partitions",
    complexity: "O(N) for N partitions",
    run: Run::Read(topic_stats),
};

fn names(view: &View<'_>, rooms: bool) -> Result<Reply<'static>, CommandError> {
    let mut names = Vec::new();
    for shard in view.shards() {
        view.saw_all(shard);
        for key in shard.named(Namespace::Partition) {
            let (name, number) = split_key(key);
            let is_wanted = |found: &&Partition| number == 0 && found.definition.room == rooms;
            if find::partition(view, key)?.filter(is_wanted).is_some() {
                names.push(Reply::owned(name.to_vec()));
            }
        }
    }
    Ok(Reply::Array(names))
}

fn list_rooms<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    names(view, true)
}

fn list_topics<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    names(view, false)
}

fn named(fields: Vec<(&'static str, Reply<'static>)>) -> Reply<'static> {
    let fields = fields.into_iter();
    Reply::Map(fields.map(|(name, value)| (Reply::string(name), value)).collect())
}

fn number(value: u64) -> Reply<'static> {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The last offset that was given; zero before the first.
fn max_offset(partition: &Partition) -> Reply<'static> {
    number(partition.next().saturating_sub(1))
}

fn room_stats<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let key = args.bytes(NAME);
    let room = find::room(view, key)?;
    let name = || Reply::owned(split_key(key).0.to_vec());
    let readers = room.readers().borrow();
    let subscribers = || Reply::count(readers.len());
    let created_ms = room.definition.created_ms;
    let active_ms = room.last_ms().max(readers.last_ms).max(created_ms);
    Ok(named(vec![
        ("name", name()),
        ("room", name()),
        ("message_count", Reply::count(room.len())),
        ("total_events", Reply::count(room.len())),
        ("min_offset", number(room.start())),
        ("max_offset", max_offset(room)),
        ("next_offset", number(room.next())),
        ("subscriber_count", subscribers()),
        ("subscribers", subscribers()),
        ("total_published", number(room.next())),
        ("total_consumed", number(readers.consumed)),
        ("dropped", number(room.start())),
        ("total_bytes", number(room.event_bytes())),
        ("created_at", number(created_ms / 1000)),
        ("last_activity", number(active_ms / 1000)),
        ("generation", number(created_ms)),
    ]))
}

fn topic_stats<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let key = args.bytes(NAME);
    let first = find::topic(view, key)?.definition;
    let topic = split_key(key).0;
    let name = || Reply::owned(topic.to_vec());
    let mut partitions = Vec::with_capacity(first.partitions.into());
    for index in 0..first.partitions {
        let partition = find::existing(view, &partition_key(topic, index))?;
        partitions.push(named(vec![
            ("partition_id", Reply::Integer(index.into())),
            ("topic", name()),
            ("message_count", Reply::count(partition.len())),
            ("total_bytes", number(partition.event_bytes())),
            ("min_offset", number(partition.start())),
            ("max_offset", max_offset(partition)),
            ("next_offset", number(partition.next())),
            ("last_compaction", Reply::Nil),
        ]));
    }
    let retention = first.retention;
    let limit = |limit: Option<u64>| limit.map_or(Reply::Nil, number);
    Ok(named(vec![
        ("topic", name()),
        ("num_partitions", Reply::Integer(first.partitions.into())),
        ("replication_factor", Reply::Integer(first.replication_factor.into())),
        ("segment_bytes", number(first.segment_bytes)),
        ("retention_secs", limit(retention.time_ms.map(|time_ms| time_ms / 1000))),
        ("max_bytes", limit(retention.bytes)),
        ("max_messages", limit(retention.messages)),
        ("created_at", number(first.created_ms / 1000)),
        ("partitions", Reply::Array(partitions)),
    ]))
}
