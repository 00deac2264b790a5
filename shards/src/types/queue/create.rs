//! `QCREATE`: making a queue, and setting one that is there.

use super::id::INCARNATION_BITS;
use super::record::Writer;
use super::settings::{Backoff, Settings};
use super::{dss, find};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::key::Namespace;
use crate::shard::ValueType;
use crate::shard::plan::Plan;

/// The name of a queue, the first argument of every command on one.
pub(super) const NAME_SPEC: ArgSpec = ArgSpec::name("name", Namespace::Queue, "the queue");
pub(super) const NAME: Arg = Arg(0);

const MAX_DEPTH: Arg = Arg(1);
const DEADLINE: Arg = Arg(2);
const RETRIES: Arg = Arg(3);
const PRIORITY: Arg = Arg(4);
const PREFETCH: Arg = Arg(5);
const TTL: Arg = Arg(6);
const DEAD_MAX: Arg = Arg(7);
const DEAD_RETENTION: Arg = Arg(8);
const DEDUP: Arg = Arg(9);
const BACKOFF: Arg = Arg(10);
const BACKOFF_MS: Arg = Arg(11);

/// Longest span of time that a setting takes, in seconds: ten years.
const SECS_MAX: i64 = 315_360_000;
/// Names that routes of HTTP need for themselves.
const RESERVED: [&[u8]; 3] = [b"publish", b"consume", b"list"];

const BACKOFFS: &[ArgSpec] = &[
    ArgSpec::flag("none", "NONE", "at once"),
    ArgSpec::flag("linear", "LINEAR", "the n-th pause is n times the first"),
    ArgSpec::flag("exponential", "EXPONENTIAL", "each pause is twice the one before"),
];

const fn setting(name: &'static str, token: &'static str, doc: &'static str) -> ArgSpec {
    ArgSpec::integer(name, doc).with_token(token).optional()
}

/// The arguments of a command that makes a queue.
pub(super) const fn create_args(name: ArgSpec) -> [ArgSpec; 12] {
    [
        name,
        setting("max_depth", "MAXDEPTH", "messages that may wait"),
        setting("ack_deadline_secs", "DEADLINE", "seconds that a consumer has for a message"),
        setting("default_max_retries", "RETRIES", "how often a message may fail unless it says"),
        setting("default_priority", "PRIORITY", "priority unless a message says, 0 to 9"),
        setting("prefetch_limit", "PREFETCH", "messages one consumer may have; 0 is any number"),
        setting("message_ttl", "TTL", "seconds that a message may wait; 0 is for ever"),
        setting("dlq_max_size", "DLQSIZE", "dead letters kept; 0 is none"),
        setting("dlq_retention_secs", "DLQRETENTION", "seconds they are kept; 0 is for ever"),
        setting("dedup_window_secs", "DEDUP", "seconds that an idempotency key counts"),
        ArgSpec::one_of("backoff", BACKOFFS, "how pauses before further deliveries grow")
            .optional(),
        setting("backoff_ms", "BACKOFFMS", "milliseconds of the first pause"),
    ]
}

/// `QCREATE`.
pub(crate) const QCREATE: CommandSpec = CommandSpec {
    id: "queue.create",
    resp: "QCREATE",
    family: Family::Queue,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &create_args(NAME_SPEC),
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/queue/{name}", JsonReply::Shape("queue_created"))],
    flags: Flags::DENY_OOM.and(Flags::RANDOM),
    since: "0.1.0",
    summary: "Creates a queue, or sets one that is there to what is given",
    complexity: "O(1)",
    run: Run::Write(create),
};

/// A number of units between bounds, in units of `scale`.
fn between(
    args: &Args<'_>,
    arg: Arg,
    (least, most): (i64, i64),
    refusal: &'static str,
) -> Result<Option<u64>, CommandError> {
    match args.opt_integer(arg) {
        None => Ok(None),
        Some(number) if (least..=most).contains(&number) => Ok(Some(number.unsigned_abs())),
        Some(_) => Err(CommandError::Invalid(refusal)),
    }
}

fn settings(args: &Args<'_>, before: Settings) -> Result<Settings, CommandError> {
    const COUNT: &str = "a number of messages must be between 1 and 10000000000";
    const SPAN: &str = "a span of time must be between 0 and 315360000 seconds";
    const COUNT_MAX: i64 = 10_000_000_000;
    let span = |arg, least| {
        let secs = between(args, arg, (least, SECS_MAX), SPAN)?;
        Ok::<_, CommandError>(secs.map(|secs| secs * 1000))
    };
    let depth = between(args, MAX_DEPTH, (1, COUNT_MAX), COUNT)?;
    let retries = "retries must be between 0 and 4294967295";
    let retries = between(args, RETRIES, (0, i64::from(u32::MAX)), retries)?;
    // Beyond the highest is the highest.
    let priority = between(args, PRIORITY, (0, i64::MAX), "priority must not be negative")?;
    let prefetch = between(args, PREFETCH, (0, COUNT_MAX), "prefetch must not be negative")?;
    let dead_max = between(args, DEAD_MAX, (0, COUNT_MAX), "dlq_max_size must not be negative")?;
    let pause = "backoff_ms must be between 1 and 3600000";
    let pause = between(args, BACKOFF_MS, (1, 3_600_000), pause)?;
    let highest = u64::from(super::PRIORITY_MAX);
    Ok(Settings {
        max_depth: depth.unwrap_or(before.max_depth),
        ack_deadline_ms: span(DEADLINE, 1)?.unwrap_or(before.ack_deadline_ms),
        max_retries: retries.map_or(before.max_retries, |number| number as u32),
        priority: priority.map_or(before.priority, |number| number.min(highest) as u8),
        prefetch: prefetch.unwrap_or(before.prefetch),
        ttl_ms: span(TTL, 0)?.unwrap_or(before.ttl_ms),
        dead_max: dead_max.unwrap_or(before.dead_max),
        dead_retention_ms: span(DEAD_RETENTION, 0)?.unwrap_or(before.dead_retention_ms),
        dedup_ms: span(DEDUP, 1)?.unwrap_or(before.dedup_ms),
        backoff: match args.choice(BACKOFF) {
            None => before.backoff,
            Some((0, _)) => Backoff::None,
            Some((1, _)) => Backoff::Linear,
            Some(_) => Backoff::Exponential,
        },
        backoff_ms: pause.unwrap_or(before.backoff_ms),
    })
}

/// Begins the edits of a queue that is made now; its incarnation.
pub(super) fn begin(
    plan: &Plan<'_>,
    key: &[u8],
    settings: &Settings,
    writer: &mut Writer,
) -> Result<u64, CommandError> {
    let is_reserved = |(space, name)| space == Namespace::Queue && RESERVED.contains(&name);
    if Namespace::split(key).is_some_and(is_reserved) {
        return Err(CommandError::Invalid("publish, consume and list cannot be names of queues"));
    }
    plan.thresholds(key).defaults.admit_queue()?;
    let incarnation = match dss::is_one(key) {
        true => dss::number(plan, key)?.incarnation(),
        false => plan.draw() >> (u64::BITS - INCARNATION_BITS),
    };
    writer.create(incarnation, plan.now().unix_ms);
    writer.settings(settings);
    Ok(incarnation)
}

/// What a queue under this key is set to where nothing is said.
pub(super) fn unsaid(plan: &Plan<'_>, key: &[u8]) -> Settings {
    let limits = plan.thresholds(key);
    if dss::is_one(key) { dss::settings(&limits) } else { limits.queue }
}

pub(super) fn create(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    let mut writer = Writer::default();
    match find::peek(plan, key)? {
        Some(queue) => {
            let settings = settings(args, queue.settings)?;
            if settings == queue.settings {
                return Ok(Reply::Ok);
            }
            writer.settings(&settings);
        }
        None => {
            let settings = settings(args, unsaid(plan, key))?;
            begin(plan, key, &settings, &mut writer)?;
        }
    }
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::Ok)
}
