//! Shards: creating, overwriting and finding keys, and the bytes each key takes. The bytes are
//! counted by the shards themselves, so they are the same on every machine.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use synap_shards::batch::Batch;
use synap_shards::id::ShardId;
use synap_shards::key::shard_of;
use synap_shards::seq::Seq;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;

const KEYS: usize = 1_000_000;
/// Keys of one shard when a million are spread.
const KEYS_OF_SHARD: usize = KEYS / 64;
const LOOKUPS: usize = 64;

fn bytes_per_key(shards: &[Box<Shard>]) {
    let keys: usize = shards.iter().map(|shard| shard.key_count()).sum();
    let held: usize = shards.iter().map(|shard| shard.held_bytes()).sum();
    let live: usize = shards.iter().map(|shard| shard.live_bytes()).sum();
    let cells: usize = shards
        .iter()
        .flat_map(|shard| shard.get(&first_key(shard)))
        .map(|e| e.memory_bytes())
        .sum();
    let cell = cells as f64 / shards.len() as f64;
    let index = live as f64 / keys as f64 - cell;
    println!(
        "keyspace: {keys} keys of 20 + {} bytes: {:.1} bytes held per key (cell {cell:.1}, \
         index {index:.1})",
        support::VALUE_BYTES,
        held as f64 / keys as f64,
    );
}

fn first_key(shard: &Shard) -> Vec<u8> {
    (0..KEYS).map(support::key).find(|key| shard_of(key) == shard.id()).expect("keys spread")
}

fn bench(c: &mut Criterion) {
    let shards = support::full_shards(KEYS);
    bytes_per_key(&shards);
    let mut group = c.benchmark_group("keyspace");

    group.throughput(Throughput::Elements(LOOKUPS as u64));
    let keys: Vec<Vec<u8>> = support::scattered(KEYS, KEYS).into_iter().map(support::key).collect();
    let mut next = (0..KEYS / LOOKUPS).cycle();
    group.bench_function("find", |b| {
        b.iter_batched(
            || next.next().expect("it never ends") * LOOKUPS,
            |at| {
                for key in &keys[at..at + LOOKUPS] {
                    let entry = shards[shard_of(key).index()].get(key);
                    black_box(entry.expect("it was loaded").value().len());
                }
            },
            BatchSize::SmallInput,
        );
    });
    drop(shards);

    let id = ShardId::new(0);
    let mut log = Vec::new();
    for number in 0..KEYS_OF_SHARD {
        support::put(&mut log, id, Seq::new(number as u64 + 1), &support::key(number));
    }
    group.throughput(Throughput::Elements(KEYS_OF_SHARD as u64));
    group.bench_function("create", |b| {
        b.iter_batched_ref(
            || Shard::new(id, 1, AccessMode::Recency),
            |shard| apply_all(shard, &log),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Checks and applies each batch of a log.
fn apply_all(shard: &mut Shard, mut log: &[u8]) {
    while !log.is_empty() {
        let (batch, rest) = Batch::decode(log).expect("it was sealed");
        shard.apply(&batch);
        log = rest;
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
