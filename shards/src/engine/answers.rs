//! How large answers may be. What a command reads is borrowed as long as it can be, so an answer is
//! measured before it is copied, and one that is too large costs no more than what it names.

use super::run::{items, sum};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::PerKey;
use crate::limits::ANSWER_BYTES_MAX;

const ANSWER_TOO_LARGE: CommandError =
    CommandError::Invalid("the answer would be larger than 1 GiB, ask for less at once");

/// The answer of a reading command, unless it is too large: what it borrows is copied only behind
/// this, however often it names the same value.
#[inline]
pub(super) fn bounded(answer: Reply<'_>) -> Reply<'_> {
    match &answer {
        Reply::Array(_) | Reply::Set(_) | Reply::Map(_) | Reply::Pairs(_)
            if weight(&answer) > ANSWER_BYTES_MAX =>
        {
            Reply::Error(ANSWER_TOO_LARGE)
        }
        _ => answer,
    }
}

/// The answers of a command that is run once per key.
pub(super) struct PerKeyAnswers {
    answers: Vec<Reply<'static>>,
    bytes: usize,
}

impl PerKeyAnswers {
    pub(super) fn new(keys: usize) -> Self {
        Self { answers: Vec::with_capacity(keys), bytes: 0 }
    }

    /// Takes the next one; false when they are too large together, and no more need be asked for.
    /// What is changed per key answers numbers, so only what is read ends early.
    pub(super) fn take(&mut self, answer: Reply<'static>) -> bool {
        self.bytes += weight(&answer);
        self.answers.push(answer);
        self.bytes <= ANSWER_BYTES_MAX
    }

    /// All of them.
    pub(super) fn fold(self, fold: PerKey) -> Reply<'static> {
        match fold {
            _ if self.bytes > ANSWER_BYTES_MAX => Reply::Error(ANSWER_TOO_LARGE),
            PerKey::Array => Reply::Array(self.answers.into_iter().flat_map(items).collect()),
            PerKey::Sum => sum(self.answers),
        }
    }
}

/// Bytes of a reply, about.
pub(super) fn weight(reply: &Reply<'_>) -> usize {
    let own = size_of::<Reply<'_>>();
    own + match reply {
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Several(items) => {
            items.iter().map(weight).sum()
        }
        Reply::Bytes(bytes) | Reply::Verbatim { bytes, .. } => bytes.len(),
        Reply::Text(text) | Reply::Line(text) | Reply::BigNumber(text) => text.len(),
        Reply::Map(pairs) | Reply::Named(pairs) | Reply::Pairs(pairs) => {
            pairs.iter().map(|(first, second)| weight(first) + weight(second)).sum()
        }
        Reply::Nil
        | Reply::NilArray
        | Reply::Ok
        | Reply::Status(_)
        | Reply::Integer(_)
        | Reply::Double(_)
        | Reply::Decimal(_)
        | Reply::Boolean(_)
        | Reply::Error(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_measured_before_they_are_copied() {
        let value = vec![b'v'; 1 << 20];
        let of = |count| Reply::Array(vec![Reply::borrowed(&value); count]);
        assert!(matches!(bounded(of(1000)), Reply::Array(items) if items.len() == 1000));
        assert_eq!(bounded(of(1024)), Reply::Error(ANSWER_TOO_LARGE));
        let pairs = Reply::Map(vec![(Reply::borrowed(&value), Reply::borrowed(&value)); 512]);
        assert_eq!(bounded(pairs), Reply::Error(ANSWER_TOO_LARGE));
        let mut answers = PerKeyAnswers { answers: Vec::new(), bytes: ANSWER_BYTES_MAX - 1000 };
        assert!(answers.take(Reply::Integer(1)) && !answers.take(Reply::owned(value)));
        assert_eq!(answers.fold(PerKey::Array), Reply::Error(ANSWER_TOO_LARGE));
        let mut answers = PerKeyAnswers::new(2);
        assert!(answers.take(Reply::Integer(1)) && answers.take(Reply::Integer(2)));
        assert_eq!(answers.fold(PerKey::Sum), Reply::Integer(3));
    }
}
