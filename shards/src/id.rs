//! Newtypes for everything that is counted or named. No arithmetic between kinds.

use crate::limits::{CORES_MAX, SHARDS};

/// One pinned executor of this process: `0..cores`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CoreId(u8);

impl CoreId {
    /// The core with this index. Panics when the index is not below [`CORES_MAX`].
    pub fn new(index: usize) -> Self {
        assert!(index < CORES_MAX, "core index {index} is not below {CORES_MAX}");
        Self(index as u8)
    }

    /// Position of this core, `0..cores`.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One of the [`SHARDS`] partitions of the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(u8);

impl ShardId {
    /// The shard with this index. Panics when the index is not below [`SHARDS`].
    pub fn new(index: usize) -> Self {
        assert!(index < SHARDS, "shard index {index} is not below {SHARDS}");
        Self(index as u8)
    }

    /// The shard with this index, or nothing when there is no such shard.
    pub fn checked(index: u8) -> Option<Self> {
        (usize::from(index) < SHARDS).then_some(Self(index))
    }

    /// Position of this shard, `0..SHARDS`.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Every shard in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self::new)
    }
}

/// A connection of one core: slot and generation, assigned by the network layer, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// Position of a request among the requests of its connection; replies leave in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Number raised by every start of a leader; of two batches with one (shard, Seq) the higher wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(pub u32);
