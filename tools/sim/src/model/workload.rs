//! Requests whose every possible outcome the model follows. Deadlines are absolute, so that what a
//! request does depends on the time only where it meets something that has expired.

use super::lines::{self, BOXES};
use crate::dice::Dice;
use crate::faults::Fault;
use crate::swarm::Mix;
use crate::workload::{Intent, Wish, wish as plain};

/// Keys lie in two shards, two in each. What a command reads of one shard to write into another it
/// takes along only where it writes both: of two unacknowledged requests a crash may lose the
/// first and leave what the second made of it (a prefix per shard is what is promised). So `COPY`
/// and `BITOP` stay in one shard here.
const SHARDS: usize = 2;
const KEYS: usize = 2;

/// A key of the model.
pub(crate) fn is_modelled(key: &[u8]) -> bool {
    key.starts_with(b"mod:")
}

/// Kinds of keys: strings, and the containers.
pub(crate) const KINDS: usize = 1 + BOXES.len();

/// Per 1000: several requests are made as one transaction.
const TRANSACTION: usize = 100;
const COMMANDS_MAX: usize = 3;

/// A request, or a transaction of several.
pub(crate) fn wish(mix: &Mix, dice: &mut Dice, serial: u64, now_ms: u64) -> Wish {
    if !dice.chance(TRANSACTION) {
        return plain_of(command(mix, dice, serial, now_ms));
    }
    let mut words = Vec::new();
    for _ in 0..dice.between(1, COMMANDS_MAX) {
        let (name, rest) = command(mix, dice, serial, now_ms);
        words.push(name.as_bytes().to_vec());
        words.extend(rest);
        words.push(b";".to_vec());
    }
    plain_of(("EXEC", words))
}

fn plain_of((name, words): Words) -> Wish {
    plain(name, words, Intent::Modelled)
}

fn command(mix: &Mix, dice: &mut Dice, serial: u64, now_ms: u64) -> Words {
    match dice.pick(&mix.modelled) {
        0 => string(dice, serial, now_ms),
        number => {
            let (letter, lines) = BOXES[number - 1];
            let line = lines::line(dice, lines, mix.rates.of(Fault::ClockBack) > 0);
            boxed(dice, letter, line, now_ms)
        }
    }
}

/// A request to a container.
fn boxed(dice: &mut Dice, letter: &str, line: &'static str, now_ms: u64) -> Words {
    let key = |dice: &mut Dice| {
        format!("mod:{{{}}}:{letter}{}", dice.below(SHARDS), dice.below(KEYS)).into_bytes()
    };
    let first = key(dice);
    let (name, rest) = line.split_once(' ').expect("a request has arguments");
    let mut word = |word: &str| match word {
        "$k" => first.clone(),
        "$n" => neighbour(dice, &first),
        "$o" => key(dice),
        "$e" => format!("e{}", dice.below(4)).into_bytes(),
        "$f" => format!("f{}", dice.below(3)).into_bytes(),
        "$m" => (dice.below(8) as i64 - 3).to_string().into_bytes(),
        "$t" => (now_ms + dice.pick(&[1, 3, 30, 1000])).to_string().into_bytes(),
        word => word.as_bytes().to_vec(),
    };
    (name, rest.split(' ').map(&mut word).collect())
}

fn string(dice: &mut Dice, serial: u64, now_ms: u64) -> Words {
    let mut key = || format!("mod:{{{}}}:{}", dice.below(SHARDS), dice.below(KEYS)).into_bytes();
    let (a, b) = (key(), key());
    let draw = Draw {
        value: match dice.below(3) {
            0 => dice.below(50).to_string().into_bytes(),
            _ => format!("m{serial}").into_bytes(),
        },
        number: (dice.below(40) as i64 - 10).to_string().into_bytes(),
        offset: dice.below(24).to_string().into_bytes(),
        bit: dice.pick(&[b"0", b"1"]).to_vec(),
        time: (now_ms + dice.pick(&[1, 3, 30, 1000, 5000])).to_string().into_bytes(),
    };
    match dice.below(4) {
        0 => strings(dice, draw, a, b),
        1 => edits(dice, draw, a),
        2 => keys(dice, draw, a, b),
        _ => reads(dice, draw, a, b),
    }
}

struct Draw {
    value: Vec<u8>,
    number: Vec<u8>,
    offset: Vec<u8>,
    bit: Vec<u8>,
    time: Vec<u8>,
}

type Words = (&'static str, Vec<Vec<u8>>);

fn strings(dice: &mut Dice, draw: Draw, a: Vec<u8>, b: Vec<u8>) -> Words {
    let Draw { value, time, number, .. } = draw;
    match dice.below(12) {
        0 => ("SET", vec![a, value, b"NX".to_vec()]),
        1 => ("SET", vec![a, value, b"XX".to_vec(), b"GET".to_vec()]),
        2 | 3 => ("SET", vec![a, value, b"PXAT".to_vec(), time]),
        4 => ("SET", vec![a, value, b"KEEPTTL".to_vec()]),
        5 => ("GETSET", vec![a, value]),
        6 => ("GETDEL", vec![a]),
        7 => ("GETEX", vec![a, b"PXAT".to_vec(), time]),
        8 => ("SETNX", vec![a, value]),
        9 => ("MSET", vec![a, value, b, number]),
        10 => ("MSETNX", vec![a, value, b, number]),
        _ => ("SET", vec![a, value]),
    }
}

/// Another key of the same shard, or the same.
fn neighbour(dice: &mut Dice, key: &[u8]) -> Vec<u8> {
    let mut other = key.to_vec();
    let last = other.last_mut().expect("a key is not empty");
    *last = b'0' + dice.below(KEYS) as u8;
    other
}

fn edits(dice: &mut Dice, draw: Draw, a: Vec<u8>) -> Words {
    let (b, c) = (neighbour(dice, &a), neighbour(dice, &a));
    let Draw { value, number, offset, bit, .. } = draw;
    match dice.below(11) {
        0 => ("APPEND", vec![a, value]),
        1 => ("SETRANGE", vec![a, offset, value]),
        2 => ("INCR", vec![a]),
        3 => ("DECR", vec![a]),
        4 => ("INCRBY", vec![a, number]),
        5 => ("DECRBY", vec![a, number]),
        6 | 7 => ("SETBIT", vec![a, offset, bit]),
        8 => ("BITOP", vec![dice.pick(&["AND", "OR", "XOR"]).as_bytes().to_vec(), a, b, c]),
        9 => ("BITOP", vec![b"NOT".to_vec(), a, b]),
        _ => {
            let field = format!("#{}", dice.below(4)).into_bytes();
            ("BITFIELD", vec![a, b"INCRBY".to_vec(), b"u8".to_vec(), field, number])
        }
    }
}

fn keys(dice: &mut Dice, draw: Draw, a: Vec<u8>, b: Vec<u8>) -> Words {
    let time = draw.time;
    let near = neighbour(dice, &a);
    match dice.below(11) {
        0 => ("DEL", vec![a]),
        1 => ("UNLINK", vec![a]),
        2 | 3 => ("RENAME", vec![a, b]),
        4 => ("RENAMENX", vec![a, b]),
        5 => ("COPY", vec![a, near]),
        6 => ("COPY", vec![a, near, b"REPLACE".to_vec()]),
        7 => ("PEXPIREAT", vec![a, time]),
        8 => {
            let condition = dice.pick(&["NX", "XX", "GT", "LT"]).as_bytes().to_vec();
            ("PEXPIREAT", vec![a, time, condition])
        }
        9 => ("GETEX", vec![a, b"PERSIST".to_vec()]),
        _ => ("PERSIST", vec![a]),
    }
}

fn reads(dice: &mut Dice, draw: Draw, a: Vec<u8>, b: Vec<u8>) -> Words {
    let Draw { offset, bit, .. } = draw;
    match dice.below(12) {
        0 => ("STRLEN", vec![a]),
        1 => ("GETRANGE", vec![a, b"1".to_vec(), offset]),
        2 => ("GETBIT", vec![a, offset]),
        3 => ("BITCOUNT", vec![a]),
        4 => ("BITPOS", vec![a, bit]),
        5 => ("EXISTS", vec![a]),
        6 => ("TOUCH", vec![a]),
        7 => ("TYPE", vec![a]),
        8 => ("PEXPIRETIME", vec![a]),
        9 => ("LCS", vec![a, b, b"LEN".to_vec()]),
        _ => ("GET", vec![a]),
    }
}
