//! `math.random`: the 48-bit linear congruential sequence of `lrand48`, as in Redis, so that a
//! script that seeds itself sees the numbers it sees there.
//!
//! Source: POSIX `drand48` (multiplier 0x5DEECE66D, increment 0xB). Not for secrets.

use std::cell::Cell;

const MULTIPLIER: u64 = 0x0005_deec_e66d;
const INCREMENT: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;

/// The state of one interpreter's sequence.
#[derive(Debug)]
pub(super) struct Sequence(Cell<u64>);

impl Sequence {
    pub(super) fn new(seed: i32) -> Self {
        let sequence = Self(Cell::new(0));
        sequence.seed(seed);
        sequence
    }

    pub(super) fn seed(&self, seed: i32) {
        self.0.set(u64::from(seed as u32) << 16 | 0x330e);
    }

    /// The next number from 0 to below 1.
    pub(super) fn next(&self) -> f64 {
        let next = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.set(next);
        let bits = (next >> 17) as u32;
        let most = i32::MAX as u32;
        f64::from(bits % most) / f64::from(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_a_sequence() {
        let first = Sequence::new(0);
        // lrand48 after srand48(0) begins with 366850414.
        assert_eq!((first.next() * f64::from(i32::MAX)).round(), 366_850_414.0);
        let again = Sequence::new(5);
        again.seed(0);
        assert_eq!((again.next() * f64::from(i32::MAX)).round(), 366_850_414.0);
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&first.next()));
        }
    }
}
