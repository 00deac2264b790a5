//! A small sorted set as one run of bytes, in order.
//!
//! ```text
//! count    u16 little endian
//! members, each:
//!   score   u8 below 0x80: that score
//!           0x80, i16 | 0x81, i32 | 0x82, f64: little endian
//!   member  length varint, bytes
//! ```
//!
//! No bytes at all are a set without members. The bytes are made here and nowhere else, so reading
//! them trusts them.

use std::cmp::Ordering;

use crate::batch::put_varint;

const COUNT_BYTES: usize = 2;
const SCORE_16: u8 = 0x80;
const SCORE_32: u8 = 0x81;
const SCORE_64: u8 = 0x82;
/// Members that the count can say.
pub(super) const MEMBERS_MAX: usize = u16::MAX as usize;

/// The order of a sorted set.
#[inline]
pub(super) fn order(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    match a.0.partial_cmp(&b.0) {
        Some(Ordering::Equal) | None => a.1.cmp(b.1),
        Some(unequal) => unequal,
    }
}

/// A packed sorted set, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'v>(&'v [u8]);

impl<'v> Packed<'v> {
    pub(super) const EMPTY: Self = Self(&[]);

    pub(super) fn new(value: &'v [u8]) -> Self {
        Self(value)
    }

    pub(super) fn len(self) -> usize {
        self.0
            .first_chunk::<COUNT_BYTES>()
            .map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    /// Members in order.
    pub(super) fn iter(self) -> Iter<'v> {
        Iter { bytes: self.0, at: COUNT_BYTES }
    }

    /// Rank and score of a member.
    pub(super) fn find(self, member: &[u8]) -> Option<(usize, f64)> {
        let mut all = self.iter().enumerate();
        all.find_map(|(rank, (score, found))| (found == member).then_some((rank, score)))
    }
}

/// Members of a packed sorted set in order.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'v> {
    bytes: &'v [u8],
    at: usize,
}

impl<'v> Iter<'v> {
    #[inline]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let start = self.at;
        self.at += N;
        self.bytes[start..self.at].try_into().expect("a slice of N bytes")
    }

    #[inline]
    fn length(&mut self) -> usize {
        let mut length = 0;
        let mut shift = 0;
        loop {
            let [byte] = self.take();
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return length;
            }
            shift += 7;
        }
    }
}

impl<'v> Iterator for Iter<'v> {
    type Item = (f64, &'v [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let [form] = self.take();
        let score = match form {
            SCORE_16 => f64::from(i16::from_le_bytes(self.take())),
            SCORE_32 => f64::from(i32::from_le_bytes(self.take())),
            SCORE_64 => f64::from_le_bytes(self.take()),
            small => f64::from(small),
        };
        let length = self.length();
        let start = self.at;
        self.at += length;
        Some((score, &self.bytes[start..self.at]))
    }
}

/// Appends a score in its shortest form.
fn push_score(out: &mut Vec<u8>, score: f64) {
    let whole = score as i32;
    if f64::from(whole) != score {
        out.push(SCORE_64);
        out.extend_from_slice(&score.to_le_bytes());
    } else if let Ok(small @ 0..0x80) = u8::try_from(whole) {
        out.push(small);
    } else if let Ok(short) = i16::try_from(whole) {
        out.push(SCORE_16);
        out.extend_from_slice(&short.to_le_bytes());
    } else {
        out.push(SCORE_32);
        out.extend_from_slice(&whole.to_le_bytes());
    }
}

fn set_count(value: &mut [u8], count: usize) {
    let count = u16::try_from(count).expect("a packed set has at most MEMBERS_MAX members");
    value[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Gives a member this score, whether it is there or not.
pub(super) fn put(value: &mut Vec<u8>, member: &[u8], score: f64) {
    if value.is_empty() {
        value.resize(COUNT_BYTES, 0);
    }
    let mut count = Packed(value).len();
    // Where the member stands, and the first that belongs behind it.
    let (mut old, mut behind) = (None, None);
    let mut all = Packed(value).iter();
    let mut start = all.at;
    while let Some((found_score, found)) = all.next() {
        if found == member {
            if found_score == score {
                return;
            }
            old = Some(start..all.at);
        } else if behind.is_none() && order((found_score, found), (score, member)).is_gt() {
            behind = Some(start);
        }
        if old.is_some() && behind.is_some() {
            break;
        }
        start = all.at;
    }
    let mut at = behind.unwrap_or(value.len());
    if let Some(old) = old {
        if old.start < at {
            at -= old.len();
        }
        value.drain(old);
        count -= 1;
    }
    let mut bytes = Vec::with_capacity(member.len() + 14);
    push_score(&mut bytes, score);
    put_varint(&mut bytes, member.len());
    bytes.extend_from_slice(member);
    value.splice(at..at, bytes);
    set_count(value, count + 1);
}

/// Takes a member out, if it is there.
pub(super) fn remove(value: &mut Vec<u8>, member: &[u8]) {
    let count = Packed(value).len();
    let mut all = Packed(value).iter();
    let mut start = all.at;
    while let Some((_, found)) = all.next() {
        if found == member {
            let end = all.at;
            value.drain(start..end);
            set_count(value, count - 1);
            return;
        }
        start = all.at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn it_holds_what_a_map_holds() {
        let mut rng = Rng::new(9);
        let (mut value, mut model) = (Vec::new(), BTreeMap::new());
        let scores = [0.0, 127.0, 128.0, -1.0, 40_000.0, -3e9, 0.5, f64::INFINITY, 1e300];
        for _ in 0..5_000 {
            let member = vec![b'a' + rng.below(20) as u8; rng.below(4) * 50];
            if rng.below(3) == 0 {
                remove(&mut value, &member);
                model.remove(&member);
            } else {
                let score = scores[rng.below(scores.len())];
                put(&mut value, &member, score);
                model.insert(member, score);
            }
            let packed = Packed::new(&value);
            let mut expected: Vec<(f64, &[u8])> =
                model.iter().map(|(member, score)| (*score, &member[..])).collect();
            expected.sort_by(|a, b| order(*a, *b));
            assert_eq!(packed.iter().collect::<Vec<_>>(), expected);
            assert_eq!(packed.len(), model.len());
        }
    }

    #[test]
    fn common_members_take_little() {
        let mut value = Vec::new();
        put(&mut value, b"member", 7.0);
        assert_eq!(value, [1, 0, 7, 6, b'm', b'e', b'm', b'b', b'e', b'r']);
        assert_eq!(Packed::new(&value).find(b"member"), Some((0, 7.0)));
        assert_eq!(Packed::EMPTY.find(b"member"), None);
        assert_eq!(Packed::EMPTY.len(), 0);
        assert_eq!(Packed::EMPTY.iter().next(), None);
    }
}
