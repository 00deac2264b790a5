//! Numbers and byte strings as containers and edits hold them: LEB128 of up to 64 bits, and strings
//! behind their length. Reading trusts nothing: what is cut off or too long yields nothing.

/// Bytes that a number takes.
pub(crate) fn number_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front.
pub(crate) fn take_number(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends bytes behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes off the front that stand behind their length.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_and_no_other_bytes_are_one() {
        for shift in 0..64 {
            for number in [(1u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_number(&mut out, number);
                assert_eq!(out.len(), number_bytes(number));
                let mut rest = &out[..];
                assert_eq!((take_number(&mut rest), rest), (Some(number), &[][..]));
                assert_eq!(take_number(&mut &out[..out.len() - 1]), None);
            }
        }
        assert_eq!(take_number(&mut &[0xff; 9][..]), None);
        let mut wide = vec![0xff; 9];
        wide.push(2);
        assert_eq!(take_number(&mut &wide[..]), None);
        assert_eq!(take_bytes(&mut &b"\x05abc"[..]), None);
    }
}
