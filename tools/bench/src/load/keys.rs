//! Which key each request touches: the generator, the distribution and the slot filter.
//!
//! Guarantees: the same seed draws the same keys; every key of one kind has the same length, so a
//! request can be a template with digits patched in. Must not touch a socket or a clock.

use std::fmt;

/// Number of hash slots of a Redis cluster.
const SLOTS: u16 = 16_384;

/// A small, fast generator (xorshift64*, Marsaglia 2003 and Vigna 2016). Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator for `seed`; neighbouring seeds give unrelated sequences.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed) | 1)
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..bound`; the bias of the multiply-shift is below 2^-32 for any key space.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)` with 53 bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of splitmix64: spreads neighbouring numbers over all 64 bits.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Ranks with a Zipf law, after Gray et al., "Quickly generating billion-record synthetic
/// databases" (SIGMOD 1994), the method YCSB uses.
#[derive(Clone, Debug)]
struct Zipf {
    n: f64,
    theta: f64,
    alpha: f64,
    zeta_n: f64,
    eta: f64,
}

impl Zipf {
    fn new(n: u64, theta: f64) -> Self {
        let zeta = |count: u64| (1..=count).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let zeta_n = zeta(n);
        let eta = (1.0 - (2.0 / n as f64).powf(1.0 - theta)) / (1.0 - zeta(n.min(2)) / zeta_n);
        Self { n: n as f64, theta, alpha: 1.0 / (1.0 - theta), zeta_n, eta }
    }

    /// A rank in `0..n`, 0 the most frequent.
    fn rank(&self, rng: &mut Rng) -> u64 {
        let u = rng.unit();
        let uz = u * self.zeta_n;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5_f64.powf(self.theta) {
            return 1.min(self.n as u64 - 1);
        }
        let rank = self.n * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.n as u64 - 1)
    }
}

/// How keys are picked out of the key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Distribution {
    /// Every key equally often.
    Uniform,
    /// A few hot keys, scattered over the key space.
    Zipf,
}

/// Inclusive ranges of hash slots, written `0-127,256-383`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotRanges(Vec<(u16, u16)>);

/// Why a list of slot ranges was refused; carries the part that does not parse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSlotRange(String);

impl fmt::Display for BadSlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected LO-HI with 0 <= LO <= HI <= 16383, found {:?}", self.0)
    }
}

impl std::error::Error for BadSlotRange {}

impl std::str::FromStr for SlotRanges {
    type Err = BadSlotRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low <= high && high < SLOTS).then_some((low, high))
        };
        let ranges =
            text.split(',').map(|part| parse(part).ok_or_else(|| BadSlotRange(part.to_owned())));
        ranges.collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl SlotRanges {
    /// Ranges from bounds already known to be in order.
    pub(crate) fn from_bounds(bounds: Vec<(u16, u16)>) -> Self {
        Self(bounds)
    }

    fn contains(&self, slot: u16) -> bool {
        self.0.iter().any(|&(low, high)| (low..=high).contains(&slot))
    }
}

/// The numbers of the keys that a run uses, and the way they are drawn.
#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    /// The key numbers left by the slot filter; `None` when all of `0..count` are used.
    listed: Option<Vec<u32>>,
    count: u64,
    zipf: Option<Zipf>,
}

impl KeySpace {
    /// The keys `0..count`, of which only those in `slots` when given; `key_of` renders a number.
    /// Returns `None` when no key is left.
    pub(crate) fn new(
        count: u32,
        distribution: Distribution,
        theta: f64,
        slots: Option<&SlotRanges>,
        key_of: impl Fn(u64) -> Vec<u8>,
    ) -> Option<Self> {
        let listed = slots.map(|slots| {
            let inside = |&id: &u32| slots.contains(slot(&key_of(u64::from(id))));
            (0..count).filter(inside).collect::<Vec<_>>()
        });
        let total = u64::from(count);
        let count = listed.as_ref().map_or(total, |ids| ids.len() as u64);
        if count == 0 {
            return None;
        }
        let zipf = (distribution == Distribution::Zipf).then(|| Zipf::new(count, theta));
        Some(Self { listed, count, zipf })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The number of the key at `index` (below `len`), for walking over all keys.
    pub(crate) fn at(&self, index: u64) -> u64 {
        self.listed.as_ref().map_or(index, |ids| u64::from(ids[index as usize]))
    }

    /// A key number drawn from the distribution.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        match &self.zipf {
            None => self.at(rng.below(self.count)),
            // Scattered, so that hot keys are not neighbours in the key space.
            Some(zipf) => self.at(mix(zipf.rank(rng)) % self.count),
        }
    }
}

/// The slot of a key without hash tag: CRC16/XMODEM modulo 16384 (Redis cluster specification).
fn slot(key: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for &byte in key {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(id: u64) -> Vec<u8> {
        format!("key:{id:016}").into_bytes()
    }

    #[test]
    fn slot_of_the_specification_example() {
        assert_eq!(slot(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot(b"foo"), 12_182);
    }

    #[test]
    fn slot_ranges_parse_or_name_the_bad_part() {
        let ranges: SlotRanges = "0-127,256-383".parse().unwrap();
        assert!(ranges.contains(127) && !ranges.contains(128) && ranges.contains(256));
        for bad in ["", "5-1", "0-16384", "x", "1-2,"] {
            assert!(bad.parse::<SlotRanges>().is_err(), "{bad}");
        }
    }

    #[test]
    fn filtered_keys_stay_in_their_slots() {
        let slots: SlotRanges = "0-255".parse().unwrap();
        let keys = KeySpace::new(50_000, Distribution::Uniform, 0.99, Some(&slots), render);
        let keys = keys.unwrap();
        let mut rng = Rng::new(1);
        assert!(keys.len() > 500 && keys.len() < 1_100);
        for _ in 0..1_000 {
            assert!(slot(&render(keys.draw(&mut rng))) < 256);
        }
    }

    #[test]
    fn zipf_prefers_few_keys_and_uniform_does_not() {
        let top = |distribution| {
            let keys = KeySpace::new(10_000, distribution, 0.99, None, render).unwrap();
            let mut rng = Rng::new(7);
            let mut hits = vec![0_u32; 10_000];
            (0..100_000).for_each(|_| hits[keys.draw(&mut rng) as usize] += 1);
            *hits.iter().max().unwrap()
        };
        assert!(top(Distribution::Zipf) > 5_000);
        assert!(top(Distribution::Uniform) < 60);
    }

    #[test]
    fn one_key_works_with_both_distributions() {
        for distribution in [Distribution::Uniform, Distribution::Zipf] {
            let keys = KeySpace::new(1, distribution, 0.99, None, render).unwrap();
            let mut rng = Rng::new(3);
            assert!((0..1_000).all(|_| keys.draw(&mut rng) == 0));
        }
    }
}
