//! What metrics tell of rooms, partitions and consumer groups. Names are users', so their number
//! is bounded: beyond [`NAMES_MAX`] of a kind they stand together under `other`, without what
//! cannot be added up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use synap_shards::shard::Shard;
use synap_shards::types::{group, topic};

use super::queues::{NAMES_MAX, OTHER};

/// A partition: its topic, and its number; without one it is all others.
pub type PartitionName = (String, Option<u16>);

/// What is in a room or a partition, or in several.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sums {
    /// Events that are there.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The offset of the next event, which is how many were published.
    pub end: u64,
    /// Readers that are remembered.
    pub readers: u64,
    /// Events that those were given.
    pub consumed: u64,
}

/// Who is in a group, and how far it has read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Group {
    /// Its topic.
    pub topic: String,
    /// Its members.
    pub members: u64,
    /// Committed offsets by partition.
    pub commits: BTreeMap<u16, u64>,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Seen {
    /// Rooms by name.
    pub rooms: BTreeMap<String, Sums>,
    /// Partitions of topics.
    pub partitions: BTreeMap<PartitionName, Sums>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Offsets in all groups.
    commits: usize,
    /// Rooms, those without a name of their own included.
    room_count: u64,
}

/// The rooms, partitions and groups of one core as they were at the last look. Who serves requests
/// never waits for it.
#[derive(Debug, Default)]
pub struct Streams(Mutex<Seen>);

impl Sums {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.end += other.end;
        self.readers += other.readers;
        self.consumed += other.consumed;
    }
}

impl Streams {
    /// Looks at what is in these shards; nothing while somebody reads what was seen before.
    pub fn refresh<'s>(&self, shards: impl Iterator<Item = &'s Shard>) {
        let Ok(mut seen) = self.0.try_lock() else { return };
        *seen = Seen::default();
        for shard in shards {
            for (name, gauge) in topic::gauges(shard) {
                seen.add_gauge(&String::from_utf8_lossy(name), &gauge);
            }
            for (name, gauge) in group::gauges(shard) {
                let group = Group {
                    topic: String::from_utf8_lossy(gauge.topic).into_owned(),
                    members: gauge.members,
                    commits: gauge.commits.into_iter().collect(),
                };
                seen.add_group(&String::from_utf8_lossy(name), group);
            }
        }
    }

    /// How many rooms were seen.
    pub fn rooms(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).room_count
    }

    /// Adds what was seen to what was seen of other cores.
    pub fn add_to(&self, all: &mut Seen) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, sums) in &seen.rooms {
            all.add_room(name, sums);
        }
        for ((name, number), sums) in &seen.partitions {
            all.add_partition(name, *number, sums);
        }
        for (name, group) in &seen.groups {
            all.add_group(name, group.clone());
        }
    }
}

impl Seen {
    fn add_gauge(&mut self, name: &str, gauge: &topic::Gauge) {
        let topic::Gauge { is_room, partition, events, bytes, end, readers, consumed } = *gauge;
        let sums = Sums { events, bytes, end, readers, consumed };
        if is_room {
            self.room_count += 1;
            self.add_room(name, &sums);
        } else {
            self.add_partition(name, Some(partition), &sums);
        }
    }

    fn add_room(&mut self, name: &str, sums: &Sums) {
        let is_new = self.rooms.len() >= NAMES_MAX && !self.rooms.contains_key(name);
        let name = if is_new { OTHER } else { name };
        self.rooms.entry(name.to_owned()).or_default().add(sums);
    }

    fn add_partition(&mut self, topic: &str, number: Option<u16>, sums: &Sums) {
        let mut name = (topic.to_owned(), number);
        if self.partitions.len() >= NAMES_MAX && !self.partitions.contains_key(&name) {
            name = (OTHER.to_owned(), None);
        }
        self.partitions.entry(name).or_default().add(sums);
    }

    /// A group keeps its offsets while all of them are no more than there may be names.
    fn add_group(&mut self, name: &str, group: Group) {
        if self.groups.len() >= NAMES_MAX || name == OTHER {
            let other = self.groups.entry(OTHER.to_owned()).or_default();
            other.topic = OTHER.to_owned();
            other.members += group.members;
            return;
        }
        let mut group = group;
        if self.commits + group.commits.len() > NAMES_MAX {
            group.commits.clear();
        }
        self.commits += group.commits.len();
        self.groups.insert(name.to_owned(), group);
    }

    /// How many events of a partition a group has not read, where it said how far it is.
    pub fn lag(&self, group: &Group, partition: u16) -> Option<u64> {
        let end = self.partitions.get(&(group.topic.clone(), Some(partition)))?.end;
        Some(end.saturating_sub(*group.commits.get(&partition)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_what_lies_between_an_offset_and_the_end() {
        let mut seen = Seen::default();
        let sums = Sums { end: 10, ..Sums::default() };
        seen.add_partition("t", Some(1), &sums);
        let commits = [(1, 7), (2, 1)].into();
        let group = Group { topic: "t".to_owned(), members: 1, commits };
        seen.add_group("g", group.clone());
        assert_eq!([1, 2, 3].map(|at| seen.lag(&group, at)), [Some(3), None, None]);
    }

    #[test]
    fn too_many_names_share_one() {
        let mut seen = Seen::default();
        let sums = Sums { events: 1, ..Sums::default() };
        for number in 0..NAMES_MAX + 7 {
            seen.add_room(&format!("r{number}"), &sums);
            seen.add_partition(&format!("t{number}"), Some(0), &sums);
            let group =
                Group { topic: "t".to_owned(), members: 1, commits: [(0, 1), (1, 1)].into() };
            seen.add_group(&format!("g{number}"), group);
        }
        assert_eq!((seen.rooms.len(), seen.rooms[OTHER].events), (NAMES_MAX + 1, 7));
        let other = &seen.partitions[&(OTHER.to_owned(), None)];
        assert_eq!((seen.partitions.len(), other.events), (NAMES_MAX + 1, 7));
        assert_eq!((seen.groups.len(), seen.groups[OTHER].members), (NAMES_MAX + 1, 7));
        assert_eq!(seen.groups.values().map(|group| group.commits.len()).sum::<usize>(), NAMES_MAX);
    }
}
