//! What lies in a data directory or a backup, and whether it is sound: every checksum of every
//! manifest, segment and snapshot is compared, and every batch and entry decoded.
//!
//! Damage is reported with its file and offset, and does not end the report.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::Serialize;
use synap_io::cold::{self, FileError};
use synap_io::lock::LOCK_FILE;
use synap_io::snapshot::{Index, PartFacts, PartId, PartKind, PartReader, SnapshotName};
use synap_io::wal::{Head, LogFiles, LogReader, ReadOptions, SegmentFile, manifest};
use synap_shards::batch::Batch;
use synap_shards::id::ShardId;
use synap_shards::recovery::History;
use synap_shards::seq::ShardSeqs;
use synap_shards::snapshot::take_item;

use crate::auth::store::Store;
use crate::backup::files::{Files, Source};
use crate::backup::index::verify_if_backup;
use crate::backup::keep;
use crate::fatal::Fatal;

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The directory.
    pub root: PathBuf,
    /// A server uses it, so what it is writing may look torn or damaged.
    pub in_use: bool,
    /// Files that a backup lists, all of them as it says; nothing for what is no backup.
    pub backup_files: Option<usize>,
    /// The copies of the manifest.
    pub manifests: Vec<ManifestReport>,
    /// The logs, by core.
    pub logs: Vec<LogReport>,
    /// The snapshots, newest first.
    pub snapshots: Vec<SnapshotReport>,
    /// The files of events.
    pub events: Vec<EventsReport>,
    /// `sound` or `damaged`, of the file of users and API keys; nothing where there is none.
    pub access: Option<&'static str>,
    /// Batches that follow lost ones and that a start would cut, by shard: first and last Seq lost.
    pub gaps: BTreeMap<usize, Vec<(u64, u64)>>,
    /// What is damaged or missing, in words; each names its file, and its offset where it has one.
    pub damage: Vec<String>,
}

/// A copy of the manifest.
#[derive(Debug, Serialize)]
pub struct ManifestReport {
    /// The file.
    pub file: PathBuf,
    /// `sound`, `damaged` or `absent`.
    pub state: &'static str,
    /// How often a manifest was stored.
    pub sequence: Option<u64>,
    /// The epoch it names.
    pub epoch: Option<u32>,
    /// The snapshot without which a start is refused.
    pub needs_snapshot: Option<String>,
}

/// The log of a core.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// The core.
    pub core: u16,
    /// Its segments, by number.
    pub segments: Vec<SegmentReport>,
    /// Files kept for reuse.
    pub spares: usize,
    /// A commit that a crash cut short, at the end: file, offset, bytes.
    pub torn: Option<(PathBuf, u64, u64)>,
}

/// A segment.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// The file.
    pub file: PathBuf,
    /// Its number.
    pub number: u64,
    /// `sound`, `blank`, `damaged` or `newer`, of its header.
    pub header: &'static str,
    /// When it was begun, Unix milliseconds.
    pub created_ms: Option<u64>,
    /// Epoch of its writer.
    pub epoch: Option<u32>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Sound groups.
    pub groups: u64,
    /// Sound batches in them.
    pub batches: u64,
    /// Times of the first and last batch, Unix milliseconds.
    pub times_ms: Option<(u64, u64)>,
    /// First and last Seq of each shard.
    pub seqs: BTreeMap<usize, (u64, u64)>,
}

/// A snapshot.
#[derive(Debug, Serialize)]
pub struct SnapshotReport {
    /// Its name.
    pub name: String,
    /// Whether all of it is sound.
    pub sound: bool,
    /// When it began, Unix milliseconds.
    pub created_ms: Option<u64>,
    /// The epoch in force then.
    pub epoch: Option<u32>,
    /// How it is compressed.
    pub codec: Option<&'static str>,
    /// The program that wrote it.
    pub version: Option<String>,
    /// Entries of its images.
    pub entries: u64,
    /// Batches appended while they were taken.
    pub batches: u64,
    /// Files of its parts.
    pub parts: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A file of events.
#[derive(Debug, Serialize)]
pub struct EventsReport {
    /// The file.
    pub file: PathBuf,
    /// Whether all of it is sound.
    pub sound: bool,
    /// First offset of its partition that it holds, and the one behind the last.
    pub offsets: Option<(u64, u64)>,
    /// Its length in bytes.
    pub bytes: Option<u64>,
}

/// Looks at everything.
///
/// # Errors
/// What the system said of a file or directory, or data of a newer format.
pub fn examine(files: &Files) -> Result<Report, Fatal> {
    if !files.root.is_dir() {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(Fatal::data("look at", &files.root)(missing));
    }
    let mut report = Report { root: files.root.clone(), ..Report::default() };
    report.in_use = is_used(&files.root);
    report.backup_files = note(verify_if_backup(&files.root), &mut report.damage)?.flatten();
    report.manifests(files)?;
    let history = note(files.history(), &mut report.damage)?.flatten();
    report.logs(files, history.as_ref())?;
    let base = report.snapshots(files)?;
    report.events(files)?;
    let access = note(Store::of(&files.root).verify().map_err(Fatal::from), &mut report.damage)?;
    report.access = match access {
        Some(true) => Some("sound"),
        Some(false) => None,
        None => Some("damaged"),
    };
    report.gaps(files, history.as_ref(), base.as_ref())?;
    Ok(report)
}

/// Whether a server has the directory.
fn is_used(root: &Path) -> bool {
    let Ok(file) = File::open(root.join(LOCK_FILE)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Adds damage to the list; everything else is an error.
fn note<T>(result: Result<T, Fatal>, damage: &mut Vec<String>) -> Result<Option<T>, Fatal> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(fatal @ Fatal::Corrupt { .. }) => {
            damage.push(fatal.what());
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

impl Report {
    fn manifests(&mut self, files: &Files) -> Result<(), Fatal> {
        let mut sound = 0;
        for (file, copy) in manifest::copies(&files.root)? {
            let (state, sequence, history) = match &copy {
                manifest::Copy::Absent => ("absent", None, None),
                manifest::Copy::Damaged => ("damaged", None, None),
                manifest::Copy::Valid(manifest) => {
                    sound += 1;
                    let history = History::decode(&manifest.payload).ok();
                    ("sound", Some(manifest.sequence), history)
                }
            };
            if state == "damaged" {
                self.damage.push(format!("{} is no sound manifest", file.display()));
            }
            let epoch = history.as_ref().map(|history| history.epoch.0);
            let needed = history.map(|history| history.released.snapshot);
            let needs_snapshot = needed.filter(|name| !name.is_empty());
            self.manifests.push(ManifestReport { file, state, sequence, epoch, needs_snapshot });
        }
        let has_logs = !files.log_files()?.is_empty();
        if sound == 0 && has_logs && self.manifests.iter().all(|copy| copy.state == "absent") {
            self.damage.push(format!("{} has logs but no manifest", files.root.display()));
        }
        Ok(())
    }

    fn logs(&mut self, files: &Files, history: Option<&History>) -> Result<(), Fatal> {
        let is_backup = files.is_backup();
        for log in files.log_files()? {
            let mut segments = Vec::new();
            for (number, file) in &log.segments {
                segments.push(segment(file, log.core, *number)?);
            }
            let torn = if is_backup { None } else { self.log_damage(&log)? };
            if let Some(history) = history.filter(|_| !is_backup) {
                self.log_front(&log, history)?;
            }
            let (core, spares) = (log.core, log.spares.len());
            self.logs.push(LogReport { core, segments, spares, torn });
        }
        if is_backup {
            // Its log may have gaps, where the server let segments go between two backups.
            let read = ReadOptions { skip_damage: true, ..ReadOptions::default() };
            for source in files.log_sources(read)? {
                self.damage.extend(source.walk(&mut |_, _, _| Ok(()))?.skipped);
            }
        }
        for needed in history.iter().flat_map(|history| &history.logs).filter(|_| !is_backup) {
            if !self.logs.iter().any(|log| log.core == needed.core) {
                self.damage.push(format!(
                    "{}: the log of core {} is missing, from segment {} on",
                    files.logs.display(),
                    needed.core,
                    needed.segment
                ));
            }
        }
        Ok(())
    }

    fn log_damage(&mut self, log: &LogFiles) -> Result<Option<(PathBuf, u64, u64)>, Fatal> {
        let read = ReadOptions { skip_damage: true, ..ReadOptions::default() };
        let source = Source::Log { files: log.clone(), read };
        let end = source.walk(&mut |_, _, _| Ok(()))?;
        self.damage.extend(end.skipped);
        Ok(end.torn.map(|torn| (log.segments[&torn.segment].clone(), torn.offset, torn.bytes)))
    }

    /// Compares the oldest segment with the one that the manifest says is still needed.
    fn log_front(&mut self, log: &LogFiles, history: &History) -> Result<(), Fatal> {
        let read = ReadOptions { skip_damage: true, ..ReadOptions::default() };
        let reader = LogReader::open_with(log.clone(), read)?;
        let needed = history.logs.iter().find(|needed| needed.core == log.core);
        if let Some((oldest, Some(before))) = reader.front()
            && needed.map_or(1, |needed| needed.segment) <= before
        {
            self.damage.push(format!(
                "{}: segment {before} of core {} is missing; segment {oldest} continues it",
                log.directory.display(),
                log.core
            ));
        }
        Ok(())
    }

    /// Looks at all snapshots; the newest sound one is what a start begins from.
    fn snapshots(&mut self, files: &Files) -> Result<Option<Index>, Fatal> {
        let mut base = None;
        for name in files.snapshot_names()? {
            let before = self.damage.len();
            let index =
                note(Index::load(&files.snapshots, name).map_err(Fatal::from), &mut self.damage)?;
            let mut report = SnapshotReport {
                name: name.to_string(),
                sound: false,
                created_ms: index.as_ref().map(|index| index.created_ms),
                epoch: index.as_ref().map(|index| index.epoch),
                codec: index.as_ref().map(|index| index.codec.name()),
                version: index.as_ref().map(|index| index.version.clone()),
                entries: 0,
                batches: 0,
                parts: 0,
                bytes: 0,
            };
            for (id, facts) in index.iter().flat_map(Index::parts) {
                let counted = note(part(files, name, id, facts), &mut self.damage)?;
                let counted = counted.unwrap_or(0);
                match id.kind {
                    PartKind::Shard => report.entries += counted,
                    PartKind::Tail => report.batches += counted,
                }
                report.parts += usize::from(facts.blocks > 0);
                report.bytes += facts.file_bytes;
            }
            report.sound = self.damage.len() == before;
            if report.sound && base.is_none() {
                base = index;
            }
            self.snapshots.push(report);
        }
        Ok(base)
    }

    /// Looks at all files of events, needed or not.
    fn events(&mut self, files: &Files) -> Result<(), Fatal> {
        for file in files.event_files()? {
            let known = match cold::verify(&file) {
                // A server has removed it since the directory was read.
                Err(FileError::Missing { .. }) => continue,
                known => note(known.map_err(Fatal::from), &mut self.damage)?,
            };
            self.events.push(EventsReport {
                file,
                sound: known.is_some(),
                offsets: known.map(|known| (known.base, known.next)),
                bytes: known.map(|known| known.bytes),
            });
        }
        Ok(())
    }

    fn gaps(
        &mut self,
        files: &Files,
        history: Option<&History>,
        base: Option<&Index>,
    ) -> Result<(), Fatal> {
        let starts = base.map_or_else(ShardSeqs::zero, Index::starts);
        let read = ReadOptions { skip_damage: true, ..ReadOptions::default() };
        let mut sources = base.map_or_else(Vec::new, |index| files.tail_sources(index));
        sources.extend(files.log_sources(read)?);
        let alive = |batch: &Batch<'_>| {
            !history.is_some_and(|history| keep::is_dead(&history.starts, batch))
        };
        let (present, _) = keep::present(&sources, &alive)?;
        for shard in ShardId::all() {
            let gaps = present.of(shard).gaps_above(starts.get(shard).get());
            if !gaps.is_empty() {
                self.gaps.insert(shard.index(), gaps);
            }
        }
        if let Some(history) = history {
            let needed = &history.released;
            let short = |shard| starts.get(shard) < needed.seqs.get(shard);
            if !needed.snapshot.is_empty() && ShardId::all().any(short) {
                self.damage.push(format!(
                    "{}: the log before snapshot {} is gone, and no sound snapshot is as new",
                    files.snapshots.display(),
                    needed.snapshot
                ));
            }
        }
        Ok(())
    }
}

fn segment(file: &Path, core: u16, number: u64) -> Result<SegmentReport, Fatal> {
    let (mut segment, head) = SegmentFile::open(file, core, number)?;
    let header = match head {
        Head::Sound(header) => Some(header),
        Head::Blank | Head::Damaged | Head::Version(_) => None,
    };
    let mut report = SegmentReport {
        file: file.to_owned(),
        number,
        header: match head {
            Head::Sound(_) => "sound",
            Head::Blank => "blank",
            Head::Damaged => "damaged",
            Head::Version(_) => "newer",
        },
        created_ms: header.map(|header| header.created_ms),
        epoch: header.map(|header| header.epoch),
        bytes: segment.file_bytes(),
        groups: 0,
        batches: 0,
        times_ms: None,
        seqs: BTreeMap::new(),
    };
    while let Some(group) = segment.next_group()? {
        report.groups += 1;
        let mut bytes = group.payload;
        while let Ok((batch, rest)) = Batch::decode(bytes) {
            report.batch(&batch);
            bytes = rest;
        }
    }
    Ok(report)
}

impl SegmentReport {
    fn batch(&mut self, batch: &Batch<'_>) {
        self.batches += 1;
        let time = batch.time_ms();
        let (first, last) = self.times_ms.unwrap_or((time, time));
        self.times_ms = Some((first.min(time), last.max(time)));
        for part in batch.parts() {
            let seq = part.seq.get();
            let range = self.seqs.entry(part.shard.index()).or_insert((seq, seq));
            *range = (range.0.min(seq), range.1.max(seq));
        }
    }
}

/// Reads a part to its end; how many entries or batches it holds.
fn part(files: &Files, name: SnapshotName, id: PartId, facts: PartFacts) -> Result<u64, Fatal> {
    if facts.blocks == 0 {
        return Ok(0);
    }
    let path = name.part_path(&files.snapshots, id.kind, id.number);
    let mut count = 0;
    if id.kind == PartKind::Tail {
        Source::Tail { path, id, facts }.walk(&mut |_, _, _| {
            count += 1;
            Ok(())
        })?;
        return Ok(count);
    }
    let mut reader = PartReader::open(&path, &id, Some(facts))?;
    while let Some(block) = reader.next_block()? {
        let (mut bytes, offset) = (block.bytes, block.offset);
        while !bytes.is_empty() {
            take_item(&mut bytes).map_err(|error| Fatal::Corrupt {
                path: path.clone(),
                offset: Some(offset),
                what: error.to_string(),
            })?;
            count += 1;
        }
    }
    Ok(count)
}
