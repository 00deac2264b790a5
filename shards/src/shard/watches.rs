//! Keys of a shard that transactions watch, and whether they were changed since. The list travels
//! with its shard: whoever changes a watched key, on whatever core, marks the watcher, and whoever
//! executes the transaction has the shard in hand and asks here.
//!
//! A watcher that never comes back has to be taken off by [`Watches::end`]; nothing here ages.

use std::collections::BTreeMap;

/// Who watches: a number that is unique in the process.
pub(crate) type WatcherId = u64;

/// The watched keys of one shard.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_key: BTreeMap<Box<[u8]>, Vec<WatcherId>>,
    watchers: BTreeMap<WatcherId, Watcher>,
}

#[derive(Debug, Default)]
struct Watcher {
    keys: Vec<Watched>,
    /// One of its keys was changed.
    is_dirty: bool,
}

#[derive(Debug)]
struct Watched {
    key: Box<[u8]>,
    /// It stood there with its deadline passed when the watch began, and still does. Its removal
    /// changes nothing that anybody could see.
    was_expired: bool,
}

/// What a watcher leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// One of its keys was changed.
    pub(crate) is_dirty: bool,
    /// Its keys that could have been seen when the watch began.
    pub(crate) keys: Vec<Box<[u8]>>,
}

impl Watches {
    /// Whether nobody watches anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Begins a watch. A key that the watcher watches already stays watched since then.
    pub(crate) fn add(&mut self, watcher: WatcherId, key: &[u8], was_expired: bool) {
        let watchers = self.by_key.entry(key.into()).or_default();
        if watchers.contains(&watcher) {
            return;
        }
        watchers.push(watcher);
        let keys = &mut self.watchers.entry(watcher).or_default().keys;
        keys.push(Watched { key: key.into(), was_expired });
    }

    /// A key was written, or has another deadline.
    pub(crate) fn changed(&mut self, key: &[u8]) {
        for watcher in self.by_key.get(key).into_iter().flatten() {
            self.watchers.get_mut(watcher).expect("both maps name it").is_dirty = true;
        }
    }

    /// A key was removed.
    pub(crate) fn removed(&mut self, key: &[u8]) {
        for watcher in self.by_key.get(key).into_iter().flatten() {
            let watcher = self.watchers.get_mut(watcher).expect("both maps name it");
            let watched = watcher.keys.iter_mut().find(|watched| &*watched.key == key);
            let watched = watched.expect("both maps name it");
            if !std::mem::take(&mut watched.was_expired) {
                watcher.is_dirty = true;
            }
        }
    }

    /// Every key is about to be removed; `is_there` says which stand in the shard.
    pub(crate) fn cleared(&mut self, is_there: impl Fn(&[u8]) -> bool) {
        let present: Vec<Box<[u8]>> =
            self.by_key.keys().filter(|key| is_there(key)).cloned().collect();
        present.iter().for_each(|key| self.removed(key));
    }

    /// Ends the watches of a watcher; nothing when it watches nothing here.
    pub(crate) fn end(&mut self, watcher: WatcherId) -> Option<Ended> {
        let Watcher { keys, is_dirty } = self.watchers.remove(&watcher)?;
        for Watched { key, .. } in &keys {
            let watchers = self.by_key.get_mut(key).expect("both maps name it");
            watchers.retain(|other| *other != watcher);
            if watchers.is_empty() {
                self.by_key.remove(key);
            }
        }
        let seen = keys.into_iter().filter(|watched| !watched.was_expired);
        Some(Ended { is_dirty, keys: seen.map(|watched| watched.key).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_dirty(watches: &mut Watches, watcher: WatcherId) -> bool {
        watches.end(watcher).expect("it watches something").is_dirty
    }

    #[test]
    fn only_watchers_of_the_key_are_marked() {
        let mut watches = Watches::default();
        watches.add(1, b"a", false);
        watches.add(1, b"b", false);
        watches.add(2, b"b", false);
        watches.add(3, b"c", false);
        watches.changed(b"a");
        watches.removed(b"c");
        watches.changed(b"none");
        assert!(is_dirty(&mut watches, 1));
        assert!(!is_dirty(&mut watches, 2));
        assert!(is_dirty(&mut watches, 3));
        assert!(watches.is_empty(), "nobody is left");
        assert!(watches.end(1).is_none());
    }

    #[test]
    fn the_removal_of_what_had_expired_is_no_change_but_what_follows_is() {
        let mut watches = Watches::default();
        watches.add(1, b"gone", true);
        watches.add(2, b"gone", true);
        watches.removed(b"gone");
        assert!(!is_dirty(&mut watches, 1));
        watches.changed(b"gone");
        assert!(is_dirty(&mut watches, 2));
        assert!(watches.is_empty());
    }

    #[test]
    fn a_flush_marks_keys_that_were_there() {
        let mut watches = Watches::default();
        watches.add(1, b"there", false);
        watches.add(2, b"absent", false);
        watches.cleared(|key| key == b"there");
        assert!(is_dirty(&mut watches, 1));
        assert!(!is_dirty(&mut watches, 2));
    }

    #[test]
    fn a_key_that_is_watched_twice_is_watched_since_the_first_time() {
        let mut watches = Watches::default();
        watches.add(1, b"a", false);
        watches.changed(b"a");
        watches.add(1, b"a", false);
        let ended = watches.end(1).expect("it watches something");
        assert!(ended.is_dirty);
        assert_eq!(ended.keys.len(), 1);
    }
}
