//! Making and deleting groups, and what there is to know of them.

use super::assign::Strategy;
use super::find::{self, name_of};
use super::record::Writer;
use super::state::{Group, Terms};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
};
use crate::key::Namespace;
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};
use crate::types::topic;
use crate::types::topic::names::{partition_key, split_key};

pub(super) const GROUP_NAME: ArgSpec =
    ArgSpec::name("group", Namespace::Group, "the name of the group");

pub(super) const NAME: Arg = Arg(0);
const SESSION_SECS_MAX: u64 = 86_400;

pub(super) const SESSION: ArgSpec = ArgSpec::integer(
    "session_timeout_secs",
    "seconds without a heartbeat after which a member is out",
)
.with_token("SESSION")
.optional();

/// `GCREATE`.
pub(super) const GCREATE: CommandSpec = CommandSpec {
    id: "group.create",
    resp: "GCREATE",
    family: Family::Group,
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        GROUP_NAME,
        topic::TOPIC_NAME,
        ArgSpec::integer("partition_count", "has to be that of the topic, if it is given")
            .with_token("PARTITIONS")
            .optional(),
        ArgSpec::bytes("strategy", "round_robin, range or sticky")
            .with_token("STRATEGY")
            .optional(),
        SESSION,
    ],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/consumer-groups/{group}", JsonReply::Shape("group_created"))],
    flags: Flags::DENY_OOM,
    since: "0.2.0",
    summary: "Makes a consumer group of a topic",
    complexity: "O(1)",
    run: Run::Write(create),
};

/// `GDELETE`.
pub(super) const GDELETE: CommandSpec = CommandSpec {
    id: "group.delete",
    resp: "GDELETE",
    family: Family::Group,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[GROUP_NAME],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::delete("/consumer-groups/{group}", JsonReply::Shape("group_deleted"))],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Deletes a consumer group with what it has committed",
    complexity: "O(1)",
    run: Run::Write(delete),
};

/// `GLIST`.
pub(super) const GLIST: CommandSpec = CommandSpec {
    id: "group.list",
    resp: "GLIST",
    family: Family::Group,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/consumer-groups", JsonReply::Shape("group_list"))],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "The names of all consumer groups",
    complexity: "O(N) for N groups",
    run: Run::Read(list),
};

/// `GSTATS`.
pub(super) const GSTATS: CommandSpec = CommandSpec {
    id: "group.stats",
    resp: "GSTATS",
    family: Family::Group,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[GROUP_NAME],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/consumer-groups/{group}/stats", JsonReply::Bare)],
    flags: Flags::EVERYWHERE,
    since: "0.2.0",
    summary: "Figures of a consumer group: its state, and how far it is behind in each partition",
    complexity: "O(N) for N partitions",
    run: Run::Read(stats),
};

/// Milliseconds of a session of so many seconds.
pub(super) fn session_ms(seconds: i64) -> Result<u64, CommandError> {
    let seconds = u64::try_from(seconds).ok();
    let seconds = seconds.filter(|seconds| (1..=SESSION_SECS_MAX).contains(seconds));
    let refusal = CommandError::Invalid("session_timeout_secs must be from 1 to 86400");
    seconds.map(|seconds| seconds * 1000).ok_or(refusal)
}

fn create(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (topic_key, count, strategy, session) = (Arg(1), Arg(2), Arg(3), Arg(4));
    let (key, topic_key) = (args.bytes(NAME), args.bytes(topic_key));
    let defaults = plan.thresholds(key).defaults;
    let strategy = match args.opt_bytes(strategy) {
        None => defaults.strategy,
        Some(word) => Strategy::named(word)
            .ok_or(CommandError::Invalid("the strategy must be round_robin, range or sticky"))?,
    };
    let session_ms = match args.opt_integer(session) {
        None => defaults.session_ms.into(),
        Some(seconds) => session_ms(seconds)?,
    };
    let definition = topic::existing(plan, topic_key)?.definition;
    let other = |count: &i64| *count != i64::from(definition.partitions);
    if args.opt_integer(count).filter(other).is_some() {
        return Err(CommandError::Invalid("partition_count is not that of the topic"));
    }
    if find::group(plan, key)?.is_some() {
        return Err(find::exists(key));
    }
    let mut writer = Writer::default();
    writer.terms(&Terms {
        topic: split_key(topic_key).0.into(),
        incarnation: definition.incarnation,
        partitions: definition.partitions,
        strategy,
        session_ms,
        created_ms: plan.now().unix_ms,
    });
    plan.edit(key, ValueType::Group, &writer.out)?;
    Ok(Reply::Ok)
}

fn delete(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    find::existing(plan, key)?;
    plan.delete(key);
    Ok(Reply::Ok)
}

fn list<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let mut names = Vec::new();
    for shard in view.shards() {
        view.saw_all(shard);
        let keys = shard.named(Namespace::Group);
        names.extend(keys.map(|key| Reply::owned(name_of(key).to_vec())));
    }
    Ok(Reply::Array(names))
}

fn number(value: u64) -> Reply<'static> {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn named(fields: Vec<(&'static str, Reply<'static>)>) -> Reply<'static> {
    let fields = fields.into_iter();
    Reply::Map(fields.map(|(name, value)| (Reply::string(name), value)).collect())
}

fn stats<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let key = args.bytes(NAME);
    let group = find::existing(view, key)?;
    let now_ms = view.now().unix_ms;
    let alive = group.members().values().filter(|member| member.deadline_ms > now_ms).count();
    let state = if alive == 0 { "Empty" } else { "Stable" };
    let (partitions, lag) = lags(view, group)?;
    Ok(named(vec![
        ("group_id", Reply::owned(name_of(key).to_vec())),
        ("topic", Reply::owned(group.terms.topic.to_vec())),
        ("state", Reply::string(state)),
        ("strategy", Reply::string(group.terms.strategy.name())),
        ("member_count", Reply::count(alive)),
        ("generation", number(group.generation)),
        ("partition_count", Reply::Integer(group.terms.partitions.into())),
        ("committed_partitions", Reply::count(group.commits().len())),
        ("session_timeout_secs", number(group.terms.session_ms / 1000)),
        ("created_at", number(group.terms.created_ms / 1000)),
        // Seconds since then, as other servers answer it.
        (
            "last_rebalance_secs",
            match group.rebalanced_ms {
                0 => Reply::Nil,
                at_ms => number(now_ms.saturating_sub(at_ms) / 1000),
            },
        ),
        ("total_lag", number(lag)),
        ("partitions", Reply::Array(partitions)),
    ]))
}

/// How far a group is behind in each partition, and together. Of what it has committed nothing of,
/// all that is there is to be read.
fn lags(view: &View<'_>, group: &Group) -> Result<(Vec<Reply<'static>>, u64), CommandError> {
    let (mut all, mut total) = (Vec::new(), 0);
    for index in 0..group.terms.partitions {
        let partition = topic::partition(view, &partition_key(&group.terms.topic, index))?;
        let is_it =
            |found: &&topic::Partition| found.definition.incarnation == group.terms.incarnation;
        let Some(partition) = partition.filter(is_it) else { continue };
        let commit = group.commits().get(&index);
        let from = commit.map_or_else(|| partition.start(), |commit| commit.offset);
        let lag = partition.next().saturating_sub(from.max(partition.start()));
        total += lag;
        let owner = group.owners().get(&index);
        all.push(named(vec![
            ("partition_id", Reply::Integer(index.into())),
            ("committed_offset", commit.map_or(Reply::Nil, |commit| number(commit.offset))),
            ("end_offset", number(partition.next())),
            ("lag", number(lag)),
            ("member_id", owner.map_or(Reply::Nil, |id| Reply::owned(id.to_vec()))),
        ]));
    }
    Ok((all, total))
}
