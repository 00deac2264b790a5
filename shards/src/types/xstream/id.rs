//! Ids of stream entries: milliseconds and a number within them, written `ms-seq` (Redis, "Streams
//! introduction").

use std::fmt;

use crate::command::error::CommandError;

/// Longest text that is read as an id.
const TEXT_BYTES_MAX: usize = 127;

/// An id; ordered by time, then by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Id {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

/// The refusal of a text that is no id.
pub(super) const INVALID: CommandError =
    CommandError::Invalid("Invalid stream ID specified as stream command argument");

impl Id {
    pub(crate) const ZERO: Self = Self { ms: 0, seq: 0 };
    pub(crate) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    pub(crate) const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The next id; none after the last.
    pub(crate) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before; none before the first.
    pub(crate) fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The id of an entry that is added at `now_ms` to a stream whose last one was `self`.
    pub(super) fn following(self, now_ms: u64) -> Option<Self> {
        if now_ms > self.ms { Some(Self { ms: now_ms, seq: 0 }) } else { self.next() }
    }

    /// Reads `ms` or `ms-seq`; `seq` when there is none.
    pub(super) fn strict(text: &[u8], seq: u64) -> Result<Self, CommandError> {
        parse(text, seq).ok_or(INVALID)
    }

    /// The same, and `-` and `+` for the least and the greatest.
    pub(super) fn lenient(text: &[u8], seq: u64) -> Result<Self, CommandError> {
        match text {
            b"-" => Ok(Self::ZERO),
            b"+" => Ok(Self::MAX),
            _ => Self::strict(text, seq),
        }
    }

    /// The first id of a range: inclusive, or behind `(` exclusive.
    pub(super) fn range_start(text: &[u8]) -> Result<Self, CommandError> {
        match exclusive(text) {
            None => Self::lenient(text, 0),
            Some(rest) => Self::strict(rest, 0)?
                .next()
                .ok_or(CommandError::Invalid("invalid start ID for the interval")),
        }
    }

    /// The last id of a range: inclusive, or behind `(` exclusive.
    pub(super) fn range_end(text: &[u8]) -> Result<Self, CommandError> {
        match exclusive(text) {
            None => Self::lenient(text, u64::MAX),
            Some(rest) => Self::strict(rest, u64::MAX)?
                .previous()
                .ok_or(CommandError::Invalid("invalid end ID for the interval")),
        }
    }

    /// Sixteen bytes, big endian: in the order of ids.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id in such bytes.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

fn exclusive(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn parse(text: &[u8], seq: u64) -> Option<Id> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    match text.iter().position(|byte| *byte == b'-') {
        None => Some(Id { ms: number(text)?, seq }),
        Some(at) => Some(Id { ms: number(&text[..at])?, seq: number(&text[at + 1..])? }),
    }
}

/// An unsigned 64-bit integer in decimal; leading zeros are fine.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("0", Id::ZERO),
            ("5", Id::new(5, 0)),
            ("5-7", Id::new(5, 7)),
            ("005-07", Id::new(5, 7)),
            ("18446744073709551615-18446744073709551615", Id::MAX),
        ] {
            assert_eq!(Id::strict(text.as_bytes(), 0), Ok(id), "{text}");
        }
        for text in ["", "-", "+", "a", "1-", "-1", "1-2-3", "1-*", "18446744073709551616", "1 "] {
            assert_eq!(Id::strict(text.as_bytes(), 0), Err(INVALID), "{text}");
        }
        assert_eq!(Id::strict(&[b'1'; 128], 0), Err(INVALID));
        assert_eq!(Id::lenient(b"-", 0), Ok(Id::ZERO));
        assert_eq!(Id::lenient(b"+", 0), Ok(Id::MAX));
    }

    #[test]
    fn ranges_may_leave_out_their_ends() {
        assert_eq!(Id::range_start(b"(5-7"), Ok(Id::new(5, 8)));
        assert_eq!(Id::range_start(b"5"), Ok(Id::new(5, 0)));
        assert_eq!(Id::range_end(b"5"), Ok(Id::new(5, u64::MAX)));
        assert_eq!(Id::range_end(b"(5-0"), Ok(Id::new(4, u64::MAX)));
        assert!(Id::range_end(b"(0-0").is_err());
        assert_eq!(Id::range_start(b"(-"), Err(INVALID));
        assert_eq!(Id::range_start(b"("), Err(INVALID));
        let last = Id::MAX.to_string();
        assert!(Id::range_start(format!("({last}").as_bytes()).is_err());
    }

    #[test]
    fn bytes_keep_the_order() {
        let ids = [Id::ZERO, Id::new(0, 1), Id::new(1, 0), Id::new(256, 3), Id::MAX];
        assert!(ids.is_sorted_by_key(|id| id.to_bytes()));
        ids.iter().for_each(|id| assert_eq!(Id::from_bytes(id.to_bytes()), *id));
    }
}
