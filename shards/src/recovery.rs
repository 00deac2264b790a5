//! From logs to shards. Every log is fed in, in pieces, in its own order; batches of all logs are
//! applied in the order that the Seqs of their shards demand.
//!
//! Seqs have no gaps. So a batch is next when each of its Seqs continues its shard, whatever log it
//! lies in, and whatever core count wrote it. When no log's head is next, what is left followed a
//! batch that was lost with a log's tail, and is cut: it was never acknowledged under
//! `fsync_mode: always`, and lies within the window of loss otherwise. What survives is a prefix
//! per shard with whole transactions.
//!
//! A later start may use the Seqs of what was cut again, under a higher epoch. The epoch history
//! says where each epoch began; batches of an earlier epoch beyond that point are dead.

use crate::batch::{Batch, BatchError};
use crate::id::{Epoch, ShardId};
use crate::limits::SHARDS;
use crate::seq::ShardSeqs;
use crate::shard::{Shard, ShardTable};

/// Where an epoch began: the last Seq of each shard that it took over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: Epoch,
    /// What it continued from.
    pub seqs: ShardSeqs,
}

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

/// Merges logs into shards.
#[derive(Debug)]
pub struct Recovery {
    shards: ShardTable,
    history: Vec<EpochStart>,
    logs: Vec<Log>,
    applied: u64,
    dead: u64,
}

impl Recovery {
    /// Starts from `shards` (all 64, empty or loaded), with `logs` logs to come.
    pub fn new(shards: Vec<Box<Shard>>, history: Vec<EpochStart>, logs: usize) -> Self {
        let mut table: ShardTable = std::array::from_fn(|_| None);
        for shard in shards {
            let at = shard.id().index();
            table[at] = Some(shard);
        }
        assert!(table.iter().all(Option::is_some), "recovery starts from all {SHARDS} shards");
        let logs = (0..logs).map(|_| Log::default()).collect();
        Self { shards: table, history, logs, applied: 0, dead: 0 }
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
            if !progress {
                return Ok(Wanted::Nothing);
            }
        }
    }

    /// Applies the heads of one log as far as they are next; whether there was any.
    fn drain(&mut self, log: usize) -> Result<bool, BatchError> {
        let Log { bytes, at, .. } = &mut self.logs[log];
        let start = *at;
        while *at < bytes.len() {
            let (batch, rest) = Batch::decode(&bytes[*at..])?;
            if is_dead(&self.history, &batch) {
                self.dead += 1;
            } else if is_next(&self.shards, &batch) {
                apply(&mut self.shards, &batch);
                self.applied += 1;
            } else {
                break;
            }
            *at = bytes.len() - rest.len();
        }
        Ok(*at > start)
    }

    /// Batches applied so far.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Batches skipped because an epoch had ended before them.
    pub fn dead(&self) -> u64 {
        self.dead
    }

    /// Ends the recovery: the shards, and what had to be cut.
    pub fn finish(self) -> Result<(Vec<Box<Shard>>, Cut), BatchError> {
        let mut cut = Cut::default();
        for log in &self.logs {
            let mut rest = &log.bytes[log.at..];
            while !rest.is_empty() {
                let (batch, after) = Batch::decode(rest)?;
                cut.batches += 1;
                cut.shards |= batch.parts().fold(0, |mask, part| mask | 1 << part.shard.index());
                rest = after;
            }
        }
        Ok((self.shards.into_iter().flatten().collect(), cut))
    }
}

fn is_dead(history: &[EpochStart], batch: &Batch<'_>) -> bool {
    let epoch = batch.epoch();
    history
        .iter()
        .filter(|start| start.epoch > epoch)
        .any(|start| batch.parts().any(|part| part.seq > start.seqs.get(part.shard)))
}

fn shard(shards: &ShardTable, id: ShardId) -> &Shard {
    shards[id.index()].as_deref().expect("recovery holds all shards")
}

/// Whether each part continues its shard, or is in it already.
fn is_next(shards: &ShardTable, batch: &Batch<'_>) -> bool {
    batch.parts().all(|part| part.seq <= shard(shards, part.shard).seq().next())
}

fn apply(shards: &mut ShardTable, batch: &Batch<'_>) {
    for part in batch.parts() {
        let shard = shards[part.shard.index()].as_deref_mut().expect("recovery holds all shards");
        if part.seq > shard.seq() {
            shard.replay(batch);
        }
    }
}
