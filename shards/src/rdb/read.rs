//! Reading values of every type that Redis has written since version 2.
//!
//! ```text
//!  0 string        a string
//!  1 list, 2 set   count, elements             14 list       count, ziplists
//!  3 sorted set    count, members and scores as text: u8 length, or 253 NaN, 254 inf, 255 -inf
//!  4 hash          count, names and values
//!  5 sorted set    count, members and scores as f64
//!  9 to 13         one string: zipmap, ziplist, intset, ziplist of pairs, ziplist of pairs
//! 16, 17, 20       one string: listpack of a hash, of a sorted set, of a set
//! 18 list          count, then 1 and an element, or 2 and a listpack
//! 15, 19, 21       streams, see `stream`
//! 24 hash          first deadline u64, count, then deadline (0 none, else above the first, plus
//!                  one), name and value
//! 25 hash          first deadline u64, listpack of name, value and deadline (0 none)
//! ```
//!
//! Nothing in it is trusted: what is read is bounded by what is there, what it grows to by what
//! the caller allows.

use std::borrow::Cow;

use super::legacy::{intset, ziplist, zipmap};
use super::listpack::{self, Element};
use super::{
    HASH, HASH_DEADLINES, HASH_LISTPACK, HASH_LISTPACK_DEADLINES, HASH_ZIPLIST, HASH_ZIPMAP, LIST,
    LIST_LISTPACKS, LIST_ZIPLIST, LIST_ZIPLISTS, Restored, SET, SET_INTSET, SET_LISTPACK, STREAM,
    STREAM_2, STREAM_3, STRING, ZSET, ZSET_LISTPACK, ZSET_TEXT, ZSET_ZIPLIST, stream, string,
};
use crate::shard::ValueType;
use crate::types::{hash, list, set, zset};

const PLAIN_NODE: u64 = 1;
const PACKED_NODE: u64 = 2;
/// What a score as text is when it is not: not a number, infinite, and so below zero.
const TEXT_NAN: u8 = 253;
const TEXT_INFINITE: u8 = 254;
const TEXT_LEAST: u8 = 255;
/// Deadlines are stored in 48 bits.
const DEADLINE_MAX: u64 = (1 << 48) - 1;

/// The value of type `kind` that `body` is, to its last byte.
pub(super) fn value(kind: u8, body: &[u8], bytes_max: usize) -> Option<Restored> {
    let mut input = Input { rest: body, bytes_max, edits: Vec::new() };
    let value_type = match kind {
        STRING => {
            let value = input.string()?.into_owned();
            return input.rest.is_empty().then_some(Restored::String(value));
        }
        LIST | LIST_ZIPLIST | LIST_ZIPLISTS | LIST_LISTPACKS => input.list(kind)?,
        SET | SET_INTSET | SET_LISTPACK => input.set(kind)?,
        ZSET_TEXT | ZSET | ZSET_ZIPLIST | ZSET_LISTPACK => input.sorted_set(kind)?,
        HASH | HASH_ZIPMAP | HASH_ZIPLIST | HASH_LISTPACK => input.hash(kind)?,
        HASH_DEADLINES | HASH_LISTPACK_DEADLINES => input.hash_with_deadlines(kind)?,
        STREAM | STREAM_2 | STREAM_3 => {
            input.edits = stream::read(&mut input.rest, kind, bytes_max)?;
            ValueType::Stream
        }
        _ => return None,
    };
    let Input { rest, edits, .. } = input;
    // There are no empty containers; of streams there are, but their numbers make edits.
    let is_whole = rest.is_empty() && !edits.is_empty();
    is_whole.then_some(Restored::Container { value_type, edits })
}

/// What is left to read, and the edits made of what was.
struct Input<'a> {
    rest: &'a [u8],
    bytes_max: usize,
    edits: Vec<u8>,
}

impl<'a> Input<'a> {
    /// The next string; nothing when the whole would grow beyond its bound.
    fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        let room = self.bytes_max.checked_sub(self.edits.len())?;
        string::take(&mut self.rest, room)
    }

    fn length(&mut self) -> Option<u64> {
        string::take_length(&mut self.rest)
    }

    fn time(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn is_within(&self) -> Option<()> {
        (self.edits.len() <= self.bytes_max).then_some(())
    }

    fn push(&mut self, elements: &[Element<'_>]) -> Option<()> {
        let elements: Vec<Cow<'_, [u8]>> = elements.iter().map(|element| element.bytes()).collect();
        let elements: Vec<&[u8]> = elements.iter().map(|element| &element[..]).collect();
        if !elements.is_empty() {
            list::push_edit(&mut self.edits, list::End::Right, &elements);
        }
        self.is_within()
    }

    fn list(&mut self, kind: u8) -> Option<ValueType> {
        if kind == LIST_ZIPLIST {
            let packed = self.string()?;
            self.push(&ziplist(&packed)?)?;
            return Some(ValueType::List);
        }
        for _ in 0..self.length()? {
            let node = if kind == LIST_LISTPACKS { self.length()? } else { PLAIN_NODE };
            let bytes = self.string()?;
            match (kind, node) {
                (LIST_ZIPLISTS, _) => self.push(&ziplist(&bytes)?)?,
                (_, PLAIN_NODE) => self.push(&[Element::Bytes(&bytes)])?,
                (_, PACKED_NODE) => self.push(&unpack(&bytes)?)?,
                _ => return None,
            }
        }
        Some(ValueType::List)
    }

    fn set(&mut self, kind: u8) -> Option<ValueType> {
        match kind {
            SET => {
                for _ in 0..self.length()? {
                    let member = self.string()?;
                    set::push_add(&mut self.edits, &member);
                    self.is_within()?;
                }
            }
            SET_INTSET => {
                for member in intset(&self.string()?)? {
                    set::push_add(&mut self.edits, &Element::Integer(member).bytes());
                }
            }
            _ => {
                for member in unpack(&self.string()?)? {
                    set::push_add(&mut self.edits, &member.bytes());
                }
            }
        }
        self.is_within()?;
        Some(ValueType::Set)
    }

    fn score(&mut self, kind: u8) -> Option<f64> {
        if kind == ZSET {
            return self.time().map(f64::from_bits);
        }
        let (&length, rest) = self.rest.split_first()?;
        self.rest = rest;
        match length {
            TEXT_NAN => None,
            TEXT_INFINITE => Some(f64::INFINITY),
            TEXT_LEAST => Some(f64::NEG_INFINITY),
            length => {
                let (text, rest) = self.rest.split_at_checked(length.into())?;
                self.rest = rest;
                number(text)
            }
        }
    }

    fn put(&mut self, member: &[u8], score: f64) -> Option<()> {
        if score.is_nan() {
            return None;
        }
        // Zero has no sign.
        zset::push_put(&mut self.edits, member, score + 0.0);
        self.is_within()
    }

    fn sorted_set(&mut self, kind: u8) -> Option<ValueType> {
        if matches!(kind, ZSET_TEXT | ZSET) {
            for _ in 0..self.length()? {
                let member = self.string()?;
                let score = self.score(kind)?;
                self.put(&member, score)?;
            }
            return Some(ValueType::SortedSet);
        }
        let packed = self.string()?;
        let elements = if kind == ZSET_ZIPLIST { ziplist(&packed)? } else { unpack(&packed)? };
        let (pairs, odd) = elements.as_chunks::<2>();
        if !odd.is_empty() {
            return None;
        }
        for [member, score] in pairs {
            let score = match score {
                Element::Integer(score) => *score as f64,
                Element::Bytes(text) => number(text)?,
            };
            self.put(&member.bytes(), score)?;
        }
        Some(ValueType::SortedSet)
    }

    fn set_field(&mut self, name: &[u8], value: &[u8], deadline_ms: Option<u64>) -> Option<()> {
        if deadline_ms.is_some_and(|deadline| deadline > DEADLINE_MAX) {
            return None;
        }
        hash::push_set(&mut self.edits, (name, value), deadline_ms);
        self.is_within()
    }

    fn hash(&mut self, kind: u8) -> Option<ValueType> {
        if kind == HASH {
            for _ in 0..self.length()? {
                let (name, value) = (self.string()?, self.string()?);
                self.set_field(&name, &value, None)?;
            }
            return Some(ValueType::Hash);
        }
        let packed = self.string()?;
        let elements = match kind {
            HASH_ZIPMAP => zipmap(&packed)?,
            HASH_ZIPLIST => ziplist(&packed)?,
            _ => unpack(&packed)?,
        };
        let (pairs, odd) = elements.as_chunks::<2>();
        for [name, value] in pairs {
            self.set_field(&name.bytes(), &value.bytes(), None)?;
        }
        odd.is_empty().then_some(ValueType::Hash)
    }

    fn hash_with_deadlines(&mut self, kind: u8) -> Option<ValueType> {
        let first = self.time()?;
        if kind == HASH_DEADLINES {
            for _ in 0..self.length()? {
                let deadline_ms = match self.length()? {
                    0 => None,
                    above => Some(first.checked_add(above - 1)?),
                };
                let (name, value) = (self.string()?, self.string()?);
                self.set_field(&name, &value, deadline_ms)?;
            }
            return Some(ValueType::Hash);
        }
        let packed = self.string()?;
        let elements = unpack(&packed)?;
        let (fields, rest) = elements.as_chunks::<3>();
        for [name, value, deadline] in fields {
            let deadline = u64::try_from(deadline.integer()?).ok()?;
            let deadline_ms = (deadline > 0).then_some(deadline);
            self.set_field(&name.bytes(), &value.bytes(), deadline_ms)?;
        }
        rest.is_empty().then_some(ValueType::Hash)
    }
}

fn unpack(packed: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut reader = listpack::Reader::open(packed)?;
    let mut elements = Vec::new();
    while let Some(element) = reader.take() {
        elements.push(element);
    }
    reader.is_done().then_some(elements)
}

/// A score as text.
fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
