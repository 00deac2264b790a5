//! The simulated disk of one log: what was appended, how much of it a commit has made durable, and
//! what a crash leaves of the rest.

use crate::dice::Dice;
use synap_shards::batch::Batch;

const SECTOR_BYTES: usize = 4096;

/// One log.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    bytes: Vec<u8>,
    /// Bytes that survive whatever happens.
    durable: usize,
    /// A commit under way: up to where, and the beat at which it completes.
    commit: Option<(usize, u64)>,
}

impl Disk {
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Replaces everything, as rewritten by a fault.
    pub(crate) fn rewrite(&mut self, bytes: Vec<u8>) {
        self.durable = bytes.len();
        self.bytes = bytes;
    }

    /// Whether no commit is under way and none is due.
    pub(crate) fn is_quiet(&self, committed: usize) -> bool {
        self.commit.is_none() && committed == self.bytes.len()
    }

    /// Starts a commit of everything appended, unless one is under way.
    pub(crate) fn start_commit(&mut self, done_at: u64) {
        if self.commit.is_none() {
            self.commit = Some((self.bytes.len(), done_at));
        }
    }

    /// The offset that a commit completed by now has reached. With `lying`, nothing is kept.
    pub(crate) fn finish_commit(&mut self, beat: u64, lying: bool) -> Option<usize> {
        let (offset, done_at) = self.commit?;
        if done_at > beat {
            return None;
        }
        self.commit = None;
        if !lying {
            self.durable = offset;
        }
        Some(offset)
    }

    /// Loses some of what is not durable: all, none, behind any byte, behind a whole sector, or
    /// with a sector missing in the middle. What is left and readable is durable from now on.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        self.commit = None;
        let loose = self.bytes.len() - self.durable;
        if loose > 0 {
            match dice.below(5) {
                0 => self.bytes.truncate(self.durable),
                1 => {}
                2 => {
                    let kept = self.durable + dice.below(loose);
                    self.bytes.truncate(kept);
                }
                3 => {
                    let kept = (self.durable + dice.below(loose)) / SECTOR_BYTES * SECTOR_BYTES;
                    self.bytes.truncate(kept.max(self.durable));
                }
                _ => {
                    let hole = self.durable + dice.below(loose);
                    let end = (hole + dice.between(1, SECTOR_BYTES)).min(self.bytes.len());
                    self.bytes[hole..end].fill(dice.draw() as u8);
                }
            }
        }
        let readable = self.bytes.len() - unreadable_tail(&self.bytes).len();
        self.bytes.truncate(readable);
        self.durable = readable;
    }
}

/// What follows the last whole batch of a run.
fn unreadable_tail(mut bytes: &[u8]) -> &[u8] {
    while let Ok((_, rest)) = Batch::decode(bytes) {
        bytes = rest;
    }
    bytes
}
