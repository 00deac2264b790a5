//! Events in files: a real server with very little of its topics in memory. All are read as if they
//! were there, by whatever way; files come and go with snapshots, crashes, retention and backups;
//! damage is found and named.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use serde_json::{Value, json};
use support::resp::{Resp, encode, show};
use support::{Plan, Server, job, text, wait_for};
use synap::backup::copy;
use synap::backup::files::Files;

const PADDING: usize = 1_000;

/// A server that keeps 128 KiB of each partition in memory.
fn plan() -> Plan {
    Plan::new().env("SYNAP_TOPICS__HOT_KB", "128")
}

fn directory(plan: &Plan) -> PathBuf {
    plan.data().join("topics")
}

fn files(plan: &Plan) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(plan)) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "seg")).collect();
    files.sort();
    files
}

fn data(number: u64) -> String {
    format!("d{number}.{}", "x".repeat(PADDING))
}

/// The numbers of the events in a reply.
fn numbers(reply: &str) -> Vec<u64> {
    let words = reply.split(", ").filter_map(|word| word.strip_prefix('d')?.split_once('.'));
    words.filter_map(|(number, _)| number.parse().ok()).collect()
}

fn next_of(reply: &str) -> u64 {
    let number = reply.strip_prefix("[:").and_then(|rest| rest.split_once(','));
    let number = number.unwrap_or_else(|| panic!("{reply:.200}")).0;
    number.parse().expect("a number")
}

/// Publishes `from..to` to partition 0 of a topic, many at a time.
fn publish(client: &mut Resp, topic: &str, from: u64, to: u64) {
    for first in (from..to).step_by(50) {
        let datas: Vec<String> = (first..to.min(first + 50)).map(data).collect();
        let mut words = vec!["TMPUBLISH", topic, "PARTITION", "0"];
        datas.iter().for_each(|data| words.extend(["e", data]));
        let reply = client.call(&words);
        assert!(reply.starts_with("[:0, :"), "{reply}");
    }
}

/// Reads all of partition 0 of a topic, from an offset on.
fn read(client: &mut Resp, topic: &str, from: u64) -> Vec<u64> {
    let (mut found, mut at) = (Vec::new(), from);
    loop {
        let reply = client.call(&["TREAD", topic, "0", &at.to_string(), "COUNT", "1000"]);
        let more = numbers(&reply);
        if more.is_empty() {
            assert_eq!(next_of(&reply), at, "{reply:.200}");
            return found;
        }
        found.extend(more);
        at = next_of(&reply);
    }
}

fn wait_for_files(plan: &Plan, count: usize) {
    wait_for("events to go to files", || files(plan).len() >= count);
}

/// A topic with 3 MB of events, most of them in files.
fn filled(server: &Server) {
    let mut client = server.resp();
    client.call(&["TCREATE", "t", "PARTITIONS", "1", "FOREVER"]);
    publish(&mut client, "t", 0, 3_000);
    wait_for_files(&server.plan, 1);
    publish(&mut client, "t", 3_000, 3_500);
    wait_for_files(&server.plan, 2);
}

fn snapshot(server: &Server) {
    let answer = server.http().request("POST", "/snapshot", "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn files_are_where_the_configuration_says() {
    let other = tempfile::tempdir().expect("a directory");
    let place = other.path().join("deep/events");
    let plan = plan().env("SYNAP_TOPICS__BASE_DIR", place.display());
    let server = plan.start();
    let mut client = server.resp();
    client.call(&["TCREATE", "t", "PARTITIONS", "1", "FOREVER"]);
    publish(&mut client, "t", 0, 1_000);
    let count = || std::fs::read_dir(&place).map_or(0, Iterator::count);
    wait_for("events to go to files", || count() > 0);
    assert!(!directory(&plan).exists(), "the usual place is empty");
    snapshot(&server);
    server.kill();
    let server = plan.start();
    assert_eq!(read(&mut server.resp(), "t", 0), (0..1_000).collect::<Vec<_>>());
    server.stop();
    // Without them nothing is started.
    std::fs::rename(&place, other.path().join("gone")).expect("it can be moved");
    let (started, _) = plan.try_start();
    assert!(started.is_none(), "files are missing");
}

#[test]
fn events_in_files_are_read_by_whatever_way() {
    let server = plan().start();
    filled(&server);
    let mut client = server.resp();
    assert_eq!(read(&mut client, "t", 0), (0..3_500).collect::<Vec<_>>());
    assert_eq!(read(&mut client, "t", 1_777), (1_777..3_500).collect::<Vec<_>>());
    let mut http = server.http();
    let body = json!({ "from_offset": 400, "limit": 5 }).to_string();
    let answer = http.request("POST", "/topics/t/partitions/0/consume", &body);
    assert_eq!((answer.status, &answer.json()["next_offset"]), (200, &json!(405)));
    // The time of an event leads to it, wherever it lies.
    let reply = client.call(&["TREAD", "t", "0", "100", "COUNT", "1"]);
    let time = reply.split(", ").nth(4).and_then(|word| word.strip_prefix(':')).expect("a time");
    let reply = client.call(&["TOFFSET", "t", "0", time]);
    let offset: u64 = reply.trim_start_matches(':').parse().expect("an offset");
    assert!(offset <= 100, "{reply}");
    assert_eq!(client.call(&["TOFFSET", "t", "0", "1"]), ":0");
    let answer = http.request("GET", "/topics/t/partitions/0/offset?time_ms=1", "");
    assert_eq!((answer.status, &answer.json()["offset"]), (200, &json!(0)));
    // A script does not wait for a disk, and says so until the events were read for it.
    let script = "return redis.call('TREAD', 't', '0', '2000', 'COUNT', '2')";
    wait_for("the events to be read for the script", || {
        let reply = client.call(&["EVAL", script, "0"]);
        assert!(reply.contains("TRYAGAIN") || numbers(&reply) == [2_000, 2_001], "{reply:.300}");
        numbers(&reply) == [2_000, 2_001]
    });
    // As a queue, from the beginning; what comes back comes from files too.
    let taken = client.call(&["TTAKE", "t", "0", "g", "m", "COUNT", "20"]);
    assert_eq!(numbers(&taken), (0..20).collect::<Vec<_>>());
    assert_eq!(client.call(&["TNACK", "t", "0", "g", "3", "4"]), ":2");
    let taken = client.call(&["TTAKE", "t", "0", "g", "m", "COUNT", "3"]);
    assert_eq!(numbers(&taken), [3, 4, 20]);
    rooms(&server);
    server.stop();
}

/// Nobody waits for a disk in a transaction; what is asked for is read all the same.
#[test]
fn transactions_say_that_events_are_not_in_memory_and_find_them_later() {
    let server = plan().start();
    filled(&server);
    let mut client = server.resp();
    wait_for("the events to be read", || {
        assert_eq!(client.call(&["MULTI"]), "+OK");
        assert_eq!(client.call(&["TREAD", "t", "0", "10", "COUNT", "2"]), "+QUEUED");
        let reply = client.call(&["EXEC"]);
        assert!(reply.contains("-TRYAGAIN") || numbers(&reply) == [10, 11], "{reply:.300}");
        numbers(&reply) == [10, 11]
    });
    server.stop();
}

fn rooms(server: &Server) {
    let mut client = server.resp();
    for number in 0..900 {
        let mut words = vec!["SAPPEND", "room", "e"];
        let data = data(number);
        words.extend([data.as_str(), "CREATE"]);
        assert_eq!(client.call(&words), format!(":{number}"));
    }
    wait_for("the events of the room to go to a file", || {
        let metrics = server.http().request("GET", "/metrics", "");
        let written = metrics.text().lines().filter_map(|line| {
            let rest = line.strip_prefix("synap_event_files_written_total{")?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        written.sum::<f64>() >= 3.0
    });
    let reply = client.call(&["SREAD", "room", "0", "COUNT", "10000", "READER", "me"]);
    let found = numbers(&reply);
    assert!(!found.is_empty() && found == (0..found.len() as u64).collect::<Vec<_>>());
    let answer = server.http().request("GET", "/stream/room/consume/me?from_offset=1&limit=2", "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Events as a packed batch has them, packed by LZ4 as one run of literals.
fn packed(count: u64) -> (Vec<u8>, usize) {
    let mut events = Vec::new();
    for number in 0..count {
        let data = data(number);
        // No key, the name `e`, and the data.
        events.extend([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, b'e']);
        events.extend((data.len() as u32).to_le_bytes());
        events.extend(data.as_bytes());
    }
    let mut block = vec![0xf0];
    let mut rest = events.len() - 15;
    while rest >= 255 {
        block.push(255);
        rest -= 255;
    }
    block.push(rest as u8);
    let unpacked = events.len();
    block.extend(events);
    (block, unpacked)
}

#[test]
fn batches_that_were_packed_come_from_files_as_they_were() {
    let server = plan().start();
    let mut client = server.resp();
    client.call(&["TCREATE", "t", "PARTITIONS", "1", "FOREVER"]);
    let (batch, unpacked) = packed(10);
    let unpacked = unpacked.to_string();
    let words: [&[u8]; 5] = [b"TPACK", b"t", b"lz4", unpacked.as_bytes(), &batch];
    for first in (0..600).step_by(10) {
        client.send(&encode(&words));
        assert_eq!(show(&client.reply()), format!("[:0, :{first}, :10]"));
    }
    wait_for_files(&server.plan, 1);
    let reply = client.call(&["TREAD", "t", "0", "13", "COUNT", "4"]);
    assert_eq!((numbers(&reply), next_of(&reply)), (vec![3, 4, 5, 6], 17));
    client.command(&["TREAD", "t", "0", "13", "COUNT", "1", "PACKED"]);
    let reply = client.reply();
    assert!(reply.windows(batch.len()).any(|bytes| bytes == batch), "it comes as it was sent");
    assert_eq!(read(&mut client, "t", 0).len(), 600);
    server.stop();
}

#[test]
fn files_are_there_after_restarts_and_go_when_nothing_needs_them() {
    let mut plan = plan().env("SYNAP_PERSISTENCE__SNAPSHOT__MAX_SNAPSHOTS", "1").fsync("always");
    let server = plan.start();
    filled(&server);
    server.stop();
    // Once without a snapshot, once with one, once with what came behind it.
    for round in 0..3 {
        plan = plan.fresh_ports();
        let server = plan.start();
        let mut client = server.resp();
        let end = 3_500 + round * 400;
        assert_eq!(read(&mut client, "t", 0), (0..end).collect::<Vec<_>>(), "round {round}");
        if round == 1 {
            snapshot(&server);
        }
        publish(&mut client, "t", end, end + 400);
        server.kill();
    }
    plan = plan.fresh_ports();
    let server = plan.start();
    assert_eq!(server.resp().call(&["TDELETE", "t"]), "+OK");
    assert!(!files(&plan).is_empty(), "the snapshot that is there needs them");
    // What is being written meanwhile goes with the next one.
    wait_for("the files to go", || {
        snapshot(&server);
        files(&plan).is_empty()
    });
    server.stop();
    plan.fresh_ports().start().stop();
}

/// The offset behind the last event of a file, as its header says; of one that is gone, the last.
fn end_of(path: &Path) -> u64 {
    let Ok(bytes) = std::fs::read(path) else { return u64::MAX };
    u64::from_le_bytes(bytes[40..48].try_into().expect("eight bytes"))
}

#[test]
fn retention_lets_files_go() {
    let plan = plan().env("SYNAP_PERSISTENCE__SNAPSHOT__MAX_SNAPSHOTS", "1");
    let server = plan.start();
    let mut client = server.resp();
    client.call(&["TCREATE", "t", "PARTITIONS", "1", "MAXEVENTS", "1000"]);
    publish(&mut client, "t", 0, 3_000);
    wait_for_files(&plan, 1);
    publish(&mut client, "t", 3_000, 4_000);
    let found = read(&mut client, "t", 0);
    assert_eq!(found, (3_000..4_000).collect::<Vec<_>>());
    // A file goes as a whole, with the last of its events.
    wait_for("old files to go", || {
        snapshot(&server);
        files(&plan).iter().all(|path| end_of(path) > 3_000)
    });
    assert_eq!(read(&mut client, "t", 0), (3_000..4_000).collect::<Vec<_>>());
    server.stop();
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn damage_is_named_and_the_rest_can_be_read() {
    let plan = plan().fsync("always");
    let server = plan.start();
    filled(&server);
    server.stop();
    let known: BTreeMap<PathBuf, Vec<u8>> = files(&plan)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
        .collect();
    // The file that begins with offset 0 says so in its header.
    let first = known.iter().find(|(_, bytes)| bytes[32..40] == [0; 8]).expect("the first file").0;
    let name = first.file_name().expect("a name").to_str().expect("text").to_owned();
    flip(first, 64 + 32 + 100);
    let report = job(&["doctor", "--data", text(plan.data()), "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("a report");
    let damage = report["damage"].to_string();
    assert!(damage.contains(&name) && damage.contains("at byte 64"), "{damage}");
    let running = plan.clone().fresh_ports();
    let server = running.start();
    let mut client = server.resp();
    let reply = client.call(&["TREAD", "t", "0", "0"]);
    assert!(reply.contains("from offset 0") && reply.contains(&name), "{reply:.300}");
    let behind = read(&mut client, "t", 200);
    assert_eq!(behind, (200..3_500).collect::<Vec<_>>(), "the next block is sound");
    server.stop();
    // A start finds what is not the file that is known, and changes nothing.
    for (bytes, what) in [(&known[first][..50], "cut short"), (&[][..], "empty")] {
        std::fs::write(first, bytes).expect("written");
        assert_eq!(plan.clone().fresh_ports().try_start().1, Some(2), "{what}");
    }
    std::fs::remove_file(first).expect("removed");
    let missing = plan.clone().fresh_ports();
    assert_eq!(missing.try_start().1, Some(2));
    assert!(missing.log().contains(&name), "{}", missing.log());
    // Told to go on, it does; told to repair, it leaves a directory that any start takes.
    let skips = plan.clone().env("SYNAP_PERSISTENCE__RECOVERY__SKIP_CORRUPTED", "true");
    let copy = plan.data().with_file_name("copy");
    let copied = Command::new("cp").arg("-r").args([plan.data(), &copy]).status();
    assert!(copied.expect("cp runs").success());
    let skips = skips.data_at(&copy);
    for plan in [skips.clone(), skips.env("SYNAP_PERSISTENCE__RECOVERY__REPAIR_MODE", "true")] {
        let server = plan.fresh_ports().start();
        assert!(server.resp().call(&["TREAD", "t", "0", "0"]).contains(&name));
        server.stop();
    }
    let server = plan.clone().data_at(&copy).fresh_ports().start();
    assert!(server.resp().call(&["TREAD", "t", "0", "0"]).contains(&name));
    assert_eq!(read(&mut server.resp(), "t", 3_400), (3_400..3_500).collect::<Vec<_>>());
    server.stop();
    // What is left is saved, and can be read.
    let saved = plan.data().with_file_name("saved");
    let salvage = job(&["doctor", "--data", text(plan.data()), "--salvage-to", text(&saved)]);
    assert!(saved.join("topics").join(&name).exists(), "{salvage:?}");
    let rest = plan.clone().data_at(&saved).fresh_ports();
    let server = rest.start();
    let mut client = server.resp();
    assert!(client.call(&["TREAD", "t", "0", "0"]).contains(&name));
    let found = read(&mut client, "t", 3_400);
    assert_eq!(found, (3_400..3_500).collect::<Vec<_>>());
    server.stop();
}

#[test]
fn backups_have_the_files_of_each_moment() {
    let plan = plan().fsync("always").env("SYNAP_PERSISTENCE__SNAPSHOT__MAX_SNAPSHOTS", "1");
    let server = plan.start();
    filled(&server);
    let place = plan.data().with_file_name("backup");
    let backup = || copy::run(&Files::below(plan.data()), &place).expect("copied");
    backup();
    let copied = std::fs::read_dir(place.join("topics")).expect("a directory").count();
    assert!(copied > 0);
    publish(&mut server.resp(), "t", 3_500, 4_500);
    backup();
    server.stop();
    std::fs::remove_dir_all(plan.data()).expect("removed");
    let output = job(&["restore", "--from", text(&place), "--to", text(plan.data())]);
    assert!(output.status.success(), "{output:?}");
    let server = plan.clone().fresh_ports().start();
    assert_eq!(read(&mut server.resp(), "t", 0), (0..4_500).collect::<Vec<_>>());
    server.stop();
}

/// What clients were promised of a topic.
#[derive(Default)]
struct Books {
    /// Offsets and numbers of events that the server has taken.
    published: Mutex<BTreeMap<u64, u64>>,
    count: AtomicU64,
}

fn publish_until_killed(server: &Server, books: &Books) {
    let mut client = server.resp();
    loop {
        let first = books.count.fetch_add(10, SeqCst);
        let datas: Vec<String> = (first..first + 10).map(data).collect();
        let mut words = vec!["TMPUBLISH", "t", "PARTITION", "0"];
        datas.iter().for_each(|data| words.extend(["e", data]));
        if !client.try_send(&encode(&words)) {
            return;
        }
        let Some(reply) = client.try_reply() else { return };
        let reply = show(&reply);
        let offset = reply.split(", :").nth(1).and_then(|offset| offset.parse::<u64>().ok());
        let offset = offset.unwrap_or_else(|| panic!("{reply}"));
        let mut published = books.published.lock().expect("nobody panics");
        published.extend((0..10).map(|at| (offset + at, first + at)));
    }
}

/// Reads from the beginning again and again; what is there is what was promised.
fn read_until_killed(server: &Server, ended: &AtomicBool) {
    let mut client = server.resp();
    let mut at = 0;
    while !ended.load(SeqCst) {
        if !client.try_send(&encode(&["TREAD", "t", "0", &at.to_string(), "COUNT", "300"])) {
            return;
        }
        let Some(reply) = client.try_reply() else { return };
        let reply = show(&reply);
        assert!(reply.starts_with("[:"), "{reply:.300}");
        at = if numbers(&reply).is_empty() { 0 } else { next_of(&reply) };
    }
}

/// Compares what is there with what was promised.
fn compare(server: &Server, books: &Books) {
    let mut client = server.resp();
    let first = client.call(&["TREAD", "t", "0", "0", "COUNT", "1"]);
    let start = first.split(", ").nth(1).and_then(|word| word.strip_prefix(':'));
    let start: u64 = start.and_then(|start| start.parse().ok()).expect("the first offset");
    let found = read(&mut client, "t", start);
    let published = books.published.lock().expect("nobody panics");
    let promised = published.range(start..);
    for (offset, number) in promised {
        assert_eq!(found.get((offset - start) as usize), Some(number), "offset {offset}");
    }
    let end = start + found.len() as u64;
    assert!(published.keys().next_back().is_none_or(|last| *last < end), "none is lost");
    assert!(end - start >= published.len().min(2_000) as u64, "retention leaves that many");
}

/// `SYNAP_COLD_ROUNDS` runs it longer.
#[test]
fn what_was_promised_survives_kill_9_while_files_come_and_go() {
    let rounds = std::env::var("SYNAP_COLD_ROUNDS").ok().and_then(|text| text.parse().ok());
    let mut plan = plan().fsync("always").env("SYNAP_PERSISTENCE__SNAPSHOT__MAX_SNAPSHOTS", "2");
    let books = Books::default();
    for round in 0..rounds.unwrap_or(5) {
        plan = plan.workers(round % 2 + 1).fresh_ports();
        let server = plan.start();
        if round == 0 {
            server.resp().call(&["TCREATE", "t", "PARTITIONS", "1", "MAXEVENTS", "2000"]);
        }
        compare(&server, &books);
        let ended = AtomicBool::new(false);
        let wanted = books.published.lock().expect("nobody panics").len() + 900;
        std::thread::scope(|scope| {
            let (server, books, ended) = (&server, &books, &ended);
            scope.spawn(move || publish_until_killed(server, books));
            scope.spawn(move || read_until_killed(server, ended));
            scope.spawn(move || read_until_killed(server, ended));
            if round % 2 == 1 {
                server.resp().call(&["BGSAVE"]);
            }
            wait_for("enough to be published", || {
                books.published.lock().expect("nobody panics").len() >= wanted
            });
            server.signal("KILL");
            ended.store(true, SeqCst);
        });
        server.kill();
    }
    let server = plan.fresh_ports().start();
    compare(&server, &books);
    assert!(!files(&server.plan).is_empty());
    server.stop();
}
