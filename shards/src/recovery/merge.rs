//! The merge itself, without threads of its own: a [`Pool`] of all shards, and [`Hand`]s that take
//! some of them to apply batches. Whoever has threads gives each its hand and keeps the pool under
//! a lock; whoever has none uses one hand.
//!
//! A hand applies the batches of one log as far as they are next. It stops at a batch that waits
//! for a predecessor, or that needs a shard it does not hold. Shards are granted all or none, to an
//! empty hand as well, so two hands never wait for each other's shards while holding their own.
//! Which hand works on which log, and when, makes no difference to the outcome: the Seqs decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Cut, EpochStart};
use crate::batch::{Batch, BatchError, PartSpec};
use crate::id::ShardId;
use crate::limits::{PREFETCH_MAX, SHARDS};
use crate::seq::{Seq, ShardSeqs};
use crate::shard::{Shard, ShardTable};

/// Batches set aside, each under one of its parts that is not next yet.
type Aside = BTreeMap<(ShardId, Seq), Vec<Vec<u8>>>;
type Ahead<'b> = SmallVec<[Batch<'b>; PREFETCH_MAX]>;

/// Why a hand stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Everything given is applied.
    Done,
    /// The batch at the front waits for a predecessor.
    Gap,
    /// The batch at the front needs shards that the hand does not hold; a bit each.
    Wants(u64),
}

/// What [`Pool::take_back`] found to have moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// No batch was applied.
    Nothing,
    /// The hand had applied some.
    Hand,
    /// Some that had been set aside were applied, by the hand's doing.
    Aside,
}

/// The shards that nobody works on, and what was set aside.
#[derive(Debug)]
pub struct Pool {
    shards: ShardTable,
    history: Arc<[EpochStart]>,
    aside: Aside,
    applied: u64,
    dead: u64,
}

/// Some of the shards, for applying batches to them.
#[derive(Debug)]
pub struct Hand {
    shards: ShardTable,
    history: Arc<[EpochStart]>,
    applied: u64,
    dead: u64,
}

fn bit(shard: ShardId) -> u64 {
    1 << shard.index()
}

impl Pool {
    /// A pool of `shards`: all of them, empty or loaded.
    pub fn new(shards: Vec<Box<Shard>>, history: Arc<[EpochStart]>) -> Self {
        let mut table: ShardTable = std::array::from_fn(|_| None);
        for shard in shards {
            let at = shard.id().index();
            table[at] = Some(shard);
        }
        assert!(table.iter().all(Option::is_some), "recovery starts from all {SHARDS} shards");
        Self { shards: table, history, aside: Aside::new(), applied: 0, dead: 0 }
    }

    /// A hand that holds nothing yet.
    pub fn hand(&self) -> Hand {
        let history = Arc::clone(&self.history);
        Hand { shards: std::array::from_fn(|_| None), history, applied: 0, dead: 0 }
    }

    /// Gives a hand the shards it wants (a bit each), all or none; whether it has them now.
    pub fn grant(&mut self, hand: &mut Hand, wanted: u64) -> bool {
        let wanted = || ShardId::all().filter(move |shard| wanted & bit(*shard) != 0);
        if wanted().any(|shard| self.shards[shard.index()].is_none()) {
            return false;
        }
        for shard in wanted() {
            hand.shards[shard.index()] = self.shards[shard.index()].take();
        }
        true
    }

    /// Takes everything that a hand holds, and applies what was set aside and is next by that.
    pub fn take_back(&mut self, hand: &mut Hand) -> Moved {
        let mut returned = Vec::new();
        for (home, held) in self.shards.iter_mut().zip(&mut hand.shards) {
            if let Some(shard) = held.take() {
                returned.push(shard.id());
                *home = Some(shard);
            }
        }
        let by_hand = std::mem::take(&mut hand.applied);
        self.applied += by_hand;
        self.dead += std::mem::take(&mut hand.dead);
        let before = self.applied;
        if !self.aside.is_empty() {
            self.apply_aside(returned);
        }
        match (self.applied > before, by_hand > 0) {
            (true, _) => Moved::Aside,
            (false, true) => Moved::Hand,
            (false, false) => Moved::Nothing,
        }
    }

    /// Applies what was set aside and waits for one of these shards, as far as it is next.
    fn apply_aside(&mut self, mut moved: Vec<ShardId>) {
        while let Some(shard) = moved.pop() {
            let Some(home) = &self.shards[shard.index()] else { continue };
            let waiting = (shard, Seq::ZERO)..=(shard, home.seq().next());
            let keys: Vec<_> = self.aside.range(waiting).map(|(key, _)| *key).collect();
            let ready: Vec<_> = keys.iter().filter_map(|key| self.aside.remove(key)).collect();
            for bytes in ready.into_iter().flatten() {
                let batch = again(&bytes);
                match self.obstacle(&batch) {
                    Some(part) => {
                        self.aside.entry((part.shard, part.seq)).or_default().push(bytes);
                    }
                    None => {
                        apply(&mut self.shards, &batch);
                        self.applied += 1;
                        moved.extend(batch.parts().map(|part| part.shard));
                    }
                }
            }
        }
    }

    /// A part that keeps a batch from being applied: its shard is in a hand, or not there yet.
    fn obstacle(&self, batch: &Batch<'_>) -> Option<PartSpec> {
        let away = |part: &PartSpec| self.shards[part.shard.index()].is_none();
        batch.parts().find(away).or_else(|| first_gap(&self.shards, batch))
    }

    /// Takes the batch at the front of `run` out of the way of what follows it; its length. No
    /// hand holds a shard, and the batch waits for a predecessor.
    ///
    /// # Errors
    /// The bytes are not a batch.
    pub fn set_aside(&mut self, run: &[u8]) -> Result<usize, BatchError> {
        assert!(self.shards.iter().all(Option::is_some), "every hand has been emptied");
        let (batch, _) = Batch::decode(run)?;
        let gap = first_gap(&self.shards, &batch).expect("the batch waits for a predecessor");
        self.aside.entry((gap.shard, gap.seq)).or_default().push(batch.bytes().to_vec());
        Ok(batch.bytes().len())
    }

    /// Where each shard has come to. Every hand is empty.
    pub fn seqs(&self) -> ShardSeqs {
        let mut seqs = ShardSeqs::zero();
        for shard in self.shards.iter().flatten() {
            seqs.set(shard.id(), shard.seq());
        }
        seqs
    }

    /// Keys in all shards. Every hand is empty.
    pub fn key_count(&self) -> usize {
        self.shards.iter().flatten().map(|shard| shard.key_count()).sum()
    }

    /// Batches applied so far, by hands that were taken back.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Batches skipped because an epoch had ended before them.
    pub fn dead(&self) -> u64 {
        self.dead
    }

    /// What is left aside.
    pub fn cut(&self) -> Cut {
        let mut cut = Cut::default();
        for bytes in self.aside.values().flatten() {
            cut.batches += 1;
            cut.shards |= again(bytes).parts().fold(0, |mask, part| mask | bit(part.shard));
        }
        cut
    }

    /// Ends the merge: the shards. Every hand is empty.
    pub fn into_shards(self) -> Vec<Box<Shard>> {
        let shards: Vec<_> = self.shards.into_iter().flatten().collect();
        assert_eq!(shards.len(), SHARDS, "every hand has been emptied");
        shards
    }
}

impl Hand {
    /// Applies the batches of `run`, a run of whole batches whose bytes are known to be sound, as
    /// far as they are next; the bytes they take, and why it stopped.
    ///
    /// # Errors
    /// The bytes at the place it stopped at are not a batch; what precedes them was applied.
    pub fn apply(&mut self, run: &[u8]) -> Result<(usize, Stop), (usize, BatchError)> {
        let mut at = 0;
        loop {
            let (ahead, stop) = self.look_ahead(&run[at..]);
            if ahead.is_empty() {
                return stop.map(|stop| (at, stop)).map_err(|error| (at, error));
            }
            for batch in ahead {
                if self.is_dead(&batch) {
                    self.dead += 1;
                } else if first_gap(&self.shards, &batch).is_none() {
                    apply(&mut self.shards, &batch);
                    self.applied += 1;
                } else {
                    return Ok((at, Stop::Gap));
                }
                at += batch.bytes().len();
            }
        }
    }

    /// Decodes the next batches, and asks for the memory that applying them will read, so that
    /// their cache misses overlap. Says also what ends them.
    fn look_ahead<'b>(&self, mut bytes: &'b [u8]) -> (Ahead<'b>, Result<Stop, BatchError>) {
        let mut ahead = Ahead::new();
        let mut places = SmallVec::<[(&Shard, u64); PREFETCH_MAX]>::new();
        let mut stop = Ok(Stop::Done);
        while !bytes.is_empty() && ahead.len() < PREFETCH_MAX {
            let (batch, rest) = match Batch::decode_sound(bytes) {
                Ok(decoded) => decoded,
                Err(error) => {
                    stop = Err(error);
                    break;
                }
            };
            let missing = self.missing(&batch);
            if missing != 0 && !self.is_dead(&batch) {
                stop = Ok(Stop::Wants(missing));
                break;
            }
            if let Some((id, record)) = batch.records().next()
                && let Some(shard) = self.shards[id.index()].as_deref()
            {
                places.push((shard, shard.prefetch_index(record.key())));
            }
            ahead.push(batch);
            bytes = rest;
        }
        for (shard, hash) in places {
            shard.prefetch_entry(hash);
        }
        (ahead, stop)
    }

    fn missing(&self, batch: &Batch<'_>) -> u64 {
        let absent = |part: &PartSpec| self.shards[part.shard.index()].is_none();
        batch.parts().filter(absent).fold(0, |mask, part| mask | bit(part.shard))
    }

    fn is_dead(&self, batch: &Batch<'_>) -> bool {
        let epoch = batch.epoch();
        self.history
            .iter()
            .filter(|start| start.epoch > epoch)
            .any(|start| batch.parts().any(|part| part.seq > start.seqs.get(part.shard)))
    }
}

fn again(bytes: &[u8]) -> Batch<'_> {
    Batch::decode(bytes).expect("it was decoded when it was set aside").0
}

/// The first part that neither continues its shard nor is in it already.
fn first_gap(shards: &ShardTable, batch: &Batch<'_>) -> Option<PartSpec> {
    batch.parts().find(|part| {
        let shard = shards[part.shard.index()].as_deref().expect("all its shards are here");
        part.seq > shard.seq().next()
    })
}

fn apply(shards: &mut ShardTable, batch: &Batch<'_>) {
    for part in batch.parts() {
        let shard = shards[part.shard.index()].as_deref_mut().expect("all its shards are here");
        if part.seq > shard.seq() {
            shard.replay(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Record, push_record, seal};
    use crate::id::Epoch;
    use crate::recovery::{Recovery, Wanted};
    use crate::rng::Rng;
    use crate::shard::evict::AccessMode;

    const SPREAD: usize = 5;

    fn batch(seqs: &mut [u64; SPREAD], rng: &mut Rng) -> Vec<u8> {
        let first = rng.below(SPREAD);
        let last = if rng.below(3) == 0 { SPREAD.min(first + 3) } else { first + 1 };
        let (mut parts, mut records, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for (at, seq) in seqs.iter_mut().enumerate().take(last).skip(first) {
            *seq += 1;
            let part = PartSpec { shard: ShardId::new(at), seq: Seq::new(*seq) };
            let key = format!("{at}:{}", *seq % 50).into_bytes();
            let value = seq.to_string().into_bytes();
            let creates = *seq <= 50;
            let put = Record::Put { key: &key, value: &value, deadline_ms: None, creates };
            push_record(&mut records, part.shard, &put);
            parts.push(part);
        }
        seal(&mut out, &parts, &records, Epoch(1), 1);
        out
    }

    fn shards() -> Vec<Box<Shard>> {
        ShardId::all().map(|id| Box::new(Shard::new(id, 1, AccessMode::Recency))).collect()
    }

    /// What shards hold, in an order of its own.
    fn content(shards: &[Box<Shard>]) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
        let mut all = Vec::new();
        for shard in shards {
            let mut position = Some(0);
            while let Some(at) = position {
                position = shard.walk(at, |entry| {
                    let stamp = entry.stamp().get();
                    all.push((entry.key().to_vec(), entry.image(), stamp));
                });
            }
        }
        all.sort();
        all
    }

    fn serially(logs: &[Vec<u8>]) -> (Vec<Box<Shard>>, Cut) {
        let mut recovery = Recovery::new(shards(), Vec::new(), logs.len());
        for (number, log) in logs.iter().enumerate() {
            recovery.feed(number, log);
            recovery.end(number);
        }
        assert_eq!(recovery.advance(), Ok(Wanted::Nothing));
        recovery.finish()
    }

    /// A hand per log, in a random order; each gives back what it has when it cannot go on, and
    /// sometimes when it could.
    fn by_hands(logs: &[Vec<u8>], rng: &mut Rng) -> (Vec<Box<Shard>>, Cut) {
        let mut pool = Pool::new(shards(), Arc::new([]));
        let mut rest: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let mut hands: Vec<Hand> = rest.iter().map(|_| pool.hand()).collect();
        while rest.iter().any(|log| !log.is_empty()) {
            let mut idle = 0;
            while idle < 60 {
                let at = rng.below(rest.len());
                let (taken, stop) = hands[at].apply(rest[at]).expect("whole batches");
                rest[at] = &rest[at][taken..];
                idle = if taken > 0 { 0 } else { idle + 1 };
                match stop {
                    Stop::Wants(wanted) if pool.grant(&mut hands[at], wanted) => {}
                    Stop::Done if rng.below(2) == 0 => {}
                    Stop::Wants(_) | Stop::Gap | Stop::Done => {
                        let moved = pool.take_back(&mut hands[at]);
                        idle = if moved == Moved::Aside { 0 } else { idle };
                    }
                }
            }
            for hand in &mut hands {
                let _moved = pool.take_back(hand);
            }
            assert!(pool.grant(&mut hands[0], u64::MAX), "every hand is empty");
            let stuck = rest.iter().all(|log| log.is_empty() || waits(&mut hands[0], log));
            let _moved = pool.take_back(&mut hands[0]);
            if let Some(log) = rest.iter_mut().find(|log| stuck && !log.is_empty()) {
                let taken = pool.set_aside(log).expect("whole batches");
                *log = &log[taken..];
            }
        }
        let cut = pool.cut();
        (pool.into_shards(), cut)
    }

    /// Whether the head of a log is not next; nothing is applied.
    fn waits(hand: &mut Hand, log: &[u8]) -> bool {
        let (batch, _) = Batch::decode(log).expect("whole batches");
        first_gap(&hand.shards, &batch).is_some()
    }

    #[test]
    fn many_hands_bring_what_one_brings() {
        for seed in 0..24 {
            let mut rng = Rng::new(seed);
            let mut seqs = [0; SPREAD];
            let mut logs = vec![Vec::new(); 3];
            for _ in 0..300 {
                let bytes = batch(&mut seqs, &mut rng);
                let log = rng.below(logs.len());
                // With most seeds some batches are lost.
                if seed % 3 == 0 || rng.below(100) > 0 {
                    logs[log].extend_from_slice(&bytes);
                }
            }
            let (one, cut_by_one) = serially(&logs);
            let (many, cut_by_many) = by_hands(&logs, &mut rng);
            assert_eq!(cut_by_one, cut_by_many, "seed {seed}");
            assert!(seed % 3 > 0 || cut_by_one.batches == 0, "seed {seed}");
            assert_eq!(content(&one), content(&many), "seed {seed}");
            assert!(one.iter().zip(&many).all(|(one, many)| one.seq() == many.seq()));
        }
    }

    #[test]
    fn shards_are_granted_all_or_none() {
        let mut pool = Pool::new(shards(), Arc::new([]));
        let (mut left, mut right) = (pool.hand(), pool.hand());
        assert!(pool.grant(&mut left, 0b011));
        assert!(!pool.grant(&mut right, 0b110));
        assert!(pool.grant(&mut right, 0b100));
        assert_eq!(pool.take_back(&mut left), Moved::Nothing);
        assert!(pool.grant(&mut right, 0b010));
    }
}
