//! `QACK`, `QNACK`, `QRELEASE`, `QEXTEND`: what a consumer says of messages it has. A consumer that
//! is named has to be the one that has them, so that one whose time was over cannot settle what
//! another was given meanwhile.

use super::changes::Changes;
use super::consume::CONSUMER_SPEC;
use super::create::{NAME, NAME_SPEC};
use super::find::{self, MESSAGES_MAX};
use super::record::Writer;
use super::state::{Queue, Reason, Total};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

const CONSUMER: Arg = Arg(1);
/// Longest pause that a consumer may ask for, and longest extension: a day.
const SPAN_MS_MAX: i64 = 24 * 3_600_000;

pub(super) const IDS_SPEC: ArgSpec =
    ArgSpec::bytes("message_id", "messages, 1000 at most").repeated();

/// `QACK`.
pub(crate) const QACK: CommandSpec = CommandSpec {
    id: "queue.ack",
    resp: "QACK",
    family: Family::Queue,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[NAME_SPEC, CONSUMER_SPEC, IDS_SPEC],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/queue/{name}/ack", JsonReply::Shape("queue_settled"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Acknowledges messages, which are done then; answers how many",
    complexity: "O(N) for N messages",
    run: Run::Write(ack),
};

/// `QNACK`.
pub(crate) const QNACK: CommandSpec = CommandSpec {
    id: "queue.nack",
    resp: "QNACK",
    args: &[
        NAME_SPEC,
        CONSUMER_SPEC,
        ArgSpec::bytes("requeue", "true: deliver them again; false: they are dead letters")
            .with_token("REQUEUE")
            .optional(),
        ArgSpec::integer("delay_ms", "not before so many milliseconds")
            .with_token("DELAY")
            .optional(),
        IDS_SPEC,
    ],
    http: &[HttpRoute::post("/queue/{name}/nack", JsonReply::Shape("queue_settled"))],
    flags: Flags::FAST.and(Flags::RANDOM),
    summary: "Gives messages back, to be delivered again or not; answers how many",
    run: Run::Write(nack),
    ..QACK
};

/// `QRELEASE`.
pub(crate) const QRELEASE: CommandSpec = CommandSpec {
    id: "queue.release",
    resp: "QRELEASE",
    http: &[HttpRoute::post("/queue/{name}/release", JsonReply::Shape("queue_settled"))],
    flags: Flags::FAST.and(Flags::RANDOM),
    summary: "Gives messages back that were not worked on: no failure, no pause; answers how many",
    run: Run::Write(release),
    ..QACK
};

/// `QEXTEND`.
pub(crate) const QEXTEND: CommandSpec = CommandSpec {
    id: "queue.extend",
    resp: "QEXTEND",
    args: &[
        NAME_SPEC,
        ArgSpec::integer("extend_ms", "milliseconds from now"),
        CONSUMER_SPEC,
        IDS_SPEC,
    ],
    http: &[HttpRoute::post("/queue/{name}/extend", JsonReply::Shape("queue_settled"))],
    summary: "Gives a consumer so much time from now for messages it has; answers how many",
    run: Run::Write(extend),
    ..QACK
};

/// Numbers of the named messages that are with a consumer, each once; not none.
fn held(queue: &Queue, names: &[&[u8]], consumer: Option<&[u8]>) -> Result<Vec<u64>, CommandError> {
    if names.len() > MESSAGES_MAX {
        return Err(CommandError::Invalid("a command names 1000 messages at most"));
    }
    let found = names.iter().filter_map(|name| find::held(queue, name, consumer));
    let mut seqs: Vec<u64> = found.collect();
    if names.len() > 1 {
        let mut seen = std::collections::BTreeSet::new();
        seqs.retain(|seq| seen.insert(*seq));
    }
    if seqs.is_empty() { Err(find::NO_MESSAGE) } else { Ok(seqs) }
}

pub(super) fn ack(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const IDS: Arg = Arg(2);
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let seqs = held(queue, args.rest(IDS), args.opt_bytes(CONSUMER))?;
    let mut writer = Writer::default();
    writer.gone(&seqs);
    writer.total(Total::Acked, queue.totals[Total::Acked as usize] + seqs.len() as u64);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::count(seqs.len()))
}

fn span(given: Option<i64>, least: i64) -> Result<Option<u64>, CommandError> {
    match given {
        None => Ok(None),
        Some(ms) if (least..=SPAN_MS_MAX).contains(&ms) => Ok(Some(ms.unsigned_abs())),
        Some(_) => Err(CommandError::Invalid("a span of time is 86400000 milliseconds at most")),
    }
}

fn nack(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const REQUEUE: Arg = Arg(2);
    const DELAY: Arg = Arg(3);
    const IDS: Arg = Arg(4);
    let key = args.bytes(NAME);
    let requeue = find::truth(args.opt_bytes(REQUEUE))?;
    let delay_ms = span(args.opt_integer(DELAY), 0)?;
    let queue = find::get(plan, key)?;
    let seqs = held(queue, args.rest(IDS), args.opt_bytes(CONSUMER))?;
    let mut changes = Changes::new(queue, plan.now().unix_ms, plan.rng());
    for seq in &seqs {
        changes.count(Total::Nacked);
        if requeue {
            changes.fail(*seq, delay_ms);
        } else {
            changes.die(*seq, queue.failures(*seq), Reason::Rejected);
        }
    }
    let mut writer = Writer::default();
    changes.write(&mut writer);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::count(seqs.len()))
}

fn release(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const IDS: Arg = Arg(2);
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let seqs = held(queue, args.rest(IDS), args.opt_bytes(CONSUMER))?;
    let mut changes = Changes::new(queue, plan.now().unix_ms, plan.rng());
    seqs.iter().for_each(|seq| changes.ready(*seq));
    let mut writer = Writer::default();
    changes.write(&mut writer);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::count(seqs.len()))
}

fn extend(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const SPAN: Arg = Arg(1);
    const CONSUMER: Arg = Arg(2);
    const IDS: Arg = Arg(3);
    let key = args.bytes(NAME);
    let span_ms = span(Some(args.integer(SPAN)), 1)?.unwrap_or(0);
    let queue = find::get(plan, key)?;
    let seqs = held(queue, args.rest(IDS), args.opt_bytes(CONSUMER))?;
    let deadline_ms = plan.now().unix_ms + span_ms;
    let mut writer = Writer::default();
    seqs.iter().for_each(|seq| writer.extend(*seq, deadline_ms));
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::count(seqs.len()))
}
