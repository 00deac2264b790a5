//! Batches from a disk: whatever the bytes, decoding answers; what it accepts can be read to the
//! end, sealed again to the same records, and replayed.

use synap_shards::batch::{Batch, HEADER_BYTES, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::recovery::{Recovery, Wanted};
use synap_shards::seq::Seq;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;

use super::Target;

pub(crate) const TARGET: Target =
    Target { name: "batch_decode", seeds, dictionary: &[b"\x01\x01\x00", b"\x80\x80"], run };

/// Patches beyond this offset are not replayed, since they rightly make values that long.
const OFFSET_MAX: usize = 1 << 20;

fn seeds() -> Vec<Vec<u8>> {
    let (a, b) = (ShardId::new(3), ShardId::new(9));
    let one = [PartSpec { shard: a, seq: Seq::new(1) }];
    let two = [one[0], PartSpec { shard: b, seq: Seq::new(1) }];
    let put =
        |deadline_ms| Record::Put { key: b"key", value: b"value", deadline_ms, creates: true };
    let patch = Record::Patch { key: b"bits", offset: 9, bytes: b"xyz", creates: true };
    let simple = sealed(&one, &[(a, put(None))]);
    let group = sealed(&two, &[(a, put(Some(1_900_000_000_000))), (b, patch)]);
    let removal = [
        (a, Record::Delete { key: b"gone" }),
        (a, Record::Expire { key: b"key", deadline_ms: None }),
        (a, Record::Clear),
    ];
    let zero = ShardId::new(0);
    let libraries = [
        (zero, Record::Library { name: b"lib", code: Some(b"#!lua name=lib\n") }),
        (zero, Record::Library { name: b"gone", code: None }),
    ];
    let libraries = sealed(&[PartSpec { shard: zero, seq: Seq::new(1) }], &libraries);
    vec![libraries, sealed(&one, &removal), [simple.clone(), group.clone()].concat(), simple, group]
}

fn sealed(parts: &[PartSpec], records: &[(ShardId, Record<'_>)]) -> Vec<u8> {
    let (mut bytes, mut out) = (Vec::new(), Vec::new());
    for (shard, record) in records {
        push_record(&mut bytes, *shard, record);
    }
    seal(&mut out, parts, &bytes, Epoch(1), 1_800_000_000_000);
    out
}

fn run(input: &[u8]) {
    check(input);
    // Most mutations break the checksum; look behind it as well.
    if input.len() > HEADER_BYTES {
        let mut mended = input.to_vec();
        let length = mended.len() as u32;
        mended[..4].copy_from_slice(&length.to_le_bytes());
        // Sealing without parts or records leaves the checksum at its place for a given body.
        let crc = crc_of(&mended[8..]);
        mended[4..8].copy_from_slice(&crc.to_le_bytes());
        check(&mended);
    }
}

/// CRC32C, bit by bit, so that the one under test is not taken at its word.
fn crc_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 }
        })
    })
}

fn check(mut input: &[u8]) {
    while let Ok((batch, rest)) = Batch::decode(input) {
        let parts: Vec<PartSpec> = batch.parts().collect();
        let records: Vec<(ShardId, Record<'_>)> = batch.records().collect();
        let again = sealed(&parts, &records);
        let (again, _) = Batch::decode(&again).expect("what was decoded can be sealed");
        assert!(again.records().eq(records.iter().copied()), "records survive sealing");
        assert_eq!(batch.bytes().len() + rest.len(), input.len(), "nothing is skipped");
        let modest = |record: &Record<'_>| match record {
            Record::Patch { offset, .. } => *offset <= OFFSET_MAX,
            Record::Put { .. }
            | Record::Delete { .. }
            | Record::Expire { .. }
            | Record::Clear
            | Record::Library { .. } => true,
            // Only a log that was written here has edits that suit what their key holds.
            Record::Edit { .. } | Record::Store { .. } => false,
        };
        if records.iter().all(|(_, record)| modest(record)) {
            replay(batch.bytes());
        }
        input = rest;
    }
}

fn replay(batch: &[u8]) {
    let shards =
        ShardId::all().map(|id| Box::new(Shard::new(id, 1, AccessMode::Recency))).collect();
    let mut recovery = Recovery::new(shards, Vec::new(), 1);
    recovery.feed(0, batch);
    recovery.end(0);
    assert_eq!(recovery.advance(), Ok(Wanted::Nothing));
    let applied = recovery.applied();
    let (_, cut) = recovery.finish();
    assert_eq!(applied + cut.batches, 1, "a batch is applied or cut");
}
