//! From logs to shards. Every log is fed in, in pieces, in its own order; batches of all logs are
//! applied in the order that the Seqs of their shards demand.
//!
//! Seqs have no gaps. So a batch is next when each of its Seqs continues its shard, whatever log it
//! lies in, and whatever core count wrote it. When no log's head is next, some batch was lost with
//! the tail of a log. Then heads are set aside, one by one, so that what lies behind them can be
//! reached: it may concern other shards, and may have been acknowledged. A batch that was set aside
//! is applied as soon as it is next after all. What is left aside at the end followed a lost batch
//! and is cut: it was never acknowledged under `fsync_mode: always`, and lies within the window of
//! loss otherwise. What survives is a prefix per shard with whole transactions.
//!
//! Memory: batches are only set aside behind a loss, so no more than logs were written after it.
//!
//! A later start may use the Seqs of what was cut again, under a higher epoch. The epoch history
//! says where each epoch began; batches of an earlier epoch beyond that point are dead.

mod merge;

pub use crate::history::{EpochStart, History, HistoryError, LogFront, Released};
pub use merge::{Hand, Moved, Pool, Stop};

use crate::batch::BatchError;
use crate::shard::Shard;

/// What was left over, and so cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// Batches whose predecessor is missing.
    pub batches: u64,
    /// Shards they concern, a bit each.
    pub shards: u64,
}

/// What [`Recovery::advance`] wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// More of this log: [`Recovery::feed`] it, or say that it has ended.
    Input(usize),
    /// Nothing; every log has ended and everything that can be applied is.
    Nothing,
}

#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Merges logs into shards, one step at a time and without threads: one [`Hand`] that takes all
/// shards of a [`Pool`], and the logs as they are fed.
#[derive(Debug)]
pub struct Recovery {
    pool: Pool,
    hand: Hand,
    logs: Vec<Log>,
}

impl Recovery {
    /// Starts from `shards` (all 64, empty or loaded), with `logs` logs to come.
    pub fn new(shards: Vec<Box<Shard>>, history: Vec<EpochStart>, logs: usize) -> Self {
        let pool = Pool::new(shards, history.into());
        let logs = (0..logs).map(|_| Log::default()).collect();
        Self { hand: pool.hand(), pool, logs }
    }

    /// Gives more of a log: a run of whole batches that follows what was given before.
    pub fn feed(&mut self, log: usize, run: &[u8]) {
        let log = &mut self.logs[log];
        assert!(!log.ended, "a log that has ended gets no more");
        log.bytes.drain(..log.at);
        log.at = 0;
        log.bytes.extend_from_slice(run);
    }

    /// Says that a log has no more.
    pub fn end(&mut self, log: usize) {
        self.logs[log].ended = true;
    }

    /// Applies whatever is next, until more input is wanted or there is nothing left to do. An
    /// error names the log whose bytes are not batches.
    pub fn advance(&mut self) -> Result<Wanted, (usize, BatchError)> {
        loop {
            let mut progress = false;
            for log in 0..self.logs.len() {
                progress |= self.drain(log).map_err(|error| (log, error))?;
                let Log { bytes, at, ended } = &self.logs[log];
                if *at == bytes.len() && !ended {
                    return Ok(Wanted::Input(log));
                }
            }
            if !progress && !self.set_head_aside()? {
                return Ok(Wanted::Nothing);
            }
        }
    }

    /// Applies the heads of one log as far as they are next; whether there was any.
    fn drain(&mut self, log: usize) -> Result<bool, BatchError> {
        let Self { pool, hand, logs } = self;
        let Log { bytes, at, .. } = &mut logs[log];
        let start = *at;
        let drained = loop {
            match hand.apply(&bytes[*at..]) {
                Ok((taken, stop)) => {
                    *at += taken;
                    let Stop::Wants(shards) = stop else { break Ok(*at > start) };
                    assert!(pool.grant(hand, shards), "nobody else holds a shard");
                }
                Err((taken, error)) => {
                    *at += taken;
                    break Err(error);
                }
            }
        };
        let _moved = pool.take_back(hand);
        drained
    }

    /// Takes the head of some log out of the way of what follows it; false when there is none. No
    /// head is next at that time.
    fn set_head_aside(&mut self) -> Result<bool, (usize, BatchError)> {
        let Some(log) = self.logs.iter().position(|log| log.at < log.bytes.len()) else {
            return Ok(false);
        };
        let Log { bytes, at, .. } = &mut self.logs[log];
        *at += self.pool.set_aside(&bytes[*at..]).map_err(|error| (log, error))?;
        Ok(true)
    }

    /// Batches applied so far.
    pub fn applied(&self) -> u64 {
        self.pool.applied()
    }

    /// Batches skipped because an epoch had ended before them.
    pub fn dead(&self) -> u64 {
        self.pool.dead()
    }

    /// Ends the recovery, after [`Wanted::Nothing`]: the shards, and what had to be cut.
    pub fn finish(self) -> (Vec<Box<Shard>>, Cut) {
        assert!(self.logs.iter().all(|log| log.at == log.bytes.len()), "every log was read");
        let cut = self.pool.cut();
        (self.pool.into_shards(), cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{PartSpec, Record, push_record, seal};
    use crate::id::{Epoch, ShardId};
    use crate::seq::Seq;
    use crate::shard::evict::AccessMode;

    /// A batch that puts a key into each of these shards, at these Seqs.
    fn batch(parts: &[(usize, u64)]) -> Vec<u8> {
        let part = |(shard, seq): &(usize, u64)| PartSpec {
            shard: ShardId::new(*shard),
            seq: Seq::new(*seq),
        };
        let parts: Vec<PartSpec> = parts.iter().map(part).collect();
        let (mut records, mut out) = (Vec::new(), Vec::new());
        for part in &parts {
            let key = format!("{}:{}", part.shard.index(), part.seq.get()).into_bytes();
            let put = Record::Put { key: &key, value: b"v", deadline_ms: None, creates: true };
            push_record(&mut records, part.shard, &put);
        }
        seal(&mut out, &parts, &records, Epoch(1), 1);
        out
    }

    fn recover(logs: &[Vec<Vec<u8>>]) -> (Vec<u64>, Cut) {
        let new = |id| Box::new(Shard::new(id, 1, AccessMode::Recency));
        let shards = ShardId::all().map(new).collect();
        let mut recovery = Recovery::new(shards, Vec::new(), logs.len());
        let mut rest: Vec<_> = logs.iter().map(|log| log.iter()).collect();
        while let Wanted::Input(log) = recovery.advance().expect("whole batches are fed") {
            match rest[log].next() {
                Some(batch) => recovery.feed(log, batch),
                None => recovery.end(log),
            }
        }
        let (shards, cut) = recovery.finish();
        (shards.iter().take(4).map(|shard| shard.seq().get()).collect(), cut)
    }

    #[test]
    fn what_lies_behind_a_cut_batch_is_not_lost() {
        // Seq 1 of shard 0 was lost with another log; shard 1 has nothing to do with it.
        let log =
            vec![batch(&[(0, 2)]), batch(&[(1, 1)]), batch(&[(0, 3), (2, 1)]), batch(&[(1, 2)])];
        let (seqs, cut) = recover(&[log]);
        assert_eq!(seqs, [0, 2, 0, 0]);
        assert_eq!(cut, Cut { batches: 2, shards: 0b101 });
    }

    #[test]
    fn what_was_set_aside_is_applied_when_it_is_next_after_all() {
        // Both heads wait for what lies behind the other one, and one of them for a lost batch.
        let left = vec![batch(&[(3, 2)]), batch(&[(1, 1)]), batch(&[(0, 1)])];
        let right = vec![batch(&[(0, 2), (1, 2)]), batch(&[(2, 1)])];
        let (seqs, cut) = recover(&[left, right]);
        assert_eq!(seqs, [2, 2, 1, 0]);
        assert_eq!(cut, Cut { batches: 1, shards: 0b1000 });
    }
}
