//! Nanoseconds for the HTTP work around a command: decode, route, answer. `cargo bench --bench
//! http_path`; the command itself and the socket are not part of it.

use std::hint::black_box;
use std::time::Instant;

use synap::protocol::http::decode::{Decoded, HttpDecoder};
use synap::protocol::http::respond::respond;
use synap::protocol::http::route::{HttpOptions, Routed, route};
use synap_shards::command::reply::Reply;

const ROUNDS: u32 = 1_000_000;

fn measure(name: &str, text: &[u8], reply: &Reply<'_>) {
    let options = HttpOptions::default();
    let mut decoder = HttpDecoder::new();
    let mut out = Vec::with_capacity(4096);
    let mut bytes = 0;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let Decoded::Request(request) = decoder.decode(black_box(text), 1 << 20) else {
            panic!("{name} is a whole request")
        };
        let Routed::Command { words, context } = route(&request, &options) else {
            panic!("{name} is a command")
        };
        black_box(words.as_words());
        out.clear();
        respond(&context, black_box(reply), &mut out);
        bytes += out.len();
    }
    let each = started.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{name}: {each} ns/op, {} bytes/op", bytes / ROUNDS as usize);
}

fn main() {
    let headers = "Host: localhost:15500\r\nUser-Agent: bench/1\r\nAccept: */*\r\n";
    let get = format!("GET /kv/get/user:1234567 HTTP/1.1\r\n{headers}\r\n");
    let body = format!("{{\"key\":\"user:1234567\",\"value\":\"{}\"}}", "v".repeat(100));
    let length = body.len();
    let set = format!(
        "POST /kv/set HTTP/1.1\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    measure("get of 100 bytes", get.as_bytes(), &Reply::string("v".repeat(100)));
    measure("set of 100 bytes", set.as_bytes(), &Reply::Ok);
}
