//! Events of a partition that lie in files on disk, as memory knows them: which offsets each file
//! and each of its blocks holds, and where. The events themselves are brought by whoever reads
//! files ([`crate::engine::cold`]) and kept for a while (`warm`).
//!
//! A file holds neighbouring blocks of one partition, is written once, and is durable before the
//! edit that names it is recorded. What that edit says is all that reading needs, so a start looks
//! into no file to know what is where.
//!
//! The edit's layout: file u64 as a number, first offset, bytes of the file, number of blocks, then
//! of each block: how many offsets, bytes of its events, where it begins in the file, checksum,
//! flags (1: one offset per event), time of the first event, milliseconds from there to the last.

use std::sync::Arc;

use super::block::Block;
use super::codec::{put_number, take_byte, take_number};
use super::record::OFFSET_MAX;

/// Bytes that one file should have at most; a block that is larger has one of its own.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that one reading of a file should bring at most; one block is always read.
const FETCH_BYTES: u64 = 256 * 1024;
/// Flag of a block: each of its events has one offset.
const DENSE: u8 = 1;

/// A block in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ColdBlock {
    /// Its first offset.
    pub(super) base: u64,
    /// The offset behind its last.
    pub(super) next: u64,
    /// Bytes of its events.
    pub(super) bytes: u32,
    /// Each of its events has one offset: none is packed.
    pub(super) dense: bool,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    place: ColdPlace,
}

/// Where a block lies in its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColdPlace {
    /// Offset of the block in the file.
    pub at: u64,
    /// Bytes of its events.
    pub bytes: u32,
    /// Checksum of the block.
    pub crc: u32,
}

impl ColdBlock {
    /// How many offsets it holds.
    pub(super) fn count(&self) -> u64 {
        self.next - self.base
    }

    /// Bytes of the events before `offset`, about.
    fn bytes_before(&self, offset: u64) -> u64 {
        let before = u128::from(offset - self.base) * u128::from(self.bytes);
        (before / u128::from(self.count())) as u64
    }
}

/// A file of events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ColdFile {
    /// Which file it is.
    pub(super) id: u64,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    /// Its blocks, by offset; at least one, without gaps.
    pub(super) blocks: Box<[ColdBlock]>,
}

/// What is known of a file from outside its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColdFacts {
    /// Which file it is.
    pub id: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The incarnation of its topic.
    pub incarnation: u64,
    /// The number of its partition.
    pub partition: u16,
    /// Its first offset.
    pub base: u64,
    /// The offset behind its last.
    pub next: u64,
    /// How many blocks it has.
    pub blocks: u32,
}

impl ColdFile {
    pub(super) fn base(&self) -> u64 {
        self.blocks[0].base
    }

    pub(super) fn next(&self) -> u64 {
        self.blocks[self.blocks.len() - 1].next
    }

    pub(super) fn last_ms(&self) -> u64 {
        self.blocks[self.blocks.len() - 1].last_ms
    }

    /// Bytes of its events.
    pub(super) fn event_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.bytes)).sum()
    }

    /// Bytes of memory that what is known of it takes.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.blocks)
    }

    /// The block that holds an offset of this file, by position.
    pub(super) fn block_of(&self, offset: u64) -> usize {
        self.blocks.partition_point(|block| block.base <= offset).saturating_sub(1)
    }

    /// Bytes of the events before an offset of this file, about.
    pub(super) fn bytes_before(&self, offset: u64) -> u64 {
        let at = self.block_of(offset);
        let before: u64 = self.blocks[..at].iter().map(|block| u64::from(block.bytes)).sum();
        let block = &self.blocks[at];
        before + block.bytes_before(offset.max(block.base))
    }

    /// The reading that brings a block, and those behind it that come at little cost.
    pub(super) fn fetch(&self, first: usize) -> Fetch {
        let (mut places, mut bytes) = (Vec::new(), 0);
        for block in &self.blocks[first..] {
            bytes += u64::from(block.bytes);
            if !places.is_empty() && bytes > FETCH_BYTES {
                break;
            }
            places.push(FetchBlock { base: block.base, next: block.next, place: block.place });
        }
        Fetch { file: self.id, blocks: places }
    }

    /// Appends its bytes as an edit has them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.id);
        put_number(out, self.base());
        put_number(out, self.file_bytes);
        put_number(out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_number(out, block.count());
            put_number(out, block.bytes.into());
            put_number(out, block.place.at);
            out.extend_from_slice(&block.place.crc.to_le_bytes());
            out.push(if block.dense { DENSE } else { 0 });
            put_number(out, block.first_ms);
            put_number(out, block.last_ms.saturating_sub(block.first_ms));
        }
    }

    /// Takes one off the front; nothing when there is none.
    pub(super) fn take(input: &mut &[u8]) -> Option<Self> {
        let id = take_number(input)?;
        let mut base = take_number(input)?;
        let file_bytes = take_number(input)?;
        let mut blocks = Vec::new();
        for _ in 0..take_number(input)? {
            let next = base.checked_add(take_number(input)?);
            let next = next.filter(|next| base < *next && *next <= OFFSET_MAX)?;
            let bytes = u32::try_from(take_number(input)?).ok().filter(|bytes| *bytes > 0)?;
            let at = take_number(input)?;
            let (crc, rest) = input.split_first_chunk::<4>()?;
            *input = rest;
            let place = ColdPlace { at, bytes, crc: u32::from_le_bytes(*crc) };
            let dense = match take_byte(input)? {
                0 => false,
                DENSE => true,
                _ => return None,
            };
            let first_ms = take_number(input)?;
            let last_ms = first_ms.checked_add(take_number(input)?)?;
            blocks.push(ColdBlock { base, next, bytes, dense, first_ms, last_ms, place });
            base = next;
        }
        let blocks = blocks.into_boxed_slice();
        (!blocks.is_empty()).then_some(Self { id, file_bytes, blocks })
    }
}

/// Blocks of a file that are to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Which file.
    pub file: u64,
    /// Neighbouring blocks of it, at least one.
    pub blocks: Vec<FetchBlock>,
}

/// A block that is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchBlock {
    /// Its first offset.
    pub base: u64,
    /// The offset behind its last.
    pub next: u64,
    /// Where it lies.
    pub place: ColdPlace,
}

/// The oldest events of a partition that memory holds, to be written to a file.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The incarnation of the topic.
    pub incarnation: u64,
    /// The number of the partition.
    pub partition: u16,
    /// Its blocks, at least one.
    pub blocks: Vec<SealBlock>,
}

/// A block that is to be written.
#[derive(Clone, Debug)]
pub struct SealBlock {
    /// Its first offset.
    pub base: u64,
    /// The offset behind its last.
    pub next: u64,
    /// Its events.
    pub bytes: Arc<Vec<u8>>,
    pub(super) dense: bool,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
}

/// A file that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedFile {
    /// Which file it is.
    pub id: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Of each block where it begins and its checksum.
    pub blocks: Vec<(u64, u32)>,
}

impl SealBlock {
    fn of(block: &Block) -> Self {
        Self {
            base: block.base,
            next: block.next,
            bytes: block.shared(),
            dense: block.is_dense(),
            first_ms: block.first_ms,
            last_ms: block.last_ms,
        }
    }
}

impl Sealing {
    /// The oldest of these blocks, as long as more than half of `hot_max` bytes stay; nothing when
    /// that is none. The last block is still being filled.
    pub(super) fn of<'b>(
        (incarnation, partition): (u64, u16),
        blocks: impl ExactSizeIterator<Item = &'b Block>,
        (mut hot, hot_max): (u64, u64),
    ) -> Option<Self> {
        let closed = blocks.len().saturating_sub(1);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for block in blocks.take(closed) {
            let more = block.len_bytes() as u64;
            let is_full = !taken.is_empty() && bytes + more > FILE_BYTES;
            if is_full || hot <= hot_max / 2 {
                break;
            }
            bytes += more;
            hot -= more;
            taken.push(SealBlock::of(block));
        }
        (!taken.is_empty()).then_some(Self { incarnation, partition, blocks: taken })
    }

    /// Its first offset.
    pub fn base(&self) -> u64 {
        self.blocks[0].base
    }

    /// The offset behind its last.
    pub fn next(&self) -> u64 {
        self.blocks[self.blocks.len() - 1].next
    }

    /// What the partition is to know of the file once it is written.
    pub(super) fn file(&self, written: &SealedFile) -> ColdFile {
        let block = |(block, (at, crc)): (&SealBlock, &(u64, u32))| {
            let bytes = u32::try_from(block.bytes.len()).expect("a block is far below 4 GiB");
            ColdBlock {
                base: block.base,
                next: block.next,
                bytes,
                dense: block.dense,
                first_ms: block.first_ms,
                last_ms: block.last_ms,
                place: ColdPlace { at: *at, bytes, crc: *crc },
            }
        };
        let blocks = self.blocks.iter().zip(&written.blocks).map(block).collect();
        ColdFile { id: written.id, file_bytes: written.bytes, blocks }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of blocks with `count` offsets and `bytes` bytes each, from `base` on.
    pub(in super::super) fn file(id: u64, base: u64, count: u64, blocks: u64) -> ColdFile {
        let block = |number: u64| ColdBlock {
            base: base + number * count,
            next: base + (number + 1) * count,
            bytes: 1000,
            dense: number.is_multiple_of(2),
            first_ms: 10 * number,
            last_ms: 10 * number + 9,
            place: ColdPlace { at: 64 + number * 1032, bytes: 1000, crc: number as u32 },
        };
        ColdFile { id, file_bytes: 64 + blocks * 1032, blocks: (0..blocks).map(block).collect() }
    }

    #[test]
    fn no_cut_of_a_file_is_one() {
        let file = file(u64::MAX, 70, 5, 4);
        let mut out = Vec::new();
        file.write(&mut out);
        assert_eq!(ColdFile::take(&mut &out[..]), Some(file));
        for cut in 0..out.len() {
            assert_eq!(ColdFile::take(&mut &out[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn offsets_are_found_and_blocks_fetched_together() {
        let file = file(7, 100, 10, 500);
        assert_eq!((file.base(), file.next(), file.event_bytes()), (100, 5100, 500_000));
        assert_eq!([90, 100, 125].map(|offset| file.bytes_before(offset)), [0, 0, 2500]);
        let fetch = file.fetch(490);
        assert_eq!((fetch.blocks.len(), fetch.blocks[0].base), (10, 5000));
        assert_eq!(file.fetch(0).blocks.len(), 262);
    }
}
