//! What comes back at a start: over core counts, from snapshots and logs, from what an older
//! version wrote; and what is refused, with which words.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use support::resp::Resp;
use support::{Plan, Server};

const MIB: u64 = 1024 * 1024;

/// A log of small segments, acknowledged when it is on disk, and snapshots only on request.
fn plan() -> Plan {
    Plan::new()
        .fsync("always")
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1)
        .env("SYNAP_PERSISTENCE__SNAPSHOT__AUTO_SNAPSHOT", "false")
}

/// What the keys must be.
type Model = BTreeMap<String, String>;

/// Writes `count` keys of every kind of batch, some of them over others.
fn write(client: &mut Resp, model: &mut Model, round: usize, count: usize) {
    for number in 0..count {
        let key = format!("key:{}", (number * 7 + round * 13) % 400);
        match number % 5 {
            0 | 1 => {
                let value = format!("{round}:{number}:{}", "v".repeat(number % 300));
                assert_eq!(client.call(&["SET", &key, &value]), "+OK");
                model.insert(key, value);
            }
            2 => {
                client.call(&["APPEND", &key, "+"]);
                model.entry(key).or_default().push('+');
            }
            3 => {
                client.call(&["DEL", &key]);
                model.remove(&key);
            }
            _ => {
                let value = format!("many {round} {number}");
                let keys: Vec<String> = (0..4).map(|at| format!("many:{at}:{number}")).collect();
                let mut words = vec!["MSET"];
                keys.iter().for_each(|key| words.extend([key.as_str(), value.as_str()]));
                assert_eq!(client.call(&words), "+OK");
                model.extend(keys.into_iter().map(|key| (key, value.clone())));
            }
        }
    }
}

fn check(server: &Server, model: &Model) {
    let mut client = server.resp();
    assert_eq!(client.call(&["DBSIZE"]), format!(":{}", model.len()));
    for (key, value) in model {
        assert_eq!(&client.call(&["GET", key]), value, "{key}");
    }
}

/// Files of a directory whose name has this in it, in order.
fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().expect("a name").to_string_lossy().contains(part))
        .collect();
    found.sort();
    found
}

fn snapshots(plan: &Plan) -> PathBuf {
    plan.data().join("snapshots")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

/// Starts a server that must refuse; what it says.
fn refusal(plan: &Plan, code: i32) -> String {
    let status = plan.run_to_end();
    let log = plan.log();
    assert_eq!(status.code(), Some(code), "{log}");
    let at = log.find("synap-server: fatal:").expect("a fatal message");
    log[at..].to_owned()
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn any_core_count_to_any_core_count() {
    let mut model = Model::new();
    let mut plan = plan();
    for (round, cores) in [2, 4, 1, 3, 2].into_iter().enumerate() {
        plan = plan.workers(cores).fresh_ports();
        let server = plan.start();
        check(&server, &model);
        let mut client = server.resp();
        write(&mut client, &mut model, round, 200);
        if round % 2 == 1 {
            assert_eq!(client.call(&["SAVE"]), "+OK");
            write(&mut client, &mut model, round + 50, 100);
        }
        if round == 2 { server.stop() } else { server.kill() }
    }
    let server = plan.fresh_ports().start();
    check(&server, &model);
    server.stop();
}

#[test]
fn logs_are_let_go_and_nothing_is_lost() {
    let mut model = Model::new();
    let plan = plan();
    let server = plan.start();
    let mut client = server.resp();
    for round in 0..4 {
        write(&mut client, &mut model, round, 400);
        assert_eq!(client.call(&["SAVE"]), "+OK");
    }
    server.kill();
    assert!(!plan.wal().join("synap.wal.0.1").exists(), "the first segment was let go");
    for fsync in ["always", "never"] {
        let server = plan.clone().fsync(fsync).fresh_ports().start();
        check(&server, &model);
        server.kill();
    }
}

#[test]
fn a_copy_of_snapshots_and_logs_is_enough() {
    // Once with a log that is whole, once with one whose front was let go.
    for saves in [1, 4] {
        copied_after(saves);
    }
}

fn copied_after(saves: usize) {
    let mut model = Model::new();
    let plan = plan();
    let server = plan.start();
    let mut client = server.resp();
    for round in 0..saves {
        write(&mut client, &mut model, round, 400);
        assert_eq!(client.call(&["SAVE"]), "+OK");
    }
    write(&mut client, &mut model, saves, 100);
    server.kill();
    assert_eq!(plan.wal().join("synap.wal.0.1").exists(), saves == 1);
    let copy = Plan::new();
    for directory in ["snapshots", "wal"] {
        fs::create_dir_all(copy.data().join(directory)).expect("created");
        for path in files(&plan.data().join(directory), "") {
            let to = copy.data().join(directory).join(name_of(&path));
            fs::copy(path, to).expect("copied");
        }
    }
    let server = copy.start();
    assert!(copy.log().contains("there is no manifest"), "{}", copy.log());
    check(&server, &model);
    server.stop();
}

#[test]
fn a_damaged_snapshot_is_passed_over_only_where_that_loses_nothing() {
    let mut model = Model::new();
    let plan = plan();
    let server = plan.start();
    let mut client = server.resp();
    write(&mut client, &mut model, 0, 300);
    // Two that begin at the same place: either will do.
    assert_eq!(client.call(&["SAVE"]), "+OK");
    assert_eq!(client.call(&["SAVE"]), "+OK");
    server.kill();
    let indexes = files(&snapshots(&plan), ".snap");
    assert_eq!(indexes.len(), 2);
    let stem = indexes[1].file_stem().expect("a stem").to_string_lossy().into_owned();
    let part = files(&snapshots(&plan), &format!("{stem}.shard")).remove(0);
    flip(&part, 100);
    let server = plan.start();
    let log = plan.log();
    assert!(log.contains("A SNAPSHOT CANNOT BE USED") && log.contains(&name_of(&part)), "{log}");
    check(&server, &model);
    write(&mut server.resp(), &mut model, 1, 100);
    assert_eq!(server.resp().call(&["SAVE"]), "+OK");
    server.kill();
    // The log before the newest is gone now: there is no way around it.
    let index = files(&snapshots(&plan), ".snap").pop().expect("the newest");
    flip(&index, 200);
    let said = refusal(&plan, 2);
    assert!(said.contains(&name_of(&index)) && said.contains("at byte 0"), "{said}");
    assert!(said.contains("the log before snapshot"), "{said}");
    flip(&index, 200);
    let server = plan.start();
    check(&server, &model);
    server.kill();
    fs::remove_file(&index).expect("removed");
    let said = refusal(&plan, 2);
    assert!(said.contains(&name_of(&index)) && said.contains("missing"), "{said}");
}

/// A directory with a log of several segments, after a kill.
fn long_log(model: &mut Model) -> Plan {
    let plan = plan().workers(1);
    let server = plan.start();
    let mut client = server.resp();
    write(&mut client, model, 0, 100);
    for number in 0..30 {
        let (key, value) = (format!("big:{number}"), "b".repeat(100_000));
        assert_eq!(client.call(&["SET", &key, &value]), "+OK");
        model.insert(key, value);
    }
    server.kill();
    plan
}

#[test]
fn a_missing_segment_is_refused_wherever_it_was() {
    let mut model = Model::new();
    let plan = long_log(&mut model);
    let server = plan.start();
    check(&server, &model);
    server.kill();
    for number in [1, 2] {
        let path = plan.wal().join(format!("synap.wal.0.{number}"));
        let bytes = fs::read(&path).expect("it is there");
        fs::remove_file(&path).expect("removed");
        let said = refusal(&plan, 2);
        assert!(said.contains(&format!("segment {number} of core 0 is missing")), "{said}");
        fs::write(&path, bytes).expect("put back");
    }
    let away = plan.data().join("away");
    fs::rename(plan.wal(), &away).expect("moved");
    let server = plan.start();
    assert!(plan.log().contains("THE DATA DIRECTORY WAS CLEARED"), "{}", plan.log());
    check(&server, &Model::new());
    server.stop();
}

#[test]
fn a_log_that_is_gone_is_refused_while_a_snapshot_counts_on_it() {
    let mut model = Model::new();
    let plan = plan();
    let server = plan.start();
    write(&mut server.resp(), &mut model, 0, 50);
    assert_eq!(server.resp().call(&["SAVE"]), "+OK");
    server.kill();
    for path in files(&plan.wal(), "synap.wal.1.") {
        fs::remove_file(path).expect("removed");
    }
    let said = refusal(&plan, 2);
    assert!(said.contains("the log of core 1 is missing"), "{said}");
}

#[test]
fn clearing_everything_starts_empty() {
    let plan = plan();
    let server = plan.start();
    write(&mut server.resp(), &mut Model::new(), 0, 50);
    assert_eq!(server.resp().call(&["SAVE"]), "+OK");
    server.stop();
    for directory in [plan.wal(), snapshots(&plan)] {
        for path in files(&directory, "") {
            fs::remove_file(path).expect("removed");
        }
    }
    let mut model = Model::new();
    let server = plan.start();
    assert!(plan.log().contains("THE DATA DIRECTORY WAS CLEARED"), "{}", plan.log());
    check(&server, &model);
    write(&mut server.resp(), &mut model, 9, 50);
    server.kill();
    let server = plan.start();
    check(&server, &model);
    server.stop();
}

#[test]
fn damage_may_be_skipped_and_repaired() {
    let mut model = Model::new();
    let plan = long_log(&mut model);
    flip(&plan.wal().join("synap.wal.0.2"), 200_000);
    let said = refusal(&plan, 2);
    assert!(said.contains("synap.wal.0.2") && said.contains("at byte "), "{said}");
    let skipping = plan
        .clone()
        .env("SYNAP_PERSISTENCE__RECOVERY__SKIP_CORRUPTED", "true")
        .env("SYNAP_PERSISTENCE__RECOVERY__REPAIR_MODE", "true");
    let server = skipping.start();
    let log = skipping.log();
    assert!(log.contains("DAMAGE WAS SKIPPED") && log.contains("repaired"), "{log}");
    let mut client = server.resp();
    let mut kept = Model::new();
    for (key, value) in &model {
        let found = client.call(&["GET", key]);
        if found != "(nil)" {
            assert_eq!(&found, value, "{key}: what is there is right");
            kept.insert(key.clone(), found);
        }
    }
    let lost = model.len() - kept.len();
    assert!((1..30).contains(&lost), "{lost} keys followed the damage in one shard");
    assert_eq!(client.call(&["SET", "after", "repair"]), "+OK");
    kept.insert("after".to_owned(), "repair".to_owned());
    server.kill();
    let away = files(&plan.wal(), "damaged-").remove(0);
    assert_eq!(files(&away, "synap.wal.0.2").len(), 1, "nothing was deleted");
    let server = plan.start();
    check(&server, &kept);
    server.stop();
}

#[test]
fn checksums_may_be_left_alone() {
    let mut model = Model::new();
    let plan = long_log(&mut model);
    let off = plan.clone().env("SYNAP_PERSISTENCE__RECOVERY__VERIFY_CHECKSUMS", "false");
    // Within the value of a big key, in a segment that is not the last.
    flip(&plan.wal().join("synap.wal.0.2"), 200_000);
    refusal(&plan, 2);
    let server = off.start();
    assert_eq!(server.resp().call(&["DBSIZE"]), format!(":{}", model.len()));
    server.kill();
}

/// Writes a number of two bytes into a checksummed header, as a newer version would.
fn make_newer(path: &Path, format_at: usize, crc_at: usize, covered: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[format_at] = 9;
    let crc = crc32c(&bytes[crc_at + 4..covered.min(bytes.len())]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).expect("it can be written");
}

/// CRC32C bit by bit (RFC 3720, B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 }
        })
    })
}

#[test]
fn newer_formats_are_refused_with_both_versions() {
    let plan = plan();
    let server = plan.start();
    write(&mut server.resp(), &mut Model::new(), 0, 50);
    assert_eq!(server.resp().call(&["SAVE"]), "+OK");
    server.stop();
    let index = files(&snapshots(&plan), ".snap").remove(0);
    let segment = files(&plan.wal(), "synap.wal.0.").remove(0);
    let manifest = plan.data().join("MANIFEST.b");
    for (path, covered) in [(index, usize::MAX), (segment, 4096), (manifest, usize::MAX)] {
        let before = fs::read(&path).expect("it can be read");
        make_newer(&path, 12, 8, covered);
        let said = refusal(&plan, 2);
        let expected = format!("{} has format 9, this program reads up to", name_of(&path));
        assert!(said.contains(&expected), "{said}");
        fs::write(&path, before).expect("it can be written");
    }
    plan.start().stop();
}

#[test]
fn what_cannot_be_read_is_named() {
    let plan = plan();
    plan.start().stop();
    // Even to the superuser a directory is no file.
    let manifest = plan.data().join("MANIFEST.a");
    let kept = fs::read(&manifest).expect("it can be read");
    fs::remove_file(&manifest).expect("removed");
    fs::create_dir(&manifest).expect("created");
    let said = refusal(&plan, 5);
    assert!(said.contains("cannot read") && said.contains("MANIFEST.a"), "{said}");
    fs::remove_dir(&manifest).expect("removed");
    fs::write(&manifest, kept).expect("written");
    plan.start().stop();
}

#[test]
fn an_older_manifest_does_not_go_with_newer_logs() {
    let plan = plan();
    plan.start().stop();
    let old = fs::read(plan.data().join("MANIFEST.a")).expect("it can be read");
    plan.start().stop();
    for name in ["MANIFEST.a", "MANIFEST.b"] {
        fs::write(plan.data().join(name), &old).expect("written");
    }
    let said = refusal(&plan, 2);
    assert!(said.contains("its newest epoch is 1") && said.contains("has epoch 2"), "{said}");
}

#[test]
fn what_format_1_wrote_is_read() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/format-1");
    let plan = Plan::new().workers(3);
    fs::create_dir_all(plan.wal()).expect("created");
    fs::copy(source.join("MANIFEST.a"), plan.data().join("MANIFEST.a")).expect("copied");
    for path in files(&source.join("wal"), "synap.wal.") {
        let to = plan.wal().join(name_of(&path));
        fs::copy(path, &to).expect("copied");
        // The zeroes at the end are left out of the repository.
        let file = fs::File::options().write(true).open(to).expect("opened");
        file.set_len(MIB).expect("extended");
    }
    let server = plan.start();
    assert!(plan.log().contains("cut short"), "its tail is torn: {}", plan.log());
    let mut client = server.resp();
    let keys = fs::read_to_string(source.join("keys.txt")).expect("it can be read");
    let mut present = 0;
    for line in keys.lines().filter(|line| !line.starts_with('#')) {
        let [key, value, expiry] =
            line.split(' ').collect::<Vec<_>>().try_into().expect("three words");
        client.command(&["GET", key]);
        let found = client.reply();
        match value {
            "-" => assert_eq!(found, b"$-1\r\n", "{key}"),
            "L*20000" => assert!(found.ends_with(b"LL\r\n") && found.len() == 20_010, "{key}"),
            hex => {
                let digits = &hex.as_bytes()[1..];
                let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
                let mut expected = format!("${}\r\n", bytes.len()).into_bytes();
                expected.extend(bytes);
                expected.extend(b"\r\n");
                assert_eq!(found, expected, "{key}");
            }
        }
        present += usize::from(value != "-");
        assert_eq!(client.call(&["PEXPIRETIME", key]), format!(":{expiry}"), "{key}");
    }
    assert_eq!(client.call(&["DBSIZE"]), format!(":{present}"));
    server.stop();
}

fn byte(digits: &[u8]) -> u8 {
    let text = std::str::from_utf8(digits).expect("digits");
    u8::from_str_radix(text, 16).expect("hexadecimal")
}
