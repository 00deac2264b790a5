//! What the simulated files hold: segments and groups as in the log of the server, and sealed files
//! (manifest, parts of snapshots). Sizes differ from the server's, what can be told from them does
//! not: a checksum over everything, the number of the segment, the index of the group, and up to
//! which group the log was durable when this one was written.

use super::BLOCK;

const SEGMENT: u32 = 0x5345_4700;
const GROUP: u32 = 0x4752_5000;
const SEALED: u32 = 0x534c_4400;
/// Bytes before the payload of a group.
pub(crate) const GROUP_HEADER: usize = 48;
const SEALED_HEADER: usize = 24;

/// What a segment says about itself, in its first block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) log: u64,
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    /// The segment before and where its groups end; nothing for the first.
    pub(crate) previous: Option<(u64, u64)>,
    pub(crate) first_group: u64,
}

/// What a group says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupHeader {
    pub(crate) log: u32,
    /// With the number of the segment it tells a group from what a reused file held.
    pub(crate) epoch: u64,
    pub(crate) segment: u64,
    pub(crate) group: u64,
    pub(crate) synced_through: u64,
    pub(crate) payload_bytes: u32,
}

/// Bytes of a group of this payload, rounded up to whole blocks.
pub(crate) fn group_bytes(payload: usize) -> usize {
    (GROUP_HEADER + payload).next_multiple_of(BLOCK)
}

/// CRC32C (Castagnoli, RFC 3720 B.4), a byte at a time.
fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| sum >> 8 ^ CRC_TABLE[(sum as u8 ^ byte) as usize];
    !bytes.iter().fold(!0, step)
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let (mut sum, mut bit) = (at as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes[at..at + 8].try_into().expect("eight bytes were asked for");
    u64::from_le_bytes(bytes)
}

fn half(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes were asked for");
    u32::from_le_bytes(bytes)
}

impl SegmentHeader {
    /// The first block of the segment.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = SEGMENT.to_le_bytes().to_vec();
        out.extend_from_slice(&[0; 4]);
        let (before, end) = self.previous.unwrap_or((0, 0));
        put(&mut out, &[self.log, self.number, self.epoch, before, end, self.first_group]);
        out.resize(BLOCK, 0);
        let sum = crc(&out[8..]);
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a first block; nothing when it is none, or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let block = bytes.get(..BLOCK)?;
        if half(block, 0) != SEGMENT || half(block, 4) != crc(&block[8..]) {
            return None;
        }
        let before = word(block, 32);
        Some(Self {
            log: word(block, 8),
            number: word(block, 16),
            epoch: word(block, 24),
            previous: (before != 0).then(|| (before, word(block, 40))),
            first_group: word(block, 48),
        })
    }
}

impl GroupHeader {
    /// The group, padded to whole blocks.
    pub(crate) fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = GROUP.to_le_bytes().to_vec();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.log.to_le_bytes());
        out.extend_from_slice(&self.payload_bytes.to_le_bytes());
        put(&mut out, &[self.segment, self.group, self.synced_through, self.epoch]);
        assert_eq!(out.len(), GROUP_HEADER, "the header is of one length");
        out.extend_from_slice(payload);
        let sum = crc(&out[8..]);
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        out.resize(group_bytes(payload.len()), 0);
        out
    }

    /// Reads a group at the front of `bytes`; nothing when there is none, or it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        if bytes.len() < GROUP_HEADER || half(bytes, 0) != GROUP {
            return None;
        }
        let payload_bytes = half(bytes, 12);
        let whole = bytes.get(..GROUP_HEADER + payload_bytes as usize)?;
        if half(bytes, 4) != crc(&whole[8..]) {
            return None;
        }
        let header = Self {
            log: half(bytes, 8),
            segment: word(bytes, 16),
            group: word(bytes, 24),
            synced_through: word(bytes, 32),
            epoch: word(bytes, 40),
            payload_bytes,
        };
        Some((header, &whole[GROUP_HEADER..]))
    }
}

/// A file that is written whole: `id` says what it belongs to.
pub(crate) fn seal_file(id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = SEALED.to_le_bytes().to_vec();
    out.extend_from_slice(&[0; 4]);
    put(&mut out, &[id, payload.len() as u64]);
    out.extend_from_slice(payload);
    let sum = crc(&out[8..]);
    out[4..8].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Reads what [`seal_file`] made: id and payload; nothing when it is damaged.
pub(crate) fn open_file(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if bytes.len() < SEALED_HEADER || half(bytes, 0) != SEALED || half(bytes, 4) != crc(&bytes[8..])
    {
        return None;
    }
    let payload = &bytes[SEALED_HEADER..];
    (word(bytes, 16) == payload.len() as u64).then(|| (word(bytes, 8), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_castagnoli_one() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }
}
