//! Gathering the changes of one command to one sorted set.
//!
//! A command sees its own changes: of a member that it names twice, the second finds what the first
//! left.

use std::collections::BTreeMap;

use super::record::{push_gone, push_put};
use super::view::ZsetView;
use crate::command::error::CommandError;
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

/// Changes of one sorted set.
#[derive(Debug)]
pub(super) struct Changes<'s, 'w> {
    before: ZsetView<'s>,
    /// What was changed, kept only while more changes may follow.
    changed: BTreeMap<&'w [u8], Option<f64>>,
    edits: Vec<u8>,
    len: usize,
}

impl<'s, 'w> Changes<'s, 'w> {
    pub(super) fn new(before: ZsetView<'s>) -> Self {
        Self { before, changed: BTreeMap::new(), edits: Vec::new(), len: before.len() }
    }

    /// The score of a member as it now is.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self.changed.get(member) {
            Some(changed) => *changed,
            None => self.before.score(member),
        }
    }

    /// Gives a member a score; `existed` says whether it is there, `more` whether further members
    /// follow in this command.
    pub(super) fn put(&mut self, member: &'w [u8], score: f64, existed: bool, more: bool) {
        // Zero has no sign.
        let score = score + 0.0;
        push_put(&mut self.edits, member, score);
        self.len += usize::from(!existed);
        if more {
            self.changed.insert(member, Some(score));
        }
    }

    /// Takes a member out; true if it was there.
    pub(super) fn remove(&mut self, member: &'w [u8], more: bool) -> bool {
        if self.score(member).is_none() {
            return false;
        }
        self.gone(member);
        if more {
            self.changed.insert(member, None);
        }
        true
    }

    /// Takes a member out that is there and that this command names only here.
    pub(super) fn gone(&mut self, member: &[u8]) {
        push_gone(&mut self.edits, member);
        self.len -= 1;
    }

    /// Records what was gathered, and tells whoever listens that `event` happened. A set without
    /// members is deleted.
    pub(super) fn record(
        self,
        plan: &mut Plan<'_>,
        key: &[u8],
        event: &'static str,
    ) -> Result<(), CommandError> {
        if self.edits.is_empty() {
            return Ok(());
        }
        plan.notify(Notice::SortedSet, event, key);
        if self.len > 0 {
            return plan.edit(key, ValueType::SortedSet, &self.edits);
        }
        if plan.delete(key) {
            plan.notify(Notice::Generic, "del", key);
        }
        Ok(())
    }
}

/// Records that `key` now is a sorted set of these members, or gone when there are none; their
/// number. `event` is what whoever listens is told.
pub(super) fn store<'m>(
    plan: &mut Plan<'_>,
    key: &[u8],
    members: impl Iterator<Item = (f64, &'m [u8])>,
    event: &'static str,
) -> Result<usize, CommandError> {
    let (mut edits, mut count) = (Vec::new(), 0);
    for (score, member) in members {
        push_put(&mut edits, member, score + 0.0);
        count += 1;
    }
    if count > 0 {
        plan.store(key, ValueType::SortedSet, &edits, None)?;
        plan.notify(Notice::SortedSet, event, key);
    } else if plan.delete(key) {
        plan.notify(Notice::Generic, "del", key);
    }
    Ok(count)
}
