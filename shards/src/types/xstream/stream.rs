//! A stream in memory: entries in blocks by their first id, and consumer groups.
//!
//! A block takes entries until it has so many of them or so many bytes (`stream_node_max_entries`,
//! `stream_node_max_bytes`), as the nodes of a Redis stream; entries share the names of their
//! fields with the first of their block where they are the same. There is no packed form.

use std::collections::BTreeMap;

use super::block::{Block, Entry, NewFields};
use super::group::Group;
use super::id::Id;
use crate::types::Thresholds;

/// Bytes of a block where the setting says that there is no limit.
const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// A stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    blocks: BTreeMap<Id, Block>,
    len: usize,
    pub(super) last_id: Id,
    pub(super) entries_added: u64,
    pub(super) max_deleted: Id,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Groups and consumers that were ever made.
    births: u64,
    held_bytes: usize,
}

impl Stream {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes taken from the allocator, about.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.held_bytes
    }

    /// The greatest id that ever was, or that was set.
    pub(crate) fn last_id(&self) -> Id {
        self.last_id
    }

    /// Number of entries that were ever added, or what was set.
    pub(crate) fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The greatest id that was deleted.
    pub(crate) fn max_deleted(&self) -> Id {
        self.max_deleted
    }

    /// Its blocks, with the least id that each may hold.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = (Id, &Block)> {
        self.blocks.iter().map(|(base, block)| (*base, block))
    }

    /// The id of the first entry; zero when there is none.
    pub(crate) fn first_id(&self) -> Id {
        let first = self.blocks.first_key_value();
        let entry = first.and_then(|(base, block)| block.entries(*base).next());
        entry.map_or(Id::ZERO, |entry| entry.id)
    }

    /// The id of the last entry that is there; zero when there is none.
    pub(crate) fn top_id(&self) -> Id {
        self.blocks.last_key_value().map_or(Id::ZERO, |(_, block)| block.last())
    }

    /// The entry of an id.
    pub(crate) fn get(&self, id: Id) -> Option<Entry<'_>> {
        let (base, block) = self.blocks.range(..=id).next_back()?;
        block.entries(*base).find(|entry| entry.id >= id).filter(|entry| entry.id == id)
    }

    /// The entries from `start` to `end`, both included, in order.
    pub(crate) fn range(&self, start: Id, end: Id) -> impl Iterator<Item = Entry<'_>> {
        let first = self.blocks.range(..=start).next_back().map_or(start, |(base, _)| *base);
        let blocks = (first <= end).then(|| self.blocks.range(first..=end)).into_iter().flatten();
        blocks
            .flat_map(|(base, block)| block.entries(*base))
            .skip_while(move |entry| entry.id < start)
            .take_while(move |entry| entry.id <= end)
    }

    /// The same, last entry first.
    pub(crate) fn range_back(&self, start: Id, end: Id) -> impl Iterator<Item = Entry<'_>> {
        let blocks = self.blocks.range(..=end).rev();
        blocks
            .flat_map(|(base, block)| {
                let entries: Vec<Entry<'_>> = block.entries(*base).collect();
                entries.into_iter().rev()
            })
            .skip_while(move |entry| entry.id > end)
            .take_while(move |entry| entry.id >= start)
    }

    /// Whether an entry behind the last one, of `bytes` encoded bytes, would open a new block.
    pub(super) fn opens_block(&self, bytes: usize, limits: &Thresholds) -> bool {
        self.blocks.last_key_value().is_none_or(|(_, block)| is_full(block, bytes, limits))
    }

    /// Adds an entry, or leaves the one of this id as it is.
    pub(super) fn insert(&mut self, id: Id, fields: NewFields<'_>, limits: &Thresholds) {
        if let Some((base, block)) = self.blocks.range_mut(..=id).next_back()
            && (id <= block.last() || !is_full(block, fields.pairs.len(), limits))
        {
            self.held_bytes -= block.held_bytes();
            self.len += usize::from(block.insert(*base, id, fields));
            self.held_bytes += block.held_bytes();
            return;
        }
        let mut block = Block::new(id, fields);
        block.insert(id, id, fields);
        self.held_bytes += block.held_bytes();
        self.len += 1;
        self.blocks.insert(id, block);
    }

    /// Takes an entry out, if it is there.
    pub(super) fn remove(&mut self, id: Id) {
        let Some((base, block)) = self.blocks.range_mut(..=id).next_back() else { return };
        if !block.remove(*base, id) {
            return;
        }
        self.len -= 1;
        if block.count() == 0 {
            self.held_bytes -= block.held_bytes();
            let base = *base;
            self.blocks.remove(&base);
        }
    }

    /// Takes out every entry up to `id`.
    pub(super) fn trim_through(&mut self, id: Id) {
        while let Some(mut first) = self.blocks.first_entry() {
            let base = *first.key();
            if first.get().last() > id {
                self.len -= first.get_mut().remove_through(base, id);
                return;
            }
            self.len -= first.get().count();
            self.held_bytes -= first.get().held_bytes();
            first.remove();
        }
    }

    /// Its groups by name.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&name[..], group))
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Makes a group, or sets where it has come to.
    pub(super) fn set_group(&mut self, name: &[u8], last_id: Id, entries_read: Option<u64>) {
        if !self.groups.contains_key(name) {
            let group = Group { birth: self.births, ..Group::default() };
            self.births += 1;
            self.groups.insert(name.into(), group);
            self.held_bytes += Group::held_bytes(name.len());
        }
        if let Some(group) = self.groups.get_mut(name) {
            (group.last_id, group.entries_read) = (last_id, entries_read);
        }
    }

    /// Removes a group.
    pub(super) fn remove_group(&mut self, name: &[u8]) {
        if let Some(group) = self.groups.remove(name) {
            self.held_bytes -= group.total_bytes(name.len());
        }
    }

    /// Makes a consumer of a group that is there, or sets its times if some are given.
    pub(super) fn set_consumer(
        &mut self,
        group: &[u8],
        name: &[u8],
        times: Option<(u64, Option<u64>)>,
    ) {
        let Some(group) = self.groups.get_mut(group) else { return };
        self.held_bytes += group.set_consumer(name, times, self.births);
        self.births += 1;
    }

    /// Removes a consumer and what it has not acknowledged.
    pub(super) fn remove_consumer(&mut self, group: &[u8], name: &[u8]) {
        if let Some(group) = self.groups.get_mut(group) {
            self.held_bytes -= group.remove_consumer(name);
        }
    }

    /// Gives an entry to a consumer, which is made if need be, of a group that is there.
    pub(super) fn give(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        id: Id,
        (time_ms, count): (u64, u64),
    ) {
        self.set_consumer(group, consumer, None);
        if let Some(group) = self.groups.get_mut(group) {
            self.held_bytes += group.give(id, consumer, time_ms, count);
        }
    }

    /// Forgets that an entry is unacknowledged in a group.
    pub(super) fn acknowledge(&mut self, group: &[u8], id: Id) {
        if let Some(group) = self.groups.get_mut(group) {
            self.held_bytes -= group.acknowledge(id);
        }
    }

    /// Gives memory of about `budget` elements back; true when nothing is left.
    pub(super) fn release(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0
            && let Some((_, block)) = self.blocks.pop_first()
        {
            self.len -= block.count();
            left = left.saturating_sub(block.count());
        }
        while left > 0
            && let Some(mut group) = self.groups.first_entry()
        {
            left = group.get_mut().release_some(left);
            if group.get().consumers.is_empty() && group.get().pending.is_empty() {
                group.remove();
                left = left.saturating_sub(1);
            }
        }
        self.blocks.is_empty() && self.groups.is_empty()
    }
}

fn is_full(block: &Block, bytes: usize, limits: &Thresholds) -> bool {
    let most_bytes = match limits.stream_node_max_bytes {
        0 => BLOCK_BYTES_MAX,
        bytes => bytes.min(BLOCK_BYTES_MAX),
    };
    let most = limits.stream_node_max_entries;
    block.bytes() + bytes >= most_bytes || most > 0 && block.count() >= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::types::codec::put_bytes;
    use std::collections::BTreeSet;

    fn ids<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<Id> {
        entries.map(|entry| entry.id).collect()
    }

    #[test]
    fn entries_are_found_wherever_they_were_put() {
        let limits = Thresholds { stream_node_max_entries: 4, ..Thresholds::default() };
        let mut pairs = Vec::new();
        [b"f", b"v"].iter().for_each(|word| put_bytes(&mut pairs, *word));
        let fields = NewFields { count: 1, pairs: &pairs };
        let (mut stream, mut oracle) = (Stream::default(), BTreeSet::new());
        let mut rng = Rng::new(3);
        for round in 0..4_000 {
            let id = Id::new(rng.below(40) as u64, rng.below(10) as u64);
            match rng.below(20) {
                0..12 => {
                    stream.insert(id, fields, &limits);
                    oracle.insert(id);
                }
                12..19 => {
                    stream.remove(id);
                    oracle.remove(&id);
                }
                _ => {
                    let bound = Id::new(rng.below(20) as u64, 3);
                    stream.trim_through(bound);
                    oracle.retain(|id| *id > bound);
                }
            }
            let other = Id::new(rng.below(40) as u64, rng.below(10) as u64);
            let (start, end) = (id.min(other), id.max(other));
            let expected: Vec<Id> = oracle.range(start..=end).copied().collect();
            assert_eq!(ids(stream.range(start, end)), expected, "round {round}");
            let back: Vec<Id> = expected.into_iter().rev().collect();
            assert_eq!(ids(stream.range_back(start, end)), back, "round {round}");
            assert_eq!(stream.get(id).is_some(), oracle.contains(&id));
            assert_eq!(stream.len(), oracle.len());
            assert_eq!(stream.first_id(), oracle.first().copied().unwrap_or_default());
            assert_eq!(stream.top_id(), oracle.last().copied().unwrap_or_default());
        }
        let held: usize = stream.blocks().map(|(_, block)| block.held_bytes()).sum();
        assert_eq!(stream.held_bytes, held, "the books are right");
        stream.trim_through(Id::MAX);
        assert_eq!((stream.len(), stream.held_bytes), (0, 0));
    }
}
