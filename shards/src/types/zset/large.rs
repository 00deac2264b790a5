//! A large sorted set: members by name in a [`Table`] of the shard, whose payload is the score, and
//! in order in a [`Tree`] over the same cells. `OBJECT ENCODING` says `skiplist`, because clients
//! know that name; it is a B+tree.

use super::packed::{self, Packed, order};
use super::record::{Edit, Edits, push_put};
use super::tree::{Place, Tree};
use crate::shard::memory::{Memory, MemoryMut};
use crate::shard::slab::Handle;
use crate::shard::table::Table;
use crate::types::{Cursor, Thresholds};

/// Members of a node of the tree, for counting work in members.
const MEMBERS_PER_NODE: usize = 32;

/// The large form.
#[derive(Debug)]
pub(crate) struct Large {
    table: Table,
    tree: Tree,
}

/// The score in the payload of a member.
fn score_in(payload: &[u8]) -> f64 {
    f64::from_le_bytes(*payload.first_chunk().expect("the payload of a member is a score"))
}

impl Large {
    fn new() -> Self {
        Self { table: Table::new(), tree: Tree::new() }
    }

    fn of_packed(value: &[u8], memory: &mut MemoryMut<'_>) -> Self {
        let mut large = Self::new();
        for (score, member) in Packed::new(value).iter() {
            large.put(memory, member, score);
        }
        large
    }

    pub(crate) fn apply(&mut self, edits: &[u8], memory: &mut MemoryMut<'_>, _: &Thresholds) {
        self.apply_all(Edits(edits), memory);
    }

    fn apply_all(&mut self, edits: Edits<'_>, memory: &mut MemoryMut<'_>) {
        for edit in edits {
            match edit {
                Edit::Put { member, score } => self.put(memory, member, score),
                Edit::Gone { member } => self.remove(memory, member),
            }
        }
    }

    fn put(&mut self, memory: &mut MemoryMut<'_>, member: &[u8], score: f64) {
        let payload = score.to_le_bytes();
        let handle = match self.table.handle(memory.read(), member) {
            None => self.table.put(memory, member, &payload).0,
            Some(handle) => {
                let old = score_in(Table::payload_of(memory.read(), handle));
                if old == score {
                    return;
                }
                self.take_from_tree(memory.read(), handle, (old, member));
                Table::payload_mut(memory, handle).copy_from_slice(&payload);
                handle
            }
        };
        let memory = memory.read();
        self.tree.insert(score, handle, |a, other| {
            order_in(memory, (a, other), (score, member)).is_lt()
        });
    }

    fn remove(&mut self, memory: &mut MemoryMut<'_>, member: &[u8]) {
        let Some(handle) = self.table.handle(memory.read(), member) else { return };
        let score = score_in(Table::payload_of(memory.read(), handle));
        self.take_from_tree(memory.read(), handle, (score, member));
        self.table.remove(memory, member);
    }

    fn take_from_tree(&mut self, memory: Memory<'_>, handle: Handle, entry: (f64, &[u8])) {
        let was_there = self
            .tree
            .remove(handle, |score, other| order_in(memory, (score, other), entry).is_lt());
        assert!(was_there, "tree and table hold the same members");
    }

    /// Bytes it has taken from the allocator; cells are counted apart.
    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes() + self.tree.held_bytes()
    }

    /// Bytes of the cells of its members.
    pub(crate) fn cell_bytes(&self) -> usize {
        self.table.cell_bytes()
    }

    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(&self) -> &'static str {
        "skiplist"
    }

    /// Gives memory of up to `budget` members back; true when nothing is left.
    pub(crate) fn release_some(&mut self, memory: &mut MemoryMut<'_>, budget: usize) -> bool {
        let nodes = (budget / MEMBERS_PER_NODE).max(1);
        self.tree.release_some(nodes) && self.table.release_some(memory, budget)
    }

    /// Appends edits that rebuild the members from `cursor` on, about `budget` bytes of them.
    pub(crate) fn piece(
        &self,
        memory: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        let end = out.len().saturating_add(budget.max(1));
        let mut position = Some(cursor.a);
        while out.len() < end {
            position = self.table.walk(memory, position?, |handle| {
                let (member, payload) = Table::parts_of(memory, handle);
                push_put(out, member, score_in(payload));
            });
        }
        position.map(|a| Cursor { a, ..cursor })
    }

    pub(super) fn score(&self, memory: Memory<'_>, member: &[u8]) -> Option<f64> {
        self.table.get(memory, member).map(score_in)
    }

    pub(super) fn score_of(&self, memory: Memory<'_>, handle: Handle) -> f64 {
        score_in(Table::payload_of(memory, handle))
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The place of a member that is there, or where one of this score would be.
    pub(super) fn place(&self, memory: Memory<'_>, entry: (f64, &[u8])) -> Place {
        self.tree.partition(|score, other| order_in(memory, (score, other), entry).is_lt())
    }
}

/// The order of two members, of which one is known by its cell: it is read only if it decides.
#[inline]
fn order_in(
    memory: Memory<'_>,
    (score, handle): (f64, Handle),
    entry: (f64, &[u8]),
) -> std::cmp::Ordering {
    if score < entry.0 {
        return std::cmp::Ordering::Less;
    }
    if score > entry.0 {
        return std::cmp::Ordering::Greater;
    }
    order((score, Table::name_of(memory, handle)), entry)
}

/// Applies edits to a packed set, of no bytes when it is new. What it returns takes its place.
pub(crate) fn apply_packed(
    value: &mut Vec<u8>,
    edits: &[u8],
    memory: &mut MemoryMut<'_>,
    limits: &Thresholds,
) -> Option<Large> {
    let members_max = limits.zset_max_listpack_entries.min(packed::MEMBERS_MAX);
    let mut edits = Edits(edits);
    loop {
        let rest = edits.clone();
        match edits.next()? {
            Edit::Gone { member } => packed::remove(value, member),
            Edit::Put { member, score } => {
                let packed = Packed::new(value);
                let full = packed.len() >= members_max && packed.find(member).is_none();
                if full || member.len() > limits.zset_max_listpack_value {
                    let mut large = Large::of_packed(value, memory);
                    large.apply_all(rest, memory);
                    return Some(large);
                }
                packed::put(value, member, score);
            }
        }
    }
}

/// Appends edits that rebuild a packed set.
pub(crate) fn packed_edits(value: &[u8], out: &mut Vec<u8>) {
    for (score, member) in Packed::new(value).iter() {
        push_put(out, member, score);
    }
}

/// Number of members of a packed set.
pub(crate) fn packed_len(value: &[u8]) -> usize {
    Packed::new(value).len()
}
