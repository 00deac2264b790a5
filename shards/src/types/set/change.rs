//! `SADD`, `SREM` and `SMOVE`.

use std::collections::BTreeSet;

use super::BASE;
use super::record::{Edits, push_add};
use super::view::SetView;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Flags, HttpRoute, JsonReply, Keys, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const MEMBERS: Arg = Arg(1);

/// `SADD`.
pub(super) const SADD: CommandSpec = CommandSpec {
    id: "set.sadd",
    resp: "SADD",
    access: Access::Write,
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::bytes("members", "what becomes a member").repeated(),
    ],
    http: &[HttpRoute::post("/set/{key}/add", JsonReply::Shape("set_added"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    summary: "Adds members and answers how many are new",
    complexity: "O(1) for each member",
    run: Run::Write(sadd),
    ..BASE
};

fn sadd(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, members) = (args.bytes(KEY), args.rest(MEMBERS));
    let set = SetView::read(plan, key)?;
    if let [member] = members {
        if set.contains(member) {
            return Ok(Reply::Integer(0));
        }
        plan.edit_with(key, ValueType::Set, set.len() > 0, |out| push_add(out, member))?;
        plan.notify(Notice::Set, "sadd", key);
        return Ok(Reply::Integer(1));
    }
    let mut edits = Edits::default();
    let added = each_once(members, |member| {
        let is_new = !set.contains(member);
        if is_new {
            edits.add(member);
        }
        is_new
    });
    if added > 0 {
        plan.edit(key, ValueType::Set, edits.bytes())?;
        plan.notify(Notice::Set, "sadd", key);
    }
    Ok(Reply::count(added))
}

/// Calls `visit` with each of `members` once, however often it stands there, and answers how often
/// it said yes.
fn each_once(members: &[&[u8]], mut visit: impl FnMut(&[u8]) -> bool) -> usize {
    /// So many are compared with each other faster than sorted.
    const FEW: usize = 8;
    let mut count = 0;
    if members.len() <= FEW {
        for (index, member) in members.iter().enumerate() {
            count += usize::from(!members[..index].contains(member) && visit(member));
        }
    } else {
        let mut seen = BTreeSet::new();
        for member in members {
            count += usize::from(seen.insert(*member) && visit(member));
        }
    }
    count
}

/// `SREM`.
pub(super) const SREM: CommandSpec = CommandSpec {
    id: "set.srem",
    resp: "SREM",
    access: Access::Write,
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::bytes("members", "what is no member any more").repeated(),
    ],
    http: &[HttpRoute::post("/set/{key}/rem", JsonReply::Shape("set_removed"))],
    flags: Flags::FAST,
    summary: "Removes members and answers how many there were",
    complexity: "O(1) for each member",
    run: Run::Write(srem),
    ..BASE
};

fn srem(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, members) = (args.bytes(KEY), args.rest(MEMBERS));
    let set = SetView::read(plan, key)?;
    let mut edits = Edits::default();
    let removed = each_once(members, |member| {
        let is_member = set.contains(member);
        if is_member {
            edits.remove(member);
        }
        is_member
    });
    if removed > 0 {
        plan_removal(plan, key, set, removed, &edits)?;
        plan.notify(Notice::Set, "srem", key);
        if removed == set.len() {
            plan.notify(Notice::Generic, "del", key);
        }
    }
    Ok(Reply::count(removed))
}

/// Records that `removed` members are gone, or the key when those were all.
pub(super) fn plan_removal(
    plan: &mut Plan<'_>,
    key: &[u8],
    set: SetView<'_>,
    removed: usize,
    edits: &Edits,
) -> Result<(), CommandError> {
    if removed == set.len() {
        plan.delete(key);
        return Ok(());
    }
    plan.edit(key, ValueType::Set, edits.bytes())
}

/// `SMOVE`.
pub(super) const SMOVE: CommandSpec = CommandSpec {
    id: "set.smove",
    resp: "SMOVE",
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("source", "the set it leaves"),
        ArgSpec::key("destination", "the set it goes to"),
        ArgSpec::bytes("member", "the member"),
    ],
    http: &[HttpRoute::post("/set/{source}/move/{destination}", JsonReply::Shape("set_moved"))],
    flags: Flags::FAST.and(Flags::DENY_OOM),
    summary: "Moves a member from one set to another; 1 if it was there",
    run: Run::Write(smove),
    ..BASE
};

fn smove(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const SOURCE: Arg = Arg(0);
    const DESTINATION: Arg = Arg(1);
    const MEMBER: Arg = Arg(2);
    let [from, to, member] = [SOURCE, DESTINATION, MEMBER].map(|arg| args.bytes(arg));
    if plan.peek(from).is_none() {
        // A destination of another type is no error then.
        return Ok(Reply::Integer(0));
    }
    let (source, destination) = (SetView::read(plan, from)?, SetView::read(plan, to)?);
    if !source.contains(member) {
        return Ok(Reply::Integer(0));
    }
    if from == to {
        return Ok(Reply::Integer(1));
    }
    let mut removal = Edits::default();
    removal.remove(member);
    plan_removal(plan, from, source, 1, &removal)?;
    plan.notify(Notice::Set, "srem", from);
    if source.len() == 1 {
        plan.notify(Notice::Generic, "del", from);
    }
    if !destination.contains(member) {
        let mut addition = Edits::default();
        addition.add(member);
        plan.edit(to, ValueType::Set, addition.bytes())?;
        plan.notify(Notice::Set, "sadd", to);
    }
    Ok(Reply::Integer(1))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn members_are_added_and_removed() {
        OneTable::new().expect(&[
            ("SADD s 1 2 3 2 1", "3"),
            ("SADD s 3 4", "1"),
            ("SADD s 4", "0"),
            ("SCARD s", "4"),
            ("SMEMBERS s", r#"["1", "2", "3", "4"]"#),
            ("SREM s 2 9 2", "1"),
            ("SREM s 2", "0"),
            ("SREM none a", "0"),
            ("SADD s x", "1"),
            ("SADD s 01 +1 -0", "3"),
            ("SMISMEMBER s 1 01 +1 -0 0 x", "[1, 1, 1, 1, 0, 1]"),
            ("SADD many 0 1 2 3 4 5 6 7 8 9 9 8 7 6 5 4 3 2 1 0", "10"),
            ("SREM many 0 1 2 3 4 5 6 7 8 9 9 8 7", "10"),
            ("EXISTS many", "0"),
            ("SADD s", "ERR wrong number of arguments for 'sadd' command"),
            ("SREM s", "ERR wrong number of arguments for 'srem' command"),
            ("SET t v", "OK"),
            ("SADD t a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SREM t a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn an_empty_set_is_no_key_and_deadlines_stay() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SADD s a b", "2"),
            ("EXPIRE s 100", "1"),
            ("SADD s c", "1"),
            ("TTL s", "100"),
            ("SREM s a b c", "3"),
            ("EXISTS s", "0"),
            ("SADD s a", "1"),
            ("TTL s", "-1"),
            ("PEXPIRE s 5", "1"),
        ]);
        db.now_ms += 5;
        db.expect(&[
            ("SCARD s", "0"),
            ("SADD s b", "1"),
            ("SMEMBERS s", r#"["b"]"#),
            ("TTL s", "-1"),
        ]);
    }

    #[test]
    fn a_member_moves() {
        OneTable::new().expect(&[
            ("SADD a 1 2", "2"),
            ("SADD b 2 x", "2"),
            ("SMOVE a b 1", "1"),
            ("SMOVE a b 1", "0"),
            ("SMISMEMBER b 1 2 x", "[1, 1, 1]"),
            ("SMOVE a a 2", "1"),
            ("SMOVE a a 9", "0"),
            ("SMOVE a b 2", "1"),
            ("EXISTS a", "0"),
            ("SCARD b", "3"),
            ("SMOVE b c x", "1"),
            ("SMEMBERS c", r#"["x"]"#),
            ("SET t v", "OK"),
            ("SMOVE none t x", "0"),
            ("SMOVE t b x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SMOVE b t q", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SMOVE a b", "ERR wrong number of arguments for 'smove' command"),
        ]);
    }
}
