//! Random commands on hashes against a plain map and a clock, in both forms; then the log replayed
//! and images taken while commands go on must yield what the commands left behind.

mod one_table;

use std::collections::BTreeMap;

use one_table::image::{images, recovered};
use one_table::{OneTable, show};
use synap_shards::command::reply::Reply;
use synap_shards::rng::Rng;
use synap_shards::seq::Seq;
use synap_shards::shard::{Shard, ShardTable, TypeCounts};
use synap_shards::types::Thresholds;

/// Few keys and fields, so that commands meet what others left.
const KEYS: usize = 6;
const FIELDS: usize = 40;
const COMMANDS: usize = 12_000;
/// Commands between two comparisons of everything.
const CHECK_EVERY: usize = 500;

/// Fields in the order in which they came; value and deadline.
type Fields = Vec<(Vec<u8>, Vec<u8>, Option<u64>)>;

struct Oracle {
    hashes: BTreeMap<Vec<u8>, Fields>,
    now_ms: u64,
    /// Keys and fields that commands choose from.
    names: (usize, usize),
    /// The clock moves by less than so many milliseconds at a time.
    pace: usize,
}

impl Oracle {
    fn new(db: &OneTable, names: (usize, usize), pace: usize) -> Self {
        Self { hashes: BTreeMap::new(), now_ms: db.now_ms, names, pace }
    }

    fn forget_expired(&mut self) {
        let now_ms = self.now_ms;
        for fields in self.hashes.values_mut() {
            fields.retain(|(.., deadline)| deadline.is_none_or(|at| at > now_ms));
        }
        self.hashes.retain(|_, fields| !fields.is_empty());
    }

    fn fields(&self, key: &[u8]) -> &[(Vec<u8>, Vec<u8>, Option<u64>)] {
        self.hashes.get(key).map_or(&[], Vec::as_slice)
    }

    fn find(&self, key: &[u8], field: &[u8]) -> Option<&(Vec<u8>, Vec<u8>, Option<u64>)> {
        self.fields(key).iter().find(|(name, ..)| name == field)
    }

    /// Whether it is new.
    fn set(&mut self, key: &[u8], field: &[u8], value: Vec<u8>, deadline: Option<u64>) -> bool {
        let fields = self.hashes.entry(key.to_vec()).or_default();
        match fields.iter_mut().find(|(name, ..)| name == field) {
            Some(found) => {
                (found.1, found.2) = (value, deadline);
                false
            }
            None => {
                fields.push((field.to_vec(), value, deadline));
                true
            }
        }
    }

    fn remove(&mut self, key: &[u8], field: &[u8]) -> Option<Vec<u8>> {
        let fields = self.hashes.get_mut(key)?;
        let at = fields.iter().position(|(name, ..)| name == field)?;
        let (_, value, _) = fields.remove(at);
        if fields.is_empty() {
            self.hashes.remove(key);
        }
        Some(value)
    }

    fn add(&mut self, key: &[u8], field: &[u8], amount: i64) -> String {
        let found = self.find(key, field).cloned();
        let (before, deadline) = match &found {
            None => (Some(0), None),
            Some((_, value, deadline)) => (integer(value), *deadline),
        };
        let Some(before) = before else { return "ERR hash value is not an integer".into() };
        let sum = before + amount;
        self.set(key, field, sum.to_string().into_bytes(), deadline);
        sum.to_string()
    }

    /// What the command about deadlines answers for one field.
    fn expire(&mut self, key: &[u8], field: &[u8], milliseconds: u64) -> i64 {
        let deadline = self.now_ms + milliseconds;
        let Some((_, value, _)) = self.find(key, field).cloned() else { return -2 };
        if milliseconds == 0 {
            self.remove(key, field);
            return 2;
        }
        self.set(key, field, value, Some(deadline));
        1
    }
}

fn integer(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn text_or_nil(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "nil".into(), text)
}

/// The words that are sent, and what the oracle says the answer is.
type Step = (Vec<Vec<u8>>, String);

fn sent(words: &[&[u8]], answer: impl Into<String>) -> Step {
    (words.iter().map(|word| word.to_vec()).collect(), answer.into())
}

struct Draw {
    key: Vec<u8>,
    field: Vec<u8>,
    other: Vec<u8>,
    value: Vec<u8>,
    number: u64,
}

impl Draw {
    fn new(rng: &mut Rng, (keys, fields): (usize, usize)) -> Self {
        let field = |rng: &mut Rng| format!("f{}", rng.below(fields)).into_bytes();
        let bound = 1 << rng.below(9);
        Self {
            key: format!("h{}", rng.below(keys)).into_bytes(),
            field: field(rng),
            other: field(rng),
            value: match rng.below(2) {
                0 => rng.below(1000).to_string().into_bytes(),
                _ => vec![rng.draw() as u8; rng.below(bound)],
            },
            number: rng.below(300) as u64,
        }
    }
}

fn write_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, field, other, value, number } = draw;
    let n = number.to_string().into_bytes();
    match kind {
        0..4 => {
            let created = [(field, value), (other, &n)]
                .map(|(field, value)| oracle.set(key, field, value.clone(), None));
            let created = created.iter().filter(|created| **created).count();
            sent(&[b"HSET", key, field, value, other, &n], created.to_string())
        }
        4 => {
            let absent = oracle.find(key, field).is_none();
            if absent {
                oracle.set(key, field, value.clone(), None);
            }
            sent(&[b"HSETNX", key, field, value], i64::from(absent).to_string())
        }
        5 => sent(&[b"HINCRBY", key, field, &n], oracle.add(key, field, *number as i64)),
        6 => {
            let removed = [field, other].map(|field| oracle.remove(key, field).is_some());
            let removed = removed.iter().filter(|removed| **removed).count();
            sent(&[b"HDEL", key, field, other, field], removed.to_string())
        }
        7 => {
            let value = oracle.remove(key, field);
            let answer = format!("[{}]", text_or_nil(value.as_deref()));
            sent(&[b"HGETDEL", key, b"FIELDS", b"1", field], answer)
        }
        8 => {
            let deadline = oracle.now_ms + 1 + number;
            oracle.set(key, field, value.clone(), Some(deadline));
            let at = deadline.to_string().into_bytes();
            sent(&[b"HSETEX", key, b"PXAT", &at, b"FIELDS", b"1", field, value], "1")
        }
        9 => {
            let had = oracle.find(key, field).map(|(_, value, at)| (value.clone(), at.is_some()));
            let answer = match had {
                None => "[-2]",
                Some((_, false)) => "[-1]",
                Some((value, true)) => {
                    oracle.set(key, field, value, None);
                    "[1]"
                }
            };
            sent(&[b"HPERSIST", key, b"FIELDS", b"1", field], answer)
        }
        10 if number.is_multiple_of(100) => {
            let was = oracle.hashes.remove(key).is_some();
            sent(&[b"DEL", key], i64::from(was).to_string())
        }
        11 if number.is_multiple_of(100) => {
            let to = format!("h{}", number % KEYS as u64).into_bytes();
            let answer = match oracle.hashes.get(key).cloned() {
                _ if to == *key => "ERR source and destination objects are the same",
                None => "0",
                Some(fields) => {
                    oracle.hashes.insert(to.clone(), fields);
                    "1"
                }
            };
            sent(&[b"COPY", key, &to, b"REPLACE"], answer)
        }
        _ => {
            let answers = [oracle.expire(key, field, *number), oracle.expire(key, other, *number)];
            let answer = format!("[{}, {}]", answers[0], answers[1]);
            sent(&[b"HPEXPIRE", key, &n, b"FIELDS", b"2", field, other], answer)
        }
    }
}

fn read_step(kind: usize, draw: &Draw, oracle: &Oracle) -> Step {
    let Draw { key, field, other, .. } = draw;
    let value = |field| oracle.find(key, field).map(|(_, value, _)| &value[..]);
    match kind {
        0 => sent(&[b"HGET", key, field], text_or_nil(value(field))),
        1 => {
            let answer = format!("[{}, {}]", text_or_nil(value(field)), text_or_nil(value(other)));
            sent(&[b"HMGET", key, field, other], answer)
        }
        2 => sent(&[b"HLEN", key], oracle.fields(key).len().to_string()),
        3 => sent(&[b"HEXISTS", key, field], i64::from(value(field).is_some()).to_string()),
        4 => sent(&[b"HSTRLEN", key, field], value(field).map_or(0, <[u8]>::len).to_string()),
        _ => {
            let left = match oracle.find(key, field) {
                None => -2,
                Some((.., None)) => -1,
                Some((.., Some(at))) => (at - oracle.now_ms) as i64,
            };
            sent(&[b"HPTTL", key, b"FIELDS", b"1", field], format!("[{left}]"))
        }
    }
}

/// Fields, values and deadlines of a key, as commands show them.
fn shown(db: &mut OneTable, key: &[u8]) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> {
    let Reply::Map(pairs) = db.run(&[b"HGETALL", key]) else { panic!("a map") };
    let bytes = |reply: &Reply<'_>| match reply {
        Reply::Bytes(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    };
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    let mut found = BTreeMap::new();
    for (name, value) in pairs {
        let reply = db.run(&[b"HPEXPIRETIME", key, b"FIELDS", b"1", &name]);
        let Reply::Array(items) = reply else { panic!("an array") };
        let [Reply::Integer(at)] = items[..] else { panic!("a number") };
        assert!(
            found.insert(name, (value, u64::try_from(at).ok())).is_none(),
            "a field came twice"
        );
    }
    found
}

fn expect_oracle(db: &mut OneTable, oracle: &Oracle) {
    for number in 0..KEYS {
        let key = format!("h{number}").into_bytes();
        let fields = oracle.fields(&key).iter().cloned();
        let expected: BTreeMap<_, _> =
            fields.map(|(name, value, at)| (name, (value, at))).collect();
        assert_eq!(shown(db, &key), expected, "h{number}");
    }
    for shard in db.shards.iter().flatten() {
        let named = shard.due_hash_count();
        assert!(named <= shard.key_count());
    }
}

/// What a shard keeps count of: its Seq, keys, hashes whose fields expire, keys and elements by
/// type.
type Books = (Seq, usize, usize, TypeCounts);

fn books(shards: &ShardTable) -> Vec<Books> {
    let of = |shard: &Shard| {
        (shard.seq(), shard.key_count(), shard.due_hash_count(), shard.type_counts())
    };
    shards.iter().flatten().map(|shard| of(shard)).collect()
}

/// A table of these shards, at the same time.
fn table_of(shards: ShardTable, db: &OneTable) -> OneTable {
    let mut table = OneTable::new();
    table.shards = shards;
    table.now_ms = db.now_ms;
    table
}

fn compare(db: &mut OneTable, oracle: &Oracle) {
    expect_oracle(db, oracle);
    let replayed = db.replayed();
    assert_eq!(books(&replayed), books(&db.shards), "the log yields what is live");
    expect_oracle(&mut table_of(replayed, db), oracle);
}

fn step(rng: &mut Rng, oracle: &mut Oracle) -> Step {
    let draw = Draw::new(rng, oracle.names);
    if rng.below(3) == 0 {
        read_step(rng.below(6), &draw, oracle)
    } else {
        write_step(rng.below(14), &draw, oracle)
    }
}

fn advance(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    if rng.below(4) == 0 {
        db.now_ms += rng.below(oracle.pace) as u64;
        oracle.now_ms = db.now_ms;
        oracle.forget_expired();
    }
}

fn carry_out(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    advance(rng, db, oracle);
    let (words, expected) = step(rng, oracle);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let answer = show(&db.run(&words));
    assert_eq!(answer, expected, "{words:?}");
}

fn with_entries_max(fields: usize) -> OneTable {
    OneTable::with(&Thresholds { hash_max_listpack_entries: fields, ..Thresholds::default() })
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for (seed, fields) in [(1, 128), (2, 4), (3, 0), (4, 20)] {
        let mut rng = Rng::new(seed);
        let mut db = with_entries_max(fields);
        let mut oracle = Oracle::new(&db, (KEYS, FIELDS), 30);
        for count in 1..=COMMANDS {
            carry_out(&mut rng, &mut db, &mut oracle);
            if count % CHECK_EVERY == 0 {
                compare(&mut db, &oracle);
            }
        }
    }
}

/// Sets fields that are more than one piece of an image holds.
fn fill(db: &mut OneTable, oracle: &mut Oracle, key: &[u8]) {
    for number in 0..1500 {
        let field = format!("f{number}").into_bytes();
        let value = vec![b'v'; 100];
        db.run(&[b"HSET", key, &field, &value]);
        oracle.set(key, &field, value, None);
    }
}

#[test]
fn an_image_taken_while_hashes_change_is_made_whole_by_the_log() {
    for seed in 1..=4 {
        let mut rng = Rng::new(seed);
        let mut db = with_entries_max(16);
        let mut oracle = Oracle::new(&db, (2, 3000), 2);
        let mut interrupted = 0;
        for _ in 0..4 {
            fill(&mut db, &mut oracle, b"h0");
            (0..1000).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
            let (images, interruptions) = images(&mut db, |db| {
                (0..40).for_each(|_| carry_out(&mut rng, db, &mut oracle));
            });
            interrupted += interruptions;
            (0..200).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
            let recovered = recovered(&db, &images);
            assert_eq!(books(&recovered), books(&db.shards));
            expect_oracle(&mut table_of(recovered, &db), &oracle);
        }
        assert!(interrupted > 2, "{interrupted} pieces were not the last");
    }
}
