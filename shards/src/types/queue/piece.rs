//! Writing a queue as edits, piece by piece: first what is not a message, then the messages in the
//! order of their numbers, then the idempotency keys. Whether a message is in a block does not
//! matter, as that depends on what was there before: two queues of the same content are written
//! alike, and a message that leaves its block between two pieces is met all the same.

use super::record::Writer;
use super::state::{Queue, TOTALS, Total};
use crate::types::Cursor;

const HEAD: u8 = 0;
const MESSAGES: u8 = 1;
const KEYS: u8 = 2;

const ALL_TOTALS: [Total; TOTALS] = [
    Total::Published,
    Total::Consumed,
    Total::Acked,
    Total::Nacked,
    Total::DeadLettered,
    Total::TimedOut,
];

impl Queue {
    /// Appends the next piece, about `budget` bytes; where the one behind it begins.
    pub(super) fn write_piece(
        &self,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        let mut writer = Writer { out: std::mem::take(out), ..Writer::default() };
        let end = writer.out.len().saturating_add(budget);
        let next = match cursor.phase {
            HEAD => {
                self.write_head(&mut writer);
                Some((MESSAGES, 0))
            }
            MESSAGES => self
                .write_messages(cursor.a, &mut writer, end)
                .map_or(Some((KEYS, 0)), |seq| Some((MESSAGES, seq))),
            _ => self.write_keys(cursor.a, &mut writer, end).map(|until| (KEYS, until)),
        };
        *out = writer.out;
        next.map(|(phase, a)| Cursor { phase, a, b: 0 })
    }

    fn write_head(&self, writer: &mut Writer) {
        writer.create(self.incarnation, self.created_ms);
        writer.settings(&self.settings);
        writer.next(self.next_seq);
        for which in ALL_TOTALS {
            writer.total(which, self.totals[which as usize]);
        }
    }

    /// The number of the first message that there was no room for.
    fn write_messages(&self, from: u64, writer: &mut Writer, end: usize) -> Option<u64> {
        for (seq, bytes) in self.messages(from) {
            if writer.out.len() >= end {
                return Some(seq);
            }
            let failures = self.failures(seq);
            let due_ms = self.due(seq).unwrap_or(0);
            let dead = self.dead(seq);
            writer.add_written(seq, due_ms, bytes);
            if failures > 0 && dead.is_none() {
                writer.back(&[(seq, failures, due_ms)]);
            }
            if let Some(hold) = self.hold(seq) {
                let consumer = self.consumers.name(hold.consumer);
                writer.deliver(consumer, hold.deadline_ms, &[seq]);
            }
            if let Some(dead) = dead {
                writer.dead(dead, &[(seq, failures)]);
            }
        }
        None
    }

    /// The time of the first keys that there was no room for: those of one millisecond are written
    /// together.
    fn write_keys(&self, from_ms: u64, writer: &mut Writer, end: usize) -> Option<u64> {
        let mut last = from_ms;
        for (until_ms, key, seq) in self.keys(from_ms) {
            if writer.out.len() >= end && until_ms > last {
                return Some(until_ms);
            }
            writer.key(key, seq, until_ms);
            last = until_ms;
        }
        None
    }
}
