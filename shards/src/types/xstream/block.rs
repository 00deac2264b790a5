//! A block of a stream: neighbouring entries in one run of bytes.
//!
//! ```text
//! names    number of fields, then each name          those of the block's first entry
//! entries  { length number                           of what follows
//!            ms    number                            above the block's base
//!            seq   number                            above the base's, if ms is the same
//!            count number                            0: the fields are `names`
//!            count x name, value; or values alone } ascending by id
//! ```
//!
//! Numbers are LEB128, names and values stand behind their length. Bytes are made here only, so
//! reading them back cannot fail.

use super::id::Id;
use crate::types::codec::{number_bytes, put_bytes, put_number, take_bytes, take_number};

const OWN: &str = "a block holds what it was given";

/// Names and values of an entry that is to be added, in their encoded form: name, value, name...
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewFields<'a> {
    pub(crate) count: usize,
    pub(crate) pairs: &'a [u8],
}

impl<'a> NewFields<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || Some((take_bytes(&mut rest)?, take_bytes(&mut rest)?)))
    }
}

/// The entries between the block's base, its key in the stream, and the base of the next block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    entries_at: u32,
    count: u32,
    last: Id,
}

/// An entry, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'s> {
    pub(crate) id: Id,
    /// Zero when the names are those of the block.
    own: u64,
    names: &'s [u8],
    body: &'s [u8],
}

impl<'s> Entry<'s> {
    /// Number of fields.
    pub(crate) fn count(&self) -> usize {
        let count = if self.own == 0 { take_number(&mut { self.names }) } else { Some(self.own) };
        count.expect(OWN) as usize
    }

    /// Whether its names are those of its block.
    pub(crate) fn shares_names(&self) -> bool {
        self.own == 0
    }

    /// Names and values in order.
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = (&'s [u8], &'s [u8])> + use<'s> {
        let (mut names, mut body, own) = (self.names, self.body, self.own != 0);
        take_number(&mut names);
        (0..self.count()).map(move |_| {
            let name = take_bytes(if own { &mut body } else { &mut names }).expect(OWN);
            (name, take_bytes(&mut body).expect(OWN))
        })
    }
}

/// Reads entries one by one.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'s> {
    base: Id,
    names: &'s [u8],
    rest: &'s [u8],
}

impl<'s> Iterator for Entries<'s> {
    type Item = Entry<'s>;

    fn next(&mut self) -> Option<Entry<'s>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut body = take_bytes(&mut self.rest).expect(OWN);
        let ms = take_number(&mut body).expect(OWN);
        let seq = take_number(&mut body).expect(OWN);
        let id = Id::new(self.base.ms + ms, if ms == 0 { self.base.seq + seq } else { seq });
        let own = take_number(&mut body).expect(OWN);
        Some(Entry { id, own, names: self.names, body })
    }
}

impl Block {
    /// An empty block for entries from `id` on, whose first has these fields.
    pub(super) fn new(id: Id, fields: NewFields<'_>) -> Self {
        let mut bytes = Vec::new();
        put_number(&mut bytes, fields.count as u64);
        fields.iter().for_each(|(name, _)| put_bytes(&mut bytes, name));
        Self { entries_at: bytes.len() as u32, bytes, count: 0, last: id }
    }

    /// Number of entries.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// The greatest id; meaningless when there are no entries.
    pub(super) fn last(&self) -> Id {
        self.last
    }

    /// Bytes of entries and names.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes taken from the allocator.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + size_of::<(Id, Self)>()
    }

    fn names(&self) -> &[u8] {
        &self.bytes[..self.entries_at as usize]
    }

    /// The names of the fields that entries may share.
    pub(crate) fn shared_names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut names = self.names();
        let count = take_number(&mut names).expect(OWN) as usize;
        (0..count).map(move |_| take_bytes(&mut names).expect(OWN))
    }

    /// Its entries in order.
    pub(crate) fn entries(&self, base: Id) -> Entries<'_> {
        let (names, rest) = self.bytes.split_at(self.entries_at as usize);
        Entries { base, names, rest }
    }

    /// Adds an entry; false when there is one of this id.
    pub(super) fn insert(&mut self, base: Id, id: Id, fields: NewFields<'_>) -> bool {
        let encoded = self.encode(base, id, fields);
        if self.count == 0 || id > self.last {
            self.bytes.extend_from_slice(&encoded);
            self.last = id;
        } else {
            let (start, end) = self.place(base, id);
            if end > start {
                return false;
            }
            self.bytes.splice(start..start, encoded);
        }
        self.count += 1;
        true
    }

    /// Takes an entry out; false when there is none of this id.
    pub(super) fn remove(&mut self, base: Id, id: Id) -> bool {
        let (start, end) = self.place(base, id);
        if start == end {
            return false;
        }
        self.bytes.drain(start..end);
        self.count -= 1;
        if id == self.last {
            self.last = self.entries(base).last().map_or(base, |entry| entry.id);
        }
        true
    }

    /// Takes out the entries up to `id`; how many they were.
    pub(super) fn remove_through(&mut self, base: Id, id: Id) -> usize {
        let mut entries = self.entries(base);
        let mut removed = 0;
        let mut left = entries.rest.len();
        while entries.next().is_some_and(|entry| entry.id <= id) {
            removed += 1;
            left = entries.rest.len();
        }
        let start = self.entries_at as usize;
        self.bytes.drain(start..self.bytes.len() - left);
        self.count -= removed;
        removed as usize
    }

    /// Where the bytes of an entry are; an empty range where they would be.
    fn place(&self, base: Id, id: Id) -> (usize, usize) {
        let mut entries = self.entries(base);
        loop {
            let start = self.bytes.len() - entries.rest.len();
            match entries.next() {
                Some(entry) if entry.id < id => {}
                Some(entry) if entry.id == id => {
                    return (start, self.bytes.len() - entries.rest.len());
                }
                Some(_) | None => return (start, start),
            }
        }
    }

    fn encode(&self, base: Id, id: Id, fields: NewFields<'_>) -> Vec<u8> {
        let ms = id.ms - base.ms;
        let seq = if ms == 0 { id.seq - base.seq } else { id.seq };
        let shared = self.shared_names().eq(fields.iter().map(|(name, _)| name));
        let count = if shared { 0 } else { fields.count as u64 };
        let text = |bytes: &[u8]| number_bytes(bytes.len() as u64) + bytes.len();
        let body: usize = if shared {
            fields.iter().map(|(_, value)| text(value)).sum()
        } else {
            fields.pairs.len()
        };
        let length = number_bytes(ms) + number_bytes(seq) + number_bytes(count) + body;
        let mut out = Vec::with_capacity(length + 5);
        [length as u64, ms, seq, count].iter().for_each(|number| put_number(&mut out, *number));
        if shared {
            fields.iter().for_each(|(_, value)| put_bytes(&mut out, value));
        } else {
            out.extend_from_slice(fields.pairs);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, value.as_bytes());
        }
        out
    }

    fn show(block: &Block, base: Id) -> Vec<String> {
        let field = |(name, value): (&[u8], &[u8])| {
            format!(" {}={}", name.escape_ascii(), value.escape_ascii())
        };
        let fields = |entry: Entry<'_>| entry.fields().map(field).collect::<String>();
        block.entries(base).map(|entry| format!("{}{}", entry.id, fields(entry))).collect()
    }

    #[test]
    fn entries_stand_in_order_and_share_names() {
        let base = Id::new(10, 5);
        let (ab, c) = (pairs(&[("a", "1"), ("b", "2")]), pairs(&[("c", "3")]));
        let ab = NewFields { count: 2, pairs: &ab };
        let c = NewFields { count: 1, pairs: &c };
        let mut block = Block::new(base, ab);
        assert!(block.insert(base, Id::new(12, 1), ab));
        assert!(block.insert(base, base, ab));
        assert!(block.insert(base, Id::new(10, 9), c));
        assert!(!block.insert(base, Id::new(10, 9), ab));
        let bytes = block.bytes();
        assert!(block.insert(base, Id::new(13, 0), ab));
        assert_eq!(block.bytes() - bytes, 8, "length, ms, seq, count, two short values");
        assert_eq!(
            show(&block, base),
            ["10-5 a=1 b=2", "10-9 c=3", "12-1 a=1 b=2", "13-0 a=1 b=2"]
        );
        assert_eq!((block.count(), block.last()), (4, Id::new(13, 0)));
        assert!(block.remove(base, Id::new(13, 0)));
        assert!(!block.remove(base, Id::new(13, 0)));
        assert_eq!(block.last(), Id::new(12, 1));
        assert_eq!(block.remove_through(base, Id::new(10, 6)), 1);
        assert_eq!(block.remove_through(base, Id::new(12, 2)), 2);
        assert_eq!((block.count(), show(&block, base).len()), (0, 0));
    }
}
