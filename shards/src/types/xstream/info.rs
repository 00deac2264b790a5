//! `XINFO`: what there is to know of a stream, its groups and their consumers.

use super::find;
use super::group::{Consumer, Group};
use super::groups::unknown_form;
use super::id::Id;
use super::progress::Progress;
use super::stream::Stream;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::{CommandError, GroupLookup};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const GROUP: Arg = Arg(1);
const OPTIONS: Arg = Arg(1);

/// Entries of each list that `FULL` answers if no count is given.
const FULL_COUNT: usize = 10;

const FULL_PARTS: &[ArgSpec] = &[
    ArgSpec::flag("full", "FULL", "entries, groups, consumers and what is pending as well"),
    ArgSpec::integer("count", "of each list at most; 0 is all").with_token("COUNT").optional(),
];

/// `XINFO STREAM`.
pub(crate) const STREAM: CommandSpec = CommandSpec {
    id: "xstream.info.stream",
    resp: "XINFO STREAM",
    family: Family::Stream,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the stream"),
        ArgSpec::block("options", FULL_PARTS, "how much of it").optional(),
    ],
    reply: ReplySpec::Map,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers what there is to know of a stream",
    complexity: "O(N) for N entries and groups answered",
    run: Run::Read(stream_info),
};

/// `XINFO GROUPS`.
pub(crate) const GROUPS: CommandSpec = CommandSpec {
    id: "xstream.info.groups",
    resp: "XINFO GROUPS",
    args: &[ArgSpec::key("key", "the stream")],
    reply: ReplySpec::Array,
    summary: "Answers the groups of a stream",
    complexity: "O(N) for N groups",
    run: Run::Read(groups_info),
    ..STREAM
};

/// `XINFO CONSUMERS`.
pub(crate) const CONSUMERS: CommandSpec = CommandSpec {
    id: "xstream.info.consumers",
    resp: "XINFO CONSUMERS",
    args: &[ArgSpec::key("key", "the stream"), ArgSpec::bytes("group", "the group")],
    reply: ReplySpec::Array,
    summary: "Answers the consumers of a group",
    complexity: "O(N) for N consumers",
    run: Run::Read(consumers_info),
    ..STREAM
};

/// `XINFO HELP`.
pub(crate) const HELP: CommandSpec = CommandSpec {
    id: "xstream.info.help",
    resp: "XINFO HELP",
    access: Access::Open,
    keys: Keys::None,
    args: &[],
    reply: ReplySpec::Array,
    summary: "Answers the forms of XINFO",
    complexity: "O(1)",
    run: Run::Read(|_, _| {
        Ok(Reply::Array(HELP_LINES.iter().copied().map(Reply::Status).collect()))
    }),
    ..STREAM
};

const HELP_LINES: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Print this help.",
];

type Pair<'s> = (Reply<'s>, Reply<'s>);

fn pair<'s>(name: &'static str, value: Reply<'s>) -> Pair<'s> {
    (Reply::borrowed(name.as_bytes()), value)
}

fn existing<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Stream, CommandError> {
    find::get(view, key)?.ok_or(CommandError::NoSuchKey)
}

/// How many of each list are wanted of the full form; nothing for the short one.
fn full_count(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let unknown = || unknown_form(args.words()[1], "'. Try XINFO HELP.");
    let (full, words) = match args.rest(OPTIONS) {
        [] => return Ok(None),
        [full, words @ ..] => (full, words),
    };
    if !full.eq_ignore_ascii_case(b"FULL") {
        return Err(unknown());
    }
    match words {
        [] => Ok(Some(FULL_COUNT)),
        [word, count] if word.eq_ignore_ascii_case(b"COUNT") => Ok(Some(match integer(count)? {
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(FULL_COUNT),
        })),
        _ => Err(unknown()),
    }
}

fn stream_info<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let count = full_count(args)?;
    let stream = existing(view, args.bytes(KEY))?;
    let blocks = stream.blocks().len();
    let mut pairs = vec![
        pair("length", Reply::count(stream.len())),
        pair("radix-tree-keys", Reply::count(blocks)),
        pair("radix-tree-nodes", Reply::count(blocks + 1)),
        pair("last-generated-id", find::id_reply(stream.last_id())),
        pair("max-deleted-entry-id", find::id_reply(stream.max_deleted())),
        pair("entries-added", find::number(stream.entries_added())),
        pair("recorded-first-entry-id", find::id_reply(stream.first_id())),
    ];
    match count {
        None => {
            let entry = |entry: Option<_>| entry.map_or(Reply::Nil, find::entry_reply);
            let all = (Id::ZERO, Id::MAX);
            pairs.push(pair("groups", Reply::count(stream.groups().len())));
            pairs.push(pair("first-entry", entry(stream.range(all.0, all.1).next())));
            pairs.push(pair("last-entry", entry(stream.range_back(all.0, all.1).next())));
        }
        Some(count) => {
            let entries = stream.range(Id::ZERO, Id::MAX).take(count).map(find::entry_reply);
            pairs.push(pair("entries", Reply::Array(entries.collect())));
            let groups =
                stream.groups().map(|(name, group)| full_group(stream, name, group, count));
            pairs.push(pair("groups", Reply::Array(groups.collect())));
        }
    }
    Ok(Reply::Map(pairs))
}

fn entries_read<'s>(group: &Group) -> Reply<'s> {
    group.entries_read.map_or(Reply::Nil, find::number)
}

fn lag<'s>(stream: &Stream, group: &Group) -> Reply<'s> {
    Progress::of(group).lag(stream).map_or(Reply::Nil, Reply::Integer)
}

fn full_group<'s>(stream: &Stream, name: &'s [u8], group: &'s Group, count: usize) -> Reply<'s> {
    let pending = group.pending.iter().take(count).map(|(id, pending)| {
        Reply::Array(vec![
            find::id_reply(*id),
            Reply::borrowed(&pending.consumer),
            find::number(pending.time_ms),
            find::number(pending.count),
        ])
    });
    let consumers = group.consumers.iter();
    let consumers = consumers.map(|(name, consumer)| full_consumer(group, name, consumer, count));
    Reply::Map(vec![
        pair("name", Reply::borrowed(name)),
        pair("last-delivered-id", find::id_reply(group.last_id)),
        pair("entries-read", entries_read(group)),
        pair("lag", lag(stream, group)),
        pair("pel-count", Reply::count(group.pending.len())),
        pair("pending", Reply::Array(pending.collect())),
        pair("consumers", Reply::Array(consumers.collect())),
    ])
}

fn full_consumer<'s>(
    group: &'s Group,
    name: &'s [u8],
    consumer: &'s Consumer,
    count: usize,
) -> Reply<'s> {
    let own = consumer.pending.iter().take(count);
    let pending = own.filter_map(|id| Some((id, group.pending.get(id)?))).map(|(id, pending)| {
        Reply::Array(vec![
            find::id_reply(*id),
            find::number(pending.time_ms),
            find::number(pending.count),
        ])
    });
    Reply::Map(vec![
        pair("name", Reply::borrowed(name)),
        pair("seen-time", find::number(consumer.seen_ms)),
        pair("active-time", consumer.active_ms.map_or(Reply::Integer(-1), find::number)),
        pair("pel-count", Reply::count(consumer.pending.len())),
        pair("pending", Reply::Array(pending.collect())),
    ])
}

fn groups_info<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let stream = existing(view, args.bytes(KEY))?;
    let show = |(name, group): (&'s [u8], &'s Group)| {
        Reply::Map(vec![
            pair("name", Reply::borrowed(name)),
            pair("consumers", Reply::count(group.consumers.len())),
            pair("pending", Reply::count(group.pending.len())),
            pair("last-delivered-id", find::id_reply(group.last_id)),
            pair("entries-read", entries_read(group)),
            pair("lag", lag(stream, group)),
        ])
    };
    Ok(Reply::Array(stream.groups().map(show).collect()))
}

fn consumers_info<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    let stream = existing(view, key)?;
    let (_, group) = find::group(Some(stream), (key, name), GroupLookup::Named)?;
    let now_ms = view.now().unix_ms;
    let show = |(name, consumer): (_, &'s Consumer)| {
        let name: &'s std::sync::Arc<[u8]> = name;
        let since = |active_ms| find::elapsed(now_ms, active_ms);
        Reply::Map(vec![
            pair("name", Reply::borrowed(name)),
            pair("pending", Reply::count(consumer.pending.len())),
            pair("idle", find::elapsed(now_ms, consumer.seen_ms)),
            pair("inactive", consumer.active_ms.map_or(Reply::Integer(-1), since)),
        ])
    };
    Ok(Reply::Array(group.consumers.iter().map(show).collect()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        for line in [
            "XADD s 1 f a",
            "XADD s 2 f b",
            "XADD s 3 f c",
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
        ] {
            db.ask(line);
        }
        db.now_ms += 5;
        db
    }

    #[test]
    fn a_stream_is_described() {
        let mut db = filled();
        db.expect(&[
            (
                "XINFO STREAM s",
                "{\"length\": 3, \"radix-tree-keys\": 1, \"radix-tree-nodes\": 2, \
                 \"last-generated-id\": \"3-0\", \"max-deleted-entry-id\": \"0-0\", \
                 \"entries-added\": 3, \"recorded-first-entry-id\": \"1-0\", \"groups\": 1, \
                 \"first-entry\": [\"1-0\", [\"f\", \"a\"]], \"last-entry\": [\"3-0\", [\"f\", \
                 \"c\"]]}",
            ),
            (
                "XINFO STREAM s FULL COUNT 1",
                "{\"length\": 3, \"radix-tree-keys\": 1, \"radix-tree-nodes\": 2, \
                 \"last-generated-id\": \"3-0\", \"max-deleted-entry-id\": \"0-0\", \
                 \"entries-added\": 3, \"recorded-first-entry-id\": \"1-0\", \"entries\": \
                 [[\"1-0\", [\"f\", \"a\"]]], \"groups\": [{\"name\": \"g\", \
                 \"last-delivered-id\": \"1-0\", \"entries-read\": 1, \"lag\": 2, \
                 \"pel-count\": 1, \
                 \"pending\": [[\"1-0\", \"c\", 1700000000000, 1]], \"consumers\": [{\"name\": \
                 \"c\", \"seen-time\": 1700000000000, \"active-time\": 1700000000000, \
                 \"pel-count\": 1, \"pending\": [[\"1-0\", 1700000000000, 1]]}]}]}",
            ),
            (
                "XINFO CONSUMERS s g",
                "[{\"name\": \"c\", \"pending\": 1, \"idle\": 5, \"inactive\": 5}]",
            ),
            ("XGROUP CREATECONSUMER s g b", "1"),
            (
                "XINFO CONSUMERS s g",
                "[{\"name\": \"b\", \"pending\": 0, \"idle\": 0, \"inactive\": -1}, \
                 {\"name\": \"c\", \"pending\": 1, \"idle\": 5, \"inactive\": 5}]",
            ),
        ]);
    }

    #[test]
    fn lag_is_unknown_once_entries_behind_were_deleted() {
        let mut db = filled();
        let group = |read: &str, lag: &str, last: &str| {
            format!(
                "[{{\"name\": \"g\", \"consumers\": 1, \"pending\": 1, \"last-delivered-id\": \
                 \"{last}\", \"entries-read\": {read}, \"lag\": {lag}}}]"
            )
        };
        assert_eq!(db.ask("XINFO GROUPS s"), group("1", "2", "1-0"));
        db.ask("XDEL s 2");
        assert_eq!(db.ask("XINFO GROUPS s"), group("1", "nil", "1-0"));
        db.ask("XGROUP SETID s g 3");
        assert_eq!(db.ask("XINFO GROUPS s"), group("nil", "0", "3-0"));
        db.ask("XGROUP SETID s g 0-5");
        assert_eq!(db.ask("XINFO GROUPS s"), group("nil", "nil", "0-5"));
        db.ask("XADD s 4 f d");
        db.ask("XREADGROUP GROUP g c NOACK STREAMS s >");
        assert_eq!(db.ask("XINFO GROUPS s"), group("4", "0", "4-0"));
    }

    #[test]
    fn bad_requests_are_refused() {
        let unknown = "ERR unknown subcommand or wrong number of arguments for 'STREAM'. \
                       Try XINFO HELP.";
        filled().expect(&[
            ("XINFO STREAM none", "ERR no such key"),
            ("XINFO GROUPS none", "ERR no such key"),
            ("XINFO CONSUMERS none g", "ERR no such key"),
            ("XINFO CONSUMERS s h", "NOGROUP No such consumer group 'h' for key name 's'"),
            ("XINFO STREAM s NOPE", unknown),
            ("XINFO STREAM s FULL COUNT", unknown),
            ("XINFO STREAM s FULL COUNT x", "ERR value is not an integer or out of range"),
            ("XINFO NOPE s", "ERR unknown subcommand 'NOPE'. Try XINFO HELP."),
            ("SET k v", "OK"),
            ("XINFO STREAM k", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
