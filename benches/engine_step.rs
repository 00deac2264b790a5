//! What one command costs on a core without network and disk: words to spec and arguments, then
//! [`Engine::step`] down to the reply, over a million keys. The log a write leaves is taken and
//! dropped, as persistence off does.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use synap_shards::command::args::Args;
use synap_shards::command::reply::Reply;
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::event::{
    Acknowledge, EngineSettings, Event, MemorySettings, Outbound, Place, Reads,
};
use synap_shards::engine::{Engine, Places};
use synap_shards::id::{ConnId, CoreId, Epoch, Ticket};
use synap_shards::key::ShardMap;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::types::Thresholds;

const KEYS: usize = 1_000_000;
/// Requests of one measured piece: four pipelines of 16.
const REQUESTS: usize = 64;
const PIPELINE: usize = 16;

/// Takes replies and forgets them.
struct Nowhere;

impl Outbound for Nowhere {
    fn reply(&mut self, _: ConnId, _: Ticket, reply: Reply<'_>) {
        black_box(&reply);
    }

    fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        unreachable!("no command of these benches concerns every core")
    }

    fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
        unreachable!("no command of these benches concerns a connection")
    }

    fn hear(&mut self, _: &[&[u8]]) {}
}

fn engine() -> Engine {
    let memory = MemorySettings {
        limit_bytes: 0,
        limit_keys: 0,
        policy: EvictionPolicy::NoEviction,
        sample_size: 5,
        mode: AccessMode::Recency,
        notices: 0,
        thresholds: Thresholds::default(),
    };
    let settings = EngineSettings { epoch: Epoch(1), acknowledge: Acknowledge::OnAppend, memory };
    let shards = support::full_shards(KEYS);
    Engine::new(CoreId::new(0), ShardMap::new(1), shards, settings, 1)
}

fn ask(engine: &mut Engine, words: &[&[u8]], place: Option<Place>) {
    let command = table::lookup(words).expect("a command of the table");
    let args = Args::parse(command.spec(), words).expect("its arguments");
    let (conn, ticket) = (ConnId(0), Ticket(0));
    let (caller, reads, here, args) = (0, Reads::default(), false, &args);
    let event = Event::Request { conn, ticket, caller, reads, here, command, args, place };
    engine.step(support::NOW, event, &mut Nowhere);
}

/// Asks for all of `requests`, looking `ahead` requests ahead, and drops the log at the end.
fn ask_all(engine: &mut Engine, requests: &[Vec<Vec<u8>>], ahead: usize, log: &mut Vec<u8>) {
    for pipeline in requests.chunks(ahead) {
        let mut places = Places::default();
        if ahead > 1 {
            places = engine.prefetch(pipeline.iter().map(|words| Some(words[1].as_slice())));
        }
        for (words, place) in pipeline.iter().zip(places) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            ask(engine, &words, place);
        }
    }
    log.clear();
    engine.take_log(log);
    log.clear();
}

fn requests(name: &str, key: impl Fn(usize) -> Vec<u8>, value: Option<usize>) -> Vec<Vec<Vec<u8>>> {
    let words = |number| {
        let mut words = vec![name.as_bytes().to_vec(), key(number)];
        words.extend(value.map(|bytes| vec![b'w'; bytes]));
        words
    };
    support::scattered(KEYS, KEYS).into_iter().map(words).collect()
}

fn bench(c: &mut Criterion) {
    let mut engine = engine();
    let mut log = Vec::new();
    let mut group = c.benchmark_group("engine_step");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    let counter = |number: usize| format!("ctr:{:016}", number % 1000).into_bytes();
    let loads = [
        ("get", requests("GET", support::key, None)),
        ("set", requests("SET", support::key, Some(support::VALUE_BYTES))),
        ("incr", requests("INCR", counter, None)),
    ];
    for (name, requests) in &loads {
        for (depth, ahead) in [("alone", 1), ("pipeline16", PIPELINE)] {
            let mut next = (0..requests.len() / REQUESTS).cycle();
            group.bench_function(format!("{name}/{depth}"), |b| {
                b.iter_batched(
                    || next.next().expect("it never ends") * REQUESTS,
                    |at| ask_all(&mut engine, &requests[at..at + REQUESTS], ahead, &mut log),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
