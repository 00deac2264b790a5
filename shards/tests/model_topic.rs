//! Random commands on rooms, topics and consumer groups against plain vectors; then the log
//! replayed, and images taken while commands go on, must yield what the commands left behind.

mod one_table;

use std::collections::BTreeMap;

use one_table::image::{images, recovered};
use one_table::{OneTable, show};
use synap_shards::command::reply::Reply;
use synap_shards::key::Namespace;
use synap_shards::rng::Rng;
use synap_shards::shard::ShardTable;

const ROOMS: &[&str] = &["r", "s"];
const TOPICS: &[&str] = &["t", "u"];
const GROUPS: &[&str] = &["g", "h"];
const MEMBERS: &[&str] = &["a", "b", "c"];
const KEYS: &[&str] = &["k", "l", "m", "n"];
const COMMANDS: usize = 4_000;
const CHECK_EVERY: usize = 400;

/// A partition: every event ever, and the first that is there.
#[derive(Default, Clone)]
struct Log {
    events: Vec<String>,
    start: usize,
    most: usize,
}

impl Log {
    fn append(&mut self, data: &str) -> usize {
        self.events.push(data.to_owned());
        self.start = self.start.max(self.events.len().saturating_sub(self.most));
        self.events.len() - 1
    }
}

#[derive(Default)]
struct Group {
    topic: String,
    partitions: usize,
    generation: u64,
    members: Vec<String>,
    commits: BTreeMap<usize, usize>,
}

#[derive(Default)]
struct Oracle {
    rooms: BTreeMap<String, Log>,
    topics: BTreeMap<String, Vec<Log>>,
    groups: BTreeMap<String, Group>,
}

fn ask(db: &mut OneTable, line: &str) -> String {
    db.ask(line)
}

/// The offsets and data of the events of an answer, and where it goes on.
fn events(reply: &Reply<'_>) -> (i64, Vec<(i64, String)>) {
    let Reply::Array(parts) = reply else { panic!("an answer: {}", show(reply)) };
    let [Reply::Integer(next), Reply::Integer(_), Reply::Array(events)] = &parts[..] else {
        panic!("an answer: {}", show(reply))
    };
    let event = |event: &Reply<'_>| match event {
        Reply::Array(parts) => match (&parts[0], &parts[5]) {
            (Reply::Integer(offset), Reply::Bytes(data)) => {
                (*offset, String::from_utf8_lossy(data).into_owned())
            }
            _ => panic!("an event: {}", show(event)),
        },
        _ => panic!("an event: {}", show(event)),
    };
    (*next, events.iter().map(event).collect())
}

fn read(db: &mut OneTable, line: &str) -> (i64, Vec<(i64, String)>) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    events(&db.run(&words))
}

/// What a log answers from an offset on.
fn expected(log: &Log, from: usize, most: usize) -> (i64, Vec<(i64, String)>) {
    let from = from.max(log.start);
    let end = log.events.len().min(from + most);
    let taken = log.events.get(from..end).unwrap_or_default();
    let events = taken.iter().enumerate().map(|(at, data)| ((from + at) as i64, data.clone()));
    (from.max(end) as i64, events.collect())
}

fn room_step(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    let room = ROOMS[rng.below(ROOMS.len())];
    let known = oracle.rooms.get_mut(room);
    let not_found = format!("NOTFOUND Room not found: {room}");
    match (rng.below(20), known) {
        (0, Some(_)) => {
            assert_eq!(ask(db, &format!("SDELETE {room}")), "OK");
            oracle.rooms.remove(room);
        }
        (0, None) => assert_eq!(ask(db, &format!("SDELETE {room}")), not_found),
        (1, Some(_)) => {
            let text = format!("EXISTS Room already exists: {room}");
            assert_eq!(ask(db, &format!("SCREATE {room}")), text);
            assert_eq!(ask(db, &format!("SGETORCREATE {room}")), "0");
        }
        (1 | 2, None) => {
            let most = 1 + rng.below(300);
            assert_eq!(ask(db, &format!("SCREATE {room} MAXEVENTS {most}")), "OK");
            oracle.rooms.insert(room.to_owned(), Log { most, ..Log::default() });
        }
        (_, None) => {
            assert_eq!(ask(db, &format!("SREAD {room} 0")), not_found);
            assert_eq!(ask(db, &format!("SAPPEND {room} e d")), not_found);
            assert_eq!(ask(db, &format!("SAPPEND {room} e d CREATE")), "0");
            let mut log = Log { most: 10_000, ..Log::default() };
            log.append("d");
            oracle.rooms.insert(room.to_owned(), log);
        }
        (2..14, Some(log)) => {
            let data = "x".repeat(rng.below(300));
            let offset = log.append(&format!("{data}d"));
            let line = format!("SAPPEND {room} e {data}d JSON name value");
            assert_eq!(ask(db, &line), offset.to_string());
        }
        (_, Some(log)) => {
            let (from, most) = (rng.below(log.events.len() + 3), 1 + rng.below(30));
            let line = format!("SREAD {room} {from} COUNT {most} READER me");
            if from > 0 && from < log.start {
                let text = "OFFSETGONE Stream offset";
                assert!(ask(db, &line).starts_with(text), "{line}");
            } else {
                assert_eq!(read(db, &line), expected(log, from, most), "{line}");
            }
        }
    }
}

fn topic_step(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    let topic = TOPICS[rng.below(TOPICS.len())];
    let Some(logs) = oracle.topics.get_mut(topic) else {
        let (count, most) = (1 + rng.below(5), 1 + rng.below(200));
        let line = format!("TCREATE {topic} PARTITIONS {count} MAXEVENTS {most}");
        assert_eq!(ask(db, &line), format!("[{count}, 1]"));
        oracle.topics.insert(topic.to_owned(), vec![Log { most, ..Log::default() }; count]);
        return;
    };
    let number = rng.below(logs.len());
    match rng.below(30) {
        0 => {
            assert_eq!(ask(db, &format!("TDELETE {topic}")), "OK");
            oracle.topics.remove(topic);
        }
        1..8 => {
            let offset = logs[number].append("d");
            let line = format!("TPUBLISH {topic} e d PARTITION {number}");
            assert_eq!(ask(db, &line), format!("[{number}, {offset}]"));
        }
        8..14 => {
            let (key, data) = (KEYS[rng.below(KEYS.len())], "y".repeat(1 + rng.below(200)));
            let answer = ask(db, &format!("TPUBLISH {topic} e {data} KEY {key}"));
            let took = (0..logs.len())
                .find(|number| answer == format!("[{number}, {}]", logs[*number].events.len()));
            logs[took.expect("one partition took it")].append(&data);
        }
        14..18 => {
            let count = 1 + rng.below(8);
            let first = logs[number].events.len();
            for _ in 0..count {
                logs[number].append("z");
            }
            let line = format!("TMPUBLISH {topic} PARTITION {number}{}", " e z".repeat(count));
            assert_eq!(ask(db, &line), format!("[{number}, {first}, {count}]"));
        }
        18 => {
            let line = format!("TPUBLISH {topic} e d PARTITION {}", logs.len());
            let text = format!("NOTFOUND Partition not found: {topic}/{}", logs.len());
            assert_eq!(ask(db, &line), text);
            let line = format!("TREAD {topic} {} 0", logs.len());
            assert_eq!(ask(db, &line), text);
        }
        _ => {
            let log = &logs[number];
            let (from, most) = (rng.below(log.events.len() + 3), 1 + rng.below(30));
            let line = format!("TREAD {topic} {number} {from} COUNT {most}");
            assert_eq!(read(db, &line), expected(log, from, most), "{line}");
        }
    }
}

fn group_step(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    let (group, member) = (GROUPS[rng.below(2)], MEMBERS[rng.below(3)]);
    let Some(known) = oracle.groups.get_mut(group) else {
        let topic = TOPICS[rng.below(TOPICS.len())];
        let strategy = ["round_robin", "range", "sticky"][rng.below(3)];
        let answer = ask(db, &format!("GCREATE {group} {topic} STRATEGY {strategy}"));
        match oracle.topics.get(topic) {
            None => assert_eq!(answer, format!("NOTFOUND Topic not found: {topic}")),
            Some(logs) => {
                assert_eq!(answer, "OK");
                let (topic, partitions) = (topic.to_owned(), logs.len());
                let new = Group { topic, partitions, ..Group::default() };
                oracle.groups.insert(group.to_owned(), new);
            }
        }
        return;
    };
    let is_member = known.members.iter().any(|id| id == member);
    match rng.below(12) {
        0 => {
            assert_eq!(ask(db, &format!("GDELETE {group}")), "OK");
            oracle.groups.remove(group);
        }
        1..4 => {
            if !is_member {
                known.members.push(member.to_owned());
                known.generation += 1;
            }
            let answer = ask(db, &format!("GJOIN {group} MEMBER {member} SESSION 86400"));
            let begin = format!("[\"{member}\", {}, [", known.generation);
            assert!(answer.starts_with(&begin), "{answer}");
        }
        4 if is_member => {
            known.members.retain(|id| id != member);
            known.generation += 1;
            let line = format!("GLEAVE {group} {member}");
            assert_eq!(ask(db, &line), known.generation.to_string());
        }
        4 => {
            let text = format!("NOTFOUND Member not found: {member}");
            assert_eq!(ask(db, &format!("GLEAVE {group} {member}")), text);
        }
        5 => {
            known.generation += 1;
            assert_eq!(ask(db, &format!("GREBALANCE {group}")), known.generation.to_string());
        }
        6 | 7 => {
            let (number, offset) = (rng.below(known.partitions), rng.below(100));
            let generation = known.generation;
            let old = generation.wrapping_sub(1) as i64;
            let text = format!("REBALANCE rebalance: the group is in generation {generation}");
            let line = format!("GCOMMIT {group} {number} {offset} GENERATION");
            assert_eq!(ask(db, &format!("{line} {old}")), text);
            let done = format!("[{number}, {offset}]");
            assert_eq!(ask(db, &format!("{line} {generation}")), done);
            known.commits.insert(number, offset);
        }
        8 => {
            let number = rng.below(known.partitions);
            let committed = known.commits.get(&number);
            let expected = committed.map_or_else(|| "nil".to_owned(), ToString::to_string);
            assert_eq!(ask(db, &format!("GOFFSET {group} {number}")), expected);
        }
        _ => one_owner_each(db, group, known),
    }
}

/// Every partition has exactly one owner as long as there are members.
fn one_owner_each(db: &mut OneTable, group: &str, known: &Group) {
    let mut owned = vec![0; known.partitions];
    for member in &known.members {
        let words = [&b"GASSIGNMENT"[..], group.as_bytes(), member.as_bytes()];
        let reply = db.run(&words);
        let Reply::Array(parts) = &reply else { panic!("{}", show(&reply)) };
        assert_eq!(parts[0], Reply::Integer(known.generation as i64));
        let Reply::Array(partitions) = &parts[1] else { panic!("{}", show(&reply)) };
        for partition in partitions {
            let Reply::Integer(number) = partition else { panic!("{}", show(&reply)) };
            owned[*number as usize] += 1;
        }
    }
    let each = usize::from(!known.members.is_empty());
    assert_eq!(owned, vec![each; known.partitions], "{group} of {}", known.topic);
}

fn step(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    db.now_ms += rng.below(3) as u64;
    match rng.below(3) {
        0 => room_step(rng, db, oracle),
        1 => topic_step(rng, db, oracle),
        _ => group_step(rng, db, oracle),
    }
}

/// All that lives in namespaces in these shards, as the edits that build it.
fn described(shards: &ShardTable) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for shard in shards.iter().flatten() {
        for space in Namespace::ALL {
            for key in shard.named(space) {
                let entry = shard.get(key).expect("a name stands for an entry");
                all.push((key.to_vec(), entry.image()));
            }
        }
    }
    all
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in 1..=3 {
        let (mut rng, mut db, mut oracle) = (Rng::new(seed), OneTable::new(), Oracle::default());
        for count in 1..=COMMANDS {
            step(&mut rng, &mut db, &mut oracle);
            if count % CHECK_EVERY == 0 {
                assert!(described(&db.replayed()) == described(&db.shards), "the log yields it");
            }
        }
    }
}

#[test]
fn an_image_taken_while_events_come_and_go_is_made_whole_by_the_log() {
    let mut interrupted = 0;
    for seed in 1..=6 {
        let (mut rng, mut db, mut oracle) = (Rng::new(seed), OneTable::new(), Oracle::default());
        for _ in 0..3 {
            (0..200).for_each(|_| step(&mut rng, &mut db, &mut oracle));
            for room in ROOMS {
                // More than one piece of an image holds.
                for _ in 0..400 {
                    let data = "x".repeat(200);
                    ask(&mut db, &format!("SAPPEND {room} e {data} CREATE"));
                    let unknown = Log { most: 10_000, ..Log::default() };
                    oracle.rooms.entry((*room).to_owned()).or_insert(unknown).append(&data);
                }
            }
            let (images, interruptions) = images(&mut db, |db| {
                (0..40).for_each(|_| step(&mut rng, db, &mut oracle));
            });
            interrupted += interruptions;
            (0..100).for_each(|_| step(&mut rng, &mut db, &mut oracle));
            assert!(described(&recovered(&db, &images)) == described(&db.shards), "seed {seed}");
        }
    }
    assert!(interrupted > 10, "{interrupted} pieces were not the last");
}
