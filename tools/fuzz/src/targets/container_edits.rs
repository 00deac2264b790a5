//! Edits of containers as a log or an image may hold them: what `check` accepts can be applied, in
//! both forms and again over itself, takes no more memory than its length allows, and its image
//! builds it anew, whole or in pieces.

use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::seq::Seq;
use synap_shards::shard::evict::AccessMode;
use synap_shards::shard::{Shard, ValueType};
use synap_shards::snapshot::{Pieces, push_entry, take_entry};
use synap_shards::types::Thresholds;

use super::Target;
use super::solo::{self, SMALL};

pub(crate) const TARGET: Target = Target {
    name: "container_edits",
    seeds,
    dictionary: &[b"\x01\x01a", b"\x02\x01a", b"\x08\0\x01\x01a", b"\x80\x80\x80\x80\x01", b"\x0a"],
    run,
};

const TYPES: u8 = ValueType::ALL.len() as u8;
const KEY: &[u8] = b"key";
/// Bytes of memory that edits of at most a few KiB may make a shard take.
const HELD_MAX: usize = 16 << 20;

/// The number of a type, and edits of it: images of real values, and the edits in the log.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for shard in solo::of_every_type(&SMALL).into_shards() {
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                if entry.value_type().is_container() {
                    seeds.push([&[entry.value_type() as u8][..], &entry.image()].concat());
                }
            });
        }
    }
    seeds.extend([
        b"\x01\x03\x01\x04\x01\x05\x00\x01x\x06\x01\x01y\x07\x02\x00\x01".to_vec(),
        b"\x02\x01\x01a\x02\x01a\x01\x0212".to_vec(),
        b"\x03\x01\x01a\0\0\0\0\0\0\xf0?\x02\x01a".to_vec(),
        b"\x04\x01\x01f\x01v\x03\x09\0\0\0\0\0\x01f\x04\x01f".to_vec(),
        b"\x05\x03\x01\x01\x04\x07\x00\x09\x05g\x06\x01g\x01\x00\x07\x01g".to_vec(),
        b"\x05\x0a\x01g\x01c\x05\x01\x02\x01\x01\x02\x00\x0b\x01g\x01\x01\x01".to_vec(),
        b"\x06\x01\x07\x09\x03\0\0\x0a\x05\x01\0\0\0\0\0\x03hi\x05\x01c\x09\x01\0\x07\x03\0\x01\0"
            .to_vec(),
        b"\x07\x0b\x03\0\x64\x01\x02\x0a\x40\0\0\0\0\x01\x05\x01\x03\x02\x09\x08\0\0\0\0\0\0\0\0"
            .to_vec(),
    ]);
    seeds
}

fn run(input: &[u8]) {
    image(input);
    let Some((kind, edits)) = input.split_first() else { return };
    let Some(value_type) = ValueType::of(kind % TYPES).filter(|kind| kind.is_container()) else {
        return;
    };
    for thresholds in [SMALL, Thresholds::default()] {
        apply(value_type, edits, &thresholds);
    }
}

fn empty(thresholds: &Thresholds) -> Shard {
    let mut shard = Shard::new(ShardId::new(3), 1, AccessMode::Recency);
    shard.set_thresholds(*thresholds);
    shard
}

/// Replays a record, if it would be accepted from a disk.
fn replay(shard: &mut Shard, record: &Record<'_>) -> bool {
    let part = PartSpec { shard: shard.id(), seq: shard.seq().next() };
    let (mut records, mut bytes) = (Vec::new(), Vec::new());
    push_record(&mut records, shard.id(), record);
    seal(&mut bytes, &[part], &records, Epoch(1), 9);
    let Ok((batch, _)) = Batch::decode(&bytes) else { return false };
    shard.replay(&batch);
    true
}

fn apply(value_type: ValueType, edits: &[u8], thresholds: &Thresholds) {
    let mut shard = empty(thresholds);
    let (before, nothing) = (shard.held_bytes(), shard.live_bytes());
    let (key, deadline_ms) = (KEY, None);
    let store = Record::Store { key, value_type, edits, deadline_ms, creates: true };
    if !replay(&mut shard, &store) {
        return;
    }
    rebuild(&shard, thresholds);
    let edit = Record::Edit { key, value_type, edits, creates: false };
    assert!(replay(&mut shard, &edit), "it was accepted before");
    rebuild(&shard, thresholds);
    let held = shard.held_bytes() - before;
    assert!(held < HELD_MAX, "{held} bytes are held for {} of edits", edits.len());
    assert!(replay(&mut shard, &Record::Delete { key }), "it can go");
    while shard.free_some(50) {}
    assert_eq!((shard.key_count(), shard.live_bytes()), (0, nothing), "nothing is left");
}

/// A shard from the image of another holds the same, whether it was written whole or in pieces.
fn rebuild(shard: &Shard, thresholds: &Thresholds) {
    let entry = shard.get(KEY).expect("it was stored");
    let mut whole = Vec::new();
    push_entry(&mut whole, &entry);
    let mut in_pieces = Vec::new();
    match Pieces::begin(&entry) {
        Some(mut pieces) => while pieces.write(shard, &mut in_pieces) {},
        None => in_pieces.clone_from(&whole),
    }
    let mut image = entry.image();
    // Elements with names may come in another order.
    image.sort_unstable();
    for written in [whole, in_pieces] {
        let mut again = empty(thresholds);
        again.begin_load(Seq::ZERO);
        let mut rest = &written[..];
        while !rest.is_empty() {
            again.load(&take_entry(&mut rest).expect("an own image is read"));
        }
        let entry = again.get(KEY).expect("it is in its image");
        let mut other = entry.image();
        other.sort_unstable();
        assert_eq!(other, image, "an image is the whole of it");
        assert_eq!(again.type_counts(), shard.type_counts(), "and of as many elements");
    }
}

/// The whole input as an image of a shard.
fn image(mut input: &[u8]) {
    let mut shard = empty(&SMALL);
    shard.begin_load(Seq::ZERO);
    while let Ok(entry) = take_entry(&mut input) {
        shard.load(&entry);
        assert!(shard.held_bytes() < HELD_MAX, "an image takes {} bytes", shard.held_bytes());
    }
}
