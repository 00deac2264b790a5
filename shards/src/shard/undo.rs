//! Taking back what a run of commands did to single keys. For runs that are not in the log yet and
//! that nobody has seen: their shards are in the hands of whoever takes them back.

use super::Shard;
use super::containers::Change;
use super::entry::Parts;
use crate::seq::Seq;
use crate::shard::ValueType;

/// What a key was.
#[derive(Debug)]
pub(crate) struct Before {
    key: Box<[u8]>,
    /// What a miss in its shard depended on.
    removed: Seq,
    entry: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    value_type: ValueType,
    /// The string, or edits that build the container.
    image: Vec<u8>,
    stamp: Seq,
    access: u32,
    deadline_ms: Option<u64>,
}

impl Before {
    /// Bytes that it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.key.len() + self.entry.as_ref().map_or(0, |kept| kept.image.len())
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl Shard {
    /// What `key` is now; nothing when that takes more than `bytes_max`, or is a container in a
    /// structure of its own: an image of the shard may be in the middle of it, and would take one
    /// that was put back for another.
    pub(crate) fn keep(&self, key: &[u8], bytes_max: usize) -> Option<Before> {
        let entry = match self.get(key) {
            None => None,
            Some(entry) if entry.is_large() || entry.memory_bytes() > bytes_max => return None,
            Some(entry) => Some(Kept {
                value_type: entry.value_type(),
                image: entry.image(),
                stamp: entry.stamp(),
                access: entry.access(),
                deadline_ms: entry.deadline_ms(),
            }),
        };
        Some(Before { key: key.into(), removed: self.removed, entry })
    }

    /// Makes a key what it was. Of several keys of a shard the one that was kept first comes last.
    pub(crate) fn put_back(&mut self, before: &Before) {
        let key = &*before.key;
        let found = self.look_up(key);
        match (&before.entry, found.at) {
            (Some(kept), _) if kept.value_type.is_container() => {
                let Kept { value_type, image, stamp, access, deadline_ms } = kept;
                let change = Change { key, value_type: *value_type, edits: image };
                self.build(found, &change, (*stamp, *access), *deadline_ms);
            }
            (Some(kept), at) => {
                if let Some(at) = at {
                    self.let_go(at);
                }
                let Kept { image, stamp, access, deadline_ms, .. } = kept;
                let parts = Parts::string((key, image), *stamp, *access, *deadline_ms);
                self.put(found, &parts);
            }
            (None, Some(at)) => {
                self.let_go(at);
                self.remove(at, before.removed);
            }
            (None, None) => {}
        }
        self.removed = before.removed;
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::{Record, push_record};
    use crate::id::ShardId;
    use crate::shard::Shard;
    use crate::shard::evict::AccessMode;

    fn change(shard: &mut Shard, record: &Record<'_>) {
        let mut records = Vec::new();
        push_record(&mut records, shard.id(), record);
        shard.apply_open(&records, 9);
    }

    #[test]
    fn keys_become_what_they_were() {
        let mut shard = Shard::new(ShardId::new(1), 7, AccessMode::Recency);
        let (old, value, deadline_ms) = (&b"old"[..], &b"1"[..], Some(77));
        change(&mut shard, &Record::Put { key: old, value, deadline_ms, creates: true });
        shard.close();
        let kept = [&b"old"[..], b"new"].map(|key| shard.keep(key, 1000).unwrap());
        let (before, bytes) = (shard.get(old).unwrap().stamp(), shard.live_bytes());
        let put = |key, creates| Record::Put { key, value, deadline_ms: None, creates };
        change(&mut shard, &put(b"new", true));
        change(&mut shard, &Record::Delete { key: old });
        change(&mut shard, &put(old, true));
        kept.iter().rev().for_each(|before| shard.put_back(before));
        assert!(shard.get(b"new").is_none());
        let entry = shard.get(old).unwrap();
        assert_eq!((entry.stamp(), entry.deadline_ms(), entry.value()), (before, Some(77), value));
        assert_eq!((shard.live_bytes(), shard.key_count()), (bytes, 1));
        assert_eq!(shard.removed, crate::seq::Seq::ZERO);
        assert!(shard.keep(old, 4).is_none(), "it is larger than that");
    }
}
