//! `EXPIRE`, `PEXPIRE`, `EXPIREAT`, `PEXPIREAT` and `PERSIST`.
//!
//! A deadline that is not after now deletes the key at once, and counts as set.

use crate::command::args::{Arg, Args};
use crate::command::deadline::{Due, TimeForm, due};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const TIME: Arg = Arg(1);
const CONDITIONS: Arg = Arg(2);

const CONDITION: &[ArgSpec] = &[
    ArgSpec::flag("nx", "NX", "only if it has no deadline"),
    ArgSpec::flag("xx", "XX", "only if it has a deadline"),
    ArgSpec::flag("gt", "GT", "only if it then expires later; having none is latest"),
    ArgSpec::flag("lt", "LT", "only if it then expires earlier; having none is latest"),
];

/// The arguments of all four, but for the one that states the time.
const fn args(time: ArgSpec) -> [ArgSpec; 3] {
    [
        ArgSpec::key("key", "the key"),
        time,
        ArgSpec::one_of("conditions", CONDITION, "XX goes with GT or LT, the others stand alone")
            .optional()
            .repeated(),
    ]
}

/// `EXPIRE`.
pub(crate) const EXPIRE: CommandSpec = CommandSpec {
    id: "key.expire",
    resp: "EXPIRE",
    family: Family::Key,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &args(ArgSpec::integer("seconds", "seconds until it expires")),
    reply: ReplySpec::Integer,
    http: &[
        HttpRoute::post("/key/{key}/expire", JsonReply::Flag("result")),
        HttpRoute::post("/kv/{key}/expire", JsonReply::Flag("result")),
    ],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Sets the seconds after which a key expires; 0 if no key or a condition fails",
    complexity: "O(1)",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::Seconds, "expire")),
};

/// `PEXPIRE`.
pub(crate) const PEXPIRE: CommandSpec = CommandSpec {
    id: "key.pexpire",
    resp: "PEXPIRE",
    args: &args(ArgSpec::integer("milliseconds", "milliseconds until it expires")),
    http: &[],
    summary: "Sets the milliseconds after which a key expires",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::Milliseconds, "pexpire")),
    ..EXPIRE
};

/// `EXPIREAT`.
pub(crate) const EXPIREAT: CommandSpec = CommandSpec {
    id: "key.expireat",
    resp: "EXPIREAT",
    args: &args(ArgSpec::integer("unix-time-seconds", "Unix time in seconds at which it expires")),
    http: &[],
    summary: "Sets the Unix time in seconds at which a key expires",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::UnixSeconds, "expireat")),
    ..EXPIRE
};

/// `PEXPIREAT`.
pub(crate) const PEXPIREAT: CommandSpec = CommandSpec {
    id: "key.pexpireat",
    resp: "PEXPIREAT",
    args: &args(ArgSpec::integer(
        "unix-time-milliseconds",
        "Unix time in milliseconds at which it expires",
    )),
    http: &[],
    summary: "Sets the Unix time in milliseconds at which a key expires",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::UnixMilliseconds, "pexpireat")),
    ..EXPIRE
};

fn expire(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    form: TimeForm,
    command: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let Conditions { nx, xx, gt, lt } = Conditions::parse(args.rest(CONDITIONS))?;
    let now_ms = plan.now().unix_ms;
    let deadline = form.deadline(args.integer(TIME), now_ms, command)?;
    let key = args.bytes(KEY);
    let Some(entry) = plan.peek(key) else { return Ok(Reply::Integer(0)) };
    let holds = match entry.deadline_ms().map(u64::cast_signed) {
        Some(current) => !nx && (!gt || deadline > current) && (!lt || deadline < current),
        None => !xx && !gt,
    };
    if !holds {
        return Ok(Reply::Integer(0));
    }
    match due(deadline, now_ms) {
        Due::At(deadline) => {
            plan.expire(key, Some(deadline));
            plan.notify(Notice::Generic, "expire", key);
        }
        Due::Past => {
            plan.delete(key);
            plan.notify(Notice::Generic, "del", key);
        }
    }
    Ok(Reply::Integer(1))
}

/// What has to hold for the deadline to be set.
#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, CommandError> {
        let mut found = Self::default();
        for word in words {
            let condition = match CONDITION
                .iter()
                .position(|condition| word.eq_ignore_ascii_case(condition.token.as_bytes()))
            {
                Some(0) => &mut found.nx,
                Some(1) => &mut found.xx,
                Some(2) => &mut found.gt,
                Some(_) => &mut found.lt,
                None => return Err(unsupported(word)),
            };
            *condition = true;
        }
        let Self { nx, xx, gt, lt } = found;
        if nx && (xx || gt || lt) {
            let message = "NX and XX, GT or LT options at the same time are not compatible";
            return Err(CommandError::Invalid(message));
        }
        if gt && lt {
            let message = "GT and LT options at the same time are not compatible";
            return Err(CommandError::Invalid(message));
        }
        Ok(found)
    }
}

fn unsupported(word: &[u8]) -> CommandError {
    CommandError::Quoted { before: "Unsupported option ", found: quote(word), after: "" }
}

/// `PERSIST`.
pub(crate) const PERSIST: CommandSpec = CommandSpec {
    id: "key.persist",
    resp: "PERSIST",
    args: &[ArgSpec::key("key", "the key")],
    http: &[
        HttpRoute::post("/key/{key}/persist", JsonReply::Flag("result")),
        HttpRoute::post("/kv/{key}/persist", JsonReply::Flag("result")),
    ],
    summary: "Drops the deadline of a key; 1 if it had one",
    run: Run::Write(persist),
    ..EXPIRE
};

fn persist(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    if plan.peek(key).is_none_or(|entry| entry.deadline_ms().is_none()) {
        return Ok(Reply::Integer(0));
    }
    plan.expire(key, None);
    plan.notify(Notice::Generic, "persist", key);
    Ok(Reply::Integer(1))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn deadlines_come_and_go() {
        let mut db = OneTable::new();
        db.expect(&[
            ("EXPIRE none 10", "0"),
            ("PERSIST none", "0"),
            ("SET k v", "OK"),
            ("PERSIST k", "0"),
            ("EXPIRE k 10", "1"),
            ("PTTL k", "10000"),
            ("PERSIST k", "1"),
            ("PTTL k", "-1"),
            ("PEXPIRE k 1500", "1"),
            ("PTTL k", "1500"),
            ("EXPIREAT k 1700000010", "1"),
            ("PTTL k", "10000"),
            ("PEXPIREAT k 1700000000007", "1"),
            ("PTTL k", "7"),
        ]);
        db.now_ms += 7;
        db.expect(&[("PERSIST k", "0"), ("EXPIRE k 10", "0"), ("EXISTS k", "0")]);
    }

    #[test]
    fn the_past_deletes() {
        OneTable::new().expect(&[
            ("MSET a 1 b 2 c 3", "OK"),
            ("EXPIRE a 0", "1"),
            ("PEXPIRE b -5", "1"),
            ("EXPIREAT c 1", "1"),
            ("EXISTS a b c", "0"),
            ("DBSIZE", "0"),
        ]);
    }

    #[test]
    fn conditions_decide() {
        OneTable::new().expect(&[
            ("SET k v", "OK"),
            ("EXPIRE k 10 XX", "0"),
            ("EXPIRE k 10 GT", "0"),
            ("EXPIRE k 10 LT", "1"),
            ("EXPIRE k 20 NX", "0"),
            ("EXPIRE k 10 GT", "0"),
            ("EXPIRE k 20 GT XX", "1"),
            ("EXPIRE k 30 LT", "0"),
            ("EXPIRE k 15 LT", "1"),
            ("PERSIST k", "1"),
            ("EXPIRE k 5 LT XX", "0"),
            ("EXPIRE k 5 NX", "1"),
            (
                "EXPIRE k 5 NX GT",
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ),
            ("EXPIRE k 5 LT GT", "ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE k 5 ZZ", "ERR Unsupported option ZZ"),
            ("EXPIRE k x", "ERR value is not an integer or out of range"),
            ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
            ("PEXPIRE k 9223372036854775807", "ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT k -9223372036854775808", "ERR invalid expire time in 'expireat' command"),
        ]);
    }
}
