//! Numbers and byte strings as events and edits hold them: LEB128 of up to 64 bits, strings behind
//! their length, times in six bytes. Reading trusts nothing: what is cut off or too long yields
//! nothing.

/// Bytes of a time.
pub(crate) const TIME_BYTES: usize = 6;

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

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

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// A Unix time in milliseconds; 48 bits last for 8900 years.
pub(crate) fn put_time(out: &mut Vec<u8>, time_ms: u64) {
    out.extend_from_slice(&time_ms.to_le_bytes()[..TIME_BYTES]);
}

pub(crate) fn take_time(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<TIME_BYTES>()?;
    *input = rest;
    let mut wide = [0; 8];
    wide[..TIME_BYTES].copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

pub(crate) fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = input.split_first()?;
    *input = rest;
    Some(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_and_no_cut_is() {
        for shift in 0..64 {
            for number in [(1u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_number(&mut out, number);
                let mut rest = &out[..];
                assert_eq!((take_number(&mut rest), rest), (Some(number), &[][..]));
                assert_eq!(take_number(&mut &out[..out.len() - 1]), None);
            }
        }
        let mut out = Vec::new();
        put_time(&mut out, (1 << 48) - 2);
        assert_eq!(take_time(&mut &out[..]), Some((1 << 48) - 2));
        assert_eq!(take_time(&mut &out[..5]), None);
        assert_eq!(take_bytes(&mut &b"\x05abc"[..]), None);
    }
}
