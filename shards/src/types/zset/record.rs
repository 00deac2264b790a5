//! Edits of a sorted set. All state results, so they may be applied again and over newer members.
//!
//! ```text
//! 1 PUT    member length varint, member, score f64 little endian     the member has this score now
//! 2 GONE   member length varint, member                              the member is not there
//! ```
//!
//! A score is never NaN, and zero has no sign.

use crate::batch::{put_varint, take_varint};

const PUT: u8 = 1;
const GONE: u8 = 2;

/// One edit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Edit<'e> {
    Put { member: &'e [u8], score: f64 },
    Gone { member: &'e [u8] },
}

/// Appends: the member has this score, which is no NaN and no zero below zero, now.
pub(crate) fn push_put(out: &mut Vec<u8>, member: &[u8], score: f64) {
    debug_assert!(!score.is_nan(), "a score is a number");
    push_member(out, PUT, member);
    out.extend_from_slice(&score.to_le_bytes());
}

pub(super) fn push_gone(out: &mut Vec<u8>, member: &[u8]) {
    push_member(out, GONE, member);
}

fn push_member(out: &mut Vec<u8>, operation: u8, member: &[u8]) {
    out.push(operation);
    put_varint(out, member.len());
    out.extend_from_slice(member);
}

/// The edits in a run of bytes; ends early where they are none.
#[derive(Clone, Debug)]
pub(super) struct Edits<'e>(pub(super) &'e [u8]);

impl<'e> Edits<'e> {
    fn take_one(&mut self) -> Option<Edit<'e>> {
        let (operation, mut rest) = self.0.split_first()?;
        let length = take_varint(&mut rest)?;
        let (member, after) = rest.split_at_checked(length)?;
        let edit = match *operation {
            PUT => {
                let (score, after) = after.split_first_chunk::<8>()?;
                let score = f64::from_le_bytes(*score);
                if score.is_nan() {
                    return None;
                }
                self.0 = after;
                return Some(Edit::Put { member, score });
            }
            GONE => Edit::Gone { member },
            _ => return None,
        };
        self.0 = after;
        Some(edit)
    }
}

impl<'e> Iterator for Edits<'e> {
    type Item = Edit<'e>;

    fn next(&mut self) -> Option<Edit<'e>> {
        self.take_one()
    }
}

/// Whether bytes are edits, each of them whole.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut edits = Edits(edits);
    while edits.take_one().is_some() {}
    edits.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_read_back_and_broken_ones_are_refused() {
        let mut bytes = Vec::new();
        push_put(&mut bytes, b"one", 1.5);
        push_gone(&mut bytes, b"");
        push_put(&mut bytes, &[b'x'; 300], f64::NEG_INFINITY);
        let edits: Vec<_> = Edits(&bytes).collect();
        assert_eq!(edits.len(), 3);
        assert_eq!(edits[0], Edit::Put { member: b"one", score: 1.5 });
        assert_eq!(edits[1], Edit::Gone { member: b"" });
        assert!(check(&bytes) && check(b""));
        let ends = [13, 15, bytes.len()];
        for end in 1..bytes.len() {
            assert_eq!(check(&bytes[..end]), ends.contains(&end), "cut at {end}");
        }
        bytes[0] = 3;
        assert!(!check(&bytes));
        let mut nan = Vec::new();
        push_put(&mut nan, b"m", 1.0);
        let at = nan.len() - 8;
        nan[at..].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(!check(&nan));
        assert!(!check(&[2, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut bytes = Vec::new();
        push_put(&mut bytes, b"ab", 2.0);
        push_gone(&mut bytes, b"c");
        assert_eq!(bytes, [1, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 0x40, 2, 1, b'c']);
    }
}
