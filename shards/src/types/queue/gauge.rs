//! What metrics tell of queues.

use super::find;
use super::state::{Queue, Total};
use crate::key::Namespace;
use crate::shard::Shard;

/// What is in one queue, and what it has counted since it was created.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gauge {
    /// Messages that are ready.
    pub ready: u64,
    /// Messages with consumers.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// Messages published.
    pub published: u64,
    /// Deliveries.
    pub consumed: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages given back.
    pub nacked: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
}

impl Gauge {
    fn of(queue: &Queue) -> Self {
        let total = |which: Total| queue.totals[which as usize];
        Self {
            ready: queue.ready_count() as u64,
            held: queue.held_count() as u64,
            dead: queue.dead_count() as u64,
            published: total(Total::Published),
            consumed: total(Total::Consumed),
            acked: total(Total::Acked),
            nacked: total(Total::Nacked),
            dead_lettered: total(Total::DeadLettered),
        }
    }

    /// Adds those of another queue.
    pub fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.held += other.held;
        self.dead += other.dead;
        self.published += other.published;
        self.consumed += other.consumed;
        self.acked += other.acked;
        self.nacked += other.nacked;
        self.dead_lettered += other.dead_lettered;
    }
}

/// The queues of a shard by name, in order.
pub fn gauges(shard: &Shard) -> impl Iterator<Item = (&[u8], Gauge)> {
    gauges_in(shard, Namespace::Queue)
}

/// The same of those of the interface of distributed-sync-system.
pub fn dss_gauges(shard: &Shard) -> impl Iterator<Item = (&[u8], Gauge)> {
    gauges_in(shard, Namespace::Dss)
}

fn gauges_in(shard: &Shard, space: Namespace) -> impl Iterator<Item = (&[u8], Gauge)> {
    shard.named(space).filter_map(|key| {
        let (_, name) = Namespace::split(key)?;
        Some((name, Gauge::of(find::queue_in(&shard.get(key)?)?)))
    })
}
