//! `QSCHEDULED`, `QCANCEL`: messages that are not to be delivered yet.

use super::answer::{self, number, pair};
use super::create::{NAME, NAME_SPEC};
use super::dead::{LIMIT_SPEC, LISTED, OFFSET_SPEC};
use super::find;
use super::record::Writer;
use super::settle::IDS_SPEC;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

/// `QSCHEDULED`.
pub(crate) const LIST: CommandSpec = CommandSpec {
    id: "queue.scheduled",
    resp: "QSCHEDULED",
    family: Family::Queue,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[NAME_SPEC, OFFSET_SPEC, LIMIT_SPEC],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/queue/{name}/scheduled", JsonReply::Shape("queue_messages"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers messages that are due later, the next first, and how many there are",
    complexity: "O(N) for N messages passed over and answered",
    run: Run::Read(list),
};

/// `QCANCEL`.
pub(crate) const QCANCEL: CommandSpec = CommandSpec {
    id: "queue.cancel",
    resp: "QCANCEL",
    access: Access::Write,
    args: &[NAME_SPEC, IDS_SPEC],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/queue/{name}/cancel", JsonReply::Shape("queue_cancelled"))],
    flags: Flags::FAST,
    summary: "Removes messages that are due later; answers how many",
    complexity: "O(N) for N messages",
    run: Run::Write(cancel),
    ..LIST
};

fn list<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let queue = find::get(view, args.bytes(NAME))?;
    let offset = find::offset(args.opt_integer(Arg(1)))?;
    let limit = find::count(args.opt_integer(Arg(2)), LISTED)?;
    let listed = queue.delayed().skip(offset).take(limit).map(|(_, seq)| seq);
    let messages = find::that_fit(queue, listed).into_iter().map(|seq| {
        let mut pairs = answer::message(queue, seq);
        pairs.push(pair("due_at_ms", number(queue.due(seq).unwrap_or_default())));
        pairs
    });
    Ok(answer::listed(messages.collect(), queue.delayed_count()))
}

fn cancel(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let named = args.rest(Arg(1)).iter().filter_map(|name| find::seq_of(queue, name));
    let mut seen = std::collections::BTreeSet::new();
    let seqs: Vec<u64> =
        named.filter(|seq| queue.due(*seq).is_some() && seen.insert(*seq)).collect();
    if seqs.is_empty() {
        return Err(find::NO_MESSAGE);
    }
    let mut writer = Writer::default();
    writer.gone(&seqs);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::count(seqs.len()))
}
