//! Listpacks: the run of strings and integers in which Redis 7 keeps small containers (its
//! `listpack.c` describes the format).
//!
//! ```text
//! bytes     u32   of everything, little endian
//! count     u16   of elements; 65535 when they are not counted
//! elements  { encoding and data, then their length in bytes, to be read backwards }
//! end       u8    0xff
//! encoding  0xxxxxxx                   an integer of 7 bits
//!           10llllll                   a string of up to 63 bytes
//!           110xxxxx xxxxxxxx          an integer of 13 bits, signed
//!           1110llll llllllll          a string of up to 4095 bytes
//!           0xf0 and u32               a string
//!           0xf1, 0xf2, 0xf3, 0xf4     an integer of 16, 24, 32, 64 bits, little endian
//! ```
//!
//! Reading allocates nothing and believes no length that leads beyond the bytes at hand.

use std::borrow::Cow;

use crate::command::args::integer;

const HEAD_BYTES: usize = 6;
const END: u8 = 0xff;
const UNCOUNTED: u16 = u16::MAX;

/// An element: integers stand for their decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Element<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl<'a> Element<'a> {
    /// Its bytes.
    pub(super) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }

    /// The integer that it is.
    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Self::Bytes(bytes) => integer(bytes).ok(),
            Self::Integer(number) => Some(number),
        }
    }
}

/// Reads the elements of a listpack; nothing in place of the first that is damaged.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Elements that are left, if they are counted.
    left: Option<usize>,
}

impl<'a> Reader<'a> {
    /// A listpack, which has to be all of `input`.
    pub(super) fn open(input: &'a [u8]) -> Option<Self> {
        let (head, rest) = input.split_first_chunk::<HEAD_BYTES>()?;
        let [a, b, c, d, low, high] = *head;
        let (END, rest) = rest.split_last().map(|(end, rest)| (*end, rest))? else { return None };
        let count = u16::from_le_bytes([low, high]);
        let left = (count != UNCOUNTED).then_some(usize::from(count));
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        (bytes == input.len()).then_some(Self { rest, left })
    }

    /// Whether every element was read, and as many as there should be.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty() && self.left.is_none_or(|left| left == 0)
    }

    /// The next element; nothing at the end, and where there is damage.
    pub(super) fn take(&mut self) -> Option<Element<'a>> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let before = self.rest.len();
        let element = take_element(&mut self.rest)?;
        let back = back_bytes(before - self.rest.len());
        self.rest = self.rest.get(back..)?;
        Some(element)
    }
}

fn take_element<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    let string = |rest: &mut &'a [u8], length: usize| {
        let (bytes, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(Element::Bytes(bytes))
    };
    match first {
        0..0x80 => Some(Element::Integer(first.into())),
        0x80..0xc0 => string(rest, usize::from(first & 0x3f)),
        0xc0..0xe0 => {
            let [low] = take_array::<1>(rest)?;
            let bits = i16::from_be_bytes([first & 0x1f, low]);
            // Thirteen bits: the top one is the sign.
            Some(Element::Integer((bits << 3 >> 3).into()))
        }
        0xe0..0xf0 => {
            let [low] = take_array::<1>(rest)?;
            string(rest, usize::from(first & 0x0f) << 8 | usize::from(low))
        }
        0xf0 => {
            let length = u32::from_le_bytes(take_array(rest)?) as usize;
            string(rest, length)
        }
        0xf1 => Some(Element::Integer(i16::from_le_bytes(take_array(rest)?).into())),
        0xf2 => {
            let [a, b, c] = take_array(rest)?;
            Some(Element::Integer((i32::from_le_bytes([0, a, b, c]) >> 8).into()))
        }
        0xf3 => Some(Element::Integer(i32::from_le_bytes(take_array(rest)?).into())),
        0xf4 => Some(Element::Integer(i64::from_le_bytes(take_array(rest)?))),
        _ => None,
    }
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// Bytes that the length of an element of `bytes` bytes takes behind it. The bounds are Redis's.
fn back_bytes(bytes: usize) -> usize {
    match bytes {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// A listpack that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    count: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { out: vec![0; HEAD_BYTES], count: 0 }
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the listpack, were it ended now.
    pub(super) fn bytes(&self) -> usize {
        self.out.len() + 1
    }

    /// Appends a string; as an integer, if it is the decimal of one.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Ok(number) = integer(bytes) {
            return self.push_integer(number);
        }
        let start = self.out.len();
        match bytes.len() {
            length @ 0..64 => self.out.push(0x80 | length as u8),
            length @ 64..4096 => {
                self.out.extend_from_slice(&(0xe000 | length as u16).to_be_bytes());
            }
            length => {
                self.out.push(0xf0);
                let length = u32::try_from(length).expect("a value is far below 4 GiB");
                self.out.extend_from_slice(&length.to_le_bytes());
            }
        }
        self.out.extend_from_slice(bytes);
        self.end(start);
    }

    /// Appends an integer.
    pub(super) fn push_integer(&mut self, number: i64) {
        let start = self.out.len();
        let bytes = number.to_le_bytes();
        match number {
            0..128 => self.out.push(bytes[0]),
            -4096..4096 => {
                let [low, high] = (number as i16).to_le_bytes();
                self.out.extend_from_slice(&[0xc0 | high & 0x1f, low]);
            }
            -32_768..32_768 => self.push_wide(0xf1, &bytes[..2]),
            -8_388_608..8_388_608 => self.push_wide(0xf2, &bytes[..3]),
            -2_147_483_648..2_147_483_648 => self.push_wide(0xf3, &bytes[..4]),
            _ => self.push_wide(0xf4, &bytes),
        }
        self.end(start);
    }

    fn push_wide(&mut self, encoding: u8, bytes: &[u8]) {
        self.out.push(encoding);
        self.out.extend_from_slice(bytes);
    }

    fn end(&mut self, start: usize) {
        let bytes = self.out.len() - start;
        let count = back_bytes(bytes);
        for index in 0..count {
            let bits = (bytes >> (7 * (count - 1 - index))) as u8 & 0x7f;
            // Read backwards, all but the last byte met say that there is more.
            self.out.push(if index == 0 { bits } else { bits | 0x80 });
        }
        self.count += 1;
    }

    /// The finished listpack.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(END);
        let bytes = u32::try_from(self.out.len()).expect("a container is far below 4 GiB");
        let count = u16::try_from(self.count).unwrap_or(UNCOUNTED);
        self.out[..4].copy_from_slice(&bytes.to_le_bytes());
        self.out[4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut values: Vec<Vec<u8>> = [0, 1, 63, 64, 127, 4095, 4096, 16_380, 16_384, 2_097_150]
            .map(|length| vec![b'x'; length])
            .into();
        for shift in 0..63 {
            for number in [1i64 << shift, (1 << shift) - 1, -(1 << shift), -(1 << shift) - 1] {
                values.push(number.to_string().into_bytes());
            }
        }
        for number in [i64::MIN, i64::MAX] {
            values.push(number.to_string().into_bytes());
        }
        values.extend([b"007".to_vec(), b"-0".to_vec(), b"9223372036854775808".to_vec()]);
        let mut writer = Writer::new();
        values.iter().for_each(|value| writer.push(value));
        let bytes = writer.bytes();
        let packed = writer.finish();
        assert_eq!(packed.len(), bytes);
        let mut reader = Reader::open(&packed).expect("a listpack");
        for value in &values {
            assert_eq!(reader.take().map(Element::bytes).as_deref(), Some(&value[..]));
        }
        assert!(reader.is_done() && reader.take().is_none());
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut writer = Writer::new();
        [&b"a"[..], b"1", b"-1", b"300000"].iter().for_each(|value| writer.push(value));
        let expected = b"\x14\0\0\0\x04\0\x81a\x02\x01\x01\xdf\xff\x02\xf2\xe0\x93\x04\x04\xff";
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn damage_is_noticed_or_harmless() {
        let mut writer = Writer::new();
        [&b"abc"[..], b"1", b"-1", b"300000", b"", &[b'x'; 100]]
            .iter()
            .for_each(|value| writer.push(value));
        let packed = writer.finish();
        for end in 0..packed.len() {
            assert!(Reader::open(&packed[..end]).is_none(), "cut at {end}");
        }
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut broken = packed.clone();
                broken[at] ^= 1 << bit;
                if let Some(mut reader) = Reader::open(&broken) {
                    while reader.take().is_some() {}
                }
            }
        }
    }
}
