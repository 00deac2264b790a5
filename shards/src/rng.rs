//! A small seeded generator for planning: sampling victims, choosing random members. Its draws end
//! up in records as results, never as requests, so replay does not depend on it.
//!
//! Algorithm: xorshift64* (Marsaglia 2003; Vigna, "An experimental exploration of Marsaglia's
//! xorshift generators, scrambled", 2016).

/// The generator. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that always yields the same draws for the same seed.
    pub fn new(seed: u64) -> Self {
        // Zero is the one state the recurrence cannot leave.
        let mixed = seed ^ 0x9e37_79b9_7f4a_7c15;
        Self(if mixed == 0 { 1 } else { mixed })
    }

    /// The next 64 random bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which must not be zero. The bias is below 2^-32 for the bounds in
    /// use (at most a few billion).
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a draw needs a range");
        let wide = u128::from(self.draw()) * bound as u128;
        (wide >> 64) as usize
    }
}
