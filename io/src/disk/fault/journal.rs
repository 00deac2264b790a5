//! What a disk may still lose: every write since the last honest sync of its file, with the bytes
//! it replaced.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Blocks are lost or kept whole.
const BLOCK: usize = 4096;

/// Device and inode.
type FileId = (u64, u64);

/// Writes that are not on the disk yet, by file.
#[derive(Debug, Default)]
pub(super) struct Journal {
    files: HashMap<FileId, Unsynced>,
}

#[derive(Debug)]
struct Unsynced {
    file: File,
    /// Oldest first.
    writes: Vec<Replaced>,
}

#[derive(Debug)]
struct Replaced {
    offset: u64,
    bytes: Vec<u8>,
}

fn id_of(file: &File) -> io::Result<FileId> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Path under which the file was opened or now lies; empty when nobody knows.
pub(super) fn path_of(file: &File) -> String {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The same file through the page cache.
pub(super) fn reopen(file: &File) -> io::Result<File> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).write(true).open(link)
}

impl Journal {
    /// Notes what a write of `bytes` bytes at `offset` is about to replace.
    pub(super) fn note(&mut self, file: &File, bytes: usize, offset: u64) -> io::Result<()> {
        let unsynced = match self.files.entry(id_of(file)?) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(fresh) => {
                fresh.insert(Unsynced { file: reopen(file)?, writes: Vec::new() })
            }
        };
        // What lies behind the end of the file counts as zeroes.
        let mut replaced = vec![0; bytes];
        let mut known = 0;
        while known < bytes {
            let at = offset + known as u64;
            match unsynced.file.read_at(&mut replaced[known..], at)? {
                0 => break,
                count => known += count,
            }
        }
        unsynced.writes.push(Replaced { offset, bytes: replaced });
        Ok(())
    }

    /// The file was synced.
    pub(super) fn settle(&mut self, file: &File) -> io::Result<()> {
        self.files.remove(&id_of(file)?);
        Ok(())
    }

    /// Takes back what was not synced, the newest first; of the blocks, one in `keep_one_in` stays.
    pub(super) fn roll_back(&mut self, keep_one_in: Option<NonZeroU64>) -> io::Result<()> {
        let stays = |offset: u64| {
            keep_one_in.is_some_and(|n| (offset / BLOCK as u64).is_multiple_of(n.get()))
        };
        for unsynced in self.files.values() {
            for replaced in unsynced.writes.iter().rev() {
                for (at, block) in replaced.bytes.chunks(BLOCK).enumerate() {
                    let offset = replaced.offset + (at * BLOCK) as u64;
                    if !stays(offset) {
                        unsynced.file.write_all_at(block, offset)?;
                    }
                }
            }
            unsynced.file.sync_all()?;
        }
        self.files.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_takes_back_what_was_not_synced() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        fs::write(&path, [1; 3 * BLOCK]).expect("write");
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("open");
        let mut journal = Journal::default();
        let write = |journal: &mut Journal, byte: u8, offset: usize| {
            journal.note(&file, BLOCK, offset as u64).expect("note");
            file.write_all_at(&[byte; BLOCK], offset as u64).expect("write");
        };
        write(&mut journal, 2, 0);
        journal.settle(&file).expect("settle");
        write(&mut journal, 3, BLOCK);
        write(&mut journal, 4, BLOCK);
        write(&mut journal, 5, 2 * BLOCK);
        journal.roll_back(NonZeroU64::new(2)).expect("roll back");
        let bytes = fs::read(&path).expect("read");
        assert_eq!([bytes[0], bytes[BLOCK], bytes[2 * BLOCK]], [2, 1, 5]);
    }
}
