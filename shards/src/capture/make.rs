//! Making, deleting and showing captures.

use super::find::{key_in, name_of, partition};
use super::position::{Place, Position};
use super::read::CAPTURE;
use super::{CAPTURES_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
};
use crate::id::ShardId;
use crate::key::Namespace;
use crate::limits::SHARDS;
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};
use crate::types::topic::{Definition, Partition, Retention, Writer};

/// Bytes of changes that are kept unless it is said otherwise.
const DEFAULT_BYTES: i64 = 64 * 1024 * 1024;

const NAME_ARG: ArgSpec = ArgSpec::name("capture", Namespace::Capture, "the name of the capture");
const NAME: Arg = Arg(0);
const BYTES: Arg = Arg(1);
const TIME: Arg = Arg(2);
const PATTERNS: Arg = Arg(3);

/// `CDC.CREATE`.
pub(super) const CREATE: CommandSpec = CommandSpec {
    id: "cdc.create",
    resp: "CDC.CREATE",
    family: Family::Capture,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[
        NAME_ARG,
        ArgSpec::integer("max_bytes", "bytes of the newest changes that stay, 64 MiB by default")
            .with_token("MAXBYTES")
            .optional(),
        ArgSpec::integer("retention_secs", "seconds that changes stay, at most")
            .with_token("RETENTION")
            .optional(),
        ArgSpec::pattern("patterns", "changes of keys that match one of these are captured")
            .repeated(),
    ],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/cdc/{capture}", JsonReply::Flag("success"))],
    flags: Flags::DENY_OOM.and(Flags::RANDOM).and(Flags::EVERYWHERE),
    since: "0.2.0",
    summary: "Captures changes of keys that match patterns from now on",
    complexity: "O(N) for N patterns",
    run: Run::Write(create),
};

/// `CDC.DELETE`.
pub(super) const DELETE: CommandSpec = CommandSpec {
    id: "cdc.delete",
    resp: "CDC.DELETE",
    args: &[NAME_ARG],
    http: &[HttpRoute::delete("/cdc/{capture}", JsonReply::Flag("success"))],
    flags: Flags::EVERYWHERE,
    summary: "Ends a capture, with the changes that it keeps; an error if there is none",
    complexity: "O(1); memory is given back later",
    run: Run::Write(delete),
    ..CREATE
};

/// `CDC.LIST`.
pub(super) const LIST: CommandSpec = CommandSpec {
    id: "cdc.list",
    resp: "CDC.LIST",
    family: Family::Capture,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/cdc", JsonReply::Field("captures"))],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "The names of all captures",
    complexity: "O(N) for N captures",
    run: Run::Read(list),
};

/// `CDC.INFO`.
pub(super) const INFO: CommandSpec = CommandSpec {
    id: "cdc.info",
    resp: "CDC.INFO",
    family: Family::Capture,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Whole,
    args: &[NAME_ARG],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/cdc/{capture}", JsonReply::Bare)],
    flags: Flags::EVERYWHERE,
    since: "0.2.0",
    summary: "What a capture is for, what it keeps, and its first and its next position",
    complexity: "O(1)",
    run: Run::Read(info),
};

/// The name that a command was given.
fn name<'a>(args: &Args<'a>) -> &'a [u8] {
    args.bytes(NAME).get(Namespace::PREFIX_BYTES..).unwrap_or_default()
}

fn positive(number: i64, refusal: &'static str) -> Result<u64, CommandError> {
    let number = u64::try_from(number).ok().filter(|number| (1..1 << 38).contains(number));
    number.ok_or(CommandError::Invalid(refusal))
}

fn create(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (name, patterns) = (name(args), args.rest(PATTERNS));
    if patterns.len() > PATTERNS_MAX || patterns.iter().any(|it| it.len() > PATTERN_BYTES_MAX) {
        return Err(CommandError::Invalid("a capture has up to 64 patterns of up to 1024 bytes"));
    }
    let bytes = args.opt_integer(BYTES).unwrap_or(DEFAULT_BYTES);
    let bytes = positive(bytes, "max_bytes must be from 1 to 2^38")?;
    let seconds = args.opt_integer(TIME);
    let seconds = seconds.map(|seconds| positive(seconds, "retention_secs must be from 1 to 2^38"));
    let first = ShardId::new(0);
    if plan.peek(&key_in(first, name)).is_some() {
        return Err(CommandError::exists(CAPTURE, name));
    }
    if plan.shard(first).captures().count() >= CAPTURES_MAX {
        return Err(CommandError::Invalid("there are 16 captures, and may not be more"));
    }
    let retention = Retention {
        bytes: Some(bytes.div_ceil(SHARDS as u64)),
        time_ms: seconds.transpose()?.map(|seconds| seconds * 1000),
        messages: None,
    };
    let definition = Definition {
        incarnation: plan.draw(),
        created_ms: plan.now().unix_ms,
        retention,
        ..Definition::default()
    };
    let mut writer = Writer::default();
    writer.definition(&definition);
    writer.captures(patterns.iter().copied());
    for shard in ShardId::all() {
        plan.edit(&key_in(shard, name), ValueType::Partition, &writer.out)?;
    }
    Ok(Reply::Ok)
}

fn delete(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let name = name(args);
    if plan.peek(&key_in(ShardId::new(0), name)).is_none() {
        return Err(CommandError::not_found(CAPTURE, name));
    }
    for shard in ShardId::all() {
        plan.delete(&key_in(shard, name));
    }
    Ok(Reply::Ok)
}

fn list<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let mut names = Vec::new();
    for shard in view.shards().filter(|shard| shard.id().index() == 0) {
        view.saw_all(shard);
        let mut found: Vec<&[u8]> = shard.captures().map(name_of).collect();
        found.sort_unstable();
        names.extend(found.into_iter().map(|name| Reply::owned(name.to_vec())));
    }
    Ok(Reply::Array(names))
}

fn info<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let name = name(args);
    let mut partitions: Vec<&Partition> = Vec::with_capacity(SHARDS);
    for shard in ShardId::all() {
        let key = key_in(shard, name);
        let found = view.peek(&key).and_then(|_| partition(view.shard(shard), &key));
        partitions.push(found.ok_or_else(|| CommandError::not_found(CAPTURE, name))?);
    }
    let first = partitions[0];
    let at = |offset: fn(&Partition) -> u64| {
        let place = |shard: usize| Place { offset: offset(partitions[shard]), walk: None };
        let incarnation = first.definition.incarnation;
        let position = Position { incarnation, places: std::array::from_fn(place) };
        Reply::owned(position.text())
    };
    let Retention { bytes, time_ms, .. } = first.definition.retention;
    let number = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let sum = |of: fn(&Partition) -> u64| number(partitions.iter().map(|it| of(it)).sum());
    let patterns = first.patterns.iter().map(|pattern| Reply::owned(pattern.to_vec()));
    let fields = vec![
        ("capture", Reply::owned(name.to_vec())),
        ("patterns", Reply::Array(patterns.collect())),
        ("max_bytes", number(bytes.unwrap_or(0) * SHARDS as u64)),
        ("retention_secs", time_ms.map_or(Reply::Nil, |time_ms| number(time_ms / 1000))),
        ("created_at", number(first.definition.created_ms / 1000)),
        ("batches", sum(|partition| partition.len() as u64)),
        ("bytes", sum(Partition::event_bytes)),
        ("oldest", at(Partition::start)),
        ("now", at(Partition::next)),
    ];
    let fields = fields.into_iter();
    Ok(Reply::Map(fields.map(|(name, value)| (Reply::string(name), value)).collect()))
}
