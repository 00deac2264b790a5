//! The segment that is being written: its file, and how far it is full.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit::WRITE;
use super::error::WalError;
use super::files;
use super::format::{BLOCK, SegmentHeader};
use crate::disk;
use crate::ring::Mapping;

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    path: PathBuf,
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// Where the next group goes.
    pub(super) offset: u64,
    /// Writes go around the page cache.
    pub(super) direct: bool,
}

impl Segment {
    /// Opens the prepared file and writes its header, which becomes durable with the first group.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub(super) fn begin(path: &Path, header: SegmentHeader) -> Result<Self, WalError> {
        let (file, direct) = files::open_for_writing(path)?;
        let mut block = Mapping::new(BLOCK).map_err(WalError::io("get memory for", path))?;
        header.encode(&mut block.as_mut_slice()[..BLOCK]);
        let written = disk::write_all_at(&file, &block.as_slice()[..BLOCK], 0);
        written.map_err(WalError::io("write the header of", path))?;
        let offset = BLOCK as u64;
        let (number, bytes) = (header.segment, header.segment_bytes);
        let (file, path) = (Arc::new(file), path.to_owned());
        Ok(Self { file, path, number, bytes, offset, direct })
    }

    /// Refuses to rely on a file that was deleted: what lies in it is gone with the process,
    /// however well it was synced.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub(super) fn check_presence(&self) -> Result<(), WalError> {
        let failed = |source| WalError::io(WRITE, &self.path)(source);
        let metadata = self.file.metadata().map_err(failed)?;
        if metadata.nlink() > 0 {
            return Ok(());
        }
        Err(failed(io::Error::new(io::ErrorKind::NotFound, "it was deleted while in use")))
    }
}
