//! Random commands on sorted sets against plain maps. The log, replayed, must yield what the
//! commands left behind, and so must an image that is taken in pieces while commands go on.

mod one_table;

use std::collections::BTreeMap;

use one_table::{OneTable, show};
use synap_shards::batch::Batch;
use synap_shards::key::shard_of;
use synap_shards::rng::Rng;
use synap_shards::shard::evict::AccessMode;
use synap_shards::shard::{Shard, ShardTable, ValueType};
use synap_shards::snapshot::{Pieces, push_entry, take_entry};
use synap_shards::types::Thresholds;

const KEYS: usize = 5;
const MEMBERS: usize = 40;
const COMMANDS: usize = 8_000;
const CHECK_EVERY: usize = 800;

type Members = BTreeMap<Vec<u8>, f64>;
type Contents = BTreeMap<Vec<u8>, Members>;

/// In the order of a sorted set.
fn sorted(members: &Members) -> Vec<(&[u8], f64)> {
    let mut all: Vec<(&[u8], f64)> = members.iter().map(|(m, s)| (&m[..], *s)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(b.0)));
    all
}

fn text(member: &[u8]) -> String {
    format!("\"{}\"", member.escape_ascii())
}

fn list<'m>(members: impl Iterator<Item = &'m (&'m [u8], f64)>) -> String {
    let all: Vec<String> = members.map(|(member, _)| text(member)).collect();
    format!("[{}]", all.join(", "))
}

fn pairs<'m>(members: impl Iterator<Item = &'m (&'m [u8], f64)>) -> String {
    let all: Vec<String> =
        members.map(|(member, score)| format!("[{}, {score}]", text(member))).collect();
    format!("[{}]", all.join(", "))
}

struct Oracle {
    contents: Contents,
}

/// The words that are sent, and what the oracle says the answer is.
type Step = (Vec<Vec<u8>>, String);

fn sent(line: &str, answer: impl Into<String>) -> Step {
    (line.split(' ').map(|word| word.as_bytes().to_vec()).collect(), answer.into())
}

struct Draw {
    key: String,
    other: String,
    members: [String; 3],
    scores: [f64; 3],
    numbers: [i64; 2],
}

impl Draw {
    fn new(rng: &mut Rng) -> Self {
        let member = |rng: &mut Rng| {
            let number = rng.below(MEMBERS);
            // Some are too long for the packed form.
            if number == 7 { "seven".repeat(5) } else { format!("m{number}") }
        };
        let score = |rng: &mut Rng| match rng.below(8) {
            0 => f64::INFINITY,
            1 => rng.below(1000) as f64 / 8.0,
            2 => -(rng.below(100_000) as f64),
            _ => rng.below(6) as f64,
        };
        Self {
            key: format!("k{}", rng.below(KEYS)),
            other: format!("k{}", rng.below(KEYS)),
            members: [member(rng), member(rng), member(rng)],
            scores: [score(rng), score(rng), score(rng)],
            numbers: [rng.below(30) as i64 - 10, rng.below(30) as i64 - 10],
        }
    }
}

impl Oracle {
    fn set(&self, key: &str) -> Members {
        self.contents.get(key.as_bytes()).cloned().unwrap_or_default()
    }

    fn keep(&mut self, key: &str, members: Members) {
        if members.is_empty() {
            self.contents.remove(key.as_bytes());
        } else {
            self.contents.insert(key.as_bytes().to_vec(), members);
        }
    }

    fn add(&mut self, kind: usize, draw: &Draw) -> Step {
        let Draw { key, members: [a, b, c], scores: [x, y, z], .. } = draw;
        let mut set = self.set(key);
        let before = set.clone();
        let options = ["", "NX ", "XX CH ", "GT CH ", "LT CH "][kind];
        for (member, score) in [(a, x), (b, y), (c, z)] {
            let old = set.get(member.as_bytes()).copied();
            let allowed = match kind {
                0 => true,
                1 => old.is_none(),
                2 => old.is_some(),
                3 => old.is_none_or(|old| *score > old),
                _ => old.is_none_or(|old| *score < old),
            };
            if allowed {
                set.insert(member.clone().into_bytes(), *score);
            }
        }
        let added = set.len() - before.len();
        // A member may stand twice in one command; then it may count twice as changed.
        let distinct = a != b && b != c && a != c;
        let changed = set.iter().filter(|(m, s)| before.get(*m) != Some(*s)).count();
        self.keep(key, set);
        let answer = if kind < 2 { added } else { changed };
        let answer = if distinct || kind < 2 { answer.to_string() } else { "*".into() };
        sent(&format!("ZADD {key} {options}{x} {a} {y} {b} {z} {c}"), answer)
    }

    fn increase(&mut self, draw: &Draw) -> Step {
        let Draw { key, members: [member, ..], numbers: [by, _], .. } = draw;
        let mut set = self.set(key);
        let score = set.entry(member.clone().into_bytes()).or_default();
        *score += *by as f64;
        let answer = score.to_string();
        self.keep(key, set);
        sent(&format!("ZINCRBY {key} {by} {member}"), answer)
    }

    fn remove(&mut self, kind: usize, draw: &Draw) -> Step {
        let Draw {
            key, members: [a, b, c], numbers: [first, last], scores: [low, high, _], ..
        } = draw;
        let mut set = self.set(key);
        let before = set.len();
        let line = match kind {
            0 | 1 => {
                for member in [a, b, c] {
                    set.remove(member.as_bytes());
                }
                format!("ZREM {key} {a} {b} {c}")
            }
            2 => {
                let ranks = ranks(*first, *last, before);
                let gone: Vec<Vec<u8>> =
                    sorted(&set)[ranks].iter().map(|(m, _)| m.to_vec()).collect();
                set.retain(|member, _| !gone.contains(member));
                format!("ZREMRANGEBYRANK {key} {first} {last}")
            }
            _ => {
                set.retain(|_, score| *score <= *low || *score > *high);
                format!("ZREMRANGEBYSCORE {key} ({low} {high}")
            }
        };
        let answer = (before - set.len()).to_string();
        self.keep(key, set);
        sent(&line, answer)
    }

    fn pop(&mut self, highest: bool, draw: &Draw) -> Step {
        let (key, count) = (&draw.key, draw.numbers[0].unsigned_abs() as usize % 4);
        let set = self.set(key);
        let mut order = sorted(&set);
        if highest {
            order.reverse();
        }
        let (taken, left) = order.split_at(count.min(order.len()));
        let answer = pairs(taken.iter());
        let left = left.iter().map(|(m, s)| (m.to_vec(), *s)).collect();
        self.keep(key, left);
        sent(&format!("ZPOP{} {key} {count}", if highest { "MAX" } else { "MIN" }), answer)
    }

    fn look(&self, kind: usize, draw: &Draw) -> Step {
        let Draw {
            key, members: [member, ..], numbers: [first, last], scores: [low, high, _], ..
        } = draw;
        let set = self.set(key);
        let order = sorted(&set);
        let within = |(_, score): &&(&[u8], f64)| *score >= *low && *score <= *high;
        match kind {
            0 => sent(&format!("ZCARD {key}"), set.len().to_string()),
            1 => {
                let score = set.get(member.as_bytes());
                sent(
                    &format!("ZSCORE {key} {member}"),
                    score.map_or_else(|| "nil".into(), f64::to_string),
                )
            }
            2 => {
                let rank = order.iter().rev().position(|(m, _)| *m == member.as_bytes());
                sent(
                    &format!("ZREVRANK {key} {member}"),
                    rank.map_or_else(|| "nil".into(), |rank| rank.to_string()),
                )
            }
            3 => sent(
                &format!("ZRANGE {key} {first} {last} WITHSCORES"),
                pairs(order[ranks(*first, *last, order.len())].iter()),
            ),
            4 => {
                let reversed: Vec<_> = order.iter().rev().copied().collect();
                let shown = &reversed[ranks(*first, *last, order.len())];
                sent(&format!("ZREVRANGE {key} {first} {last}"), list(shown.iter()))
            }
            5 => sent(
                &format!("ZCOUNT {key} {low} {high}"),
                order.iter().filter(within).count().to_string(),
            ),
            6 => sent(
                &format!("ZRANGEBYSCORE {key} {low} {high} LIMIT 1 3"),
                list(order.iter().filter(within).skip(1).take(3)),
            ),
            _ => sent(
                &format!("ZREVRANGEBYSCORE {key} {high} {low} LIMIT 2 2"),
                list(order.iter().rev().filter(within).skip(2).take(2)),
            ),
        }
    }

    fn combine(&mut self, kind: usize, draw: &Draw) -> Step {
        let Draw { key, other, numbers: [first, last], .. } = draw;
        let (a, b) = (self.set(key), self.set(other));
        let (line, result): (String, Members) = match kind {
            0 => {
                let mut union = a.clone();
                for (member, score) in b {
                    *union.entry(member).or_default() += score;
                }
                (format!("ZUNIONSTORE to 2 {key} {other}"), union)
            }
            1 => {
                let least = |(m, s): (Vec<u8>, f64)| b.get(&m).map(|t| (m.clone(), s.min(*t)));
                let joined = a.into_iter().filter_map(least).collect();
                (format!("ZINTERSTORE to 2 {key} {other} AGGREGATE MIN"), joined)
            }
            2 => {
                let left = a.into_iter().filter(|(m, _)| !b.contains_key(m)).collect();
                (format!("ZDIFFSTORE to 2 {key} {other}"), left)
            }
            _ => {
                let order = sorted(&a);
                let range = &order[ranks(*first, *last, order.len())];
                let part = range.iter().map(|(m, s)| (m.to_vec(), *s)).collect();
                (format!("ZRANGESTORE to {key} {first} {last}"), part)
            }
        };
        let answer = result.len().to_string();
        self.keep("to", result);
        sent(&line, answer)
    }

    fn whole(&mut self, kind: usize, draw: &Draw) -> Step {
        let (key, other) = (&draw.key, &draw.other);
        let existed = self.contents.contains_key(key.as_bytes());
        match kind {
            0 => {
                self.contents.remove(key.as_bytes());
                sent(&format!("DEL {key}"), i64::from(existed).to_string())
            }
            1 if key != other => {
                if existed {
                    let set = self.set(key);
                    self.keep(other, set);
                }
                sent(&format!("COPY {key} {other} REPLACE"), i64::from(existed).to_string())
            }
            2 if existed => {
                let set = self.contents.remove(key.as_bytes()).expect("it is there");
                self.keep(other, set);
                sent(&format!("RENAME {key} {other}"), "OK")
            }
            _ => sent(&format!("EXISTS {key}"), i64::from(existed).to_string()),
        }
    }

    fn step(&mut self, rng: &mut Rng) -> Step {
        let draw = Draw::new(rng);
        match rng.below(16) {
            0..5 => self.add(rng.below(5), &draw),
            5 => self.increase(&draw),
            6 | 7 => self.remove(rng.below(4), &draw),
            8 => self.pop(rng.below(2) == 0, &draw),
            9..13 => self.look(rng.below(8), &draw),
            13 | 14 => self.combine(rng.below(4), &draw),
            _ => self.whole(rng.below(6), &draw),
        }
    }
}

fn ranks(first: i64, last: i64, len: usize) -> std::ops::Range<usize> {
    let from_end = |at: i64| if at < 0 { at + len as i64 } else { at };
    let (first, last) = (from_end(first).max(0), from_end(last).min(len as i64 - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

/// The members that edits build, and whether the set is large.
fn members_in(mut edits: &[u8]) -> Members {
    let mut members = Members::new();
    while let [1, length, rest @ ..] = edits {
        let (member, rest) = rest.split_at(usize::from(*length));
        let (score, rest) = rest.split_first_chunk::<8>().expect("a score follows");
        members.insert(member.to_vec(), f64::from_le_bytes(*score));
        edits = rest;
    }
    assert!(edits.is_empty(), "an image has members only");
    members
}

fn sets_of(shard: &Shard, found: &mut BTreeMap<Vec<u8>, (Members, u64, bool)>) {
    let mut position = Some(0);
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            assert_eq!(entry.value_type(), ValueType::SortedSet);
            let members = members_in(&entry.image());
            assert_eq!(entry.element_count(), members.len());
            let value = (members, entry.stamp().get(), entry.is_large());
            found.insert(entry.key().to_vec(), value);
        });
    }
}

fn contents(shards: &ShardTable) -> BTreeMap<Vec<u8>, (Members, u64, bool)> {
    let mut found = BTreeMap::new();
    shards.iter().flatten().for_each(|shard| sets_of(shard, &mut found));
    found
}

fn thresholds() -> Thresholds {
    Thresholds {
        zset_max_listpack_entries: 12,
        zset_max_listpack_value: 20,
        ..Thresholds::default()
    }
}

fn compare(db: &OneTable, oracle: &Oracle) {
    let live = contents(&db.shards);
    let seen: Contents =
        live.iter().map(|(key, (members, ..))| (key.clone(), members.clone())).collect();
    assert_eq!(seen, oracle.contents, "the shards hold what the oracle holds");
    // Forms are no data, so that the log is replayed with other thresholds than it was written.
    let replayed = contents(&db.replayed());
    let plain = |contents: BTreeMap<Vec<u8>, (Members, u64, bool)>| {
        let all = contents.into_iter().map(|(key, (members, stamp, _))| (key, (members, stamp)));
        all.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(plain(replayed), plain(live), "the log yields what is live");
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in [1, 2, 3] {
        let mut rng = Rng::new(seed);
        let mut db = OneTable::with(&thresholds());
        let mut oracle = Oracle { contents: Contents::new() };
        let mut large = 0;
        for count in 1..=COMMANDS {
            let (words, expected) = oracle.step(&mut rng);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let answer = show(&db.run(&words));
            if expected != "*" {
                assert_eq!(answer, expected, "seed {seed}, command {count}: {words:?}");
            }
            if count % CHECK_EVERY == 0 {
                compare(&db, &oracle);
                large += contents(&db.shards).values().filter(|(.., large)| *large).count();
            }
        }
        assert!(large > 10, "both forms were met: {large}");
    }
}

/// Batches of the log that concern a shard from behind `seq` on.
fn replay_behind(shard: &mut Shard, log: &[u8]) {
    let mut rest = log;
    while !rest.is_empty() {
        let (batch, after) = Batch::decode(rest).expect("the log is whole");
        let part = batch.parts().find(|part| part.shard == shard.id());
        if part.is_some_and(|part| part.seq > shard.seq()) {
            shard.replay(&batch);
        }
        rest = after;
    }
}

#[test]
fn an_image_taken_in_pieces_and_the_log_yield_what_is_live() {
    let mut rng = Rng::new(77);
    let mut db = OneTable::new();
    for number in 0..6_000 {
        db.ask(&format!("ZADD big {} member:{number}", rng.below(500)));
    }
    let home = shard_of(b"big");
    let at_home = |db: &OneTable| db.shards[home.index()].as_deref().expect("it is here").seq();
    let start = at_home(&db);
    let mut image = Vec::new();
    let shard = |db: &OneTable, out: &mut Vec<u8>, pieces: &mut Pieces| {
        pieces.write(db.shards[home.index()].as_deref().expect("it is here"), out)
    };
    let entry = db.shards[home.index()].as_deref().and_then(|shard| shard.get(b"big"));
    let mut pieces = Pieces::begin(&entry.expect("it was made")).expect("it is large");
    let mut steps = 0;
    while shard(&db, &mut image, &mut pieces) {
        steps += 1;
        for _ in 0..200 {
            let (number, score) = (rng.below(7_000), rng.below(500));
            match rng.below(3) {
                0 => db.ask(&format!("ZREM big member:{number}")),
                _ => db.ask(&format!("ZADD big {score} member:{number}")),
            };
        }
    }
    assert!(steps > 2, "{steps} pieces");
    let mut loaded = Shard::new(home, 99, AccessMode::Recency);
    loaded.begin_load(start);
    let mut rest = &image[..];
    while !rest.is_empty() {
        loaded.load(&take_entry(&mut rest).expect("the image is whole"));
    }
    replay_behind(&mut loaded, &db.log);
    let (mut ours, mut live) = (BTreeMap::new(), BTreeMap::new());
    sets_of(&loaded, &mut ours);
    sets_of(db.shards[home.index()].as_deref().expect("it is here"), &mut live);
    assert_eq!(ours, live);
    let whole = loaded.get(b"big").expect("it was loaded");
    let mut bytes = Vec::new();
    push_entry(&mut bytes, &whole);
    assert!(take_entry(&mut &bytes[..]).is_ok());
}
