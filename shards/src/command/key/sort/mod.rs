//! `SORT` and `SORT_RO`.
//!
//! `BY` and `GET` may name other keys by patterns, which only the elements fill in. A command with
//! such a pattern therefore needs every shard ([`Flags::REACHES`]): it runs with all of them here,
//! borrowed for its time. It is for administration and reports, not for every request.

mod options;
mod order;
mod pattern;

use std::borrow::Cow;

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan, View};
use crate::shard::{Entry, ValueType};
use crate::types::hash::HashView;
use crate::types::list::{self, ListView};
use crate::types::set::SetView;
use crate::types::zset::ZsetView;
use options::Options;

const KEY: Arg = Arg(0);
const OPTIONS: Arg = Arg(1);

const LIMIT: &[ArgSpec] = &[
    ArgSpec::integer("offset", "how many to leave out"),
    ArgSpec::integer("count", "how many to answer"),
];
const BY: ArgSpec = ArgSpec::pattern("by", "sort by the value of this key").with_token("BY");
const LIMITED: ArgSpec = ArgSpec::block("limit", LIMIT, "a part of the result").with_token("LIMIT");
const GET: ArgSpec = ArgSpec::pattern("get", "answer the value of this key").with_token("GET");
const ASC: ArgSpec = ArgSpec::flag("asc", "ASC", "the least first");
const DESC: ArgSpec = ArgSpec::flag("desc", "DESC", "the greatest first");
const ALPHA: ArgSpec = ArgSpec::flag("alpha", "ALPHA", "compare bytes, not numbers");
const STORE: ArgSpec = ArgSpec::key("destination", "make a list of the result").with_token("STORE");

/// `SORT`.
pub(super) const SORT: CommandSpec = CommandSpec {
    id: "key.sort",
    resp: "SORT",
    family: Family::Key,
    access: Access::Write,
    keys: Keys::Tokened { first: 1, tokens: &["STORE"] },
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("key", "a list, set or sorted set"),
        ArgSpec::one_of(
            "options",
            &[BY, LIMITED, GET, ASC, DESC, ALPHA, STORE],
            "how to sort and what to answer",
        )
        .optional()
        .repeated(),
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::REACHES),
    since: "0.2.0",
    summary: "Answers elements in order, or what they name; with STORE the length of the list made",
    complexity: "O(N+M*log(M)) for N elements of which M are answered",
    run: Run::Write(sort),
};

/// `SORT_RO`.
pub(super) const SORT_RO: CommandSpec = CommandSpec {
    id: "key.sort_ro",
    resp: "SORT_RO",
    access: Access::Read,
    args: &[
        ArgSpec::key("key", "a list, set or sorted set"),
        ArgSpec::one_of(
            "options",
            &[BY, LIMITED, GET, ASC, DESC, ALPHA],
            "how to sort and what to answer",
        )
        .optional()
        .repeated(),
    ],
    reply: ReplySpec::Array,
    flags: Flags::REACHES,
    summary: "Answers elements in order, or what they name",
    run: Run::Read(sort_ro),
    ..SORT
};

/// An element of what is sorted, or a value that it names.
type Bytes<'s> = Cow<'s, [u8]>;

fn sort(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let options = Options::parse(args.rest(OPTIONS), true)?;
    let rows = sorted(plan, args.bytes(KEY), &options)?;
    let Some(destination) = options.store else {
        return Ok(answer(rows).into_owned());
    };
    if rows.is_empty() {
        if plan.delete(destination) {
            plan.notify(Notice::Generic, "del", destination);
        }
        return Ok(Reply::Integer(0));
    }
    let elements: Vec<&[u8]> = rows.iter().map(|row| row.as_deref().unwrap_or_default()).collect();
    let mut edits = Vec::new();
    list::push_edit(&mut edits, list::End::Right, &elements);
    plan.store(destination, ValueType::List, &edits, None)?;
    plan.notify(Notice::List, "sortstore", destination);
    Ok(Reply::count(rows.len()))
}

fn sort_ro<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let options = Options::parse(args.rest(OPTIONS), false)?;
    Ok(answer(sorted(view, args.bytes(KEY), &options)?))
}

fn answer(rows: Vec<Option<Bytes<'_>>>) -> Reply<'_> {
    Reply::Array(rows.into_iter().map(|row| row.map_or(Reply::Nil, Reply::Bytes)).collect())
}

/// What `SORT` answers; nothing for a key that an element names and that is not there.
fn sorted<'s>(
    view: &View<'s>,
    key: &[u8],
    options: &Options<'_>,
) -> Result<Vec<Option<Bytes<'s>>>, CommandError> {
    let Some(entry) = view.get(key) else { return Ok(Vec::new()) };
    let elements = order::sorted(view, elements(view, &entry)?, entry.value_type(), options)?;
    if options.get.is_empty() {
        return Ok(elements.into_iter().map(Some).collect());
    }
    let mut rows = Vec::with_capacity(elements.len() * options.get.len());
    for element in &elements {
        for pattern in &options.get {
            rows.push(pattern.value(view, element)?);
        }
    }
    Ok(rows)
}

/// What is sorted, unless there is more of it than a command may read.
fn elements<'s>(view: &View<'s>, entry: &Entry<'s>) -> Result<Vec<Bytes<'s>>, CommandError> {
    match entry.value_type() {
        ValueType::List => {
            let list = ListView::of(entry);
            view.may_read(list.len())?;
            Ok(list.iter().map(Cow::Borrowed).collect())
        }
        ValueType::Set => {
            let set = SetView::of(entry);
            view.may_read(set.len())?;
            Ok(set.iter().map(|member| member.bytes()).collect())
        }
        ValueType::SortedSet => {
            let zset = ZsetView::of(entry);
            view.may_read(zset.len())?;
            Ok(zset.iter().map(|(_, member)| Cow::Borrowed(member)).collect())
        }
        ValueType::String
        | ValueType::Hash
        | ValueType::Stream
        | ValueType::Queue
        | ValueType::Partition
        | ValueType::Group => Err(CommandError::WrongType),
    }
}

/// The field of a hash, at the time of this command.
fn field<'s>(view: &View<'s>, entry: &Entry<'s>, name: &[u8]) -> Option<&'s [u8]> {
    HashView::of(Some(entry), view.now().unix_ms).get(name).map(|field| field.value)
}

#[cfg(test)]
mod tests;
