//! What becomes of messages that were not acknowledged: ready again, after a pause or at once, or
//! dead letters. Shared by whoever gives a message back and by upkeep.

use super::record::Writer;
use super::state::{Dead, Queue, Reason, TOTALS, Total};
use crate::rng::Rng;

/// Changes of one queue on their way to a record.
#[derive(Debug)]
pub(super) struct Changes<'q> {
    queue: &'q Queue,
    now_ms: u64,
    rng: Rng,
    back: Vec<(u64, u32, u64)>,
    /// By reason.
    dead: [Vec<(u64, u32)>; 3],
    gone: Vec<u64>,
    counted: [u64; TOTALS],
}

const REASONS: [Reason; 3] = [Reason::MaxRetries, Reason::Rejected, Reason::Expired];
const COUNTED: [Total; 3] = [Total::Nacked, Total::DeadLettered, Total::TimedOut];

impl<'q> Changes<'q> {
    pub(super) fn new(queue: &'q Queue, now_ms: u64, rng: Rng) -> Self {
        let (back, dead, gone) = Default::default();
        Self { queue, now_ms, rng, back, dead, gone, counted: [0; TOTALS] }
    }

    /// Counts one more.
    pub(super) fn count(&mut self, which: Total) {
        self.counted[which as usize] += 1;
    }

    /// A delivery has failed: the message is ready again after a pause, of this length if one is
    /// given, or has failed too often.
    pub(super) fn fail(&mut self, seq: u64, pause_ms: Option<u64>) {
        let Some(message) = self.queue.message(seq) else { return };
        let failures = self.queue.failures(seq).saturating_add(1);
        if failures > message.max_retries {
            self.die(seq, failures, Reason::MaxRetries);
            return;
        }
        let own = |rng| self.queue.settings.pause_ms(failures, rng);
        let pause_ms = pause_ms.unwrap_or_else(|| own(&mut self.rng));
        let due_ms = if pause_ms == 0 { 0 } else { self.now_ms.saturating_add(pause_ms) };
        self.back.push((seq, failures, due_ms));
    }

    /// A message is ready, having failed as often as before.
    pub(super) fn ready(&mut self, seq: u64) {
        self.back.push((seq, self.queue.failures(seq), 0));
    }

    /// A message becomes a dead letter, or is gone where none are kept.
    pub(super) fn die(&mut self, seq: u64, failures: u32, reason: Reason) {
        self.count(Total::DeadLettered);
        if self.queue.settings.dead_max == 0 {
            self.gone.push(seq);
        } else {
            self.dead[reason as usize].push((seq, failures));
        }
    }

    /// A message is gone.
    pub(super) fn drop(&mut self, seq: u64) {
        self.gone.push(seq);
    }

    /// How many messages are changed.
    pub(super) fn len(&self) -> usize {
        let dead: usize = self.dead.iter().map(Vec::len).sum();
        self.back.len() + dead + self.gone.len()
    }

    /// The oldest dead letters give way where there would be too many.
    fn make_room(&mut self) {
        let more: usize = self.dead.iter().map(Vec::len).sum();
        let most = usize::try_from(self.queue.settings.dead_max).unwrap_or(usize::MAX);
        let after = self.queue.dead_count() + more;
        let mut excess = after.saturating_sub(most);
        let gone: std::collections::BTreeSet<u64> = self.gone.iter().copied().collect();
        for (_, seq) in self.queue.dead_letters() {
            if excess == 0 {
                break;
            }
            excess -= 1;
            if !gone.contains(&seq) {
                self.gone.push(seq);
            }
        }
        // More die at once than are kept.
        let new = self.dead.iter().flatten().map(|(seq, _)| *seq);
        self.gone.extend(new.take(excess));
    }

    /// Writes the edits.
    pub(super) fn write(mut self, writer: &mut Writer) {
        if self.dead.iter().any(|list| !list.is_empty()) {
            self.make_room();
        }
        if !self.back.is_empty() {
            writer.back(&self.back);
        }
        for (reason, list) in REASONS.into_iter().zip(&self.dead) {
            if !list.is_empty() {
                writer.dead(Dead { reason, at_ms: self.now_ms }, list);
            }
        }
        if !self.gone.is_empty() {
            writer.gone(&self.gone);
        }
        for which in COUNTED {
            let more = self.counted[which as usize];
            if more > 0 {
                writer.total(which, self.queue.totals[which as usize] + more);
            }
        }
    }
}
