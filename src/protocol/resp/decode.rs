//! Bytes to the words of one request.
//!
//! Guarantees: words of multi-bulk requests are slices of the input, nothing is allocated by a
//! length that a peer merely claims, and a decision does not depend on where the input was split.
//! It never looks past the end of the request it returns, and knows no command.
//!
//! [`decode`] starts from the first byte every time. A connection keeps a [`Decoder`], which
//! remembers how far it got in a request of many words, so that each byte is looked at a bounded
//! number of times whatever the sizes of the pieces in which the request arrives.

use std::fmt;
use std::ops::Range;

use synap_shards::command::args::Words;
use synap_shards::limits::{ARGS_MAX, LINE_BYTES_MAX, VALUE_BYTES_MAX};

use super::inline;

/// What one request may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RespLimits {
    /// Words of one request.
    pub args_max: usize,
    /// Bytes of one word of a multi-bulk request.
    pub bulk_bytes_max: usize,
    /// Bytes of an inline request or of a line with a length.
    pub line_bytes_max: usize,
}

impl Default for RespLimits {
    fn default() -> Self {
        Self { args_max: ARGS_MAX, bulk_bytes_max: VALUE_BYTES_MAX, line_bytes_max: LINE_BYTES_MAX }
    }
}

/// What the input begins with.
#[derive(Clone, PartialEq, Debug)]
pub enum Decoded<'a> {
    /// A request, at least one word.
    Request {
        /// The command's name and its arguments.
        words: Words<'a>,
        /// Bytes of the input it took.
        consumed: usize,
    },
    /// An inline request with quotes or escapes: its words are not slices of the input.
    Quoted {
        /// The command's name and its arguments, at least one word.
        words: Vec<Vec<u8>>,
        /// Bytes of the input it took.
        consumed: usize,
    },
    /// The beginning of a request.
    Incomplete {
        /// Bytes of input below which the request cannot be complete; more than there are now.
        /// It is what the peer claims: read towards it, do not allocate by it.
        needs: usize,
    },
    /// A blank line or a request of no words; it has no answer.
    Empty {
        /// Bytes of the input it took.
        consumed: usize,
    },
    /// Not this protocol. Send [`super::encode::protocol_error`] and close.
    Broken(ProtocolError),
}

/// How a request broke the protocol. The texts are Redis's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// The number of words is no number, or above the limit.
    InvalidMultibulkLength,
    /// The line with the number of words does not end.
    TooBigCount,
    /// A word does not begin with `$`.
    ExpectedDollar {
        /// The byte in its place.
        found: u8,
    },
    /// The length of a word is no number, is negative, or above the limit.
    InvalidBulkLength,
    /// The line with the length of a word does not end.
    TooBigBulkCount,
    /// A word is not followed by the end of a line.
    ExpectedLineEnd,
    /// An inline request does not end.
    TooBigInline,
    /// A quotation in an inline request does not end, or something is glued to its end.
    UnbalancedQuotes,
    /// An HTTP request: a browser may have been tricked into sending it. There is no answer.
    CrossProtocol,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::InvalidMultibulkLength => f.write_str("invalid multibulk length"),
            Self::TooBigCount => f.write_str("too big mbulk count string"),
            Self::ExpectedDollar { found } => {
                let shown = if found.is_ascii_graphic() { char::from(*found) } else { ' ' };
                write!(f, "expected '$', got '{shown}'")
            }
            Self::InvalidBulkLength => f.write_str("invalid bulk length"),
            Self::TooBigBulkCount => f.write_str("too big bulk count string"),
            Self::ExpectedLineEnd => f.write_str("expected a line end behind a bulk"),
            Self::TooBigInline => f.write_str("too big inline request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::CrossProtocol => f.write_str("HTTP request on a RESP port"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Least bytes that a word takes: `$0`, line end, line end.
const WORD_BYTES_MIN: usize = 6;
/// Words that are looked at again when more input arrives; beyond, the place is remembered.
const REPEATED_WORDS_MAX: usize = 32;
/// Most words of a request that is short.
pub const SHORT_WORDS: usize = 6;

/// Room for the words of a request that [`Decoder::decode_short`] reads.
pub type ShortWords<'a> = [&'a [u8]; SHORT_WORDS];

/// Decodes the request at the start of `input`, from its first byte.
pub fn decode<'a>(input: &'a [u8], limits: &RespLimits) -> Decoded<'a> {
    match input.first() {
        None => Decoded::Incomplete { needs: 1 },
        Some(b'*') => multibulk(input, limits).0,
        Some(_) => inline::decode(input, limits),
    }
}

/// The second word of the short request at the start of `input`: where most commands have their
/// key. A guess, for reading ahead; nothing when the input does not look like such a request.
pub fn first_key(input: &[u8]) -> Option<&[u8]> {
    let mut words = ShortWords::default();
    let (count, _) = short(input, &RespLimits::default(), &mut words)?;
    words[..count].get(1).copied()
}

/// Decodes the requests of one connection, one after the other.
///
/// The input always begins where the request begins: until [`Decoder::decode`] answers with a
/// `consumed`, the caller may append to the input and move it, but not take bytes away.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// The place in a request of many words that is not complete.
    pending: Option<Box<Pending>>,
}

#[derive(Clone, Debug)]
struct Pending {
    place: Place,
    words: Vec<Range<usize>>,
}

/// How far a multi-bulk request was read.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where the next word begins.
    position: usize,
    /// Words to come.
    missing: usize,
}

impl Decoder {
    /// Decodes the request at the start of `input`.
    pub fn decode<'a>(&mut self, input: &'a [u8], limits: &RespLimits) -> Decoded<'a> {
        if let Some(pending) = self.pending.take() {
            return self.resume(pending, input, limits);
        }
        match input.first() {
            None => Decoded::Incomplete { needs: 1 },
            Some(b'*') => {
                let (decoded, place) = multibulk(input, limits);
                match place {
                    Some(place) => {
                        let words = Vec::with_capacity(REPEATED_WORDS_MAX * 2);
                        self.resume(Box::new(Pending { place, words }), input, limits)
                    }
                    None => decoded,
                }
            }
            Some(_) => inline::decode(input, limits),
        }
    }

    /// Writes the words of the request at the start of `input` to the front of `words`, and answers
    /// with how many they are and the bytes that it took, if it is there whole and has few words of
    /// less than 1,000 bytes each. Nearly all are like that, and this is most of what reading them
    /// costs. Of any other, or one that is wrong, it says nothing.
    #[inline]
    pub fn decode_short<'a>(
        &self,
        input: &'a [u8],
        limits: &RespLimits,
        words: &mut ShortWords<'a>,
    ) -> Option<(usize, usize)> {
        if self.pending.is_some() { None } else { short(input, limits, words) }
    }

    /// Bytes held beyond the input, for the account of a connection's buffers.
    pub fn held_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| {
            size_of::<Pending>() + pending.words.capacity() * size_of::<Range<usize>>()
        })
    }

    fn resume<'a>(
        &mut self,
        mut pending: Box<Pending>,
        input: &'a [u8],
        limits: &RespLimits,
    ) -> Decoded<'a> {
        let Pending { place, words } = &mut *pending;
        match bulks(input, limits, place, |range| words.push(range)) {
            Ok(()) => Decoded::Request {
                words: words.iter().map(|range| &input[range.clone()]).collect(),
                consumed: place.position,
            },
            Err(Stop::Incomplete { needs }) => {
                self.pending = Some(pending);
                Decoded::Incomplete { needs }
            }
            Err(Stop::Broken(error)) => Decoded::Broken(error),
        }
    }
}

enum Stop {
    Incomplete { needs: usize },
    Broken(ProtocolError),
}

impl From<Stop> for Decoded<'_> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Incomplete { needs } => Decoded::Incomplete { needs },
            Stop::Broken(error) => Decoded::Broken(error),
        }
    }
}

/// The words of the short multi-bulk request at the start of `input`: how many they are, and the
/// bytes that it took.
#[inline]
fn short<'a>(
    input: &'a [u8],
    limits: &RespLimits,
    words: &mut ShortWords<'a>,
) -> Option<(usize, usize)> {
    let (count, mut at) = short_number(input, 1)?;
    if input[0] != b'*' || count == 0 || count > SHORT_WORDS.min(limits.args_max) {
        return None;
    }
    for place in &mut words[..count] {
        let (length, start) = short_number(input, at + 1)?;
        let (word, rest) = input.get(start..)?.split_at_checked(length)?;
        let is_bulk = input[at] == b'$' && rest.first_chunk() == Some(b"\r\n");
        if !is_bulk || length > limits.bulk_bytes_max {
            return None;
        }
        *place = word;
        at = start + length + 2;
    }
    Some((count, at))
}

/// A multi-bulk request from its first byte. When it is incomplete and so long that its words
/// should not be looked at again and again, also where its first word begins.
fn multibulk<'a>(input: &'a [u8], limits: &RespLimits) -> (Decoded<'a>, Option<Place>) {
    let start = match line_number(input, 1, limits, &COUNT_LINE) {
        Ok((count, next)) if count <= 0 => return (Decoded::Empty { consumed: next }, None),
        Ok((count, next)) => match usize::try_from(count) {
            Ok(missing) if missing <= limits.args_max => Place { position: next, missing },
            Ok(_) | Err(_) => {
                return (Decoded::Broken(ProtocolError::InvalidMultibulkLength), None);
            }
        },
        Err(stop) => return (stop.into(), None),
    };
    let (mut words, mut place) = (Words::new(), start);
    match bulks(input, limits, &mut place, |range| words.push(&input[range])) {
        Ok(()) => (Decoded::Request { words, consumed: place.position }, None),
        Err(stop @ Stop::Incomplete { .. }) if words.len() > REPEATED_WORDS_MAX => {
            (stop.into(), Some(start))
        }
        Err(stop) => (stop.into(), None),
    }
}

/// Reads the missing words, as far as they are there, and moves the place behind them.
fn bulks(
    input: &[u8],
    limits: &RespLimits,
    place: &mut Place,
    mut push: impl FnMut(Range<usize>),
) -> Result<(), Stop> {
    while place.missing > 0 {
        let range = bulk(input, limits, place.position).map_err(|stop| match stop {
            Stop::Incomplete { needs } => {
                Stop::Incomplete { needs: needs + (place.missing - 1) * WORD_BYTES_MIN }
            }
            broken @ Stop::Broken(_) => broken,
        })?;
        place.position = range.end + 2;
        place.missing -= 1;
        push(range);
    }
    Ok(())
}

/// The word that begins at `at`.
fn bulk(input: &[u8], limits: &RespLimits, at: usize) -> Result<Range<usize>, Stop> {
    match input.get(at) {
        Some(b'$') => {}
        Some(found) => return Err(Stop::Broken(ProtocolError::ExpectedDollar { found: *found })),
        None => return Err(Stop::Incomplete { needs: at + WORD_BYTES_MIN }),
    }
    let (length, start) = line_number(input, at + 1, limits, &LENGTH_LINE)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= limits.bulk_bytes_max)
        .ok_or(Stop::Broken(ProtocolError::InvalidBulkLength))?;
    let end = start + length;
    match input.get(end..end + 2) {
        Some(b"\r\n") => Ok(start..end),
        Some(_) => Err(Stop::Broken(ProtocolError::ExpectedLineEnd)),
        None => Err(Stop::Incomplete { needs: end + 2 }),
    }
}

/// What is wrong with a line that holds a number.
struct NumberLine {
    invalid: ProtocolError,
    endless: ProtocolError,
}

const COUNT_LINE: NumberLine = NumberLine {
    invalid: ProtocolError::InvalidMultibulkLength,
    endless: ProtocolError::TooBigCount,
};
const LENGTH_LINE: NumberLine = NumberLine {
    invalid: ProtocolError::InvalidBulkLength,
    endless: ProtocolError::TooBigBulkCount,
};

/// Digits that certainly fit; longer numbers are above every limit.
const DIGITS_MAX: usize = 18;

/// The number of one to three digits on the line that begins at `at`, and where the next line
/// begins, if that line is there whole: four bytes are looked at as one word.
#[inline]
fn short_number(input: &[u8], at: usize) -> Option<(usize, usize)> {
    const LINE_END: u32 = u16::from_le_bytes(*b"\r\n") as u32;
    let word = u32::from_le_bytes(*input.get(at..)?.first_chunk::<4>()?);
    let digit = |place: u32| (word >> (8 * place) & 0xff).wrapping_sub(u32::from(b'0'));
    let first = digit(0);
    let (number, end) = if word >> 8 & 0xffff == LINE_END {
        (first, at + 3)
    } else if word >> 16 == LINE_END && digit(1) <= 9 && first > 0 {
        (first.wrapping_mul(10).wrapping_add(digit(1)), at + 4)
    } else if word >> 24 == u32::from(b'\r')
        && input.get(at + 4) == Some(&b'\n')
        && digit(1) <= 9
        && digit(2) <= 9
        && first > 0
    {
        (first.wrapping_mul(100).wrapping_add(digit(1) * 10 + digit(2)), at + 5)
    } else {
        return None;
    };
    (first <= 9).then_some((number as usize, end))
}

/// The number on the line that begins at `at`, and where the next line begins. Numbers are written
/// as Redis demands: no plus sign, no leading zeros, no blanks.
#[inline]
fn line_number(
    input: &[u8],
    at: usize,
    limits: &RespLimits,
    line: &NumberLine,
) -> Result<(i64, usize), Stop> {
    if let Some((number, next)) = short_number(input, at) {
        return Ok((number as i64, next));
    }
    let negative = input.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (mut position, mut number) = (first, 0i64);
    while let Some(byte) = input.get(position) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || position - first >= DIGITS_MAX {
            break;
        }
        number = number * 10 + i64::from(digit);
        position += 1;
    }
    let digits = position - first;
    let well_formed =
        digits == 1 && !(negative && number == 0) || digits > 1 && input.get(first) != Some(&b'0');
    match input.get(position..) {
        Some([b'\r', b'\n', ..]) if well_formed => {
            Ok((if negative { -number } else { number }, position + 2))
        }
        Some([] | [b'\r']) => Err(Stop::Incomplete { needs: input.len() + 1 }),
        Some(_) | None => Err(hopeless(input, at, limits, line)),
    }
}

/// A line that holds no number: which error it is depends on whether it ends.
#[cold]
fn hopeless(input: &[u8], at: usize, limits: &RespLimits, line: &NumberLine) -> Stop {
    let rest = &input[at..];
    let window = &rest[..rest.len().min(limits.line_bytes_max)];
    if window.contains(&b'\r') {
        Stop::Broken(line.invalid)
    } else if rest.len() >= limits.line_bytes_max {
        Stop::Broken(line.endless)
    } else {
        Stop::Incomplete { needs: input.len() + 1 }
    }
}

#[cfg(test)]
mod tests;
