//! Filling a shard from its image in a snapshot, before any batch is replayed on top.

use super::Shard;
use super::entry::{self, Parts};
use crate::seq::Seq;
use crate::snapshot::ImageEntry;

impl Shard {
    /// Declares an empty shard to be at `seq`, where its image begins: batches from there on are
    /// replayed over what [`Shard::load`] brings. Panics when the shard has seen anything yet.
    pub fn begin_load(&mut self, seq: Seq) {
        assert!(self.seq == Seq::ZERO && self.index.len() == 0, "an image fills an empty shard");
        (self.seq, self.stable, self.removed) = (seq, seq, seq);
    }

    /// Takes an entry from an image, unless the shard holds the key with the same or a higher
    /// stamp; whether it was taken.
    pub fn load(&mut self, image: &ImageEntry<'_>) -> bool {
        let ImageEntry { key, value, stamp, access, deadline_ms } = *image;
        let slot = self.find(key);
        let held = slot.map(|slot| entry::stamp(self.slab.bytes(self.index.handle(slot))));
        if held.is_some_and(|held| held >= stamp) {
            return false;
        }
        self.put(slot, &Parts { stamp, access, deadline_ms, key, value });
        debug_assert!(self.get(key).is_some_and(|entry| entry.stamp() == stamp));
        true
    }
}
