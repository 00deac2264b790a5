//! Message queues: publish, consume, acknowledge, with priorities, deadlines, retries and dead
//! letters.
//!
//! Delivery is at least once, and a message is with one consumer at a time. What changes a queue by
//! the clock (deadlines, due messages, lifetimes) is found by upkeep and recorded like a command
//! ([`tick`]); a queue stands in its shard's agenda once, whatever it holds.

mod answer;
mod block;
mod changes;
mod consume;
mod consumers;
mod create;
mod dead;
mod dss;
mod find;
mod gauge;
mod id;
mod look;
mod message;
mod piece;
mod publish;
mod purge;
mod record;
mod remove;
mod scheduled;
mod settings;
mod settle;
mod state;
mod stats;
#[cfg(test)]
mod tests;
pub mod tick;

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

pub(crate) use dss::number_in;
pub use dss::numbers as dss_numbers;
pub use gauge::{Gauge, dss_gauges, gauges};
pub use id::QueueNumber;
pub(crate) use message::PRIORITY_MAX;
pub(crate) use record::check;
pub use settings::{Backoff, Settings};
pub(crate) use state::Queue;

/// A queue behind one pointer: it is larger than other containers' fixed parts.
pub(crate) type Large = Box<Queue>;

/// Commands on queues.
pub const COMMANDS: &[&CommandSpec] = &[
    &create::QCREATE,
    &remove::QDELETE,
    &remove::QPURGE,
    &stats::QLIST,
    &stats::QSTATS,
    &publish::QPUBLISH,
    &publish::QSEND,
    &publish::QMPUBLISH,
    &consume::QCONSUME,
    &consume::QRECEIVE,
    &settle::QACK,
    &settle::QNACK,
    &settle::QRELEASE,
    &settle::QEXTEND,
    &dead::LIST,
    &dead::CONSUME,
    &dead::REQUEUE,
    &dead::PURGE,
    &scheduled::LIST,
    &scheduled::QCANCEL,
    &dss::CREATE,
    &dss::DELETE,
    &dss::ENQUEUE,
    &dss::DEQUEUE,
    &dss::ACK,
    &dss::STATUS,
    &dss::QUEUES,
    &dss::DEAD_LIST,
    &dss::DEAD_REQUEUE,
    &dss::DEAD_PURGE,
];

/// The queue that edits build from nothing.
pub(crate) fn build(edits: &[u8]) -> Large {
    let mut queue = Large::default();
    queue.apply_edits(edits);
    queue
}

impl Queue {
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
        "queue"
    }

    /// Gives memory of about `budget` messages back; true when nothing is left.
    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, budget: usize) -> bool {
        self.release(budget)
    }

    /// Appends edits that rebuild the queue from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on; nothing at the end.
    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        self.write_piece(cursor, out, budget)
    }
}
