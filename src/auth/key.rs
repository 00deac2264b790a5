//! Secrets of API keys: made of chance, told once, and kept only as what SHA-256 makes of them. A
//! slow hash would add nothing: 256 bits of chance cannot be guessed.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use synap_io::clock;
use zeroize::Zeroizing;

use super::credential::Secret;

/// What every key that this server makes starts with.
pub const PREFIX: &str = "synap_";
/// Characters of a key that may be shown, so that its owner knows it again.
const HINT_CHARS: usize = 10;
/// Keys shorter than this show nothing of themselves.
const HINTED_CHARS_MIN: usize = 24;

/// SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Of its form in files: 64 hexadecimal digits, after `sha256:` or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |symbol: u8| char::from(symbol).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    /// The beginning: enough to tell two apart in a test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is called in requests.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The key itself, to be told once.
    pub secret: Secret,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// When it stops being valid, Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// A key of 256 bits of chance: [`PREFIX`] and 64 hexadecimal digits.
pub(super) fn generate() -> Secret {
    let mut text = Zeroizing::new(Vec::with_capacity(PREFIX.len() + 64));
    text.extend_from_slice(PREFIX.as_bytes());
    for _ in 0..4 {
        let chance = clock::entropy();
        for at in (0..64).step_by(4) {
            let digit = (chance >> at) & 15;
            text.push(b"0123456789abcdef"[digit as usize]);
        }
    }
    Secret::new(std::mem::take(&mut *text))
}

/// An id nobody has: 16 hexadecimal digits.
pub(super) fn new_id() -> Arc<str> {
    format!("{:016x}", clock::entropy()).into()
}

/// What may be shown of a key; nothing of a short one.
#[must_use]
pub fn hint(key: &[u8]) -> Arc<str> {
    match std::str::from_utf8(key) {
        Ok(text) if text.len() >= HINTED_CHARS_MIN && text.is_ascii() => {
            format!("{}…", &text[..HINT_CHARS]).into()
        }
        Ok(_) | Err(_) => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ() {
        let (first, second) = (generate(), generate());
        let text = std::str::from_utf8(first.expose()).expect("digits");
        assert_eq!(text.len(), PREFIX.len() + 64);
        let digits = text.strip_prefix(PREFIX).expect("the prefix");
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(first.expose(), second.expose());
        assert_eq!(hint(first.expose()).chars().count(), HINT_CHARS + 1);
        assert_eq!(&*hint(b"sk_short"), "");
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-4, the example of one block.
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::parse(text), Some(digest));
        assert_eq!(Digest::parse(&format!("sha256:{}", text.to_uppercase())), Some(digest));
        assert_eq!(Digest::parse("sha256:00"), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
    }
}
