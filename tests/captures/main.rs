//! Change data capture: what readers are shown, that it rebuilds the source whatever happens to
//! them and to the server, and how it is refused.

mod mirror;
mod reader;
#[path = "../support/mod.rs"]
mod support;
mod work;

#[path = "../websocket/client.rs"]
#[allow(dead_code, reason = "the tests of WebSockets use the rest")]
mod client;

mod kill;
mod shape;

use mirror::{Mirror, source};
use reader::{catch_up, read};
use support::{Plan, Server, wait_for};
use synap_shards::rng::Rng;

/// A server whose containers leave their packed form early.
fn plan() -> Plan {
    let sizes = [
        ("HASH_MAX_LISTPACK_ENTRIES", 4),
        ("SET_MAX_LISTPACK_ENTRIES", 5),
        ("SET_MAX_INTSET_ENTRIES", 3),
        ("ZSET_MAX_LISTPACK_ENTRIES", 4),
        ("LIST_MAX_LISTPACK_SIZE", -1),
    ];
    sizes
        .iter()
        .fold(Plan::new(), |plan, (name, size)| plan.env(&format!("SYNAP_KV_STORE__{name}"), size))
}

fn send(client: &mut redis::Connection, words: &[Vec<u8>]) -> bool {
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(&word[..]);
    });
    // That a key holds another type is part of the game; that the server is gone is not.
    match command.query::<redis::Value>(client) {
        Ok(_) => true,
        Err(error) => !error.is_io_error(),
    }
}

/// Some commands as one.
fn transaction(client: &mut redis::Connection, rng: &mut Rng, prefix: &str) -> bool {
    let mut fine = send(client, &[b"MULTI".to_vec()]);
    for _ in 0..1 + rng.below(4) {
        fine &= send(client, &work::command(rng, prefix));
    }
    fine && send(client, &[b"EXEC".to_vec()])
}

/// A script that writes what its arguments say.
fn script(client: &mut redis::Connection, rng: &mut Rng, prefix: &str) -> bool {
    let code = "local n = tonumber(table.remove(ARGV, 1)) redis.pcall(unpack(ARGV, 1, n)) \
                redis.pcall(unpack(ARGV, n + 1))";
    let (one, two) = (work::command(rng, prefix), work::command(rng, prefix));
    let head = ["EVAL", code, "0"].map(|word| word.as_bytes().to_vec());
    let count = one.len().to_string().into_bytes();
    let words: Vec<Vec<u8>> = head.into_iter().chain([count]).chain(one).chain(two).collect();
    send(client, &words)
}

/// One random thing that changes something; false when the server is gone.
fn change(client: &mut redis::Connection, rng: &mut Rng, prefix: &str) -> bool {
    match rng.below(400) {
        0 => send(client, &[b"FLUSHALL".to_vec()]),
        1..20 => transaction(client, rng, prefix),
        20..30 => script(client, rng, prefix),
        _ => send(client, &work::command(rng, prefix)),
    }
}

/// Reads on until what was read is what the server holds, as far as nothing expires meanwhile; the
/// position then.
fn rebuilt(server: &Server, capture: &str, mut position: String, mirror: &mut Mirror) -> String {
    let mut found = None;
    wait_for("the reader to have what the source has", || {
        let before = source(server);
        position = catch_up(server, capture, position.clone(), mirror);
        let equal = before == mirror.keys;
        found = Some(before);
        equal || {
            // Something may have expired in between; what differs for good stays so.
            std::thread::yield_now();
            false
        }
    });
    assert_eq!(found.as_ref(), Some(&mirror.keys));
    position
}

fn create(server: &Server, words: &[&str]) {
    let mut words = words.to_vec();
    words.insert(0, "CDC.CREATE");
    assert_eq!(server.resp().call(&words), "+OK");
}

fn every_family(workers: usize, seed: u64) {
    let server = plan().workers(workers).start();
    create(&server, &["all", "*"]);
    let (mut client, mut rng, mut mirror) = (server.redis(), Rng::new(seed), Mirror::default());
    let mut position = "oldest".to_owned();
    for _ in 0..8 {
        for _ in 0..400 {
            assert!(change(&mut client, &mut rng, "k"));
        }
        position = rebuilt(&server, "all", position, &mut mirror);
    }
    assert!(mirror.changes > 1_000, "{} changes", mirror.changes);
    server.stop();
}

#[test]
fn changes_of_every_family_rebuild_the_source_of_one_core() {
    every_family(1, 11);
}

#[test]
fn changes_of_every_family_rebuild_the_source_of_three_cores() {
    every_family(3, 12);
}

#[test]
fn a_snapshot_and_what_follows_are_the_source() {
    let server = plan().workers(2).start();
    let (mut client, mut rng) = (server.redis(), Rng::new(5));
    for number in 0..3_000 {
        let words = ["SET", &format!("early:{number}"), "v"].map(|word| word.as_bytes().to_vec());
        assert!(send(&mut client, &words));
    }
    (0..600).for_each(|_| assert!(change(&mut client, &mut rng, "k")));
    create(&server, &["all", "*"]);
    let (mut mirror, mut asks) = (Mirror::default(), 0);
    let mut reader = server.redis();
    let mut answer = read(&mut reader, "all", "snapshot", &["COUNT", "50"]).expect("an answer");
    // What is there changes while it is shown: changes of a key that was not shown yet say nothing
    // of what it was, and it will be shown behind them.
    loop {
        asks += 1;
        answer.changes.iter().for_each(|change| {
            let op = change["op"].as_str().unwrap_or_default();
            let is_known =
                mirror::bytes(change, "key").is_some_and(|key| mirror.keys.contains_key(&key));
            if is_known || matches!(op, "read" | "create" | "truncate") {
                mirror.apply(change);
            }
        });
        if !answer.snapshot {
            break;
        }
        (0..5).for_each(|_| {
            let words = work::command(&mut rng, "k");
            assert!(send(&mut client, &words));
        });
        answer = read(&mut reader, "all", &answer.position, &["COUNT", "50"]).expect("an answer");
    }
    assert!(asks > 10, "{asks} answers");
    rebuilt(&server, "all", answer.position, &mut mirror);
    server.stop();
}

#[test]
fn captures_outlive_restarts_and_snapshots_of_the_server() {
    let plan = plan().fsync("always");
    let mut server = plan.start();
    create(&server, &["all", "*"]);
    let (mut rng, mut mirror) = (Rng::new(6), Mirror::default());
    let mut position = "oldest".to_owned();
    for round in 0..4 {
        let mut client = server.redis();
        (0..200).for_each(|_| assert!(change(&mut client, &mut rng, "k")));
        if round % 2 == 0 {
            assert_eq!(server.resp().call(&["SAVE"]), "+OK");
        }
        (0..50).for_each(|_| assert!(change(&mut client, &mut rng, "k")));
        if round == 1 {
            position = catch_up(&server, "all", position, &mut mirror);
        }
        server.kill();
        server = plan.start();
    }
    rebuilt(&server, "all", position, &mut mirror);
    server.stop();
}
