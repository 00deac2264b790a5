//! Random HyperLogLogs against plain sets: counts are near the truth, what is merged counts as if
//! its elements had been added, and the registers depend on nothing but the elements: neither on
//! their order nor on the form. The log replayed must yield the same bytes.

mod one_table;

use std::collections::{BTreeMap, BTreeSet};

use one_table::OneTable;
use synap_shards::command::reply::Reply;
use synap_shards::key::shard_of;
use synap_shards::rng::Rng;

const KEYS: usize = 4;
const COMMANDS: usize = 600;
const CHECK_EVERY: usize = 200;
/// Five standard errors.
const ERROR_MAX: f64 = 5.0 * 0.0081;

type Oracle = BTreeMap<String, BTreeSet<String>>;

fn run(db: &mut OneTable, words: &[&str]) -> Reply<'static> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    db.run(&words)
}

fn count(db: &mut OneTable, keys: &[&str]) -> i64 {
    let words: Vec<&str> = std::iter::once("PFCOUNT").chain(keys.iter().copied()).collect();
    match run(db, &words) {
        Reply::Integer(count) => count,
        other => panic!("{keys:?}: {other:?}"),
    }
}

fn expect_near(found: i64, exact: usize, keys: &[&str]) {
    let most = exact as f64 * ERROR_MAX + 1.0;
    let off = (found as f64 - exact as f64).abs();
    assert!(off <= most, "{keys:?} hold {exact} elements, counted were {found}");
}

fn add(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle, key: &str) {
    let bound = 1 << rng.below(15);
    let elements: Vec<String> =
        (0..1 + rng.below(40)).map(|_| format!("e{}", rng.below(bound))).collect();
    let is_new = !oracle.contains_key(key);
    let known = oracle.entry(key.to_owned()).or_default();
    let before = known.len();
    known.extend(elements.iter().cloned());
    let words: Vec<&str> =
        ["PFADD", key].into_iter().chain(elements.iter().map(String::as_str)).collect();
    match run(db, &words) {
        Reply::Integer(1) => assert!(is_new || known.len() > before, "nothing new changed {key}"),
        Reply::Integer(0) => assert!(!is_new, "{key} was made"),
        other => panic!("{other:?}"),
    }
}

fn merge(db: &mut OneTable, oracle: &mut Oracle, [to, a, b]: [&str; 3]) {
    let together = count(db, &[to, a, b]);
    assert_eq!(run(db, &["PFMERGE", to, a, b]), Reply::Ok);
    let of = |key: &str| oracle.get(key).cloned().unwrap_or_default();
    let all: BTreeSet<String> = of(to).union(&of(a)).chain(&of(b)).cloned().collect();
    oracle.insert(to.to_owned(), all);
    assert_eq!(count(db, &[to]), together, "what is merged counts as what is counted together");
}

fn value(db: &OneTable, key: &str) -> Option<Vec<u8>> {
    let shard = db.shards[shard_of(key.as_bytes()).index()].as_ref().expect("all are here");
    shard.get(key.as_bytes()).map(|entry| entry.value().to_vec())
}

/// The dense form of a counter, without the count that may be kept in it.
fn dense(db: &mut OneTable, key: &str) -> Vec<u8> {
    run(db, &["COPY", key, "dense", "REPLACE"]);
    run(db, &["PFDEBUG", "TODENSE", "dense"]);
    value(db, "dense").expect("it was copied")[16..].to_vec()
}

fn compare(db: &mut OneTable, oracle: &Oracle) {
    for (key, elements) in oracle {
        expect_near(count(db, &[key]), elements.len(), &[key]);
        run(db, &["DEL", "again"]);
        run(db, &["PFADD", "again"]);
        for element in elements.iter().rev() {
            run(db, &["PFADD", "again", element]);
        }
        assert_eq!(dense(db, "again"), dense(db, key), "{key}: only the elements matter");
    }
    let replayed = db.replayed();
    for (live, replayed) in db.shards.iter().flatten().zip(replayed.iter().flatten()) {
        assert_eq!((live.seq(), live.key_count()), (replayed.seq(), replayed.key_count()));
        let mut position = Some(0);
        while let Some(at) = position {
            position = live.walk(at, |entry| {
                let other = replayed.get(entry.key()).expect("the key was replayed");
                assert_eq!(entry.value(), other.value());
            });
        }
    }
}

#[test]
fn random_counters_are_those_of_their_elements() {
    for (seed, sparse_bytes) in [(1, 3000), (2, 100), (3, 0)] {
        let (mut rng, mut db, mut oracle) = (Rng::new(seed), OneTable::new(), Oracle::new());
        let mut thresholds = db.shards[0].as_ref().expect("all are here").thresholds();
        thresholds.hll_sparse_max_bytes = sparse_bytes;
        db.shards.iter_mut().flatten().for_each(|shard| shard.set_thresholds(thresholds));
        for number in 1..=COMMANDS {
            let keys: Vec<String> = (0..3).map(|_| format!("p{}", rng.below(KEYS))).collect();
            let keys = [&keys[0][..], &keys[1], &keys[2]];
            match rng.below(40) {
                0 => {
                    oracle.remove(keys[0]);
                    run(&mut db, &["DEL", keys[0]]);
                }
                1 | 2 => merge(&mut db, &mut oracle, keys),
                3..6 => {
                    let of = |key: &str| oracle.get(key).cloned().unwrap_or_default();
                    let all: BTreeSet<String> = keys.iter().flat_map(|key| of(key)).collect();
                    expect_near(count(&mut db, &keys), all.len(), &keys);
                }
                _ => add(&mut rng, &mut db, &mut oracle, keys[0]),
            }
            if number % CHECK_EVERY == 0 {
                compare(&mut db, &oracle);
            }
        }
    }
}
