//! Words of a request against every command's declaration: parsing answers, and never panics.

use synap_shards::command::args::{Args, Words};
use synap_shards::command::table;

use super::{Target, texts};

pub(crate) const TARGET: Target = Target { name: "args_parse", seeds, dictionary: DICTIONARY, run };

pub(super) const DICTIONARY: &[&[u8]] = &[
    b" ",
    b"\n",
    b"EX",
    b"PX",
    b"EXAT",
    b"PXAT",
    b"NX",
    b"XX",
    b"GT",
    b"LT",
    b"GET",
    b"KEEPTTL",
    b"PERSIST",
    b"IFEQ",
    b"MATCH",
    b"COUNT",
    b"TYPE",
    b"LIMIT",
    b"BYTE",
    b"BIT",
    b"u8",
    b"i64",
    b"OVERFLOW",
    b"SAT",
    b"FAIL",
    b"INCRBY",
    b"LEN",
    b"IDX",
    b"MINMATCHLEN",
    b"WITHMATCHLEN",
    b"REPLACE",
    b"ABSTTL",
    b"IDLETIME",
    b"FREQ",
    b"DB",
    b"{a}",
    b"k",
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "SET k v EX 10 NX GET",
        "SET k 5 PX 100 KEEPTTL",
        "MSET a 1 b 2 c 3",
        "GETEX k PXAT 1900000000000",
        "BITFIELD k SET u8 0 255 OVERFLOW SAT INCRBY i5 #1 3 GET u4 0",
        "BITPOS k 1 0 -1 BIT",
        "BITOP XOR d a b",
        "LCS a b IDX MINMATCHLEN 1 WITHMATCHLEN",
        "SCAN 0 MATCH * COUNT 10 TYPE string",
        "EXPIRE k 10 GT",
        "COPY a b REPLACE",
        "RENAME a b",
        "INCRBYFLOAT k 1.5e3",
        "SETRANGE k 5 hello",
        "GETRANGE k -3 -1",
        "DEL a b c",
    ]);
    seeds.extend(table::commands().map(|spec| spec.resp.as_bytes().to_vec()));
    seeds
}

fn run(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        let words: Words<'_> = line.split(|byte| *byte == b' ').collect();
        if let Ok(command) = table::lookup(&words) {
            let spec = command.spec();
            if let Ok(args) = Args::parse(spec, &words) {
                assert_eq!(args.words().len(), words.len());
                assert!(spec.key_positions(&words).into_iter().all(|at| at < words.len()));
            }
        }
    }
}
