//! Which containers have something to do, by the nearest time of each: hashes with fields that
//! expire, queues with deadlines. Upkeep asks it what is due; nothing else depends on it, and none
//! of it is logged.

use std::collections::BTreeSet;

/// Bytes that an ordered set takes for one key, its own bytes left out: a deadline and a pointer
/// with a length, in nodes about two thirds full.
const SHARE_BYTES: usize = 40;

/// Keys by deadline.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    keys: BTreeSet<(u64, Box<[u8]>)>,
    held_bytes: usize,
}

impl Agenda {
    /// The nearest deadline of the hash `key` was `before` and is `after`.
    #[inline]
    pub(super) fn move_key(&mut self, key: &[u8], before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(before) = before
            && self.keys.remove(&(before, key.into()))
        {
            self.held_bytes -= SHARE_BYTES + key.len();
        }
        if let Some(after) = after
            && self.keys.insert((after, key.into()))
        {
            self.held_bytes += SHARE_BYTES + key.len();
        }
    }

    /// The key that has been due for longest at this Unix millisecond.
    pub(super) fn first_due(&self, now_ms: u64) -> Option<&[u8]> {
        let (deadline, key) = self.keys.first()?;
        (*deadline <= now_ms).then_some(&**key)
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes it takes.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_due_in_order() {
        let mut agenda = Agenda::default();
        agenda.move_key(b"b", None, Some(20));
        agenda.move_key(b"a", None, Some(10));
        agenda.move_key(b"c", None, None);
        assert_eq!((agenda.first_due(9), agenda.first_due(10)), (None, Some(&b"a"[..])));
        agenda.move_key(b"a", Some(10), Some(30));
        assert_eq!((agenda.first_due(19), agenda.first_due(99)), (None, Some(&b"b"[..])));
        agenda.move_key(b"b", Some(20), None);
        agenda.move_key(b"a", Some(30), None);
        assert_eq!((agenda.first_due(99), agenda.len(), agenda.held_bytes()), (None, 0, 0));
    }
}
