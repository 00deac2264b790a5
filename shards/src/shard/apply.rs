//! Applying batches: the only code that changes what a shard holds.
//!
//! A record is looked up once, told to those who watch its key, and applied. One of a log that the
//! shard has already, by its Seq or its stamp, is passed over.

use super::containers::{Change, TypeCounts};
use super::entry::{self, Layout, Parts, ValueType};
use super::index::Index;
use super::memory::Memory;
use super::plan::Focus;
use super::slab::{Handle, Slab};
use super::{Found, Keys, Located, Shard};
use crate::batch::{Batch, Record, Records};
use crate::capture::is_capture;
use crate::id::ShardId;
use crate::key::Namespace;
use crate::seq::Seq;
use crate::types::topic::names::split_key;

/// What all records of a batch are applied with.
#[derive(Clone, Copy, Debug)]
struct Applying {
    seq: Seq,
    time_ms: u64,
    origin: Origin,
    /// The batch has one record for this shard.
    only: bool,
}

/// Whether records come from a command of now or from a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Live,
    Replay,
}

impl Shard {
    /// Applies what a batch says about this shard. The batch must be the next one of the shard.
    pub fn apply(&mut self, batch: &Batch<'_>) {
        self.apply_as(batch, Origin::Live);
    }

    /// The same for a batch of several shards whose records were decoded once for all of them.
    pub(crate) fn apply_decoded(
        &mut self,
        (seq, time_ms): (Seq, u64),
        records: &[(ShardId, Record<'_>)],
    ) {
        let id = self.id;
        let mine = records.iter().filter(|(shard, _)| *shard == id).map(|(_, record)| *record);
        self.apply_records(seq, time_ms, mine, Origin::Live, None);
    }

    /// The same for a batch of this shard alone, of the command that was given `focus`, whose one
    /// key is not looked up again: the shard has not changed since.
    #[inline]
    pub(crate) fn apply_focused(
        &mut self,
        batch: &Batch<'_>,
        (seq, time_ms): (Seq, u64),
        focus: &Focus<'_>,
    ) {
        let mine = batch.records().map(|(_, record)| record);
        self.apply_records(seq, time_ms, mine, Origin::Live, Some(focus));
    }

    /// Applies a batch from a log: records that the shard holds already are skipped, so that a
    /// snapshot may overlap the log.
    pub fn replay(&mut self, batch: &Batch<'_>) {
        self.apply_as(batch, Origin::Replay);
        self.stable = self.seq;
    }

    /// Applies records of a batch that is not sealed yet: those of this shard, with the Seq that
    /// the batch will have. [`Shard::close`] ends it.
    pub(crate) fn apply_open(&mut self, records: &[u8], time_ms: u64) {
        let (seq, id) = (self.seq.next(), self.id);
        let context = Applying { seq, time_ms, origin: Origin::Live, only: true };
        for (_, record) in Records::over(records).filter(|(shard, _)| *shard == id) {
            self.apply_record(&record, self.look_up(record.key()), &context);
        }
    }

    /// Ends the batch whose records [`Shard::apply_open`] has applied; its Seq.
    pub(crate) fn close(&mut self) -> Seq {
        self.seq = self.seq.next();
        self.seq
    }

    /// Tells watchers what a record does, before it is applied.
    fn tell_watchers(&mut self, record: &Record<'_>) {
        let mut watches = std::mem::take(&mut self.watches);
        match record {
            Record::Clear => watches.cleared(|key| self.find(key).is_some()),
            Record::Delete { key } => watches.removed(key),
            Record::Put { key, .. }
            | Record::Patch { key, .. }
            | Record::Edit { key, .. }
            | Record::Store { key, .. }
            | Record::Expire { key, .. } => watches.changed(key),
            Record::Library { .. } => {}
        }
        self.watches = watches;
    }

    /// Notes that something was made or deleted that others want to know of.
    fn note_named(&mut self, value_type: ValueType, key: &[u8], is_there: bool) {
        if is_capture(key) {
            self.note_capture(key, is_there);
        } else if is_told(value_type, key) {
            self.topic_news.insert(key.into());
        }
    }

    fn apply_as(&mut self, batch: &Batch<'_>, origin: Origin) {
        let part = batch.parts().find(|part| part.shard == self.id);
        let seq = part.expect("a batch is applied to the shards it names").seq;
        let id = self.id;
        let mine = batch.records().filter(|(shard, _)| *shard == id).map(|(_, record)| record);
        self.apply_records(seq, batch.time_ms(), mine, origin, None);
    }

    /// Applies the records of one batch that concern this shard, where it takes this Seq.
    fn apply_records<'r>(
        &mut self,
        seq: Seq,
        time_ms: u64,
        records: impl Iterator<Item = Record<'r>> + Clone,
        origin: Origin,
        focus: Option<&Focus<'_>>,
    ) {
        assert_eq!(seq, self.seq.next(), "shard {:?} continues", self.id);
        let mut mine = records.clone();
        let (first, second) = (mine.next(), mine.next());
        let only = second.is_none();
        let context = Applying { seq, time_ms, origin, only };
        if let Some(record) = first {
            let found = match focus {
                Some(focus) if focus.key == record.key() => Found::of(focus),
                Some(_) | None => self.look_up(record.key()),
            };
            self.apply_record(&record, found, &context);
        }
        if only {
            self.seq = seq;
            return;
        }
        for record in second.into_iter().chain(mine) {
            self.apply_record(&record, self.look_up(record.key()), &context);
        }
        // Stamps are set when the batch ends, so that replay can tell a key that holds the whole
        // batch from one that holds its first half.
        for record in records {
            if let Some(Located { handle, .. }) = self.find(record.key()) {
                let bytes = self.slab.bytes_mut(handle);
                // An image may hold what a later batch made of the key.
                let stamp = entry::stamp(bytes).max(seq);
                entry::set_stamp(bytes, stamp);
            }
        }
        self.seq = seq;
    }

    #[inline]
    fn apply_record(&mut self, record: &Record<'_>, found: Found, context: &Applying) {
        let Applying { seq, time_ms, origin, only } = *context;
        if let Record::Library { name, code } = record {
            // No stamp guards it: a record says all there is to say, so the last one wins.
            self.libraries.put(name, *code, seq);
            return;
        }
        if !self.watches.is_empty() {
            self.tell_watchers(record);
        }
        if let Record::Clear = record {
            match origin {
                Origin::Live => {
                    self.clear(seq);
                    self.tracking.touch_all();
                }
                Origin::Replay => self.clear_before(seq),
            }
            self.interest.touch_all();
            return;
        }
        let at = found.at;
        let old = at.map(|at| entry::stamp(self.slab.bytes(at.handle)));
        match origin {
            Origin::Live => assert!(
                !record.creates() || at.is_none(),
                "a live record creates its key exactly when it is absent"
            ),
            Origin::Replay if old.is_some_and(|stamp| stamp >= seq) => return,
            Origin::Replay => {}
        }
        if at.is_none() && !record.creates() {
            assert!(origin == Origin::Replay, "a live record finds the key that it changes");
            return;
        }
        self.note_change(record.key());
        let stamp = if only { seq } else { old.unwrap_or(Seq::ZERO) };
        match *record {
            Record::Put { key, value, deadline_ms, .. } => {
                let access = self.access_after(at, time_ms);
                if let Some(at) = at {
                    self.let_go(at);
                }
                self.put(found, &Parts::string((key, value), stamp, access, deadline_ms));
            }
            Record::Edit { key, value_type, edits, .. } => {
                let access = self.access_after(at, time_ms);
                self.edit(found, &Change { key, value_type, edits }, stamp, access);
            }
            Record::Store { key, value_type, edits, deadline_ms, .. } => {
                let access = self.access_after(at, time_ms);
                let change = Change { key, value_type, edits };
                self.build(found, &change, (stamp, access), deadline_ms);
            }
            Record::Patch { key, offset, bytes, .. } => {
                self.patch(found, (key, offset, bytes), stamp, time_ms);
            }
            Record::Expire { deadline_ms, .. } => {
                self.expire(found, deadline_ms, stamp);
            }
            Record::Delete { .. } => {
                let at = at.expect("checked above: this record does not create");
                self.let_go(at);
                self.remove(at, seq);
            }
            Record::Clear | Record::Library { .. } => unreachable!("handled above"),
        }
    }

    /// Notes a change for those who wait for the key or have read it.
    #[inline]
    fn note_change(&mut self, key: &[u8]) {
        if !self.interest.is_empty() {
            self.interest.touch(key);
        }
        if self.tracking.is_on() && !Namespace::has(key) {
            self.tracking.touch(key);
        }
    }

    #[inline]
    fn access_after(&self, at: Option<Located>, time_ms: u64) -> u32 {
        match at {
            None => self.access_mode.fresh(time_ms),
            Some(at) => {
                let before = entry::access(self.slab.bytes(at.handle));
                self.access_mode.rewritten(before, time_ms)
            }
        }
    }

    /// Stores an entry, over the one that was found if there is one.
    pub(super) fn put(&mut self, found: Found, parts: &Parts<'_>) {
        let volatile = parts.deadline_ms.is_some();
        let Found { hash, at } = found;
        let Some(Located { slot, handle: old, layout }) = at else {
            self.counts.keys[parts.value_type as usize] += 1;
            if parts.value_type.is_named() {
                self.containers.add_name(parts.key);
                self.note_named(parts.value_type, parts.key, true);
            }
            let handle = self.store(parts);
            let keys = Keys(Memory { slab: &self.slab, hasher: &self.hasher });
            self.index.insert(hash, handle, volatile, keys);
            return;
        };
        if layout.value_type() != parts.value_type {
            self.counts.keys[layout.value_type() as usize] -= 1;
            self.counts.keys[parts.value_type as usize] += 1;
        }
        if layout.has_shape_of(parts) {
            layout.overwrite(self.slab.bytes_mut(old), parts);
            return;
        }
        if self.slab.fits(old, layout.bytes(), parts.bytes()) {
            parts.write(self.slab.bytes_mut(old));
        } else {
            let new = self.store(parts);
            self.index.replace(slot, new);
            self.slab.release(old);
        }
        self.index.set_volatile(slot, volatile);
    }

    fn store(&mut self, parts: &Parts<'_>) -> Handle {
        let bytes = parts.bytes();
        let handle = self.slab.allocate(bytes);
        self.slab.edit_large(handle, |memory| memory.resize(bytes, 0));
        parts.write(self.slab.bytes_mut(handle));
        handle
    }

    fn patch(
        &mut self,
        found: Found,
        (key, offset, bytes): (&[u8], usize, &[u8]),
        stamp: Seq,
        time_ms: u64,
    ) {
        let at = found.at;
        let access = self.access_after(at, time_ms);
        let end = offset + bytes.len();
        if let Some(at) = at
            && self.patch_in_place(at, offset, bytes)
        {
            let memory = self.slab.bytes_mut(at.handle);
            entry::set_stamp(memory, stamp);
            entry::set_access(memory, access);
            return;
        }
        let old = at.map(|at| self.entry_at(at));
        let mut value = old.map_or_else(Vec::new, |old| old.value().to_vec());
        let deadline_ms = old.and_then(|old| old.deadline_ms());
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset..end].copy_from_slice(bytes);
        self.put(found, &Parts::string((key, &value), stamp, access, deadline_ms));
    }

    /// Changes bytes of a string where it stands: always when its length stays, and when it grows
    /// if it is an allocation of its own.
    fn patch_in_place(&mut self, at: Located, offset: usize, bytes: &[u8]) -> bool {
        let Located { handle, layout, .. } = at;
        let length = layout.value(self.slab.bytes(handle)).len();
        let end = offset + bytes.len();
        if end > length && !self.slab.edit_large(handle, |m| entry::resize_large(m, &layout, end)) {
            return false;
        }
        let memory = self.slab.bytes_mut(handle);
        let layout = Layout::read(memory);
        layout.value_mut(memory)[offset..end].copy_from_slice(bytes);
        true
    }

    fn expire(&mut self, found: Found, deadline_ms: Option<u64>, stamp: Seq) {
        let at = found.at.expect("checked by the caller: this record does not create");
        let memory = self.slab.bytes_mut(at.handle);
        if let (Some(_), Some(deadline)) = (entry::deadline_ms(memory), deadline_ms) {
            entry::set_deadline(memory, deadline);
            entry::set_stamp(memory, stamp);
            return;
        }
        let old = self.entry_at(at);
        let (access, value_type, large) = (old.access(), old.value_type(), old.is_large());
        let (key, value) = (old.key().to_vec(), old.value_bytes().to_vec());
        let parts =
            Parts { value_type, large, stamp, access, deadline_ms, key: &key, value: &value };
        self.put(found, &parts);
    }

    pub(super) fn remove(&mut self, at: Located, seq: Seq) {
        self.counts.keys[at.layout.value_type() as usize] -= 1;
        if at.layout.value_type().is_named() {
            let key = at.layout.key(self.slab.bytes(at.handle)).to_vec();
            self.containers.remove_name(&key);
            self.note_named(at.layout.value_type(), &key, false);
        }
        self.index.remove(at.slot);
        self.slab.release(at.handle);
        self.removed = seq;
    }

    /// Removes every key; what lives in namespaces stays.
    pub(super) fn clear(&mut self, seq: Seq) {
        let named = self.take_named();
        self.index = Index::new();
        self.slab = Slab::new();
        self.containers = self.containers.cleared();
        self.counts = TypeCounts::default();
        self.sweep_at = 0;
        self.removed = seq;
        self.put_named(named);
    }
}
/// Whether all cores are told that this was made or deleted: the first partition of a topic, or a
/// queue that has a number.
fn is_told(value_type: ValueType, key: &[u8]) -> bool {
    match value_type {
        ValueType::Partition => split_key(key).1 == 0,
        ValueType::Queue => key.starts_with(&Namespace::Dss.prefix()),
        _ => false,
    }
}
