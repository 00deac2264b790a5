//! `COPY`, and `MOVE`, which cannot move anywhere: there is one database.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const DESTINATION: Arg = Arg(1);
const DB: Arg = Arg(2);
const REPLACE: Arg = Arg(3);
const MOVE_DB: Arg = Arg(1);

const OUT_OF_RANGE: CommandError = CommandError::Invalid("DB index is out of range");
const SAME: CommandError = CommandError::Invalid("source and destination objects are the same");

/// `COPY`.
pub(crate) const COPY: CommandSpec = CommandSpec {
    id: "key.copy",
    resp: "COPY",
    family: Family::Key,
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::key("destination", "the name of the copy"),
        ArgSpec::integer("db", "database of the copy; there is only 0").with_token("DB").optional(),
        ArgSpec::flag("replace", "REPLACE", "replace what the destination holds"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/key/{key}/copy", JsonReply::Shape("copy"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Copies value and deadline of a key; 1 if it was copied",
    complexity: "O(N) for N bytes of the value",
    run: Run::Write(copy),
};

fn copy(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, destination) = (args.bytes(KEY), args.bytes(DESTINATION));
    if args.opt_integer(DB).is_some_and(|db| db != 0) {
        return Err(OUT_OF_RANGE);
    }
    if key == destination {
        return Err(SAME);
    }
    let Some(entry) = plan.peek(key) else { return Ok(Reply::Integer(0)) };
    if !args.flag(REPLACE) && plan.peek(destination).is_some() {
        return Ok(Reply::Integer(0));
    }
    plan.store_copy(destination, &entry, entry.deadline_ms())?;
    plan.notify(Notice::Generic, "copy_to", destination);
    Ok(Reply::Integer(1))
}

/// `MOVE`.
pub(crate) const MOVE: CommandSpec = CommandSpec {
    id: "key.move",
    resp: "MOVE",
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("db", "the database to move it to; there is only 0"),
    ],
    http: &[],
    flags: Flags::FAST,
    summary: "Moves a key to another database; always refused, as there is only one",
    complexity: "O(1)",
    run: Run::Write(|_, args| Err(if args.integer(MOVE_DB) == 0 { SAME } else { OUT_OF_RANGE })),
    ..COPY
};

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn copies_have_value_and_deadline() {
        OneTable::new().expect(&[
            ("COPY none b", "0"),
            ("SET a 1 PX 100", "OK"),
            ("COPY a b", "1"),
            ("MGET a b", "[\"1\", \"1\"]"),
            ("PTTL b", "100"),
            ("SET a 2", "OK"),
            ("COPY a b", "0"),
            ("COPY a b REPLACE DB 0", "1"),
            ("GET b", "\"2\""),
            ("TTL b", "-1"),
            ("COPY a a", "ERR source and destination objects are the same"),
            ("COPY a c DB 1", "ERR DB index is out of range"),
            ("COPY a c DB x", "ERR value is not an integer or out of range"),
            ("MOVE a 1", "ERR DB index is out of range"),
            ("MOVE a 0", "ERR source and destination objects are the same"),
        ]);
    }
}
