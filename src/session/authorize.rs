//! What a caller has to be allowed for a command: made of its declaration and its words, so a new
//! command cannot be without an answer. Where a declaration says nothing that fits, the right to
//! everything of its kind is wanted.
//!
//! Names are compared as clients send them; keys of namespaces are taken back to their names.

use std::sync::LazyLock;

use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::spec::{
    Access, ArgKind, CommandSpec, Family, Flags, Keys, Run, ScriptVerb,
};
use synap_shards::command::table::{self, CommandId};
use synap_shards::key::Namespace;
use synap_shards::pubsub::WATCH_PREFIX;
use synap_shards::script::sha1;

use crate::auth::{Acl, Action, ResourceKind, Rights, Selector};

/// The name that only a pattern for every name matches.
pub const EVERYTHING: &[u8] = b"*";
/// Channels on which changes of keys are told: whoever hears them learns of the keys.
const KEYSPACE: &[u8] = b"__keyspace@0__:";
const KEYEVENT: &[u8] = b"__keyevent@";
const RESERVED: &[u8] = b"__";

/// Commands that remove something whole.
const DELETES: &[&str] = &[
    "key.del",
    "key.unlink",
    "kv.getdel",
    "queue.delete",
    "queue.purge",
    "queue.dlq.purge",
    "dss.delete",
    "dss.dlq.purge",
    "stream.delete",
    "topic.delete",
    "group.delete",
];
/// Commands that take messages, or settle what was taken.
const CONSUMES: &[&str] = &[
    "queue.consume",
    "queue.receive",
    "queue.ack",
    "queue.nack",
    "queue.release",
    "queue.extend",
    "queue.dlq.consume",
    "dss.dequeue",
    "dss.ack",
    "topic.take",
    "topic.ack",
    "topic.nack",
    "xstream.readgroup",
    "xstream.ack",
    "xstream.claim",
    "xstream.autoclaim",
    "group.join",
    "group.leave",
    "group.heartbeat",
    "group.commit",
];
/// Commands that make something with settings of its own.
const CONFIGURES: &[&str] =
    &["queue.create", "dss.create", "stream.create", "topic.create", "group.create"];
/// Commands that change no data and send something all the same.
const PUBLISHES: &[&str] = &["pubsub.publish", "pubsub.spublish", "pubsub.topic_publish"];
/// Commands that show more of the server than a caller needs who only works with data.
const SHOWS_SERVER: &[&str] =
    &["server.info", "memory.usage", "memory.stats", "memory.doctor", "server.kvstats"];
/// Commands that list names: without more rights they list those that the caller may read.
const LISTS: &[&str] = &[
    "key.keys",
    "key.scan",
    "queue.list",
    "dss.queues",
    "stream.list",
    "topic.list",
    "group.list",
    "pubsub.channels",
    "pubsub.shardchannels",
    "pubsub.topics",
];

/// Commands that change their keys and tell nothing of what these held, but whether and how much.
const WRITES_BLINDLY: &[&str] = &[
    "APPEND",
    "DEL",
    "DSS.ENQUEUE",
    "EXPIRE",
    "EXPIREAT",
    "GEOADD",
    "HDEL",
    "HMSET",
    "HSET",
    "HSETNX",
    "LINSERT",
    "LPUSH",
    "LPUSHX",
    "LREM",
    "LSET",
    "LTRIM",
    "MSET",
    "MSETNX",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PFADD",
    "PSETEX",
    "QMPUBLISH",
    "QPUBLISH",
    "QSEND",
    "RESTORE",
    "RPUSH",
    "RPUSHX",
    "SADD",
    "SAPPEND",
    "SETEX",
    "SETNX",
    "SETRANGE",
    "SREM",
    "TMPUBLISH",
    "TPUBLISH",
    "UNLINK",
    "XACK",
    "XADD",
    "XDEL",
    "XGROUP CREATE",
    "XGROUP CREATECONSUMER",
    "XGROUP DELCONSUMER",
    "XGROUP DESTROY",
    "XGROUP SETID",
    "XSETID",
    "XTRIM",
    "ZADD",
    "ZREM",
    "ZREMRANGEBYLEX",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
];
/// Commands that make their first key of the others.
const MAKES_OF_OTHERS: &[&str] = &[
    "BITOP",
    "GEOSEARCHSTORE",
    "SDIFFSTORE",
    "SINTERSTORE",
    "SUNIONSTORE",
    "ZDIFFSTORE",
    "ZINTERSTORE",
    "ZRANGESTORE",
    "ZUNIONSTORE",
];
/// Commands that read their first key, and write the others where there are some.
const READS_THE_FIRST: &[&str] = &["COPY", "GEORADIUS", "GEORADIUSBYMEMBER", "SORT"];

/// One right that a request needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need<'n> {
    /// To do what.
    pub action: Action,
    /// With what kind of thing.
    pub kind: ResourceKind,
    /// Which of them.
    pub name: &'n [u8],
    /// What becomes of it, where that is a key.
    pub touch: Touch,
}

/// What a command does with one of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// Tells what it holds.
    Reads,
    /// Changes it, and does not tell what it held.
    Writes,
    /// Both.
    Both,
}

impl Touch {
    /// Whether it tells what the key holds.
    pub fn reads(self) -> bool {
        self != Self::Writes
    }

    /// Whether it changes the key.
    pub fn writes(self) -> bool {
        self != Self::Reads
    }
}

/// What kind of right was missing; a client is told in the words of Redis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// That on a key, a queue, a topic or the like.
    Name,
    /// That on a channel.
    Channel,
    /// That on the command as a whole.
    Command,
}

impl Missing {
    /// The refusal of the command of this name to the caller of this name.
    pub fn refusal(self, user: &str, command: &str) -> CommandError {
        match self {
            Self::Name => denied("No permissions to access a key"),
            Self::Channel => denied("No permissions to access a channel"),
            Self::Command => CommandError::Forbidden {
                user: quote(user.as_bytes()),
                command: command.to_ascii_lowercase().replace(' ', "|"),
            },
        }
    }
}

const fn denied(message: &'static str) -> CommandError {
    CommandError::Denied { code: "NOPERM", message }
}

/// Where a command is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// As a request of its own, whose answer can be filtered.
    Alone,
    /// In a transaction or by a script.
    Inside,
}

/// What the names are that a command needs rights to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    /// No right but to be here.
    Nothing,
    /// The command itself, by its id.
    Command,
    /// Its keys or names.
    Names,
    /// Everything of its kind.
    Everything,
    /// What it lists; everything where the list cannot be filtered.
    Listed,
    /// The script or the function.
    Script(ScriptVerb),
    /// Channels, all words from the first argument on.
    Channels,
    /// One channel, the first argument.
    Channel,
    /// The same that are patterns of this kind.
    Patterns(Glob),
    /// Prefixes of keys that are to be told of.
    Tracking,
}

/// Which characters of a pattern stand for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Glob {
    /// `*`, `?`, `[…]` and what is escaped.
    Redis,
    /// `*` and `#`, segments of a topic.
    Topic,
}

/// What a declaration comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rule {
    action: Action,
    kind: ResourceKind,
    scope: Scope,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| table::commands().map(Rule::of).collect());

impl Rule {
    fn of(spec: &'static CommandSpec) -> Self {
        let (kind, action) = (kind_of(spec), action_of(spec));
        let (action, kind, scope) = match spec.access {
            Access::Admin => (Action::Admin, ResourceKind::Admin, Scope::Command),
            _ if SHOWS_SERVER.contains(&spec.id) => {
                (Action::Admin, ResourceKind::Admin, Scope::Command)
            }
            Access::Write if spec.family == Family::Capture => {
                (Action::Admin, ResourceKind::Admin, Scope::Command)
            }
            // A capture may hold changes of any key.
            Access::Read if spec.family == Family::Capture => {
                (Action::Read, ResourceKind::Kv, Scope::Everything)
            }
            _ => (action, kind, scope_of(spec)),
        };
        Self { action, kind, scope }
    }
}

fn kind_of(spec: &CommandSpec) -> ResourceKind {
    match spec.family {
        Family::Kv | Family::Key | Family::Transaction | Family::Capture => ResourceKind::Kv,
        Family::Connection | Family::Server => ResourceKind::Kv,
        Family::Bitmap => ResourceKind::Bitmap,
        Family::List => ResourceKind::List,
        Family::Set => ResourceKind::Set,
        Family::SortedSet => ResourceKind::SortedSet,
        Family::Geo => ResourceKind::Geo,
        Family::Hash => ResourceKind::Hash,
        Family::Stream => ResourceKind::Stream,
        Family::Queue => ResourceKind::Queue,
        Family::Topic if spec.id.starts_with("stream.") => ResourceKind::Stream,
        Family::Topic => ResourceKind::Topic,
        Family::Group => ResourceKind::Group,
        Family::HyperLogLog => ResourceKind::HyperLogLog,
        Family::Scripting => ResourceKind::Script,
        Family::Pubsub => ResourceKind::PubSub,
        Family::Cluster => ResourceKind::Cluster,
    }
}

fn action_of(spec: &CommandSpec) -> Action {
    match spec.access {
        _ if PUBLISHES.contains(&spec.id) => Action::Write,
        Access::Open | Access::Read => Action::Read,
        Access::Admin => Action::Admin,
        Access::Write if DELETES.contains(&spec.id) => Action::Delete,
        Access::Write if CONSUMES.contains(&spec.id) => Action::Consume,
        Access::Write if CONFIGURES.contains(&spec.id) => Action::Configure,
        Access::Write => Action::Write,
    }
}

fn scope_of(spec: &CommandSpec) -> Scope {
    if LISTS.contains(&spec.id) {
        return Scope::Listed;
    }
    match (spec.id, spec.run) {
        ("client.tracking", _) => return Scope::Tracking,
        ("pubsub.publish" | "pubsub.spublish" | "pubsub.topic_publish" | "pubsub.info", _) => {
            return Scope::Channel;
        }
        ("pubsub.subscribe" | "pubsub.ssubscribe" | "pubsub.numsub" | "pubsub.shardnumsub", _) => {
            return Scope::Channels;
        }
        ("pubsub.psubscribe", _) => return Scope::Patterns(Glob::Redis),
        ("pubsub.topic_subscribe", _) => return Scope::Patterns(Glob::Topic),
        // What a caller listens to it was allowed to; whose it is, is seen to where that is known.
        (
            "pubsub.unsubscribe"
            | "pubsub.punsubscribe"
            | "pubsub.sunsubscribe"
            | "pubsub.topic_unsubscribe"
            | "pubsub.poll",
            _,
        ) => return Scope::Nothing,
        (_, Run::Script(verb)) if spec.access != Access::Open => return Scope::Script(verb),
        _ => {}
    }
    match (spec.keys, spec.access) {
        (Keys::Range { .. } | Keys::Counted { .. } | Keys::Tokened { .. } | Keys::Streams, _) => {
            Scope::Names
        }
        (Keys::None, Access::Open) => Scope::Nothing,
        (Keys::None | Keys::AllShards(_) | Keys::Cursor, _) => Scope::Everything,
    }
}

/// Asks `allows` about each right that a command with these words needs.
///
/// # Errors
/// The first that it does not allow.
pub fn check(
    command: CommandId,
    words: &[&[u8]],
    place: Place,
    allows: &mut dyn FnMut(Need<'_>) -> bool,
) -> Result<(), Missing> {
    let spec = command.spec();
    let Rule { action, kind, scope } = RULES[command.index()];
    let arguments = words.get(spec.words()..).unwrap_or_default();
    let touch = if action == Action::Read { Touch::Reads } else { Touch::Both };
    let mut ask = |action, kind, name: &[u8], touch, missing| {
        if allows(Need { action, kind, name, touch }) { Ok(()) } else { Err(missing) }
    };
    match scope {
        Scope::Nothing => Ok(()),
        Scope::Listed if place == Place::Alone => Ok(()),
        Scope::Command => ask(action, kind, spec.id.as_bytes(), touch, Missing::Command),
        Scope::Everything | Scope::Listed => ask(action, kind, EVERYTHING, touch, Missing::Command),
        Scope::Script(verb) => {
            let name = script_name(verb, arguments.first().copied().unwrap_or_default());
            ask(action, kind, &name, touch, Missing::Command)
        }
        Scope::Channel => {
            let name = arguments.first().copied().unwrap_or_default();
            ask(action, kind, name, touch, Missing::Channel)
        }
        Scope::Channels => arguments.iter().try_for_each(|name| {
            let heard = heard(name);
            ask(heard.action, heard.kind, heard.name, heard.touch, Missing::Channel)
        }),
        Scope::Patterns(glob) => arguments.iter().try_for_each(|pattern| {
            heard_by_pattern(pattern, glob, &mut |need| {
                ask(need.action, need.kind, need.name, need.touch, Missing::Channel)
            })
        }),
        Scope::Tracking => prefixes(arguments, &mut |need| {
            ask(need.action, need.kind, need.name, need.touch, Missing::Name)
        }),
        Scope::Names => {
            if spec.flags.has(Flags::REACHES) && reaches(arguments) {
                ask(Action::Read, kind, EVERYTHING, Touch::Reads, Missing::Name)?;
            }
            let is_named = spec.namespace().is_some();
            let positions = spec.key_positions(words);
            let first = positions.iter().min().copied();
            positions.into_iter().filter(|at| *at < words.len()).try_for_each(|at| {
                let kind = if is_named { named_kind(spec, at).unwrap_or(kind) } else { kind };
                let touch = match touch {
                    Touch::Reads => touch,
                    _ => touch_of(spec, Some(at) == first, arguments),
                };
                ask(action, kind, name_of(words[at]), touch, Missing::Name)
            })
        }
    }
}

/// What a command that changes something does with one of its keys, the first of them or another:
/// as Redis declares it, and both where it is not sure.
fn touch_of(spec: &CommandSpec, is_first: bool, arguments: &[&[u8]]) -> Touch {
    let tells = || arguments.iter().skip(2).any(|word| word.eq_ignore_ascii_case(b"GET"));
    match spec.resp {
        "SET" if tells() => Touch::Both,
        "SET" => Touch::Writes,
        name if WRITES_BLINDLY.contains(&name) => Touch::Writes,
        name if MAKES_OF_OTHERS.contains(&name) => match is_first {
            true => Touch::Writes,
            false => Touch::Reads,
        },
        name if READS_THE_FIRST.contains(&name) => match is_first {
            true => Touch::Reads,
            false => Touch::Writes,
        },
        "PFMERGE" if !is_first => Touch::Reads,
        "XREADGROUP" => Touch::Reads,
        _ => Touch::Both,
    }
}

/// Whether someone with these rights may run a command with these words.
///
/// # Errors
/// What is missing.
pub fn admits(
    rights: &Rights,
    command: CommandId,
    words: &[&[u8]],
    place: Place,
) -> Result<(), Missing> {
    admits_telling(rights, command, words, place, &mut |_| {})
}

/// The same, and tells the last right that was missing.
///
/// # Errors
/// What is missing.
pub fn admits_telling(
    rights: &Rights,
    command: CommandId,
    words: &[&[u8]],
    place: Place,
    tell: &mut dyn FnMut(Need<'_>),
) -> Result<(), Missing> {
    let mut asked = |allowed: bool, need: Need<'_>| {
        if !allowed {
            tell(need);
        }
        allowed
    };
    let mut missing = Missing::Command;
    if let Some(acl) = rights.acl() {
        for selector in acl.selectors().filter(|selector| selector.runs(command)) {
            let mut allows = |need: Need<'_>| asked(covers(selector, need), need);
            let checked = check(command, words, place, &mut allows);
            match checked.and_then(|()| check_declared(command, words, &mut allows)) {
                Ok(()) => return Ok(()),
                Err(other) => missing = other,
            }
        }
        // Selectors are about commands, and so is what others may do without any right.
        if !rights.are_inherited() && is_free(command) {
            return Err(missing);
        }
    }
    let is_inherited = rights.acl().is_none() || rights.are_inherited();
    let mut allows = |need: Need<'_>| {
        let allowed = rights.allows(need.action, need.kind, need.name);
        if is_inherited { asked(allowed, need) } else { allowed }
    };
    check(command, words, place, &mut allows)
        .map_err(|other| if is_inherited { other } else { missing })
}

/// Whether someone with these rights may do this one thing, which is part of that command.
pub fn grants(rights: &Rights, command: CommandId, need: Need<'_>) -> bool {
    let by_selector = |acl: &Acl| {
        let mut running = acl.selectors().filter(|selector| selector.runs(command));
        running.any(|selector| covers(selector, need))
    };
    rights.allows(need.action, need.kind, need.name) || rights.acl().is_some_and(by_selector)
}

/// Asks about keys that a command has and that no right but this is about: those that a script is
/// said to use (it is asked again about those that it does), and those that administrators ask for.
fn check_declared(
    command: CommandId,
    words: &[&[u8]],
    allows: &mut dyn FnMut(Need<'_>) -> bool,
) -> Result<(), Missing> {
    let (spec, scope) = (command.spec(), RULES[command.index()].scope);
    if !matches!(scope, Scope::Script(_) | Scope::Command) {
        return Ok(());
    }
    let (action, touch) = match spec.access {
        Access::Write => (Action::Write, Touch::Both),
        _ => (Action::Read, Touch::Reads),
    };
    let all =
        spec.key_positions(words).into_iter().filter(|at| *at < words.len()).all(|at| {
            allows(Need { action, kind: ResourceKind::Kv, name: name_of(words[at]), touch })
        });
    if all { Ok(()) } else { Err(Missing::Name) }
}

/// Whether a selector that has the command covers this need of it.
fn covers(selector: &Selector, need: Need<'_>) -> bool {
    match need.kind {
        ResourceKind::PubSub => selector.hears(need.name),
        // What is not about a key is allowed with the command.
        ResourceKind::Admin | ResourceKind::Script | ResourceKind::Cluster => true,
        _ => selector.reaches(need.name, need.touch.reads(), need.touch.writes()),
    }
}

/// Whether a command can be run without a right to anything.
pub fn is_free(command: CommandId) -> bool {
    matches!(RULES[command.index()].scope, Scope::Nothing | Scope::Listed | Scope::Tracking)
}

/// What kind of names a command lists, where its answer is to be filtered.
pub fn lists(command: CommandId) -> Option<ResourceKind> {
    let Rule { kind, scope, .. } = RULES[command.index()];
    (scope == Scope::Listed).then_some(kind)
}

/// The name that a key of a namespace stands for, or the key itself.
pub fn name_of(key: &[u8]) -> &[u8] {
    let Some((_, name)) = Namespace::split(key) else { return key };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    &name[..end]
}

/// The kind of a name at a position where another namespace than the first is declared.
fn named_kind(spec: &CommandSpec, at: usize) -> Option<ResourceKind> {
    let first = spec.namespace()?;
    match spec.args.get(at.checked_sub(spec.words())?)?.kind {
        ArgKind::Name(space) if space != first => Some(match space {
            Namespace::Queue | Namespace::Dss => ResourceKind::Queue,
            Namespace::Partition => ResourceKind::Topic,
            Namespace::Group => ResourceKind::Group,
            Namespace::Capture => ResourceKind::Kv,
        }),
        _ => None,
    }
}

/// The digest of a script, or the name of a function.
fn script_name(verb: ScriptVerb, word: &[u8]) -> Vec<u8> {
    use ScriptVerb::{Eval, EvalReadOnly, EvalSha, EvalShaReadOnly, Timed, TimedSha};
    match verb {
        Eval | EvalReadOnly | Timed => sha1::hex_digest(word).to_vec(),
        EvalSha | EvalShaReadOnly | TimedSha => word.to_ascii_lowercase(),
        _ => word.to_vec(),
    }
}

/// The right to hear a channel: where it tells of a key, that to read the key.
fn heard(channel: &[u8]) -> Need<'_> {
    let read = |kind, name| Need { action: Action::Read, kind, name, touch: Touch::Reads };
    for prefix in [WATCH_PREFIX, KEYSPACE] {
        if let Some(key) = channel.strip_prefix(prefix) {
            return read(ResourceKind::Kv, key);
        }
    }
    if channel.starts_with(KEYEVENT) {
        return read(ResourceKind::Kv, EVERYTHING);
    }
    read(ResourceKind::PubSub, channel)
}

/// The rights to hear whatever matches a pattern. One that may match channels which tell of keys
/// needs the right to read them.
fn heard_by_pattern(
    pattern: &[u8],
    glob: Glob,
    ask: &mut dyn FnMut(Need<'_>) -> Result<(), Missing>,
) -> Result<(), Missing> {
    let read = |kind, name| Need { action: Action::Read, kind, name, touch: Touch::Reads };
    let covered = cover(pattern, glob);
    let fixed = covered.strip_suffix(b"*").unwrap_or(&covered);
    let fixed = &fixed[..fixed.iter().position(|byte| *byte == b'*').unwrap_or(fixed.len())];
    for prefix in [WATCH_PREFIX, KEYSPACE] {
        if let Some(keys) = covered.strip_prefix(prefix) {
            return ask(read(ResourceKind::Kv, keys));
        }
    }
    if fixed.starts_with(RESERVED) || RESERVED.starts_with(fixed) {
        ask(read(ResourceKind::Kv, EVERYTHING))?;
    }
    ask(read(ResourceKind::PubSub, &covered))
}

/// The simplest pattern that means all that a pattern means: what is fixed at its start and at its
/// end, and a star between. A right that matches this, taken as a name, matches all of them.
pub fn cover(pattern: &[u8], glob: Glob) -> Vec<u8> {
    let is_special = |byte: &u8| match glob {
        Glob::Redis => b"*?[]\\".contains(byte),
        Glob::Topic => b"*#".contains(byte),
    };
    let Some(first) = pattern.iter().position(is_special) else { return pattern.to_vec() };
    let last = pattern.iter().rposition(is_special).unwrap_or(first);
    let head = &pattern[..first];
    let (head, tail) = match glob {
        // What stands in brackets or is escaped is not worth the trouble.
        Glob::Redis if pattern.iter().any(|byte| b"[\\".contains(byte)) => (head, &[][..]),
        // `a.#` means `a` as well, and `#.b` also `b`.
        Glob::Topic if pattern.contains(&b'#') => {
            (head.strip_suffix(b".").unwrap_or(head), &[][..])
        }
        Glob::Redis | Glob::Topic => (head, &pattern[last + 1..]),
    };
    [head, b"*", tail].concat()
}

/// What `CLIENT TRACKING … BCAST` asks to be told of.
fn prefixes(
    arguments: &[&[u8]],
    ask: &mut dyn FnMut(Need<'_>) -> Result<(), Missing>,
) -> Result<(), Missing> {
    let is = |word: &[u8], token: &[u8]| word.eq_ignore_ascii_case(token);
    if !arguments.iter().any(|word| is(word, b"BCAST")) {
        return Ok(());
    }
    let named = arguments.windows(2).filter(|pair| is(pair[0], b"PREFIX"));
    fn read(name: &[u8]) -> Need<'_> {
        let (action, kind) = (Action::Read, ResourceKind::Kv);
        Need { action, kind, name, touch: Touch::Reads }
    }
    let mut any = false;
    for pair in named {
        any = true;
        let name = [pair[1], b"*"].concat();
        ask(read(&name))?;
    }
    if any { Ok(()) } else { ask(read(EVERYTHING)) }
}

/// Whether patterns of `SORT` name keys that only the data tells.
fn reaches(arguments: &[&[u8]]) -> bool {
    let is_token =
        |word: &[u8]| [&b"BY"[..], b"GET"].iter().any(|token| word.eq_ignore_ascii_case(token));
    arguments.windows(2).any(|pair| is_token(pair[0]) && pair[1].contains(&b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(line: &str, place: Place) -> Vec<String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let command = table::lookup(&words).expect("it is a command");
        let mut needs = Vec::new();
        let mut allows = |need: Need<'_>| {
            let name = String::from_utf8_lossy(need.name);
            needs.push(format!("{} {}:{name}", need.action, need.kind));
            true
        };
        check(command, &words, place, &mut allows).expect("all is allowed");
        needs
    }

    #[test]
    fn each_key_needs_the_right() {
        for (line, expected) in [
            ("GET a", &["read kv:a"][..]),
            ("MSET a 1 b 2", &["write kv:a", "write kv:b"]),
            ("DEL a b", &["delete kv:a", "delete kv:b"]),
            ("HSET h f v", &["write hash:h"]),
            ("XREAD COUNT 1 STREAMS a b 0 0", &["read stream:a", "read stream:b"]),
            ("XREADGROUP GROUP g c STREAMS s >", &["consume stream:s"]),
            ("SORT l STORE d", &["write kv:l", "write kv:d"]),
            ("SORT l BY w_* STORE d", &["read kv:*", "write kv:l", "write kv:d"]),
            ("QPUBLISH q x", &["write queue:q"]),
            ("QCONSUME q c", &["consume queue:q"]),
            ("QCREATE q", &["configure queue:q"]),
            ("SREAD room r 0", &["read stream:room"]),
            ("GCREATE g t", &["configure group:g", "configure topic:t"]),
            ("WATCH a b", &["read kv:a", "read kv:b"]),
            ("PING", &[]),
            ("KEYS *", &[]),
            ("DBSIZE", &["read kv:*"]),
            ("FLUSHALL", &["admin admin:server.flushall"]),
            ("INFO", &["admin admin:server.info"]),
            ("CDC.READ c 0", &["read kv:*"]),
            ("FCALL f 1 k", &["write script:f"]),
            ("EVALSHA_RO ABC 0", &["read script:abc"]),
        ] {
            assert_eq!(needs(line, Place::Alone), expected, "{line}");
        }
        assert_eq!(needs("KEYS a*", Place::Inside), ["read kv:*"]);
    }

    #[test]
    fn channels_that_tell_of_keys_need_the_right_to_the_keys() {
        for (line, expected) in [
            ("PUBLISH c x", &["write pubsub:c"][..]),
            ("SUBSCRIBE a b", &["read pubsub:a", "read pubsub:b"]),
            ("SUBSCRIBE __keyspace@0__:k", &["read kv:k"]),
            ("SUBSCRIBE __keyevent@0__:del", &["read kv:*"]),
            ("PSUBSCRIBE __watch@0__:u:*", &["read kv:u:*"]),
            ("PSUBSCRIBE __key*", &["read kv:*", "read pubsub:__key*"]),
            ("PSUBSCRIBE *", &["read kv:*", "read pubsub:*"]),
            ("PSUBSCRIBE news.*", &["read pubsub:news.*"]),
            ("PSUBSCRIBE a?b*c", &["read pubsub:a*c"]),
            ("PSUBSCRIBE a[b]c\\d", &["read pubsub:a*"]),
            ("SYNAP.SUBSCRIBE a.*.b", &["read pubsub:a.*.b"]),
            ("SYNAP.SUBSCRIBE a.#", &["read pubsub:a*"]),
            ("CLIENT TRACKING ON", &[]),
            ("CLIENT TRACKING ON BCAST PREFIX u:", &["read kv:u:*"]),
            ("CLIENT TRACKING ON BCAST", &["read kv:*"]),
        ] {
            assert_eq!(needs(line, Place::Alone), expected, "{line}");
        }
    }

    #[test]
    fn keys_of_namespaces_are_names_again() {
        for (key, name) in
            [(&b"\0q\0jobs"[..], &b"jobs"[..]), (b"\0t\0log\x003", b"log"), (b"k", b"k")]
        {
            assert_eq!(name_of(key), name);
        }
    }

    #[test]
    fn what_changes_data_needs_more_than_to_read() {
        for (spec, rule) in table::commands().zip(RULES.iter()) {
            let changes = matches!(spec.access, Access::Write | Access::Admin);
            assert!(!changes || rule.action != Action::Read, "{}", spec.resp);
            let lacks = matches!(rule.scope, Scope::Nothing | Scope::Listed);
            assert!(!changes || !lacks, "{}", spec.resp);
        }
        for id in [DELETES, CONSUMES, CONFIGURES, PUBLISHES, SHOWS_SERVER, LISTS].concat() {
            assert!(table::commands().any(|spec| spec.id == id), "{id} is no command");
        }
        for name in [WRITES_BLINDLY, MAKES_OF_OTHERS, READS_THE_FIRST].concat() {
            assert!(table::commands().any(|spec| spec.resp == name), "{name} is no command");
        }
    }
}
