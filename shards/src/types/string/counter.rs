//! Integer counters: `INCR`, `DECR`, `INCRBY`, `DECRBY`. The record states the result.

use super::decimal::Decimal;
use crate::command::args::{self, Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const AMOUNT: Arg = Arg(1);

const ONE_KEY: &[ArgSpec] = &[ArgSpec::key("key", "the key")];

/// `INCR`.
pub(crate) const INCR: CommandSpec = CommandSpec {
    id: "kv.incr",
    resp: "INCR",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: ONE_KEY,
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Adds one to the integer a key holds, 0 if it does not exist, and answers the sum",
    complexity: "O(1)",
    run: Run::Write(|plan, args| add(plan, args, 1)),
};

/// `DECR`.
pub(crate) const DECR: CommandSpec = CommandSpec {
    id: "kv.decr",
    resp: "DECR",
    summary: "Takes one from the integer a key holds, 0 if it does not exist, and answers the rest",
    run: Run::Write(|plan, args| add(plan, args, -1)),
    ..INCR
};

/// `INCRBY`. Serves the plain forms over HTTP too, where the amount may be left out.
pub(crate) const INCRBY: CommandSpec = CommandSpec {
    id: "kv.incrby",
    resp: "INCRBY",
    args: &[ArgSpec::key("key", "the key"), ArgSpec::integer("amount", "what to add")],
    http: &[
        HttpRoute::post("/kv/{key}/incrby", JsonReply::Field("value")),
        HttpRoute::post("/kv/{key}/incr", JsonReply::Field("value")),
    ],
    summary: "Adds to the integer a key holds, 0 if it does not exist, and answers the sum",
    run: Run::Write(|plan, args| add(plan, args, args.integer(AMOUNT))),
    ..INCR
};

/// `DECRBY`. Serves the plain forms over HTTP too, where the amount may be left out.
pub(crate) const DECRBY: CommandSpec = CommandSpec {
    id: "kv.decrby",
    resp: "DECRBY",
    args: &[ArgSpec::key("key", "the key"), ArgSpec::integer("amount", "what to take away")],
    http: &[
        HttpRoute::post("/kv/{key}/decrby", JsonReply::Field("value")),
        HttpRoute::post("/kv/{key}/decr", JsonReply::Field("value")),
    ],
    summary: "Takes from the integer a key holds, 0 if it does not exist, and answers the rest",
    run: Run::Write(decrby),
    ..INCR
};

fn decrby(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let amount = args.integer(AMOUNT).checked_neg();
    add(plan, args, amount.ok_or(CommandError::Invalid("decrement would overflow"))?)
}

fn add(plan: &mut Plan<'_>, args: &Args<'_>, amount: i64) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let (before, deadline_ms) = match plan.peek_string(key)? {
        Some(entry) => (args::integer(entry.value())?, entry.deadline_ms()),
        None => (0, None),
    };
    let sum = before.checked_add(amount).ok_or(CommandError::Overflow)?;
    plan.put(key, Decimal::new(sum).as_bytes(), deadline_ms)?;
    plan.notify(Notice::String, "incrby", key);
    Ok(Reply::Integer(sum))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn counters_count() {
        OneTable::new().expect(&[
            ("INCR n", "1"),
            ("INCRBY n 41", "42"),
            ("GET n", "\"42\""),
            ("DECR n", "41"),
            ("DECRBY n 50", "-9"),
            ("DECRBY fresh 1", "-1"),
            ("EXPIRE n 10", "1"),
            ("INCR n", "-8"),
            ("TTL n", "10"),
        ]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        OneTable::new().expect(&[
            ("SET n 9223372036854775807", "OK"),
            ("INCR n", "ERR increment or decrement would overflow"),
            ("GET n", "\"9223372036854775807\""),
            ("SET n -9223372036854775808", "OK"),
            ("DECR n", "ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "ERR decrement would overflow"),
            ("SET n 1.5", "OK"),
            ("INCR n", "ERR value is not an integer or out of range"),
            ("INCRBY n x", "ERR value is not an integer or out of range"),
            ("SET n 01", "OK"),
            ("INCR n", "ERR value is not an integer or out of range"),
        ]);
    }
}
