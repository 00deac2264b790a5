//! A partition in memory: events with dense offsets, in blocks by offset.
//!
//! Offsets begin at zero and are never given twice. What retention has let go lies before `start`;
//! memory is given back by whole blocks, so some of a block's events may be gone already.
//!
//! The oldest events may lie in files ([`super::cold`]): those come first, and what memory holds
//! continues them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use super::block::{BLOCK_BYTES, Block, Place};
use super::cold::{ColdBlock, ColdFacts, ColdFile, SealedFile, Sealing};
use super::definition::Definition;
use super::event::{Item, Outline, outline};
use super::readers::Readers;
use super::share::Share;

/// A partition of a topic, or a room.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) definition: Definition,
    /// Which keys' changes it holds; none of most.
    pub(crate) patterns: Box<[Box<[u8]>]>,
    pub(super) patterns_bytes: usize,
    /// The first offset that is there.
    start: u64,
    /// The offset of the next event.
    next: u64,
    /// Files with the oldest events, by offset, without gaps.
    cold: VecDeque<ColdFile>,
    blocks: VecDeque<Block>,
    /// Bytes of all events in the files and the blocks.
    stored_bytes: u64,
    /// Those of them in the blocks.
    hot_bytes: u64,
    /// Those of them before `start`; in a file, about.
    dead_bytes: u64,
    /// The time of the event at `start`, where there is one; in a file, of its block.
    first_ms: u64,
    /// The time of the last event ever.
    pub(super) last_ms: u64,
    held_bytes: usize,
    /// Groups that acknowledge event by event, by name.
    pub(super) shares: BTreeMap<Box<[u8]>, Share>,
    pub(super) shares_bytes: usize,
    /// Groups that were ever made.
    pub(super) births: u64,
    /// Who reads a room, and how much was read. Not data: kept in memory alone.
    readers: RefCell<Readers>,
}

impl Partition {
    /// The first offset that is there; equals [`Partition::next`] when it is empty.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset that the next event gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.start) as usize
    }

    /// Bytes of the events that are there.
    pub(crate) fn event_bytes(&self) -> u64 {
        self.stored_bytes - self.dead_bytes
    }

    /// The time of the first event that is there.
    pub(crate) fn first_ms(&self) -> Option<u64> {
        (self.start < self.next).then_some(self.first_ms)
    }

    /// The time of the last event that ever was, zero before the first.
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// Bytes taken from the allocator, about.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.held_bytes + self.shares_bytes + self.patterns_bytes
    }

    /// What is remembered of readers.
    pub(crate) fn readers(&self) -> &RefCell<Readers> {
        &self.readers
    }

    /// The first offset that memory holds; what is before it lies in files.
    pub(super) fn hot_base(&self) -> u64 {
        self.cold.back().map_or(self.start, ColdFile::next)
    }

    /// Whether memory holds more than so many bytes of events; zero is no limit.
    pub(crate) fn is_over_hot(&self, hot_max: u64) -> bool {
        hot_max > 0 && self.hot_bytes > hot_max
    }

    /// The files with the oldest events.
    pub(super) fn cold(&self) -> &VecDeque<ColdFile> {
        &self.cold
    }

    /// What is known of the files from outside.
    pub(crate) fn cold_facts(&self) -> impl Iterator<Item = ColdFacts> {
        let Definition { incarnation, number: partition, .. } = self.definition;
        self.cold.iter().map(move |file| ColdFacts {
            id: file.id,
            bytes: file.file_bytes,
            incarnation,
            partition,
            base: file.base(),
            next: file.next(),
            blocks: file.blocks.len() as u32,
        })
    }

    /// The file that holds an offset, and the position of the block in it; nothing for what memory
    /// holds, or nothing does.
    pub(super) fn cold_at(&self, offset: u64) -> Option<(&ColdFile, usize)> {
        if offset >= self.hot_base() || offset < self.start {
            return None;
        }
        let at = self.cold.partition_point(|file| file.next() <= offset);
        let file = self.cold.get(at)?;
        Some((file, file.block_of(offset)))
    }

    /// The file and block with the first event at or behind a time, if a file has it.
    pub(super) fn cold_at_time(&self, time_ms: u64) -> Option<(&ColdFile, usize)> {
        let file = self.cold.iter().find(|file| file.last_ms() >= time_ms)?;
        Some((file, file.blocks.partition_point(|block| block.last_ms < time_ms)))
    }

    /// The oldest events that memory holds, to be written to a file, if there are more than
    /// `hot_max` bytes of them.
    pub(crate) fn sealing(&self, hot_max: u64) -> Option<Sealing> {
        if !self.is_over_hot(hot_max) {
            return None;
        }
        let Definition { incarnation, number, .. } = self.definition;
        Sealing::of((incarnation, number), self.blocks.iter(), (self.hot_bytes, hot_max))
    }

    /// What is to be known of a file that was written, if the partition is still the one that it
    /// was written for and has not let all of it go.
    pub(super) fn sealed(&self, sealing: &Sealing, written: &SealedFile) -> Option<ColdFile> {
        let Definition { incarnation, number, .. } = self.definition;
        let continues = match self.cold.back() {
            Some(file) => file.next() == sealing.base(),
            None => sealing.base() <= self.start,
        };
        let fits = (incarnation, number) == (sealing.incarnation, sealing.partition)
            && continues
            && (self.start + 1..=self.next).contains(&sealing.next())
            && sealing.blocks.len() == written.blocks.len();
        fits.then(|| sealing.file(written))
    }

    /// Events up to some offset are in a file now. One that is known already, has gone, or ends
    /// within a packed batch changes nothing; where events before it are missing they are gone.
    pub(super) fn add_cold(&mut self, file: ColdFile) {
        if file.next() <= self.hot_base() || self.is_within(file.next()) {
            return;
        }
        if file.base() > self.hot_base() {
            self.truncate(file.base());
        } else if self.cold.back().is_some_and(|last| last.next() != file.base()) {
            return;
        }
        while self.blocks.front().is_some_and(|block| block.next <= file.next()) {
            self.pop_block();
        }
        if let Some(block) = self.blocks.front_mut().filter(|block| block.base < file.next()) {
            let (held, len) = (block.held_bytes(), block.len_bytes());
            *block = block.without_front(file.next());
            self.held_bytes = self.held_bytes + block.held_bytes() - held;
            let gone = (len - block.len_bytes()) as u64;
            self.hot_bytes -= gone;
            self.stored_bytes -= gone;
        }
        self.stored_bytes += file.event_bytes();
        self.held_bytes += file.held_bytes();
        if file.next() > self.next {
            (self.next, self.last_ms) = (file.next(), file.last_ms());
        }
        self.cold.push_back(file);
        self.look_at_front();
    }

    /// Whether an item that memory holds begins before this offset and ends behind it.
    fn is_within(&self, offset: u64) -> bool {
        let block = self.blocks.get(self.block_of(offset));
        let block = block.filter(|block| (block.base..block.next).contains(&offset));
        block.is_some_and(|block| block.place(offset).offset != offset)
    }

    fn pop_block(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.held_bytes -= block.held_bytes();
            self.stored_bytes -= block.len_bytes() as u64;
            self.hot_bytes -= block.len_bytes() as u64;
        }
    }

    fn pop_file(&mut self) {
        if let Some(file) = self.cold.pop_front() {
            self.held_bytes -= file.held_bytes();
            self.stored_bytes -= file.event_bytes();
        }
    }

    /// Works out what depends on where `start` lies.
    fn look_at_front(&mut self) {
        self.dead_bytes = 0;
        if let Some(file) = self.cold.front() {
            self.dead_bytes = file.bytes_before(self.start);
            self.first_ms = file.blocks[file.block_of(self.start)].first_ms;
        } else if let Some(block) = self.blocks.front() {
            let place = block.place(self.start);
            self.start = place.offset;
            self.dead_bytes = place.at as u64;
            self.first_ms = block.outline(place).map_or(0, |found| found.time_ms);
        }
    }

    /// The time by which the first of what may go goes: the first event, or all of its block where
    /// that lies in a file.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let Some(file) = self.cold.front() else { return self.first_ms() };
        Some(file.blocks[file.block_of(self.start)].last_ms)
    }

    /// The block that holds an offset, by position.
    fn block_of(&self, offset: u64) -> usize {
        self.blocks.partition_point(|block| block.base <= offset).saturating_sub(1)
    }

    /// The items that memory holds, from the one that holds `offset` on, with their offsets.
    pub(crate) fn items(&self, offset: u64) -> impl Iterator<Item = (u64, Item<'_>)> {
        let offset = offset.max(self.start).max(self.hot_base());
        let first = if offset < self.next { self.block_of(offset) } else { self.blocks.len() };
        self.blocks.range(first..).enumerate().flat_map(move |(index, block)| {
            let from = if index == 0 { offset } else { block.base };
            block.items(block.place(from))
        })
    }

    /// The offset of the first event at or behind a time that memory holds; the end when there is
    /// none.
    pub(crate) fn offset_at(&self, time_ms: u64) -> u64 {
        let at = self.blocks.partition_point(|block| block.last_ms < time_ms);
        let found =
            self.blocks.get(at).map_or(self.next, |block| block.place_of_time(time_ms).offset);
        found.max(self.start)
    }

    /// Adds events whose first has the offset `base`; those that are there already are passed over.
    /// Where events before `base` are missing they are gone: an image was taken while they went.
    pub(super) fn append(&mut self, base: u64, items: &[u8]) {
        let (mut offset, mut rest) = (base, items);
        while let Some(outline) = outline(rest) {
            let (item, after) = rest.split_at(outline.bytes);
            if offset >= self.next {
                self.push(offset, item, outline);
            }
            offset += outline.count;
            rest = after;
        }
    }

    fn push(&mut self, offset: u64, item: &[u8], outline: Outline) {
        if offset > self.next {
            self.truncate(offset);
        }
        if self.start == self.next {
            self.first_ms = outline.time_ms;
        }
        if self.blocks.back().is_none_or(|block| block.is_full_for(item.len())) {
            self.open_block(offset, item.len());
        }
        let block = self.blocks.back_mut().expect("a block was opened");
        let before = block.held_bytes();
        block.push(item, outline);
        self.held_bytes = self.held_bytes - before + block.held_bytes();
        self.stored_bytes += item.len() as u64;
        self.hot_bytes += item.len() as u64;
        self.next = offset + outline.count;
        self.last_ms = outline.time_ms;
    }

    /// The first block grows as it is filled, for most rooms are small; those behind it will be
    /// filled.
    fn open_block(&mut self, offset: u64, bytes: usize) {
        let mut capacity = bytes;
        if let Some(last) = self.blocks.back_mut() {
            self.held_bytes -= last.held_bytes();
            last.close();
            self.held_bytes += last.held_bytes();
            capacity = capacity.max(BLOCK_BYTES);
        }
        let block = Block::new(offset, capacity);
        self.held_bytes += block.held_bytes();
        self.blocks.push_back(block);
    }

    /// Lets go of the events before `start`. One that is greater than the end becomes the end; a
    /// packed batch that `start` is within stays whole.
    pub(super) fn truncate(&mut self, start: u64) {
        if start <= self.start {
            return;
        }
        while self.cold.front().is_some_and(|file| file.next() <= start) {
            self.pop_file();
        }
        while self.blocks.front().is_some_and(|block| block.next <= start) {
            self.pop_block();
        }
        self.start = start;
        self.next = self.next.max(start);
        self.look_at_front();
        self.forget_shared(self.start);
    }

    /// Where it begins when pieces go from the front for as long as `goes` says so. It is asked of
    /// whole blocks first, and of the items of the first block that does not go as a whole. Looks
    /// at `blocks_max` blocks at most.
    pub(super) fn start_after(
        &self,
        blocks_max: usize,
        mut goes: impl FnMut(Piece) -> bool,
    ) -> u64 {
        let (mut start, mut looked_at) = (self.start, 0);
        for block in self.cold.iter().flat_map(|file| &*file.blocks).take(blocks_max) {
            looked_at += 1;
            if block.next <= start {
                continue;
            }
            let after = start_after_cold(block, start, &mut goes);
            if after < block.next {
                return after;
            }
            start = after;
        }
        for block in self.blocks.iter().take(blocks_max - looked_at) {
            let begin =
                if block.base < self.start { block.place(self.start) } else { first(block) };
            let whole = Piece {
                bytes: (block.len_bytes() - begin.at) as u64,
                count: block.next - begin.offset,
                last_ms: block.last_ms,
                whole_block: true,
            };
            if goes(whole) {
                start = block.next;
                continue;
            }
            let mut place = begin;
            while let Some(found) = block.outline(place) {
                let Outline { bytes, count, time_ms } = found;
                let bytes_now = bytes as u64;
                let piece = Piece { bytes: bytes_now, count, last_ms: time_ms, whole_block: false };
                if !goes(piece) {
                    return place.offset;
                }
                place = Place { offset: place.offset + count, at: place.at + bytes };
            }
            return place.offset;
        }
        start
    }

    /// The events of the block that holds `offset`, from there on, as they lie, and where they end;
    /// at most about `budget` bytes of them.
    pub(super) fn run(&self, offset: u64, budget: usize) -> Option<Run<'_>> {
        if offset >= self.next {
            return None;
        }
        let block = &self.blocks[self.block_of(offset)];
        let start = block.place(offset);
        let mut end = block.end();
        if end.at - start.at > budget {
            end = start;
            while let Some(after) = block.after(end) {
                let is_enough = after.at - start.at >= budget;
                end = after;
                if is_enough {
                    break;
                }
            }
        }
        let bytes = block.bytes_between(start, end);
        Some(Run { base: start.offset, next: end.offset, bytes })
    }

    /// Gives memory of about `budget` blocks back; true when nothing is left.
    pub(super) fn release(&mut self, budget: usize) -> bool {
        for _ in 0..budget.max(1) {
            match self.cold.pop_front() {
                Some(file) => {
                    self.held_bytes -= file.held_bytes();
                    self.stored_bytes -= file.event_bytes();
                    self.start = file.next();
                }
                None => {
                    self.start = self.blocks.front().map_or(self.start, |block| block.next);
                    self.pop_block();
                }
            }
            self.dead_bytes = 0;
        }
        let is_empty = self.cold.is_empty() && self.blocks.is_empty();
        if is_empty {
            self.shares.clear();
            self.shares_bytes = 0;
        }
        is_empty
    }
}

/// As [`Partition::start_after`], for a block in a file: its events are counted, not looked at.
/// Where they are packed, they go together.
fn start_after_cold(block: &ColdBlock, start: u64, goes: &mut impl FnMut(Piece) -> bool) -> u64 {
    let mut begin = block.base.max(start);
    let bytes = u64::from(block.bytes);
    let each = bytes / block.count();
    let whole = Piece {
        bytes: bytes - each * (begin - block.base),
        count: block.next - begin,
        last_ms: block.last_ms,
        whole_block: true,
    };
    if goes(whole) {
        return block.next;
    }
    let one = Piece { bytes: each, count: 1, last_ms: block.last_ms, whole_block: false };
    while block.dense && begin < block.next && goes(one) {
        begin += 1;
    }
    begin
}

fn first(block: &Block) -> Place {
    Place { offset: block.base, at: 0 }
}

/// A part of a partition that may go: a whole block, or one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) bytes: u64,
    pub(super) count: u64,
    /// The time of its last event.
    pub(super) last_ms: u64,
    pub(super) whole_block: bool,
}

/// Neighbouring events as they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'s> {
    pub(super) base: u64,
    pub(super) next: u64,
    pub(super) bytes: &'s [u8],
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, NewEvent};
    use super::*;
    use crate::rng::Rng;

    fn event(number: u64, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let data = vec![number as u8; bytes];
        NewEvent { data: &data, ..NewEvent::default() }.write(1000 + number, &mut out);
        out
    }

    fn offsets(partition: &Partition, from: u64) -> Vec<u64> {
        partition.items(from).map(|(offset, _)| offset).collect()
    }

    #[test]
    fn offsets_are_dense_and_found_wherever_the_front_is() {
        let mut rng = Rng::new(5);
        let mut partition = Partition::default();
        let mut start = 0;
        for number in 0..3_000u64 {
            partition.append(number, &event(number, rng.below(400)));
            if rng.below(10) == 0 {
                start = start.max((number + 1).saturating_sub(rng.below(900) as u64));
                partition.truncate(start);
            }
            let from = rng.below(number as usize + 2) as u64;
            let expected: Vec<u64> = (from.max(start)..=number).collect();
            assert_eq!(offsets(&partition, from), expected);
            let first = partition.items(0).next().map(|(_, item)| item.time_ms());
            assert_eq!((partition.first_ms(), partition.last_ms()), (first, 1000 + number));
            assert_eq!(partition.len() as u64, number + 1 - start);
            assert_eq!(partition.offset_at(1000 + from), from.clamp(start, number + 1));
        }
        let bytes: usize = partition
            .items(0)
            .map(|(offset, item)| match item {
                Item::One(Event { data, .. }) => event(offset, data.len()).len(),
                Item::Packed { .. } => 0,
            })
            .sum();
        assert_eq!(partition.event_bytes(), bytes as u64);
        let held: usize = partition.blocks.iter().map(Block::held_bytes).sum();
        assert_eq!(partition.held_bytes, held, "the books are right");
        partition.truncate(5_000);
        assert_eq!((partition.start(), partition.next(), partition.len()), (5_000, 5_000, 0));
        assert_eq!((partition.held_bytes, partition.event_bytes()), (0, 0));
    }

    #[test]
    fn what_is_there_is_passed_over_and_a_gap_is_what_is_gone() {
        let mut partition = Partition::default();
        let two: Vec<u8> = [event(0, 10), event(1, 10)].concat();
        partition.append(0, &two);
        partition.append(0, &two);
        partition.append(1, &[event(1, 10), event(2, 10)].concat());
        assert_eq!(offsets(&partition, 0), [0, 1, 2]);
        partition.append(7, &event(7, 10));
        assert_eq!((offsets(&partition, 0), partition.start()), (vec![7], 7));
    }

    #[test]
    fn the_front_goes_by_blocks_and_then_by_items() {
        let mut partition = Partition::default();
        for number in 0..1_000u64 {
            partition.append(number, &event(number, 990));
        }
        assert!(partition.blocks.len() > 10);
        for keep in [1000, 999, 500, 64, 1, 0] {
            let mut excess = 1000 - keep;
            let start = partition.start_after(usize::MAX, |piece| {
                let goes = piece.count <= excess;
                excess -= if goes { piece.count } else { 0 };
                goes
            });
            assert_eq!(start, 1000 - keep);
        }
        let start = partition.start_after(2, |_| true);
        assert!((100..200).contains(&start), "two blocks: {start}");
    }
}
