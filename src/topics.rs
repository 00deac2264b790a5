//! The topics of the process, shared by all cores, so that each can work out where an event goes.
//!
//! A lock, held to take a pointer or to make a changed copy: cores come here when a topic was made
//! or deleted, not for every event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synap_shards::engine::topics::{Directory, TopicSet, put};

/// Topics of several partitions.
#[derive(Debug)]
pub struct Topics {
    version: AtomicU64,
    set: Mutex<Arc<TopicSet>>,
}

impl Default for Topics {
    fn default() -> Self {
        // A core that knows of none has version zero.
        Self { version: AtomicU64::new(1), set: Mutex::default() }
    }
}

impl Topics {
    fn set(&self) -> MutexGuard<'_, Arc<TopicSet>> {
        // What is under the lock is whole between any two statements.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
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
