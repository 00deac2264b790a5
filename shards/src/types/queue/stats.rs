//! `QLIST`, `QSTATS`: which queues there are, and what is in them.

use super::answer::{number, pair};
use super::create::{NAME, NAME_SPEC};
use super::find;
use super::state::Total;
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::key::Namespace;
use crate::shard::plan::View;

/// `QLIST`.
pub(crate) const QLIST: CommandSpec = CommandSpec {
    id: "queue.list",
    resp: "QLIST",
    family: Family::Queue,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/queue/list", JsonReply::Field("queues"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the names of all queues",
    complexity: "O(N) for N queues",
    run: Run::Read(list),
};

/// `QSTATS`.
pub(crate) const QSTATS: CommandSpec = CommandSpec {
    id: "queue.stats",
    resp: "QSTATS",
    keys: Keys::ONE,
    args: &[NAME_SPEC],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/queue/{name}/stats", JsonReply::Shape("queue_stats"))],
    flags: Flags::FAST,
    summary: "Answers what is in a queue and what it has counted",
    complexity: "O(1)",
    run: Run::Read(stats),
    ..QLIST
};

fn list<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let mut names = Vec::new();
    for shard in view.shards() {
        view.saw_all(shard);
        let keys = shard.named(Namespace::Queue).filter_map(Namespace::split);
        names.extend(keys.map(|(_, name)| Reply::owned(name.to_vec())));
    }
    Ok(Reply::Array(names))
}

fn stats<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let queue = find::get(view, args.bytes(NAME))?;
    let total = |which: Total| number(queue.totals[which as usize]);
    Ok(Reply::Map(vec![
        pair("depth", Reply::count(queue.ready_count())),
        pair("consumers", Reply::count(queue.consumers.len())),
        pair("published", total(Total::Published)),
        pair("consumed", total(Total::Consumed)),
        pair("acked", total(Total::Acked)),
        pair("nacked", total(Total::Nacked)),
        pair("dead_lettered", total(Total::DeadLettered)),
        pair("dlq_count", Reply::count(queue.dead_count())),
        pair("pending", Reply::count(queue.held_count())),
        pair("scheduled", Reply::count(queue.delayed_count())),
        pair("timed_out", total(Total::TimedOut)),
        pair("max_depth", number(queue.settings.max_depth)),
        pair("prefetch_limit", number(queue.settings.prefetch)),
        pair("total_published", total(Total::Published)),
        pair("total_consumed", total(Total::Consumed)),
        pair("total_acked", total(Total::Acked)),
        pair("total_nacked", total(Total::Nacked)),
        pair("created_at", number(queue.created_ms / 1000)),
        pair("memory_bytes", Reply::count(queue.held_bytes())),
    ]))
}
