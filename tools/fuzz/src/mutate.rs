//! From a seed input to a hostile one: cuts, repetitions, splices, flipped bits, lengths that lie,
//! words of the target's own dictionary. Every input follows from one number.

use synap_shards::rng::Rng;

/// Longest input, in bytes.
const INPUT_BYTES_MAX: usize = 4096;
/// Most mutations of one input.
const MUTATIONS_MAX: usize = 8;

/// Numbers that sit on edges, as text; for every textual format.
const NUMBERS: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"-0",
    b"+1",
    b"1",
    b"00",
    b"127",
    b"65536",
    b"1048577",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"99999999999999999999999",
];

/// A generator for one input.
pub(crate) fn dice(number: u64) -> Rng {
    // The generator's first draws are alike for seeds that are alike.
    let mut rng = Rng::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) << 1);
    for _ in 0..4 {
        rng.draw();
    }
    rng
}

/// Makes an input out of one of `seeds`.
pub(crate) fn input(rng: &mut Rng, seeds: &[Vec<u8>], dictionary: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len())].clone();
    for _ in 0..rng.below(MUTATIONS_MAX + 1) {
        mutate(rng, &mut bytes, seeds, dictionary);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dictionary: &[&[u8]]) {
    let at = rng.below(bytes.len() + 1);
    match rng.below(13) {
        0 => bytes.truncate(at),
        1 => {
            let end = at + rng.below(bytes.len() - at + 1);
            bytes.drain(at..end);
        }
        2 => {
            let end = at + rng.below(bytes.len() - at + 1);
            let piece = bytes[at..end].to_vec();
            let times = 1 + rng.below(4);
            for _ in 0..times {
                splice(bytes, at, &piece);
            }
        }
        3 => {
            let other = &seeds[rng.below(seeds.len())];
            let from = rng.below(other.len() + 1);
            let piece = other[from..].to_vec();
            splice(bytes, at, &piece);
        }
        4 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        5 if at < bytes.len() => bytes[at] = rng.draw() as u8,
        6 if at < bytes.len() => {
            bytes[at] = [0, 0x7f, 0x80, 0xff, b'\r', b'\n', b' '][rng.below(7)]
        }
        7 => {
            let piece = vec![rng.draw() as u8; rng.below(40)];
            splice(bytes, at, &piece);
        }
        8 => replace_number(rng, bytes),
        9 if bytes.len() >= at + 4 => {
            let lie = [0, 1, u32::MAX, 1 << 31, bytes.len() as u32][rng.below(5)];
            bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
        }
        10 => {
            let other = rng.below(bytes.len() + 1);
            let (low, high) = (at.min(other), at.max(other));
            bytes[low..high].reverse();
        }
        _ if !dictionary.is_empty() => {
            let word = dictionary[rng.below(dictionary.len())];
            splice(bytes, at, word);
        }
        _ => bytes.push(rng.draw() as u8),
    }
}

fn splice(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

/// Puts an edge number in the place of some run of digits.
fn replace_number(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let start = rng.below(bytes.len() + 1);
    let Some(first) = bytes[start..].iter().position(u8::is_ascii_digit) else { return };
    let first = start + first;
    let length = bytes[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = NUMBERS[rng.below(NUMBERS.len())];
    bytes.splice(first..first + length, number.iter().copied());
}
