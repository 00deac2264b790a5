//! The mesh and the doorbell between two reactors: no message lost, no wake-up lost.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use synap_io::mesh::{Endpoint, Lane, mesh};
use synap_io::reactor::{Reactor, ReactorError, ReactorOptions};
use synap_shards::id::CoreId;

/// A lost wake-up costs a whole sleep; none may happen, so the test never takes this long.
const SLEEP: Duration = Duration::from_secs(5);

fn reactor() -> Option<Reactor> {
    match Reactor::new(&ReactorOptions::default()) {
        Ok(reactor) => Some(reactor),
        Err(error @ ReactorError::Setup(_)) => {
            println!("SKIPPED, NOTHING TESTED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs `body` on two threads with connected endpoints.
fn on_two_cores(capacity: usize, body: fn(Reactor, Endpoint<u64>)) {
    if reactor().is_none() {
        return;
    }
    let bells = Arc::new(Mutex::new(vec![None, None]));
    let barrier = Arc::new(Barrier::new(2));
    let ends = mesh::<u64>(2, capacity);
    let threads: Vec<_> = ends
        .into_iter()
        .map(|mut end| {
            let (bells, barrier) = (Arc::clone(&bells), Arc::clone(&barrier));
            thread::spawn(move || {
                let reactor = reactor().expect("worked a moment ago");
                let core = end.core().index();
                bells.lock().expect("no panic")[core] = Some(reactor.doorbell());
                barrier.wait();
                let doorbells = bells.lock().expect("no panic").clone();
                end.connect(doorbells.into_iter().map(|bell| bell.expect("set")).collect());
                body(reactor, end);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("core");
    }
}

fn other(end: &Endpoint<u64>) -> CoreId {
    CoreId::new(1 - end.core().index())
}

/// One message in the air: each side parks (or nearly) before each message.
fn ping_pong(mut reactor: Reactor, mut end: Endpoint<u64>) {
    const ROUNDS: u64 = 200_000;
    let peer = other(&end);
    let mut expected = 0;
    if end.core().index() == 0 {
        end.try_send(peer, Lane::Requests, 0).expect("room");
        end.flush();
        expected = 1;
    }
    while expected < ROUNDS {
        let before = Instant::now();
        reactor.turn(SLEEP).expect("turn");
        assert!(before.elapsed() < SLEEP, "a wake-up was lost at message {expected}");
        while reactor.next().is_some() {}
        while let Some(message) = end.receive(peer, Lane::Requests) {
            assert_eq!(message, expected);
            end.try_send(peer, Lane::Requests, message + 1).expect("room");
            expected += 2;
        }
        end.flush();
    }
}

#[test]
fn ping_pong_loses_no_wake_up() {
    on_two_cores(4, ping_pong);
}

/// Floods with backpressure, both ways at once, parking whenever there is nothing to do.
fn flood(mut reactor: Reactor, mut end: Endpoint<u64>) {
    const MESSAGES: u64 = 2_000_000;
    let peer = other(&end);
    let (mut sent, mut acknowledged, mut received) = (0, 0, 0);
    while acknowledged < MESSAGES || received < MESSAGES {
        // At most as many requests are in the air as the completions lane can answer.
        while sent < MESSAGES && sent - acknowledged < 64 {
            end.try_send(peer, Lane::Requests, sent).expect("credits bound the lane");
            sent += 1;
        }
        while let Some(message) = end.receive(peer, Lane::Requests) {
            assert_eq!(message, received);
            received += 1;
            end.try_send(peer, Lane::Completions, message).expect("credits bound the lane");
        }
        while let Some(message) = end.receive(peer, Lane::Completions) {
            assert_eq!(message, acknowledged);
            acknowledged += 1;
        }
        end.flush();
        if acknowledged == MESSAGES && received == MESSAGES {
            break;
        }
        // Answers may have freed credits: then there is more to send before any sleep.
        let may_send = sent < MESSAGES && sent - acknowledged < 64;
        let wait = if may_send { Duration::ZERO } else { SLEEP };
        let before = Instant::now();
        reactor.turn(wait).expect("turn");
        assert!(before.elapsed() < SLEEP, "a wake-up was lost at {acknowledged}/{received}");
        while reactor.next().is_some() {}
    }
}

#[test]
fn floods_in_both_directions_lose_nothing() {
    on_two_cores(64, flood);
}
