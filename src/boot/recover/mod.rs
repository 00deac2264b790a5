//! Recovery: the newest sound snapshot into memory, then every log behind it, in the order that the
//! Seqs demand and on as many threads as there are CPUs and logs. What a crash cut off is logged;
//! anything else that is wrong ends the start with a message that names file and place.
//!
//! Guarantees: what was acknowledged under `fsync_mode: always` is there, or the start is refused;
//! per shard what is there is a prefix of what was written, with whole transactions. One thing no
//! reader can tell from a torn tail is damage to the very last group of a log that was not closed;
//! a log that was closed ends in an empty group, which testifies to all before it.
//!
//! Must not: change anything in the data directory before everything was read. Expired keys come
//! back like others, hidden as they were: a batch further on may have moved their deadline. The
//! expiry sweep removes them, by batches as always.

mod logs;
mod merge;
mod progress;
mod repair;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use synap_io::clock;
use synap_io::snapshot::Index;
use synap_io::wal::{
    CommitPath, FsyncMode, LogReader, LogStart, ReadOptions, WalOptions, manifest,
};
use synap_shards::id::{CoreId, Epoch, ShardId};
use synap_shards::recovery::{Cut, EpochStart, History, HistoryError, Pool, Released};
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;
use synap_shards::types::Thresholds;

use crate::cold;
use crate::config::{self, Config};
use crate::fatal::Fatal;
use crate::notify::Notifier;
use logs::LogSource;
pub use progress::Progress;
use progress::Teller;
use snapshot::Base;

/// Threads beyond this wait for the memory of the machine, and for each other.
const WORKERS_MAX: usize = 8;

/// What is to be recovered, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory, with the manifest.
    pub data: PathBuf,
    /// Directory of the logs.
    pub logs: PathBuf,
    /// Directory of the snapshots.
    pub snapshots: PathBuf,
    /// Directory of the files of events.
    pub events: PathBuf,
    /// How uses of keys will be noted.
    pub mode: AccessMode,
    /// When containers leave their packed form.
    pub thresholds: Thresholds,
    /// Threads to work on, at most.
    pub workers: usize,
    /// How logs are read.
    pub read: ReadOptions,
    /// Make the directory sound after damage was skipped.
    pub repair: bool,
}

impl Options {
    /// As the configuration says; `cpus` are those that the process may use.
    #[must_use]
    pub fn from_config(config: &Config, mode: AccessMode, cpus: usize) -> Self {
        let recovery = &config.persistence.recovery;
        Self {
            data: config.data_dir.clone(),
            logs: config.persistence.wal.path.clone(),
            snapshots: config.persistence.snapshot.directory.clone(),
            events: config.topics.base_dir.clone(),
            mode,
            thresholds: config.kv_store.thresholds,
            workers: cpus.clamp(1, WORKERS_MAX),
            read: ReadOptions {
                verify: recovery.verify_checksums,
                skip_damage: recovery.skip_corrupted,
                once: true,
            },
            repair: recovery.repair_mode,
        }
    }
}

/// What a start continues from.
#[derive(Debug)]
pub struct Recovered {
    /// All shards.
    pub shards: Vec<Box<Shard>>,
    /// What the manifest says now; its epoch is the one in force.
    pub history: History,
    /// Where each log goes on, by the core that writes it.
    pub starts: BTreeMap<CoreId, LogStart>,
    /// What followed a lost batch and was cut.
    pub cut: Cut,
    /// The snapshot that the logs were replayed onto.
    pub snapshot: Option<Index>,
    /// Damage that was skipped, in words.
    pub skipped: Vec<String>,
}

impl Recovered {
    /// What a server begins with that keeps nothing on disk.
    pub(super) fn nothing(mode: AccessMode) -> Self {
        let history = History { epoch: Epoch(1), ..History::empty() };
        let (shards, starts) = (empty_shards(mode, &Thresholds::default()), BTreeMap::new());
        let (cut, skipped) = (Cut::default(), Vec::new());
        Self { shards, history, starts, cut, snapshot: None, skipped }
    }
}

/// Brings the data directory back to memory, and raises the epoch.
///
/// # Errors
/// Whatever keeps the data from being whole.
pub fn run(
    options: &Options,
    progress: &Progress,
    notifier: Option<&Notifier>,
) -> Result<Recovered, Fatal> {
    std::fs::create_dir_all(&options.logs).map_err(Fatal::data("create", &options.logs))?;
    let mut recovered = read(options, progress, notifier)?;
    if options.repair && !recovered.skipped.is_empty() {
        repair::run(options, &mut recovered.history, &recovered.shards)?;
        recovered.starts = BTreeMap::new();
    } else {
        manifest::store(&options.data, &recovered.history.encode())?;
    }
    Ok(recovered)
}

/// Does all of [`run`] that changes nothing in the directory.
///
/// # Errors
/// As [`run`].
pub fn read(
    options: &Options,
    progress: &Progress,
    notifier: Option<&Notifier>,
) -> Result<Recovered, Fatal> {
    let readers = logs::open(options, progress)?;
    let stored = load_history(&options.data)?;
    let was_used = stored.as_ref().is_some_and(|history| history.epoch > Epoch(0));
    let mut history = match stored {
        Some(history) => history,
        None => logs::history_of_copy(options, &readers)?,
    };
    let mut skipped = Vec::new();
    if logs::is_cleared(options, &readers)? {
        if was_used {
            tracing::warn!(
                "THE DATA DIRECTORY WAS CLEARED: it was in use, and holds neither logs nor \
                 snapshots now; starting empty"
            );
        }
        history = History { epoch: history.epoch, ..History::empty() };
    } else {
        logs::check(options, &readers, &history, &mut skipped)?;
    }
    let mut teller = Teller::new(progress, notifier);
    let Base { shards, index: snapshot, passed_over } =
        snapshot::load(options, &history, progress, &mut teller)?;
    let merged = merge_logs(options, &history, shards, readers, progress, &mut teller)?;
    skipped.extend(merged.skipped);
    history.epoch = Epoch(history.epoch.0 + 1);
    tell(&merged.pool, progress, history.epoch, &skipped);
    let cut = merged.pool.cut();
    // Should a snapshot that was passed over be readable later, what it has beyond this is dead.
    if cut.batches > 0 || passed_over || !skipped.is_empty() {
        history.starts.push(EpochStart { epoch: history.epoch, seqs: merged.pool.seqs() });
    }
    history.logs = merged.fronts;
    if let Some(index) = &snapshot {
        // From now on an older one will not do: the tails of this one may hold batches that the
        // logs lost, since they were not durable there when the snapshot was complete.
        history.released = Released { seqs: index.starts(), snapshot: index.name().to_string() };
    }
    let (shards, starts) = (merged.pool.into_shards(), merged.starts);
    check_events(options, &shards, &mut skipped)?;
    Ok(Recovered { shards, history, starts, cut, snapshot, skipped })
}

/// Looks whether the files of events that partitions have are there.
fn check_events(
    options: &Options,
    shards: &[Box<Shard>],
    skipped: &mut Vec<String>,
) -> Result<(), Fatal> {
    for facts in shards.iter().flat_map(|shard| shard.cold_facts()) {
        match cold::check(&options.events, &[facts]) {
            Err(fatal @ Fatal::Corrupt { .. }) if options.read.skip_damage => {
                let damage = fatal.what();
                tracing::error!("EVENTS ARE LOST, reading them answers an error: {damage}");
                skipped.push(damage);
            }
            result => result?,
        }
    }
    Ok(())
}

/// What the manifest says; nothing when there is none.
fn load_history(directory: &Path) -> Result<Option<History>, Fatal> {
    let Some(stored) = manifest::load(directory)? else { return Ok(None) };
    let path = directory.join("MANIFEST.a");
    History::decode(&stored.payload).map(Some).map_err(|error| match error {
        HistoryError::Format { expected, found } => {
            Fatal::Newer { path, found, supported: expected }
        }
        HistoryError::Malformed => Fatal::Corrupt { path, offset: None, what: error.to_string() },
    })
}

struct Merged {
    pool: Pool,
    starts: BTreeMap<CoreId, LogStart>,
    fronts: Vec<synap_shards::recovery::LogFront>,
    skipped: Vec<String>,
}

fn merge_logs(
    options: &Options,
    history: &History,
    shards: Vec<Box<Shard>>,
    readers: Vec<(u16, LogReader)>,
    progress: &Progress,
    teller: &mut Teller<'_>,
) -> Result<Merged, Fatal> {
    let pool = Pool::new(shards, Arc::from(history.starts.as_slice()));
    let sources: Vec<LogSource> = readers.into_iter().map(LogSource::new).collect();
    let (pool, sources) = merge::merge(pool, sources, options.workers, progress, teller)?;
    let mut merged =
        Merged { pool, starts: BTreeMap::new(), fronts: Vec::new(), skipped: Vec::new() };
    for source in sources {
        let (core, end) = (source.core(), source.end());
        logs::note_torn(core, end);
        merged.fronts.extend(source.front());
        merged.skipped.extend(end.skipped.iter().cloned());
        merged.starts.insert(CoreId::new(core.into()), end.start.clone());
    }
    Ok(merged)
}

fn tell(pool: &Pool, progress: &Progress, epoch: Epoch, skipped: &[String]) {
    let (keys, cut) = (pool.key_count(), pool.cut());
    let milliseconds = progress.elapsed().as_millis() as u64;
    tracing::info!(keys, batches = pool.applied(), milliseconds, epoch = epoch.0, "recovered");
    if cut.batches > 0 {
        tracing::warn!(
            batches = cut.batches,
            shards = cut.shards.count_ones(),
            "batches whose predecessors were lost with another log's tail were cut; none of them \
             was acknowledged under fsync_mode always"
        );
    }
    for damage in skipped {
        tracing::error!(
            "DAMAGE WAS SKIPPED, as recovery.skip_corrupted says, and with it what lay there and \
             whatever followed it in the same shards: {damage}"
        );
    }
}

/// Every shard, empty.
fn empty_shards(mode: AccessMode, thresholds: &Thresholds) -> Vec<Box<Shard>> {
    let seed = clock::entropy();
    let empty = |id| {
        let mut shard = Shard::new(id, seed, mode);
        shard.set_thresholds(*thresholds);
        Box::new(shard)
    };
    ShardId::all().map(empty).collect()
}

/// How the log of one core is written.
pub(super) fn wal_options(config: &Config, core: CoreId, epoch: Epoch) -> WalOptions {
    let wal = &config.persistence.wal;
    let core = u16::try_from(core.index()).expect("fewer than 65536 cores");
    let defaults = WalOptions::new(wal.path.clone(), core, epoch.0);
    WalOptions {
        fsync: match wal.fsync_mode {
            config::FsyncMode::Always => FsyncMode::Always,
            config::FsyncMode::Periodic => {
                FsyncMode::Periodic { interval: Duration::from_millis(wal.fsync_interval_ms) }
            }
            config::FsyncMode::Never => FsyncMode::Never,
        },
        path: match wal.commit_path {
            config::CommitPath::Auto => defaults.path,
            config::CommitPath::Ring => CommitPath::Ring,
            config::CommitPath::Thread => CommitPath::Thread,
        },
        segment_bytes: wal.segment_size_mb * 1024 * 1024,
        buffer_bytes: wal.buffer_size_kb * 1024,
        ..defaults
    }
}
