//! Names of the files in a snapshot directory, and their going.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::format::PartKind;
use crate::file_error::FileError;

const PREFIX: &str = "snapshot_";
pub(super) const INDEX_SUFFIX: &str = ".snap";
const PART_SUFFIX: &str = ".part";
const TMP_SUFFIX: &str = ".tmp";

/// The name of a snapshot, `snapshot_<unix seconds>_<offset>`; later snapshots have greater ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotName {
    /// When it began. Raised where needed, so that names rise although clocks may not.
    pub unix_secs: u64,
    /// Sum of the Seqs at which its shards begin.
    pub offset: u64,
}

impl SnapshotName {
    /// Reads a name without directory and extension.
    pub fn parse(stem: &str) -> Option<Self> {
        let (secs, offset) = stem.strip_prefix(PREFIX)?.split_once('_')?;
        let name = Self { unix_secs: secs.parse().ok()?, offset: offset.parse().ok()? };
        // One name, one spelling.
        (name.to_string() == stem).then_some(name)
    }

    /// Path of the index.
    pub fn index_path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{self}{INDEX_SUFFIX}"))
    }

    /// Path of a part.
    pub fn part_path(&self, directory: &Path, kind: PartKind, number: u16) -> PathBuf {
        directory.join(format!("{self}.{}", part_suffix(kind, number)))
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}", self.unix_secs, self.offset)
    }
}

fn part_suffix(kind: PartKind, number: u16) -> String {
    match kind {
        PartKind::Shard => format!("shard{number:02}{PART_SUFFIX}"),
        PartKind::Tail => format!("tail{number}{PART_SUFFIX}"),
    }
}

/// Where a part is written before its snapshot has a name; one snapshot at a time is written into
/// a directory.
pub(super) fn new_part_path(directory: &Path, kind: PartKind, number: u16) -> PathBuf {
    directory.join(format!("{PREFIX}new.{}{TMP_SUFFIX}", part_suffix(kind, number)))
}

pub(super) fn new_index_path(directory: &Path, name: SnapshotName) -> PathBuf {
    directory.join(format!("{name}{INDEX_SUFFIX}{TMP_SUFFIX}"))
}

/// The names in a directory, in their order; none where there is no directory.
fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("read", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io("read", directory))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// The snapshots in `directory`, newest first, by the names of their indexes; whether they are
/// sound is not looked at. No directory, no snapshots.
///
/// # Errors
/// [`FileError::Io`].
pub fn list(directory: &Path) -> Result<Vec<SnapshotName>, FileError> {
    let mut found: Vec<SnapshotName> = names(directory)?
        .iter()
        .filter_map(|name| SnapshotName::parse(name.strip_suffix(INDEX_SUFFIX)?))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Removes a snapshot: first its index, so that what a crash leaves is no snapshot, then its parts.
/// One that is gone already is fine.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove(directory: &Path, name: SnapshotName) -> Result<(), FileError> {
    delete(&name.index_path(directory))?;
    sync_dir(directory)?;
    let prefix = format!("{name}.");
    for file in names(directory)? {
        if file.starts_with(&prefix) && file.ends_with(PART_SUFFIX) {
            delete(&directory.join(file))?;
        }
    }
    Ok(())
}

/// What [`sweep`] removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes what snapshots that did not come to an end have left: temporary files, and parts
/// without an index. Not to be called while a snapshot is written.
///
/// # Errors
/// [`FileError::Io`].
pub fn sweep(directory: &Path) -> Result<Swept, FileError> {
    let names = names(directory)?;
    let whole: BTreeSet<&str> =
        names.iter().filter_map(|name| name.strip_suffix(INDEX_SUFFIX)).collect();
    let mut swept = Swept::default();
    for name in &names {
        let is_tmp = name.starts_with(PREFIX) && name.ends_with(TMP_SUFFIX);
        let is_orphan = name.ends_with(PART_SUFFIX)
            && name.split_once('.').is_some_and(|(stem, _)| {
                SnapshotName::parse(stem).is_some() && !whole.contains(stem)
            });
        if is_tmp || is_orphan {
            let path = directory.join(name);
            swept.bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            swept.files += 1;
            delete(&path)?;
        }
    }
    Ok(swept)
}

pub(super) fn delete(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.map_err(FileError::io("delete", path)),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::io("rename", from))
}

/// Makes creations, renames and deletions in `directory` durable.
pub(super) fn sync_dir(directory: &Path) -> Result<(), FileError> {
    let synced = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(FileError::io("sync the directory", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(directory: &Path, names: &[&str]) {
        for name in names {
            fs::write(directory.join(name), b"abc").expect("write");
        }
    }

    #[test]
    fn names_have_one_spelling() {
        let name = SnapshotName { unix_secs: 12, offset: 345 };
        assert_eq!(SnapshotName::parse("snapshot_12_345"), Some(name));
        for strange in ["snapshot_012_345", "snapshot_12", "snapshot_12_-1", "snapshot_+1_2", "x"] {
            assert_eq!(SnapshotName::parse(strange), None, "{strange}");
        }
        let path = name.part_path(Path::new("d"), PartKind::Shard, 3);
        assert_eq!(path, Path::new("d/snapshot_12_345.shard03.part"));
        let path = name.part_path(Path::new("d"), PartKind::Tail, 11);
        assert_eq!(path, Path::new("d/snapshot_12_345.tail11.part"));
    }

    #[test]
    fn snapshots_are_listed_newest_first_and_removed_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path();
        assert_eq!(list(&path.join("absent")).expect("listed"), []);
        let files = ["snapshot_9_5.snap", "snapshot_10_1.snap", "snapshot_10_1.shard00.part"];
        touch(path, &files);
        touch(path, &["snapshot_10_12.shard00.part", "notes.txt", "snapshot_x.snap"]);
        let (old, new) =
            (SnapshotName { unix_secs: 9, offset: 5 }, SnapshotName { unix_secs: 10, offset: 1 });
        assert_eq!(list(path).expect("listed"), [new, old]);
        remove(path, new).expect("removed");
        remove(path, new).expect("nothing left to remove");
        assert_eq!(list(path).expect("listed"), [old]);
        let left = ["notes.txt", "snapshot_10_12.shard00.part", "snapshot_9_5.snap"];
        assert_eq!(names(path).expect("names"), [&left[..], &["snapshot_x.snap"]].concat());
    }

    #[test]
    fn only_left_overs_are_swept() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path();
        let kept = ["keys.part", "notes.tmp", "snapshot_1_2.shard00.part", "snapshot_1_2.snap"];
        touch(path, &kept);
        touch(path, &["snapshot_1_3.tail0.part", "snapshot_new.tail0.part.tmp"]);
        touch(path, &["snapshot_1_3.snap.tmp"]);
        assert_eq!(sweep(path).expect("swept"), Swept { files: 3, bytes: 9 });
        assert_eq!(names(path).expect("names"), kept);
        assert_eq!(sweep(path).expect("swept"), Swept::default());
    }
}
