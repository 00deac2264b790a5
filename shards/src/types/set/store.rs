//! The forms of a set, and how edits change them.

use super::ints::{self, Ints};
use super::pack::{self, Pack};
use super::record::{Edit, Reader, push_add};
use crate::command::args::integer;
use crate::shard::memory::{Memory, MemoryMut};
use crate::shard::table::Table;
use crate::types::{Cursor, Thresholds};

/// A set that is not packed.
#[derive(Debug)]
pub(crate) struct Large {
    table: Table,
}

impl Large {
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn apply(&mut self, edits: &[u8], memory: &mut MemoryMut<'_>, _: &Thresholds) {
        self.apply_all(Reader(edits), memory);
    }

    fn apply_all(&mut self, edits: Reader<'_>, memory: &mut MemoryMut<'_>) {
        for edit in edits {
            match edit {
                Edit::Add(member) => self.table.insert(memory, member, &[]),
                Edit::Remove(member) => self.table.remove(memory, member),
            };
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    pub(crate) fn cell_bytes(&self) -> usize {
        self.table.cell_bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn encoding(&self) -> &'static str {
        "hashtable"
    }

    pub(crate) fn release_some(&mut self, memory: &mut MemoryMut<'_>, budget: usize) -> bool {
        self.table.release_some(memory, budget)
    }

    /// `cursor.a` is a position of a walk over the table.
    pub(crate) fn piece(
        &self,
        memory: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        let end = out.len().saturating_add(budget);
        let mut position = Some(cursor.a);
        while let Some(at) = position.filter(|_| out.len() < end) {
            position = self.table.walk(memory, at, |handle| {
                push_add(out, Table::name_of(memory, handle));
            });
        }
        position.map(|a| Cursor { a, ..cursor })
    }
}

/// Applies edits to packed bytes, or to none. What it returns takes their place.
pub(crate) fn apply_packed(
    value: &mut Vec<u8>,
    edits: &[u8],
    memory: &mut MemoryMut<'_>,
    limits: &Thresholds,
) -> Option<Large> {
    let mut edits = Reader(edits);
    let entries_max = limits.set_max_listpack_entries.min(pack::MEMBERS_MAX);
    while let Some(edit) = edits.next() {
        let fits = match edit {
            Edit::Remove(member) => {
                remove_packed(value, member);
                true
            }
            Edit::Add(member) => match (form(value), integer(member)) {
                (Form::None | Form::Ints(_), Ok(number)) => {
                    ints::insert(value, number);
                    packed_len(value) <= limits.set_max_intset_entries
                }
                (Form::Pack(pack), _) if pack.contains(member) => true,
                (form, _) => {
                    let fits = packed_len(value) < entries_max
                        && member.len() <= limits.set_max_listpack_value;
                    if fits {
                        if let Form::None | Form::Ints(_) = form {
                            *value = unordered(value);
                        }
                        pack::push(value, member);
                        true
                    } else {
                        return Some(enlarged(value, Some(member), edits, memory));
                    }
                }
            },
        };
        if !fits {
            return Some(enlarged(value, None, edits, memory));
        }
    }
    None
}

/// A large set of what is packed, one more member, and what further edits make of it.
fn enlarged(
    value: &[u8],
    member: Option<&[u8]>,
    edits: Reader<'_>,
    memory: &mut MemoryMut<'_>,
) -> Large {
    let mut large = Large { table: Table::new() };
    each_packed(value, |member| {
        large.table.insert(memory, member, &[]);
    });
    if let Some(member) = member {
        large.table.insert(memory, member, &[]);
    }
    large.apply_all(edits, memory);
    large
}

/// A packed form.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'v> {
    /// No bytes: a set that is about to be made.
    None,
    Ints(Ints<'v>),
    Pack(Pack<'v>),
}

pub(super) fn form(value: &[u8]) -> Form<'_> {
    match Ints::of(value) {
        Some(ints) => Form::Ints(ints),
        None if value.is_empty() => Form::None,
        None => Form::Pack(Pack::of(value)),
    }
}

fn remove_packed(value: &mut Vec<u8>, member: &[u8]) {
    match form(value) {
        Form::None => {}
        Form::Ints(_) => {
            if let Ok(number) = integer(member) {
                ints::remove(value, number);
            }
        }
        Form::Pack(_) => pack::remove(value, member),
    }
}

/// The same members in the form that holds any.
fn unordered(value: &[u8]) -> Vec<u8> {
    let mut out = pack::empty();
    each_packed(value, |member| pack::push(&mut out, member));
    out
}

fn each_packed(value: &[u8], mut visit: impl FnMut(&[u8])) {
    match form(value) {
        Form::None => {}
        Form::Ints(ints) => {
            ints.iter().for_each(|number| visit(number.to_string().as_bytes()));
        }
        Form::Pack(pack) => pack.iter().for_each(visit),
    }
}

pub(crate) fn packed_edits(value: &[u8], out: &mut Vec<u8>) {
    each_packed(value, |member| push_add(out, member));
}

pub(crate) fn packed_len(value: &[u8]) -> usize {
    match form(value) {
        Form::None => 0,
        Form::Ints(ints) => ints.len(),
        Form::Pack(pack) => pack.len(),
    }
}

pub(crate) fn packed_encoding(value: &[u8]) -> &'static str {
    match form(value) {
        Form::Ints(_) => "intset",
        Form::None | Form::Pack(_) => "listpack",
    }
}
