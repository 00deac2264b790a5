//! Members one behind the other: how a small set of any members is packed.
//!
//! ```text
//! mark       u8    0
//! count      u16   little endian
//! members          each its length as varint, then its bytes; in the order they were added
//! ```

use crate::batch::{put_varint, take_varint};

const MARK: u8 = 0;
const HEADER_BYTES: usize = 3;
/// Most members that the form can count.
pub(super) const MEMBERS_MAX: usize = u16::MAX as usize;

/// The members, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pack<'v> {
    count: usize,
    members: &'v [u8],
}

impl<'v> Pack<'v> {
    /// The members in packed bytes, which are of this form.
    pub(super) fn of(value: &'v [u8]) -> Self {
        match value.split_first_chunk::<HEADER_BYTES>() {
            Some(([_, low, high], members)) => {
                Self { count: usize::from(u16::from_le_bytes([*low, *high])), members }
            }
            None => Self { count: 0, members: &[] },
        }
    }

    pub(super) fn len(self) -> usize {
        self.count
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'v [u8]> {
        Members { rest: self.members }
    }

    pub(super) fn contains(self, member: &[u8]) -> bool {
        self.iter().any(|other| other == member)
    }
}

#[derive(Debug)]
struct Members<'v> {
    rest: &'v [u8],
}

impl<'v> Iterator for Members<'v> {
    type Item = &'v [u8];

    #[inline]
    fn next(&mut self) -> Option<&'v [u8]> {
        let (member, rest) = match *self.rest {
            [] => return None,
            // Nearly all members are short.
            [length, ..] if length < 0x80 => self.rest[1..].split_at(usize::from(length)),
            _ => {
                let length = take_varint(&mut self.rest).expect("packed members are whole");
                self.rest.split_at(length)
            }
        };
        self.rest = rest;
        Some(member)
    }
}

/// Packed bytes of this form without members.
pub(super) fn empty() -> Vec<u8> {
    vec![MARK; HEADER_BYTES]
}

/// Adds a member that is not there yet; there are fewer than [`MEMBERS_MAX`].
pub(super) fn push(value: &mut Vec<u8>, member: &[u8]) {
    let count = Pack::of(value).count + 1;
    set_count(value, count);
    put_varint(value, member.len());
    value.extend_from_slice(member);
}

/// Takes a member out, if it is there.
pub(super) fn remove(value: &mut Vec<u8>, member: &[u8]) {
    let pack = Pack::of(value);
    let mut members = Members { rest: pack.members };
    loop {
        let left = members.rest.len();
        match members.next() {
            None => return,
            Some(other) if other != member => {}
            Some(_) => {
                let end = value.len() - members.rest.len();
                let start = value.len() - left;
                let count = pack.count - 1;
                value.drain(start..end);
                set_count(value, count);
                return;
            }
        }
    }
}

fn set_count(value: &mut [u8], count: usize) {
    let count = u16::try_from(count).expect("the caller keeps to the limit of members");
    value[1..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go() {
        let mut value = empty();
        let long = vec![b'x'; 300];
        let members: [&[u8]; 4] = [b"one", b"", &long, b"four"];
        members.iter().for_each(|member| push(&mut value, member));
        assert!(Pack::of(&value).iter().eq(members));
        assert!(Pack::of(&value).contains(b"") && !Pack::of(&value).contains(b"on"));
        remove(&mut value, &long);
        remove(&mut value, b"none");
        assert!(Pack::of(&value).iter().eq([&b"one"[..], b"", b"four"]));
        assert_eq!(Pack::of(&value).len(), 3);
        for member in [&b""[..], b"four", b"one"] {
            remove(&mut value, member);
        }
        assert_eq!(value, empty());
    }
}
