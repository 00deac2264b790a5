//! Setting fields: `HSET`, `HMSET`, `HSETNX`. A field that is set does not expire any more.

use super::change::{Changing, set_one};
use crate::command::args::{Arg, Args, wrong_arity};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const FIELD: Arg = Arg(1);
const VALUE: Arg = Arg(2);
/// Position of the first field among the words.
const FIELD_WORD: usize = 2;

const PAIR: &[ArgSpec] =
    &[ArgSpec::bytes("field", "a field"), ArgSpec::bytes("value", "its new value")];

/// `HSET`.
pub(crate) const HSET: CommandSpec = CommandSpec {
    id: "hash.set",
    resp: "HSET",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("field", "a field"),
        ArgSpec::bytes("value", "its new value"),
        ArgSpec::block("more", PAIR, "further fields and values").optional().repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/hash/{key}/set", JsonReply::Shape("hash_set"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.2.0",
    summary: "Sets fields of a hash and answers how many are new",
    complexity: "O(N) for N fields",
    run: Run::Write(hset),
};

fn hset(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let created = set_all(plan, args, &HSET)?;
    Ok(Reply::count(created))
}

/// Sets every pair among the words; how many fields are new.
fn set_all(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    spec: &CommandSpec,
) -> Result<usize, CommandError> {
    let (pairs, []) = args.words()[FIELD_WORD..].as_chunks::<2>() else {
        return Err(wrong_arity(spec));
    };
    if let [[name, value]] = pairs
        && let Some(is_new) = set_one(plan, args.bytes(KEY), name, value)?
    {
        return Ok(usize::from(is_new));
    }
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let mut created = 0;
    for [name, value] in pairs {
        created += usize::from(change.set(name, value, None)?);
    }
    change.commit(plan, &["hset"])?;
    Ok(created)
}

/// `HMSET`.
pub(crate) const HMSET: CommandSpec = CommandSpec {
    id: "hash.mset",
    resp: "HMSET",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::block("fields", PAIR, "fields and their values").repeated(),
    ],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/hash/{key}/mset", JsonReply::Shape("hash_mset"))],
    summary: "Sets fields of a hash",
    run: Run::Write(hmset),
    ..HSET
};

fn hmset(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    set_all(plan, args, &HMSET)?;
    Ok(Reply::Ok)
}

/// `HSETNX`.
pub(crate) const HSETNX: CommandSpec = CommandSpec {
    id: "hash.setnx",
    resp: "HSETNX",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("field", "the field"),
        ArgSpec::bytes("value", "its value"),
    ],
    http: &[HttpRoute::post("/hash/{key}/setnx", JsonReply::Shape("hash_setnx"))],
    summary: "Sets a field of a hash if it is not there; 1 if it was set",
    complexity: "O(1)",
    run: Run::Write(hsetnx),
    ..HSET
};

fn hsetnx(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (name, value) = (args.bytes(FIELD), args.bytes(VALUE));
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    if change.view().get(name).is_some() {
        return Ok(Reply::Integer(0));
    }
    change.set(name, value, None)?;
    change.commit(plan, &["hset"])?;
    Ok(Reply::Integer(1))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    #[test]
    fn fields_are_set_and_counted() {
        OneTable::new().expect(&[
            ("HSET h a 1 b 2", "2"),
            ("HSET h a 3", "0"),
            ("HSET h a 4 c 5 c 6", "1"),
            ("HMGET h a b c d", "[\"4\", \"2\", \"6\", nil]"),
            ("HSET h \"\" \"\"", "1"),
            ("HGET h \"\"", "\"\""),
            ("HMSET h d 7 e 8", "OK"),
            ("HLEN h", "6"),
            ("TYPE h", "hash"),
            ("EXPIRE h 100", "1"),
            ("HSET h a 1", "0"),
            ("TTL h", "100"),
            ("HSET h a", "ERR wrong number of arguments for 'hset' command"),
            ("HSET h a 1 b", "ERR wrong number of arguments for 'hset' command"),
            ("HMSET h a", "ERR wrong number of arguments for 'hmset' command"),
            ("HMSET h a 1 b", "ERR wrong number of arguments for 'hmset' command"),
            ("HSETNX h a", "ERR wrong number of arguments for 'hsetnx' command"),
            ("HSETNX h a 1 b", "ERR wrong number of arguments for 'hsetnx' command"),
        ]);
    }

    #[test]
    fn a_field_is_set_if_it_is_absent() {
        OneTable::new().expect(&[
            ("HSETNX h a 1", "1"),
            ("HSETNX h a 2", "0"),
            ("HGET h a", "\"1\""),
            ("SET s v", "OK"),
            ("HSETNX s a 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HSET s a 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HMSET s a 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn an_expired_key_is_made_anew() {
        let mut db = OneTable::new();
        db.expect(&[("HSET h a 1", "1"), ("PEXPIRE h 5", "1")]);
        db.now_ms += 5;
        db.expect(&[("HSET h b 2", "1"), ("HGETALL h", "{\"b\": \"2\"}"), ("TTL h", "-1")]);
    }

    #[test]
    fn forms_change_where_redis_changes_them() {
        let mut db = OneTable::new();
        for number in 0..128 {
            db.ask(&format!("HSET h f{number} v"));
        }
        let (longest, longer) = ("x".repeat(64), "x".repeat(65));
        db.expect(&[
            ("OBJECT ENCODING h", "\"listpack\""),
            ("HSET h f1 w", "0"),
            ("OBJECT ENCODING h", "\"listpack\""),
            ("HSET h more v", "1"),
            ("OBJECT ENCODING h", "\"hashtable\""),
            ("HGET h f1", "\"w\""),
            ("HLEN h", "129"),
            (&format!("HSET v {longest} {longest}"), "1"),
            ("OBJECT ENCODING v", "\"listpack\""),
            (&format!("HSET v a {longer}"), "1"),
            ("OBJECT ENCODING v", "\"hashtable\""),
            (&format!("HSET n {longer} a"), "1"),
            ("OBJECT ENCODING n", "\"hashtable\""),
            ("DEL h v n", "3"),
        ]);
    }

    #[test]
    fn any_bytes_are_fields_and_values() {
        let mut db = OneTable::new();
        let bytes: Vec<u8> = (0..=255).collect();
        let big = vec![b'b'; 70_000];
        assert_eq!(db.run(&[b"HSET", b"h", &bytes, &big, &big, &bytes]), Reply::Integer(2));
        assert_eq!(db.run(&[b"HGET", b"h", &bytes]), Reply::owned(big.clone()));
        assert_eq!(db.run(&[b"HGET", b"h", &big]), Reply::owned(bytes));
    }
}
