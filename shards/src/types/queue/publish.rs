//! `QPUBLISH`, `QSEND`, `QMPUBLISH`: adding messages.

use super::create::{self, NAME, NAME_SPEC};
use super::find::{self, MESSAGES_MAX};
use super::message::{Message, PRIORITY_MAX};
use super::record::Writer;
use super::settings::Settings;
use super::state::{Queue, Total};
use super::{answer, dss, id};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;
use crate::types::codec::put_bytes;

const PAYLOAD: Arg = Arg(1);
const IDEMPOTENCY_KEY: Arg = Arg(6);
const HEADERS: Arg = Arg(7);
const PAYLOADS: Arg = Arg(5);

/// Longest delay and lifetime that a message may ask for: a year.
const SPAN_MS_MAX: i64 = 366 * 24 * 3_600_000;
/// Bytes of all headers of a message.
const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 1_024;
/// Idempotency keys that one queue remembers.
const KEYS_MAX: usize = 1_000_000;

const PRIORITY_SPEC: ArgSpec = ArgSpec::integer("priority", "0 to 9, the highest; more is 9")
    .with_token("PRIORITY")
    .optional();
const RETRIES_SPEC: ArgSpec =
    ArgSpec::integer("max_retries", "how often it may fail").with_token("RETRIES").optional();
const DELAY_SPEC: ArgSpec =
    ArgSpec::integer("delay_ms", "not to be delivered before so many milliseconds")
        .with_token("DELAY")
        .optional();
const TTL_SPEC: ArgSpec =
    ArgSpec::integer("ttl_ms", "a dead letter after it was ready for so many milliseconds")
        .with_token("TTL")
        .optional();
const HEADER_PARTS: &[ArgSpec] =
    &[ArgSpec::bytes("header", "its name"), ArgSpec::bytes("text", "its value")];

/// The arguments of a command that publishes one message.
pub(super) const fn publish_args(name: ArgSpec, payload: ArgSpec) -> [ArgSpec; 8] {
    [
        name,
        payload,
        PRIORITY_SPEC,
        RETRIES_SPEC,
        DELAY_SPEC,
        TTL_SPEC,
        ArgSpec::bytes("idempotency_key", "the same key again is the same message")
            .with_token("KEY")
            .optional(),
        ArgSpec::block("headers", HEADER_PARTS, "handed to the consumer")
            .with_token("HEADERS")
            .repeated()
            .optional(),
    ]
}

/// `QPUBLISH`.
pub(crate) const QPUBLISH: CommandSpec = CommandSpec {
    id: "queue.publish",
    resp: "QPUBLISH",
    family: Family::Queue,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &publish_args(NAME_SPEC, ArgSpec::bytes("payload", "what the message says")),
    reply: ReplySpec::Bytes,
    http: &[HttpRoute::post("/queue/{name}/publish", JsonReply::Shape("queue_published"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Adds a message to a queue and answers its id",
    complexity: "O(1)",
    run: Run::Write(publish),
};

/// `QSEND`.
pub(crate) const QSEND: CommandSpec = CommandSpec {
    id: "queue.send",
    resp: "QSEND",
    http: &[HttpRoute::post("/queue/publish", JsonReply::Shape("queue_published"))],
    flags: Flags::DENY_OOM.and(Flags::FAST).and(Flags::RANDOM),
    summary: "Adds a message to a queue, which is created if need be, and answers its id",
    run: Run::Write(send),
    ..QPUBLISH
};

/// `QMPUBLISH`.
pub(crate) const QMPUBLISH: CommandSpec = CommandSpec {
    id: "queue.publish_batch",
    resp: "QMPUBLISH",
    args: &[
        NAME_SPEC,
        PRIORITY_SPEC,
        RETRIES_SPEC,
        DELAY_SPEC,
        TTL_SPEC,
        ArgSpec::bytes("payloads", "what the messages say, 1000 at most")
            .with_token("PAYLOADS")
            .repeated(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/queue/{name}/publish/batch", JsonReply::Shape("queue_ids"))],
    summary: "Adds messages to a queue, all or none, and answers their ids",
    complexity: "O(N) for N messages",
    run: Run::Write(publish_many),
    ..QPUBLISH
};

/// What messages of one command have in common.
struct Terms {
    priority: u8,
    max_retries: u32,
    due_ms: u64,
    expires_ms: u64,
    published_ms: u64,
}

impl Terms {
    /// `first` is the position of the priority among the arguments.
    fn parse(
        args: &Args<'_>,
        first: usize,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Self, CommandError> {
        let priority = match args.opt_integer(Arg(first)) {
            None => settings.priority,
            Some(number) if number < 0 => {
                return Err(CommandError::Invalid("priority must not be negative"));
            }
            Some(number) => number.min(i64::from(PRIORITY_MAX)) as u8,
        };
        let max_retries = match args.opt_integer(Arg(first + 1)).map(u32::try_from) {
            None => settings.max_retries,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                return Err(CommandError::Invalid("retries must be between 0 and 4294967295"));
            }
        };
        let span = |arg| match args.opt_integer(Arg(arg)) {
            None => Ok(None),
            Some(ms) if (0..=SPAN_MS_MAX).contains(&ms) => Ok(Some(ms.unsigned_abs())),
            Some(_) => Err(CommandError::Invalid("a delay or lifetime is a year at most")),
        };
        let delay_ms = span(first + 2)?.unwrap_or(0);
        let ttl_ms = span(first + 3)?.unwrap_or(settings.ttl_ms);
        let ready_ms = now_ms.saturating_add(delay_ms);
        Ok(Self {
            priority,
            max_retries,
            due_ms: if delay_ms == 0 { 0 } else { ready_ms },
            expires_ms: if ttl_ms == 0 { 0 } else { ready_ms.saturating_add(ttl_ms) },
            published_ms: now_ms,
        })
    }

    fn message<'a>(&self, headers: &'a [u8], body: &'a [u8]) -> Message<'a> {
        let Self { priority, max_retries, expires_ms, published_ms, .. } = *self;
        Message { priority, published_ms, max_retries, expires_ms, headers, body }
    }
}

/// The pairs behind a word that may introduce them.
fn behind<'a>(words: &'a [&'a [u8]], token: &[u8]) -> &'a [&'a [u8]] {
    match words {
        [first, rest @ ..] if first.eq_ignore_ascii_case(token) => rest,
        all => all,
    }
}

fn headers(args: &Args<'_>) -> Result<Vec<u8>, CommandError> {
    let words = behind(args.rest(HEADERS), b"HEADERS");
    if !words.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let mut out = Vec::new();
    words.iter().for_each(|word| put_bytes(&mut out, word));
    if out.len() > HEADERS_BYTES_MAX {
        return Err(CommandError::Invalid("the headers are larger than 65536 bytes"));
    }
    Ok(out)
}

fn has_room(queue: &Queue, more: usize) -> bool {
    let waiting = queue.ready_count() + queue.delayed_count();
    let has_numbers = queue.next_seq + more as u64 <= id::seq_end(queue.incarnation);
    (waiting + more) as u64 <= queue.settings.max_depth && has_numbers
}

fn publish(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let queue = find::get(plan, args.bytes(NAME))?;
    publish_to(plan, args, queue)
}

fn publish_to(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    queue: &Queue,
) -> Result<Reply<'static>, CommandError> {
    let now_ms = plan.now().unix_ms;
    let terms = Terms::parse(args, 2, &queue.settings, now_ms)?;
    let headers = headers(args)?;
    let key = args.opt_bytes(IDEMPOTENCY_KEY);
    if let Some(seq) = key.and_then(|key| queue.keyed(key, now_ms)) {
        return Ok(answer::name(queue, seq));
    }
    if !has_room(queue, 1) {
        return Err(find::FULL);
    }
    let (seq, mut writer) = (queue.next_seq, Writer::default());
    writer.add(seq, terms.due_ms, &terms.message(&headers, args.bytes(PAYLOAD)));
    if let Some(key) = key {
        check_key(key, queue.key_count())?;
        writer.key(key, seq, now_ms.saturating_add(queue.settings.dedup_ms));
    }
    writer.total(Total::Published, queue.totals[Total::Published as usize] + 1);
    plan.edit(args.bytes(NAME), ValueType::Queue, &writer.out)?;
    Ok(answer::name(queue, seq))
}

fn check_key(key: &[u8], known: usize) -> Result<(), CommandError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(CommandError::Invalid("an idempotency key has 1 to 1024 bytes"));
    }
    if known >= KEYS_MAX {
        return Err(CommandError::Invalid("the queue remembers too many idempotency keys"));
    }
    Ok(())
}

pub(super) fn send(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    if let Some(queue) = find::peek(plan, key)? {
        return publish_to(plan, args, queue);
    }
    if !dss::is_one(key) && !plan.thresholds(key).queue_auto_create {
        return Err(find::NO_QUEUE);
    }
    let (now_ms, settings) = (plan.now().unix_ms, create::unsaid(plan, key));
    let terms = Terms::parse(args, 2, &settings, now_ms)?;
    let headers = headers(args)?;
    let mut writer = Writer::default();
    let incarnation = create::begin(plan, key, &settings, &mut writer)?;
    writer.add(0, terms.due_ms, &terms.message(&headers, args.bytes(PAYLOAD)));
    if let Some(key) = args.opt_bytes(IDEMPOTENCY_KEY) {
        check_key(key, 0)?;
        writer.key(key, 0, now_ms.saturating_add(settings.dedup_ms));
    }
    writer.total(Total::Published, 1);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::owned(id::text(incarnation, 0)))
}

fn publish_many(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let terms = Terms::parse(args, 1, &queue.settings, plan.now().unix_ms)?;
    let payloads = behind(args.rest(PAYLOADS), b"PAYLOADS");
    if payloads.is_empty() {
        return Err(CommandError::Syntax);
    }
    if payloads.len() > MESSAGES_MAX {
        return Err(CommandError::Invalid("a batch has 1000 messages at most"));
    }
    if !has_room(queue, payloads.len()) {
        return Err(find::FULL);
    }
    let mut writer = Writer::default();
    let mut names = Vec::with_capacity(payloads.len());
    for (seq, payload) in (queue.next_seq..).zip(payloads) {
        writer.add(seq, terms.due_ms, &terms.message(&[], payload));
        names.push(answer::name(queue, seq));
    }
    let published = queue.totals[Total::Published as usize] + payloads.len() as u64;
    writer.total(Total::Published, published);
    plan.edit(key, ValueType::Queue, &writer.out)?;
    Ok(Reply::Array(names))
}
