//! `LLEN`, `LRANGE`, `LINDEX`.

use super::{list_at, number_of, span};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);

/// `LLEN`.
pub(crate) const LLEN: CommandSpec = CommandSpec {
    id: "list.llen",
    resp: "LLEN",
    family: Family::List,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the list")],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/list/{key}/len", JsonReply::Shape("list_length"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the number of elements of a list",
    complexity: "O(1)",
    run: Run::Read(|view, args| {
        let list = list_at(view, args.bytes(KEY))?;
        Ok(Reply::count(list.map_or(0, |list| list.len())))
    }),
};

const START: Arg = Arg(1);
const STOP: Arg = Arg(2);

/// `LRANGE`.
pub(crate) const LRANGE: CommandSpec = CommandSpec {
    id: "list.lrange",
    resp: "LRANGE",
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("start", "index of the first; negative from the end"),
        ArgSpec::integer("stop", "index of the last; negative from the end"),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/list/{key}/range", JsonReply::Shape("list_values"))],
    flags: Flags::NONE,
    summary: "Answers the elements of a list from one index to another",
    complexity: "O(S+N) for N elements and S nodes of some kilobytes before them",
    run: Run::Read(lrange),
    ..LLEN
};

fn lrange<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let Some(list) = list_at(view, args.bytes(KEY))? else { return Ok(Reply::Array(Vec::new())) };
    let (first, count) = span(list.len(), args.integer(START), args.integer(STOP));
    view.may_read(count)?;
    let mut items = Vec::with_capacity(count);
    items.extend(list.from(first).take(count).map(Reply::borrowed));
    Ok(Reply::Array(items))
}

const INDEX_ARG: Arg = Arg(1);

/// `LINDEX`.
pub(crate) const LINDEX: CommandSpec = CommandSpec {
    id: "list.lindex",
    resp: "LINDEX",
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::integer("index", "which element; negative from the end"),
    ],
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::NONE,
    summary: "Answers the element of an index, or nil",
    complexity: "O(S) for S nodes of some kilobytes to the nearer end",
    run: Run::Read(|view, args| Ok(element(view, args)?.unwrap_or(Reply::Nil))),
    ..LLEN
};

/// `SYNAP.LINDEX`: what the REST surface needs to tell a missing list from a missing element.
pub(crate) const INDEX: CommandSpec = CommandSpec {
    id: "list.index",
    resp: "SYNAP.LINDEX",
    reply: ReplySpec::Bytes,
    http: &[HttpRoute::get("/list/{key}/index/{index}", JsonReply::Shape("list_index"))],
    summary: "Answers the element of an index, or an error that says what is missing",
    run: Run::Read(|view, args| {
        element(view, args)?.ok_or_else(|| match view.peek(args.bytes(KEY)) {
            None => CommandError::NoSuchKey,
            Some(_) => CommandError::Invalid(super::change::OUT_OF_RANGE),
        })
    }),
    ..LINDEX
};

fn element<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Option<Reply<'s>>, CommandError> {
    let Some(list) = list_at(view, args.bytes(KEY))? else { return Ok(None) };
    let number = number_of(list.len(), args.integer(INDEX_ARG));
    Ok(number.and_then(|number| list.get(number)).map(Reply::borrowed))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn elements_are_read() {
        OneTable::new().expect(&[
            ("LLEN l", "0"),
            ("LRANGE l 0 -1", "[]"),
            ("LINDEX l 0", "nil"),
            ("RPUSH l a b c d", "4"),
            ("LLEN l", "4"),
            ("LRANGE l 0 -1", "[\"a\", \"b\", \"c\", \"d\"]"),
            ("LRANGE l -2 9", "[\"c\", \"d\"]"),
            ("LRANGE l 2 1", "[]"),
            ("LINDEX l 1", "\"b\""),
            ("LINDEX l -4", "\"a\""),
            ("LINDEX l 4", "nil"),
            ("LINDEX l -5", "nil"),
            ("LRANGE l a b", "ERR value is not an integer or out of range"),
            ("LINDEX l a", "ERR value is not an integer or out of range"),
            ("SET s v", "OK"),
            ("LLEN s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LRANGE s 0 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn what_is_missing_is_named() {
        OneTable::new().expect(&[
            ("RPUSH l a", "1"),
            ("SYNAP.LINDEX l 0", "\"a\""),
            ("SYNAP.LINDEX l 1", "ERR index out of range"),
            ("SYNAP.LINDEX none 1", "ERR no such key"),
        ]);
    }
}
