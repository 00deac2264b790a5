//! The image of a shard: its entries, one after the other, as a snapshot stores them.
//!
//! An entry, little endian:
//!
//! ```text
//! kind      u8    low 4 bits: type of the value; 16: has a deadline; 32: more of the container
//!                 whose first piece came before; others zero
//! stamp     u48   Seq of the last batch that changed the entry
//! access    u24   when or how often it was used: a hint for eviction
//! deadline  u48   Unix milliseconds, only when the kind says so
//! key       length as varint (LEB128), bytes
//! value     length as varint, bytes: a string, or edits that build a container from nothing
//! ```
//!
//! Of kind 15 are the libraries of functions, which only shard 0 has: the key is the name, the
//! value the code.
//!
//! A large container is written in pieces while it changes: a first entry and those marked as
//! more of it, all with the stamp it had before the first. So its elements are no moment's state
//! either; every batch behind that stamp is replayed over them, and edits say what is, not what
//! to do ([`crate::types`]).
//!
//! An image is taken while the shard changes, so it is no state that the shard ever had: it may
//! hold a key twice, a key that was deleted meanwhile, and not hold one that was made meanwhile.
//! Loaded with the higher stamp winning, and followed by every batch from the shard's Seq before
//! the first entry was written to its Seq after the last, it becomes one. Entries whose deadline
//! has passed are part of an image and are loaded: a batch behind it may have moved the deadline.
//!
//! Checksums, blocks and files are the business of whoever stores the image.

use std::fmt;

use crate::batch::{put_varint, take_varint};
use crate::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, LIBRARIES_BYTES_MAX, VALUE_BYTES_MAX};
use crate::seq::Seq;
use crate::shard::libraries::is_name;
use crate::shard::{Entry, Shard, ValueType};
use crate::types;

mod pieces;

pub use pieces::Pieces;

const KIND_MASK: u8 = 15;
const LIBRARY: u8 = 15;
const DEADLINE: u8 = 16;
const MORE: u8 = 32;
const KNOWN: u8 = KIND_MASK | DEADLINE | MORE;
/// Bytes of an entry before its deadline or key.
const FIXED_BYTES: usize = 10;
const VARINT_BYTES_MAX: usize = 5;

/// Bytes of the largest entry.
pub const ENTRY_BYTES_MAX: usize =
    FIXED_BYTES + 6 + 2 * VARINT_BYTES_MAX + KEY_BYTES_MAX + VALUE_BYTES_MAX;
/// Bytes of edits in one piece of a large container, about; one element may exceed it.
const PIECE_BYTES: usize = 32 * 1024;

/// An entry as an image holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageEntry<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// The type of its value.
    pub value_type: ValueType,
    /// The bytes of the string, or edits that build the container.
    pub value: &'a [u8],
    /// Seq of the last batch that changed it.
    pub stamp: Seq,
    /// The 24 bits of its last use.
    pub access: u32,
    /// When it expires, Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// It is more of a container whose first piece came before.
    pub is_more: bool,
}

/// A library of functions as an image holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageLibrary<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its code.
    pub code: &'a [u8],
    /// Seq of the shard when it was written.
    pub stamp: Seq,
}

/// What an image is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageItem<'a> {
    /// A key and its value, or a piece of it.
    Entry(ImageEntry<'a>),
    /// A library of functions.
    Library(ImageLibrary<'a>),
}

/// Why bytes are not an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageError {
    /// The bytes end within the entry.
    Cut,
    /// A type of value or a flag that this version does not know.
    Kind {
        /// The kinds this version knows, as a mask of bits.
        expected: u8,
        /// The byte found.
        found: u8,
    },
    /// Edits that the type does not know.
    Edits {
        /// The type.
        value_type: ValueType,
    },
    /// A name that no library has.
    Name,
    /// A key or value above its limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// The length found.
        found: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("an entry is cut off"),
            Self::Kind { expected, found } => {
                write!(f, "an entry is of kind {found}, this version knows the bits {expected}")
            }
            Self::Edits { value_type } => {
                write!(f, "the elements of a {} are not what it is made of", value_type.name())
            }
            Self::Name => f.write_str("a library has a name that none can have"),
            Self::TooLong { limit, found } => {
                write!(f, "an entry has a key or value of {found} bytes, the limit is {limit}")
            }
        }
    }
}

impl std::error::Error for ImageError {}

/// Appends an entry to an image, whole.
pub fn push_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if !entry.value_type().is_container() {
        push_value(out, entry, entry.stamp(), entry.value(), false);
        return;
    }
    let mut edits = Vec::new();
    entry.content().write_edits(entry.value_type(), &mut edits);
    push_value(out, entry, entry.stamp(), &edits, false);
}

/// Appends the libraries of a shard to an image, before its entries; how many there are.
pub fn push_libraries(out: &mut Vec<u8>, shard: &Shard) -> u32 {
    let set = shard.libraries().set();
    for (name, code) in &**set {
        out.push(LIBRARY);
        out.extend_from_slice(&shard.seq().to_bytes());
        out.extend_from_slice(&[0; 3]);
        put_varint(out, name.len());
        out.extend_from_slice(name);
        put_varint(out, code.len());
        out.extend_from_slice(code);
    }
    u32::try_from(set.len()).expect("there are few libraries")
}

/// Appends an entry with this stamp and value.
fn push_value(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: Seq, value: &[u8], is_more: bool) {
    let deadline_ms = entry.deadline_ms();
    let key = entry.key();
    out.reserve(FIXED_BYTES + 6 + 2 * VARINT_BYTES_MAX + key.len() + value.len());
    let deadline = if deadline_ms.is_some() { DEADLINE } else { 0 };
    out.push(entry.value_type() as u8 | deadline | if is_more { MORE } else { 0 });
    out.extend_from_slice(&stamp.to_bytes());
    out.extend_from_slice(&entry.access().to_le_bytes()[..3]);
    if let Some(deadline) = deadline_ms {
        out.extend_from_slice(&deadline.to_le_bytes()[..6]);
    }
    put_varint(out, key.len());
    out.extend_from_slice(key);
    put_varint(out, value.len());
    out.extend_from_slice(value);
}

/// Takes an entry or a library off the front of `image`. Allocates nothing.
///
/// # Errors
/// The bytes are neither; `image` is then left where it was.
pub fn take_item<'a>(image: &mut &'a [u8]) -> Result<ImageItem<'a>, ImageError> {
    if image.first() == Some(&LIBRARY) {
        return take_library(image).map(ImageItem::Library);
    }
    take_entry(image).map(ImageItem::Entry)
}

fn take_library<'a>(image: &mut &'a [u8]) -> Result<ImageLibrary<'a>, ImageError> {
    let (fixed, mut rest) = image.split_first_chunk::<FIXED_BYTES>().ok_or(ImageError::Cut)?;
    let [_, a, b, c, d, e, f, ..] = *fixed;
    let name = take_bytes(&mut rest, KEY_BYTES_MAX)?;
    let code = take_bytes(&mut rest, LIBRARIES_BYTES_MAX)?;
    if !is_name(name) {
        return Err(ImageError::Name);
    }
    *image = rest;
    Ok(ImageLibrary { name, code, stamp: Seq::from_bytes([a, b, c, d, e, f]) })
}

/// Takes an entry off the front of `image`. Allocates nothing.
///
/// # Errors
/// The bytes are not an entry; `image` is then left where it was.
pub fn take_entry<'a>(image: &mut &'a [u8]) -> Result<ImageEntry<'a>, ImageError> {
    let (fixed, mut rest) = image.split_first_chunk::<FIXED_BYTES>().ok_or(ImageError::Cut)?;
    let [kind, a, b, c, d, e, f, x, y, z] = *fixed;
    let value_type = ValueType::of(kind & KIND_MASK).filter(|_| kind & !KNOWN == 0);
    let is_more = kind & MORE != 0;
    let strange = ImageError::Kind { expected: KNOWN, found: kind };
    let value_type = value_type.filter(|t| t.is_container() || !is_more).ok_or(strange)?;
    let deadline_ms = if kind & DEADLINE == 0 {
        None
    } else {
        let (bytes, after) = rest.split_first_chunk::<6>().ok_or(ImageError::Cut)?;
        rest = after;
        let [a, b, c, d, e, f] = *bytes;
        Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    };
    let key = take_bytes(&mut rest, KEY_BYTES_MAX)?;
    let value = take_bytes(&mut rest, BATCH_BYTES_MAX)?;
    if value_type.is_container() && !types::check(value_type, value) {
        return Err(ImageError::Edits { value_type });
    }
    if !value_type.is_container() && value.len() > VALUE_BYTES_MAX {
        return Err(ImageError::TooLong { limit: VALUE_BYTES_MAX, found: value.len() });
    }
    *image = rest;
    let stamp = Seq::from_bytes([a, b, c, d, e, f]);
    let access = u32::from_le_bytes([x, y, z, 0]);
    Ok(ImageEntry { key, value_type, value, stamp, access, deadline_ms, is_more })
}

fn take_bytes<'a>(input: &mut &'a [u8], limit: usize) -> Result<&'a [u8], ImageError> {
    let found = take_varint(input).ok_or(ImageError::Cut)?;
    if found > limit {
        return Err(ImageError::TooLong { limit, found });
    }
    let (bytes, rest) = input.split_at_checked(found).ok_or(ImageError::Cut)?;
    *input = rest;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, PartSpec, Record, push_record, seal};
    use crate::id::{Epoch, ShardId};
    use crate::shard::Shard;
    use crate::shard::evict::AccessMode;

    fn empty() -> Shard {
        Shard::new(ShardId::new(3), 1, AccessMode::Recency)
    }

    fn apply(shard: &mut Shard, record: &Record<'_>) {
        let part = PartSpec { shard: shard.id(), seq: shard.seq().next() };
        let (mut records, mut bytes) = (Vec::new(), Vec::new());
        push_record(&mut records, shard.id(), record);
        seal(&mut bytes, &[part], &records, Epoch(1), 9);
        shard.apply(&Batch::decode(&bytes).expect("just sealed").0);
    }

    fn put(shard: &mut Shard, key: &[u8], value: &[u8], deadline_ms: Option<u64>) {
        let creates = shard.get(key).is_none();
        apply(shard, &Record::Put { key, value, deadline_ms, creates });
    }

    fn image(shard: &Shard) -> Vec<u8> {
        let mut out = Vec::new();
        let mut position = Some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| push_entry(&mut out, &entry));
        }
        out
    }

    fn load(shard: &mut Shard, mut image: &[u8]) {
        while !image.is_empty() {
            let entry = take_entry(&mut image).expect("an entry");
            shard.load(&entry);
        }
    }

    #[test]
    fn a_shard_comes_back_from_its_image() {
        let mut shard = empty();
        for number in 0..2000u32 {
            let deadline = number.is_multiple_of(3).then_some(u64::from(number) + 1);
            let value = vec![number as u8; number as usize];
            put(&mut shard, format!("key:{number}").as_bytes(), &value, deadline);
        }
        let mut again = empty();
        again.begin_load(shard.seq());
        load(&mut again, &image(&shard));
        assert_eq!((again.seq(), again.stable()), (shard.seq(), shard.seq()));
        assert_eq!(again.key_count(), 2000);
        assert_eq!(again.volatile_count(), shard.volatile_count());
        for number in 0..2000u32 {
            let key = format!("key:{number}");
            let (old, new) = (shard.get(key.as_bytes()), again.get(key.as_bytes()));
            let (old, new) = (old.expect("put"), new.expect("loaded"));
            assert_eq!(old.value(), new.value());
            assert_eq!(old.deadline_ms(), new.deadline_ms());
            assert_eq!((old.stamp(), old.access()), (new.stamp(), new.access()));
        }
        assert_eq!(image(&shard).len(), image(&again).len());
    }

    #[test]
    fn of_a_key_that_comes_twice_the_higher_stamp_stays() {
        let mut shard = empty();
        put(&mut shard, b"k", b"old", None);
        let mut both = image(&shard);
        put(&mut shard, b"k", b"newer", Some(77));
        let newer = image(&shard);
        for order in [[&both[..], &newer[..]].concat(), [&newer[..], &both[..]].concat()] {
            let mut again = empty();
            again.begin_load(Seq::new(1));
            load(&mut again, &order);
            let entry = again.get(b"k").expect("loaded");
            assert_eq!((entry.value(), entry.deadline_ms()), (&b"newer"[..], Some(77)));
            assert_eq!((entry.stamp(), again.volatile_count()), (Seq::new(2), 1));
            assert_eq!(again.key_count(), 1);
        }
        both.extend_from_slice(&newer);
        let mut again = empty();
        again.begin_load(Seq::new(1));
        assert!(again.load(&take_entry(&mut &both[..]).expect("an entry")));
        assert!(!again.load(&take_entry(&mut &both[..]).expect("an entry")), "it is there already");
    }

    #[test]
    fn every_cut_and_every_strange_kind_is_refused() {
        let mut shard = empty();
        put(&mut shard, b"key", &[7; 200], Some(5));
        let bytes = image(&shard);
        for end in 0..bytes.len() {
            assert_eq!(take_entry(&mut &bytes[..end]), Err(ImageError::Cut), "cut at {end}");
        }
        let types = ValueType::ALL.len() as u8;
        let is_strange =
            |kind: &u8| kind & !KNOWN != 0 || kind & KIND_MASK >= types || *kind == MORE;
        for kind in (0..=u8::MAX).filter(is_strange) {
            let mut strange = bytes.clone();
            strange[0] = kind;
            let expected = Err(ImageError::Kind { expected: KNOWN, found: kind });
            assert_eq!(take_entry(&mut &strange[..]), expected);
        }
    }

    #[test]
    fn libraries_come_back_and_every_cut_is_refused() {
        let mut shard = Shard::new(ShardId::new(0), 1, AccessMode::Recency);
        apply(&mut shard, &Record::Library { name: b"one", code: Some(b"#!lua name=one\n") });
        apply(&mut shard, &Record::Library { name: b"two", code: Some(b"") });
        apply(&mut shard, &Record::Clear);
        let mut bytes = Vec::new();
        assert_eq!(push_libraries(&mut bytes, &shard), 2);
        let mut again = Shard::new(ShardId::new(0), 2, AccessMode::Recency);
        again.begin_load(shard.seq());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Ok(ImageItem::Library(library)) = take_item(&mut rest) else { panic!("a library") };
            assert_eq!(library.stamp, Seq::new(3));
            again.load_library(library.name, library.code);
        }
        assert_eq!(again.libraries().set(), shard.libraries().set());
        let one = bytes.len() - (FIXED_BYTES + 5);
        for end in 0..one {
            assert_eq!(take_item(&mut &bytes[..end]), Err(ImageError::Cut), "cut at {end}");
        }
        bytes[FIXED_BYTES + 1] = b'-';
        assert_eq!(take_item(&mut &bytes[..]), Err(ImageError::Name));
    }

    #[test]
    fn a_hostile_length_is_refused_by_number() {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(matches!(take_entry(&mut &bytes[..]), Err(ImageError::TooLong { .. })));
    }

    #[test]
    fn the_bytes_of_an_entry_are_frozen() {
        let mut shard = empty();
        put(&mut shard, b"ab", b"xyz", Some(0x0102_0304_0506));
        let mut bytes = image(&shard);
        bytes[7..10].fill(0); // the access bits follow the clock
        assert_eq!(
            bytes,
            [
                16, 1, 0, 0, 0, 0, 0, 0, 0, 0, // kind, stamp, access
                6, 5, 4, 3, 2, 1, // deadline
                2, b'a', b'b', 3, b'x', b'y', b'z',
            ]
        );
    }
}
