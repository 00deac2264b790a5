//! LZF, the compression of long strings in RDB payloads (liblzf's format, as its
//! `lzf_d.c` documents it): a control byte below 32 is followed by that many and one literal
//! bytes; any other is a back reference, three bits of length and thirteen of distance, a length of
//! seven being continued in the next byte.
//!
//! [`compress`] finds the same references as liblzf does in the setting that Redis builds it with
//! (three-byte hashes into 2^16 places, `VERY_FAST`), so that `DUMP` answers the same bytes.

const LITERALS: u8 = 32;
const LENGTH_CONTINUES: usize = 7;
/// Longest run of literals.
const LITERALS_MAX: usize = 32;
/// Farthest distance of a reference, and its longest length.
const DISTANCE_MAX: usize = 1 << 13;
const REFERENCE_MAX: usize = (1 << 8) + (1 << 3);
/// Bits of a place in the table of what was seen.
const PLACE_BITS: u32 = 16;

/// The `expected` bytes that `input` stands for; nothing when it stands for anything else. Grows
/// with what it reads, so the stated length alone costs no memory.
pub fn decompress(input: &[u8], expected: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        if control < LITERALS {
            let (literals, after) = after.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literals);
            rest = after;
        } else {
            let mut length = usize::from(control >> 5);
            let mut after = after;
            if length == LENGTH_CONTINUES {
                let (&more, behind) = after.split_first()?;
                length += usize::from(more);
                after = behind;
            }
            let (&low, behind) = after.split_first()?;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            repeat(&mut out, distance, length + 2)?;
            rest = behind;
        }
        if out.len() > expected {
            return None;
        }
    }
    (out.len() == expected).then_some(out)
}

/// Where each three bytes were seen last, by their hash. Sized by the input, as most are short.
struct Seen {
    /// Place and position, plus one so that zero is empty.
    slots: Vec<(u16, u32)>,
}

impl Seen {
    fn new(input_bytes: usize) -> Self {
        // Never more than half full, so a search ends.
        let slots = (input_bytes.min(1 << PLACE_BITS) * 2).next_power_of_two();
        Self { slots: vec![(0, 0); slots] }
    }

    /// Notes `at` as the last position of the three bytes there; what was noted before.
    fn replace(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let hash = u32::from_be_bytes([0, input[at], input[at + 1], input[at + 2]]);
        let place = (hash >> (24 - PLACE_BITS)).wrapping_sub(hash.wrapping_mul(5)) as u16;
        let mask = self.slots.len() - 1;
        let mut slot = usize::from(place) & mask;
        while self.slots[slot].1 != 0 && self.slots[slot].0 != place {
            slot = (slot + 1) & mask;
        }
        let before = self.slots[slot].1.checked_sub(1).map(|at| at as usize);
        let noted = u32::try_from(at + 1).expect("a value is far below 4 GiB");
        self.slots[slot] = (place, noted);
        before
    }
}

/// Output that ends where compressing stops to pay.
struct Packed {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// Where the control byte of the run of literals under way is, and how many there are.
    control: usize,
    literals: usize,
}

impl Packed {
    fn literal(&mut self, byte: u8) {
        self.bytes.push(byte);
        self.literals += 1;
        if self.literals == LITERALS_MAX {
            self.end_run();
            self.begin_run();
        }
    }

    fn begin_run(&mut self) {
        (self.control, self.literals) = (self.bytes.len(), 0);
        self.bytes.push(0);
    }

    fn end_run(&mut self) {
        if self.literals == 0 {
            self.bytes.truncate(self.control);
        } else {
            self.bytes[self.control] = (self.literals - 1) as u8;
        }
    }

    fn reference(&mut self, distance: usize, length: usize) {
        let (high, low) = ((distance >> 8) as u8, distance as u8);
        if length < LENGTH_CONTINUES {
            self.bytes.push(high | (length << 5) as u8);
        } else {
            self.bytes.push(high | (LENGTH_CONTINUES << 5) as u8);
            self.bytes.push((length - LENGTH_CONTINUES) as u8);
        }
        self.bytes.push(low);
    }
}

/// Bytes that a reference may stand for when `rest` are left. Where there is room, liblzf compares
/// up to 19 at once without looking at the end.
fn longest(rest: usize) -> usize {
    let longest = (rest - 2).min(REFERENCE_MAX);
    longest.max(if longest > 16 { 19 } else { 3 })
}

/// `input` compressed to at most `bytes_max`; nothing when it does not get that small.
pub(super) fn compress(input: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut seen = Seen::new(input.len());
    let mut out = Packed { bytes: Vec::new(), bytes_max, control: 0, literals: 0 };
    out.begin_run();
    let (mut at, last) = (0, input.len().saturating_sub(2));
    while at < last {
        let found = seen.replace(input, at).filter(|before| {
            *before > 0
                && at - before - 1 < DISTANCE_MAX
                && input[*before..before + 3] == input[at..at + 3]
        });
        let Some(before) = found else {
            if out.bytes.len() >= out.bytes_max {
                return None;
            }
            out.literal(input[at]);
            at += 1;
            continue;
        };
        if out.bytes.len() - usize::from(out.literals == 0) + 4 >= out.bytes_max {
            return None;
        }
        let longest = longest(input.len() - at);
        let same = |length: &usize| input[before + length] == input[at + length];
        let length = (3..longest).find(|length| !same(length)).unwrap_or(longest);
        out.end_run();
        out.reference(at - before - 1, length - 2);
        out.begin_run();
        at += length;
        if at >= last {
            break;
        }
        // The two last places inside the reference are noted, the others are not.
        seen.replace(input, at - 2);
        seen.replace(input, at - 1);
    }
    if out.bytes.len() + 3 > out.bytes_max {
        return None;
    }
    input[at..].iter().for_each(|byte| out.literal(*byte));
    out.end_run();
    Some(out.bytes)
}

/// Appends `length` bytes from `distance` back; they may overlap what is appended.
fn repeat(out: &mut Vec<u8>, distance: usize, length: usize) -> Option<()> {
    let start = out.len().checked_sub(distance)?;
    for at in start..start + length {
        out.push(out[at]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_references() {
        assert_eq!(decompress(b"\x02abc", 3).as_deref(), Some(&b"abc"[..]));
        assert_eq!(decompress(b"\x01ab\x20\x01", 5).as_deref(), Some(&b"ababa"[..]));
        assert_eq!(decompress(b"\x00a\xe0\x05\x00", 15), Some(vec![b'a'; 15]));
        assert_eq!(decompress(b"", 0), Some(Vec::new()));
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut random = 1u32;
        for length in (0..400usize).chain([8_000, 9_000, 70_000, 200_000]) {
            for letters in [1, 2, 4, 30] {
                let input: Vec<u8> = (0..length)
                    .map(|_| {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (random >> 24) as u8 % letters
                    })
                    .collect();
                if let Some(packed) = compress(&input, length.saturating_sub(4)) {
                    assert!(packed.len() <= length - 4);
                    assert_eq!(decompress(&packed, length), Some(input));
                }
            }
        }
    }

    #[test]
    fn malformed_input_is_refused() {
        for (input, expected) in [
            (&b"\x02ab"[..], 3),
            (b"\x20\x00", 3),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0", 4),
            (b"\x00a\xe0\x05", 4),
            (b"\x00a\x20\x05", 4),
            (b"\x02abc", 2),
            (b"\x02abc", 4),
        ] {
            assert_eq!(decompress(input, expected), None, "{}", input.escape_ascii());
        }
    }
}
