//! Consumer groups: who reads which partition of a topic, and how far.

mod assign;
mod group;
mod record;

use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

pub(crate) use group::Group as Large;
pub(crate) use record::{Writer, check};

impl Large {
    /// Applies edits.
    pub(crate) fn apply(&mut self, edits: &[u8], _: &mut MemoryMut<'_>, _: &Thresholds) {
        self.apply_edits(edits);
    }

    /// Bytes of cells of its shard that it owns: none.
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(&self) -> &'static str {
        "group"
    }

    /// Gives its memory back; it is small: bounded by its members and partitions.
    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, _: usize) -> bool {
        *self = Self::default();
        true
    }

    /// Appends edits that rebuild it: all of them, for a group is small.
    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        _: Cursor,
        out: &mut Vec<u8>,
        _: usize,
    ) -> Option<Cursor> {
        let mut writer = Writer { out: std::mem::take(out) };
        writer.terms(&self.terms);
        self.members().iter().for_each(|(id, member)| writer.member(id, *member));
        let owners = self.owners().values().map(|id| &**id).collect::<Vec<_>>();
        writer.owners(self.generation, self.rebalanced_ms, owners.into_iter());
        self.commits().iter().for_each(|(partition, commit)| writer.commit(*partition, commit));
        *out = writer.out;
        None
    }
}

/// The group that edits build from nothing.
pub(crate) fn apply_packed(edits: &[u8]) -> Option<Large> {
    let mut group = Large::default();
    group.apply_edits(edits);
    Some(group)
}
