//! A bit of a file in the data directory flips: for every byte of every file of a small one. Each
//! time the start must bring back everything exactly, or refuse and name the file; it must never
//! have wrong data.
//!
//! What can be promised depends on how the server ended. A log that was closed ends in an empty
//! group, which testifies to all before it: nothing is ever lost silently. The last group of a log
//! whose server was killed looks the same torn and damaged; there, and only there, a start without
//! that group is right as well.
//!
//! One bit of each byte is flipped, another one for each, and of long stretches of zeroes every
//! 61st byte. `SYNAP_FLIP=bits` flips all eight bits of these, `SYNAP_FLIP=all` those of every
//! byte.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::Plan;
use synap::boot::recover::{self, Options, Progress, Recovered};
use synap::fatal::Fatal;
use synap_io::wal::{LogReader, ReadOptions, scan_dir};
use synap_shards::shard::evict::AccessMode;

/// Zeroes behind the last byte of a file that is not zero, in which bits are flipped as well.
const SLACK: usize = 5000;

/// Everything that a recovery brings back: the Seq of each shard, and each key with its value,
/// deadline and stamp.
#[derive(PartialEq, Eq, Debug)]
struct Content {
    seqs: Vec<u64>,
    keys: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>, u64)>,
}

fn content(recovered: &Recovered) -> Content {
    let mut keys = BTreeMap::new();
    for shard in &recovered.shards {
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                let facts = (entry.image(), entry.deadline_ms(), entry.stamp().get());
                keys.insert(entry.key().to_vec(), facts);
            });
        }
    }
    let seqs = recovered.shards.iter().map(|shard| shard.seq().get()).collect();
    Content { seqs, keys }
}

fn recover(root: &Path) -> Result<Recovered, Fatal> {
    let options = Options {
        data: root.to_owned(),
        events: synap::cold::directory(root),
        logs: root.join("wal"),
        snapshots: root.join("snapshots"),
        mode: AccessMode::Recency,
        thresholds: synap_shards::types::Thresholds::default(),
        workers: 1,
        read: ReadOptions::default(),
        repair: false,
    };
    recover::read(&options, &Progress::new(), None)
}

/// The files of a data directory after a few writes, a snapshot, and a few writes more.
fn directory(fsync: &str, end: impl FnOnce(support::Server)) -> tempfile::TempDir {
    let plan = Plan::new()
        .fsync(fsync)
        .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1)
        .env("SYNAP_PERSISTENCE__SNAPSHOT__AUTO_SNAPSHOT", "false");
    // Twice, so that the logs have more than one segment.
    for round in 0..2 {
        let server = plan.clone().fresh_ports().start();
        let mut client = server.resp();
        for number in 0..12 {
            let key = format!("key:{}", number * 5 % 9);
            let value = format!("value {round} {number}");
            assert_eq!(client.call(&["SET", &key, &value]), "+OK");
        }
        assert_eq!(client.call(&["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]), "+OK");
        assert_eq!(client.call(&["EXPIREAT", "a", "4102444800"]), ":1");
        if round == 0 {
            server.stop();
            continue;
        }
        assert_eq!(client.call(&["SAVE"]), "+OK");
        client.call(&["DEL", "key:1", "key:2", "b"]);
        assert_eq!(client.call(&["APPEND", "c", "more"]), ":5");
        assert_eq!(client.call(&["MSET", "x", "7", "y", "8", "z", "9"]), "+OK");
        end(server);
        break;
    }
    let copy = tempfile::tempdir().expect("a temporary directory");
    for part in ["", "wal", "snapshots"] {
        fs::create_dir_all(copy.path().join(part)).expect("created");
        for path in files(&plan.data().join(part)) {
            let name = path.file_name().expect("a name");
            fs::copy(&path, copy.path().join(part).join(name)).expect("copied");
        }
    }
    copy
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

/// What each log is without its last group: where that begins, and what then comes back.
fn without_last_groups(root: &Path) -> BTreeMap<PathBuf, (u64, Content)> {
    let mut all = BTreeMap::new();
    for files in scan_dir(&root.join("wal")).expect("it can be listed") {
        let mut reader = LogReader::open(files.clone()).expect("it is sound");
        let mut last = None;
        while let Some(run) = reader.next_run().expect("it is sound") {
            last = Some((files.segments[&run.segment].clone(), run.offset));
        }
        let Some((path, offset)) = last else { continue };
        let whole = fs::read(&path).expect("it can be read");
        let at = usize::try_from(offset).expect("a small file");
        let mut torn = whole.clone();
        torn[at..].fill(0);
        fs::write(&path, torn).expect("written");
        let without = content(&recover(root).expect("a torn tail is cut"));
        fs::write(&path, whole).expect("written");
        all.insert(path, (offset, without));
    }
    all
}

#[derive(Default, Debug)]
struct Tally {
    whole: u64,
    refused: u64,
    cut: u64,
}

/// Flips bits of every file in turn.
fn flip_all(root: &Path, killed: bool) -> Tally {
    let whole = content(&recover(root).expect("it is sound"));
    assert_eq!(whole.keys.len(), 9 - 2 + 4 - 1 + 3);
    let torn = if killed { without_last_groups(root) } else { BTreeMap::new() };
    let wanted = std::env::var("SYNAP_FLIP").unwrap_or_default();
    let (every_byte, every_bit) = (wanted == "all", wanted == "all" || wanted == "bits");
    let mut tally = Tally::default();
    let all = ["", "wal", "snapshots"].into_iter().flat_map(|part| files(&root.join(part)));
    for path in all.filter(|path| !path.ends_with("LOCK")) {
        let mut bytes = fs::read(&path).expect("it can be read");
        // The zeroes at the end of a log are all alike.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        bytes.truncate(used + SLACK);
        let file = File::options().write(true).open(&path).expect("it can be opened");
        for (at, byte) in bytes.iter().enumerate() {
            // Long stretches of zeroes are all alike.
            if !every_byte && at % 61 != 0 && is_dull(&bytes, at) {
                continue;
            }
            for bit in (0..8).filter(|bit| every_bit || *bit == at % 8) {
                file.write_all_at(&[byte ^ (1 << bit)], at as u64).expect("written");
                let place = format!("bit {bit} of byte {at} of {}", path.display());
                match recover(root) {
                    Ok(recovered) => {
                        let found = content(&recovered);
                        let excused = torn.get(&path).filter(|(from, _)| *from <= at as u64);
                        if found == whole {
                            tally.whole += 1;
                        } else {
                            let (_, without) = excused.unwrap_or_else(|| {
                                panic!("{place}: wrong data: {found:?}\n instead of {whole:?}")
                            });
                            assert_eq!(&found, without, "{place}");
                            tally.cut += 1;
                        }
                    }
                    Err(fatal) => {
                        assert_named(&fatal, &path, &place);
                        tally.refused += 1;
                    }
                }
            }
            file.write_all_at(&[*byte], at as u64).expect("written");
        }
    }
    assert_eq!(content(&recover(root).expect("every bit is back")), whole);
    tally
}

/// Whether a byte lies among zeroes, away from anything else.
fn is_dull(bytes: &[u8], at: usize) -> bool {
    let near = at.saturating_sub(16)..bytes.len().min(at + 16);
    bytes[near].iter().all(|byte| *byte == 0)
}

fn assert_named(fatal: &Fatal, path: &Path, place: &str) {
    match fatal {
        Fatal::Corrupt { path: named, offset, .. } => {
            assert_eq!(named, path, "{place}: {fatal}");
            assert!(offset.is_some(), "{place}: {fatal}");
        }
        other => panic!("{place}: {other}"),
    }
}

#[test]
fn every_flip_after_a_clean_stop_is_harmless_or_refused() {
    let directory = directory("periodic", support::Server::stop);
    let tally = flip_all(directory.path(), false);
    eprintln!("{tally:?}");
    assert!(tally.whole > 1000 && tally.refused > 1000 && tally.cut == 0, "{tally:?}");
}

#[test]
fn every_flip_after_a_kill_costs_no_more_than_the_last_group() {
    let directory = directory("always", support::Server::kill);
    let tally = flip_all(directory.path(), true);
    eprintln!("{tally:?}");
    assert!(tally.whole > 1000 && tally.refused > 1000 && tally.cut > 10, "{tally:?}");
}
