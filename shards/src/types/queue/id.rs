//! Names of messages: UUIDs of version 8 (RFC 9562, 5.8), made of 60 random bits that a queue draws
//! when it is created and the number of the message in it. So a name finds its message without a
//! table, is the same after a restart, and no message of an earlier queue of that name has it.
//!
//! ```text
//! 48 bits of the queue | 8 (version) | 12 bits of the queue | 10 (variant) | 62 bits: number
//! ```

/// Bits that a queue draws.
pub(super) const INCARNATION_BITS: u32 = 60;
/// The greatest number of a message.
pub(super) const SEQ_MAX: u64 = (1 << 62) - 1;

const VARIANT: u64 = 1 << 63;
const DASHES: [usize; 4] = [8, 13, 18, 23];
const BYTES: usize = 36;

/// The name of a message in text.
pub(super) fn text(incarnation: u64, seq: u64) -> Vec<u8> {
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
        return None;
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
