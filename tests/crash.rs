//! Servers that are killed, stopped, damaged or starved of disk space, and what is there
//! afterwards.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::load::{Books, Checked, Load, Promise};
use support::resp::{encode, show};
use support::{Plan, Server, wait_for};

const WRITERS: usize = 8;
/// Rounds after which a fresh directory is begun, so that a round stays as cheap as the first.
const ROUNDS_PER_DIRECTORY: usize = 25;
/// Many intervals of the default: the machine may be busy with other tests.
const SLACK: Duration = Duration::from_millis(500);

fn rounds() -> usize {
    std::env::var("SYNAP_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Kills servers under load. Each start is checked for what the one before had promised, carries
/// the next load, and is killed in turn; the number of cores and the way to commit
/// change from one to the next, and some are killed with a snapshot under way or just taken.
fn kill_rounds(mode: &str, rounds: usize, load_ms: std::ops::Range<u64>, slack: Option<Duration>) {
    let begun = Instant::now();
    let mut total = Checked::default();
    let mut done = 0;
    while done < rounds {
        let mut plan = Plan::new().fsync(mode).env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
        let books = Books::new(WRITERS);
        let mut promise = Promise::All;
        for _ in 0..ROUNDS_PER_DIRECTORY.min(rounds - done) {
            let path = ["thread", "ring"][done % 2];
            plan = plan.env("SYNAP_PERSISTENCE__WAL__COMMIT_PATH", path);
            let server = plan.workers(done % 3 + 1).fresh_ports().start();
            total += books.check(&mut server.resp(), promise);
            if done % 4 == 2 {
                let begun = server.resp().call(&["BGSAVE"]);
                assert_eq!(begun, "+Background saving started");
            }
            let load = Load::start(&server, &books);
            let span = load_ms.end - load_ms.start;
            load.go_on_for(Duration::from_millis(load_ms.start + done as u64 * 37 % span));
            promise = slack.map_or(Promise::All, |slack| Promise::Until(Instant::now() - slack));
            plan = server.plan.clone();
            server.kill();
            load.end();
            done += 1;
        }
        let server = plan.fresh_ports().start();
        total += books.check(&mut server.resp(), promise);
        server.stop();
    }
    eprintln!("mode {mode}: {rounds} rounds of kill -9, {total}; {:.1?}", begun.elapsed());
}

#[test]
fn acknowledged_writes_survive_kill_9_in_mode_always() {
    kill_rounds("always", rounds(), 10..110, None);
}

#[test]
fn a_periodic_log_loses_no_more_than_its_window() {
    kill_rounds("periodic", (rounds() / 8).max(2), 700..800, Some(SLACK));
}

#[test]
fn a_log_that_is_never_synced_loses_no_more_than_its_window_to_kill_9() {
    kill_rounds("never", (rounds() / 8).max(2), 700..800, Some(SLACK));
}

/// Segments that hold something, oldest first.
fn segments(plan: &Plan) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(plan.wal())
        .expect("there is a log")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| !path.to_string_lossy().contains("spare"))
        .filter(|path| std::fs::read(path).expect("it can be read").starts_with(b"SYNAPSEG"))
        .collect();
    let number = |path: &PathBuf| -> u64 {
        let name = path.extension().expect("a number").to_string_lossy().into_owned();
        name.parse().expect("a number")
    };
    found.sort_by_key(number);
    found
}

/// Offset behind the last block that is not zero.
fn used(path: &Path) -> usize {
    let bytes = std::fs::read(path).expect("it can be read");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| (at / 4096 + 1) * 4096)
}

fn garble(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("it can be read");
    for byte in &mut bytes[at..at + 64] {
        *byte = !*byte;
    }
    std::fs::write(path, bytes).expect("it can be written");
}

/// A log of one core with a hundred keys, left behind by a kill.
fn killed_log(plan: &Plan) {
    let server = plan.start();
    let mut client = server.resp();
    for at in 0..100 {
        assert_eq!(client.call(&["SET", &format!("key:{at}"), &"v".repeat(100)]), "+OK");
    }
    server.kill();
}

#[test]
fn a_torn_tail_is_cut_off() {
    let plan = Plan::new().fsync("always").workers(1);
    killed_log(&plan);
    let last = segments(&plan).pop().expect("there is a segment");
    let end = used(&last);
    garble(&last, end - 4096 + 60);
    let server = plan.start();
    assert!(plan.log().contains("cut short"), "{}", plan.log());
    let mut client = server.resp();
    assert_eq!(client.call(&["EXISTS", "key:98"]), ":1");
    assert_eq!(client.call(&["EXISTS", "key:99"]), ":0");
    assert_eq!(client.call(&["SET", "key:99", "again"]), "+OK");
    server.kill();
    let server = plan.start();
    assert_eq!(server.resp().call(&["GET", "key:99"]), "again");
    server.stop();
}

#[test]
fn a_corrupt_middle_is_refused() {
    let plan = Plan::new().fsync("always").workers(1);
    killed_log(&plan);
    let segment = segments(&plan).remove(0);
    let middle = used(&segment) / 8192 * 4096;
    garble(&segment, middle + 60);
    let status = plan.run_to_end();
    let log = plan.log();
    assert_eq!(status.code(), Some(2), "{log}");
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(log.contains(&name), "{log}");
    assert!(log.contains(&middle.to_string()), "byte {middle}: {log}");
}

#[test]
fn one_server_per_data_directory() {
    let server = Server::start();
    let second = server.plan.clone().fresh_ports();
    let status = second.run_to_end();
    assert_eq!(status.code(), Some(5), "{}", second.log());
    assert!(second.log().contains(&server.pid().to_string()), "{}", second.log());
    server.stop();
}

#[test]
fn taken_ports() {
    let server = Server::start();
    let mut plan = Plan::new();
    plan.resp = server.plan.resp;
    let status = plan.run_to_end();
    assert_eq!(status.code(), Some(3), "{}", plan.log());
    assert!(plan.log().contains("resp3.port"), "{}", plan.log());
    let mut plan = Plan::new();
    plan.http = server.plan.http;
    assert_eq!(plan.run_to_end().code(), Some(3), "{}", plan.log());
    server.stop();
}

#[test]
fn the_default_resp_port_may_be_taken() {
    // Whoever has it, this test or the machine: it is taken.
    let _taken = std::net::TcpListener::bind("127.0.0.1:6379");
    let plan = Plan::new().env("SYNAP_RESP3__PORT", "");
    let server = plan.start();
    server.wait_for_log("resp3.port");
    assert_eq!(server.http().request("GET", "/health", "").status, 200);
    server.stop();
}

#[test]
fn stopping_answers_what_has_come() {
    let plan = Plan::new().fsync("always");
    let server = plan.start();
    let mut client = server.resp();
    let count = 2000;
    let bytes: Vec<u8> =
        (0..count).flat_map(|at| encode(&["SET", &format!("stop:{at}"), "1"])).collect();
    client.send(&bytes);
    assert_eq!(client.reply(), b"+OK\r\n");
    server.signal("TERM");
    let mut answered = 1;
    while let Some(reply) = client.try_reply() {
        assert_eq!(show(&reply), "+OK");
        answered += 1;
    }
    let mut server = server;
    assert!(server.wait().success(), "{}", plan.log());
    assert_eq!(answered, count, "what had come was answered");
    let server = plan.start();
    assert!(!plan.log().contains("cut"), "a clean log: {}", plan.log());
    assert_eq!(server.resp().call(&["DBSIZE"]), format!(":{count}"));
    server.stop();
}

#[test]
fn hangup_reloads_what_can_be() {
    let text = |mib: u32| format!("kv_store:\n  max_memory_mb: {mib}\n");
    let plan = Plan::new().config(&text(64));
    let server = plan.start();
    let mut client = server.resp();
    assert_eq!(client.call(&["CONFIG", "GET", "maxmemory"]), "[maxmemory, 67108864]");
    let _same_file = plan.config(&text(32));
    server.signal("HUP");
    wait_for("the new limit", || {
        client.call(&["CONFIG", "GET", "maxmemory"]) == "[maxmemory, 33554432]"
    });
    server.stop();
}
