//! Commands that wait for an element: `BLPOP`, `BRPOP`, `BLMOVE`, `BRPOPLPUSH`, `BLMPOP`.

use super::pop::{self, outermost, pop_any};
use super::record::End;
use super::transfer::{ends_of, transfer};
use super::{ENDS, list_at, take};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, Keys, Pause, ReplySpec, Run,
};
use crate::command::timeout;
use crate::shard::plan::Plan;

const TIMEOUT_ARG: ArgSpec = ArgSpec::bytes("timeout", "seconds to wait at most; 0 is for ever");

const KEYS: Arg = Arg(0);
const POP_TIMEOUT: Arg = Arg(1);

/// `BLPOP`.
pub(crate) const BLPOP: CommandSpec = CommandSpec {
    id: "list.blpop",
    resp: "BLPOP",
    family: Family::List,
    access: Access::Write,
    keys: Keys::Range { first: 1, last: -2, step: 1 },
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::key("keys", "the lists, tried in this order").repeated(), TIMEOUT_ARG],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::BLOCKING,
    since: "0.1.0",
    summary: "Takes the first element of the first list that has one, waiting for it",
    complexity: "O(N) for N keys",
    run: Run::Block(|plan, args| pop_one(plan, args, End::Left)),
};

/// `BRPOP`.
pub(crate) const BRPOP: CommandSpec = CommandSpec {
    id: "list.brpop",
    resp: "BRPOP",
    summary: "Takes the last element of the first list that has one, waiting for it",
    run: Run::Block(|plan, args| pop_one(plan, args, End::Right)),
    ..BLPOP
};

fn pop_one(plan: &mut Plan<'_>, args: &Args<'_>, end: End) -> Result<Blocked, CommandError> {
    let timeout_ms = timeout::seconds(args.bytes(POP_TIMEOUT))?;
    for key in args.rest(KEYS) {
        if let Some(list) = list_at(plan, key)? {
            let element = outermost(&list, end);
            take(plan, key, (list.len(), 1), end)?;
            let pair = vec![Reply::owned(key.to_vec()), element];
            return Ok(Blocked::Done(Reply::Array(pair)));
        }
    }
    Ok(Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray)))
}

const FROM: Arg = Arg(2);
const TO: Arg = Arg(3);
const MOVE_TIMEOUT: Arg = Arg(4);

/// `BLMOVE`.
pub(crate) const BLMOVE: CommandSpec = CommandSpec {
    id: "list.blmove",
    resp: "BLMOVE",
    keys: Keys::TWO,
    args: &[
        ArgSpec::key("source", "the list that loses an element"),
        ArgSpec::key("destination", "the list that gets it; may be the same"),
        ArgSpec::one_of("from", ENDS, "at which end it is taken"),
        ArgSpec::one_of("to", ENDS, "at which end it is added"),
        TIMEOUT_ARG,
    ],
    reply: ReplySpec::BytesOrNil,
    flags: Flags::BLOCKING.and(Flags::DENY_OOM),
    summary: "Moves an element from one list to another, waiting for it; nil if none came",
    complexity: "O(1)",
    run: Run::Block(|plan, args| move_one(plan, args, ends_of(args, (FROM, TO)), MOVE_TIMEOUT)),
    ..BLPOP
};

const SHORT_TIMEOUT: Arg = Arg(2);

/// `BRPOPLPUSH`.
pub(crate) const BRPOPLPUSH: CommandSpec = CommandSpec {
    id: "list.brpoplpush",
    resp: "BRPOPLPUSH",
    args: &[
        ArgSpec::key("source", "the list that loses its last element"),
        ArgSpec::key("destination", "the list of which it is the first then; may be the same"),
        TIMEOUT_ARG,
    ],
    summary: "Moves the last element of a list to the start of another, waiting for it",
    run: Run::Block(|plan, args| move_one(plan, args, (End::Right, End::Left), SHORT_TIMEOUT)),
    ..BLMOVE
};

fn move_one(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    ends: (End, End),
    timeout: Arg,
) -> Result<Blocked, CommandError> {
    let timeout_ms = timeout::seconds(args.bytes(timeout))?;
    Ok(match transfer(plan, args, ends)? {
        Some(reply) => Blocked::Done(reply),
        // Redis answers with no array when the time is over, with no string where nobody waits.
        None => Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray).at_once(Reply::Nil)),
    })
}

const MPOP_TIMEOUT: Arg = Arg(0);
const MPOP_KEYS: Arg = Arg(2);
const MPOP_END: Arg = Arg(3);
const MPOP_COUNT: Arg = Arg(4);

/// `BLMPOP`.
pub(crate) const BLMPOP: CommandSpec = CommandSpec {
    id: "list.blmpop",
    resp: "BLMPOP",
    keys: Keys::Counted { count_at: 2, also: 0 },
    args: &[
        TIMEOUT_ARG,
        ArgSpec::numkeys(),
        ArgSpec::key("keys", "the lists, tried in this order").repeated(),
        ArgSpec::one_of("end", ENDS, "from which end"),
        pop::MPOP_COUNT,
    ],
    summary: "Takes elements of the first list that has some, waiting for them; nil if none came",
    complexity: "O(N+M) for N keys and M elements",
    run: Run::Block(|plan, args| {
        let timeout_ms = timeout::seconds(args.bytes(MPOP_TIMEOUT))?;
        let popped = pop_any(plan, args.rest(MPOP_KEYS), args, (MPOP_END, MPOP_COUNT))?;
        let wait = || Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray));
        Ok(popped.map_or_else(wait, Blocked::Done))
    }),
    ..BLPOP
};

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn what_is_there_is_taken_at_once() {
        OneTable::new().expect(&[
            ("RPUSH b 1 2 3 4 5 6", "6"),
            ("BLPOP a b 1", "[\"b\", \"1\"]"),
            ("BRPOP a b 0.5", "[\"b\", \"6\"]"),
            ("BLMOVE b c LEFT RIGHT 0", "\"2\""),
            ("BRPOPLPUSH b c 0", "\"5\""),
            ("LRANGE c 0 -1", "[\"5\", \"2\"]"),
            ("BLMPOP 0 2 a b LEFT COUNT 9", "[\"b\", [\"3\", \"4\"]]"),
            ("BLPOP b 1", "nil"),
            ("BLMOVE b c LEFT RIGHT 1", "nil"),
            ("BLMPOP 1 1 b RIGHT", "nil"),
        ]);
    }

    #[test]
    fn refusals() {
        const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
        OneTable::new().expect(&[
            ("BLPOP a x", "ERR timeout is not a float or out of range"),
            ("BLPOP a -1", "ERR timeout is negative"),
            ("BLMOVE a b LEFT UP 0", "ERR syntax error"),
            ("BLMPOP x 1 a LEFT", "ERR timeout is not a float or out of range"),
            ("BLMPOP 0 0 a LEFT", "ERR numkeys should be greater than 0"),
            ("BLPOP 1", "ERR wrong number of arguments for 'blpop' command"),
            ("SET s v", "OK"),
            ("BLPOP a s 1", WRONG),
            ("BRPOPLPUSH s a 1", WRONG),
        ]);
    }
}
