//! Random commands against an oracle that knows nothing of shards, records or plans: a plain map
//! and a clock. The log, replayed, must yield what the commands left behind, stamps included.

mod one_table;

use std::collections::BTreeMap;

use one_table::{OneTable, show};
use synap_shards::key::shard_of;
use synap_shards::rng::Rng;
use synap_shards::shard::ShardTable;

/// Few keys, so that commands meet what others left.
const KEYS: usize = 24;
const COMMANDS: usize = 20_000;
/// Commands between two comparisons of everything.
const CHECK_EVERY: usize = 1_000;

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

struct Oracle {
    contents: Contents,
    now_ms: u64,
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn integer(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

impl Oracle {
    fn forget_expired(&mut self) {
        let now_ms = self.now_ms;
        self.contents.retain(|_, (_, deadline)| deadline.is_none_or(|at| at > now_ms));
    }

    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.contents.get(key).map(|(value, _)| &value[..])
    }

    fn deadline(&self, key: &[u8]) -> Option<u64> {
        self.contents.get(key).and_then(|(_, deadline)| *deadline)
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>, deadline: Option<u64>) {
        self.contents.insert(key.to_vec(), (value, deadline));
    }

    fn get(&self, key: &[u8]) -> String {
        self.value(key).map_or_else(|| "nil".into(), text)
    }

    /// The value, its deadline kept, as `edit` makes it.
    fn edit(&mut self, key: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> String {
        let (value, _) = self.contents.entry(key.to_vec()).or_default();
        edit(value);
        value.len().to_string()
    }

    fn add(&mut self, key: &[u8], amount: i64) -> String {
        let before = self.value(key).map_or(Some(0), integer);
        let Some(before) = before else { return NOT_INTEGER.into() };
        let Some(sum) = before.checked_add(amount) else {
            return "ERR increment or decrement would overflow".into();
        };
        let deadline = self.deadline(key);
        self.put(key, sum.to_string().into_bytes(), deadline);
        sum.to_string()
    }

    fn expire(&mut self, key: &[u8], milliseconds: i64) -> String {
        let Some((_, deadline)) = self.contents.get_mut(key) else { return "0".into() };
        *deadline = Some(self.now_ms.saturating_add_signed(milliseconds));
        self.forget_expired();
        "1".into()
    }

    fn rename(&mut self, key: &[u8], to: &[u8]) -> String {
        let Some(entry) = self.contents.remove(key) else { return "ERR no such key".into() };
        self.contents.insert(to.to_vec(), entry);
        "OK".into()
    }

    fn copy(&mut self, key: &[u8], to: &[u8]) -> String {
        if key == to {
            return "ERR source and destination objects are the same".into();
        }
        let Some(entry) = self.contents.get(key).cloned() else { return "0".into() };
        self.contents.insert(to.to_vec(), entry);
        "1".into()
    }
}

/// What a random command is made of.
struct Draw {
    key: Vec<u8>,
    other: Vec<u8>,
    value: Vec<u8>,
    number: i64,
}

impl Draw {
    fn new(rng: &mut Rng) -> Self {
        let bound = 1 << rng.below(12);
        Self {
            key: format!("k{}", rng.below(KEYS)).into_bytes(),
            other: format!("k{}", rng.below(KEYS)).into_bytes(),
            value: match rng.below(2) {
                0 => (rng.below(2000) as i64 - 1000).to_string().into_bytes(),
                _ => vec![rng.draw() as u8; rng.below(bound)],
            },
            number: rng.below(3000) as i64 - 200,
        }
    }
}

/// The words that are sent, and what the oracle says the answer is.
type Step = (Vec<Vec<u8>>, String);

fn sent(words: &[&[u8]], answer: impl Into<String>) -> Step {
    (words.iter().map(|word| word.to_vec()).collect(), answer.into())
}

fn set_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, other, value, number } = draw;
    let n = number.to_string().into_bytes();
    let existed = oracle.value(key).is_some();
    match kind {
        0 => {
            let milliseconds = 1 + number.unsigned_abs();
            oracle.put(key, value.clone(), Some(oracle.now_ms + milliseconds));
            sent(&[b"SET", key, value, b"PX", milliseconds.to_string().as_bytes()], "OK")
        }
        1 => {
            let old = oracle.get(key);
            let deadline = oracle.deadline(key);
            if existed {
                oracle.put(key, value.clone(), deadline);
            }
            sent(&[b"SET", key, value, b"KEEPTTL", b"XX", b"GET"], old)
        }
        2 => {
            if !existed {
                oracle.put(key, value.clone(), None);
            }
            sent(&[b"SETNX", key, value], i64::from(!existed).to_string())
        }
        3 => {
            let holds = oracle.value(key) == Some(value);
            if holds {
                oracle.put(key, n.clone(), None);
            }
            sent(&[b"SET", key, &n, b"IFEQ", value], if holds { "OK" } else { "nil" })
        }
        4 => {
            oracle.put(key, value.clone(), None);
            oracle.put(other, n.clone(), None);
            sent(&[b"MSET", key, value, other, &n], "OK")
        }
        _ => {
            oracle.put(key, value.clone(), None);
            sent(&[b"SET", key, value], "OK")
        }
    }
}

fn edit_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, value, number, .. } = draw;
    let n = number.to_string().into_bytes();
    let at = number.unsigned_abs() as usize;
    let offset = at.to_string().into_bytes();
    match kind {
        0 => {
            let answer = oracle.edit(key, |old| old.extend_from_slice(value));
            sent(&[b"APPEND", key, value], answer)
        }
        1 => {
            let answer = oracle.edit(key, |old| {
                old.resize(old.len().max(at + n.len()), 0);
                old[at..at + n.len()].copy_from_slice(&n);
            });
            sent(&[b"SETRANGE", key, &offset, &n], answer)
        }
        2 => {
            let mut was = 0;
            oracle.edit(key, |old| {
                old.resize(old.len().max(at / 8 + 1), 0);
                was = old[at / 8] >> (7 - at % 8) & 1;
                old[at / 8] |= 0x80 >> (at % 8);
            });
            sent(&[b"SETBIT", key, &offset, b"1"], was.to_string())
        }
        _ => sent(&[b"INCRBY", key, &n], oracle.add(key, *number)),
    }
}

fn key_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, other, number, .. } = draw;
    match kind {
        0 => sent(&[b"GET", key], oracle.get(key)),
        1 => {
            let old = oracle.get(key);
            oracle.contents.remove(key);
            sent(&[b"GETDEL", key], old)
        }
        2 => {
            let both = [key, other].map(|key| oracle.contents.remove(key).is_some());
            let count = both.iter().filter(|existed| **existed).count();
            sent(&[b"DEL", key, other], count.to_string())
        }
        3 => {
            let had = oracle.deadline(key).is_some();
            if had {
                oracle.contents.get_mut(key).expect("it has a deadline").1 = None;
            }
            sent(&[b"PERSIST", key], i64::from(had).to_string())
        }
        4 => sent(&[b"RENAME", key, other], oracle.rename(key, other)),
        5 => sent(&[b"COPY", key, other, b"REPLACE"], oracle.copy(key, other)),
        6 => {
            let left = match (oracle.value(key), oracle.deadline(key)) {
                (None, _) => -2,
                (Some(_), None) => -1,
                (Some(_), Some(deadline)) => (deadline - oracle.now_ms) as i64,
            };
            sent(&[b"PTTL", key], left.to_string())
        }
        _ => {
            let answer = oracle.expire(key, *number);
            sent(&[b"PEXPIRE", key, number.to_string().as_bytes()], answer)
        }
    }
}

fn step(rng: &mut Rng, oracle: &mut Oracle) -> Step {
    let draw = Draw::new(rng);
    match rng.below(3) {
        0 => set_step(rng.below(8), &draw, oracle),
        1 => edit_step(rng.below(6), &draw, oracle),
        _ => key_step(rng.below(10), &draw, oracle),
    }
}

/// What the shards hold, expired entries that still stand included.
fn contents(shards: &ShardTable) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>, u64)> {
    let mut found = BTreeMap::new();
    for shard in shards.iter().flatten() {
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                assert_eq!(shard_of(entry.key()), shard.id());
                let value = (entry.image(), entry.deadline_ms(), entry.stamp().get());
                found.insert(entry.key().to_vec(), value);
            });
        }
    }
    found
}

fn compare(db: &OneTable, oracle: &Oracle) {
    let live = contents(&db.shards);
    let seen: Contents = live
        .iter()
        .filter(|(_, (_, deadline, _))| deadline.is_none_or(|at| at > db.now_ms))
        .map(|(key, (value, deadline, _))| (key.clone(), (value.clone(), *deadline)))
        .collect();
    assert_eq!(seen, oracle.contents, "the shards hold what the oracle holds");
    let replayed = db.replayed();
    assert_eq!(contents(&replayed), live, "the log yields what is live");
    for (a, b) in replayed.iter().flatten().zip(db.shards.iter().flatten()) {
        assert_eq!(a.seq(), b.seq());
        assert_eq!(a.key_count(), b.key_count());
        assert_eq!(a.volatile_count(), b.volatile_count());
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut db = OneTable::new();
    let mut oracle = Oracle { contents: Contents::new(), now_ms: db.now_ms };
    for count in 1..=COMMANDS {
        if rng.below(4) == 0 {
            db.now_ms += rng.below(200) as u64;
            oracle.now_ms = db.now_ms;
            oracle.forget_expired();
        }
        let (words, expected) = step(&mut rng, &mut oracle);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let answer = show(&db.run(&words));
        assert_eq!(answer, expected, "seed {seed}, command {count}: {words:?}");
        if count % CHECK_EVERY == 0 {
            compare(&db, &oracle);
        }
    }
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in [1, 2] {
        run(seed);
    }
}

#[test]
fn flushing_is_replayed() {
    let mut db = OneTable::new();
    let mut oracle = Oracle { contents: Contents::new(), now_ms: db.now_ms };
    db.expect(&[
        ("MSET a 1 b 2 c 3 d 4", "OK"),
        ("FLUSHALL", "OK"),
        ("SETBIT e 9 1", "0"),
        ("BITFIELD f SET u8 0 1 SET u8 80 2", "[0, 0]"),
    ]);
    oracle.put(b"e", vec![0, 0x40], None);
    oracle.put(b"f", vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], None);
    compare(&db, &oracle);
}

#[test]
fn a_command_that_errs_writes_nothing() {
    let mut db = OneTable::new();
    db.expect(&[("SET text x", "OK")]);
    let before = db.log.len();
    for line in [
        "INCR text",
        "INCRBYFLOAT text 1",
        "MSET a 1 b",
        "SETRANGE text -1 x",
        "SETBIT text 0 2",
        "BITFIELD text SET u8 0 1 SET u8 0 x",
        "RENAME none text",
        "EXPIRE text 9223372036854775807",
        "RESTORE text 0 x REPLACE",
        "BITOP NOT text a b",
    ] {
        assert!(db.ask(line).starts_with("ERR "), "{line}");
    }
    let long = vec![b'k'; 64 * 1024 + 1];
    assert!(show(&db.run(&[b"MSET", b"a", b"1", &long, b"2"])).starts_with("ERR key of 65537"));
    assert_eq!(db.log.len(), before);
    db.expect(&[("DBSIZE", "1"), ("GET text", "\"x\"")]);
}
