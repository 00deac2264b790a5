//! Commands that answer a string and change its key: `GETEX`, `GETDEL`, `GETSET`.

use crate::command::args::{Arg, Args};
use crate::command::deadline::{self, Due, EX, EXAT, PX, PXAT};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const EXPIRY: Arg = Arg(1);
const VALUE: Arg = Arg(1);

const EXPIRIES: &[ArgSpec] =
    &[EX, PX, EXAT, PXAT, ArgSpec::flag("persist", "PERSIST", "it does not expire any more")];
const PERSIST: usize = 4;

/// `GETEX`.
pub(crate) const GETEX: CommandSpec = CommandSpec {
    id: "kv.getex",
    resp: "GETEX",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::one_of("expiry", EXPIRIES, "its new deadline; unchanged, if absent").optional(),
    ],
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the string value of a key and changes when it expires",
    complexity: "O(1)",
    run: Run::Write(getex),
};

fn getex(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let due = deadline::from_option(args, EXPIRY, plan.now().unix_ms, "getex")?;
    let Some(entry) = plan.string(key)? else { return Ok(Reply::Nil) };
    let persists = matches!(args.choice(EXPIRY), Some((PERSIST, _)));
    match due {
        Some(Due::At(deadline)) => {
            plan.expire(key, Some(deadline));
            plan.notify(Notice::Generic, "expire", key);
        }
        Some(Due::Past) => {
            plan.delete(key);
            plan.notify(Notice::Generic, "del", key);
        }
        None if persists && entry.deadline_ms().is_some() => {
            plan.expire(key, None);
            plan.notify(Notice::Generic, "persist", key);
        }
        None => {}
    }
    Ok(Reply::owned(entry.value().to_vec()))
}

/// `GETDEL`.
pub(crate) const GETDEL: CommandSpec = CommandSpec {
    id: "kv.getdel",
    resp: "GETDEL",
    args: &[ArgSpec::key("key", "the key")],
    summary: "Answers the string value of a key and deletes the key",
    run: Run::Write(getdel),
    ..GETEX
};

fn getdel(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let Some(entry) = plan.string(key)? else { return Ok(Reply::Nil) };
    plan.delete(key);
    plan.notify(Notice::Generic, "del", key);
    Ok(Reply::owned(entry.value().to_vec()))
}

/// `GETSET`.
pub(crate) const GETSET: CommandSpec = CommandSpec {
    id: "kv.getset",
    resp: "GETSET",
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("value", "its new value")],
    http: &[HttpRoute::post("/kv/{key}/getset", JsonReply::Bare)],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    summary: "Sets the string value of a key, drops its deadline and answers the old value",
    run: Run::Write(getset),
    ..GETEX
};

fn getset(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let old = plan.string(key)?;
    plan.put(key, args.bytes(VALUE), None)?;
    plan.notify(Notice::String, "set", key);
    Ok(old.map_or(Reply::Nil, |old| Reply::owned(old.value().to_vec())))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn the_deadline_changes_with_the_read() {
        OneTable::new().expect(&[
            ("GETEX none EX 10", "nil"),
            ("SET k v", "OK"),
            ("GETEX k EX 10", "\"v\""),
            ("PTTL k", "10000"),
            ("GETEX k", "\"v\""),
            ("PTTL k", "10000"),
            ("GETEX k PERSIST", "\"v\""),
            ("PTTL k", "-1"),
            ("GETEX k PERSIST", "\"v\""),
            ("GETEX k PX 0", "ERR invalid expire time in 'getex' command"),
            ("GETEX k EX 1 PERSIST", "ERR syntax error"),
            ("GETEX k KEEPTTL", "ERR syntax error"),
            ("GETEX k PXAT 1", "\"v\""),
            ("GET k", "nil"),
        ]);
    }

    #[test]
    fn the_old_value_is_answered() {
        OneTable::new().expect(&[
            ("GETDEL k", "nil"),
            ("GETSET k a", "nil"),
            ("EXPIRE k 10", "1"),
            ("GETSET k b", "\"a\""),
            ("TTL k", "-1"),
            ("GETDEL k", "\"b\""),
            ("EXISTS k", "0"),
        ]);
    }
}
