//! `LSET`, `LINSERT`, `LREM`, `LTRIM`.

use super::record::{self, End};
use super::{list_for, number_of, remove, span};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

/// What an index beyond the list is refused with.
pub(super) const OUT_OF_RANGE: &str = "index out of range";

const KEY: Arg = Arg(0);
const INDEX: Arg = Arg(1);
const VALUE: Arg = Arg(2);

/// `LSET`.
pub(crate) const LSET: CommandSpec = CommandSpec {
    id: "list.lset",
    resp: "LSET",
    family: Family::List,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("index", "which element; negative from the end"),
        ArgSpec::bytes("value", "its new value"),
    ],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/list/{key}/set", JsonReply::Shape("list_set"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Sets the element of an index",
    complexity: "O(S) for S nodes of some kilobytes to the nearer end",
    run: Run::Write(lset),
};

fn lset(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let list = list_for(plan, key)?.ok_or(CommandError::NoSuchKey)?;
    let number =
        number_of(list.len(), args.integer(INDEX)).ok_or(CommandError::Invalid(OUT_OF_RANGE))?;
    let mut edits = Vec::new();
    record::set(&mut edits, number, args.bytes(VALUE));
    plan.edit(key, ValueType::List, &edits)?;
    plan.notify(Notice::List, "lset", key);
    Ok(Reply::Ok)
}

const WHERE: Arg = Arg(1);
const PIVOT: Arg = Arg(2);
const INSERTED: Arg = Arg(3);
const PLACES: &[ArgSpec] = &[
    ArgSpec::flag("before", "BEFORE", "before the pivot"),
    ArgSpec::flag("after", "AFTER", "behind the pivot"),
];

/// `LINSERT`.
pub(crate) const LINSERT: CommandSpec = CommandSpec {
    id: "list.linsert",
    resp: "LINSERT",
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::one_of("where", PLACES, "on which side of the pivot"),
        ArgSpec::bytes("pivot", "the element to look for"),
        ArgSpec::bytes("value", "the new element"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/list/{key}/insert", JsonReply::Shape("list_length"))],
    summary: "Adds an element beside the first with a value; the new length, -1 without it",
    complexity: "O(N) for N elements up to the pivot",
    run: Run::Write(linsert),
    ..LSET
};

fn linsert(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, pivot) = (args.bytes(KEY), args.bytes(PIVOT));
    let Some(list) = list_for(plan, key)? else { return Ok(Reply::Integer(0)) };
    let Some(found) = list.iter().position(|element| element == pivot) else {
        return Ok(Reply::Integer(-1));
    };
    let behind = args.choice(WHERE).is_some_and(|(choice, _)| choice == 1);
    let mut edits = Vec::new();
    record::insert(&mut edits, found + usize::from(behind), args.bytes(INSERTED));
    plan.edit(key, ValueType::List, &edits)?;
    plan.notify(Notice::List, "linsert", key);
    Ok(Reply::count(list.len() + 1))
}

const COUNT: Arg = Arg(1);

/// `LREM`.
pub(crate) const LREM: CommandSpec = CommandSpec {
    id: "list.lrem",
    resp: "LREM",
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("count", "how many, from the start; negative from the end; 0 is all"),
        ArgSpec::bytes("value", "the value of those that go"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/list/{key}/rem", JsonReply::Shape("list_removed"))],
    flags: Flags::NONE,
    summary: "Removes elements with a value; how many there were",
    complexity: "O(N) for N elements looked at",
    run: Run::Write(lrem),
    ..LSET
};

fn lrem(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, value, count) = (args.bytes(KEY), args.bytes(VALUE), args.integer(COUNT));
    let Some(list) = list_for(plan, key)? else { return Ok(Reply::Integer(0)) };
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    let is_it = |element: &[u8]| element == value;
    let indexes: Vec<usize> = if count < 0 {
        let last = list.len() - 1;
        let backwards = list.iter().rev().enumerate().filter(|(_, element)| is_it(element));
        let mut found: Vec<usize> = backwards.take(most).map(|(back, _)| last - back).collect();
        found.reverse();
        found
    } else {
        let forwards = list.iter().enumerate().filter(|(_, element)| is_it(element));
        forwards.take(most).map(|(index, _)| index).collect()
    };
    if indexes.is_empty() {
        return Ok(Reply::Integer(0));
    }
    plan.notify(Notice::List, "lrem", key);
    if indexes.len() == list.len() {
        remove(plan, key)?;
    } else {
        let mut edits = Vec::with_capacity(indexes.len() * 2 + 6);
        record::remove(&mut edits, &indexes);
        plan.edit(key, ValueType::List, &edits)?;
    }
    Ok(Reply::count(indexes.len()))
}

const START: Arg = Arg(1);
const STOP: Arg = Arg(2);

/// `LTRIM`.
pub(crate) const LTRIM: CommandSpec = CommandSpec {
    id: "list.ltrim",
    resp: "LTRIM",
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("start", "index of the first that stays; negative from the end"),
        ArgSpec::integer("stop", "index of the last that stays; negative from the end"),
    ],
    http: &[HttpRoute::post("/list/{key}/trim", JsonReply::Shape("list_trim"))],
    flags: Flags::NONE,
    summary: "Removes all elements but those from one index to another",
    complexity: "O(N) for N elements removed",
    run: Run::Write(ltrim),
    ..LSET
};

fn ltrim(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let Some(list) = list_for(plan, key)? else { return Ok(Reply::Ok) };
    let (first, count) = span(list.len(), args.integer(START), args.integer(STOP));
    plan.notify(Notice::List, "ltrim", key);
    if count == 0 {
        remove(plan, key)?;
        return Ok(Reply::Ok);
    }
    let mut edits = Vec::new();
    let behind = list.len() - first - count;
    for (end, gone) in [(End::Left, first), (End::Right, behind)] {
        if gone > 0 {
            record::pop(&mut edits, end, gone);
        }
    }
    if !edits.is_empty() {
        plan.edit(key, ValueType::List, &edits)?;
    }
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn elements_are_set() {
        OneTable::new().expect(&[
            ("RPUSH l a b c", "3"),
            ("LSET l 0 longer-than-before", "OK"),
            ("LSET l -1 \"\"", "OK"),
            ("LRANGE l 0 -1", "[\"longer-than-before\", \"b\", \"\"]"),
            ("LSET l 3 x", "ERR index out of range"),
            ("LSET l -4 x", "ERR index out of range"),
            ("LSET l x x", "ERR value is not an integer or out of range"),
            ("LSET none 0 x", "ERR no such key"),
            ("SET s v", "OK"),
            ("LSET s 0 x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn elements_are_inserted() {
        OneTable::new().expect(&[
            ("LINSERT l BEFORE a x", "0"),
            ("RPUSH l a b a", "3"),
            ("LINSERT l BEFORE a x", "4"),
            ("LINSERT l after b y", "5"),
            ("LINSERT l AFTER nope y", "-1"),
            ("LRANGE l 0 -1", "[\"x\", \"a\", \"b\", \"y\", \"a\"]"),
            ("LINSERT l BESIDE a x", "ERR syntax error"),
            ("SET s v", "OK"),
            (
                "LINSERT s AFTER a b",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn elements_are_removed() {
        OneTable::new().expect(&[
            ("LREM l 0 a", "0"),
            ("RPUSH l a b a c a d a", "7"),
            ("LREM l 1 a", "1"),
            ("LREM l -1 a", "1"),
            ("LRANGE l 0 -1", "[\"b\", \"a\", \"c\", \"a\", \"d\"]"),
            ("LREM l 0 nope", "0"),
            ("LREM l 0 a", "2"),
            ("LREM l 9 b", "1"),
            ("LREM l -9223372036854775808 c", "1"),
            ("LREM l 0 d", "1"),
            ("EXISTS l", "0"),
            ("LREM l x a", "ERR value is not an integer or out of range"),
            ("SET s v", "OK"),
            ("LREM s 0 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn lists_are_trimmed() {
        OneTable::new().expect(&[
            ("RPUSH l a b c d e", "5"),
            ("LTRIM l 0 -1", "OK"),
            ("LTRIM l 1 -2", "OK"),
            ("LRANGE l 0 -1", "[\"b\", \"c\", \"d\"]"),
            ("LTRIM l -2 9", "OK"),
            ("LRANGE l 0 -1", "[\"c\", \"d\"]"),
            ("LTRIM l 5 9", "OK"),
            ("EXISTS l", "0"),
            ("LTRIM l 0 1", "OK"),
            ("LTRIM l a 1", "ERR value is not an integer or out of range"),
        ]);
    }
}
