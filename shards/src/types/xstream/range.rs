//! `XLEN`, `XRANGE` and `XREVRANGE`.

use super::find;
use super::id::Id;
use super::stream::Stream;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const FROM: Arg = Arg(1);
const TO: Arg = Arg(2);
const COUNT: Arg = Arg(3);

/// `XLEN`.
pub(crate) const XLEN: CommandSpec = CommandSpec {
    id: "xstream.len",
    resp: "XLEN",
    family: Family::Stream,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the number of entries of a stream",
    complexity: "O(1)",
    run: Run::Read(|view, args| {
        Ok(Reply::count(find::get(view, args.bytes(KEY))?.map_or(0, Stream::len)))
    }),
};

const ENTRIES: ArgSpec =
    ArgSpec::integer("count", "entries at most").with_token("COUNT").optional();

/// `XRANGE`.
pub(crate) const XRANGE: CommandSpec = CommandSpec {
    id: "xstream.range",
    resp: "XRANGE",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("start", "first id; - is the least, ( before it leaves it out"),
        ArgSpec::bytes("end", "last id; + is the greatest, ( before it leaves it out"),
        ENTRIES,
    ],
    reply: ReplySpec::Any,
    flags: Flags::NONE,
    summary: "Answers the entries of a stream between two ids; nil for a count of 0",
    complexity: "O(N) for N entries answered",
    run: Run::Read(|view, args| range(view, args, FROM, TO)),
    ..XLEN
};

/// `XREVRANGE`.
pub(crate) const XREVRANGE: CommandSpec = CommandSpec {
    id: "xstream.revrange",
    resp: "XREVRANGE",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("end", "last id; + is the greatest, ( before it leaves it out"),
        ArgSpec::bytes("start", "first id; - is the least, ( before it leaves it out"),
        ENTRIES,
    ],
    summary: "Answers the entries of a stream between two ids, last first; nil for a count of 0",
    run: Run::Read(|view, args| range(view, args, TO, FROM)),
    ..XRANGE
};

fn range<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    start: Arg,
    end: Arg,
) -> Result<Reply<'s>, CommandError> {
    let back = start == TO;
    let start = Id::range_start(args.bytes(start))?;
    let end = Id::range_end(args.bytes(end))?;
    let count = args.opt_integer(COUNT).map(|count| usize::try_from(count).unwrap_or(0));
    let Some(stream) = find::get(view, args.bytes(KEY))? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let count = match count {
        Some(0) => return Ok(Reply::NilArray),
        count => count.unwrap_or(usize::MAX),
    };
    // How many lie between two ids, only looking tells: one more than may be is enough to know.
    let count = count.min(view.read_elements_max().saturating_add(1));
    let entries: Vec<Reply<'s>> = if start > end {
        Vec::new()
    } else if back {
        stream.range_back(start, end).take(count).map(find::entry_reply).collect()
    } else {
        stream.range(start, end).take(count).map(find::entry_reply).collect()
    };
    view.may_read(entries.len())?;
    Ok(Reply::Array(entries))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn ranges_are_answered_both_ways() {
        let mut db = OneTable::new();
        for id in ["1-1", "1-2", "2-0", "3-0"] {
            db.ask(&format!("XADD s {id} f {id}"));
        }
        let entry = |id: &str| format!("[\"{id}\", [\"f\", \"{id}\"]]");
        let all = |ids: &[&str]| {
            format!("[{}]", ids.iter().map(|id| entry(id)).collect::<Vec<_>>().join(", "))
        };
        for (line, ids) in [
            ("XRANGE s - +", &["1-1", "1-2", "2-0", "3-0"][..]),
            ("XRANGE s 1 1", &["1-1", "1-2"]),
            ("XRANGE s (1-1 (3-0", &["1-2", "2-0"]),
            ("XRANGE s (2 (3", &["3-0"]),
            ("XRANGE s (1-1 (3-0 COUNT 1", &["1-2"]),
            ("XRANGE s 2 1", &[]),
            ("XRANGE s - + COUNT 2", &["1-1", "1-2"]),
            ("XREVRANGE s + -", &["3-0", "2-0", "1-2", "1-1"]),
            ("XREVRANGE s (3-0 (1-1 COUNT 1", &["2-0"]),
            ("XREVRANGE s 1 1", &["1-2", "1-1"]),
            ("XRANGE none - +", &[]),
            ("XRANGE none - + COUNT 0", &[]),
        ] {
            assert_eq!(db.ask(line), all(ids), "{line}");
        }
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        db.expect(&[
            ("XLEN s", "4"),
            ("XLEN none", "0"),
            ("XRANGE s - + COUNT 0", "nil"),
            ("XRANGE s - + COUNT -1", "nil"),
            ("XRANGE s x +", invalid),
            ("XRANGE s ( +", invalid),
            ("XRANGE s (- +", invalid),
            ("XRANGE s - (0-0", "ERR invalid end ID for the interval"),
            (
                "XRANGE s (18446744073709551615-18446744073709551615 +",
                "ERR invalid start ID for the interval",
            ),
            ("XRANGE s - + NOPE 1", "ERR syntax error"),
            ("XRANGE s -", "ERR wrong number of arguments for 'xrange' command"),
            ("SET k v", "OK"),
            ("XLEN k", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
