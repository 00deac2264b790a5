//! A message as blocks, edits and images hold it.
//!
//! ```text
//! meta      u8    low 4 bits: priority; 16: it expires; 32: it has headers
//! published u48   Unix milliseconds
//! retries   number   how often it may fail
//! expires   u48   Unix milliseconds, only where it does
//! headers   length, then name, value, name, ...   each behind its length; only where there are any
//! body            the rest
//! ```

use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};

const EXPIRES: u8 = 16;
const HEADERS: u8 = 32;
const PRIORITY_MASK: u8 = 15;
const TIME_BYTES: usize = 6;

/// Highest priority; zero is the lowest.
pub(crate) const PRIORITY_MAX: u8 = 9;
/// Number of priorities.
pub(super) const CLASSES: usize = PRIORITY_MAX as usize + 1;

/// What was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message<'a> {
    pub(super) priority: u8,
    pub(super) published_ms: u64,
    pub(super) max_retries: u32,
    /// Unix milliseconds; zero is never.
    pub(super) expires_ms: u64,
    /// Names and values, each behind its length.
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

fn put_time(out: &mut Vec<u8>, ms: u64) {
    out.extend_from_slice(&ms.to_le_bytes()[..TIME_BYTES]);
}

fn take_time(input: &mut &[u8]) -> Option<u64> {
    let (time, rest) = input.split_at_checked(TIME_BYTES)?;
    *input = rest;
    let mut bytes = [0; 8];
    bytes[..TIME_BYTES].copy_from_slice(time);
    Some(u64::from_le_bytes(bytes))
}

impl<'a> Message<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let expires = if self.expires_ms > 0 { EXPIRES } else { 0 };
        let headers = if self.headers.is_empty() { 0 } else { HEADERS };
        out.push(self.priority | expires | headers);
        put_time(out, self.published_ms);
        put_number(out, u64::from(self.max_retries));
        if self.expires_ms > 0 {
            put_time(out, self.expires_ms);
        }
        if !self.headers.is_empty() {
            put_bytes(out, self.headers);
        }
        out.extend_from_slice(self.body);
    }

    /// Reads one; nothing for bytes that are none.
    pub(super) fn read(mut input: &'a [u8]) -> Option<Self> {
        let (meta, rest) = input.split_first()?;
        input = rest;
        let priority = meta & PRIORITY_MASK;
        if priority > PRIORITY_MAX || meta & !(PRIORITY_MASK | EXPIRES | HEADERS) != 0 {
            return None;
        }
        let published_ms = take_time(&mut input)?;
        let max_retries = u32::try_from(take_number(&mut input)?).ok()?;
        let expires_ms = if meta & EXPIRES == 0 { 0 } else { take_time(&mut input)? };
        let headers = if meta & HEADERS == 0 { &[][..] } else { take_bytes(&mut input)? };
        let mut rest = headers;
        while !rest.is_empty() {
            take_bytes(&mut rest)?;
            take_bytes(&mut rest)?;
        }
        Some(Self { priority, published_ms, max_retries, expires_ms, headers, body: input })
    }

    /// Names and values of its headers in order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.headers;
        std::iter::from_fn(move || Some((take_bytes(&mut rest)?, take_bytes(&mut rest)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut headers = Vec::new();
        [&b"a"[..], b"1", b"b", b""].iter().for_each(|word| put_bytes(&mut headers, word));
        for (expires_ms, headers) in [(0, &[][..]), (1 << 40, &headers[..])] {
            let message = Message {
                priority: 7,
                published_ms: 1_800_000_000_000,
                max_retries: 300,
                expires_ms,
                headers,
                body: b"body",
            };
            let mut out = Vec::new();
            message.write(&mut out);
            assert_eq!(Message::read(&out), Some(message));
            let whole = out.len() - message.body.len();
            assert!((0..whole).all(|end| Message::read(&out[..end]).is_none()));
        }
        assert_eq!(Message::read(&[10; 30]), None, "there is no priority 10");
    }
}
