//! The edits of a hash: what stands in records and images about one.
//!
//! A run of operations, little endian; a string is its length as varint and its bytes:
//!
//! ```text
//! 1 Set       field string, value string                  the field is now this value, for good
//! 2 SetUntil  deadline u48, field string, value string    the same, until this Unix millisecond
//! 3 Deadline  deadline u48, field string                  its deadline is this now, zero for none
//! 4 Delete    field string                                the field is gone
//! ```
//!
//! All are lenient: a deadline for a field that is not there, and its removal, change nothing. So a
//! run may be applied again, and over what later runs made.

use crate::batch::{put_varint, take_varint};
use crate::limits::VALUE_BYTES_MAX;

const SET: u8 = 1;
const SET_UNTIL: u8 = 2;
const DEADLINE: u8 = 3;
const DELETE: u8 = 4;

const DEADLINE_BYTES: usize = 6;

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edit<'a> {
    /// The field is now this value.
    Set { field: &'a [u8], value: &'a [u8], deadline_ms: Option<u64> },
    /// The field, if it is there, has this deadline now, or none.
    Deadline { field: &'a [u8], deadline_ms: Option<u64> },
    /// The field is gone.
    Delete { field: &'a [u8] },
}

/// Appends an operation.
pub(super) fn push(out: &mut Vec<u8>, edit: &Edit<'_>) {
    match *edit {
        Edit::Set { field, value, deadline_ms } => {
            match deadline_ms {
                None => out.push(SET),
                Some(_) => {
                    out.push(SET_UNTIL);
                    push_deadline(out, deadline_ms);
                }
            }
            push_string(out, field);
            push_string(out, value);
        }
        Edit::Deadline { field, deadline_ms } => {
            out.push(DEADLINE);
            push_deadline(out, deadline_ms);
            push_string(out, field);
        }
        Edit::Delete { field } => {
            out.push(DELETE);
            push_string(out, field);
        }
    }
}

/// Appends: the field is now this value, until this Unix millisecond if there is one.
pub(crate) fn push_set(
    out: &mut Vec<u8>,
    (field, value): (&[u8], &[u8]),
    deadline_ms: Option<u64>,
) {
    push(out, &Edit::Set { field, value, deadline_ms });
}

fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_deadline(out: &mut Vec<u8>, deadline_ms: Option<u64>) {
    let bytes = deadline_ms.unwrap_or(0).to_le_bytes();
    out.extend_from_slice(&bytes[..DEADLINE_BYTES]);
}

/// Whether bytes are edits of a hash.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut edits = Edits { rest: edits };
    while !edits.rest.is_empty() {
        if edits.take_one().is_none() {
            return false;
        }
    }
    true
}

/// The operations of a run that [`check`] approved.
#[derive(Clone, Debug)]
pub(super) struct Edits<'a> {
    rest: &'a [u8],
}

impl<'a> Edits<'a> {
    pub(super) fn over(edits: &'a [u8]) -> Self {
        Self { rest: edits }
    }

    fn take_one(&mut self) -> Option<Edit<'a>> {
        let (op, mut rest) = self.rest.split_first()?;
        let edit = match *op {
            SET => Edit::Set {
                field: take_string(&mut rest)?,
                value: take_string(&mut rest)?,
                deadline_ms: None,
            },
            SET_UNTIL => {
                let deadline_ms = Some(take_deadline(&mut rest)??);
                let field = take_string(&mut rest)?;
                Edit::Set { field, value: take_string(&mut rest)?, deadline_ms }
            }
            DEADLINE => {
                let deadline_ms = take_deadline(&mut rest)?;
                Edit::Deadline { field: take_string(&mut rest)?, deadline_ms }
            }
            DELETE => Edit::Delete { field: take_string(&mut rest)? },
            _ => return None,
        };
        self.rest = rest;
        Some(edit)
    }
}

impl<'a> Iterator for Edits<'a> {
    type Item = Edit<'a>;

    fn next(&mut self) -> Option<Edit<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.take_one().expect("edits are checked before they are applied"))
    }
}

fn take_string<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_varint(input).filter(|length| *length <= VALUE_BYTES_MAX)?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// Nothing when the bytes end; nothing within for zero.
fn take_deadline(input: &mut &[u8]) -> Option<Option<u64>> {
    let ([a, b, c, d, e, f], rest) = input.split_first_chunk::<DEADLINE_BYTES>()?;
    *input = rest;
    let deadline = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, 0, 0]);
    Some((deadline != 0).then_some(deadline))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Edit<'_>; 5] = [
        Edit::Set { field: b"f", value: b"value", deadline_ms: None },
        Edit::Set { field: b"", value: b"", deadline_ms: Some(1_700_000_000_000) },
        Edit::Deadline { field: b"f", deadline_ms: Some(5) },
        Edit::Deadline { field: b"f", deadline_ms: None },
        Edit::Delete { field: b"g" },
    ];

    fn run() -> Vec<u8> {
        let mut out = Vec::new();
        ALL.iter().for_each(|edit| push(&mut out, edit));
        out
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = run();
        assert!(check(&bytes) && check(b""));
        assert!(Edits::over(&bytes).eq(ALL));
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut out = Vec::new();
        push(&mut out, &Edit::Set { field: b"ab", value: b"xyz", deadline_ms: None });
        push(&mut out, &Edit::Set { field: b"c", value: b"", deadline_ms: Some(258) });
        push(&mut out, &Edit::Delete { field: b"d" });
        assert_eq!(
            out,
            [
                1, 2, b'a', b'b', 3, b'x', b'y', b'z', // Set
                2, 2, 1, 0, 0, 0, 0, 1, b'c', 0, // SetUntil
                4, 1, b'd', // Delete
            ]
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = run();
        let ends: Vec<usize> = ALL
            .iter()
            .scan(0, |at, edit| {
                let mut one = Vec::new();
                push(&mut one, edit);
                *at += one.len();
                Some(*at)
            })
            .collect();
        for end in 1..bytes.len() {
            assert_eq!(check(&bytes[..end]), ends.contains(&end), "cut at {end}");
        }
        for wrong in [
            &[0][..],
            &[5, 1, b'f'],
            &[4, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[4, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[2, 0, 0, 0, 0, 0, 0, 1, b'f', 0],
        ] {
            assert!(!check(wrong), "{wrong:?}");
        }
    }
}
