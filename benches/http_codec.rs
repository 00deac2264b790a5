//! HTTP: bytes to a routed command, replies to a response.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synap::protocol::http::HttpContext;
use synap::protocol::http::decode::{Decoded, HttpDecoder};
use synap::protocol::http::respond::respond;
use synap::protocol::http::route::{HttpOptions, Routed, route};
use synap_shards::command::reply::Reply;

const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

fn get() -> Vec<u8> {
    let key = String::from_utf8(support::key(1)).expect("keys are text");
    format!("GET /kv/get/{key} HTTP/1.1\r\nHost: localhost:15500\r\nAccept: */*\r\n\r\n").into()
}

fn set() -> Vec<u8> {
    let key = String::from_utf8(support::key(1)).expect("keys are text");
    let value = "v".repeat(support::VALUE_BYTES);
    let body = format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}");
    let head = format!(
        "POST /kv/set HTTP/1.1\r\nHost: localhost:15500\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into()
}

fn routed(input: &[u8], options: &HttpOptions) -> HttpContext {
    let mut decoder = HttpDecoder::new();
    let Decoded::Request(request) = decoder.decode(input, BODY_BYTES_MAX) else {
        panic!("a whole request was given")
    };
    match route(&request, options) {
        Routed::Command { words, context } => {
            black_box(words);
            context
        }
        Routed::Direct { .. }
        | Routed::Builtin { .. }
        | Routed::Live { .. }
        | Routed::Access { .. }
        | Routed::Envelopes { .. } => {
            panic!("the route runs a command")
        }
    }
}

fn bench(c: &mut Criterion) {
    let options = HttpOptions::default();
    let value = [b'v'; support::VALUE_BYTES];
    let cases = [("get", get(), Reply::Bytes(value.as_slice().into())), ("set", set(), Reply::Ok)];
    let mut group = c.benchmark_group("http_codec");
    group.throughput(Throughput::Elements(1));
    for (name, input, reply) in &cases {
        group.bench_function(format!("decode/{name}"), |b| {
            b.iter(|| black_box(routed(black_box(input), &options)));
        });
        let context = routed(input, &options);
        let mut out = Vec::with_capacity(1024);
        group.bench_function(format!("respond/{name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(respond(&context, black_box(reply), &mut out))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
