//! Partitions of topics, and rooms, which are topics of one partition: logs of events with dense
//! offsets, kept for as long as their retention says.

mod block;
pub(crate) mod codec;
pub mod cold;
mod cold_read;
#[cfg(test)]
mod cold_tests;
mod definition;
mod event;
mod find;
mod gauge;
mod make;
pub(crate) mod names;
mod packed;
mod partition;
mod piece;
mod publish;
mod read;
mod readers;
mod record;
mod retention;
mod share;
mod stats;
mod take;
mod upkeep;
pub(crate) mod warm;

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

pub(crate) use definition::Definition;
pub use definition::Retention;
pub(crate) use event::{Item, NewEvent};
pub(crate) use find::{existing, partition, partition_in};
pub use gauge::{Gauge, gauges};
pub(crate) use make::TOPIC_NAME;
pub(crate) use partition::Partition;
pub(crate) use record::{Writer, check};
pub(crate) use upkeep::{keep_up, record_sealed};

/// A partition behind one pointer: it is larger than other containers' fixed parts.
pub(crate) type Large = Box<Partition>;

/// Commands on rooms and topics.
pub const COMMANDS: &[&CommandSpec] = &[
    &make::SCREATE,
    &make::SGETORCREATE,
    &publish::SAPPEND,
    &read::SREAD,
    &stats::SLIST,
    &stats::SSTATS,
    &make::SDELETE,
    &make::TCREATE,
    &publish::TPUBLISH,
    &publish::TMPUBLISH,
    &publish::TPACK,
    &read::TREAD,
    &read::TOFFSET,
    &take::TTAKE,
    &take::TACK,
    &take::TNACK,
    &take::TDEAD,
    &take::TREVIVE,
    &take::TUNSHARE,
    &stats::TLIST,
    &stats::TSTATS,
    &make::TDELETE,
];

impl Partition {
    /// Applies edits.
    pub(crate) fn apply(&mut self, edits: &[u8], _: &mut MemoryMut<'_>, _: &Thresholds) {
        self.apply_edits(edits);
    }

    /// Bytes of cells of its shard that it owns: none.
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }

    /// What `OBJECT ENCODING` would call it.
    pub(crate) fn encoding(&self) -> &'static str {
        "partition"
    }

    /// Gives memory back, `budget` counted in blocks of 64 events; true when nothing is left.
    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, budget: usize) -> bool {
        self.release(budget / 64)
    }

    /// Appends edits that rebuild it from `cursor` on, about `budget` bytes of them, and says where
    /// it goes on; nothing at the end.
    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        self.write_piece(cursor, out, budget)
    }

    /// When upkeep has something to do here.
    pub(crate) fn least_deadline(&self) -> Option<u64> {
        let leases = self.shares.values().filter_map(share::Share::least_deadline);
        self.too_old_at().into_iter().chain(leases).min()
    }
}

/// The partition that edits build from nothing.
pub(crate) fn build(edits: &[u8]) -> Large {
    let mut partition = Large::default();
    partition.apply_edits(edits);
    partition
}
