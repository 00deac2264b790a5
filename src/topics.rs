//! The topics of the process, shared by all cores, so that each can work out where an event goes;
//! and the queues that have a number, so that each can tell which one a message is of.
//!
//! A lock, held to take a pointer or to make a changed copy: cores come here when a topic was made
//! or deleted, not for every event.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synap_shards::engine::topics::{Directory, TopicSet, put};
use synap_shards::types::queue::QueueNumber;

/// Topics of several partitions.
#[derive(Debug)]
pub struct Topics {
    version: AtomicU64,
    set: Mutex<Arc<TopicSet>>,
    queues: Mutex<BTreeMap<QueueNumber, Box<[u8]>>>,
}

impl Default for Topics {
    fn default() -> Self {
        // A core that knows of none has version zero.
        Self { version: AtomicU64::new(1), set: Mutex::default(), queues: Mutex::default() }
    }
}

impl Topics {
    fn set(&self) -> MutexGuard<'_, Arc<TopicSet>> {
        // What is under the lock is whole between any two statements.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    /// The name of the queue that has this number.
    pub fn queue(&self, number: QueueNumber) -> Option<Box<[u8]>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }
}

impl Directory for Topics {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn topics(&self) -> (u64, Arc<TopicSet>) {
        let set = self.set();
        (self.version.load(Ordering::Acquire), Arc::clone(&set))
    }

    fn change(&self, topic: &[u8], partitions: Option<u16>) {
        let mut set = self.set();
        put(Arc::make_mut(&mut set), topic, partitions);
        // While the lock is held, so that a version is seen with the set it belongs to.
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn change_queue(&self, name: &[u8], number: Option<QueueNumber>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match number {
            Some(number) => {
                queues.insert(number, name.into());
            }
            None => queues.retain(|_, other| **other != *name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_a_version() {
        let topics = Topics::default();
        let before = topics.topics();
        topics.change(b"orders", Some(3));
        assert_ne!(topics.version(), before.0);
        assert_eq!(topics.topics().1.get(&b"orders"[..]), Some(&3));
        assert!(before.1.is_empty(), "who holds a set keeps it");
        topics.change(b"orders", None);
        assert!(topics.topics().1.is_empty());
    }
}
