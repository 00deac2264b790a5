//! Snapshots of a running server, without a pause and without a fork.
//!
//! A snapshot is fuzzy: each core writes images of its shards in slices between requests, and a
//! copy of everything it appends to its log meanwhile (its tail). Images and tails together are
//! whole: they give, alone, a prefix per shard with whole transactions. Then the log before it may
//! go.
//!
//! Who does what: a thread of the process, the [`coordinator`], decides when, tells the cores what
//! to do next ([`Order`]) and writes the index; each core walks and copies ([`crate::pump`]); a
//! thread per core compresses, writes and syncs ([`job`]). The phases, each begun when every core
//! is done with the one before:
//!
//! 1. *Begin*: every core copies what it appends from now on. So the tails hold every batch behind
//!    the Seq that a shard has when its walk begins, whichever core writes it.
//! 2. *Walk*: every core writes its shards, noting the Seq of each before and after.
//! 3. *End*: every core ends its tail. So the tails hold every batch up to the Seqs after the walk.
//! 4. The index is written, the manifest notes what is released, the log before *Begin* goes, and
//!    so do old snapshots beyond what is to be kept (`retention`).
//!
//! Guarantees: clients never wait for a disk because of a snapshot; a snapshot that fails costs
//! nothing but itself; nothing of the log goes before the snapshot that stands for it is durable.

pub mod coordinator;
pub mod job;
mod retention;
mod run;
mod trigger;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use synap_io::snapshot::{FileError, FinishedPart};
use synap_shards::command::error::CommandError;
use synap_shards::id::{ConnId, CoreId, ShardId, Ticket};
use synap_shards::seq::Seq;

use crate::metrics::Cell;
use job::Link;

/// What commands about snapshots answer where nothing is kept on disk.
pub const DISABLED: CommandError = CommandError::Invalid("Persistence is disabled");

/// The way to the coordinator, and what it has to say; shared by all cores.
#[derive(Debug)]
pub struct Snapshots {
    inbox: Sender<Input>,
    /// What the coordinator knows.
    pub facts: Facts,
    /// One was asked for and has not begun.
    pending: AtomicBool,
}

/// What the coordinator has to say; it alone writes.
#[derive(Debug, Default)]
pub struct Facts {
    /// When the running snapshot began, Unix milliseconds; zero without one.
    pub running_since_ms: Cell,
    /// Entries that the running one has written.
    pub entries_done: Cell,
    /// When the last good one ended, Unix seconds; before the first, when the process started.
    pub last_success_secs: Cell,
    /// How long the last one took, good or not, milliseconds.
    pub last_duration_ms: Cell,
    /// Whether the last one failed, 1 or 0.
    pub last_failed: Cell,
    /// Bytes of the files of the last good one.
    pub last_bytes: Cell,
    /// Entries in its images.
    pub last_entries: Cell,
    /// Good ones since the start.
    pub taken: Cell,
    /// Failed ones since the start.
    pub failed: Cell,
    /// Batches appended, by all cores since the start, when the last good one began.
    pub covered_batches: Cell,
    /// Bytes of log that stand, about: what was written since the last good one began.
    pub log_bytes: Cell,
}

impl Snapshots {
    /// For a coordinator that listens behind `inbox`.
    pub fn new(inbox: Sender<Input>, started_unix_ms: u64) -> Self {
        let facts = Facts::default();
        facts.last_success_secs.set(started_unix_ms / 1000);
        Self { inbox, facts, pending: AtomicBool::new(false) }
    }

    /// Asks for a snapshot; `waiter` is told when it is there. One that has begun counts, as long
    /// as it will hold what was acknowledged before now.
    pub fn ask(&self, waiter: Option<Waiter>) {
        self.tell(Input::Ask(waiter));
    }

    /// Asks for a snapshot in the background; false when one is running or asked for already.
    pub fn ask_in_background(&self) -> bool {
        let idle = self.facts.running_since_ms.get() == 0;
        let asks = idle && !self.pending.swap(true, Ordering::Relaxed);
        if asks {
            self.ask(None);
        }
        asks
    }

    /// Whether one is being taken or asked for.
    pub fn is_running(&self) -> bool {
        self.facts.running_since_ms.get() != 0 || self.pending.load(Ordering::Relaxed)
    }

    /// Gives up what is running and takes no more.
    pub fn stop(&self) {
        self.tell(Input::Stop);
    }

    fn tell(&self, input: Input) {
        // A coordinator that has ended is one of a process that is ending.
        let _ended = self.inbox.send(input);
    }

    fn begun(&self, now_ms: u64) {
        self.facts.running_since_ms.set(now_ms);
        self.pending.store(false, Ordering::Relaxed);
    }

    fn ended(&self, asked_again: bool) {
        self.facts.entries_done.set(0);
        self.facts.running_since_ms.set(0);
        self.pending.store(asked_again, Ordering::Relaxed);
    }
}

/// Who waits for a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// The core of the connection.
    pub core: CoreId,
    /// The connection.
    pub conn: ConnId,
    /// The request.
    pub ticket: Ticket,
    /// What is answered.
    pub answer: Wanted,
}

/// What is answered when a snapshot is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// `OK`.
    Word,
    /// What was written.
    Report,
}

/// What the coordinator tells a core.
#[derive(Debug)]
pub enum Order {
    /// Copy what is appended from now on; answer with [`Answer::Begun`].
    Begin {
        /// Number of the snapshot, for the answers.
        run: u64,
        /// The way to the thread that writes.
        link: Link,
        /// The way back.
        answers: Sender<Input>,
        /// Whether it shall be over soon, see [`job::Plan`].
        is_bulky: bool,
    },
    /// Write the shards; answer with [`Answer::Walked`].
    Walk,
    /// End the tail; the thread that writes answers.
    End,
    /// Forget about it.
    Abandon,
    /// Segments of the log up to this one are not needed any more.
    Release(u64),
}

/// What the coordinator hears.
#[derive(Debug)]
pub enum Input {
    /// Someone wants a snapshot.
    Ask(Option<Waiter>),
    /// The server is stopping.
    Stop,
    /// News about a snapshot, with its number.
    Answer(u64, CoreId, Answer),
}

/// What a core, or the thread that writes for it, says.
#[derive(Debug)]
pub enum Answer {
    /// It copies what it appends; what it appended before lies in this segment or before.
    Begun(u64),
    /// It has written its shards, with partitions that have these files of events.
    Walked(Vec<Span>, Vec<u64>),
    /// It could not go on.
    GaveUp(GaveUp),
    /// Everything is on disk, or why not.
    Written(Result<Vec<FinishedPart>, FileError>),
}

/// A shard, and its Seqs before and after it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The shard.
    pub shard: ShardId,
    /// Before.
    pub start: Seq,
    /// After.
    pub end: Seq,
}

/// Why a core did not go on with a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GaveUp {
    /// The disk of the snapshots takes what is appended more slowly than it comes.
    TailTooLong {
        /// Bytes that may wait.
        limit: u64,
        /// Bytes that waited.
        found: u64,
    },
    /// It has no log.
    NoLog,
}
