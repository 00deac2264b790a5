//! The dense form: every register in six bits, the low bits of a register in the earlier byte.

use super::estimate::Histogram;
use super::{HEADER_BYTES, REGISTERS, Registers};

const RANK_MASK: u8 = 63;
/// Bytes of all registers.
pub(super) const REGISTER_BYTES: usize = REGISTERS * 6 / 8;
/// Bytes of a dense counter, its header included.
pub(super) const DENSE_BYTES: usize = HEADER_BYTES + REGISTER_BYTES;

/// Where a register begins: the byte, and the bit in it.
fn position(index: usize) -> (usize, u32) {
    (index * 6 / 8, (index * 6 % 8) as u32)
}

/// The bytes that hold a register, as offsets into the counter.
pub(super) fn bytes_of(index: usize) -> std::ops::Range<usize> {
    let (byte, bit) = position(index);
    let bytes = if bit > 2 { 2 } else { 1 };
    HEADER_BYTES + byte..HEADER_BYTES + byte + bytes
}

/// The rank in a register; `registers` are the bytes behind the header.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (byte, bit) = position(index);
    let next = registers.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([registers[byte], next]) >> bit) as u8 & RANK_MASK
}

/// Writes the rank of a register.
pub(super) fn set(registers: &mut [u8], index: usize, rank: u8) {
    let (byte, bit) = position(index);
    let mask = u16::from(RANK_MASK) << bit;
    let value = u16::from(rank & RANK_MASK) << bit;
    let [low_mask, high_mask] = mask.to_le_bytes();
    let [low, high] = value.to_le_bytes();
    registers[byte] = registers[byte] & !low_mask | low;
    if high_mask != 0 {
        registers[byte + 1] = registers[byte + 1] & !high_mask | high;
    }
}

/// All ranks in order: four registers are three bytes.
fn ranks(registers: &[u8]) -> impl Iterator<Item = u8> + '_ {
    registers.as_chunks::<3>().0.iter().flat_map(|[a, b, c]| {
        let four = u32::from_le_bytes([*a, *b, *c, 0]);
        [0, 6, 12, 18].map(|bit| (four >> bit) as u8 & RANK_MASK)
    })
}

/// How many registers hold each rank.
pub(super) fn histogram(registers: &[u8]) -> Histogram {
    let mut counts = [0; 64];
    ranks(registers).for_each(|rank| counts[usize::from(rank)] += 1);
    counts
}

/// Raises each of `all` to the rank of its register.
pub(super) fn merge(registers: &[u8], all: &mut Registers) {
    for (rank, highest) in ranks(registers).zip(all) {
        *highest = rank.max(*highest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn registers_do_not_disturb_each_other() {
        let mut bytes = vec![0; REGISTER_BYTES];
        let mut model = [0u8; REGISTERS];
        let mut rng = Rng::new(3);
        for _ in 0..100_000 {
            let (index, rank) = (rng.below(REGISTERS), rng.below(52) as u8);
            set(&mut bytes, index, rank);
            model[index] = rank;
            assert_eq!(get(&bytes, index), rank);
        }
        let mut merged = [0; REGISTERS];
        merge(&bytes, &mut merged);
        assert_eq!(merged, model);
        assert_eq!(histogram(&bytes), super::super::estimate::histogram(&model));
    }
}
