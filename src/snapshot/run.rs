//! One snapshot, from the first order to the release of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use synap_io::clock;
use synap_io::snapshot::{
    self, FileError, FinishedPart, Index, PartKind, ShardImage, SnapshotName, Tail,
};
use synap_io::wal::{self, WalError, manifest};
use synap_shards::id::CoreId;
use synap_shards::limits::SHARDS;
use synap_shards::recovery::{History, HistoryError, LogFront, Released};

use super::coordinator::Coordinator;
use super::job::{Job, Plan};
use super::{Answer, GaveUp, Input, Order, Span};
use crate::pump::Message;

/// How often the progress of a long one is logged.
const PROGRESS: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A snapshot that was written.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) name: SnapshotName,
    /// Its index.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Failure {
    Snapshot(FileError),
    Directory { path: PathBuf, source: std::io::Error },
    Thread(std::io::Error),
    Log(WalError),
    Manifest(WalError),
    History(HistoryError),
    NoManifest,
    GaveUp { core: usize, why: GaveUp },
    Stopping,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(error) => error.fmt(f),
            Self::Directory { path, source } => {
                write!(f, "cannot create the directory {}: {source}", path.display())
            }
            Self::Thread(source) => write!(f, "cannot start a thread that writes: {source}"),
            Self::Log(error) | Self::Manifest(error) => error.fmt(f),
            Self::History(error) => error.fmt(f),
            Self::NoManifest => f.write_str("the data directory has lost its manifest"),
            Self::GaveUp { core, why: GaveUp::TailTooLong { limit, found } } => write!(
                f,
                "writes come to core {core} faster than the disk of the snapshots takes them: \
                 {found} bytes wait, the limit is {limit}"
            ),
            Self::GaveUp { core, why: GaveUp::NoLog } => write!(f, "core {core} has no log"),
            Self::Stopping => f.write_str("the server is stopping"),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Snapshot(error)
    }
}

/// What the cores have said so far.
#[derive(Debug, Default)]
struct Told {
    /// Segment of each core's log.
    begun: BTreeMap<usize, u64>,
    walked: BTreeMap<usize, Vec<Span>>,
    written: BTreeMap<usize, Vec<FinishedPart>>,
    /// Files of events that the images name.
    files: BTreeSet<u64>,
}

impl Coordinator {
    pub(super) fn run(&mut self) -> Result<Taken, Failure> {
        self.runs += 1;
        let directory = self.options.directory.clone();
        std::fs::create_dir_all(&directory)
            .map_err(|source| Failure::Directory { path: directory.clone(), source })?;
        let plan = self.plan(&directory)?;
        let mut jobs = Vec::new();
        let outcome = self.phases(&plan, &mut jobs);
        if outcome.is_err() {
            self.order(|| Order::Abandon);
        }
        // They use the same temporary names each time: none may outlive its snapshot.
        jobs.into_iter().for_each(Job::join);
        if outcome.is_err() {
            self.sweep();
        }
        let (taken, begun) = outcome?;
        self.release(&begun);
        self.prune();
        Ok(taken)
    }

    fn plan(&self, directory: &Path) -> Result<Plan, Failure> {
        let newest = snapshot::list(directory)?.first().map_or(0, |name| name.unix_secs);
        let now_ms = clock::unix_ms();
        // Names rise although clocks may not.
        let created_ms = now_ms.max((newest + 1) * 1000);
        Ok(Plan {
            directory: directory.to_owned(),
            snapshot: clock::entropy(),
            images: self.options.images,
            tails: self.options.tails,
            epoch: self.options.epoch.0,
            created_ms,
            is_bulky: self.is_bulky(),
        })
    }

    fn phases(
        &mut self,
        plan: &Plan,
        jobs: &mut Vec<Job>,
    ) -> Result<(Taken, BTreeMap<usize, u64>), Failure> {
        let mut unneeded = self.recorded_files();
        self.begin(plan, jobs)?;
        let count = self.cores.len();
        let mut told = Told::default();
        self.until(jobs, &mut told, true, |told| told.begun.len() == count)?;
        self.order(|| Order::Walk);
        self.until(jobs, &mut told, true, |told| told.walked.len() == count)?;
        self.order(|| Order::End);
        self.until(jobs, &mut told, false, |told| told.written.len() == count)?;
        let index = index(plan, &told);
        let name = index.name();
        for part in told.written.into_values().flatten() {
            part.publish(name)?;
        }
        let path = index.store(&plan.directory)?;
        unneeded.retain(|id| !told.files.contains(id));
        self.unneeded_files.push((name, unneeded));
        self.note_released(&index, &told.begun)?;
        let bytes = index.file_bytes() + std::fs::metadata(&path).map_or(0, |meta| meta.len());
        Ok((Taken { name, path, bytes, entries: index.entries() }, told.begun))
    }

    fn begin(&self, plan: &Plan, jobs: &mut Vec<Job>) -> Result<(), Failure> {
        let (run, is_bulky) = (self.runs, plan.is_bulky);
        for core in (0..self.cores.len()).map(CoreId::new) {
            let answers = self.answers.clone();
            let done = move |written| {
                // The coordinator waits for this thread before it ends.
                let _ended = answers.send(Input::Answer(run, core, Answer::Written(written)));
            };
            let (link, job) = Job::start(core, plan.clone(), done).map_err(Failure::Thread)?;
            jobs.push(job);
            let answers = self.answers.clone();
            self.tell(
                core.index(),
                Message::Snapshot(Order::Begin { run, link, answers, is_bulky }),
            );
        }
        Ok(())
    }

    /// Listens until `done`. Who asks for a snapshot meanwhile shares this one if it is `open`: the
    /// tails will still take what was acknowledged so far.
    fn until(
        &mut self,
        jobs: &[Job],
        told: &mut Told,
        open: bool,
        done: impl Fn(&Told) -> bool,
    ) -> Result<(), Failure> {
        let mut logged = Instant::now();
        while !done(told) {
            match self.inbox.recv_timeout(LOOK_INTERVAL) {
                Ok(Input::Ask(Some(waiter))) if open => self.waiting.push(waiter),
                Ok(Input::Ask(Some(waiter))) => self.late.push(waiter),
                Ok(Input::Ask(None)) => self.asked |= !open,
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.stopped = true;
                    return Err(Failure::Stopping);
                }
                Ok(Input::Answer(run, core, answer)) if run == self.runs => {
                    note(told, core.index(), answer)?;
                }
                // News about one that was given up.
                Ok(Input::Answer(..)) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let entries = jobs.iter().map(Job::entries).sum();
                    self.snapshots().facts.entries_done.set(entries);
                    self.refresh();
                    if logged.elapsed() >= PROGRESS {
                        logged = Instant::now();
                        let keys: u64 = self.shared.metrics.iter().map(|c| c.keys.get()).sum();
                        tracing::info!(entries, keys, "snapshot is being written");
                    }
                }
            }
        }
        Ok(())
    }

    /// The manifest says what is released before anything is.
    fn note_released(&self, index: &Index, begun: &BTreeMap<usize, u64>) -> Result<(), Failure> {
        let stored = manifest::load(&self.options.data).map_err(Failure::Manifest)?;
        let stored = stored.ok_or(Failure::NoManifest)?;
        let mut history = History::decode(&stored.payload).map_err(Failure::History)?;
        history.released = Released { seqs: index.starts(), snapshot: index.name().to_string() };
        // Logs of cores that are no more are not needed any more.
        let front = |(core, segment): (&usize, &u64)| {
            let core = u16::try_from(*core).expect("fewer than 65536 cores");
            LogFront { core, segment: *segment }
        };
        history.logs = begun.iter().map(front).collect();
        // What the manifest calls the front of a log must survive whatever the manifest survives.
        for LogFront { core, segment } in &history.logs {
            wal::sync_segment(&self.options.log, *core, *segment).map_err(Failure::Log)?;
        }
        manifest::store(&self.options.data, &history.encode()).map_err(Failure::Manifest)?;
        Ok(())
    }

    fn release(&self, begun: &BTreeMap<usize, u64>) {
        for (core, segment) in begun {
            self.tell(*core, Message::Snapshot(Order::Release(segment - 1)));
        }
        let cores = u16::try_from(self.cores.len()).expect("fewer than 65536 cores");
        match wal::remove_logs_from(&self.options.log, cores) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed logs of cores that are no more"),
            Err(error) => tracing::warn!(%error, "cannot remove logs of cores that are no more"),
        }
    }

    fn prune(&mut self) {
        let directory = &self.options.directory;
        let found = match snapshot::list(directory) {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "cannot look for old snapshots"),
        };
        let live_bytes = self.live_bytes();
        let sizes = found.iter().map(|name| self.bytes_of(*name));
        let kept = self.options.retention.keeps(live_bytes, sizes);
        for name in found.into_iter().skip(kept) {
            match snapshot::remove(directory, name) {
                Ok(()) => tracing::info!(%name, kept, live_bytes, "old snapshot removed"),
                Err(error) => tracing::warn!(%error, "cannot remove an old snapshot"),
            }
        }
        self.remove_unneeded_files();
    }

    /// Files of events that stand and are not about to be recorded.
    fn recorded_files(&self) -> BTreeSet<u64> {
        let Some(cold) = &self.shared.cold else { return BTreeSet::new() };
        cold.recorded().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for files of events");
            BTreeSet::new()
        })
    }

    /// Removes the files of events that not even the oldest snapshot needs: those that stood before
    /// it began and that it does not name. What is recorded later is written to new files.
    fn remove_unneeded_files(&mut self) {
        let kept = snapshot::list(&self.options.directory).unwrap_or_default();
        let (Some(oldest), Some(cold)) = (kept.last(), &self.shared.cold) else { return };
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unneeded_files)
            .into_iter()
            .partition(|(name, _)| name <= oldest);
        self.unneeded_files = later;
        let files: BTreeSet<u64> = due.into_iter().flat_map(|(_, files)| files).collect();
        match cold.remove(&files) {
            Ok(()) if files.is_empty() => {}
            Ok(()) => tracing::info!(files = files.len(), "files of events removed"),
            Err(error) => tracing::warn!(%error, "cannot remove a file of events"),
        }
    }

    /// Bytes of a snapshot's files. One whose index cannot be read is left to the rule of their
    /// number: an error of the disk is no reason to delete anything.
    fn bytes_of(&self, name: SnapshotName) -> u64 {
        Index::load(&self.options.directory, name).map_or(0, |index| index.file_bytes())
    }
}

fn note(told: &mut Told, core: usize, answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Begun(segment) => {
            told.begun.insert(core, segment);
        }
        Answer::Walked(spans, files) => {
            told.walked.insert(core, spans);
            told.files.extend(files);
        }
        Answer::Written(Ok(parts)) => {
            told.written.insert(core, parts);
        }
        Answer::Written(Err(error)) => return Err(error.into()),
        Answer::GaveUp(why) => return Err(Failure::GaveUp { core, why }),
    }
    Ok(())
}

fn index(plan: &Plan, told: &Told) -> Index {
    let mut shards = vec![ShardImage::default(); SHARDS];
    // The logs of what an image covers are let go, so a shard left out would be lost.
    let walked: BTreeSet<usize> =
        told.walked.values().flatten().map(|span| span.shard.index()).collect();
    assert_eq!(walked.len(), SHARDS, "a snapshot has every shard");
    for span in told.walked.values().flatten() {
        let image = &mut shards[span.shard.index()];
        (image.start, image.end) = (span.start, span.end);
    }
    let core = |core: usize| u16::try_from(core).expect("fewer than 65536 cores");
    let mut tails: Vec<Tail> =
        told.begun.keys().map(|at| Tail { core: core(*at), part: Default::default() }).collect();
    for part in told.written.values().flatten() {
        let (id, facts) = (part.id(), part.facts());
        let place = match id.kind {
            PartKind::Shard => Some(&mut shards[usize::from(id.number)].part),
            PartKind::Tail => {
                tails.iter_mut().find(|tail| tail.core == id.number).map(|tail| &mut tail.part)
            }
        };
        *place.expect("a core writes its own tail") = facts;
    }
    Index {
        snapshot: plan.snapshot,
        created_ms: plan.created_ms,
        epoch: plan.epoch,
        codec: plan.images.codec,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        shards,
        tails,
    }
}
