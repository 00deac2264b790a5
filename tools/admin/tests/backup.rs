//! Backups of a running server under load, and what they give back.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use support::{Synap, admin, bad, good, server_binary, wait_for};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn restore(from: &Path, to: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(server_binary());
    let args = ["restore", "--json", "--from", text(from), "--to", text(to)];
    command.args(args).args(more).output().expect("the program runs")
}

fn backup(server: &Synap, to: &Path) -> serde_json::Value {
    let data = server.data();
    good(&server.admin(&["--json", "backup", "--data-dir", text(&data), "--to", text(to)]))
}

/// Writes rising numbers to some keys until told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(server: &Synap, name: &'static str) -> Self {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&acked));
        let mut client = server.client();
        let filler = "x".repeat(2000);
        let thread = std::thread::spawn(move || {
            let mut number = 0u64;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                let value = number.to_string();
                let words = [
                    "MSET",
                    &format!("{name}:a"),
                    &value,
                    &format!("{name}:b"),
                    &value,
                    &format!("{name}:{}", number % 500),
                    &filler,
                ];
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                assert_eq!(client.run(&words), b"+OK");
                counted.store(number, Ordering::Relaxed);
            }
        });
        Self { stop, acked, thread }
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer saw nothing wrong");
        self.acked.load(Ordering::Relaxed)
    }
}

/// The number in a restored directory; both keys of the transaction have it.
fn number_in(data: &Path, name: &str) -> u64 {
    let mut server = Synap::start_at(data);
    let mut client = server.client();
    let (a, b) = (client.ask(&format!("GET {name}:a")), client.ask(&format!("GET {name}:b")));
    assert_eq!(a, b, "a torn transaction");
    drop(client);
    server.stop();
    a.parse().expect("a number")
}

#[test]
fn a_backup_under_load_is_consistent_and_grows_by_what_is_new() {
    let mut server = Synap::start();
    let folder = tempfile::tempdir().expect("a directory");
    let to = folder.path().join("backup");
    let writer = Writer::start(&server, "w");
    let mut floors = Vec::new();
    for round in 1..=3u64 {
        wait_for("some writes", || writer.acked() > round * 700);
        let before = writer.acked();
        let told = backup(&server, &to);
        assert!(told["snapshot"].is_string() && told["files_copied"].as_u64() > Some(0), "{told}");
        floors.push(before);
        good(&admin(&["--json", "backup", "--verify", "--to", text(&to)]));
        let restored = folder.path().join(format!("restored{round}"));
        let done = restore(&to, &restored, &[]);
        good(&done);
        let found = number_in(&restored, "w");
        assert!(found >= before, "{found} after {before} were acknowledged");
    }
    let last = writer.end();
    let told = backup(&server, &to);
    assert!(told["files_kept"].as_u64() > Some(0), "{told}");
    server.stop();
    let restored = folder.path().join("last");
    good(&restore(&to, &restored, &[]));
    assert_eq!(number_in(&restored, "w"), last);
    assert!(floors.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn moments_between_backups_are_restored() {
    let server = Synap::start();
    let folder = tempfile::tempdir().expect("a directory");
    let to = folder.path().join("backup");
    let mut client = server.client();
    client.ask("SET state first");
    backup(&server, &to);
    client.ask("SET state second");
    // A moment after that write and before the next.
    let moment = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("after 1970").as_millis() as u64
    };
    let second = moment() + 20;
    wait_for("the clock", || moment() > second + 20);
    client.ask("SET state third");
    backup(&server, &to);
    client.ask("SET state lost");
    let seconds = format!("{}.{:03}", second / 1000, second % 1000);
    let restored = folder.path().join("second");
    good(&restore(&to, &restored, &["--until", &seconds]));
    let mut old = Synap::start_at(&restored);
    assert_eq!(old.client().ask("GET state"), "second");
    old.stop();
    let restored = folder.path().join("third");
    good(&restore(&to, &restored, &[]));
    assert_eq!(Synap::start_at(&restored).client().ask("GET state"), "third");
    let early = restore(&to, &folder.path().join("early"), &["--until", "1000000000"]);
    let report = bad_or_empty(&early);
    assert!(report, "{early:?}");
}

/// A moment before everything is refused, or gives nothing where the log reaches back to it.
fn bad_or_empty(output: &Output) -> bool {
    if output.status.success() {
        good(output)["keys"] == 0
    } else {
        output.status.code() == Some(7)
    }
}

#[test]
fn damage_and_strangers_are_refused() {
    let server = Synap::start();
    let other = Synap::start();
    let folder = tempfile::tempdir().expect("a directory");
    let to = folder.path().join("backup");
    for server in [&server, &other] {
        let mut client = server.client();
        for number in 0..200 {
            client.ask(&format!("SET key:{number} {number}"));
        }
    }
    backup(&server, &to);
    let data = other.data();
    let args = ["backup", "--data-dir", text(&data), "--to", text(&to)];
    let message = bad(&other.admin(&args), 2);
    assert!(message.contains("another data directory"), "{message}");
    let data = server.data();
    let args = ["backup", "--data-dir", text(&data), "--to", text(&to)];
    let message = bad(&other.admin(&args), 2);
    assert!(message.contains("which is not in"), "{message}");
    let elsewhere = folder.path().join("nothing");
    let args = ["backup", "--data-dir", text(&elsewhere), "--to", text(&to)];
    bad(&server.admin(&args), 2);
    bad(&admin(&["backup", "--verify", "--to", text(folder.path())]), 2);
    good(&admin(&["--json", "backup", "--verify", "--to", text(&to)]));
    for entry in std::fs::read_dir(to.join("snapshots")).expect("snapshots") {
        let file = entry.expect("an entry").path();
        let sound = std::fs::read(&file).expect("a file");
        let mut broken = sound.clone();
        broken[sound.len() / 2] ^= 1;
        std::fs::write(&file, broken).expect("written");
        bad(&admin(&["backup", "--verify", "--to", text(&to)]), 1);
        let refused = restore(&to, &folder.path().join("x"), &[]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        std::fs::write(&file, sound).expect("written");
    }
    std::fs::remove_file(to.join("BACKUP.json")).expect("removed");
    bad(&admin(&["backup", "--verify", "--to", text(&to)]), 2);
}

#[test]
fn a_data_directory_is_verified() {
    let mut server = Synap::start();
    server.client().ask("SET k v");
    server.stop();
    let data = server.data();
    let found = good(&admin(&["--json", "verify", "--data-dir", text(&data)]));
    assert_eq!(found["damage"].as_array().map(Vec::len), Some(0), "{found}");
    std::fs::write(data.join("MANIFEST.a"), b"x").expect("written");
    let found = admin(&["verify", "--data-dir", text(&data)]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(String::from_utf8_lossy(&found.stdout).contains("MANIFEST.a is no sound manifest"));
    bad(&admin(&["verify", "--data-dir", "/nonexistent"]), 2);
}

#[test]
fn a_snapshot_is_asked_for() {
    let server = Synap::start();
    server.client().ask("SET k v");
    let told = good(&server.admin(&["--json", "snapshot"]));
    assert_eq!(told["success"], true);
    assert!(Path::new(told["path"].as_str().expect("a path")).exists(), "{told}");
}
