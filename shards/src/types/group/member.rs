//! Members: coming, staying, going, and what they are to read.

use super::find::{self, Roster};
use super::make::{GROUP_NAME, NAME, SESSION, session_ms};
use super::state::{Group, Member};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::limits::{GROUP_MEMBERS_MAX, MEMBER_BYTES_MAX};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

const MEMBER: ArgSpec = ArgSpec::bytes("member", "the id of the member");
const MEMBER_AT: Arg = Arg(1);
pub(super) const GENERATION: ArgSpec =
    ArgSpec::integer("generation", "refused if the group is in another one")
        .with_token("GENERATION")
        .optional();
/// A heartbeat is recorded when it moves the deadline by this part of the session at least.
const HEARTBEAT_PART: u64 = 10;

/// `GJOIN`.
pub(super) const GJOIN: CommandSpec = CommandSpec {
    id: "group.join",
    resp: "GJOIN",
    family: Family::Group,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        GROUP_NAME,
        SESSION,
        ArgSpec::bytes("member_id", "the id it had or wants; one is made if it is left out")
            .with_token("MEMBER")
            .optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/consumer-groups/{group}/join", JsonReply::Shape("group_joined"))],
    flags: Flags::DENY_OOM.and(Flags::RANDOM),
    since: "0.2.0",
    summary: "Makes the caller a member; answers its id, the generation, and its partitions",
    complexity: "O(N log M) for N partitions and M members",
    run: Run::Write(join),
};

/// `GLEAVE`.
pub(super) const GLEAVE: CommandSpec = CommandSpec {
    id: "group.leave",
    resp: "GLEAVE",
    args: &[GROUP_NAME, MEMBER],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::delete(
        "/consumer-groups/{group}/members/{member}/leave",
        JsonReply::Shape("group_left"),
    )],
    flags: Flags::NONE,
    summary: "Ends a membership; answers the generation that begins",
    run: Run::Write(leave),
    ..GJOIN
};

/// `GHEARTBEAT`.
pub(super) const GHEARTBEAT: CommandSpec = CommandSpec {
    id: "group.heartbeat",
    resp: "GHEARTBEAT",
    args: &[GROUP_NAME, MEMBER, GENERATION],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post(
        "/consumer-groups/{group}/members/{member}/heartbeat",
        JsonReply::Shape("group_heartbeat"),
    )],
    flags: Flags::FAST,
    summary: "Says that a member is there; answers the generation",
    complexity: "O(N) for N members",
    run: Run::Write(heartbeat),
    ..GJOIN
};

/// `GREBALANCE`.
pub(super) const GREBALANCE: CommandSpec = CommandSpec {
    id: "group.rebalance",
    resp: "GREBALANCE",
    args: &[GROUP_NAME],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post(
        "/consumer-groups/{group}/rebalance",
        JsonReply::Shape("group_rebalanced"),
    )],
    flags: Flags::NONE,
    summary: "Spreads the partitions anew; answers the generation that begins",
    run: Run::Write(rebalance),
    ..GJOIN
};

/// `GASSIGNMENT`.
pub(super) const GASSIGNMENT: CommandSpec = CommandSpec {
    id: "group.assignment",
    resp: "GASSIGNMENT",
    access: Access::Read,
    args: &[GROUP_NAME, MEMBER],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get(
        "/consumer-groups/{group}/members/{member}/assignment",
        JsonReply::Shape("group_assignment"),
    )],
    flags: Flags::FAST,
    summary: "The generation, and the partitions of a member",
    complexity: "O(N) for N partitions",
    run: Run::Read(assignment),
    ..GJOIN
};

fn partitions(found: impl Iterator<Item = u16>) -> Reply<'static> {
    Reply::Array(found.map(|number| Reply::Integer(number.into())).collect())
}

fn generation(number: u64) -> Reply<'static> {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn join(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const TOO_LONG: CommandError =
        CommandError::Invalid("a member's id may have from 1 to 1024 bytes");
    const TOO_MANY: CommandError =
        CommandError::Invalid("a group may not have more than 10000 members");
    let (session, id) = (Arg(1), Arg(2));
    let (key, now_ms) = (args.bytes(NAME), plan.now().unix_ms);
    let group = find::existing(plan, key)?;
    let session_ms = match args.opt_integer(session) {
        Some(seconds) => session_ms(seconds)?,
        None => group.terms.session_ms,
    };
    let drawn = format!("member-{:016x}", plan.draw()).into_bytes();
    let id = args.opt_bytes(id).unwrap_or(&drawn);
    if id.is_empty() || id.len() > MEMBER_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let mut roster = Roster::of(group, now_ms);
    if roster.len() >= GROUP_MEMBERS_MAX && roster.get(id).is_none() {
        return Err(TOO_MANY);
    }
    roster.add(id, Member { session_ms, deadline_ms: now_ms + session_ms });
    let (begins, edits) = roster.finish(now_ms);
    plan.edit(key, ValueType::Group, &edits)?;
    let after = after(group, &edits);
    let mine = partitions(after.partitions_of(id));
    Ok(Reply::Array(vec![Reply::owned(id.to_vec()), generation(begins), mine]))
}

/// The owners that a group has once these edits are applied.
fn after(group: &Group, edits: &[u8]) -> Group {
    let mut after = Group::default();
    for (number, id) in group.owners() {
        after.set_owner(*number, id);
    }
    after.apply_edits(edits);
    after
}

/// Records the change of members that `change` makes; the generation that begins.
fn changed(
    plan: &mut Plan<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Roster<'_>) -> Result<(), CommandError>,
) -> Result<Reply<'static>, CommandError> {
    let now_ms = plan.now().unix_ms;
    let mut roster = Roster::of(find::existing(plan, key)?, now_ms);
    change(&mut roster)?;
    let (begins, edits) = roster.finish(now_ms);
    plan.edit(key, ValueType::Group, &edits)?;
    Ok(generation(begins))
}

fn leave(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let id = args.bytes(MEMBER_AT);
    changed(plan, args.bytes(NAME), |roster| {
        roster.get(id).ok_or_else(|| find::no_member(id))?;
        roster.remove(id);
        Ok(())
    })
}

fn rebalance(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    changed(plan, args.bytes(NAME), |roster| {
        roster.rebalance();
        Ok(())
    })
}

/// Refuses who acts for another generation than the one that is.
pub(super) fn fence(group: &Group, given: Option<i64>) -> Result<(), CommandError> {
    let is_other = |given: &i64| u64::try_from(*given) != Ok(group.generation);
    match given.filter(is_other) {
        Some(_) => Err(CommandError::Rebalance { generation: group.generation }),
        None => Ok(()),
    }
}

/// The member of this id, if its session is not over.
pub(super) fn member(group: &Group, id: &[u8], now_ms: u64) -> Result<Member, CommandError> {
    let member = group.members().get(id).filter(|member| member.deadline_ms > now_ms);
    member.copied().ok_or_else(|| find::no_member(id))
}

fn heartbeat(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, id, now_ms) = (args.bytes(NAME), args.bytes(MEMBER_AT), plan.now().unix_ms);
    let group = find::existing(plan, key)?;
    fence(group, args.opt_integer(Arg(2)))?;
    let Member { session_ms, deadline_ms } = member(group, id, now_ms)?;
    if now_ms + session_ms >= deadline_ms + session_ms / HEARTBEAT_PART {
        let mut writer = super::record::Writer::default();
        writer.member(id, Member { session_ms, deadline_ms: now_ms + session_ms });
        plan.edit(key, ValueType::Group, &writer.out)?;
    }
    Ok(generation(group.generation))
}

fn assignment<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (key, id) = (args.bytes(NAME), args.bytes(MEMBER_AT));
    let group = find::existing(view, key)?;
    member(group, id, view.now().unix_ms)?;
    let mine = partitions(group.partitions_of(id));
    Ok(Reply::Array(vec![generation(group.generation), mine]))
}

/// Takes members out whose sessions are over; about how many changes that is.
pub(crate) fn evict_due(plan: &mut Plan<'_>, key: &[u8]) -> usize {
    let now_ms = plan.now().unix_ms;
    let Ok(Some(group)) = find::group(plan, key) else { return 1 };
    let (_, edits) = Roster::of(group, now_ms).finish(now_ms);
    if !edits.is_empty() {
        let recorded = plan.edit(key, ValueType::Group, &edits);
        recorded.expect("the key is one that is there");
    }
    1 + usize::from(group.terms.partitions)
}
