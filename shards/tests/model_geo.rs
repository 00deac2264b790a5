//! Random positions against a plain map of degrees and the formula for distances on a sphere. A
//! score holds a position to half a metre, so comparisons leave a few metres. The log replayed must
//! yield what is live.

mod one_table;

use std::collections::{BTreeMap, BTreeSet};

use one_table::OneTable;
use synap_shards::command::reply::Reply;
use synap_shards::rng::Rng;

const MEMBERS: usize = 60;
const COMMANDS: usize = 4_000;
const CHECK_EVERY: usize = 500;
/// Metres; the radius that Redis calculates with.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Metres that two positions of scores may be off.
const SLACK: f64 = 3.0;

/// Longitude and latitude.
type Position = (f64, f64);
type Oracle = BTreeMap<String, Position>;

/// Metres between two positions: the haversine formula.
fn distance(a: Position, b: Position) -> f64 {
    let ((x1, y1), (x2, y2)) =
        ((a.0.to_radians(), a.1.to_radians()), (b.0.to_radians(), b.1.to_radians()));
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let share = half(y2 - y1) + y1.cos() * y2.cos() * half(x2 - x1);
    2.0 * EARTH_RADIUS * share.sqrt().asin()
}

fn draw(rng: &mut Rng) -> Position {
    let mut degrees = |bound: f64| (rng.below(1 << 20) as f64 / f64::from(1 << 19) - 1.0) * bound;
    // Half of all are near each other.
    if degrees(1.0) > 0.0 {
        (degrees(4.0) + 10.0, degrees(4.0) + 45.0)
    } else {
        (degrees(150.0), degrees(70.0))
    }
}

fn run(db: &mut OneTable, words: &[String]) -> Reply<'static> {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    db.run(&words)
}

fn ask(db: &mut OneTable, line: &str) -> Reply<'static> {
    run(db, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn names(reply: &Reply<'_>) -> BTreeSet<String> {
    let Reply::Array(items) = reply else { panic!("an array, not {reply:?}") };
    let name = |item: &Reply<'_>| match item {
        Reply::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("a name, not {other:?}"),
    };
    items.iter().map(name).collect()
}

/// A member's distance from what is asked for, below zero inside.
fn beyond(of: Position, center: Position, radius: Option<f64>, box_size: (f64, f64)) -> f64 {
    match radius {
        Some(radius) => distance(center, of) - radius,
        None => {
            let across = distance((center.0, of.1), of) - box_size.0 / 2.0;
            let along = distance(center, (center.0, of.1)) - box_size.1 / 2.0;
            across.max(along)
        }
    }
}

fn search(rng: &mut Rng, db: &mut OneTable, oracle: &Oracle) {
    let center = draw(rng);
    let metres = (1 + rng.below(800)) as f64 * 1000.0;
    let size = (metres, (1 + rng.below(800)) as f64 * 1000.0);
    let radius = (rng.below(2) == 0).then_some(metres);
    let by = match radius {
        Some(radius) => format!("BYRADIUS {radius} m"),
        None => format!("BYBOX {} {} m", size.0, size.1),
    };
    let line = format!("GEOSEARCH geo FROMLONLAT {} {} {by}", center.0, center.1);
    let found = names(&ask(db, &line));
    for (member, position) in oracle {
        let off = beyond(*position, center, radius, size);
        if off.abs() > SLACK {
            assert_eq!(found.contains(member), off < 0.0, "{member} is {off} m off: {line}");
        }
    }
    assert!(found.iter().all(|member| oracle.contains_key(member)), "{line}");
    let nearest = names(&ask(db, &format!("{line} COUNT 3 ASC")));
    assert!(nearest.is_subset(&found) && nearest.len() == found.len().min(3), "{line}");
    let Reply::Integer(stored) =
        ask(db, &line.replacen("GEOSEARCH geo", "GEOSEARCHSTORE kept geo", 1))
    else {
        panic!("{line}")
    };
    assert_eq!(stored as usize, found.len(), "{line}");
    assert_eq!(names(&ask(db, "ZRANGE kept 0 -1")), found, "{line}");
}

fn number(reply: &Reply<'_>) -> f64 {
    match reply {
        Reply::Double(number) | Reply::Decimal(number) => *number,
        Reply::Bytes(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("a number")
        }
        Reply::Text(text) => text.parse().expect("a number"),
        other => panic!("a number, not {other:?}"),
    }
}

fn measure(rng: &mut Rng, db: &mut OneTable, oracle: &Oracle) {
    let (a, b) = (format!("m{}", rng.below(MEMBERS)), format!("m{}", rng.below(MEMBERS)));
    let reply = ask(db, &format!("GEODIST geo {a} {b}"));
    match (oracle.get(&a), oracle.get(&b)) {
        (Some(one), Some(other)) => {
            let off = (number(&reply) - distance(*one, *other)).abs();
            assert!(off < SLACK, "{a} to {b}: {off} m off");
        }
        _ => assert_eq!(reply, Reply::Nil),
    }
    let Reply::Array(items) = ask(db, &format!("GEOPOS geo {a}")) else { panic!("an array") };
    match (oracle.get(&a), &items[0]) {
        (Some(position), Reply::Array(found)) => {
            let found = (number(&found[0]), number(&found[1]));
            assert!(distance(*position, found) < SLACK, "{a} is at {position:?}, not {found:?}");
        }
        (held, found) => assert!(held.is_none() && *found == Reply::NilArray, "{a}: {found:?}"),
    }
}

fn add(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    let (member, position) = (format!("m{}", rng.below(MEMBERS)), draw(rng));
    let option = ["", "NX", "XX"][rng.below(3)];
    let is_there = oracle.contains_key(&member);
    if !(option == "NX" && is_there || option == "XX" && !is_there) {
        oracle.insert(member.clone(), position);
    }
    let line = format!("GEOADD geo {option} {} {} {member}", position.0, position.1);
    let expected = i64::from(!is_there && option != "XX");
    assert_eq!(ask(db, &line.replace("  ", " ")), Reply::Integer(expected), "{line}");
}

fn compare(db: &mut OneTable, oracle: &Oracle) {
    assert_eq!(names(&ask(db, "ZRANGE geo 0 -1")), oracle.keys().cloned().collect());
    let replayed = db.replayed();
    for (live, replayed) in db.shards.iter().flatten().zip(replayed.iter().flatten()) {
        assert_eq!((live.seq(), live.key_count()), (replayed.seq(), replayed.key_count()));
        let mut position = Some(0);
        while let Some(at) = position {
            position = live.walk(at, |entry| {
                let other = replayed.get(entry.key()).expect("the key was replayed");
                // Members come in any order.
                let sorted = |mut image: Vec<u8>| {
                    image.sort_unstable();
                    image
                };
                assert_eq!(sorted(entry.image()), sorted(other.image()));
            });
        }
    }
}

#[test]
fn random_positions_are_found_where_they_are() {
    for (seed, packed) in [(1, 128), (2, 3)] {
        let (mut rng, mut db, mut oracle) = (Rng::new(seed), OneTable::new(), Oracle::new());
        let mut thresholds = db.shards[0].as_ref().expect("all are here").thresholds();
        thresholds.zset_max_listpack_entries = packed;
        db.shards.iter_mut().flatten().for_each(|shard| shard.set_thresholds(thresholds));
        for count in 1..=COMMANDS {
            match rng.below(10) {
                0..4 => add(&mut rng, &mut db, &mut oracle),
                4 => {
                    let member = format!("m{}", rng.below(MEMBERS));
                    let was = i64::from(oracle.remove(&member).is_some());
                    assert_eq!(ask(&mut db, &format!("ZREM geo {member}")), Reply::Integer(was));
                }
                5..7 => search(&mut rng, &mut db, &oracle),
                _ => measure(&mut rng, &mut db, &oracle),
            }
            if count % CHECK_EVERY == 0 {
                compare(&mut db, &oracle);
            }
        }
    }
}
