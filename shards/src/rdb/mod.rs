//! Redis's serialized values, as `DUMP` and `RESTORE` carry them and its files hold them (Redis,
//! "RDB file format"; `DUMP` adds a footer):
//!
//! ```text
//! type      u8    what follows, and in which form; see [`read`] and [`write`]
//! value           by type
//! version   u16   of the RDB format, little endian
//! crc       u64   CRC64 (Jones) of everything before it, little endian
//! ```
//!
//! Everything that Redis 2 to 7.4 writes is read, modules' values left out. What is written, any
//! Redis 7 reads, but for hashes whose fields expire, which began with 7.4.

mod crc64;
mod legacy;
mod libraries;
mod listpack;
mod lzf;
mod read;
mod stream;
mod string;
mod write;

use crate::shard::{Entry, ValueType};
use crate::types;

pub use crc64::{crc64, crc64_append};
pub use libraries::{
    FUNCTION, FUNCTION_BEFORE_RELEASE, LibrariesError, dump_libraries, restore_libraries,
};
pub use lzf::decompress;

/// The version written: Redis 7.0's, so that it and everything later reads the payload.
const VERSION: u16 = 10;
/// The version that has hashes whose fields expire: Redis 7.4's. The greatest one read.
const VERSION_MAX: u16 = 12;
const FOOTER_BYTES: usize = 10;

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const ZSET_TEXT: u8 = 3;
const HASH: u8 = 4;
const ZSET: u8 = 5;
const HASH_ZIPMAP: u8 = 9;
const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const ZSET_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_ZIPLISTS: u8 = 14;
const STREAM: u8 = 15;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_LISTPACKS: u8 = 18;
const STREAM_2: u8 = 19;
const SET_LISTPACK: u8 = 20;
const STREAM_3: u8 = 21;
const HASH_DEADLINES: u8 = 24;
const HASH_LISTPACK_DEADLINES: u8 = 25;

/// Why bytes are not a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RdbError {
    /// The footer names a version above the greatest known one, or the checksum differs.
    Footer,
    /// The value is of an unknown type, or does not follow the format.
    Format,
}

/// A value that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Restored {
    /// A string.
    String(Vec<u8>),
    /// A container.
    Container {
        /// Its type.
        value_type: ValueType,
        /// Edits that build it from nothing.
        edits: Vec<u8>,
    },
}

/// The payload of the value of an entry; nothing for a hash all of whose fields have expired by
/// `now_ms` (Unix milliseconds).
pub(crate) fn dump(entry: &Entry<'_>, now_ms: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let version = match entry.value_type() {
        ValueType::String => {
            out.push(STRING);
            string::write(&mut out, entry.value());
            VERSION
        }
        ValueType::List => write::list(&mut out, entry),
        ValueType::Set => write::set(&mut out, entry),
        ValueType::SortedSet => write::sorted_set(&mut out, entry),
        ValueType::Hash => write::hash(&mut out, entry, now_ms)?,
        ValueType::Stream => stream::write(&mut out, entry),
        ValueType::Queue | ValueType::Partition | ValueType::Group => return None,
    };
    seal(&mut out, version);
    Some(out)
}

/// The payload of a value as it stands in a file of Redis: its type, and the bytes behind the key.
pub fn payload(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + body.len() + FOOTER_BYTES);
    out.push(kind);
    out.extend_from_slice(body);
    seal(&mut out, VERSION_MAX);
    out
}

fn seal(out: &mut Vec<u8>, version: u16) {
    out.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// What stands before the footer, if the footer is right.
fn checked(payload: &[u8]) -> Option<&[u8]> {
    let (body, footer) = payload.split_last_chunk::<FOOTER_BYTES>()?;
    let [low, high, crc @ ..] = *footer;
    let covered = &payload[..payload.len() - crc.len()];
    let is_known = u16::from_le_bytes([low, high]) <= VERSION_MAX;
    (is_known && u64::from_le_bytes(crc) == crc64(covered)).then_some(body)
}

/// The value in a payload. `bytes_max` bounds what it may grow to.
///
/// # Errors
/// It is no payload, or no value that is known.
pub fn restore(payload: &[u8], bytes_max: usize) -> Result<Restored, RdbError> {
    let body = checked(payload).ok_or(RdbError::Footer)?;
    let (kind, body) = body.split_first().ok_or(RdbError::Format)?;
    let restored = read::value(*kind, body, bytes_max).ok_or(RdbError::Format)?;
    match &restored {
        Restored::Container { value_type, edits } if !types::check(*value_type, edits) => {
            Err(RdbError::Format)
        }
        Restored::Container { .. } | Restored::String(_) => Ok(restored),
    }
}

#[cfg(test)]
mod containers;
#[cfg(test)]
mod tests {
    use super::*;

    fn dump_string(value: &[u8]) -> Vec<u8> {
        let mut out = vec![STRING];
        string::write(&mut out, value);
        seal(&mut out, VERSION);
        out
    }

    fn restore_string(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, RdbError> {
        match restore(payload, bytes_max)? {
            Restored::String(value) => Ok(value),
            Restored::Container { value_type, .. } => panic!("{value_type:?}"),
        }
    }

    /// What Redis 7.0 answers to `DUMP`.
    const REDIS: &[(&[u8], &[u8])] = &[
        (b"hello", b"\x00\x05hello\n\x00cr\xdfve4 \n"),
        (b"12", b"\x00\xc0\x0c\n\x00<*\xf8Q\\\x04\xbc\xd5"),
        (b"-129", b"\x00\xc1\x7f\xff\n\x00\x17`\x82(T\x80\x84\x80"),
        (b"70000", b"\x00\xc2p\x11\x01\x00\n\x00\x01\xa4\x08\xfe\x950\x95\xa5"),
        (b"9999999999", b"\x00\n9999999999\n\x00\xd2j\xc2\x99\xdfS\xef\xd2"),
        (b"", b"\x00\x00\n\x00]\x9b\\@\x0f\x7f\xa2\xda"),
    ];

    #[test]
    fn payloads_are_those_of_redis() {
        for (value, payload) in REDIS {
            assert_eq!(dump_string(value), *payload, "{}", value.escape_ascii());
            assert_eq!(restore_string(payload, 100).as_deref(), Ok(*value));
        }
    }

    #[test]
    fn compressed_payloads_are_read() {
        let payload = b"\x00\xc3\t@d\x01aa\xe0W\x00\x01aa\n\x00\xe8\xa3\xb5\x07\xb0m\xf2q";
        assert_eq!(restore_string(payload, 100), Ok(vec![b'a'; 100]));
        assert_eq!(restore_string(payload, 99), Err(RdbError::Format));
    }

    #[test]
    fn damage_is_noticed() {
        let payload = dump_string(b"some value");
        for end in 0..payload.len() {
            assert_eq!(restore_string(&payload[..end], 100), Err(RdbError::Footer));
        }
        for bit in 0..payload.len() * 8 {
            let mut broken = payload.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(restore_string(&broken, 100), Err(RdbError::Footer));
        }
    }

    #[test]
    fn other_types_and_versions_are_refused() {
        let sealed = |body: &[u8], version: u16| {
            let mut bytes = body.to_vec();
            bytes.extend_from_slice(&version.to_le_bytes());
            bytes.extend_from_slice(&crc64(&bytes).to_le_bytes());
            bytes
        };
        assert_eq!(restore_string(&sealed(b"\0\x01x", 1), 9), Ok(b"x".to_vec()));
        assert_eq!(restore_string(&sealed(b"\0\x01x", 12), 9), Ok(b"x".to_vec()));
        assert_eq!(restore_string(&sealed(b"\0\x01x", 13), 9), Err(RdbError::Footer));
        assert_eq!(restore_string(&sealed(b"\x01\x01x", 10), 9), Err(RdbError::Format));
        assert_eq!(restore_string(&sealed(b"", 10), 9), Err(RdbError::Format));
        assert_eq!(restore_string(&sealed(b"\0\x02x", 10), 9), Err(RdbError::Format));
        assert_eq!(restore_string(&sealed(b"\0\x01xy", 10), 9), Err(RdbError::Format));
        assert_eq!(restore_string(&sealed(b"\0\xc4", 10), 9), Err(RdbError::Format));
    }
}
