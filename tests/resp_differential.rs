//! The same command lines to this server and to a real Redis, the replies compared byte for byte.
//!
//! What differs on purpose is listed in [`DIFFERENCES`]. Without `redis-server` on the path there
//! is nothing to compare with, and the test says so.

mod support;

use support::redis_server::Redis;
use support::resp::{encode, show};
use support::{Server, installed};

/// Commands, one per line, words apart by blanks; `~` stands for a blank within a word. They build
/// on each other.
const LINES: &str = include_str!("fixtures/resp/commands.txt");
/// The same about hashes.
const HASH_LINES: &str = include_str!("fixtures/resp/hash.txt");
/// The same about sorted sets and positions.
const SORTED_LINES: &str = include_str!("fixtures/resp/sorted.txt");

/// The same about client-side caching.
const TRACKING_LINES: &str = include_str!("fixtures/resp/tracking.txt");

/// Lines whose replies differ, and why they should.
const DIFFERENCES: &[(&str, &str)] = &[
    ("SET k v IFEQ v", "compare-and-set came to Redis after 7.0"),
    ("SETRANGE app 536870912 x", "the message names the limit, not a setting we do not have"),
    ("OBJECT ENCODING app", "an entry does not remember that it was appended to"),
    ("SCAN 0 MATCH nosuch* COUNT 100000", "a call stays on one core; the cursor leads to the next"),
    ("SCAN 0 TYPE list COUNT 100000", "a call stays on one core; the cursor leads to the next"),
    ("CLIENT CACHING MAYBE", "words are looked at before the state of the client"),
    ("SCAN -1", "a cursor is unsigned; Redis wraps it"),
    ("COMMAND GETKEYS PING", "one word is enough from Redis 7.2 on"),
    ("COMMAND GETKEYS FOO", "one word is enough from Redis 7.2 on"),
    ("SLOWLOG GET abc", "no number at all is called that"),
    ("CLUSTER KEYSLOT foo", "slots are always there"),
    ("CLUSTER KEYSLOT {user}.a", "slots are always there"),
];

#[test]
fn replies_are_those_of_redis() {
    compare(LINES, 300);
}

#[test]
fn replies_about_hashes_are_those_of_redis() {
    compare(HASH_LINES, 100);
}

#[test]
fn replies_about_sorted_sets_are_those_of_redis() {
    compare(SORTED_LINES, 300);
}

#[test]
fn replies_about_tracking_are_those_of_redis() {
    compare(TRACKING_LINES, 40);
}

/// Sends the lines, `least` of them at least, to both servers.
fn compare(lines: &str, least: usize) {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    for protocol in ["2", "3"] {
        let (mut ours, mut theirs) = (server.resp(), redis.resp());
        for client in [&mut ours, &mut theirs] {
            client.call(&["FLUSHALL"]);
            client.call(&["HELLO", protocol]);
        }
        let (mut compared, mut wrong) = (0, Vec::new());
        for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<String> =
                line.split(' ').map(|word| word.replace('~', " ").replace("''", "")).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let bytes = encode(&words);
            ours.send(&bytes);
            theirs.send(&bytes);
            let (ours, theirs) = (ours.reply(), theirs.reply());
            compared += 1;
            if ours != theirs && !DIFFERENCES.iter().any(|(known, _)| *known == line) {
                wrong.push(format!("{line}\n  ours:  {}\n  Redis: {}", show(&ours), show(&theirs)));
            }
        }
        assert!(compared > least, "{compared}");
        assert!(wrong.is_empty(), "RESP{protocol}, {}:\n{}", wrong.len(), wrong.join("\n"));
    }
}
