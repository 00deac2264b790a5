//! Who has read which keys of a shard and wants to hear when they change (`CLIENT TRACKING`). The
//! table travels with its shard: whoever reads or changes a key, on whatever core, has it in hand.
//! A client is told once per key that it has read, as it then asks again or does not care.
//!
//! The changes are handed over by [`Tracking::take_changes`]; nothing here knows where clients are.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

/// Notes of removed keys that may stand in the queue beside those that count.
const STALE_NOTES: usize = 64;

/// A key that was changed, or every key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Nothing: all keys were removed.
    pub(crate) key: Option<Arc<[u8]>>,
    /// Clients that had read it, ascending.
    pub(crate) readers: Vec<u64>,
    /// The client that changed it; zero is nobody.
    pub(crate) writer: u64,
}

#[derive(Debug)]
struct Tracked {
    readers: Vec<u64>,
    /// Its note in the queue.
    number: u64,
}

/// The table of one shard.
#[derive(Debug)]
pub(crate) struct Tracking {
    keys: HashMap<Arc<[u8]>, Tracked, RandomState>,
    /// Keys by reader.
    readers: BTreeMap<u64, BTreeSet<Arc<[u8]>>>,
    /// Keys in the order in which they came, with the number that they had then.
    queue: VecDeque<(u64, Arc<[u8]>)>,
    next: u64,
    /// Readers of all keys, each key counted.
    items: usize,
    changes: Vec<Change>,
    /// Every change is told, whoever has read the key.
    pub(crate) tells_all: bool,
    /// Who makes the changes that come.
    pub(crate) writer: u64,
}

impl Tracking {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self {
            keys: HashMap::with_hasher(hasher),
            readers: BTreeMap::new(),
            queue: VecDeque::new(),
            next: 0,
            items: 0,
            changes: Vec::new(),
            tells_all: false,
            writer: 0,
        }
    }

    /// Number of keys that somebody has read.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Number of their readers, each key counted.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Whether changes are of interest to anybody.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.tells_all || !self.keys.is_empty()
    }

    /// Notes that a client has read a key; whether nobody had.
    pub(crate) fn add(&mut self, client: u64, key: &[u8]) -> bool {
        let (key, is_new) = match self.keys.get_key_value(key) {
            Some((key, tracked)) if tracked.readers.binary_search(&client).is_ok() => {
                let _known = key;
                return false;
            }
            Some((key, _)) => (Arc::clone(key), false),
            None => (Arc::from(key), true),
        };
        if is_new {
            self.tidy_queue();
            self.next += 1;
            self.queue.push_back((self.next, Arc::clone(&key)));
            let tracked = Tracked { readers: Vec::with_capacity(1), number: self.next };
            self.keys.insert(Arc::clone(&key), tracked);
        }
        let tracked = self.keys.get_mut(&key).expect("it was there, or was just put there");
        let at = tracked.readers.partition_point(|other| *other < client);
        tracked.readers.insert(at, client);
        self.items += 1;
        self.readers.entry(client).or_default().insert(key);
        is_new
    }

    fn tidy_queue(&mut self) {
        if self.queue.len() > 2 * self.keys.len() + STALE_NOTES {
            let keys = &self.keys;
            self.queue
                .retain(|(number, key)| keys.get(key).is_some_and(|found| found.number == *number));
        }
    }

    fn take(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, Vec<u64>)> {
        let (key, Tracked { readers, .. }) = self.keys.remove_entry(key)?;
        self.items -= readers.len();
        for reader in &readers {
            let theirs = self.readers.get_mut(reader).expect("both maps name it");
            theirs.remove(&key);
            if theirs.is_empty() {
                self.readers.remove(reader);
            }
        }
        Some((key, readers))
    }

    /// A key was changed.
    pub(crate) fn touch(&mut self, key: &[u8]) {
        let writer = self.writer;
        match self.take(key) {
            Some((key, readers)) => {
                self.changes.push(Change { key: Some(key), readers, writer });
            }
            None if self.tells_all => {
                self.changes.push(Change { key: Some(key.into()), readers: Vec::new(), writer });
            }
            None => {}
        }
    }

    /// Every key was removed.
    pub(crate) fn touch_all(&mut self) {
        self.keys.clear();
        self.readers.clear();
        self.queue.clear();
        self.items = 0;
        self.changes.push(Change { key: None, readers: Vec::new(), writer: self.writer });
    }

    /// Gives up the key that was noted first, as if it had been changed by nobody.
    pub(crate) fn give_up_oldest(&mut self) {
        while let Some((number, key)) = self.queue.pop_front() {
            if self.keys.get(&key).is_some_and(|tracked| tracked.number == number) {
                let (key, readers) = self.take(&key).expect("it was just seen");
                self.changes.push(Change { key: Some(key), readers, writer: 0 });
                return;
            }
        }
    }

    /// Forgets what a client has read.
    pub(crate) fn forget(&mut self, client: u64) {
        for key in self.readers.remove(&client).unwrap_or_default() {
            let tracked = self.keys.get_mut(&key).expect("both maps name it");
            tracked.readers.retain(|other| *other != client);
            self.items -= 1;
            if tracked.readers.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// Whether [`Tracking::take_changes`] has anything to hand over.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What was changed since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Tracking {
        Tracking::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    fn change(key: &[u8], readers: &[u64], writer: u64) -> Change {
        Change { key: Some(key.into()), readers: readers.to_vec(), writer }
    }

    #[test]
    fn readers_are_told_once() {
        let mut table = table();
        assert!(table.add(7, b"a"));
        assert!(!table.add(3, b"a"));
        assert!(!table.add(7, b"a"));
        assert!(table.add(3, b"b"));
        assert_eq!((table.keys(), table.items()), (2, 3));
        table.writer = 9;
        table.touch(b"a");
        table.touch(b"a");
        table.touch(b"other");
        assert_eq!(table.take_changes(), [change(b"a", &[3, 7], 9)]);
        assert_eq!((table.keys(), table.items()), (1, 1));
    }

    #[test]
    fn everything_is_told_where_somebody_wants_it() {
        let mut table = table();
        table.touch(b"a");
        assert!(!table.has_changes());
        table.tells_all = true;
        table.add(1, b"a");
        table.touch(b"a");
        table.touch(b"b");
        assert_eq!(table.take_changes(), [change(b"a", &[1], 0), change(b"b", &[], 0)]);
    }

    #[test]
    fn who_is_forgotten_leaves_nothing() {
        let mut table = table();
        for key in [b"a", b"b", b"c"] {
            table.add(1, key);
        }
        table.add(2, b"c");
        table.forget(1);
        assert_eq!((table.keys(), table.items()), (1, 1));
        table.touch(b"a");
        table.touch(b"c");
        assert_eq!(table.take_changes(), [change(b"c", &[2], 0)]);
        assert!(!table.is_on());
    }

    #[test]
    fn the_oldest_is_given_up_first() {
        let mut table = table();
        table.add(1, b"a");
        table.add(1, b"b");
        table.touch(b"a");
        table.add(1, b"a");
        table.take_changes();
        table.give_up_oldest();
        assert_eq!(table.take_changes(), [change(b"b", &[1], 0)]);
        table.give_up_oldest();
        assert_eq!(table.take_changes(), [change(b"a", &[1], 0)]);
        table.give_up_oldest();
        assert!(!table.has_changes());
    }

    #[test]
    fn the_queue_of_a_table_that_changes_stays_short() {
        let mut table = table();
        for _ in 0..10_000 {
            table.add(1, b"a");
            table.touch(b"a");
        }
        assert!(table.queue.len() <= 2 + STALE_NOTES + 1);
        table.touch_all();
        assert_eq!(table.take_changes().last().map(|last| last.key.is_none()), Some(true));
    }
}
