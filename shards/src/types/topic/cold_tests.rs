//! Partitions whose events go to files: whatever happens in whatever order, the same events are
//! there as if all had stayed in memory, and an image taken meanwhile holds them too.

use std::collections::BTreeMap;

use super::cold::{Fetch, FetchBlock, SealedFile, Sealing};
use super::cold_read::{Lack, Source};
use super::definition::{Definition, Retention};
use super::event::{Item, NewEvent, Packed, write_packed};
use super::partition::Partition;
use super::record::{Writer, check};
use super::warm::Warm;
use crate::rng::Rng;
use crate::types::Cursor;

const HOT_MAX: u64 = 150_000;

/// Files, as a disk would have them.
#[derive(Default)]
struct Disk(BTreeMap<u64, Sealing>);

impl Disk {
    /// Writes what a partition has too much of; the edit that says so.
    fn seal(&mut self, partition: &Partition) -> Option<Vec<u8>> {
        let sealing = partition.sealing(HOT_MAX)?;
        self.record(partition, sealing)
    }

    fn record(&mut self, partition: &Partition, sealing: Sealing) -> Option<Vec<u8>> {
        let id = self.0.len() as u64;
        let blocks = (0..).zip(&sealing.blocks).map(|(at, _)| (at, 0)).collect();
        let file = partition.sealed(&sealing, &SealedFile { id, bytes: 9, blocks });
        self.0.insert(id, sealing);
        let mut writer = Writer::default();
        writer.cold(&file?);
        Some(writer.out)
    }

    fn fetch(&self, fetch: &Fetch, warm: &mut Warm) {
        let sealing = &self.0[&fetch.file];
        let read = |wanted: &FetchBlock| {
            let block = sealing.blocks.iter().find(|block| block.base == wanted.base);
            let block = block.expect("the file has it");
            assert_eq!((block.next, block.bytes.len()), (wanted.next, wanted.place.bytes as usize));
            (*wanted, block.bytes.to_vec())
        };
        let blocks: Vec<_> = fetch.blocks.iter().map(read).collect();
        warm.put(fetch.file, &blocks);
    }
}

fn facts(at: u64, item: &Item<'_>) -> (u64, u64, u64) {
    (at, item.count(), item.time_ms())
}

/// Offset, count and time of everything that is there.
fn all(partition: &Partition, disk: &Disk) -> Vec<(u64, u64, u64)> {
    let (mut found, mut warm) = (Vec::new(), Warm::default());
    let mut at = partition.start();
    while at < partition.next() {
        let source = Source { partition, warm: &warm };
        let more: Vec<_> = match source.cold_block(at) {
            Ok(Some(block)) => {
                block.items(block.place(at)).map(|(at, item)| facts(at, &item)).collect()
            }
            Ok(None) => partition.items(at).map(|(at, item)| facts(at, &item)).collect(),
            Err(Lack::Unread(fetch)) => {
                disk.fetch(&fetch, &mut warm);
                continue;
            }
            Err(Lack::Failed { offset, why }) => panic!("{offset}: {why}"),
        };
        at = more.last().map(|(at, count, _)| at + count).expect("there are some before the end");
        found.extend(more);
    }
    found
}

fn some_items(rng: &mut Rng, time_ms: u64) -> Vec<u8> {
    let mut items = Vec::new();
    for _ in 0..1 + rng.below(5) {
        let bytes = vec![7; rng.below(6_000)];
        if rng.below(8) == 0 {
            let count = 1 + rng.below(30) as u64;
            let packed = Packed { count, codec: 0, unpacked_bytes: 9, bytes: &bytes };
            write_packed(packed, time_ms, &mut items);
        } else {
            NewEvent { data: &bytes, ..NewEvent::default() }.write(time_ms, &mut items);
        }
    }
    items
}

/// What one step changes: something is published, and what is too much goes; or time passes.
fn step(rng: &mut Rng, partition: &Partition, now_ms: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    let retention = partition.definition.retention;
    let start = if rng.below(6) > 0 {
        let items = some_items(rng, now_ms);
        let start = partition.start_with(retention, &items, now_ms);
        writer.append(partition.next(), &items);
        start
    } else {
        partition.start_by_time(now_ms)
    };
    if start > partition.start() {
        writer.start(start);
    }
    writer.out
}

/// A copy that is made piece by piece while the partition changes, and what changed meanwhile.
struct Copy {
    partition: Partition,
    cursor: Option<Cursor>,
    later: Vec<Vec<u8>>,
}

impl Copy {
    fn begin() -> Self {
        let (partition, cursor) = (Partition::default(), Some(Cursor::default()));
        Self { partition, cursor, later: Vec::new() }
    }

    /// True when all was written.
    fn go_on(&mut self, from: &Partition, budget: usize) -> bool {
        let Some(cursor) = self.cursor else { return true };
        let mut out = Vec::new();
        self.cursor = from.write_piece(cursor, &mut out, budget);
        assert!(check(&out));
        self.partition.apply_edits(&out);
        false
    }

    fn end(mut self) -> Partition {
        self.later.iter().for_each(|edits| self.partition.apply_edits(edits));
        self.partition
    }
}

fn same(one: &Partition, other: &Partition, disk: &Disk, what: &str) {
    assert_eq!((one.start(), one.next()), (other.start(), other.next()), "{what}");
    assert_eq!(all(one, disk), all(other, disk), "{what}");
}

fn run(seed: u64, retention: Retention) {
    let mut rng = Rng::new(seed);
    let (mut partition, mut disk, mut copy) = (Partition::default(), Disk::default(), None);
    partition.definition = Definition { retention, ..Definition::default() };
    let (mut plain, mut late) = (Partition::default(), None);
    for number in 0..700u64 {
        let now_ms = 1_000 + number * 10;
        let mut changes = vec![step(&mut rng, &partition, now_ms)];
        plain.apply_edits(&changes[0]);
        partition.apply_edits(&changes[0]);
        // A file may come to be recorded long after its events were taken.
        if let Some(sealing) = late.take_if(|_| rng.below(3) == 0) {
            changes.extend(disk.record(&partition, sealing));
        } else if late.is_none() && rng.below(4) == 0 {
            late = partition.sealing(HOT_MAX);
        } else if late.is_none() && rng.below(4) == 0 {
            changes.extend(disk.seal(&partition));
        }
        changes[1..].iter().for_each(|edits| partition.apply_edits(edits));
        // Applied again they change nothing.
        changes.iter().for_each(|edits| assert!(check(edits)));
        changes[1..].iter().for_each(|edits| partition.apply_edits(edits));
        if number.is_multiple_of(20) {
            assert_eq!(all(&partition, &disk), all(&plain, &disk), "seed {seed}, step {number}");
        }
        let budget = 1 + rng.below(40_000);
        let mut going = copy.take().unwrap_or_else(Copy::begin);
        going.later.extend(changes);
        if going.go_on(&partition, budget) {
            same(&going.end(), &partition, &disk, &format!("seed {seed}, step {number}"));
        } else {
            copy = Some(going);
        }
    }
    assert!(!disk.0.is_empty());
    let mut image = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(at) = cursor {
        cursor = partition.write_piece(at, &mut image, usize::MAX);
    }
    let mut rebuilt = Partition::default();
    rebuilt.apply_edits(&image);
    same(&rebuilt, &partition, &disk, "an image at once");
    while !partition.release(1) {}
    assert_eq!((partition.event_bytes(), partition.len()), (0, 0));
    assert_eq!(partition.held_bytes(), Partition::default().held_bytes());
}

#[test]
fn nothing_is_lost_or_doubled_whatever_goes_to_files() {
    let kept = |messages, bytes, time_ms| Retention { messages, bytes, time_ms };
    for seed in 0..3 {
        run(seed, Retention::default());
        run(seed, kept(Some(900), None, None));
        run(seed, kept(None, Some(2_000_000), None));
        run(seed, kept(None, None, Some(1_500)));
    }
}

#[test]
fn limits_hold_for_what_lies_in_files() {
    let mut disk = Disk::default();
    let mut partition = Partition::default();
    let mut items = Vec::new();
    NewEvent { data: &[1; 1000], ..NewEvent::default() }.write(5, &mut items);
    for _ in 0..2_000 {
        partition.append(partition.next(), &items);
        if let Some(edits) = disk.seal(&partition) {
            partition.apply_edits(&edits);
        }
    }
    assert!(partition.hot_base() > 1_000 && !partition.is_over_hot(HOT_MAX));
    let kept = |messages, bytes| Retention { messages, bytes, time_ms: None };
    let size = items.len() as u64;
    assert_eq!(partition.start_with(kept(Some(1_500), None), &items, 5), 501);
    assert_eq!(partition.start_with(kept(None, Some(1_500 * size)), &items, 5), 501);
    partition.truncate(501);
    assert_eq!((partition.len(), partition.event_bytes()), (1_499, 1_499 * size));
    assert_eq!(partition.start_with(kept(Some(1_500), None), &items, 5), 501);
    assert_eq!(partition.oldest_ms(), Some(5));
}
