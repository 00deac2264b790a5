//! Servers that are killed while messages are published, taken and acknowledged: what was promised
//! holds afterwards. `SYNAP_QUEUE_CRASH_ROUNDS` runs it longer.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use support::resp::{Resp, encode, show};
use support::{Plan, Server};

const QUEUES: usize = 3;
const PUBLISHERS: usize = 2;
const CONSUMERS: usize = 3;

fn rounds() -> usize {
    let rounds = std::env::var("SYNAP_QUEUE_CRASH_ROUNDS").ok();
    rounds.and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// What clients know of the messages, by their ids.
#[derive(Default)]
struct Books {
    /// Published, and the server said so.
    published: Mutex<BTreeSet<String>>,
    /// An acknowledgement was sent; whether it arrived is not known.
    tried: Mutex<BTreeSet<String>>,
    /// The server said that it is done.
    done: Mutex<BTreeSet<String>>,
}

/// The reply to a command; nothing when the server is gone.
fn ask(client: &mut Resp, words: &[&str]) -> Option<String> {
    if !client.try_send(&encode(words)) {
        return None;
    }
    client.try_reply().map(|reply| show(&reply))
}

fn note(book: &Mutex<BTreeSet<String>>, id: &str) -> bool {
    book.lock().expect("nobody panics").insert(id.to_owned())
}

fn publish(server: &Server, books: &Books, seed: usize, count: &AtomicUsize) {
    let mut client = server.resp();
    for number in seed.. {
        let queue = format!("crash:{}", number % QUEUES);
        let body = "x".repeat(number * 37 % 700);
        let Some(id) = ask(&mut client, &["QPUBLISH", &queue, &body]) else { return };
        assert_eq!(id.len(), 36, "{id}");
        assert!(note(&books.published, &id), "{id} is new");
        count.fetch_add(1, SeqCst);
    }
}

/// The id in the reply to `QCONSUME`, and how often the message has failed.
fn taken(reply: &str) -> Option<(String, String)> {
    let words: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
    let behind = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).map(|word| (*word).to_owned())
    };
    Some((behind("message_id")?, behind("retry_count")?))
}

fn consume(server: &Server, books: &Books, seed: usize, ended: &AtomicBool) {
    let mut client = server.resp();
    for number in seed.. {
        if ended.load(SeqCst) {
            return;
        }
        let queue = format!("crash:{}", number % QUEUES);
        let Some(reply) = ask(&mut client, &["QCONSUME", &queue, "WAIT", "5"]) else { return };
        let Some((id, failures)) = taken(&reply) else { continue };
        assert_eq!(failures, ":0", "a crash is nobody's failure");
        // Some are left with their consumer.
        if number % 5 == 0 {
            continue;
        }
        note(&books.tried, &id);
        let Some(reply) = ask(&mut client, &["QACK", &queue, &id]) else { return };
        assert_eq!(reply, ":1", "{id}");
        assert!(note(&books.done, &id), "{id} was done before");
    }
}

/// Takes everything that is there, and compares it with what was promised.
fn check(server: &Server, books: &Books) -> usize {
    let mut client = server.resp();
    let mut found = BTreeSet::new();
    for queue in 0..QUEUES {
        let queue = format!("crash:{queue}");
        // What consumers had is ready again at the first tick.
        support::wait_for("nobody has anything", || {
            let stats = client.call(&["QSTATS", &queue]);
            stats.contains("pending, :0,") || stats.starts_with("-NOQUEUE")
        });
        while let Some((id, failures)) = taken(&client.call(&["QCONSUME", &queue])) {
            assert_eq!(failures, ":0", "a crash is nobody's failure");
            assert!(found.insert(id.clone()), "{id} was delivered twice");
        }
    }
    let published = books.published.lock().expect("nobody panics");
    let tried = books.tried.lock().expect("nobody panics");
    let done = books.done.lock().expect("nobody panics");
    for id in published.iter() {
        assert!(found.contains(id) || tried.contains(id), "{id} is lost");
    }
    for id in done.iter() {
        assert!(!found.contains(id), "{id} was acknowledged, and is there again");
    }
    found.len()
}

#[test]
fn acknowledged_messages_survive_kill_9_and_are_done_once() {
    let books = Books::default();
    let mut plan = Plan::new().fsync("always");
    let (mut published, mut found) = (0, 0);
    for round in 0..rounds() {
        let server = plan.workers(round % 3 + 1).fresh_ports().start();
        found += check(&server, &books);
        let mut client = server.resp();
        for queue in 0..QUEUES {
            let line = format!("QCREATE crash:{queue} DEADLINE 3600 MAXDEPTH 10000000");
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(client.call(&words), "+OK");
        }
        if round % 2 == 1 {
            client.call(&["BGSAVE"]);
        }
        plan = server.plan.clone();
        published += load(server, &books, round);
    }
    let server = plan.fresh_ports().start();
    found += check(&server, &books);
    server.stop();
    eprintln!("{published} messages published, {found} found again");
}

/// Publishes and consumes until enough was published, then kills the server; how many were.
fn load(server: Server, books: &Books, round: usize) -> usize {
    let (count, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let enough = 100 + 150 * round;
    std::thread::scope(|scope| {
        let (count, ended) = (&count, &ended);
        let shared = &server;
        for seed in 0..PUBLISHERS {
            scope.spawn(move || publish(shared, books, seed, count));
        }
        for seed in 0..CONSUMERS {
            scope.spawn(move || consume(shared, books, seed, ended));
        }
        support::wait_for("enough is published", || count.load(SeqCst) >= enough);
        server.signal("KILL");
        ended.store(true, SeqCst);
    });
    server.kill();
    count.load(SeqCst)
}
