//! Snapshots of a running server: what triggers them, what they are worth after a restart, what
//! goes when they are there, and what happens when they cannot be written.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::http::Answer;
use support::resp::{Resp, encode};
use support::{Plan, Server, wait_for};

const SECTION: &str = "SYNAP_PERSISTENCE__SNAPSHOT__";

/// A plan whose snapshots are taken on request only.
fn on_request() -> Plan {
    Plan::new().env(&format!("{SECTION}AUTO_SNAPSHOT"), false)
}

/// A plan in which only this key of the section triggers.
fn only(key: &str, value: u64) -> Plan {
    let quiet = [("INTERVAL_SECS", 0), ("OPERATION_THRESHOLD", 0)];
    let plan = quiet
        .iter()
        .fold(Plan::new(), |plan, (key, value)| plan.env(&format!("{SECTION}{key}"), value));
    plan.env(&format!("{SECTION}{key}"), value)
}

fn directory(plan: &Plan) -> PathBuf {
    plan.data().join("snapshots")
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry).into_string().expect("our names are text")).collect();
    names.sort();
    names
}

fn indexes(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".snap")).collect()
}

fn post(server: &Server) -> Answer {
    server.http().request("POST", "/snapshot", "")
}

/// A field of `INFO persistence`.
fn info(client: &mut Resp, field: &str) -> String {
    let text = client.call(&["INFO", "persistence"]);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
}

fn fill(client: &mut Resp, keys: usize, value: &str) {
    for batch in (0..keys).collect::<Vec<_>>().chunks(500) {
        let bytes: Vec<u8> =
            batch.iter().flat_map(|n| encode(&["SET", &format!("key:{n}"), value])).collect();
        client.send(&bytes);
        batch.iter().for_each(|_| assert_eq!(client.reply(), b"+OK\r\n"));
    }
}

fn bytes_below(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It went meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[test]
fn a_snapshot_and_the_log_behind_it_bring_everything_back() {
    let server = on_request().fsync("always").start();
    let mut client = server.resp();
    fill(&mut client, 3000, "before");
    let large = "x".repeat(300_000);
    assert_eq!(client.call(&["SET", "large", &large]), "+OK");
    assert_eq!(client.call(&["SET", "brief", "1", "EX", "10000"]), "+OK");
    assert_eq!(client.call(&["SAVE"]), "+OK");
    let last: u64 = client.call(&["LASTSAVE"]).trim_start_matches(':').parse().expect("a number");
    assert!(last > 1_700_000_000);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    assert_eq!(client.call(&["SET", "key:7", "behind"]), "+OK");
    assert_eq!(client.call(&["DEL", "key:8"]), ":1");
    assert_eq!(client.call(&["PERSIST", "brief"]), ":1");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "3");
    let plan = server.plan.clone();
    server.kill();
    let server = plan.start();
    assert!(plan.log().contains("snapshot loaded"), "{}", plan.log());
    let mut client = server.resp();
    assert_eq!(client.call(&["DBSIZE"]), ":3001");
    assert_eq!(client.call(&["GET", "key:7"]), "behind");
    assert_eq!(client.call(&["GET", "key:9"]), "before");
    assert_eq!(client.call(&["GET", "large"]), large);
    assert_eq!(client.call(&["TTL", "brief"]), ":-1");
    server.stop();
}

/// Writes all over both cores until told to stop.
fn churn(port: u16, writer: usize, stop: &AtomicBool) {
    let mut client = Resp::connect(port);
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let key = |n: usize| format!("churn:{writer}:{}", (round * 31 + n * 7) % 400);
        let (a, b, c, d) = (key(0), key(1), key(2), key(3));
        let count = format!("count:{}", round % 50);
        let value = format!("{round}-{}", "v".repeat(round % 90));
        let large = format!("large:{}", round % 20);
        let commands: [&[&str]; 7] = [
            &["SET", &a, &value],
            &["APPEND", &b, "+"],
            &["DEL", &c],
            &["INCR", &count],
            &["MSET", &c, &value, &d, &value],
            &["EXPIRE", &d, if round % 5 == 0 { "1" } else { "10000" }],
            &["SETRANGE", &large, "20000", &value],
        ];
        let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        client.send(&bytes);
        commands.iter().for_each(|_| assert_ne!(client.reply()[0], b'-'));
    }
}

fn everything(client: &mut Resp) -> BTreeMap<String, String> {
    let keys = (0..4)
        .flat_map(|writer| (0..400).map(move |n| format!("churn:{writer}:{n}")))
        .chain((0..50).map(|n| format!("count:{n}")))
        .chain((0..20).map(|n| format!("large:{n}")));
    keys.map(|key| {
        let value = client.call(&["GET", &key]);
        (key, value)
    })
    .collect()
}

#[test]
fn snapshots_taken_under_load_give_the_state_at_its_end() {
    let mut plan = on_request().env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
    for workers in [2, 3, 1] {
        plan = plan.workers(workers);
        let server = plan.start();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (port, stop) = (plan.resp, Arc::clone(&stop));
                thread::spawn(move || churn(port, writer, &stop))
            })
            .collect();
        for _ in 0..4 {
            assert_eq!(post(&server).status, 200);
        }
        thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("every write is answered"));
        // What expires, expires before it is looked at.
        thread::sleep(Duration::from_millis(1100));
        let before = everything(&mut server.resp());
        server.kill();
        let server = plan.start();
        assert!(plan.log().contains("snapshot loaded"));
        assert_eq!(everything(&mut server.resp()), before);
        server.stop();
    }
}

#[test]
fn http_tells_what_was_written() {
    let server = on_request().start();
    let mut client = server.resp();
    fill(&mut client, 100, "v");
    let answer = post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert!(body["message"].is_string());
    let path = Path::new(body["path"].as_str().expect("a path"));
    let found = indexes(&directory(&server.plan));
    assert_eq!(found, [path.file_name().expect("a name").to_string_lossy()]);
    assert_eq!(body["entries"], 100);
    assert!(body["offset"].as_u64().expect("a number") >= 100);
    assert_eq!(body["size_bytes"].as_u64(), Some(bytes_below(&directory(&server.plan))));
    assert!(body["duration_ms"].is_u64());
    let health = server.http().request("GET", "/health/persistence", "").json();
    assert_eq!(health["snapshot"]["taken"], 1);
    assert_eq!(health["snapshot"]["last_status"], "ok");
    let metrics = server.http().request("GET", "/metrics", "");
    assert!(metrics.text().contains("synap_snapshot_total{status=\"ok\"} 1\n"));
    assert!(metrics.text().contains("synap_snapshot_last_entries 100\n"));
}

#[test]
fn who_asks_during_a_snapshot_shares_it() {
    let server = on_request().start();
    fill(&mut server.resp(), 20_000, &"v".repeat(100));
    let ask = || {
        let port = server.plan.http;
        thread::spawn(move || {
            let mut client = support::http::Http::connect(port);
            let answer = client.request("POST", "/snapshot", "");
            assert_eq!(answer.status, 200);
            answer.json()["name"].as_str().expect("a name").to_owned()
        })
    };
    let asked: Vec<_> = (0..12).map(|_| ask()).collect();
    let mut names: Vec<_> = asked.into_iter().map(|t| t.join().expect("answered")).collect();
    names.sort();
    names.dedup();
    // Those that came too late to be sure of their writes share the next one.
    assert!(names.len() <= 4, "{names:?}");
    let kept = indexes(&directory(&server.plan));
    assert!(names.iter().all(|name| kept.contains(&format!("{name}.snap"))), "{names:?} {kept:?}");
}

#[test]
fn background_saves_and_the_signal_are_obeyed() {
    let server = on_request().start();
    let mut client = server.resp();
    let taken = |count: usize| {
        let at = directory(&server.plan);
        wait_for("a snapshot", || indexes(&at).len() == count);
        let mut client = server.resp();
        wait_for("its end", || info(&mut client, "rdb_bgsave_in_progress") == "0");
    };
    assert_eq!(client.call(&["BGSAVE"]), "+Background saving started");
    taken(1);
    assert_eq!(client.call(&["BGSAVE", "SCHEDULE"]), "+Background saving started");
    taken(2);
    server.signal("USR1");
    taken(3);
    assert!(client.call(&["BGSAVE", "NOW"]).starts_with("-ERR"));
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(info(&mut client, "rdb_saves"), "3");
    // Two in one breath: the second is refused, or comes after the first is done.
    fill(&mut client, 20_000, &"v".repeat(100));
    client.send(&[encode(&["BGSAVE"]), encode(&["BGSAVE"])].concat());
    assert_eq!(client.reply(), b"+Background saving started\r\n");
    assert_eq!(client.reply(), b"-ERR Background save already in progress\r\n");
    server.stop();
}

#[test]
fn the_interval_triggers_only_when_something_changed() {
    let server = only("INTERVAL_SECS", 1).start();
    let at = directory(&server.plan);
    let mut client = server.resp();
    assert_eq!(client.call(&["SET", "a", "1"]), "+OK");
    wait_for("a snapshot", || indexes(&at).len() == 1);
    server.wait_for_log("interval");
    // Longer than the interval, and nothing changed.
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(indexes(&at).len(), 1);
    assert_eq!(client.call(&["SET", "a", "2"]), "+OK");
    wait_for("another", || indexes(&at).len() == 2);
}

#[test]
fn the_number_of_operations_triggers() {
    let server = only("OPERATION_THRESHOLD", 100).start();
    fill(&mut server.resp(), 99, "v");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(indexes(&directory(&server.plan)), [""; 0]);
    fill(&mut server.resp(), 1, "v");
    wait_for("a snapshot", || indexes(&directory(&server.plan)).len() == 1);
    server.wait_for_log("operation threshold");
}

#[test]
fn nothing_triggers_when_they_are_not_wanted_of_themselves() {
    let plan = only("OPERATION_THRESHOLD", 10).env(&format!("{SECTION}AUTO_SNAPSHOT"), false);
    let server = plan.env("SYNAP_PERSISTENCE__WAL__MAX_SIZE_MB", 1).start();
    fill(&mut server.resp(), 3000, &"v".repeat(1000));
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(indexes(&directory(&server.plan)), [""; 0]);
    assert_eq!(post(&server).status, 200);
}

#[test]
fn the_size_of_the_log_triggers_and_the_directory_stays_bounded() {
    let plan = only("MAX_SNAPSHOTS", 1)
        .env("SYNAP_PERSISTENCE__WAL__MAX_SIZE_MB", 4)
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
    let server = plan.start();
    let mut client = server.resp();
    let (mut most, mut written) = (0, 0);
    // 250 MB of writes over 2 MB of data; slower than a machine with other work can follow, it
    // would be the server's backlog that is measured.
    while written < 250 {
        fill(&mut client, 2000, &"v".repeat(1000));
        written += 2;
        if written > 100 {
            most = most.max(bytes_below(server.plan.data()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let taken: u64 = info(&mut client, "rdb_saves").parse().expect("a number");
    assert!(taken >= 3, "only {taken} snapshots");
    assert!(most < 120 << 20, "{most} bytes in the data directory");
    wait_for("the log to be let go", || bytes_below(&server.plan.wal()) < 24 << 20);
    let plan = server.plan.clone();
    server.kill();
    let server = plan.start();
    assert_eq!(server.resp().call(&["DBSIZE"]), ":2000");
    server.stop();
}

#[test]
fn only_the_newest_are_kept() {
    let server = on_request().env(&format!("{SECTION}MAX_SNAPSHOTS"), 2).start();
    let mut client = server.resp();
    let mut written = Vec::new();
    for round in 0..4 {
        fill(&mut client, 50, &round.to_string());
        written.push(post(&server).json()["name"].as_str().expect("a name").to_owned());
    }
    let at = directory(&server.plan);
    wait_for("the older ones to go", || indexes(&at).len() == 2);
    let kept: Vec<String> = written[2..].iter().map(|name| format!("{name}.snap")).collect();
    assert_eq!(indexes(&at), kept);
    let of_kept = |name: &String| written[2..].iter().any(|kept| name.starts_with(kept));
    wait_for("their parts to go", || names(&at).iter().all(of_kept));
}

#[test]
fn fewer_cores_leave_no_logs_behind() {
    let plan = on_request().workers(3);
    let server = plan.start();
    fill(&mut server.resp(), 300, "v");
    server.stop();
    let server = plan.clone().workers(1).start();
    let of_others = || names(&plan.wal()).iter().any(|name| !name.starts_with("synap.wal.0."));
    assert!(of_others());
    assert_eq!(post(&server).status, 200);
    assert!(!of_others(), "{:?}", names(&plan.wal()));
    server.kill();
    let server = plan.start();
    assert_eq!(server.resp().call(&["DBSIZE"]), ":300");
    server.stop();
}

/// Asks for a snapshot that cannot be written, and checks that nothing else is the matter.
fn expect_failure(server: &Server) {
    let mut client = server.resp();
    let answer = post(server);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.text().contains("the snapshot failed: "), "{}", answer.text());
    assert!(client.call(&["SAVE"]).starts_with("-ERR the snapshot failed: "));
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "0");
    assert_eq!(client.call(&["SET", "after", "1"]), "+OK");
    assert_eq!(client.call(&["GET", "after"]), "1");
    server.wait_for_log("snapshot failed; the server goes on");
}

#[test]
fn a_directory_that_cannot_be_written_fails_the_snapshot_only() {
    let server = on_request().start();
    let file = directory(&server.plan);
    fs::write(&file, b"not a directory").expect("a file");
    expect_failure(&server);
    fs::remove_file(&file).expect("removed");
    let answer = post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.stop();
}

/// A file system of its own for a test, gone with it.
struct Small(PathBuf);

impl Small {
    /// Nothing where the machine does not let us mount.
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: a small file system cannot be mounted; run as root");
        }
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_fails_the_snapshot_only() {
    let plan = on_request().env(&format!("{SECTION}COMPRESSION"), false);
    let at = directory(&plan);
    let Some(small) = Small::mount(&at, "size=256k") else { return };
    let server = plan.start();
    fill(&mut server.resp(), 3000, &"v".repeat(300));
    expect_failure(&server);
    assert_eq!(names(&at), [""; 0], "what was begun is removed");
    let grown = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&small.0).status();
    assert!(grown.expect("mount runs").success());
    let answer = post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.stop();
}

#[test]
fn a_stop_gives_a_running_snapshot_up() {
    // The strongest compression: it takes long enough to be caught.
    let plan = on_request().env(&format!("{SECTION}COMPRESSION_LEVEL"), 22);
    let mut server = plan.start();
    let mut client = server.resp();
    for part in 0..12 {
        let mut value = String::new();
        (0..200_000).for_each(|n| value.push_str(&(n * 7919 % 100_003 + part).to_string()));
        assert_eq!(client.call(&["SET", &format!("large:{part}"), &value]), "+OK");
    }
    let mut waiting = server.resp();
    waiting.command(&["SAVE"]);
    wait_for("the snapshot to begin", || info(&mut client, "rdb_bgsave_in_progress") == "1");
    server.signal("TERM");
    let status = server.wait();
    assert!(status.success(), "{status}");
    let log = plan.log();
    if log.contains("snapshot given up") {
        let answer = waiting.reply();
        assert!(answer.starts_with(b"-ERR the snapshot failed"), "{answer:?}");
        assert_eq!(names(&directory(&plan)), [""; 0], "{log}");
    } else {
        eprintln!("SKIPPED: the snapshot was done before the stop came");
    }
    let server = plan.start();
    assert_eq!(server.resp().call(&["DBSIZE"]), ":12");
    server.stop();
}

#[test]
fn without_persistence_there_are_none() {
    for key in ["SYNAP_PERSISTENCE__ENABLED", "SYNAP_PERSISTENCE__SNAPSHOT__ENABLED"] {
        let server = Plan::new().env(key, false).start();
        let answer = post(&server);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "Persistence is disabled");
        let mut client = server.resp();
        for command in ["SAVE", "BGSAVE", "SYNAP.SNAPSHOT"] {
            assert_eq!(client.call(&[command]), "-ERR Persistence is disabled");
        }
        assert!(client.call(&["LASTSAVE"]).starts_with(':'));
        assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "0");
        server.stop();
    }
}

#[test]
fn every_way_to_compress_is_read_back() {
    for (compression, codec) in [("false", "zstd"), ("true", "lz4"), ("true", "zstd")] {
        let plan = on_request()
            .env(&format!("{SECTION}COMPRESSION"), compression)
            .env(&format!("{SECTION}CODEC"), codec);
        let server = plan.start();
        fill(&mut server.resp(), 2000, &"value ".repeat(20));
        let size = post(&server).json()["size_bytes"].as_u64().expect("a number");
        assert_eq!(size < 150_000, compression == "true", "{size} bytes, {codec}");
        server.kill();
        let server = plan.start();
        let mut client = server.resp();
        assert_eq!(client.call(&["DBSIZE"]), ":2000");
        assert_eq!(client.call(&["GET", "key:1999"]), "value ".repeat(20));
        server.stop();
    }
}
