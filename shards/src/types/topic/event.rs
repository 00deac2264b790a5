//! Events as bytes: the form in which a block holds them, an edit brings them, and an image keeps
//! them. They are made once, when they are published, and copied from then on.
//!
//! ```text
//! length    number                  of what follows
//! time      u48                     Unix milliseconds
//! flags     u8                      1 has a key; 2 has metadata; 4 its data is JSON;
//!                                   8 is a packed batch
//! [key      bytes                   flag 1
//!  name     bytes                   what kind of event it is
//!  metadata count, name, value ...  flag 2
//!  data     the rest]
//! or [count number, codec u8, length of the events unpacked number, packed events the rest]
//! ```
//!
//! A number is LEB128, bytes stand behind their length. A packed batch stands for `count` events
//! with consecutive offsets, and is handed out as it came; see [`super::packed`].

use super::codec::{
    put_bytes, put_number, put_time, take_byte, take_bytes, take_number, take_time,
};
use crate::limits::{EVENT_BYTES_MAX, EVENT_NAMES_MAX, PACKED_EVENTS_MAX};

const KEY: u8 = 1;
const METADATA: u8 = 2;
const JSON: u8 = 4;
const PACKED: u8 = 8;
const KNOWN: u8 = KEY | METADATA | JSON | PACKED;

const OWN: &str = "events are checked before they are stored";

/// An event that is to be published.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewEvent<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) name: &'a [u8],
    /// Names and values, one after the other.
    pub(crate) metadata: &'a [&'a [u8]],
    /// Its data came as JSON, and is to be shown as such.
    pub(crate) json: bool,
    pub(crate) data: &'a [u8],
}

impl NewEvent<'_> {
    /// Appends its bytes.
    pub(crate) fn write(&self, time_ms: u64, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(self.data.len() + self.name.len() + 32);
        put_time(&mut body, time_ms);
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        body.push(
            flag(self.key.is_some(), KEY)
                | flag(!self.metadata.is_empty(), METADATA)
                | flag(self.json, JSON),
        );
        if let Some(key) = self.key {
            put_bytes(&mut body, key);
        }
        put_bytes(&mut body, self.name);
        if !self.metadata.is_empty() {
            put_number(&mut body, self.metadata.len() as u64 / 2);
            self.metadata.iter().for_each(|word| put_bytes(&mut body, word));
        }
        body.extend_from_slice(self.data);
        put_bytes(out, &body);
    }
}

/// Appends the bytes of a packed batch.
pub(crate) fn write_packed(packed: Packed<'_>, time_ms: u64, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(packed.bytes.len() + 24);
    put_time(&mut body, time_ms);
    body.push(PACKED);
    put_number(&mut body, packed.count);
    body.push(packed.codec);
    put_number(&mut body, packed.unpacked_bytes);
    body.extend_from_slice(packed.bytes);
    put_bytes(out, &body);
}

/// An event, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'s> {
    pub(crate) time_ms: u64,
    pub(crate) key: Option<&'s [u8]>,
    pub(crate) name: &'s [u8],
    /// Names and values behind their lengths.
    metadata: &'s [u8],
    pub(crate) json: bool,
    pub(crate) data: &'s [u8],
}

impl<'s> Event<'s> {
    /// Names and values.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&'s [u8], &'s [u8])> + use<'s> {
        let mut rest = self.metadata;
        std::iter::from_fn(move || Some((take_bytes(&mut rest)?, take_bytes(&mut rest)?)))
    }
}

/// Bytes that an answer takes for an event beside its words, and for a pair of its metadata, about.
pub(super) const ANSWER_BYTES: usize = 64;

impl Event<'_> {
    /// Bytes that it takes in an answer, about.
    pub(super) fn answer_bytes(&self) -> usize {
        let pair = |(name, value): (&[u8], &[u8])| name.len() + value.len() + ANSWER_BYTES;
        let key_bytes = self.key.map_or(0, <[u8]>::len);
        let metadata: usize = self.metadata().map(pair).sum();
        self.data.len() + self.name.len() + key_bytes + metadata + ANSWER_BYTES
    }
}

/// A batch of events as their producer packed them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Packed<'s> {
    /// How many events, at least one.
    pub(crate) count: u64,
    pub(crate) codec: u8,
    pub(crate) unpacked_bytes: u64,
    pub(crate) bytes: &'s [u8],
}

/// What stands in a block: one event, or several packed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'s> {
    One(Event<'s>),
    Packed { time_ms: u64, packed: Packed<'s> },
}

impl<'s> Item<'s> {
    /// Takes one off the front; nothing when there is none.
    pub(crate) fn take(input: &mut &'s [u8]) -> Option<Self> {
        let mut body = take_bytes(input).filter(|body| body.len() <= EVENT_BYTES_MAX)?;
        let time_ms = take_time(&mut body)?;
        let flags = take_byte(&mut body)?;
        if flags & !KNOWN != 0 {
            return None;
        }
        if flags & PACKED != 0 {
            let count = take_number(&mut body)?;
            let codec = take_byte(&mut body)?;
            let unpacked_bytes = take_number(&mut body)?;
            let packed = Packed { count, codec, unpacked_bytes, bytes: body };
            let fits = (1..=PACKED_EVENTS_MAX).contains(&count) && flags == PACKED;
            return fits.then_some(Self::Packed { time_ms, packed });
        }
        let key = if flags & KEY == 0 { None } else { Some(take_bytes(&mut body)?) };
        let name = take_bytes(&mut body)?;
        let mut metadata: &[u8] = &[];
        if flags & METADATA != 0 {
            let count = take_number(&mut body)?;
            let start = body;
            if count > EVENT_NAMES_MAX as u64 {
                return None;
            }
            for _ in 0..count * 2 {
                take_bytes(&mut body)?;
            }
            metadata = &start[..start.len() - body.len()];
        }
        let json = flags & JSON != 0;
        Some(Self::One(Event { time_ms, key, name, metadata, json, data: body }))
    }

    /// How many offsets it takes.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Packed { packed, .. } => packed.count,
        }
    }

    #[cfg(test)]
    pub(crate) fn time_ms(&self) -> u64 {
        match self {
            Self::One(event) => event.time_ms,
            Self::Packed { time_ms, .. } => *time_ms,
        }
    }
}

/// What is known of an item without reading all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outline {
    /// Bytes with its length.
    pub(super) bytes: usize,
    pub(super) count: u64,
    pub(super) time_ms: u64,
}

/// The outline of the first item of bytes of our own; nothing at their end.
pub(super) fn outline(bytes: &[u8]) -> Option<Outline> {
    if bytes.is_empty() {
        return None;
    }
    let mut rest = bytes;
    let mut body = take_bytes(&mut rest).expect(OWN);
    let time_ms = take_time(&mut body).expect(OWN);
    let flags = take_byte(&mut body).expect(OWN);
    let count = if flags & PACKED == 0 { 1 } else { take_number(&mut body).expect(OWN) };
    Some(Outline { bytes: bytes.len() - rest.len(), count, time_ms })
}

/// Whether bytes are events and nothing else; how many offsets they take.
pub(crate) fn check_items(bytes: &[u8]) -> Option<u64> {
    let (mut rest, mut count) = (bytes, 0u64);
    while !rest.is_empty() {
        count = count.checked_add(Item::take(&mut rest)?.count())?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_and_no_cut_of_them_is_one() {
        let metadata: &[&[u8]] = &[b"a", b"1", b"b", b""];
        for (key, metadata, json) in
            [(None, &[][..], false), (Some(&b"k"[..]), metadata, true), (Some(b""), &[], false)]
        {
            let new = NewEvent { key, name: b"made", metadata, json, data: b"some data" };
            let mut out = Vec::new();
            new.write(77, &mut out);
            let mut rest = &out[..];
            let Some(Item::One(event)) = Item::take(&mut rest) else { panic!("it is an event") };
            assert!(rest.is_empty());
            assert_eq!((event.time_ms, event.key, event.name), (77, key, &b"made"[..]));
            assert_eq!((event.json, event.data), (json, &b"some data"[..]));
            let pairs: Vec<&[u8]> = event.metadata().flat_map(|(a, b)| [a, b]).collect();
            assert_eq!(pairs, metadata);
            let known = Outline { bytes: out.len(), count: 1, time_ms: 77 };
            assert_eq!(outline(&out), Some(known));
            for cut in 0..out.len() {
                assert!(Item::take(&mut &out[..cut]).is_none());
            }
        }
    }

    #[test]
    fn packed_batches_count_for_many() {
        let packed = Packed { count: 30, codec: 1, unpacked_bytes: 500, bytes: b"xyz" };
        let mut out = Vec::new();
        write_packed(packed, 5, &mut out);
        NewEvent::default().write(6, &mut out);
        assert_eq!(check_items(&out), Some(31));
        assert_eq!(outline(&out).map(|it| (it.count, it.time_ms)), Some((30, 5)));
        let Some(Item::Packed { packed: found, .. }) = Item::take(&mut &out[..]) else {
            panic!("it is packed")
        };
        assert_eq!(found, packed);
        let mut none = Vec::new();
        write_packed(Packed { count: 0, ..packed }, 5, &mut none);
        assert_eq!(check_items(&none), None);
    }
}
