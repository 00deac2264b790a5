//! Reading a snapshot of Redis (RDB), versions 1 to 12 (Redis 2.x to 7.4).
//!
//! ```text
//! "REDIS" and four digits of version
//! { opcode u8 ... }*           deadline, database, hints, functions, modules: see `Opcode`
//! { type u8, key, value }*     modules' values are passed over and named
//! 0xff, CRC64 of all before    since version 5; zero when the writer was told not to compute it
//! ```
//!
//! Guarantees: constant memory but for the largest value; damage is an error with its offset.

use std::io::BufRead;

use synap_shards::limits::VALUE_BYTES_MAX;
use synap_shards::rdb::{decompress, payload, restore};

use super::{FileError, Source, skip};

/// The newest version read.
const VERSION_MAX: u32 = 12;
/// The first version with a checksum at its end.
const VERSION_WITH_CRC: u32 = 5;

const SLOT_INFO: u8 = 244;
const FUNCTION: u8 = 245;
const MODULE_AUX: u8 = 247;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;
const AUX: u8 = 250;
const RESIZE_DB: u8 = 251;
const DEADLINE_MS: u8 = 252;
const DEADLINE_S: u8 = 253;
const SELECT_DB: u8 = 254;
const END: u8 = 255;

const TYPE_STRING: u8 = 0;
/// Encodings of a string that is no plain run of bytes.
const INTEGER_8: u8 = 0;
const INTEGER_16: u8 = 1;
const INTEGER_32: u8 = 2;
const COMPRESSED: u8 = 3;

/// A length, or the encoding that stands in its place.
pub(super) enum Length {
    Plain(u64),
    Encoded(u8),
}

/// What a snapshot holds, one at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A string.
    String {
        /// Number of its database.
        db: u64,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// When it expires, Unix milliseconds.
        deadline_ms: Option<u64>,
    },
    /// A list, a set, a sorted set, a hash or a stream.
    Container {
        /// Number of its database.
        db: u64,
        /// The key.
        key: Vec<u8>,
        /// What `RESTORE` takes.
        payload: Vec<u8>,
        /// When it expires, Unix milliseconds.
        deadline_ms: Option<u64>,
    },
    /// A key with a value of a type that no server of ours knows.
    Other {
        /// Number of its database.
        db: u64,
        /// The key.
        key: Vec<u8>,
        /// Name of its type.
        kind: &'static str,
    },
    /// The code of a library of functions.
    Library(Vec<u8>),
    /// A module's own data, passed over.
    Section(&'static str),
    /// A fact about the writer, as name and value.
    Fact(Vec<u8>, Vec<u8>),
}

/// Reads the items of a snapshot.
pub(crate) struct Reader<R> {
    source: Source<R>,
    version: u32,
    db: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the head of a snapshot.
    pub(crate) fn open(mut source: Source<R>) -> Result<Self, FileError> {
        let start = source.offset();
        if source.array()? != *b"REDIS" {
            return Err(FileError::Format { offset: start, expected: "REDIS" });
        }
        let digits = source.array::<4>()?;
        let text = String::from_utf8_lossy(&digits).into_owned();
        match text.parse() {
            Ok(version @ 1..=VERSION_MAX) => Ok(Self { source, version, db: 0 }),
            _ => Err(FileError::Version { expected: VERSION_MAX, found: text }),
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// What follows the snapshot, once [`Reader::next`] has returned nothing.
    pub(crate) fn into_rest(self) -> Source<R> {
        self.source
    }

    /// The next item; nothing at the end, after its checksum has been compared.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, FileError> {
        let mut deadline_ms = None;
        loop {
            let source = &mut self.source;
            let at = source.offset();
            match source.byte()? {
                END => return self.finish().map(|()| None),
                SELECT_DB => self.db = skip::number(source)?,
                DEADLINE_S => {
                    deadline_ms = Some(u64::from(u32::from_le_bytes(source.array()?)) * 1000);
                }
                DEADLINE_MS => deadline_ms = Some(u64::from_le_bytes(source.array()?)),
                RESIZE_DB => repeat(source, 2)?,
                SLOT_INFO => repeat(source, 3)?,
                IDLE => repeat(source, 1)?,
                FREQUENCY => source.skip(1)?,
                AUX => return Ok(Some(Item::Fact(string(source)?, string(source)?))),
                FUNCTION => return Ok(Some(Item::Library(string(source)?))),
                MODULE_AUX => {
                    repeat(source, 1)?;
                    skip::module(source)?;
                    return Ok(Some(Item::Section("module data")));
                }
                kind => return self.entry(kind, at, deadline_ms).map(Some),
            }
        }
    }

    fn entry(&mut self, kind: u8, at: u64, deadline_ms: Option<u64>) -> Result<Item, FileError> {
        let (source, db) = (&mut self.source, self.db);
        let unknown = || FileError::Format { offset: at, expected: "a known type or opcode" };
        let name = skip::name(kind).ok_or_else(unknown)?;
        let key = string(source)?;
        if kind == TYPE_STRING {
            return Ok(Item::String { db, key, value: string(source)?, deadline_ms });
        }
        if !skip::is_restorable(kind) {
            skip::value(source, kind)?;
            return Ok(Item::Other { db, key, kind: name });
        }
        source.keep();
        skip::value(source, kind)?;
        let payload = payload(kind, &source.take_kept());
        if restore(&payload, VALUE_BYTES_MAX).is_err() {
            return Err(FileError::Format { offset: at, expected: "a sound value of its type" });
        }
        Ok(Item::Container { db, key, payload, deadline_ms })
    }

    fn finish(&mut self) -> Result<(), FileError> {
        if self.version < VERSION_WITH_CRC {
            return Ok(());
        }
        let found = self.source.crc();
        let expected = u64::from_le_bytes(self.source.array()?);
        if expected == 0 || expected == found {
            return Ok(());
        }
        Err(FileError::Checksum { expected, found })
    }
}

fn repeat<R: BufRead>(source: &mut Source<R>, count: usize) -> Result<(), FileError> {
    (0..count).try_for_each(|_| skip::number(source).map(drop))
}

/// A length; the two top bits of the first byte say how it is written.
pub(super) fn length<R: BufRead>(source: &mut Source<R>) -> Result<Length, FileError> {
    let offset = source.offset();
    let first = source.byte()?;
    Ok(match first {
        0..0x40 => Length::Plain(first.into()),
        0x40..0x80 => {
            let low = source.byte()?;
            Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(low))
        }
        0x80 => Length::Plain(u32::from_be_bytes(source.array()?).into()),
        0x81 => Length::Plain(u64::from_be_bytes(source.array()?)),
        0x82..0xc0 => return Err(FileError::Format { offset, expected: "a length" }),
        0xc0.. => Length::Encoded(first & 0x3f),
    })
}

/// A string in any of its encodings.
fn string<R: BufRead>(source: &mut Source<R>) -> Result<Vec<u8>, FileError> {
    let offset = source.offset();
    match length(source)? {
        Length::Plain(bytes) => source.bytes(bounded(offset, bytes)?),
        Length::Encoded(INTEGER_8) => Ok(decimal(i8::from_le_bytes(source.array()?).into())),
        Length::Encoded(INTEGER_16) => Ok(decimal(i16::from_le_bytes(source.array()?).into())),
        Length::Encoded(INTEGER_32) => Ok(decimal(i32::from_le_bytes(source.array()?))),
        Length::Encoded(COMPRESSED) => {
            let packed = skip::number(source)?;
            let expected = bounded(offset, skip::number(source)?)?;
            let packed = source.bytes(bounded(offset, packed)?)?;
            let damaged = || FileError::Format { offset, expected: "a compressed string" };
            decompress(&packed, expected as usize).ok_or_else(damaged)
        }
        Length::Encoded(_) => Err(FileError::Format { offset, expected: "a string" }),
    }
}

fn bounded(offset: u64, bytes: u64) -> Result<u64, FileError> {
    let expected = VALUE_BYTES_MAX as u64;
    if bytes > expected {
        return Err(FileError::TooLong { offset, expected, found: bytes });
    }
    Ok(bytes)
}

fn decimal(number: i32) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Passes over a string in any of its encodings.
pub(super) fn skip_string<R: BufRead>(source: &mut Source<R>) -> Result<(), FileError> {
    let offset = source.offset();
    match length(source)? {
        Length::Plain(bytes) => source.skip(bytes),
        Length::Encoded(INTEGER_8) => source.skip(1),
        Length::Encoded(INTEGER_16) => source.skip(2),
        Length::Encoded(INTEGER_32) => source.skip(4),
        Length::Encoded(COMPRESSED) => {
            let packed = skip::number(source)?;
            skip::number(source)?;
            source.skip(packed)
        }
        Length::Encoded(_) => Err(FileError::Format { offset, expected: "a string" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synap_shards::rdb::crc64;

    fn file(version: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = [b"REDIS", version.as_bytes(), body, &[END]].concat();
        let crc = crc64(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn items(bytes: &[u8]) -> Result<Vec<Item>, FileError> {
        let mut reader = Reader::open(Source::new(bytes))?;
        let mut items = Vec::new();
        while let Some(item) = reader.next()? {
            items.push(item);
        }
        assert!(reader.into_rest().is_at_end()?, "the whole file was read");
        Ok(items)
    }

    fn plain(key: &[u8], value: &[u8], deadline_ms: Option<u64>) -> Item {
        Item::String { db: 0, key: key.to_vec(), value: value.to_vec(), deadline_ms }
    }

    #[test]
    fn strings_in_every_encoding_with_deadlines() {
        let body = b"\xfa\x01a\x01b\xfe\x00\xfb\x02\x00\
            \x00\x01k\x03abc\
            \xfd\x01\0\0\0\x00\x01s\xc0\xff\
            \xfc\x05\0\0\0\0\0\0\0\xf8\x05\x00\x01m\xc1\x00\x01\
            \xf9\x07\x00\x01i\xc2\x00\x00\x01\x00\
            \x00\x01c\xc3\x05\x05\x01ab\x20\x01";
        let expected = vec![
            Item::Fact(b"a".to_vec(), b"b".to_vec()),
            plain(b"k", b"abc", None),
            plain(b"s", b"-1", Some(1000)),
            plain(b"m", b"256", Some(5)),
            plain(b"i", b"65536", None),
            plain(b"c", b"ababa", None),
        ];
        assert_eq!(items(&file("0011", body)).unwrap(), expected);
    }

    #[test]
    fn containers_and_libraries_are_kept_and_sections_named() {
        let body = b"\xf5\x03lib\xf7\x01\x02\x01\x05\x03abc\x00\
            \xfe\x03\x01\x01l\x02\x01a\x01b\
            \x03\x01z\x01\x01m\x03\x31.5\x05\x01y\x01\x01m\x00\x00\x00\x00\x00\x00\xf0\x3f\
            \x12\x01q\x01\x01\x01x\x07\x01o\x05\x04\0\0\0\0\0\0\0\0\x00";
        let container = |key: &[u8], kind, body: &[u8]| {
            let (key, payload) = (key.to_vec(), payload(kind, body));
            Item::Container { db: 3, key, payload, deadline_ms: None }
        };
        let expected = vec![
            Item::Library(b"lib".to_vec()),
            Item::Section("module data"),
            container(b"l", 1, b"\x02\x01a\x01b"),
            container(b"z", 3, b"\x01\x01m\x03\x31.5"),
            container(b"y", 5, b"\x01\x01m\x00\x00\x00\x00\x00\x00\xf0\x3f"),
            container(b"q", 18, b"\x01\x01\x01x"),
            Item::Other { db: 3, key: b"o".to_vec(), kind: "module" },
        ];
        assert_eq!(items(&file("0010", body)).unwrap(), expected);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = file("0010", b"\x00\x01k\x03abc\x00\x01l\xc3\x05\x05\x01ab\x20\x01");
        for end in 0..bytes.len() {
            assert!(items(&bytes[..end]).is_err(), "cut at {end}");
        }
        // A flip in the version may make a version without a checksum of it.
        for bit in 9 * 8..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let caught = std::panic::catch_unwind(|| items(&broken).is_err());
            assert!(caught.unwrap_or(true), "bit {bit}");
        }
    }

    #[test]
    fn versions_and_lengths_beyond_what_is_known_are_refused() {
        assert!(matches!(items(&file("0013", b"")), Err(FileError::Version { .. })));
        assert!(matches!(items(b"SYNAP0001"), Err(FileError::Format { offset: 0, .. })));
        let long = file("0010", b"\x00\x01k\x81\x00\x00\x00\x00\x80\x00\x00\x00");
        assert!(matches!(items(&long), Err(FileError::TooLong { offset: 12, .. })));
        assert!(items(b"REDIS0004\x00\x01k\x01v\xff").is_ok(), "version 4 has no checksum");
    }
}
