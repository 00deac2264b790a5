//! How a log is written and where it goes on: what a [`Writer`](super::Writer) is opened with.

use std::path::PathBuf;
use std::time::Duration;

use super::format::Chain;

/// When data is synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FsyncMode {
    /// A commit (write and sync) at the end of each turn, as soon as the one before is done.
    Always,
    /// Written when enough has gathered, written and synced once per interval.
    Periodic {
        /// The interval, which bounds what a crash can lose.
        interval: Duration,
    },
    /// Written when enough has gathered or 10 ms have passed; synced only when a segment is full.
    Never,
}

/// Who carries commits out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitPath {
    /// The core's ring: linked write and fdatasync.
    Ring,
    /// A thread of the log's own that blocks in them.
    Thread,
}

/// Bytes appended by this writer up to some point; 0 before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogOffset(pub u64);

/// How a log is written.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// Directory of the log; exists.
    pub directory: PathBuf,
    /// The core whose log it is.
    pub core: u16,
    /// Epoch of everything this writer writes.
    pub epoch: u32,
    /// When to sync.
    pub fsync: FsyncMode,
    /// How to commit.
    pub path: CommitPath,
    /// Size of a segment file: whole blocks, at least three.
    pub segment_bytes: u64,
    /// Modes other than `Always` write once this much has gathered, or under load what an interval
    /// brings, up to 512 KiB.
    pub buffer_bytes: usize,
}

impl WalOptions {
    /// The defaults: 64 MiB segments, 64 KiB gathered per write, `Always`, commits by the thread.
    pub fn new(directory: PathBuf, core: u16, epoch: u32) -> Self {
        Self {
            directory,
            core,
            epoch,
            fsync: FsyncMode::Always,
            path: CommitPath::Thread,
            segment_bytes: 64 * 1024 * 1024,
            buffer_bytes: 64 * 1024,
        }
    }
}

/// Where a writer continues; from [`LogEnd`](super::LogEnd), or fresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogStart {
    /// Number of the next segment.
    pub next_segment: u64,
    /// The last segment and where its groups end.
    pub previous: Option<Chain>,
    /// Index of the last group.
    pub last_group: u64,
    /// Files with segment names that hold nothing of the log; they become spares.
    pub unused: Vec<(u64, PathBuf)>,
}

impl LogStart {
    /// For a log that has never been written.
    pub fn fresh() -> Self {
        Self { next_segment: 1, previous: None, last_group: 0, unused: Vec::new() }
    }
}
