//! Who has read a room and how far, for its statistics. This is not data: no record tells of it, no
//! image holds it, and a restart forgets it.

use std::collections::BTreeMap;

/// Readers by name, and what they read together.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    next: BTreeMap<Box<[u8]>, u64>,
    /// Events that were answered.
    pub(crate) consumed: u64,
    /// When somebody read last, Unix milliseconds.
    pub(crate) last_ms: u64,
}

impl Readers {
    /// A reader was answered so many events, and goes on at `next`. Beyond `most` readers the one
    /// whose name comes first makes room.
    pub(crate) fn note(
        &mut self,
        name: &[u8],
        next: u64,
        (events, most): (usize, usize),
        now_ms: u64,
    ) {
        self.consumed += events as u64;
        self.last_ms = now_ms;
        if let Some(known) = self.next.get_mut(name) {
            *known = next;
            return;
        }
        while self.next.len() >= most.max(1) {
            self.next.pop_first();
        }
        self.next.insert(name.into(), next);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ROOM_READERS_MAX;

    #[test]
    fn readers_are_remembered_up_to_a_bound() {
        let mut readers = Readers::default();
        for number in 0..ROOM_READERS_MAX + 10 {
            readers.note(format!("{number:09}").as_bytes(), 1, (2, ROOM_READERS_MAX), 3);
        }
        readers.note(b"x", 5, (0, ROOM_READERS_MAX), 4);
        assert_eq!(readers.len(), ROOM_READERS_MAX);
        assert_eq!(readers.next.get(&b"x"[..]), Some(&5));
        assert_eq!((readers.consumed, readers.last_ms), (2 * ROOM_READERS_MAX as u64 + 20, 4));
    }
}
