//! Reading a batch. [`Batch::decode`] checks everything, so what it returns can be iterated without
//! further errors; bytes that come from a disk or a peer enter only here.

use std::fmt;

use super::{
    FLAG_CREATES, FLAG_DEADLINE, HEADER_BYTES, PART_BYTES, PartSpec, Record, TAG_CLEAR, TAG_DELETE,
    TAG_EDIT, TAG_EXPIRE, TAG_LIBRARY, TAG_PATCH, TAG_PUT, TAG_STORE, TYPE_MASK, take_varint, u48,
};
use crate::id::{Epoch, ShardId};
use crate::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, LIBRARIES_BYTES_MAX, SHARDS, VALUE_BYTES_MAX};
use crate::seq::Seq;
use crate::shard::ValueType;
use crate::shard::libraries::{Libraries, is_name};
use crate::types;

/// Why bytes are not a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// Fewer bytes than the header or the stated length.
    Short {
        /// Bytes that a whole batch needs.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The stated length cannot be.
    Length(usize),
    /// The checksum differs.
    Checksum {
        /// As stated.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// No parts, too many, not ascending, or a shard that does not exist.
    Parts,
    /// A record that does not follow the format, at this offset in the batch.
    Record(usize),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { expected, found } => {
                write!(f, "batch needs {expected} bytes, found {found}")
            }
            Self::Length(found) => write!(f, "batch states an impossible length of {found} bytes"),
            Self::Checksum { expected, found } => {
                write!(f, "batch checksum is {found:#010x}, expected {expected:#010x}")
            }
            Self::Parts => f.write_str("batch names its shards wrongly"),
            Self::Record(at) => write!(f, "batch has a malformed record at offset {at}"),
        }
    }
}

impl std::error::Error for BatchError {}

/// A checked batch; slices of the bytes it was decoded from.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Takes the first batch off `input` and checks it; also returns what follows.
    pub fn decode(input: &'a [u8]) -> Result<(Self, &'a [u8]), BatchError> {
        let (bytes, rest) = take_framed(input)?;
        let expected = u32_at(bytes, 4);
        let found = crc32c::crc32c(&bytes[8..]);
        if found != expected {
            return Err(BatchError::Checksum { expected, found });
        }
        Ok((Self::checked(bytes)?, rest))
    }

    /// As [`Batch::decode`], for bytes that a checksum around them has shown to be sound: the
    /// batch's own is not compared.
    pub fn decode_sound(input: &'a [u8]) -> Result<(Self, &'a [u8]), BatchError> {
        let (bytes, rest) = take_framed(input)?;
        Ok((Self::checked(bytes)?, rest))
    }

    fn checked(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let batch = Self { bytes };
        batch.check_parts()?;
        batch.check_records()?;
        Ok(batch)
    }

    /// A batch that this process has just made; it may have no checksum yet.
    pub(crate) fn assembled(bytes: &'a [u8]) -> Self {
        debug_assert!(Self::decode_sound(bytes).is_ok_and(|(_, rest)| rest.is_empty()));
        Self { bytes }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The epoch it was written in.
    pub fn epoch(&self) -> Epoch {
        Epoch(u32_at(self.bytes, 8))
    }

    /// Unix milliseconds of the command.
    pub fn time_ms(&self) -> u64 {
        u48(self.bytes[12..18].try_into().expect("six bytes"))
    }

    fn part_count(&self) -> usize {
        usize::from(self.bytes[18])
    }

    /// The shards it touches, ascending, with its Seq in each.
    pub fn parts(&self) -> impl Iterator<Item = PartSpec> + 'a {
        let end = HEADER_BYTES + self.part_count() * PART_BYTES;
        self.bytes[HEADER_BYTES..end].as_chunks::<PART_BYTES>().0.iter().map(|part| {
            let [shard, a, b, c, d, e, f] = *part;
            PartSpec { shard: ShardId::new(shard.into()), seq: Seq::from_bytes([a, b, c, d, e, f]) }
        })
    }

    /// Its records, each with the shard it concerns.
    pub fn records(&self) -> Records<'a> {
        let start = HEADER_BYTES + self.part_count() * PART_BYTES;
        Records { rest: &self.bytes[start..] }
    }

    fn check_parts(&self) -> Result<(), BatchError> {
        let count = self.part_count();
        let fits = HEADER_BYTES + count * PART_BYTES <= self.bytes.len();
        if !(1..=SHARDS).contains(&count) || !fits {
            return Err(BatchError::Parts);
        }
        let mut least = 0;
        for index in 0..count {
            let shard = usize::from(self.bytes[HEADER_BYTES + index * PART_BYTES]);
            if shard < least || shard >= SHARDS {
                return Err(BatchError::Parts);
            }
            least = shard + 1;
        }
        Ok(())
    }

    fn check_records(&self) -> Result<(), BatchError> {
        let mut records = self.records();
        while !records.rest.is_empty() {
            let at = self.bytes.len() - records.rest.len();
            let known = |shard: ShardId| self.parts().any(|part| part.shard == shard);
            match records.take_one() {
                Some((shard, record)) if known(shard) && is_sound(shard, &record) => {}
                Some(_) | None => return Err(BatchError::Record(at)),
            }
        }
        Ok(())
    }
}

/// Whether a record can be applied to this shard.
fn is_sound(shard: ShardId, record: &Record<'_>) -> bool {
    match record {
        Record::Library { name, .. } => shard == Libraries::shard() && is_name(name),
        Record::Edit { value_type, edits, .. } | Record::Store { value_type, edits, .. } => {
            types::check(*value_type, edits)
        }
        Record::Put { .. }
        | Record::Patch { .. }
        | Record::Delete { .. }
        | Record::Expire { .. }
        | Record::Clear => true,
    }
}

/// Splits off as many bytes as the batch at the front says it has.
fn take_framed(input: &[u8]) -> Result<(&[u8], &[u8]), BatchError> {
    let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
        return Err(BatchError::Short { expected: HEADER_BYTES, found: input.len() });
    };
    let length = u32_at(header, 0) as usize;
    if !(HEADER_BYTES + PART_BYTES..=BATCH_BYTES_MAX).contains(&length) {
        return Err(BatchError::Length(length));
    }
    let short = BatchError::Short { expected: length, found: input.len() };
    input.split_at_checked(length).ok_or(short)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Iterator over the records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Those that this process has just written, before they are sealed.
    pub(crate) fn over(records: &'a [u8]) -> Self {
        Self { rest: records }
    }

    /// The next record, or nothing when the bytes do not follow the format.
    #[inline]
    fn take_one(&mut self) -> Option<(ShardId, Record<'a>)> {
        let ([tag, flags, shard], rest) = self.rest.split_first_chunk::<3>()?;
        let shard = ShardId::checked(*shard)?;
        let mut rest = rest;
        let key = take_bytes(&mut rest, KEY_BYTES_MAX)?;
        let creates = flags & FLAG_CREATES != 0;
        let deadline_ms = if flags & FLAG_DEADLINE == 0 {
            None
        } else {
            let (bytes, after) = rest.split_first_chunk::<6>()?;
            rest = after;
            Some(u48(*bytes))
        };
        let record = match *tag {
            TAG_PUT => Record::Put {
                key,
                value: take_bytes(&mut rest, VALUE_BYTES_MAX)?,
                deadline_ms,
                creates,
            },
            TAG_PATCH => {
                let offset = take_varint(&mut rest)?;
                let bytes = take_bytes(&mut rest, VALUE_BYTES_MAX)?;
                if offset.checked_add(bytes.len())? > VALUE_BYTES_MAX {
                    return None;
                }
                Record::Patch { key, offset, bytes, creates }
            }
            TAG_DELETE => Record::Delete { key },
            TAG_EXPIRE => Record::Expire { key, deadline_ms },
            TAG_CLEAR => Record::Clear,
            TAG_LIBRARY => {
                let code =
                    if creates { Some(take_bytes(&mut rest, LIBRARIES_BYTES_MAX)?) } else { None };
                Record::Library { name: key, code }
            }
            tag => {
                let value_type = ValueType::of(tag & TYPE_MASK).filter(|t| t.is_container())?;
                let edits = take_bytes(&mut rest, BATCH_BYTES_MAX)?;
                match tag & !TYPE_MASK {
                    TAG_EDIT => Record::Edit { key, value_type, edits, creates },
                    TAG_STORE => Record::Store { key, value_type, edits, deadline_ms, creates },
                    _ => return None,
                }
            }
        };
        self.rest = rest;
        Some((shard, record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (ShardId, Record<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.take_one().expect("the batch was checked when it was decoded or sealed"))
    }
}

#[inline]
fn take_bytes<'a>(input: &mut &'a [u8], limit: usize) -> Option<&'a [u8]> {
    let length = take_varint(input)?;
    if length > limit || length > input.len() {
        return None;
    }
    let (bytes, rest) = input.split_at(length);
    *input = rest;
    Some(bytes)
}
