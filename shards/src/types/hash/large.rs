//! The large form of a hash: every field is a cell in the slab of its shard, found by name.
//!
//! ```text
//! payload of a cell   flags u8: 1 it has a deadline; [deadline u48 Unix ms]; value
//! ```
//!
//! Fields with deadlines stand in an ordered set as well, so that those that are due are found
//! without looking at the others.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::packed::{Field, Packed};
use super::record::{Edit, Edits, push};
use crate::shard::memory::{Memory, MemoryMut};
use crate::shard::slab::Handle;
use crate::shard::table::Table;
use crate::types::{Cursor, Thresholds};

const DEADLINE: u8 = 1;
const DEADLINE_BYTES: usize = 6;
/// Bytes that an ordered set takes for one deadline: the pair, in nodes about two thirds full.
const DEADLINE_SHARE_BYTES: usize = 24;

/// A hash in a structure of its own.
#[derive(Debug)]
pub(crate) struct Large {
    table: Table,
    /// Deadlines, each with the cell of its field.
    deadlines: BTreeSet<(u64, u32)>,
}

impl Large {
    /// A hash with the fields of a packed one.
    pub(super) fn unpacked(packed: Packed<'_>, memory: &mut MemoryMut<'_>) -> Self {
        let table = Table::with_room(packed.len() + 1);
        let mut large = Self { table, deadlines: BTreeSet::new() };
        packed.fields().for_each(|field| large.set(memory, &field));
        large
    }

    /// Applies edits. The thresholds say nothing about it: it stays large.
    pub(crate) fn apply(&mut self, edits: &[u8], memory: &mut MemoryMut<'_>, _: &Thresholds) {
        Edits::over(edits).for_each(|edit| self.apply_one(&edit, memory));
    }

    pub(super) fn apply_one(&mut self, edit: &Edit<'_>, memory: &mut MemoryMut<'_>) {
        match *edit {
            Edit::Set { field: name, value, deadline_ms } => {
                self.set(memory, &Field { name, value, deadline_ms });
            }
            Edit::Deadline { field, deadline_ms } => {
                self.set_deadline(memory, field, deadline_ms);
            }
            Edit::Delete { field } => {
                self.forget_deadline(memory.read(), field);
                self.table.remove(memory, field);
            }
        }
    }

    fn set(&mut self, memory: &mut MemoryMut<'_>, field: &Field<'_>) {
        self.forget_deadline(memory.read(), field.name);
        let mut payload: SmallVec<[u8; 128]> = SmallVec::new();
        match field.deadline_ms {
            None => payload.push(0),
            Some(deadline) => {
                payload.push(DEADLINE);
                payload.extend_from_slice(&deadline.to_le_bytes()[..DEADLINE_BYTES]);
            }
        }
        payload.extend_from_slice(field.value);
        let (handle, _) = self.table.put(memory, field.name, &payload);
        if let Some(deadline) = field.deadline_ms {
            self.deadlines.insert((deadline, handle.0));
        }
    }

    fn set_deadline(&mut self, memory: &mut MemoryMut<'_>, name: &[u8], deadline_ms: Option<u64>) {
        let Some(payload) = self.table.get(memory.read(), name) else { return };
        let value = field_of(name, payload).value.to_vec();
        self.set(memory, &Field { name, value: &value, deadline_ms });
    }

    /// Takes the deadline of a field out of the ordered set. Its cell may go next.
    fn forget_deadline(&mut self, memory: Memory<'_>, name: &[u8]) {
        if self.deadlines.is_empty() {
            return;
        }
        let Some(handle) = self.table.handle(memory, name) else { return };
        let field = field_of(name, Table::payload_of(memory, handle));
        if let Some(deadline) = field.deadline_ms {
            self.deadlines.remove(&(deadline, handle.0));
        }
    }

    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes it has taken from the allocator itself.
    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes() + self.deadlines.len() * DEADLINE_SHARE_BYTES
    }

    /// Bytes of its cells.
    pub(crate) fn cell_bytes(&self) -> usize {
        self.table.cell_bytes()
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(&self) -> &'static str {
        "hashtable"
    }

    /// Gives about `budget` cells back; true when all are gone.
    pub(crate) fn release_some(&mut self, memory: &mut MemoryMut<'_>, budget: usize) -> bool {
        self.deadlines.clear();
        self.table.release_some(memory, budget)
    }

    /// Appends edits that rebuild its fields from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on. Fields that are there all the while are met, whatever changes.
    pub(crate) fn piece(
        &self,
        memory: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        let start = out.len();
        let mut position = Some(cursor.a);
        while let Some(at) = position {
            if out.len() - start >= budget {
                return Some(Cursor { a: at, ..cursor });
            }
            position = self.walk(memory, at, |field| push_field(out, &field));
        }
        None
    }

    /// The field of this name.
    #[inline]
    pub(super) fn get<'s>(&self, memory: Memory<'s>, name: &[u8]) -> Option<Field<'s>> {
        self.table.handle(memory, name).map(|handle| field_at(memory, handle))
    }

    /// As [`Table::walk`].
    pub(super) fn walk<'s>(
        &self,
        memory: Memory<'s>,
        position: u64,
        mut visit: impl FnMut(Field<'s>),
    ) -> Option<u64> {
        self.table.walk(memory, position, |handle| visit(field_at(memory, handle)))
    }

    /// Every field, in no particular order.
    pub(super) fn fields<'s>(
        &'s self,
        memory: Memory<'s>,
    ) -> impl Iterator<Item = Field<'s>> + use<'s> {
        self.table.iter().map(move |handle| field_at(memory, handle))
    }

    /// A field drawn at random.
    pub(super) fn random<'s>(
        &self,
        memory: Memory<'s>,
        draw: &mut crate::rng::Rng,
    ) -> Option<Field<'s>> {
        self.table.random(draw).map(|handle| field_at(memory, handle))
    }

    /// The nearest deadline of a field.
    pub(crate) fn least_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The fields whose deadline has passed, the earliest first.
    pub(super) fn due<'s>(
        &'s self,
        memory: Memory<'s>,
        now_ms: u64,
    ) -> impl Iterator<Item = Field<'s>> + use<'s> {
        let due = self.deadlines.iter().take_while(move |(deadline, _)| *deadline <= now_ms);
        due.map(move |(_, handle)| field_at(memory, Handle(*handle)))
    }
}

/// Appends the edit that makes a field what it is.
pub(super) fn push_field(out: &mut Vec<u8>, field: &Field<'_>) {
    let Field { name, value, deadline_ms } = *field;
    push(out, &Edit::Set { field: name, value, deadline_ms });
}

#[inline]
fn field_at(memory: Memory<'_>, handle: Handle) -> Field<'_> {
    let (name, payload) = Table::parts_of(memory, handle);
    field_of(name, payload)
}

#[inline]
fn field_of<'s>(name: &'s [u8], payload: &'s [u8]) -> Field<'s> {
    if payload[0] & DEADLINE == 0 {
        return Field { name, value: &payload[1..], deadline_ms: None };
    }
    let (deadline, value) = payload[1..].split_at(DEADLINE_BYTES);
    let mut bytes = [0; 8];
    bytes[..DEADLINE_BYTES].copy_from_slice(deadline);
    Field { name, value, deadline_ms: Some(u64::from_le_bytes(bytes)) }
}
