//! Consumer groups of a stream: where each has come to, and which entries its consumers were given
//! and have not acknowledged yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::id::Id;

/// Bytes of an unacknowledged entry, in the list of its group and that of its consumer.
const PENDING_BYTES: usize = size_of::<(Id, Pending)>() + size_of::<Id>() + 16;
const CONSUMER_BYTES: usize = size_of::<(Arc<[u8]>, Consumer)>() + 32;
const GROUP_BYTES: usize = size_of::<(Arc<[u8]>, Group)>() + 32;

/// An entry that was given to a consumer and not acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    /// The name of the consumer.
    pub(crate) consumer: Arc<[u8]>,
    /// When it was given last, Unix milliseconds.
    pub(crate) time_ms: u64,
    /// How often it was given.
    pub(crate) count: u64,
}

/// A consumer of a group.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    /// Place in the order in which groups and consumers were made.
    pub(super) birth: u64,
    /// When it asked for something last, Unix milliseconds.
    pub(crate) seen_ms: u64,
    /// When it was given something last, Unix milliseconds.
    pub(crate) active_ms: Option<u64>,
    /// Ids of what it has not acknowledged.
    pub(crate) pending: BTreeSet<Id>,
}

/// A consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Place in the order in which groups and consumers were made.
    pub(super) birth: u64,
    /// The last entry that was given to any consumer.
    pub(crate) last_id: Id,
    /// How many entries of all that were ever added it has come past; unknown after jumps.
    pub(crate) entries_read: Option<u64>,
    /// What was given and not acknowledged.
    pub(crate) pending: BTreeMap<Id, Pending>,
    /// Its consumers by name.
    pub(crate) consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

impl Group {
    /// Bytes of memory, about; its name is `name_bytes` long.
    pub(super) fn held_bytes(name_bytes: usize) -> usize {
        GROUP_BYTES + name_bytes
    }

    /// Sets the times of a consumer, made at `birth` if there is none; by how many bytes memory
    /// grew.
    pub(super) fn set_consumer(
        &mut self,
        name: &[u8],
        times: Option<(u64, Option<u64>)>,
        birth: u64,
    ) -> usize {
        let (seen_ms, active_ms) = times.unwrap_or_default();
        if let Some(consumer) = self.consumers.get_mut(name) {
            if times.is_some() {
                (consumer.seen_ms, consumer.active_ms) = (seen_ms, active_ms);
            }
            return 0;
        }
        let consumer = Consumer { birth, seen_ms, active_ms, pending: BTreeSet::new() };
        self.consumers.insert(name.into(), consumer);
        CONSUMER_BYTES + name.len()
    }

    /// Removes a consumer and what it has not acknowledged; by how many bytes memory shrank.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> usize {
        let Some(consumer) = self.consumers.remove(name) else { return 0 };
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        CONSUMER_BYTES + name.len() + consumer.pending.len() * PENDING_BYTES
    }

    /// Gives an entry to a consumer that is there, whoever had it before; by how many bytes memory
    /// grew.
    pub(super) fn give(&mut self, id: Id, name: &[u8], time_ms: u64, count: u64) -> usize {
        let (shared, _) = self.consumers.get_key_value(name).expect("the consumer was made first");
        let pending = Pending { consumer: Arc::clone(shared), time_ms, count };
        let before = self.pending.insert(id, pending);
        if let Some(before) = &before
            && before.consumer[..] != *name
            && let Some(owner) = self.consumers.get_mut(&before.consumer)
        {
            owner.pending.remove(&id);
        }
        let consumer = self.consumers.get_mut(name).expect("the consumer was made first");
        consumer.pending.insert(id);
        if before.is_none() { PENDING_BYTES } else { 0 }
    }

    /// Forgets that an entry is unacknowledged; by how many bytes memory shrank.
    pub(super) fn acknowledge(&mut self, id: Id) -> usize {
        let Some(pending) = self.pending.remove(&id) else { return 0 };
        if let Some(owner) = self.consumers.get_mut(&pending.consumer) {
            owner.pending.remove(&id);
        }
        PENDING_BYTES
    }

    /// Forgets up to `budget` unacknowledged entries, for a group that nobody sees any more, and
    /// says how many are left of the budget.
    pub(super) fn release_some(&mut self, budget: usize) -> usize {
        let mut left = budget;
        while left > 0 && self.pending.pop_first().is_some() {
            left -= 1;
        }
        while left > 0
            && let Some(mut consumer) = self.consumers.first_entry()
        {
            while left > 0 && consumer.get_mut().pending.pop_first().is_some() {
                left -= 1;
            }
            if consumer.get().pending.is_empty() {
                consumer.remove();
                left = left.saturating_sub(1);
            }
        }
        left
    }

    /// Bytes of everything in it.
    pub(super) fn total_bytes(&self, name_bytes: usize) -> usize {
        let consumers = self.consumers.keys().map(|name| CONSUMER_BYTES + name.len());
        Self::held_bytes(name_bytes) + consumers.sum::<usize>() + self.pending.len() * PENDING_BYTES
    }
}
