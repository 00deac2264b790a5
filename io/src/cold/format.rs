//! The bytes of files of events: header, block headers and end, all little endian; the README of
//! this crate has the tables. Encoding and decoding only: no files here.

use crc32c::{crc32c, crc32c_append};

/// Format of files written, and the newest one read.
pub const COLD_FORMAT: u16 = 1;
/// Bytes of the header of a file.
pub(super) const FILE_HEADER: usize = 64;
/// Bytes of the header of a block; its events follow at once.
pub(super) const BLOCK_HEADER: usize = 32;
/// Bytes of the end.
pub(super) const FILE_END: usize = 32;

const FILE_MAGIC: [u8; 8] = *b"SYNAPEVT";
const BLOCK_MAGIC: [u8; 4] = *b"SEVB";
const END_MAGIC: [u8; 4] = *b"SEVE";

/// The header of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHeader {
    pub(super) id: u64,
    pub(super) incarnation: u64,
    pub(super) partition: u16,
    pub(super) base: u64,
    pub(super) next: u64,
    pub(super) blocks: u32,
}

/// What is wrong with the header of a file.
pub(super) enum BadHeader {
    Damaged(&'static str),
    Version(u16),
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl FileHeader {
    pub(super) fn encode(&self) -> [u8; FILE_HEADER] {
        let mut bytes = [0; FILE_HEADER];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[12..14].copy_from_slice(&COLD_FORMAT.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.partition.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.next.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.blocks.to_le_bytes());
        let crc = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FILE_HEADER]) -> Result<Self, BadHeader> {
        if bytes[..8] != FILE_MAGIC {
            return Err(BadHeader::Damaged("it does not begin as a file of events"));
        }
        if u32_at(bytes, 8) != crc32c(&bytes[12..]) {
            return Err(BadHeader::Damaged("the checksum of its header is wrong"));
        }
        let format = u16_at(bytes, 12);
        if format != COLD_FORMAT {
            return Err(BadHeader::Version(format));
        }
        Ok(Self {
            partition: u16_at(bytes, 14),
            id: u64_at(bytes, 16),
            incarnation: u64_at(bytes, 24),
            base: u64_at(bytes, 32),
            next: u64_at(bytes, 40),
            blocks: u32_at(bytes, 48),
        })
    }
}

/// The header of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockHeader {
    pub(super) index: u32,
    pub(super) bytes: u32,
    pub(super) base: u64,
    /// Of the number of the file.
    pub(super) tag: u32,
}

impl BlockHeader {
    /// The header of these events; its checksum is in bytes 4 to 8.
    pub(super) fn encode(&self, events: &[u8]) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        bytes[..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[8..12].copy_from_slice(&self.index.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.tag.to_le_bytes());
        let crc = crc32c_append(crc32c(&bytes[8..]), events);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, if it is one; [`is_sound`] looks at the checksum.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEADER]) -> Option<Self> {
        (bytes[..4] == BLOCK_MAGIC).then(|| Self {
            index: u32_at(bytes, 8),
            bytes: u32_at(bytes, 12),
            base: u64_at(bytes, 16),
            tag: u32_at(bytes, 24),
        })
    }
}

/// The checksum that the header of a block names.
pub(super) fn crc_of(header: &[u8; BLOCK_HEADER]) -> u32 {
    u32_at(header, 4)
}

/// Whether a header and the events behind it are what they were.
pub(super) fn is_sound(header: &[u8; BLOCK_HEADER], events: &[u8]) -> bool {
    crc_of(header) == crc32c_append(crc32c(&header[8..]), events)
}

/// The end of a file of so many blocks and bytes of events.
pub(super) fn encode_end(id: u64, blocks: u32, event_bytes: u64) -> [u8; FILE_END] {
    let mut bytes = [0; FILE_END];
    bytes[..4].copy_from_slice(&END_MAGIC);
    bytes[8..12].copy_from_slice(&blocks.to_le_bytes());
    bytes[16..24].copy_from_slice(&event_bytes.to_le_bytes());
    bytes[24..32].copy_from_slice(&id.to_le_bytes());
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a file's blocks are tagged with, so that those of two files cannot be mixed up.
pub(super) fn tag_of(id: u64) -> u32 {
    crc32c(&id.to_le_bytes())
}
