//! The bytes of parts: header, block headers and end, all little endian; the README of this crate
//! has the tables. Encoding and decoding only: no files here.

use crc32c::{crc32c, crc32c_append};
use synap_shards::limits::BATCH_BYTES_MAX;

use super::codec::Codec;

/// Format of parts and indexes written, and the newest one read.
pub const SNAPSHOT_FORMAT: u16 = 1;
/// Bytes of a part's header.
pub(super) const PART_HEADER: usize = 40;
/// Bytes of a block's header; what is stored follows at once.
pub(super) const BLOCK_HEADER: usize = 32;
/// Bytes of the end of a part.
pub(super) const PART_END: usize = 40;
/// Raw bytes of a block: one that is larger than usual holds a single entry or run.
pub(super) const BLOCK_BYTES_MAX: usize = BATCH_BYTES_MAX;

const PART_MAGIC: [u8; 8] = *b"SYNAPPRT";
const BLOCK_MAGIC: [u8; 4] = *b"SBLK";
const END_MAGIC: [u8; 4] = *b"SEND";

/// What a part holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PartKind {
    /// The image of a shard.
    Shard,
    /// What a core appended to its log while the images were taken.
    Tail,
}

/// Which part of which snapshot a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartId {
    /// The number drawn for the snapshot, so that parts of two cannot be mixed up.
    pub snapshot: u64,
    /// What it holds.
    pub kind: PartKind,
    /// The shard or the core.
    pub number: u16,
}

/// What a part comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartFacts {
    /// Blocks; none means that there is no such file.
    pub blocks: u64,
    /// Entries, or runs of batches.
    pub entries: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// The header of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PartHeader {
    pub(super) id: PartId,
    pub(super) codec: Codec,
    pub(super) epoch: u32,
    pub(super) created_ms: u64,
}

/// Why a header does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invalid {
    Damaged,
    Version(u16),
}

/// The header of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockHeader {
    pub(super) crc: u32,
    pub(super) index: u64,
    pub(super) raw_bytes: u32,
    pub(super) stored_bytes: u32,
    pub(super) entries: u32,
    /// Checksum of the part's header: tells the block from those of other parts.
    pub(super) tag: u32,
}

/// What follows a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Block,
    End,
    Neither,
}

pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

pub(super) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N long")
}

pub(super) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

pub(super) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

impl PartHeader {
    pub(super) fn encode(&self) -> [u8; PART_HEADER] {
        let mut bytes = [0; PART_HEADER];
        put(&mut bytes, 0, PART_MAGIC);
        put(&mut bytes, 12, SNAPSHOT_FORMAT.to_le_bytes());
        bytes[14] = match self.id.kind {
            PartKind::Shard => 0,
            PartKind::Tail => 1,
        };
        bytes[15] = self.codec.byte();
        put(&mut bytes, 16, self.id.snapshot.to_le_bytes());
        put(&mut bytes, 24, self.id.number.to_le_bytes());
        put(&mut bytes, 28, self.epoch.to_le_bytes());
        put(&mut bytes, 32, self.created_ms.to_le_bytes());
        let crc = crc32c(&bytes[12..]);
        put(&mut bytes, 8, crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; PART_HEADER]) -> Result<Self, Invalid> {
        if get(bytes, 0) != PART_MAGIC || get_u32(bytes, 8) != crc32c(&bytes[12..]) {
            return Err(Invalid::Damaged);
        }
        let format = u16::from_le_bytes(get(bytes, 12));
        if format > SNAPSHOT_FORMAT {
            return Err(Invalid::Version(format));
        }
        let kind = match bytes[14] {
            0 => PartKind::Shard,
            1 => PartKind::Tail,
            _ => return Err(Invalid::Damaged),
        };
        let number = u16::from_le_bytes(get(bytes, 24));
        Ok(Self {
            id: PartId { snapshot: get_u64(bytes, 16), kind, number },
            codec: Codec::from_byte(bytes[15]).ok_or(Invalid::Damaged)?,
            epoch: get_u32(bytes, 28),
            created_ms: get_u64(bytes, 32),
        })
    }

    /// What ties blocks to their part.
    pub(super) fn tag(&self) -> u32 {
        get_u32(&self.encode(), 8)
    }
}

/// What begins with these four bytes.
pub(super) fn next_of(magic: [u8; 4]) -> Next {
    match magic {
        BLOCK_MAGIC => Next::Block,
        END_MAGIC => Next::End,
        _ => Next::Neither,
    }
}

impl BlockHeader {
    /// Fills in the header at the front of `block`; what is stored stands behind it already.
    pub(super) fn encode(mut self, block: &mut [u8]) {
        put(block, 0, BLOCK_MAGIC);
        put(block, 8, self.index.to_le_bytes());
        put(block, 16, self.raw_bytes.to_le_bytes());
        put(block, 20, self.stored_bytes.to_le_bytes());
        put(block, 24, self.entries.to_le_bytes());
        put(block, 28, self.tag.to_le_bytes());
        self.crc = crc32c(&block[8..]);
        put(block, 4, self.crc.to_le_bytes());
    }

    /// Reads the fields; nothing about them is checked yet.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEADER]) -> Self {
        Self {
            crc: get_u32(bytes, 4),
            index: get_u64(bytes, 8),
            raw_bytes: get_u32(bytes, 16),
            stored_bytes: get_u32(bytes, 20),
            entries: get_u32(bytes, 24),
            tag: get_u32(bytes, 28),
        }
    }

    /// Whether the checksum holds for the header as read and what is stored behind it.
    pub(super) fn is_sound(&self, header: &[u8; BLOCK_HEADER], stored: &[u8]) -> bool {
        self.crc == crc32c_append(crc32c(&header[8..]), stored)
    }
}

/// The end of a part with these facts; their file bytes are not among what it states.
pub(super) fn encode_end(facts: &PartFacts, tag: u32) -> [u8; PART_END] {
    let mut bytes = [0; PART_END];
    put(&mut bytes, 0, END_MAGIC);
    put(&mut bytes, 8, facts.blocks.to_le_bytes());
    put(&mut bytes, 16, facts.raw_bytes.to_le_bytes());
    put(&mut bytes, 24, facts.entries.to_le_bytes());
    put(&mut bytes, 32, tag.to_le_bytes());
    let crc = crc32c(&bytes[8..]);
    put(&mut bytes, 4, crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_part_are_frozen() {
        let id = PartId { snapshot: 0x0102, kind: PartKind::Tail, number: 3 };
        let header = PartHeader { id, codec: Codec::Zstd, epoch: 4, created_ms: 5 };
        let bytes = header.encode();
        assert_eq!(bytes[..8], *b"SYNAPPRT");
        assert_eq!(
            bytes[12..],
            [
                1, 0, 1, 2, // format, kind, codec
                2, 1, 0, 0, 0, 0, 0, 0, // snapshot
                3, 0, 0, 0, 4, 0, 0, 0, // number, zero, epoch
                5, 0, 0, 0, 0, 0, 0, 0,
            ]
        );
        assert_eq!(PartHeader::decode(&bytes), Ok(header));
        let mut block = [0; BLOCK_HEADER + 2];
        block[BLOCK_HEADER..].copy_from_slice(b"xy");
        let (index, tag) = (7, 9);
        let fields = BlockHeader { crc: 0, index, raw_bytes: 2, stored_bytes: 2, entries: 1, tag };
        fields.encode(&mut block);
        assert_eq!(
            block[8..],
            [
                7, 0, 0, 0, 0, 0, 0, 0, // index
                2, 0, 0, 0, 2, 0, 0, 0, // raw, stored
                1, 0, 0, 0, 9, 0, 0, 0, // entries, tag
                b'x', b'y',
            ]
        );
    }
}
