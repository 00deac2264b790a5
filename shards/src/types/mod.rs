//! The types of values, one folder each: how its elements are stored, the edits that change them,
//! and its commands.
//!
//! # Containers
//!
//! A container is stored *packed*, in the bytes of its entry, while it is small, and *large*, in a
//! structure of its own, when it passes its [`Thresholds`]. The form is not data: nothing in a log
//! or an image depends on it.
//!
//! # Edits
//!
//! A container changes by edits: a run of operations, laid out byte by byte in `record.rs` of each
//! type. They state results (this field is now that; this member is gone), so they can be applied
//! without a clock, without randomness and without failing; `check` says beforehand whether bytes
//! are edits. Those of types whose elements have names can be applied again, and over newer
//! elements, and the last one wins; a snapshot that is taken while they change relies on it. A
//! container that becomes empty is deleted by the record of whoever emptied it, never by applying.

pub(crate) mod codec;
mod defaults;
pub mod group;
pub mod hash;
pub mod hll;
pub mod list;
pub mod queue;
pub mod set;
pub mod string;
pub mod topic;
pub mod xstream;
pub mod zset;

pub use defaults::Defaults;

use crate::limits::READ_ELEMENTS;
use crate::shard::ValueType;
use crate::shard::memory::{Memory, MemoryMut};

/// When a container leaves its packed form. The names are Redis's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// Fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// Bytes of a field or value of a packed hash.
    pub hash_max_listpack_value: usize,
    /// As in Redis: from -1 to -5 bytes (4, 8, 16, 32, 64 KiB) of a packed list and of a node of a
    /// large one; positive: elements.
    pub list_max_listpack_size: i64,
    /// Members of a set of integers.
    pub set_max_intset_entries: usize,
    /// Members of a packed set.
    pub set_max_listpack_entries: usize,
    /// Bytes of a member of a packed set.
    pub set_max_listpack_value: usize,
    /// Members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// Bytes of a member of a packed sorted set.
    pub zset_max_listpack_value: usize,
    /// Bytes of a block of a stream.
    pub stream_node_max_bytes: usize,
    /// Entries of a block of a stream.
    pub stream_node_max_entries: usize,
    /// Bytes of a sparse HyperLogLog.
    pub hll_sparse_max_bytes: usize,
    /// Elements that a command may look at or answer when it reads containers or keys whole.
    pub read_elements_max: usize,
    /// What a new queue is set to where it does not say.
    pub queue: queue::Settings,
    /// Whether a first message creates its queue, where the command may.
    pub queue_auto_create: bool,
    /// What rooms, topics and groups are made as where a request does not say.
    pub defaults: Defaults,
    /// KiB of events of one partition that memory holds; older ones go to files. Zero: all stay.
    pub partition_hot_kb: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
            read_elements_max: READ_ELEMENTS,
            queue: queue::Settings::DEFAULT,
            queue_auto_create: true,
            defaults: Defaults::DEFAULT,
            partition_hot_kb: 0,
        }
    }
}

/// Where writing a large container into an image goes on. The default is the beginning; what the
/// numbers mean is the type's business.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Cursor {
    pub(crate) phase: u8,
    pub(crate) a: u64,
    pub(crate) b: u64,
}

/// A container in a structure of its own.
#[derive(Debug)]
pub(crate) enum Large {
    List(list::Large),
    Set(set::Large),
    SortedSet(zset::Large),
    Hash(hash::Large),
    Stream(xstream::Large),
    Queue(queue::Large),
    Partition(topic::Large),
    Group(group::Large),
}

/// What an image of a container is made of that cannot be walked while it changes: the state it
/// had at one moment.
#[derive(Debug)]
pub(crate) enum Pin {
    List(list::Pinned),
}

/// The same call on whatever type it is.
macro_rules! each {
    ($large:expr, $it:ident => $call:expr) => {
        match $large {
            Large::List($it) => $call,
            Large::Set($it) => $call,
            Large::SortedSet($it) => $call,
            Large::Hash($it) => $call,
            Large::Stream($it) => $call,
            Large::Queue($it) => $call,
            Large::Partition($it) => $call,
            Large::Group($it) => $call,
        }
    };
}

impl Large {
    /// Applies edits.
    #[inline]
    pub(crate) fn apply(&mut self, edits: &[u8], memory: &mut MemoryMut<'_>, limits: &Thresholds) {
        each!(self, it => it.apply(edits, memory, limits));
    }

    /// Bytes it has taken from the allocator itself.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        each!(self, it => it.held_bytes())
    }

    /// Bytes of cells of its shard that it owns.
    pub(crate) fn cell_bytes(&self) -> usize {
        each!(self, it => it.cell_bytes())
    }

    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        each!(self, it => it.len())
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(&self) -> &'static str {
        each!(self, it => it.encoding())
    }

    /// The nearest time at which it wants something done, Unix milliseconds: no later than that,
    /// earlier where looking ([`Large::rearm`]) is cheaper than keeping it exact.
    #[inline]
    pub(crate) fn least_deadline(&self) -> Option<u64> {
        match self {
            Self::Hash(hash) => hash.least_deadline(),
            Self::Queue(queue) => queue.armed(),
            Self::Partition(partition) => partition.least_deadline(),
            Self::Group(group) => group.least_deadline(),
            Self::List(_) | Self::Set(_) | Self::SortedSet(_) | Self::Stream(_) => None,
        }
    }

    /// Notes that whoever had something of it is gone, because the server has started.
    pub(crate) fn begin_service(&mut self) {
        if let Self::Queue(queue) = self {
            queue.mark_stale();
        }
    }

    /// Whether it has something for those who wait for it. Where no container of a type is empty,
    /// that is always so.
    pub(crate) fn has_something(&self) -> bool {
        !matches!(self, Self::Queue(queue) if !queue.has_ready())
    }

    /// Whether it is a partition of which memory holds more than it should.
    pub(crate) fn is_over_hot(&self, limits: &Thresholds) -> bool {
        let hot_max = u64::from(limits.partition_hot_kb) * 1024;
        matches!(self, Self::Partition(partition) if partition.is_over_hot(hot_max))
    }

    /// Makes [`Large::least_deadline`] exact.
    pub(crate) fn rearm(&mut self) {
        if let Self::Queue(queue) = self {
            queue.rearm();
        }
    }

    /// Elements that applying edits has removed in one go, for their memory to be given back in
    /// slices.
    pub(crate) fn take_grave(&mut self) -> Option<Self> {
        let Self::Queue(queue) = self else { return None };
        queue.take_grave().map(Self::Queue)
    }

    /// Gives memory of up to `budget` elements back; true when nothing is left.
    pub(crate) fn release_some(&mut self, memory: &mut MemoryMut<'_>, budget: usize) -> bool {
        each!(self, it => it.release_some(memory, budget))
    }

    /// Appends edits that rebuild the elements from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on; nothing at the end.
    pub(crate) fn piece(
        &self,
        memory: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        each!(self, it => it.piece(memory, cursor, out, budget))
    }

    /// Its present state, where pieces have to be of one moment.
    pub(crate) fn pin(&self) -> Option<Pin> {
        match self {
            Self::List(list) => Some(Pin::List(list.pin())),
            Self::Set(_)
            | Self::SortedSet(_)
            | Self::Hash(_)
            | Self::Stream(_)
            | Self::Queue(_)
            | Self::Partition(_)
            | Self::Group(_) => None,
        }
    }
}

impl Pin {
    /// As [`Large::piece`].
    pub(crate) fn piece(&self, cursor: Cursor, out: &mut Vec<u8>, budget: usize) -> Option<Cursor> {
        match self {
            Self::List(list) => list.piece(cursor, out, budget),
        }
    }
}

/// Whether bytes are edits of this type.
pub(crate) fn check(value_type: ValueType, edits: &[u8]) -> bool {
    match value_type {
        ValueType::String => false,
        ValueType::List => list::check(edits),
        ValueType::Set => set::check(edits),
        ValueType::SortedSet => zset::check(edits),
        ValueType::Hash => hash::check(edits),
        ValueType::Stream => xstream::check(edits),
        ValueType::Queue => queue::check(edits),
        ValueType::Partition => topic::check(edits),
        ValueType::Group => group::check(edits),
    }
}

/// Applies edits to a packed container, of no bytes when it is new. What it returns takes its
/// place, because it has outgrown the packed form.
pub(crate) fn apply_packed(
    value_type: ValueType,
    value: &mut Vec<u8>,
    edits: &[u8],
    memory: &mut MemoryMut<'_>,
    limits: &Thresholds,
) -> Option<Large> {
    match value_type {
        ValueType::String => unreachable!("strings have no edits"),
        ValueType::List => list::apply_packed(value, edits, limits).map(Large::List),
        ValueType::Set => set::apply_packed(value, edits, memory, limits).map(Large::Set),
        ValueType::SortedSet => {
            zset::apply_packed(value, edits, memory, limits).map(Large::SortedSet)
        }
        ValueType::Hash => hash::apply_packed(value, edits, memory, limits).map(Large::Hash),
        ValueType::Stream => xstream::apply_packed(edits, limits).map(Large::Stream),
        ValueType::Queue => Some(Large::Queue(queue::build(edits))),
        ValueType::Partition => Some(Large::Partition(topic::build(edits))),
        ValueType::Group => Some(Large::Group(group::build(edits))),
    }
}

/// Appends edits that rebuild a packed container.
pub(crate) fn packed_edits(value_type: ValueType, value: &[u8], out: &mut Vec<u8>) {
    match value_type {
        ValueType::String
        | ValueType::Stream
        | ValueType::Queue
        | ValueType::Partition
        | ValueType::Group => {
            unreachable!("there is no packed form of it")
        }
        ValueType::List => list::packed_edits(value, out),
        ValueType::Set => set::packed_edits(value, out),
        ValueType::SortedSet => zset::packed_edits(value, out),
        ValueType::Hash => hash::packed_edits(value, out),
    }
}

/// Number of elements of a packed container.
pub(crate) fn packed_len(value_type: ValueType, value: &[u8]) -> usize {
    match value_type {
        ValueType::String
        | ValueType::Stream
        | ValueType::Queue
        | ValueType::Partition
        | ValueType::Group => {
            unreachable!("there is no packed form of it")
        }
        ValueType::List => list::packed_len(value),
        ValueType::Set => set::packed_len(value),
        ValueType::SortedSet => zset::packed_len(value),
        ValueType::Hash => hash::packed_len(value),
    }
}

/// What `OBJECT ENCODING` calls a packed container.
pub(crate) fn packed_encoding(value_type: ValueType, value: &[u8]) -> &'static str {
    match value_type {
        ValueType::String
        | ValueType::Stream
        | ValueType::Queue
        | ValueType::Partition
        | ValueType::Group => {
            unreachable!("there is no packed form of it")
        }
        ValueType::List => "listpack",
        ValueType::Set => set::packed_encoding(value),
        ValueType::SortedSet => "listpack",
        ValueType::Hash => hash::packed_encoding(value),
    }
}
