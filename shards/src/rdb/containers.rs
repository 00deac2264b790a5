//! Tests of containers in payloads: as Redis 7.0.15 answers them to `DUMP`, in the forms of older
//! and newer versions, and damaged.

use super::{RdbError, Restored, payload, restore};
use crate::command::reply::Reply;
use crate::one_table::{OneTable, show};
use crate::rng::Rng;

/// Payload of Redis, a command, and its answer once the payload was restored to `k`.
const REDIS: &[(&[u8], &str, &str)] = &[
    (
        b"\x12\x01\x02\x1b\x1b\0\0\0\x05\0\x81a\x02\x01\x01\xdf\xff\x02\xf2\xe0\x93\x04\x04\
          \x85hello\x06\xff\x0a\0\xb0\x87g\xe6\x96\xf3\x85i",
        "LRANGE k 0 -1",
        "[\"a\", \"1\", \"-1\", \"300000\", \"hello\"]",
    ),
    (
        b"\x0b\x0e\x02\0\0\0\x03\0\0\0\x01\0\x02\0,\x01\x0a\0\xe5\x10\xb2\x8e{\x95)\xaa",
        "SMEMBERS k",
        "[\"1\", \"2\", \"300\"]",
    ),
    (b"\x02\x01\x01a\x0a\0b\x96\xe9~D\xd2\x1am", "SMEMBERS k", "[\"a\"]"),
    (
        b"\x11\x1c\x1c\0\0\0\x06\0\x81a\x02\x01\x01\x81b\x02\x832.5\x04\x81c\x02\x83inf\x04\xff\
          \x0a\0k\x1d\xde\xdc\xe8\xe2\xc3\x99",
        "ZRANGE k 0 -1 WITHSCORES",
        "[[\"a\", 1], [\"b\", 2.5], [\"c\", inf]]",
    ),
    (
        b"\x10\x12\x12\0\0\0\x04\0\x81f\x02\x81v\x02\x81g\x02\x0c\x01\xff\x0a\0\xde\x139\x93\
          \xf7\x83\x81~",
        "HGETALL k",
        "{\"f\": \"v\", \"g\": \"12\"}",
    ),
];

/// A stream of two entries and one that was deleted, of which a group has read the first.
const STREAM: &[u8] = b"\x13\x01\x10\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01@@@\0\0\0\x18\0\x02\x01\
    \x01\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\x03\x01\x01\x01\xdf\xff\
    \x02\x81w\x02\x04\x01\0\x01\x02\x01\xdf\xff\x02\x02\x01\x81g\x02\x81x\x02\x81h\x02\x81y\x02\
    \x08\x01\xff\x02\x07\0\x05\x01\x06\0\x03\x01\x01g\x05\x01\x81\xff\xff\xff\xff\xff\xff\xff\
    \xff\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\0h\xe5\xcf\x8b\x01\0\0\x01\x01\x01c\x0b?\x1d\
    \xfe\xa1\x01\0\0\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\x0a\0\x8a\xd0\xe8\x8b\x0b\x09\xf0\
    \xf8";
/// Bytes of the footer.
const FOOTER: usize = 10;

fn load(db: &mut OneTable, key: &[u8], payload: &[u8]) -> String {
    show(&db.run(&[b"RESTORE", key, b"0", payload, b"REPLACE"]))
}

fn dumped(db: &mut OneTable, key: &[u8]) -> Vec<u8> {
    match db.run(&[b"DUMP", key]) {
        Reply::Bytes(payload) => payload.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn payloads_of_redis_are_read_and_written() {
    let mut db = OneTable::new();
    for (payload, line, answer) in REDIS {
        assert_eq!(load(&mut db, b"k", payload), "OK", "{line}");
        assert_eq!(db.ask(line), *answer);
        assert_eq!(dumped(&mut db, b"k"), *payload, "{line}");
    }
}

#[test]
fn streams_of_redis_are_read_and_come_back() {
    let mut db = OneTable::new();
    assert_eq!(load(&mut db, b"k", STREAM), "OK");
    let entries = "[[\"5-1\", [\"f\", \"v\"]], [\"7-0\", [\"g\", \"x\", \"h\", \"y\"]]]";
    let copied = dumped(&mut db, b"k");
    assert_eq!(load(&mut db, b"copy", &copied), "OK");
    for key in ["k", "copy"] {
        assert_eq!(db.ask(&format!("XRANGE {key} - +")), entries);
        let answer = db.ask(&format!("XINFO STREAM {key} FULL"));
        for part in [
            "\"last-generated-id\": \"7-0\", \"max-deleted-entry-id\": \"6-0\"",
            "\"entries-added\": 3, \"recorded-first-entry-id\": \"5-1\"",
            "\"last-delivered-id\": \"5-1\", \"entries-read\": nil, \"lag\": nil",
            "\"pending\": [[\"5-1\", \"c\", 1700000000000, 1]]",
            "\"name\": \"c\", \"seen-time\": 1795264691979, \"active-time\": 1795264691979",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
    }
}

#[test]
fn streams_of_other_versions_are_read() {
    let mut db = OneTable::new();
    let blocks = &STREAM[1..STREAM.len() - FOOTER];
    let at = blocks.windows(3).position(|bytes| bytes == b"\x02\x07\0").expect("the numbers");
    let (blocks, rest) = blocks.split_at(at);
    let groups = &rest[8..];
    // Redis 5: no more than length and last id, and groups without a count of what they read.
    let group = [b"\x01\x01g\x05\x01", &groups[14..]].concat();
    let old = payload(15, &[blocks, b"\x02\x07\0", &group].concat());
    assert_eq!(load(&mut db, b"k", &old), "OK");
    let facts = db.ask("XINFO STREAM k");
    assert!(facts.contains("\"max-deleted-entry-id\": \"0-0\", \"entries-added\": 2"), "{facts}");
    assert_eq!(db.ask("XPENDING k g"), "[1, \"5-1\", \"5-1\", [[\"c\", \"1\"]]]");
    // Redis 7.2: consumers have two times.
    let ids_at = rest.len() - 17;
    let active = [&rest[..ids_at], &[7, 0, 0, 0, 0, 0, 0, 0], &rest[ids_at..]].concat();
    let new = payload(21, &[blocks, &active].concat());
    assert_eq!(load(&mut db, b"k", &new), "OK");
    assert!(db.ask("XINFO STREAM k FULL").contains("\"active-time\": 7,"));
}

#[test]
fn forms_of_every_version_are_read() {
    let ziplist = b"\x13\x13\0\0\0\x0f\0\0\0\x04\0\0\x01a\x03\xf2\x02\x01b\x03\xf3\xff";
    let ziplist = &ziplist[1..];
    let length = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
    let whole = {
        let mut list = ziplist.to_vec();
        list[0] = list.len() as u8;
        length(&list)
    };
    let map = length(b"\x01\x01a\x01\x001\xff");
    let set = length(b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff");
    let triples = length(b"\x16\0\0\0\x06\0\x81a\x02\x01\x01\0\x01\x81b\x02\x02\x01\x81x\x02\xff");
    let mut db = OneTable::new();
    let list = [&b"\x01"[..], &whole].concat();
    for (kind, body, line, answer) in [
        (1, &b"\x02\x01a\xc0\x05"[..], "LRANGE k 0 -1", "[\"a\", \"5\"]"),
        (
            3,
            b"\x02\x01m\x031.5\x01n\xff",
            "ZRANGE k 0 -1 WITHSCORES",
            "[[\"n\", -inf], [\"m\", 1.5]]",
        ),
        (4, b"\x01\x01f\x01v", "HGETALL k", "{\"f\": \"v\"}"),
        (5, b"\x01\x01m\0\0\0\0\0\0\xf8\x3f", "ZSCORE k m", "1.5"),
        (9, &map, "HGETALL k", "{\"a\": \"1\"}"),
        (10, &whole, "LRANGE k 0 -1", "[\"a\", \"1\", \"b\", \"2\"]"),
        (12, &whole, "ZRANGE k 0 -1 WITHSCORES", "[[\"a\", 1], [\"b\", 2]]"),
        (13, &whole, "HGETALL k", "{\"a\": \"1\", \"b\": \"2\"}"),
        (14, &list, "LRANGE k 0 -1", "[\"a\", \"1\", \"b\", \"2\"]"),
        (18, b"\x01\x01\x03abc", "LRANGE k 0 -1", "[\"abc\"]"),
        (20, &set, "SCARD k", "2"),
        (24, b"\x05\0\0\0\0\x02\0\0\x01\0\x01f\x01v", "HGETALL k", "{\"f\": \"v\"}"),
    ] {
        assert_eq!(load(&mut db, b"k", &payload(kind, body)), "OK", "type {kind}");
        assert_eq!(db.ask(line), answer, "type {kind}");
        for end in 0..body.len() {
            let cut = restore(&payload(kind, &body[..end]), 1000);
            assert_eq!(cut, Err(RdbError::Format), "type {kind} cut at {end}");
        }
        let more = [body, b"x"].concat();
        assert_eq!(restore(&payload(kind, &more), 1000), Err(RdbError::Format), "type {kind}");
    }
    let field = length(b"\x0e\0\0\0\x03\0\x81a\x02\x01\x01\0\x01\xff");
    let body = [&[5, 0, 0, 0, 0, 0, 0, 0][..], &field].concat();
    assert_eq!(load(&mut db, b"k", &payload(25, &body)), "OK");
    assert_eq!(db.ask("HGETALL k"), "{\"a\": \"1\"}");
    // A deadline that is no number.
    let body = [&[5, 0, 0, 0, 0, 0, 0, 0][..], &triples].concat();
    assert_eq!(restore(&payload(25, &body), 1000), Err(RdbError::Format));
}

#[test]
fn fields_keep_their_deadlines() {
    let mut db = OneTable::new();
    db.ask("HSET k a 1 b 2 c 3");
    db.ask("HPEXPIREAT k 1700000001000 FIELDS 1 a");
    db.ask("HPEXPIREAT k 1700000002000 FIELDS 1 b");
    let payload = dumped(&mut db, b"k");
    assert_eq!(load(&mut db, b"other", &payload), "OK");
    assert_eq!(db.ask("HPTTL other FIELDS 3 a b c"), "[1000, 2000, -1]");
    db.now_ms += 5000;
    assert_eq!(load(&mut db, b"later", &payload), "OK");
    assert_eq!(db.ask("HGETALL later"), "{\"c\": \"3\"}");
}

#[test]
fn large_containers_come_back() {
    let mut db = OneTable::new();
    let long = "x".repeat(9000);
    for number in 0..700 {
        db.ask(&format!("RPUSH list {number} {}", &long[..number % 50]));
        db.ask(&format!("SADD set {number}x"));
        db.ask(&format!("SADD ints {number}"));
        db.ask(&format!("ZADD zset {number}.25 {number}"));
        db.ask(&format!("HSET hash {number} {}", &long[..number % 90]));
        db.ask(&format!("XADD stream * f{} v", number % 130 / 100));
    }
    db.ask(&format!("RPUSH list {long} tail"));
    for (key, line) in [
        ("list", "LRANGE # 0 -1"),
        ("zset", "ZRANGE # 0 -1 WITHSCORES"),
        ("stream", "XRANGE # - +"),
        ("set", "SINTERCARD 2 # copy"),
        ("ints", "SCARD #"),
        ("hash", "HLEN #"),
    ] {
        let payload = dumped(&mut db, key.as_bytes());
        assert_eq!(load(&mut db, b"copy", &payload), "OK", "{key}");
        assert_eq!(db.ask(&line.replace('#', "copy")), db.ask(&line.replace('#', key)));
    }
}

#[test]
fn hostile_payloads_are_refused_or_harmless() {
    let mut rng = Rng::new(9);
    let mut bodies: Vec<&[u8]> = REDIS.iter().map(|(payload, ..)| *payload).collect();
    bodies.push(STREAM);
    let mut db = OneTable::new();
    let mut taken = 0;
    for round in 0..30_000 {
        let body = bodies[round % bodies.len()];
        let mut body = body[..body.len() - FOOTER].to_vec();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(body.len());
            body[at] = match rng.below(3) {
                0 => rng.draw() as u8,
                1 => 0xff,
                _ => body[at] ^ 1 << rng.below(8),
            };
        }
        let hostile = payload(body[0], &body[1..]);
        if let Ok(Restored::Container { edits, .. }) = restore(&hostile, 10_000) {
            assert!(edits.len() <= 11_000);
            assert_eq!(load(&mut db, b"k", &hostile), "OK");
            let answer = db.run(&[b"DUMP", b"k"]);
            assert!(matches!(answer, Reply::Bytes(_)), "{answer:?}");
            taken += 1;
        }
    }
    assert!(taken > 100, "some changes are of data only");
    // Counts far beyond what is there, and what would grow beyond the bound.
    for kind in [1, 2, 3, 4, 5, 14, 15, 18, 19, 21, 24] {
        let huge = payload(kind, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x01b");
        assert_eq!(restore(&huge, 1000), Err(RdbError::Format), "type {kind}");
        let none = payload(kind, b"\0");
        assert_eq!(restore(&none, 1000), Err(RdbError::Format), "type {kind}");
    }
    let mut bomb = vec![2, 20];
    (0..20).for_each(|_| bomb.extend_from_slice(b"\xc3\x09\x40\x64\x01aa\xe0\x57\x00\x01aa"));
    assert!(restore(&payload(2, &bomb[1..]), 3000).is_ok());
    assert_eq!(restore(&payload(2, &bomb[1..]), 1000), Err(RdbError::Format));
    assert_eq!(restore(&payload(7, b"\x01"), 1000), Err(RdbError::Format), "a module's");
}
