//! Positions as scores: longitude and latitude cut into 2^26 steps each, their bits interleaved
//! (Morton, 1966; the idea of geohashes, Niemeyer, 2008). A cell of fewer steps is a range of
//! scores.
//!
//! Ranges, steps and the order of the bits are Redis's: the scores are the same bit for bit.

/// Steps of a score: 52 bits, which a double holds exactly.
pub(super) const STEPS: u32 = 26;
/// Degrees that a position may have.
pub(super) const LONGITUDE_MAX: f64 = 180.0;
/// The end of the usual map projection.
pub(super) const LATITUDE_MAX: f64 = 85.051_128_78;
/// The whole latitude, on which the public form of geohashes is based.
const LATITUDE_WHOLE: f64 = 90.0;

/// A place on the earth, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Position {
    pub(super) fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// Its score.
    pub(super) fn score(self) -> f64 {
        // 52 bits are exact in a double.
        Cell::around(self, STEPS).bits() as f64
    }

    /// The middle of the cell of a score.
    pub(super) fn of_score(score: f64) -> Self {
        let area = Cell::of_bits(score as u64).area();
        let middle = |(low, high): (f64, f64), max: f64| ((low + high) / 2.0).clamp(-max, max);
        Self {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// Eleven characters that other systems know. The last would need more bits than there are.
    pub(super) fn geohash(self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let longitude = step_of(self.longitude, LONGITUDE_MAX, STEPS);
        let latitude = step_of(self.latitude, LATITUDE_WHOLE, STEPS);
        let bits = interleave(latitude, longitude);
        let digits = (1..=10).map(|digit| bits >> (2 * STEPS - digit * 5) & 31);
        digits.chain([0]).map(|digit| char::from(ALPHABET[digit as usize])).collect()
    }
}

/// Which of 2^`steps` parts of -max..max a coordinate lies in.
fn step_of(degrees: f64, max: f64, steps: u32) -> u32 {
    let share = (degrees + max) / (max + max);
    // The very last degree belongs to no part: it would be one beyond.
    (share * f64::from(1u32 << steps)) as u32
}

/// Low, high: the ends of a cell in one direction.
type Ends = (f64, f64);

/// What a cell covers, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Area {
    pub(super) longitude: Ends,
    pub(super) latitude: Ends,
}

/// A cell of the grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    longitude: u32,
    latitude: u32,
    pub(super) steps: u32,
}

impl Cell {
    /// The cell in which a position lies.
    pub(super) fn around(position: Position, steps: u32) -> Self {
        Self {
            longitude: step_of(position.longitude, LONGITUDE_MAX, steps),
            latitude: step_of(position.latitude, LATITUDE_MAX, steps),
            steps,
        }
    }

    fn of_bits(bits: u64) -> Self {
        Self { longitude: every_other(bits >> 1), latitude: every_other(bits), steps: STEPS }
    }

    fn bits(self) -> u64 {
        interleave(self.latitude, self.longitude)
    }

    /// The scores in it, half open.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        let bits = self.bits();
        ((bits << shift) as f64, ((bits + 1) << shift) as f64)
    }

    pub(super) fn area(self) -> Area {
        let parts = f64::from(1u32 << self.steps);
        let ends = |at: u32, max: f64| {
            let edge = |at: f64| -max + at / parts * (max + max);
            (edge(f64::from(at)), edge(f64::from(at) + 1.0))
        };
        Area {
            longitude: ends(self.longitude, LONGITUDE_MAX),
            latitude: ends(self.latitude, LATITUDE_MAX),
        }
    }

    /// The cell so many cells to the east and north; beyond the last comes the first.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = (1u32 << self.steps) - 1;
        Self {
            longitude: self.longitude.wrapping_add_signed(east) & mask,
            latitude: self.latitude.wrapping_add_signed(north) & mask,
            ..self
        }
    }
}

/// Bits of `even` at even places, of `odd` at odd ones.
fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

/// Masks of the five rounds in which bits are moved apart or together.
const ROUNDS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

fn spread(bits: u32) -> u64 {
    ROUNDS.iter().fold(u64::from(bits), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

fn every_other(bits: u64) -> u32 {
    let mut bits = bits & ROUNDS[4].1;
    for round in (0..4).rev() {
        bits = (bits | bits >> ROUNDS[round + 1].0) & ROUNDS[round].1;
    }
    (bits | bits >> ROUNDS[0].0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Position = Position { longitude: 13.361_389, latitude: 38.115_556 };
    const CATANIA: Position = Position { longitude: 15.087_269, latitude: 37.502_669 };

    #[test]
    fn scores_are_those_of_redis() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
        let back = Position::of_score(PALERMO.score());
        assert_eq!(back.longitude, 13.361_389_338_970_184);
        assert_eq!(back.latitude, 38.115_556_395_496_3);
    }

    #[test]
    fn geohashes_are_those_of_the_public_form() {
        let shown = |position: Position| Position::of_score(position.score()).geohash();
        assert_eq!(shown(PALERMO), "sqc8b49rny0");
        assert_eq!(shown(CATANIA), "sqdtr74hyu0");
    }

    #[test]
    fn bits_go_apart_and_together() {
        for (even, odd) in [(0, 0), (1, 0), (0, 1), (0x03ff_ffff, 0), (123_456, 7_654_321)] {
            let bits = interleave(even, odd);
            assert_eq!((every_other(bits), every_other(bits >> 1)), (even, odd));
        }
    }

    #[test]
    fn neighbours_wrap_around() {
        let edge = Cell::around(Position { longitude: 179.9, latitude: 0.1 }, 4);
        assert_eq!(edge.neighbour(1, 0).area().longitude.0, -180.0);
        assert_eq!(edge.neighbour(1, 0).neighbour(-1, 0), edge);
        let (low, high) = edge.scores();
        assert_eq!(high - low, 2f64.powi(44));
    }
}
