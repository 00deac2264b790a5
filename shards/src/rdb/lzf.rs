//! Reading LZF, the compression of long strings in RDB payloads (liblzf's format, as its
//! `lzf_d.c` documents it): a control byte below 32 is followed by that many and one literal
//! bytes; any other is a back reference, three bits of length and thirteen of distance, a length of
//! seven being continued in the next byte.

const LITERALS: u8 = 32;
const LENGTH_CONTINUES: usize = 7;

/// The `expected` bytes that `input` stands for; nothing when it stands for anything else. Grows
/// with what it reads, so the stated length alone costs no memory.
pub(super) fn decompress(input: &[u8], expected: usize) -> Option<Vec<u8>> {
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
