//! The vocabulary of the engine's boundary: what it is told and what it asks of the outside.

use super::cold::ColdDone;
use super::parcel::Parcel;
use super::tx::Transaction;
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::table::CommandId;
use crate::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use crate::shard::evict::{AccessMode, EvictionPolicy};
use crate::shard::index::Slot;
use crate::shard::plan::Rules;
use crate::types::Thresholds;

/// Where a key lives, worked out once per request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a shard that is here.
    Here(Spot),
    /// In this shard, which was not here when it was looked for.
    Elsewhere(ShardId),
}

/// Where a key lives in a shard that is here: its hash in the index there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    pub(crate) shard: ShardId,
    pub(crate) hash: u64,
    /// Where its entry probably stands. It is looked at again before it is used.
    pub(crate) likely: Option<Slot>,
}

/// Whose lookups a request makes, and what they leave behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reads {
    /// Process-wide number of the client; zero is nobody.
    pub client: u64,
    /// They shall not count as uses of the keys (`CLIENT NO-TOUCH`).
    pub quiet: bool,
    /// The client is to be told when what it has read changes (`CLIENT TRACKING`).
    pub tracked: bool,
    /// The client may not do everything: commands of its scripts are asked for
    /// ([`Outbound::permits`]).
    pub bound: bool,
}

/// What an engine is told. Each call of [`super::Engine::step`] takes one.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client's command whose arguments were decoded. Not for [`Run::Session`] commands.
    ///
    /// [`Run::Session`]: crate::command::spec::Run::Session
    Request {
        /// The connection it came on.
        conn: ConnId,
        /// Its position among the connection's requests.
        ticket: Ticket,
        /// Process-wide number of the client, for commands about clients.
        caller: u64,
        /// Whose lookups it makes, and what they leave behind.
        reads: Reads,
        /// A command about every shard shall cover this core's only: the client sees the cores as
        /// nodes, and asks each.
        here: bool,
        /// Which command.
        command: CommandId,
        /// Its arguments.
        args: &'a Args<'a>,
        /// Where the second word of `args` lives, if [`super::Engine::prefetch`] of this engine was
        /// asked about it. The shard stays true; the rest is looked at again before it is used.
        place: Option<Place>,
    },
    /// The commands that a client queued, to be run as one. The reply is an array with one item
    /// per command, nil where a watched key has changed, or an error for the whole.
    Exec {
        /// The connection.
        conn: ConnId,
        /// The position of `EXEC` among its requests.
        ticket: Ticket,
        /// Whose lookups it makes, and what they leave behind.
        reads: Reads,
        /// Commands about every shard shall cover this core's only.
        here: bool,
        /// The commands, and what was watched.
        transaction: Transaction,
    },
    /// Notes that a transaction to come depends on these keys. The reply is OK, to be waited for
    /// before anything else of the client starts.
    Watch {
        /// The connection.
        conn: ConnId,
        /// The position of `WATCH` among its requests.
        ticket: Ticket,
        /// Process-wide number of who watches.
        watcher: u64,
        /// The keys.
        keys: &'a [&'a [u8]],
    },
    /// Forgets what somebody watches. There is no reply. Watches that the same core begins later
    /// under the same number are not concerned.
    Unwatch {
        /// Process-wide number of who watches.
        watcher: u64,
        /// Shards of the keys that it may watch, a bit each.
        shards: u64,
    },
    /// A client wants to be told of changes ([`Outbound::stale`]): of what its requests read
    /// ([`Reads::tracked`]) and, from now on, of keys with these prefixes instead of those it has
    /// named before. The reply is OK, to be waited for before anything else of the client starts.
    Track {
        /// The connection.
        conn: ConnId,
        /// The position of the request.
        ticket: Ticket,
        /// Process-wide number of the client; its core is that number modulo the number of cores.
        client: u64,
        /// Prefixes of keys.
        prefixes: &'a [&'a [u8]],
    },
    /// A client does not want to be told any more, or is gone. The reply is OK, where one is
    /// `asked` for.
    Untrack {
        /// Process-wide number of the client.
        client: u64,
        /// Connection and request that want a reply.
        asked: Option<(ConnId, Ticket)>,
    },
    /// What another core sent.
    Parcel {
        /// The core that sent it.
        from: CoreId,
        /// What it sent.
        parcel: Parcel,
    },
    /// The log is durable up to this many bytes since the engine's start.
    Durable(u64),
    /// The time of a command that waits is over, see [`super::Engine::next_deadline`].
    Alarm,
    /// A connection is gone, or said that it will send no more: what it waits for is given up and
    /// answered as if its time were over.
    Gone {
        /// The connection.
        conn: ConnId,
    },
    /// The server stops: clients that wait are answered as if their time were over, and none
    /// begins to wait.
    Stopping,
    /// What came of something that was to be done with a file of events.
    Cold(Box<ColdDone>),
    /// Time for upkeep: expiry, and eviction where the limit was lowered.
    Tick,
}

/// Whether the connection that a request came on may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The next request of the connection may be handed in.
    Continue,
    /// Only after the reply to this one, or their effects could change places.
    Barrier,
}

/// What an engine asks for while it handles an event.
///
/// Ordering duty of whoever implements it: at the end of a turn the log
/// ([`super::Engine::take_log`]) is appended first, parcels ([`super::Engine::take_parcel`]) are
/// sent next, and replies leave last.
/// A reply that has to wait for the disk is not handed out before [`Event::Durable`].
pub trait Outbound {
    /// A reply to a request of this core's client. Replies of one connection may come out of order.
    fn reply(&mut self, conn: ConnId, ticket: Ticket, reply: Reply<'_>);

    /// Carries out a command that concerns each core ([`Run::EveryCore`]) on this one.
    ///
    /// [`Run::EveryCore`]: crate::command::spec::Run::EveryCore
    fn run_on_core(&mut self, command: CommandId, args: &Args<'_>, caller: u64) -> Reply<'static>;

    /// Carries out a command of a transaction that concerns its connection ([`Run::Session`]), and
    /// answers whatever may be when the connection is gone.
    ///
    /// [`Run::Session`]: crate::command::spec::Run::Session
    fn run_session(&mut self, conn: ConnId, command: CommandId, args: &Args<'_>) -> Reply<'static>;

    /// Words that another core's outside sent by [`super::Engine::tell`].
    fn hear(&mut self, words: &[&[u8]]);

    /// A key was changed (all were, if it is nothing), by the client `writer` or, if that is zero,
    /// by nobody: clients of this core that want to be told. It may come before the replies to what
    /// they have asked earlier; to them it has to come behind those.
    fn stale(&mut self, _readers: &[u64], _writer: u64, _key: Option<&[u8]>) {}

    /// Whether the client of a connection may have its script run a command. Asked where
    /// [`Reads::bound`] says so. Names are what the script calls them.
    ///
    /// # Errors
    /// It may not; the script sees the refusal as the answer of the command.
    fn permits(
        &mut self,
        _conn: ConnId,
        _command: CommandId,
        _words: &[&[u8]],
    ) -> Result<(), CommandError> {
        Ok(())
    }

    /// The script of a client is about to remove every key. It may be run again, and then this is
    /// said again.
    fn flushes(&mut self, _conn: ConnId, _command: CommandId) {}

    /// A line that a script wants to have in the server's log; levels are 0 (least) to 3. Where
    /// there is no log, it is nowhere.
    fn script_log(&mut self, _level: u8, _text: &[u8]) {}
}

/// When a batch counts as acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acknowledge {
    /// At once, because nobody keeps a log: a batch gets no checksum and is gone once it is
    /// applied, and [`super::Engine::take_log`] has nothing.
    Unlogged,
    /// When it is appended to the log.
    OnAppend,
    /// When the log has it on disk.
    OnDisk,
}

/// What an engine is configured with; the eviction part can change while it runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// The epoch it writes in.
    pub epoch: Epoch,
    /// When replies to writes leave.
    pub acknowledge: Acknowledge,
    /// Limits and eviction.
    pub memory: MemorySettings,
}

/// Memory limit and eviction of one core.
#[derive(Clone, Copy, Debug)]
pub struct MemorySettings {
    /// Bytes of live data that this core's shards may hold; zero is no limit.
    pub limit_bytes: usize,
    /// Keys that this core's shards may hold; zero is no limit.
    pub limit_keys: usize,
    /// Which keys give way.
    pub policy: EvictionPolicy,
    /// Keys looked at for each eviction.
    pub sample_size: usize,
    /// How uses are noted.
    pub mode: AccessMode,
    /// Classes of changes that somebody wants to be told of, a bit each by
    /// [`crate::shard::plan::Notice`].
    pub notices: u16,
    /// When containers leave their packed form.
    pub thresholds: Thresholds,
}

impl MemorySettings {
    /// What commands can see of it.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            policy: self.policy,
            mode: self.mode,
            notices: self.notices,
            read_elements_max: self.thresholds.read_elements_max,
        }
    }
}

/// Counters of one engine since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Lookups that found a live key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Keys removed because their deadline passed.
    pub expired: u64,
    /// Keys removed because memory was short.
    pub evicted: u64,
    /// Requests sent to other cores.
    pub forwarded: u64,
    /// Shards lent to other cores.
    pub lent: u64,
    /// Batches written.
    pub batches: u64,
    /// Runs of scripts, repeated ones included.
    pub scripts_run: u64,
    /// Runs that were taken back and repeated, because the script reached outside the keys it
    /// declared, or wrote a large value.
    pub scripts_rerun: u64,
    /// Requests refused because too many waited for a shard.
    pub busy: u64,
    /// Transactions that ran.
    pub transactions: u64,
    /// Transactions that did nothing because a watched key had changed.
    pub transactions_aborted: u64,
    /// Files of events written.
    pub cold_files: u64,
    /// Their bytes.
    pub cold_bytes: u64,
    /// Readings of files of events.
    pub cold_reads: u64,
    /// Files of events that could not be written, and readings that failed.
    pub cold_failures: u64,
}
