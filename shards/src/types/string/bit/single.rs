//! `SETBIT` and `GETBIT`. Setting a bit records one byte, however long the string.

use super::{BITS_MAX, OFFSET_REFUSAL};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan, View};

const KEY: Arg = Arg(0);
const OFFSET: Arg = Arg(1);
const VALUE: Arg = Arg(2);

const VALUE_REFUSAL: &str = "bit is not an integer or out of range";
const OFFSET_SPEC: ArgSpec =
    ArgSpec::integer("offset", "number of the bit, below 2^32").refused_as(OFFSET_REFUSAL);

/// `SETBIT`.
pub(crate) const SETBIT: CommandSpec = CommandSpec {
    id: "bitmap.setbit",
    resp: "SETBIT",
    family: Family::Bitmap,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        OFFSET_SPEC,
        ArgSpec::integer("value", "0 or 1").refused_as(VALUE_REFUSAL),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/bitmap/{key}/setbit", JsonReply::Shape("bitmap_setbit"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Sets a bit, extending the string with zeros, and answers what it was",
    complexity: "O(1), or O(N) for N bytes where the string grows",
    run: Run::Write(setbit),
};

/// The byte a bit stands in, and its mask there.
fn place(args: &Args<'_>) -> Result<(usize, u8), CommandError> {
    let offset = u64::try_from(args.integer(OFFSET)).ok().filter(|offset| *offset < BITS_MAX);
    let offset = offset.ok_or(CommandError::Invalid(OFFSET_REFUSAL))?;
    Ok(((offset / 8) as usize, 0x80 >> (offset % 8)))
}

fn setbit(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (at, mask) = place(args)?;
    let set = match args.integer(VALUE) {
        0 => false,
        1 => true,
        _ => return Err(CommandError::Invalid(VALUE_REFUSAL)),
    };
    let key = args.bytes(KEY);
    let before = plan.peek_string(key)?.and_then(|entry| entry.value().get(at).copied());
    let was = before.unwrap_or(0);
    let is = if set { was | mask } else { was & !mask };
    if before != Some(is) {
        plan.patch(key, at, &[is])?;
        plan.notify(Notice::String, "setbit", key);
    }
    Ok(Reply::Integer((was & mask != 0).into()))
}

/// `GETBIT`.
pub(crate) const GETBIT: CommandSpec = CommandSpec {
    id: "bitmap.getbit",
    resp: "GETBIT",
    access: Access::Read,
    args: &[ArgSpec::key("key", "the key"), OFFSET_SPEC],
    http: &[HttpRoute::get("/bitmap/{key}/getbit/{offset}", JsonReply::Shape("bitmap_getbit"))],
    flags: Flags::FAST,
    summary: "Answers a bit; 0 behind the end of the string",
    complexity: "O(1)",
    run: Run::Read(getbit),
    ..SETBIT
};

fn getbit<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (at, mask) = place(args)?;
    let byte = view.string(args.bytes(KEY))?.and_then(|entry| entry.value().get(at).copied());
    Ok(Reply::Integer((byte.unwrap_or(0) & mask != 0).into()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn bits_are_set_and_read() {
        OneTable::new().expect(&[
            ("SETBIT k 7 1", "0"),
            ("SETBIT k 7 1", "1"),
            ("SETBIT k 0 1", "0"),
            ("SETBIT k 17 1", "0"),
            ("GET k", "\"\\x81\\x00@\""),
            ("GETBIT k 7", "1"),
            ("GETBIT k 8", "0"),
            ("GETBIT k 4294967295", "0"),
            ("GETBIT none 5", "0"),
            ("SETBIT k 7 0", "1"),
            ("SETBIT k 31 0", "0"),
            ("STRLEN k", "4"),
            ("SETBIT k 1 2", "ERR bit is not an integer or out of range"),
            ("SETBIT k 1 x", "ERR bit is not an integer or out of range"),
            ("SETBIT k -1 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT k x 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT k 4294967296 1", "ERR bit offset is not an integer or out of range"),
            ("GETBIT k x", "ERR bit offset is not an integer or out of range"),
        ]);
    }

    #[test]
    fn a_bit_of_a_long_string_is_a_short_record() {
        let mut db = OneTable::new();
        db.run(&[b"SET", b"k", &vec![0; 100_000]]);
        let before = db.log.len();
        db.expect(&[("EXPIRE k 10", "1"), ("SETBIT k 700000 1", "0"), ("TTL k", "10")]);
        assert!(db.log.len() - before < 200);
        db.expect(&[("SETBIT k 700000 1", "1"), ("BITCOUNT k", "1")]);
    }
}
