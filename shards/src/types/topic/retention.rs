//! Which events a partition lets go: worked out when something is appended (number, bytes) and by
//! upkeep (time), and recorded as the offset that is the first one from then on.
//!
//! Packed batches go whole, when the last of their events may. The newest event stays whatever its
//! size. Events in files are not looked at: by number they go exactly, by bytes as if all of a
//! block's were of one size, by time with the last of their block, and blocks with packed batches
//! go whole.

use super::definition::Retention;
use super::event::{Outline, outline};
use super::partition::{Partition, Piece};

/// Blocks that one step lets go at most, so that a limit that was lowered stalls nobody: what is
/// left goes with the next step.
const BLOCKS_PER_STEP: usize = 256;
/// Upkeep looks at a partition at multiples of this, so that a steady flow of events is not a
/// steady flow of records.
const TIME_GRAIN_MS: u64 = 5_000;

/// What has to go.
#[derive(Clone, Copy, Debug)]
struct Excess {
    count: u64,
    bytes: u64,
    /// What is before this time goes.
    older_ms: u64,
}

impl Excess {
    /// Whether a piece goes, and if so without it.
    fn lets_go(&mut self, piece: Piece) -> bool {
        let Piece { bytes, count, last_ms, whole_block } = piece;
        // Of a whole block each event has to go.
        let by_bytes = if whole_block { bytes <= self.bytes } else { self.bytes > 0 };
        let goes = count <= self.count || by_bytes || last_ms < self.older_ms;
        if goes {
            self.count = self.count.saturating_sub(count);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        goes
    }
}

impl Partition {
    /// Where it begins once these items are added at this time.
    pub(crate) fn start_with(&self, retention: Retention, items: &[u8], now_ms: u64) -> u64 {
        let beyond =
            |limit: Option<u64>, have: u64| limit.map_or(0, |limit| have.saturating_sub(limit));
        let mut excess = Excess {
            count: beyond(retention.messages, self.len() as u64 + count_of(items)),
            bytes: beyond(retention.bytes, self.event_bytes() + items.len() as u64),
            older_ms: retention.time_ms.map_or(0, |time| (now_ms + 1).saturating_sub(time)),
        };
        if excess.count == 0 && excess.bytes == 0 {
            return self.start();
        }
        let mut start = self.start_after(BLOCKS_PER_STEP, |piece| excess.lets_go(piece));
        if start < self.next() {
            return start;
        }
        // What is left to go is among what comes.
        let mut rest = items;
        while let Some(Outline { bytes, count, time_ms }) = outline(rest) {
            rest = &rest[bytes..];
            let piece = Piece { bytes: bytes as u64, count, last_ms: time_ms, whole_block: false };
            if rest.is_empty() || !excess.lets_go(piece) {
                break;
            }
            start += count;
        }
        start
    }

    /// Where it begins once what is too old by now has gone.
    pub(crate) fn start_by_time(&self, now_ms: u64) -> u64 {
        let Some(time_ms) = self.definition.retention.time_ms else { return self.start() };
        let oldest = (now_ms + 1).saturating_sub(time_ms);
        self.start_after(BLOCKS_PER_STEP, |piece| piece.last_ms < oldest)
    }

    /// When upkeep should look at it: its first event is too old by then.
    pub(crate) fn too_old_at(&self) -> Option<u64> {
        let time_ms = self.definition.retention.time_ms?;
        let due = self.oldest_ms()?.saturating_add(time_ms);
        Some(due.div_ceil(TIME_GRAIN_MS).saturating_mul(TIME_GRAIN_MS))
    }
}

/// How many offsets items take.
pub(super) fn count_of(items: &[u8]) -> u64 {
    let (mut rest, mut count) = (items, 0);
    while let Some(outline) = outline(rest) {
        rest = &rest[outline.bytes..];
        count += outline.count;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::definition::Definition;
    use super::super::event::{NewEvent, Packed, write_packed};
    use super::*;
    use crate::rng::Rng;

    fn event(time_ms: u64, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        NewEvent { data: &vec![1; bytes], ..NewEvent::default() }.write(time_ms, &mut out);
        out
    }

    #[test]
    fn limits_hold_exactly_after_every_append() {
        let mut rng = Rng::new(9);
        for (messages, bytes) in [(Some(700), None), (None, Some(200_000)), (Some(60), Some(9_000))]
        {
            let retention = Retention { messages, bytes, time_ms: None };
            let mut partition = Partition::default();
            let mut sizes: Vec<u64> = Vec::new();
            for _ in 0..1_500 {
                let mut items = Vec::new();
                for _ in 0..1 + rng.below(4) {
                    let one = event(1, rng.below(900));
                    sizes.push(one.len() as u64);
                    items.extend_from_slice(&one);
                }
                let start = partition.start_with(retention, &items, 5);
                partition.append(partition.next(), &items);
                partition.truncate(start);
                // The least start that satisfies both, but for the newest event.
                let fits = |start: usize| {
                    let rest = &sizes[start..];
                    messages.is_none_or(|most| rest.len() as u64 <= most)
                        && bytes.is_none_or(|most| rest.iter().sum::<u64>() <= most)
                };
                let from = (start as usize).saturating_sub(3);
                let expected = (from..sizes.len()).find(|start| fits(*start));
                let expected = expected.unwrap_or(sizes.len() - 1).min(sizes.len() - 1);
                assert_eq!(partition.start(), expected as u64);
            }
            assert!(partition.start() > 0);
        }
    }

    #[test]
    fn a_batch_larger_than_the_limit_keeps_its_newest() {
        let items: Vec<u8> = (0..10).flat_map(|_| event(1, 10)).collect();
        let partition = Partition::default();
        let retention = Retention { messages: Some(3), ..Retention::default() };
        assert_eq!(partition.start_with(retention, &items, 1), 7);
        let retention = Retention { bytes: Some(1), ..Retention::default() };
        assert_eq!(partition.start_with(retention, &items, 1), 9);
        let mut packed = event(1, 1);
        let batch = Packed { count: 30, codec: 0, unpacked_bytes: 1, bytes: b"x" };
        write_packed(batch, 1, &mut packed);
        packed.extend_from_slice(&event(1, 1));
        let retention = Retention { messages: Some(10), ..Retention::default() };
        assert_eq!(partition.start_with(retention, &packed, 1), 1, "batches go whole");
        let retention = Retention { messages: Some(1), ..Retention::default() };
        assert_eq!(partition.start_with(retention, &packed, 1), 31);
    }

    #[test]
    fn time_lets_go_of_what_is_older_and_says_when() {
        let mut partition = Partition::default();
        let time_ms = Some(1_000);
        partition.definition = Definition {
            retention: Retention { time_ms, ..Retention::default() },
            ..Definition::default()
        };
        assert_eq!(partition.too_old_at(), None);
        for time in [10_000, 10_001, 12_000, 20_000] {
            partition.append(partition.next(), &event(time, 5));
        }
        assert_eq!(partition.too_old_at(), Some(15_000));
        let starts =
            [10_999, 11_000, 11_001, 15_000, 21_000].map(|now| partition.start_by_time(now));
        assert_eq!(starts, [0, 1, 2, 3, 4]);
        partition.truncate(3);
        assert_eq!(partition.too_old_at(), Some(25_000));
    }
}
