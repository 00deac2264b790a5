//! Filling a shard from its image in a snapshot, before any batch is replayed on top.

use super::containers::Change;
use super::entry::{self, Parts};
use super::index::Index;
use super::{Located, Shard};
use crate::seq::Seq;
use crate::snapshot::ImageEntry;

impl Shard {
    /// Declares an empty shard to be at `seq`, where its image begins: batches from there on are
    /// replayed over what [`Shard::load`] brings. Panics when the shard has seen anything yet.
    pub fn begin_load(&mut self, seq: Seq) {
        assert!(self.seq == Seq::ZERO && self.index.len() == 0, "an image fills an empty shard");
        (self.seq, self.stable, self.removed) = (seq, seq, seq);
    }

    /// Makes room for so many entries beforehand. Panics when there is any entry yet.
    pub fn make_room(&mut self, entries: usize) {
        assert!(self.index.len() == 0, "room is made in an empty shard");
        self.index = Index::with_room(entries);
    }

    /// Takes an entry from an image, unless the shard holds the key with the same or a higher
    /// stamp; whether it was taken.
    pub fn load(&mut self, image: &ImageEntry<'_>) -> bool {
        let ImageEntry { key, value_type, value, stamp, access, deadline_ms, is_more } = *image;
        let found = self.look_up(key);
        let held = found.at.map(|at| entry::stamp(self.slab.bytes(at.handle)));
        let change = Change { key, value_type, edits: value };
        if is_more {
            let suits = |at: &Located| at.layout.value_type() == value_type;
            if held != Some(stamp) || !found.at.as_ref().is_some_and(suits) {
                return false;
            }
            self.edit(found, &change, stamp, access);
            return true;
        }
        if held.is_some_and(|held| held >= stamp) {
            return false;
        }
        if value_type.is_container() {
            self.build(found, &change, (stamp, access), deadline_ms);
        } else {
            if let Some(at) = found.at {
                self.let_go(at);
            }
            self.put(found, &Parts::string((key, value), stamp, access, deadline_ms));
        }
        debug_assert!(self.get(key).is_some_and(|entry| entry.stamp() == stamp));
        true
    }

    /// Takes a library from an image.
    pub fn load_library(&mut self, name: &[u8], code: &[u8]) {
        self.libraries.put(name, Some(code), self.seq);
    }

    /// Replays that every key was removed at `seq`: those that an image brought from later stay.
    pub(super) fn clear_before(&mut self, seq: Seq) {
        let newer = |shard: &Self, handle| entry::stamp(shard.slab.bytes(handle)) >= seq;
        let handles = |shard: &Self, number| shard.index.nth(number, false);
        let slots = 0..self.index.slot_count();
        if !slots.clone().filter_map(|at| handles(self, at)).any(|at| newer(self, at)) {
            self.clear(seq);
            return;
        }
        for number in slots {
            if let Some(handle) = handles(self, number)
                && !newer(self, handle)
                && !self.entry(handle).value_type().is_named()
            {
                let key = self.entry(handle).key().to_vec();
                let at = self.find(&key).expect("it was just met");
                self.let_go(at);
                self.remove(at, seq);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::{Batch, PartSpec, Record, push_record, seal};
    use crate::id::{Epoch, ShardId};
    use crate::seq::Seq;
    use crate::shard::evict::AccessMode;
    use crate::shard::{Shard, ValueType};
    use crate::snapshot::ImageEntry;

    fn replay(shard: &mut Shard, records: &[Record<'_>]) {
        let part = PartSpec { shard: shard.id(), seq: shard.seq().next() };
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        records.iter().for_each(|record| push_record(&mut bytes, part.shard, record));
        seal(&mut out, &[part], &bytes, Epoch(1), 9);
        shard.replay(&Batch::decode(&out).expect("just sealed").0);
    }

    fn image(key: &'static [u8], stamp: u64) -> ImageEntry<'static> {
        let stamp = Seq::new(stamp);
        ImageEntry {
            key,
            value_type: ValueType::String,
            value: b"image",
            stamp,
            access: 0,
            deadline_ms: None,
            is_more: false,
        }
    }

    fn stamp_of(shard: &Shard, key: &[u8]) -> Option<u64> {
        shard.get(key).map(|entry| entry.stamp().get())
    }

    fn loaded(keys: &[(&'static [u8], u64)]) -> Shard {
        let mut shard = Shard::new(ShardId::new(1), 7, AccessMode::Recency);
        shard.begin_load(Seq::new(10));
        keys.iter().for_each(|(key, stamp)| assert!(shard.load(&image(key, *stamp))));
        shard
    }

    #[test]
    fn a_replayed_clear_spares_what_came_later() {
        let mut shard = loaded(&[(b"old", 3), (b"same", 11), (b"later", 14)]);
        replay(&mut shard, &[Record::Clear]);
        let stamps = [&b"old"[..], b"same", b"late"].map(|key| stamp_of(&shard, key));
        assert_eq!(stamps, [None, Some(11), None]);
        assert_eq!((stamp_of(&shard, b"later"), shard.key_count()), (Some(14), 2));
        for _ in 0..3 {
            replay(&mut shard, &[Record::Delete { key: b"nothing" }]);
        }
        replay(&mut shard, &[Record::Clear]);
        assert_eq!((shard.key_count(), shard.seq()), (0, Seq::new(15)));
    }

    #[test]
    fn libraries_outlive_a_clear_and_converge() {
        let mut shard = Shard::new(ShardId::new(0), 7, AccessMode::Recency);
        shard.begin_load(Seq::new(10));
        let library = |code| Record::Library { name: b"lib", code };
        // The image was written after the first two of these batches.
        shard.load_library(b"lib", b"third");
        replay(&mut shard, &[library(Some(b"second"))]);
        replay(&mut shard, &[library(None), Record::Clear]);
        assert!(shard.libraries().set().is_empty());
        replay(&mut shard, &[Record::Clear, library(Some(b"third"))]);
        assert_eq!(shard.libraries().set().len(), 1);
        assert_eq!((shard.libraries().changed(), shard.seq()), (Seq::new(13), Seq::new(13)));
    }

    #[test]
    fn a_replayed_batch_lowers_no_stamp() {
        let mut shard = loaded(&[(b"later", 14), (b"old", 2)]);
        let put = |key| Record::Put { key, value: b"log", deadline_ms: None, creates: false };
        replay(&mut shard, &[put(b"later"), put(b"old")]);
        assert_eq!((stamp_of(&shard, b"later"), stamp_of(&shard, b"old")), (Some(14), Some(11)));
        assert_eq!(shard.get(b"later").map(|entry| entry.value()), Some(&b"image"[..]));
        assert_eq!(shard.get(b"old").map(|entry| entry.value()), Some(&b"log"[..]));
    }
}
