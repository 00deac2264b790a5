//! Disks that fill up, fail, lie or are slow, processes that are paused, directories that vanish:
//! each is survived or refused as the table in `io/README.md` says. Where a fault has to be made at
//! the disk's calls, the server is one built with faults on demand.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::disk::SmallDisk;
use support::faulty::Faults;
use support::history::Rng;
use support::load::{Books, Checked, Load, Promise};
use support::resp::{Resp, encode, show};
use support::{PATIENCE, Plan, Server, holds_within, wait_for};

const WRITERS: usize = 8;
/// The user nobody.
const NOBODY: u32 = 65534;

fn power_cuts() -> usize {
    std::env::var("SYNAP_POWER_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// A number from the page of metrics.
fn metric(server: &Server, name: &str) -> f64 {
    let page = server.http().request("GET", "/metrics", "");
    let line = page.text().lines().find(|line| line.starts_with(name)).expect("there is a sample");
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
}

/// Writes until the server ends of a fault, and gives its exit code and the books.
fn load_until_the_end(mut server: Server) -> (Option<i32>, Books) {
    let books = Books::new(WRITERS);
    let load = Load::start(&server, &books);
    let status = server.wait();
    load.end();
    (status.code(), books)
}

/// A healthy server on the directory of a faulty one.
fn healthy(plan: &Plan) -> Plan {
    let plan = plan.clone().fresh_ports().without("SYNAP_FAULT_PLAN");
    plan.program(Path::new(env!("CARGO_BIN_EXE_synap-server")))
}

/// A fault at the disk's calls that the server must not outlive: it ends with code 4 and says what
/// it could not do, and everything acknowledged is there at the next start.
fn ends_the_server(rules: &str, said: &str) {
    let Some((plan, faults)) = Faults::plan() else { return };
    let plan = plan.fsync("always");
    faults.set(rules);
    let (code, books) = load_until_the_end(plan.start());
    assert_eq!(code, Some(4), "{rules}: {}", plan.log());
    assert!(plan.log().contains(said), "{rules}: {}", plan.log());
    assert!(plan.log().contains("synap.wal."), "it names the file: {}", plan.log());
    let server = healthy(&plan).start();
    let checked = books.check(&mut server.resp(), Promise::All);
    eprintln!("{rules}: {checked}");
    server.stop();
}

#[test]
fn a_failed_sync_is_final() {
    ends_the_server("sync error EIO after 40 times 1 in synap.wal", "Input/output error");
}

#[test]
fn a_failed_write_is_final() {
    ends_the_server("write error EIO after 60 times 1 in synap.wal", "Input/output error");
}

#[test]
fn a_disk_that_turns_read_only_is_final() {
    ends_the_server("write error EROFS after 60 in synap.wal", "Read-only file system");
}

#[test]
fn a_disk_full_in_the_middle_of_a_commit_is_final() {
    // Room for the segments was set aside; only a file system that copies on write does this.
    ends_the_server("write room 40000000 in synap.wal", "No space left");
}

/// Publishes 400 events of 1 KiB to a topic, and reads everything from its beginning.
fn publish_and_read(server: &Server, before: usize) -> usize {
    let mut client = server.resp();
    let data = "x".repeat(1024);
    for _ in 0..400 {
        let reply = client.call(&["TPUBLISH", "t", "e", &data, "PARTITION", "0"]);
        assert!(reply.starts_with("[:0, :"), "{reply}");
    }
    read_events(&mut client, before + 400);
    before + 400
}

fn read_events(client: &mut Resp, count: usize) {
    let mut at = 0;
    while at < count {
        let reply = client.call(&["TREAD", "t", "0", &at.to_string(), "COUNT", "1000"]);
        let next = reply.strip_prefix("[:").and_then(|rest| rest.split_once(','));
        let next: usize = next.and_then(|(next, _)| next.parse().ok()).expect("an offset");
        assert_eq!(reply.matches("xxxx, :0, []").count(), next - at, "{reply:.200}");
        assert!(next > at, "none is missing");
        at = next;
    }
}

fn sum_of(server: &Server, name: &str) -> f64 {
    let page = server.http().request("GET", "/metrics", "");
    let lines = page.text().lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn events_whose_file_cannot_be_written_stay_in_memory() {
    let Some((plan, faults)) = Faults::plan() else { return };
    let plan = plan.fsync("always").env("SYNAP_TOPICS__HOT_KB", "64");
    let server = plan.start();
    server.resp().call(&["TCREATE", "t", "PARTITIONS", "1", "FOREVER"]);
    let mut count = 0;
    for rules in ["reserve error ENOSPC in topics/events", "sync error EIO in topics/events"] {
        let failed = sum_of(&server, "synap_event_files_failures_total{");
        faults.set(rules);
        count = publish_and_read(&server, count);
        wait_for("a file that cannot be written", || {
            sum_of(&server, "synap_event_files_failures_total{") > failed
        });
    }
    assert!(sum_of(&server, "synap_event_files_written_total{") < 0.5);
    faults.set("");
    wait_for("a file to be written", || sum_of(&server, "synap_event_files_written_total{") > 0.5);
    count = publish_and_read(&server, count);
    server.kill();
    let server = healthy(&plan).start();
    read_events(&mut server.resp(), count);
    server.stop();
}

#[test]
fn a_snapshot_that_cannot_be_written_is_no_end() {
    let Some((plan, faults)) = Faults::plan() else { return };
    let server = plan.fsync("always").start();
    let mut client = server.resp();
    assert_eq!(client.call(&["SET", "key", "1"]), "+OK");
    for (rule, said) in [
        ("write error EIO in snapshots/", "Input/output error"),
        ("write error ENOSPC after 1 in snapshots/", "No space left"),
        ("sync error EIO in snapshots/", "Input/output error"),
    ] {
        faults.set(rule);
        let reply = client.call(&["SAVE"]);
        assert!(reply.starts_with("-ERR"), "{rule}: {reply}");
        assert!(server.plan.log().contains(said), "{rule}: {}", server.plan.log());
        assert_eq!(client.call(&["SET", "key", "2"]), "+OK");
        let left = std::fs::read_dir(server.plan.data().join("snapshots")).expect("it is there");
        assert_eq!(left.count(), 0, "{rule}: nothing half done is left");
    }
    faults.set("");
    assert_eq!(client.call(&["SAVE"]), "+OK");
    let plan = healthy(&server.plan);
    server.kill();
    let server = plan.start();
    assert_eq!(server.resp().call(&["GET", "key"]), "2");
    server.stop();
}

#[test]
fn writes_in_two_pieces_are_completed() {
    let Some((plan, faults)) = Faults::plan() else { return };
    faults.set("write short 4096 in synap.wal");
    let server = plan.fsync("always").start();
    let books = Books::new(WRITERS);
    let load = Load::start(&server, &books);
    load.go_on_for(Duration::from_millis(200));
    let plan = healthy(&server.plan);
    server.kill();
    load.end();
    let server = plan.start();
    eprintln!("short writes: {}", books.check(&mut server.resp(), Promise::All));
    server.stop();
}

#[test]
fn a_write_torn_by_a_crash_loses_nothing_acknowledged() {
    let mut total = Checked::default();
    for (after, bytes) in [(20, 0), (25, 1), (30, 47), (35, 512), (40, 4095), (45, 4097)] {
        let Some((plan, faults)) = Faults::plan() else { return };
        let plan = plan.fsync("always").env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
        let server = plan.start();
        faults.set(&format!("write tear {bytes} after {after} in synap.wal"));
        let (code, books) = load_until_the_end(server);
        assert_eq!(code, None, "it was aborted: {}", plan.log());
        let server = healthy(&plan).start();
        total += books.check(&mut server.resp(), Promise::All);
        server.stop();
    }
    eprintln!("torn writes: {total}");
}

/// Cuts the power of a server under load, and starts a healthy one on what the disk kept.
fn cut_power(mode: &str, rules: &str, cut: &str) -> Option<(Plan, Books, Instant)> {
    let (plan, faults) = Faults::plan()?;
    let plan = plan.fsync(mode).env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
    let mut server = plan.start();
    faults.set(rules);
    let books = Books::new(WRITERS);
    let load = Load::start(&server, &books);
    assert_eq!(server.resp().call(&["BGSAVE"]), "+Background saving started");
    load.go_on_for(Duration::from_millis(if mode == "always" { 100 } else { 2500 }));
    let cut_at = Instant::now();
    faults.set(&format!("{cut}\n{rules}"));
    assert_eq!(server.wait().code(), None, "it was aborted: {}", plan.log());
    assert!(plan.log().contains("the power is cut"), "{}", plan.log());
    load.end();
    Some((healthy(&plan), books, cut_at))
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_in_mode_always() {
    let mut total = Checked::default();
    for round in 0..power_cuts() {
        // All that was not synced is lost, or only some blocks of it.
        let cut = ["power cut", "power scatter 2", "power scatter 3"][round % 3];
        let Some((plan, books, _)) = cut_power("always", "", cut) else { return };
        let server = plan.start();
        total += books.check(&mut server.resp(), Promise::All);
        server.stop();
    }
    eprintln!("{} power cuts in mode always: {total}", power_cuts());
}

#[test]
fn a_power_cut_costs_a_periodic_log_no_more_than_its_window() {
    // The window is 10 ms; the rest is what a machine whose disk and processors are all busy adds.
    const SLACK: Duration = Duration::from_secs(2);
    for cut in ["power cut", "power scatter 2"] {
        let Some((plan, books, cut_at)) = cut_power("periodic", "", cut) else { return };
        let server = plan.start();
        let checked = books.check(&mut server.resp(), Promise::Until(cut_at - SLACK));
        eprintln!("{cut} in mode periodic: {checked}");
        server.stop();
    }
}

#[test]
fn a_sync_that_lies_is_a_shorter_log_or_a_refusal_never_wrong_data() {
    // What a disk lost after it said "synced" cannot be conjured up; half a transaction, or a value
    // nobody wrote, must not come of it. That something is lost shows that the cut is a real one.
    let Some((plan, books, _)) = cut_power("always", "sync lie in synap.wal", "power cut") else {
        return;
    };
    let server = plan.start();
    let mut client = server.resp();
    assert!(books.count_lost(&mut client) > 0, "the disk lied and yet kept everything");
    books.check(&mut client, Promise::Nothing);
    server.stop();
    for one_in in 2..5 {
        let cut = format!("power scatter {one_in}");
        let Some((plan, books, _)) = cut_power("always", "sync lie in synap.wal", &cut) else {
            return;
        };
        if let Some(server) = starts_or_refuses(&plan) {
            books.check(&mut server.resp(), Promise::Nothing);
            server.stop();
        }
    }
}

/// A server on a directory that may be damaged: it serves, or has refused with code 2 and a file.
fn starts_or_refuses(plan: &Plan) -> Option<Server> {
    let (server, code) = plan.try_start();
    if let Some(code) = code {
        assert_eq!(code, 2, "{}", plan.log());
        assert!(plan.log().contains(plan.data().to_str().expect("text")), "{}", plan.log());
    }
    server
}

#[test]
fn a_slow_disk_shows_and_does_not_fill_memory() {
    /// Values of a mebibyte that each of four clients writes, all of them sent at once.
    const EACH: usize = 60;
    let Some((plan, faults)) = Faults::plan() else { return };
    let server = plan.fsync("always").workers(1).start();
    // Commits are seldom and large: what waits for one must not grow without a bound.
    faults.set("sync delay 270 in synap.wal");
    let before = server.rss();
    let value = "v".repeat(1024 * 1024);
    let threads: Vec<_> = (0..4)
        .map(|writer| {
            let (port, value) = (server.plan.resp, value.clone());
            std::thread::spawn(move || {
                let mut client = Resp::connect(port);
                let bytes = encode(&["SET", &format!("slow:{writer}"), &value]);
                for _ in 0..EACH {
                    client.send(&bytes);
                }
                (0..EACH).for_each(|_| assert_eq!(client.reply(), b"+OK\r\n"));
            })
        })
        .collect();
    let mut highest = 0;
    wait_for("the writers to be answered", || {
        highest = highest.max(server.rss());
        threads.iter().all(std::thread::JoinHandle::is_finished)
    });
    for thread in threads {
        thread.join().expect("the writer was answered");
    }
    let grown = highest.saturating_sub(before) / (1024 * 1024);
    assert!(grown < 170, "240 MiB were written to 4 keys; memory grew by {grown} MiB");
    wait_for("the syncs to be counted", || {
        metric(&server, "synap_wal_fsync_duration_seconds_bucket{le=\"+Inf\"}")
            > metric(&server, "synap_wal_fsync_duration_seconds_bucket{le=\"0.262144\"}")
    });
    eprintln!("slow disk: memory grew by {grown} MiB under 240 MiB of writes");
    server.stop();
}

#[test]
fn a_full_disk_refuses_writes_and_lets_reads_go_on() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).expect("there is room for it");
    let plan = Plan::new()
        .fsync("always")
        .workers(2)
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 4)
        .data_at(&disk.path().join("data"));
    let server = plan.start();
    let mut client = server.resp();
    // Not compressible, so that a snapshot takes as much room as the data.
    let mut rng = Rng::new(1);
    let value: String = (0..100_000).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    let mut acked = 0;
    let refusal = loop {
        let reply = client.call(&["SET", &format!("full:{acked}"), &value]);
        if reply != "+OK" {
            break reply;
        }
        acked += 1;
        assert!(acked < 1000, "100 MB do not fit");
    };
    assert!(refusal.starts_with("-MISCONF"), "{refusal}");
    assert!(acked > 20, "{acked}");
    // Both protocols refuse, both read, and it shows everywhere.
    let mut http = server.http();
    let answer = http.request("POST", "/kv/set", r#"{"key":"full:x","value":"1"}"#);
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(client.call(&["INCR", "full:n"]).starts_with("-MISCONF"));
    assert!(client.call(&["DEL", "full:0"]).starts_with("-MISCONF"));
    assert_eq!(client.call(&["STRLEN", "full:0"]), format!(":{}", value.len()));
    assert_eq!(http.request("GET", "/kv/get/full:0", "").status, 200);
    wait_for("the gauges", || {
        client.call(&["INFO", "persistence"]).contains("aof_last_write_status:err")
    });
    assert_eq!(http.request("GET", "/health/persistence", "").status, 503);
    assert_eq!(http.request("GET", "/health", "").status, 200);
    assert!(metric(&server, "synap_wal_full") >= 1.0);
    assert!(metric(&server, "synap_wal_writes_refused_total") >= 4.0);
    assert!(plan.log().contains("disk of the log is full"), "{}", plan.log());
    // Nor is there room for a snapshot; that is an answer, not an end.
    let saved = client.call(&["SAVE"]);
    assert!(saved.starts_with("-ERR"), "{saved}");
    assert_eq!(client.call(&["STRLEN", "full:0"]), format!(":{}", value.len()));
    // Space comes back: so do writes, without a restart.
    std::fs::remove_file(&ballast).expect("it can be removed");
    disk.remount("size=96m");
    wait_for("writes to be taken again", || client.call(&["SET", "after", "1"]) == "+OK");
    assert!(plan.log().contains("has room again"), "{}", plan.log());
    server.kill();
    let server = plan.fresh_ports().start();
    let mut client = server.resp();
    assert_eq!(client.call(&["GET", "after"]), "1");
    for at in 0..acked {
        let length = client.call(&["STRLEN", &format!("full:{at}")]);
        assert_eq!(length, format!(":{}", value.len()), "full:{at}");
    }
    server.stop();
}

/// One core whose log, in small segments, fills the disk soon.
fn on_small_disk(disk: &SmallDisk) -> Plan {
    Plan::new()
        .fsync("always")
        .workers(1)
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 4)
        .data_at(&disk.path().join("data"))
}

#[test]
fn a_snapshot_that_fits_makes_room_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let plan = on_small_disk(&disk);
    let server = plan.start();
    let mut client = server.resp();
    let value = "v".repeat(100_000);
    let mut turn = 0;
    while client.call(&["SET", "same", &format!("{turn}{value}")]) == "+OK" {
        turn += 1;
        assert!(turn < 1000, "100 MB do not fit");
    }
    assert!(client.call(&["SET", "same", "1"]).starts_with("-MISCONF"));
    assert_eq!(client.call(&["SAVE"]), "+OK");
    wait_for("writes to be taken again", || client.call(&["SET", "after", "1"]) == "+OK");
    server.kill();
    let server = plan.fresh_ports().start();
    assert_eq!(server.resp().call(&["GET", "after"]), "1");
    server.stop();
}

#[test]
fn a_write_too_large_for_what_is_left_waits_and_is_not_acknowledged() {
    let Some(disk) = SmallDisk::mount(20) else { return };
    let plan = on_small_disk(&disk);
    let server = plan.start();
    let (mut large, mut other) = (server.resp(), server.resp());
    assert_eq!(other.call(&["SET", "before", "1"]), "+OK");
    large.command(&["SET", "large", &"v".repeat(16 * 1024 * 1024)]);
    // Not a write: one that is taken in the same turn waits with the large one.
    server.wait_for_log("disk of the log is full");
    assert_eq!(other.call(&["GET", "before"]), "1");
    assert!(other.call(&["SET", "small", "1"]).starts_with("-MISCONF"));
    disk.remount("size=96m");
    assert_eq!(show(&large.reply()), "+OK");
    wait_for("writes to be taken again", || other.call(&["SET", "small", "1"]) == "+OK");
    server.kill();
    let server = plan.fresh_ports().start();
    assert_eq!(server.resp().call(&["STRLEN", "large"]), format!(":{}", 16 * 1024 * 1024));
    server.stop();
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    let Some(disk) = SmallDisk::mount(2) else { return };
    let plan = Plan::new().data_at(&disk.path().join("data"));
    let status = plan.run_to_end();
    assert_eq!(status.code(), Some(4), "{}", plan.log());
    assert!(plan.log().contains("No space left"), "{}", plan.log());
}

#[test]
fn a_start_on_a_read_only_disk_says_so() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let plan = Plan::new().data_at(&disk.path().join("data"));
    plan.start().stop();
    disk.remount("ro");
    let status = plan.run_to_end();
    assert_eq!(status.code(), Some(5), "{}", plan.log());
    assert!(plan.log().contains("read-only file"), "{}", plan.log());
}

#[test]
fn a_directory_that_may_not_be_used_is_named() {
    let plan = Plan::new();
    plan.start().stop();
    let plan = plan.fresh_ports().user(NOBODY);
    let Some(status) = plan.try_run_to_end() else {
        eprintln!("SKIPPED: starting a server as another user takes root");
        return;
    };
    assert_eq!(status.code(), Some(5), "{}", plan.log());
    assert!(plan.log().contains("permission denied"), "{}", plan.log());
    let directory = plan.data().to_str().expect("text");
    assert!(plan.log().contains(directory), "it names the directory: {}", plan.log());
}

/// Deletes a data directory in use: what the server makes or renames meanwhile goes at the next
/// try.
fn delete(directory: &Path) {
    let began = Instant::now();
    while let Err(error) = std::fs::remove_dir_all(directory) {
        if error.kind() == std::io::ErrorKind::NotFound && !directory.exists() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{error}");
    }
}

#[test]
fn a_directory_deleted_under_a_server_ends_it() {
    let plan = Plan::new().fsync("always");
    let mut server = plan.start();
    let mut client = server.resp();
    assert_eq!(client.call(&["SET", "key", "1"]), "+OK");
    delete(plan.data());
    client.command(&["SET", "key", "2"]);
    assert_eq!(client.try_reply(), None, "nothing is promised any more");
    assert_eq!(server.wait().code(), Some(4), "{}", plan.log());
    assert!(plan.log().contains("deleted while in use"), "{}", plan.log());
}

#[test]
fn a_paused_process_goes_on_where_it_was() {
    /// Longer than a core may be silent before it counts as stuck.
    const PAUSE: Duration = Duration::from_secs(11);
    let server = Plan::new().fsync("always").start();
    let books = Books::new(WRITERS);
    let load = Load::start(&server, &books);
    load.go_on_for(Duration::from_millis(100));
    server.signal("STOP");
    let stat = format!("/proc/{}/stat", server.pid());
    let state = || std::fs::read_to_string(&stat).expect("the process is there");
    wait_for("the process to be paused", || state().contains(") T "));
    // Answers that were on their way have come once none has for a while.
    let mut seen = books.acknowledged();
    wait_for("the last answers", || {
        let quiet = !holds_within(PATIENCE / 100, || books.acknowledged() != seen);
        seen = books.acknowledged();
        quiet
    });
    assert!(!holds_within(PAUSE, || books.acknowledged() != seen), "a paused server answered");
    server.signal("CONT");
    wait_for("answers", || books.acknowledged() > seen + 10 * WRITERS as u64);
    let plan = server.plan.clone().fresh_ports();
    server.kill();
    load.end();
    let server = plan.start();
    eprintln!("paused and killed: {}", books.check(&mut server.resp(), Promise::All));
    server.stop();
}

#[test]
fn only_test_builds_can_be_told_to_fail() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rules = directory.path().join("rules");
    std::fs::write(&rules, "write error EIO").expect("the rules are written");
    let server = Plan::new().env("SYNAP_FAULT_PLAN", rules.display()).start();
    assert_eq!(server.resp().call(&["SET", "key", "1"]), "+OK");
    assert!(!server.plan.log().contains("fault injection"), "{}", server.plan.log());
    server.stop();
    let Some((plan, _faults)) = Faults::plan() else { return };
    let server = plan.start();
    assert!(plan.log().contains("built with fault injection"), "{}", plan.log());
    server.stop();
}
