//! Which partition an event goes to. Every core knows the topics of several partitions, so that a
//! command that names a topic goes straight to the core of one partition.
//!
//! A [`Directory`] holds them for all cores. Whoever has made or deleted a topic tells it before
//! anybody hears of that, so whoever has heard of it finds it there. It is no data: it is made of
//! the partitions that the shards hold, and a partition checks the choice once more.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Engine, shards_in};
use crate::command::args::{Arg, Args};
use crate::command::spec::{CommandSpec, Flags};
use crate::key::{Namespace, shard_of};
use crate::shard::Shard;
use crate::types::queue::{QueueNumber, number_in};
use crate::types::topic::names::{partition_key, partition_of, split_key};
use crate::types::topic::partition_in;

/// So many events without a key go to one partition before the next has its turn.
const STICKY_EVENTS: u64 = 16;

/// Names of topics, and how many partitions each has; more than one.
pub type TopicSet = BTreeMap<Arc<[u8]>, u16>;

/// What is known of topics on all cores of a machine.
pub trait Directory: Debug + Send + Sync {
    /// Grows with every change.
    fn version(&self) -> u64;

    /// The topics, and the version they have.
    fn topics(&self) -> (u64, Arc<TopicSet>);

    /// A topic has so many partitions now, or is gone.
    fn change(&self, topic: &[u8], partitions: Option<u16>);

    /// A queue that has a number was made, or is gone.
    fn change_queue(&self, name: &[u8], number: Option<QueueNumber>);
}

/// What a core knows of topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Nothing where this is the only core.
    directory: Option<Arc<dyn Directory>>,
    version: u64,
    set: Arc<TopicSet>,
    /// Events without a key so far.
    keyless: u64,
}

impl Topics {
    fn catch_up(&mut self) {
        if let Some(directory) = &self.directory
            && directory.version() != self.version
        {
            (self.version, self.set) = directory.topics();
        }
    }

    fn change(&mut self, topic: &[u8], partitions: Option<u16>) {
        self.catch_up();
        if self.set.get(topic).copied() == partitions {
            return;
        }
        match &self.directory {
            Some(directory) => directory.change(topic, partitions),
            None => put(Arc::make_mut(&mut self.set), topic, partitions),
        }
    }
}

/// Takes a change in.
pub fn put(set: &mut TopicSet, topic: &[u8], partitions: Option<u16>) {
    match partitions {
        Some(count) => set.insert(topic.into(), count),
        None => set.remove(topic),
    };
}

impl Engine {
    /// Shares what is known of topics with the other cores from now on. To be called before the
    /// first event.
    pub fn share_topics(&mut self, directory: Arc<dyn Directory>) {
        self.topics.directory = Some(directory);
        for (topic, partitions) in topics_in(self.shards()) {
            self.topics.change(&topic, Some(partitions));
        }
    }

    /// Has everyone know what was made or deleted in shards that are here.
    pub(super) fn tell_topics(&mut self, shards: u64) {
        for id in shards_in(shards) {
            let Some(shard) = self.shards[id.index()].as_deref_mut() else { continue };
            for key in shard.take_topic_news() {
                match (Namespace::split(&key), &self.topics.directory) {
                    (Some((Namespace::Dss, name)), Some(directory)) => {
                        directory.change_queue(name, number_in(shard, &key));
                    }
                    (Some((Namespace::Dss, _)), None) => {}
                    _ => self.topics.change(split_key(&key).0, partitions_in(shard, &key)),
                }
            }
        }
    }

    /// The key of the partition that a command goes to which names a topic of several.
    pub(super) fn partition_for(&mut self, spec: &CommandSpec, args: &Args<'_>) -> Option<Vec<u8>> {
        if !spec.flags.has(Flags::SPREADS) {
            return None;
        }
        self.topics.catch_up();
        let turn = self.next_turn();
        spread(spec, args, &self.topics.set, turn)
    }

    /// The same by what the topic is right now, which an open batch may just have made of it. Only
    /// where its first partition is at hand; nothing otherwise.
    pub(super) fn partition_at_hand(
        &mut self,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> Option<Option<Vec<u8>>> {
        if !spec.flags.has(Flags::SPREADS) {
            return None;
        }
        let key = args.bytes(Arg(0));
        let shard = self.shards[shard_of(key).index()].as_deref()?;
        let mut set = TopicSet::new();
        put(&mut set, split_key(key).0, partitions_in(shard, key));
        let turn = self.next_turn();
        Some(spread(spec, args, &set, turn))
    }

    /// Whose turn it is among partitions where nothing else says.
    fn next_turn(&mut self) -> u64 {
        self.topics.keyless += 1;
        self.topics.keyless / STICKY_EVENTS + self.core.index() as u64
    }
}

/// The key of the partition that a command goes to which names a topic of these. Where nothing in
/// the command says which, the partitions take turns.
pub fn spread(
    spec: &CommandSpec,
    args: &Args<'_>,
    topics: &TopicSet,
    turn: u64,
) -> Option<Vec<u8>> {
    let (topic, 0) = split_key(args.bytes(Arg(0))) else { return None };
    let partitions = *topics.get(topic)?;
    let named = |name: &str| spec.args.iter().position(|arg| arg.name == name).map(Arg);
    let wanted = named("to_partition").and_then(|arg| args.opt_integer(arg));
    let key = named("key").and_then(|arg| args.opt_bytes(arg));
    let number = match (wanted, key) {
        // Of a number that there is not, the first partition says so.
        (Some(wanted), _) => u16::try_from(wanted).ok().filter(|it| *it < partitions)?,
        (None, Some(key)) => partition_of(key, partitions),
        (None, None) => (turn % u64::from(partitions)) as u16,
    };
    Some(partition_key(topic, number))
}

/// The topics of several partitions in these shards.
pub fn topics_in<'s>(shards: impl Iterator<Item = &'s Shard>) -> TopicSet {
    let mut set = TopicSet::new();
    for shard in shards {
        for key in shard.named(Namespace::Partition).filter(|key| split_key(key).1 == 0) {
            put(&mut set, split_key(key).0, partitions_in(shard, key));
        }
    }
    set
}

/// How many partitions the topic has whose first one has this key; nothing if it is one, or gone.
fn partitions_in(shard: &Shard, key: &[u8]) -> Option<u16> {
    let definition = partition_in(shard.get(key)?.content()).definition;
    Some(definition.partitions).filter(|count| *count > 1)
}
