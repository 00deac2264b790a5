//! Reads a part back, block by block, and believes nothing: every header, checksum, count and
//! length is checked, up to the last byte of the file.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::codec::{Codec, Decoder};
use super::format::{
    BLOCK_BYTES_MAX, BLOCK_HEADER, BlockHeader, Invalid, Next, PART_END, PART_HEADER, PartFacts,
    PartHeader, PartId, SNAPSHOT_FORMAT, encode_end, next_of,
};
use crate::file_error::FileError;

/// Bytes asked from the file at once.
const READ_BYTES: usize = 1024 * 1024;
/// Memory that is kept from block to block.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A verified block.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Whole entries or runs.
    pub bytes: &'a [u8],
    /// How many.
    pub entries: u32,
    /// Where it stands in the file.
    pub offset: u64,
}

/// Reads a part.
pub struct PartReader {
    path: PathBuf,
    file: BufReader<File>,
    file_bytes: u64,
    header: PartHeader,
    tag: u32,
    /// What the index says, if there is one.
    expected: Option<PartFacts>,
    decoder: Decoder,
    stored: Vec<u8>,
    raw: Vec<u8>,
    /// What was read so far; its file bytes are the position in the file.
    seen: PartFacts,
    ended: bool,
}

impl fmt::Debug for PartReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartReader")
            .field("path", &self.path)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl PartReader {
    /// Opens the part at `path` and checks that it is the one wanted; with `expected`, that it is
    /// what the index says.
    ///
    /// # Errors
    /// Any [`FileError`].
    pub fn open(path: &Path, id: &PartId, expected: Option<PartFacts>) -> Result<Self, FileError> {
        let reader = Self::open_any(path, expected)?;
        if reader.header.id != *id {
            let what = "this is a part of another snapshot, or another part of this one";
            return Err(FileError::corrupt(path, 0, what));
        }
        Ok(reader)
    }

    /// Opens a part without knowing which it is, for tools that look at files.
    ///
    /// # Errors
    /// Any [`FileError`].
    pub fn open_any(path: &Path, expected: Option<PartFacts>) -> Result<Self, FileError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FileError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(FileError::io("open", path)(error)),
        };
        let metadata = file.metadata().map_err(FileError::io("stat", path))?;
        let file_bytes = metadata.len();
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let mut bytes = [0; PART_HEADER];
        read(&mut file, path, 0, &mut bytes)?;
        let header = PartHeader::decode(&bytes).map_err(|invalid| match invalid {
            Invalid::Damaged => FileError::corrupt(path, 0, "the header is not sound"),
            Invalid::Version(found) => {
                let supported = SNAPSHOT_FORMAT;
                FileError::Version { path: path.to_owned(), found, supported }
            }
        })?;
        if let Some(expected) = expected
            && expected.file_bytes != file_bytes
        {
            let what = "the file has not the length that the index states";
            let at = expected.file_bytes.min(file_bytes);
            return Err(FileError::corrupt(path, at, what));
        }
        let decoder = Decoder::new(header.codec).map_err(FileError::io("prepare to read", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            file_bytes,
            header,
            tag: header.tag(),
            expected,
            decoder,
            stored: Vec::new(),
            raw: Vec::new(),
            seen: PartFacts { file_bytes: PART_HEADER as u64, ..PartFacts::default() },
            ended: false,
        })
    }

    /// Which part it is.
    pub fn id(&self) -> PartId {
        self.header.id
    }

    /// How its blocks are compressed.
    pub fn codec(&self) -> Codec {
        self.header.codec
    }

    /// The epoch it was written in.
    pub fn epoch(&self) -> u32 {
        self.header.epoch
    }

    /// What was read so far; after the end, what the part comes to.
    pub fn facts(&self) -> PartFacts {
        self.seen
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an error of damage in the block at `offset`, for callers that look into it.
    pub fn corrupt(&self, offset: u64, what: &'static str) -> FileError {
        FileError::corrupt(&self.path, offset, what)
    }

    /// The next block; nothing after the last, when the end of the part was found sound and the
    /// file to end with it.
    ///
    /// # Errors
    /// Any [`FileError`].
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let offset = self.seen.file_bytes;
        let mut header = [0; BLOCK_HEADER];
        read(&mut self.file, &self.path, offset, &mut header)?;
        match next_of([header[0], header[1], header[2], header[3]]) {
            Next::Block => self.block(offset, &header).map(Some),
            Next::End => self.end(offset, &header).map(|()| None),
            Next::Neither => Err(self.corrupt(offset, "neither a block nor the end begins here")),
        }
    }

    fn block(&mut self, offset: u64, bytes: &[u8; BLOCK_HEADER]) -> Result<Block<'_>, FileError> {
        let header = BlockHeader::decode(bytes);
        let end = offset + BLOCK_HEADER as u64 + u64::from(header.stored_bytes);
        if end + PART_END as u64 > self.file_bytes {
            return Err(self.corrupt(offset, "the block is longer than the file"));
        }
        self.stored.resize(header.stored_bytes as usize, 0);
        read(&mut self.file, &self.path, offset, &mut self.stored)?;
        if !header.is_sound(bytes, &self.stored) {
            return Err(self.corrupt(offset, "the checksum of the block is wrong"));
        }
        if header.tag != self.tag || header.index != self.seen.blocks {
            return Err(self.corrupt(offset, "the block does not belong here"));
        }
        let raw_bytes = header.raw_bytes as usize;
        let left = self.expected.map_or(u64::MAX, |facts| facts.raw_bytes - self.seen.raw_bytes);
        let fits = raw_bytes <= BLOCK_BYTES_MAX && raw_bytes as u64 <= left;
        if raw_bytes == 0 || header.stored_bytes > header.raw_bytes || !fits {
            return Err(self.corrupt(offset, "the lengths of the block are impossible"));
        }
        self.raw.resize(raw_bytes, 0);
        self.raw.shrink_to(KEPT_BYTES_MAX);
        if !self.decoder.fill(&self.stored, &mut self.raw) {
            return Err(self.corrupt(offset, "the block cannot be decompressed"));
        }
        self.seen.blocks += 1;
        self.seen.entries += u64::from(header.entries);
        self.seen.raw_bytes += raw_bytes as u64;
        self.seen.file_bytes = end;
        self.stored.shrink_to(KEPT_BYTES_MAX);
        Ok(Block { bytes: &self.raw, entries: header.entries, offset })
    }

    fn end(&mut self, offset: u64, front: &[u8; BLOCK_HEADER]) -> Result<(), FileError> {
        let mut end = [0; PART_END];
        let (head, tail) = end.split_at_mut(BLOCK_HEADER);
        head.copy_from_slice(front);
        read(&mut self.file, &self.path, offset, tail)?;
        if end != encode_end(&self.seen, self.tag) {
            return Err(self.corrupt(offset, "the end is not sound, or not that of these blocks"));
        }
        self.seen.file_bytes += PART_END as u64;
        if self.seen.file_bytes != self.file_bytes {
            let what = "the file goes on behind the end of the part";
            return Err(self.corrupt(self.seen.file_bytes, what));
        }
        if self.expected.is_some_and(|expected| expected != self.seen) {
            return Err(self.corrupt(offset, "the part has not the counts that the index states"));
        }
        self.ended = true;
        Ok(())
    }
}

/// Fills `bytes`; a file that is too short is damaged at `offset`, where that which needs them
/// begins.
fn read(
    file: &mut BufReader<File>,
    path: &Path,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), FileError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => FileError::corrupt(path, offset, "the file ends too early"),
        _ => FileError::io("read", path)(error),
    })
}
