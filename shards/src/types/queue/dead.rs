//! `QDLQ`: looking at dead letters, taking them, making them messages again.

use super::answer::{self, Pair, number, pair};
use super::consume::{CONSUMER_SPEC, COUNT_SPEC};
use super::create::{NAME, NAME_SPEC};
use super::find;
use super::record::Writer;
use super::settle::IDS_SPEC;
use super::state::Queue;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

/// Dead letters that one command removes or revives, so that it holds nobody up.
const CHANGED_MAX: usize = 10_000;
/// Dead letters listed unless asked for more.
pub(super) const LISTED: usize = 100;

pub(super) const OFFSET_SPEC: ArgSpec =
    ArgSpec::integer("offset", "how many to pass over").with_token("OFFSET").optional();
pub(super) const LIMIT_SPEC: ArgSpec =
    ArgSpec::integer("limit", "how many at most, 100 unless given").with_token("COUNT").optional();

/// `QDLQ LIST`.
pub(crate) const LIST: CommandSpec = CommandSpec {
    id: "queue.dlq.list",
    resp: "QDLQ LIST",
    family: Family::Queue,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[NAME_SPEC, OFFSET_SPEC, LIMIT_SPEC],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/queue/{name}/dlq", JsonReply::Shape("queue_messages"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers dead letters of a queue, the oldest first, and how many there are",
    complexity: "O(N) for N dead letters passed over and answered",
    run: Run::Read(list),
};

/// `QDLQ CONSUME`.
pub(crate) const CONSUME: CommandSpec = CommandSpec {
    id: "queue.dlq.consume",
    resp: "QDLQ CONSUME",
    access: Access::Write,
    args: &[NAME_SPEC, CONSUMER_SPEC, COUNT_SPEC],
    reply: ReplySpec::Any,
    http: &[HttpRoute::post("/queue/{name}/dlq/consume", JsonReply::Shape("queue_message"))],
    summary: "Removes the oldest dead letter of a queue, or several, and answers it",
    complexity: "O(N) for N dead letters",
    run: Run::Write(consume),
    ..LIST
};

/// `QDLQ REQUEUE`.
pub(crate) const REQUEUE: CommandSpec = CommandSpec {
    id: "queue.dlq.requeue",
    resp: "QDLQ REQUEUE",
    access: Access::Write,
    args: &[NAME_SPEC, IDS_SPEC.optional()],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/queue/{name}/dlq/requeue", JsonReply::Shape("queue_requeued"))],
    summary: "Makes dead letters messages again, all or those named; answers how many",
    complexity: "O(N) for N dead letters",
    run: Run::Write(requeue),
    ..LIST
};

/// `QDLQ PURGE`.
pub(crate) const PURGE: CommandSpec = CommandSpec {
    id: "queue.dlq.purge",
    resp: "QDLQ PURGE",
    access: Access::Write,
    args: &[NAME_SPEC],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/queue/{name}/dlq/purge", JsonReply::Shape("queue_dlq_purged"))],
    summary: "Removes dead letters, 10000 at most; answers how many",
    complexity: "O(N) for N dead letters",
    run: Run::Write(purge),
    ..LIST
};

fn letter(queue: &Queue, seq: u64) -> Vec<Pair> {
    let mut pairs = answer::message(queue, seq);
    if let Some(dead) = queue.dead(seq) {
        pairs.push(pair("reason", Reply::string(dead.reason.name())));
        pairs.push(pair("dead_at", number(dead.at_ms / 1000)));
    }
    pairs
}

fn list<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let queue = find::get(view, args.bytes(NAME))?;
    let offset = find::offset(args.opt_integer(Arg(1)))?;
    let limit = find::count(args.opt_integer(Arg(2)), LISTED)?;
    let listed = queue.dead_letters().skip(offset).take(limit).map(|(_, seq)| seq);
    let seqs = find::that_fit(queue, listed);
    let letters = seqs.into_iter().map(|seq| letter(queue, seq)).collect();
    Ok(answer::listed(letters, queue.dead_count()))
}

fn consume(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    find::consumer(args.opt_bytes(Arg(1)))?;
    let (key, count) = (args.bytes(NAME), args.opt_integer(Arg(2)));
    let wanted = find::count(count, 1)?;
    let queue = find::get(plan, key)?;
    let letters = queue.dead_letters().take(wanted).map(|(_, seq)| seq);
    let seqs = find::that_fit(queue, letters);
    let mut letters: Vec<Reply<'static>> =
        seqs.iter().map(|seq| Reply::Map(letter(queue, *seq))).collect();
    if !seqs.is_empty() {
        let mut writer = Writer::default();
        writer.gone(&seqs);
        plan.edit(key, ValueType::Queue, &writer.out)?;
    }
    Ok(match count {
        None => letters.pop().unwrap_or(Reply::Nil),
        Some(_) => Reply::Array(letters),
    })
}

fn requeue(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, names) = (args.bytes(NAME), args.rest(Arg(1)));
    let queue = find::get(plan, key)?;
    let seqs: Vec<u64> = if names.is_empty() {
        queue.dead_letters().take(CHANGED_MAX).map(|(_, seq)| seq).collect()
    } else {
        let named = names.iter().filter_map(|name| find::seq_of(queue, name));
        let mut seen = std::collections::BTreeSet::new();
        named.filter(|seq| queue.dead(*seq).is_some() && seen.insert(*seq)).collect()
    };
    if !seqs.is_empty() {
        let mut writer = Writer::default();
        writer.revive(&seqs);
        plan.edit(key, ValueType::Queue, &writer.out)?;
    }
    Ok(Reply::count(seqs.len()))
}

fn purge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let seqs: Vec<u64> = queue.dead_letters().take(CHANGED_MAX).map(|(_, seq)| seq).collect();
    if !seqs.is_empty() {
        let mut writer = Writer::default();
        writer.gone(&seqs);
        plan.edit(key, ValueType::Queue, &writer.out)?;
    }
    Ok(Reply::count(seqs.len()))
}
