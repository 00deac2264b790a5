//! `APPEND`. Only the appended bytes are recorded.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const VALUE: Arg = Arg(1);

/// `APPEND`.
pub(crate) const APPEND: CommandSpec = CommandSpec {
    id: "kv.append",
    resp: "APPEND",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("value", "what to append")],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/kv/{key}/append", JsonReply::Field("length"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Appends to a string, creating it if need be, and answers its new length",
    complexity: "O(N) for N bytes, those appended or, for strings below 1 KiB, all",
    run: Run::Write(append),
};

fn append(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, value) = (args.bytes(KEY), args.bytes(VALUE));
    let Some(old) = plan.peek_string(key)? else {
        plan.put(key, value, None)?;
        plan.notify(Notice::String, "append", key);
        return Ok(Reply::count(value.len()));
    };
    let length = old.value().len();
    if !value.is_empty() {
        plan.patch(key, length, value)?;
        plan.notify(Notice::String, "append", key);
    }
    Ok(Reply::count(length + value.len()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn strings_grow_and_keep_their_deadline() {
        let mut db = OneTable::new();
        db.expect(&[
            ("APPEND k ab", "2"),
            ("EXPIRE k 10", "1"),
            ("APPEND k cd", "4"),
            ("GET k", "\"abcd\""),
            ("TTL k", "10"),
            ("APPEND k \"\"", "4"),
            ("APPEND empty \"\"", "0"),
            ("EXISTS empty", "1"),
        ]);
        db.now_ms += 10_000;
        db.expect(&[("APPEND k new", "3"), ("GET k", "\"new\""), ("TTL k", "-1")]);
    }

    #[test]
    fn large_strings_grow_by_small_records() {
        let mut db = OneTable::new();
        db.run(&[b"SET", b"k", &vec![b'x'; 100_000]]);
        let before = db.log.len();
        db.expect(&[("APPEND k y", "100001"), ("GETRANGE k 99999 -1", "\"xy\"")]);
        assert!(db.log.len() - before < 100, "the record holds the appended byte only");
    }
}
