//! The binary form of an export. Little endian:
//!
//! ```text
//! head    "SYNAPEXP"  version u16 (1)  zero u16  crc32c u32 of the 24 bytes behind it
//!         created u64 Unix ms  offset u64  zero u64
//! block   "XBLK"  crc32c u32 of everything in the block behind it
//!         number u64, from 0   entries u32   bytes u32
//!         entries: flags u8 (1: has a deadline)  [deadline u64 Unix ms]
//!                  length of the key u32, key  length of the value u32, value
//! end     a block without entries whose 8 bytes are the number of all entries
//! ```
//!
//! A block holds whole entries, a megabyte of them or one that is larger. Nothing follows the end.

use std::io::{ErrorKind, Read};

use crc32c::crc32c;
use synap_shards::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use crate::entry::Entry;

/// The first bytes of a file.
pub(crate) const MAGIC: [u8; 8] = *b"SYNAPEXP";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 40;
const BLOCK_MAGIC: [u8; 4] = *b"XBLK";
const BLOCK_HEAD_BYTES: usize = 24;
/// Bytes of a block before it is closed.
pub(super) const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of the largest block: one entry of the greatest size.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX + 64;
const HAS_DEADLINE: u8 = 1;

/// Why bytes are no export.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BinaryError {
    /// The system refused.
    Io(ErrorKind),
    /// Another version.
    Version {
        /// The newest this program reads.
        expected: u16,
        /// The file's.
        found: u16,
    },
    /// Damage.
    Damaged {
        /// Where the head or block begins.
        offset: u64,
        /// What was expected.
        expected: &'static str,
    },
}

impl std::fmt::Display for BinaryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "cannot be read: {kind}"),
            Self::Version { expected, found } => {
                write!(f, "an export of version {found}; this program reads up to {expected}")
            }
            Self::Damaged { offset, expected } => {
                write!(f, "damaged in what begins at byte {offset}: expected {expected}")
            }
        }
    }
}

/// The head of a file.
pub(super) fn head(created_ms: u64, offset: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&created_ms.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    let crc = crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Appends an entry to what will be a block.
pub(super) fn push(block: &mut Vec<u8>, entry: &Entry) {
    match entry.deadline_ms {
        None => block.push(0),
        Some(deadline) => {
            block.push(HAS_DEADLINE);
            block.extend_from_slice(&deadline.to_le_bytes());
        }
    }
    for part in [&entry.key, &entry.value] {
        let length = u32::try_from(part.len()).expect("keys and values are far below 4 GiB");
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(part);
    }
}

/// A block of entries made by [`push`].
pub(super) fn block(number: u64, entries: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = BLOCK_MAGIC.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&entries.to_le_bytes());
    let length = u32::try_from(body.len()).expect("a block is far below 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a file.
pub(crate) struct Reader<R> {
    input: R,
    offset: u64,
    number: u64,
    entries: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    pub(crate) fn open(input: R) -> Result<Self, BinaryError> {
        let mut reader = Self { input, offset: 0, number: 0, entries: 0 };
        let head = reader.take(HEAD_BYTES, "a head of 40 bytes")?;
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let damaged = |expected| BinaryError::Damaged { offset: 0, expected };
        if head[..8] != MAGIC {
            return Err(damaged("SYNAPEXP"));
        }
        let found = u16::from_le_bytes([head[8], head[9]]);
        if found > VERSION {
            return Err(BinaryError::Version { expected: VERSION, found });
        }
        if word(12) != crc32c(&head[16..]) || found == 0 || head[10..12] != [0, 0] {
            return Err(damaged("the checksum of the head"));
        }
        reader.offset = HEAD_BYTES as u64;
        Ok(reader)
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The entries of the next block; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Entry>>, BinaryError> {
        let offset = self.offset;
        let damaged = |expected| BinaryError::Damaged { offset, expected };
        let mut bytes = self.take(BLOCK_HEAD_BYTES, "a block")?;
        let word = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
        };
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
        let (entries, length) = (word(&bytes, 16), word(&bytes, 20) as usize);
        if bytes[..4] != BLOCK_MAGIC || number != self.number || length > BLOCK_BYTES_MAX {
            return Err(damaged("the head of the next block"));
        }
        let crc = word(&bytes, 4);
        bytes.extend(self.take(length, "the rest of the block")?);
        if crc32c(&bytes[8..]) != crc {
            return Err(damaged("the checksum of the block"));
        }
        self.offset += bytes.len() as u64;
        self.number += 1;
        let mut body = &bytes[BLOCK_HEAD_BYTES..];
        if entries == 0 {
            return self.finish(body).map(|()| None);
        }
        let found: Option<Vec<Entry>> = (0..entries).map(|_| take_entry(&mut body)).collect();
        let found = found.filter(|_| body.is_empty()).ok_or_else(|| damaged("whole entries"))?;
        self.entries += u64::from(entries);
        Ok(Some(found))
    }

    fn finish(&mut self, body: &[u8]) -> Result<(), BinaryError> {
        let damaged = |expected| BinaryError::Damaged { offset: self.offset, expected };
        if body != self.entries.to_le_bytes() {
            return Err(damaged("the number of all entries"));
        }
        let mut more = [0];
        match self.input.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged("nothing behind the end")),
            Err(error) => Err(BinaryError::Io(error.kind())),
        }
    }

    /// The next `count` bytes; grows with what is there.
    fn take(&mut self, count: usize, expected: &'static str) -> Result<Vec<u8>, BinaryError> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(count as u64).read_to_end(&mut bytes);
        read.map_err(|error| BinaryError::Io(error.kind()))?;
        if bytes.len() < count {
            return Err(BinaryError::Damaged { offset: self.offset, expected });
        }
        Ok(bytes)
    }
}

fn take_entry(body: &mut &[u8]) -> Option<Entry> {
    let (&flags, mut rest) = body.split_first()?;
    let deadline_ms = match flags {
        0 => None,
        HAS_DEADLINE => {
            let (bytes, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_le_bytes(*bytes))
        }
        _ => return None,
    };
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after;
        Some(bytes.to_vec())
    };
    let (key, value) = (part()?, part()?);
    *body = rest;
    Some(Entry { key, value, deadline_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<Entry>) {
        let entry = |key: &[u8], value: &[u8], deadline_ms| Entry {
            key: key.to_vec(),
            value: value.to_vec(),
            deadline_ms,
        };
        let entries = vec![entry(b"a", b"\0\xff", None), entry(b"", b"", Some(77))];
        let mut body = Vec::new();
        entries.iter().for_each(|entry| push(&mut body, entry));
        let mut bytes = head(5, 6);
        bytes.extend(block(0, 2, &body));
        bytes.extend(block(1, 0, &2u64.to_le_bytes()));
        (bytes, entries)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, BinaryError> {
        let mut reader = Reader::open(bytes)?;
        let mut all = Vec::new();
        while let Some(entries) = reader.next()? {
            all.extend(entries);
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, entries) = sample();
        assert_eq!(read(&bytes), Ok(entries));
    }

    #[test]
    fn every_cut_every_bit_and_anything_behind_the_end_is_noticed() {
        let (bytes, _) = sample();
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&broken).is_err(), "bit {bit}");
        }
        assert!(read(&[&bytes[..], b"x"].concat()).is_err());
    }
}
