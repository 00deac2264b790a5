//! Writes a part: block after block into a temporary file that gets its name at the end.
//!
//! The kernel is asked to begin writing out every few MiB, so that the sync at the end has little
//! left to do and the log's own syncs do not wait behind a mountain of dirty pages.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::codec::{Compression, Encoder};
use super::files::{self, SnapshotName};
use super::format::{
    BLOCK_BYTES_MAX, BLOCK_HEADER, BlockHeader, PART_HEADER, PartFacts, PartHeader, PartId,
    encode_end,
};
use crate::disk;
use crate::file_error::FileError;

/// Raw bytes that a block should have; an entry or run that is larger gets a block of its own.
pub const BLOCK_RAW_BYTES: usize = 64 * 1024;
/// The kernel is told to begin writing after this many bytes.
const WRITE_OUT_BYTES: u64 = 4 * 1024 * 1024;

/// What a part is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewPart {
    /// Which part of which snapshot.
    pub id: PartId,
    /// How its blocks are compressed.
    pub compression: Compression,
    /// The epoch in force.
    pub epoch: u32,
    /// When the snapshot began, Unix milliseconds.
    pub created_ms: u64,
}

/// Writes a part. Dropped before its end, it takes the file with it.
pub struct PartWriter {
    place: Place,
    file: File,
    id: PartId,
    tag: u32,
    encoder: Encoder,
    /// The block being built; kept to keep its memory.
    block: Vec<u8>,
    facts: PartFacts,
    /// Bytes that the kernel was told to write.
    handed_over: u64,
}

impl fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartWriter")
            .field("path", &self.place.path)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl PartWriter {
    /// Begins a part in `directory`, which exists.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn create(directory: &Path, part: &NewPart) -> Result<Self, FileError> {
        let NewPart { id, compression, epoch, created_ms } = *part;
        let path = files::new_part_path(directory, id.kind, id.number);
        let encoder =
            Encoder::new(compression).map_err(FileError::io("prepare compression of", &path))?;
        let header = PartHeader { id, codec: compression.codec, epoch, created_ms };
        let file = File::create(&path).map_err(FileError::io("create", &path))?;
        let written = disk::write_all_at(&file, &header.encode(), 0);
        let facts = PartFacts { file_bytes: PART_HEADER as u64, ..PartFacts::default() };
        let writer = Self {
            place: Place { directory: directory.to_owned(), path, is_named: false },
            file,
            id,
            tag: header.tag(),
            encoder,
            block: Vec::new(),
            facts,
            handed_over: 0,
        };
        written.map_err(FileError::io("write to", writer.path()))?;
        Ok(writer)
    }

    /// Adds a block of `entries` whole entries or runs: `raw`, not empty and at most
    /// [`BATCH_BYTES_MAX`](synap_shards::limits::BATCH_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`FileError::Io`]; the part is of no use then.
    pub fn write_block(&mut self, raw: &[u8], entries: u32) -> Result<(), FileError> {
        assert!(!raw.is_empty() && raw.len() <= BLOCK_BYTES_MAX, "a block of {}", raw.len());
        self.block.clear();
        self.block.resize(BLOCK_HEADER, 0);
        let stored = self.encoder.append(raw, &mut self.block);
        stored.map_err(FileError::io("compress a block of", self.path()))?;
        let header = BlockHeader {
            crc: 0,
            index: self.facts.blocks,
            raw_bytes: raw.len() as u32,
            stored_bytes: (self.block.len() - BLOCK_HEADER) as u32,
            entries,
            tag: self.tag,
        };
        header.encode(&mut self.block);
        let written = disk::write_all_at(&self.file, &self.block, self.facts.file_bytes);
        written.map_err(FileError::io("write to", self.path()))?;
        self.facts.blocks += 1;
        self.facts.entries += u64::from(entries);
        self.facts.raw_bytes += raw.len() as u64;
        self.facts.file_bytes += self.block.len() as u64;
        if self.block.capacity() > 16 * BLOCK_RAW_BYTES {
            self.block = Vec::new();
        }
        self.write_out();
        Ok(())
    }

    fn write_out(&mut self) {
        let fresh = self.facts.file_bytes - self.handed_over;
        if fresh >= WRITE_OUT_BYTES {
            // A hint: whatever it fails to do is done by the sync at the end.
            let _hint = begin_write_out(&self.file, self.handed_over, fresh);
            self.handed_over = self.facts.file_bytes;
        }
    }

    /// What was written so far.
    pub fn facts(&self) -> PartFacts {
        self.facts
    }

    /// Ends the part and makes its bytes durable. It still has no name.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<FinishedPart, FileError> {
        let end = encode_end(&self.facts, self.tag);
        let written = disk::write_all_at(&self.file, &end, self.facts.file_bytes);
        written.map_err(FileError::io("write to", self.path()))?;
        self.facts.file_bytes += end.len() as u64;
        disk::sync_data(&self.file).map_err(FileError::io("sync", self.path()))?;
        Ok(FinishedPart { place: self.place, id: self.id, facts: self.facts })
    }

    fn path(&self) -> &Path {
        &self.place.path
    }
}

/// A part that is durable and waits for its name. Dropped, it takes the file with it.
#[derive(Debug)]
pub struct FinishedPart {
    place: Place,
    id: PartId,
    facts: PartFacts,
}

impl FinishedPart {
    /// Which part it is.
    pub fn id(&self) -> PartId {
        self.id
    }

    /// What it comes to.
    pub fn facts(&self) -> PartFacts {
        self.facts
    }

    /// Gives the part its name as one of snapshot `name`. The name becomes durable with the index.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn publish(mut self, name: SnapshotName) -> Result<(), FileError> {
        let path = name.part_path(&self.place.directory, self.id.kind, self.id.number);
        files::rename(&self.place.path, &path)?;
        self.place.is_named = true;
        Ok(())
    }
}

/// A temporary file, removed on drop unless it got a name.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    path: PathBuf,
    is_named: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_named {
            // What cannot be removed now is swept before the next snapshot.
            let _left = files::delete(&self.path);
        }
    }
}

/// Asks the kernel to begin writing these bytes to the disk, without waiting for it.
#[expect(unsafe_code, reason = "the standard library has no such call")]
fn begin_write_out(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let (offset, bytes) = (offset.cast_signed(), bytes.cast_signed());
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the call reads no memory.
    let done = unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, bytes, libc::SYNC_FILE_RANGE_WRITE)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
