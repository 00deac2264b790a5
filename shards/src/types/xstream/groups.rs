//! `XGROUP`: making, moving and removing consumer groups and their consumers.

use super::find;
use super::id::Id;
use super::record::Writer;
use super::stream::Stream;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::{CommandError, GroupLookup, quote};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const GROUP: Arg = Arg(1);
const ID: Arg = Arg(2);
const CONSUMER: Arg = Arg(2);
const OPTIONS: Arg = Arg(3);

const KEY_SPEC: ArgSpec = ArgSpec::key("key", "the stream");
const GROUP_SPEC: ArgSpec = ArgSpec::bytes("group", "the group");
const CONSUMER_SPEC: ArgSpec = ArgSpec::bytes("consumer", "the consumer");
const ID_SPEC: ArgSpec = ArgSpec::bytes("id", "what counts as read; $ is all there is");
const READ: ArgSpec = ArgSpec::integer("entries-read", "how many entries that is; -1 is unknown")
    .with_token("ENTRIESREAD")
    .optional();
const MAKE: ArgSpec = ArgSpec::flag("mkstream", "MKSTREAM", "make the stream if need be");

/// `XGROUP CREATE`.
pub(crate) const CREATE: CommandSpec = CommandSpec {
    id: "xstream.group.create",
    resp: "XGROUP CREATE",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        KEY_SPEC,
        GROUP_SPEC,
        ID_SPEC,
        ArgSpec::block("options", &[MAKE, READ], "how").optional(),
    ],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Makes a consumer group of a stream",
    complexity: "O(1)",
    run: Run::Write(create),
};

/// `XGROUP SETID`.
pub(crate) const SETID: CommandSpec = CommandSpec {
    id: "xstream.group.setid",
    resp: "XGROUP SETID",
    args: &[KEY_SPEC, GROUP_SPEC, ID_SPEC, ArgSpec::block("options", &[READ], "how").optional()],
    flags: Flags::NONE,
    summary: "Sets what counts as read by a consumer group",
    run: Run::Write(set_id),
    ..CREATE
};

/// `XGROUP DESTROY`.
pub(crate) const DESTROY: CommandSpec = CommandSpec {
    id: "xstream.group.destroy",
    resp: "XGROUP DESTROY",
    args: &[KEY_SPEC, GROUP_SPEC],
    reply: ReplySpec::Integer,
    flags: Flags::NONE,
    summary: "Removes a consumer group; 1 if there was one",
    complexity: "O(N) for N entries that were not acknowledged",
    run: Run::Write(destroy),
    ..CREATE
};

/// `XGROUP CREATECONSUMER`.
pub(crate) const CREATECONSUMER: CommandSpec = CommandSpec {
    id: "xstream.group.createconsumer",
    resp: "XGROUP CREATECONSUMER",
    args: &[KEY_SPEC, GROUP_SPEC, CONSUMER_SPEC],
    reply: ReplySpec::Integer,
    summary: "Makes a consumer of a group; 1 if there was none of its name",
    run: Run::Write(create_consumer),
    ..CREATE
};

/// `XGROUP DELCONSUMER`.
pub(crate) const DELCONSUMER: CommandSpec = CommandSpec {
    id: "xstream.group.delconsumer",
    resp: "XGROUP DELCONSUMER",
    args: &[KEY_SPEC, GROUP_SPEC, CONSUMER_SPEC],
    reply: ReplySpec::Integer,
    flags: Flags::NONE,
    summary: "Removes a consumer of a group, and answers how many entries it had not acknowledged",
    complexity: "O(N) for N entries that were not acknowledged",
    run: Run::Write(delete_consumer),
    ..CREATE
};

/// `XGROUP HELP`.
pub(crate) const HELP: CommandSpec = CommandSpec {
    id: "xstream.group.help",
    resp: "XGROUP HELP",
    access: Access::Open,
    keys: Keys::None,
    args: &[],
    reply: ReplySpec::Array,
    flags: Flags::NONE,
    summary: "Answers the forms of XGROUP",
    run: Run::Read(|_, _| {
        Ok(Reply::Array(HELP_LINES.iter().copied().map(Reply::Status).collect()))
    }),
    ..CREATE
};

const HELP_LINES: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD entries_read]",
    "    Create a new consumer group.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Print this help.",
];

const NO_KEY: CommandError = CommandError::Invalid(
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The refusal of words that no form of a subcommand has.
pub(super) fn unknown_form(subcommand: &[u8], after: &'static str) -> CommandError {
    let before = "unknown subcommand or wrong number of arguments for '";
    CommandError::Quoted { before, found: quote(subcommand), after }
}

#[derive(Debug, Default)]
struct Options {
    make: bool,
    entries_read: Option<u64>,
}

/// Reads options; `MKSTREAM` only where a stream may be made.
fn options(args: &Args<'_>, may_make: bool) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = args.rest(OPTIONS);
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        if may_make && word.eq_ignore_ascii_case(b"MKSTREAM") {
            options.make = true;
            continue;
        }
        let (true, Some((value, rest))) =
            (word.eq_ignore_ascii_case(b"ENTRIESREAD"), rest.split_first())
        else {
            return Err(unknown_form(args.words()[1], "'. Try XGROUP HELP."));
        };
        let read = integer(value)?;
        let negative = "value for ENTRIESREAD must be positive or -1";
        options.entries_read = match u64::try_from(read) {
            Ok(read) => Some(read),
            Err(_) if read == -1 => None,
            Err(_) => return Err(CommandError::Invalid(negative)),
        };
        words = rest;
    }
    Ok(options)
}

fn create(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    let options = options(args, true)?;
    find::check_name(name)?;
    let stream = find::peek(plan, key)?;
    if stream.is_none() && !options.make {
        return Err(NO_KEY);
    }
    let id = match args.bytes(ID) {
        b"$" => stream.map_or(Id::ZERO, Stream::last_id),
        word => Id::strict(word, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        let message = "Consumer Group name already exists";
        return Err(CommandError::Coded { code: "BUSYGROUP", message });
    }
    let mut writer = Writer::default();
    writer.group(name, id, options.entries_read);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xgroup-create", key);
    Ok(Reply::Ok)
}

/// The stream of a key that has to exist.
fn existing<'s>(plan: &Plan<'s>, key: &[u8]) -> Result<&'s Stream, CommandError> {
    find::peek(plan, key)?.ok_or(NO_KEY)
}

fn set_id(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    let options = options(args, false)?;
    let stream = existing(plan, key)?;
    find::group(Some(stream), (key, name), GroupLookup::Named)?;
    let id = match args.bytes(ID) {
        b"$" => stream.last_id(),
        word => Id::lenient(word, 0)?,
    };
    let mut writer = Writer::default();
    writer.group(name, id, options.entries_read);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xgroup-setid", key);
    Ok(Reply::Ok)
}

fn destroy(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name) = (args.bytes(KEY), args.bytes(GROUP));
    if existing(plan, key)?.group(name).is_none() {
        return Ok(Reply::Integer(0));
    }
    let mut writer = Writer::default();
    writer.ungroup(name);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xgroup-destroy", key);
    Ok(Reply::Integer(1))
}

fn create_consumer(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name, consumer) = (args.bytes(KEY), args.bytes(GROUP), args.bytes(CONSUMER));
    find::check_name(consumer)?;
    let stream = existing(plan, key)?;
    let (_, group) = find::group(Some(stream), (key, name), GroupLookup::Named)?;
    if group.consumers.contains_key(consumer) {
        return Ok(Reply::Integer(0));
    }
    let mut writer = Writer::default();
    writer.consumer(name, consumer, plan.now().unix_ms, None);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xgroup-createconsumer", key);
    Ok(Reply::Integer(1))
}

fn delete_consumer(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, name, consumer) = (args.bytes(KEY), args.bytes(GROUP), args.bytes(CONSUMER));
    let stream = existing(plan, key)?;
    let (_, group) = find::group(Some(stream), (key, name), GroupLookup::Named)?;
    let Some(found) = group.consumers.get(consumer) else { return Ok(Reply::Integer(0)) };
    let mut writer = Writer::default();
    writer.unconsumer(name, consumer);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xgroup-delconsumer", key);
    Ok(Reply::count(found.pending.len()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn groups_and_consumers_come_and_go() {
        OneTable::new().expect(&[
            ("XGROUP CREATE s g $ MKSTREAM", "OK"),
            ("TYPE s", "stream"),
            ("XLEN s", "0"),
            ("XGROUP CREATE s g $", "BUSYGROUP Consumer Group name already exists"),
            ("XGROUP CREATE s h 0 ENTRIESREAD 5", "OK"),
            ("XGROUP CREATECONSUMER s g c", "1"),
            ("XGROUP CREATECONSUMER s g c", "0"),
            ("XADD s 1 f v", "\"1-0\""),
            ("XREADGROUP GROUP g c STREAMS s >", "{\"s\": [[\"1-0\", [\"f\", \"v\"]]]}"),
            ("XGROUP SETID s g 0", "OK"),
            ("XREADGROUP GROUP g d STREAMS s >", "{\"s\": [[\"1-0\", [\"f\", \"v\"]]]}"),
            ("XGROUP DELCONSUMER s g c", "0"),
            ("XGROUP DELCONSUMER s g d", "1"),
            ("XGROUP DELCONSUMER s g d", "0"),
            ("XPENDING s g", "[0, nil, nil, nil]"),
            ("XGROUP SETID s g $ ENTRIESREAD 1", "OK"),
            ("XREADGROUP GROUP g d STREAMS s >", "nil"),
            ("XGROUP DESTROY s g", "1"),
            ("XGROUP DESTROY s g", "0"),
        ]);
    }

    #[test]
    fn bad_requests_are_refused() {
        let no_group = "NOGROUP No such consumer group 'g' for key name 's'";
        let mut db = OneTable::new();
        for line in ["CREATE s g $", "SETID s g $", "DESTROY s g", "DELCONSUMER s g c"] {
            let answer = db.ask(&format!("XGROUP {line}"));
            assert!(answer.starts_with("ERR The XGROUP subcommand requires the key"), "{answer}");
        }
        db.expect(&[
            ("XADD s 1 f v", "\"1-0\""),
            ("XGROUP SETID s g $", no_group),
            ("XGROUP CREATECONSUMER s g c", no_group),
            ("XGROUP DELCONSUMER s g c", no_group),
            ("XGROUP CREATE s g x", "ERR Invalid stream ID specified as stream command argument"),
            (
                "XGROUP CREATE s g 0 NOPE",
                "ERR unknown subcommand or wrong number of arguments for 'CREATE'. \
                 Try XGROUP HELP.",
            ),
            (
                "XGROUP SETID s g 0 MKSTREAM",
                "ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
            ),
            (
                "XGROUP CREATE s g 0 ENTRIESREAD -2",
                "ERR value for ENTRIESREAD must be positive or -1",
            ),
            ("XGROUP CREATE s g", "ERR wrong number of arguments for 'xgroup|create' command"),
            ("XGROUP NOPE s", "ERR unknown subcommand 'NOPE'. Try XGROUP HELP."),
            ("SET k v", "OK"),
            (
                "XGROUP CREATE k g 0",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
        assert!(db.ask("XGROUP HELP").starts_with("[XGROUP <subcommand>"));
    }
}
