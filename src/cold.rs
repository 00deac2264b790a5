//! Files of events: two threads of the process write and read them for all cores, so that no core
//! waits for a disk. What is written and read is decided by the engines
//! ([`synap_shards::engine::cold`]).
//!
//! A file belongs to nobody until its core has recorded it, and to nobody again once that partition
//! has let it go. Files are removed by the coordinator of snapshots alone, when the oldest snapshot
//! that is kept shows that nothing can need them; until a file is recorded it stands in a list, so
//! that it is not taken for one of those.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use synap_io::clock;
use synap_io::cold::{self, FileError, Known, NewBlock, NewFile, Place};
use synap_io::doorbell::Doorbell;
use synap_io::executor;
use synap_shards::engine::cold::{ColdDone, ColdJob};
use synap_shards::id::CoreId;
use synap_shards::types::topic::cold::{ColdFacts, Fetch, SealedFile, Sealing};

use crate::fatal::Fatal;
use crate::pump::Message;

/// Name of the directory below the data directory.
const DIRECTORY: &str = "topics";

type Jobs = Sender<(CoreId, ColdJob)>;

/// The way to the threads; shared by all cores.
#[derive(Debug)]
pub struct Cold {
    directory: PathBuf,
    writes: Jobs,
    reads: Jobs,
    /// Files that may be there and that no core has recorded yet.
    unrecorded: Mutex<BTreeSet<u64>>,
}

/// The ends of the ways to the threads, until those are started.
#[derive(Debug)]
pub struct Inboxes {
    writes: Receiver<(CoreId, ColdJob)>,
    reads: Receiver<(CoreId, ColdJob)>,
}

/// Where files of events lie in a data directory, unless they were moved.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join(DIRECTORY)
}

/// What has to be known of a file to tell it from others.
fn known(facts: &ColdFacts) -> Known {
    let ColdFacts { id, bytes, incarnation, partition, base, next, blocks } = *facts;
    Known { id, bytes, incarnation, partition, base, next, blocks }
}

/// Looks whether the files of these partitions are there.
///
/// # Errors
/// [`Fatal::Corrupt`] for the first that is missing or another, or what the system said.
pub fn check(directory: &Path, facts: &[ColdFacts]) -> Result<(), Fatal> {
    facts.iter().try_for_each(|facts| Ok(cold::check(directory, &known(facts))?))
}

/// Makes files of these partitions that are missing, or are others, such that a start takes them
/// and reading what they have lost answers an error. Returns how many.
///
/// # Errors
/// What the system said.
pub fn mend(directory: &Path, facts: &[ColdFacts]) -> Result<usize, Fatal> {
    let mut mended = 0;
    for facts in facts {
        let known = known(facts);
        if cold::check(directory, &known).is_err() {
            cold::write_hollow(directory, &known)?;
            mended += 1;
        }
    }
    Ok(mended)
}

impl Cold {
    /// For files of events in `directory`; the threads are started with what is returned beside it.
    #[must_use]
    pub fn new(directory: &Path) -> (Self, Inboxes) {
        let (writes, write_inbox) = mpsc::channel();
        let (reads, read_inbox) = mpsc::channel();
        let cold =
            Self { directory: directory.to_owned(), writes, reads, unrecorded: Mutex::default() };
        (cold, Inboxes { writes: write_inbox, reads: read_inbox })
    }

    /// Hands a job to its thread.
    pub fn send(&self, core: CoreId, job: ColdJob) {
        let way = match &job {
            ColdJob::Seal { .. } => &self.writes,
            ColdJob::Fetch { .. } => &self.reads,
        };
        // A thread that has ended is one of a process that is ending.
        let _ended = way.send((core, job));
    }

    /// A core has recorded a file, or never will.
    pub fn settled(&self, id: u64) {
        self.unrecorded().remove(&id);
    }

    /// Files that are recorded or will never be. What a snapshot that begins after this does not
    /// name, nothing behind it names.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn recorded(&self) -> Result<BTreeSet<u64>, FileError> {
        // First the directory: what is begun after that is not in it.
        let mut there: BTreeSet<u64> = cold::list(&self.directory)?.into_iter().collect();
        for id in &*self.unrecorded() {
            there.remove(id);
        }
        Ok(there)
    }

    /// Removes files that nothing needs.
    ///
    /// # Errors
    /// The first that cannot be removed.
    pub fn remove(&self, ids: &BTreeSet<u64>) -> Result<(), FileError> {
        cold::remove(&self.directory, ids.iter().copied())
    }

    fn unrecorded(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unrecorded.lock().expect("nobody panics holding it")
    }

    fn write(&self, sealing: &Sealing) -> Option<SealedFile> {
        let id = clock::entropy();
        self.unrecorded().insert(id);
        let Sealing { incarnation, partition, blocks } = sealing;
        let new =
            NewFile { id, incarnation: *incarnation, partition: *partition, next: sealing.next() };
        let blocks: Vec<NewBlock<'_>> =
            blocks.iter().map(|block| NewBlock { base: block.base, bytes: &block.bytes }).collect();
        match cold::write(&self.directory, &new, &blocks) {
            Ok(written) => Some(SealedFile { id, bytes: written.bytes, blocks: written.blocks }),
            Err(error) => {
                tracing::error!(%error, "events stay in memory: their file cannot be written");
                self.settled(id);
                None
            }
        }
    }

    fn read(&self, fetch: &Fetch) -> (Vec<Vec<u8>>, Option<String>) {
        let places: Vec<Place> = fetch
            .blocks
            .iter()
            .map(|block| Place {
                at: block.place.at,
                bytes: block.place.bytes,
                crc: block.place.crc,
            })
            .collect();
        let found = cold::read(&self.directory, fetch.file, &places);
        let failed = found.failed.map(|error| {
            tracing::error!(%error, "events cannot be read");
            error.to_string()
        });
        (found.blocks, failed)
    }

    fn carry_out(&self, job: ColdJob) -> ColdDone {
        match job {
            ColdJob::Seal { number, sealing } => {
                ColdDone::Sealed { number, written: self.write(&sealing) }
            }
            ColdJob::Fetch { number, fetch } => {
                let (blocks, failed) = self.read(&fetch);
                ColdDone::Fetched { number, blocks, failed }
            }
        }
    }
}

/// Starts the threads. They end with the process; a file that is being written then is one that
/// nothing names.
///
/// # Errors
/// What the system said.
pub fn start(
    shared: &std::sync::Arc<crate::shared::Shared>,
    inboxes: Inboxes,
    cores: &[(Sender<Message>, Doorbell)],
) -> std::io::Result<()> {
    let Inboxes { writes, reads } = inboxes;
    if let Some(cold) = &shared.cold
        && let Err(error) = cold::sweep(&cold.directory)
    {
        tracing::warn!(%error, "cannot remove what is left of a file of events");
    }
    for (name, inbox) in [("synap-cold-write", writes), ("synap-cold-read", reads)] {
        let (shared, cores) = (std::sync::Arc::clone(shared), cores.to_vec());
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            executor::settle_in_background();
            while let Ok((core, job)) = inbox.recv() {
                let Some(cold) = &shared.cold else { return };
                let done = Box::new(cold.carry_out(job));
                let (way, bell) = &cores[core.index()];
                // A core that has ended needs no answer.
                let _ended = way.send(Message::Cold(done));
                bell.ring();
            }
        })?;
    }
    Ok(())
}
