//! What an HTTP request is refused with before it reaches a command. Every refusal has a status and
//! a JSON body; those of the decoder also end the connection, because the next request cannot be
//! told from the rest of this one.

use std::borrow::Cow;

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpError {
    /// Status code, 400..=599.
    pub status: u16,
    /// What is wrong, for the client; says what was expected and found where that helps.
    pub message: Cow<'static, str>,
}

impl HttpError {
    /// A refusal with a fixed text.
    pub const fn new(status: u16, message: &'static str) -> Self {
        Self { status, message: Cow::Borrowed(message) }
    }

    /// A refusal with a text of its own.
    pub fn with(status: u16, message: String) -> Self {
        Self { status, message: Cow::Owned(message) }
    }

    /// 400.
    pub const fn bad(message: &'static str) -> Self {
        Self::new(400, message)
    }
}
