//! The declaration of a command. One const value per command; every surface (RESP, HTTP, OpenAPI,
//! `COMMAND DOCS`, access rules, the reference) derives what it needs from it.
//!
//! A declaration may name a surface, it never imports one. Arity, key positions in `COMMAND INFO`,
//! usage lines and JSON inputs are derived, never declared a second time.

use smallvec::SmallVec;

use super::args::{Args, NUMKEYS, NUMKEYS_REFUSAL, integer};
use super::error::CommandError;
use super::reply::Reply;
use crate::key::{Namespace, shard_of};
use crate::shard::plan::{Plan, View};
use crate::types::topic::cold::Fetch;

/// Everything there is to know about one command.
#[derive(Debug)]
pub struct CommandSpec {
    /// Stable identifier, `family.verb`: `kv.set`, `client.list`.
    pub id: &'static str,
    /// Name on the Redis protocol, upper case; a subcommand has a space: `CLIENT LIST`.
    pub resp: &'static str,
    /// The group this command belongs to.
    pub family: Family,
    /// What the caller needs to be allowed to do.
    pub access: Access,
    /// Where its keys stand among its arguments.
    pub keys: Keys,
    /// How the command behaves when its keys live in several shards.
    pub atomicity: Atomicity,
    /// The arguments in order, after the command's name.
    pub args: &'static [ArgSpec],
    /// The shape of the answer.
    pub reply: ReplySpec,
    /// Routes on which this command is served over HTTP.
    pub http: &'static [HttpRoute],
    /// Properties that surfaces and the engine look at.
    pub flags: Flags,
    /// Version of this product that introduced it.
    pub since: &'static str,
    /// One line, no full stop.
    pub summary: &'static str,
    /// Time complexity in the usual notation.
    pub complexity: &'static str,
    /// What carries it out.
    pub run: Run,
}

/// What carries a command out, and where.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Reads shards; may borrow its answer from them.
    Read(for<'s> fn(&View<'s>, &Args<'_>) -> Result<Reply<'s>, CommandError>),
    /// Decides on changes and records them; they are applied after it returned.
    Write(fn(&mut Plan<'_>, &Args<'_>) -> Result<Reply<'static>, CommandError>),
    /// As [`Run::Write`], but may have to wait for somebody else's change of its keys.
    Block(fn(&mut Plan<'_>, &Args<'_>) -> Result<Blocked, CommandError>),
    /// Runs a script, or concerns those that the server knows.
    Script(ScriptVerb),
    /// Concerns the connection or this core; the session carries it out under its id.
    Session,
    /// Begins, ends or guards a transaction: the connection keeps the queue, and hands it to the
    /// engine as a whole.
    Transaction,
    /// Ends the waiting of a client, on whichever core that is (`CLIENT UNBLOCK`).
    Unblock,
    /// Concerns every core (its clients, its statistics); each core answers, the replies are
    /// folded as [`Fold`] says.
    EveryCore(Fold),
}

/// What commands do with scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptVerb {
    /// Runs one that is given.
    Eval,
    /// Runs one that is given and may not write.
    EvalReadOnly,
    /// Runs one that is known.
    EvalSha,
    /// Runs one that is known and may not write.
    EvalShaReadOnly,
    /// Runs one that is given, under a time limit; answers for JSON.
    Timed,
    /// Runs one that is known, under a time limit; answers for JSON.
    TimedSha,
    /// Keeps one.
    Load,
    /// Tells which are known, in ones and zeros.
    Exists,
    /// Tells which are known, in booleans.
    ExistsFlags,
    /// Forgets all.
    Flush,
    /// Forgets all, and tells how many there were.
    FlushCount,
    /// Runs a function of a library.
    Call,
    /// Runs a function that does not write.
    CallReadOnly,
    /// Takes a library in.
    LoadLibrary,
    /// Removes a library.
    DeleteLibrary,
    /// Removes every library.
    FlushLibraries,
    /// Shows libraries and their functions.
    ListLibraries,
    /// Every library in one payload.
    DumpLibraries,
    /// Takes the libraries of a payload in.
    RestoreLibraries,
    /// Tells which function runs, and how many there are.
    FunctionStats,
}

impl ScriptVerb {
    /// Whether it reads or changes libraries as they are stored.
    pub fn is_about_libraries(self) -> bool {
        use ScriptVerb::{
            DeleteLibrary, DumpLibraries, FlushLibraries, ListLibraries, LoadLibrary,
            RestoreLibraries,
        };
        matches!(
            self,
            LoadLibrary
                | DeleteLibrary
                | FlushLibraries
                | ListLibraries
                | DumpLibraries
                | RestoreLibraries
        )
    }
}

/// What a command that may wait has come to.
#[derive(Debug)]
pub enum Blocked {
    /// Its answer.
    Done(Reply<'static>),
    /// There is nothing for it yet, and nothing was recorded. It is run again when one of its keys
    /// was changed.
    Wait(Pause),
}

/// How a command waits.
#[derive(Clone, PartialEq, Debug)]
pub struct Pause {
    /// Milliseconds until it is answered without having got anything; zero is never.
    pub timeout_ms: u64,
    /// The answer then.
    pub nothing: Reply<'static>,
    /// The answer where nobody may wait (transactions and scripts).
    pub at_once: Reply<'static>,
    /// The words it is run again with, where they are not those it came with.
    pub again: Option<Vec<Vec<u8>>>,
    /// What it waits for is the disk, not a change.
    pub disk: Option<Disk>,
    /// What it waits for are events of this partition that lie in a file.
    pub cold: Option<Box<(Box<[u8]>, Fetch)>>,
}

/// Waiting for every core's log to be on disk as far as it has come.
#[derive(Clone, PartialEq, Debug)]
pub struct Disk {
    /// The answer from then on.
    pub then: Reply<'static>,
    /// It ends the waiting; if not, it is only what is answered when the time is over.
    pub is_enough: bool,
}

impl Pause {
    /// Waits so many milliseconds, zero for ever, for something better than `nothing`.
    pub fn new(timeout_ms: u64, nothing: Reply<'static>) -> Self {
        let at_once = nothing.clone();
        Self { timeout_ms, nothing, at_once, again: None, disk: None, cold: None }
    }

    /// The same, with another answer where nobody may wait.
    #[must_use]
    pub fn at_once(self, at_once: Reply<'static>) -> Self {
        Self { at_once, ..self }
    }

    /// The same, but for the logs to be on disk: `then` is the answer, at once if that
    /// `is_enough`, else when the time is over.
    #[must_use]
    pub fn for_disk(self, then: Reply<'static>, is_enough: bool) -> Self {
        Self { disk: Some(Disk { then, is_enough }), ..self }
    }

    /// The same, but run again when these blocks of the partition under `key` were read.
    #[must_use]
    pub fn for_cold(self, key: &[u8], fetch: Fetch) -> Self {
        Self { cold: Some(Box::new((key.into(), fetch))), ..self }
    }

    /// The same, but run again with these words: what depends on the time of asking stands in
    /// them by its value.
    #[must_use]
    pub fn again_as(self, words: Vec<Vec<u8>>) -> Self {
        Self { again: Some(words), ..self }
    }
}

/// How the answers of several cores or shards become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    /// Integers are added.
    Sum,
    /// Arrays are joined.
    Concat,
    /// Texts are joined.
    Text,
    /// Any answer serves; they are all the same.
    First,
    /// One of the answers that are not nil, chosen at random with equal weight.
    AnyNonNil,
}

/// Groups of commands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Strings.
    Kv,
    /// Bit operations on strings.
    Bitmap,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Positions on the earth, in sorted sets.
    Geo,
    /// Hashes.
    Hash,
    /// Streams.
    Stream,
    /// Message queues.
    Queue,
    /// Topics and rooms.
    Topic,
    /// Consumer groups.
    Group,
    /// Captures of changes.
    Capture,
    /// Estimates of how many distinct elements there are.
    HyperLogLog,
    /// Commands for keys of any type.
    Key,
    /// Several commands as one.
    Transaction,
    /// Lua.
    Scripting,
    /// Messages to whoever listens now.
    Pubsub,
    /// The connection itself.
    Connection,
    /// The server and its administration.
    Server,
    /// The slots and cores as a cluster-aware client sees them.
    Cluster,
}

impl Family {
    /// The group's name in `COMMAND DOCS` and the reference.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kv => "string",
            Self::Bitmap => "bitmap",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Capture => "capture",
            Self::HyperLogLog => "hyperloglog",
            Self::Transaction => "transactions",
            Self::Scripting => "scripting",
            Self::Pubsub => "pubsub",
            Self::Key => "generic",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
        }
    }
}

/// What a caller has to be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anyone who may connect.
    Open,
    /// Reads data.
    Read,
    /// Changes data.
    Write,
    /// Administers the server.
    Admin,
}

/// Where the keys stand; positions count from the command's name, which is 0 (a subcommand's name
/// counts as part of it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// The command has none.
    None,
    /// From `first` to `last` in steps of `step`; a negative `last` counts from the end.
    Range {
        /// Position of the first key.
        first: usize,
        /// Position of the last key; -1 is the last argument.
        last: isize,
        /// Distance of neighbouring keys.
        step: usize,
    },
    /// A number of keys, right behind that number.
    Counted {
        /// Position of the number.
        count_at: usize,
        /// Position of a further key before them (a destination); 0 is none.
        also: usize,
    },
    /// One key, and one behind each of these words (`STORE`) among the arguments after it.
    Tokened {
        /// Position of the first key.
        first: usize,
        /// The words, upper case.
        tokens: &'static [&'static str],
    },
    /// The first half of what stands behind `STREAMS`.
    Streams,
    /// Every shard takes part; the answers are folded.
    AllShards(Fold),
    /// One shard after the other, walked by the cursor in the first argument (`SCAN`).
    Cursor,
}

impl Keys {
    /// One key, right behind the name.
    pub const ONE: Self = Self::Range { first: 1, last: 1, step: 1 };
    /// The first two arguments.
    pub const TWO: Self = Self::Range { first: 1, last: 2, step: 1 };
    /// Every argument.
    pub const ALL: Self = Self::Range { first: 1, last: -1, step: 1 };
    /// Every other argument (`MSET`).
    pub const PAIRS: Self = Self::Range { first: 1, last: -1, step: 2 };
}

/// What holds when the keys of one command live in several shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Atomicity {
    /// One key: atomic by nature.
    Single,
    /// Each key is atomic; the command is run once per key and the replies folded.
    PerKey(PerKey),
    /// All or nothing, isolated, over every key.
    Whole,
}

/// How the replies of a command that runs once per key become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PerKey {
    /// Integers are added (`DEL`, `EXISTS`).
    Sum,
    /// One array, in the order of the keys (`MGET`).
    Array,
}

/// One argument, or a group of arguments that go together.
#[derive(Clone, Copy, Debug)]
pub struct ArgSpec {
    /// Name in documentation and JSON, lower case.
    pub name: &'static str,
    /// What it holds.
    pub kind: ArgKind,
    /// The word before the value (`EX`), or the whole argument of a [`ArgKind::Flag`]; empty when
    /// the argument is known by its position.
    pub token: &'static str,
    /// May be left out.
    pub optional: bool,
    /// May stand more than once, at least once unless optional.
    pub repeated: bool,
    /// What a number that is none is refused with; empty for the usual text.
    pub refusal: &'static str,
    /// One line for people.
    pub doc: &'static str,
}

/// What an argument holds.
#[derive(Clone, Copy, Debug)]
pub enum ArgKind {
    /// A key.
    Key,
    /// A name in a namespace of its own, at a position of [`CommandSpec::keys`]. The command is
    /// handed the key of that name.
    Name(Namespace),
    /// Any bytes.
    Bytes,
    /// A signed 64-bit integer in decimal.
    Integer,
    /// A finite or infinite double in decimal.
    Float,
    /// A glob pattern.
    Pattern,
    /// The token alone; there is no value.
    Flag,
    /// Exactly one of these.
    OneOf(&'static [ArgSpec]),
    /// These in order; handed to the command as raw arguments.
    Block(&'static [ArgSpec]),
}

impl ArgSpec {
    /// Whether it is one word that may be anything, and must be there.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        let is_any = matches!(
            self.kind,
            ArgKind::Key | ArgKind::Name(_) | ArgKind::Bytes | ArgKind::Pattern
        );
        is_any && !self.optional && !self.repeated
    }

    const fn new(name: &'static str, kind: ArgKind, doc: &'static str) -> Self {
        Self { name, kind, token: "", optional: false, repeated: false, refusal: "", doc }
    }

    /// A key.
    pub const fn key(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Key, doc)
    }

    /// A name in a namespace. The first is one, and all keys of the command are names then, each in
    /// the namespace that is declared at its position, or in that of the first.
    pub const fn name(name: &'static str, space: Namespace, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Name(space), doc)
    }

    /// Any bytes.
    pub const fn bytes(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Bytes, doc)
    }

    /// A signed 64-bit integer.
    pub const fn integer(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Integer, doc)
    }

    /// How many keys follow, from 1 on; a repeated key right behind it takes exactly so many words.
    /// Where other numbers are refused with another text, the keys are declared with it.
    pub const fn numkeys() -> Self {
        Self::integer(NUMKEYS, "the number of keys").refused_as(NUMKEYS_REFUSAL)
    }

    /// A double.
    pub const fn float(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Float, doc)
    }

    /// A glob pattern.
    pub const fn pattern(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ArgKind::Pattern, doc)
    }

    /// A word that is there or not.
    pub const fn flag(name: &'static str, token: &'static str, doc: &'static str) -> Self {
        Self { token, optional: true, ..Self::new(name, ArgKind::Flag, doc) }
    }

    /// One of several alternatives.
    pub const fn one_of(name: &'static str, choices: &'static [Self], doc: &'static str) -> Self {
        Self::new(name, ArgKind::OneOf(choices), doc)
    }

    /// Several arguments in order.
    pub const fn block(name: &'static str, parts: &'static [Self], doc: &'static str) -> Self {
        Self::new(name, ArgKind::Block(parts), doc)
    }

    /// The same, introduced by a word.
    #[must_use]
    pub const fn with_token(self, token: &'static str) -> Self {
        Self { token, ..self }
    }

    /// The same, optional.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The same, but a number that is none is refused with this text.
    #[must_use]
    pub const fn refused_as(self, refusal: &'static str) -> Self {
        Self { refusal, ..self }
    }

    /// The same, one or more times.
    #[must_use]
    pub const fn repeated(self) -> Self {
        Self { repeated: true, ..self }
    }
}

/// The shape of an answer, for OpenAPI, the reference and the check of every command's reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplySpec {
    /// `OK`.
    Ok,
    /// `OK`, or nil when a condition did not hold.
    OkOrNil,
    /// An integer.
    Integer,
    /// An integer, or nil.
    IntegerOrNil,
    /// A byte string.
    Bytes,
    /// A byte string, or nil.
    BytesOrNil,
    /// A double as a byte string.
    Double,
    /// An array.
    Array,
    /// A map.
    Map,
    /// Text for people.
    Text,
    /// Depends on the options; the summary says how.
    Any,
}

/// Methods of HTTP routes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// Reads.
    Get,
    /// Acts.
    Post,
    /// Removes.
    Delete,
    /// Makes sure.
    Put,
}

impl Method {
    /// The word on the request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Put => "PUT",
        }
    }
}

/// A route on which a command is served. `{name}` in the path fills the argument of that name; the
/// other inputs come from the query or the JSON body under the names of the arguments.
#[derive(Clone, Copy, Debug)]
pub struct HttpRoute {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// How the reply becomes the JSON body.
    pub json: JsonReply,
}

impl HttpRoute {
    /// A route that reads.
    pub const fn get(path: &'static str, json: JsonReply) -> Self {
        Self { method: Method::Get, path, json }
    }

    /// A route that acts.
    pub const fn post(path: &'static str, json: JsonReply) -> Self {
        Self { method: Method::Post, path, json }
    }

    /// A route that makes sure that something is there.
    pub const fn put(path: &'static str, json: JsonReply) -> Self {
        Self { method: Method::Put, path, json }
    }

    /// A route that removes.
    pub const fn delete(path: &'static str, json: JsonReply) -> Self {
        Self { method: Method::Delete, path, json }
    }
}

/// The JSON body made of a reply.
#[derive(Clone, Copy, Debug)]
pub enum JsonReply {
    /// The reply alone: a bare JSON value.
    Bare,
    /// An object with the reply under this name.
    Field(&'static str),
    /// An object with the reply, read as true or false, under this name.
    Flag(&'static str),
    /// An object made of the reply (see the variant's name in the HTTP surface); for shapes that
    /// clients rely on and that no rule yields.
    Shape(&'static str),
}

/// Properties of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(u16);

impl Flags {
    /// None of the below.
    pub const NONE: Self = Self(0);
    /// Refused when memory is short.
    pub const DENY_OOM: Self = Self(1);
    /// Takes about constant time.
    pub const FAST: Self = Self(2);
    /// May be sent before the data is loaded and without authentication.
    pub const NO_AUTH: Self = Self(4);
    /// Not for scripts.
    pub const NO_SCRIPT: Self = Self(8);
    /// The answer may differ for the same data.
    pub const RANDOM: Self = Self(16);
    /// Not shown in the slow log (its arguments may be secret).
    pub const SKIP_SLOWLOG: Self = Self(32);
    /// Needs `kv_store.allow_flush_commands`.
    pub const FLUSH: Self = Self(64);
    /// May wait for somebody else.
    pub const BLOCKING: Self = Self(256);
    /// Looking at a key this way does not count as using it.
    pub const NO_TOUCH: Self = Self(128);
    /// While it waits, it is run again also when its key is gone or holds another type, to say so.
    pub const WAKES_WHEN_GONE: Self = Self(512);
    /// Not between `MULTI` and `EXEC`.
    pub const NO_MULTI: Self = Self(1024);
    /// Its patterns behind `BY` and `GET` name keys that only the data tells (`SORT`).
    pub const REACHES: Self = Self(2048);

    /// The topic it names is replaced by the partition that the event goes to, before it is run.
    pub const SPREADS: Self = Self(4096);
    /// Works on shards that only the data tells: it is given all of them.
    pub const EVERYWHERE: Self = Self(8192);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl CommandSpec {
    /// The word that selects the command, without a subcommand.
    pub fn container(&self) -> &'static str {
        self.resp.split(' ').next().unwrap_or(self.resp)
    }

    /// The subcommand's word, if it is one.
    pub fn subcommand(&self) -> Option<&'static str> {
        self.resp.split_once(' ').map(|(_, sub)| sub)
    }

    /// Number of words in the name.
    pub fn words(&self) -> usize {
        1 + usize::from(self.resp.bytes().any(|byte| byte == b' '))
    }

    /// The namespace that the names in its arguments belong to; nothing where they are keys.
    #[inline]
    pub fn namespace(&self) -> Option<Namespace> {
        match self.args.first()?.kind {
            ArgKind::Name(space) => Some(space),
            _ => None,
        }
    }

    /// Positions of the keys among the words of a request, the name included.
    pub fn key_positions(&self, words: &[&[u8]]) -> SmallVec<[usize; 8]> {
        let shift = self.words() - 1;
        match self.keys {
            Keys::None | Keys::AllShards(_) | Keys::Cursor => SmallVec::new(),
            Keys::Range { first, last, step } => {
                let end = match usize::try_from(last) {
                    Ok(last) => last + shift + 1,
                    Err(_) => (words.len() + 1).saturating_sub(last.unsigned_abs()),
                };
                (first + shift..end.min(words.len())).step_by(step).collect()
            }
            Keys::Counted { count_at, also } => {
                let first = count_at + shift + 1;
                let count = words.get(count_at + shift).map_or(Ok(0), |word| integer(word));
                let count = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
                let end = first.saturating_add(count).min(words.len());
                let also = (also > 0 && also < words.len()).then_some(also + shift);
                also.into_iter().chain(first..end).collect()
            }
            Keys::Tokened { first, tokens } => {
                let first = first + shift;
                let is_token = |word: &[u8]| {
                    tokens.iter().any(|token| word.eq_ignore_ascii_case(token.as_bytes()))
                };
                let behind = (first + 1..words.len().saturating_sub(1))
                    .filter(|at| is_token(words[*at]))
                    .map(|at| at + 1);
                std::iter::once(first).filter(|at| *at < words.len()).chain(behind).collect()
            }
            Keys::Streams => {
                let is_it = |word: &&[u8]| word.eq_ignore_ascii_case(b"STREAMS");
                let Some(at) = words.iter().position(is_it) else { return SmallVec::new() };
                (at + 1..at + 1 + (words.len() - at - 1) / 2).collect()
            }
        }
    }

    /// The shards that a command with such words works on, a bit each: those of its keys, or all
    /// of them when it has patterns that reach keys which only the data tells. Not for commands
    /// about whole shards.
    pub fn shards(&self, words: &[&[u8]]) -> u64 {
        if self.flags.has(Flags::EVERYWHERE) {
            return u64::MAX;
        }
        if self.flags.has(Flags::REACHES) && words.windows(2).any(reaches) {
            return u64::MAX;
        }
        let keys = self.key_positions(words).into_iter().map(|at| words[at]);
        keys.fold(0, |mask, key| mask | 1 << shard_of(key).index())
    }

    /// Arity as Redis states it: the exact number of arguments with the name's words, or minus
    /// the least number.
    pub fn arity(&self) -> i64 {
        let least = self.words() + least_arguments(self.args);
        let open = self.args.iter().any(is_open);
        let least = i64::try_from(least).expect("tables of arguments are short");
        if open { -least } else { least }
    }
}

/// Whether an argument may take more or fewer words than its least number.
fn is_open(spec: &ArgSpec) -> bool {
    let within = match spec.kind {
        ArgKind::Block(parts) => parts.iter().any(is_open),
        _ => false,
    };
    spec.optional || spec.repeated || within
}

/// Whether these are `BY` or `GET`, and a pattern that an element fills in.
fn reaches(pair: &[&[u8]]) -> bool {
    let is_token = |token: &&[u8]| pair[0].eq_ignore_ascii_case(token);
    [&b"BY"[..], b"GET"].iter().any(is_token) && pair[1].contains(&b'*')
}

/// The least number of arguments that satisfies `specs`.
pub fn least_arguments(specs: &[ArgSpec]) -> usize {
    specs.iter().filter(|spec| !spec.optional).map(least_of).sum()
}

fn least_of(spec: &ArgSpec) -> usize {
    let token = usize::from(!spec.token.is_empty());
    match spec.kind {
        ArgKind::Flag => 1,
        ArgKind::OneOf(choices) => choices.iter().map(least_of).min().unwrap_or(0),
        ArgKind::Block(parts) => token + least_arguments(parts),
        ArgKind::Key
        | ArgKind::Name(_)
        | ArgKind::Bytes
        | ArgKind::Integer
        | ArgKind::Float
        | ArgKind::Pattern => token + 1,
    }
}
