//! Emptying a queue: what is purged goes to a grave in one piece, what stays is moved; idempotency
//! keys; and giving memory back in slices.

use super::block::{Lot, Mark};
use super::message::Message;
use super::state::{LOOSE_BYTES, OWN, Queue, To};

/// Bytes that an idempotency key takes beside its own, about.
const KEY_BYTES: usize = 96;

impl Queue {
    /// Every message before `end` is gone but for those that stay.
    pub(super) fn purge(&mut self, end: u64, stay: impl Iterator<Item = u64>) {
        let mut old = Box::new(std::mem::take(self));
        self.incarnation = old.incarnation;
        (self.created_ms, self.settings) = (old.created_ms, old.settings);
        (self.next_seq, self.totals, self.armed) = (old.next_seq.max(end), old.totals, old.armed);
        self.keys = std::mem::take(&mut old.keys);
        self.key_order = std::mem::take(&mut old.key_order);
        self.key_bytes = std::mem::take(&mut old.key_bytes);
        let later = old.seqs(end);
        for seq in stay.filter(|seq| *seq < end).chain(later) {
            self.adopt(&old, seq);
        }
        self.grave = Some(old);
    }

    /// Numbers of the messages from one on.
    fn seqs(&self, from: u64) -> Vec<u64> {
        let first = self.blocks.range(..=from).next_back().map_or(from, |(base, _)| *base);
        let blocks = self
            .blocks
            .range(first..)
            .flat_map(|(base, block)| block.iter().map(move |(at, _)| base + at as u64));
        let loose = self.loose.range(from..).map(|(seq, _)| *seq);
        blocks.filter(|seq| *seq >= from).chain(loose).collect()
    }

    /// Takes a message over from what this queue was.
    fn adopt(&mut self, old: &Self, seq: u64) {
        let Some((spot, mark)) = old.spot(seq) else { return };
        if self.spot(seq).is_some() {
            return;
        }
        let bytes = old.bytes_at(spot, seq);
        let expires_ms = Message::read(bytes).expect(OWN).expires_ms;
        self.live += 1;
        self.add_loose(seq, bytes, Mark::new(Lot::Returned, mark.class() as u8));
        self.returned[mark.class()].insert(seq);
        if expires_ms > 0 {
            self.expiries.insert((expires_ms, seq));
        }
        self.set_failures(seq, old.failures(seq));
        if let Some(hold) = old.hold(seq) {
            self.place(seq, To::Held(old.consumers.name(hold.consumer), hold.deadline_ms));
            if old.stale.contains(&seq) {
                self.stale.insert(seq);
            }
        } else if let Some(due) = old.due(seq) {
            self.place(seq, To::Delayed(due));
        } else if let Some(dead) = old.dead(seq) {
            self.place(seq, To::Dead(dead));
        }
    }

    /// An idempotency key stands for a message until then.
    pub(super) fn set_key(&mut self, key: &[u8], seq: u64, until_ms: u64) {
        match self.keys.insert(key.into(), (seq, until_ms)) {
            Some((_, before)) => {
                self.key_order.remove(&(before, key.into()));
            }
            None => self.key_bytes += 2 * key.len() + KEY_BYTES,
        }
        self.key_order.insert((until_ms, key.into()));
    }

    /// Forgets the idempotency keys that stand for nothing after this time.
    pub(super) fn forget_keys(&mut self, through_ms: u64) {
        while self.key_order.first().is_some_and(|(until, _)| *until <= through_ms)
            && let Some((_, key)) = self.key_order.pop_first()
        {
            self.keys.remove(&key);
            self.key_bytes -= 2 * key.len() + KEY_BYTES;
        }
    }

    /// Gives memory of about `budget` messages back; true when nothing is left.
    pub(super) fn release(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0
            && let Some((_, block)) = self.blocks.pop_first()
        {
            self.block_bytes -= block.held_bytes();
            left = left.saturating_sub(block.len().max(1));
        }
        let sets = self.returned.iter_mut().chain([&mut self.stale]);
        for set in sets {
            while left > 0 && set.pop_first().is_some() {
                left -= 1;
            }
        }
        for set in
            [&mut self.delayed, &mut self.deadlines, &mut self.expiries, &mut self.dead_order]
        {
            while left > 0 && set.pop_first().is_some() {
                left -= 1;
            }
        }
        while left > 0
            && let Some((_, loose)) = self.loose.pop_first()
        {
            self.loose_bytes -= loose.bytes.len() + LOOSE_BYTES;
            left -= 1;
        }
        while left > 0
            && (self.due_of.pop_first().is_some()
                || self.held.pop_first().is_some()
                || self.failures.pop_first().is_some()
                || self.dead.pop_first().is_some()
                || self.keys.pop_first().is_some()
                || self.key_order.pop_first().is_some())
        {
            left -= 1;
        }
        left > 0
    }
}
