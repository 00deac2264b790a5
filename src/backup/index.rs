//! The list of a backup: every file with its length and checksum, and what the backup is of.
//!
//! `BACKUP.json` in the directory of the backup: one object,
//! `{"format":"synap-backup","version":1,"created_at","data_dir","files":[{"name","bytes","crc32c",
//! "sealed"}],"crc32c":"…"}`. The checksums are CRC32C; the last one, in hexadecimal, is that of
//! every byte before `,"crc32c":` at its end. It is replaced whole, after every file it names is
//! durable.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crc32c::{crc32c, crc32c_append};

use super::rebuild::sync_directory;
use crate::fatal::Fatal;

/// Name of the list.
pub const INDEX_FILE: &str = "BACKUP.json";
const FORMAT: &str = "synap-backup";
const VERSION: u32 = 1;
const CRC_MARK: &str = ",\"crc32c\":\"";
/// Bytes of a list: some hundred thousand files.
const INDEX_BYTES_MAX: u64 = 64 * 1024 * 1024;
const READ_BYTES: usize = 1024 * 1024;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path in the backup.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub crc32c: u32,
    /// It will not grow any more: a part of a snapshot, or a segment that others follow.
    pub sealed: bool,
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupIndex {
    format: String,
    version: u32,
    /// When the last backup into it ended.
    pub created_at: String,
    /// The data directory it is of.
    pub data_dir: PathBuf,
    /// Its files, by name.
    pub files: Vec<Entry>,
}

impl BackupIndex {
    /// A list of nothing.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let (format, created_at) = (FORMAT.to_owned(), String::new());
        let data_dir = data_dir.to_owned();
        Self { format, version: VERSION, created_at, data_dir, files: Vec::new() }
    }

    /// The list of a backup; nothing when the directory has none.
    ///
    /// # Errors
    /// It is damaged or of a newer version.
    pub fn load(root: &Path) -> Result<Option<Self>, Fatal> {
        let path = root.join(INDEX_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fatal::data("open", &path)(error)),
        };
        let mut text = String::new();
        let read = file.take(INDEX_BYTES_MAX).read_to_string(&mut text);
        read.map_err(Fatal::data("read", &path))?;
        let damaged =
            |what: &str| Fatal::Corrupt { path: path.clone(), offset: None, what: what.to_owned() };
        let at = text.rfind(CRC_MARK).ok_or_else(|| damaged("expected its checksum at its end"))?;
        let (body, rest) = text.split_at(at);
        // One checksum, one spelling.
        if rest != format!("{CRC_MARK}{:08x}\"}}\n", crc32c(body.as_bytes())) {
            return Err(damaged("its checksum is wrong"));
        }
        let index: Self = serde_json::from_str(&format!("{body}}}"))
            .map_err(|error| damaged(&error.to_string()))?;
        if index.version > VERSION {
            let (found, supported) = (index.version, VERSION);
            return Err(Fatal::Newer { path, found, supported });
        }
        if index.format != FORMAT {
            return Err(damaged("it is no list of a backup"));
        }
        Ok(Some(index))
    }

    /// Stores the list.
    ///
    /// # Errors
    /// What the system said.
    pub fn store(&mut self, root: &Path, created_at: String) -> Result<(), Fatal> {
        self.created_at = created_at;
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = serde_json::to_string(self).expect("text and numbers");
        text.pop();
        let crc = crc32c(text.as_bytes());
        text.push_str(&format!("{CRC_MARK}{crc:08x}\"}}\n"));
        let (new, path) = (root.join(format!("{INDEX_FILE}.tmp")), root.join(INDEX_FILE));
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(Fatal::data("write", &new))?;
        fs::rename(&new, &path).map_err(Fatal::data("rename", &new))?;
        sync_directory(root)
    }

    /// The file of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.name == name)
    }

    /// Puts a file in place of the one with its name.
    pub fn put(&mut self, entry: Entry) {
        self.files.retain(|other| other.name != entry.name);
        self.files.push(entry);
    }
}

/// Compares every file of a backup with its list; a directory without a list is no backup, and
/// fine. Returns how many files there are.
///
/// # Errors
/// The first file that is missing or differs.
pub fn verify_if_backup(root: &Path) -> Result<Option<usize>, Fatal> {
    let Some(index) = BackupIndex::load(root)? else { return Ok(None) };
    for entry in &index.files {
        let path = root.join(&entry.name);
        let damaged = |what: String| Fatal::Corrupt { path: path.clone(), offset: None, what };
        let (bytes, crc) = match checksum(&path) {
            Err(Fatal::Data { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing from the backup".to_owned()));
            }
            found => found?,
        };
        if (bytes, crc) != (entry.bytes, entry.crc32c) {
            let Entry { bytes: expected, crc32c, .. } = entry;
            let what = format!(
                "{bytes} bytes with checksum {crc:08x}, expected {expected} with {crc32c:08x}"
            );
            return Err(damaged(what));
        }
    }
    Ok(Some(index.files.len()))
}

/// Length and checksum of a file.
///
/// # Errors
/// What the system said.
pub fn checksum(path: &Path) -> Result<(u64, u32), Fatal> {
    let mut file = File::open(path).map_err(Fatal::data("open", path))?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut bytes, mut crc) = (0, 0);
    loop {
        match file.read(&mut buffer).map_err(Fatal::data("read", path))? {
            0 => return Ok((bytes, crc)),
            count => {
                bytes += count as u64;
                crc = crc32c_append(crc, &buffer[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_the_list_is_noticed() {
        let root = tempfile::tempdir().expect("a directory");
        let mut index = BackupIndex::new(Path::new("/d"));
        index.put(Entry { name: "a".into(), bytes: 1, crc32c: 2, sealed: true });
        index.put(Entry { name: "a".into(), bytes: 3, crc32c: 4, sealed: true });
        index.store(root.path(), "now".into()).expect("stored");
        assert_eq!(BackupIndex::load(root.path()).expect("sound"), Some(index));
        let path = root.path().join(INDEX_FILE);
        let sound = fs::read(&path).expect("a file");
        for bit in 0..sound.len() * 8 {
            let mut broken = sound.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, broken).expect("written");
            assert!(BackupIndex::load(root.path()).is_err(), "bit {bit}");
        }
    }
}
