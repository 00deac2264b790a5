//! From the files that a crash left to shards, through the same recovery that the server uses.

use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::engine::event::{EngineSettings, MemorySettings};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::seq::ShardSeqs;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::types::{Defaults, Thresholds, queue};

use crate::dice::Dice;
use crate::swarm::{Mix, Regime};

/// Thresholds that a handful of elements pass.
const SMALL: Thresholds = Thresholds {
    hash_max_listpack_entries: 3,
    hash_max_listpack_value: 16,
    list_max_listpack_size: 3,
    set_max_intset_entries: 3,
    set_max_listpack_entries: 4,
    set_max_listpack_value: 16,
    zset_max_listpack_entries: 3,
    zset_max_listpack_value: 16,
    stream_node_max_bytes: 256,
    stream_node_max_entries: 3,
    hll_sparse_max_bytes: 64,
    queue: queue::Settings::DEFAULT,
    queue_auto_create: true,
    defaults: Defaults::DEFAULT,
    partition_hot_kb: 0,
    read_elements_max: usize::MAX,
};

/// Where shards stand.
pub(crate) fn seqs(shards: &[Box<Shard>]) -> ShardSeqs {
    let mut seqs = ShardSeqs::zero();
    for shard in shards {
        seqs.set(shard.id(), shard.seq());
    }
    seqs
}

/// How uses of keys are noted in a run.
pub(crate) fn access_mode(mix: &Mix) -> AccessMode {
    match mix.regime {
        Regime::Evicting(policy) if policy.counts_uses() => {
            AccessMode::Frequency { log_factor: 1, decay_minutes: 1 }
        }
        Regime::Evicting(_) | Regime::Lasting | Regime::Flushing => AccessMode::Recency,
    }
}

/// Settings of one of `cores` engines. Where keys are evicted the limit leaves room for a handful.
pub(crate) fn settings(mix: &Mix, epoch: Epoch, empty_bytes: usize, room: usize) -> EngineSettings {
    // Half of the time a few keys are the limit, else bytes.
    let (policy, limit_bytes, limit_keys) = match mix.regime {
        Regime::Evicting(policy) if room.is_multiple_of(2) => (policy, 0, 1 + room % 7),
        Regime::Evicting(policy) => (policy, empty_bytes + room, 0),
        Regime::Lasting | Regime::Flushing => (EvictionPolicy::NoEviction, 0, 0),
    };
    let memory = MemorySettings {
        limit_bytes,
        limit_keys,
        policy,
        sample_size: 5,
        mode: access_mode(mix),
        notices: 0,
        thresholds: if mix.small_forms { SMALL } else { Thresholds::default() },
    };
    EngineSettings { epoch, acknowledge: mix.acknowledge, memory }
}

/// Seals a batch like `old`, of these parts and with these records.
fn reseal<'r>(
    out: &mut Vec<u8>,
    old: &Batch<'_>,
    parts: &[PartSpec],
    kept: impl Iterator<Item = (ShardId, Record<'r>)>,
) {
    let mut records = Vec::new();
    kept.for_each(|(shard, record)| push_record(&mut records, shard, &record));
    seal(out, parts, &records, old.epoch(), old.time_ms());
}

/// A planted bug: takes one shard's part out of every batch of several shards.
pub(crate) fn lose_parts(log: &[u8], dice: &mut Dice) -> Vec<u8> {
    rewrite(log, |out, batch| {
        let mut parts: Vec<PartSpec> = batch.parts().collect();
        if parts.len() < 2 {
            out.extend_from_slice(batch.bytes());
            return;
        }
        let lost = parts.remove(dice.below(parts.len())).shard;
        reseal(out, batch, &parts, batch.records().filter(|(shard, _)| *shard != lost));
    })
}

/// A planted bug: a batch of several shards becomes one per shard.
pub(crate) fn split_parts(log: &[u8]) -> Vec<u8> {
    rewrite(log, |out, batch| {
        for part in batch.parts() {
            let own = batch.records().filter(|(shard, _)| *shard == part.shard);
            reseal(out, batch, &[part], own);
        }
    })
}

/// A planted bug: deadlines become time to live.
pub(crate) fn relative(log: &[u8]) -> Vec<u8> {
    rewrite(log, |out, batch| {
        let now_ms = batch.time_ms();
        change_deadlines(out, batch, |deadline_ms| deadline_ms.saturating_sub(now_ms));
    })
}

/// The other half of it: time to live counts from `now_ms` on.
pub(crate) fn absolute(log: Vec<u8>, now_ms: Option<u64>) -> Vec<u8> {
    let Some(now_ms) = now_ms else { return log };
    rewrite(&log, |out, batch| change_deadlines(out, batch, |left_ms| left_ms + now_ms))
}

fn change_deadlines(out: &mut Vec<u8>, batch: &Batch<'_>, change: impl Fn(u64) -> u64) {
    let parts: Vec<PartSpec> = batch.parts().collect();
    let changed = batch.records().map(|(shard, record)| {
        let record = match record {
            Record::Put { key, value, deadline_ms, creates } => {
                Record::Put { key, value, deadline_ms: deadline_ms.map(&change), creates }
            }
            Record::Expire { key, deadline_ms } => {
                Record::Expire { key, deadline_ms: deadline_ms.map(&change) }
            }
            Record::Store { key, value_type, edits, deadline_ms, creates } => {
                let deadline_ms = deadline_ms.map(&change);
                Record::Store { key, value_type, edits, deadline_ms, creates }
            }
            Record::Patch { .. }
            | Record::Delete { .. }
            | Record::Clear
            | Record::Edit { .. }
            | Record::Library { .. } => record,
        };
        (shard, record)
    });
    reseal(out, batch, &parts, changed);
}

fn rewrite(log: &[u8], mut each: impl FnMut(&mut Vec<u8>, &Batch<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(log.len());
    let mut rest = log;
    while let Ok((batch, after)) = Batch::decode(rest) {
        each(&mut out, &batch);
        rest = after;
    }
    out
}

/// All shards, with nothing in them.
pub(crate) fn empty_shards(mode: AccessMode, dice: &mut Dice) -> Vec<Box<Shard>> {
    let seed = dice.draw();
    ShardId::all().map(|id| Box::new(Shard::new(id, seed, mode))).collect()
}
