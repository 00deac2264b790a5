//! Queues as a whole.

use crate::one_table::{OneTable, show};

fn held_bytes(db: &mut OneTable) -> usize {
    let stats = db.ask("QSTATS q");
    let (_, bytes) = stats.split_once("\"memory_bytes\": ").expect("it is told");
    bytes.trim_end_matches('}').parse().expect("a number")
}

#[test]
fn a_message_that_waits_takes_little_beside_its_body() {
    const MESSAGES: usize = 20_000;
    const BODY: usize = 100;
    let mut db = OneTable::new();
    db.expect(&[("QCREATE q MAXDEPTH 1000000", "OK")]);
    let empty = held_bytes(&mut db);
    for number in 0..MESSAGES {
        let (body, priority) = (vec![b'x'; BODY], (number % 10).to_string());
        db.run(&[b"QPUBLISH", b"q", &body, b"PRIORITY", priority.as_bytes()]);
    }
    let each = (held_bytes(&mut db) - empty) / MESSAGES;
    assert!(each <= BODY + 40, "{each} bytes each");
    // What is done gives its memory back, block by block.
    let mut taken = 0;
    while taken < MESSAGES {
        let reply = db.run(&[b"QCONSUME", b"q", b"COUNT", b"1000"]);
        let text = show(&reply);
        let ids: Vec<&str> = text
            .split("\"message_id\": \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let words = [&b"QACK"[..], b"q"].into_iter().chain(ids.iter().map(|id| id.as_bytes()));
        db.run(&words.collect::<Vec<_>>());
        taken += ids.len();
    }
    let left = held_bytes(&mut db);
    assert!(left < empty + 300_000, "{left} bytes are left of an empty queue");
}

#[test]
fn pauses_grow_and_the_last_failure_is_told() {
    let mut db = OneTable::new();
    db.expect(&[("QCREATE q LINEAR BACKOFFMS 1000 RETRIES 2 DLQSIZE 1", "OK")]);
    let id = db.ask("QPUBLISH q x").trim_matches('"').to_owned();
    for pause_ms in [1_000, 2_000] {
        assert!(db.ask("QCONSUME q").contains(&id));
        db.expect(&[(&*format!("QNACK q {id}"), "1"), ("QCONSUME q", "nil")]);
        db.now_ms += pause_ms / 2 - 1;
        db.tick();
        db.expect(&[("QCONSUME q", "nil")]);
        db.now_ms += pause_ms / 2 + 1;
        db.tick();
    }
    assert!(db.ask("QCONSUME q").contains(&id));
    db.expect(&[(&*format!("QNACK q {id}"), "1")]);
    let dead = db.ask("QDLQ LIST q");
    assert!(dead.contains(&id) && dead.contains("max_retries"), "{dead}");
    // Another one takes the only place.
    let next = db.ask("QPUBLISH q y").trim_matches('"').to_owned();
    db.ask("QCONSUME q");
    db.expect(&[(&*format!("QNACK q REQUEUE false {next}"), "1")]);
    let dead = db.ask("QDLQ LIST q");
    assert!(!dead.contains(&id) && dead.contains(&next) && dead.contains("rejected"), "{dead}");
    db.now_ms += 25 * 3_600_000;
    db.tick();
    db.expect(&[("QDLQ LIST q", "{\"messages\": [], \"total\": 0}")]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut db = OneTable::new();
    db.expect(&[
        ("QPUBLISH q x", "NOQUEUE Queue not found"),
        ("QCREATE list", "ERR publish, consume and list cannot be names of queues"),
        ("QCREATE \"\"", "ERR a name may not be empty"),
        ("QCREATE q PRIORITY -1", "ERR priority must not be negative"),
        ("QCREATE q DEADLINE 0", "ERR a span of time must be between 0 and 315360000 seconds"),
        ("QCREATE q PRIORITY 99", "OK"),
        ("QPUBLISH q x HEADERS a", "ERR syntax error"),
        ("QCONSUME q COUNT 0", "ERR count must be between 1 and 1000"),
        ("QCONSUME q WAIT 30001", "ERR wait_ms must be between 0 and 30000"),
        ("QACK q nonsense", "NOMESSAGE Message not found"),
        ("QCANCEL q nonsense", "NOMESSAGE Message not found"),
        ("QLIST", "[\"q\"]"),
        ("QDELETE q", "1"),
        ("QDELETE q", "0"),
        ("QLIST", "[]"),
    ]);
}

#[test]
fn clearing_every_key_leaves_queues() {
    let mut db = OneTable::new();
    for number in 0..40 {
        db.ask(&format!("QSEND q{number} x"));
        db.ask(&format!("SET k{number} x"));
    }
    db.ask("QCONSUME q7");
    db.expect(&[("DBSIZE", "40"), ("FLUSHALL", "OK"), ("DBSIZE", "0"), ("KEYS *", "[]")]);
    let names: usize = db.shards.iter().flatten().map(|shard| shard.entry_count()).sum();
    assert_eq!(names, 40);
    db.now_ms += 31_000;
    db.tick();
    let reply = db.ask("QCONSUME q7");
    assert!(reply.contains("\"retry_count\": 1"), "timers outlive a clear: {reply}");
    let replayed: usize = db.replayed().iter().flatten().map(|shard| shard.entry_count()).sum();
    assert_eq!(replayed, 40);
}

#[test]
fn what_is_purged_or_deleted_gives_its_memory_back() {
    let mut db = OneTable::new();
    let live = |db: &OneTable| -> usize {
        db.shards.iter().flatten().map(|shard| shard.live_bytes()).sum()
    };
    let nothing = live(&db);
    db.ask("QCREATE q");
    let empty = live(&db);
    for line in ["QPURGE q", "QDELETE q"] {
        for number in 0..3_000 {
            db.ask(&format!("QPUBLISH q {number} PRIORITY {} TTL 5000 KEY k", number % 7));
            db.ask(&format!("QPUBLISH q {number} DELAY {number}"));
        }
        assert!(live(&db) > empty + 50_000);
        assert_ne!(db.ask(line), "0");
        while db.shards.iter_mut().flatten().any(|shard| shard.free_some(100)) {}
        // A timer, and the idempotency key, may be left.
        assert!(live(&db) < empty + 1_000, "{line}: {} of {empty}", live(&db));
    }
    assert_eq!(live(&db), nothing);
}
