//! What a caller shows to prove who it is, and the headers it comes in.
//!
//! Secrets are wiped when dropped and never shown by `Debug`.

use std::fmt;

use zeroize::Zeroizing;

use super::backoff::Guess;

/// Bytes of a user name.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a password or an API key that a caller shows; longer ones are nobody's.
pub const SECRET_BYTES_MAX: usize = 1024;
/// Bytes of an API key from which on nobody guesses it. Keys made here have 70; configured ones can
/// be anything.
pub const LONG_KEY_BYTES: usize = 24;
/// Bytes of an `Authorization` header that is looked at: base64 of both, and the scheme.
pub const HEADER_BYTES_MAX: usize = 2048;

/// Bytes that nobody may see.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// For hashing and comparing.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Takes as long wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&*other.0).fold(0, |all, (a, b)| all | (a ^ b));
        self.0.len() == other.0.len() && std::hint::black_box(differing) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What a caller shows.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A user name and a password.
    Password {
        /// The name, as sent.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// An API key.
    Key(Secret),
}

/// An `Authorization` header that cannot be read: the answer is 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// Neither `Basic` nor `Bearer`.
    Scheme,
    /// Not base64, or without a colon.
    Basic,
    /// Without a key.
    Bearer,
    /// Longer than [`HEADER_BYTES_MAX`], or of longer parts than are allowed.
    TooLong,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "expected `Authorization: Basic …` or `Authorization: Bearer …`",
            Self::Basic => "expected base64 of `user:password` after `Basic`",
            Self::Bearer => "expected an API key after `Bearer`",
            Self::TooLong => "expected a shorter `Authorization` header",
        })
    }
}

impl std::error::Error for BadHeader {}

impl Credential {
    /// What its caller may be guessing at; nothing of what cannot be guessed.
    #[must_use]
    pub fn guess(&self) -> Option<Guess<'_>> {
        match self {
            Self::Password { user, .. } => Some(Guess::Password(user)),
            Self::Key(key) if key.0.len() < LONG_KEY_BYTES => Some(Guess::Key),
            Self::Key(_) => None,
        }
    }

    /// How it proves who somebody is, in a word for logs.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Key(_) => "api_key",
        }
    }

    /// The credential of the value of an `Authorization` header (RFC 7617, RFC 6750). The name
    /// ends at the first colon.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn from_authorization(value: &[u8]) -> Result<Self, BadHeader> {
        if value.len() > HEADER_BYTES_MAX {
            return Err(BadHeader::TooLong);
        }
        let value = value.trim_ascii();
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = (&value[..end], value[end..].trim_ascii());
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::from_key(rest).ok_or(BadHeader::Bearer);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Err(BadHeader::Scheme);
        }
        let text = std::str::from_utf8(rest).map_err(|_| BadHeader::Basic)?;
        let decoded = crate::protocol::json::base64(text).ok_or(BadHeader::Basic)?;
        let decoded = Zeroizing::new(decoded);
        let colon = decoded.iter().position(|byte| *byte == b':').ok_or(BadHeader::Basic)?;
        Self::from_password(&decoded[..colon], &decoded[colon + 1..]).ok_or(BadHeader::TooLong)
    }

    /// An API key; nothing where it is empty or longer than any key.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let fits = (1..=SECRET_BYTES_MAX).contains(&key.len());
        fits.then(|| Self::Key(Secret::new(key)))
    }

    /// A user name and a password; nothing where they are longer than any.
    #[must_use]
    pub fn from_password(user: &[u8], password: &[u8]) -> Option<Self> {
        let fits = user.len() <= NAME_BYTES_MAX && password.len() <= SECRET_BYTES_MAX;
        fits.then(|| Self::Password { user: user.to_vec(), password: Secret::new(password) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Result<String, BadHeader> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match Credential::from_authorization(value.as_bytes())? {
            Credential::Password { user, password } => {
                format!("{}|{}", text(&user), text(password.expose()))
            }
            Credential::Key(key) => text(key.expose()),
        })
    }

    #[test]
    fn headers_are_read() {
        assert_eq!(shown("Basic YTpiOmM="), Ok("a|b:c".to_owned()));
        assert_eq!(shown("basic   Og=="), Ok("|".to_owned()));
        assert_eq!(shown("BEARER  synap_1 "), Ok("synap_1".to_owned()));
        assert_eq!(shown("Basic YQ=="), Err(BadHeader::Basic));
        assert_eq!(shown("Basic ?"), Err(BadHeader::Basic));
        assert_eq!(shown("Bearer"), Err(BadHeader::Bearer));
        assert_eq!(shown(""), Err(BadHeader::Scheme));
        assert_eq!(shown("Digest x"), Err(BadHeader::Scheme));
        assert_eq!(shown(&"x".repeat(HEADER_BYTES_MAX + 1)), Err(BadHeader::TooLong));
        assert_eq!(shown(&format!("Bearer {}", "x".repeat(1025))), Err(BadHeader::Bearer));
    }

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential::from_password(b"a", b"hunter22").expect("short");
        assert!(!format!("{credential:?}").contains("hunter22"));
        assert!(!format!("{credential:?}").contains("104"), "nor byte by byte");
    }
}
