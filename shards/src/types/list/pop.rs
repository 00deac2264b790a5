//! `LPOP`, `RPOP`, `LMPOP`.

use super::record::End;
use super::{ENDS, ListView, end_of, list_at, take};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const COUNT: Arg = Arg(1);

/// `LPOP`.
pub(crate) const LPOP: CommandSpec = CommandSpec {
    id: "list.lpop",
    resp: "LPOP",
    family: Family::List,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("count", "how many; the answer is an array then").optional(),
    ],
    reply: ReplySpec::Any,
    http: &[HttpRoute::post("/list/{key}/lpop", JsonReply::Shape("list_values"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Takes the first element of a list, or the first several; nil without a list",
    complexity: "O(N) for N elements",
    run: Run::Write(|plan, args| pop(plan, args, End::Left)),
};

/// `RPOP`.
pub(crate) const RPOP: CommandSpec = CommandSpec {
    id: "list.rpop",
    resp: "RPOP",
    http: &[HttpRoute::post("/list/{key}/rpop", JsonReply::Shape("list_values"))],
    summary: "Takes the last element of a list, or the last several; nil without a list",
    run: Run::Write(|plan, args| pop(plan, args, End::Right)),
    ..LPOP
};

fn pop(plan: &mut Plan<'_>, args: &Args<'_>, end: End) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let count = match args.opt_integer(COUNT).map(usize::try_from) {
        None => None,
        Some(Ok(count)) => Some(count),
        Some(Err(_)) => {
            return Err(CommandError::Invalid("value is out of range, must be positive"));
        }
    };
    let Some(list) = list_at(plan, key)? else {
        return Ok(if count.is_some() { Reply::NilArray } else { Reply::Nil });
    };
    let taken = count.unwrap_or(1).min(list.len());
    let reply = match count {
        None => outermost(&list, end),
        Some(_) => Reply::Array(first_of(&list, end, taken)),
    };
    take(plan, key, (list.len(), taken), end)?;
    Ok(reply)
}

/// A copy of the element at an end.
pub(super) fn outermost(list: &ListView<'_>, end: End) -> Reply<'static> {
    list.outermost(end).map_or(Reply::Nil, |element| Reply::owned(element.to_vec()))
}

/// Copies of `count` elements from an end on.
fn first_of(list: &ListView<'_>, end: End, count: usize) -> Vec<Reply<'static>> {
    let copy = |element: &[u8]| Reply::owned(element.to_vec());
    match end {
        End::Left => list.iter().take(count).map(copy).collect(),
        End::Right => list.iter().rev().take(count).map(copy).collect(),
    }
}

const KEYS: Arg = Arg(1);
const END: Arg = Arg(2);
const MANY: Arg = Arg(3);

/// What a count of elements that is not positive is refused with.
pub(super) const COUNT_REFUSAL: &str = "count should be greater than 0";

/// How many elements `LMPOP` and `BLMPOP` take.
pub(super) const MPOP_COUNT: ArgSpec =
    ArgSpec::integer("count", "how many elements at most; one, if absent")
        .with_token("COUNT")
        .optional()
        .refused_as(COUNT_REFUSAL);

/// `LMPOP`.
pub(crate) const LMPOP: CommandSpec = CommandSpec {
    id: "list.lmpop",
    resp: "LMPOP",
    keys: Keys::Counted { count_at: 1, also: 0 },
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::numkeys(),
        ArgSpec::key("keys", "the lists, tried in this order").repeated(),
        ArgSpec::one_of("end", ENDS, "from which end"),
        MPOP_COUNT,
    ],
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Takes elements of the first list that exists; its key and the elements, or nil",
    complexity: "O(N+M) for N keys and M elements",
    run: Run::Write(|plan, args| {
        let popped = pop_any(plan, args.rest(KEYS), args, (END, MANY))?;
        Ok(popped.unwrap_or(Reply::NilArray))
    }),
    ..LPOP
};

/// Takes elements of the first of `keys` that is a list: its key and the elements. `at` names the
/// arguments for end and count.
pub(super) fn pop_any(
    plan: &mut Plan<'_>,
    keys: &[&[u8]],
    args: &Args<'_>,
    (end, count): (Arg, Arg),
) -> Result<Option<Reply<'static>>, CommandError> {
    let end = end_of(args.choice(end).map_or(0, |(choice, _)| choice));
    let count = match args.opt_integer(count).map(usize::try_from) {
        None => 1,
        Some(Ok(count)) if count > 0 => count,
        Some(_) => return Err(CommandError::Invalid(COUNT_REFUSAL)),
    };
    for key in keys {
        if let Some(list) = list_at(plan, key)? {
            let taken = count.min(list.len());
            let elements = Reply::Array(first_of(&list, end, taken));
            take(plan, key, (list.len(), taken), end)?;
            return Ok(Some(Reply::Array(vec![Reply::owned(key.to_vec()), elements])));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn elements_are_taken_from_both_ends() {
        OneTable::new().expect(&[
            ("RPUSH l a b c d e f", "6"),
            ("LPOP l", "\"a\""),
            ("RPOP l", "\"f\""),
            ("LPOP l 2", "[\"b\", \"c\"]"),
            ("RPOP l 0", "[]"),
            ("RPOP l 9", "[\"e\", \"d\"]"),
            ("EXISTS l", "0"),
            ("LPOP l", "nil"),
            ("LPOP l 1", "nil"),
            ("LPOP l 0", "nil"),
            ("LPOP l -1", "ERR value is out of range, must be positive"),
            ("LPOP l x", "ERR value is not an integer or out of range"),
            ("LPOP l 1 2", "ERR wrong number of arguments for 'lpop' command"),
            ("SET s v", "OK"),
            ("RPOP s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn the_first_list_that_exists_is_popped() {
        OneTable::new().expect(&[
            ("RPUSH b 1 2 3", "3"),
            ("RPUSH c 4", "1"),
            ("LMPOP 2 a b LEFT", "[\"b\", [\"1\"]]"),
            ("LMPOP 3 a b c RIGHT COUNT 9", "[\"b\", [\"3\", \"2\"]]"),
            ("LMPOP 3 a b c left count 1", "[\"c\", [\"4\"]]"),
            ("LMPOP 1 a LEFT", "nil"),
            ("LMPOP 0 a LEFT", "ERR numkeys should be greater than 0"),
            ("LMPOP x a LEFT", "ERR numkeys should be greater than 0"),
            ("LMPOP 2 a LEFT", "ERR syntax error"),
            ("LMPOP 1 a UP", "ERR syntax error"),
            ("LMPOP 1 a LEFT COUNT 0", "ERR count should be greater than 0"),
            ("LMPOP 1 a LEFT COUNT x", "ERR count should be greater than 0"),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 1", "ERR syntax error"),
            ("LMPOP 1 a", "ERR wrong number of arguments for 'lmpop' command"),
            ("SET s v", "OK"),
            ("LMPOP 1 s LEFT", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
