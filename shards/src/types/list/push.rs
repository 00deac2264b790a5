//! `LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX`.

use super::list_for;
use super::record::{self, End};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const VALUES: Arg = Arg(1);

/// `LPUSH`.
pub(crate) const LPUSH: CommandSpec = CommandSpec {
    id: "list.lpush",
    resp: "LPUSH",
    family: Family::List,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::bytes("values", "the new elements, the last of them outermost").repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/list/{key}/lpush", JsonReply::Shape("list_length"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Adds elements at the start of a list, creating it if need be; its new length",
    complexity: "O(N) for N elements",
    run: Run::Write(|plan, args| push(plan, args, End::Left, false)),
};

/// `RPUSH`.
pub(crate) const RPUSH: CommandSpec = CommandSpec {
    id: "list.rpush",
    resp: "RPUSH",
    http: &[HttpRoute::post("/list/{key}/rpush", JsonReply::Shape("list_length"))],
    summary: "Adds elements at the end of a list, creating it if need be; its new length",
    run: Run::Write(|plan, args| push(plan, args, End::Right, false)),
    ..LPUSH
};

/// `LPUSHX`.
pub(crate) const LPUSHX: CommandSpec = CommandSpec {
    id: "list.lpushx",
    resp: "LPUSHX",
    http: &[HttpRoute::post("/list/{key}/lpushx", JsonReply::Shape("list_length"))],
    summary: "Adds elements at the start of a list that exists; its new length, or 0",
    run: Run::Write(|plan, args| push(plan, args, End::Left, true)),
    ..LPUSH
};

/// `RPUSHX`.
pub(crate) const RPUSHX: CommandSpec = CommandSpec {
    id: "list.rpushx",
    resp: "RPUSHX",
    http: &[HttpRoute::post("/list/{key}/rpushx", JsonReply::Shape("list_length"))],
    summary: "Adds elements at the end of a list that exists; its new length, or 0",
    run: Run::Write(|plan, args| push(plan, args, End::Right, true)),
    ..LPUSH
};

fn push(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    end: End,
    only_existing: bool,
) -> Result<Reply<'static>, CommandError> {
    let (key, values) = (args.bytes(KEY), args.rest(VALUES));
    let length = match list_for(plan, key)? {
        None if only_existing => return Ok(Reply::Integer(0)),
        None => 0,
        Some(list) => list.len(),
    };
    add(plan, key, length > 0, (end, values))?;
    Ok(Reply::count(length + values.len()))
}

/// Records that elements are at an end now, the last of them outermost. `stands` says whether there
/// is a list.
pub(super) fn add(
    plan: &mut Plan<'_>,
    key: &[u8],
    stands: bool,
    (end, values): (End, &[&[u8]]),
) -> Result<(), CommandError> {
    plan.edit_with(key, ValueType::List, stands, |out| record::push(out, end, values))?;
    plan.notify(Notice::List, if end == End::Left { "lpush" } else { "rpush" }, key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn elements_are_added_at_both_ends() {
        OneTable::new().expect(&[
            ("LPUSH l a b c", "3"),
            ("RPUSH l x y", "5"),
            ("LRANGE l 0 -1", "[\"c\", \"b\", \"a\", \"x\", \"y\"]"),
            ("LPUSHX l z", "6"),
            ("RPUSHX l \"\"", "7"),
            ("LINDEX l 0", "\"z\""),
            ("LINDEX l -1", "\"\""),
            ("LPUSHX none z", "0"),
            ("RPUSHX none z", "0"),
            ("EXISTS none", "0"),
            ("TYPE l", "list"),
            ("OBJECT ENCODING l", "\"listpack\""),
        ]);
    }

    #[test]
    fn refusals() {
        OneTable::new().expect(&[
            ("SET s v", "OK"),
            ("LPUSH s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("RPUSHX s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LPUSH l", "ERR wrong number of arguments for 'lpush' command"),
        ]);
    }

    #[test]
    fn a_list_keeps_its_deadline_and_an_expired_one_is_new() {
        let mut db = OneTable::new();
        db.expect(&[("RPUSH l a", "1"), ("EXPIRE l 10", "1"), ("RPUSH l b", "2"), ("TTL l", "10")]);
        db.now_ms += 10_000;
        db.expect(&[("RPUSHX l c", "0"), ("LPUSH l d", "1"), ("TTL l", "-1")]);
    }

    #[test]
    fn a_long_list_is_a_quicklist() {
        let mut db = OneTable::new();
        for number in 0..1000 {
            db.ask(&format!("RPUSH l element-{number}"));
        }
        db.expect(&[
            ("OBJECT ENCODING l", "\"quicklist\""),
            ("LLEN l", "1000"),
            ("LINDEX l 517", "\"element-517\""),
            ("LRANGE l 998 -1", "[\"element-998\", \"element-999\"]"),
        ]);
        db.run(&[b"RPUSH", b"one", &vec![b'x'; 9000]]);
        db.expect(&[("OBJECT ENCODING one", "\"quicklist\""), ("LLEN one", "1")]);
    }
}
