//! A data directory looked at, salvaged, backed up and restored: real servers before and after.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{Plan, Server, job, text};

fn json(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn doctor(data: &Path, code: i32) -> Value {
    json(&job(&["doctor", "--data", text(data), "--json"]), code)
}

/// Writes keys `from..to`, each with its number.
fn write(server: &Server, from: u32, to: u32) {
    let mut client = server.resp();
    for number in from..to {
        let (key, value) = (format!("key:{number}"), format!("value:{number}"));
        assert_eq!(client.call(&["SET", &key, &value]), "+OK");
    }
}

fn assert_keys(data: &Path, from: u32, to: u32) {
    let server = Plan::new().data_at(data).start();
    let mut client = server.resp();
    for number in from..to {
        let found = client.call(&["GET", &format!("key:{number}")]);
        assert_eq!(found, format!("value:{number}"), "key:{number}");
    }
    assert_eq!(client.call(&["GET", &format!("key:{to}")]), "(nil)");
    server.stop();
}

fn snapshot(server: &Server) -> PathBuf {
    let answer = server.http().request("POST", "/snapshot", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    PathBuf::from(answer.json()["path"].as_str().expect("a path"))
}

/// The segments of a data directory that hold batches.
fn segments(data: &Path) -> Vec<PathBuf> {
    let report = doctor(data, 0);
    let logs = report["logs"].as_array().expect("logs").clone();
    logs.iter()
        .flat_map(|log| log["segments"].as_array().expect("segments").clone())
        .filter(|segment| segment["batches"].as_u64() > Some(0))
        .map(|segment| PathBuf::from(segment["file"].as_str().expect("a file")))
        .collect()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn a_sound_directory_is_listed_and_dumped() {
    let plan = Plan::new().fsync("always");
    let server = plan.start();
    write(&server, 0, 50);
    assert_eq!(server.resp().call(&["EXPIRE", "key:3", "1000"]), ":1");
    assert_eq!(doctor(plan.data(), 0)["in_use"], true);
    snapshot(&server);
    write(&server, 50, 60);
    server.stop();
    let report = doctor(plan.data(), 0);
    assert_eq!((&report["in_use"], &report["damage"]), (&false.into(), &Value::Array(vec![])));
    assert_eq!(report["snapshots"][0]["entries"], 50);
    assert_eq!(report["manifests"][0]["state"], "sound");
    let shown = job(&["doctor", "--data", text(plan.data())]);
    assert!(String::from_utf8_lossy(&shown.stdout).ends_with("sound\n"), "{shown:?}");
    let dump = |args: &[&str]| {
        let output = job(&[&["doctor", "--data", text(plan.data()), "--dump"], args].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let one = dump(&["--key", "key:55"]);
    assert!(one.contains("put \"key:55\" creates 8 bytes \"value:55\""), "{one}");
    assert_eq!(one.matches(" batch ").count(), 1, "{one}");
    let entry = dump(&["--key", "key:3", "--json"]);
    let lines: Vec<Value> =
        entry.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert!(lines.iter().any(|line| line["stamp"].is_u64() && line["value"] == "value:3"));
    let shard = lines[0]["shard"].to_string();
    let seq = lines[0]["stamp"].to_string();
    assert!(dump(&["--shard", &shard, "--seq", &seq]).contains("key:3"));
    assert!(!dump(&["--shard", &shard, "--seq", "100000.."]).contains("key"));
}

#[test]
fn damage_is_named_and_what_is_sound_is_salvaged() {
    let plan = Plan::new().fsync("always").workers(1);
    let server = plan.start();
    write(&server, 0, 300);
    server.stop();
    let log = segments(plan.data()).remove(0);
    // The group of some key in the middle.
    let found =
        job(&["doctor", "--data", text(plan.data()), "--dump", "--json", "--key", "key:100"]);
    let line: Value = serde_json::from_slice(&found.stdout).expect("one batch");
    let offset = line["offset"].as_u64().expect("an offset") as usize;
    flip(&log, offset + 60);
    let report = doctor(plan.data(), 2);
    let damage = report["damage"][0].as_str().expect("damage");
    let place = format!("byte {offset}");
    assert!(damage.contains(text(&log)) && damage.contains(&place), "{damage}");
    assert_eq!(plan.run_to_end().code(), Some(2), "a start refuses it");
    let before = std::fs::read(&log).expect("a file");
    let target = tempfile::tempdir().expect("a directory");
    let careful = target.path().join("careful");
    let args = ["doctor", "--data", text(plan.data()), "--salvage-to"];
    let told = json(&job(&[&args[..], &[text(&careful), "--json"]].concat()), 0);
    let kept = told["keys"].as_u64().expect("keys");
    assert!(told["left_out"].as_u64() > Some(0) && (100..299).contains(&kept), "{told}");
    let bold = target.path().join("bold");
    let told = json(&job(&[&args[..], &[text(&bold), "--past-damage", "--json"]].concat()), 0);
    assert_eq!((&told["keys"], &told["left_out"]), (&299.into(), &0.into()), "{told}");
    assert_eq!(std::fs::read(&log).expect("a file"), before, "nothing changed in place");
    doctor(&careful, 0);
    doctor(&bold, 0);
    let server = Plan::new().data_at(&bold).start();
    let mut client = server.resp();
    assert_eq!(client.call(&["DBSIZE"]), ":299");
    assert_eq!(client.call(&["EXISTS", "key:100", "key:101", "key:299"]), ":2");
    assert_eq!(client.call(&["SET", "more", "v"]), "+OK");
    server.stop();
    assert_keys_count(&careful, kept);
    let occupied = job(&[&args[..], &[text(&bold)]].concat());
    assert_eq!(occupied.status.code(), Some(7), "{occupied:?}");
}

fn assert_keys_count(data: &Path, count: u64) {
    let server = Plan::new().data_at(data).start();
    assert_eq!(server.resp().call(&["DBSIZE"]), format!(":{count}"));
    server.stop();
}

#[test]
fn a_damaged_snapshot_is_salvaged() {
    let plan = Plan::new().fsync("always").workers(1);
    let server = plan.start();
    write(&server, 0, 400);
    write_more(&server);
    let index = snapshot(&server);
    write(&server, 400, 420);
    server.stop();
    let folder = index.parent().expect("a directory");
    let mut parts: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("snapshots")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| text(path).contains(".shard"))
        .collect();
    parts.sort();
    flip(&parts[5], 150);
    // Not only the snapshot, also the log before it is to be gone.
    let report = doctor(plan.data(), 2);
    assert!(report["damage"].to_string().contains(text(&parts[5])), "{report}");
    assert_eq!(report["snapshots"][0]["sound"], false);
    let target = tempfile::tempdir().expect("a directory");
    let bold = target.path().join("bold");
    let args = ["doctor", "--data", text(plan.data()), "--salvage-to", text(&bold)];
    let told = json(&job(&[&args[..], &["--past-damage", "--json"]].concat()), 0);
    let keys = told["keys"].as_u64().expect("keys");
    assert!((400..=430).contains(&keys), "{told}");
    assert_keys_count(&bold, keys);
    // One shard may be gone.
    assert!(check_more(&bold) >= 8);
}

/// Ten lists, and a library of functions.
fn write_more(server: &Server) {
    let mut client = server.resp();
    for number in 0..10 {
        client.call(&["RPUSH", &format!("list:{number}"), "a", "b"]);
    }
    let code = "#!lua name=lib\nredis.register_function('f', function() return 'here' end)";
    assert_eq!(client.call(&["FUNCTION", "LOAD", code]), "lib");
}

/// How many of the lists are there, whole; the library has to be.
fn check_more(data: &Path) -> usize {
    let server = Plan::new().data_at(data).start();
    let mut client = server.resp();
    assert_eq!(client.call(&["FCALL", "f", "0"]), "here");
    let mut found = 0;
    for number in 0..10 {
        let list = client.call(&["LRANGE", &format!("list:{number}"), "0", "-1"]);
        assert!(list == "[a, b]" || list == "[]", "{list}");
        found += usize::from(list != "[]");
    }
    server.stop();
    found
}

#[test]
fn a_moment_is_restored_from_a_data_directory() {
    let plan = Plan::new().fsync("always");
    let server = plan.start();
    write(&server, 0, 100);
    write_more(&server);
    snapshot(&server);
    write(&server, 100, 150);
    let moment = server.resp().call(&["TIME"]);
    let moment = moment.trim_matches(['[', ']']).replace(", ", ".").replace(' ', ".");
    let later = format!("{}", milliseconds(&moment) + 20);
    support::wait_for("the clock", || milliseconds(&now(&server)) > milliseconds(&moment) + 40);
    write(&server, 150, 200);
    server.stop();
    let target = tempfile::tempdir().expect("a directory");
    let whole = target.path().join("whole");
    let args = ["restore", "--from", text(plan.data()), "--to"];
    let told = json(&job(&[&args[..], &[text(&whole), "--json"]].concat()), 0);
    assert_eq!(told["keys"], 210, "{told}");
    assert!(told["snapshot"].is_string(), "{told}");
    assert_keys(&whole, 0, 200);
    assert_eq!(check_more(&whole), 10);
    let then = target.path().join("then");
    let seconds = format!("{}.{:03}", &later[..later.len() - 3], &later[later.len() - 3..]);
    let until = ["--until", &seconds, "--json"];
    let told = json(&job(&[&args[..], &[text(&then)], &until].concat()), 0);
    assert_eq!(told["keys"], 160, "{told}");
    assert_keys(&then, 0, 150);
    let occupied = job(&[&args[..], &[text(&then)]].concat());
    assert_eq!(occupied.status.code(), Some(7), "{occupied:?}");
    let wrong = job(&[&args[..], &[text(&target.path().join("x")), "--until", "soon"]].concat());
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

/// What TIME answers, as seconds and fraction.
fn now(server: &Server) -> String {
    let moment = server.resp().call(&["TIME"]);
    moment.trim_matches(['[', ']']).replace(", ", ".").replace(' ', ".")
}

fn milliseconds(moment: &str) -> u64 {
    let (seconds, micros) = moment.split_once('.').expect("two numbers");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    number(seconds) * 1000 + number(micros) / 1000
}

#[test]
fn a_shard_is_restored_up_to_a_seq() {
    let plan = Plan::new().fsync("always").workers(1);
    let server = plan.start();
    let mut client = server.resp();
    for number in 0..20 {
        client.call(&["SET", "{a}counter", &number.to_string()]);
        client.call(&["SET", "{b}counter", &number.to_string()]);
    }
    server.stop();
    let found =
        job(&["doctor", "--data", text(plan.data()), "--dump", "--json", "--key", "{a}counter"]);
    let line = String::from_utf8(found.stdout).expect("text").lines().nth(9).map(str::to_owned);
    let batch: Value = serde_json::from_str(&line.expect("ten batches")).expect("an object");
    let seq = batch["batch"][0].as_str().expect("shard and Seq").to_owned();
    let target = tempfile::tempdir().expect("a directory");
    let to = target.path().join("to");
    let args = ["restore", "--from", text(plan.data()), "--to", text(&to), "--until", &seq];
    let done = job(&args);
    assert!(done.status.success(), "{done:?}");
    let server = Plan::new().data_at(&to).start();
    assert_eq!(server.resp().call(&["GET", "{a}counter"]), "9");
    assert_eq!(server.resp().call(&["GET", "{b}counter"]), "19");
}
