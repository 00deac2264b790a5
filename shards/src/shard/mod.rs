//! One of the 64 partitions of the key space: its entries, and the only code that changes them.
//!
//! A shard is changed by [`Shard::apply`] and nothing else: live commands, recovery and, on a
//! follower, replication all bring it the same batches. Reading goes through [`plan::View`].

mod agenda;
mod apply;
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

use crate::engine::event::Spot;
use crate::id::ShardId;
use crate::key::Namespace;
use crate::limits::SHARDS;
use crate::seq::Seq;
use crate::types::Thresholds;
use crate::types::topic::warm::Warm;
use containers::Containers;
use entry::Layout;
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
        Self { hash: focus.spot.hash, at: focus.located }
    }
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

    /// Second step: asks for the entry. The third is the lookup itself, which looks first where
    /// this one says.
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) -> Option<Slot> {
        let slot = self.index.likely(hash)?;
        let bytes = self.slab.bytes(self.index.handle_in(slot)?);
        entry::prefetch(bytes);
        // An entry of the usual size ends in the next line but one.
        entry::prefetch(&bytes[bytes.len().min(64)..]);
        entry::prefetch(&bytes[bytes.len().min(128)..]);
        Some(slot)
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

    fn look_up(&self, key: &[u8]) -> Found {
        let hash = self.hash(key);
        Found { hash, at: self.locate(key, hash) }
    }

    /// Where the entry of a key stands that was perhaps looked at before; good until the shard
    /// changes.
    #[inline]
    pub(crate) fn locate_at(&self, key: &[u8], spot: &Spot) -> Option<Located> {
        let at = spot.likely.and_then(|slot| {
            let handle = self.index.handle_in(slot)?;
            let bytes = self.slab.bytes(handle);
            let layout = Layout::read(bytes);
            (layout.key(bytes) == key).then_some(Located { slot, handle, layout })
        });
        at.or_else(|| self.locate(key, spot.hash))
    }

    /// Where the entry of a key with this hash stands; good until the shard changes.
    fn locate(&self, key: &[u8], hash: u64) -> Option<Located> {
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

    /// Whether a change was made that somebody waits for or wants to be told of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.interest.has_fired() || self.tracking.has_changes()
    }

    /// Whether topics were made or deleted.
    #[inline]
    pub(crate) fn has_topic_news(&self) -> bool {
        !self.topic_news.is_empty()
    }

    /// Keys of topics, rooms among them, and of queues that have a number, that were made or
    /// deleted since the last call.
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
