//! The index of a shard: from the hash of a key to the handle of its entry.
//!
//! Extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979) over small segments of
//! cache-line buckets, in the manner of Dash (Lu, Hao, Wang, Lo, 2020): the top bits of the hash
//! choose a segment through a directory, five low bits a bucket, eight more are a tag. A bucket is
//! one cache line of twelve tags and twelve handles; an entry that finds its bucket full goes to
//! one of the next three, and when those are full too the segment splits in two. So a lookup reads
//! one line of the index, nearly always, and growing never moves more than one segment (384 slots):
//! no operation waits for a table to be rehashed.
//!
//! The index holds no keys. Callers compare them through the handle.

use super::entry::prefetch;
use super::slab::Handle;

/// Slots of a bucket; with tags and flags they fill a cache line.
const SLOTS: usize = 12;
/// Buckets of a segment.
pub(crate) const BUCKETS: usize = 32;
const SEGMENT_SLOTS: usize = BUCKETS * SLOTS;
/// Buckets in which an entry may stand: its home and those after it.
const REACH: usize = 4;
/// Entries of a segment that is about to be full: beyond, buckets overflow and it splits.
const SEGMENT_KEYS: usize = SEGMENT_SLOTS * 5 / 6;
/// Room is made for so many entries beforehand at most; more come to it by splitting.
const ROOM_MAX: usize = 1 << 26;
/// A directory deeper than this would mean a broken hash, not many keys.
const DEPTH_MAX: u32 = 28;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    /// Slots whose entry has a deadline.
    volatile: u16,
    /// Entries whose home is here but that stand in one of the next buckets.
    spilled: u16,
    handles: [u32; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is one cache line");

const EMPTY: Bucket = Bucket { tags: [0; SLOTS], volatile: 0, spilled: 0, handles: [0; SLOTS] };

type Buckets = Box<[Bucket; BUCKETS]>;

/// What the index asks of the memory that its handles name.
pub(crate) trait Named {
    /// The hash of the key of an entry of this index.
    fn hash_of(&self, handle: Handle) -> u64;

    /// Asks for the cache line that [`Named::hash_of`] will read.
    fn prefetch(&self, handle: Handle);
}

/// Where an entry stands in the index; valid until the index changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    segment: u32,
    bucket: u8,
    slot: u8,
    home: u8,
}

/// The hash index.
#[derive(Debug)]
pub(crate) struct Index {
    directory: Vec<u32>,
    /// Nothing but addresses, so that the table every lookup goes through is small.
    segments: Vec<Buckets>,
    /// Bits of the hash that all entries of a segment share.
    depths: Vec<u8>,
    /// Bits of the hash that choose in the directory.
    depth: u32,
    keys: usize,
    volatile: usize,
    /// Bytes taken from the allocator; asked for with every write, changed by splits alone.
    held_bytes: usize,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self::with_room(0)
    }

    /// An empty index that will hold about `keys` entries: as many segments as it would come to by
    /// splitting, so that filling it moves nearly none.
    pub(crate) fn with_room(keys: usize) -> Self {
        let wanted = |depth: &u32| keys.min(ROOM_MAX) >> depth <= SEGMENT_KEYS;
        let depth = (0..usize::BITS).find(wanted).expect("a shift comes to zero");
        let count = 1u32 << depth;
        let mut index = Self {
            directory: (0..count).collect(),
            segments: (0..count).map(|_| Box::new([EMPTY; BUCKETS])).collect(),
            depths: vec![depth as u8; count as usize],
            depth,
            keys: 0,
            volatile: 0,
            held_bytes: 0,
        };
        index.held_bytes = index.measured_bytes();
        index
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.keys
    }

    /// Number of entries marked as having a deadline.
    pub(crate) fn volatile(&self) -> usize {
        self.volatile
    }

    /// Bytes taken from the allocator.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn measured_bytes(&self) -> usize {
        self.segments.len() * size_of::<[Bucket; BUCKETS]>()
            + self.segments.capacity() * size_of::<Buckets>()
            + self.depths.capacity()
            + self.directory.capacity() * size_of::<u32>()
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> u32 {
        // Two shifts, because a shift by 64 is not a shift.
        self.directory[(hash >> 1 >> (63 - self.depth)) as usize]
    }

    /// Asks for the cache line that a lookup of `hash` will read first.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch(&self.segments[self.segment_of(hash) as usize][home_of(hash)].tags);
    }

    /// The first slot of its home bucket that has the tag of `hash`: nearly always the one.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Slot> {
        let (segment, home) = (self.segment_of(hash), home_of(hash));
        let slot = matches(&self.segments[segment as usize][home], tag_of(hash)).next()?;
        Some(Slot { segment, bucket: home as u8, slot: slot as u8, home: home as u8 })
    }

    /// What stands in a slot now, whatever has become of the index since the slot was named.
    #[inline]
    pub(crate) fn handle_in(&self, slot: Slot) -> Option<Handle> {
        let bucket = &self.segments.get(slot.segment as usize)?[usize::from(slot.bucket) % BUCKETS];
        let handle = *bucket.handles.get(usize::from(slot.slot))?;
        (handle != 0).then_some(Handle(handle))
    }

    /// The slot among those with the tag of `hash` for whose handle `is_it` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(Handle) -> bool) -> Option<Slot> {
        let segment = self.segment_of(hash);
        let buckets = &self.segments[segment as usize];
        let home = home_of(hash);
        let tag = tag_of(hash);
        for bucket in reach(buckets, home) {
            for slot in matches(&buckets[bucket], tag) {
                if is_it(Handle(buckets[bucket].handles[slot])) {
                    return Some(Slot {
                        segment,
                        bucket: bucket as u8,
                        slot: slot as u8,
                        home: home as u8,
                    });
                }
            }
        }
        None
    }

    fn bucket_mut(&mut self, at: Slot) -> &mut Bucket {
        &mut self.segments[at.segment as usize][usize::from(at.bucket)]
    }

    /// Names other memory for the entry in a slot.
    pub(crate) fn replace(&mut self, at: Slot, handle: Handle) {
        self.bucket_mut(at).handles[usize::from(at.slot)] = handle.0;
    }

    /// Marks the entry in a slot as having a deadline, or not.
    pub(crate) fn set_volatile(&mut self, at: Slot, volatile: bool) {
        let bit = 1 << at.slot;
        let bucket = self.bucket_mut(at);
        let was = bucket.volatile & bit != 0;
        if was == volatile {
            return;
        }
        if volatile {
            bucket.volatile |= bit;
        } else {
            bucket.volatile &= !bit;
        }
        self.volatile = self.volatile + usize::from(volatile) - usize::from(was);
    }

    /// Takes the entry in a slot out.
    pub(crate) fn remove(&mut self, at: Slot) {
        self.set_volatile(at, false);
        let slot = usize::from(at.slot);
        let bucket = self.bucket_mut(at);
        bucket.handles[slot] = 0;
        bucket.tags[slot] = 0;
        if at.bucket != at.home {
            let home = &mut self.segments[at.segment as usize][usize::from(at.home)];
            home.spilled -= 1;
        }
        self.keys -= 1;
    }

    /// Adds an entry that is not there yet. `named` is asked when a segment splits.
    pub(crate) fn insert(&mut self, hash: u64, handle: Handle, volatile: bool, named: impl Named) {
        loop {
            let segment = self.segment_of(hash);
            if place(&mut self.segments[segment as usize], hash, handle, volatile) {
                self.keys += 1;
                self.volatile += usize::from(volatile);
                return;
            }
            self.split(segment, hash, &named);
        }
    }

    /// Halves a segment by the next bit of the hash; one of its hashes is `example`.
    fn split(&mut self, segment: u32, example: u64, named: &impl Named) {
        let depth = u32::from(self.depths[segment as usize]);
        assert!(depth < DEPTH_MAX, "the hash does not spread: a segment shares {depth} bits");
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|id| [*id, *id]).collect();
            self.depth += 1;
        }
        let upper = self.segments.len() as u32;
        let [low, high] = halve(&self.segments[segment as usize], depth, named);
        self.segments[segment as usize] = low;
        self.segments.push(high);
        self.depths[segment as usize] += 1;
        self.depths.push(self.depths[segment as usize]);
        // The directory entries of the segment are one run; its upper half moves.
        let run = 1usize << (self.depth - depth);
        let first = (example >> 1 >> (63 - self.depth)) as usize / run * run;
        self.directory[first + run / 2..first + run].fill(upper);
        self.held_bytes = self.measured_bytes();
    }

    /// Calls `visit` with each entry whose home is bucket `bucket` of the segment that covers
    /// `prefix` (a hash with only its top bits set), and returns the first prefix behind that
    /// segment, or nothing when it was the last.
    pub(crate) fn walk_bucket(
        &self,
        prefix: u64,
        bucket: usize,
        named: impl Named,
        mut visit: impl FnMut(Handle),
    ) -> Option<u64> {
        let segment = self.segment_of(prefix) as usize;
        let buckets = &self.segments[segment];
        for at in reach(buckets, bucket) {
            for handle in buckets[at].handles.iter().filter(|handle| **handle != 0) {
                if home_of(named.hash_of(Handle(*handle))) == bucket {
                    visit(Handle(*handle));
                }
            }
        }
        let span = 1u64.checked_shl(64 - u32::from(self.depths[segment]))?;
        (prefix / span * span).checked_add(span)
    }

    /// Number of buckets, for walking them by number with [`Index::volatile_in`].
    pub(crate) fn bucket_count(&self) -> usize {
        self.segments.len() * BUCKETS
    }

    /// The entries with a deadline in the bucket of this number.
    pub(crate) fn volatile_in(&self, number: usize) -> impl Iterator<Item = Handle> + '_ {
        let bucket = &self.segments[number / BUCKETS][number % BUCKETS];
        (0..SLOTS)
            .filter(|slot| bucket.volatile & (1 << slot) != 0)
            .map(|slot| Handle(bucket.handles[slot]))
    }

    /// The entry in the slot of this number, if there is one; numbers are below
    /// [`Index::slot_count`].
    pub(crate) fn nth(&self, number: usize, volatile_only: bool) -> Option<Handle> {
        let bucket = &self.segments[number / SEGMENT_SLOTS][number / SLOTS % BUCKETS];
        let slot = number % SLOTS;
        let wanted =
            bucket.handles[slot] != 0 && (!volatile_only || bucket.volatile & (1 << slot) != 0);
        wanted.then(|| Handle(bucket.handles[slot]))
    }

    /// Every entry, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> + '_ {
        let slots = self.segments.iter().flat_map(|buckets| buckets.iter());
        let handles = slots.flat_map(|bucket| bucket.handles.iter());
        handles.filter(|handle| **handle != 0).map(|handle| Handle(*handle))
    }

    /// Gives up one segment and yields the entries it held; nothing when none is left. What is left
    /// can only be given up as well: nothing is found in it any more.
    pub(crate) fn dismantle(&mut self) -> Option<impl Iterator<Item = Handle> + use<>> {
        let buckets = self.segments.pop()?;
        let handles =
            (0..SEGMENT_SLOTS).map(move |slot| buckets[slot / SLOTS].handles[slot % SLOTS]);
        Some(handles.filter(|handle| *handle != 0).map(Handle))
    }

    /// Number of slots, taken or not.
    pub(crate) fn slot_count(&self) -> usize {
        self.segments.len() * SEGMENT_SLOTS
    }
}

/// Distributes the entries of a segment whose hashes share `depth` bits by the next bit. Each first
/// keeps the slot it had, which is free in its half for sure; then those that were spilled go home
/// where they can. Every entry is a cache miss, so those of a bucket are asked for while the bucket
/// before it is distributed.
fn halve(segment: &Buckets, depth: u32, named: &impl Named) -> [Buckets; 2] {
    let mut halves = [Box::new([EMPTY; BUCKETS]), Box::new([EMPTY; BUCKETS])];
    let mut spilled = Vec::new();
    ask_for(&segment[0], named);
    for (number, bucket) in segment.iter().enumerate() {
        if let Some(next) = segment.get(number + 1) {
            ask_for(next, named);
        }
        for slot in (0..SLOTS).filter(|slot| bucket.handles[*slot] != 0) {
            let hash = named.hash_of(Handle(bucket.handles[slot]));
            let half = (hash >> (63 - depth) & 1) as usize;
            let target = &mut halves[half][number];
            target.handles[slot] = bucket.handles[slot];
            target.tags[slot] = bucket.tags[slot];
            target.volatile |= bucket.volatile & (1 << slot);
            if home_of(hash) != number {
                halves[half][home_of(hash)].spilled += 1;
                spilled.push((half, hash, number, slot));
            }
        }
    }
    for (half, hash, number, slot) in spilled {
        let buckets = &mut halves[half];
        let home = home_of(hash);
        if buckets[home].handles.contains(&0) {
            let handle = Handle(buckets[number].handles[slot]);
            let volatile = buckets[number].volatile & (1 << slot) != 0;
            buckets[number].handles[slot] = 0;
            buckets[number].tags[slot] = 0;
            buckets[number].volatile &= !(1 << slot);
            buckets[home].spilled -= 1;
            assert!(place(buckets, hash, handle, volatile), "its home has a free slot");
        }
    }
    halves
}

fn ask_for(bucket: &Bucket, named: &impl Named) {
    for handle in bucket.handles.iter().filter(|handle| **handle != 0) {
        named.prefetch(Handle(*handle));
    }
}

fn home_of(hash: u64) -> usize {
    hash as usize % BUCKETS
}

fn tag_of(hash: u64) -> u8 {
    (hash >> 8) as u8
}

/// The buckets in which entries with this home stand.
fn reach(buckets: &[Bucket; BUCKETS], home: usize) -> impl Iterator<Item = usize> + use<> {
    let count = if buckets[home].spilled == 0 { 1 } else { REACH };
    (home..home + count).map(|bucket| bucket % BUCKETS)
}

/// The taken slots of a bucket with this tag. All twelve tags are compared at once, as the zero
/// bytes of an exclusive or (Warren, "Hacker's Delight", 6-1).
fn matches(bucket: &Bucket, tag: u8) -> impl Iterator<Item = usize> + '_ {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // One byte of 0x80 for each byte of zero, then those bits side by side at the top.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    let bits = |zeros: u64| (zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bucket.tags;
    let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let second = u64::from_le_bytes([i, j, k, l, !tag, !tag, !tag, !tag]);
    let repeated = u64::from(tag).wrapping_mul(0x0101_0101_0101_0101);
    let mut mask = (bits(zeros(first ^ repeated)) | bits(zeros(second ^ repeated)) << 8) as u32;
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let slot = mask.trailing_zeros() as usize;
            mask &= mask.wrapping_sub(1);
            slot
        })
    })
    // A free slot has tag zero and handle zero.
    .filter(|slot| bucket.handles[*slot] != 0)
}

/// Puts an entry into its home bucket or one of the next; false when all are full.
fn place(buckets: &mut [Bucket; BUCKETS], hash: u64, handle: Handle, volatile: bool) -> bool {
    let home = home_of(hash);
    for bucket in (home..home + REACH).map(|bucket| bucket % BUCKETS) {
        let Some(slot) = buckets[bucket].handles.iter().position(|handle| *handle == 0) else {
            continue;
        };
        let target = &mut buckets[bucket];
        target.handles[slot] = handle.0;
        target.tags[slot] = tag_of(hash);
        target.volatile |= u16::from(volatile) << slot;
        if bucket != home {
            buckets[home].spilled += 1;
        }
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    impl<F: Fn(Handle) -> u64> Named for F {
        fn hash_of(&self, handle: Handle) -> u64 {
            self(handle)
        }

        fn prefetch(&self, _: Handle) {}
    }

    /// Handles are the keys of this test; their hash is a mix of their bits.
    fn hash_of(handle: Handle) -> u64 {
        Rng::new(u64::from(handle.0) << 7).draw()
    }

    fn find(index: &Index, key: u32) -> Option<Slot> {
        index.find(hash_of(Handle(key)), |handle| handle.0 == key)
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let mut index = Index::new();
        let mut model = BTreeMap::new();
        let mut rng = Rng::new(1);
        for _ in 0..60_000 {
            let key = 1 + rng.below(20_000) as u32;
            let volatile = rng.below(3) == 0;
            match (find(&index, key), rng.below(3)) {
                (Some(at), 0) => {
                    index.remove(at);
                    model.remove(&key);
                }
                (Some(at), _) => {
                    index.set_volatile(at, volatile);
                    model.insert(key, volatile);
                }
                (None, _) => {
                    index.insert(hash_of(Handle(key)), Handle(key), volatile, hash_of);
                    model.insert(key, volatile);
                }
            }
        }
        assert_eq!(index.len(), model.len());
        assert_eq!(index.volatile(), model.values().filter(|volatile| **volatile).count());
        for key in 1..=20_000 {
            assert_eq!(find(&index, key).is_some(), model.contains_key(&key));
        }
        let marked: BTreeSet<u32> =
            (0..index.bucket_count()).flat_map(|n| index.volatile_in(n)).map(|h| h.0).collect();
        let expected: BTreeSet<u32> =
            model.iter().filter(|(_, volatile)| **volatile).map(|(key, _)| *key).collect();
        assert_eq!(marked, expected);
    }

    #[test]
    fn a_walk_interrupted_by_growth_still_sees_every_early_key() {
        let mut index = Index::new();
        let early = 3000u32;
        for key in 1..=early {
            index.insert(hash_of(Handle(key)), Handle(key), false, hash_of);
        }
        let mut seen = BTreeSet::new();
        let mut later = early;
        let mut prefix = Some(0u64);
        while let Some(at) = prefix {
            for bucket in 0..BUCKETS {
                prefix = index.walk_bucket(at, bucket, hash_of, |handle| {
                    seen.insert(handle.0);
                });
                for _ in 0..5 {
                    later += 1;
                    index.insert(hash_of(Handle(later)), Handle(later), false, hash_of);
                }
            }
        }
        assert!((1..=early).all(|key| seen.contains(&key)));
    }

    #[test]
    fn room_made_beforehand_is_what_would_have_been_taken() {
        for keys in [0, 1, 320, 321, 5_000, 40_000] {
            let (mut grown, mut roomy) = (Index::new(), Index::with_room(keys as usize));
            for key in 1..=keys {
                for index in [&mut grown, &mut roomy] {
                    index.insert(hash_of(Handle(key)), Handle(key), false, hash_of);
                }
            }
            assert!((1..=keys).all(|key| find(&roomy, key).is_some()));
            assert!(roomy.held_bytes() <= grown.held_bytes() + grown.held_bytes() / 2 + 4096);
        }
    }

    #[test]
    fn segments_are_well_filled() {
        let mut index = Index::new();
        let keys = 15_625;
        for key in 1..=keys {
            index.insert(hash_of(Handle(key)), Handle(key), false, hash_of);
        }
        let bytes = index.held_bytes() as f64 / f64::from(keys);
        assert!(bytes < 10.0, "{bytes} bytes of index per key");
    }
}
