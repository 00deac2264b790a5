//! `RENAME` and `RENAMENX`. The deadline moves with the value; the destination's is replaced.

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

/// `RENAME`.
pub(crate) const RENAME: CommandSpec = CommandSpec {
    id: "key.rename",
    resp: "RENAME",
    family: Family::Key,
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::key("destination", "its new name")],
    reply: ReplySpec::Ok,
    http: &[HttpRoute::post("/key/{key}/rename", JsonReply::Shape("rename"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Renames a key, replacing what the new name held",
    complexity: "O(N) for N bytes of the value",
    run: Run::Write(rename),
};

fn rename(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    move_value(plan, args.bytes(KEY), args.bytes(DESTINATION))?;
    Ok(Reply::Ok)
}

/// `RENAMENX`.
pub(crate) const RENAMENX: CommandSpec = CommandSpec {
    id: "key.renamenx",
    resp: "RENAMENX",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/key/{key}/renamenx", JsonReply::Shape("renamenx"))],
    summary: "Renames a key if no key has the new name; 1 if it was renamed",
    run: Run::Write(renamenx),
    ..RENAME
};

fn renamenx(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, destination) = (args.bytes(KEY), args.bytes(DESTINATION));
    if plan.peek(key).is_some() && plan.peek(destination).is_some() {
        return Ok(Reply::Integer(0));
    }
    move_value(plan, key, destination)?;
    Ok(Reply::Integer(1))
}

fn move_value(plan: &mut Plan<'_>, key: &[u8], destination: &[u8]) -> Result<(), CommandError> {
    let entry = plan.peek(key).ok_or(CommandError::NoSuchKey)?;
    if key != destination {
        plan.store_copy(destination, &entry, entry.deadline_ms())?;
        plan.delete(key);
        plan.notify(Notice::Generic, "rename_from", key);
        plan.notify(Notice::Generic, "rename_to", destination);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn value_and_deadline_move() {
        let mut db = OneTable::new();
        db.expect(&[
            ("RENAME none b", "ERR no such key"),
            ("RENAME none none", "ERR no such key"),
            ("SET a 1 PX 100", "OK"),
            ("SET b 2", "OK"),
            ("RENAME a b", "OK"),
            ("GET a", "nil"),
            ("GET b", "\"1\""),
            ("PTTL b", "100"),
            ("RENAME b b", "OK"),
            ("PTTL b", "100"),
        ]);
        db.now_ms += 100;
        db.expect(&[("RENAME b c", "ERR no such key"), ("SET c 1", "OK"), ("RENAME c b", "OK")]);
    }

    #[test]
    fn nothing_is_replaced() {
        OneTable::new().expect(&[
            ("RENAMENX none b", "ERR no such key"),
            ("MSET a 1 b 2", "OK"),
            ("RENAMENX a b", "0"),
            ("RENAMENX a a", "0"),
            ("RENAMENX a c", "1"),
            ("MGET a b c", "[nil, \"2\", \"1\"]"),
        ]);
    }
}
