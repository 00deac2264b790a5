//! Random commands on sets against plain sets of the standard library. Small thresholds, so that
//! every form is met. The log, replayed, and an image that is taken while commands go on must yield
//! what the commands left behind.

mod one_table;

use std::collections::{BTreeMap, BTreeSet};

use one_table::{OneTable, show};
use synap_shards::batch::Batch;
use synap_shards::command::reply::Reply;
use synap_shards::id::ShardId;
use synap_shards::rng::Rng;
use synap_shards::seq::Seq;
use synap_shards::shard::evict::AccessMode;
use synap_shards::shard::{Shard, ShardTable};
use synap_shards::snapshot::{Pieces, push_entry, take_entry};
use synap_shards::types::Thresholds;

const KEYS: usize = 8;
const COMMANDS: usize = 12_000;
const CHECK_EVERY: usize = 500;

type Members = BTreeSet<Vec<u8>>;
type Sets = BTreeMap<Vec<u8>, Members>;

fn member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(20) {
        0 => b"word-that-is-too-long".to_vec(),
        1 | 2 => format!("w{}", rng.below(12)).into_bytes(),
        3 => format!("-{}", 1 + rng.below(70_000)).into_bytes(),
        _ => rng.below(16).to_string().into_bytes(),
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    format!("s{}", rng.below(KEYS)).into_bytes()
}

fn words(head: &[&[u8]], tail: &[Vec<u8>]) -> Vec<Vec<u8>> {
    head.iter().map(|word| word.to_vec()).chain(tail.iter().cloned()).collect()
}

fn run(db: &mut OneTable, words: &[Vec<u8>]) -> Reply<'static> {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    db.run(&words)
}

fn count(reply: &Reply<'_>) -> usize {
    let Reply::Integer(number) = reply else { panic!("{}", show(reply)) };
    usize::try_from(*number).expect("counts are not negative")
}

fn members_of(reply: &Reply<'_>) -> Vec<Vec<u8>> {
    let (Reply::Set(items) | Reply::Array(items)) = reply else { panic!("{}", show(reply)) };
    let bytes = |item: &Reply<'_>| match item {
        Reply::Bytes(bytes) => bytes.to_vec(),
        other => panic!("{}", show(other)),
    };
    items.iter().map(bytes).collect()
}

fn get(sets: &Sets, key: &[u8]) -> Members {
    sets.get(key).cloned().unwrap_or_default()
}

fn keep(sets: &mut Sets, key: &[u8], members: Members) {
    if members.is_empty() {
        sets.remove(key);
    } else {
        sets.insert(key.to_vec(), members);
    }
}

fn change(rng: &mut Rng, db: &mut OneTable, sets: &mut Sets) {
    let key = key(rng);
    let members: Vec<Vec<u8>> = (0..1 + rng.below(5)).map(|_| member(rng)).collect();
    let mut set = get(sets, &key);
    let before = set.len();
    if rng.below(5) < 3 {
        set.extend(members.iter().cloned());
        let reply = run(db, &words(&[b"SADD", &key], &members));
        assert_eq!(count(&reply), set.len() - before);
    } else {
        set.retain(|member| !members.contains(member));
        let reply = run(db, &words(&[b"SREM", &key], &members));
        assert_eq!(count(&reply), before - set.len());
    }
    keep(sets, &key, set);
}

fn draw(rng: &mut Rng, db: &mut OneTable, sets: &mut Sets) {
    let key = key(rng);
    let mut set = get(sets, &key);
    let number = rng.below(6);
    let line = number.to_string().into_bytes();
    match rng.below(3) {
        0 => {
            let drawn = members_of(&run(db, &words(&[b"SPOP", &key], &[line])));
            assert_eq!(drawn.len(), number.min(set.len()));
            assert!(drawn.iter().all(|member| set.remove(member)));
            keep(sets, &key, set);
        }
        1 => {
            let drawn = members_of(&run(db, &words(&[b"SRANDMEMBER", &key], &[line])));
            assert_eq!(drawn.len(), number.min(set.len()));
            assert!(drawn.iter().all(|member| set.remove(member)));
        }
        _ => match run(db, &words(&[b"SPOP", &key], &[])) {
            Reply::Nil => assert!(set.is_empty()),
            Reply::Bytes(member) => {
                assert!(set.remove(&*member));
                keep(sets, &key, set);
            }
            other => panic!("{}", show(&other)),
        },
    }
}

fn combine(rng: &mut Rng, db: &mut OneTable, sets: &mut Sets) {
    let keys: Vec<Vec<u8>> = (0..1 + rng.below(3)).map(|_| key(rng)).collect();
    let mut inputs = keys.iter().map(|key| get(sets, key));
    let first = inputs.next().expect("there is one at least");
    let (name, result): (&str, Members) = match rng.below(3) {
        0 => ("SINTER", inputs.fold(first, |all, set| &all & &set)),
        1 => ("SUNION", inputs.fold(first, |all, set| &all | &set)),
        _ => ("SDIFF", inputs.fold(first, |all, set| &all - &set)),
    };
    if rng.below(2) == 0 {
        let answer = members_of(&run(db, &words(&[name.as_bytes()], &keys)));
        assert_eq!(answer.len(), result.len(), "no member stands twice");
        assert_eq!(answer.into_iter().collect::<Members>(), result);
        return;
    }
    let to = key(rng);
    let name = format!("{name}STORE");
    let reply = run(db, &words(&[name.as_bytes(), &to], &keys));
    assert_eq!(count(&reply), result.len());
    keep(sets, &to, result);
}

fn travel(rng: &mut Rng, db: &mut OneTable, sets: &mut Sets) {
    let (from, to) = (key(rng), key(rng));
    match rng.below(4) {
        0 => {
            let moved = member(rng);
            let (mut source, mut target) = (get(sets, &from), get(sets, &to));
            let there = source.contains(&moved);
            let reply = run(db, &words(&[b"SMOVE", &from, &to, &moved], &[]));
            assert_eq!(count(&reply), usize::from(there));
            if there && from != to {
                source.remove(&moved);
                target.insert(moved);
                keep(sets, &from, source);
                keep(sets, &to, target);
            }
        }
        1 if from != to => {
            let reply = run(db, &words(&[b"COPY", &from, &to, b"REPLACE"], &[]));
            let set = get(sets, &from);
            assert_eq!(count(&reply), usize::from(!set.is_empty()));
            if !set.is_empty() {
                keep(sets, &to, set);
            }
        }
        2 if sets.contains_key(&from) => {
            let reply = run(db, &words(&[b"RENAME", &from, &to], &[]));
            assert_eq!(reply, Reply::Ok);
            let set = sets.remove(&from).expect("it is there");
            keep(sets, &to, set);
        }
        _ => {
            let reply = run(db, &words(&[b"DEL", &from], &[]));
            assert_eq!(count(&reply), usize::from(sets.remove(&from).is_some()));
        }
    }
}

fn step(rng: &mut Rng, db: &mut OneTable, sets: &mut Sets) {
    match rng.below(12) {
        0..7 => change(rng, db, sets),
        7 | 8 => draw(rng, db, sets),
        9 | 10 => combine(rng, db, sets),
        _ => travel(rng, db, sets),
    }
}

/// The members that edits add to an empty set, which is what an image of a set is made of.
fn built(mut edits: &[u8]) -> Members {
    let mut members = Members::new();
    while let [operation, length, rest @ ..] = edits {
        assert!(*operation == 1 && *length < 0x80, "short members are added");
        let (member, rest) = rest.split_at(usize::from(*length));
        assert!(members.insert(member.to_vec()), "no member stands twice");
        edits = rest;
    }
    members
}

/// What every shard holds, with the stamps if asked.
fn contents(shards: &ShardTable, stamps: bool) -> BTreeMap<Vec<u8>, (Members, u64)> {
    let mut found = BTreeMap::new();
    for shard in shards.iter().flatten() {
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                let members = built(&entry.image());
                assert_eq!(members.len(), entry.element_count());
                let stamp = if stamps { entry.stamp().get() } else { 0 };
                found.insert(entry.key().to_vec(), (members, stamp));
            });
        }
    }
    found
}

fn compare(db: &mut OneTable, sets: &Sets) {
    let live = contents(&db.shards, true);
    let seen: Sets = live.iter().map(|(key, (set, _))| (key.clone(), set.clone())).collect();
    assert_eq!(&seen, sets, "the shards hold what the oracle holds");
    assert_eq!(contents(&db.replayed(), true), live, "the log yields what is live");
    for (key, set) in sets {
        let answer: Members =
            members_of(&run(db, &words(&[b"SMEMBERS", key], &[]))).into_iter().collect();
        assert_eq!(&answer, set);
        assert_eq!(count(&run(db, &words(&[b"SCARD", key], &[]))), set.len());
    }
}

fn thresholds() -> Thresholds {
    Thresholds {
        set_max_intset_entries: 10,
        set_max_listpack_entries: 6,
        set_max_listpack_value: 12,
        ..Thresholds::default()
    }
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in [1, 2] {
        let mut rng = Rng::new(seed);
        let (mut db, mut sets) = (OneTable::with(&thresholds()), Sets::new());
        for number in 1..=COMMANDS {
            step(&mut rng, &mut db, &mut sets);
            if number % CHECK_EVERY == 0 {
                compare(&mut db, &sets);
            }
        }
        let large = db.shards.iter_mut().flatten().map(|shard| shard.free_some(usize::MAX));
        assert!(large.into_iter().all(|more| !more));
    }
}

/// Where an image of a shard stands.
struct Walk {
    start: Seq,
    position: Option<u64>,
    pieces: Vec<Pieces>,
    image: Vec<u8>,
}

impl Walk {
    fn begin(shard: &Shard) -> Self {
        Self { start: shard.seq(), position: Some(0), pieces: Vec::new(), image: Vec::new() }
    }

    /// Writes a little; whether there is more to come.
    fn go_on(&mut self, shard: &Shard) -> bool {
        if let Some(pieces) = self.pieces.last_mut() {
            if !pieces.write(shard, &mut self.image) {
                self.pieces.pop();
            }
        } else if let Some(at) = self.position {
            let (pieces, image) = (&mut self.pieces, &mut self.image);
            self.position = shard.walk(at, |entry| match Pieces::begin(&entry) {
                Some(large) => pieces.push(large),
                None => push_entry(image, &entry),
            });
        }
        self.position.is_some() || !self.pieces.is_empty()
    }

    /// A shard made of the image and the log behind its start.
    fn recovered(&self, id: ShardId, log: &[u8]) -> Shard {
        let mut shard = Shard::new(id, 99, AccessMode::Recency);
        shard.set_thresholds(thresholds());
        shard.begin_load(self.start);
        let mut image = &self.image[..];
        while !image.is_empty() {
            shard.load(&take_entry(&mut image).expect("the image is whole"));
        }
        let mut rest = log;
        while !rest.is_empty() {
            let (batch, after) = Batch::decode(rest).expect("the log is whole");
            let part = batch.parts().find(|part| part.shard == id);
            if part.is_some_and(|part| part.seq > self.start) {
                shard.replay(&batch);
            }
            rest = after;
        }
        shard
    }
}

#[test]
fn an_image_taken_while_sets_change_converges() {
    for seed in 1..=6 {
        let mut rng = Rng::new(seed);
        let (mut db, mut sets) = (OneTable::with(&thresholds()), Sets::new());
        // A set of many pieces, which its commands go on changing.
        let many: Vec<Vec<u8>> =
            (0..4_000).map(|number| format!("member-of-many:{number:020}").into()).collect();
        run(&mut db, &words(&[b"SADD", b"big"], &many));
        (0..300).for_each(|_| change(&mut rng, &mut db, &mut sets));
        let mut walks: Vec<Walk> = db.shards.iter().flatten().map(|s| Walk::begin(s)).collect();
        let mut more = true;
        while more {
            more = false;
            for (walk, shard) in walks.iter_mut().zip(db.shards.iter().flatten()) {
                more |= walk.go_on(shard);
            }
            for _ in 0..rng.below(60) {
                step(&mut rng, &mut db, &mut sets);
            }
            for _ in 0..rng.below(200) {
                let member = &many[rng.below(many.len())];
                let name = [&b"SADD"[..], b"SREM"][rng.below(2)];
                run(&mut db, &words(&[name, b"big", member], &[]));
            }
        }
        let recovered: ShardTable = std::array::from_fn(|index| {
            Some(Box::new(walks[index].recovered(ShardId::new(index), &db.log)))
        });
        assert_eq!(contents(&recovered, true), contents(&db.shards, true), "seed {seed}");
    }
}

#[test]
fn memory_of_a_set_that_is_gone_comes_back() {
    let mut db = OneTable::new();
    let bytes = |db: &OneTable| db.shards.iter().flatten().map(|s| s.live_bytes()).sum::<usize>();
    let before = bytes(&db);
    let many: Vec<Vec<u8>> = (0..20_000).map(|n| format!("m{n}").into_bytes()).collect();
    for chunk in many.chunks(1_000) {
        run(&mut db, &words(&[b"SADD", b"large"], chunk));
    }
    let full = bytes(&db) - before;
    assert!(full > 20_000 * 8, "{full} bytes");
    db.expect(&[("DEL large", "1")]);
    let mut slices = 0;
    while db.shards.iter_mut().flatten().any(|shard| shard.free_some(500)) {
        slices += 1;
    }
    assert!(slices > 10, "{slices} slices");
    assert_eq!(bytes(&db), before);
}
