//! Writing a large container into an image piece by piece, while it changes between the pieces.

use super::{PIECE_BYTES, push_value};
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
    pub fn write(&mut self, shard: &Shard, out: &mut Vec<u8>) -> bool {
        let Some(entry) = shard.get(&self.key).filter(|entry| entry.serial() == Some(self.serial))
        else {
            return false;
        };
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
