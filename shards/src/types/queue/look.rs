//! What can be asked of a queue.

use std::collections::BTreeSet;

use super::message::{CLASSES, Message};
use super::state::{Dead, Hold, OWN, Queue};

impl Queue {
    /// Whether a message was with a consumer when the server started, and still is.
    pub(super) fn is_stale(&self, seq: u64) -> bool {
        self.stale.contains(&seq)
    }

    /// Whether a message is ready.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready_count() > 0
    }

    /// Idempotency keys that are remembered.
    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Messages that are ready.
    pub(super) fn ready_count(&self) -> usize {
        self.fresh.iter().sum::<usize>() + self.returned.iter().map(BTreeSet::len).sum::<usize>()
    }

    /// Messages that are not to be delivered yet.
    pub(super) fn delayed_count(&self) -> usize {
        self.delayed.len()
    }

    /// Messages with consumers.
    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// Dead letters.
    pub(super) fn dead_count(&self) -> usize {
        self.dead.len()
    }

    /// Who has a message, and until when.
    pub(super) fn hold(&self, seq: u64) -> Option<Hold> {
        self.held.get(&seq).copied()
    }

    /// Why and when a message became a dead letter.
    pub(super) fn dead(&self, seq: u64) -> Option<Dead> {
        self.dead.get(&seq).copied()
    }

    /// When a message is due that is not to be delivered yet.
    pub(super) fn due(&self, seq: u64) -> Option<u64> {
        self.due_of.get(&seq).copied()
    }

    /// How often a message has failed.
    pub(super) fn failures(&self, seq: u64) -> u32 {
        if self.failures.is_empty() { 0 } else { self.failures.get(&seq).copied().unwrap_or(0) }
    }

    /// A message that is not gone.
    pub(super) fn message(&self, seq: u64) -> Option<Message<'_>> {
        let (spot, _) = self.spot(seq)?;
        Some(Message::read(self.bytes_at(spot, seq)).expect(OWN))
    }

    /// Numbers of ready messages in the order of delivery.
    pub(super) fn ready(&self) -> impl Iterator<Item = u64> + '_ {
        (0..CLASSES).rev().flat_map(|class| self.ready_of(class))
    }

    fn ready_of(&self, class: usize) -> impl Iterator<Item = u64> + '_ {
        let mut returned = self.returned[class].iter().copied().peekable();
        let mut fresh = self.next_fresh(class, self.cursors[class]);
        std::iter::from_fn(move || match (returned.peek().copied(), fresh) {
            (Some(again), next) if next.is_none_or(|next| again < next) => returned.next(),
            (_, Some(seq)) => {
                fresh = self.next_fresh(class, seq + 1);
                Some(seq)
            }
            (_, None) => None,
        })
    }

    /// Messages with consumers by their deadlines, the nearest first.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.deadlines.iter().copied()
    }

    /// Messages that are not to be delivered yet, by when they are due.
    pub(super) fn delayed(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.delayed.iter().copied()
    }

    /// Messages that wait, by when they may not any more.
    pub(super) fn expiries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.expiries.iter().copied()
    }

    /// Dead letters by the time of their death.
    pub(super) fn dead_letters(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.dead_order.iter().copied()
    }

    /// Numbers of messages with consumers.
    pub(super) fn held_seqs(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.keys().copied()
    }

    /// Messages that consumers had when the server started, and still have.
    pub(super) fn stale(&self) -> impl Iterator<Item = u64> + '_ {
        self.stale.iter().copied()
    }

    /// Idempotency keys with the message each stands for, by the time until which it does.
    pub(super) fn keys(&self, from_ms: u64) -> impl Iterator<Item = (u64, &[u8], u64)> + '_ {
        let from: (u64, Box<[u8]>) = (from_ms, Box::default());
        self.key_order.range(from..).map(|(until, key)| {
            let seq = self.keys.get(key).map_or(0, |(seq, _)| *seq);
            (*until, &**key, seq)
        })
    }

    /// The message that an idempotency key stands for at this time.
    pub(super) fn keyed(&self, key: &[u8], now_ms: u64) -> Option<u64> {
        let (seq, until_ms) = self.keys.get(key)?;
        (*until_ms > now_ms).then_some(*seq)
    }
}
