//! The elements of one large container, found by name: each is a cell in the slab of its shard.
//!
//! ```text
//! cell   length of the name as varint, length of the payload as varint, name, payload
//! ```
//!
//! Up to [`FEW_MAX`] elements are a short list of hashes and handles that is searched from end to
//! end; more are found through the extendible [`Index`] of the key space, so that growing never
//! makes an operation wait. A table that lost nearly all its elements goes back to the list.
//!
//! A table owns its cells but cannot give them back by itself: whoever drops one has called
//! [`Table::release_some`] until it said that all are gone.

use super::entry::{prefetch, read_varint, varint_bytes, write_varint};
use super::index::{BUCKETS, Index, Named, Slot};
use super::memory::{Memory, MemoryMut};
use super::slab::Handle;
use crate::rng::Rng;

/// Elements that are found without an index. One needs two KiB however few there are, and a list of
/// this many hashes is read in a few cache lines.
const FEW_MAX: usize = 64;
/// Elements at which an index is given up. Far below [`FEW_MAX`], so that a table whose size swings
/// is not rebuilt again and again.
const FEW_AGAIN: usize = 16;
/// Draws that may hit free slots before a random element is looked for in order.
const DRAWS_MAX: usize = 64;
/// Bits of a position that tell segments of an index apart; no index is deeper.
const PREFIX_BITS: u32 = 28;
const BUCKET_BITS: u32 = BUCKETS.ilog2();

/// An element of a short list.
#[derive(Clone, Copy, Debug)]
struct Few {
    /// Upper half of the hash of its name.
    hash: u32,
    handle: Handle,
}

#[derive(Debug)]
enum Finder {
    Few(Vec<Few>),
    Index(Box<Index>),
}

/// Where an element stands; valid until the table changes.
#[derive(Clone, Copy, Debug)]
enum Place {
    Few(usize),
    Index(Slot),
}

/// The elements of a container by name.
#[derive(Debug)]
pub(crate) struct Table {
    finder: Finder,
    cell_bytes: usize,
}

impl Table {
    /// A table without elements; it takes no memory.
    pub(crate) fn new() -> Self {
        Self { finder: Finder::Few(Vec::new()), cell_bytes: 0 }
    }

    /// A table without elements in which `elements` of them will soon stand.
    pub(crate) fn with_room(elements: usize) -> Self {
        let finder = if elements <= FEW_MAX {
            Finder::Few(Vec::with_capacity(elements))
        } else {
            Finder::Index(Box::new(Index::with_room(elements)))
        };
        Self { finder, cell_bytes: 0 }
    }

    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.finder {
            Finder::Few(few) => few.len(),
            Finder::Index(index) => index.len(),
        }
    }

    /// Bytes it has taken from the allocator; its cells are counted apart.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.finder {
            Finder::Few(few) => few.capacity() * size_of::<Few>(),
            Finder::Index(index) => size_of::<Index>() + index.held_bytes(),
        }
    }

    /// Bytes of the cells of its elements.
    pub(crate) fn cell_bytes(&self) -> usize {
        self.cell_bytes
    }

    /// The payload of the element of this name.
    #[inline]
    pub(crate) fn get<'s>(&self, memory: Memory<'s>, name: &[u8]) -> Option<&'s [u8]> {
        self.handle(memory, name).map(|handle| Self::payload_of(memory, handle))
    }

    /// The cell of the element of this name. It stays where it is until the element is removed or
    /// gets a payload of another length.
    #[inline]
    pub(crate) fn handle(&self, memory: Memory<'_>, name: &[u8]) -> Option<Handle> {
        self.find(memory, name, hash_of_name(memory, name)).map(|(_, handle)| handle)
    }

    /// The name of the element in a cell.
    #[inline]
    pub(crate) fn name_of(memory: Memory<'_>, handle: Handle) -> &[u8] {
        let bytes = memory.slab.bytes(handle);
        Layout::read(bytes).name(bytes)
    }

    /// The payload of the element in a cell.
    #[inline]
    pub(crate) fn payload_of(memory: Memory<'_>, handle: Handle) -> &[u8] {
        Self::parts_of(memory, handle).1
    }

    /// Name and payload of the element in a cell.
    #[inline]
    pub(crate) fn parts_of(memory: Memory<'_>, handle: Handle) -> (&[u8], &[u8]) {
        let bytes = memory.slab.bytes(handle);
        let layout = Layout::read(bytes);
        (layout.name(bytes), &bytes[layout.payload_at()..layout.bytes()])
    }

    /// The payload of the element in a cell, for writing; its length stays.
    #[inline]
    pub(crate) fn payload_mut<'m>(memory: &'m mut MemoryMut<'_>, handle: Handle) -> &'m mut [u8] {
        let bytes = memory.slab.bytes_mut(handle);
        let layout = Layout::read(bytes);
        &mut bytes[layout.payload_at()..layout.bytes()]
    }

    /// Makes `payload` that of the element `name`, which is added if it is not there yet. True when
    /// it is new.
    pub(crate) fn insert(
        &mut self,
        memory: &mut MemoryMut<'_>,
        name: &[u8],
        payload: &[u8],
    ) -> bool {
        self.put(memory, name, payload).1
    }

    /// The same, and the cell in which it now stands.
    pub(crate) fn put(
        &mut self,
        memory: &mut MemoryMut<'_>,
        name: &[u8],
        payload: &[u8],
    ) -> (Handle, bool) {
        let hash = hash_of_name(memory.read(), name);
        if let Some((place, handle)) = self.find(memory.read(), name, hash) {
            return (self.replace(memory, place, handle, payload), false);
        }
        let handle = self.store(memory, name, payload);
        self.add(memory.read(), hash, handle);
        (handle, true)
    }

    /// Takes the element `name` out; false when there was none.
    pub(crate) fn remove(&mut self, memory: &mut MemoryMut<'_>, name: &[u8]) -> bool {
        let hash = hash_of_name(memory.read(), name);
        let Some((place, handle)) = self.find(memory.read(), name, hash) else { return false };
        match (&mut self.finder, place) {
            (Finder::Few(few), Place::Few(at)) => {
                few.swap_remove(at);
            }
            (Finder::Index(index), Place::Index(slot)) => index.remove(slot),
            _ => unreachable!("a place is found in the form the table has"),
        }
        self.free(memory, handle);
        self.shrink(memory.read());
        true
    }

    /// Calls `visit` with each element of one step of a walk, and returns where the next step
    /// begins, or nothing at the end. A walk starts at zero. Every element that is there from the
    /// first step to the last is visited at least once, whatever changes meanwhile.
    pub(crate) fn walk(
        &self,
        memory: Memory<'_>,
        position: u64,
        mut visit: impl FnMut(Handle),
    ) -> Option<u64> {
        match &self.finder {
            // From wherever a walk came: one step shows all there is.
            Finder::Few(few) => {
                few.iter().for_each(|element| visit(element.handle));
                None
            }
            Finder::Index(index) => {
                let bucket = position as usize % BUCKETS;
                let names = Names(memory);
                let after = index.walk_bucket(position - bucket as u64, bucket, names, visit);
                if bucket + 1 < BUCKETS { Some(position + 1) } else { after }
            }
        }
    }

    /// The number by which clients name the place where a walk goes on: 0 at the end, otherwise
    /// below 2^33, so that a double holds it.
    pub(crate) fn cursor_at(position: Option<u64>) -> u64 {
        position.map_or(0, |at| {
            (at >> (u64::BITS - PREFIX_BITS) << BUCKET_BITS) | (at % BUCKETS as u64)
        })
    }

    /// The position that [`Table::cursor_at`] named. Any number is one: a walk from a made-up place
    /// is harmless.
    pub(crate) fn position_at(cursor: u64) -> u64 {
        let prefix = cursor >> BUCKET_BITS;
        (prefix << (u64::BITS - PREFIX_BITS)) | (cursor % BUCKETS as u64)
    }

    /// An element drawn at random with about equal weight; nothing when there is none.
    pub(crate) fn random(&self, draw: &mut Rng) -> Option<Handle> {
        if self.len() == 0 {
            return None;
        }
        match &self.finder {
            Finder::Few(few) => Some(few[draw.below(few.len())].handle),
            Finder::Index(index) => {
                let slots = index.slot_count();
                let drawn = (0..DRAWS_MAX).find_map(|_| index.nth(draw.below(slots), false));
                drawn.or_else(|| {
                    // Nearly empty: the first from a random place on.
                    let start = draw.below(slots);
                    (0..slots).find_map(|step| index.nth((start + step) % slots, false))
                })
            }
        }
    }

    /// Every element, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> + '_ {
        let (few, index) = match &self.finder {
            Finder::Few(few) => (&few[..], None),
            Finder::Index(index) => (&[][..], Some(index)),
        };
        let few = few.iter().map(|element| element.handle);
        few.chain(index.into_iter().flat_map(|index| index.iter()))
    }

    /// Gives about `cells` cells back, at most those of one segment of the index more; true when
    /// all are gone. The table is of no other use from the first call on.
    pub(crate) fn release_some(&mut self, memory: &mut MemoryMut<'_>, cells: usize) -> bool {
        let mut left = cells.max(1);
        loop {
            let freed = match &mut self.finder {
                Finder::Few(few) => {
                    for element in std::mem::take(few) {
                        memory.slab.release(element.handle);
                    }
                    self.cell_bytes = 0;
                    return true;
                }
                Finder::Index(index) => index.dismantle().map(|handles| {
                    let cells = handles.map(|handle| {
                        self.cell_bytes -= memory.slab.cell_bytes(handle);
                        memory.slab.release(handle);
                    });
                    cells.count()
                }),
            };
            match freed {
                None => self.finder = Finder::Few(Vec::new()),
                Some(freed) if freed >= left => return false,
                Some(freed) => left -= freed,
            }
        }
    }

    #[inline]
    fn find(&self, memory: Memory<'_>, name: &[u8], hash: u64) -> Option<(Place, Handle)> {
        let is_it = |handle| Self::name_of(memory, handle) == name;
        match &self.finder {
            Finder::Few(few) => {
                let half = upper_half(hash);
                let at = few.iter().position(|few| few.hash == half && is_it(few.handle))?;
                Some((Place::Few(at), few[at].handle))
            }
            Finder::Index(index) => {
                let mut seen = None;
                let slot = index.find(hash, |handle| {
                    seen = Some(handle);
                    is_it(handle)
                })?;
                Some((Place::Index(slot), seen.expect("a slot is found by looking at its cell")))
            }
        }
    }

    fn add(&mut self, memory: Memory<'_>, hash: u64, handle: Handle) {
        if let Finder::Few(few) = &mut self.finder {
            if few.len() < FEW_MAX {
                few.push(Few { hash: upper_half(hash), handle });
                return;
            }
            let mut index = Box::new(Index::new());
            for element in few.iter() {
                let hash = hash_of_cell(memory, element.handle);
                index.insert(hash, element.handle, false, Names(memory));
            }
            self.finder = Finder::Index(index);
        }
        if let Finder::Index(index) = &mut self.finder {
            index.insert(hash, handle, false, Names(memory));
        }
    }

    fn shrink(&mut self, memory: Memory<'_>) {
        let Finder::Index(index) = &self.finder else { return };
        if index.len() > FEW_AGAIN {
            return;
        }
        let few = index.iter().map(|handle| {
            let hash = upper_half(hash_of_cell(memory, handle));
            Few { hash, handle }
        });
        self.finder = Finder::Few(few.collect());
    }

    /// Writes another payload into a cell, or into a new one when it does not fit.
    fn replace(
        &mut self,
        memory: &mut MemoryMut<'_>,
        place: Place,
        handle: Handle,
        payload: &[u8],
    ) -> Handle {
        let bytes = memory.slab.bytes_mut(handle);
        let layout = Layout::read(bytes);
        if layout.payload_bytes == payload.len() {
            bytes[layout.payload_at()..layout.bytes()].copy_from_slice(payload);
            return handle;
        }
        let name = layout.name(bytes).to_vec();
        if memory.slab.fits(handle, layout.bytes(), cell_size(&name, payload)) {
            write(memory.slab.bytes_mut(handle), &name, payload);
            return handle;
        }
        let new = self.store(memory, &name, payload);
        match (&mut self.finder, place) {
            (Finder::Few(few), Place::Few(at)) => few[at].handle = new,
            (Finder::Index(index), Place::Index(slot)) => index.replace(slot, new),
            _ => unreachable!("a place is found in the form the table has"),
        }
        self.free(memory, handle);
        new
    }

    fn store(&mut self, memory: &mut MemoryMut<'_>, name: &[u8], payload: &[u8]) -> Handle {
        let bytes = cell_size(name, payload);
        let handle = memory.slab.allocate(bytes);
        memory.slab.edit_large(handle, |memory| memory.resize(bytes, 0));
        write(memory.slab.bytes_mut(handle), name, payload);
        self.cell_bytes += memory.slab.cell_bytes(handle);
        handle
    }

    fn free(&mut self, memory: &mut MemoryMut<'_>, handle: Handle) {
        self.cell_bytes -= memory.slab.cell_bytes(handle);
        memory.slab.release(handle);
    }
}

/// What stands where in a cell.
#[derive(Clone, Copy, Debug)]
struct Layout {
    name_at: usize,
    name_bytes: usize,
    payload_bytes: usize,
}

impl Layout {
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let mut name_at = 0;
        let name_bytes = read_varint(bytes, &mut name_at);
        let payload_bytes = read_varint(bytes, &mut name_at);
        Self { name_at, name_bytes, payload_bytes }
    }

    #[inline]
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.name_at..self.payload_at()]
    }

    #[inline]
    fn payload_at(&self) -> usize {
        self.name_at + self.name_bytes
    }

    #[inline]
    fn bytes(&self) -> usize {
        self.payload_at() + self.payload_bytes
    }
}

fn cell_size(name: &[u8], payload: &[u8]) -> usize {
    let lengths = varint_bytes(name.len()) + varint_bytes(payload.len());
    lengths + name.len() + payload.len()
}

fn write(out: &mut [u8], name: &[u8], payload: &[u8]) {
    let mut at = write_varint(name.len(), out);
    at += write_varint(payload.len(), &mut out[at..]);
    out[at..at + name.len()].copy_from_slice(name);
    at += name.len();
    out[at..at + payload.len()].copy_from_slice(payload);
}

/// The names of elements, for an index of them.
struct Names<'m>(Memory<'m>);

impl Named for Names<'_> {
    fn hash_of(&self, handle: Handle) -> u64 {
        hash_of_cell(self.0, handle)
    }

    fn prefetch(&self, handle: Handle) {
        prefetch(self.0.slab.bytes(handle));
    }
}

#[inline]
fn hash_of_name(memory: Memory<'_>, name: &[u8]) -> u64 {
    memory.hasher.hash_one(name)
}

fn hash_of_cell(memory: Memory<'_>, handle: Handle) -> u64 {
    hash_of_name(memory, Table::name_of(memory, handle))
}

fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;
