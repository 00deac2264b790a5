//! Writing a partition into an image piece by piece: what it is, its files, its events block by
//! block, then its groups and what they were given. Offsets are positions that stay good while it
//! changes; what goes before it was written is missing, and the record of its going is replayed.
//!
//! Events that come to lie in a file meanwhile are written as such, with every file since the last
//! that was: files have to follow one another, whatever of their events was written before.

use super::partition::Partition;
use super::record::Writer;
use super::share::{Dead, Share};
use crate::types::Cursor;

const HEAD: u8 = 0;
const EVENTS: u8 = 1;
const SHARES: u8 = 2;

impl Partition {
    /// Appends edits that rebuild the partition from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on; nothing at the end. Without a budget the events are one edit, however
    /// the blocks lie.
    pub(super) fn write_piece(
        &self,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        let end = out.len().saturating_add(budget);
        let mut writer = Writer { out: std::mem::take(out) };
        let mut next = Some(cursor);
        while let Some(cursor) = next {
            next = match cursor.phase {
                HEAD => {
                    writer.definition(&self.definition);
                    if !self.patterns.is_empty() {
                        writer.captures(self.patterns.iter().map(|pattern| &**pattern));
                    }
                    writer.start(self.start());
                    Some(Cursor { phase: EVENTS, a: self.start(), b: self.start() })
                }
                EVENTS if cursor.b < self.hot_base() && !self.cold().is_empty() => {
                    Some(self.write_cold(cursor, &mut writer, end))
                }
                EVENTS if budget == usize::MAX => self.write_all(&mut writer),
                EVENTS => self.write_run(cursor, &mut writer, end),
                _ => self.write_shares(cursor, &mut writer, end),
            };
            if writer.out.len() >= end {
                break;
            }
        }
        *out = writer.out;
        next
    }

    fn write_all(&self, writer: &mut Writer) -> Option<Cursor> {
        let base = self.hot_base();
        let (mut offset, mut events) = (base, Vec::new());
        while let Some(run) = self.run(offset, usize::MAX) {
            events.extend_from_slice(run.bytes);
            offset = run.next;
        }
        if !events.is_empty() {
            writer.append(base, &events);
        }
        Some(Cursor { phase: SHARES, a: 0, b: 0 })
    }

    /// Files from the one that holds the offset up to which files were written; what they hold is
    /// not written as events any more.
    fn write_cold(&self, cursor: Cursor, writer: &mut Writer, end: usize) -> Cursor {
        let from = cursor.b.max(self.start());
        let mut b = from;
        for file in self.cold().iter().filter(|file| file.next() > from) {
            if writer.out.len() >= end {
                break;
            }
            writer.cold(file);
            b = file.next();
        }
        Cursor { a: cursor.a.max(b), b, ..cursor }
    }

    fn write_run(&self, cursor: Cursor, writer: &mut Writer, end: usize) -> Option<Cursor> {
        let budget = end.saturating_sub(writer.out.len());
        let Some(run) = self.run(cursor.a.max(self.hot_base()), budget) else {
            return Some(Cursor { phase: SHARES, a: 0, b: 0 });
        };
        writer.append(run.base, run.bytes);
        Some(Cursor { a: run.next, ..cursor })
    }

    /// Groups in the order in which they were made, each whole: what a group holds is bounded.
    fn write_shares(&self, cursor: Cursor, writer: &mut Writer, end: usize) -> Option<Cursor> {
        let shares = self.shares.iter().filter(|(_, share)| share.birth() >= cursor.a);
        let mut shares: Vec<(&Box<[u8]>, &Share)> = shares.collect();
        shares.sort_unstable_by_key(|(_, share)| share.birth());
        for (name, share) in shares {
            if writer.out.len() >= end {
                return Some(Cursor { phase: SHARES, a: share.birth(), b: 0 });
            }
            write_share(name, share, writer);
        }
        None
    }
}

fn write_share(name: &[u8], share: &Share, writer: &mut Writer) {
    writer.share(name, share.terms, share.next());
    for (offset, given) in share.given() {
        writer.give((name, &given.member), (given.deadline_ms, given.count), &[*offset]);
    }
    for (offset, Dead { time_ms, count }) in share.dead() {
        writer.dead(name, Dead { time_ms: *time_ms, count: *count }, &[*offset]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::Definition;
    use super::super::event::{NewEvent, Packed, write_packed};
    use super::super::record::check;
    use super::super::share::Terms;
    use super::*;

    fn whole(partition: &Partition) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(partition.write_piece(Cursor::default(), &mut out, usize::MAX), None);
        out
    }

    fn filled() -> Partition {
        let mut writer = Writer::default();
        writer.definition(&Definition { partitions: 3, number: 1, ..Definition::default() });
        for number in 0..500u64 {
            let mut item = Vec::new();
            let data = vec![7; number as usize];
            NewEvent { data: &data, ..NewEvent::default() }.write(number, &mut item);
            writer.append(number, &item);
        }
        writer.start(20);
        for group in [b"a", b"b"] {
            writer.share(group, Terms { lease_ms: 9, deliveries_max: 4 }, 40);
            writer.give((group, b"m"), (99, 2), &[30, 41, 42]);
            writer.dead(group, Dead { time_ms: 4, count: 4 }, &[31]);
        }
        let mut partition = Partition::default();
        partition.apply_edits(&writer.out);
        partition
    }

    #[test]
    fn pieces_of_any_size_rebuild_the_partition() {
        let partition = filled();
        for budget in [1, 100, 5_000, 1 << 20] {
            let (mut rebuilt, mut cursor) = (Partition::default(), Some(Cursor::default()));
            while let Some(at) = cursor {
                let mut out = Vec::new();
                cursor = partition.write_piece(at, &mut out, budget);
                assert!(check(&out));
                rebuilt.apply_edits(&out);
            }
            assert_eq!(whole(&rebuilt), whole(&partition), "budget {budget}");
        }
    }

    #[test]
    fn whatever_edits_build_has_an_image() {
        let mut batch = Vec::new();
        let packed = Packed { count: 9, codec: 1, unpacked_bytes: 9, bytes: b"abc" };
        write_packed(packed, 1, &mut batch);
        let terms = Terms { lease_ms: 9, deliveries_max: 4 };
        let writes: &[&dyn Fn(&mut Writer)] = &[
            &|_| (),
            &|writer| writer.append(3, &batch),
            &|writer| writer.start(7),
            &|writer| writer.share(b"g", terms, 4),
            &|writer| writer.dead(b"g", Dead { time_ms: 4, count: 4 }, &[8, 9]),
            &|writer| writer.give((b"g", b"m"), (99, 2), &[8, 10]),
        ];
        let mut writer = Writer::default();
        for write in writes {
            write(&mut writer);
            let mut partition = Partition::default();
            partition.apply_edits(&writer.out);
            let image = whole(&partition);
            assert!(check(&image));
            let mut rebuilt = Partition::default();
            rebuilt.apply_edits(&image);
            assert_eq!((whole(&rebuilt), rebuilt.next()), (image, partition.next()));
        }
    }

    #[test]
    fn a_front_that_goes_meanwhile_is_replayed() {
        let mut partition = filled();
        let mut rebuilt = Partition::default();
        let mut cursor = Some(Cursor::default());
        let mut later = Writer::default();
        for round in 1.. {
            let Some(at) = cursor else { break };
            let mut out = Vec::new();
            cursor = partition.write_piece(at, &mut out, 2_000);
            rebuilt.apply_edits(&out);
            let mut change = Writer::default();
            change.start(20 + round * 3);
            let mut item = Vec::new();
            NewEvent { data: &[1; 200], ..NewEvent::default() }.write(900, &mut item);
            change.append(partition.next(), &item);
            partition.apply_edits(&change.out);
            later.out.extend_from_slice(&change.out);
            if round > 150 {
                break;
            }
        }
        rebuilt.apply_edits(&later.out);
        assert_eq!(whole(&rebuilt), whole(&partition));
        while !partition.release(1) {}
        assert_eq!((partition.len(), partition.event_bytes()), (0, 0));
    }
}
