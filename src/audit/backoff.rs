//! How long somebody has to wait who has failed to log in: longer with each failure, by address and
//! by user. A fixed table of atomics: whoever meets in one place waits together, and nobody can aim
//! at another's place.

use std::hash::{BuildHasher, RandomState};
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
/// Others can fail in a user's name, so what they can keep the user out for is short.
const USER: Patience = Patience { free: 20, most_ms: 5_000 };

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
    /// Milliseconds that this client has to wait before it may try to be this user; zero when it
    /// may try now. To be asked before a credential is looked at.
    #[must_use]
    pub fn wait_ms(&self, address: IpAddr, user: &[u8], now_ms: u64) -> u64 {
        let until_ms = |place: &AtomicU64| place.load(Ordering::Relaxed) >> COUNT_BITS;
        let [one, other] = self.of(address, user);
        until_ms(one.0).max(until_ms(other.0)).saturating_sub(now_ms)
    }

    /// It has failed.
    pub fn failed(&self, address: IpAddr, user: &[u8], now_ms: u64) {
        for (place, patience) in self.of(address, user) {
            let next = |state: u64| {
                let (until_ms, count) = (state >> COUNT_BITS, state & COUNT_MASK);
                let is_old = now_ms > until_ms.saturating_add(FORGOTTEN_MS);
                let count = if is_old { 1 } else { (count + 1).min(COUNT_MASK) };
                let over = count.saturating_sub(patience.free);
                let wait_ms = match over {
                    0 => 0,
                    over => (1000_u64 << (over - 1).min(16)).min(patience.most_ms),
                };
                Some((now_ms + wait_ms) << COUNT_BITS | count)
            };
            // It never refuses.
            let _always = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
    }

    /// It has shown that it is the user: its failures are forgotten, those of the user's name from
    /// elsewhere with them.
    pub fn succeeded(&self, address: IpAddr, user: &[u8]) {
        for (place, _) in self.of(address, user) {
            place.store(0, Ordering::Relaxed);
        }
    }

    fn of(&self, address: IpAddr, user: &[u8]) -> [(&AtomicU64, Patience); 2] {
        let place = |hash: u64| &self.places[hash as usize % PLACES];
        let by_address = self.hasher.hash_one((0, ClientKey::of(address)));
        let by_user = self.hasher.hash_one((1, user));
        [(place(by_address), ADDRESS), (place(by_user), USER)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn waits_grow_and_end() {
        let (backoff, mut now_ms) = (Backoff::default(), 1_000_000_000);
        for _ in 0..5 {
            backoff.failed(address(1), b"ann", now_ms);
        }
        assert_eq!(backoff.wait_ms(address(1), b"ann", now_ms), 0, "some failures are free");
        let mut waits = Vec::new();
        for _ in 0..8 {
            backoff.failed(address(1), b"bob", now_ms);
            let wait_ms = backoff.wait_ms(address(1), b"carl", now_ms);
            waits.push(wait_ms);
            now_ms += wait_ms;
            assert_eq!(backoff.wait_ms(address(1), b"carl", now_ms), 0);
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        backoff.succeeded(address(1), b"carl");
        backoff.failed(address(1), b"carl", now_ms);
        assert_eq!(backoff.wait_ms(address(1), b"carl", now_ms), 0);
    }

    #[test]
    fn a_user_is_kept_out_for_a_short_time_only() {
        let (backoff, now_ms) = (Backoff::default(), 1_000_000_000);
        for last in 0..200 {
            backoff.failed(address(last), b"ann", now_ms);
        }
        let wait_ms = backoff.wait_ms(IpAddr::from([1, 2, 3, 4]), b"ann", now_ms);
        assert_eq!(wait_ms, USER.most_ms);
        let later_ms = now_ms + USER.most_ms + FORGOTTEN_MS + 1;
        backoff.failed(IpAddr::from([1, 2, 3, 4]), b"ann", later_ms);
        assert_eq!(backoff.wait_ms(IpAddr::from([1, 2, 3, 4]), b"ann", later_ms), 0);
    }
}
