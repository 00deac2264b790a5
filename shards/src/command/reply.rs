//! What a command answers, independent of any protocol.

use std::borrow::Cow;

use super::error::CommandError;

/// An answer. It may borrow from the shard it was read from for as long as nothing changes.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply<'a> {
    /// Nothing there.
    Nil,
    /// Nothing there, where an array would be.
    NilArray,
    /// Done.
    Ok,
    /// A short fixed word (`PONG`, `string`).
    Status(&'static str),
    /// A short word that a script made; one line.
    Line(String),
    /// An integer.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A double written with up to 17 places and no exponent (coordinates).
    Decimal(f64),
    /// True or false; 1 or 0 where the protocol has no booleans.
    Boolean(bool),
    /// A byte string.
    Bytes(Cow<'a, [u8]>),
    /// Text for people; a byte string where the protocol has no verbatim text.
    Text(String),
    /// Text with the three letters that say what it is; a byte string where the protocol has no
    /// verbatim text.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        bytes: Cow<'a, [u8]>,
    },
    /// An integer of any length in decimal; a byte string where the protocol has no such numbers.
    BigNumber(String),
    /// Several replies in order.
    Array(Vec<Self>),
    /// Names and values; flattened where the protocol has no maps.
    Map(Vec<(Self, Self)>),
    /// Names and values; an array of arrays of two where the protocol has no maps.
    Named(Vec<(Self, Self)>),
    /// Pairs in order (a member and its score): an array of arrays of two, or one flat array where
    /// the protocol has no maps.
    Pairs(Vec<(Self, Self)>),
    /// Several replies without order; an array where the protocol has no sets.
    Set(Vec<Self>),
    /// A message that answers nothing: what a subscriber hears, and how a subscription is
    /// confirmed; an array where the protocol has no pushes.
    Push(Vec<Self>),
    /// Several answers one after the other, as the confirmations of one `SUBSCRIBE`.
    Several(Vec<Self>),
    /// A refusal.
    Error(CommandError),
}

impl<'a> Reply<'a> {
    /// A byte string that borrows.
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

    /// A byte string of its own.
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }

    /// A byte string from text.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Bytes(Cow::Owned(text.into().into_bytes()))
    }

    /// A count. Panics above the signed range, which no count in memory reaches.
    pub fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).expect("a count of things in memory fits 63 bits"))
    }

    /// The same answer, borrowing from nothing.
    pub fn into_owned(self) -> Reply<'static> {
        match self {
            Self::Nil => Reply::Nil,
            Self::NilArray => Reply::NilArray,
            Self::Ok => Reply::Ok,
            Self::Status(word) => Reply::Status(word),
            Self::Integer(number) => Reply::Integer(number),
            Self::Double(number) => Reply::Double(number),
            Self::Decimal(number) => Reply::Decimal(number),
            Self::Boolean(truth) => Reply::Boolean(truth),
            Self::Bytes(bytes) => Reply::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Text(text) => Reply::Text(text),
            Self::Line(text) => Reply::Line(text),
            Self::BigNumber(digits) => Reply::BigNumber(digits),
            Self::Verbatim { format, bytes } => {
                Reply::Verbatim { format, bytes: Cow::Owned(bytes.into_owned()) }
            }
            Self::Array(items) => Reply::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Map(pairs) => Reply::Map(own_pairs(pairs)),
            Self::Pairs(pairs) => Reply::Pairs(own_pairs(pairs)),
            Self::Push(items) => Reply::Push(items.into_iter().map(Self::into_owned).collect()),
            Self::Several(items) => {
                Reply::Several(items.into_iter().map(Self::into_owned).collect())
            }
            Self::Named(pairs) => Reply::Named(own_pairs(pairs)),
            Self::Set(items) => Reply::Set(items.into_iter().map(Self::into_owned).collect()),
            Self::Error(error) => Reply::Error(error),
        }
    }
}

fn own_pairs(pairs: Vec<(Reply<'_>, Reply<'_>)>) -> Vec<(Reply<'static>, Reply<'static>)> {
    pairs.into_iter().map(|(a, b)| (a.into_owned(), b.into_owned())).collect()
}

impl From<CommandError> for Reply<'_> {
    fn from(error: CommandError) -> Self {
        Self::Error(error)
    }
}
