//! From the logs that a crash left to shards, through the same recovery that the server uses.

use synap_shards::batch::Batch;
use synap_shards::engine::event::{EngineSettings, MemorySettings};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::recovery::{Cut, EpochStart};
use synap_shards::seq::ShardSeqs;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};

use crate::dice::Dice;
use crate::hands;
use crate::swarm::{Mix, Regime};

/// Recovers all shards from `logs`.
pub(crate) fn recover<'a>(
    logs: impl Iterator<Item = &'a [u8]>,
    history: &[EpochStart],
    mode: AccessMode,
    dice: &mut Dice,
) -> (Vec<Box<Shard>>, Cut) {
    let seed = dice.draw();
    let shards = ShardId::all().map(|id| Box::new(Shard::new(id, seed, mode))).collect();
    hands::merge(shards, logs, history, dice)
}

/// Where the next epoch begins, given the shards it takes over.
pub(crate) fn epoch_start(epoch: Epoch, shards: &[Box<Shard>]) -> EpochStart {
    let mut seqs = ShardSeqs::zero();
    for shard in shards {
        seqs.set(shard.id(), shard.seq());
    }
    EpochStart { epoch, seqs }
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
    let memory =
        MemorySettings { limit_bytes, limit_keys, policy, sample_size: 5, mode: access_mode(mix) };
    EngineSettings { epoch, acknowledge: mix.acknowledge, memory }
}

/// Takes one shard's part out of every batch of several shards that was not durable: the planted
/// fault. Returns the log as rewritten.
pub(crate) fn lose_parts(log: &[u8], dice: &mut Dice) -> Vec<u8> {
    use synap_shards::batch::{PartSpec, push_record, seal};
    let mut out = Vec::with_capacity(log.len());
    let mut rest = log;
    while let Ok((batch, after)) = Batch::decode(rest) {
        rest = after;
        let mut parts: Vec<PartSpec> = batch.parts().collect();
        if parts.len() < 2 {
            out.extend_from_slice(batch.bytes());
            continue;
        }
        let lost = parts.remove(dice.below(parts.len())).shard;
        let mut records = Vec::new();
        for (shard, record) in batch.records().filter(|(shard, _)| *shard != lost) {
            push_record(&mut records, shard, &record);
        }
        seal(&mut out, &parts, &records, batch.epoch(), batch.time_ms());
    }
    out
}
