//! Batches: sealing what a SET records, and checking it when it comes back from a disk.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::seq::Seq;

fn bench(c: &mut Criterion) {
    let shard = ShardId::new(3);
    let key = support::key(1);
    let mut group = c.benchmark_group("batch_codec");
    for value_bytes in [support::VALUE_BYTES, 4096] {
        let value = vec![b'v'; value_bytes];
        let record = Record::Put { key: &key, value: &value, deadline_ms: None, creates: true };
        let parts = [PartSpec { shard, seq: Seq::new(1) }];
        let (mut records, mut sealed) = (Vec::new(), Vec::new());
        let mut write = |out: &mut Vec<u8>| {
            records.clear();
            push_record(&mut records, shard, black_box(&record));
            seal(out, &parts, &records, Epoch(1), support::NOW.unix_ms);
        };
        write(&mut sealed);
        println!("batch_codec: a SET of {value_bytes} bytes is a batch of {} bytes", sealed.len());
        group.throughput(Throughput::Bytes(sealed.len() as u64));
        let mut out = Vec::with_capacity(2 * sealed.len());
        group.bench_function(format!("seal/{value_bytes}"), |b| {
            b.iter(|| {
                out.clear();
                write(&mut out);
                black_box(out.len())
            });
        });
        group.bench_function(format!("decode/{value_bytes}"), |b| {
            b.iter(|| {
                let (batch, _) = Batch::decode(black_box(&sealed)).expect("it was sealed above");
                batch.records().map(|(_, record)| record.key().len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
