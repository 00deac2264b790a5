//! `synap-server restore`: a new data directory of a backup, or of a data directory, as it was at a
//! moment.
//!
//! A moment is a time or a Seq:
//!
//! - A time keeps the batches whose own time is not later. The clock may have gone back: a batch
//!   that follows a later one in its shard is left out with it.
//! - `SHARD:SEQ` keeps the shard up to that Seq, and of the others everything that does not follow
//!   from what is left out. Several are given with commas between.
//!
//! Either way the result is what a crash could have left: a prefix per shard with whole
//! transactions.
//!
//! The newest snapshot that does not reach beyond the moment is taken as it is, and of the logs
//! what lies behind it.

use std::fmt;
use std::path::Path;

use synap_io::snapshot::{self, Index, SnapshotName};
use synap_io::wal::ReadOptions;
use synap_shards::batch::Batch;
use synap_shards::id::{Epoch, ShardId};
use synap_shards::limits::SHARDS;
use synap_shards::recovery::{EpochStart, History};
use synap_shards::seq::{Seq, ShardSeqs};

use super::files::{Files, Source};
use super::keep::{self, Kept, Present};
use super::rebuild::{Rebuild, verify_part};
use super::{index, time};
use crate::fatal::Fatal;

/// How far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything.
    End,
    /// Batches up to this time, Unix milliseconds.
    Time(u64),
    /// These shards up to these Seqs.
    Seqs(Vec<(ShardId, Seq)>),
}

impl Until {
    /// Reads a moment.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, UntilError> {
        if let Some(moment) = time::parse(text) {
            return Ok(Self::Time(moment));
        }
        let part = |text: &str| {
            let (shard, seq) = text.split_once(':')?;
            let seq = seq.parse().ok().filter(|seq| *seq <= Seq::MAX.get())?;
            Some((ShardId::checked(shard.parse().ok()?)?, Seq::new(seq)))
        };
        let parts: Option<Vec<_>> = text.split(',').map(part).collect();
        parts.map(Self::Seqs).ok_or_else(|| UntilError { found: text.to_owned() })
    }

    fn allows(&self, batch: &Batch<'_>) -> bool {
        match self {
            Self::End => true,
            Self::Time(moment) => batch.time_ms() <= *moment,
            Self::Seqs(ends) => batch.parts().all(|part| {
                ends.iter().all(|(shard, seq)| part.shard != *shard || part.seq <= *seq)
            }),
        }
    }

    /// Whether a snapshot that began then, at these Seqs, can be of use.
    fn may_begin_at(&self, index: &Index) -> bool {
        match self {
            Self::End => true,
            Self::Time(moment) => index.created_ms <= *moment,
            Self::Seqs(ends) => {
                ends.iter().all(|(shard, seq)| index.shards[shard.index()].end <= *seq)
            }
        }
    }
}

/// A text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntilError {
    found: String,
}

impl fmt::Display for UntilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a time (2026-11-21T08:30:00Z, or seconds since 1970) or SHARD:SEQ with a \
             shard below {SHARDS}, found {:?}",
            self.found
        )
    }
}

impl std::error::Error for UntilError {}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The snapshot it is based on, if any.
    pub snapshot: Option<String>,
    /// Keys in it.
    pub keys: usize,
    /// Batches behind the snapshot.
    pub batches: u64,
    /// Time of the last of them, Unix milliseconds.
    pub last_ms: Option<u64>,
    /// Batches that are up to the moment, but follow something that is not there.
    pub orphans: u64,
    /// Snapshots that could not be used, and why.
    pub unusable: Vec<String>,
}

/// Restores `from` to the new directory `to`.
///
/// # Errors
/// [`Fatal::Moment`] when there is no state for it, damage, or what the system said.
pub fn run(from: &Files, to: &Path, until: &Until) -> Result<Restored, Fatal> {
    index::verify_if_backup(&from.root)?;
    let rebuild = Rebuild::begin(to)?;
    let history = from.history()?.unwrap_or_else(History::empty);
    let choice = Choice::make(from, until, &history);
    let choice = match choice {
        Ok(choice) => choice,
        Err(error) => {
            rebuild.abandon();
            return Err(error);
        }
    };
    choice.write(rebuild, from, &history)
}

/// A state that was chosen.
struct Choice<'a> {
    until: &'a Until,
    base: Option<Index>,
    logs: Vec<Source>,
    kept: Kept,
    unusable: Vec<String>,
}

impl<'a> Choice<'a> {
    fn make(from: &Files, until: &'a Until, history: &History) -> Result<Self, Fatal> {
        let logs = from.log_sources(ReadOptions::default())?;
        let mut unusable = Vec::new();
        for name in from.snapshot_names()? {
            match upon(from, until, history, &logs, name) {
                Ok((base, kept)) => {
                    return Ok(Self { until, base: Some(base), logs, kept, unusable });
                }
                Err(Fatal::Moment { what }) => unusable.push(format!("{name}: {what}")),
                Err(fatal @ Fatal::Corrupt { .. }) => {
                    unusable.push(format!("{name}: {}", fatal.what()));
                }
                Err(other) => return Err(other),
            }
        }
        let kept = from_nothing(until, history, &logs, &unusable)?;
        Ok(Self { until, base: None, logs, kept, unusable })
    }

    fn write(
        self,
        mut rebuild: Rebuild,
        from: &Files,
        history: &History,
    ) -> Result<Restored, Fatal> {
        let epoch = epoch_of(history, self.base.as_ref());
        if let Some(base) = &self.base {
            rebuild.copy_snapshot(from, base)?;
        }
        if let Some(what) = rebuild.copy_events(from)?.into_iter().next() {
            rebuild.abandon();
            return Err(Fatal::Corrupt { path: from.events.clone(), offset: None, what });
        }
        if let Err(error) = rebuild.copy_access(from) {
            rebuild.abandon();
            return Err(error);
        }
        let Self { until, kept, .. } = &self;
        let (mut last_ms, mut orphans, mut highest) = (None, 0, epoch);
        let batches = rebuild.write_logs(&self.logs, epoch, &mut |batch, out| {
            if !until.allows(batch) || keep::is_dead(&history.starts, batch) {
                return;
            }
            highest = highest.max(batch.epoch());
            if !kept.has(batch) {
                orphans += 1;
            } else if !kept.is_in_base(batch) {
                last_ms = last_ms.max(Some(batch.time_ms()));
                out.extend_from_slice(batch.bytes());
            }
        })?;
        let keys = rebuild.finish(highest, self.base.as_ref())?;
        let snapshot = self.base.map(|index| index.name().to_string());
        Ok(Restored { snapshot, keys, batches, last_ms, orphans, unusable: self.unusable })
    }
}

/// The epoch of everything that is written anew: at least that of everything that is kept.
pub(super) fn epoch_of(history: &History, base: Option<&Index>) -> Epoch {
    history.epoch.max(Epoch(base.map_or(1, |index| index.epoch)))
}

/// The state on a snapshot. [`Fatal::Moment`] or [`Fatal::Corrupt`] mean that it is not this one.
fn upon(
    from: &Files,
    until: &Until,
    history: &History,
    logs: &[Source],
    name: SnapshotName,
) -> Result<(Index, Kept), Fatal> {
    let beyond = || Fatal::Moment { what: "it reaches beyond the moment".to_owned() };
    let index = Index::load(&from.snapshots, name)?;
    if !until.may_begin_at(&index) {
        return Err(beyond());
    }
    check_epoch(&history.starts, &index)?;
    verify(from, &index)?;
    let mut sources = from.tail_sources(&index);
    let tails = sources.len();
    sources.extend_from_slice(logs);
    let allow = |batch: &Batch<'_>| until.allows(batch) && !keep::is_dead(&history.starts, batch);
    let (present, _) = keep::present(&sources, &allow)?;
    let kept = Kept::prefix(index.starts(), &sources, &present, &allow)?;
    let short = |(shard, image): (ShardId, &snapshot::ShardImage)| kept.last.get(shard) < image.end;
    let mut whole = !ShardId::all().zip(&index.shards).any(short);
    for tail in &sources[..tails] {
        // It is copied as it is, so nothing in it may lie beyond the moment. What follows a batch
        // that no log has is cut by every start.
        tail.walk(&mut |batch, _, _| {
            whole &= until.allows(batch);
            Ok(())
        })?;
    }
    if whole { Ok((index, kept)) } else { Err(beyond()) }
}

/// A snapshot of an earlier epoch must not go beyond what a later epoch took over.
fn check_epoch(starts: &[EpochStart], index: &Index) -> Result<(), Fatal> {
    let beyond = |start: &EpochStart| {
        let mut ends = ShardId::all().zip(&index.shards);
        start.epoch.0 > index.epoch && ends.any(|(shard, image)| image.end > start.seqs.get(shard))
    };
    if starts.iter().any(beyond) {
        let what = "a later start did not take over all of it".to_owned();
        return Err(Fatal::Moment { what });
    }
    Ok(())
}

/// Reads all parts of a snapshot.
///
/// # Errors
/// The first that is damaged.
pub(super) fn verify(files: &Files, index: &Index) -> Result<(), Fatal> {
    for (id, facts) in index.parts().filter(|(_, facts)| facts.blocks > 0) {
        let path = index.name().part_path(&files.snapshots, id.kind, id.number);
        verify_part(&path, &id, Some(facts))?;
    }
    Ok(())
}

/// The state on nothing, which the logs give if they reach back to the very first batch.
fn from_nothing(
    until: &Until,
    history: &History,
    logs: &[Source],
    unusable: &[String],
) -> Result<Kept, Fatal> {
    let alive = |batch: &Batch<'_>| !keep::is_dead(&history.starts, batch);
    let (all, _) = keep::present(logs, &alive)?;
    if !reaches_back(&all, &history.released.seqs) {
        let mut what = "the logs do not reach back to the beginning, and no snapshot gives that \
                        moment"
            .to_owned();
        for reason in unusable {
            what.push_str("\n  ");
            what.push_str(reason);
        }
        return Err(Fatal::Moment { what });
    }
    let allow = |batch: &Batch<'_>| until.allows(batch) && alive(batch);
    let (present, _) = keep::present(logs, &allow)?;
    Kept::prefix(ShardSeqs::zero(), logs, &present, &allow)
}

fn reaches_back(all: &Present, released: &ShardSeqs) -> bool {
    ShardId::all().all(|shard| {
        let runs = all.of(shard);
        let first_missing = runs.gaps_above(0).first().map(|gap| gap.0);
        first_missing != Some(1) && runs.reached_from(0) >= released.get(shard).get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_seqs() {
        assert_eq!(Until::parse("1700000000"), Ok(Until::Time(1_700_000_000_000)));
        assert_eq!(Until::parse("1970-01-01T00:00:01Z"), Ok(Until::Time(1000)));
        let seqs = vec![(ShardId::new(3), Seq::new(70)), (ShardId::new(63), Seq::ZERO)];
        assert_eq!(Until::parse("3:70,63:0"), Ok(Until::Seqs(seqs)));
        for bad in ["", "64:1", "3:", "3:281474976710656", "x", "3:1,", "-3:1"] {
            assert!(Until::parse(bad).is_err(), "{bad}");
        }
    }
}
