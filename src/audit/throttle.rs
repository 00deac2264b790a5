//! How many events of one kind from one address are let through: a fixed table of atomics, in which
//! those that meet in one place share what it allows.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::event::Kind;

/// Places, a power of two.
const PLACES: usize = 1024;
/// Length of a window, and events of one place let through in it.
const WINDOW_MS: u64 = 10_000;
const EVENTS_MAX: u64 = 20;
/// Bits of a place that count; the window stands above them.
const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Who was let through lately.
#[derive(Debug)]
pub(super) struct Throttle {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Throttle {
    pub(super) fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::default()).collect();
        Self { places, hasher: RandomState::default() }
    }

    /// Whether another event is let through at this time.
    pub(super) fn admits(&self, kind: Kind, address: Option<IpAddr>, now_ms: u64) -> bool {
        let place = self.hasher.hash_one((kind as usize, address)) as usize % PLACES;
        let window = now_ms / WINDOW_MS;
        let next = |state: u64| {
            let count = if state >> COUNT_BITS == window { state & COUNT_MASK } else { 0 };
            (count < EVENTS_MAX).then_some(window << COUNT_BITS | (count + 1))
        };
        let place = &self.places[place];
        place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_address_has_a_few_in_a_while() {
        let throttle = Throttle::new();
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        let admitted =
            |kind, now_ms| (0..100).filter(|_| throttle.admits(kind, one, now_ms)).count();
        assert_eq!(admitted(Kind::Denied, 50_000), EVENTS_MAX as usize);
        assert_eq!(admitted(Kind::Denied, 59_999), 0);
        assert_eq!(admitted(Kind::Denied, 60_000), EVENTS_MAX as usize);
    }
}
