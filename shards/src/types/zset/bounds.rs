//! Scores and ends of ranges as clients write them.

use super::view::{Edge, Ranks, ZsetView};
use crate::command::args;
use crate::command::error::CommandError;

const NOT_SCORE_RANGE: CommandError = CommandError::Invalid("min or max is not a float");
const NOT_LEX_RANGE: CommandError = CommandError::Invalid("min or max not valid string range item");

/// A score: a number that a double can hold, infinities included. Zero loses its sign, which Redis
/// keeps in large sets only.
pub(super) fn score(word: &[u8]) -> Result<f64, CommandError> {
    let number = args::float(word)?;
    let text = std::str::from_utf8(word).map_err(|_| CommandError::NotFloat)?;
    // What is too large or too small for a double is refused, not rounded.
    let said_infinite = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i'));
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let said_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if number.is_infinite() && !said_infinite || number == 0.0 && !said_zero {
        return Err(CommandError::NotFloat);
    }
    Ok(number + 0.0)
}

/// One end of a range of scores; exclusive behind `(`.
pub(super) fn score_edge(word: &[u8], is_lower: bool) -> Result<Edge<'static>, CommandError> {
    let (exclusive, digits) = match word {
        [b'(', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let digits = digits.trim_ascii_start();
    let score =
        if digits.is_empty() { 0.0 } else { args::float(digits).map_err(|_| NOT_SCORE_RANGE)? };
    Ok(Edge::Score { score, behind: is_lower == exclusive })
}

/// One end of a range of members: `[a`, `(a`, `-`, `+`.
pub(super) fn lex_edge(word: &[u8], is_lower: bool) -> Result<Edge<'_>, CommandError> {
    match word {
        b"-" => Ok(Edge::Start),
        b"+" => Ok(Edge::End),
        [b'[', member @ ..] => Ok(Edge::Member { member, behind: !is_lower }),
        [b'(', member @ ..] => Ok(Edge::Member { member, behind: is_lower }),
        _ => Err(NOT_LEX_RANGE),
    }
}

/// What a range is a range of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Rank,
    Score,
    Member,
}

/// Both ends of a range.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Ends<'a> {
    /// First and last rank, from the end if negative.
    Ranks(i64, i64),
    /// Lower and upper end.
    Edges(Edge<'a>, Edge<'a>),
}

impl<'a> Ends<'a> {
    /// Reads the lower and the upper end.
    pub(super) fn read(by: By, lower: &'a [u8], upper: &'a [u8]) -> Result<Self, CommandError> {
        Ok(match by {
            By::Rank => Self::Ranks(args::integer(lower)?, args::integer(upper)?),
            By::Score => Self::Edges(score_edge(lower, true)?, score_edge(upper, false)?),
            By::Member => Self::Edges(lex_edge(lower, true)?, lex_edge(upper, false)?),
        })
    }

    /// The lowest rank and the number of members, of which those of ranks count from the end if
    /// `reverse`.
    pub(super) fn span(&self, set: &ZsetView<'_>, reverse: bool) -> (usize, usize) {
        match self {
            Self::Ranks(first, last) => {
                let (start, count) = clamp(*first, *last, set.len());
                (if reverse { set.len() - start - count } else { start }, count)
            }
            Self::Edges(lower, upper) => {
                let start = set.before(lower);
                (start, set.before(upper).saturating_sub(start))
            }
        }
    }
}

/// The part of `len` elements from `first` to `last`: its start, and how many it has.
fn clamp(first: i64, last: i64, len: usize) -> (usize, usize) {
    let len = i64::try_from(len).expect("a count of things in memory fits 63 bits");
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (first, last) = (from_end(first).max(0), from_end(last).min(len - 1));
    if first > last { (0, 0) } else { (first as usize, (last - first + 1) as usize) }
}

/// `LIMIT`: members to skip and members to take, all if negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limit {
    pub(super) offset: i64,
    pub(super) count: i64,
}

impl Limit {
    /// Reads the two words behind `LIMIT`; without them everything is taken.
    pub(super) fn read(words: &[&[u8]]) -> Result<Self, CommandError> {
        match words {
            [offset, count] => {
                Ok(Self { offset: args::integer(offset)?, count: args::integer(count)? })
            }
            _ => Ok(Self { offset: 0, count: -1 }),
        }
    }

    /// What is left of a span that is read from its end if `reverse`.
    pub(super) fn apply(self, (start, count): (usize, usize), reverse: bool) -> Ranks {
        // A negative offset skips everything, as in Redis.
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX).min(count);
        let left = count - skip;
        let taken = usize::try_from(self.count).map_or(left, |wanted| wanted.min(left));
        let start = if reverse { start + left - taken } else { start + skip };
        Ranks { start, count: taken, reverse }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0e9999", 0.0),
            ("-0", 0.0),
            (".5", 0.5),
        ] {
            assert_eq!(score(text.as_bytes()), Ok(number));
            assert!(number != 0.0 || score(text.as_bytes()).is_ok_and(f64::is_sign_positive));
        }
        for text in ["", "nan", " 1", "1 ", "one", "1e400", "-1e400", "1e-400", "(1"] {
            assert_eq!(score(text.as_bytes()), Err(CommandError::NotFloat), "{text:?}");
        }
    }

    #[test]
    fn spans_are_clamped() {
        for ((first, last), expected) in [
            ((0, -1), (0, 5)),
            ((-100, 100), (0, 5)),
            ((1, 2), (1, 2)),
            ((-2, -1), (3, 2)),
            ((3, 1), (0, 0)),
            ((5, 9), (0, 0)),
            ((i64::MIN, i64::MAX), (0, 5)),
            ((i64::MAX, i64::MIN), (0, 0)),
        ] {
            assert_eq!(clamp(first, last, 5), expected, "{first} {last}");
        }
        assert_eq!(clamp(0, -1, 0), (0, 0));
    }

    #[test]
    fn limits_count_from_the_side_that_is_read() {
        let limit = |offset, count| Limit { offset, count };
        let ranks = |start, count, reverse| Ranks { start, count, reverse };
        assert_eq!(limit(0, -1).apply((2, 5), false), ranks(2, 5, false));
        assert_eq!(limit(1, 2).apply((2, 5), false), ranks(3, 2, false));
        assert_eq!(limit(1, 2).apply((2, 5), true), ranks(4, 2, true));
        assert_eq!(limit(9, 2).apply((2, 5), false), ranks(7, 0, false));
        assert_eq!(limit(-1, 2).apply((2, 5), true), ranks(2, 0, true));
    }
}
