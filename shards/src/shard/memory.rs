//! Access to the memory that the elements of large containers share with the entries of their
//! shard, handed to the code of a type for the length of one call.

use ahash::RandomState;

use super::slab::Slab;

/// For reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory<'s> {
    pub(crate) slab: &'s Slab,
    pub(crate) hasher: &'s RandomState,
}

/// For reading and writing.
#[derive(Debug)]
pub(crate) struct MemoryMut<'s> {
    pub(crate) slab: &'s mut Slab,
    pub(crate) hasher: &'s RandomState,
}

impl MemoryMut<'_> {
    /// The same for reading.
    pub(crate) fn read(&self) -> Memory<'_> {
        Memory { slab: self.slab, hasher: self.hasher }
    }
}
