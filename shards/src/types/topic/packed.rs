//! Batches that a producer has packed: LZ4 (block format) or Zstandard (one frame) over events in
//! the form below. They are unpacked once when they come, to count and check the events, and kept
//! and handed out as they came; readers that want single events have them unpacked.
//!
//! ```text
//! key    length u32, bytes      length 0xffffffff: it has none
//! name   length u32, bytes
//! data   length u32, bytes
//! ```
//!
//! Lengths are little endian. Events have no metadata, and the time of their batch.

use super::event::{ANSWER_BYTES, Packed};
use crate::command::error::CommandError;
use crate::limits::{PACKED_BYTES_MAX, PACKED_EVENTS_MAX};

const LZ4: u8 = 1;
const ZSTD: u8 = 2;
const NO_KEY: u32 = u32::MAX;

const CODEC: CommandError = CommandError::Invalid("the codec must be lz4 or zstd");
const SIZE: CommandError =
    CommandError::Invalid("a packed batch may have from 1 to 1048576 bytes unpacked");
const DAMAGED: CommandError =
    CommandError::Invalid("the batch does not unpack to as many bytes as was said");
const NO_EVENTS: CommandError =
    CommandError::Invalid("the batch does not unpack to from 1 to 10000 whole events");

/// An event of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inner<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) name: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Inner<'_> {
    /// Bytes that it takes in an answer, about.
    pub(super) fn answer_bytes(&self) -> usize {
        let key_bytes = self.key.map_or(0, <[u8]>::len);
        self.data.len() + self.name.len() + key_bytes + ANSWER_BYTES
    }
}

/// The name of a codec.
pub(crate) fn codec_name(codec: u8) -> &'static str {
    if codec == LZ4 { "lz4" } else { "zstd" }
}

/// A batch as it came, checked and counted.
pub(super) fn checked<'a>(
    codec: &[u8],
    unpacked_bytes: i64,
    bytes: &'a [u8],
) -> Result<Packed<'a>, CommandError> {
    let codec = match codec {
        word if word.eq_ignore_ascii_case(b"lz4") => LZ4,
        word if word.eq_ignore_ascii_case(b"zstd") => ZSTD,
        _ => return Err(CODEC),
    };
    let size = usize::try_from(unpacked_bytes).ok();
    let size = size.filter(|size| (1..=PACKED_BYTES_MAX).contains(size)).ok_or(SIZE)?;
    if bytes.len() > PACKED_BYTES_MAX {
        return Err(SIZE);
    }
    let unpacked_bytes = size as u64;
    let packed = Packed { count: 1, codec, unpacked_bytes, bytes };
    let unpacked = unpack(&packed).ok_or(DAMAGED)?;
    let mut rest = &unpacked[..];
    let mut count = 0u64;
    while !rest.is_empty() {
        take(&mut rest).ok_or(NO_EVENTS)?;
        count += 1;
    }
    if count > PACKED_EVENTS_MAX {
        return Err(NO_EVENTS);
    }
    Ok(Packed { count, ..packed })
}

/// The events of a batch in their own form; nothing where it is damaged.
pub(crate) fn unpack(packed: &Packed<'_>) -> Option<Vec<u8>> {
    let size = usize::try_from(packed.unpacked_bytes).ok().filter(|n| *n <= PACKED_BYTES_MAX)?;
    let unpacked = match packed.codec {
        LZ4 => lz4_flex::block::decompress(packed.bytes, size).ok()?,
        ZSTD => zstd::bulk::decompress(packed.bytes, size).ok()?,
        _ => return None,
    };
    (unpacked.len() == size).then_some(unpacked)
}

/// Takes one event off the front of an unpacked batch.
pub(crate) fn take<'a>(input: &mut &'a [u8]) -> Option<Inner<'a>> {
    let key = match take_length(input)? {
        NO_KEY => None,
        length => Some(take_exactly(input, length)?),
    };
    let name = take_length(input).and_then(|length| take_exactly(input, length))?;
    let data = take_length(input).and_then(|length| take_exactly(input, length))?;
    Some(Inner { key, name, data })
}

fn take_length(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*bytes))
}

fn take_exactly<'a>(input: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (bytes, rest) = input.split_at_checked(length as usize)?;
    *input = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(events: &[Inner<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        let put = |out: &mut Vec<u8>, bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        for Inner { key, name, data } in events {
            match key {
                None => out.extend_from_slice(&NO_KEY.to_le_bytes()),
                Some(key) => put(&mut out, key),
            }
            put(&mut out, name);
            put(&mut out, data);
        }
        out
    }

    #[test]
    fn batches_are_checked_when_they_come_and_come_back() {
        let events = [
            Inner { key: Some(b"k"), name: b"made", data: &[7; 500] },
            Inner { key: None, name: b"", data: b"" },
        ];
        let raw = raw(&events);
        let lz4 = lz4_flex::block::compress(&raw);
        let zstd = zstd::bulk::compress(&raw, 3).expect("it fits memory");
        for (codec, bytes) in [(&b"LZ4"[..], lz4), (b"zstd", zstd)] {
            let packed = checked(codec, raw.len() as i64, &bytes).expect("it is whole");
            assert_eq!(packed.count, 2);
            let unpacked = unpack(&packed).expect("it was checked");
            let mut rest = &unpacked[..];
            assert_eq!([take(&mut rest), take(&mut rest)], events.map(Some));
            assert_eq!(take(&mut rest), None);
            for wrong in [raw.len() as i64 - 1, raw.len() as i64 + 1] {
                assert_eq!(checked(codec, wrong, &bytes), Err(DAMAGED));
            }
            for wrong in [0, -1, i64::MAX] {
                assert_eq!(checked(codec, wrong, &bytes), Err(SIZE));
            }
            assert!(checked(codec, raw.len() as i64, &bytes[..bytes.len() / 2]).is_err());
        }
        let cut = lz4_flex::block::compress(&raw[..raw.len() - 1]);
        assert_eq!(checked(b"lz4", raw.len() as i64 - 1, &cut), Err(NO_EVENTS));
        assert_eq!(checked(b"gzip", 1, b""), Err(CODEC));
    }
}
