//! Several strings at once: `MGET`, `MSET`, `MSETNX`.
//!
//! A command records one change per key, so of pairs with the same key only the last is recorded.

use std::collections::BTreeMap;

use crate::command::args::{Arg, Args, wrong_arity};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, PerKey,
    ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan, View};

const KEYS: Arg = Arg(0);
const PAIRS: Arg = Arg(0);

/// `MGET`.
pub(crate) const MGET: CommandSpec = CommandSpec {
    id: "kv.mget",
    resp: "MGET",
    family: Family::Kv,
    access: Access::Read,
    keys: Keys::ALL,
    atomicity: Atomicity::PerKey(PerKey::Array),
    args: &[ArgSpec::key("keys", "the keys").repeated()],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/kv/mget", JsonReply::Field("values"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the string values of several keys, nil for each that does not exist",
    complexity: "O(N) for N keys",
    run: Run::Read(mget),
};

fn mget<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let value = |key: &&[u8]| match view.string(key) {
        Ok(Some(entry)) => Reply::borrowed(entry.value()),
        // What is no string counts as absent here, as in Redis.
        Ok(None) | Err(_) => Reply::Nil,
    };
    Ok(Reply::Array(args.rest(KEYS).iter().map(value).collect()))
}

const PAIR: &[ArgSpec] = &[ArgSpec::key("key", "a key"), ArgSpec::bytes("value", "its new value")];

/// `MSET`.
pub(crate) const MSET: CommandSpec = CommandSpec {
    id: "kv.mset",
    resp: "MSET",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::PAIRS,
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::block("pairs", PAIR, "keys and their values").repeated()],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/kv/mset", JsonReply::Shape("mset"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Sets the string values of several keys, all or none",
    complexity: "O(N) for N keys",
    run: Run::Write(mset),
};

fn mset(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    put_all(plan, pairs(args, &MSET)?)?;
    Ok(Reply::Ok)
}

/// `MSETNX`.
pub(crate) const MSETNX: CommandSpec = CommandSpec {
    id: "kv.msetnx",
    resp: "MSETNX",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/kv/msetnx", JsonReply::Flag("success"))],
    summary: "Sets the string values of several keys if none of them exists; 1 if they were set",
    run: Run::Write(msetnx),
    ..MSET
};

fn msetnx(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let pairs = pairs(args, &MSETNX)?;
    if pairs.iter().any(|[key, _]| plan.peek(key).is_some()) {
        return Ok(Reply::Integer(0));
    }
    put_all(plan, pairs)?;
    Ok(Reply::Integer(1))
}

fn pairs<'a>(args: &Args<'a>, spec: &CommandSpec) -> Result<&'a [[&'a [u8]; 2]], CommandError> {
    match args.rest(PAIRS).as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(wrong_arity(spec)),
    }
}

/// Up to so many keys it is cheaper to compare each with each than to sort them.
const COMPARED_MAX: usize = 32;

fn put_all(plan: &mut Plan<'_>, pairs: &[[&[u8]; 2]]) -> Result<(), CommandError> {
    let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
    if pairs.len() > COMPARED_MAX {
        last.extend(pairs.iter().enumerate().map(|(index, [key, _])| (*key, index)));
    }
    for (index, [key, value]) in pairs.iter().enumerate() {
        let comes_again = match last.get(key) {
            Some(last) => *last != index,
            None => pairs[index + 1..].iter().any(|[later, _]| later == key),
        };
        if !comes_again {
            plan.put(key, value, None)?;
            plan.notify(Notice::String, "set", key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn several_keys_are_set_and_read() {
        OneTable::new().expect(&[
            ("MSET a 1 b 2 c 3", "OK"),
            ("MGET a b none a", "[\"1\", \"2\", nil, \"1\"]"),
            ("MSET a x b y a z", "OK"),
            ("MGET a b", "[\"z\", \"y\"]"),
            ("MSET a", "ERR wrong number of arguments for 'mset' command"),
            ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
            ("EXPIRE a 10", "1"),
            ("MSET a 1", "OK"),
            ("TTL a", "-1"),
        ]);
    }

    #[test]
    fn all_are_set_or_none() {
        let mut db = OneTable::new();
        db.expect(&[
            ("MSETNX a 1 b 2 a 3", "1"),
            ("MGET a b", "[\"3\", \"2\"]"),
            ("MSETNX c 1 b 9", "0"),
            ("MGET c b", "[nil, \"2\"]"),
            ("MSETNX a", "ERR wrong number of arguments for 'msetnx' command"),
            ("PEXPIRE a 1", "1"),
        ]);
        db.now_ms += 1;
        db.expect(&[("MSETNX a 4 d 5", "1"), ("MGET a d", "[\"4\", \"5\"]")]);
    }
}
