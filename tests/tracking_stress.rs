//! Clients that cache what they read and forget what they are told of, while others write in every
//! way: when the writing stops and everything is told, no cache holds anything that is not so.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::resp::{Resp, show};
use support::{Plan, Server};

const WRITERS: usize = 4;
const READERS: usize = 6;
const KEYS: usize = 40;
/// Times that writing stops and caches are looked at, and how long it goes on between.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_millis(350);

/// A generator of numbers (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below the limit")
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.below(KEYS))
    }
}

/// A client with a cache. On one connection whatever makes an answer stale is told behind it, so it
/// keeps what it is answered without further ado.
struct Reader {
    client: Resp,
    cache: HashMap<String, String>,
    hits: usize,
    told: usize,
}

impl Reader {
    fn new(server: &Server, options: &[&str]) -> Self {
        let mut client = server.resp();
        client.call(&["HELLO", "3"]);
        let words = [&["CLIENT", "TRACKING", "ON"], options].concat();
        assert_eq!(client.call(&words), "+OK");
        Self { client, cache: HashMap::new(), hits: 0, told: 0 }
    }

    /// The next reply that is an answer; what is told before it is forgotten.
    fn answer(&mut self) -> String {
        loop {
            let reply = self.client.reply();
            if reply[0] != b'>' {
                return show(&reply);
            }
            self.told += 1;
            let text = show(&reply);
            if text == "[invalidate, (nil)]" {
                self.cache.clear();
                continue;
            }
            let keys = text.strip_prefix("[invalidate, [").and_then(|t| t.strip_suffix("]]"));
            for key in keys.expect(&text).split(", ") {
                self.cache.remove(key);
            }
        }
    }

    fn read(&mut self, dice: &mut Dice) {
        let key = dice.key();
        if self.cache.contains_key(&key) {
            self.hits += 1;
            return;
        }
        let value = match dice.below(4) {
            0 => {
                for words in [&["MULTI"][..], &["GET", &key]] {
                    self.client.command(words);
                    self.answer();
                }
                self.client.command(&["EXEC"]);
                let answer = self.answer();
                answer[1..answer.len() - 1].to_owned()
            }
            1 => {
                self.client.command(&["EVAL", "return redis.call('GET', KEYS[1])", "1", &key]);
                self.answer()
            }
            2 => {
                let other = dice.key();
                self.client.command(&["MGET", &key, &other]);
                let answer = self.answer();
                let (value, _) = answer[1..].split_once(", ").expect("two values");
                value.to_owned()
            }
            _ => {
                self.client.command(&["GET", &key]);
                self.answer()
            }
        };
        self.cache.insert(key, value);
    }
}

fn write(server: &Server, who: usize, over: &AtomicBool) {
    let (mut client, mut dice) = (server.resp(), Dice(who as u64 * 7919 + 3));
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let (key, other, value) = (dice.key(), dice.key(), format!("{who}-{number}"));
        let answer = match dice.below(9) {
            0 => client.call(&["DEL", &key]),
            1 => client.call(&["MSET", &key, &value, &other, &value]),
            2 => {
                client.call(&["MULTI"]);
                client.call(&["SET", &key, &value]);
                client.call(&["SET", &other, &value]);
                client.call(&["EXEC"])
            }
            3 => {
                let script = "redis.call('SET', KEYS[1], ARGV[1]) return 1";
                client.call(&["EVAL", script, "1", &key, &value])
            }
            4 => client.call(&["SET", &key, &value, "PX", "5"]),
            5 if key != other => client.call(&["COPY", &key, &other, "REPLACE"]),
            6 if dice.below(40) == 0 => client.call(&["FLUSHALL"]),
            _ => client.call(&["SET", &key, &value]),
        };
        assert!(!answer.starts_with('-'), "{answer}");
    }
}

fn never_stale(plan: &Plan) {
    let server = plan.start();
    let options: [&[&str]; 3] = [&[], &["BCAST"], &["BCAST", "PREFIX", "key:"]];
    let mut readers: Vec<Reader> =
        (0..READERS).map(|number| Reader::new(&server, options[number % 3])).collect();
    let mut dice: Vec<Dice> = (0..READERS).map(|who| Dice(who as u64 + 17)).collect();
    for round_number in 0..ROUNDS {
        let (over, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let (server, over, quiet) = (&server, &over, &quiet);
            for (reader, dice) in readers.iter_mut().zip(&mut dice) {
                scope.spawn(move || {
                    while !quiet.load(Ordering::Relaxed) {
                        reader.read(dice);
                    }
                });
            }
            let writers: Vec<_> =
                (0..WRITERS).map(|who| scope.spawn(move || write(server, who, over))).collect();
            let until = Instant::now() + ROUND;
            support::wait_for("the round is over", || Instant::now() >= until);
            over.store(true, Ordering::Relaxed);
            writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
            quiet.store(true, Ordering::Relaxed);
        });
        settle(&server);
        let mut admin = server.resp();
        for (number, reader) in readers.iter_mut().enumerate() {
            // What was to be told of before this is told of.
            for _ in 0..3 {
                reader.client.command(&["ECHO", "end"]);
                assert_eq!(reader.answer(), "end");
            }
            for (key, value) in &reader.cache {
                let truth = admin.call(&["GET", key]);
                assert_eq!(*value, truth, "round {round_number}, reader {number}, {key}");
            }
        }
    }
    let (hits, told) = readers.iter().fold((0, 0), |(h, t), one| (h + one.hits, t + one.told));
    println!("{hits} hits, {told} told");
    assert!(hits > 100 && told > 100, "{hits} hits, {told} told");
    server.stop();
}

/// Removes what has expired and was not looked for yet: whoever has read it is told now. Whoever
/// was to be told of something earlier and was not has no part in this.
fn settle(server: &Server) {
    let mut admin = server.resp();
    for number in 0..KEYS {
        let key = format!("key:{number}");
        // Some have a few milliseconds left.
        support::wait_for("deadlines pass", || {
            matches!(&*admin.call(&["PTTL", &key]), ":-1" | ":-2")
        });
        if admin.call(&["EXISTS", &key]) == ":0" {
            admin.call(&["SET", &key, "1"]);
            admin.call(&["DEL", &key]);
        }
    }
}

#[test]
fn no_cache_stays_stale() {
    never_stale(&Plan::new());
}

#[test]
fn no_cache_stays_stale_where_replies_wait_for_the_disk() {
    never_stale(&Plan::new().fsync("always"));
}
