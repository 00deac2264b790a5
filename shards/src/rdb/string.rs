//! Strings of the RDB format. The two top bits of the first byte say what follows:
//!
//! ```text
//! 00  length in the low six bits
//! 01  length in the low six bits and the next byte
//! 10  0x80: length in the next four bytes; 0x81: in the next eight; both big endian
//! 11  0xc0, 0xc1, 0xc2: an integer of 8, 16, 32 bits, little endian, standing for its decimal
//!     0xc3: compressed: two lengths, of the compressed and of the original bytes, then LZF
//! ```

use std::borrow::Cow;

use super::lzf::{compress, decompress};
use crate::command::args::integer;

const LENGTH_32: u8 = 0x80;
const LENGTH_64: u8 = 0x81;
const INTEGER_8: u8 = 0xc0;
const INTEGER_16: u8 = 0xc1;
const INTEGER_32: u8 = 0xc2;
const COMPRESSED: u8 = 0xc3;

/// Strings up to here are never compressed, as Redis does it.
const COMPRESSED_MIN: usize = 21;
/// Bytes that compression must save.
const SAVED_MIN: usize = 4;

/// Appends a string as Redis does: canonical integers of up to 32 bits as integers, longer strings
/// compressed where that helps, all others as they are.
pub(super) fn write(out: &mut Vec<u8>, value: &[u8]) {
    let number = integer(value).ok();
    if let Some(number) = number.and_then(|number| i8::try_from(number).ok()) {
        out.extend_from_slice(&[INTEGER_8, number.cast_unsigned()]);
    } else if let Some(number) = number.and_then(|number| i16::try_from(number).ok()) {
        out.push(INTEGER_16);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
        out.push(INTEGER_32);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Some(packed) = packed(value) {
        out.push(COMPRESSED);
        write_length(out, packed.len() as u64);
        write_length(out, value.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        write_length(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn packed(value: &[u8]) -> Option<Vec<u8>> {
    (value.len() >= COMPRESSED_MIN).then(|| compress(value, value.len() - SAVED_MIN)).flatten()
}

/// Appends a length, or any other number.
pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
    } else if let Ok(length) = u32::try_from(length) {
        out.push(LENGTH_32);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(LENGTH_64);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// The string at the front of `input`, which is taken off; nothing when there is none, or when it
/// is longer than `bytes_max`.
pub(super) fn take<'a>(input: &mut &'a [u8], bytes_max: usize) -> Option<Cow<'a, [u8]>> {
    let value = match *input {
        [INTEGER_8, number, rest @ ..] => {
            *input = rest;
            decimal(number.cast_signed().into())
        }
        [INTEGER_16, a, b, rest @ ..] => {
            *input = rest;
            decimal(i16::from_le_bytes([*a, *b]).into())
        }
        [INTEGER_32, a, b, c, d, rest @ ..] => {
            *input = rest;
            decimal(i32::from_le_bytes([*a, *b, *c, *d]))
        }
        [COMPRESSED, rest @ ..] => {
            let mut rest = rest;
            let compressed = usize::try_from(take_length(&mut rest)?).ok()?;
            let expected = usize::try_from(take_length(&mut rest)?).ok()?;
            let (compressed, rest) = rest.split_at_checked(compressed)?;
            if expected > bytes_max {
                return None;
            }
            *input = rest;
            Cow::Owned(decompress(compressed, expected)?)
        }
        _ => {
            let length = usize::try_from(take_length(input)?).ok()?;
            let (value, rest) = input.split_at_checked(length)?;
            *input = rest;
            Cow::Borrowed(value)
        }
    };
    (value.len() <= bytes_max).then_some(value)
}

fn decimal<'a>(number: i32) -> Cow<'a, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// The length, or any other number, at the front of `input`, which is taken off.
pub(super) fn take_length(input: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = input.split_first()?;
    let (length, rest) = match first {
        0..0x40 => (first.into(), rest),
        0x40..0x80 => {
            let (&low, rest) = rest.split_first()?;
            (u64::from(first & 0x3f) << 8 | u64::from(low), rest)
        }
        LENGTH_32 => {
            let (bytes, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*bytes).into(), rest)
        }
        LENGTH_64 => {
            let (bytes, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*bytes), rest)
        }
        _ => return None,
    };
    *input = rest;
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        let value = take(&mut input, bytes_max)?;
        input.is_empty().then(|| value.into_owned())
    }

    #[test]
    fn every_length_and_integer_survives() {
        let mut values: Vec<Vec<u8>> =
            [0, 1, 63, 64, 16_383, 16_384, 70_000].map(|length| vec![b'x'; length]).into();
        for number in [0, -1, 127, -128, 128, 32_767, -32_768, 32_768, i64::from(i32::MIN)] {
            values.push(number.to_string().into_bytes());
        }
        values.push(i64::MAX.to_string().into_bytes());
        values.push(b"007".to_vec());
        for value in values {
            let mut out = Vec::new();
            write(&mut out, &value);
            assert_eq!(read(&out, 70_000), Some(value));
        }
    }

    #[test]
    fn lengths_in_every_form_are_read() {
        assert_eq!(read(b"\x80\0\0\0\x01x", 9), Some(b"x".to_vec()));
        assert_eq!(read(b"\x81\0\0\0\0\0\0\0\x01x", 9), Some(b"x".to_vec()));
        assert_eq!(read(b"\x81\xff\xff\xff\xff\xff\xff\xff\xffx", 9), None);
        assert_eq!(read(b"\x03abc", 2), None);
        for cut in [&b""[..], b"\x40", b"\x80\0\0", b"\x81\0", b"\xc0", b"\xc1\0", b"\xc3\x01"] {
            assert_eq!(read(cut, 9), None);
        }
    }
}
