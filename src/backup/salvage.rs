//! `synap-server doctor --salvage-to`: a new data directory of what is sound in a damaged one.
//!
//! Two measures. The careful one keeps what a start guarantees: a prefix per shard with whole
//! transactions, so everything behind the first lost batch of a shard is left out. The other goes
//! on behind damage: every sound batch is kept, and numbered anew so that no Seq is missing. Then
//! a key whose last change was lost has an older value, or is back; which keys is not known.
//!
//! Either way files of events are taken as they are: what is sound in them can be read, and reading
//! the rest answers an error.
//!
//! Either way the newest snapshot that is sound throughout is the base. Where none is, going on
//! behind damage also takes the sound entries at the beginning of each image of the newest one.

use std::path::Path;

use synap_io::snapshot::{Index, PartKind, PartReader};
use synap_io::wal::{LogBuilder, ReadOptions};
use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::limits::CORES_MAX;
use synap_shards::recovery::History;
use synap_shards::seq::{Seq, ShardSeqs};
use synap_shards::snapshot::{ImageEntry, ImageItem, take_item};

use super::files::{Files, Source};
use super::keep::{self, Kept, Present};
use super::rebuild::Rebuild;
use super::restore;
use crate::fatal::Fatal;

/// What was salvaged, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// The snapshot it is based on, if any.
    pub snapshot: Option<String>,
    /// Keys in the new directory.
    pub keys: usize,
    /// Batches kept behind the snapshot.
    pub batches: u64,
    /// Sound batches that were left out, because something before them is lost.
    pub left_out: u64,
    /// Entries taken from damaged images.
    pub image_entries: u64,
    /// Per shard, the Seqs of batches that are lost.
    pub lost: Vec<(ShardId, Vec<(u64, u64)>)>,
    /// Damage, each with its file and offset.
    pub damage: Vec<String>,
}

/// Writes what is sound in `from` to the new directory `to`; `past_damage` goes on behind damage.
///
/// # Errors
/// [`Fatal::Occupied`], or what the system said.
pub fn run(from: &Files, to: &Path, past_damage: bool) -> Result<Salvaged, Fatal> {
    let mut rebuild = Rebuild::begin(to)?;
    let mut found = Salvaged { damage: rebuild.copy_events(from)?, ..Salvaged::default() };
    rebuild.mends = true;
    match rebuild.copy_access(from) {
        // A start would refuse the file, so it stays behind.
        Err(fatal @ Fatal::Corrupt { .. }) => found.damage.push(fatal.what()),
        copied => copied?,
    }
    let history = match from.history() {
        Ok(history) => history.unwrap_or_else(History::empty),
        Err(fatal @ Fatal::Corrupt { .. }) => {
            found.damage.push(fatal.what());
            History::empty()
        }
        Err(other) => return Err(other),
    };
    let base = sound_snapshot(from, &mut found)?;
    let logs = from.log_sources(ReadOptions { skip_damage: true, ..ReadOptions::default() })?;
    let mut sources = base.as_ref().map_or_else(Vec::new, |index| from.tail_sources(index));
    sources.extend_from_slice(&logs);
    let mut epoch = restore::epoch_of(&history, base.as_ref());
    let alive = |batch: &Batch<'_>| !keep::is_dead(&history.starts, batch);
    let (present, damage) = keep::present(&sources, &alive)?;
    found.damage.extend(damage);
    logs.iter().try_for_each(|log| {
        log.walk(&mut |batch, _, _| {
            epoch = epoch.max(batch.epoch());
            Ok(())
        })
        .map(drop)
    })?;
    if let Some(index) = &base {
        rebuild.copy_snapshot(from, index)?;
        found.snapshot = Some(index.name().to_string());
    }
    let mut starts = base.as_ref().map_or_else(ShardSeqs::zero, Index::starts);
    found.lost = lost(&present, &starts);
    let plan = if past_damage {
        let mut bottom = starts.clone();
        if base.is_none() {
            let mut images = Images { from, present: &present, epoch, starts, taken: bottom };
            found.image_entries = images.take(&mut rebuild, &logs)?;
            Images { starts, taken: bottom, .. } = images;
        }
        Plan::Renumber { starts, bottom, present: &present }
    } else {
        Plan::Prefix(Kept::prefix(starts, &sources, &present, &alive)?)
    };
    let mut left_out = 0;
    found.batches = rebuild.write_logs(&logs, epoch, &mut |batch, out| {
        if alive(batch) && !plan.write(batch, out) {
            left_out += 1;
        }
    })?;
    found.left_out = left_out;
    found.keys = rebuild.finish(epoch, base.as_ref())?;
    Ok(found)
}

/// The newest snapshot that is sound throughout.
fn sound_snapshot(from: &Files, found: &mut Salvaged) -> Result<Option<Index>, Fatal> {
    for name in from.snapshot_names()? {
        let index = Index::load(&from.snapshots, name).map_err(Fatal::from);
        match index.and_then(|index| restore::verify(from, &index).map(|()| index)) {
            Ok(index) => return Ok(Some(index)),
            Err(fatal @ Fatal::Corrupt { .. }) => found.damage.push(fatal.what()),
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

fn lost(present: &Present, starts: &ShardSeqs) -> Vec<(ShardId, Vec<(u64, u64)>)> {
    let gaps =
        ShardId::all().map(|shard| (shard, present.of(shard).gaps_above(starts.get(shard).get())));
    gaps.filter(|(_, gaps)| !gaps.is_empty()).collect()
}

/// What becomes of a batch.
enum Plan<'a> {
    Prefix(Kept),
    Renumber { starts: ShardSeqs, bottom: ShardSeqs, present: &'a Present },
}

impl Plan<'_> {
    /// Writes a batch as it is to be kept; false when it is left out although nothing else has it.
    fn write(&self, batch: &Batch<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Prefix(kept) if !kept.has(batch) => false,
            Self::Prefix(kept) => {
                if !kept.is_in_base(batch) {
                    out.extend_from_slice(batch.bytes());
                }
                true
            }
            Self::Renumber { starts, bottom, present } => {
                if !batch.parts().all(|part| part.seq <= starts.get(part.shard)) {
                    renumber(batch, starts, bottom, present, out);
                }
                true
            }
        }
    }
}

/// Writes a batch with Seqs that leave no gap: its place among those that are there.
fn renumber(
    batch: &Batch<'_>,
    starts: &ShardSeqs,
    bottom: &ShardSeqs,
    present: &Present,
    out: &mut Vec<u8>,
) {
    let place = |part: PartSpec| {
        let (start, seq) = (starts.get(part.shard).get(), part.seq.get());
        let seq = if seq <= start {
            // It is there already, whatever of the image has been read by then.
            0
        } else {
            bottom.get(part.shard).get() + present.of(part.shard).rank(start, seq)
        };
        PartSpec { shard: part.shard, seq: Seq::new(seq) }
    };
    let parts: Vec<PartSpec> = batch.parts().map(place).collect();
    let mut records = Vec::new();
    batch.records().for_each(|(shard, record)| push_record(&mut records, shard, &record));
    seal(out, &parts, &records, batch.epoch(), batch.time_ms());
}

/// The images of the newest snapshot whose index is sound, for shards whose logs do not reach back
/// to the beginning.
struct Images<'a> {
    from: &'a Files,
    present: &'a Present,
    epoch: Epoch,
    /// Up to here an image stands for the log.
    starts: ShardSeqs,
    /// Seqs that its entries take.
    taken: ShardSeqs,
}

impl Images<'_> {
    /// Logs the sound entries at the beginning of each image; how many there are.
    fn take(&mut self, rebuild: &mut Rebuild, logs: &[Source]) -> Result<u64, Fatal> {
        let directory = &self.from.snapshots;
        let names = self.from.snapshot_names()?;
        let index = names.into_iter().find_map(|name| Index::load(directory, name).ok());
        let used = |core: &u16| logs.iter().any(|log| log.log_core() == Some(*core));
        let free = (0..CORES_MAX as u16).find(|core| !used(core));
        let (Some(index), Some(core)) = (index, free) else { return Ok(0) };
        let mut log = rebuild.begin_log(core, self.epoch);
        let mut entries = 0;
        for (shard, image) in ShardId::all().zip(&index.shards) {
            let whole = self.present.of(shard).reached_from(0) >= image.start.get();
            if whole || image.part.blocks == 0 {
                continue;
            }
            let number = shard.index() as u16;
            let path = index.name().part_path(directory, PartKind::Shard, number);
            let count = self.image(shard, &path, index.created_ms, &mut log)?;
            if count > 0 {
                self.starts.set(shard, image.start);
            }
            entries += count;
        }
        rebuild.end_log(core, log)?;
        Ok(entries)
    }

    fn image(
        &mut self,
        shard: ShardId,
        path: &Path,
        time_ms: u64,
        log: &mut LogBuilder,
    ) -> Result<u64, Fatal> {
        // What ends the reading was named when the snapshot was found to be damaged.
        let Ok(mut reader) = PartReader::open_any(path, None) else { return Ok(0) };
        let mut count = 0;
        while let Ok(Some(block)) = reader.next_block() {
            let mut bytes = block.bytes;
            let mut run = Vec::new();
            while let Ok(item) = take_item(&mut bytes) {
                let seq = self.taken.get(shard).next();
                let mut record = Vec::new();
                push_record(&mut record, shard, &record_of(&item));
                seal(&mut run, &[PartSpec { shard, seq }], &record, self.epoch, time_ms);
                self.taken.set(shard, seq);
                count += 1;
            }
            log.append(&run)?;
        }
        Ok(count)
    }
}

/// The record that brings back what an image holds.
fn record_of<'a>(item: &ImageItem<'a>) -> Record<'a> {
    let entry = match item {
        ImageItem::Library(library) => {
            return Record::Library { name: library.name, code: Some(library.code) };
        }
        ImageItem::Entry(entry) => entry,
    };
    let ImageEntry { key, value, value_type, deadline_ms, is_more, .. } = *entry;
    match (value_type.is_container(), is_more) {
        (false, _) => Record::Put { key, value, deadline_ms, creates: true },
        (true, false) => {
            Record::Store { key, value_type, edits: value, deadline_ms, creates: true }
        }
        (true, true) => Record::Edit { key, value_type, edits: value, creates: false },
    }
}
