//! Message queues.

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

/// Commands on queues.
pub const COMMANDS: &[&CommandSpec] = &[];

/// A queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {}

/// A queue behind one pointer: it is larger than other containers' fixed parts.
pub(crate) type Large = Box<Queue>;

/// Whether bytes are edits of a queue.
pub(crate) fn check(edits: &[u8]) -> bool {
    edits.is_empty()
}

/// The queue that edits build from nothing.
pub(crate) fn build(_: &[u8]) -> Large {
    Large::default()
}

impl Queue {
    /// Applies edits.
    pub(crate) fn apply(&mut self, _: &[u8], _: &mut MemoryMut<'_>, _: &Thresholds) {}

    /// Bytes taken from the allocator, about.
    pub(crate) fn held_bytes(&self) -> usize {
        0
    }

    /// Bytes of cells of its shard that it owns: none.
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }

    /// Number of messages.
    pub(crate) fn len(&self) -> usize {
        0
    }

    /// What `OBJECT ENCODING` would call it.
    pub(crate) fn encoding(&self) -> &'static str {
        "queue"
    }

    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, _: usize) -> bool {
        true
    }

    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        _: Cursor,
        _: &mut Vec<u8>,
        _: usize,
    ) -> Option<Cursor> {
        None
    }

    pub(crate) fn armed(&self) -> Option<u64> {
        None
    }

    pub(crate) fn rearm(&mut self) {}

    pub(crate) fn take_grave(&mut self) -> Option<Large> {
        None
    }
}
