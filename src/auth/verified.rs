//! Credentials that were verified lately, so that a caller who shows the same one with every
//! request is not hashed every time.
//!
//! Kept are keyed hashes (HMAC-SHA-256, RFC 2104) under a key that is chance and dies with the
//! process: who reads the memory finds no passwords, and nobody can prepare a table.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use synap_io::clock;

use super::identity::Identity;

/// Milliseconds a verified credential is trusted.
pub(super) const KEPT_MS: u64 = 60_000;
/// Credentials kept; when there are more, all are forgotten, which only costs a hash each.
const KEPT_MAX: usize = 4096;

/// What stands for a user name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Eight bytes of it.
    pub(super) fn number(&self) -> u64 {
        self.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The key, already absorbed.
pub(super) struct Hasher {
    inner: Sha256,
    outer: Sha256,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(***)")
    }
}

impl Hasher {
    /// With a key of chance.
    pub(super) fn new() -> Self {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&clock::entropy().to_le_bytes());
        }
        Self::with_key(&*key)
    }

    fn with_key(key: &[u8]) -> Self {
        const BLOCK: usize = 64;
        let absorbed = |pad: u8| {
            let mut block = zeroize::Zeroizing::new([pad; BLOCK]);
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            Sha256::new_with_prefix(*block)
        };
        Self { inner: absorbed(0x36), outer: absorbed(0x5c) }
    }

    /// Of a name and a password; the length keeps `ab`+`c` apart from `a`+`bc`.
    pub(super) fn of(&self, user: &[u8], password: &[u8]) -> Fingerprint {
        let length = (user.len() as u64).to_le_bytes();
        self.mac(&[&length, user, password])
    }

    fn mac(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        Fingerprint(outer.finalize().into())
    }
}

/// Credentials verified lately, all in the same directory.
#[derive(Debug, Default)]
pub(super) struct Verified {
    kept: HashMap<Fingerprint, (u64, Identity)>,
}

impl Verified {
    /// Who showed this one within [`KEPT_MS`].
    pub(super) fn find(&self, fingerprint: &Fingerprint, now_ms: u64) -> Option<&Identity> {
        let (at, identity) = self.kept.get(fingerprint)?;
        (now_ms.saturating_sub(*at) < KEPT_MS).then_some(identity)
    }

    /// Remembers it from now on.
    pub(super) fn keep(&mut self, fingerprint: Fingerprint, identity: Identity, now_ms: u64) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.retain(|_, (at, _)| now_ms.saturating_sub(*at) < KEPT_MS);
        }
        if self.kept.len() >= KEPT_MAX {
            self.kept.clear();
        }
        self.kept.insert(fingerprint, (now_ms, identity));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Rights, Who};
    use std::sync::Arc;

    #[test]
    fn the_keyed_hash_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        let Fingerprint(made) =
            Hasher::with_key(b"Jefe").mac(&[b"what do ya want ", b"for nothing?"]);
        let hex: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn names_and_passwords_do_not_run_together() {
        let hasher = Hasher::new();
        assert_ne!(hasher.of(b"ab", b"c"), hasher.of(b"a", b"bc"));
        assert_ne!(hasher.of(b"a", b"b"), Hasher::new().of(b"a", b"b"), "keys differ");
    }

    #[test]
    fn what_was_verified_is_trusted_for_a_minute() {
        let hasher = Hasher::new();
        let identity =
            Identity::new(Who::User("a".into()), "a".into(), Arc::new(Rights::none()), 1);
        let mut verified = Verified::default();
        let one = hasher.of(b"a", b"1");
        verified.keep(one, identity.clone(), 1000);
        assert!(verified.find(&one, 1000 + KEPT_MS - 1).is_some());
        assert!(verified.find(&one, 1000 + KEPT_MS).is_none());
        assert!(verified.find(&hasher.of(b"a", b"2"), 1000).is_none());
        for other in 0..2 * KEPT_MAX as u64 {
            verified.keep(hasher.of(b"b", &other.to_le_bytes()), identity.clone(), 2000);
        }
        assert!(verified.kept.len() <= KEPT_MAX);
    }
}
