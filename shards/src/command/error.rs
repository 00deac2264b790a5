//! What a command can refuse with. The code is stable; the text is what Redis says wherever Redis
//! has the same error, because client libraries match on it.

use std::fmt;

/// A refusal. Nothing was changed.
#[derive(Clone, PartialEq, Debug)]
pub enum CommandError {
    /// No command of this name; the name as sent, cut to a readable length.
    UnknownCommand {
        /// Name as sent.
        name: String,
        /// The first arguments, quoted, as Redis shows them.
        args: String,
    },
    /// A command of subcommands has no such one.
    UnknownSubcommand {
        /// The command.
        container: &'static str,
        /// Subcommand as sent, cut to a readable length.
        name: String,
    },
    /// Too few or too many arguments.
    WrongArity {
        /// The command, lower case; subcommands as `client|list`.
        command: String,
    },
    /// An option that does not exist, stands twice or excludes another.
    Syntax,
    /// Not an integer, or none that fits 64 bits.
    NotInteger,
    /// Not a number.
    NotFloat,
    /// The result would not fit a signed 64-bit integer.
    Overflow,
    /// The result would be NaN or infinite.
    NanOrInfinity,
    /// An expiry time that is not positive or lies beyond what can be stored.
    InvalidExpire {
        /// The command, lower case.
        command: &'static str,
    },
    /// The key holds another type.
    WrongType,
    /// The key does not exist and has to.
    NoSuchKey,
    /// The key exists and must not (`RESTORE` without `REPLACE`).
    BusyKey,
    /// A string would grow beyond its limit, in bytes.
    StringTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A key is longer than the limit, in bytes.
    KeyTooLong {
        /// The limit in bytes.
        limit: usize,
        /// Its length in bytes.
        found: usize,
    },
    /// A stream, or a consumer group of it, does not exist and has to.
    NoGroup {
        /// The key, cut to a readable length.
        key: String,
        /// The group, cut to a readable length.
        group: String,
        /// How the text puts it.
        lookup: GroupLookup,
    },
    /// Memory is at its limit and nothing may be evicted.
    OutOfMemory,
    /// Too much work waits for a shard; the command was not started.
    Busy,
    /// The slot is served by another core of this machine (shard-aware ports only).
    Moved {
        /// The slot.
        slot: u16,
        /// `host:port` of the port that serves it.
        address: String,
    },
    /// The command is switched off by the named config key.
    Disabled {
        /// The config key that would enable it.
        key: &'static str,
    },
    /// Credentials are missing or wrong, or the caller may not do this. Code and text as Redis's.
    Denied {
        /// `NOAUTH`, `WRONGPASS` or `NOPERM`.
        code: &'static str,
        /// The text.
        message: &'static str,
    },
    /// The caller may not run this command at all.
    Forbidden {
        /// Who it is.
        user: String,
        /// The command, lower case; subcommands as `client|list`.
        command: String,
    },
    /// The server could not carry it out.
    Failed {
        /// What failed.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// An error that a script made or ended with.
    Scripted {
        /// The code.
        code: String,
        /// The text.
        message: String,
    },
    /// A script ran longer than it may.
    ScriptTimeout {
        /// What it may, in milliseconds.
        limit_ms: u64,
    },
    /// What a name stands for does not exist and has to.
    NotFound {
        /// What it is: `Queue`, `Topic`.
        what: &'static str,
        /// The name, cut to a readable length.
        name: String,
    },
    /// What a name stands for exists and must not.
    Exists {
        /// What it is: `Queue`, `Topic`.
        what: &'static str,
        /// The name, cut to a readable length.
        name: String,
    },
    /// An offset that is no longer there.
    OffsetGone {
        /// What was asked for.
        offset: u64,
        /// The first that is there.
        earliest: u64,
    },
    /// Changes behind a reader's position are gone.
    PositionGone {
        /// The first position that there is.
        oldest: String,
    },
    /// A member of a consumer group acts for a generation that is over, or is none any more.
    Rebalance {
        /// The generation now.
        generation: u64,
    },
    /// The caller has made more requests than it may.
    RateLimited {
        /// Milliseconds until it may make the next one.
        wait_ms: u64,
    },
    /// Too many credentials of the caller were wrong; this one was not looked at.
    HeldOff {
        /// Milliseconds until the next one is.
        wait_ms: u64,
    },
    /// Any other refusal with a fixed text; the first word is not the code.
    Invalid(&'static str),
    /// A refusal with a code of its own (`NOPROTO`, `EXECABORT`, …) and fixed text.
    Coded {
        /// The code, upper case.
        code: &'static str,
        /// The text.
        message: &'static str,
    },
    /// A refusal that quotes what was sent: `before`, the quoted text, `after`.
    Quoted {
        /// Text before the quotation.
        before: &'static str,
        /// What was sent, cut to a readable length.
        found: String,
        /// Text after the quotation.
        after: &'static str,
    },
}

/// Where a consumer group was looked for; Redis has a text of its own for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupLookup {
    /// By `XREADGROUP`.
    Read,
    /// By a command on what is pending.
    Pending,
    /// By `XGROUP` and `XINFO`, which have found the key.
    Named,
}

/// Longest piece of a request that an error repeats, in bytes.
pub const QUOTE_BYTES_MAX: usize = 128;

/// `bytes` as text for an error message: cut, and made printable.
pub fn quote(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(QUOTE_BYTES_MAX)];
    String::from_utf8_lossy(cut).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl CommandError {
    /// What `name` stands for does not exist.
    pub fn not_found(what: &'static str, name: &[u8]) -> Self {
        Self::NotFound { what, name: quote(name) }
    }

    /// What `name` stands for exists.
    pub fn exists(what: &'static str, name: &[u8]) -> Self {
        Self::Exists { what, name: quote(name) }
    }

    /// An error from a script's text: its first word is the code.
    pub fn scripted(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end_matches(['\r', '\n']);
        match text.split_once(' ') {
            Some((code, message)) => Self::Scripted { code: code.into(), message: message.into() },
            None => Self::Scripted { code: text.into(), message: String::new() },
        }
    }

    /// The first word of the error on the Redis protocol.
    pub fn code(&self) -> &str {
        match self {
            Self::Scripted { code, .. } => code,
            Self::WrongType => "WRONGTYPE",
            Self::BusyKey => "BUSYKEY",
            Self::OutOfMemory => "OOM",
            Self::NoGroup { .. } => "NOGROUP",
            Self::Busy => "BUSY",
            Self::Moved { .. } => "MOVED",
            Self::NotFound { .. } => "NOTFOUND",
            Self::Exists { .. } => "EXISTS",
            Self::OffsetGone { .. } => "OFFSETGONE",
            Self::PositionGone { .. } => "GONE",
            Self::Rebalance { .. } => "REBALANCE",
            Self::Forbidden { .. } => "NOPERM",
            Self::RateLimited { .. } | Self::HeldOff { .. } => "RATELIMIT",
            Self::Denied { code, .. } | Self::Coded { code, .. } => code,
            Self::UnknownCommand { .. }
            | Self::UnknownSubcommand { .. }
            | Self::WrongArity { .. }
            | Self::Syntax
            | Self::NotInteger
            | Self::NotFloat
            | Self::Overflow
            | Self::NanOrInfinity
            | Self::InvalidExpire { .. }
            | Self::NoSuchKey
            | Self::StringTooLong { .. }
            | Self::KeyTooLong { .. }
            | Self::Disabled { .. }
            | Self::Failed { .. }
            | Self::ScriptTimeout { .. }
            | Self::Invalid(_)
            | Self::Quoted { .. } => "ERR",
        }
    }
}

fn gone(oldest: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let before = "changes behind this position are gone; the first position there is: ";
    write!(f, "{before}{oldest}; `snapshot` begins anew")
}

fn limited(wait_ms: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "rate limit exceeded, try again in {wait_ms} ms")
}

fn held_off(wait_ms: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "too many failed attempts to log in, try again in {wait_ms} ms")
}

/// The text after the code.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand { name, args } => {
                write!(f, "unknown command '{name}', with args beginning with: {args}")
            }
            Self::UnknownSubcommand { container, name } => {
                write!(f, "unknown subcommand '{name}'. Try {container} HELP.")
            }
            Self::WrongArity { command } => {
                write!(f, "wrong number of arguments for '{command}' command")
            }
            Self::Syntax => f.write_str("syntax error"),
            Self::NotInteger => f.write_str("value is not an integer or out of range"),
            Self::NotFloat => f.write_str("value is not a valid float"),
            Self::Overflow => f.write_str("increment or decrement would overflow"),
            Self::NanOrInfinity => f.write_str("increment would produce NaN or Infinity"),
            Self::InvalidExpire { command } => {
                write!(f, "invalid expire time in '{command}' command")
            }
            Self::WrongType => {
                f.write_str("Operation against a key holding the wrong kind of value")
            }
            Self::NoSuchKey => f.write_str("no such key"),
            Self::BusyKey => f.write_str("Target key name already exists."),
            Self::StringTooLong { limit } => {
                write!(f, "string exceeds maximum allowed size ({limit} bytes)")
            }
            Self::KeyTooLong { limit, found } => {
                write!(f, "key of {found} bytes exceeds the limit of {limit} bytes")
            }
            Self::NoGroup { key, group, lookup } => no_group(key, group, *lookup, f),
            Self::OutOfMemory => f.write_str("command not allowed when used memory > 'maxmemory'."),
            Self::Busy => f.write_str("too many commands wait for this shard, try again"),
            Self::Moved { slot, address } => write!(f, "{slot} {address}"),
            Self::Disabled { key } => write!(f, "this command is disabled, set {key} to true"),
            Self::Denied { message, .. } | Self::Coded { message, .. } | Self::Invalid(message) => {
                f.write_str(message)
            }
            Self::Forbidden { user, command } => {
                write!(f, "User {user} has no permissions to run the '{command}' command")
            }
            Self::Failed { what, why } => write!(f, "{what}: {why}"),
            Self::Scripted { message, .. } => f.write_str(message),
            Self::ScriptTimeout { limit_ms } => {
                write!(f, "Error running script: it ran longer than {limit_ms} ms and was stopped")
            }
            Self::NotFound { what, name } => write!(f, "{what} not found: {name}"),
            Self::Exists { what, name } => write!(f, "{what} already exists: {name}"),
            Self::OffsetGone { offset, earliest } => write!(
                f,
                "Stream offset {offset} out of range; earliest retained offset is {earliest}"
            ),
            Self::PositionGone { oldest } => gone(oldest, f),
            Self::Rebalance { generation } => {
                write!(f, "rebalance: the group is in generation {generation}")
            }
            Self::RateLimited { wait_ms } => limited(*wait_ms, f),
            Self::HeldOff { wait_ms } => held_off(*wait_ms, f),
            Self::Quoted { before, found, after } => write!(f, "{before}{found}{after}"),
        }
    }
}

fn no_group(
    key: &str,
    group: &str,
    lookup: GroupLookup,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match lookup {
        GroupLookup::Read => write!(
            f,
            "No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
        ),
        GroupLookup::Pending => write!(f, "No such key '{key}' or consumer group '{group}'"),
        GroupLookup::Named => {
            write!(f, "No such consumer group '{group}' for key name '{key}'")
        }
    }
}

impl std::error::Error for CommandError {}
