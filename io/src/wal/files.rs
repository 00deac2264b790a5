//! Names and life of the files in a log directory. Blocking calls all of them: for start-up, for
//! background jobs, and for the rare rotation without a prepared segment.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::WalError;
use super::format::BLOCK;
use crate::disk;
use crate::ring::Mapping;

const PREFIX: &str = "synap.wal.";
const SPARE: &str = "spare";
/// Zeroes are written in pieces of this size.
const FILL_BYTES: usize = 1024 * 1024;

/// The files of one core's log.
#[derive(Clone, Debug)]
pub struct LogFiles {
    /// The directory.
    pub directory: PathBuf,
    /// The core that wrote them.
    pub core: u16,
    /// Segments by number, not all of them necessarily begun.
    pub segments: BTreeMap<u64, PathBuf>,
    /// Files kept for reuse.
    pub spares: Vec<PathBuf>,
}

enum Name {
    Segment(u16, u64),
    Spare(u16),
}

fn parse(name: &str) -> Option<Name> {
    let (core, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let core = core.parse().ok()?;
    if rest.starts_with(SPARE) {
        return Some(Name::Spare(core));
    }
    rest.parse().ok().map(|number| Name::Segment(core, number))
}

pub(super) fn segment_path(directory: &Path, core: u16, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{core}.{number}"))
}

pub(super) fn spare_path(directory: &Path, core: u16, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{core}.{SPARE}{number}"))
}

/// A segment that the core itself is making, apart from the spares that its background jobs handle.
pub(super) fn unfinished_path(directory: &Path, core: u16) -> PathBuf {
    directory.join(format!("{PREFIX}{core}.unfinished"))
}

/// The logs found in `directory`, in core order; other files are none of our business.
///
/// # Errors
/// When the directory cannot be read.
pub fn scan_dir(directory: &Path) -> Result<Vec<LogFiles>, WalError> {
    let mut logs = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(WalError::io("read", directory))? {
        let path = entry.map_err(WalError::io("read", directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(parse) else {
            continue;
        };
        let (Name::Segment(core, _) | Name::Spare(core)) = name;
        let log = logs.entry(core).or_insert_with(|| LogFiles {
            directory: directory.to_owned(),
            core,
            segments: BTreeMap::new(),
            spares: Vec::new(),
        });
        match name {
            Name::Segment(_, number) => {
                log.segments.insert(number, path);
            }
            Name::Spare(_) => log.spares.push(path),
        }
    }
    Ok(logs.into_values().collect())
}

/// Removes the logs of cores from number `cores` on, oldest segment first so that a crash leaves no
/// hole; the number of files. For when the count was lowered and nothing needs them any more.
///
/// # Errors
/// [`WalError::Io`].
pub fn remove_logs_from(directory: &Path, cores: u16) -> Result<u64, WalError> {
    let mut removed = 0;
    for log in scan_dir(directory)?.into_iter().filter(|log| log.core >= cores) {
        for path in log.segments.values().chain(&log.spares) {
            remove(path)?;
            removed += 1;
        }
    }
    if removed > 0 {
        sync_dir(directory)?;
    }
    Ok(removed)
}

/// Makes what was written to a segment so far durable, its header above all: for whoever is about
/// to note that the log begins there. Any thread may; the writer is not disturbed.
///
/// # Errors
/// [`WalError::Io`].
pub fn sync_segment(directory: &Path, core: u16, segment: u64) -> Result<(), WalError> {
    let path = segment_path(directory, core, segment);
    let synced = File::open(&path).and_then(|file| file.sync_data());
    synced.map_err(WalError::io("sync", &path))
}

/// Bytes of all segment files in `directory`.
///
/// # Errors
/// [`WalError::Io`].
pub fn log_bytes(directory: &Path) -> Result<u64, WalError> {
    let logs = scan_dir(directory)?;
    logs.iter().flat_map(|log| log.segments.values()).map(|path| file_bytes(path)).sum()
}

/// Makes creations, renames and deletions in `directory` durable.
pub(super) fn sync_dir(directory: &Path) -> Result<(), WalError> {
    let synced = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(WalError::io("sync the directory", directory))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), WalError> {
    fs::rename(from, to).map_err(WalError::io("rename", from))
}

pub(super) fn remove(path: &Path) -> Result<(), WalError> {
    fs::remove_file(path).map_err(WalError::io("delete", path))
}

/// Creates `path` with `bytes` (whole blocks) of zeroes in written blocks: overwriting such blocks
/// later needs no journal commit, which halves the time of a sync. Around the page cache where that
/// is possible: that takes a fifth of the processor, and later writes around it find no pages to
/// drop.
pub(super) fn create_filled(path: &Path, bytes: u64) -> Result<(), WalError> {
    let fill = |_: &File| -> io::Result<()> {
        let (file, _) = open_direct(path)?;
        // Never touched, so it takes no memory either.
        let zeroes = Mapping::new(FILL_BYTES)?;
        let mut offset = 0;
        while offset < bytes {
            let piece = (bytes - offset).min(FILL_BYTES as u64);
            disk::write_all_at(&file, &zeroes.as_slice()[..piece as usize], offset)?;
            offset += piece;
        }
        disk::sync_all(&file)
    };
    create_with(path, fill)
}

/// Creates `path` with room for `bytes` set aside and nothing written: quicker to have than
/// [`create_filled`], slower to write to.
pub(super) fn create_reserved(path: &Path, bytes: u64) -> Result<(), WalError> {
    create_with(path, |file| {
        disk::reserve(file, bytes)?;
        disk::sync_all(file)
    })
}

/// A file that could not be completed goes again: on a full disk it would only take more room.
fn create_with(path: &Path, fill: impl Fn(&File) -> io::Result<()>) -> Result<(), WalError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.open(path).map_err(WalError::io("create", path))?;
    fill(&file).map_err(|source| {
        // What keeps it from going is worth less than what kept it from being made.
        fs::remove_file(path).unwrap_or_default();
        WalError::io("create", path)(source)
    })
}

/// Makes a file that held a segment count as not begun.
pub(super) fn blank(path: &Path) -> Result<(), WalError> {
    let wipe = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        disk::write_all_at(&file, &[0; BLOCK], 0)?;
        disk::sync_data(&file)
    };
    wipe().map_err(WalError::io("blank", path))
}

/// Opens a segment for writing, around the page cache where the file system allows it; whether it
/// does comes second.
pub(super) fn open_for_writing(path: &Path) -> Result<(File, bool), WalError> {
    open_direct(path).map_err(WalError::io("open", path))
}

fn open_direct(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().custom_flags(libc::O_DIRECT).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            options.open(path).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn file_bytes(path: &Path) -> Result<u64, WalError> {
    let metadata = fs::metadata(path).map_err(WalError::io("stat", path))?;
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_and_strangers_ignored() {
        let directory = tempfile::tempdir().expect("directory");
        for name in ["synap.wal.1.12", "synap.wal.1.3", "synap.wal.0.spare7", "synap.wal.x.1"] {
            File::create(directory.path().join(name)).expect("create");
        }
        let logs = scan_dir(directory.path()).expect("scan");
        let cores: Vec<_> = logs.iter().map(|log| log.core).collect();
        assert_eq!(cores, [0, 1]);
        assert_eq!(logs[0].spares.len(), 1);
        assert_eq!(logs[1].segments.keys().copied().collect::<Vec<_>>(), [3, 12]);
        assert_eq!(remove_logs_from(directory.path(), 1).expect("removed"), 2);
        assert_eq!(remove_logs_from(directory.path(), 1).expect("nothing left"), 0);
        assert_eq!(scan_dir(directory.path()).expect("scan").len(), 1);
    }
}
