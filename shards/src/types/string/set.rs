//! `SET` and its older forms.
//!
//! `SET` with a deadline that has already passed leaves the key absent, which is what a reader of
//! an expired key sees; nothing is stored for it.

use crate::command::args::{Arg, Args, Scalar};
use crate::command::deadline::{self, Due, EX, EXAT, PX, PXAT, TimeForm};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const VALUE: Arg = Arg(1);
const CONDITION: Arg = Arg(2);
const GET: Arg = Arg(3);
const EXPIRY: Arg = Arg(4);

const CONDITIONS: &[ArgSpec] = &[
    ArgSpec::flag("nx", "NX", "only if the key does not exist"),
    ArgSpec::flag("xx", "XX", "only if the key exists"),
    ArgSpec::bytes("ifeq", "only if the key holds exactly this value").with_token("IFEQ"),
];
const NX: usize = 0;
const XX: usize = 1;

const EXPIRIES: &[ArgSpec] =
    &[EX, PX, EXAT, PXAT, ArgSpec::flag("keepttl", "KEEPTTL", "keep the deadline it has")];
const KEEPTTL: usize = 4;

const SET_ARGS: &[ArgSpec] = &[
    ArgSpec::key("key", "the key"),
    ArgSpec::bytes("value", "its new value"),
    ArgSpec::one_of("condition", CONDITIONS, "what must hold for the value to be set").optional(),
    ArgSpec::flag("get", "GET", "answer the value it had"),
    ArgSpec::one_of("expiry", EXPIRIES, "when it expires; never, if absent").optional(),
];

/// `SET`.
pub(crate) const SET: CommandSpec = CommandSpec {
    id: "kv.set",
    resp: "SET",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: SET_ARGS,
    reply: ReplySpec::Any,
    http: &[HttpRoute::post("/kv/set", JsonReply::Shape("kv_set"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Sets the string value of a key; nil if a condition fails, the old value with GET",
    complexity: "O(1)",
    run: Run::Write(set),
};

fn set(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let now_ms = plan.now().unix_ms;
    let due = deadline::from_option(args, EXPIRY, now_ms, "set")?;
    let (key, value) = (args.bytes(KEY), args.bytes(VALUE));
    let condition = args.choice(CONDITION);
    let keep = matches!(args.choice(EXPIRY), Some((KEEPTTL, _)));
    let answer_old = args.flag(GET);
    if condition.is_none() && !keep && !answer_old {
        put(plan, key, value, due)?;
        return Ok(Reply::Ok);
    }
    let old = if answer_old { plan.string(key)? } else { plan.peek(key) };
    let holds = match condition {
        None => true,
        Some((NX, _)) => old.is_none(),
        Some((XX, _)) => old.is_some(),
        Some((_, Scalar::Bytes(expected))) => {
            plan.peek_string(key)?.is_some_and(|old| old.value() == expected)
        }
        Some(_) => unreachable!("the last condition carries bytes"),
    };
    let reply = match old {
        Some(old) if answer_old => Reply::owned(old.value().to_vec()),
        None if answer_old => Reply::Nil,
        Some(_) | None if holds => Reply::Ok,
        Some(_) | None => Reply::Nil,
    };
    if holds {
        let kept = old.and_then(|old| old.deadline_ms()).filter(|_| keep).map(Due::At);
        put(plan, key, value, due.or(kept))?;
    }
    Ok(reply)
}

/// Records the value, or the absence of a key whose deadline has passed already.
fn put(
    plan: &mut Plan<'_>,
    key: &[u8],
    value: &[u8],
    due: Option<Due>,
) -> Result<(), CommandError> {
    match due {
        None => {
            plan.put(key, value, None)?;
            plan.notify(Notice::String, "set", key);
            Ok(())
        }
        Some(Due::At(deadline)) => {
            plan.put(key, value, Some(deadline))?;
            plan.notify(Notice::String, "set", key);
            plan.notify(Notice::Generic, "expire", key);
            Ok(())
        }
        Some(Due::Past) => {
            plan.delete(key);
            Ok(())
        }
    }
}

/// `SETNX`.
pub(crate) const SETNX: CommandSpec = CommandSpec {
    id: "kv.setnx",
    resp: "SETNX",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("value", "its value")],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Sets the string value of a key that does not exist; 1 if it was set",
    complexity: "O(1)",
    run: Run::Write(setnx),
};

fn setnx(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    if plan.peek(args.bytes(KEY)).is_some() {
        return Ok(Reply::Integer(0));
    }
    plan.put(args.bytes(KEY), args.bytes(VALUE), None)?;
    plan.notify(Notice::String, "set", args.bytes(KEY));
    Ok(Reply::Integer(1))
}

const TIMED_VALUE: Arg = Arg(2);
const TIME: Arg = Arg(1);

/// `SETEX`.
pub(crate) const SETEX: CommandSpec = CommandSpec {
    id: "kv.setex",
    resp: "SETEX",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("seconds", "seconds until it expires"),
        ArgSpec::bytes("value", "its new value"),
    ],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Sets the string value and the time to live of a key",
    complexity: "O(1)",
    run: Run::Write(|plan, args| set_timed(plan, args, TimeForm::Seconds, "setex")),
};

/// `PSETEX`.
pub(crate) const PSETEX: CommandSpec = CommandSpec {
    id: "kv.psetex",
    resp: "PSETEX",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("milliseconds", "milliseconds until it expires"),
        ArgSpec::bytes("value", "its new value"),
    ],
    summary: "Sets the string value and the time to live of a key in milliseconds",
    run: Run::Write(|plan, args| set_timed(plan, args, TimeForm::Milliseconds, "psetex")),
    ..SETEX
};

fn set_timed(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    form: TimeForm,
    command: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let due = deadline::positive(form, args.integer(TIME), plan.now().unix_ms, command)?;
    put(plan, args.bytes(KEY), args.bytes(TIMED_VALUE), Some(due))?;
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn conditions_decide() {
        OneTable::new().expect(&[
            ("SET k 1", "OK"),
            ("SET k 2 NX", "nil"),
            ("SET other 2 nx", "OK"),
            ("SET k 3 XX", "OK"),
            ("SET none 3 XX", "nil"),
            ("GET none", "nil"),
            ("SET k 4 IFEQ 2", "nil"),
            ("SET k 4 IFEQ 3", "OK"),
            ("SET none 4 IFEQ 3", "nil"),
            ("SET k 5 IFEQ 4 GET", "\"4\""),
            ("SET k 6 IFEQ 4 GET", "\"5\""),
            ("GET k", "\"5\""),
            ("SET k 7 NX GET", "\"5\""),
            ("GET k", "\"5\""),
            ("SET fresh 1 NX GET", "nil"),
            ("GET fresh", "\"1\""),
            ("SET k 1 NX XX", "ERR syntax error"),
            ("SET k 1 NOPE", "ERR syntax error"),
            ("SET k", "ERR wrong number of arguments for 'set' command"),
        ]);
    }

    #[test]
    fn deadlines_are_set_kept_and_cleared() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SET k v EX 10", "OK"),
            ("PTTL k", "10000"),
            ("SET k w KEEPTTL", "OK"),
            ("PTTL k", "10000"),
            ("SET k w PX 1500 GET", "\"w\""),
            ("PTTL k", "1500"),
            ("SET k w", "OK"),
            ("PTTL k", "-1"),
            ("SET k w EXAT 1700000100", "OK"),
            ("TTL k", "100"),
            ("SET k w PXAT 1600000000000", "OK"),
            ("GET k", "nil"),
            ("SET k v EX 0", "ERR invalid expire time in 'set' command"),
            ("SET k v EX -1", "ERR invalid expire time in 'set' command"),
            ("SET k v EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
            ("SET k v EX x", "ERR value is not an integer or out of range"),
            ("SET k v EX", "ERR syntax error"),
            ("SET k v EX 10 KEEPTTL", "ERR syntax error"),
            ("SET k v KEEPTTL", "OK"),
            ("TTL k", "-1"),
        ]);
        db.ask("SET k v PX 5");
        db.now_ms += 5;
        db.expect(&[
            ("GET k", "nil"),
            ("SET k v XX", "nil"),
            ("SET k w NX KEEPTTL", "OK"),
            ("PTTL k", "-1"),
        ]);
    }

    #[test]
    fn older_forms() {
        OneTable::new().expect(&[
            ("SETNX k 1", "1"),
            ("SETNX k 2", "0"),
            ("SETEX k 10 v", "OK"),
            ("TTL k", "10"),
            ("PSETEX k 10 v", "OK"),
            ("PTTL k", "10"),
            ("SETEX k 0 v", "ERR invalid expire time in 'setex' command"),
            ("PSETEX k -1 v", "ERR invalid expire time in 'psetex' command"),
            ("SETEX k x v", "ERR value is not an integer or out of range"),
        ]);
    }
}
