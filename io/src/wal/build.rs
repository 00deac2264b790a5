//! Writes a whole log anew, without a core and its rings: for what is restored or salvaged.
//!
//! Guarantees: the same bytes on disk as a [`Writer`](super::Writer) leaves after a clean stop;
//! everything is durable when [`LogBuilder::finish`] returns. Nothing is there for a log to which
//! nothing was appended. Blocks; must not be used on a directory that a server uses.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::WalError;
use super::files::{segment_path, sync_dir};
use super::format::{BLOCK, Chain, GROUP_HEADER, GroupHeader, SegmentHeader, group_bytes};
use crate::clock;

/// A group is written once it has gathered this much.
const GROUP_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    number: u64,
    /// Bytes that the file will have.
    bytes: u64,
    offset: u64,
}

/// A log being written.
#[derive(Debug)]
pub struct LogBuilder {
    directory: PathBuf,
    core: u16,
    epoch: u32,
    segment_bytes: u64,
    segment: Option<Open>,
    previous: Option<Chain>,
    next_group: u64,
    synced_through: u64,
    /// The group under way, its header first.
    group: Vec<u8>,
}

impl LogBuilder {
    /// A log of this core in a directory that has none of it. `segment_bytes`: whole blocks, at
    /// least three.
    pub fn create(directory: &Path, core: u16, epoch: u32, segment_bytes: u64) -> Self {
        let block = BLOCK as u64;
        let fits = segment_bytes.is_multiple_of(block) && segment_bytes >= 3 * block;
        assert!(fits, "{segment_bytes} is no segment size");
        Self {
            directory: directory.to_owned(),
            core,
            epoch,
            segment_bytes,
            segment: None,
            previous: None,
            next_group: 1,
            synced_through: 0,
            group: vec![0; GROUP_HEADER],
        }
    }

    /// Appends a run of whole batches.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn append(&mut self, run: &[u8]) -> Result<(), WalError> {
        self.group.extend_from_slice(run);
        if self.group.len() >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Writes what has gathered as a group.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn end_group(&mut self) -> Result<(), WalError> {
        if self.group.len() > GROUP_HEADER { self.write_group() } else { Ok(()) }
    }

    /// Ends the log as a clean stop does; whether there is anything in it.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn finish(mut self) -> Result<bool, WalError> {
        self.end_group()?;
        if self.segment.is_none() {
            return Ok(false);
        }
        self.sync()?;
        // Says that the groups before it are durable.
        self.write_group()?;
        self.close_segment()?;
        sync_dir(&self.directory).map(|()| true)
    }

    fn write_group(&mut self) -> Result<(), WalError> {
        let payload = self.group.len() - GROUP_HEADER;
        let bytes = group_bytes(payload) as u64;
        let full = self.segment.as_ref().is_none_or(|open| open.offset + bytes > open.bytes);
        if full {
            self.begin_segment(bytes)?;
        }
        let open = self.segment.as_mut().expect("just begun if there was none");
        let header = GroupHeader {
            core: self.core,
            epoch: self.epoch,
            segment: open.number,
            group: self.next_group,
            synced_through: self.synced_through,
            payload_bytes: u32::try_from(payload).expect("batches are far below 4 GiB"),
        };
        header.encode(&mut self.group);
        self.group.resize(bytes as usize, 0);
        let written = open.file.write_all(&self.group);
        written.map_err(WalError::io("write", &open.path))?;
        open.offset += bytes;
        self.next_group += 1;
        self.group.truncate(GROUP_HEADER);
        Ok(())
    }

    fn begin_segment(&mut self, group: u64) -> Result<(), WalError> {
        let number = self.segment.as_ref().map_or(1, |open| open.number + 1);
        self.close_segment()?;
        let bytes = self.segment_bytes.max(BLOCK as u64 + group);
        let mut block = vec![0; BLOCK];
        let header = SegmentHeader {
            core: self.core,
            segment: number,
            segment_bytes: bytes,
            epoch: self.epoch,
            created_ms: clock::unix_ms(),
            previous: self.previous,
            first_group: self.next_group,
            is_whole: true,
        };
        header.encode(&mut block);
        let path = segment_path(&self.directory, self.core, number);
        let begin = || -> std::io::Result<File> {
            let mut file = File::create_new(&path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&block)?;
            Ok(file)
        };
        let file = begin().map_err(WalError::io("create", &path))?;
        self.segment = Some(Open { file, path, number, bytes, offset: BLOCK as u64 });
        Ok(())
    }

    /// A segment is begun only when the one before is durable to its end.
    fn close_segment(&mut self) -> Result<(), WalError> {
        self.sync()?;
        if let Some(open) = self.segment.take() {
            self.previous = Some(Chain { segment: open.number, end_offset: open.offset });
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WalError> {
        if let Some(open) = &self.segment {
            open.file.sync_all().map_err(WalError::io("sync", &open.path))?;
            self.synced_through = self.next_group - 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogReader, scan_dir};
    use super::*;

    #[test]
    fn what_was_appended_is_read_over_several_segments() {
        let directory = tempfile::tempdir().expect("directory");
        let mut log = LogBuilder::create(directory.path(), 0, 7, 3 * BLOCK as u64);
        let mut expected = Vec::new();
        for number in 0..9u8 {
            let run = vec![number; 1000 * usize::from(number)];
            log.append(&run).expect("written");
            log.end_group().expect("written");
            expected.extend(run);
        }
        log.finish().expect("written");
        let files = scan_dir(directory.path()).expect("a log").remove(0);
        assert!(files.segments.len() > 3);
        let mut reader = LogReader::open(files).expect("one chain");
        let mut found = Vec::new();
        while let Some(run) = reader.next_run().expect("sound") {
            assert_eq!(run.epoch, 7);
            found.extend_from_slice(run.bytes);
        }
        assert_eq!(found, expected);
        assert_eq!(reader.end().torn, None);
    }

    #[test]
    fn an_empty_log_leaves_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let log = LogBuilder::create(directory.path(), 0, 1, 1 << 20);
        assert!(!log.finish().expect("nothing to do"));
        assert!(scan_dir(directory.path()).expect("readable").is_empty());
    }
}
