//! Writing a stream into an image piece by piece: its numbers, its entries by id, its groups and
//! consumers in the order in which they were made, then what is unacknowledged, by id over all
//! groups. Every position stays good while the stream changes.

use super::id::Id;
use super::record::Writer;
use super::stream::Stream;
use crate::types::Cursor;

const META: u8 = 0;
const ENTRIES: u8 = 1;
const GROUPS: u8 = 2;
const PENDING: u8 = 3;

impl Stream {
    /// Appends edits that rebuild the stream from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on; nothing at the end.
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
                META => {
                    writer.meta(self.last_id, self.entries_added, self.max_deleted);
                    Some(start_of(ENTRIES))
                }
                ENTRIES => Some(self.write_entries(id_of(cursor), &mut writer, end)),
                GROUPS => Some(self.write_groups(cursor.a, &mut writer, end)),
                _ => self.write_pending(id_of(cursor), &mut writer, end),
            };
            if writer.out.len() >= end {
                break;
            }
        }
        *out = writer.out;
        next
    }

    fn write_entries(&self, from: Id, writer: &mut Writer, end: usize) -> Cursor {
        for entry in self.range(from, Id::MAX) {
            if writer.out.len() >= end {
                return Cursor { phase: ENTRIES, a: entry.id.ms, b: entry.id.seq };
            }
            writer.entry(entry.id, entry.fields());
        }
        start_of(GROUPS)
    }

    fn write_groups(&self, from: u64, writer: &mut Writer, end: usize) -> Cursor {
        let mut all = Vec::new();
        for (name, group) in self.groups() {
            all.push((group.birth, name, group, None));
            let consumers = group.consumers.iter();
            all.extend(consumers.map(|(own, made)| (made.birth, name, group, Some((own, made)))));
        }
        all.retain(|(birth, ..)| *birth >= from);
        all.sort_unstable_by_key(|(birth, ..)| *birth);
        for (birth, name, group, consumer) in all {
            if writer.out.len() >= end {
                return Cursor { phase: GROUPS, a: birth, b: 0 };
            }
            match consumer {
                None => writer.group(name, group.last_id, group.entries_read),
                Some((own, made)) => writer.consumer(name, own, made.seen_ms, made.active_ms),
            }
        }
        start_of(PENDING)
    }

    fn write_pending(&self, from: Id, writer: &mut Writer, end: usize) -> Option<Cursor> {
        let mut from = Some(from);
        while let Some(start) = from {
            let first = |(_, group): (&[u8], &super::group::Group)| {
                group.pending.range(start..).next().map(|(id, _)| *id)
            };
            let id = self.groups().filter_map(first).min()?;
            if writer.out.len() >= end {
                return Some(Cursor { phase: PENDING, a: id.ms, b: id.seq });
            }
            for (name, group) in self.groups() {
                if let Some(pending) = group.pending.get(&id) {
                    let given = (pending.time_ms, pending.count);
                    writer.pending((name, &pending.consumer), given, &[id]);
                }
            }
            from = id.next();
        }
        None
    }
}

fn start_of(phase: u8) -> Cursor {
    Cursor { phase, a: 0, b: 0 }
}

fn id_of(cursor: Cursor) -> Id {
    Id::new(cursor.a, cursor.b)
}

#[cfg(test)]
mod tests {
    use super::super::block::NewFields;
    use super::super::record::check;
    use super::*;
    use crate::types::Thresholds;

    #[test]
    fn pieces_of_any_size_rebuild_the_stream() {
        let limits = Thresholds { stream_node_max_entries: 3, ..Thresholds::default() };
        let mut writer = Writer::default();
        for number in 1..40 {
            let fields = NewFields { count: 1, pairs: b"\x01f\x02vw" };
            writer.add(Id::new(number, number % 3), number, fields);
        }
        for group in [b"b", b"a"] {
            writer.group(group, Id::new(30, 0), None);
            for number in 1..30 {
                let consumer = [b'c', b'0' + number as u8 % 5];
                writer.pending((group, &consumer), (number, 1), &[Id::new(number, 0)]);
            }
        }
        let mut stream = Stream::default();
        stream.apply_edits(&writer.out, &limits);
        let whole = |stream: &Stream| {
            let mut out = Vec::new();
            assert_eq!(stream.write_piece(Cursor::default(), &mut out, usize::MAX), None);
            out
        };
        let expected = whole(&stream);
        for budget in [1, 7, 50, 1000] {
            let (mut rebuilt, mut cursor) = (Stream::default(), Some(Cursor::default()));
            let mut pieces = 0;
            while let Some(at) = cursor {
                let mut out = Vec::new();
                cursor = stream.write_piece(at, &mut out, budget);
                assert!(check(&out) && out.len() < budget + 60);
                rebuilt.apply_edits(&out, &limits);
                pieces += 1;
            }
            assert!(pieces > 2 || budget > 999);
            assert_eq!(whole(&rebuilt), expected, "budget {budget}");
        }
        assert!(!stream.release(20));
        while !stream.release(20) {}
        assert_eq!((stream.len(), stream.groups().len()), (0, 0));
    }
}
