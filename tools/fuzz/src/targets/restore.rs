//! Payloads of `RESTORE`, every type in every form that Redis ever wrote: whatever the bytes, they
//! are refused or become a value that is not much larger than they say, that `DUMP` answers again,
//! and that commands can work on.

use synap_shards::command::reply::Reply;
use synap_shards::rdb::{Restored, payload, restore};

use super::Target;
use super::solo::{self, KEYS, SMALL, Solo};

pub(crate) const TARGET: Target = Target {
    name: "restore",
    seeds,
    dictionary: &[b"\xff", b"\xc0\x01", b"\xc3", b"\x80\0\0\0", b"\xfe\xff\xff\xff\xff", b"\xf1"],
    run,
};

/// What a value may grow to. A few bytes of a compressed string stand for many.
const BYTES_MAX: usize = 1 << 20;
/// Bytes of memory that such a value may take; an element of a few bytes takes some tens.
const HELD_MAX: usize = 64 << 20;
/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// Type and value, without the footer: what `DUMP` answers, and forms that only older ones wrote.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for thresholds in [SMALL, synap_shards::types::Thresholds::default()] {
        let mut solo = solo::of_every_type(&thresholds);
        for key in KEYS {
            let Reply::Bytes(dump) = solo.run(&[b"DUMP", key.as_bytes()]) else {
                panic!("{key} is there");
            };
            seeds.push(dump[..dump.len() - FOOTER_BYTES].to_vec());
        }
    }
    let intset = b"\x02\0\0\0\x02\0\0\0\xff\xff\x07\0";
    let zipmap = b"\x02\x01f\x02\0vw\x01g\x01\0x\xff";
    let ziplist =
        ziplist(&[b"\0\x01a", b"\x03\x011", b"\x03\x01b", b"\x03\xfe\x07", b"\x04\xc0\xff\0"]);
    let four = &ziplist_of_four();
    seeds.push([&[11][..], &string(intset)].concat());
    seeds.push([&[9][..], &string(zipmap)].concat());
    seeds.push([&[10][..], &string(&ziplist)].concat());
    seeds.extend([12, 13].map(|kind| [&[kind][..], &string(four)].concat()));
    seeds.push([&[14, 2][..], &string(four), &string(&ziplist)].concat());
    // Plain forms, and the numbers of old as text.
    seeds.push(b"\x01\x02\x01a\xc0\x07".to_vec());
    seeds.push(b"\x02\x02\x01a\xc1\x07\x01".to_vec());
    seeds.push(b"\x03\x02\x01a\x032.5\x01b\xfe".to_vec());
    seeds.push(b"\x04\x01\x01f\xc3\x04\x08\x00ab\xe0\x00\x01".to_vec());
    seeds
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

/// A list of entries in the form of old, each with the length of the one before it in front.
fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
    let body = entries.concat();
    let last = entries.last().map_or(0, |entry| entry.len());
    let (bytes, tail) = (11 + body.len(), 10 + body.len() - last);
    [
        &(bytes as u32).to_le_bytes()[..],
        &(tail as u32).to_le_bytes(),
        &(entries.len() as u16).to_le_bytes(),
        &body,
        b"\xff",
    ]
    .concat()
}

fn ziplist_of_four() -> Vec<u8> {
    ziplist(&[b"\0\x01a", b"\x03\x011", b"\x03\x01b", b"\x03\x012"])
}

fn run(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    // Whole, as a peer may send it; and with a footer that is right.
    let _refused = restore(input, BYTES_MAX);
    let sealed = payload(*kind, body);
    let Ok(restored) = restore(&sealed, BYTES_MAX) else { return };
    let length = match &restored {
        Restored::String(value) => value.len(),
        Restored::Container { edits, .. } => edits.len(),
    };
    // One element may pass the bound by what stands around it.
    assert!(length <= BYTES_MAX + input.len() + 64, "{length} bytes came of {}", input.len());
    let mut solo =
        Solo::new(&if body.len().is_multiple_of(2) { SMALL } else { Default::default() });
    let before = solo.held_bytes();
    assert_eq!(solo.run(&[b"RESTORE", b"a", b"0", &sealed]), Reply::Ok, "it was read before");
    assert!(solo.held_bytes() - before < HELD_MAX, "it takes {} bytes", solo.held_bytes());
    use_it(&mut solo);
    let Reply::Bytes(dump) = solo.run(&[b"DUMP", b"a"]) else {
        // Fields whose time is over are all it had.
        return;
    };
    assert_eq!(solo.run(&[b"RESTORE", b"b", b"0", &dump]), Reply::Ok, "an own dump is read");
    let length = |solo: &mut Solo, key: &str| {
        ["STRLEN", "LLEN", "SCARD", "ZCARD", "HLEN", "XLEN"]
            .map(|command| format!("{:?}", solo.ask(&format!("{command} {key}"))))
    };
    assert_eq!(length(&mut solo, "a"), length(&mut solo, "b"), "nothing is lost on the way");
}

/// Commands of its type, whichever that is; the others refuse.
fn use_it(solo: &mut Solo) {
    for line in [
        "APPEND a x",
        "PFCOUNT a",
        "LRANGE a 0 -1",
        "LINSERT a BEFORE a x",
        "RPUSH a x",
        "SADD a x",
        "SMEMBERS a",
        "SREM a 1",
        "ZADD a 3 x",
        "ZRANGE a 0 -1 WITHSCORES",
        "ZREMRANGEBYSCORE a 7 8",
        "HSET a x y",
        "HGETALL a",
        "HDEL a f",
        "XRANGE a - +",
        "XADD a * x y",
        "XGROUP CREATE a other 0",
        "XREADGROUP GROUP other eve STREAMS a >",
        "XPENDING a group - + 10",
        "XAUTOCLAIM a group bob 0 -",
        "XINFO STREAM a FULL",
        "XTRIM a MAXLEN 2",
    ] {
        solo.ask(line);
    }
}
