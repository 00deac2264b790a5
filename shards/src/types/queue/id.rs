//! Names of messages: UUIDs of version 8 (RFC 9562, 5.8), made of 60 random bits that a queue draws
//! when it is created and the number of the message in it. So a name finds its message without a
//! table, is the same after a restart, and no message of an earlier queue of that name has it.
//!
//! Queues with a number ([`QueueNumber`]) name their messages with numbers of 64 bits in decimal
//! that grow in each queue: the message's above, the queue's below.
//!
//! ```text
//! 48 bits of the queue | 8 (version) | 12 bits of the queue | 10 (variant) | 62 bits: number
//! ```

use std::collections::BTreeSet;

use crate::id::ShardId;

/// Bits that a queue draws.
pub(super) const INCARNATION_BITS: u32 = 60;
/// The greatest number of a message.
pub(super) const SEQ_MAX: u64 = (1 << 62) - 1;

const VARIANT: u64 = 1 << 63;
const DASHES: [usize; 4] = [8, 13, 18, 23];
const BYTES: usize = 36;

/// Bits of the number of a queue: 6 say its shard, the others which queue of it.
const QUEUE_BITS: u32 = 20;
const IN_SHARD_BITS: u32 = 14;
/// Set in what a queue with a number has in place of random bits.
const NUMBERED: u64 = 1 << INCARNATION_BITS;

/// The number of a queue of the interface of distributed-sync-system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct QueueNumber(u32);

impl QueueNumber {
    /// The queue that a message of this name is of; nothing for what is no such name.
    pub fn of_message(name: &[u8]) -> Option<Self> {
        Self::of(parse_number(name)?.0)
    }

    pub(super) fn of(incarnation: u64) -> Option<Self> {
        let is_one = incarnation >> QUEUE_BITS == NUMBERED >> QUEUE_BITS;
        is_one.then_some(Self((incarnation & ((1 << QUEUE_BITS) - 1)) as u32))
    }

    pub(super) fn incarnation(self) -> u64 {
        NUMBERED | u64::from(self.0)
    }

    /// The number behind the last of those taken of a shard, or the first that is free; nothing
    /// when none is.
    pub(super) fn free(shard: ShardId, taken: &BTreeSet<Self>) -> Option<Self> {
        const COUNT: u32 = 1 << IN_SHARD_BITS;
        let base = (shard.index() as u32) << IN_SHARD_BITS;
        let from = taken.last().map_or(0, |last| last.0 - base + 1);
        let numbers = (from..COUNT).chain(0..from).map(|number| Self(base | number));
        numbers.into_iter().find(|number| !taken.contains(number))
    }
}

/// The number behind the last one that a message may have in a queue.
pub(super) fn seq_end(incarnation: u64) -> u64 {
    match QueueNumber::of(incarnation) {
        Some(_) => 1 << (u64::BITS - QUEUE_BITS),
        None => SEQ_MAX,
    }
}

/// Queue and message that a number says.
fn parse_number(text: &[u8]) -> Option<(u64, u64)> {
    let is_number =
        text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    let number: u64 = std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()?;
    let queue = (number & ((1 << QUEUE_BITS) - 1)) as u32;
    Some((QueueNumber(queue).incarnation(), number >> QUEUE_BITS))
}

/// The name of a message in text.
pub(super) fn text(incarnation: u64, seq: u64) -> Vec<u8> {
    if let Some(QueueNumber(queue)) = QueueNumber::of(incarnation) {
        return (seq << QUEUE_BITS | u64::from(queue)).to_string().into_bytes();
    }
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let high = incarnation >> 12 << 16 | 8 << 12 | incarnation & 0xfff;
    let bits = u128::from(high) << 64 | u128::from(VARIANT | seq);
    let mut out = Vec::with_capacity(BYTES);
    for nibble in (0..32).rev() {
        if DASHES.contains(&out.len()) {
            out.push(b'-');
        }
        out.push(DIGITS[(bits >> (nibble * 4)) as usize & 15]);
    }
    out
}

/// Queue and number that a name says; nothing for what is no such name.
pub(super) fn parse(text: &[u8]) -> Option<(u64, u64)> {
    if text.len() != BYTES {
        return parse_number(text);
    }
    let mut bits: u128 = 0;
    for (at, byte) in text.iter().enumerate() {
        if DASHES.contains(&at) {
            if *byte != b'-' {
                return None;
            }
        } else {
            bits = bits << 4 | u128::from(char::from(*byte).to_digit(16)?);
        }
    }
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    let is_ours = high >> 12 & 15 == 8 && low & !SEQ_MAX == VARIANT;
    is_ours.then_some((high >> 16 << 12 | high & 0xfff, low & SEQ_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_queue_and_message() {
        let (none, shard) = (BTreeSet::new(), ShardId::new(63));
        let first = QueueNumber::free(shard, &none).expect("all are free");
        let taken: BTreeSet<_> = (0..1 << IN_SHARD_BITS)
            .map(|number| QueueNumber(first.0 + number))
            .filter(|number| *number != first)
            .collect();
        assert_eq!(QueueNumber::free(shard, &taken), Some(first));
        let all = taken.iter().copied().chain([first]).collect();
        assert_eq!(QueueNumber::free(shard, &all), None);
        for seq in [0, 1, seq_end(first.incarnation()) - 1] {
            let name = text(first.incarnation(), seq);
            assert_eq!(parse(&name), Some((first.incarnation(), seq)));
            assert_eq!(QueueNumber::of_message(&name), Some(first));
        }
        for no in ["", "-1", "01", "18446744073709551616", "1 ", "+1"] {
            assert_eq!(parse(no.as_bytes()), None, "{no}");
        }
        assert_eq!(QueueNumber::of((1 << INCARNATION_BITS) - 1), None);
    }

    #[test]
    fn a_name_says_queue_and_number() {
        for incarnation in [0, 1, 0x0123_4567_89ab_cdef, (1 << INCARNATION_BITS) - 1] {
            for seq in [0, 1, 1 << 40, SEQ_MAX] {
                let name = text(incarnation, seq);
                assert_eq!(parse(&name), Some((incarnation, seq)));
                assert_eq!(parse(&name.to_ascii_uppercase()), Some((incarnation, seq)));
                assert_eq!((name[14], name[8], name.len()), (b'8', b'-', 36));
                assert!(matches!(name[19], b'8' | b'9' | b'a' | b'b'));
            }
        }
        let known = text(0x0123_4567_89ab_cdef, 7);
        assert_eq!(known, b"12345678-9abc-8def-8000-000000000007");
        for no in [&b""[..], b"x", b"12345678-9abc-4def-8000-000000000007", &known[1..]] {
            assert_eq!(parse(no), None);
        }
    }
}
