//! Whether files of events are what they should be: by their header and length at a start, by every
//! byte for tools. And a file in place of one that is lost, so that the rest can be read.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::files::{path, sync_dir};
use super::format::{
    BLOCK_HEADER, BadHeader, BlockHeader, COLD_FORMAT, FILE_END, FILE_HEADER, FileHeader,
    encode_end, is_sound, tag_of,
};
use crate::file_error::FileError;

/// What is known of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its number.
    pub id: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What tells the topic from others of its name.
    pub incarnation: u64,
    /// The number of the partition.
    pub partition: u16,
    /// Its first offset.
    pub base: u64,
    /// The offset behind its last.
    pub next: u64,
    /// How many blocks it has.
    pub blocks: u32,
}

impl Known {
    fn of(header: FileHeader, bytes: u64) -> Self {
        let FileHeader { id, incarnation, partition, base, next, blocks } = header;
        Self { id, bytes, incarnation, partition, base, next, blocks }
    }

    fn header(&self) -> FileHeader {
        let Self { id, incarnation, partition, base, next, blocks, .. } = *self;
        FileHeader { id, incarnation, partition, base, next, blocks }
    }
}

fn open(path: &Path) -> Result<(File, u64), FileError> {
    let file = File::open(path).map_err(FileError::io_or_missing("open", path))?;
    let bytes = file.metadata().map_err(FileError::io_or_missing("look at", path))?.len();
    Ok((file, bytes))
}

fn header(path: &Path, input: &mut impl Read) -> Result<FileHeader, FileError> {
    let mut bytes = [0; FILE_HEADER];
    fill(path, 0, input, &mut bytes)?;
    FileHeader::decode(&bytes).map_err(|error| match error {
        BadHeader::Damaged(what) => FileError::corrupt(path, 0, what),
        BadHeader::Version(found) => {
            FileError::Version { path: path.to_owned(), found, supported: COLD_FORMAT }
        }
    })
}

fn fill(path: &Path, at: u64, input: &mut impl Read, bytes: &mut [u8]) -> Result<(), FileError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            FileError::corrupt(path, at, "the file is shorter than it was")
        }
        _ => FileError::io_or_missing("read", path)(error),
    })
}

/// Looks whether a file is the one that is known, by its header and its length.
///
/// # Errors
/// It is not, or what the system said.
pub fn check(directory: &Path, known: &Known) -> Result<(), FileError> {
    let path = path(directory, known.id);
    let (mut file, bytes) = open(&path)?;
    let header = header(&path, &mut file)?;
    if bytes != known.bytes {
        return Err(FileError::corrupt(&path, bytes.min(known.bytes), "it has another length"));
    }
    if Known::of(header, bytes) != *known {
        return Err(FileError::corrupt(&path, 0, "it is another file than the one that is known"));
    }
    Ok(())
}

/// Reads all of a file, and compares every checksum; what it says that it is.
///
/// # Errors
/// It is damaged, or what the system said.
pub fn verify(path: &Path) -> Result<Known, FileError> {
    let (file, bytes) = open(path)?;
    let mut input = BufReader::new(file);
    let header = header(path, &mut input)?;
    let (mut at, mut event_bytes, mut next) = (FILE_HEADER as u64, 0, header.base);
    for index in 0..header.blocks {
        let corrupt = |what| FileError::corrupt(path, at, what);
        let mut head = [0; BLOCK_HEADER];
        fill(path, at, &mut input, &mut head)?;
        let block = BlockHeader::decode(&head).ok_or_else(|| corrupt("there is no block"))?;
        let is_next = block.index == index && block.tag == tag_of(header.id);
        if !is_next || block.base < next || block.base >= header.next {
            return Err(corrupt("the block belongs elsewhere"));
        }
        let length = u64::from(block.bytes);
        if bytes.saturating_sub(at + (BLOCK_HEADER + FILE_END) as u64) < length {
            return Err(corrupt("the block does not fit the file"));
        }
        let mut events = vec![0; block.bytes as usize];
        fill(path, at, &mut input, &mut events)?;
        if !is_sound(&head, &events) {
            return Err(corrupt("the checksum of the block is wrong"));
        }
        at += BLOCK_HEADER as u64 + length;
        event_bytes += length;
        next = block.base + 1;
    }
    let mut end = [0; FILE_END];
    fill(path, at, &mut input, &mut end)?;
    if end != encode_end(header.id, header.blocks, event_bytes) {
        return Err(FileError::corrupt(path, at, "the end is not that of these blocks"));
    }
    if at + FILE_END as u64 != bytes {
        return Err(FileError::corrupt(path, at + FILE_END as u64, "something follows its end"));
    }
    Ok(Known::of(header, bytes))
}

/// Gives a file the right header and length, or makes it without any events, where it is lost or
/// not the one that is known: what is sound of it, and other files, can be read then.
///
/// # Errors
/// What the system said.
pub fn write_hollow(directory: &Path, known: &Known) -> Result<(), FileError> {
    let path = path(directory, known.id);
    let write = || {
        std::fs::create_dir_all(directory)?;
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        file.write_all_at(&known.header().encode(), 0)?;
        file.set_len(known.bytes)?;
        file.sync_all()
    };
    write().map_err(FileError::io_or_missing("write", &path))?;
    sync_dir(directory)
}
