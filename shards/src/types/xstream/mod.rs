//! Skeleton.

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

/// Commands.
pub const COMMANDS: &[&CommandSpec] = &[];

/// Large form.
#[derive(Debug)]
pub(crate) struct Large;

impl Large {
    pub(crate) fn apply(
        &mut self,
        _edits: &[u8],
        _memory: &mut MemoryMut<'_>,
        _limits: &Thresholds,
    ) {
    }
    pub(crate) fn held_bytes(&self) -> usize {
        0
    }
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }
    pub(crate) fn len(&self) -> usize {
        0
    }
    pub(crate) fn encoding(&self) -> &'static str {
        ""
    }
    pub(crate) fn release_some(&mut self, _memory: &mut MemoryMut<'_>, _budget: usize) -> bool {
        true
    }
    pub(crate) fn piece(
        &self,
        _memory: Memory<'_>,
        _cursor: Cursor,
        _out: &mut Vec<u8>,
        _budget: usize,
    ) -> Option<Cursor> {
        None
    }
}

pub(crate) fn check(_edits: &[u8]) -> bool {
    false
}
pub(crate) fn apply_packed(_edits: &[u8], _limits: &Thresholds) -> Option<Large> {
    None
}
