//! A reader that is killed at random while writes run, and the server some of those times: what it
//! has rebuilt in the end is the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;

use synap_shards::rng::Rng;

use crate::mirror::Mirror;
use crate::reader::Events;
use crate::support::Server;
use crate::{change, create, plan, rebuilt};

const READERS: usize = 100;
/// Each so-manyth time the server is killed as well.
const SERVER_EVERY: usize = 12;
const WRITERS: usize = 2;
const PATH: &str = "/cdc/all/sse?from=oldest";

fn readers() -> usize {
    std::env::var("SYNAP_CAPTURE_READERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(READERS)
}

/// Clients that change keys of their own, on whatever port the server has.
struct Writers {
    stop: Arc<AtomicBool>,
    port: Arc<AtomicU16>,
    threads: Vec<JoinHandle<u64>>,
}

impl Writers {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let port = Arc::new(AtomicU16::new(server.plan.resp));
        let write = |number: usize| {
            let (stop, port) = (Arc::clone(&stop), Arc::clone(&port));
            std::thread::spawn(move || write(number, &stop, &port))
        };
        let threads = (0..WRITERS).map(write).collect();
        Self { stop, port, threads }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let done = self.threads.into_iter().map(|thread| thread.join().expect("a writer"));
        done.sum()
    }
}

fn write(number: usize, stop: &AtomicBool, port: &AtomicU16) -> u64 {
    let mut rng = Rng::new(number as u64 + 77);
    let (prefix, mut done) = (format!("w{number}:"), 0);
    while !stop.load(Ordering::Relaxed) {
        let url = format!("redis://127.0.0.1:{}/", port.load(Ordering::Relaxed));
        let client = redis::Client::open(url).expect("a valid address");
        let Ok(mut client) = client.get_connection() else {
            std::thread::yield_now();
            continue;
        };
        while !stop.load(Ordering::Relaxed) && change(&mut client, &mut rng, &prefix) {
            done += 1;
        }
    }
    done
}

#[test]
fn a_reader_killed_at_random_rebuilds_the_source() {
    let plan = plan().fsync("always");
    let mut server = plan.start();
    create(&server, &["all", "MAXBYTES", "1073741824", "*"]);
    let writers = Writers::start(&server);
    let (mut rng, mut mirror, mut last) = (Rng::new(9), Mirror::default(), None::<String>);
    let mut events = 0;
    for round in 1..=readers() {
        let mut stream =
            Events::open(server.plan.http, PATH, last.as_deref()).expect("the server serves");
        for _ in 0..rng.below(12) {
            let event = stream.next().expect("the stream goes on while there are writes");
            assert_eq!(event.name, "changes", "{}", event.data);
            let changes = event.data["changes"].as_array().expect("changes");
            changes.iter().for_each(|change| mirror.apply(change));
            last = event.id;
            events += 1;
        }
        stream.swallow(rng.below(4_000));
        drop(stream);
        if round % SERVER_EVERY == 0 {
            server.kill();
            server = plan.clone().fresh_ports().start();
            writers.port.store(server.plan.resp, Ordering::Relaxed);
        }
    }
    let done = writers.end();
    let position = last.unwrap_or_else(|| "oldest".to_owned());
    rebuilt(&server, "all", position, &mut mirror);
    eprintln!("{} readers killed, {events} events, {done} writes", readers());
    assert!(mirror.changes > 0);
    server.stop();
}
