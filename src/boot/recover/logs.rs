//! The logs of a data directory: opening them, whether they are what the manifest expects, and
//! reading them as sources of a merge.

use std::path::PathBuf;

use synap_io::snapshot::{self, Index};
use synap_io::wal::{LogEnd, LogReader, WalError, scan_dir};
use synap_shards::id::Epoch;
use synap_shards::recovery::{EpochStart, History, LogFront, Released};

use super::merge::Source;
use super::{Options, Progress};
use crate::fatal::Fatal;

/// A reader of every log, with its core.
pub(super) fn open(options: &Options, progress: &Progress) -> Result<Vec<(u16, LogReader)>, Fatal> {
    let mut readers = Vec::new();
    for files in scan_dir(&options.logs)? {
        let core = files.core;
        let reader = LogReader::open_with(files, options.read)?;
        progress.expect(reader.total_bytes());
        readers.push((core, reader));
    }
    Ok(readers)
}

/// Whether there is nothing of data in the directory, whatever the manifest says.
pub(super) fn is_cleared(options: &Options, readers: &[(u16, LogReader)]) -> Result<bool, Fatal> {
    let begun = readers.iter().any(|(_, reader)| reader.front().is_some());
    Ok(!begun && snapshot::list(&options.snapshots)?.is_empty())
}

/// The history of a directory without a manifest: one that was never used, or a copy of snapshots
/// and logs. A snapshot says what a manifest would, if no log goes on into a later epoch: whatever
/// an earlier epoch has beyond its beginning is dead.
pub(super) fn history_of_copy(
    options: &Options,
    readers: &[(u16, LogReader)],
) -> Result<History, Fatal> {
    if is_cleared(options, readers)? {
        return Ok(History::empty());
    }
    let logged = readers.iter().map(|(_, reader)| reader.epoch()).max().unwrap_or(0);
    let indexes = snapshot::list(&options.snapshots)?;
    let index = indexes.into_iter().find_map(|name| Index::load(&options.snapshots, name).ok());
    match index {
        Some(index) if index.epoch >= logged => {
            tracing::warn!(
                snapshot = %index.name(),
                "there is no manifest: taking the directory for a copy of snapshots and logs"
            );
            let epoch = Epoch(index.epoch);
            let starts = vec![EpochStart { epoch, seqs: index.starts() }];
            let released = Released { seqs: index.starts(), snapshot: index.name().to_string() };
            let logs = readers.iter().filter_map(|log| front_of_copy(log, &index)).collect();
            Ok(History { epoch, starts, released, logs })
        }
        Some(_) | None => {
            let what = "there are logs but no manifest; restore MANIFEST.a or MANIFEST.b";
            let path = options.data.join("MANIFEST.a");
            Err(Fatal::Corrupt { path, offset: None, what: what.to_owned() })
        }
    }
}

/// The front of a log that was copied with a snapshot. What a snapshot lets go ends where the log
/// was when it began, so a segment begun after that, and continuing another, is not the front.
fn front_of_copy((core, reader): &(u16, LogReader), index: &Index) -> Option<LogFront> {
    let (segment, before) = reader.front()?;
    let in_time = reader.begun_ms().is_some_and(|begun_ms| begun_ms <= index.created_ms);
    (before.is_none() || in_time).then_some(LogFront { core: *core, segment })
}

/// Compares the logs with what the manifest says of them. Damage that may be skipped is added to
/// `skipped`.
pub(super) fn check(
    options: &Options,
    readers: &[(u16, LogReader)],
    history: &History,
    skipped: &mut Vec<String>,
) -> Result<(), Fatal> {
    for (core, reader) in readers {
        if reader.epoch() > history.epoch.0 {
            let (found, ours) = (reader.epoch(), history.epoch.0);
            let what = format!(
                "its newest epoch is {ours}, but the log of core {core} has epoch {found}; \
                 restore the manifest that belongs to these logs"
            );
            let path = options.data.join("MANIFEST.a");
            return Err(Fatal::Corrupt { path, offset: None, what });
        }
        let Some((oldest, Some(before))) = reader.front() else { continue };
        let needed = history.logs.iter().find(|log| log.core == *core);
        // A log that is not named was begun in the epoch of the manifest and is whole, or is what
        // is left of one that a snapshot of that epoch made superfluous.
        let begun = reader.epoch() == history.epoch.0;
        let kept = if begun || history.released.snapshot.is_empty() { 1 } else { u64::MAX };
        if needed.map_or(kept, |log| log.segment) <= before {
            let directory = options.logs.clone();
            let (segment, wanted_by) = (before, oldest);
            let missing = WalError::Missing { directory, core: *core, segment, wanted_by };
            excuse(options, missing.into(), skipped)?;
        }
    }
    for LogFront { core, segment } in &history.logs {
        let found = readers.iter().find(|(other, _)| other == core);
        if found.and_then(|(_, reader)| reader.front()).is_none() {
            let what = format!(
                "the log of core {core} is missing, from segment {segment} on (delete the \
                 snapshots as well to start empty)"
            );
            let path = options.logs.join(format!("synap.wal.{core}.{segment}"));
            excuse(options, Fatal::Corrupt { path, offset: None, what }, skipped)?;
        }
    }
    Ok(())
}

fn excuse(options: &Options, damage: Fatal, skipped: &mut Vec<String>) -> Result<(), Fatal> {
    if !options.read.skip_damage {
        return Err(damage);
    }
    skipped.push(damage.what());
    Ok(())
}

/// A log, as a source of batches.
pub(super) struct LogSource {
    core: u16,
    reader: LogReader,
    offset: u64,
}

impl LogSource {
    pub(super) fn new((core, reader): (u16, LogReader)) -> Self {
        Self { core, reader, offset: 0 }
    }

    pub(super) fn core(&self) -> u16 {
        self.core
    }

    /// What it came to, once it was read to its end.
    pub(super) fn end(&self) -> &LogEnd {
        self.reader.end()
    }

    /// The oldest of it that is there.
    pub(super) fn front(&self) -> Option<LogFront> {
        self.reader.front().map(|(segment, _)| LogFront { core: self.core, segment })
    }
}

impl Source for LogSource {
    fn next_run(&mut self) -> Result<Option<&[u8]>, Fatal> {
        let run = self.reader.next_run()?;
        Ok(run.map(|run| {
            self.offset = run.offset;
            run.bytes
        }))
    }

    fn place(&self) -> (PathBuf, u64) {
        let path = self.reader.place().map(|(path, _)| path.to_owned());
        (path.unwrap_or_default(), self.offset)
    }

    fn passed_bytes(&self) -> u64 {
        self.reader.passed_bytes()
    }
}

pub(super) fn note_torn(core: u16, end: &LogEnd) {
    if let Some(torn) = &end.torn {
        tracing::warn!(
            core,
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            "the log ends in a commit that a crash cut short; it was cut off"
        );
    }
}
