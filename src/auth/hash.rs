//! Hashes of passwords: Argon2id (RFC 9106) for new ones; bcrypt and every Argon2 are accepted.
//!
//! Verifying costs tens of milliseconds and megabytes on purpose, so it never runs on a core.
//! Parameters are bounded where a hash is read: a hash must not be able to hold the server up.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{
    PasswordHash as Phc, PasswordHasher as _, PasswordVerifier as _, Salt,
};
use argon2::{Algorithm, Argon2, Params, Version};
use synap_io::clock;
use zeroize::Zeroizing;

/// KiB of memory, passes and lanes of new hashes: the first choice of OWASP's cheat sheet of
/// password storage.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bounds of what is accepted.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;
const BCRYPT_COST_MIN: u32 = 10;
const BCRYPT_COST_MAX: u32 = 14;
/// Cost of bcrypt hashes that are made on request.
pub const BCRYPT_COST: u32 = 12;
/// Bytes of a password that bcrypt looks at.
pub const BCRYPT_BYTES_MAX: usize = 72;
/// Bytes of a hash as text.
const TEXT_BYTES_MAX: usize = 512;

/// A hash of a password that was checked to be one.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Argon2,
    Bcrypt,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Argon2 => "PasswordHash(argon2)",
            Kind::Bcrypt => "PasswordHash(bcrypt)",
        })
    }
}

/// What a hash must be, for messages; what was found is never shown.
pub const EXPECTED: &str = "a bcrypt hash ($2a$, $2b$ or $2y$) of cost 10 to 14, or an argon2 hash \
                            of at most 256 MiB, 32 passes and 16 lanes";

impl PasswordHash {
    /// A hash as text: modular crypt format for bcrypt, PHC string format for Argon2.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let kind = if text.starts_with("$argon2") { Kind::Argon2 } else { Kind::Bcrypt };
        let good = match kind {
            Kind::Argon2 => is_argon2(text),
            Kind::Bcrypt => is_bcrypt(text),
        };
        good.then(|| Self { text: text.into(), kind })
    }

    /// The hash of a password with fresh salt. Slow.
    #[must_use]
    pub fn make(password: &[u8]) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("within RFC 9106");
        Self::make_with(password, &salt(), params)
    }

    fn make_with(password: &[u8], salt: &[u8; 16], params: Params) -> Self {
        let salt = argon2::password_hash::SaltString::encode_b64(salt).expect("16 bytes fit");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made = argon2.hash_password(password, Salt::from(&salt));
        let text = made.expect("parameters and salt are of the right size").to_string();
        Self { text: text.into(), kind: Kind::Argon2 }
    }

    /// A bcrypt hash of cost [`BCRYPT_COST`], for other programs to read as well; nothing for a
    /// password of more than [`BCRYPT_BYTES_MAX`] bytes or with a zero byte, of which bcrypt would
    /// only see a part. Slow.
    #[must_use]
    pub fn make_bcrypt(password: &[u8]) -> Option<Self> {
        if password.len() > BCRYPT_BYTES_MAX || password.contains(&0) {
            return None;
        }
        let made = bcrypt::hash_with_salt(password, BCRYPT_COST, salt()).ok()?;
        Self::parse(&made.to_string())
    }

    /// Whether it is the hash of that password. Slow; takes as long whatever the answer.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        match self.kind {
            Kind::Argon2 => Phc::new(&self.text)
                .is_ok_and(|phc| Argon2::default().verify_password(password, &phc).is_ok()),
            // A password with a zero byte ends there for bcrypt: it would be another one.
            Kind::Bcrypt => {
                let shown = Zeroizing::new(password.to_vec());
                bcrypt::verify(&*shown, &self.text).unwrap_or(false) && !password.contains(&0)
            }
        }
    }

    /// Some hash, where none will ever be verified.
    pub(super) fn any() -> Self {
        Self { text: Arc::from(""), kind: Kind::Argon2 }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A hash that no password has, which takes as long to verify as this one.
    #[must_use]
    pub(super) fn decoy(&self) -> Self {
        let mut text = self.text.to_string();
        // The last character carries bits that are not used; the one before is all hash.
        let at = text.len() - 2;
        let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
        text.replace_range(at..=at, other);
        Self { text: text.into(), kind: self.kind }
    }
}

fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&clock::entropy().to_le_bytes());
    salt[8..].copy_from_slice(&clock::entropy().to_le_bytes());
    salt
}

/// A PHC string of a known Argon2 within the bounds, with salt and hash.
fn is_argon2(text: &str) -> bool {
    let Ok(phc) = Phc::new(text) else { return false };
    let known = Algorithm::try_from(phc.algorithm).is_ok();
    let Ok(params) = Params::try_from(&phc) else { return false };
    let bounded = params.m_cost() <= MEMORY_KIB_MAX
        && params.t_cost() <= PASSES_MAX
        && params.p_cost() <= LANES_MAX;
    // Versions before 1.3 have a weakness that the version was made to end.
    let current = phc.version.is_none_or(|version| version == u32::from(Version::V0x13));
    known && bounded && current && phc.salt.is_some() && phc.hash.is_some()
}

/// `$2b$12$` and 53 characters of bcrypt's own base64.
fn is_bcrypt(text: &str) -> bool {
    let known = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix));
    let Some((cost, rest)) = known.and_then(|rest| rest.split_once('$')) else { return false };
    let symbol = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = cost.parse().unwrap_or(0);
    digits
        && (BCRYPT_COST_MIN..=BCRYPT_COST_MAX).contains(&cost)
        && rest.len() == 53
        && rest.bytes().all(symbol)
}

#[cfg(test)]
pub(in crate::auth) mod tests {
    use super::*;

    pub(in crate::auth) fn cheap(password: &[u8]) -> PasswordHash {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("within RFC 9106");
        PasswordHash::make_with(password, b"0123456789abcdef", params)
    }

    #[test]
    fn a_hash_knows_its_password() {
        for hash in [cheap(b"correct horse"), PasswordHash::make(b"correct horse")] {
            let hash = PasswordHash::parse(hash.as_str()).expect("as made");
            assert!(hash.verify(b"correct horse"));
            assert!(!hash.verify(b"correct horses"));
            assert!(!hash.verify(b""));
            assert!(!hash.decoy().verify(b"correct horse"));
            assert!(PasswordHash::parse(hash.decoy().as_str()).is_some());
        }
        let made = PasswordHash::make(b"x");
        assert!(made.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", made.as_str());
        assert_ne!(made, PasswordHash::make(b"x"), "salt differs");
    }

    #[test]
    fn bcrypt_is_known_under_its_three_names() {
        // Made with htpasswd's algorithm at cost 10; the three names mean the same today.
        let made =
            bcrypt::hash_with_salt(b"correct horse", 10, *b"0123456789abcdef").expect("made");
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = PasswordHash::parse(&made.format_for_version(version)).expect("bcrypt");
            assert!(hash.verify(b"correct horse"));
            assert!(!hash.verify(b"correct horse\0"));
            assert!(!hash.verify(b"wrong"));
            assert!(!hash.decoy().verify(b"correct horse"));
        }
        let made = PasswordHash::make_bcrypt(b"correct horse").expect("short");
        assert!(made.as_str().starts_with("$2b$12$"));
        assert!(PasswordHash::make_bcrypt(&[b'a'; BCRYPT_BYTES_MAX + 1]).is_none());
        assert!(PasswordHash::make_bcrypt(b"a\0b").is_none());
    }

    #[test]
    fn what_is_no_hash_or_too_costly_is_refused() {
        let tail = "a".repeat(53);
        let long = "a".repeat(TEXT_BYTES_MAX + 1);
        let salted = "c2FsdHNhbHQ$aGFzaGhhc2hoYXNo";
        for bad in [
            "".to_owned(),
            "secret".to_owned(),
            format!("$2b$09${tail}"),
            format!("$2b$15${tail}"),
            format!("$2x$12${tail}"),
            format!("$2b$12${tail}a"),
            format!("$2b$12${}é", "a".repeat(51)),
            long,
            format!("$argon2id$v=19$m=4194304,t=1,p=1${salted}"),
            format!("$argon2id$v=19$m=64,t=100,p=1${salted}"),
            format!("$argon2id$v=16$m=64,t=1,p=1${salted}"),
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ".to_owned(),
            "$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(),
        ] {
            assert!(PasswordHash::parse(&bad).is_none(), "{bad}");
        }
        assert!(PasswordHash::parse(&format!("$2b$12${tail}")).is_some());
        let argon2 = format!("$argon2i$v=19$m=64,t=1,p=1${salted}");
        assert!(PasswordHash::parse(&argon2).is_some());
    }
}
