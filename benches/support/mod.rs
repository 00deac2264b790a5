//! What several benches need: keys and values of the size that the project's figures are made with,
//! a clock that stands, and shards full of them. Each bench includes this file.

#![allow(dead_code, reason = "every bench uses a part of it")]

use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::key::shard_of;
use synap_shards::seq::Seq;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;
use synap_shards::shard::plan::Now;

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;
/// The time at which everything happens.
pub(crate) const NOW: Now = Now { unix_ms: 1_800_000_000_000, monotonic_ns: 0 };

/// The key of this number: 20 bytes.
pub(crate) fn key(number: usize) -> Vec<u8> {
    format!("key:{number:016}").into_bytes()
}

/// `count` numbers below `bound` in an order without a pattern that a processor could foresee.
pub(crate) fn scattered(count: usize, bound: usize) -> Vec<usize> {
    let mut rng = synap_shards::rng::Rng::new(7);
    (0..count).map(|_| rng.below(bound)).collect()
}

/// All shards, empty.
pub(crate) fn empty_shards() -> Vec<Box<Shard>> {
    ShardId::all().map(|id| Box::new(Shard::new(id, 1, AccessMode::Recency))).collect()
}

/// All shards with `keys` keys.
pub(crate) fn full_shards(keys: usize) -> Vec<Box<Shard>> {
    let mut shards = empty_shards();
    let mut bytes = Vec::new();
    for number in 0..keys {
        let key = key(number);
        let shard = &mut shards[shard_of(&key).index()];
        bytes.clear();
        put(&mut bytes, shard.id(), shard.seq().next(), &key);
        let (batch, _) = Batch::decode(&bytes).expect("it was sealed just now");
        shard.apply(&batch);
    }
    shards
}

/// Appends a batch that creates `key`.
pub(crate) fn put(out: &mut Vec<u8>, shard: ShardId, seq: Seq, key: &[u8]) {
    let record = Record::Put { key, value: &[b'v'; VALUE_BYTES], deadline_ms: None, creates: true };
    let mut records = Vec::new();
    push_record(&mut records, shard, &record);
    seal(out, &[PartSpec { shard, seq }], &records, Epoch(1), NOW.unix_ms);
}
