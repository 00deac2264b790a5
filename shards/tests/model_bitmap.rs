//! Random commands on bitmaps against a plain vector of bits; then the log replayed must yield the
//! same bytes.

mod one_table;

use std::collections::BTreeMap;

use one_table::{OneTable, show};
use synap_shards::key::shard_of;
use synap_shards::rng::Rng;

const KEYS: usize = 4;
const COMMANDS: usize = 20_000;
const CHECK_EVERY: usize = 1_000;
/// Bits beyond which nothing is written.
const BITS: usize = 400;

/// The bits of each key, a multiple of eight.
type Oracle = BTreeMap<String, Vec<bool>>;

fn grow(bits: &mut Vec<bool>, length: usize) {
    let whole = length.next_multiple_of(8);
    bits.resize(bits.len().max(whole), false);
}

fn bytes(bits: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| eight.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// The number that `width` bits from `at` on are; what is behind the end counts as zero.
fn field(bits: &[bool], at: usize, width: usize, signed: bool) -> i128 {
    let bit = |at: usize| bits.get(at).copied().unwrap_or(false);
    let number = (at..at + width).fold(0i128, |number, at| number << 1 | i128::from(bit(at)));
    if signed && bit(at) { number - (1 << width) } else { number }
}

fn set_field(bits: &mut Vec<bool>, at: usize, width: usize, number: i128) {
    grow(bits, at + width);
    (0..width).for_each(|bit| bits[at + bit] = number >> (width - 1 - bit) & 1 == 1);
}

/// The bits of a range as commands give them: two ends, both included, maybe negative.
fn range(length: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let real = |at: i64| if at < 0 { (at + length as i64).max(0) } else { at };
    let (start, end) = (real(start), (real(end) + 1).min(length as i64));
    if start >= end { 0..0 } else { start as usize..end as usize }
}

fn single(rng: &mut Rng, key: String, bits: &mut Vec<bool>) -> (String, String) {
    let at = rng.below(BITS);
    let was = u8::from(bits.get(at).copied().unwrap_or(false)).to_string();
    if rng.below(3) == 0 {
        return (format!("GETBIT {key} {at}"), was);
    }
    let value = rng.below(2);
    grow(bits, at + 1);
    bits[at] = value == 1;
    (format!("SETBIT {key} {at} {value}"), was)
}

fn count_or_find(rng: &mut Rng, key: &str, bits: &[bool]) -> (String, String) {
    let in_bits = rng.below(2) == 0;
    let (unit, factor) = if in_bits { ("BIT", 1) } else { ("BYTE", 8) };
    let mut end = || rng.below(2 * BITS / factor) as i64 - (BITS / factor) as i64;
    let (start, stop) = (end(), end());
    let counts = rng.below(2) == 0;
    let units = match counts && start < 0 && stop < 0 && start > stop {
        // Redis looks at where they lie only to find a position.
        true => 0..0,
        false => range(bits.len() / factor, start, stop),
    };
    let part = units.start * factor..units.end * factor;
    let inside = &bits[part.clone()];
    if counts {
        let count = inside.iter().filter(|bit| **bit).count();
        return (format!("BITCOUNT {key} {start} {stop} {unit}"), count.to_string());
    }
    let wanted = rng.below(2) == 1;
    let found = inside.iter().position(|bit| *bit == wanted);
    let answer = match found {
        Some(at) => (part.start + at).to_string(),
        None if bits.is_empty() && !wanted => "0".to_owned(),
        None => "-1".to_owned(),
    };
    (format!("BITPOS {key} {} {start} {stop} {unit}", u8::from(wanted)), answer)
}

fn operate(rng: &mut Rng, oracle: &mut Oracle) -> (String, String) {
    let mut key = || format!("b{}", rng.below(KEYS));
    let (to, a, b) = (key(), key(), key());
    let bits = |key: &str| oracle.get(key).cloned().unwrap_or_default();
    let operation = ["AND", "OR", "XOR", "NOT"][rng.below(4)];
    let (one, mut other) = (bits(&a), bits(&b));
    if operation == "NOT" {
        other.clear();
    }
    let length = one.len().max(other.len());
    let bit = |bits: &[bool], at: usize| bits.get(at).copied().unwrap_or(false);
    let result: Vec<bool> = (0..length)
        .map(|at| match (operation, bit(&one, at), bit(&other, at)) {
            ("AND", one, other) => one && other,
            ("OR", one, other) => one || other,
            ("XOR", one, other) => one != other,
            (_, one, _) => !one,
        })
        .collect();
    if result.is_empty() {
        oracle.remove(&to);
    } else {
        oracle.insert(to.clone(), result);
    }
    let words = match operation {
        "NOT" => format!("BITOP NOT {to} {a}"),
        _ => format!("BITOP {operation} {to} {a} {b}"),
    };
    (words, (length / 8).to_string())
}

/// `BITFIELD` with one operation, in each way to overflow.
fn fields(rng: &mut Rng, key: &str, bits: &mut Vec<bool>) -> (String, String) {
    let signed = rng.below(2) == 0;
    let width = 1 + rng.below(if signed { 64 } else { 63 });
    let at = rng.below(BITS - 64);
    let name = format!("{}{width}", if signed { 'i' } else { 'u' });
    let old = field(bits, at, width, signed);
    let (low, high) = match signed {
        true => (-(1i128 << (width - 1)), (1i128 << (width - 1)) - 1),
        false => (0, (1i128 << width) - 1),
    };
    let number = i128::from(rng.draw() as i64 >> rng.below(64));
    let overflow = ["WRAP", "SAT", "FAIL"][rng.below(3)];
    let (words, wanted) = match rng.below(3) {
        0 => return (format!("BITFIELD_RO {key} GET {name} {at}"), format!("[{old}]")),
        1 => (format!("SET {name} {at} {number}"), number),
        _ => (format!("INCRBY {name} {at} {number}"), old + number),
    };
    // A value that is set to an unsigned field is taken as 64 bits without a sign.
    let wanted = match words.starts_with("SET") && !signed && wanted < 0 {
        true => wanted + (1 << 64),
        false => wanted,
    };
    let new = match overflow {
        _ if (low..=high).contains(&wanted) => Some(wanted),
        "WRAP" => Some(wanted & ((1 << width) - 1)),
        "SAT" => Some(if wanted < low { low } else { high }),
        _ => None,
    };
    let answer = match new {
        None => "nil".to_owned(),
        Some(new) => {
            set_field(bits, at, width, new);
            if words.starts_with("SET") { old } else { field(bits, at, width, signed) }.to_string()
        }
    };
    (format!("BITFIELD {key} OVERFLOW {overflow} {words}"), format!("[{answer}]"))
}

fn compare(db: &mut OneTable, oracle: &Oracle) {
    let replayed = db.replayed();
    for number in 0..KEYS {
        let key = format!("b{number}");
        let expected = oracle.get(&key).map(|bits| bytes(bits));
        for shards in [&db.shards, &replayed] {
            let shard = shards[shard_of(key.as_bytes()).index()].as_ref().expect("all are here");
            let found = shard.get(key.as_bytes()).map(|entry| entry.value().to_vec());
            assert_eq!(found, expected, "{key}");
        }
    }
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in 1..=3 {
        let (mut rng, mut db, mut oracle) = (Rng::new(seed), OneTable::new(), Oracle::new());
        for count in 1..=COMMANDS {
            let key = format!("b{}", rng.below(KEYS));
            let mut bits = oracle.remove(&key).unwrap_or_default();
            let (words, expected) = match rng.below(8) {
                0..3 => single(&mut rng, key.clone(), &mut bits),
                3..5 => count_or_find(&mut rng, &key, &bits),
                5 | 6 => fields(&mut rng, &key, &mut bits),
                _ if rng.below(8) == 0 => {
                    let was = u8::from(!bits.is_empty());
                    bits.clear();
                    (format!("DEL {key}"), was.to_string())
                }
                _ => {
                    if !bits.is_empty() {
                        oracle.insert(key.clone(), std::mem::take(&mut bits));
                    }
                    operate(&mut rng, &mut oracle)
                }
            };
            if !bits.is_empty() {
                oracle.insert(key, bits);
            }
            let sent: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            assert_eq!(show(&db.run(&sent)), expected, "{words}");
            if count % CHECK_EVERY == 0 {
                compare(&mut db, &oracle);
            }
        }
    }
}
