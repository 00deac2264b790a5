//! Writes a new data directory: a snapshot as it is, logs of what is kept, and a manifest.
//!
//! Guarantees: it is written under another name and gets its own when it is whole, durable, and has
//! been read back as a start reads it; a target that holds anything is refused.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use synap_io::cold;
use synap_io::snapshot::{Index, PartId, PartReader};
use synap_io::wal::{LogBuilder, ReadOptions, manifest};
use synap_shards::id::Epoch;
use synap_shards::recovery::{History, LogFront, Released};
use synap_shards::shard::evict::AccessMode;
use synap_shards::types::Thresholds;

use super::access::copy_access;
use super::files::{Files, Source, event_name};
use crate::boot::recover::{self, Progress};
use crate::fatal::Fatal;

/// Size of the segments written; as the server's own.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// A directory being written.
#[derive(Debug)]
pub struct Rebuild {
    target: PathBuf,
    files: Files,
    logs: Vec<LogFront>,
    /// Files of events that are not there, or are not what they should be, are replaced, so that
    /// the others can be read.
    pub mends: bool,
}

impl Rebuild {
    /// Begins beside `target`, which must not be there or be empty.
    ///
    /// # Errors
    /// [`Fatal::Occupied`], or what the system said.
    pub fn begin(target: &Path) -> Result<Self, Fatal> {
        let occupied = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Fatal::data("read", target)(error)),
        };
        if occupied {
            return Err(Fatal::Occupied { path: target.to_owned() });
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let root = target.with_file_name(name);
        // Only ever made here, by a run that did not come to its end.
        match fs::remove_dir_all(&root) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Fatal::data("remove", &root)(error)),
        }
        let files = Files::below(&root);
        for directory in [&files.logs, &files.snapshots, &files.events] {
            fs::create_dir_all(directory).map_err(Fatal::data("create", directory))?;
        }
        Ok(Self { target: target.to_owned(), files, logs: Vec::new(), mends: false })
    }

    /// Copies a snapshot.
    ///
    /// # Errors
    /// A part is damaged, or what the system said.
    pub fn copy_snapshot(&self, from: &Files, index: &Index) -> Result<(), Fatal> {
        let name = index.name();
        for (id, facts) in index.parts().filter(|(_, facts)| facts.blocks > 0) {
            let path = |directory| name.part_path(directory, id.kind, id.number);
            copy(&path(&from.snapshots), &path(&self.files.snapshots))?;
            verify_part(&path(&self.files.snapshots), &id, Some(facts))?;
        }
        let index_path = |directory| name.index_path(directory);
        copy(&index_path(&from.snapshots), &index_path(&self.files.snapshots))?;
        Index::load(&self.files.snapshots, name)?;
        Ok(())
    }

    /// Copies the files of events. Those that what is kept does not name go with a later snapshot.
    /// Returns which are damaged; they are copied as they are.
    ///
    /// # Errors
    /// What the system said.
    pub fn copy_events(&self, from: &Files) -> Result<Vec<String>, Fatal> {
        let mut damage = Vec::new();
        for path in from.event_files()? {
            let target = self.files.root.join(event_name(&path));
            copy(&path, &target)?;
            if let Err(error) = cold::verify(&target) {
                damage.push(Fatal::from(error).what());
            }
        }
        Ok(damage)
    }

    /// Copies who may come in.
    ///
    /// # Errors
    /// The file is damaged, and was not copied; or what the system said.
    pub fn copy_access(&self, from: &Files) -> Result<(), Fatal> {
        copy_access(&from.root, &self.files.root).map(drop)
    }

    /// Writes the log of each core of the batches that `choose` puts into its buffer; returns how
    /// many there are.
    ///
    /// # Errors
    /// As [`Source::walk`], or what the system said.
    pub fn write_logs(
        &mut self,
        sources: &[Source],
        epoch: Epoch,
        choose: &mut dyn FnMut(&synap_shards::batch::Batch<'_>, &mut Vec<u8>),
    ) -> Result<u64, Fatal> {
        let mut cores: Vec<u16> = sources.iter().filter_map(Source::log_core).collect();
        cores.dedup();
        let mut batches = 0;
        for core in cores {
            let mut log = self.begin_log(core, epoch);
            let mut bytes = Vec::new();
            for source in sources.iter().filter(|source| source.log_core() == Some(core)) {
                source.walk(&mut |batch, _, _| {
                    bytes.clear();
                    choose(batch, &mut bytes);
                    if !bytes.is_empty() {
                        batches += 1;
                        log.append(&bytes)?;
                    }
                    Ok(())
                })?;
            }
            self.end_log(core, log)?;
        }
        Ok(batches)
    }

    /// Begins the log of a core that has none yet.
    #[must_use]
    pub fn begin_log(&self, core: u16, epoch: Epoch) -> LogBuilder {
        LogBuilder::create(&self.files.logs, core, epoch.0, SEGMENT_BYTES)
    }

    /// Ends a log.
    ///
    /// # Errors
    /// What the system said.
    pub fn end_log(&mut self, core: u16, log: LogBuilder) -> Result<(), Fatal> {
        if log.finish()? {
            self.logs.push(LogFront { core, segment: 1 });
        }
        Ok(())
    }

    /// Writes the manifest, reads everything back, and gives the directory its name; how many keys
    /// it holds, expired ones included.
    ///
    /// # Errors
    /// What was written is not what a start takes, or what the system said.
    pub fn finish(mut self, epoch: Epoch, base: Option<&Index>) -> Result<usize, Fatal> {
        self.logs.sort_by_key(|log| log.core);
        let released = base.map_or_else(Released::default, |index| Released {
            seqs: index.starts(),
            snapshot: index.name().to_string(),
        });
        let history = History { epoch, starts: Vec::new(), released, logs: self.logs };
        manifest::store(&self.files.root, &history.encode())?;
        let Files { logs, snapshots, events, root } = &self.files;
        for directory in [logs, snapshots, events, root] {
            sync_directory(directory)?;
        }
        let keys = read_back(&self.files, self.mends)?;
        let (from, to) = (&self.files.root, &self.target);
        fs::rename(from, to).map_err(Fatal::data("rename", from))?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or_else(|| Path::new(".")))?;
        Ok(keys)
    }

    /// Removes what was written.
    pub fn abandon(self) {
        // What is left has a name that no start takes, and the next run removes it.
        let _ = fs::remove_dir_all(&self.files.root);
    }
}

/// Brings the directory to memory as a start does, and changes nothing; how many keys there are.
fn read_back(files: &Files, mends: bool) -> Result<usize, Fatal> {
    let options = recover::Options {
        data: files.root.clone(),
        events: files.events.clone(),
        logs: files.logs.clone(),
        snapshots: files.snapshots.clone(),
        mode: AccessMode::Recency,
        thresholds: Thresholds::default(),
        workers: std::thread::available_parallelism().map_or(1, usize::from).min(8),
        read: ReadOptions { skip_damage: mends, ..ReadOptions::default() },
        repair: false,
    };
    let recovered = recover::read(&options, &Progress::default(), None)?;
    for shard in recovered.shards.iter().filter(|_| mends) {
        crate::cold::mend(&files.events, &shard.cold_facts())?;
    }
    Ok(recovered.shards.iter().map(|shard| shard.key_count()).sum())
}

/// Reads a part to its end.
pub(super) fn verify_part(
    path: &Path,
    id: &PartId,
    facts: Option<synap_io::snapshot::PartFacts>,
) -> Result<(), Fatal> {
    let mut reader = PartReader::open(path, id, facts)?;
    while reader.next_block()?.is_some() {}
    Ok(())
}

/// Copies a file and makes the copy durable.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Fatal> {
    fs::copy(from, to).map_err(Fatal::data("copy", from))?;
    let synced = File::open(to).and_then(|file| file.sync_all());
    synced.map_err(Fatal::data("sync", to))
}

pub(super) fn sync_directory(path: &Path) -> Result<(), Fatal> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(Fatal::data("sync", path))
}
