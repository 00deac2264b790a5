//! The mesh: messages handed over and taken on one thread, and there and back between two.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synap_io::mesh::{Endpoint, Lane, mesh};
use synap_shards::id::CoreId;

const RING: usize = 1024;
const BURST: u64 = 64;

/// What a parcel weighs: two vectors.
type Message = [u64; 6];

fn pair() -> [Endpoint<Message>; 2] {
    mesh(2, RING).try_into().expect("one end per core")
}

fn same_thread(c: &mut Criterion) {
    let [mut one, mut other] = pair();
    let mut group = c.benchmark_group("mesh");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("send_and_receive", |b| {
        b.iter(|| {
            for number in 0..BURST {
                let sent = one.try_send(other.core(), Lane::Requests, [number; 6]);
                assert!(sent.is_ok(), "a ring has room for a burst");
            }
            while let Some(message) = other.receive(one.core(), Lane::Requests) {
                black_box(message);
            }
        });
    });
    group.finish();
}

fn two_threads(c: &mut Criterion) {
    let [mut one, mut other] = pair();
    let (zero, peer) = (CoreId::new(0), CoreId::new(1));
    let stop = AtomicBool::new(false);
    let mut group = c.benchmark_group("mesh");
    group.throughput(Throughput::Elements(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                while let Some(message) = other.receive(zero, Lane::Requests) {
                    let sent = other.try_send(zero, Lane::Completions, message);
                    assert!(sent.is_ok(), "one message is under way at a time");
                }
                std::thread::yield_now();
            }
        });
        group.bench_function("there_and_back", |b| {
            b.iter(|| {
                let sent = one.try_send(peer, Lane::Requests, [1; 6]);
                assert!(sent.is_ok(), "one message is under way at a time");
                loop {
                    if let Some(message) = one.receive(peer, Lane::Completions) {
                        break message;
                    }
                    // A busy machine must not make this wait for the end of a time slice.
                    std::thread::yield_now();
                }
            });
        });
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
}

criterion_group!(benches, same_thread, two_threads);
criterion_main!(benches);
