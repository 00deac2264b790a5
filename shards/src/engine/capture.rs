//! Taking down what batches change in shards that are captured, before they are applied, and adding
//! it to the same batches.

use super::open::Open;
use super::{Engine, shards_in};
use crate::batch::{HEADER_BYTES, PART_BYTES, Record, Records};
use crate::capture::{Captured, Cause};
use crate::id::ShardId;
use crate::shard::ShardTable;
use crate::shard::plan::Now;

impl Engine {
    /// Whether changes of one of these shards, which are here, are captured.
    #[inline]
    pub(super) fn captures(&self, shards: u64) -> bool {
        shards_in(shards)
            .any(|id| self.shards[id.index()].as_deref().is_some_and(|shard| shard.is_captured()))
    }

    /// Whether something was captured since this was asked.
    pub fn take_has_captured(&mut self) -> bool {
        std::mem::take(&mut self.has_captured)
    }

    /// Adds what the records of the command that just ran change in these shards.
    pub(super) fn capture(&mut self, now: Now, touched: u64) {
        let mut captured = Captured::default();
        note(&self.shards, touched, &self.records, (now, self.cause), &mut captured);
        self.has_captured |= !captured.is_empty();
        captured.write(&self.shards, now.unix_ms, &mut self.records);
    }

    /// The same for records at the end of the log, of the batch that begins at `start`.
    pub(super) fn capture_single(&mut self, now: Now, start: usize, shard: ShardId) {
        let mut captured = Captured::default();
        let records = &self.log[start + HEADER_BYTES + PART_BYTES..];
        let touched = 1 << shard.index();
        note(&self.shards, touched, records, (now, self.cause), &mut captured);
        self.has_captured |= !captured.is_empty();
        captured.write(&self.shards, now.unix_ms, &mut self.log);
    }

    /// Takes down what records of an open batch change, which are applied next.
    pub(super) fn note_open(&self, now: Now, open: &mut Open, start: usize, touched: u64) {
        let Open { records, captured, .. } = open;
        note(&self.shards, touched, &records[start..], (now, self.cause), captured);
    }

    /// Adds to an open batch what was taken down of it.
    pub(super) fn close_captures(&mut self, now: Now, open: &mut Open) {
        if open.captured.is_empty() {
            return;
        }
        let (start, touched) = (open.records.len(), open.touched);
        let Open { records, captured, .. } = open;
        captured.write(&self.shards, now.unix_ms, records);
        self.apply_since(now, open, start, touched);
        self.has_captured = true;
    }
}

fn note(
    shards: &ShardTable,
    touched: u64,
    records: &[u8],
    (now, cause): (Now, Cause),
    captured: &mut Captured,
) {
    for id in shards_in(touched) {
        let shard =
            shards[id.index()].as_deref().expect("a command writes to shards that are here");
        if shard.is_captured() {
            let mine = Records::over(records).filter(|(of, _)| *of == id);
            let mine = mine.map(|(_, record): (_, Record<'_>)| record);
            captured.note(shard, mine, now.unix_ms, cause);
        }
    }
}
