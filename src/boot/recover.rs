//! Recovery: every log is read and checked on a thread of its own, and merged into the shards in
//! the order their Seqs demand. What a crash cut off is logged; damage in the middle ends the
//! start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use synap_io::wal::{
    CommitPath, FsyncMode, LogEnd, LogFiles, LogReader, LogStart, WalError, WalOptions, manifest,
    scan_dir,
};
use synap_shards::batch::BatchError;
use synap_shards::id::{CoreId, Epoch};
use synap_shards::recovery::{Cut, EpochStart, History, Recovery, Wanted};
use synap_shards::seq::ShardSeqs;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;

use super::empty_shards;
use crate::config::{self, Config};
use crate::fatal::Fatal;
use crate::notify::{Notifier, State};

/// Pieces of a log that may be read ahead of the merge.
const AHEAD: usize = 4;
/// Bytes of a piece, at least; groups are put together up to here.
const PIECE_BYTES: usize = 1024 * 1024;
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
/// Time asked of the service manager beyond each telling.
const EXTEND: Duration = Duration::from_secs(30);

/// What a start continues from.
pub(super) struct Recovered {
    pub(super) shards: Vec<Box<Shard>>,
    pub(super) epoch: Epoch,
    /// Where each log goes on, by the core that writes it.
    pub(super) starts: BTreeMap<CoreId, LogStart>,
}

enum Piece {
    Run(Vec<u8>),
    End(LogEnd),
    Broken(WalError),
}

struct Source {
    files: LogFiles,
    pieces: Receiver<Piece>,
}

/// Brings the data directory back to memory, and raises the epoch.
pub(super) fn run(
    config: &Config,
    mode: AccessMode,
    notifier: &Notifier,
) -> Result<Recovered, Fatal> {
    let shards = empty_shards(mode);
    if !config.persistence.enabled {
        return Ok(Recovered { shards, epoch: Epoch(1), starts: BTreeMap::new() });
    }
    let directory = &config.persistence.wal.path;
    std::fs::create_dir_all(directory).map_err(super::start("create the log directory"))?;
    let mut history = load_history(&config.data_dir)?;
    let sources = open_sources(directory)?;
    if history == History::empty() && !sources.is_empty() {
        let what = "there are logs but no manifest; restore MANIFEST.a or MANIFEST.b".to_owned();
        return Err(Fatal::Corrupt { path: config.data_dir.clone(), offset: None, what });
    }
    let started = Instant::now();
    let recovery = Recovery::new(shards, history.starts.clone(), sources.len());
    let merged = merge(recovery, &sources, directory, notifier, started)?;
    history.epoch = Epoch(history.epoch.0 + 1);
    tell(&merged, started, history.epoch);
    if merged.cut.batches > 0 {
        let mut seqs = ShardSeqs::zero();
        for shard in &merged.shards {
            seqs.set(shard.id(), shard.seq());
        }
        history.starts.push(EpochStart { epoch: history.epoch, seqs });
    }
    manifest::store(&config.data_dir, &history.encode())?;
    Ok(Recovered { shards: merged.shards, epoch: history.epoch, starts: merged.starts })
}

fn load_history(directory: &Path) -> Result<History, Fatal> {
    match manifest::load(directory)? {
        None => Ok(History::empty()),
        Some(stored) => History::decode(&stored.payload).map_err(|error| Fatal::Corrupt {
            path: directory.join("MANIFEST.a"),
            offset: None,
            what: error.to_string(),
        }),
    }
}

fn open_sources(directory: &Path) -> Result<Vec<Source>, Fatal> {
    let mut sources = Vec::new();
    for files in scan_dir(directory)? {
        let (sender, pieces) = sync_channel(AHEAD);
        let reader_files = files.clone();
        thread::Builder::new()
            .name(format!("log-reader-{}", files.core))
            .spawn(move || read(reader_files, &sender))
            .map_err(super::start("start a log reader"))?;
        sources.push(Source { files, pieces });
    }
    Ok(sources)
}

/// Reads one log to its end. A receiver that is gone means that the start has failed already.
fn read(files: LogFiles, pieces: &SyncSender<Piece>) {
    let last = match read_runs(files, pieces) {
        Ok(Some(end)) => Piece::End(end),
        Ok(None) => return,
        Err(error) => Piece::Broken(error),
    };
    let _gone = pieces.send(last);
}

fn read_runs(files: LogFiles, pieces: &SyncSender<Piece>) -> Result<Option<LogEnd>, WalError> {
    let mut reader = LogReader::open(files)?;
    let mut piece = Vec::new();
    while let Some(run) = reader.next_run()? {
        piece.extend_from_slice(run.bytes);
        if piece.len() >= PIECE_BYTES
            && pieces.send(Piece::Run(std::mem::take(&mut piece))).is_err()
        {
            return Ok(None);
        }
    }
    if !piece.is_empty() && pieces.send(Piece::Run(piece)).is_err() {
        return Ok(None);
    }
    Ok(Some(reader.end().clone()))
}

struct Merged {
    shards: Vec<Box<Shard>>,
    starts: BTreeMap<CoreId, LogStart>,
    cut: Cut,
    applied: u64,
    bytes: u64,
}

fn merge(
    mut recovery: Recovery,
    sources: &[Source],
    directory: &Path,
    notifier: &Notifier,
    started: Instant,
) -> Result<Merged, Fatal> {
    let not_a_batch = |log: usize, error: BatchError| Fatal::Corrupt {
        path: directory.to_owned(),
        offset: None,
        what: format!("the log of core {}: {error}", sources[log].files.core),
    };
    let mut starts = BTreeMap::new();
    let (mut bytes, mut told) = (0, started);
    loop {
        let wanted = recovery.advance().map_err(|(log, error)| not_a_batch(log, error))?;
        let Wanted::Input(log) = wanted else { break };
        let source = &sources[log];
        match source.pieces.recv() {
            Ok(Piece::Run(run)) => {
                bytes += run.len() as u64;
                recovery.feed(log, &run);
            }
            Ok(Piece::End(end)) => {
                note_torn(source, &end);
                starts.insert(CoreId::new(source.files.core.into()), end.start);
                recovery.end(log);
            }
            Ok(Piece::Broken(error)) => return Err(error.into()),
            Err(_) => {
                let what = format!("the reader of core {}'s log ended early", source.files.core);
                return Err(Fatal::Core { core: 0, what });
            }
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            progress(notifier, recovery.applied(), bytes, started);
        }
    }
    let applied = recovery.applied();
    let (shards, cut) = recovery.finish();
    Ok(Merged { shards, starts, cut, applied, bytes })
}

fn note_torn(source: &Source, end: &LogEnd) {
    if let Some(torn) = &end.torn {
        tracing::warn!(
            core = source.files.core,
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            "the log ends in a commit that a crash cut short; it was cut off"
        );
    }
}

fn progress(notifier: &Notifier, applied: u64, bytes: u64, started: Instant) {
    let mib = bytes / (1024 * 1024);
    let rate = applied as f64 / started.elapsed().as_secs_f64();
    let status = format!("recovering: {applied} batches, {mib} MiB, {rate:.0} batches/s");
    tracing::info!("{status}");
    notifier.tell(State::Extend(EXTEND));
    notifier.tell(State::Status(&status));
}

fn tell(merged: &Merged, started: Instant, epoch: Epoch) {
    let keys: usize = merged.shards.iter().map(|shard| shard.key_count()).sum();
    tracing::info!(
        keys,
        batches = merged.applied,
        bytes = merged.bytes,
        milliseconds = started.elapsed().as_millis() as u64,
        epoch = epoch.0,
        "recovered"
    );
    if merged.cut.batches > 0 {
        tracing::warn!(
            batches = merged.cut.batches,
            shards = merged.cut.shards.count_ones(),
            "batches whose predecessors were lost with another log's tail were cut; none of them \
             was acknowledged under fsync_mode always"
        );
    }
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
