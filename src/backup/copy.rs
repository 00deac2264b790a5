//! Copies the files of a running server into a backup: snapshots, the log behind them, the events
//! that both name, the manifest, and who may come in.
//!
//! The server goes on writing and reuses files, so nothing is believed before it has been looked at
//! again: of a segment only its sound groups are copied, and the copy is read back; a file that was
//! reused or removed meanwhile is left out, and the round is repeated until the newest snapshot was
//! there at its beginning and at its end. What is sealed and there already is not copied again, so
//! a backup into the same directory costs what is new.
//!
//! Nothing that the server lets go is removed from the backup: its log reaches back to the first
//! one, and with it the moments that can be restored.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use synap_io::cold::{self, FileError};
use synap_io::snapshot::{self, Index, PartId, SnapshotName};
use synap_io::wal::{Head, SegmentFile, WalError, manifest};

use super::access::copy_access;
use super::files::{Files, event_name};
use super::index::{BackupIndex, Entry, checksum};
use super::rebuild::{copy, sync_directory};
use super::restore::verify;
use super::time;
use crate::fatal::Fatal;

/// Rounds until a server that takes snapshots all the time is too fast for us.
const ROUNDS_MAX: usize = 8;
/// Bytes of the header of a segment.
const HEADER_BYTES: u64 = synap_io::wal::format::BLOCK as u64;
const MANIFESTS: [&str; 2] = ["MANIFEST.a", "MANIFEST.b"];

/// What a backup copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub kept: u64,
    /// The newest snapshot in the backup.
    pub snapshot: Option<String>,
}

/// Copies what `from` has and the backup at `to` has not.
///
/// # Errors
/// The backup is of another directory, a file is damaged, or what the system said.
pub fn run(from: &Files, to: &Path) -> Result<Copied, Fatal> {
    let backup = Files::below(to);
    for directory in [&backup.logs, &backup.snapshots, &backup.events] {
        fs::create_dir_all(directory).map_err(Fatal::data("create", directory))?;
    }
    let root = fs::canonicalize(&from.root).map_err(Fatal::data("find", &from.root))?;
    let index = BackupIndex::load(to)?.unwrap_or_else(|| BackupIndex::new(&root));
    same_directory(&index, &root, from, &backup)?;
    let mut job = Job { from, backup, index, copied: Copied::default() };
    for _ in 0..ROUNDS_MAX {
        let newest = job.snapshots()?;
        // Before the log those that stand, for what it names might go meanwhile; behind it those
        // that it names and that have come meanwhile.
        job.events()?;
        job.logs()?;
        job.events()?;
        if snapshot::list(&from.snapshots)?.first().copied() == newest {
            job.manifest()?;
            job.access()?;
            job.copied.snapshot = newest.map(|name| name.to_string());
            let Files { logs, snapshots, events, .. } = &job.backup;
            for directory in [logs, snapshots, events] {
                sync_directory(directory)?;
            }
            let now = time::rfc3339(synap_io::clock::unix_ms());
            job.index.store(to, now)?;
            return Ok(job.copied);
        }
    }
    let what = format!("the server took a new snapshot in each of {ROUNDS_MAX} rounds; try again");
    Err(Fatal::Moment { what })
}

/// Refuses to mix the data of two directories: a backup is of one path, and a manifest is stored
/// ever more often.
fn same_directory(
    index: &BackupIndex,
    root: &Path,
    from: &Files,
    backup: &Files,
) -> Result<(), Fatal> {
    let sequence = |files: &Files| -> Result<u64, Fatal> {
        Ok(manifest::load(&files.root)?.map_or(0, |manifest| manifest.sequence))
    };
    if index.data_dir == root && sequence(from)? >= sequence(backup)? {
        return Ok(());
    }
    let (path, of) = (backup.root.display(), index.data_dir.display());
    let what = format!("{path} is the backup of another data directory, or of {of} as it was");
    Err(Fatal::Moment { what })
}

struct Job<'a> {
    from: &'a Files,
    backup: Files,
    index: BackupIndex,
    copied: Copied,
}

impl Job<'_> {
    /// Copies the snapshots that are not there yet; the newest that the server has.
    fn snapshots(&mut self) -> Result<Option<SnapshotName>, Fatal> {
        let names = snapshot::list(&self.from.snapshots)?;
        for name in &names {
            match self.snapshot(*name) {
                // Removed meanwhile, because there are newer ones.
                Err(Fatal::Data { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(Fatal::Corrupt { .. }) if !name.index_path(&self.from.snapshots).exists() => {}
                result => result?,
            }
        }
        Ok(names.first().copied())
    }

    fn snapshot(&mut self, name: SnapshotName) -> Result<(), Fatal> {
        let index_name = format!("snapshots/{name}.snap");
        if self.index.find(&index_name).is_some() {
            self.copied.kept += 1;
            return Ok(());
        }
        let index = Index::load(&self.from.snapshots, name)?;
        let path = |files: &Files, part: Option<&PartId>| match part {
            Some(id) => name.part_path(&files.snapshots, id.kind, id.number),
            None => name.index_path(&files.snapshots),
        };
        let mut entries = Vec::new();
        let parts = index.parts().filter(|(_, facts)| facts.blocks > 0);
        let ids: Vec<_> = parts.map(|(id, _)| Some(id)).chain([None]).collect();
        for id in &ids {
            let (source, target) = (path(self.from, id.as_ref()), path(&self.backup, id.as_ref()));
            copy(&source, &target)?;
            entries.push(self.entry(&target, true)?);
        }
        verify(&self.backup, &index)?;
        entries.into_iter().for_each(|entry| self.add(entry));
        Ok(())
    }

    /// Copies the files of events that are not there yet. They have their names when they are
    /// whole, and never change.
    fn events(&mut self) -> Result<(), Fatal> {
        for path in self.from.event_files()? {
            let name = event_name(&path);
            if self.index.find(&name).is_some() {
                self.copied.kept += 1;
                continue;
            }
            let target = self.backup.root.join(&name);
            let new = target.with_extension("tmp");
            match copy(&path, &new) {
                // Removed meanwhile: nothing needs it.
                Err(Fatal::Data { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                result => result?,
            }
            if cold::verify(&new).is_err() {
                fs::remove_file(&new).map_err(Fatal::data("remove", &new))?;
                match cold::verify(&path) {
                    Ok(_) | Err(FileError::Missing { .. }) => continue,
                    // Damaged where it came from; that is the file to name.
                    Err(error) => return Err(error.into()),
                }
            }
            fs::rename(&new, &target).map_err(Fatal::data("rename", &new))?;
            let entry = self.entry(&target, true)?;
            self.add(entry);
        }
        Ok(())
    }

    fn logs(&mut self) -> Result<(), Fatal> {
        for log in self.from.log_files()? {
            let numbers: Vec<u64> = log.segments.keys().copied().collect();
            for (at, number) in numbers.iter().enumerate() {
                let next = numbers.get(at + 1).map(|next| (*next, &log.segments[next]));
                let end = match next {
                    Some((next, path)) => continued_at(path, log.core, next, *number)?,
                    None => None,
                };
                self.segment(&log.segments[number], log.core, *number, end)?;
            }
        }
        Ok(())
    }

    /// Copies a segment, to `end` where another continues it.
    fn segment(
        &mut self,
        path: &Path,
        core: u16,
        number: u64,
        end: Option<u64>,
    ) -> Result<(), Fatal> {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("wal/{file_name}");
        let target = self.backup.logs.join(&file_name);
        let Some(found) = sound_end(path, core, number)? else { return Ok(()) };
        if let Some(known) = self.index.find(&name) {
            same_segment(path, &target)?;
            if known.sealed {
                self.copied.kept += 1;
                return Ok(());
            }
        }
        if let Some(end) = end.filter(|end| found < *end) {
            // Reused while it was read, or damaged; the next look tells.
            if sound_end(path, core, number)?.is_none() {
                return Ok(());
            }
            let what = format!("its groups end here, but the next segment says at {end}");
            return Err(Fatal::Corrupt { path: path.to_owned(), offset: Some(found), what });
        }
        let bytes = end.unwrap_or(found);
        let new = self.backup.logs.join(format!("{file_name}.tmp"));
        copy_front(path, &new, bytes)?;
        if sound_end(&new, core, number)? != Some(bytes) {
            // It was reused between the look and the copy: a snapshot holds what it said.
            return fs::remove_file(&new).map_err(Fatal::data("remove", &new));
        }
        fs::rename(&new, &target).map_err(Fatal::data("rename", &new))?;
        let entry = self.entry(&target, end.is_some())?;
        self.add(entry);
        Ok(())
    }

    fn manifest(&mut self) -> Result<(), Fatal> {
        for name in MANIFESTS {
            let (source, target) = (self.from.root.join(name), self.backup.root.join(name));
            if source.exists() {
                copy(&source, &target)?;
                let entry = self.entry(&target, false)?;
                self.add(entry);
            }
        }
        // Sound, or the copy met the server writing it; then the twin is.
        self.backup.history().map(drop)
    }

    /// Copies who may come in; it is so small that it is copied every time.
    fn access(&mut self) -> Result<(), Fatal> {
        if let Some(target) = copy_access(&self.from.root, &self.backup.root)? {
            let entry = self.entry(&target, false)?;
            self.add(entry);
        }
        Ok(())
    }

    fn entry(&self, path: &Path, sealed: bool) -> Result<Entry, Fatal> {
        let (bytes, crc32c) = checksum(path)?;
        let name = path.strip_prefix(&self.backup.root).unwrap_or(path);
        Ok(Entry { name: name.to_string_lossy().into_owned(), bytes, crc32c, sealed })
    }

    fn add(&mut self, entry: Entry) {
        self.copied.files += 1;
        self.copied.bytes += entry.bytes;
        self.index.put(entry);
    }
}

/// Where a segment says that the one before it ends, if it names `before` as that.
fn continued_at(path: &Path, core: u16, number: u64, before: u64) -> Result<Option<u64>, Fatal> {
    let Some((_, Head::Sound(header))) = open(path, core, number)? else { return Ok(None) };
    let chain = header.previous.filter(|chain| chain.segment == before);
    Ok(chain.map(|chain| chain.end_offset))
}

fn open(path: &Path, core: u16, number: u64) -> Result<Option<(SegmentFile, Head)>, Fatal> {
    match SegmentFile::open(path, core, number) {
        Ok(opened) => Ok(Some(opened)),
        // Let go meanwhile.
        Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where the sound groups of a segment end that follow each other from its beginning; nothing when
/// the file holds nothing of the log.
fn sound_end(path: &Path, core: u16, number: u64) -> Result<Option<u64>, Fatal> {
    let Some((mut segment, Head::Sound(_))) = open(path, core, number)? else {
        return Ok(None);
    };
    let mut end = segment.offset();
    while let Some(group) = segment.next_group()? {
        if group.skipped > 0 {
            break;
        }
        end = segment.offset();
    }
    Ok(Some(end))
}

/// Refuses to mix the logs of two directories: one segment has one header for ever.
fn same_segment(path: &Path, known: &Path) -> Result<(), Fatal> {
    let head = |path: &Path| -> Result<Vec<u8>, Fatal> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Fatal::data("open", path))?;
        let read = file.take(HEADER_BYTES).read_to_end(&mut bytes);
        read.map_err(Fatal::data("read", path))?;
        Ok(bytes)
    };
    match (head(path), head(known)?) {
        (Ok(ours), theirs) if ours == theirs => Ok(()),
        (Err(Fatal::Data { source, .. }), _) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        (Err(other), _) => Err(other),
        (Ok(_), _) => {
            let what = format!(
                "{} in the backup is another segment of this number: the backup is of another data \
                 directory",
                known.display()
            );
            Err(Fatal::Moment { what })
        }
    }
}

/// Copies the first bytes of a file, makes the copy as long with a hole, and makes it durable.
fn copy_front(from: &Path, to: &Path, bytes: u64) -> Result<(), Fatal> {
    let copy = || -> io::Result<()> {
        let mut source = File::open(from)?;
        source.seek(SeekFrom::Start(0))?;
        let mut target = File::create(to)?;
        let whole = source.metadata()?.len();
        io::copy(&mut source.take(bytes), &mut target)?;
        target.flush()?;
        target.set_len(whole)?;
        target.sync_all()
    };
    copy().map_err(Fatal::data("copy", from))
}
