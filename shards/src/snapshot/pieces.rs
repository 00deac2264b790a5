//! Writing a large container into an image piece by piece, while it changes between the pieces.

use super::{PIECE_BYTES, push_entry, push_value};
use crate::seq::Seq;
use crate::shard::{Content, Entry, Shard};
use crate::types::{Cursor, Pin};

/// A large container that is being written.
#[derive(Debug)]
pub struct Pieces {
    key: Vec<u8>,
    /// Which container it was when it was begun; another one may come under its key.
    serial: u64,
    stamp: Seq,
    /// What the pieces are made of where the container cannot be walked while it changes.
    pin: Option<Pin>,
    cursor: Cursor,
    is_first: bool,
}

impl Pieces {
    /// Begins with a large container; nothing for an entry that is none.
    pub fn begin(entry: &Entry<'_>) -> Option<Self> {
        let serial = entry.serial()?;
        let pin = match entry.content() {
            Content::Large(large, _) => large.pin(),
            Content::Packed(_) => None,
        };
        let (key, stamp, cursor) = (entry.key().to_vec(), entry.stamp(), Cursor::default());
        Some(Self { key, serial, stamp, pin, cursor, is_first: true })
    }

    /// Appends the next piece to an image; whether there is more to come. A container that is gone
    /// by now was removed by a batch behind its stamp, so that what was written of it does no harm.
    /// One in whose place something else has come before its first piece is in the image by that:
    /// the batch that replaced it does not create the key, and would be dropped without it.
    pub fn write(&mut self, shard: &Shard, out: &mut Vec<u8>) -> bool {
        let Some(entry) = shard.get(&self.key) else { return false };
        if entry.serial() != Some(self.serial) {
            if !self.is_first {
                return false;
            }
            let Some(pieces) = Self::begin(&entry) else {
                push_entry(out, &entry);
                return false;
            };
            *self = pieces;
        }
        let Content::Large(large, memory) = entry.content() else { return false };
        let mut edits = Vec::with_capacity(PIECE_BYTES);
        let next = match &self.pin {
            Some(pin) => pin.piece(self.cursor, &mut edits, PIECE_BYTES),
            None => large.piece(memory, self.cursor, &mut edits, PIECE_BYTES),
        };
        push_value(out, &entry, self.stamp, &edits, !self.is_first);
        self.is_first = false;
        match next {
            Some(cursor) => {
                self.cursor = cursor;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::shard_of;
    use crate::one_table::OneTable;
    use crate::snapshot::take_entry;

    fn fill(db: &mut OneTable, key: &[u8]) {
        for number in 0..600 {
            let field = format!("f{number}");
            db.run(&[b"HSET", key, field.as_bytes(), b"v"]);
        }
    }

    #[test]
    fn what_replaces_a_container_before_its_first_piece_is_in_the_image() {
        for replacement in ["SET a v", "COPY b a REPLACE", "DEL a"] {
            let mut db = OneTable::new();
            fill(&mut db, b"a");
            fill(&mut db, b"b");
            let at = shard_of(b"a").index();
            let begun = |db: &OneTable| {
                let shard = db.shards[at].as_ref().expect("all are here");
                Pieces::begin(&shard.get(b"a").expect("it is there")).expect("it is large")
            };
            let mut pieces = begun(&db);
            db.ask(replacement);
            let shard = db.shards[at].as_ref().expect("all are here");
            let mut image = Vec::new();
            while pieces.write(shard, &mut image) {}
            let found = take_entry(&mut &image[..]).ok().map(|entry| entry.stamp);
            assert_eq!(found, shard.get(b"a").map(|entry| entry.stamp()), "{replacement}");
        }
    }
}
