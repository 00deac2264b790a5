//! RESP: bytes to words, replies to bytes.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synap::protocol::resp::decode::{Decoded, RespLimits, decode};
use synap::protocol::resp::encode::{Protocol, encode};
use synap_shards::command::reply::Reply;

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn decode_all(mut input: &[u8], limits: &RespLimits) -> usize {
    let mut words = 0;
    while !input.is_empty() {
        let Decoded::Request { words: found, consumed } = decode(input, limits) else {
            panic!("whole requests were given")
        };
        words += black_box(found).len();
        input = &input[consumed..];
    }
    words
}

fn bench(c: &mut Criterion) {
    let key = support::key(1);
    let value = [b'v'; support::VALUE_BYTES];
    let get = request(&[b"GET", &key]);
    let set = request(&[b"SET", &key, &value]);
    let mset: Vec<&[u8]> =
        std::iter::once(b"MSET".as_slice()).chain([key.as_slice(), &value].repeat(10)).collect();
    let inputs = [
        ("decode/get", 1, get.clone()),
        ("decode/set", 1, set.clone()),
        ("decode/get_x16", 16, get.repeat(16)),
        ("decode/set_x16", 16, set.repeat(16)),
        ("decode/mset_of_10", 1, request(&mset)),
    ];
    let mut group = c.benchmark_group("resp_codec");
    let limits = RespLimits::default();
    for (name, requests, input) in &inputs {
        group.throughput(Throughput::Elements(*requests));
        group.bench_function(*name, |b| b.iter(|| decode_all(black_box(input), &limits)));
    }
    group.throughput(Throughput::Elements(1));
    let replies = [
        ("encode/bulk_100", Reply::Bytes(value.as_slice().into())),
        ("encode/ok", Reply::Ok),
        ("encode/integer", Reply::Integer(1_234_567)),
        ("encode/nil", Reply::Nil),
    ];
    for (name, reply) in &replies {
        let mut out = Vec::with_capacity(256);
        group.bench_function(*name, |b| {
            b.iter(|| {
                out.clear();
                encode(black_box(reply), Protocol::Resp2, &mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
