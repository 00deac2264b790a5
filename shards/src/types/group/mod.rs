//! Consumer groups: who reads which partition of a topic, and how far.

mod assign;
mod commit;
mod find;
mod gauge;
mod make;
mod member;
mod record;
mod state;

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

pub use assign::Strategy;
pub use gauge::{Gauge, gauges};
pub(crate) use member::evict_due;
use record::Writer;
pub(crate) use record::check;
pub(crate) use state::Group;

/// A group behind one pointer: it is larger than other containers' fixed parts.
pub(crate) type Large = Box<Group>;

/// Commands on consumer groups.
pub const COMMANDS: &[&CommandSpec] = &[
    &make::GCREATE,
    &make::GDELETE,
    &make::GLIST,
    &make::GSTATS,
    &member::GJOIN,
    &member::GLEAVE,
    &member::GHEARTBEAT,
    &member::GASSIGNMENT,
    &member::GREBALANCE,
    &commit::GCOMMIT,
    &commit::GOFFSET,
];

impl Group {
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
pub(crate) fn build(edits: &[u8]) -> Large {
    let mut group = Large::default();
    group.apply_edits(edits);
    group
}
