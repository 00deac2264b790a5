//! Keys of partitions, and which partition an event with a key goes to.
//!
//! Partition 0 of a topic has the topic's name, so that a room, which has no other, is found by its
//! name alone; the others have a zero byte and their number behind it, which no name has.

use crate::key::Namespace;
use crate::limits::PARTITIONS_MAX;

/// Name of the argument right behind a topic that says which partition of it is meant; the command
/// is handed the key of that partition.
pub(crate) const PARTITION: &str = "partition";

/// The key of a partition.
pub(crate) fn partition_key(topic: &[u8], number: u16) -> Vec<u8> {
    let mut key = Namespace::Partition.key(topic);
    if number > 0 {
        key.push(0);
        key.extend_from_slice(number.to_string().as_bytes());
    }
    key
}

/// The name of the topic and the number of the partition that a key stands for.
pub(crate) fn split_key(key: &[u8]) -> (&[u8], u16) {
    let name = key.get(Namespace::PREFIX_BYTES..).unwrap_or_default();
    match name.iter().position(|byte| *byte == 0) {
        None => (name, 0),
        Some(at) => {
            let digits = name[at + 1..].iter();
            let add = |number: u16, digit: &u8| {
                number.saturating_mul(10).saturating_add(u16::from(digit.wrapping_sub(b'0')))
            };
            (&name[..at], digits.fold(0, add))
        }
    }
}

/// The key of the partition of this number, which is one a request has; nothing where the word is
/// no number that a partition may have.
pub(crate) fn key_of_word(topic: &[u8], word: &[u8]) -> Option<Vec<u8>> {
    let number: u16 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (number < PARTITIONS_MAX).then(|| partition_key(topic, number))
}

/// The partition of `partitions` to which events with this key go: the CRC-32 of the key (ISO
/// 3309, as in zlib) modulo their number.
pub(crate) fn partition_of(key: &[u8], partitions: u16) -> u16 {
    (crc32(key) % u32::from(partitions.max(1))) as u16
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xedb8_8320 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[(crc as u8 ^ *byte) as usize];
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_apart_again() {
        for number in [0, 1, 9, 10, 1023] {
            let key = partition_key(b"orders", number);
            assert_eq!(split_key(&key), (&b"orders"[..], number));
            assert_eq!(key_of_word(b"orders", number.to_string().as_bytes()), Some(key));
        }
        assert_eq!(partition_key(b"room", 0), b"\0t\0room");
        for word in [&b"1024"[..], b"-1", b"x", b""] {
            assert_eq!(key_of_word(b"orders", word), None);
        }
    }

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(partition_of(b"123456789", 10), (0xcbf4_3926u32 % 10) as u16);
    }
}
