//! Transactions against the real server: what clients see, and that money never appears or
//! disappears, whatever runs at the same time and whenever the server is killed.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::resp::{Resp, encode, show};
use support::{Plan, Server};

const CONNECTIONS: usize = 64;
const ACCOUNTS: u64 = 100;
const BALANCE: i64 = 1000;
/// Keys of one MSET; all of them always hold the same value.
const TOGETHER: usize = 10;

fn rounds() -> usize {
    std::env::var("SYNAP_TRANSACTION_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Sends the words of each line and compares the reply.
fn expect(client: &mut Resp, dialogue: &[(&str, &str)]) {
    for (line, answer) in dialogue {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(client.call(&words), *answer, "{line}");
    }
}

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn a_dialogue() {
    let server = Server::start();
    let mut client = server.resp();
    expect(
        &mut client,
        &[
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("MGET a b c d e f g h", "+QUEUED"),
            ("MSET b 1 c 2 d 3", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("EXEC", "[+OK, :2, [2, (nil), (nil), (nil), (nil), (nil), (nil), (nil)], +OK, :4]"),
            ("MULTI", "+OK"),
            ("EXEC", "[]"),
            ("MULTI", "+OK"),
            ("SET a x", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("SET a y", "+QUEUED"),
            ("EXEC", "[+OK, -ERR value is not an integer or out of range, +OK]"),
            ("GET a", "y"),
            ("MULTI", "+OK"),
            ("SET a z", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET a", "y"),
            ("EXEC", "-ERR EXEC without MULTI"),
        ],
    );
    server.stop();
}

#[test]
fn what_cannot_be_queued_aborts() {
    let server = Server::start();
    let mut client = server.resp();
    let not_inside = "-ERR Command not allowed inside a transaction";
    let refused = [
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("SET a b EX nonsense", "-ERR value is not an integer or out of range"),
        ("CONFIG SET maxmemory 0", not_inside),
        ("CLIENT LIST", not_inside),
        ("SAVE", not_inside),
        ("SHUTDOWN", not_inside),
        ("CLIENT REPLY OFF", not_inside),
    ];
    for (line, error) in refused {
        let dialogue = [
            ("MULTI", "+OK"),
            ("SET k 1", "+QUEUED"),
            (line, error),
            ("SET k 2", "+QUEUED"),
            ("EXEC", ABORTED),
            ("EXISTS k", ":0"),
        ];
        expect(&mut client, &dialogue);
    }
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert!(client.call(&["NONSENSE", "x"]).starts_with("-ERR unknown command 'NONSENSE'"));
    assert_eq!(client.call(&["EXEC"]), ABORTED);
    // These are refused by themselves, and the transaction goes on.
    expect(
        &mut client,
        &[
            ("MULTI", "+OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH k", "-ERR WATCH inside MULTI is not allowed"),
            ("SET k 3", "+QUEUED"),
            ("EXEC", "[+OK]"),
        ],
    );
    server.stop();
}

#[test]
fn commands_about_the_connection_run_at_their_place() {
    let server = Server::start();
    let mut client = server.resp();
    expect(
        &mut client,
        &[
            ("MULTI", "+OK"),
            ("CLIENT SETNAME one", "+QUEUED"),
            ("SET k 1", "+QUEUED"),
            ("CLIENT GETNAME", "+QUEUED"),
            ("PING", "+QUEUED"),
            ("ECHO hi", "+QUEUED"),
            ("SELECT 1", "+QUEUED"),
            ("CONFIG GET databases", "+QUEUED"),
            ("UNWATCH", "+QUEUED"),
            (
                "EXEC",
                "[+OK, +OK, one, +PONG, hi, -ERR DB index is out of range, [databases, 1], +OK]",
            ),
        ],
    );
    // What is queued and watched shows, and RESET ends both.
    let mut other = server.resp();
    expect(&mut client, &[("WATCH k l", "+OK"), ("MULTI", "+OK"), ("GET k", "+QUEUED")]);
    let line = other.call(&["CLIENT", "LIST"]);
    assert!(line.contains("name=one") && line.contains(" multi=1 watch=2 "), "{line}");
    assert!(line.contains(" flags=x "), "{line}");
    expect(&mut client, &[("RESET", "+RESET"), ("EXEC", "-ERR EXEC without MULTI")]);
    let line = other.call(&["CLIENT", "LIST"]);
    assert!(!line.contains("watch=2") && !line.contains("flags=x"), "{line}");
    assert!(other.call(&["INFO", "commandstats"]).contains("cmdstat_exec:calls="));
    server.stop();
}

#[test]
fn a_watched_key_that_changes_aborts_from_whatever_core() {
    let server = Server::start();
    // Connections are spread over the cores; among these pairs are all combinations.
    for round in 0..20 {
        let (mut client, mut other) = (server.resp(), server.resp());
        let key = format!("watched:{round}");
        assert_eq!(client.call(&["WATCH", &key, "elsewhere"]), "+OK");
        assert_eq!(other.call(&["SET", &key, "1"]), "+OK");
        assert_eq!(other.call(&["DEL", &key]), ":1");
        let ran = [("MULTI", "+OK"), ("INCR ran", "+QUEUED"), ("EXEC", "(nil)")];
        expect(&mut client, &ran);
        // Forgotten by UNWATCH, by DISCARD, and by the EXEC that was aborted.
        assert_eq!(other.call(&["SET", &key, "2"]), "+OK");
        for forget in [&["UNWATCH"][..], &["MULTI", "DISCARD"]] {
            assert_eq!(client.call(&["WATCH", &key]), "+OK");
            assert_eq!(other.call(&["SET", &key, "3"]), "+OK");
            for line in forget {
                assert_eq!(client.call(&[line]), "+OK");
            }
            let dialogue = [("MULTI", "+OK"), ("INCR forgot", "+QUEUED")];
            expect(&mut client, &dialogue);
            assert!(client.call(&["EXEC"]).starts_with("[:"));
        }
        assert_eq!(client.call(&["WATCH", &key]), "+OK");
        let dialogue = [("MULTI", "+OK"), ("GET ran", "+QUEUED"), ("EXEC", "[(nil)]")];
        expect(&mut client, &dialogue);
    }
    server.stop();
}

#[test]
fn a_pipeline_keeps_its_order() {
    let server = Server::start();
    let mut client = server.resp();
    let mut bytes = Vec::new();
    let count = 300;
    for at in 0..count {
        let number = at.to_string();
        let lines: [&[&str]; 6] = [
            &["WATCH", "p:1", "p:2"],
            &["MULTI"],
            &["MSET", "p:1", &number, "p:2", &number, "p:3", &number],
            &["MGET", "p:3", "p:2", "p:1"],
            &["EXEC"],
            &["GET", "p:2"],
        ];
        lines.iter().for_each(|line| bytes.extend(encode(line)));
    }
    client.send(&bytes);
    for at in 0..count {
        let replies: Vec<String> = (0..6).map(|_| show(&client.reply())).collect();
        let exec = format!("[+OK, [{at}, {at}, {at}]]");
        assert_eq!(replies, ["+OK", "+OK", "+QUEUED", "+QUEUED", &exec, &at.to_string()]);
    }
    server.stop();
}

#[test]
fn a_client_that_leaves_stops_nothing_it_has_begun() {
    let server = Server::start();
    for at in 0..50 {
        let mut client = server.resp();
        let (one, two) = (format!("left:{at}:1"), format!("left:{at}:2"));
        let lines: [&[&str]; 5] = [
            &["WATCH", &one, &two],
            &["MULTI"],
            &["MSET", &one, "1", &two, "1"],
            &["INCR", "left"],
            &["EXEC"],
        ];
        let bytes: Vec<u8> = lines.iter().flat_map(|line| encode(line)).collect();
        client.send(&bytes);
        client.finish_sending();
        assert_eq!(
            client.rest().len(),
            b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n".len() + usize::from(at >= 9)
        );
        // This one watches, and is gone without a word.
        let mut client = server.resp();
        client.command(&["WATCH", &one, &two, "left"]);
    }
    assert_eq!(server.resp().call(&["GET", "left"]), "50");
    server.stop();
}

fn account(at: u64) -> String {
    format!("account:{at}")
}

/// Numbers that look random, different per seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the threads of one load share.
#[derive(Default)]
struct Facts {
    stop: AtomicBool,
    /// The server is gone, or is about to be: connections that end are no failure.
    killed: AtomicBool,
    executed: AtomicU64,
    aborted: AtomicU64,
}

/// One connection at work; everything answers nothing once the server is gone.
struct Mover {
    client: Resp,
    dice: Dice,
    number: usize,
    /// Transactions of this connection that were acknowledged, over all loads.
    done: u64,
    /// `RENAME`s of this connection that were acknowledged.
    renames: u64,
}

impl Mover {
    /// Sends all commands at once; their replies.
    fn send(&mut self, lines: &[Vec<String>]) -> Option<Vec<String>> {
        let mut bytes = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.iter().map(String::as_str).collect();
            bytes.extend(encode(&words));
        }
        if !self.client.try_send(&bytes) {
            return None;
        }
        lines.iter().map(|_| Some(show(&self.client.try_reply()?))).collect()
    }

    fn accounts(&mut self) -> (String, String) {
        let from = self.dice.below(ACCOUNTS);
        let to = (from + 1 + self.dice.below(ACCOUNTS - 1)) % ACCOUNTS;
        (account(from), account(to))
    }

    fn note(&mut self, exec: &str, facts: &Facts) {
        if exec == "(nil)" {
            facts.aborted.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert!(exec.starts_with('['), "{exec}");
        facts.executed.fetch_add(1, Ordering::Relaxed);
        self.done += 1;
    }

    fn move_money(&mut self, facts: &Facts) -> Option<()> {
        let (from, to) = self.accounts();
        let amount = self.dice.below(50).to_string();
        let done = format!("done:{}", self.number);
        let lines = [
            line(&["MULTI"]),
            line(&["DECRBY", &from, &amount]),
            line(&["INCRBY", &to, &amount]),
            line(&["INCR", &done]),
            line(&["EXEC"]),
        ];
        let replies = self.send(&lines)?;
        assert_ne!(replies[4], "(nil)", "nothing was watched");
        self.note(&replies[4], facts);
        Some(())
    }

    fn move_money_with_watch(&mut self, facts: &Facts) -> Option<()> {
        let (from, to) = self.accounts();
        let replies = self.send(&[line(&["WATCH", &from, &to]), line(&["MGET", &from, &to])])?;
        let balances = numbers(&replies[1]);
        let done = format!("done:{}", self.number);
        let lines = [
            line(&["MULTI"]),
            line(&["SET", &from, &(balances[0] - 1).to_string()]),
            line(&["SET", &to, &(balances[1] + 1).to_string()]),
            line(&["INCR", &done]),
            line(&["EXEC"]),
        ];
        let replies = self.send(&lines)?;
        self.note(&replies[4], facts);
        Some(())
    }

    fn look(&mut self) -> Option<()> {
        let replies = self.send(&[line(&["MULTI"]), every_account(), line(&["EXEC"])])?;
        let inner = replies[2].strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let sum: i64 = numbers(inner.expect("it ran")).iter().sum();
        assert_eq!(sum, ACCOUNTS as i64 * BALANCE, "seen while others move money");
        Some(())
    }

    fn set_together(&mut self) -> Option<()> {
        let value = self.dice.below(1_000_000).to_string();
        let mut words = vec!["MSET".to_owned()];
        for at in 0..TOGETHER {
            words.extend([format!("together:{}:{at}", self.number), value.clone()]);
        }
        assert_eq!(self.send(&[words])?, ["+OK"]);
        Some(())
    }

    fn rename(&mut self) -> Option<()> {
        let names = [format!("token:{}:a", self.number), format!("token:{}:b", self.number)];
        let (from, to) = (self.renames as usize % 2, (self.renames as usize + 1) % 2);
        assert_eq!(self.send(&[line(&["RENAME", &names[from], &names[to]])])?, ["+OK"]);
        self.renames += 1;
        Some(())
    }

    fn work(&mut self, facts: &Facts) {
        while !facts.stop.load(Ordering::Relaxed) {
            let went_on = match self.dice.below(10) {
                0..4 => self.move_money(facts),
                4..7 => self.move_money_with_watch(facts),
                7 => self.set_together(),
                8 => self.rename(),
                _ => self.look(),
            };
            if went_on.is_none() {
                assert!(facts.killed.load(Ordering::Relaxed), "the server hung up");
                return;
            }
        }
    }
}

fn line(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn every_account() -> Vec<String> {
    std::iter::once("MGET".to_owned()).chain((0..ACCOUNTS).map(account)).collect()
}

fn numbers(list: &str) -> Vec<i64> {
    let items = list.trim_matches(['[', ']']).split(", ");
    items.map(|item| item.parse().expect("a number")).collect()
}

/// What each connection was promised.
#[derive(Clone, Copy, Default)]
struct Promised {
    done: u64,
    renames: u64,
}

fn prepare(client: &mut Resp) {
    let mut words = vec!["MSET".to_owned()];
    words.extend((0..ACCOUNTS).flat_map(|at| [account(at), BALANCE.to_string()]));
    for number in 0..CONNECTIONS {
        words.extend([format!("token:{number}:a"), "token".to_owned()]);
        words.extend([format!("done:{number}"), "0".to_owned()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(client.call(&words), "+OK");
}

/// Compares what is there with what must be, and takes what is there over.
fn check(client: &mut Resp, promised: &mut [Promised]) {
    let words = every_account();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sum: i64 = numbers(&client.call(&words)).iter().sum();
    assert_eq!(sum, ACCOUNTS as i64 * BALANCE, "money was made or lost");
    for (number, promised) in promised.iter_mut().enumerate() {
        let done: u64 = client.call(&["GET", &format!("done:{number}")]).parse().expect("a number");
        assert!(
            (promised.done..=promised.done + 1).contains(&done),
            "connection {number}: {done} done, {} acknowledged",
            promised.done
        );
        promised.done = done;
        let words = (0..TOGETHER).map(|at| format!("together:{number}:{at}"));
        let words: Vec<String> = std::iter::once("MGET".to_owned()).chain(words).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let all = client.call(&words);
        let mut values = all.trim_matches(['[', ']']).split(", ");
        let first = values.next().expect("it has ten");
        assert!(values.all(|value| value == first), "an MSET was torn: {all}");
        let exists = ["a", "b"]
            .map(|name| client.call(&["EXISTS", &format!("token:{number}:{name}")]) == ":1");
        assert_ne!(exists[0], exists[1], "a RENAME was torn");
        if exists[promised.renames as usize % 2] {
            // The one under way, if there was one, did not come through.
        } else {
            promised.renames += 1;
        }
    }
}

/// Puts a load on a server until it is killed or told to stop.
fn load(
    server: &Server,
    promised: &[Promised],
    seed: u64,
    facts: &Arc<Facts>,
) -> Vec<std::thread::JoinHandle<Promised>> {
    promised
        .iter()
        .enumerate()
        .map(|(number, promised)| {
            let (client, facts) = (server.resp(), Arc::clone(facts));
            let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number as u64 + 1));
            let Promised { done, renames } = *promised;
            let mut mover = Mover { client, dice, number, done, renames };
            std::thread::spawn(move || {
                mover.work(&facts);
                Promised { done: mover.done, renames: mover.renames }
            })
        })
        .collect()
}

#[test]
fn money_survives_kill_9() {
    let begun = Instant::now();
    let mut plan = Plan::new().fsync("always");
    let mut promised = vec![Promised::default(); CONNECTIONS];
    let (mut executed, mut aborted) = (0, 0);
    for round in 0..rounds() {
        let server = plan.workers(1 + (round + 1) % 3).fresh_ports().start();
        if round == 0 {
            prepare(&mut server.resp());
        }
        check(&mut server.resp(), &mut promised);
        let facts = Arc::new(Facts::default());
        let threads = load(&server, &promised, round as u64 + 1, &facts);
        std::thread::sleep(Duration::from_millis(300 + round as u64 * 97 % 400));
        plan = server.plan.clone();
        facts.killed.store(true, Ordering::Relaxed);
        server.kill();
        for (promised, thread) in promised.iter_mut().zip(threads) {
            *promised = thread.join().expect("it saw nothing wrong");
        }
        executed += facts.executed.load(Ordering::Relaxed);
        aborted += facts.aborted.load(Ordering::Relaxed);
    }
    let server = plan.fresh_ports().start();
    check(&mut server.resp(), &mut promised);
    // Once more without a kill: nothing hangs, and the books balance at a clean stop too.
    let facts = Arc::new(Facts::default());
    let threads = load(&server, &promised, 99, &facts);
    std::thread::sleep(Duration::from_millis(500));
    facts.stop.store(true, Ordering::Relaxed);
    for (promised, thread) in promised.iter_mut().zip(threads) {
        *promised = thread.join().expect("it saw nothing wrong");
    }
    check(&mut server.resp(), &mut promised);
    server.stop();
    assert!(executed > 0);
    eprintln!(
        "{} rounds of kill -9: {executed} transactions, {aborted} aborted by WATCH; {:.1?}",
        rounds(),
        begun.elapsed()
    );
}
