//! Which batches make a state: for every shard all up to some Seq, and no transaction in part.
//!
//! Only Seqs are looked at, never data, so memory does not grow with the data: the sources are
//! walked once to see which Seqs are there, and again until no batch that lies beyond the end of
//! one shard is within the end of another.

use std::collections::BTreeMap;

use synap_shards::batch::Batch;
use synap_shards::id::ShardId;
use synap_shards::limits::SHARDS;
use synap_shards::recovery::EpochStart;
use synap_shards::seq::{Seq, ShardSeqs};

use super::files::Source;
use crate::fatal::Fatal;

/// Numbers, as runs without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// Adds a number; whether it was not there.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| end >= number) {
            return false;
        }
        let start = match before {
            Some((start, end)) if end + 1 == number => start,
            Some(_) | None => number,
        };
        let end = self.0.remove(&(number + 1)).unwrap_or(number);
        self.0.insert(start, end);
        true
    }

    /// The last number that is reached from `base` without a gap.
    #[must_use]
    pub fn reached_from(&self, base: u64) -> u64 {
        match self.0.range(..=base + 1).next_back() {
            Some((_, end)) if *end > base => *end,
            Some(_) | None => base,
        }
    }

    /// How many numbers above `base` are there up to `number`, itself included.
    #[must_use]
    pub fn rank(&self, base: u64, number: u64) -> u64 {
        let runs = self.0.range(..=number);
        runs.map(|(start, end)| {
            let (first, last) = ((*start).max(base + 1), (*end).min(number));
            (last + 1).saturating_sub(first)
        })
        .sum()
    }

    /// The gaps above `base`, as first and last number missing.
    #[must_use]
    pub fn gaps_above(&self, base: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut reached) = (Vec::new(), base);
        for (start, end) in &self.0 {
            if *start > reached + 1 {
                gaps.push((reached + 1, start - 1));
            }
            reached = reached.max(*end);
        }
        gaps
    }
}

/// The Seqs of every shard that sources hold.
#[derive(Clone, Debug)]
pub struct Present(pub Vec<Runs>);

impl Present {
    /// What is there of the shards.
    #[must_use]
    pub fn of(&self, shard: ShardId) -> &Runs {
        &self.0[shard.index()]
    }
}

/// Whether a later epoch began before this batch: then it was cut, and its Seqs were used again.
#[must_use]
pub fn is_dead(starts: &[EpochStart], batch: &Batch<'_>) -> bool {
    let epoch = batch.epoch();
    let later = starts.iter().filter(|start| start.epoch > epoch);
    later.into_iter().any(|start| batch.parts().any(|part| part.seq > start.seqs.get(part.shard)))
}

/// Says of a batch whether it may be kept.
pub type Allow<'a> = dyn Fn(&Batch<'_>) -> bool + 'a;

/// Walks the sources once: the Seqs of what is allowed, and damage that was skipped.
///
/// # Errors
/// As [`Source::walk`].
pub fn present(sources: &[Source], allow: &Allow<'_>) -> Result<(Present, Vec<String>), Fatal> {
    let mut present = Present(vec![Runs::default(); SHARDS]);
    let mut skipped = Vec::new();
    for source in sources {
        let end = source.walk(&mut |batch, _, _| {
            if allow(batch) {
                for part in batch.parts() {
                    present.0[part.shard.index()].insert(part.seq.get());
                }
            }
            Ok(())
        })?;
        skipped.extend(end.skipped);
    }
    Ok((present, skipped))
}

/// A state: everything from `base` (what a snapshot holds) to `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Up to here a snapshot has it.
    pub base: ShardSeqs,
    /// Up to here batches are kept.
    pub last: ShardSeqs,
}

impl Kept {
    /// The greatest state above `base` that the sources give, of what is allowed.
    ///
    /// # Errors
    /// As [`Source::walk`].
    pub fn prefix(
        base: ShardSeqs,
        sources: &[Source],
        present: &Present,
        allow: &Allow<'_>,
    ) -> Result<Self, Fatal> {
        let mut kept = Self { last: base.clone(), base };
        for shard in ShardId::all() {
            let reached = present.of(shard).reached_from(kept.base.get(shard).get());
            kept.last.set(shard, Seq::new(reached));
        }
        loop {
            let mut changed = false;
            for source in sources {
                source.walk(&mut |batch, _, _| {
                    changed |= allow(batch) && kept.give_up(batch);
                    Ok(())
                })?;
            }
            if !changed {
                return Ok(kept);
            }
        }
    }

    /// Ends every shard of a batch before it when one of them ends before it; whether any did not.
    fn give_up(&mut self, batch: &Batch<'_>) -> bool {
        if self.has(batch) {
            return false;
        }
        let mut changed = false;
        for part in batch.parts() {
            if part.seq <= self.last.get(part.shard) && part.seq > self.base.get(part.shard) {
                self.last.set(part.shard, Seq::new(part.seq.get() - 1));
                changed = true;
            }
        }
        changed
    }

    /// Whether it is part of the state.
    #[must_use]
    pub fn has(&self, batch: &Batch<'_>) -> bool {
        batch.parts().all(|part| part.seq <= self.last.get(part.shard))
    }

    /// Whether the snapshot has it already.
    #[must_use]
    pub fn is_in_base(&self, batch: &Batch<'_>) -> bool {
        batch.parts().all(|part| part.seq <= self.base.get(part.shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_know_their_gaps() {
        let mut runs = Runs::default();
        for number in [5, 3, 4, 9, 8, 20, 4] {
            runs.insert(number);
        }
        assert!(!runs.insert(5));
        assert_eq!(runs.0, BTreeMap::from([(3, 5), (8, 9), (20, 20)]));
        assert_eq!((runs.reached_from(2), runs.reached_from(4), runs.reached_from(0)), (5, 5, 0));
        assert_eq!((runs.reached_from(5), runs.reached_from(7)), (5, 9));
        assert_eq!(runs.gaps_above(2), [(6, 7), (10, 19)]);
        assert_eq!(runs.gaps_above(0), [(1, 2), (6, 7), (10, 19)]);
        assert_eq!(runs.gaps_above(30), []);
        assert_eq!((runs.rank(2, 5), runs.rank(3, 9), runs.rank(0, 20)), (3, 4, 6));
    }
}
