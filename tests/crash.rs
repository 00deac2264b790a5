//! Servers that are killed, stopped, damaged or starved of disk space, and what is there
//! afterwards.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::resp::{Resp, encode, show};
use support::{Plan, Server, wait_for};

const WRITERS: usize = 16;
/// Members of a group that is written by one MSET; they lie on both cores.
const GROUP: usize = 5;

fn rounds() -> usize {
    std::env::var("SYNAP_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// What one writer knows to be acknowledged.
#[derive(Default)]
struct Acked {
    single: AtomicU64,
    group: AtomicU64,
    counter: AtomicU64,
    /// Acknowledged values of `single` and when they were.
    history: std::sync::Mutex<Vec<(Instant, u64)>>,
}

fn single(writer: usize) -> String {
    format!("single:{writer}")
}

fn counter(writer: usize) -> String {
    format!("counter:{writer}")
}

fn group(writer: usize) -> Vec<String> {
    (0..GROUP).map(|member| format!("group:{writer}:{member}")).collect()
}

/// Writes until the connection breaks.
fn write(port: u16, writer: usize, acked: &Acked, stop: &AtomicBool) {
    let mut client = Resp::connect(port);
    let (single, counter, members) = (single(writer), counter(writer), group(writer));
    let mut number = acked.single.load(Ordering::Relaxed).max(acked.group.load(Ordering::Relaxed));
    // What was sent and not acknowledged before the crash may be there as well.
    number += 10;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let tag = number.to_string();
        let mut words = vec!["MSET"];
        for member in &members {
            words.extend([member.as_str(), tag.as_str()]);
        }
        let mut bytes = encode(&["SET", &single, &tag]);
        bytes.extend(encode(&words));
        bytes.extend(encode(&["INCR", &counter]));
        if !client.try_send(&bytes) {
            return;
        }
        let Some(reply) = client.try_reply() else { return };
        assert_eq!(show(&reply), "+OK");
        acked.single.store(number, Ordering::Relaxed);
        acked.history.lock().expect("nobody panics holding it").push((Instant::now(), number));
        let Some(reply) = client.try_reply() else { return };
        assert_eq!(show(&reply), "+OK");
        acked.group.store(number, Ordering::Relaxed);
        let Some(reply) = client.try_reply() else { return };
        let count = show(&reply)[1..].parse().expect("a count");
        acked.counter.store(count, Ordering::Relaxed);
    }
}

/// Lets writers work on a server for a while, and kills it under them. Says when.
fn kill_under_load(server: Server, acked: &Arc<Vec<Acked>>, after: Duration) -> Instant {
    let stop = Arc::new(AtomicBool::new(false));
    let port = server.plan.resp;
    let threads: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (acked, stop) = (Arc::clone(acked), Arc::clone(&stop));
            std::thread::spawn(move || write(port, writer, &acked[writer], &stop))
        })
        .collect();
    let until = Instant::now() + after;
    let before = total(acked);
    wait_for("writes to be acknowledged", || {
        Instant::now() >= until && total(acked) > before + 10 * WRITERS as u64
    });
    let killed = Instant::now();
    server.kill();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("the writer saw nothing wrong");
    }
    killed
}

fn total(acked: &[Acked]) -> u64 {
    acked.iter().map(|writer| writer.group.load(Ordering::Relaxed)).sum()
}

/// A number a server has, 0 when it has none.
fn number_of(client: &mut Resp, key: &str) -> u64 {
    let value = client.call(&["GET", key]);
    if value == "(nil)" { 0 } else { value.parse().expect("a number") }
}

/// The tag that all members of a group carry.
fn whole_group(client: &mut Resp, writer: usize) -> u64 {
    let tags: Vec<u64> = group(writer).iter().map(|member| number_of(client, member)).collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "a torn group of writer {writer}: {tags:?}");
    tags[0]
}

fn fresh_books() -> Arc<Vec<Acked>> {
    Arc::new((0..WRITERS).map(|_| Acked::default()).collect())
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let mut plan = Plan::new().fsync("always").workers(2);
    let acked = fresh_books();
    let started = Instant::now();
    let mut survived = 0;
    for round in 0..rounds() {
        let after = Duration::from_millis(150 + (round as u64 * 137) % 500);
        kill_under_load(plan.start(), &acked, after);
        plan = plan.workers(round % 3 + 1).fresh_ports();
        let server = plan.start();
        let mut client = server.resp();
        for (writer, acked) in acked.iter().enumerate() {
            let checks = [
                (number_of(&mut client, &single(writer)), &acked.single, "SET"),
                (whole_group(&mut client, writer), &acked.group, "MSET"),
                (number_of(&mut client, &counter(writer)), &acked.counter, "INCR"),
            ];
            for (found, acked, what) in checks {
                let acked = acked.load(Ordering::Relaxed);
                assert!(found >= acked, "round {round}: {what} lost: {found} < {acked}");
            }
        }
        survived = total(&acked);
        if round % 2 == 0 {
            server.stop();
        } else {
            server.kill();
        }
    }
    eprintln!("{} rounds, {survived} steps of writers, {:?}", rounds(), started.elapsed());
}

#[test]
fn a_periodic_log_loses_no_more_than_its_window() {
    /// Ten intervals of the default: the machine may be busy with other tests.
    const SLACK: Duration = Duration::from_millis(500);
    let mut plan = Plan::new().fsync("periodic").workers(2);
    for workers in [2, 3] {
        let acked = fresh_books();
        let killed = kill_under_load(plan.start(), &acked, Duration::from_millis(900));
        plan = plan.workers(workers).fresh_ports();
        let server = plan.start();
        let mut client = server.resp();
        for (writer, acked) in acked.iter().enumerate() {
            let found = number_of(&mut client, &single(writer));
            whole_group(&mut client, writer);
            let history = acked.history.lock().expect("nobody panics holding it");
            let old = history.iter().rev().find(|(at, _)| *at + SLACK < killed);
            let old = old.map_or(0, |(_, number)| *number);
            assert!(found >= old, "writer {writer}: {found} < {old}, which was old enough");
        }
        assert_eq!(client.call(&["FLUSHALL"]), "+OK");
        server.stop();
        plan = plan.workers(2).fresh_ports();
    }
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

/// A small file system of its own, gone with its owner.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(directory.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: a small tmpfs cannot be mounted; run as root to see this check");
        }
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk is unmounted");
    }
}

#[test]
fn a_full_disk_ends_the_server_and_keeps_what_was_acknowledged() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).expect("there is room for it");
    let plan = Plan::new()
        .fsync("always")
        .workers(1)
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 4)
        .data_at(&disk.0.path().join("data"));
    let mut server = plan.start();
    let mut client = server.resp();
    let value = "v".repeat(100_000);
    let mut acked = 0;
    while client.try_send(&encode(&["SET", &format!("full:{acked}"), &value])) {
        let Some(reply) = client.try_reply() else { break };
        assert_eq!(show(&reply), "+OK");
        acked += 1;
        assert!(acked < 1000, "100 MB do not fit");
    }
    let status = server.wait();
    assert_eq!(status.code(), Some(4), "{}", plan.log());
    assert!(plan.log().contains("No space left"), "{}", plan.log());
    assert!(acked > 50, "{acked}");
    std::fs::remove_file(&ballast).expect("it can be removed");
    let grown = Command::new("mount").args(["-o", "remount,size=96m"]).arg(disk.0.path()).status();
    assert!(grown.is_ok_and(|status| status.success()));
    let server = plan.start();
    let mut client = server.resp();
    for at in 0..acked {
        let length = client.call(&["STRLEN", &format!("full:{at}")]);
        assert_eq!(length, format!(":{}", value.len()), "full:{at}");
    }
    server.stop();
}
