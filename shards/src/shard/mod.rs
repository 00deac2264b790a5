//! One of the 64 partitions of the key space: its entries, and the only code that changes them.
//!
//! A shard is changed by [`Shard::apply`] and nothing else: live commands, recovery and, on a
//! follower, replication all bring it the same batches. Reading goes through [`plan::View`].

mod agenda;
mod captured;
mod containers;
pub(crate) mod entry;
pub mod evict;
pub(crate) mod index;
pub(crate) mod interest;
pub mod libraries;
mod load;
pub(crate) mod memory;
pub mod plan;
pub(crate) mod slab;
pub(crate) mod table;
pub(crate) mod tracking;
#[cfg(feature = "lua")]
pub(crate) mod undo;
mod watches;

use std::collections::BTreeSet;

use ahash::RandomState;

pub(crate) use containers::Content;
pub use containers::TypeCounts;
pub use entry::ValueType;

use crate::batch::{Batch, Record, Records};
use crate::capture::is_capture;
use crate::id::ShardId;
use crate::key::Namespace;
use crate::limits::SHARDS;
use crate::seq::Seq;
use crate::types::Thresholds;
use crate::types::topic::names::split_key;
use crate::types::topic::warm::Warm;
use containers::{Change, Containers};
use entry::{Layout, Parts};
use evict::AccessMode;
use index::{BUCKETS, Index, Named, Slot};
use interest::Interest;
use libraries::Libraries;
use memory::Memory;
use plan::Focus;
use slab::{Handle, Slab};
use tracking::Tracking;
use watches::{Ended, Watches};

/// The shards that are on this core now, by number: its own that are at home, and those it has
/// borrowed.
pub type ShardTable = [Option<Box<Shard>>; SHARDS];

/// A partition of the key space.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    seq: Seq,
    /// Highest Seq that is acknowledged by the rule in force, without holes.
    stable: Seq,
    /// Seq of the last batch that removed a key: what a miss depends on.
    removed: Seq,
    index: Index,
    slab: Slab,
    containers: Containers,
    counts: TypeCounts,
    hasher: RandomState,
    access_mode: AccessMode,
    thresholds: Thresholds,
    pub(crate) interest: Interest,
    pub(crate) tracking: Tracking,
    /// Bytes of the container that is being changed.
    scratch: Vec<u8>,
    watches: Watches,
    /// Keys of topics that were made or deleted since somebody asked.
    topic_news: BTreeSet<Box<[u8]>>,
    /// Keys of captures of its changes.
    captures: Vec<Box<[u8]>>,
    /// Of shard 0 alone.
    libraries: Libraries,
    /// What was read lately of files with events.
    pub(crate) warm: Warm,
    /// Bucket at which the expiry sweep goes on.
    sweep_at: usize,
}

/// An entry of a shard, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'s> {
    bytes: &'s [u8],
    layout: Layout,
    shard: &'s Shard,
    handle: Handle,
}

impl<'s> Entry<'s> {
    /// Its key.
    pub fn key(&self) -> &'s [u8] {
        self.layout.key(self.bytes)
    }

    /// The bytes of a string.
    pub fn value(&self) -> &'s [u8] {
        debug_assert!(self.value_type() == ValueType::String, "only strings are bytes alone");
        self.layout.value(self.bytes)
    }

    /// The bytes that stand in the entry, whatever they mean.
    pub(crate) fn value_bytes(&self) -> &'s [u8] {
        self.layout.value(self.bytes)
    }

    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        self.layout.value_type()
    }

    /// When it expires, Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        entry::deadline_ms(self.bytes)
    }

    /// Seq of the last batch that changed it: its version.
    pub fn stamp(&self) -> Seq {
        entry::stamp(self.bytes)
    }

    /// Whether its deadline has passed.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.deadline_ms().is_some_and(|deadline| deadline <= now_ms)
    }

    /// The 24 bits that say when or how often it was used; [`evict`] interprets them.
    pub fn access(&self) -> u32 {
        entry::access(self.bytes)
    }

    /// Bytes of memory it takes, its share of the index left out.
    pub fn memory_bytes(&self) -> usize {
        let cell = self.shard.slab.cell_bytes(self.handle);
        match self.value_type().is_container().then(|| self.content()) {
            Some(Content::Large(large, _)) => cell + large.held_bytes() + large.cell_bytes(),
            Some(Content::Packed(_)) | None => cell,
        }
    }
}

/// Where an entry stands, for a lookup that is used more than once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    slot: Slot,
    handle: Handle,
    layout: Layout,
}

/// The keys of entries, for the index that names their memory.
struct Keys<'s>(Memory<'s>);

impl Named for Keys<'_> {
    fn hash_of(&self, handle: Handle) -> u64 {
        let bytes = self.0.slab.bytes(handle);
        self.0.hasher.hash_one(Layout::read(bytes).key(bytes))
    }

    fn prefetch(&self, handle: Handle) {
        entry::prefetch(self.0.slab.bytes(handle));
    }
}

/// What a lookup came to: the hash, and where the entry stands if there is one.
#[derive(Clone, Copy, Debug)]
struct Found {
    hash: u64,
    at: Option<Located>,
}

impl Found {
    fn of(focus: &Focus<'_>) -> Self {
        Self { hash: focus.place.hash, at: focus.located }
    }
}

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
    /// An empty shard. `seed` keys the hash of its index.
    pub fn new(id: ShardId, seed: u64, access_mode: AccessMode) -> Self {
        let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hasher = RandomState::with_seeds(seed, spread, !seed, spread.rotate_left(32));
        Self {
            id,
            seq: Seq::ZERO,
            stable: Seq::ZERO,
            removed: Seq::ZERO,
            index: Index::new(),
            slab: Slab::new(),
            containers: Containers::default(),
            counts: TypeCounts::default(),
            interest: Interest::new(hasher.clone()),
            tracking: Tracking::new(hasher.clone()),
            hasher,
            access_mode,
            thresholds: Thresholds::default(),
            scratch: Vec::new(),
            watches: Watches::default(),
            topic_news: BTreeSet::new(),
            captures: Vec::new(),
            libraries: Libraries::default(),
            warm: Warm::default(),
            sweep_at: 0,
        }
    }

    /// Which shard this is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Seq of the last batch applied.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Highest stable Seq.
    pub fn stable(&self) -> Seq {
        self.stable
    }

    /// Declares everything up to `seq` stable.
    pub fn set_stable(&mut self, seq: Seq) {
        assert!(seq <= self.seq, "shard {:?}: {seq:?} is not applied yet", self.id);
        self.stable = self.stable.max(seq);
    }

    /// Number of keys, expired ones that still stand included.
    pub fn key_count(&self) -> usize {
        self.index.len() - self.containers.named().len()
    }

    /// Number of entries: keys, and what lives in namespaces.
    pub fn entry_count(&self) -> usize {
        self.index.len()
    }

    /// The keys in a namespace, in order.
    pub fn named(&self, space: Namespace) -> impl Iterator<Item = &[u8]> {
        let from: Box<[u8]> = space.prefix().into();
        let keys = self.containers.named().range(from..).map(|key| &**key);
        keys.take_while(move |key| key.starts_with(&space.prefix()))
    }

    /// Number of keys with a deadline.
    pub fn volatile_count(&self) -> usize {
        self.index.volatile()
    }

    /// The libraries of functions.
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// Bytes of its live entries, its index and its libraries.
    #[inline]
    pub fn live_bytes(&self) -> usize {
        self.slab.live_bytes()
            + self.index.held_bytes()
            + self.containers.held_bytes()
            + self.libraries.held_bytes()
    }

    /// Bytes it has taken from the allocator.
    pub fn held_bytes(&self) -> usize {
        self.slab.held_bytes()
            + self.index.held_bytes()
            + self.containers.held_bytes()
            + self.libraries.held_bytes()
    }

    /// How uses of entries are noted from now on.
    pub fn set_access_mode(&mut self, mode: AccessMode) {
        self.access_mode = mode;
    }

    /// The hash of a key in the index of this shard.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    fn keys(&self) -> Keys<'_> {
        Keys(self.memory())
    }

    fn find(&self, key: &[u8]) -> Option<Located> {
        self.locate(key, self.hash(key))
    }

    /// First of three steps of a lookup whose cache misses shall overlap with those of others:
    /// hashes the key and asks for its place in the index.
    #[inline]
    pub fn prefetch_index(&self, key: &[u8]) -> u64 {
        let hash = self.hash(key);
        self.index.prefetch(hash);
        hash
    }

    /// Second step: asks for the entry. The third is the lookup itself.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(handle) = self.index.likely(hash) {
            let bytes = self.slab.bytes(handle);
            entry::prefetch(bytes);
            // An entry of the usual size ends in the next line but one.
            entry::prefetch(&bytes[bytes.len().min(64)..]);
            entry::prefetch(&bytes[bytes.len().min(128)..]);
        }
    }

    #[inline]
    fn entry(&self, handle: Handle) -> Entry<'_> {
        let bytes = self.slab.bytes(handle);
        Entry { bytes, layout: Layout::read(bytes), shard: self, handle }
    }

    /// The entry of a key, also when it has expired.
    pub fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.find(key).map(|located| self.entry_at(located))
    }

    /// Where the entry of a key with this hash stands; good until the shard changes.
    #[inline]
    pub(crate) fn locate(&self, key: &[u8], hash: u64) -> Option<Located> {
        let mut seen = None;
        let slot = self.index.find(hash, |handle| {
            let bytes = self.slab.bytes(handle);
            let layout = Layout::read(bytes);
            seen = Some((handle, layout));
            layout.key(bytes) == key
        })?;
        let (handle, layout) = seen.expect("a slot is found by looking at its entry");
        Some(Located { slot, handle, layout })
    }

    #[inline]
    pub(crate) fn entry_at(&self, located: Located) -> Entry<'_> {
        let Located { handle, layout, .. } = located;
        Entry { bytes: self.slab.bytes(handle), layout, shard: self, handle }
    }

    /// Notes that an entry was used, as the eviction policy wants it.
    #[inline]
    pub(crate) fn touch(&mut self, located: Located, now_ms: u64, draw: u64) {
        let handle = located.handle;
        let bytes = self.slab.bytes_mut(handle);
        let before = entry::access(bytes);
        let after = self.access_mode.used(before, now_ms, draw);
        if after != before {
            entry::set_access(bytes, after);
        }
    }

    /// Overwrites the 24 access bits of a key (`RESTORE` with `IDLETIME` or `FREQ`). They are a
    /// hint for eviction, not data, and are not logged.
    pub fn set_access(&mut self, key: &[u8], access: u32) {
        if let Some(Located { handle, .. }) = self.find(key) {
            entry::set_access(self.slab.bytes_mut(handle), access);
        }
    }

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

    /// Whether a change was made that somebody waits for or wants to be told of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.interest.has_fired() || self.tracking.has_changes()
    }

    /// Notes that a topic or a capture was made or deleted: of a topic its first partition was.
    fn note_named(&mut self, value_type: ValueType, key: &[u8], is_there: bool) {
        if is_capture(key) {
            self.note_capture(key, is_there);
        } else if value_type == ValueType::Partition && split_key(key).1 == 0 {
            self.topic_news.insert(key.into());
        }
    }

    /// Whether topics were made or deleted.
    #[inline]
    pub(crate) fn has_topic_news(&self) -> bool {
        !self.topic_news.is_empty()
    }

    /// Keys of topics, rooms among them, that were made or deleted since the last call.
    pub(crate) fn take_topic_news(&mut self) -> BTreeSet<Box<[u8]>> {
        std::mem::take(&mut self.topic_news)
    }

    /// Whether a transaction to come depends on some key of this shard.
    pub fn is_watched(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Begins a watch of a key.
    pub(crate) fn watch(&mut self, watcher: u64, key: &[u8], now_ms: u64) {
        let was_expired = self.get(key).is_some_and(|entry| entry.is_expired(now_ms));
        self.watches.add(watcher, key, was_expired);
    }

    /// Ends the watches of a watcher; whether it watched something here and none of its keys has
    /// changed. A key whose deadline passed meanwhile has changed.
    pub(crate) fn end_watch(&mut self, watcher: u64, now_ms: u64) -> bool {
        let Some(Ended { is_dirty, keys }) = self.watches.end(watcher) else { return false };
        let has_expired = |key: &[u8]| self.get(key).is_some_and(|entry| entry.is_expired(now_ms));
        !is_dirty && !keys.iter().any(|key| has_expired(key))
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

    fn look_up(&self, key: &[u8]) -> Found {
        let hash = self.hash(key);
        Found { hash, at: self.locate(key, hash) }
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
    fn put(&mut self, found: Found, parts: &Parts<'_>) {
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

    fn remove(&mut self, at: Located, seq: Seq) {
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
    fn clear(&mut self, seq: Seq) {
        let named = self.take_named();
        self.index = Index::new();
        self.slab = Slab::new();
        self.containers = self.containers.cleared();
        self.counts = TypeCounts::default();
        self.sweep_at = 0;
        self.removed = seq;
        self.put_named(named);
    }

    /// Calls `visit` with each entry of one step of a walk over the shard, and returns where the
    /// next step begins, or nothing at the end. A walk starts at zero. Every key that is there from
    /// the first step to the last is visited at least once, whatever changes meanwhile.
    pub fn walk(&self, position: u64, mut visit: impl FnMut(Entry<'_>)) -> Option<u64> {
        // The top bits of a position are a prefix of hashes, the lowest five a bucket.
        let bucket = position as usize % BUCKETS;
        let prefix = position - bucket as u64;
        let visit = |handle| visit(self.entry(handle));
        let after = self.index.walk_bucket(prefix, bucket, self.keys(), visit);
        if bucket + 1 < BUCKETS { Some(position + 1) } else { after }
    }

    /// An entry drawn at random with about equal weight, from those with a deadline if
    /// `volatile_only`. Nothing when there is none, or when `tries` draws hit free slots only.
    pub fn sample(
        &self,
        rng: &mut crate::rng::Rng,
        volatile_only: bool,
        tries: usize,
    ) -> Option<Entry<'_>> {
        let wanted = if volatile_only { self.volatile_count() } else { self.key_count() };
        if wanted == 0 {
            return None;
        }
        (0..tries)
            .filter_map(|_| self.index.nth(rng.below(self.index.slot_count()), volatile_only))
            .map(|handle| self.entry(handle))
            .find(|entry| !entry.value_type().is_named())
    }

    /// Some entry with a deadline, from the first bucket that has one among `buckets` buckets from
    /// bucket `start` on.
    pub fn any_volatile(&self, start: usize, buckets: usize) -> Option<Entry<'_>> {
        let count = self.index.bucket_count();
        (0..buckets.min(count))
            .find_map(|step| self.index.volatile_in((start + step) % count).next())
            .map(|handle| self.entry(handle))
    }

    /// Number of buckets of the index, for spreading sweeps.
    pub fn bucket_count(&self) -> usize {
        self.index.bucket_count()
    }

    /// Looks at the entries with a deadline in the next `buckets` buckets, calls `expired` with the
    /// key of each whose deadline has passed, and returns how many it looked at.
    pub fn sweep(&mut self, buckets: usize, now_ms: u64, mut expired: impl FnMut(&[u8])) -> usize {
        let count = self.index.bucket_count();
        let mut seen = 0;
        for _ in 0..buckets.min(count) {
            self.sweep_at = (self.sweep_at + 1) % count;
            for handle in self.index.volatile_in(self.sweep_at) {
                seen += 1;
                let entry = self.entry(handle);
                if entry.is_expired(now_ms) {
                    expired(entry.key());
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests;
