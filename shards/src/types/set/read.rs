//! `SMEMBERS`, `SISMEMBER`, `SMISMEMBER` and `SCARD`.

use super::BASE;
use super::view::{Member, SetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{ArgSpec, CommandSpec, Flags, HttpRoute, JsonReply, ReplySpec, Run};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const MEMBER: Arg = Arg(1);
const MEMBERS: Arg = Arg(1);

/// `SMEMBERS`.
pub(super) const SMEMBERS: CommandSpec = CommandSpec {
    id: "set.smembers",
    resp: "SMEMBERS",
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/set/{key}/members", JsonReply::Shape("set_members"))],
    summary: "Answers every member",
    complexity: "O(N) for N members",
    run: Run::Read(smembers),
    ..BASE
};

fn smembers<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = SetView::read(view, args.bytes(KEY))?;
    view.may_read(set.len())?;
    Ok(Reply::Set(set.iter().map(Member::reply).collect()))
}

/// `SISMEMBER`.
pub(super) const SISMEMBER: CommandSpec = CommandSpec {
    id: "set.sismember",
    resp: "SISMEMBER",
    args: &[ArgSpec::key("key", "the set"), ArgSpec::bytes("member", "what to look for")],
    http: &[HttpRoute::post("/set/{key}/ismember", JsonReply::Shape("set_is_member"))],
    flags: Flags::FAST,
    summary: "Answers 1 if this is a member, otherwise 0",
    run: Run::Read(sismember),
    ..BASE
};

fn sismember<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let is_member = SetView::read(view, args.bytes(KEY))?.contains(args.bytes(MEMBER));
    Ok(Reply::Integer(i64::from(is_member)))
}

/// `SMISMEMBER`.
pub(super) const SMISMEMBER: CommandSpec = CommandSpec {
    id: "set.smismember",
    resp: "SMISMEMBER",
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::bytes("members", "what to look for").repeated(),
    ],
    reply: ReplySpec::Array,
    http: &[],
    summary: "Answers 1 for each that is a member, 0 for the others",
    complexity: "O(N) for N members asked for",
    run: Run::Read(smismember),
    ..SISMEMBER
};

fn smismember<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = SetView::read(view, args.bytes(KEY))?;
    let is_member = |member: &&[u8]| Reply::Integer(i64::from(set.contains(member)));
    Ok(Reply::Array(args.rest(MEMBERS).iter().map(is_member).collect()))
}

/// `SCARD`.
pub(super) const SCARD: CommandSpec = CommandSpec {
    id: "set.scard",
    resp: "SCARD",
    http: &[HttpRoute::get("/set/{key}/card", JsonReply::Shape("set_count"))],
    flags: Flags::FAST,
    summary: "Answers the number of members",
    run: Run::Read(scard),
    ..BASE
};

fn scard<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(Reply::count(SetView::read(view, args.bytes(KEY))?.len()))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn what_is_there_is_told() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SADD s b a c", "3"),
            ("SMEMBERS s", r#"["b", "a", "c"]"#),
            ("SISMEMBER s a", "1"),
            ("SISMEMBER s d", "0"),
            ("SMISMEMBER s a d b", "[1, 0, 1]"),
            ("SCARD s", "3"),
            ("SMEMBERS none", "[]"),
            ("SISMEMBER none a", "0"),
            ("SMISMEMBER none a b", "[0, 0]"),
            ("SCARD none", "0"),
            ("TYPE s", "set"),
            ("SET t v", "OK"),
            ("SMEMBERS t", WRONG_TYPE),
            ("SISMEMBER t a", WRONG_TYPE),
            ("SMISMEMBER t a", WRONG_TYPE),
            ("SCARD t", WRONG_TYPE),
            ("SMEMBERS", "ERR wrong number of arguments for 'smembers' command"),
            ("SISMEMBER s", "ERR wrong number of arguments for 'sismember' command"),
            ("SMISMEMBER s", "ERR wrong number of arguments for 'smismember' command"),
            ("SCARD s t", "ERR wrong number of arguments for 'scard' command"),
        ]);
        assert!(matches!(db.run(&[b"SMEMBERS", b"s"]), Reply::Set(_)));
    }

    #[test]
    fn sets_of_every_form_are_read_alike() {
        let mut db = OneTable::new();
        let long = "x".repeat(65);
        for (key, extra) in [("ints", "-7"), ("pack", "word"), ("large", &long[..])] {
            let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
            db.ask(&format!("SADD {key} {extra} {}", numbers.join(" ")));
            assert_eq!(db.ask(&format!("SCARD {key}")), "101");
            assert_eq!(db.ask(&format!("SMISMEMBER {key} 0 99 100 {extra} y")), "[1, 1, 0, 1, 0]");
            let Reply::Set(members) = db.run(&[b"SMEMBERS", key.as_bytes()]) else { panic!() };
            assert_eq!(members.len(), 101);
            assert_eq!(db.ask(&format!("SREM {key} 5 {extra} nope")), "2");
            assert_eq!(db.ask(&format!("SCARD {key}")), "99");
        }
    }
}
