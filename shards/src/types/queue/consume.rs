//! `QCONSUME`: taking messages, and waiting for them.

use super::create::{NAME, NAME_SPEC};
use super::record::Writer;
use super::state::{Queue, Total};
use super::{answer, find};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys,
    Pause, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

const CONSUMER: Arg = Arg(1);
const COUNT: Arg = Arg(2);
const WAIT: Arg = Arg(3);
const PREFETCH: Arg = Arg(4);

/// Longest time that a consumer may wait, in milliseconds.
const WAIT_MS_MAX: u64 = 30_000;
/// Ready messages that one try looks at beyond those it takes: what has outlived its time and was
/// not removed yet stands before others.
const LOOKS_MAX: usize = 1_000;

pub(super) const CONSUMER_SPEC: ArgSpec =
    ArgSpec::bytes("consumer_id", "who takes them; anonymous unless given")
        .with_token("CONSUMER")
        .optional();
pub(super) const COUNT_SPEC: ArgSpec =
    ArgSpec::integer("count", "how many at most, 1 to 1000; the answer is a list then")
        .with_token("COUNT")
        .optional();

/// The arguments of a command that takes messages.
pub(super) const fn consume_args(name: ArgSpec) -> [ArgSpec; 5] {
    [
        name,
        CONSUMER_SPEC,
        COUNT_SPEC,
        ArgSpec::integer("wait_ms", "wait so long if there is nothing, 30000 at most")
            .with_token("WAIT")
            .optional(),
        ArgSpec::integer("prefetch", "no more than so many that the consumer has not settled")
            .with_token("PREFETCH")
            .optional(),
    ]
}

/// `QCONSUME`.
pub(crate) const QCONSUME: CommandSpec = CommandSpec {
    id: "queue.consume",
    resp: "QCONSUME",
    family: Family::Queue,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &consume_args(NAME_SPEC),
    reply: ReplySpec::Any,
    http: &[HttpRoute::get(
        "/queue/{name}/consume/{consumer_id}",
        JsonReply::Shape("queue_message"),
    )],
    flags: Flags::BLOCKING.and(Flags::WAKES_WHEN_GONE).and(Flags::FAST),
    since: "0.1.0",
    summary: "Takes the next message of a queue, or several; nil if there is none",
    complexity: "O(N) for N messages taken",
    run: Run::Block(consume),
};

/// The same under the short path of HTTP, whose answer has the message decoded.
pub(crate) const QRECEIVE: CommandSpec = CommandSpec {
    id: "queue.receive",
    resp: "QRECEIVE",
    http: &[HttpRoute::get("/queue/consume/{name}", JsonReply::Shape("queue_message_text"))],
    summary: "Takes the next message of a queue as QCONSUME does",
    ..QCONSUME
};

fn wait_ms(args: &Args<'_>) -> Result<u64, CommandError> {
    let ms = u64::try_from(args.opt_integer(WAIT).unwrap_or(0)).ok();
    ms.filter(|ms| *ms <= WAIT_MS_MAX)
        .ok_or(CommandError::Invalid("wait_ms must be between 0 and 30000"))
}

/// How many messages a consumer may have: what it wants itself, and what the queue allows.
fn limit(queue: &Queue, args: &Args<'_>) -> Result<u64, CommandError> {
    let own = match args.opt_integer(PREFETCH).map(u64::try_from) {
        None => u64::MAX,
        Some(Ok(own)) if own > 0 => own,
        Some(_) => return Err(CommandError::Invalid("prefetch must be greater than 0")),
    };
    Ok(match queue.settings.prefetch {
        0 => own,
        limit => own.min(limit),
    })
}

/// Numbers of the messages that a consumer that may have `limit` of them gets now.
fn next(queue: &Queue, consumer: &[u8], limit: u64, count: usize, now_ms: u64) -> Vec<u64> {
    let room = limit.saturating_sub(queue.consumers.holds(consumer));
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let is_alive = |seq: &u64| {
        let expires_ms = queue.message(*seq).map_or(0, |message| message.expires_ms);
        expires_ms == 0 || expires_ms > now_ms
    };
    let wanted = count.min(room);
    let looked_at = queue.ready().take(wanted.saturating_add(LOOKS_MAX));
    find::that_fit(queue, looked_at.filter(is_alive).take(wanted))
}

pub(super) fn consume(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let key = args.bytes(NAME);
    let consumer = find::consumer(args.opt_bytes(CONSUMER))?;
    let count = args.opt_integer(COUNT);
    let (wanted, wait_ms) = (find::count(count, 1)?, wait_ms(args)?);
    let queue = find::get(plan, key)?;
    let now_ms = plan.now().unix_ms;
    let taken = next(queue, consumer, limit(queue, args)?, wanted, now_ms);
    if taken.is_empty() {
        let nothing = if count.is_some() { Reply::Array(Vec::new()) } else { Reply::Nil };
        return Ok(match wait_ms {
            0 => Blocked::Done(nothing),
            wait_ms => Blocked::Wait(Pause::new(wait_ms, nothing)),
        });
    }
    let mut messages: Vec<Reply<'static>> =
        taken.iter().map(|seq| Reply::Map(answer::message(queue, *seq))).collect();
    let mut writer = Writer::default();
    let deadline_ms = now_ms.saturating_add(queue.settings.ack_deadline_ms);
    writer.deliver(consumer, deadline_ms, &taken);
    let consumed = queue.totals[Total::Consumed as usize] + taken.len() as u64;
    writer.total(Total::Consumed, consumed);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Blocked::Done(match (count, messages.pop()) {
        (None, Some(message)) => message,
        (_, last) => {
            messages.extend(last);
            Reply::Array(messages)
        }
    }))
}
