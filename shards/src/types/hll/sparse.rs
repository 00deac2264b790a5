//! The sparse form: runs of registers, one or two bytes each.
//!
//! ```text
//! 00nnnnnn            n + 1 registers hold zero
//! 01nnnnnn nnnnnnnn   the same for longer runs, high bits first
//! 1rrrrrnn            n + 1 registers hold the rank r + 1
//! ```
//!
//! How runs are split and joined decides the bytes, and the bytes are those of Redis: a split
//! yields what is left before, the new run, what is left behind; then neighbours of equal rank are
//! joined from the run before the changed one on, over five runs.

use smallvec::SmallVec;

use super::{HEADER_BYTES, REGISTERS, Registers};

/// Highest rank that the sparse form can state.
pub(super) const RANK_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
const SHORT_RUN_MAX: usize = 64;
/// Runs that are looked at for joining after a change.
const JOIN_RUNS: usize = 5;

/// The runs of an empty counter: one over all registers.
pub(super) const EMPTY_RUNS: [u8; 2] =
    [0x40 | ((REGISTERS - 1) >> 8) as u8, ((REGISTERS - 1) & 0xff) as u8];

/// One run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    rank: u8,
    length: usize,
    /// Bytes it takes.
    bytes: usize,
}

/// The run that stands first in `bytes`; nothing when it is cut off.
fn read(bytes: &[u8]) -> Option<Run> {
    let first = *bytes.first()?;
    let low = usize::from(first & 0x3f);
    Some(match first >> 6 {
        0 => Run { rank: 0, length: low + 1, bytes: 1 },
        1 => {
            let length = (low << 8 | usize::from(*bytes.get(1)?)) + 1;
            Run { rank: 0, length, bytes: 2 }
        }
        _ => Run { rank: (first >> 2 & 0x1f) + 1, length: low % VALUE_RUN_MAX + 1, bytes: 1 },
    })
}

type Runs = SmallVec<[u8; 5]>;

/// Appends a run, which for a rank is at most [`VALUE_RUN_MAX`] long; nothing for no registers.
fn push(out: &mut Runs, rank: u8, length: usize) {
    let Some(less) = length.checked_sub(1) else { return };
    match rank {
        0 if length > SHORT_RUN_MAX => {
            out.extend_from_slice(&[0x40 | (less >> 8) as u8, (less & 0xff) as u8]);
        }
        0 => out.push(less as u8),
        _ => out.push(0x80 | (rank - 1) << 2 | less as u8),
    }
}

/// Calls `visit` with the rank and the registers of each run. False when the runs do not cover
/// every register exactly once.
pub(super) fn walk(runs: &[u8], mut visit: impl FnMut(u8, std::ops::Range<usize>)) -> bool {
    let (mut rest, mut index) = (runs, 0);
    while !rest.is_empty() {
        let Some(run) = read(rest) else { return false };
        let end = index + run.length;
        if end > REGISTERS {
            return false;
        }
        visit(run.rank, index..end);
        index = end;
        rest = &rest[run.bytes..];
    }
    index == REGISTERS
}

/// Raises each of `all` to the rank of its register; false when the runs are damaged.
pub(super) fn merge(runs: &[u8], all: &mut Registers) -> bool {
    walk(runs, |rank, range| {
        if rank > 0 {
            all[range].iter_mut().for_each(|highest| *highest = rank.max(*highest));
        }
    })
}

/// Where a register's run stands.
struct Found {
    at: usize,
    run: Run,
    /// First register of the run.
    first: usize,
    /// Where the run before it stands, or the first run.
    before: usize,
}

fn find(counter: &[u8], index: usize) -> Option<Found> {
    let (mut at, mut first, mut before) = (HEADER_BYTES, 0, HEADER_BYTES);
    loop {
        let run = read(counter.get(at..)?)?;
        if index < first + run.length {
            return Some(Found { at, run, first, before });
        }
        before = at;
        at += run.bytes;
        first += run.length;
    }
}

/// The rank of a register; nothing when the runs are damaged.
pub(super) fn get(counter: &[u8], index: usize) -> Option<u8> {
    find(counter, index).map(|found| found.run.rank)
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The register is so high already.
    None,
    Done,
    /// The sparse form cannot state it, or would be longer than allowed; nothing was changed.
    TooMuch,
}

/// Raises a register of the sparse `counter` (header included) to `rank`, unless that would make it
/// longer than `bytes_max`. Nothing when the runs are damaged.
pub(super) fn raise(
    counter: &mut Vec<u8>,
    index: usize,
    rank: u8,
    bytes_max: usize,
) -> Option<Change> {
    if rank > RANK_MAX {
        return Some(Change::TooMuch);
    }
    let Found { at, run, first, before } = find(counter, index)?;
    if run.rank >= rank {
        return Some(Change::None);
    }
    let mut runs = Runs::new();
    push(&mut runs, run.rank, index - first);
    push(&mut runs, rank, 1);
    push(&mut runs, run.rank, first + run.length - index - 1);
    let grown = runs.len().saturating_sub(run.bytes);
    if grown > 0 && counter.len() + grown > bytes_max {
        return Some(Change::TooMuch);
    }
    counter.splice(at..at + run.bytes, runs);
    join(counter, before);
    Some(Change::Done)
}

/// Joins neighbouring runs of one rank, from the run at `at` on.
fn join(counter: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_RUNS {
        let Some(run) = counter.get(at..).and_then(read) else { return };
        let next = counter.get(at + run.bytes..).and_then(read);
        let joined = next.filter(|next| {
            run.rank > 0 && next.rank == run.rank && run.length + next.length <= VALUE_RUN_MAX
        });
        match joined {
            Some(next) => {
                let mut one = Runs::new();
                push(&mut one, run.rank, run.length + next.length);
                counter.splice(at..at + 2, one);
            }
            None => at += run.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn empty() -> Vec<u8> {
        [&[0; HEADER_BYTES], &EMPTY_RUNS[..]].concat()
    }

    #[test]
    fn it_holds_what_an_array_holds() {
        let mut counter = empty();
        let mut model = [0u8; REGISTERS];
        let mut rng = Rng::new(5);
        for _ in 0..3_000 {
            // Near each other, so that runs are joined and split.
            let (index, rank) = (rng.below(300) + rng.below(2) * 16_084, 1 + rng.below(6) as u8);
            let raises = rank > model[index];
            let change = raise(&mut counter, index, rank, usize::MAX);
            assert_eq!(change == Some(Change::Done), raises);
            model[index] = rank.max(model[index]);
            assert_eq!(get(&counter, index), Some(model[index]));
        }
        let mut merged = [0; REGISTERS];
        assert!(merge(&counter[HEADER_BYTES..], &mut merged));
        assert_eq!(merged, model);
    }

    #[test]
    fn splits_and_joins_are_those_of_redis() {
        let mut counter = empty();
        let mut set = |index, rank, runs: &[u8]| {
            assert_eq!(raise(&mut counter, index, rank, 3000), Some(Change::Done));
            assert_eq!(&counter[HEADER_BYTES..], runs, "register {index}");
        };
        set(0, 1, &[0x80, 0x7f, 0xfe]);
        set(1, 1, &[0x81, 0x7f, 0xfd]);
        set(2, 2, &[0x81, 0x84, 0x7f, 0xfc]);
        set(16_383, 32, &[0x81, 0x84, 0x7f, 0xfb, 0xfc]);
        set(64, 3, &[0x81, 0x84, 0x3c, 0x88, 0x7f, 0xbd, 0xfc]);
        set(0, 5, &[0x90, 0x80, 0x84, 0x3c, 0x88, 0x7f, 0xbd, 0xfc]);
    }

    #[test]
    fn limits_and_damage_are_seen() {
        let mut counter = empty();
        assert_eq!(raise(&mut counter, 5, 33, 3000), Some(Change::TooMuch));
        let full = counter.len();
        assert_eq!(raise(&mut counter, 5, 3, full), Some(Change::TooMuch));
        assert_eq!(counter, empty());
        assert_eq!(raise(&mut counter[..17].to_vec(), 5, 3, 3000), None);
        assert!(!walk(&[0x7f], |_, _| ()));
        assert!(!walk(&[0x7f, 0xfe], |_, _| ()));
        assert!(!walk(&[0x7f, 0xff, 0x00], |_, _| ()));
        assert!(walk(&EMPTY_RUNS, |rank, range| assert_eq!((rank, range), (0, 0..REGISTERS))));
    }
}
