//! How far a consumer group has come: the counter of what it has read, and how much is left to
//! read. Both are unknown once entries were deleted in between, as in Redis 7 (Redis,
//! "XINFO GROUPS": how the lag is counted).

use super::group::Group;
use super::id::Id;
use super::stream::Stream;

/// Where a group has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub(super) last_id: Id,
    pub(super) entries_read: Option<u64>,
}

impl Progress {
    pub(super) fn of(group: &Group) -> Self {
        Self { last_id: group.last_id, entries_read: group.entries_read }
    }

    /// Goes on to an entry that was read; nothing for one that was passed before.
    pub(super) fn pass(&mut self, stream: &Stream, id: Id) {
        if id <= self.last_id {
            return;
        }
        self.entries_read = match self.entries_read {
            Some(read) if !stream.has_gap_from(id) => Some(read.saturating_add(1)),
            read if stream.entries_added() == 0 => read,
            _ => stream.ordinal_of(id),
        };
        self.last_id = id;
    }

    /// Entries that are left to read, if that can be told.
    pub(super) fn lag(&self, stream: &Stream) -> Option<i64> {
        let added = stream.entries_added();
        if added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !stream.has_gap_from(self.last_id) => Some(read),
            _ => stream.ordinal_of(self.last_id),
        };
        // Counters that were set by hand may be anything.
        Some((i128::from(added) - i128::from(read?)).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

impl Stream {
    /// Whether an entry was deleted at `start` or behind it.
    fn has_gap_from(&self, start: Id) -> bool {
        let deleted = self.max_deleted();
        // What was deleted before the first entry leaves no gap.
        self.len() > 0 && deleted != Id::ZERO && self.first_id() <= deleted && start <= deleted
    }

    /// How many entries had been added when the one of this id was, if that can be told.
    fn ordinal_of(&self, id: Id) -> Option<u64> {
        let (added, len) = (self.entries_added(), self.len() as u64);
        if added == 0 {
            return Some(0);
        }
        if id == self.last_id() || len == 0 && id < self.last_id() {
            return Some(added);
        }
        if id > self.last_id() {
            return None;
        }
        let first = self.first_id();
        if self.max_deleted() != Id::ZERO && self.max_deleted() >= first {
            return None;
        }
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(added.saturating_sub(len)),
            std::cmp::Ordering::Equal => Some(added.saturating_sub(len).saturating_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }
}
