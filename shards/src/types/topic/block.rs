//! A block of a partition: neighbouring events in one run of bytes, with marks every few of them,
//! so that an offset is found without reading the block from its start.

use std::sync::Arc;

use super::event::{Item, Outline, outline};

/// Bytes at which a block is full.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// A mark stands at the first event behind each so many bytes.
const MARK_BYTES: usize = 2 * 1024;

/// Where an event lies.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    at: u32,
}

/// Events with offsets from `base` up to `next`, without gaps.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) base: u64,
    pub(super) next: u64,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    /// Shared with whoever writes it to a file, which begins when it is full.
    bytes: Arc<Vec<u8>>,
    marks: Vec<Mark>,
    /// How many items there are; fewer than offsets where some are packed.
    items: u64,
}

impl Block {
    /// An empty block for events from `base` on, with room for `capacity` bytes.
    pub(super) fn new(base: u64, capacity: usize) -> Self {
        let (bytes, marks) = (Arc::new(Vec::with_capacity(capacity)), Vec::new());
        Self { base, next: base, first_ms: 0, last_ms: 0, bytes, marks, items: 0 }
    }

    /// The same without what is before `offset`, which is one of this block.
    pub(super) fn without_front(&self, offset: u64) -> Self {
        let place = self.place(offset);
        let mut rest = &self.bytes[place.at..];
        let mut block = Self::new(place.offset, rest.len());
        while let Some(known) = outline(rest) {
            let (item, after) = rest.split_at(known.bytes);
            block.push(item, known);
            rest = after;
        }
        block
    }

    /// Its events, for somebody who keeps them longer than the block is here.
    pub(super) fn shared(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes)
    }

    /// Whether each of its events has one offset: none is packed.
    pub(super) fn is_dense(&self) -> bool {
        self.items == self.next - self.base
    }

    /// Bytes of its events.
    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes taken from the allocator.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.marks.capacity() * size_of::<Mark>()
    }

    /// Whether an item of so many bytes belongs into another block.
    pub(super) fn is_full_for(&self, bytes: usize) -> bool {
        !self.bytes.is_empty() && self.bytes.len() + bytes > BLOCK_BYTES
    }

    /// Adds an item behind the others.
    pub(super) fn push(&mut self, item: &[u8], outline: Outline) {
        let at = self.bytes.len();
        if self.marks.last().is_none_or(|mark| at - mark.at as usize >= MARK_BYTES) {
            self.marks.push(Mark { offset: self.next, at: at as u32 });
        }
        if at == 0 {
            self.first_ms = outline.time_ms;
        }
        Arc::make_mut(&mut self.bytes).extend_from_slice(item);
        self.items += 1;
        self.next += outline.count;
        self.last_ms = outline.time_ms;
    }

    /// Gives back what was reserved and not used.
    pub(super) fn close(&mut self) {
        Arc::make_mut(&mut self.bytes).shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Where the item that holds `offset`, which is one of this block, lies.
    pub(super) fn place(&self, offset: u64) -> Place {
        let mark = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = &self.marks[mark.saturating_sub(1)];
        let mut place = Place { offset: mark.offset, at: mark.at as usize };
        while let Some(next) = self.after(place).filter(|next| next.offset <= offset) {
            place = next;
        }
        place
    }

    /// The first item at or behind `time_ms`, or the end.
    pub(super) fn place_of_time(&self, time_ms: u64) -> Place {
        let mut place = Place { offset: self.base, at: 0 };
        while let Some(found) = self.outline(place).filter(|found| found.time_ms < time_ms) {
            place = Place { offset: place.offset + found.count, at: place.at + found.bytes };
        }
        place
    }

    /// What is known of the item at a place; nothing at the end.
    pub(super) fn outline(&self, place: Place) -> Option<Outline> {
        outline(&self.bytes[place.at..])
    }

    /// The place behind that of an item; nothing at the end.
    pub(super) fn after(&self, place: Place) -> Option<Place> {
        let Outline { bytes, count, .. } = self.outline(place)?;
        Some(Place { offset: place.offset + count, at: place.at + bytes })
    }

    /// The items from a place on, with their offsets.
    pub(super) fn items(&self, place: Place) -> impl Iterator<Item = (u64, Item<'_>)> {
        let (mut offset, mut rest) = (place.offset, &self.bytes[place.at..]);
        std::iter::from_fn(move || {
            let item = Item::take(&mut rest)?;
            let at = offset;
            offset += item.count();
            Some((at, item))
        })
    }

    /// The bytes from one place to another.
    pub(super) fn bytes_between(&self, start: Place, end: Place) -> &[u8] {
        &self.bytes[start.at..end.at]
    }

    /// The place behind the last item.
    pub(super) fn end(&self) -> Place {
        Place { offset: self.next, at: self.bytes.len() }
    }
}

/// A place in a block: between two items, or at an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The offset of the item there.
    pub(super) offset: u64,
    pub(super) at: usize,
}

#[cfg(test)]
mod tests {
    use super::super::event::{NewEvent, Packed, write_packed};
    use super::*;

    #[test]
    fn offsets_and_times_are_found() {
        let mut block = Block::new(10, 0);
        for number in 0..900u64 {
            let mut bytes = Vec::new();
            if number % 50 == 7 {
                let packed = Packed { count: 3, codec: 0, unpacked_bytes: 9, bytes: b"abc" };
                write_packed(packed, number, &mut bytes);
            } else {
                NewEvent { data: &[7; 30], ..NewEvent::default() }.write(number, &mut bytes);
            }
            let known = outline(&bytes).expect("it was just written");
            block.push(&bytes, known);
        }
        assert_eq!(block.next, 10 + 900 + 2 * 18);
        assert!(block.marks.len() > 10);
        let all: Vec<(u64, u64, u64)> = block
            .items(block.place(10))
            .map(|(offset, item)| (offset, item.count(), item.time_ms()))
            .collect();
        assert_eq!(all.len(), 900);
        for (offset, count, time_ms) in all {
            for inside in offset..offset + count {
                assert_eq!(block.place(inside).offset, offset);
            }
            assert_eq!(block.place_of_time(time_ms).offset, offset);
        }
        assert_eq!(block.place_of_time(900), block.end());
    }
}
