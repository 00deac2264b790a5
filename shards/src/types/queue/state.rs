//! A queue in memory: where its messages are, and who has them.
//!
//! A message is in one of five lots ([`Lot`]). Fresh ones, ready since they came, are known by
//! their marks in their blocks alone: a number per priority says how many there are, another from
//! where on to look. So a message that waits takes its bytes and five more, and depth costs no
//! time. Whatever has a further story stands in an ordered set of its lot as well. Ready messages
//! of one priority are delivered in the order of their numbers, returned ones among fresh ones.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{BLOCK_BYTES, Block, Lot, Mark};
use super::consumers::Consumers;
use super::id::QueueNumber;
use super::message::{CLASSES, Message};
use super::settings::Settings;

pub(super) const OWN: &str = "a queue holds what was checked";
/// Bytes that an ordered set of pairs of numbers takes for one of them, about.
const PAIR_BYTES: usize = 24;
/// Bytes that a message outside of blocks takes beside its own, about.
pub(super) const LOOSE_BYTES: usize = 48;

/// What is counted since the queue was created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Total {
    Published = 0,
    Consumed = 1,
    Acked = 2,
    Nacked = 3,
    DeadLettered = 4,
    TimedOut = 5,
}

/// Number of totals.
pub(super) const TOTALS: usize = 6;

/// Why a message is a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Reason {
    /// It failed more often than it may.
    MaxRetries = 0,
    /// A consumer did not want it.
    Rejected = 1,
    /// It waited longer than it may.
    Expired = 2,
}

impl Reason {
    pub(super) fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::MaxRetries,
            1 => Self::Rejected,
            2 => Self::Expired,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxRetries => "max_retries",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A message with a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hold {
    pub(super) consumer: u32,
    pub(super) deadline_ms: u64,
}

/// A dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dead {
    pub(super) reason: Reason,
    pub(super) at_ms: u64,
}

/// A message outside of blocks.
#[derive(Debug)]
pub(super) struct Loose {
    pub(super) bytes: Box<[u8]>,
    pub(super) mark: Mark,
}

/// Where the bytes of a message are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    Block(u64, usize),
    Loose,
}

/// Where a message is put.
#[derive(Clone, Copy, Debug)]
pub(super) enum To<'a> {
    /// It is ready.
    Ready,
    /// It is ready from then on, Unix milliseconds.
    Delayed(u64),
    /// It is with a consumer until then.
    Held(&'a [u8], u64),
    /// It is a dead letter.
    Dead(Dead),
}

/// A queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(super) incarnation: u64,
    pub(super) created_ms: u64,
    pub(super) settings: Settings,
    pub(super) next_seq: u64,
    pub(super) totals: [u64; TOTALS],
    pub(super) blocks: BTreeMap<u64, Block>,
    pub(super) loose: BTreeMap<u64, Loose>,
    pub(super) live: usize,
    /// Fresh messages of each priority, and a number before which there is none.
    pub(super) fresh: [usize; CLASSES],
    pub(super) cursors: [u64; CLASSES],
    pub(super) returned: [BTreeSet<u64>; CLASSES],
    /// By the time they are due, and that time by number.
    pub(super) delayed: BTreeSet<(u64, u64)>,
    pub(super) due_of: BTreeMap<u64, u64>,
    pub(super) held: BTreeMap<u64, Hold>,
    pub(super) deadlines: BTreeSet<(u64, u64)>,
    pub(super) consumers: Consumers,
    /// Messages that wait and may not for ever.
    pub(super) expiries: BTreeSet<(u64, u64)>,
    /// How often messages have failed, where they have.
    pub(super) failures: BTreeMap<u64, u32>,
    pub(super) dead: BTreeMap<u64, Dead>,
    pub(super) dead_order: BTreeSet<(u64, u64)>,
    /// Idempotency keys: the message each stands for, and until when.
    pub(super) keys: BTreeMap<Box<[u8]>, (u64, u64)>,
    pub(super) key_order: BTreeSet<(u64, Box<[u8]>)>,
    /// Messages that were with consumers when the server started. Not data.
    pub(super) stale: BTreeSet<u64>,
    /// No later than the next time at which something has to be done. Not data.
    pub(super) armed: Option<u64>,
    /// What was purged, for its memory to be given back.
    pub(super) grave: Option<Box<Self>>,
    pub(super) block_bytes: usize,
    pub(super) loose_bytes: usize,
    pub(super) key_bytes: usize,
}

impl Queue {
    /// Number of messages, dead letters included.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes taken from the allocator, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let returned: usize = self.returned.iter().map(BTreeSet::len).sum();
        let pairs = returned
            + 2 * self.delayed.len()
            + 3 * self.held.len()
            + self.expiries.len()
            + self.failures.len()
            + 2 * self.dead.len()
            + self.stale.len();
        let grave = self.grave.as_ref().map_or(0, |grave| grave.held_bytes());
        size_of::<Self>()
            + self.block_bytes
            + self.loose_bytes
            + self.key_bytes
            + self.consumers.held_bytes()
            + pairs * PAIR_BYTES
            + grave
    }

    /// Notes that every message with a consumer now has been so since before the start. Consumers
    /// of queues with a number have no connection that ended then: they may still acknowledge.
    pub(crate) fn mark_stale(&mut self) {
        if QueueNumber::of(self.incarnation).is_none() {
            self.stale = self.held.keys().copied().collect();
        }
        self.arm();
    }

    /// No later than the next time at which something has to be done.
    pub(crate) fn armed(&self) -> Option<u64> {
        self.armed
    }

    /// Makes [`Queue::armed`] exact.
    pub(crate) fn rearm(&mut self) {
        self.armed = self.next_due();
    }

    /// Makes [`Queue::armed`] early enough.
    pub(super) fn arm(&mut self) {
        if let Some(due) = self.next_due()
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.armed = Some(due);
        }
    }

    fn next_due(&self) -> Option<u64> {
        if !self.stale.is_empty() {
            return Some(0);
        }
        let retention = Some(self.settings.dead_retention_ms).filter(|ms| *ms > 0);
        let dead =
            self.dead_order.first().zip(retention).map(|((at, _), ms)| at.saturating_add(ms));
        let firsts = [&self.deadlines, &self.delayed, &self.expiries].map(BTreeSet::first);
        let key = self.key_order.first().map(|(until, _)| *until);
        firsts.into_iter().flatten().map(|(ms, _)| *ms).chain(dead).chain(key).min()
    }

    /// What was purged since the last call.
    pub(crate) fn take_grave(&mut self) -> Option<Box<Self>> {
        self.grave.take()
    }

    pub(super) fn spot(&self, seq: u64) -> Option<(Spot, Mark)> {
        if let Some((base, block)) = self.blocks.range(..=seq).next_back() {
            let at = usize::try_from(seq - base).ok()?;
            let mark = block.mark(at);
            if mark != Mark::GONE {
                return Some((Spot::Block(*base, at), mark));
            }
        }
        self.loose.get(&seq).map(|loose| (Spot::Loose, loose.mark))
    }

    pub(super) fn bytes_at(&self, spot: Spot, seq: u64) -> &[u8] {
        match spot {
            Spot::Block(base, at) => self.blocks[&base].message(at),
            Spot::Loose => &self.loose[&seq].bytes,
        }
    }

    /// The number behind the last one that a block has.
    pub(super) fn end(&self) -> u64 {
        self.blocks.last_key_value().map_or(0, |(base, block)| base + block.len() as u64)
    }

    pub(super) fn next_fresh(&self, class: usize, from: u64) -> Option<u64> {
        if self.fresh[class] == 0 {
            return None;
        }
        let first = self.blocks.range(..=from).next_back().map_or(from, |(base, _)| *base);
        let mark = Mark::new(Lot::Fresh, class as u8);
        self.blocks.range(first..).filter(|(_, block)| block.fresh(class) > 0).find_map(
            |(base, block)| {
                let start = usize::try_from(from.saturating_sub(*base)).ok()?;
                Some(base + block.find(start, mark)? as u64)
            },
        )
    }

    /// Adds a message, ready or due at a time (zero is now), unless it is there.
    pub(super) fn add(&mut self, seq: u64, due_ms: u64, bytes: &[u8]) {
        let is_behind = !self.blocks.is_empty() && seq < self.end();
        if (is_behind || !self.loose.is_empty()) && self.spot(seq).is_some() {
            return;
        }
        let message = Message::read(bytes).expect(OWN);
        self.next_seq = self.next_seq.max(seq + 1);
        self.live += 1;
        if message.expires_ms > 0 {
            self.expiries.insert((message.expires_ms, seq));
        }
        if is_behind {
            self.add_loose(seq, bytes, Mark::new(Lot::Returned, message.priority));
            self.returned[usize::from(message.priority)].insert(seq);
        } else {
            self.append(seq, message.priority, bytes);
        }
        if due_ms > 0 {
            self.place(seq, To::Delayed(due_ms));
        }
    }

    pub(super) fn add_loose(&mut self, seq: u64, bytes: &[u8], mark: Mark) {
        self.loose_bytes += bytes.len() + LOOSE_BYTES;
        self.loose.insert(seq, Loose { bytes: bytes.into(), mark });
    }

    /// Appends a fresh message to the last block, or to a new one.
    fn append(&mut self, seq: u64, class: u8, bytes: &[u8]) {
        let end = self.end();
        let last = self
            .blocks
            .last_key_value()
            .map(|(base, block)| (*base, block.takes(seq - end, bytes.len())));
        let base = match last {
            Some((base, true)) => base,
            Some((base, false)) => {
                self.change_block(base, Block::seal);
                self.blocks.insert(seq, Block::roomy());
                self.block_bytes += self.blocks[&seq].held_bytes();
                self.tidy(base);
                seq
            }
            None => {
                self.blocks.insert(seq, Block::default());
                self.block_bytes += self.blocks[&seq].held_bytes();
                seq
            }
        };
        let ahead = if base == seq { 0 } else { seq - end };
        self.change_block(base, |block| block.push(ahead, class, bytes));
        let class = usize::from(class);
        if self.fresh[class] == 0 {
            self.cursors[class] = seq;
        }
        self.fresh[class] += 1;
    }

    fn change_block(&mut self, base: u64, change: impl FnOnce(&mut Block)) {
        let block = self.blocks.get_mut(&base).expect("a spot names a block that is there");
        let before = block.held_bytes();
        change(block);
        self.block_bytes = self.block_bytes - before + block.held_bytes();
    }

    fn set_lot(&mut self, spot: Spot, seq: u64, lot: Lot) {
        match spot {
            Spot::Block(base, at) => self.change_block(base, |block| block.set(at, lot)),
            Spot::Loose => {
                let loose = self.loose.get_mut(&seq).expect("a spot names a message that is there");
                loose.mark = Mark::new(lot, loose.mark.class() as u8);
            }
        }
    }

    /// Takes a message out of the books of its lot.
    fn leave(&mut self, seq: u64, spot: Spot, mark: Mark) {
        let class = mark.class();
        match mark.lot() {
            Lot::Gone => {}
            Lot::Fresh => {
                if self.next_fresh(class, self.cursors[class]) == Some(seq) {
                    self.cursors[class] = seq + 1;
                }
                self.fresh[class] -= 1;
            }
            Lot::Returned => {
                self.returned[class].remove(&seq);
            }
            Lot::Delayed => {
                if let Some(due) = self.due_of.remove(&seq) {
                    self.delayed.remove(&(due, seq));
                }
            }
            Lot::Held => {
                if let Some(hold) = self.held.remove(&seq) {
                    self.deadlines.remove(&(hold.deadline_ms, seq));
                    self.consumers.take(hold.consumer);
                    self.stale.remove(&seq);
                }
                return;
            }
            Lot::Dead => {
                if let Some(dead) = self.dead.remove(&seq) {
                    self.dead_order.remove(&(dead.at_ms, seq));
                }
                return;
            }
        }
        if !self.expiries.is_empty() {
            let expires_ms = Message::read(self.bytes_at(spot, seq)).expect(OWN).expires_ms;
            self.expiries.remove(&(expires_ms, seq));
        }
    }

    /// Puts a message somewhere, wherever it is now; nothing when it is gone.
    pub(super) fn place(&mut self, seq: u64, to: To<'_>) {
        let Some((spot, mark)) = self.spot(seq) else { return };
        self.leave(seq, spot, mark);
        let lot = match to {
            To::Ready => {
                self.returned[mark.class()].insert(seq);
                Lot::Returned
            }
            To::Delayed(due) => {
                self.delayed.insert((due, seq));
                self.due_of.insert(seq, due);
                Lot::Delayed
            }
            To::Held(consumer, deadline_ms) => {
                let consumer = self.consumers.give(consumer);
                self.held.insert(seq, Hold { consumer, deadline_ms });
                self.deadlines.insert((deadline_ms, seq));
                Lot::Held
            }
            To::Dead(dead) => {
                self.dead.insert(seq, dead);
                self.dead_order.insert((dead.at_ms, seq));
                Lot::Dead
            }
        };
        self.set_lot(spot, seq, lot);
        match lot {
            Lot::Returned | Lot::Delayed => {
                let expires_ms = Message::read(self.bytes_at(spot, seq)).expect(OWN).expires_ms;
                if expires_ms > 0 {
                    self.expiries.insert((expires_ms, seq));
                }
            }
            // A dead letter stays long, and shall not hold its block.
            Lot::Dead => {
                if let Spot::Block(base, at) = spot {
                    self.uproot(base, at);
                    self.tidy(base);
                }
            }
            Lot::Gone | Lot::Fresh | Lot::Held => {}
        }
    }

    /// Sets how often a message that is there has failed.
    pub(super) fn set_failures(&mut self, seq: u64, failures: u32) {
        if failures == 0 {
            self.failures.remove(&seq);
        } else if self.spot(seq).is_some() {
            self.failures.insert(seq, failures);
        }
    }

    /// Gives a message that a consumer has more or less time.
    pub(super) fn extend(&mut self, seq: u64, deadline_ms: u64) {
        let Some(hold) = self.held.get_mut(&seq) else { return };
        self.deadlines.remove(&(hold.deadline_ms, seq));
        self.deadlines.insert((deadline_ms, seq));
        hold.deadline_ms = deadline_ms;
    }

    /// A message is done, if it was there.
    pub(super) fn remove(&mut self, seq: u64) {
        let Some((spot, mark)) = self.spot(seq) else { return };
        self.leave(seq, spot, mark);
        self.failures.remove(&seq);
        self.live -= 1;
        match spot {
            Spot::Block(base, at) => {
                self.change_block(base, |block| block.set(at, Lot::Gone));
                self.tidy(base);
            }
            Spot::Loose => self.remove_loose(seq),
        }
    }

    fn remove_loose(&mut self, seq: u64) {
        if let Some(loose) = self.loose.remove(&seq) {
            self.loose_bytes -= loose.bytes.len() + LOOSE_BYTES;
        }
    }

    /// Moves a message out of its block.
    fn uproot(&mut self, base: u64, at: usize) {
        let (seq, block) = (base + at as u64, &self.blocks[&base]);
        let mut mark = block.mark(at);
        let bytes: Box<[u8]> = block.message(at).into();
        if mark.lot() == Lot::Fresh {
            self.fresh[mark.class()] -= 1;
            self.returned[mark.class()].insert(seq);
            mark = Mark::new(Lot::Returned, mark.class() as u8);
        }
        self.change_block(base, |block| block.set(at, Lot::Gone));
        self.add_loose(seq, &bytes, mark);
    }

    /// Gives a block up that has little or nothing left. The last one is kept for what comes.
    fn tidy(&mut self, base: u64) {
        let is_last = self.blocks.last_key_value().is_some_and(|(last, _)| *last == base);
        let block = &self.blocks[&base];
        if is_last {
            if block.live() == 0 && block.held_bytes() > 2 * BLOCK_BYTES {
                self.drop_block(base);
            }
            return;
        }
        if block.live() > 0 && block.is_sparse() {
            let left: Vec<usize> = block.iter().map(|(at, _)| at).collect();
            left.into_iter().for_each(|at| self.uproot(base, at));
        }
        if self.blocks[&base].live() == 0 {
            self.drop_block(base);
        }
    }

    fn drop_block(&mut self, base: u64) {
        if let Some(block) = self.blocks.remove(&base) {
            self.block_bytes -= block.held_bytes();
        }
    }

    /// Messages from a number on, in order, with their bytes.
    pub(super) fn messages(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let mut in_blocks = self.in_blocks(from).peekable();
        let mut outside = self.outside(from).peekable();
        std::iter::from_fn(move || match (in_blocks.peek(), outside.peek()) {
            (Some((inside, _)), Some((loose, _))) if loose < inside => outside.next(),
            (Some(_), _) => in_blocks.next(),
            (None, _) => outside.next(),
        })
    }

    fn in_blocks(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.blocks.range(..=from).next_back().map_or(from, |(base, _)| *base);
        let all = self.blocks.range(first..).flat_map(|(base, block)| {
            block.iter().map(move |(at, _)| (base + at as u64, block.message(at)))
        });
        all.filter(move |(seq, _)| *seq >= from)
    }

    fn outside(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        self.loose.range(from..).map(|(seq, loose)| (*seq, &*loose.bytes))
    }
}
