//! What metrics tell of rooms and partitions.

use super::find;
use super::names::split_key;
use super::partition::Partition;
use crate::key::Namespace;
use crate::shard::Shard;

/// What is in one room or partition.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gauge {
    /// It is a room.
    pub is_room: bool,
    /// Its number; zero of a room.
    pub partition: u16,
    /// Events that are there.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The offset of the next event: as many were ever published.
    pub end: u64,
    /// Readers of a room that are remembered.
    pub readers: u64,
    /// Events that those were given.
    pub consumed: u64,
}

impl Gauge {
    fn of(partition: &Partition) -> Self {
        let readers = partition.readers().borrow();
        Self {
            is_room: partition.definition.room,
            partition: partition.definition.number,
            events: partition.len() as u64,
            bytes: partition.event_bytes(),
            end: partition.next(),
            readers: readers.len() as u64,
            consumed: readers.consumed,
        }
    }
}

/// The rooms and partitions of a shard, by the name of the room or topic.
pub fn gauges(shard: &Shard) -> impl Iterator<Item = (&[u8], Gauge)> {
    shard.named(Namespace::Partition).filter_map(|key| {
        let entry = shard.get(key)?;
        Some((split_key(key).0, Gauge::of(find::partition_in(entry.content()))))
    })
}
