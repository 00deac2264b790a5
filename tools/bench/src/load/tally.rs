//! Counting: what came back, what went wrong, how long it took.
//!
//! Guarantees: errors are counted by kind with a bounded number of kinds; latencies go into an
//! HDR histogram (nanoseconds, three digits) and are never averaged. Must not read a clock.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::reply::Reply;
use super::request::Op;

/// Longest latency the histogram tells apart; longer ones count as this.
const MAX_LATENCY_NS: u64 = 120_000_000_000;
/// Error kinds told apart; further ones are counted together.
const MAX_ERROR_KINDS: usize = 32;

/// The sums of one thread or of a whole run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Requests handed to a socket.
    pub(crate) sent: u64,
    /// Replies of the right kind, misses included.
    pub(crate) done: u64,
    /// Reads of keys that do not exist.
    pub(crate) misses: u64,
    /// Requests of an open loop that came due and were never sent.
    pub(crate) unsent: u64,
    /// Everything else, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Nanoseconds from send (closed loop) or intended send (open loop) to reply.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3)
            .expect("the bounds are constants that the histogram accepts");
        Self { sent: 0, done: 0, misses: 0, unsent: 0, errors: BTreeMap::new(), latency }
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.done += other.done;
        self.misses += other.misses;
        self.unsent += other.unsent;
        for (kind, count) in &other.errors {
            self.error(kind, *count);
        }
        self.latency.add(&other.latency).expect("both histograms have the same bounds");
    }

    /// Counts the reply to `op`, which took `nanos`.
    pub(crate) fn reply(&mut self, op: Op, reply: Reply<'_>, nanos: u64) {
        let fits = match (op, reply) {
            (_, Reply::Error(kind)) => {
                self.error(kind, 1);
                return;
            }
            (Op::Get, Reply::Missing) => {
                self.misses += 1;
                true
            }
            // An HTTP response is a status whatever it carries.
            (_, Reply::Status) => true,
            (Op::Get, Reply::Bulk) | (Op::Incr, Reply::Integer) => true,
            _ => false,
        };
        if fits {
            self.done += 1;
            self.latency.saturating_record(nanos);
        } else {
            self.error("reply of the wrong type", 1);
        }
    }

    /// Counts `count` failures of one kind.
    pub(crate) fn error(&mut self, kind: &str, count: u64) {
        if let Some(sum) = self.errors.get_mut(kind) {
            *sum += count;
        } else if count > 0 {
            let kind = if self.errors.len() < MAX_ERROR_KINDS { kind } else { "other" };
            *self.errors.entry(kind.to_owned()).or_default() += count;
        }
    }

    /// All failures together.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_checked_against_their_request() {
        let mut tally = Tally::new();
        tally.reply(Op::Get, Reply::Bulk, 1_000);
        tally.reply(Op::Get, Reply::Missing, 1_000);
        tally.reply(Op::Set, Reply::Missing, 1_000);
        tally.reply(Op::Incr, Reply::Error("WRONGTYPE"), 1_000);
        assert_eq!((tally.done, tally.misses, tally.failed()), (2, 1, 2));
        assert_eq!(tally.errors["WRONGTYPE"], 1);
    }

    #[test]
    fn error_kinds_are_bounded() {
        let mut tally = Tally::new();
        (0..1_000).for_each(|i| tally.error(&format!("E{i}"), 1));
        assert_eq!(tally.errors.len(), MAX_ERROR_KINDS + 1);
        let mut sum = Tally::new();
        sum.merge(&tally);
        assert_eq!(sum.failed(), 1_000);
    }
}
