//! Random commands on streams against plain maps; then the log replayed, and images taken while
//! commands go on, must yield what the commands left behind: entries, groups, consumers, times.

mod one_table;

use std::collections::BTreeMap;

use one_table::image::{images, recovered};
use one_table::{OneTable, show};
use synap_shards::rng::Rng;
use synap_shards::shard::ShardTable;
use synap_shards::types::Thresholds;

/// Few keys, groups and consumers, so that commands meet what others left.
const KEYS: &[&str] = &["s", "t"];
const GROUPS: &[&str] = &["g", "h"];
const CONSUMERS: &[&str] = &["a", "b", "c"];
const COMMANDS: usize = 6_000;
/// Commands between two comparisons of everything.
const CHECK_EVERY: usize = 500;

type Id = (u64, u64);

#[derive(Default)]
struct Group {
    last: Id,
    /// Consumer and how often.
    pending: BTreeMap<Id, (String, u64)>,
    consumers: Vec<String>,
}

#[derive(Default)]
struct Stream {
    last: Id,
    entries: BTreeMap<Id, Vec<(String, String)>>,
    groups: BTreeMap<String, Group>,
}

type Oracle = BTreeMap<String, Stream>;

fn id((ms, seq): Id) -> String {
    format!("{ms}-{seq}")
}

fn entry(at: Id, fields: &[(String, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("\"{name}\", \"{value}\"")).collect();
    format!("[\"{}\", [{}]]", id(at), fields.join(", "))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// What a random command is made of.
struct Draw {
    key: &'static str,
    group: &'static str,
    consumer: &'static str,
    id: Id,
    other: Id,
    count: usize,
    fields: Vec<(String, String)>,
}

impl Draw {
    fn new(rng: &mut Rng, oracle: &Oracle) -> Self {
        let key = KEYS[rng.below(KEYS.len())];
        let last = oracle.get(key).map_or(0, |stream| stream.last.0);
        let mut near =
            || ((last + 2).saturating_sub(rng.below(60) as u64).max(1), rng.below(3) as u64);
        let (at, other) = (near(), near());
        let names = [&["f"][..], &["f"], &["f", "g"], &["long name"]][rng.below(4)];
        let value = "v".repeat(rng.below(40));
        Self {
            key,
            group: GROUPS[rng.below(GROUPS.len())],
            consumer: CONSUMERS[rng.below(CONSUMERS.len())],
            id: at,
            other,
            count: rng.below(12),
            fields: names.iter().map(|name| ((*name).to_owned(), value.clone())).collect(),
        }
    }
}

/// The words that are sent, and what the oracle says the answer is.
type Step = (Vec<String>, String);

fn sent(line: &str, answer: impl Into<String>) -> Step {
    (line.split(' ').map(str::to_owned).collect(), answer.into())
}

fn entry_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, id: at, other, count, fields, .. } = draw;
    match kind {
        0..6 => {
            let stream = oracle.entry((*key).to_owned()).or_default();
            let ms = stream.last.0 + u64::from(*count > 3);
            let at = if ms == stream.last.0 { (ms, stream.last.1 + 1) } else { (ms, 0) };
            stream.entries.insert(at, fields.clone());
            stream.last = at;
            let mut words: Vec<String> = vec!["XADD".into(), (*key).into(), format!("{ms}-*")];
            for (name, value) in fields {
                words.extend([name.clone(), value.clone()]);
            }
            (words, format!("\"{}\"", id(at)))
        }
        6 => {
            let gone = oracle.get_mut(*key).map_or(0, |stream| {
                let first = stream.entries.remove(at).is_some();
                u8::from(first) + u8::from(stream.entries.remove(other).is_some())
            });
            sent(&format!("XDEL {key} {} {}", id(*at), id(*other)), gone.to_string())
        }
        7 => {
            let keep = count * 30;
            let gone = oracle.get_mut(*key).map_or(0, |stream| {
                let gone = stream.entries.len().saturating_sub(keep);
                (0..gone).for_each(|_| drop(stream.entries.pop_first()));
                gone
            });
            sent(&format!("XTRIM {key} MAXLEN {keep}"), gone.to_string())
        }
        8 => {
            let found = oracle.get(*key).map(|stream| stream.entries.range(*at.min(other)..));
            let range = found.into_iter().flatten().take_while(|(id, _)| *id <= at.max(other));
            let answer = list(range.map(|(at, fields)| entry(*at, fields)));
            sent(&format!("XRANGE {key} {} {}", id(*at.min(other)), id(*at.max(other))), answer)
        }
        _ => {
            let found = oracle.get(*key).map(|stream| stream.entries.iter().rev().take(count + 1));
            let answer = list(found.into_iter().flatten().map(|(at, fields)| entry(*at, fields)));
            sent(&format!("XREVRANGE {key} + - COUNT {}", count + 1), answer)
        }
    }
}

fn group_step(kind: usize, draw: &Draw, oracle: &mut Oracle) -> Step {
    let Draw { key, group: name, consumer, id: at, count, .. } = draw;
    let stream = oracle.entry((*key).to_owned()).or_default();
    let owned = (*consumer).to_owned();
    if kind == 0 || !stream.groups.contains_key(*name) {
        let is_new = !stream.groups.contains_key(*name);
        let made = Group { last: *at, ..Group::default() };
        stream.groups.entry((*name).to_owned()).or_insert(made);
        let busy = "BUSYGROUP Consumer Group name already exists";
        let answer = if is_new { "OK" } else { busy };
        return sent(&format!("XGROUP CREATE {key} {name} {} MKSTREAM", id(*at)), answer);
    }
    let group = stream.groups.get_mut(*name).expect("checked above");
    let add = |group: &mut Group| {
        if !group.consumers.contains(&owned) {
            group.consumers.push(owned.clone());
        }
    };
    match kind {
        1..4 => {
            add(group);
            let new = stream.entries.range((group.last.0, group.last.1 + 1)..).take(count + 1);
            let new: Vec<_> = new.map(|(at, fields)| (*at, fields.clone())).collect();
            for (at, _) in &new {
                group.pending.insert(*at, (owned.clone(), 1));
                group.last = *at;
            }
            let line =
                format!("XREADGROUP GROUP {name} {consumer} COUNT {} STREAMS {key} >", count + 1);
            if new.is_empty() {
                return sent(&line, "nil");
            }
            let entries = list(new.iter().map(|(at, fields)| entry(*at, fields)));
            sent(&line, format!("{{\"{key}\": {entries}}}"))
        }
        4 => {
            let was = group.pending.remove(at).is_some();
            sent(&format!("XACK {key} {name} {}", id(*at)), u8::from(was).to_string())
        }
        5 => {
            add(group);
            let mut answer = "[]".to_owned();
            match (group.pending.get_mut(at), stream.entries.contains_key(at)) {
                (Some(pending), true) => {
                    *pending = (owned.clone(), pending.1);
                    answer = format!("[\"{}\"]", id(*at));
                }
                (Some(_), false) => drop(group.pending.remove(at)),
                (None, _) => {}
            }
            sent(&format!("XCLAIM {key} {name} {consumer} 0 {} JUSTID", id(*at)), answer)
        }
        6 => {
            let before = group.pending.len();
            group.pending.retain(|_, (owner, _)| *owner != owned);
            group.consumers.retain(|consumer| *consumer != owned);
            let gone = before - group.pending.len();
            sent(&format!("XGROUP DELCONSUMER {key} {name} {consumer}"), gone.to_string())
        }
        7 if *count == 0 => {
            stream.groups.remove(*name);
            sent(&format!("XGROUP DESTROY {key} {name}"), "1")
        }
        8 if *count < 2 => {
            oracle.remove(*key);
            sent(&format!("DEL {key}"), "1")
        }
        _ => {
            let first = group.pending.first_key_value().map(|(at, _)| format!("\"{}\"", id(*at)));
            let last = group.pending.last_key_value().map(|(at, _)| format!("\"{}\"", id(*at)));
            let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
            for (owner, _) in group.pending.values() {
                *owners.entry(owner).or_default() += 1;
            }
            let owners = owners.iter().map(|(owner, count)| format!("[\"{owner}\", \"{count}\"]"));
            let answer = match (first, last) {
                (Some(first), Some(last)) => {
                    format!("[{}, {first}, {last}, {}]", group.pending.len(), list(owners))
                }
                _ => "[0, nil, nil, nil]".to_owned(),
            };
            sent(&format!("XPENDING {key} {name}"), answer)
        }
    }
}

fn carry_out(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    db.now_ms += rng.below(3) as u64;
    let draw = Draw::new(rng, oracle);
    let (words, expected) = match rng.below(3) {
        0 => group_step(rng.below(10), &draw, oracle),
        _ => entry_step(rng.below(10), &draw, oracle),
    };
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    assert_eq!(show(&db.run(&words)), expected, "{}", String::from_utf8_lossy(&words.join(&b' ')));
}

/// Everything there is to know of the streams in these shards, but how blocks are cut.
fn described(shards: &mut ShardTable, now_ms: u64) -> Vec<String> {
    let mut db = OneTable::new();
    db.now_ms = now_ms;
    std::mem::swap(&mut db.shards, shards);
    let cut = |text: String| match text.split_once("\"radix-tree-keys\"") {
        Some((before, after)) => {
            before.to_owned() + after.split_once("last-").expect("the id stands behind it").1
        }
        None => text,
    };
    let lines = KEYS.iter().map(|key| cut(db.ask(&format!("XINFO STREAM {key} FULL COUNT 0"))));
    let lines = lines.collect();
    std::mem::swap(&mut db.shards, shards);
    lines
}

fn with_block_of(entries: usize) -> OneTable {
    OneTable::with(&Thresholds { stream_node_max_entries: entries, ..Thresholds::default() })
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for (seed, entries) in [(1, 100), (2, 3), (3, 0)] {
        let (mut rng, mut db) = (Rng::new(seed), with_block_of(entries));
        let mut oracle = Oracle::new();
        for count in 1..=COMMANDS {
            carry_out(&mut rng, &mut db, &mut oracle);
            if count % CHECK_EVERY == 0 {
                let replayed = described(&mut db.replayed(), db.now_ms);
                let live = described(&mut db.shards, db.now_ms);
                assert_eq!(replayed, live, "the log yields what is live");
            }
        }
    }
}

#[test]
fn an_image_taken_while_streams_change_is_made_whole_by_the_log() {
    let mut interrupted = 0;
    for seed in 1..=6 {
        let (mut rng, mut db) = (Rng::new(seed), with_block_of(20));
        let mut oracle = Oracle::new();
        for _ in 0..3 {
            (0..200).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
            for (number, key) in KEYS.iter().enumerate() {
                // More than one piece of an image holds.
                for _ in 0..600 {
                    let mut draw = Draw::new(&mut rng, &oracle);
                    draw.key = KEYS[number];
                    let value = "x".repeat(100);
                    draw.fields = vec![("f".to_owned(), value)];
                    let (words, expected) = entry_step(0, &draw, &mut oracle);
                    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
                    assert_eq!(show(&db.run(&words)), expected, "{key}");
                }
            }
            let (images, interruptions) = images(&mut db, |db| {
                (0..60).for_each(|_| carry_out(&mut rng, db, &mut oracle));
            });
            interrupted += interruptions;
            (0..100).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
            let recovered = described(&mut recovered(&db, &images), db.now_ms);
            assert_eq!(recovered, described(&mut db.shards, db.now_ms));
        }
    }
    assert!(interrupted > 10, "{interrupted} pieces were not the last");
}
