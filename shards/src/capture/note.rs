//! Taking down what a batch changes while it is made, and writing that into the batch before it is
//! sealed.

use super::batch;
use super::find::{name_of, partition};
use super::tell::{Cause, Teller};
use crate::batch::{Record, push_record};
use crate::glob;
use crate::id::ShardId;
use crate::key::Namespace;
use crate::limits::SHARDS;
use crate::shard::{Shard, ShardTable, ValueType};
use crate::types::topic::{NewEvent, Partition, Writer};

/// Bytes of changes of one batch in one shard. What comes to more is told as `overflow`: readers
/// have to begin with a snapshot again.
const SHARD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The same of a batch in all shards and captures.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that telling of `overflow` takes in one shard, about: a key, parts, and frames.
const OVERFLOW_BYTES: usize = 4 * 1024;
/// Bytes that captures add to a batch at most.
pub const ROOM_BYTES: usize =
    BATCH_BYTES_MAX + SHARDS * super::CAPTURES_MAX * OVERFLOW_BYTES + SHARDS * 1024;

const OVERFLOW: &[u8] = b"\"op\":\"overflow\"";

/// What the records of a batch have changed so far, as captures want it.
#[derive(Debug, Default)]
pub struct Captured {
    runs: Vec<Run>,
    bytes: usize,
}

/// The changes of one batch for one capture in one shard.
#[derive(Debug)]
struct Run {
    shard: ShardId,
    key: Box<[u8]>,
    count: u64,
    texts: Vec<u8>,
    is_over: bool,
}

impl Captured {
    /// Whether nothing was taken down.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes down what `records` change, which concern this shard and are applied next.
    pub(crate) fn note<'r>(
        &mut self,
        shard: &Shard,
        records: impl Iterator<Item = Record<'r>>,
        now_ms: u64,
        cause: Cause,
    ) {
        let captures: Vec<(&[u8], &Partition)> =
            shard.captures().filter_map(|key| Some((key, partition(shard, key)?))).collect();
        let mut teller = Teller::new(shard, now_ms, cause);
        let mut text = Vec::new();
        for record in records {
            let key = record.key();
            let is_wanted = match record {
                Record::Library { .. } => false,
                Record::Clear => shard.key_count() > 0,
                _ => !Namespace::has(key),
            };
            let wants = |partition: &Partition| {
                matches!(record, Record::Clear)
                    || partition.patterns.iter().any(|pattern| glob::matches(pattern, key))
            };
            if !is_wanted || !captures.iter().any(|(_, partition)| wants(partition)) {
                continue;
            }
            text.clear();
            let is_large = teller.weight(&record) > SHARD_BYTES_MAX;
            if !is_large {
                teller.tell(&record, &mut text);
            }
            for (capture, _) in captures.iter().filter(|(_, partition)| wants(partition)) {
                self.add((shard.id(), capture), &text, is_large);
            }
        }
    }

    fn add(&mut self, (shard, key): (ShardId, &[u8]), text: &[u8], is_large: bool) {
        let known = self.runs.iter_mut().rfind(|run| run.shard == shard && *run.key == *key);
        let run = match known {
            Some(run) => run,
            None => {
                let (key, texts) = (key.into(), Vec::new());
                self.runs.push(Run { shard, key, count: 0, texts, is_over: false });
                self.runs.last_mut().expect("it was just pushed")
            }
        };
        if run.is_over {
            return;
        }
        self.bytes -= run.texts.len();
        batch::push(&mut run.texts, text);
        run.count += 1;
        if is_large
            || run.texts.len() > SHARD_BYTES_MAX
            || self.bytes + run.texts.len() > BATCH_BYTES_MAX
        {
            run.is_over = true;
            run.texts = Vec::new();
        }
        self.bytes += run.texts.len();
    }

    /// Appends records that keep what was taken down, to those of the batch. The shards are those
    /// in which the batch is sealed next.
    pub(crate) fn write(&mut self, shards: &ShardTable, now_ms: u64, out: &mut Vec<u8>) {
        let runs = std::mem::take(&mut self.runs);
        self.bytes = 0;
        for run in &runs {
            let shard = shards[run.shard.index()].as_deref().expect("its records are about it");
            // A transaction may have deleted the capture.
            let Some(partition) = partition(shard, &run.key) else { continue };
            let parts = parts_of(&runs, &run.key, shards);
            let mut data = Vec::with_capacity(run.texts.len() + 32);
            let mut over = Vec::new();
            batch::push(&mut over, OVERFLOW);
            let told = if run.is_over { (1, &over[..]) } else { (run.count, &run.texts[..]) };
            batch::write(&mut data, shard.seq().next().get(), &parts, told);
            let edits = append(partition, &data, now_ms);
            let (key, value_type, creates) = (&*run.key, ValueType::Partition, false);
            push_record(out, run.shard, &Record::Edit { key, value_type, edits: &edits, creates });
        }
    }
}

/// Where the batch stands in the partitions of the capture of this key; nothing where in one alone.
fn parts_of(runs: &[Run], key: &[u8], shards: &ShardTable) -> Vec<(ShardId, u64)> {
    let name = name_of(key);
    let same = runs.iter().filter(|run| name_of(&run.key) == name);
    let mut parts: Vec<(ShardId, u64)> = same
        .filter_map(|run| {
            let shard = shards[run.shard.index()].as_deref()?;
            Some((run.shard, partition(shard, &run.key)?.next()))
        })
        .collect();
    parts.sort_unstable();
    if parts.len() < 2 {
        parts.clear();
    }
    parts
}

/// Edits that append one event, and let go of what is too much then.
fn append(partition: &Partition, data: &[u8], now_ms: u64) -> Vec<u8> {
    let mut item = Vec::with_capacity(data.len() + 32);
    let event = NewEvent { data, ..NewEvent::default() };
    event.write(partition.last_ms().max(now_ms), &mut item);
    let mut writer = Writer { out: Vec::with_capacity(item.len() + 32) };
    writer.append(partition.next(), &item);
    let start = partition.start_with(partition.definition.retention, &item, now_ms);
    if start > partition.start() {
        writer.start(start);
    }
    writer.out
}
