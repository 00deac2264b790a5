//! How long somebody has to wait who has failed to log in: longer with each failure, by address,
//! and for those who have failed themselves also by user. A fixed table of atomics: whoever meets
//! in one place waits together, and nobody can aim at another's place.
//!
//! Who has not failed lately never waits, whoever else fails in the same user's name.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::ClientKey;

/// Places, a power of two.
const PLACES: usize = 1 << 14;
/// Bits of a place that count failures; the time to wait for stands above them.
const COUNT_BITS: u32 = 8;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Failures are forgotten so long after the last wait was over, in milliseconds.
const FORGOTTEN_MS: u64 = 600_000;

/// What somebody tries to guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guess<'a> {
    /// The password of the user of this name, whether there is one or not.
    Password(&'a [u8]),
    /// An API key that is short enough to be guessed.
    Key,
}

/// Who fails.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Failures that cost nothing.
    free: u64,
    /// The longest wait, in milliseconds.
    most_ms: u64,
}

/// An address guesses for itself.
const ADDRESS: Patience = Patience { free: 5, most_ms: 60_000 };
/// Others can fail in a user's name, so what they add to the wait of somebody who mistyped once is
/// short.
const USER: Patience = Patience { free: 20, most_ms: 5_000 };
/// Failures of an address in one user's name are only counted, to be forgiven.
const PAIR: Patience = Patience { free: COUNT_MASK, most_ms: 0 };

/// One entry of the table.
#[derive(Clone, Copy)]
struct Place<'a>(&'a AtomicU64);

impl Place<'_> {
    fn until_ms(self) -> u64 {
        self.0.load(Ordering::Relaxed) >> COUNT_BITS
    }

    fn count(self, now_ms: u64) -> u64 {
        counted(self.0.load(Ordering::Relaxed), now_ms)
    }

    fn failed(self, patience: Patience, now_ms: u64) {
        self.update(|state| {
            let count = (counted(state, now_ms) + 1).min(COUNT_MASK);
            let wait_ms = match count.saturating_sub(patience.free) {
                0 => 0,
                over => (1000_u64 << (over - 1).min(16)).min(patience.most_ms),
            };
            (now_ms + wait_ms) << COUNT_BITS | count
        });
    }

    fn forgive(self, failures: u64) {
        self.update(|state| {
            let count = (state & COUNT_MASK).saturating_sub(failures);
            (state & !COUNT_MASK) | count
        });
    }

    fn update(self, next: impl Fn(u64) -> u64) {
        let order = Ordering::Relaxed;
        // It never refuses.
        let _always = self.0.fetch_update(order, order, |state| Some(next(state)));
    }
}

/// Failures in the state of a place that are not forgotten.
fn counted(state: u64, now_ms: u64) -> u64 {
    let is_old = now_ms > (state >> COUNT_BITS).saturating_add(FORGOTTEN_MS);
    if is_old { 0 } else { state & COUNT_MASK }
}

/// The failures of a process.
#[derive(Debug)]
pub struct Backoff {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Backoff {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::default()).collect();
        Self { places, hasher: RandomState::default() }
    }
}

impl Backoff {
    /// Milliseconds that this client has to wait before it may guess; zero when it may now. To be
    /// asked before a credential is looked at.
    #[must_use]
    pub fn wait_ms(&self, address: IpAddr, guess: Guess<'_>, now_ms: u64) -> u64 {
        let own = self.by_address(address, guess);
        if own.count(now_ms) == 0 {
            return 0;
        }
        let others_ms = match guess {
            Guess::Password(user) => self.by_user(user).until_ms(),
            Guess::Key => 0,
        };
        own.until_ms().max(others_ms).saturating_sub(now_ms)
    }

    /// Whether it has failed lately to be this user.
    #[must_use]
    pub fn has_failed(&self, address: IpAddr, user: &[u8], now_ms: u64) -> bool {
        self.by_pair(address, user).count(now_ms) > 0
    }

    /// It has failed.
    pub fn failed(&self, address: IpAddr, guess: Guess<'_>, now_ms: u64) {
        self.by_address(address, guess).failed(ADDRESS, now_ms);
        if let Guess::Password(user) = guess {
            self.by_user(user).failed(USER, now_ms);
            self.by_pair(address, user).failed(PAIR, now_ms);
        }
    }

    /// It has shown that it is this user: its failures in that name are forgiven. Those in other
    /// names are not, so an account of one's own is no help in guessing another's.
    pub fn succeeded(&self, address: IpAddr, guess: Guess<'_>, now_ms: u64) {
        let Guess::Password(user) = guess else { return };
        let pair = self.by_pair(address, user);
        let failures = pair.count(now_ms);
        if failures > 0 {
            pair.forgive(failures);
            self.by_address(address, guess).forgive(failures);
        }
    }

    fn by_address(&self, address: IpAddr, guess: Guess<'_>) -> Place<'_> {
        self.place((matches!(guess, Guess::Key), ClientKey::of(address)))
    }

    fn by_user(&self, user: &[u8]) -> Place<'_> {
        self.place((2_u8, user))
    }

    fn by_pair(&self, address: IpAddr, user: &[u8]) -> Place<'_> {
        self.place((3_u8, ClientKey::of(address), user))
    }

    fn place(&self, of: impl Hash) -> Place<'_> {
        Place(&self.places[self.hasher.hash_one(of) as usize % PLACES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Guess<'_> = Guess::Password(b"ann");
    const BOB: Guess<'_> = Guess::Password(b"bob");
    const START_MS: u64 = 1_000_000_000;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn waits_grow_and_end() {
        let (backoff, mut now_ms) = (Backoff::default(), START_MS);
        for _ in 0..5 {
            backoff.failed(address(1), ANN, now_ms);
        }
        assert_eq!(backoff.wait_ms(address(1), ANN, now_ms), 0, "some failures are free");
        let mut waits = Vec::new();
        for _ in 0..8 {
            backoff.failed(address(1), BOB, now_ms);
            let wait_ms = backoff.wait_ms(address(1), Guess::Password(b"carl"), now_ms);
            waits.push(wait_ms);
            now_ms += wait_ms;
            assert_eq!(backoff.wait_ms(address(1), ANN, now_ms), 0);
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        now_ms += FORGOTTEN_MS + 1;
        backoff.failed(address(1), ANN, now_ms);
        assert_eq!(backoff.wait_ms(address(1), ANN, now_ms), 0, "forgotten after a while");
    }

    #[test]
    fn a_success_forgives_what_was_done_in_the_same_name() {
        let backoff = Backoff::default();
        for _ in 0..4 {
            backoff.failed(address(1), ANN, START_MS);
        }
        assert!(backoff.has_failed(address(1), b"ann", START_MS));
        backoff.succeeded(address(1), BOB, START_MS);
        backoff.failed(address(1), ANN, START_MS);
        backoff.failed(address(1), ANN, START_MS);
        assert_eq!(backoff.wait_ms(address(1), ANN, START_MS), 1000, "being bob is no help");
        let later_ms = START_MS + 1000;
        backoff.succeeded(address(1), ANN, later_ms);
        assert!(!backoff.has_failed(address(1), b"ann", later_ms));
        for _ in 0..5 {
            backoff.failed(address(1), ANN, later_ms);
            assert_eq!(backoff.wait_ms(address(1), ANN, later_ms), 0);
        }
    }

    #[test]
    fn who_did_not_fail_does_not_wait_for_who_did() {
        let backoff = Backoff::default();
        for last in 0..200 {
            backoff.failed(address(last), ANN, START_MS);
        }
        let elsewhere = IpAddr::from([1, 2, 3, 4]);
        assert_eq!(backoff.wait_ms(elsewhere, ANN, START_MS), 0);
        // Who mistypes once meanwhile waits, but not for long.
        backoff.failed(elsewhere, ANN, START_MS);
        assert_eq!(backoff.wait_ms(elsewhere, ANN, START_MS), USER.most_ms);
        assert_eq!(backoff.wait_ms(elsewhere, BOB, START_MS), 0);
    }

    #[test]
    fn guesses_of_keys_and_of_passwords_do_not_meet() {
        let backoff = Backoff::default();
        for _ in 0..9 {
            backoff.failed(address(1), Guess::Key, START_MS);
        }
        assert_eq!(backoff.wait_ms(address(1), Guess::Key, START_MS), 8000);
        assert_eq!(backoff.wait_ms(address(1), ANN, START_MS), 0);
    }
}
