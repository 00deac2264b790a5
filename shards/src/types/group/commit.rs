//! How far a group has read: committed offsets, each the next one to read.

use super::find;
use super::make::{GROUP_NAME, NAME};
use super::member::{GENERATION, fence, member};
use super::record::Writer;
use super::state::{Commit, Group};
use crate::command::args::{Arg, Args};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::limits::MEMBER_BYTES_MAX;
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

const PARTITION: Arg = Arg(1);
const PARTITION_ID: ArgSpec = ArgSpec::integer("partition_id", "the number of the partition");

/// `GCOMMIT`.
pub(super) const GCOMMIT: CommandSpec = CommandSpec {
    id: "group.commit",
    resp: "GCOMMIT",
    family: Family::Group,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        GROUP_NAME,
        PARTITION_ID,
        ArgSpec::integer("offset", "the next offset to read"),
        ArgSpec::bytes("member_id", "refused if this is no member").with_token("MEMBER").optional(),
        GENERATION,
        ArgSpec::bytes("metadata", "kept with it").with_token("METADATA").optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post(
        "/consumer-groups/{group}/offsets/commit",
        JsonReply::Shape("group_committed"),
    )],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.2.0",
    summary: "Commits the next offset that a group reads of a partition; answers both",
    complexity: "O(log N) for N partitions",
    run: Run::Write(commit),
};

/// `GOFFSET`.
pub(super) const GOFFSET: CommandSpec = CommandSpec {
    id: "group.offset",
    resp: "GOFFSET",
    access: Access::Read,
    args: &[GROUP_NAME, PARTITION_ID],
    reply: ReplySpec::IntegerOrNil,
    http: &[HttpRoute::get(
        "/consumer-groups/{group}/offsets/{partition_id}",
        JsonReply::Shape("group_offset"),
    )],
    flags: Flags::FAST,
    summary: "The offset that was committed for a partition, or nil",
    run: Run::Read(offset),
    ..GCOMMIT
};

/// The number of a partition that the group has.
fn partition(group: &Group, number: i64) -> Result<u16, CommandError> {
    let known = u16::try_from(number).ok().filter(|number| *number < group.terms.partitions);
    known.ok_or_else(|| CommandError::NotFound {
        what: "Partition",
        name: format!("{}/{number}", quote(&group.terms.topic)),
    })
}

fn commit(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (offset, id, generation, metadata) = (Arg(2), Arg(3), Arg(4), Arg(5));
    let (key, now_ms) = (args.bytes(NAME), plan.now().unix_ms);
    let group = find::existing(plan, key)?;
    fence(group, args.opt_integer(generation))?;
    if let Some(id) = args.opt_bytes(id) {
        member(group, id, now_ms)?;
    }
    let partition = partition(group, args.integer(PARTITION))?;
    let offset = u64::try_from(args.integer(offset))
        .map_err(|_| CommandError::Invalid("an offset may not be negative"))?;
    let metadata = args.opt_bytes(metadata).unwrap_or_default();
    if metadata.len() > MEMBER_BYTES_MAX {
        return Err(CommandError::Invalid("metadata may not have more than 1024 bytes"));
    }
    let mut writer = Writer::default();
    writer.commit(partition, &Commit { offset, time_ms: now_ms, metadata: metadata.into() });
    plan.edit(key, ValueType::Group, &writer.out)?;
    Ok(Reply::Array(vec![Reply::Integer(partition.into()), Reply::Integer(offset as i64)]))
}

fn offset<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let group = find::existing(view, args.bytes(NAME))?;
    let partition = partition(group, args.integer(PARTITION))?;
    let commit = group.commits().get(&partition);
    Ok(commit.map_or(Reply::Nil, |commit| Reply::Integer(commit.offset as i64)))
}
