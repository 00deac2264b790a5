//! What a partition of a capture holds of one batch: one event, so that it comes whole.
//!
//! ```text
//! seq     number                       of the batch in the shard
//! parts   number, then shard u8, offset number of each
//!                                      where the batch stands in the partitions of this capture;
//!                                      none where it touches one shard only
//! changes number, then length and bytes of each      JSON, without the braces around it
//! ```

use crate::id::ShardId;
use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};

/// The changes of a batch in one shard, for reading.
#[derive(Clone, Debug)]
pub(super) struct Changes<'a> {
    pub(super) seq: u64,
    /// Where its other parts are, this one included; empty without others.
    pub(super) parts: Vec<(ShardId, u64)>,
    pub(super) count: u64,
    /// The changes behind their lengths.
    pub(super) texts: &'a [u8],
}

/// Appends the changes of a batch.
pub(super) fn write(
    out: &mut Vec<u8>,
    seq: u64,
    parts: &[(ShardId, u64)],
    (count, texts): (u64, &[u8]),
) {
    put_number(out, seq);
    put_number(out, parts.len() as u64);
    for (shard, offset) in parts {
        out.push(shard.index() as u8);
        put_number(out, *offset);
    }
    put_number(out, count);
    out.extend_from_slice(texts);
}

/// Appends one change to those of a batch.
pub(super) fn push(texts: &mut Vec<u8>, text: &[u8]) {
    put_bytes(texts, text);
}

impl<'a> Changes<'a> {
    /// Nothing where these are no changes.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let input = &mut bytes;
        let seq = take_number(input)?;
        let mut parts = Vec::new();
        for _ in 0..take_number(input)? {
            let (shard, rest) = input.split_first()?;
            *input = rest;
            parts.push((ShardId::checked(*shard)?, take_number(input)?));
        }
        let count = take_number(input)?;
        Some(Self { seq, parts, count, texts: bytes })
    }

    /// The changes one by one.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.texts;
        std::iter::from_fn(move || take_bytes(&mut rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back() {
        let mut texts = Vec::new();
        push(&mut texts, b"one");
        push(&mut texts, b"");
        let parts = [(ShardId::new(3), 9), (ShardId::new(63), 1 << 40)];
        let mut out = Vec::new();
        write(&mut out, 77, &parts, (2, &texts));
        let read = Changes::read(&out).unwrap();
        assert_eq!((read.seq, &read.parts[..], read.count), (77, &parts[..], 2));
        assert!(read.texts().eq([&b"one"[..], b""]));
        assert!(Changes::read(b"\x01\x01\x40\x01").is_none(), "there is no such shard");
    }
}
