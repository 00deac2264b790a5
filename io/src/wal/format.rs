//! The bytes of segments and groups, all little endian; the README of this crate has the tables.
//! Encoding and decoding only: no files here.

use crc32c::{crc32c, crc32c_append};

/// Unit of everything in a segment: offsets, lengths, and the segment header.
pub const BLOCK: usize = 4096;
/// Format written and the newest one read.
pub const FORMAT: u16 = 1;
/// Bytes of a group header; the payload follows at once.
pub const GROUP_HEADER: usize = 48;

const SEGMENT_MAGIC: [u8; 8] = *b"SYNAPSEG";
const GROUP_MAGIC: [u8; 4] = *b"SGRP";
/// Bytes of the segment header that mean something; zeroes up to [`BLOCK`].
const SEGMENT_FIELDS: usize = 72;

const _: () = assert!(SEGMENT_FIELDS <= BLOCK && GROUP_HEADER < BLOCK);

/// Where a segment continues the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Number of the segment before.
    pub segment: u64,
    /// Where its groups end; what lies behind is not part of the log.
    pub end_offset: u64,
}

/// Block 0 of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Core whose log it is.
    pub core: u16,
    /// Number of the segment; starts at 1, rises along the log.
    pub segment: u64,
    /// Size of the file.
    pub segment_bytes: u64,
    /// Epoch of every group in it.
    pub epoch: u32,
    /// The file had its `segment_bytes` before it was begun: one that is shorter was cut.
    pub is_whole: bool,
    /// When it was begun, by the wall clock.
    pub created_ms: u64,
    /// The segment before, or nothing when this is the first of its log.
    pub previous: Option<Chain>,
    /// Index of its first group.
    pub first_group: u64,
}

/// Why a header does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// Only zeroes: never written.
    Blank,
    /// Not what we write, or damaged.
    Damaged,
    /// Written by a newer program.
    Version(u16),
}

/// Length in the file of a group with this payload.
pub fn group_bytes(payload_bytes: usize) -> usize {
    (GROUP_HEADER + payload_bytes).next_multiple_of(BLOCK)
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N long")
}

impl SegmentHeader {
    /// Fills `block` with the header.
    pub fn encode(&self, block: &mut [u8]) {
        assert_eq!(block.len(), BLOCK, "a segment header is one block");
        assert!(self.segment > 0 && self.first_group > 0, "numbers start at 1");
        block.fill(0);
        let previous = self.previous.unwrap_or(Chain { segment: 0, end_offset: 0 });
        put(block, 0, SEGMENT_MAGIC);
        put(block, 12, FORMAT.to_le_bytes());
        put(block, 14, self.core.to_le_bytes());
        put(block, 16, self.segment.to_le_bytes());
        put(block, 24, self.segment_bytes.to_le_bytes());
        put(block, 32, self.epoch.to_le_bytes());
        put(block, 36, u32::from(self.is_whole).to_le_bytes());
        put(block, 40, self.created_ms.to_le_bytes());
        put(block, 48, previous.segment.to_le_bytes());
        put(block, 56, previous.end_offset.to_le_bytes());
        put(block, 64, self.first_group.to_le_bytes());
        let crc = crc32c(&block[12..]);
        put(block, 8, crc.to_le_bytes());
    }

    /// Reads a header back.
    ///
    /// # Errors
    /// Why the block holds none.
    pub fn decode(block: &[u8]) -> Result<Self, Invalid> {
        assert_eq!(block.len(), BLOCK, "a segment header is one block");
        if block.iter().all(|byte| *byte == 0) {
            return Err(Invalid::Blank);
        }
        let sound = get(block, 0) == SEGMENT_MAGIC
            && u32::from_le_bytes(get(block, 8)) == crc32c(&block[12..]);
        if !sound {
            return Err(Invalid::Damaged);
        }
        let format = u16::from_le_bytes(get(block, 12));
        if format > FORMAT {
            return Err(Invalid::Version(format));
        }
        let segment = u64::from_le_bytes(get(block, 48));
        let end_offset = u64::from_le_bytes(get(block, 56));
        Ok(Self {
            core: u16::from_le_bytes(get(block, 14)),
            segment: u64::from_le_bytes(get(block, 16)),
            segment_bytes: u64::from_le_bytes(get(block, 24)),
            epoch: u32::from_le_bytes(get(block, 32)),
            is_whole: u32::from_le_bytes(get(block, 36)) != 0,
            created_ms: u64::from_le_bytes(get(block, 40)),
            previous: (segment > 0).then_some(Chain { segment, end_offset }),
            first_group: u64::from_le_bytes(get(block, 64)),
        })
    }
}

/// Header of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupHeader {
    /// Core whose log it is.
    pub core: u16,
    /// Epoch of the writer.
    pub epoch: u32,
    /// Segment it was written to; tells it from what a recycled file held before.
    pub segment: u64,
    /// Position among all groups of the log, +1 each over segments; starts at 1.
    pub group: u64,
    /// Index of the last group known to be durable when this one was written.
    pub synced_through: u64,
    /// Bytes of the payload.
    pub payload_bytes: u32,
}

impl GroupHeader {
    /// Fills the first [`GROUP_HEADER`] bytes of `bytes`; the payload behind them is covered by
    /// the checksum and must be in place.
    pub fn encode(&self, bytes: &mut [u8]) {
        let payload = GROUP_HEADER..GROUP_HEADER + self.payload_bytes as usize;
        assert!(self.synced_through < self.group, "a group is not durable before it is written");
        put(bytes, 0, GROUP_MAGIC);
        put(bytes, 8, FORMAT.to_le_bytes());
        put(bytes, 10, self.core.to_le_bytes());
        put(bytes, 12, self.epoch.to_le_bytes());
        put(bytes, 16, self.segment.to_le_bytes());
        put(bytes, 24, self.group.to_le_bytes());
        put(bytes, 32, self.synced_through.to_le_bytes());
        put(bytes, 40, self.payload_bytes.to_le_bytes());
        put(bytes, 44, [0; 4]);
        let crc = crc32c_append(crc32c(&bytes[8..GROUP_HEADER]), &bytes[payload]);
        put(bytes, 4, crc.to_le_bytes());
    }

    /// The header at the start of `bytes`, checksum not yet compared; nothing when these bytes do
    /// not begin like a group.
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        assert!(bytes.len() >= GROUP_HEADER, "a header needs {GROUP_HEADER} bytes");
        if get(bytes, 0) != GROUP_MAGIC || u16::from_le_bytes(get(bytes, 8)) > FORMAT {
            return None;
        }
        Some(Self {
            core: u16::from_le_bytes(get(bytes, 10)),
            epoch: u32::from_le_bytes(get(bytes, 12)),
            segment: u64::from_le_bytes(get(bytes, 16)),
            group: u64::from_le_bytes(get(bytes, 24)),
            synced_through: u64::from_le_bytes(get(bytes, 32)),
            payload_bytes: u32::from_le_bytes(get(bytes, 40)),
        })
    }

    /// Whether the checksum at the start of `bytes` covers header and payload.
    pub fn verify(&self, bytes: &[u8]) -> bool {
        let payload = GROUP_HEADER..GROUP_HEADER + self.payload_bytes as usize;
        let crc = crc32c_append(crc32c(&bytes[8..GROUP_HEADER]), &bytes[payload]);
        u32::from_le_bytes(get(bytes, 4)) == crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        SegmentHeader {
            core: 3,
            segment: 9,
            segment_bytes: 1 << 20,
            epoch: 5,
            is_whole: true,
            created_ms: 1_700_000_000_000,
            previous: Some(Chain { segment: 8, end_offset: 8192 }),
            first_group: 77,
        }
    }

    #[test]
    fn segment_headers_round_trip_and_every_flipped_bit_shows() {
        let mut block = vec![0; BLOCK];
        segment().encode(&mut block);
        assert_eq!(SegmentHeader::decode(&block), Ok(segment()));
        for bit in 0..SEGMENT_FIELDS * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&block), Err(Invalid::Damaged), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(SegmentHeader::decode(&[0; BLOCK]), Err(Invalid::Blank));
    }

    #[test]
    fn a_newer_segment_is_told_apart_from_damage() {
        let mut block = vec![0; BLOCK];
        segment().encode(&mut block);
        put(&mut block, 12, 2u16.to_le_bytes());
        let crc = crc32c(&block[12..]);
        put(&mut block, 8, crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(Invalid::Version(2)));
    }

    #[test]
    fn groups_round_trip_and_every_flipped_bit_shows() {
        let header = GroupHeader {
            core: 1,
            epoch: 2,
            segment: 3,
            group: 4,
            synced_through: 3,
            payload_bytes: 5,
        };
        let mut bytes = vec![0; GROUP_HEADER + 5];
        bytes[GROUP_HEADER..].copy_from_slice(b"hello");
        header.encode(&mut bytes);
        assert_eq!(GroupHeader::peek(&bytes), Some(header));
        assert!(header.verify(&bytes));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let seen = GroupHeader::peek(&bytes);
            let whole = seen.filter(|seen| GROUP_HEADER + seen.payload_bytes as usize <= 53);
            assert!(!whole.is_some_and(|seen| seen.verify(&bytes)), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!((group_bytes(0), group_bytes(4048), group_bytes(4049)), (4096, 4096, 8192));
    }
}
