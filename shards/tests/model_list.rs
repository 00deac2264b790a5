//! Random list commands against plain deques. Lists stay small and become large by low thresholds;
//! what the log replays, and what an image taken meanwhile plus the rest of the log comes to, must
//! be what the commands left behind.

mod one_table;

use std::collections::{BTreeMap, VecDeque};

use one_table::{OneTable, show};
use synap_shards::batch::Batch;
use synap_shards::command::reply::Reply;
use synap_shards::id::ShardId;
use synap_shards::rng::Rng;
use synap_shards::shard::evict::AccessMode;
use synap_shards::shard::{Shard, ShardTable};
use synap_shards::snapshot::{Pieces, push_entry, take_entry};
use synap_shards::types::Thresholds;

const KEYS: usize = 6;
const COMMANDS: usize = 4_000;
/// Commands between two comparisons of everything.
const CHECK_EVERY: usize = 800;

type List = VecDeque<Vec<u8>>;

#[derive(Default)]
struct Oracle(BTreeMap<Vec<u8>, List>);

fn bytes(element: &[u8]) -> Reply<'static> {
    Reply::owned(element.to_vec())
}

fn optional(element: Option<Vec<u8>>) -> Reply<'static> {
    element.map_or(Reply::Nil, Reply::owned)
}

fn text(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

impl Oracle {
    fn list(&self, key: &[u8]) -> List {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn put(&mut self, key: &[u8], list: List) {
        if list.is_empty() {
            self.0.remove(key);
        } else {
            self.0.insert(key.to_vec(), list);
        }
    }

    fn push(&mut self, key: &[u8], left: bool, values: &[Vec<u8>]) -> Reply<'static> {
        let mut list = self.list(key);
        for value in values {
            if left {
                list.push_front(value.clone());
            } else {
                list.push_back(value.clone());
            }
        }
        let length = list.len();
        self.put(key, list);
        Reply::count(length)
    }

    fn pop(&mut self, key: &[u8], left: bool) -> Option<Vec<u8>> {
        let mut list = self.list(key);
        let popped = if left { list.pop_front() } else { list.pop_back() };
        self.put(key, list);
        popped
    }

    fn range(&self, key: &[u8], start: i64, stop: i64) -> List {
        let list = self.list(key);
        let length = list.len() as i64;
        let at = |index: i64| if index < 0 { index + length } else { index };
        let (start, stop) = (at(start).max(0), at(stop).min(length - 1));
        (start..=stop).filter_map(|index| list.get(index as usize).cloned()).collect()
    }

    fn set(&mut self, key: &[u8], index: i64, value: &[u8]) -> String {
        let mut list = self.list(key);
        if list.is_empty() {
            return "ERR no such key".into();
        }
        let at = if index < 0 { index + list.len() as i64 } else { index };
        let Some(place) = usize::try_from(at).ok().and_then(|at| list.get_mut(at)) else {
            return "ERR index out of range".into();
        };
        *place = value.to_vec();
        self.put(key, list);
        "OK".into()
    }

    fn insert(&mut self, key: &[u8], before: bool, pivot: &[u8], value: &[u8]) -> Reply<'static> {
        let mut list = self.list(key);
        if list.is_empty() {
            return Reply::Integer(0);
        }
        let Some(at) = list.iter().position(|element| element == pivot) else {
            return Reply::Integer(-1);
        };
        list.insert(at + usize::from(!before), value.to_vec());
        let length = list.len();
        self.put(key, list);
        Reply::count(length)
    }

    fn remove(&mut self, key: &[u8], count: i64, value: &[u8]) -> Reply<'static> {
        let mut list = self.list(key);
        let mut left = if count == 0 { i64::MAX } else { count.abs() };
        let before = list.len();
        let mut indexes: Vec<usize> = (0..before).collect();
        if count < 0 {
            indexes.reverse();
        }
        let mut gone = vec![false; before];
        for index in indexes {
            if left > 0 && list[index] == value {
                gone[index] = true;
                left -= 1;
            }
        }
        let mut index = 0;
        list.retain(|_| {
            index += 1;
            !gone[index - 1]
        });
        let removed = before - list.len();
        self.put(key, list);
        Reply::count(removed)
    }

    fn transfer(&mut self, from: (&[u8], bool), to: (&[u8], bool)) -> Option<Vec<u8>> {
        let element = self.pop(from.0, from.1)?;
        self.push(to.0, to.1, std::slice::from_ref(&element));
        Some(element)
    }
}

/// Few values, so that searches find something; some long ones.
fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => vec![b'x'; rng.below(400)],
        1 => vec![b'y'; 100 + rng.below(60)],
        _ => format!("v{}", rng.below(9)).into_bytes(),
    }
}

fn end(left: bool) -> &'static [u8] {
    if left { b"LEFT" } else { b"RIGHT" }
}

type Step = (Vec<Vec<u8>>, String);

fn sent(words: &[&[u8]], answer: &Reply<'_>) -> Step {
    (words.iter().map(|word| word.to_vec()).collect(), show(answer))
}

fn array(items: impl IntoIterator<Item = Vec<u8>>) -> Reply<'static> {
    Reply::Array(items.into_iter().map(Reply::owned).collect())
}

fn step(rng: &mut Rng, oracle: &mut Oracle) -> Step {
    let key = format!("k{}", rng.below(KEYS)).into_bytes();
    let other = format!("k{}", rng.below(KEYS)).into_bytes();
    let (left, before) = (rng.below(2) == 0, rng.below(2) == 0);
    let element = value(rng);
    let number = rng.below(60) as i64 - 30;
    let n = text(number);
    match rng.below(16) {
        0..=4 => {
            let values: Vec<Vec<u8>> = (0..=rng.below(6)).map(|_| value(rng)).collect();
            let name: &[u8] = if left { b"LPUSH" } else { b"RPUSH" };
            let mut words = vec![name, &key];
            words.extend(values.iter().map(Vec::as_slice));
            sent(&words, &oracle.push(&key, left, &values))
        }
        5 | 6 => {
            let name: &[u8] = if left { b"LPOP" } else { b"RPOP" };
            sent(&[name, &key], &optional(oracle.pop(&key, left)))
        }
        7 => {
            let count = rng.below(5);
            let had = !oracle.list(&key).is_empty();
            let popped: Vec<Vec<u8>> = (0..count).filter_map(|_| oracle.pop(&key, left)).collect();
            let name: &[u8] = if left { b"LPOP" } else { b"RPOP" };
            let answer = if had { array(popped) } else { Reply::NilArray };
            sent(&[name, &key, &text(count as i64)], &answer)
        }
        8 => {
            let stop = number + rng.below(20) as i64;
            let kept = oracle.range(&key, number, stop);
            if rng.below(8) == 0 {
                oracle.put(&key, kept);
                sent(&[b"LTRIM", &key, &n, &text(stop)], &Reply::Ok)
            } else {
                sent(&[b"LRANGE", &key, &n, &text(stop)], &array(kept))
            }
        }
        9 => {
            let answer = oracle.set(&key, number, &element);
            let words: [&[u8]; 4] = [b"LSET", &key, &n, &element];
            (words.iter().map(|word| word.to_vec()).collect(), answer)
        }
        10 | 11 => {
            let pivot = value(rng);
            let side: &[u8] = if before { b"BEFORE" } else { b"AFTER" };
            let answer = oracle.insert(&key, before, &pivot, &element);
            sent(&[b"LINSERT", &key, side, &pivot, &element], &answer)
        }
        12 => {
            let count = number % 4;
            let answer = oracle.remove(&key, count, &element);
            sent(&[b"LREM", &key, &text(count), &element], &answer)
        }
        13 => {
            let moved = oracle.transfer((&key, left), (&other, before));
            sent(&[b"LMOVE", &key, &other, end(left), end(before)], &optional(moved))
        }
        14 => {
            let list = oracle.list(&key);
            let at = if number < 0 { number + list.len() as i64 } else { number };
            let found = usize::try_from(at).ok().and_then(|at| list.get(at));
            sent(&[b"LINDEX", &key, &n], &found.map_or(Reply::Nil, |found| bytes(found)))
        }
        _ => {
            let list = oracle.list(&key);
            let found = list.iter().enumerate().filter(|(_, each)| **each == element);
            let found = found.map(|(index, _)| Reply::count(index)).collect();
            sent(&[b"LPOS", &key, &element, b"COUNT", b"0"], &Reply::Array(found))
        }
    }
}

/// Everything in a table, by key.
fn contents(shards: &ShardTable) -> BTreeMap<Vec<u8>, (Vec<u8>, u64)> {
    let mut all = BTreeMap::new();
    for shard in shards.iter().flatten() {
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                all.insert(entry.key().to_vec(), (entry.image(), entry.stamp().get()));
            });
        }
    }
    all
}

/// An image that is being taken of every shard while commands go on.
struct Imaging {
    bytes: Vec<u8>,
    seqs: Vec<synap_shards::seq::Seq>,
    log_start: usize,
    pieces: Vec<(usize, Pieces)>,
}

impl Imaging {
    fn begin(db: &OneTable) -> Self {
        let mut bytes = Vec::new();
        let mut pieces = Vec::new();
        let shards = db.shards.iter().flatten();
        let seqs = shards.clone().map(|shard| shard.seq()).collect();
        for (number, shard) in shards.enumerate() {
            let mut position = Some(0);
            while let Some(at) = position {
                position = shard.walk(at, |entry| match Pieces::begin(&entry) {
                    Some(begun) => pieces.push((number, begun)),
                    None => push_entry(&mut bytes, &entry),
                });
            }
        }
        Self { bytes, seqs, log_start: db.log.len(), pieces }
    }

    /// Writes one more piece; whether there is more.
    fn go_on(&mut self, db: &OneTable) -> bool {
        let Some((number, pieces)) = self.pieces.last_mut() else { return false };
        let shard = db.shards[*number].as_deref().expect("all are here");
        if !pieces.write(shard, &mut self.bytes) {
            self.pieces.pop();
        }
        true
    }

    /// What image and later batches come to.
    fn recovered(&self, db: &OneTable, thresholds: &Thresholds) -> ShardTable {
        let mut shards: ShardTable = std::array::from_fn(|index| {
            let mut shard = Shard::new(ShardId::new(index), 5, AccessMode::Recency);
            shard.set_thresholds(*thresholds);
            shard.begin_load(self.seqs[index]);
            Some(Box::new(shard))
        });
        let mut image = &self.bytes[..];
        while !image.is_empty() {
            let entry = take_entry(&mut image).expect("it was just written");
            let shard = synap_shards::key::shard_of(entry.key).index();
            shards[shard].as_mut().expect("all are here").load(&entry);
        }
        let mut rest = &db.log[self.log_start..];
        while !rest.is_empty() {
            let (batch, after) = Batch::decode(rest).expect("the log is whole");
            for part in batch.parts() {
                shards[part.shard.index()].as_mut().expect("all are here").replay(&batch);
            }
            rest = after;
        }
        shards
    }
}

fn run(seed: u64, size: i64) {
    let thresholds = Thresholds { list_max_listpack_size: size, ..Thresholds::default() };
    let mut db = OneTable::with(&thresholds);
    let (mut rng, mut oracle) = (Rng::new(seed), Oracle::default());
    let mut imaging: Option<Imaging> = None;
    for number in 0..COMMANDS {
        let (words, answer) = step(&mut rng, &mut oracle);
        let sent: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let shown = show(&db.run(&sent));
        let line: Vec<_> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        assert_eq!(shown, answer, "seed {seed}, size {size}, command {number}: {line:?}");
        match &mut imaging {
            None if number % 700 == 50 => imaging = Some(Imaging::begin(&db)),
            Some(taken) if rng.below(20) == 0 => {
                if !taken.go_on(&db) {
                    let recovered = taken.recovered(&db, &thresholds);
                    assert_eq!(contents(&recovered), contents(&db.shards), "image at {number}");
                    imaging = None;
                }
            }
            Some(_) | None => {}
        }
        if number % CHECK_EVERY == 0 {
            let live = contents(&db.shards);
            assert_eq!(live, contents(&db.replayed()), "seed {seed}, command {number}");
            assert!(live.keys().eq(oracle.0.keys()), "an empty list is gone");
            for (key, list) in &oracle.0 {
                let all = show(&db.run(&[b"LRANGE", key, b"0", b"-1"]));
                assert_eq!(all, show(&array(list.iter().cloned())));
            }
        }
    }
}

#[test]
fn lists_of_few_elements_per_node_are_as_a_deque() {
    run(1, 3);
    run(2, 1);
}

#[test]
fn lists_of_kilobytes_per_node_are_as_a_deque() {
    run(3, -1);
    run(4, 40);
}
