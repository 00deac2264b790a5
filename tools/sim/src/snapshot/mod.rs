//! A snapshot as the coordinator of the server makes it, one action after the other, so that a
//! crash may fall between any two.
//!
//! ```text
//! Copying   every core begins to copy what it appends to its log: its tail
//! Asking    when all do: the Seqs of all shards; what is lent is asked for when it is home
//! Walking   each core walks its shards in slices between requests
//! Closing   when all are done: every core ends its tail
//! Writing   images and tails, each written, synced, renamed; then the index
//! Releasing manifest, old snapshots, then the logs up to where the copying began
//! ```

pub(crate) mod file;
pub(crate) mod load;

use std::collections::{BTreeMap, VecDeque};

use synap_shards::id::ShardId;
use synap_shards::recovery::Released;
use synap_shards::seq::ShardSeqs;
use synap_shards::shard::Shard;
use synap_shards::snapshot::{Pieces, push_entry, push_libraries};

use crate::coverage::State;
use crate::disk::Name;
use file::Index;

/// What happens now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    Copying,
    Asking,
    Walking,
    Closing,
    Writing,
    Releasing,
}

/// One action on the disk.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(Name, Vec<u8>),
    Sync(Name),
    Rename(Name),
    SyncDirectory,
    /// From here on the snapshot is valid.
    Valid,
    /// Stores the manifest with what is released.
    Store,
    /// Removes indexes beyond those kept, or the parts that have lost theirs.
    PruneIndexes,
    PruneParts,
    /// Lets go of the logs.
    Release,
}

/// How far the walk of a core is.
#[derive(Debug)]
struct Walk {
    /// Shards walked, a bit each.
    done: u64,
    /// Where the walk of the next shard goes on: a position, or entries counted; nothing when its
    /// entries have all been met.
    position: Option<u64>,
    /// Keys of large containers of that shard that were met and are not written yet.
    large: Vec<Vec<u8>>,
    /// The one that is being written.
    pieces: Option<Pieces>,
}

impl Walk {
    fn new() -> Self {
        Self { done: 0, position: Some(0), large: Vec::new(), pieces: None }
    }

    /// One slice of a shard: so many steps.
    fn slice(&mut self, shard: &Shard, steps: usize, image: &mut Vec<u8>) {
        for _ in 0..steps {
            self.step(shard, image);
        }
    }

    /// As the server's walk: a piece, or the beginning of the next large container, or a bucket.
    fn step(&mut self, shard: &Shard, image: &mut Vec<u8>) {
        if let Some(pieces) = &mut self.pieces {
            if !pieces.write(shard, image) {
                self.pieces = None;
            }
        } else if let Some(key) = self.large.pop() {
            let Some(entry) = shard.get(&key) else { return };
            self.pieces = Pieces::begin(&entry);
            if self.pieces.is_none() {
                push_entry(image, &entry);
            }
        } else if let Some(at) = self.position {
            if at == 0 {
                push_libraries(image, shard);
            }
            self.position = shard.walk(at, |entry| match entry.is_large() {
                true => self.large.push(entry.key().to_vec()),
                false => push_entry(image, &entry),
            });
        }
    }

    /// Whether all of the shard is written.
    fn is_over(&self) -> bool {
        self.position.is_none() && self.large.is_empty() && self.pieces.is_none()
    }
}

/// A snapshot that is being made.
#[derive(Debug)]
pub(crate) struct Snapshotting {
    pub(crate) id: u64,
    pub(crate) phase: Phase,
    /// Cores that have done what the phase asks of them.
    ready: Vec<bool>,
    /// Shards whose first Seq is known, a bit each.
    asked: u64,
    starts: ShardSeqs,
    ends: ShardSeqs,
    walks: Vec<Walk>,
    images: BTreeMap<usize, Vec<u8>>,
    pub(crate) steps: VecDeque<Step>,
}

impl Snapshotting {
    pub(crate) fn new(id: u64, cores: usize) -> Self {
        Self {
            id,
            phase: Phase::Copying,
            ready: vec![false; cores],
            asked: 0,
            starts: ShardSeqs::zero(),
            ends: ShardSeqs::zero(),
            walks: (0..cores).map(|_| Walk::new()).collect(),
            images: BTreeMap::new(),
            steps: VecDeque::new(),
        }
    }

    /// What a fault that strikes now meets.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Copying | Phase::Asking => State::SnapshotBegins,
            Phase::Walking | Phase::Closing => State::SnapshotWalks,
            Phase::Writing => State::SnapshotWrites,
            Phase::Releasing => State::SnapshotReleases,
        }
    }

    /// Whether a core has done its part of the phase.
    pub(crate) fn is_ready(&self, core: usize) -> bool {
        self.ready[core]
    }

    /// A core has done its part; the next phase begins when all have.
    pub(crate) fn done(&mut self, core: usize) {
        self.ready[core] = true;
        if !self.ready.iter().all(|ready| *ready) {
            return;
        }
        self.ready.fill(false);
        self.phase = match self.phase {
            Phase::Copying => Phase::Asking,
            Phase::Asking => Phase::Walking,
            Phase::Walking => Phase::Closing,
            Phase::Closing | Phase::Writing | Phase::Releasing => Phase::Writing,
        };
    }

    /// Notes the Seqs of those of a core's shards that are at home; whether all `owned` are known.
    pub(crate) fn ask<'s>(&mut self, home: impl Iterator<Item = &'s Shard>, owned: u64) -> bool {
        for shard in home {
            let bit = 1 << shard.id().index();
            if owned & bit & !self.asked != 0 {
                self.asked |= bit;
                self.starts.set(shard.id(), shard.seq());
            }
        }
        owned & !self.asked == 0
    }

    /// One slice of a core's walk: `buckets` steps over the next shard that is at home. Whether
    /// the walk is over.
    pub(crate) fn walk<'s>(
        &mut self,
        core: usize,
        home: impl Iterator<Item = &'s Shard>,
        owned: u64,
        buckets: usize,
        counted: bool,
    ) -> bool {
        let walk = &mut self.walks[core];
        let missing = owned & !walk.done;
        // One shard after the other: the walk waits for a shard that is away.
        let next = missing.trailing_zeros() as usize;
        let Some(shard) = home.into_iter().find(|shard| shard.id().index() == next) else {
            return missing == 0;
        };
        let image = self.images.entry(next).or_default();
        if counted {
            walk.position = walk_counting(shard, walk.position.unwrap_or(0), image);
        } else {
            walk.slice(shard, buckets, image);
        }
        if walk.is_over() {
            walk.done |= 1 << next;
            walk.position = Some(0);
            self.ends.set(shard.id(), shard.seq());
        }
        owned & !walk.done == 0
    }

    /// Every tail is closed: what has to be written. `tails` are those of all logs.
    pub(crate) fn write_out(&mut self, epoch: u32, tails: BTreeMap<usize, Vec<u8>>) {
        let id = self.id;
        let images = std::mem::take(&mut self.images);
        let images: BTreeMap<usize, Vec<u8>> =
            images.into_iter().filter(|(_, image)| !image.is_empty()).collect();
        let index = Index {
            epoch,
            starts: self.starts.clone(),
            ends: self.ends.clone(),
            images: images.keys().copied().collect(),
            tails: tails.keys().copied().collect(),
        };
        let images = images.into_iter().map(|(shard, i)| (Name::Image { snapshot: id, shard }, i));
        let tails = tails.into_iter().map(|(log, t)| (Name::Tail { snapshot: id, log }, t));
        for (name, payload) in images.chain(tails) {
            self.push_file(name, file::seal_part(id, name, &payload));
        }
        self.steps.push_back(Step::SyncDirectory);
        self.push_file(Name::Index { snapshot: id }, file::seal_index(id, &index));
        self.steps.extend([
            Step::SyncDirectory,
            Step::Valid,
            Step::Store,
            Step::PruneIndexes,
            Step::SyncDirectory,
            Step::PruneParts,
            Step::Release,
            Step::SyncDirectory,
        ]);
    }

    fn push_file(&mut self, name: Name, bytes: Vec<u8>) {
        self.steps.extend([Step::Write(name, bytes), Step::Sync(name), Step::Rename(name)]);
    }

    /// What may be let go once the snapshot is valid.
    pub(crate) fn released(&self) -> Released {
        Released { seqs: self.starts.clone(), snapshot: file::name(self.id) }
    }
}

/// The planted bug: goes on behind as many entries as were seen before, wherever they are now.
fn walk_counting(shard: &Shard, seen: u64, image: &mut Vec<u8>) -> Option<u64> {
    const ENTRIES: u64 = 2;
    let (mut number, mut position) = (0, Some(0));
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            if (seen..seen + ENTRIES).contains(&number) {
                push_entry(image, &entry);
            }
            number += 1;
        });
    }
    (number > seen + ENTRIES).then_some(seen + ENTRIES)
}

/// The shards of an iterator as a mask.
pub(crate) fn mask(shards: impl Iterator<Item = ShardId>) -> u64 {
    shards.fold(0, |mask, shard| mask | 1 << shard.index())
}
