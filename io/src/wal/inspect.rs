//! One segment file on its own, for tools that look at files: whatever is sound in it, also behind
//! damage and without the segments around it.
//!
//! Guarantees: only groups whose checksum fits and that name this core and segment are handed out,
//! each with its offset; nothing is written. Must not decide where a log ends: [`LogReader`] does.
//!
//! [`LogReader`]: super::LogReader

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::WalError;
use super::format::{BLOCK, GROUP_HEADER, GroupHeader, Invalid, SegmentHeader, group_bytes};

/// What block 0 of a segment file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// The header of this segment.
    Sound(SegmentHeader),
    /// Zeroes: the file was prepared and never begun.
    Blank,
    /// Neither; or the header of another segment.
    Damaged,
    /// A header of a newer format.
    Version(u16),
}

/// A sound group.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Its header.
    pub header: GroupHeader,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes before it that belong to no sound group; zero where it continues the one before.
    pub skipped: u64,
    /// What was appended.
    pub payload: &'a [u8],
}

/// Reads one segment file.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    core: u16,
    number: u64,
    file: File,
    file_bytes: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl SegmentFile {
    /// Opens the file of a segment of a core, as its name says.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn open(path: &Path, core: u16, number: u64) -> Result<(Self, Head), WalError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (file_bytes, file) = opened.map_err(WalError::io("open", path))?;
        let path = path.to_owned();
        let (offset, buffer) = (BLOCK as u64, Vec::new());
        let mut segment = Self { path, core, number, file, file_bytes, offset, buffer };
        let head = match segment.read(0, BLOCK)? {
            None => Head::Damaged,
            Some(block) => match SegmentHeader::decode(block) {
                Ok(header) if header.segment == number && header.core == core => {
                    Head::Sound(header)
                }
                Ok(_) | Err(Invalid::Damaged) => Head::Damaged,
                Err(Invalid::Blank) => Head::Blank,
                Err(Invalid::Version(found)) => Head::Version(found),
            },
        };
        Ok((segment, head))
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Where the next group is looked for.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next sound group, wherever it begins; nothing when there is none.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn next_group(&mut self) -> Result<Option<Group<'_>>, WalError> {
        let expected = self.offset;
        while self.offset + BLOCK as u64 <= self.file_bytes {
            let Some(header) = self.sound_at(self.offset)? else {
                self.offset += BLOCK as u64;
                continue;
            };
            let offset = self.offset;
            let payload_bytes = header.payload_bytes as usize;
            self.offset += group_bytes(payload_bytes) as u64;
            let payload = &self.buffer[GROUP_HEADER..GROUP_HEADER + payload_bytes];
            return Ok(Some(Group { header, offset, skipped: offset - expected, payload }));
        }
        Ok(None)
    }

    /// The header of the sound group at `offset`, which is then in the buffer.
    fn sound_at(&mut self, offset: u64) -> Result<Option<GroupHeader>, WalError> {
        let (core, number) = (self.core, self.number);
        let Some(bytes) = self.read(offset, GROUP_HEADER)? else { return Ok(None) };
        let ours = |header: &GroupHeader| header.core == core && header.segment == number;
        let Some(header) = GroupHeader::peek(bytes).filter(ours) else { return Ok(None) };
        // The length is checked against the file before anything is allocated for it.
        let bytes = GROUP_HEADER + header.payload_bytes as usize;
        let Some(group) = self.read(offset, bytes)? else { return Ok(None) };
        Ok(header.verify(group).then_some(header))
    }

    fn read(&mut self, offset: u64, bytes: usize) -> Result<Option<&[u8]>, WalError> {
        if offset + bytes as u64 > self.file_bytes {
            return Ok(None);
        }
        self.buffer.resize(bytes, 0);
        let read = self.file.read_exact_at(&mut self.buffer, offset);
        read.map_err(WalError::io("read", &self.path))?;
        Ok(Some(&self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::LogBuilder;
    use super::*;

    #[test]
    fn what_is_sound_is_found_behind_damage() {
        let directory = tempfile::tempdir().expect("directory");
        let mut log = LogBuilder::create(directory.path(), 3, 1, 1 << 20);
        for byte in 0..3u8 {
            log.append(&[byte; 5000]).expect("written");
            log.end_group().expect("written");
        }
        log.finish().expect("written");
        let path = directory.path().join("synap.wal.3.1");
        let file = File::options().write(true).open(&path).expect("open");
        file.write_all_at(&[9], BLOCK as u64 + 2 * BLOCK as u64 + 100).expect("damage");
        let (mut segment, head) = SegmentFile::open(&path, 3, 1).expect("open");
        assert!(matches!(head, Head::Sound(header) if header.first_group == 1));
        let mut found = Vec::new();
        while let Some(group) = segment.next_group().expect("readable") {
            found.push((group.header.group, group.skipped, group.payload.len()));
        }
        assert_eq!(found, [(1, 0, 5000), (3, 8192, 5000), (4, 0, 0)]);
        let (mut other, head) = SegmentFile::open(&path, 4, 1).expect("open");
        assert_eq!(head, Head::Damaged);
        assert!(other.next_group().expect("readable").is_none());
    }
}
