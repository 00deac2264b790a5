//! Strings that may be HyperLogLogs: `SET` can write any bytes, so whatever they are, the commands
//! answer, and what they leave can be counted again.

use synap_shards::command::reply::Reply;

use super::Target;
use super::solo::{self, SMALL, Solo};

pub(crate) const TARGET: Target = Target {
    name: "hll",
    seeds,
    dictionary: &[b"HYLL\x01\0\0\0", b"HYLL\0\0\0\0", b"\x7f\xff", b"\x80", b"\x3f", b"\x40\0"],
    run,
};

fn seeds() -> Vec<Vec<u8>> {
    let mut solo = solo::of_every_type(&Default::default());
    let mut held = |key: &str| match solo.run(&[b"GET", key.as_bytes()]) {
        Reply::Bytes(bytes) => bytes.to_vec(),
        other => panic!("{key} is a string, not {other:?}"),
    };
    vec![held("hll"), held("dense")[..2000].to_vec(), held("string")]
}

fn run(input: &[u8]) {
    // A dense one is longer than inputs are.
    let mut dense = input.to_vec();
    dense.resize(16 + 12 * 1024, input.last().copied().unwrap_or(0));
    for value in [input, &dense] {
        for thresholds in [SMALL, Default::default()] {
            let mut solo = Solo::new(&thresholds);
            solo.run(&[b"SET", b"a", value]);
            for line in [
                "PFCOUNT a",
                "PFDEBUG DECODE a",
                "PFDEBUG GETREG a",
                "PFADD b x y",
                "PFCOUNT a b",
                "PFMERGE b a",
                "PFADD a x y z",
                "PFCOUNT a",
                "PFDEBUG TODENSE a",
                "PFMERGE a b",
            ] {
                solo.ask(line);
            }
            assert!(matches!(solo.ask("PFCOUNT b"), Reply::Integer(_)), "b is always sound");
        }
    }
}
