//! Where the files of data lie, and walking the batches in them, whoever wrote them.

use std::path::{Path, PathBuf};

use synap_io::snapshot::{self, Index, PartFacts, PartId, PartKind, PartReader, SnapshotName};
use synap_io::wal::{
    Head, LogFiles, LogReader, ReadOptions, SegmentFile, Torn, manifest, scan_dir,
};
use synap_shards::batch::Batch;
use synap_shards::recovery::{History, HistoryError};

use super::index::{BackupIndex, INDEX_FILE};
use crate::cold;
use crate::config::Config;
use crate::fatal::Fatal;

/// The directories of one set of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// With the manifest.
    pub root: PathBuf,
    /// With the logs.
    pub logs: PathBuf,
    /// With the snapshots.
    pub snapshots: PathBuf,
    /// With the files of events.
    pub events: PathBuf,
}

impl Files {
    /// A data directory or a backup with everything in its usual place.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let (logs, snapshots) = (root.join("wal"), root.join("snapshots"));
        Self { root: root.to_owned(), logs, snapshots, events: cold::directory(root) }
    }

    /// As a configuration says.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Self {
            root: config.data_dir.clone(),
            logs: config.persistence.wal.path.clone(),
            snapshots: config.persistence.snapshot.directory.clone(),
            events: config.topics.base_dir.clone(),
        }
    }

    /// What the manifest says; nothing when there is none.
    ///
    /// # Errors
    /// No copy is sound, or it is of a newer format.
    pub fn history(&self) -> Result<Option<History>, Fatal> {
        let Some(stored) = manifest::load(&self.root)? else { return Ok(None) };
        let path = self.root.join("MANIFEST.a");
        History::decode(&stored.payload).map(Some).map_err(|error| match error {
            HistoryError::Format { expected, found } => {
                Fatal::Newer { path, found, supported: expected }
            }
            HistoryError::Malformed => {
                Fatal::Corrupt { path, offset: None, what: error.to_string() }
            }
        })
    }

    /// Whether this is a backup and no data directory.
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.root.join(INDEX_FILE).exists()
    }

    /// The snapshots, newest first; of a backup, those that its list has.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn snapshot_names(&self) -> Result<Vec<SnapshotName>, Fatal> {
        let mut names = snapshot::list(&self.snapshots)?;
        if let Some(list) = BackupIndex::load(&self.root).ok().flatten() {
            // Others are what a backup left that did not come to its end.
            names.retain(|name| list.find(&format!("snapshots/{name}.snap")).is_some());
        }
        Ok(names)
    }

    /// The files of events, by path; of a backup, those that its list has.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn event_files(&self) -> Result<Vec<PathBuf>, Fatal> {
        let ids = synap_io::cold::list(&self.events)?;
        let paths = ids.into_iter().map(|id| synap_io::cold::path(&self.events, id));
        let mut paths: Vec<PathBuf> = paths.collect();
        if let Some(list) = BackupIndex::load(&self.root).ok().flatten() {
            paths.retain(|path| list.find(&event_name(path)).is_some());
        }
        Ok(paths)
    }

    /// The logs, in core order; none when there is no such directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn log_files(&self) -> Result<Vec<LogFiles>, Fatal> {
        if !self.logs.exists() {
            return Ok(Vec::new());
        }
        let mut logs = scan_dir(&self.logs)?;
        if let Some(list) = BackupIndex::load(&self.root).ok().flatten() {
            for log in &mut logs {
                log.segments.retain(|_, path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    list.find(&format!("wal/{name}")).is_some()
                });
            }
        }
        Ok(logs)
    }

    /// The logs as sources; `read` says what damage does. In a backup a log may be several: between
    /// two backups the server may have let go what was written meanwhile.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn log_sources(&self, read: ReadOptions) -> Result<Vec<Source>, Fatal> {
        let mut sources = Vec::new();
        // A list that is damaged is for others to complain about.
        let list = BackupIndex::load(&self.root).ok().flatten();
        for log in self.log_files()? {
            let chains = if self.is_backup() { chains(log, list.as_ref())? } else { vec![log] };
            for files in chains {
                sources.push(Source::Log { files, read });
            }
        }
        Ok(sources)
    }

    /// What cores appended while a snapshot was taken, as sources.
    #[must_use]
    pub fn tail_sources(&self, index: &Index) -> Vec<Source> {
        let tails = index.parts().filter(|(id, _)| id.kind == PartKind::Tail);
        let source = |(id, facts): (PartId, PartFacts)| Source::Tail {
            path: index.name().part_path(&self.snapshots, id.kind, id.number),
            id,
            facts,
        };
        tails.map(source).collect()
    }
}

/// The name of a file of events in the list of a backup.
#[must_use]
pub fn event_name(path: &Path) -> String {
    format!("topics/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Takes a log apart where a segment continues one that is not there, or that was copied before it
/// was full.
fn chains(log: LogFiles, list: Option<&BackupIndex>) -> Result<Vec<LogFiles>, Fatal> {
    let LogFiles { directory, core, segments, .. } = log;
    let empty = || LogFiles {
        directory: directory.clone(),
        core,
        segments: std::collections::BTreeMap::new(),
        spares: Vec::new(),
    };
    let (mut chains, mut chain, mut last) = (Vec::new(), empty(), None);
    for (number, path) in segments {
        let (_, head) = SegmentFile::open(&path, core, number)?;
        if let Head::Sound(header) = head {
            let continues = match header.previous {
                None => true,
                Some(before) => match chain.segments.get(&before.segment) {
                    None => false,
                    Some(path) => {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        let entry = list.and_then(|list| list.find(&format!("wal/{name}")));
                        entry.is_none_or(|entry| entry.sealed)
                    }
                },
            };
            if last.is_some() && !continues {
                chains.push(std::mem::replace(&mut chain, empty()));
            }
            last = Some(number);
        }
        chain.segments.insert(number, path);
    }
    chains.push(chain);
    Ok(chains)
}

/// Batches in an order in which every shard's Seqs rise.
#[derive(Clone, Debug)]
pub enum Source {
    /// A run of segments of a log.
    Log {
        /// The files.
        files: LogFiles,
        /// What damage does.
        read: ReadOptions,
    },
    /// A part of a snapshot.
    Tail {
        /// The file.
        path: PathBuf,
        /// Which part it is.
        id: PartId,
        /// What the index says it comes to.
        facts: PartFacts,
    },
}

/// How a source ended.
#[derive(Clone, Debug, Default)]
pub struct SourceEnd {
    /// A commit that a crash cut short.
    pub torn: Option<Torn>,
    /// Damage that was skipped, in words.
    pub skipped: Vec<String>,
}

/// Takes batches, each with the file it lies in and the offset of the group or block around it.
pub type Sink<'a> = dyn FnMut(&Batch<'_>, &Path, u64) -> Result<(), Fatal> + 'a;

impl Source {
    /// The core whose log it is; nothing for a part of a snapshot.
    #[must_use]
    pub fn log_core(&self) -> Option<u16> {
        match self {
            Self::Log { files, .. } => Some(files.core),
            Self::Tail { .. } => None,
        }
    }

    /// Hands out every batch.
    ///
    /// # Errors
    /// Damage, unless it is to be skipped; whatever the sink says.
    pub fn walk(&self, sink: &mut Sink<'_>) -> Result<SourceEnd, Fatal> {
        match self {
            Self::Log { files, read } => walk_log(files.clone(), *read, sink),
            Self::Tail { path, id, facts } => walk_tail(path, id, *facts, sink),
        }
    }
}

fn walk_log(files: LogFiles, read: ReadOptions, sink: &mut Sink<'_>) -> Result<SourceEnd, Fatal> {
    let paths = files.segments.clone();
    let mut reader = LogReader::open_with(files, read)?;
    let mut strange = Vec::new();
    while let Some(run) = reader.next_run()? {
        let path = &paths[&run.segment];
        match hand_out(run.bytes, path, run.offset, sink) {
            Err(Fatal::Corrupt { path, offset, what }) if read.skip_damage => {
                strange.push(Fatal::Corrupt { path, offset, what }.what());
            }
            result => result?,
        }
    }
    let end = reader.end();
    let skipped = end.skipped.iter().cloned().chain(strange).collect();
    Ok(SourceEnd { torn: end.torn, skipped })
}

fn walk_tail(
    path: &Path,
    id: &PartId,
    facts: PartFacts,
    sink: &mut Sink<'_>,
) -> Result<SourceEnd, Fatal> {
    if facts.blocks == 0 {
        return Ok(SourceEnd::default());
    }
    let mut reader = PartReader::open(path, id, Some(facts))?;
    while let Some(block) = reader.next_block()? {
        hand_out(block.bytes, path, block.offset, sink)?;
    }
    Ok(SourceEnd::default())
}

fn hand_out(mut bytes: &[u8], path: &Path, offset: u64, sink: &mut Sink<'_>) -> Result<(), Fatal> {
    while !bytes.is_empty() {
        let (batch, rest) = Batch::decode(bytes).map_err(|error| Fatal::Corrupt {
            path: path.to_owned(),
            offset: Some(offset),
            what: error.to_string(),
        })?;
        sink(&batch, path, offset)?;
        bytes = rest;
    }
    Ok(())
}
