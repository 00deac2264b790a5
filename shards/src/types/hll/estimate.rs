//! From registers to a cardinality: the improved raw estimator of Ertl ("New cardinality estimation
//! algorithms for HyperLogLog sketches", 2017, algorithm 6), which needs no correction tables and
//! holds from zero up to far above 10^9.

use super::hash::RANK_BITS;
use super::{REGISTERS, Registers};

/// How many registers hold each rank.
pub(super) type Histogram = [u32; 64];

const HIGHEST: usize = RANK_BITS as usize + 1;
/// 1 / (2 ln 2): the constant of the raw estimator for infinitely many registers.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The histogram of registers that stand one per byte.
pub(super) fn histogram(registers: &Registers) -> Histogram {
    let mut counts = [0; 64];
    registers.iter().for_each(|rank| counts[usize::from(*rank) % 64] += 1);
    counts
}

/// The number of distinct elements that registers of these ranks stand for.
pub(super) fn cardinality(counts: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let share = |count: u32| f64::from(count) / registers;
    let mut sum = registers * tau(1.0 - share(counts[HIGHEST]));
    for rank in (1..HIGHEST).rev() {
        sum = 0.5 * (sum + f64::from(counts[rank]));
    }
    sum += registers * sigma(share(counts[0]));
    (ALPHA * registers * registers / sum).round() as u64
}

/// x + sum of x^(2^k) 2^(k-1): what the registers that are still zero contribute.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// (1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3: what the registers at the highest rank contribute.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::place;
    use super::*;

    #[test]
    fn it_is_right_within_two_percent_from_a_thousand_to_ten_million() {
        let mut registers = [0; REGISTERS];
        let mut next = 1_000;
        for number in 1..=10_000_000u64 {
            let (index, rank) = place(number.to_string().as_bytes());
            registers[index] = registers[index].max(rank);
            if number == next {
                let found = cardinality(&histogram(&registers));
                let error = found.abs_diff(number) as f64 / number as f64;
                assert!(error < 0.02, "{number} elements, found {found}");
                next = next * 3 / 2;
            }
        }
    }

    #[test]
    fn it_is_exact_when_small_and_holds_at_a_thousand_million() {
        let mut registers = [0; REGISTERS];
        assert_eq!(cardinality(&histogram(&registers)), 0);
        for number in 1..=10u64 {
            let (index, rank) = place(&number.to_le_bytes());
            registers[index] = registers[index].max(rank);
            assert_eq!(cardinality(&histogram(&registers)), number);
        }
        // Registers as 10^9 elements leave them on average: P(rank <= k) = (1 - 2^-k)^(n / m).
        let load = 1e9 / REGISTERS as f64;
        let below = |rank: i32| (1.0 - 2f64.powi(-rank)).powf(load) * REGISTERS as f64;
        let mut counts = [0; 64];
        for (rank, count) in (1i32..).zip(&mut counts[1..=HIGHEST]) {
            *count = (below(rank).round() - below(rank - 1).round()) as u32;
        }
        let found = cardinality(&counts) as f64;
        assert!((found / 1e9 - 1.0).abs() < 0.01, "{found}");
    }
}
