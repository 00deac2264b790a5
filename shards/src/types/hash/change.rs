//! What the commands that change hashes have in common: gathering edits, counting what will be
//! left, and letting go of fields that are due.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::packed::Field;
use super::record::{Edit, push};
use super::view::HashView;
use crate::command::error::CommandError;
use crate::limits::VALUE_BYTES_MAX;
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

/// Most fields that are due that a command removes on the side; more are left to upkeep.
const PRUNE_MAX: usize = 64;
/// Bytes of edits that room is made for at once; those of a small change fit.
const EDITS_BYTES: usize = 128;
/// Names that are compared one by one.
const NAMES_FEW: usize = 16;

/// A hash that a command is changing.
#[derive(Debug)]
pub(super) struct Changing<'s, 'a> {
    key: &'a [u8],
    view: HashView<'s>,
    edits: Vec<u8>,
    /// Fields that will stand.
    left: usize,
    /// The fields that are due are removed with these edits.
    pruned: bool,
    changed: bool,
    /// Names that were set or removed already.
    names: Names<'a>,
}

impl<'s, 'a> Changing<'s, 'a> {
    /// The hash of `key`, or none yet.
    ///
    /// # Errors
    /// The key holds another type.
    pub(super) fn open(plan: &Plan<'s>, key: &'a [u8]) -> Result<Self, CommandError> {
        let entry = plan.peek_typed(key, ValueType::Hash)?;
        let view = HashView::of(entry.as_ref(), plan.now().unix_ms);
        let mut change = Self {
            key,
            view,
            edits: Vec::new(),
            left: view.standing_len(),
            pruned: true,
            changed: false,
            names: Names::default(),
        };
        if view.has_due() {
            change.prune();
        }
        Ok(change)
    }

    /// Removes the fields that are due, if they are not too many.
    fn prune(&mut self) {
        let due: SmallVec<[Field<'s>; 8]> = self.view.due().take(PRUNE_MAX + 1).collect();
        self.pruned = due.len() <= PRUNE_MAX;
        if self.pruned {
            for field in &due {
                self.push(&Edit::Delete { field: field.name });
            }
            self.left -= due.len();
        }
    }

    fn push(&mut self, edit: &Edit<'_>) {
        if self.edits.capacity() == 0 {
            self.edits.reserve(EDITS_BYTES);
        }
        push(&mut self.edits, edit);
    }

    /// The hash as it was.
    pub(super) fn view(&self) -> &HashView<'s> {
        &self.view
    }

    /// Sets a field; true when it was not there before.
    ///
    /// # Errors
    /// Name or value is too long.
    pub(super) fn set(
        &mut self,
        name: &'a [u8],
        value: &[u8],
        deadline_ms: Option<u64>,
    ) -> Result<bool, CommandError> {
        if name.len().max(value.len()) > VALUE_BYTES_MAX {
            return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
        }
        self.push(&Edit::Set { field: name, value, deadline_ms });
        self.changed = true;
        if !self.names.add(name) {
            return Ok(false);
        }
        let found = self.view.standing(name);
        let is_due = found.is_some_and(|found| found.is_due(self.view.now_ms()));
        if found.is_none() || (is_due && self.pruned) {
            self.left += 1;
        }
        Ok(found.is_none() || is_due)
    }

    /// Gives a field that is there another deadline, or none.
    pub(super) fn set_deadline(&mut self, name: &'a [u8], deadline_ms: Option<u64>) {
        self.names.add(name);
        self.push(&Edit::Deadline { field: name, deadline_ms });
        self.changed = true;
    }

    /// Removes a field; what it was, if it was there and was not removed already.
    pub(super) fn remove(&mut self, name: &'a [u8]) -> Option<Field<'s>> {
        let found = self.view.get(name)?;
        if !self.names.add(name) {
            return None;
        }
        self.push(&Edit::Delete { field: name });
        self.changed = true;
        self.left -= 1;
        Some(found)
    }

    /// Whether this field was changed or removed already.
    pub(super) fn has_seen(&self, name: &[u8]) -> bool {
        self.names.few.contains(&name) || self.names.many.contains(name)
    }

    /// Records the edits; the key is deleted where no field would be left. Tells of the events,
    /// in order, and of the deletion.
    pub(super) fn commit(
        self,
        plan: &mut Plan<'_>,
        events: &[&'static str],
    ) -> Result<(), CommandError> {
        if !self.changed {
            return Ok(());
        }
        self.record(plan)?;
        for event in events {
            plan.notify(Notice::Hash, event, self.key);
        }
        if self.left == 0 {
            plan.notify(Notice::Generic, "del", self.key);
        }
        Ok(())
    }

    fn record(&self, plan: &mut Plan<'_>) -> Result<(), CommandError> {
        if self.left == 0 {
            plan.delete(self.key);
            return Ok(());
        }
        plan.edit(self.key, ValueType::Hash, &self.edits)
    }
}

/// Sets the one field that a command is about, without gathering; true when it was not there
/// before. Nothing where fields are due, which leave with the next change.
///
/// # Errors
/// The key holds another type; name or value is too long.
pub(super) fn set_one(
    plan: &mut Plan<'_>,
    key: &[u8],
    name: &[u8],
    value: &[u8],
) -> Result<Option<bool>, CommandError> {
    let entry = plan.peek_typed(key, ValueType::Hash)?;
    let view = HashView::of(entry.as_ref(), plan.now().unix_ms);
    if view.has_due() {
        return Ok(None);
    }
    if name.len().max(value.len()) > VALUE_BYTES_MAX {
        return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
    }
    let is_new = view.standing(name).is_none();
    let edit = Edit::Set { field: name, value, deadline_ms: None };
    plan.edit_with(key, ValueType::Hash, entry.is_some(), |out| push(out, &edit))?;
    plan.notify(Notice::Hash, "hset", key);
    Ok(Some(is_new))
}

/// Removes fields that are due of a hash that has such, `most` of them at most; how many those
/// are. For upkeep.
pub(crate) fn expire_due(plan: &mut Plan<'_>, key: &[u8], most: usize) -> usize {
    let found = plan.peek_typed(key, ValueType::Hash).expect("upkeep has seen that it is a hash");
    let Some(entry) = found else {
        // All of it has expired.
        plan.delete(key);
        return 1;
    };
    let view = HashView::of(Some(&entry), plan.now().unix_ms);
    let mut edits = Vec::new();
    let mut removed = 0;
    for field in view.due().take(most) {
        push(&mut edits, &Edit::Delete { field: field.name });
        removed += 1;
    }
    if removed == 0 {
        return 0;
    }
    if removed == view.standing_len() {
        plan.delete(key);
    } else {
        plan.edit(key, ValueType::Hash, &edits).expect("a key that stands is not too long");
    }
    plan.notify(Notice::Hash, "hexpired", key);
    if removed == view.standing_len() {
        plan.notify(Notice::Generic, "del", key);
    }
    removed
}

/// Names that a command has seen. Nearly always few.
#[derive(Debug, Default)]
struct Names<'a> {
    few: SmallVec<[&'a [u8]; 4]>,
    many: BTreeSet<&'a [u8]>,
}

impl<'a> Names<'a> {
    /// Adds a name; false when it was there.
    fn add(&mut self, name: &'a [u8]) -> bool {
        if self.few.len() < NAMES_FEW && self.many.is_empty() {
            let is_new = !self.few.contains(&name);
            if is_new {
                self.few.push(name);
            }
            return is_new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(name)
    }
}
