//! The batch: all records of one command, one transaction or one script. Atomic, checksummed, and
//! the only thing that ever changes a shard.
//!
//! Bytes, little endian:
//!
//! ```text
//! batch   bytes     u32   length of the whole batch
//!         crc       u32   CRC32C (Castagnoli, RFC 3720 B.4) of everything behind this field
//!         epoch     u32   of the leader that wrote it
//!         time_ms   u48   Unix time of the command
//!         parts     u8    number of shards named, 1..=64
//!         reserved  u8    zero
//!         parts x { shard u8, seq u48 }           ascending shards
//!         records                                 until the end
//! record  tag       u8    what happened; a tag is never given a second meaning
//!         flags     u8    1 creates its key, 2 carries a deadline
//!         shard     u8    one of the parts
//!         key       length as varint (LEB128), bytes
//!         body      by tag:
//!           1 Put     [deadline u48 Unix ms], length varint, bytes       a string and its deadline
//!           2 Patch   offset varint, length varint, bytes   bytes at an offset, zeros up to it
//!           3 Delete  nothing
//!           4 Expire  [deadline u48]       a new deadline, or none
//!           5 Clear   nothing, and the key is empty        every key of the shard
//!           6 Library [length varint, bytes]   the library whose name is the key has this code
//!                     (flag 1), or is gone; shard 0 only
//!           0x10 + t Edit    length varint, edits   these edits change a container of type t
//!           0x20 + t Store   [deadline u48], length varint, edits   the key is now the container
//!                            of type t that these edits build from nothing
//! ```
//!
//! Types and their edits: [`crate::types`].
//!
//! Records state results, never requests: an absolute deadline, the bytes as they are now. So
//! applying them needs no clock, no randomness and cannot fail.

mod decode;
mod encode;

pub use decode::{Batch, BatchError, Records};
pub use encode::{PartSpec, push_record, seal};

use crate::shard::ValueType;
pub(crate) use encode::{assemble, assemble_single, open_single, push_edit, set_checksum};

/// Bytes before the parts.
pub const HEADER_BYTES: usize = 20;
/// Bytes of one part.
pub const PART_BYTES: usize = 7;

const TAG_PUT: u8 = 1;
const TAG_PATCH: u8 = 2;
const TAG_DELETE: u8 = 3;
const TAG_EXPIRE: u8 = 4;
const TAG_CLEAR: u8 = 5;
const TAG_LIBRARY: u8 = 6;
/// The low four bits are the type.
const TAG_EDIT: u8 = 0x10;
const TAG_STORE: u8 = 0x20;
const TYPE_MASK: u8 = 0x0f;

const FLAG_CREATES: u8 = 1;
const FLAG_DEADLINE: u8 = 2;

/// One effect on one key, stating the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// The key is now this string; any deadline it had is replaced.
    Put {
        /// The key.
        key: &'a [u8],
        /// The string.
        value: &'a [u8],
        /// When it expires, Unix milliseconds.
        deadline_ms: Option<u64>,
        /// The key was absent before.
        creates: bool,
    },
    /// These bytes of the string are now so; it was extended with zeros where it was shorter.
    Patch {
        /// The key.
        key: &'a [u8],
        /// First byte that changes.
        offset: usize,
        /// The bytes from there.
        bytes: &'a [u8],
        /// The key was absent before.
        creates: bool,
    },
    /// The key is gone.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// The key has this deadline now, or none.
    Expire {
        /// The key.
        key: &'a [u8],
        /// When it expires, Unix milliseconds.
        deadline_ms: Option<u64>,
    },
    /// Every key of the shard is gone.
    Clear,
    /// A library of functions has this code now, or is gone.
    Library {
        /// Its name; no key.
        name: &'a [u8],
        /// Its code, or nothing when it is gone.
        code: Option<&'a [u8]>,
    },
    /// A container is changed.
    Edit {
        /// The key.
        key: &'a [u8],
        /// What it holds.
        value_type: ValueType,
        /// The changes, as the type writes them.
        edits: &'a [u8],
        /// The key was absent before.
        creates: bool,
    },
    /// The key now holds exactly this container; what it held and any deadline are replaced.
    Store {
        /// The key.
        key: &'a [u8],
        /// What it holds now.
        value_type: ValueType,
        /// Edits that build it from nothing.
        edits: &'a [u8],
        /// When it expires, Unix milliseconds.
        deadline_ms: Option<u64>,
        /// The key was absent before.
        creates: bool,
    },
}

impl<'a> Record<'a> {
    /// The key it concerns; empty for [`Record::Clear`] and [`Record::Library`].
    pub fn key(&self) -> &'a [u8] {
        match self {
            Self::Put { key, .. }
            | Self::Patch { key, .. }
            | Self::Delete { key }
            | Self::Expire { key, .. }
            | Self::Edit { key, .. }
            | Self::Store { key, .. } => key,
            Self::Clear | Self::Library { .. } => &[],
        }
    }

    /// Whether it creates its key.
    pub fn creates(&self) -> bool {
        match self {
            Self::Put { creates, .. }
            | Self::Patch { creates, .. }
            | Self::Edit { creates, .. }
            | Self::Store { creates, .. } => *creates,
            Self::Delete { .. } | Self::Expire { .. } | Self::Clear | Self::Library { .. } => false,
        }
    }
}

/// Number of batches in a run of whole batches that this process has sealed.
pub fn count(mut run: &[u8]) -> u64 {
    let mut batches = 0;
    while let Some(length) = run.first_chunk::<4>() {
        run = &run[u32::from_le_bytes(*length) as usize..];
        batches += 1;
    }
    batches
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a varint off the front; nothing when it is cut off or longer than five bytes.
#[inline]
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<usize> {
    let mut number = 0usize;
    for shift in 0..5 {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        number |= usize::from(byte & 0x7f) << (shift * 7);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn u48_bytes(number: u64) -> [u8; 6] {
    assert!(number < 1 << 48, "{number} does not fit 48 bits");
    let all = number.to_le_bytes();
    [all[0], all[1], all[2], all[3], all[4], all[5]]
}

fn u48(bytes: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, ShardId};
    use crate::seq::Seq;

    const THREE: usize = 3;

    fn shard(index: usize) -> ShardId {
        ShardId::new(index)
    }

    fn sample() -> Vec<u8> {
        let mut records = Vec::new();
        let (a, b) = (shard(THREE), shard(9));
        let put = Record::Put { key: b"k", value: b"v", deadline_ms: Some(5), creates: true };
        push_record(&mut records, a, &put);
        let patch = Record::Patch { key: b"k", offset: 300, bytes: b"x", creates: false };
        push_record(&mut records, a, &patch);
        push_record(&mut records, b, &Record::Delete { key: b"gone" });
        push_record(&mut records, b, &Record::Expire { key: b"e", deadline_ms: None });
        push_record(&mut records, b, &Record::Clear);
        let parts =
            [PartSpec { shard: a, seq: Seq::new(7) }, PartSpec { shard: b, seq: Seq::new(1) }];
        let mut out = Vec::new();
        seal(&mut out, &parts, &records, Epoch(2), 1_700_000_000_000);
        out
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let bytes = sample();
        let (batch, rest) = Batch::decode(&bytes).expect("the sample is a batch");
        assert!(rest.is_empty());
        assert_eq!(batch.epoch(), Epoch(2));
        assert_eq!((count(&bytes), count(&bytes.repeat(3)), count(b"")), (1, 3, 0));
        assert_eq!(batch.time_ms(), 1_700_000_000_000);
        let parts: Vec<_> = batch.parts().collect();
        assert_eq!(parts[1], PartSpec { shard: shard(9), seq: Seq::new(1) });
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records.len(), 5);
        let patch = Record::Patch { key: b"k", offset: 300, bytes: b"x", creates: false };
        assert_eq!(records[1], (shard(THREE), patch));
        assert_eq!(records[4], (shard(9), Record::Clear));
    }

    #[test]
    fn edits_that_are_written_in_place_are_the_same_bytes() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let edits = vec![7; length];
            let (key, value_type) = (&b"key"[..], ValueType::List);
            let (mut copied, mut in_place) = (vec![1], vec![1]);
            let record = Record::Edit { key, value_type, edits: &edits, creates: true };
            push_record(&mut copied, shard(9), &record);
            let write = |out: &mut Vec<u8>| out.extend_from_slice(&edits);
            push_edit(&mut in_place, shard(9), (key, value_type, true), write);
            assert_eq!(copied, in_place, "{length} bytes");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_refused() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert!(Batch::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Batch::decode(&broken).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_of_a_put_are_frozen() {
        let mut records = Vec::new();
        let put = Record::Put { key: b"ab", value: b"xyz", deadline_ms: None, creates: true };
        push_record(&mut records, shard(1), &put);
        let mut out = Vec::new();
        seal(&mut out, &[PartSpec { shard: shard(1), seq: Seq::new(2) }], &records, Epoch(1), 10);
        assert_eq!(
            out[8..],
            [
                1, 0, 0, 0, 10, 0, 0, 0, 0, 0, 1, 0, // epoch, time, parts, reserved
                1, 2, 0, 0, 0, 0, 0, // shard, seq
                1, 1, 1, 2, b'a', b'b', 3, b'x', b'y', b'z',
            ]
        );
    }
}
