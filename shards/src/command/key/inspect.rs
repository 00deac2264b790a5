//! What a key holds and costs: `TYPE`, `OBJECT`, `MEMORY USAGE`. None of them counts as a use.

use crate::command::args::{self, Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;
use crate::shard::{Content, Entry};
use crate::types;

const KEY: Arg = Arg(0);
const SAMPLES: Arg = Arg(1);

/// Longest string that Redis keeps in one allocation with its header, and calls `embstr`.
const EMBEDDED_BYTES_MAX: usize = 44;
/// An entry's share of the index: a slot of 64 / 12 bytes at two thirds load.
const INDEX_SHARE_BYTES: usize = 8;

/// `TYPE`.
pub(crate) const TYPE: CommandSpec = CommandSpec {
    id: "key.type",
    resp: "TYPE",
    family: Family::Key,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::Any,
    http: &[HttpRoute::get("/key/{key}/type", JsonReply::Shape("key_type"))],
    flags: Flags::FAST.and(Flags::NO_TOUCH),
    since: "0.1.0",
    summary: "Answers the type of the value of a key, none if it does not exist",
    complexity: "O(1)",
    run: Run::Read(key_type),
};

fn key_type<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = view.peek(args.bytes(KEY));
    Ok(Reply::Status(found.map_or("none", |entry| entry.value_type().name())))
}

/// `OBJECT ENCODING`.
pub(crate) const ENCODING: CommandSpec = CommandSpec {
    id: "object.encoding",
    resp: "OBJECT ENCODING",
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::NO_TOUCH,
    summary: "Answers the form in which the value is stored, under Redis's name for the like",
    run: Run::Read(|view, args| of_entry(view, args, |entry| Ok(Reply::string(encoding(entry))))),
    ..TYPE
};

fn encoding(entry: &Entry<'_>) -> &'static str {
    let value_type = entry.value_type();
    if value_type.is_container() {
        return match entry.content() {
            Content::Packed(value) => types::packed_encoding(value_type, value),
            Content::Large(large, _) => large.encoding(),
        };
    }
    let value = entry.value();
    if args::integer(value).is_ok() {
        "int"
    } else if value.len() <= EMBEDDED_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

/// Nil for an absent key, otherwise what `answer` makes of its entry.
fn of_entry<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    answer: impl Fn(&Entry<'s>) -> Result<Reply<'s>, CommandError>,
) -> Result<Reply<'s>, CommandError> {
    view.peek(args.bytes(KEY)).map_or(Ok(Reply::Nil), |entry| answer(&entry))
}

/// `OBJECT IDLETIME`.
pub(crate) const IDLETIME: CommandSpec = CommandSpec {
    id: "object.idletime",
    resp: "OBJECT IDLETIME",
    reply: ReplySpec::IntegerOrNil,
    summary: "Answers the seconds since a key was used",
    run: Run::Read(idletime),
    ..ENCODING
};

fn idletime<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    of_entry(view, args, |entry| {
        if view.eviction_policy().counts_uses() {
            return Err(CommandError::Invalid(
                "An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                 when switching between policies at runtime LRU and LFU data will take some time \
                 to adjust.",
            ));
        }
        let idle = view.access_mode().idle_seconds(entry.access(), view.now().unix_ms);
        Ok(Reply::Integer(idle.into()))
    })
}

/// `OBJECT FREQ`.
pub(crate) const FREQ: CommandSpec = CommandSpec {
    id: "object.freq",
    resp: "OBJECT FREQ",
    reply: ReplySpec::IntegerOrNil,
    summary: "Answers the logarithmic counter of uses of a key",
    run: Run::Read(freq),
    ..ENCODING
};

fn freq<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    of_entry(view, args, |entry| {
        if !view.eviction_policy().counts_uses() {
            return Err(CommandError::Invalid(
                "An LFU maxmemory policy is not selected, access frequency not tracked. Please \
                 note that when switching between policies at runtime LRU and LFU data will take \
                 some time to adjust.",
            ));
        }
        let uses = view.access_mode().frequency(entry.access(), view.now().unix_ms);
        Ok(Reply::Integer(uses.into()))
    })
}

/// `OBJECT REFCOUNT`.
pub(crate) const REFCOUNT: CommandSpec = CommandSpec {
    id: "object.refcount",
    resp: "OBJECT REFCOUNT",
    reply: ReplySpec::IntegerOrNil,
    summary: "Answers 1 for a key that exists: values are never shared",
    run: Run::Read(|view, args| of_entry(view, args, |_| Ok(Reply::Integer(1)))),
    ..ENCODING
};

/// `OBJECT HELP`.
pub(crate) const HELP: CommandSpec = CommandSpec {
    id: "object.help",
    resp: "OBJECT HELP",
    access: Access::Open,
    keys: Keys::None,
    args: &[],
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of OBJECT",
    run: Run::Read(|_, _| {
        Ok(Reply::Array(HELP_LINES.iter().copied().map(Reply::Status).collect()))
    }),
    ..ENCODING
};

const HELP_LINES: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How Redis would store the value of the key.",
    "FREQ <key>",
    "    The logarithmic counter of uses of the key.",
    "IDLETIME <key>",
    "    Seconds since the key was used.",
    "REFCOUNT <key>",
    "    1 for a key that exists.",
    "HELP",
    "    These lines.",
];

/// `MEMORY USAGE`.
pub(crate) const MEMORY_USAGE: CommandSpec = CommandSpec {
    id: "memory.usage",
    resp: "MEMORY USAGE",
    family: Family::Server,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("samples", "elements to look at; a string is measured whole")
            .with_token("SAMPLES")
            .optional(),
    ],
    reply: ReplySpec::IntegerOrNil,
    http: &[HttpRoute::get("/memory/{key}/usage", JsonReply::Shape("memory_usage"))],
    summary: "Answers the bytes of memory that a key takes: its cell and its share of the index",
    run: Run::Read(memory_usage),
    ..ENCODING
};

fn memory_usage<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    if args.opt_integer(SAMPLES).is_some_and(|samples| samples < 0) {
        return Err(CommandError::Syntax);
    }
    of_entry(view, args, |entry| Ok(Reply::count(entry.memory_bytes() + INDEX_SHARE_BYTES)))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;
    use crate::shard::evict::{AccessMode, EvictionPolicy};

    #[test]
    fn types_and_encodings() {
        let mut db = OneTable::new();
        let (short, long) = ("x".repeat(44), "x".repeat(45));
        db.expect(&[
            ("TYPE k", "none"),
            ("OBJECT ENCODING k", "nil"),
            ("SET k 123", "OK"),
            ("TYPE k", "string"),
            ("OBJECT ENCODING k", "\"int\""),
            ("SET k 0123", "OK"),
            ("OBJECT ENCODING k", "\"embstr\""),
            ("OBJECT REFCOUNT k", "1"),
            (&format!("SET k {short}"), "OK"),
            ("OBJECT ENCODING k", "\"embstr\""),
            (&format!("SET k {long}"), "OK"),
            ("OBJECT ENCODING k", "\"raw\""),
            ("OBJECT NOPE k", "ERR unknown subcommand 'NOPE'. Try OBJECT HELP."),
            ("OBJECT ENCODING", "ERR wrong number of arguments for 'object|encoding' command"),
        ]);
        assert!(db.ask("OBJECT HELP").starts_with("[OBJECT <subcommand>"));
    }

    #[test]
    fn idle_time_and_frequency_need_their_policy() {
        let mut db = OneTable::new();
        db.expect(&[("SET k v", "OK"), ("OBJECT FREQ none", "nil")]);
        db.now_ms += 30_000;
        db.expect(&[("OBJECT IDLETIME k", "30"), ("OBJECT IDLETIME none", "nil")]);
        assert!(db.ask("OBJECT FREQ k").starts_with("ERR An LFU maxmemory policy is not selected"));
        db.policy = EvictionPolicy::AllKeysLfu;
        db.mode = AccessMode::Frequency { log_factor: 10, decay_minutes: 1 };
        assert!(db.ask("OBJECT IDLETIME k").starts_with("ERR An LFU maxmemory policy is selected"));
    }

    #[test]
    fn memory_is_cell_and_index() {
        let mut db = OneTable::new();
        let line = format!("SET {} {}", "k".repeat(20), "v".repeat(100));
        db.ask(&line);
        let usage = format!("MEMORY USAGE {}", "k".repeat(20));
        db.expect(&[
            (&usage, "144"),
            (&format!("{usage} SAMPLES 5"), "144"),
            (&format!("{usage} SAMPLES -1"), "ERR syntax error"),
            ("MEMORY USAGE none", "nil"),
        ]);
    }
}
