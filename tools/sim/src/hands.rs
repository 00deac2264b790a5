//! Logs into shards by several hands, as the threads of a start do it; the dice decide which hand
//! takes the next step, and so every order in which threads may meet can come up.

use std::sync::Arc;

use synap_shards::batch::Batch;
use synap_shards::recovery::{Cut, EpochStart, Hand, Moved, Pool, Stop};
use synap_shards::shard::Shard;

use crate::dice::Dice;

const HANDS: usize = 3;
/// Most batches that a hand is given at once.
const BATCHES_PER_RUN: usize = 6;

/// Merges `logs`, whole batches all of them, into `shards`.
pub(crate) fn merge<'a>(
    shards: Vec<Box<Shard>>,
    logs: impl Iterator<Item = &'a [u8]>,
    starts: &[EpochStart],
    dice: &mut Dice,
) -> (Vec<Box<Shard>>, Cut) {
    let pool = Pool::new(shards, Arc::from(starts));
    let hands = (0..HANDS).map(|_| (pool.hand(), None)).collect();
    let mut table = Table { pool, hands, logs: logs.collect() };
    let mut idle = 0;
    while table.logs.iter().any(|log| !log.is_empty()) {
        idle = if table.step(dice) { 0 } else { idle + 1 };
        // By then every hand has tried every log, unless the dice are very strange; and if not,
        // setting aside finds it out.
        if idle > 40 * HANDS * table.logs.len() {
            table.unblock();
            idle = 0;
        }
    }
    table.clear();
    let cut = table.pool.cut();
    (table.pool.into_shards(), cut)
}

struct Table<'a> {
    pool: Pool,
    /// Each hand, and the log that it works on.
    hands: Vec<(Hand, Option<usize>)>,
    /// What is left of each log.
    logs: Vec<&'a [u8]>,
}

impl Table<'_> {
    /// One step of one hand; whether anything was applied.
    fn step(&mut self, dice: &mut Dice) -> bool {
        let at = dice.below(HANDS);
        let wanted = dice.below(self.logs.len());
        let taken = self.hands.iter().any(|(_, log)| *log == Some(wanted));
        let (hand, log) = &mut self.hands[at];
        if log.is_none() && taken {
            return false;
        }
        let number = *log.get_or_insert(wanted);
        let run = run_bytes(self.logs[number], dice.between(1, BATCHES_PER_RUN));
        let (bytes, stop) = hand.apply(&self.logs[number][..run]).expect("whole batches");
        self.logs[number] = &self.logs[number][bytes..];
        let goes_on = match stop {
            Stop::Done => dice.below(3) > 0,
            Stop::Gap => false,
            Stop::Wants(shards) => self.pool.grant(hand, shards),
        };
        if goes_on {
            return bytes > 0;
        }
        *log = None;
        self.pool.take_back(hand) != Moved::Nothing || bytes > 0
    }

    /// Every hand gives back what it holds.
    fn clear(&mut self) {
        for (hand, log) in &mut self.hands {
            let _moved = self.pool.take_back(hand);
            *log = None;
        }
    }

    /// Takes the head of the first log out of the way, unless some log can go on after all.
    fn unblock(&mut self) {
        self.clear();
        let (hand, _) = &mut self.hands[0];
        assert!(self.pool.grant(hand, u64::MAX), "every hand is empty");
        let mut moved = false;
        for log in &mut self.logs {
            let (bytes, _) = hand.apply(log).expect("whole batches");
            *log = &log[bytes..];
            moved |= bytes > 0;
        }
        let _moved = self.pool.take_back(hand);
        if let Some(log) = self.logs.iter_mut().find(|log| !moved && !log.is_empty()) {
            let bytes = self.pool.set_aside(log).expect("whole batches");
            *log = &log[bytes..];
        }
    }
}

fn run_bytes(log: &[u8], batches: usize) -> usize {
    let mut rest = log;
    for _ in 0..batches {
        if let Ok((_, after)) = Batch::decode(rest) {
            rest = after;
        }
    }
    log.len() - rest.len()
}
