//! The edits of a list: what its records in the log and its pieces in images are made of.
//!
//! ```text
//! edits     any number of:
//!   1 push right   count varint, elements          are the last now, in this order
//!   2 push left    count varint, elements          are the first now, the last of them first
//!   3 pop left     count varint                    so many are gone at the start
//!   4 pop right    count varint                    so many are gone at the end
//!   5 set          index varint, element           the element of this index is this now
//!   6 insert       index varint, element           this has this index now, the others moved right
//!   7 remove       count varint, gaps as varints   so many are gone; a gap is the number of
//!                                                  elements that stay before the next that goes
//!   8 load         ordinal varint, count varint, elements
//!                                                  are the last now, if the list had `ordinal`
//! element   length varint, bytes
//! ```
//!
//! Indexes count from the start at the time of the edit. What names an element that is not there is
//! nothing: a piece of an image may be met twice.

use crate::batch::{put_varint, take_varint};

const PUSH_RIGHT: u8 = 1;
const PUSH_LEFT: u8 = 2;
const POP_LEFT: u8 = 3;
const POP_RIGHT: u8 = 4;
const SET: u8 = 5;
const INSERT: u8 = 6;
const REMOVE: u8 = 7;
const LOAD: u8 = 8;

/// One end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The start, or head.
    Left,
    /// The end, or tail.
    Right,
}

/// One decoded edit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit<'a> {
    Push(End, Items<'a>),
    Pop(End, usize),
    Set(usize, &'a [u8]),
    Insert(usize, &'a [u8]),
    Remove(Gaps<'a>),
    Load(usize, Items<'a>),
}

/// Elements of an edit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        take_bytes(&mut self.bytes)
    }
}

/// Numbers of elements that stay before each that goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl Iterator for Gaps<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        take_varint(&mut self.bytes)
    }
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_varint(input)?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// The edits of a run; ends at the first that is not well formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edits<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Edits<'a> {
    type Item = Edit<'a>;

    fn next(&mut self) -> Option<Edit<'a>> {
        let (op, mut rest) = self.0.split_first()?;
        let edit = take_edit(*op, &mut rest)?;
        self.0 = rest;
        Some(edit)
    }
}

fn take_edit<'a>(op: u8, rest: &mut &'a [u8]) -> Option<Edit<'a>> {
    Some(match op {
        PUSH_RIGHT => Edit::Push(End::Right, take_items(rest)?),
        PUSH_LEFT => Edit::Push(End::Left, take_items(rest)?),
        POP_LEFT => Edit::Pop(End::Left, take_varint(rest)?),
        POP_RIGHT => Edit::Pop(End::Right, take_varint(rest)?),
        SET => Edit::Set(take_varint(rest)?, take_bytes(rest)?),
        INSERT => Edit::Insert(take_varint(rest)?, take_bytes(rest)?),
        REMOVE => {
            let left = take_varint(rest)?;
            let bytes = *rest;
            for _ in 0..left {
                take_varint(rest)?;
            }
            Edit::Remove(Gaps { left, bytes })
        }
        LOAD => Edit::Load(take_varint(rest)?, take_items(rest)?),
        _ => return None,
    })
}

fn take_items<'a>(rest: &mut &'a [u8]) -> Option<Items<'a>> {
    let left = take_varint(rest)?;
    let bytes = *rest;
    for _ in 0..left {
        take_bytes(rest)?;
    }
    Some(Items { left, bytes })
}

/// Whether edits are well formed, so that applying them cannot fail.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut edits = Edits(edits);
    edits.by_ref().for_each(drop);
    edits.0.is_empty()
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends: these are at this end now, the last of them outermost.
pub(crate) fn push(out: &mut Vec<u8>, end: End, elements: &[&[u8]]) {
    out.push(if end == End::Left { PUSH_LEFT } else { PUSH_RIGHT });
    put_varint(out, elements.len());
    elements.iter().for_each(|element| put_bytes(out, element));
}

/// Appends: so many are gone at this end.
pub(crate) fn pop(out: &mut Vec<u8>, end: End, count: usize) {
    out.push(if end == End::Left { POP_LEFT } else { POP_RIGHT });
    put_varint(out, count);
}

/// Appends: the element of this index is this now.
pub(crate) fn set(out: &mut Vec<u8>, index: usize, element: &[u8]) {
    out.push(SET);
    put_varint(out, index);
    put_bytes(out, element);
}

/// Appends: this has this index now.
pub(crate) fn insert(out: &mut Vec<u8>, index: usize, element: &[u8]) {
    out.push(INSERT);
    put_varint(out, index);
    put_bytes(out, element);
}

/// Appends: the elements of these indexes, which ascend, are gone.
pub(crate) fn remove(out: &mut Vec<u8>, indexes: &[usize]) {
    out.push(REMOVE);
    put_varint(out, indexes.len());
    let mut next = 0;
    for index in indexes {
        put_varint(out, index - next);
        next = index + 1;
    }
}

/// Appends: these `count` are behind the first `ordinal` now.
pub(super) fn load<'e>(
    out: &mut Vec<u8>,
    ordinal: usize,
    count: usize,
    elements: impl Iterator<Item = &'e [u8]>,
) {
    out.push(LOAD);
    put_varint(out, ordinal);
    put_varint(out, count);
    elements.for_each(|element| put_bytes(out, element));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut edits = Vec::new();
        push(&mut edits, End::Right, &[b"a", b"bc"]);
        push(&mut edits, End::Left, &[b""]);
        pop(&mut edits, End::Left, 1);
        pop(&mut edits, End::Right, 300);
        set(&mut edits, 1, b"x");
        insert(&mut edits, 0, b"y");
        remove(&mut edits, &[0, 2, 3]);
        load(&mut edits, 2, 1, [&b"z"[..]].into_iter());
        edits
    }

    #[test]
    fn the_bytes_of_edits_are_frozen() {
        assert_eq!(
            sample(),
            [
                &[1, 2, 1, b'a', 2, b'b', b'c'][..],
                &[2, 1, 0],
                &[3, 1],
                &[4, 0xac, 2],
                &[5, 1, 1, b'x'],
                &[6, 0, 1, b'y'],
                &[7, 3, 0, 1, 0],
                &[8, 2, 1, 1, b'z'],
            ]
            .concat()
        );
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let edits = sample();
        assert!(check(&edits));
        assert!(check(b""));
        let whole: Vec<usize> = {
            let mut rest = Edits(&edits);
            let ends = std::iter::from_fn(|| rest.next().map(|_| edits.len() - rest.0.len()));
            ends.collect()
        };
        for end in 1..edits.len() {
            assert_eq!(check(&edits[..end]), whole.contains(&end), "cut at {end}");
        }
        assert!(!check(&[0]));
        assert!(!check(&[9, 1]));
        assert!(!check(&[1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]), "a claimed count is not believed");
    }
}
