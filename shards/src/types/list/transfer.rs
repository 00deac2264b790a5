//! `LMOVE` and its older form `RPOPLPUSH`.

use super::pop::outermost;
use super::push::add;
use super::record::{self, End};
use super::{ENDS, end_of, list_at, list_for, take};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const SOURCE: Arg = Arg(0);
const DESTINATION: Arg = Arg(1);
const FROM: Arg = Arg(2);
const TO: Arg = Arg(3);

/// `LMOVE`.
pub(crate) const LMOVE: CommandSpec = CommandSpec {
    id: "list.lmove",
    resp: "LMOVE",
    family: Family::List,
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("source", "the list that loses an element"),
        ArgSpec::key("destination", "the list that gets it; may be the same"),
        ArgSpec::one_of("from", ENDS, "at which end it is taken"),
        ArgSpec::one_of("to", ENDS, "at which end it is added"),
    ],
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Moves an element from one list to another and answers it; nil if there is none",
    complexity: "O(1)",
    run: Run::Write(|plan, args| {
        let ends = ends_of(args, (FROM, TO));
        Ok(transfer(plan, args, ends)?.unwrap_or(Reply::Nil))
    }),
};

/// `RPOPLPUSH`.
pub(crate) const RPOPLPUSH: CommandSpec = CommandSpec {
    id: "list.rpoplpush",
    resp: "RPOPLPUSH",
    args: &[
        ArgSpec::key("source", "the list that loses its last element"),
        ArgSpec::key("destination", "the list of which it is the first then; may be the same"),
    ],
    http: &[HttpRoute::post("/list/{source}/rpoplpush/{destination}", MOVED)],
    summary: "Moves the last element of a list to the start of another and answers it, or nil",
    run: Run::Write(|plan, args| {
        Ok(transfer(plan, args, (End::Right, End::Left))?.unwrap_or(Reply::Nil))
    }),
    ..LMOVE
};

const MOVED: JsonReply = JsonReply::Shape("list_moved");

/// The ends that two arguments name.
pub(super) fn ends_of(args: &Args<'_>, (from, to): (Arg, Arg)) -> (End, End) {
    let end = |arg| end_of(args.choice(arg).map_or(0, |(choice, _)| choice));
    (end(from), end(to))
}

/// Moves an element of the list in the first argument to the list in the second.
pub(super) fn transfer(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    (from, to): (End, End),
) -> Result<Option<Reply<'static>>, CommandError> {
    let (source, destination) = (args.bytes(SOURCE), args.bytes(DESTINATION));
    let Some(list) = list_at(plan, source)? else { return Ok(None) };
    let reply = outermost(&list, from);
    let Reply::Bytes(element) = &reply else { return Ok(None) };
    if source == destination {
        let mut edits = Vec::with_capacity(element.len() + 16);
        record::pop(&mut edits, from, 1);
        record::push(&mut edits, to, &[element]);
        plan.edit(source, ValueType::List, &edits)?;
        for (end, names) in [(to, ["lpush", "rpush"]), (from, ["lpop", "rpop"])] {
            plan.notify(Notice::List, names[usize::from(end == End::Right)], source);
        }
        return Ok(Some(reply));
    }
    let stands = list_for(plan, destination)?.is_some();
    add(plan, destination, stands, (to, &[element]))?;
    take(plan, source, (list.len(), 1), from)?;
    Ok(Some(reply))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn elements_move_between_lists() {
        OneTable::new().expect(&[
            ("RPUSH a 1 2 3", "3"),
            ("LMOVE a b LEFT RIGHT", "\"1\""),
            ("LMOVE a b right left", "\"3\""),
            ("LRANGE b 0 -1", "[\"3\", \"1\"]"),
            ("RPOPLPUSH a b", "\"2\""),
            ("EXISTS a", "0"),
            ("LRANGE b 0 -1", "[\"2\", \"3\", \"1\"]"),
            ("RPOPLPUSH a b", "nil"),
            ("LMOVE a b LEFT LEFT", "nil"),
            ("LMOVE a b UP LEFT", "ERR syntax error"),
        ]);
    }

    #[test]
    fn a_list_is_rotated() {
        OneTable::new().expect(&[
            ("RPUSH a 1 2 3", "3"),
            ("RPOPLPUSH a a", "\"3\""),
            ("LRANGE a 0 -1", "[\"3\", \"1\", \"2\"]"),
            ("LMOVE a a LEFT RIGHT", "\"3\""),
            ("LMOVE a a LEFT LEFT", "\"1\""),
            ("LRANGE a 0 -1", "[\"1\", \"2\", \"3\"]"),
            ("RPUSH one x", "1"),
            ("LMOVE one one LEFT RIGHT", "\"x\""),
            ("LLEN one", "1"),
        ]);
    }

    #[test]
    fn types_are_checked_where_there_is_something_to_move() {
        const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
        OneTable::new().expect(&[
            ("SET s v", "OK"),
            ("RPUSH a 1", "1"),
            ("RPOPLPUSH a s", WRONG),
            ("LMOVE s a LEFT LEFT", WRONG),
            ("RPOPLPUSH none s", "nil"),
            ("LLEN a", "1"),
        ]);
    }
}
