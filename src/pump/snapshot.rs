//! A core's part in a snapshot: it copies what it appends to its log, and walks its shards in
//! slices between requests.
//!
//! A slice ends after [`SLICE_BYTES`] or [`SLICE_NS`], whichever comes first, and a busy core then
//! rests [`REST`] times as long; an idle one goes on at once. A walk that clients' writes outrun
//! rests less and takes longer slices, or tail and log would grow to many times the data. What does
//! not fit the queue of the thread that writes makes the walk rest too. Two things are not divided:
//! the entries of one bucket, a dozen or so, of which large ones are put off and written one by
//! one; and one such entry, which takes the time of copying it.

use std::sync::mpsc::Sender;

use synap_io::clock;
use synap_io::snapshot::BLOCK_RAW_BYTES;
use synap_shards::batch;
use synap_shards::engine::Engine;
use synap_shards::id::{CoreId, ShardId};
use synap_shards::key::ShardMap;
use synap_shards::seq::Seq;
use synap_shards::shard::{Entry, Shard};
use synap_shards::snapshot::{Pieces, push_entry, push_libraries};

use super::Core;
use crate::fatal::Fatal;
use crate::snapshot::job::Link;
use crate::snapshot::{Answer, GaveUp, Input, Order, Span};

/// Bytes of entries that a slice writes.
const SLICE_BYTES: usize = BLOCK_RAW_BYTES;
/// How long a slice takes, nanoseconds.
const SLICE_NS: u64 = 100_000;
/// Steps of a walk between two looks at the clock.
const STEPS_PER_LOOK: usize = 4;
/// A busy core rests this many times the length of a slice: a fortieth of it goes to the snapshot,
/// and about as much of another CPU, or a little more, to the thread that compresses.
const REST: u64 = 39;
/// The same where the walk is behind: half of the core.
const REST_BEHIND: u64 = 1;
/// How long a slice takes then.
const SLICE_BEHIND_NS: u64 = 300_000;
/// The walk is behind when it has written less than this many times the bytes of the tail: both the
/// tail and the log that stands meanwhile are then a fourth of the data, if the disk keeps up.
const BYTES_PER_TAIL_BYTE: u64 = 4;
/// The same for a snapshot that takes as much disk as the data takes memory.
const BYTES_PER_TAIL_BYTE_BULKY: u64 = 16;
/// Bytes of images that may wait for the thread that writes before the walk rests.
const IMAGE_BYTES_MAX: u64 = 8 * BLOCK_RAW_BYTES as u64;
/// Bytes of the tail that may wait before the snapshot is given up.
const TAIL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a value from which on it is not written with its bucket.
const LARGE_BYTES: usize = 16 * 1024;
/// How long the walk rests when the thread that writes is behind, or a shard is away.
const WAIT_NS: u64 = 500_000;

/// A snapshot that is being taken, as this core knows it.
pub(super) struct Snapshot {
    run: u64,
    link: Link,
    answers: Sender<Input>,
    /// Runs of the log that are not handed over yet.
    tail: Block,
    /// Bytes of the tail and of entries so far.
    tail_bytes: u64,
    image_bytes: u64,
    bytes_per_tail_byte: u64,
    walk: Option<Walk>,
}

#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    count: u32,
}

impl Block {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.count == 0 || self.bytes.len() + bytes <= BLOCK_RAW_BYTES
    }

    fn take(&mut self) -> (Vec<u8>, u32) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.count))
    }
}

struct Walk {
    /// Shards that are not written yet.
    left: Vec<ShardId>,
    /// The one that is being written.
    current: Option<Current>,
    done: Vec<Span>,
    /// Files of events that are named in what was written, at least those that stood before.
    files: Vec<u64>,
    block: Block,
    next_ns: u64,
}

/// A shard that is being written.
struct Current {
    id: ShardId,
    /// Where its walk goes on; nothing when it has come to the end.
    position: Option<u64>,
    /// Its Seq before the first step.
    start: Seq,
    /// Keys of large entries that were met and not written yet. One that is gone by then was
    /// deleted by a batch that the tail has.
    large: Vec<Vec<u8>>,
    /// A large container that is being written piece by piece.
    pieces: Option<Pieces>,
}

impl Walk {
    fn over(core: CoreId, map: &ShardMap) -> Self {
        let left = map.owned_by(core).collect();
        let (done, files) = (Vec::new(), Vec::new());
        Self { left, current: None, done, files, block: Block::default(), next_ns: 0 }
    }

    /// Whether every shard is written. One that was begun is not, and may be away with a loan.
    fn is_over(&self) -> bool {
        self.current.is_none() && self.left.is_empty()
    }
}

impl Snapshot {
    fn answer(&self, core: CoreId, answer: Answer) {
        // A coordinator that has ended is one of a process that is ending.
        let _ended = self.answers.send(Input::Answer(self.run, core, answer));
    }

    /// Copies a run of the log; false when too much of it waits.
    fn copy(&mut self, run: &[u8]) -> Result<(), GaveUp> {
        if !self.tail.has_room_for(run.len()) {
            self.hand_over_tail();
        }
        self.tail.bytes.extend_from_slice(run);
        self.tail.count += 1;
        self.tail_bytes += run.len() as u64;
        let found = self.link.tail_bytes();
        if found > TAIL_BYTES_MAX {
            return Err(GaveUp::TailTooLong { limit: TAIL_BYTES_MAX, found });
        }
        Ok(())
    }

    fn hand_over_tail(&mut self) {
        if self.tail.count > 0 {
            let (bytes, runs) = self.tail.take();
            self.link.tail(bytes, runs);
        }
    }

    /// When the next slice of the walk is due.
    fn next_slice_ns(&self) -> Option<u64> {
        self.walk.as_ref().map(|walk| walk.next_ns)
    }

    /// Writes a slice. What it returns is every shard when all are written, and the files of events
    /// that they name.
    fn slice(
        &mut self,
        engine: &Engine,
        started_ns: u64,
        is_busy: bool,
    ) -> Option<(Vec<Span>, Vec<u64>)> {
        let walk = self.walk.as_mut()?;
        if self.link.image_bytes() > IMAGE_BYTES_MAX {
            walk.next_ns = started_ns + WAIT_NS;
            return None;
        }
        let behind = self.image_bytes < self.bytes_per_tail_byte * self.tail_bytes;
        let (slice_ns, slice_bytes, rest) = if behind {
            (SLICE_BEHIND_NS, SLICE_BYTES * 4, REST_BEHIND)
        } else {
            (SLICE_NS, SLICE_BYTES, REST)
        };
        let mut bytes = 0;
        let mut now_ns = started_ns;
        while bytes < slice_bytes && now_ns - started_ns < slice_ns {
            let Some(shard) = walk.shard(engine) else {
                if walk.is_over() {
                    return self.walk.take().map(|walk| (walk.done, walk.files));
                }
                walk.next_ns = started_ns + WAIT_NS;
                return None;
            };
            for _ in 0..STEPS_PER_LOOK {
                if !walk.step(shard, &self.link, &mut bytes) || bytes >= slice_bytes {
                    break;
                }
            }
            now_ns = clock::monotonic_ns();
        }
        self.image_bytes += bytes as u64;
        let rest_ns = if is_busy { (now_ns - started_ns) * rest } else { 0 };
        walk.next_ns = now_ns + rest_ns;
        None
    }
}

impl Walk {
    /// The shard that is to be gone on with, if it is at home; a new one where none is begun.
    fn shard<'e>(&mut self, engine: &'e Engine) -> Option<&'e Shard> {
        if let Some(current) = &self.current {
            return engine.shards().find(|shard| shard.id() == current.id);
        }
        let at_home = engine.shards().find(|shard| self.left.contains(&shard.id()))?;
        self.left.retain(|id| *id != at_home.id());
        let (id, start) = (at_home.id(), at_home.seq());
        let (large, pieces) = (Vec::new(), None);
        self.current = Some(Current { id, position: Some(0), start, large, pieces });
        Some(at_home)
    }

    /// One step; false when the shard is written.
    fn step(&mut self, shard: &Shard, link: &Link, bytes: &mut usize) -> bool {
        let current = self.current.as_mut().expect("a shard is being written");
        let (id, block) = (current.id, &mut self.block);
        if let Some(pieces) = &mut current.pieces {
            let (more, written) = write_piece(block, pieces, shard, link);
            *bytes += written;
            if !more {
                current.pieces = None;
            }
            return true;
        }
        if let Some(key) = current.large.pop() {
            if let Some(entry) = shard.get(&key) {
                self.files.extend(entry.cold_facts().iter().map(|facts| facts.id));
                current.pieces = Pieces::begin(&entry);
                if current.pieces.is_none() {
                    *bytes += write_entry(block, &entry, id, link);
                }
            }
            return true;
        }
        if let Some(position) = current.position {
            if position == 0 {
                *bytes += write_libraries(block, shard, link);
            }
            let large = &mut current.large;
            current.position = shard.walk(position, |entry| {
                if entry.is_large() || entry.stored_bytes() >= LARGE_BYTES {
                    large.push(entry.key().to_vec());
                } else {
                    *bytes += write_entry(block, &entry, id, link);
                }
            });
            return true;
        }
        if block.count > 0 {
            let (bytes, entries) = block.take();
            link.entries(id, bytes, entries);
        }
        link.shard_end();
        self.done.push(Span { shard: id, start: current.start, end: shard.seq() });
        self.current = None;
        false
    }
}

/// Hands the libraries of a shard over, in a block of their own; the bytes they have.
fn write_libraries(block: &mut Block, shard: &Shard, link: &Link) -> usize {
    debug_assert!(block.count == 0, "libraries come before entries");
    block.count = push_libraries(&mut block.bytes, shard);
    let written = block.bytes.len();
    if block.count > 0 {
        let (bytes, libraries) = block.take();
        link.entries(shard.id(), bytes, libraries);
    }
    written
}

/// Adds an entry to the block, which is handed over first when it is full; the bytes it has.
fn write_entry(block: &mut Block, entry: &Entry<'_>, shard: ShardId, link: &Link) -> usize {
    if !block.has_room_for(entry.stored_bytes()) {
        let (bytes, entries) = block.take();
        link.entries(shard, bytes, entries);
    }
    if block.count == 0 {
        block.bytes.reserve(BLOCK_RAW_BYTES);
    }
    let before = block.bytes.len();
    push_entry(&mut block.bytes, entry);
    block.count += 1;
    block.bytes.len() - before
}

/// The same for a piece of a large container; also whether there is more of it.
fn write_piece(
    block: &mut Block,
    pieces: &mut Pieces,
    shard: &Shard,
    link: &Link,
) -> (bool, usize) {
    if block.count > 0 {
        let (bytes, entries) = block.take();
        link.entries(shard.id(), bytes, entries);
    }
    let more = pieces.write(shard, &mut block.bytes);
    let written = block.bytes.len();
    // A container that is gone writes nothing.
    block.count = u32::from(written > 0);
    (more, written)
}

impl Core {
    pub(super) fn obey(&mut self, order: Order) -> Result<(), Fatal> {
        match order {
            Order::Begin { run, link, answers, is_bulky } => {
                let snapshot = Snapshot {
                    run,
                    link,
                    answers,
                    tail: Block::default(),
                    tail_bytes: 0,
                    image_bytes: 0,
                    bytes_per_tail_byte: match is_bulky {
                        true => BYTES_PER_TAIL_BYTE_BULKY,
                        false => BYTES_PER_TAIL_BYTE,
                    },
                    walk: None,
                };
                let Some(wal) = &self.wal else {
                    snapshot.answer(self.id, Answer::GaveUp(GaveUp::NoLog));
                    return Ok(());
                };
                snapshot.answer(self.id, Answer::Begun(wal.segment()));
                self.snapshot = Some(snapshot);
            }
            Order::Walk => {
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.walk = Some(Walk::over(self.id, &self.outlet.shared.shard_map));
                }
            }
            Order::End => {
                if let Some(mut snapshot) = self.snapshot.take() {
                    snapshot.hand_over_tail();
                    snapshot.link.end();
                }
            }
            Order::Abandon => self.snapshot = None,
            Order::Release(segment) => {
                if let Some(wal) = &mut self.wal
                    && segment > 0
                {
                    wal.release_through(segment)?;
                }
            }
        }
        Ok(())
    }

    /// Copies what is being appended to the log.
    pub(super) fn copy_to_tail(&mut self) {
        self.outlet.shared.metrics[self.id.index()].wal_appends.add(batch::count(&self.log));
        if let Some(snapshot) = &mut self.snapshot
            && let Err(why) = snapshot.copy(&self.log)
        {
            snapshot.answer(self.id, Answer::GaveUp(why));
            self.snapshot = None;
        }
    }

    /// When this core has to go on with a snapshot, if it has to.
    pub(super) fn next_slice_ns(&self) -> Option<u64> {
        self.snapshot.as_ref().and_then(Snapshot::next_slice_ns)
    }

    /// Writes a slice of a snapshot if one is due. What this turn has to say to clients is sent
    /// first, so that it does not wait for the slice.
    pub(super) fn go_on_with_snapshot(&mut self, is_busy: bool) -> Result<(), Fatal> {
        let now_ns = clock::monotonic_ns();
        if self.next_slice_ns().is_none_or(|next_ns| next_ns > now_ns) {
            return Ok(());
        }
        let is_lost = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.link.has_failed());
        if is_lost || self.stopping_since_ns.is_some() {
            self.snapshot = None;
            return Ok(());
        }
        self.reactor.turn(std::time::Duration::ZERO).map_err(|error| self.broken(&error))?;
        let started_ns = clock::monotonic_ns();
        if let Some(snapshot) = &mut self.snapshot
            && let Some((spans, files)) = snapshot.slice(&self.engine, started_ns, is_busy)
        {
            snapshot.answer(self.id, Answer::Walked(spans, files));
        }
        let took_ns = clock::monotonic_ns() - started_ns;
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        metrics.snapshot_slices.add(1);
        metrics.snapshot_slice_ns.add(took_ns);
        metrics.snapshot_slice_max_ns.set(metrics.snapshot_slice_max_ns.get().max(took_ns));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_not_over_while_the_last_shard_is_being_written() {
        let mut walk = Walk::over(CoreId::new(0), &ShardMap::new(1));
        assert!(!walk.is_over());
        let id = walk.left.pop().expect("a core owns shards");
        walk.left.clear();
        let (start, large, pieces) = (Seq::ZERO, Vec::new(), None);
        walk.current = Some(Current { id, position: None, start, large, pieces });
        assert!(!walk.is_over(), "it may be away, and what is left of it has to be written");
        walk.current = None;
        assert!(walk.is_over());
    }
}
