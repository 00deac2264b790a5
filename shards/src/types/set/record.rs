//! Edits of sets.
//!
//! ```text
//! 1 Add      length as varint, bytes     this is a member
//! 2 Remove   length as varint, bytes     this is no member
//! ```
//!
//! Both may be applied again and to any set: adding what is there and removing what is not is
//! nothing.

use smallvec::SmallVec;

use crate::batch::{put_varint, take_varint};

const ADD: u8 = 1;
const REMOVE: u8 = 2;

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edit<'e> {
    Add(&'e [u8]),
    Remove(&'e [u8]),
}

/// Edits on their way into a record. Those of one short member need no allocation.
#[derive(Debug, Default)]
pub(super) struct Edits(SmallVec<[u8; 96]>);

impl Edits {
    pub(super) fn add(&mut self, member: &[u8]) {
        self.push(ADD, member);
    }

    pub(super) fn remove(&mut self, member: &[u8]) {
        self.push(REMOVE, member);
    }

    fn push(&mut self, operation: u8, member: &[u8]) {
        self.0.push(operation);
        let mut length = member.len();
        while length >= 0x80 {
            self.0.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(member);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Appends an edit that adds a member.
pub(crate) fn push_add(out: &mut Vec<u8>, member: &[u8]) {
    out.push(ADD);
    put_varint(out, member.len());
    out.extend_from_slice(member);
}

/// The first of `edits`, and the others; nothing when they do not follow the format.
fn take<'e>(edits: &'e [u8]) -> Option<(Edit<'e>, &'e [u8])> {
    let (operation, mut rest) = edits.split_first()?;
    let length = take_varint(&mut rest)?;
    let (member, rest) = rest.split_at_checked(length)?;
    match *operation {
        ADD => Some((Edit::Add(member), rest)),
        REMOVE => Some((Edit::Remove(member), rest)),
        _ => None,
    }
}

/// Whether these bytes are edits.
pub(super) fn check(mut edits: &[u8]) -> bool {
    while !edits.is_empty() {
        let Some((_, rest)) = take(edits) else { return false };
        edits = rest;
    }
    true
}

/// The edits in bytes that were checked.
#[derive(Clone, Debug)]
pub(super) struct Reader<'e>(pub(super) &'e [u8]);

impl<'e> Iterator for Reader<'e> {
    type Item = Edit<'e>;

    fn next(&mut self) -> Option<Edit<'e>> {
        if self.0.is_empty() {
            return None;
        }
        let (edit, rest) = take(self.0).expect("edits are checked before they are applied");
        self.0 = rest;
        Some(edit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_cuts_are_seen() {
        let mut edits = Edits::default();
        edits.add(b"one");
        edits.remove(b"");
        edits.add(&[7; 300]);
        let bytes = edits.bytes();
        let read: Vec<Edit<'_>> = Reader(bytes).collect();
        assert_eq!(read, [Edit::Add(b"one"), Edit::Remove(b""), Edit::Add(&[7; 300])]);
        let mut same = Vec::new();
        push_add(&mut same, b"one");
        assert_eq!(bytes[..5], same);
        assert!(check(bytes) && check(b""));
        let whole = [0, 5, 7];
        for cut in (0..bytes.len()).filter(|cut| !whole.contains(cut)) {
            assert!(!check(&bytes[..cut]), "cut at {cut}");
        }
        assert!(!check(&[3, 0]) && !check(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    }
}
