//! Many clients of both cores push numbered elements and wait for them, while those who wait come
//! and go in every way a client can: each element is taken exactly once or still there.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::Server;
use support::resp::{Resp, encode, show};

const PUSHERS: usize = 12;
const POPPERS: usize = 20;
const LISTS: usize = 8;
/// How long elements are pushed.
const LENGTH: Duration = Duration::from_secs(4);

/// A generator of numbers (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below the limit")
    }

    fn list(&mut self) -> String {
        format!("list:{}", self.below(LISTS))
    }
}

/// Pushes, alone, several at once and in transactions; how many elements.
fn push(server: &Server, who: usize, until: Instant) -> usize {
    let (mut client, mut dice) = (server.resp(), Dice(who as u64 * 2 + 1));
    let mut count = 0;
    let mut element = || {
        count += 1;
        format!("{who}-{count}")
    };
    while Instant::now() < until {
        match dice.below(4) {
            0 => {
                client.call(&["MULTI"]);
                client.call(&["RPUSH", &dice.list(), &element()]);
                client.call(&["LPUSH", &dice.list(), &element()]);
                client.call(&["EXEC"]);
            }
            1 => {
                client.call(&["RPUSH", &dice.list(), &element(), &element(), &element()]);
            }
            2 => {
                let script = "return redis.call('LPUSH', KEYS[1], ARGV[1])";
                client.call(&["EVAL", script, "1", &dice.list(), &element()]);
            }
            _ => {
                client.call(&["LPUSH", &dice.list(), &element()]);
            }
        }
    }
    count
}

/// The elements in the answer to a blocking command, which are its last words but for the key.
fn taken(answer: &str) -> Vec<String> {
    let words = answer.split([',', ' ', '[', ']']).filter(|word| word.contains('-'));
    words.map(str::to_owned).collect()
}

fn order(dice: &mut Dice) -> Vec<String> {
    let lists = [dice.list(), dice.list(), dice.list()];
    let [first, second, third] = &lists;
    let timeout = if dice.below(3) == 0 { "0.002" } else { "0.2" };
    let words: Vec<&str> = match dice.below(5) {
        0 => vec!["BLPOP", first, timeout],
        1 => vec!["BRPOP", first, second, third, timeout],
        2 => vec!["BLMPOP", timeout, "2", first, second, "LEFT", "COUNT", "2"],
        3 => vec!["BLPOP", first, first, second, timeout],
        _ => vec!["BLMOVE", first, second, "LEFT", "RIGHT", timeout],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// Takes elements, and is gone again and again: having said that it sends no more, killed by
/// others, or without a word. Whoever goes without a word hears no answer, so it only moves.
fn pop(server: &Server, who: usize, done: &AtomicBool, kills: &AtomicUsize) -> Vec<String> {
    let (mut got, mut dice) = (Vec::new(), Dice(who as u64 * 2 + 1001));
    let mut client = server.resp();
    while !done.load(Ordering::Relaxed) {
        let words = order(&mut dice);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match dice.below(12) {
            0 => {
                client.command(&words);
                client.finish_sending();
                rest(&mut client, &words, &mut got);
                client = server.resp();
            }
            1 => {
                client.command(&["BLMOVE", &dice.list(), &dice.list(), "LEFT", "LEFT", "0"]);
                client = server.resp();
            }
            2 => {
                let id = client.call(&["CLIENT", "ID"]);
                client.command(&words);
                let id = id.strip_prefix(':').expect("a number").to_owned();
                let killed = server.resp().call(&["CLIENT", "KILL", "ID", &id]);
                kills.fetch_add(usize::from(killed == ":1"), Ordering::Relaxed);
                rest(&mut client, &words, &mut got);
                client = server.resp();
            }
            3 => {
                let id = client.call(&["CLIENT", "ID"]);
                client.command(&words);
                let id = id.strip_prefix(':').expect("a number").to_owned();
                server.resp().call(&["CLIENT", "UNBLOCK", &id]);
                note(&words, &client.reply(), &mut got);
            }
            _ => {
                client.send(&encode(&words));
                note(&words, &client.reply(), &mut got);
            }
        }
    }
    got
}

/// What is moved is taken by nobody.
fn note(words: &[&str], reply: &[u8], got: &mut Vec<String>) {
    let answer = show(reply);
    assert!(!answer.starts_with('-'), "{words:?}: {answer}");
    if words[0] != "BLMOVE" {
        got.extend(taken(&answer));
    }
}

/// Everything that is still answered until the server closes.
fn rest(client: &mut Resp, words: &[&str], got: &mut Vec<String>) {
    while let Some(reply) = client.try_reply() {
        note(words, &reply, got);
    }
}

#[test]
fn each_element_is_taken_once_or_still_there() {
    let server = Server::start();
    let (done, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    let until = Instant::now() + LENGTH;
    let (pushed, mut got) = std::thread::scope(|scope| {
        let (server, done, kills) = (&server, &done, &kills);
        let poppers: Vec<_> =
            (0..POPPERS).map(|who| scope.spawn(move || pop(server, who, done, kills))).collect();
        let pushers: Vec<_> =
            (0..PUSHERS).map(|who| scope.spawn(move || push(server, who, until))).collect();
        let pushed: usize = pushers.into_iter().map(|one| one.join().expect("it pushes")).sum();
        done.store(true, Ordering::Relaxed);
        let got: Vec<String> =
            poppers.into_iter().flat_map(|one| one.join().expect("it pops")).collect();
        (pushed, got)
    });
    let mut admin = server.resp();
    support::wait_for("nobody waits", || {
        admin.call(&["INFO", "clients"]).contains("blocked_clients:0\r")
    });
    let popped = got.len();
    for list in 0..LISTS {
        got.extend(taken(&admin.call(&["LRANGE", &format!("list:{list}"), "0", "-1"])));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    got.into_iter().for_each(|element| *times.entry(element).or_default() += 1);
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "taken more than once: {twice:?}");
    assert_eq!(times.len(), pushed, "{popped} were popped");
    assert!(popped > 1000, "{popped} of {pushed} were popped");
    println!("{pushed} pushed, {popped} popped, {} killed", kills.load(Ordering::Relaxed));
    server.stop();
}
