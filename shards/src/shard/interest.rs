//! Keys that blocked commands wait for. (What transactions watch stands in [`super::watches`],
//! what clients cache in [`super::tracking`]; both tell more.) The list travels with its shard, so
//! that a change is noted on whatever core it is made; the engine takes the notes when a batch is
//! done, and when a shard that was lent comes home.

use std::collections::HashMap;

use ahash::RandomState;

/// The keys of one shard that somebody waits for.
#[derive(Debug)]
pub(crate) struct Interest {
    keys: HashMap<Box<[u8]>, u32, RandomState>,
    /// Keys that were changed since the last [`Interest::take_fired`], in order, some repeatedly.
    fired: Vec<Box<[u8]>>,
}

impl Interest {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { keys: HashMap::with_hasher(hasher), fired: Vec::new() }
    }

    /// Notes that one more waits for a key.
    pub(crate) fn add(&mut self, key: &[u8]) {
        match self.keys.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                self.keys.insert(key.into(), 1);
            }
        }
    }

    /// Takes one note of [`Interest::add`] back.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        let count = self.keys.get_mut(key).expect("what is taken back was noted");
        *count -= 1;
        if *count == 0 {
            self.keys.remove(key);
        }
    }

    /// Whether nobody waits for anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A key was changed.
    pub(crate) fn touch(&mut self, key: &[u8]) {
        if self.keys.contains_key(key) {
            self.fired.push(key.into());
        }
    }

    /// Every key was removed.
    pub(crate) fn touch_all(&mut self) {
        let mut all: Vec<Box<[u8]>> = self.keys.keys().cloned().collect();
        all.sort_unstable();
        self.fired.append(&mut all);
    }

    /// Whether [`Interest::take_fired`] has anything to hand over.
    #[inline]
    pub(crate) fn has_fired(&self) -> bool {
        !self.fired.is_empty()
    }

    /// The keys that were changed since the last call.
    pub(crate) fn take_fired(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.fired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_keys_are_noted() {
        let mut interest = Interest::new(RandomState::with_seeds(1, 2, 3, 4));
        interest.touch(b"a");
        interest.add(b"a");
        interest.add(b"a");
        interest.add(b"b");
        interest.touch(b"a");
        interest.touch(b"c");
        assert!(interest.has_fired());
        assert_eq!(interest.take_fired(), [b"a".to_vec().into_boxed_slice()]);
        interest.touch_all();
        assert_eq!(interest.take_fired().len(), 2);
        interest.remove(b"a");
        interest.touch(b"a");
        assert!(interest.has_fired(), "another one still waits");
        interest.remove(b"a");
        interest.remove(b"b");
        assert!(interest.is_empty());
    }
}
