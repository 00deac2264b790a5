//! Times and single bytes as events and edits hold them, beside the numbers and strings that all
//! containers share. Reading trusts nothing: what is cut off yields nothing.

pub(crate) use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};

/// Bytes of a time.
const TIME_BYTES: usize = 6;

/// Appends a Unix time in milliseconds; 48 bits last for 8900 years.
pub(crate) fn put_time(out: &mut Vec<u8>, time_ms: u64) {
    out.extend_from_slice(&time_ms.to_le_bytes()[..TIME_BYTES]);
}

/// Takes a time off the front.
pub(crate) fn take_time(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<TIME_BYTES>()?;
    *input = rest;
    let mut wide = [0; 8];
    wide[..TIME_BYTES].copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

/// Takes one byte off the front.
pub(crate) fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = input.split_first()?;
    *input = rest;
    Some(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_and_no_cut_is_one() {
        let mut out = Vec::new();
        put_time(&mut out, (1 << 48) - 2);
        assert_eq!(take_time(&mut &out[..]), Some((1 << 48) - 2));
        assert_eq!(take_time(&mut &out[..5]), None);
        assert_eq!((take_byte(&mut &b"a"[..]), take_byte(&mut &b""[..])), (Some(b'a'), None));
    }
}
