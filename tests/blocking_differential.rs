//! The same conversations of several clients, some of which wait, with this server and with a real
//! Redis; what each client hears is compared byte for byte.
//!
//! Without `redis-server` on the path there is nothing to compare with, and the test says so.

mod support;

use std::collections::BTreeMap;

use support::redis_server::Redis;
use support::resp::{Resp, encode, show};
use support::{Server, installed, wait_for};

/// Who says what, in order; how it is written stands at its beginning.
const LINES: &str = include_str!("fixtures/resp/blocking.txt");

/// Lines whose replies differ, and why they should.
const DIFFERENCES: &[(&str, &str)] = &[
    ("c EVAL return~redis.call('BLPOP',KEYS[1],0) 1 k", "scripts may call it from Redis 7.2 on"),
    (
        "c EVAL return~redis.call('BLMOVE',KEYS[1],'t','LEFT','LEFT',0) 1 k",
        "scripts may call it from Redis 7.2 on",
    ),
    ("c EVAL return~redis.call('BZPOPMAX',KEYS[1],0) 1 k", "scripts may call it from 7.2 on"),
    ("c CLIENT UNBLOCK @a OTHER", "a word that is none of those known is a syntax error"),
    ("a BLPOP k 1e400", "Redis 7.0 takes what is too large for negative"),
    ("a BLPOP k inf", "Redis 7.0 takes what is too large for negative"),
    ("a XREAD BLOCK 0 STREAMS k", "the text is that of Redis 7.2"),
];

/// One server, and the clients of the conversation by their letter.
struct Room<'a> {
    connect: &'a dyn Fn() -> Resp,
    protocol: &'a str,
    admin: Resp,
    clients: BTreeMap<char, (Resp, String)>,
    waiting: usize,
}

impl<'a> Room<'a> {
    fn new(connect: &'a dyn Fn() -> Resp, protocol: &'a str) -> Self {
        let mut admin = connect();
        admin.call(&["FLUSHALL"]);
        Self { connect, protocol, admin, clients: BTreeMap::new(), waiting: 0 }
    }

    fn client(&mut self, letter: char) -> &mut (Resp, String) {
        self.clients.entry(letter).or_insert_with(|| {
            let mut client = (self.connect)();
            client.call(&["HELLO", self.protocol]);
            let id = client.call(&["CLIENT", "ID"]);
            (client, id.strip_prefix(':').expect("a number").to_owned())
        })
    }

    fn await_waiting(&mut self) {
        let count = format!("blocked_clients:{}\r", self.waiting);
        wait_for("clients wait", || self.admin.call(&["INFO", "clients"]).contains(&count));
    }

    /// Carries a line out; the answer, where one is to come.
    fn say(&mut self, letter: char, said: &str) -> Option<Vec<u8>> {
        if said == "<" {
            let reply = self.client(letter).0.reply();
            self.waiting -= 1;
            return Some(reply);
        }
        let waits = said.strip_prefix('!');
        let words: Vec<String> = waits
            .unwrap_or(said)
            .split(' ')
            .map(|word| match word.strip_prefix('@') {
                Some(other) => self.client(other.chars().next().expect("a letter")).1.clone(),
                None => word.replace('~', " "),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let client = &mut self.client(letter).0;
        client.send(&encode(&words));
        if waits.is_some() {
            self.waiting += 1;
            self.await_waiting();
            return None;
        }
        Some(client.reply())
    }
}

#[test]
fn who_waits_hears_what_redis_would_say() {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    for protocol in ["2", "3"] {
        let (ours, theirs) = (|| server.resp(), || redis.resp());
        let mut ours = Room::new(&ours, protocol);
        let mut theirs = Room::new(&theirs, protocol);
        let (mut compared, mut wrong) = (0, Vec::new());
        for line in LINES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (letter, said) = line.split_once(' ').expect("who says what");
            let letter = letter.chars().next().expect("a letter");
            let heard = theirs.say(letter, said);
            let Some(heard) = heard else {
                assert_eq!(ours.say(letter, said), None);
                continue;
            };
            let here = ours.say(letter, said).expect("both answer");
            compared += 1;
            if here != heard && !DIFFERENCES.iter().any(|(known, _)| *known == line) {
                wrong.push(format!("{line}\n  ours:  {}\n  Redis: {}", show(&here), show(&heard)));
            }
        }
        assert!(compared > 200, "{compared}");
        assert!(wrong.is_empty(), "RESP{protocol}, {}:\n{}", wrong.len(), wrong.join("\n"));
    }
    server.stop();
}
