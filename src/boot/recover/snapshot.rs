//! Which snapshot a start begins from, and bringing it to memory: the images into shards, one
//! thread per image, then what was appended while they were taken.
//!
//! The newest one that is sound is taken. One that is damaged is passed over with a warning, but
//! only for one that reaches back behind what the logs still hold: where the logs were let go
//! because of the damaged one there is no way around it, and the start is refused.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;

use smallvec::SmallVec;
use synap_io::snapshot::{self, Index, PartId, PartKind, PartReader, SnapshotName};
use synap_shards::id::ShardId;
use synap_shards::limits::PREFETCH_MAX;
use synap_shards::recovery::{History, Pool};
use synap_shards::shard::Shard;
use synap_shards::snapshot::{ImageEntry, ImageError, ImageItem, take_item};

use super::merge::{self, Source};
use super::progress::{Progress, Teller};
use super::{Options, empty_shards};
use crate::boot::start;
use crate::fatal::Fatal;

/// What the logs are replayed onto.
pub(super) struct Base {
    pub(super) shards: Vec<Box<Shard>>,
    /// The snapshot that it is; nothing when it is empty.
    pub(super) index: Option<Index>,
    /// A newer snapshot could not be used.
    pub(super) passed_over: bool,
}

/// Loads the newest snapshot that is sound; empty shards when there is none, and none is needed.
pub(super) fn load(
    options: &Options,
    history: &History,
    progress: &Progress,
    teller: &mut Teller<'_>,
) -> Result<Base, Fatal> {
    let mut damage: Option<Fatal> = None;
    for name in snapshot::list(&options.snapshots)? {
        let attempt = Attempt { options, history, name };
        match attempt.run(progress, teller) {
            Ok(Tried::Loaded(base)) => {
                return Ok(Base { passed_over: damage.is_some(), ..*base });
            }
            // What is older reaches back no further.
            Ok(Tried::Late) => break,
            // It is whole, but was passed over by a start that is part of the history now.
            Ok(Tried::Dead) => tracing::warn!(
                snapshot = %name,
                "a snapshot holds batches that a later epoch has cut, looking for an older one"
            ),
            Err(fatal @ Fatal::Corrupt { .. }) => {
                tracing::error!(
                    snapshot = %name,
                    "A SNAPSHOT CANNOT BE USED, looking for an older one: {}",
                    fatal.what()
                );
                damage.get_or_insert(fatal);
            }
            Err(fatal) => return Err(fatal),
        }
    }
    if history.released.snapshot.is_empty() {
        let (shards, passed_over) =
            (empty_shards(options.mode, &options.thresholds), damage.is_some());
        return Ok(Base { shards, index: None, passed_over });
    }
    let needed = &history.released.snapshot;
    match damage {
        Some(Fatal::Corrupt { path, offset, what }) => {
            let what = format!(
                "{what}; the log before snapshot {needed} is gone, so one as new \
                                as that is needed"
            );
            Err(Fatal::Corrupt { path, offset, what })
        }
        Some(_) | None => {
            let path = options.snapshots.join(format!("{needed}.snap"));
            let what = "it is missing, and the log before it is gone".to_owned();
            Err(Fatal::Corrupt { path, offset: None, what })
        }
    }
}

/// What a try came to.
enum Tried {
    Loaded(Box<Base>),
    /// It does not reach back to where the logs begin.
    Late,
    /// A later epoch has cut some of what it holds.
    Dead,
}

/// The try to load one snapshot. [`Fatal::Corrupt`] means that it cannot be used.
struct Attempt<'a> {
    options: &'a Options,
    history: &'a History,
    name: SnapshotName,
}

impl Attempt<'_> {
    fn run(&self, progress: &Progress, teller: &mut Teller<'_>) -> Result<Tried, Fatal> {
        let index = Index::load(&self.options.snapshots, self.name)?;
        let starts = index.starts();
        let released = &self.history.released.seqs;
        if ShardId::all().any(|shard| starts.get(shard) < released.get(shard)) {
            return Ok(Tried::Late);
        }
        self.check_epoch(&index)?;
        if self.is_dead(&index) {
            return Ok(Tried::Dead);
        }
        progress.expect(index.file_bytes());
        let images = self.images(&index, progress, teller);
        let whole = images.and_then(|shards| self.tails(&index, shards, progress, teller));
        let shards = whole.inspect_err(|_| progress.forget(index.file_bytes()))?;
        tracing::info!(snapshot = %self.name, entries = index.entries(), "snapshot loaded");
        Ok(Tried::Loaded(Box::new(Base { shards, index: Some(index), passed_over: false })))
    }

    fn unusable(&self, what: &str) -> Fatal {
        let path = self.name.index_path(&self.options.snapshots);
        Fatal::Corrupt { path, offset: None, what: what.to_owned() }
    }

    /// The manifest has to know the epoch of a snapshot.
    fn check_epoch(&self, index: &Index) -> Result<(), Fatal> {
        if index.epoch > self.history.epoch.0 {
            let (found, ours) = (index.epoch, self.history.epoch.0);
            let what = format!("it is of epoch {found}, but the manifest knows none after {ours}");
            return Err(self.unusable(&what));
        }
        Ok(())
    }

    /// Whether a snapshot of an earlier epoch goes beyond what a later epoch took over.
    fn is_dead(&self, index: &Index) -> bool {
        self.history.starts.iter().any(|start| {
            let mut ends = ShardId::all().zip(&index.shards);
            start.epoch.0 > index.epoch
                && ends.any(|(shard, image)| image.end > start.seqs.get(shard))
        })
    }

    /// The images into shards.
    fn images(
        &self,
        index: &Index,
        progress: &Progress,
        teller: &mut Teller<'_>,
    ) -> Result<Vec<Box<Shard>>, Fatal> {
        let shards = empty_shards(self.options.mode, &self.options.thresholds);
        let count = shards.len();
        let todo: Vec<_> = shards.into_iter().map(|shard| Mutex::new(Some(shard))).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicUsize::new(count));
        let (outbox, inbox) = mpsc::channel();
        let work = |outbox: mpsc::Sender<Result<Box<Shard>, Fatal>>| {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= stop.load(Ordering::Relaxed) {
                    return;
                }
                let shard = todo[at].lock().expect("nobody panics holding it").take();
                let shard = shard.expect("each number is drawn once");
                let loaded = self.image(index, shard, progress);
                if loaded.is_err() {
                    stop.store(0, Ordering::Relaxed);
                }
                // The receiver outlives the scope.
                let _received = outbox.send(loaded);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.options.workers.min(count) {
                let (work, outbox) = (&work, outbox.clone());
                thread::Builder::new()
                    .name("recovery-image".to_owned())
                    .spawn_scoped(scope, move || work(outbox))
                    .map_err(start("start a recovery thread"))?;
            }
            drop(outbox);
            let mut loaded = Vec::with_capacity(count);
            loop {
                match inbox.recv_timeout(teller.pause()) {
                    Ok(shard) => loaded.push(shard?),
                    Err(RecvTimeoutError::Timeout) => teller.tell(),
                    Err(RecvTimeoutError::Disconnected) => return Ok(loaded),
                }
            }
        })
    }

    fn image(
        &self,
        index: &Index,
        mut shard: Box<Shard>,
        progress: &Progress,
    ) -> Result<Box<Shard>, Fatal> {
        let number = shard.id().index();
        let image = &index.shards[number];
        shard.begin_load(image.start);
        if image.part.blocks == 0 {
            return Ok(shard);
        }
        let number = u16::try_from(number).expect("there are 64 shards");
        let id = PartId { snapshot: index.snapshot, kind: PartKind::Shard, number };
        let path = self.name.part_path(&self.options.snapshots, id.kind, number);
        let mut reader = PartReader::open(&path, &id, Some(image.part))?;
        shard.make_room(usize::try_from(image.part.entries).unwrap_or(usize::MAX));
        let mut passed = 0;
        while let Some(block) = reader.next_block()? {
            let (offset, expected) = (block.offset, block.entries);
            let entries = fill(&mut shard, block.bytes).map_err(|error| Fatal::Corrupt {
                path: path.clone(),
                offset: Some(offset),
                what: error.to_string(),
            })?;
            if entries != expected {
                return Err(reader.corrupt(offset, "the block has another count").into());
            }
            let now = reader.facts().file_bytes;
            progress.pass(now - passed);
            passed = now;
        }
        Ok(shard)
    }

    /// What was appended while the images were taken, on top of them.
    fn tails(
        &self,
        index: &Index,
        shards: Vec<Box<Shard>>,
        progress: &Progress,
        teller: &mut Teller<'_>,
    ) -> Result<Vec<Box<Shard>>, Fatal> {
        let mut sources = Vec::new();
        for tail in index.tails.iter().filter(|tail| tail.part.blocks > 0) {
            let kind = PartKind::Tail;
            let id = PartId { snapshot: index.snapshot, kind, number: tail.core };
            let path = self.name.part_path(&self.options.snapshots, kind, tail.core);
            let reader = PartReader::open(&path, &id, Some(tail.part))?;
            sources.push(TailSource { reader, offset: 0 });
        }
        let pool = Pool::new(shards, Arc::from(self.history.starts.as_slice()));
        let (pool, _) = merge::merge(pool, sources, self.options.workers, progress, teller)?;
        let reached = pool.seqs();
        let short =
            |(shard, image): (ShardId, &snapshot::ShardImage)| reached.get(shard) < image.end;
        // A tail may hold what follows a batch that came after the end of another core's tail: a
        // shard may have been lent in between. Both batches are in the logs.
        if ShardId::all().zip(&index.shards).any(short) {
            return Err(self.unusable("its tails do not lead to where its images end"));
        }
        Ok(pool.into_shards())
    }
}

/// Loads the entries of a block, and counts them.
fn fill(shard: &mut Shard, mut block: &[u8]) -> Result<u32, ImageError> {
    let mut count = 0;
    while !block.is_empty() {
        let mut ahead = SmallVec::<[ImageEntry<'_>; PREFETCH_MAX]>::new();
        while !block.is_empty() && ahead.len() < PREFETCH_MAX {
            match take_item(&mut block)? {
                ImageItem::Entry(entry) => {
                    shard.prefetch_index(entry.key);
                    ahead.push(entry);
                }
                ImageItem::Library(library) => {
                    shard.load_library(library.name, library.code);
                    count += 1;
                }
            }
        }
        for entry in &ahead {
            shard.load(entry);
            count += 1;
        }
    }
    Ok(count)
}

/// A tail, as a source of batches.
struct TailSource {
    reader: PartReader,
    offset: u64,
}

impl Source for TailSource {
    fn next_run(&mut self) -> Result<Option<&[u8]>, Fatal> {
        let block = self.reader.next_block()?;
        Ok(block.map(|block| {
            self.offset = block.offset;
            block.bytes
        }))
    }

    fn place(&self) -> (PathBuf, u64) {
        (self.reader.path().to_owned(), self.offset)
    }

    fn passed_bytes(&self) -> u64 {
        self.reader.facts().file_bytes
    }
}
