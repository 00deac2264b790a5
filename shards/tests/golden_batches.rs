//! The bytes of every kind of record, frozen. A data directory outlives the program that wrote it:
//! a test that fails here means old logs are not read any more, never that the bytes below are to
//! be changed.

use synap_shards::batch::{Batch, PartSpec, Record, push_record, seal};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::seq::Seq;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    push_record(&mut out, ShardId::new(5), record);
    hex(&out)
}

const DEADLINE_MS: u64 = 0x0102_0304_0506;

#[test]
fn puts() {
    let put =
        |deadline_ms, creates| Record::Put { key: b"k", value: b"value", deadline_ms, creates };
    assert_eq!(record(&put(None, false)), "01000501".to_owned() + "6b" + "05" + "76616c7565");
    assert_eq!(record(&put(None, true)), "01010501".to_owned() + "6b" + "05" + "76616c7565");
    let timed = "6b".to_owned() + "060504030201" + "05" + "76616c7565";
    assert_eq!(record(&put(Some(DEADLINE_MS), false)), "01020501".to_owned() + &timed);
    assert_eq!(record(&put(Some(DEADLINE_MS), true)), "01030501".to_owned() + &timed);
}

#[test]
fn patches() {
    let patch = |offset, creates| Record::Patch { key: b"k", offset, bytes: b"xy", creates };
    assert_eq!(record(&patch(3, false)), "020005016b03027879");
    assert_eq!(record(&patch(3, true)), "020105016b03027879");
    assert_eq!(record(&patch(300, false)), "020005016bac02027879");
    assert_eq!(record(&patch(536_870_910, false)), "020005016bfeffffff01027879");
}

#[test]
fn deletions_deadlines_and_clearing() {
    assert_eq!(record(&Record::Delete { key: b"gone" }), "03000504676f6e65");
    let expire = |deadline_ms| Record::Expire { key: b"k", deadline_ms };
    assert_eq!(record(&expire(None)), "040005016b");
    assert_eq!(record(&expire(Some(DEADLINE_MS))), "040205016b060504030201");
    assert_eq!(record(&Record::Clear), "05000500");
}

#[test]
fn libraries_of_functions() {
    let library = |code| Record::Library { name: b"lib", code };
    assert_eq!(record(&library(Some(b"#!lua"))), "060105036c696205".to_owned() + "23216c7561");
    assert_eq!(record(&library(None)), "060005036c6962");
}

#[test]
fn long_keys_and_values_state_their_lengths_as_varints() {
    let (key, value) = (vec![b'k'; 200], vec![b'v'; 70_000]);
    let put = Record::Put { key: &key, value: &value, deadline_ms: None, creates: true };
    let bytes = record(&put);
    assert_eq!(bytes[..10], *"010105c801");
    assert_eq!(bytes[10 + 400..10 + 400 + 6], *"f0a204");
    assert_eq!(bytes.len(), 2 * (3 + 2 + 200 + 3 + 70_000));
}

#[test]
fn a_batch_over_two_shards() {
    let (low, high) = (ShardId::new(2), ShardId::new(63));
    let mut records = Vec::new();
    let put = Record::Put { key: b"a", value: b"1", deadline_ms: None, creates: true };
    push_record(&mut records, low, &put);
    push_record(&mut records, high, &Record::Delete { key: b"b" });
    let parts =
        [PartSpec { shard: low, seq: Seq::new(258) }, PartSpec { shard: high, seq: Seq::new(1) }];
    let mut bytes = Vec::new();
    seal(&mut bytes, &parts, &records, Epoch(7), 1_700_000_000_000);
    let expected = [
        "2e000000",       // length
        "a7aeaba7",       // CRC32C of what follows
        "07000000",       // epoch
        "0068e5cf8b01",   // time
        "0200",           // parts, reserved
        "02020100000000", // shard 2, seq 258
        "3f010000000000", // shard 63, seq 1
        "010102016101",
        "31",         // Put a, creates
        "03003f0162", // Delete b
    ]
    .concat();
    assert_eq!(hex(&bytes), expected);
    assert!(Batch::decode(&bytes).is_ok());
}
