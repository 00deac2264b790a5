//! A group that acknowledges event by event, as on a queue: of every offset before `next` that is
//! not here the group is done. Those that are here are with a member until a deadline, or are to be
//! given again.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a group takes in its partition, its name left out.
const SHARE_BYTES: usize = 160;
/// Bytes that an event takes that was given, its member's name left out.
const GIVEN_BYTES: usize = 96;
/// Bytes that an event takes that nobody could handle.
const DEAD_BYTES: usize = 32;

/// How a group is given events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    /// Milliseconds until an event that is not acknowledged is given again.
    pub(crate) lease_ms: u64,
    /// How often an event is given before it is taken for dead.
    pub(crate) deliveries_max: u32,
}

/// An event that is with a member, or comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub(crate) member: Box<[u8]>,
    /// It is to be given again from then on; zero is now.
    pub(crate) deadline_ms: u64,
    /// How often it was given.
    pub(crate) count: u32,
}

/// An event that was given too often, or was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dead {
    pub(crate) time_ms: u64,
    pub(crate) count: u32,
}

/// A group of one partition.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) terms: Terms,
    /// How many groups were made in the partition before.
    birth: u64,
    next: u64,
    given: BTreeMap<u64, Given>,
    by_deadline: BTreeSet<(u64, u64)>,
    dead: BTreeMap<u64, Dead>,
    held_bytes: usize,
}

impl Share {
    /// A group that begins at `next`.
    pub(super) fn new(terms: Terms, next: u64, birth: u64) -> Self {
        let (given, by_deadline, dead) = Default::default();
        Self { terms, birth, next, given, by_deadline, dead, held_bytes: SHARE_BYTES }
    }

    /// How many groups were made in the partition before it.
    pub(super) fn birth(&self) -> u64 {
        self.birth
    }

    /// The first offset that was never given.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes it takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What was given and is not done, by offset.
    pub(crate) fn given(&self) -> &BTreeMap<u64, Given> {
        &self.given
    }

    /// What is dead, by offset.
    pub(crate) fn dead(&self) -> &BTreeMap<u64, Dead> {
        &self.dead
    }

    /// Offsets that are to be given again now, those first that have been for longest.
    pub(crate) fn due(&self, now_ms: u64) -> impl Iterator<Item = (u64, &Given)> {
        let due = self.by_deadline.range(..=(now_ms, u64::MAX));
        due.filter_map(|(_, offset)| Some((*offset, self.given.get(offset)?)))
    }

    /// What is with a member whose time is over, those first for whom it has been for longest.
    pub(crate) fn overdue(&self, now_ms: u64) -> impl Iterator<Item = (u64, &Given)> {
        let due = self.by_deadline.range((1, 0)..=(now_ms.max(1), u64::MAX));
        due.filter_map(|(_, offset)| Some((*offset, self.given.get(offset)?)))
    }

    /// The nearest deadline of what is with a member.
    pub(super) fn least_deadline(&self) -> Option<u64> {
        self.by_deadline.range((1, 0)..).next().map(|(deadline, _)| *deadline)
    }

    pub(super) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    pub(super) fn give(&mut self, offset: u64, given: Given) {
        self.done(offset);
        // An event is with a member or dead, not both.
        self.forget(offset);
        self.held_bytes += GIVEN_BYTES + given.member.len();
        self.by_deadline.insert((given.deadline_ms, offset));
        self.given.insert(offset, given);
    }

    pub(super) fn done(&mut self, offset: u64) {
        self.next = self.next.max(offset + 1);
        if let Some(given) = self.given.remove(&offset) {
            self.by_deadline.remove(&(given.deadline_ms, offset));
            self.held_bytes -= GIVEN_BYTES + given.member.len();
        }
    }

    pub(super) fn bury(&mut self, offset: u64, dead: Dead) {
        self.done(offset);
        if self.dead.insert(offset, dead).is_none() {
            self.held_bytes += DEAD_BYTES;
        }
    }

    /// Forgets a dead event.
    pub(super) fn forget(&mut self, offset: u64) {
        if self.dead.remove(&offset).is_some() {
            self.held_bytes -= DEAD_BYTES;
        }
    }

    /// Forgets what is no longer in the partition.
    pub(super) fn truncate(&mut self, start: u64) {
        while let Some((offset, _)) = self.given.first_key_value().filter(|(at, _)| **at < start) {
            let offset = *offset;
            self.done(offset);
        }
        while let Some((offset, _)) = self.dead.first_key_value().filter(|(at, _)| **at < start) {
            let offset = *offset;
            self.forget(offset);
        }
        self.next = self.next.max(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_back_until_it_is_done() {
        let mut share = Share::new(Terms { lease_ms: 10, deliveries_max: 2 }, 3, 0);
        let given = |deadline_ms, count| Given { member: (*b"m").into(), deadline_ms, count };
        share.give(3, given(10, 1));
        share.give(4, given(20, 1));
        share.give(5, given(15, 1));
        assert_eq!((share.next(), share.least_deadline()), (6, Some(10)));
        let due = |share: &Share, now| share.due(now).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!((due(&share, 9), due(&share, 15)), (vec![], vec![3, 5]));
        share.done(3);
        share.give(5, given(0, 1));
        assert_eq!((due(&share, 1), share.least_deadline()), (vec![5], Some(20)));
        share.bury(5, Dead { time_ms: 9, count: 2 });
        assert_eq!((share.given().len(), share.dead().len()), (1, 1));
        share.truncate(9);
        assert_eq!((share.next(), share.held_bytes()), (9, SHARE_BYTES));
    }
}
