//! Redis's serialized values, as `DUMP` and `RESTORE` carry them (Redis, "RDB file format": string
//! encoding; `DUMP` adds a footer):
//!
//! ```text
//! type      u8    0 string; nothing else is read
//! string    length and bytes, or one of the encodings of `string`
//! version   u16   of the RDB format, little endian
//! crc       u64   CRC64 (Jones) of everything before it, little endian
//! ```

mod crc64;
mod lzf;
mod string;

pub use crc64::{crc64, crc64_append};
pub use lzf::decompress;

/// The version written: Redis 7.0's, so that it and everything later reads the payload.
const VERSION: u16 = 10;
/// The greatest version read; strings have not changed since the first.
const VERSION_MAX: u16 = 12;
const FOOTER_BYTES: usize = 10;
const TYPE_STRING: u8 = 0;

/// Why bytes are not a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RdbError {
    /// The footer names a version above the greatest known one, or the checksum differs.
    Footer,
    /// The value is of another type, or does not follow the format.
    Format,
}

/// The payload of a string.
pub fn dump_string(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 16);
    out.push(TYPE_STRING);
    string::write(&mut out, value);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc64(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The string in a payload. `value_bytes_max` bounds what a compressed one may grow to.
pub fn restore_string(payload: &[u8], value_bytes_max: usize) -> Result<Vec<u8>, RdbError> {
    let Some((body, footer)) = payload.split_last_chunk::<FOOTER_BYTES>() else {
        return Err(RdbError::Footer);
    };
    let [low, high, crc @ ..] = *footer;
    let checked = &payload[..payload.len() - crc.len()];
    if u16::from_le_bytes([low, high]) > VERSION_MAX || u64::from_le_bytes(crc) != crc64(checked) {
        return Err(RdbError::Footer);
    }
    let Some((&TYPE_STRING, encoded)) = body.split_first() else { return Err(RdbError::Format) };
    string::read(encoded, value_bytes_max).ok_or(RdbError::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

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
