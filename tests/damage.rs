//! Files that were cut short or had bits flipped while no server looked: a start either has
//! everything, or refuses and names the file. It never serves something else than was stored.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use support::Plan;
use support::resp::Resp;

/// Keys of the directory that is damaged.
const KEYS: usize = 200;
/// Files of a kind that are damaged, one after the other.
const FILES_PER_KIND: usize = 3;

/// What a damaged file is called in the summary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Segment,
    Manifest,
    SnapshotIndex,
    SnapshotPart,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.starts_with("synap.wal.") {
            Some(Self::Segment)
        } else if name.starts_with("MANIFEST") {
            Some(Self::Manifest)
        } else if name.ends_with(".snap") {
            Some(Self::SnapshotIndex)
        } else if name.ends_with(".part") {
            Some(Self::SnapshotPart)
        } else {
            None
        }
    }
}

/// A way to spoil a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutAt(usize),
    FlipBit { byte: usize, bit: u8 },
}

impl Damage {
    fn apply(self, path: &Path) {
        let mut bytes = fs::read(path).expect("it can be read");
        match self {
            Self::CutAt(length) => bytes.truncate(length),
            Self::FlipBit { byte, bit } => bytes[byte] ^= 1 << bit,
        }
        fs::write(path, bytes).expect("it can be written");
    }

    /// A spread of damage over a file: cuts at its edges and in its middle, flips in its head, its
    /// used part and its end.
    fn all_of(bytes: &[u8]) -> Vec<Self> {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        let mut cuts = vec![0, 4095, used / 2, used.saturating_sub(1), bytes.len() - 1];
        cuts.retain(|cut| *cut < bytes.len());
        cuts.sort_unstable();
        cuts.dedup();
        let mut places = vec![0, 9, 20, 50, bytes.len() - 1];
        // Steps that share no divisor with the blocks, so that all parts of them are met.
        places.extend((1..7).map(|step| used * step / 7 + step * 7));
        places.retain(|place| *place < bytes.len());
        places.sort_unstable();
        places.dedup();
        let flips = places.iter().map(|byte| Self::FlipBit { byte: *byte, bit: *byte as u8 % 8 });
        cuts.into_iter().map(Self::CutAt).chain(flips).collect()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).expect("it lies in there"));
        fs::create_dir_all(target.parent().expect("a directory")).expect("it can be made");
        fs::copy(&path, target).expect("it can be copied");
    }
}

/// Everything a server has.
fn content(client: &mut Resp) -> Vec<String> {
    let values = (0..KEYS).map(|at| {
        let key = format!("key:{at}");
        client.call(&["GET", &key])
    });
    let mut all: Vec<String> = values.collect();
    all.push(client.call(&["DBSIZE"]));
    all
}

/// A directory with a snapshot, several segments, overwritten and deleted keys, left behind by two
/// clean stops.
fn healthy_directory() -> (Plan, Vec<String>) {
    let plan =
        Plan::new().fsync("always").workers(2).env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
    let server = plan.start();
    let mut client = server.resp();
    for round in 0..3 {
        for at in 0..KEYS {
            let value = format!("{round}:{at}:{}", "v".repeat(at * 17 % 4000));
            assert_eq!(client.call(&["SET", &format!("key:{at}"), &value]), "+OK");
        }
        let deleted = format!("key:{}", round * 7);
        assert_eq!(client.call(&["DEL", &deleted]), ":1");
        assert_eq!(client.call(&["MSET", "key:1", "one", "key:2", "two", "key:3", "three"]), "+OK");
        if round == 1 {
            assert_eq!(client.call(&["SAVE"]), "+OK");
        }
    }
    server.stop();
    let server = plan.start();
    let content = content(&mut server.resp());
    server.stop();
    (plan, content)
}

#[test]
fn a_damaged_file_is_made_up_for_or_named() {
    let (healthy, stored) = healthy_directory();
    let mut outcomes: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for file in files(healthy.data()) {
        let Some(kind) = Kind::of(&file) else { continue };
        let bytes = fs::read(&file).expect("it can be read");
        // Prepared files hold nothing yet.
        let blank = bytes.iter().all(|byte| *byte == 0);
        *seen.entry(kind).or_default() += usize::from(!blank);
        if blank || seen[&kind] > FILES_PER_KIND {
            continue;
        }
        for damage in Damage::all_of(&bytes) {
            let root = tempfile::tempdir().expect("a temporary directory");
            let plan = healthy.clone().fresh_ports().data_at(root.path());
            copy(healthy.data(), root.path());
            let name = file.strip_prefix(healthy.data()).expect("it lies in there");
            damage.apply(&root.path().join(name));
            let outcome = match plan.try_start() {
                (Some(server), _) => {
                    let found = content(&mut server.resp());
                    assert!(found == stored, "{damage:?} of {name:?}: other data is served");
                    server.kill();
                    "made up for"
                }
                (None, code) => {
                    let log = plan.log();
                    assert_eq!(code, Some(2), "{damage:?} of {name:?}: {log}");
                    let file = name.file_name().expect("a name").to_str().expect("text");
                    assert!(log.contains(file), "{damage:?} of {name:?} names it: {log}");
                    "refused by name"
                }
            };
            *outcomes.entry((kind, outcome)).or_default() += 1;
        }
    }
    for ((kind, outcome), count) in &outcomes {
        eprintln!("{kind:?}: {count} times {outcome}");
    }
    for kind in [Kind::Segment, Kind::SnapshotIndex, Kind::SnapshotPart] {
        assert!(outcomes.contains_key(&(kind, "refused by name")), "{kind:?}: it was vital");
    }
    assert!(!outcomes.contains_key(&(Kind::Manifest, "refused by name")), "there are two copies");
}
