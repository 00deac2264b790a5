//! Parts of a string: `GETRANGE`, `SUBSTR`, `SETRANGE`. Only the bytes that change are recorded.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::limits::VALUE_BYTES_MAX;
use crate::shard::plan::{Notice, Plan, View};

const KEY: Arg = Arg(0);
const START: Arg = Arg(1);
const END: Arg = Arg(2);

/// `GETRANGE`.
pub(crate) const GETRANGE: CommandSpec = CommandSpec {
    id: "kv.getrange",
    resp: "GETRANGE",
    family: Family::Kv,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("start", "first byte; negative counts from the end"),
        ArgSpec::integer("end", "last byte, included; negative counts from the end"),
    ],
    reply: ReplySpec::Bytes,
    http: &[HttpRoute::get("/kv/{key}/getrange", JsonReply::Bare)],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers a part of a string",
    complexity: "O(N) for N bytes answered",
    run: Run::Read(getrange),
};

/// `SUBSTR`, the older name of `GETRANGE`.
pub(crate) const SUBSTR: CommandSpec = CommandSpec {
    id: "kv.substr",
    resp: "SUBSTR",
    http: &[],
    summary: "Answers a part of a string; the older name of GETRANGE",
    ..GETRANGE
};

fn getrange<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let value = view.string(args.bytes(KEY))?.map_or(&[][..], |entry| entry.value());
    let range = clamp(args.integer(START), args.integer(END), value.len());
    Ok(Reply::borrowed(&value[range]))
}

/// The half-open range that inclusive bounds, which may be negative or outside, mean for `length`
/// things. As in Redis, an end before the first thing means the first thing.
pub(super) fn clamp(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let start = from_end(start).max(0) as usize;
    let end = from_end(end).clamp(0, length - 1) as usize + 1;
    if start < end { start..end } else { 0..0 }
}

const OFFSET: Arg = Arg(1);
const VALUE: Arg = Arg(2);

/// `SETRANGE`.
pub(crate) const SETRANGE: CommandSpec = CommandSpec {
    id: "kv.setrange",
    resp: "SETRANGE",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("offset", "first byte to overwrite"),
        ArgSpec::bytes("value", "the bytes from there on"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/kv/{key}/setrange", JsonReply::Field("length"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Overwrites a part of a string, extending it with zero bytes, and answers its length",
    complexity: "O(N) for N bytes written, or for the whole string where it grows",
    run: Run::Write(setrange),
};

fn setrange(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, value) = (args.bytes(KEY), args.bytes(VALUE));
    let Ok(offset) = usize::try_from(args.integer(OFFSET)) else {
        return Err(CommandError::Invalid("offset is out of range"));
    };
    let length = plan.peek_string(key)?.map_or(0, |entry| entry.value().len());
    if value.is_empty() {
        return Ok(Reply::count(length));
    }
    if offset.saturating_add(value.len()) > VALUE_BYTES_MAX {
        return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
    }
    plan.patch(key, offset, value)?;
    plan.notify(Notice::String, "setrange", key);
    Ok(Reply::count(length.max(offset + value.len())))
}

#[cfg(test)]
mod tests {
    use super::clamp;
    use crate::one_table::OneTable;

    #[test]
    fn bounds_are_clamped() {
        assert_eq!(clamp(0, -1, 5), 0..5);
        assert_eq!(clamp(-3, -2, 5), 2..4);
        assert_eq!(clamp(3, 100, 5), 3..5);
        assert_eq!(clamp(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(clamp(i64::MIN, i64::MIN, 5), 0..1);
        assert_eq!(clamp(0, -6, 5), 0..1);
        for (start, end) in [(4, 3), (5, 9), (-1, -3), (-50, -100)] {
            assert!(clamp(start, end, 5).is_empty(), "{start} {end}");
        }
        assert!(clamp(0, -1, 0).is_empty());
    }

    #[test]
    fn parts_are_read() {
        OneTable::new().expect(&[
            ("SET k hello", "OK"),
            ("GETRANGE k 1 3", "\"ell\""),
            ("SUBSTR k -3 -1", "\"llo\""),
            ("GETRANGE k 3 1", "\"\""),
            ("GETRANGE none 0 -1", "\"\""),
            ("GETRANGE k a 1", "ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn parts_are_written() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SETRANGE k 2 ab", "4"),
            ("GET k", "\"\\x00\\x00ab\""),
            ("SETRANGE k 0 xy", "4"),
            ("GET k", "\"xyab\""),
            ("SETRANGE k 1 \"\"", "4"),
            ("SETRANGE none 1 \"\"", "0"),
            ("EXISTS none", "0"),
            ("SETRANGE k -1 x", "ERR offset is out of range"),
            ("SETRANGE k 536870912 x", "ERR string exceeds maximum allowed size (536870912 bytes)"),
            ("EXPIRE k 5", "1"),
            ("SETRANGE k 6 z", "7"),
            ("TTL k", "5"),
        ]);
    }
}
