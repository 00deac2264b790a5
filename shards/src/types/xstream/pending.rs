//! `XACK` and `XPENDING`: what was given to consumers and not acknowledged.

use std::collections::BTreeSet;

use super::find;
use super::group::{Group, Pending};
use super::id::Id;
use super::record::Writer;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::{CommandError, GroupLookup};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

const KEY: Arg = Arg(0);
const GROUP: Arg = Arg(1);
const IDS: Arg = Arg(2);
const RANGE: Arg = Arg(2);

/// `XACK`.
pub(crate) const XACK: CommandSpec = CommandSpec {
    id: "xstream.ack",
    resp: "XACK",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the stream"),
        ArgSpec::bytes("group", "the group"),
        ArgSpec::bytes("id", "an entry").repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Acknowledges entries of a group, and answers how many of them were pending",
    complexity: "O(1) for each entry",
    run: Run::Write(acknowledge),
};

fn acknowledge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    let stream = find::peek(plan, key)?;
    let Some(group) = stream.and_then(|stream| stream.group(name)) else {
        return Ok(Reply::Integer(0));
    };
    let ids: Result<BTreeSet<Id>, CommandError> =
        args.rest(IDS).iter().map(|word| Id::strict(word, 0)).collect();
    let ids: Vec<Id> = ids?.into_iter().filter(|id| group.pending.contains_key(id)).collect();
    if !ids.is_empty() {
        let mut writer = Writer::default();
        writer.ack(name, &ids);
        plan.edit(key, ValueType::Stream, &writer.out)?;
    }
    Ok(Reply::count(ids.len()))
}

const RANGE_PARTS: &[ArgSpec] = &[
    ArgSpec::integer("min-idle-time", "given longer ago, in milliseconds")
        .with_token("IDLE")
        .optional(),
    ArgSpec::bytes("start", "first id; - is the least, ( before it leaves it out"),
    ArgSpec::bytes("end", "last id; + is the greatest, ( before it leaves it out"),
    ArgSpec::integer("count", "entries at most"),
    ArgSpec::bytes("consumer", "of this consumer only").optional(),
];

/// `XPENDING`.
pub(crate) const XPENDING: CommandSpec = CommandSpec {
    id: "xstream.pending",
    resp: "XPENDING",
    access: Access::Read,
    args: &[
        ArgSpec::key("key", "the stream"),
        ArgSpec::bytes("group", "the group"),
        ArgSpec::block("range", RANGE_PARTS, "which ones; how many, if absent").optional(),
    ],
    reply: ReplySpec::Array,
    flags: Flags::NONE,
    summary: "Answers what was given to the consumers of a group and is not acknowledged",
    complexity: "O(N) for N entries answered or consumers",
    run: Run::Read(pending),
    ..XACK
};

/// Which pending entries are asked for.
struct Wanted<'a> {
    min_idle_ms: u64,
    start: Id,
    end: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Reads the words behind the group.
    fn parse(words: &[&'a [u8]]) -> Result<Self, CommandError> {
        if !(3..=6).contains(&words.len()) {
            return Err(CommandError::Syntax);
        }
        let (mut words, mut min_idle_ms) = (words, 0);
        if words[0].eq_ignore_ascii_case(b"IDLE") {
            min_idle_ms = u64::try_from(integer(words[1])?).unwrap_or(0);
            words = &words[2..];
        }
        let (start, end, count, consumer) = match words {
            [start, end, count] => (start, end, count, None),
            [start, end, count, consumer, ..] => (start, end, count, Some(*consumer)),
            _ => return Err(CommandError::Syntax),
        };
        Ok(Self {
            min_idle_ms,
            count: usize::try_from(integer(count)?).unwrap_or(0),
            start: Id::range_start(start)?,
            end: Id::range_end(end)?,
            consumer,
        })
    }
}

fn pending<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    let words = args.rest(RANGE);
    let wanted = if words.is_empty() { None } else { Some(Wanted::parse(words)?) };
    let stream = find::get(view, key)?;
    let (_, group) = find::group(stream, (key, name), GroupLookup::Pending)?;
    Ok(match wanted {
        None => summary(group),
        Some(wanted) => list(group, &wanted, view.now().unix_ms),
    })
}

fn summary(group: &Group) -> Reply<'_> {
    let ends = (group.pending.first_key_value(), group.pending.last_key_value());
    let (Some((first, _)), Some((last, _))) = ends else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Nil, Reply::Nil, Reply::NilArray]);
    };
    let busy = group.consumers.iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    let consumers = busy.map(|(name, consumer)| {
        let count = consumer.pending.len().to_string();
        Reply::Array(vec![Reply::borrowed(name), Reply::string(count)])
    });
    Reply::Array(vec![
        Reply::count(group.pending.len()),
        find::id_reply(*first),
        find::id_reply(*last),
        Reply::Array(consumers.collect()),
    ])
}

fn list<'s>(group: &'s Group, wanted: &Wanted<'_>, now_ms: u64) -> Reply<'s> {
    let Wanted { min_idle_ms, start, end, count, consumer } = *wanted;
    if start > end {
        return Reply::Array(Vec::new());
    }
    let long_enough = |pending: &Pending| now_ms.saturating_sub(pending.time_ms) >= min_idle_ms;
    let show = |(id, pending): (Id, &'s Pending)| {
        Reply::Array(vec![
            find::id_reply(id),
            Reply::borrowed(&pending.consumer),
            find::elapsed(now_ms, pending.time_ms),
            find::number(pending.count),
        ])
    };
    let entries = match consumer {
        None => {
            let all = group.pending.range(start..=end).map(|(id, pending)| (*id, pending));
            all.filter(|(_, pending)| long_enough(pending)).take(count).map(show).collect()
        }
        Some(name) => {
            let Some(consumer) = group.consumers.get(name) else {
                return Reply::Array(Vec::new());
            };
            let own = consumer.pending.range(start..=end);
            own.filter_map(|id| Some((*id, group.pending.get(id)?)))
                .filter(|(_, pending)| long_enough(pending))
                .take(count)
                .map(show)
                .collect()
        }
    };
    Reply::Array(entries)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        for line in [
            "XADD s 1 f v",
            "XADD s 2 f v",
            "XADD s 3 f v",
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
        ] {
            db.ask(line);
        }
        db.now_ms += 50;
        db.ask("XREADGROUP GROUP g b STREAMS s >");
        db
    }

    #[test]
    fn pending_entries_are_counted_and_listed() {
        let mut db = filled();
        db.now_ms += 10;
        db.expect(&[
            ("XPENDING s g", "[3, \"1-0\", \"3-0\", [[\"a\", \"2\"], [\"b\", \"1\"]]]"),
            (
                "XPENDING s g - + 10",
                "[[\"1-0\", \"a\", 60, 1], [\"2-0\", \"a\", 60, 1], [\"3-0\", \"b\", 10, 1]]",
            ),
            ("XPENDING s g (1 (3-0 10", "[[\"2-0\", \"a\", 60, 1]]"),
            ("XPENDING s g - + 1", "[[\"1-0\", \"a\", 60, 1]]"),
            ("XPENDING s g - + 10 b", "[[\"3-0\", \"b\", 10, 1]]"),
            ("XPENDING s g - + 10 nobody", "[]"),
            ("XPENDING s g + - 10", "[]"),
            ("XPENDING s g - + 0", "[]"),
            ("XPENDING s g - + -1", "[]"),
            ("XPENDING s g IDLE 20 - + 10", "[[\"1-0\", \"a\", 60, 1], [\"2-0\", \"a\", 60, 1]]"),
            ("XPENDING s g IDLE 20 - + 10 b", "[]"),
            ("XACK s g 1 3 3 7", "2"),
            ("XPENDING s g", "[1, \"2-0\", \"2-0\", [[\"a\", \"1\"]]]"),
            ("XACK s none 1", "0"),
            ("XACK none g x", "0"),
            ("XACK s g 1 x", "ERR Invalid stream ID specified as stream command argument"),
        ]);
    }

    #[test]
    fn bad_requests_are_refused() {
        filled().expect(&[
            ("XPENDING none g", "NOGROUP No such key 'none' or consumer group 'g'"),
            ("XPENDING s h - + 1", "NOGROUP No such key 's' or consumer group 'h'"),
            ("XPENDING s g -", "ERR syntax error"),
            ("XPENDING s g - +", "ERR syntax error"),
            ("XPENDING s g IDLE 1 - +", "ERR syntax error"),
            ("XPENDING s g - + 1 c d e f", "ERR syntax error"),
            ("XPENDING s g - + x", "ERR value is not an integer or out of range"),
            ("XPENDING s g IDLE x - + 1", "ERR value is not an integer or out of range"),
            ("XPENDING s g x + 1", "ERR Invalid stream ID specified as stream command argument"),
            ("XPENDING s", "ERR wrong number of arguments for 'xpending' command"),
        ]);
    }
}
