//! Token buckets of all clients in one table of atomics, for all cores.
//!
//! A bucket is one number: the time at which it will be full again (the theoretical arrival time of
//! the generic cell rate algorithm, ITU-T I.371). Taking a token puts that time off by the time in
//! which one grows; a token is there as long as it lies no further ahead than a full bucket takes
//! to fill. A time that has passed is a full bucket, which says nothing about anybody: it is given
//! to the next client that needs one, so nothing has to be cleaned up and memory is fixed.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::client::ClientKey;

/// Buckets of the process, a power of two. Clients beyond share the one that owes least.
const SLOTS: usize = 1 << 16;
/// Places in which a client's bucket can be.
const PROBES: usize = 8;
/// A bucket that was full for this long is not counted as a client's any more.
const IDLE_NS: u64 = 60_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// How many requests a client may make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    per_minute: u64,
    burst: u64,
}

impl Rate {
    /// So many tokens grow in a second, 1..=10^7, and so many fill a bucket, 1..=10^9.
    #[must_use]
    pub const fn per_second(tokens: u64, burst: u64) -> Self {
        Self { per_minute: tokens * 60, burst }
    }

    /// So many tokens grow in a minute, 1..=10^9, and fill a bucket.
    #[must_use]
    pub const fn per_minute(tokens: u64) -> Self {
        Self { per_minute: tokens, burst: tokens }
    }

    /// Tokens of a full bucket.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// The time in which so many tokens grow, rounded up: rounding never gives any away.
    fn time_of(self, tokens: u64) -> u64 {
        let time_ns = u128::from(tokens) * u128::from(MINUTE_NS);
        u64::try_from(time_ns.div_ceil(u128::from(self.per_minute))).unwrap_or(u64::MAX)
    }

    /// Whole tokens that grow in a time.
    fn tokens_in(self, nanoseconds: u64) -> u64 {
        let tokens = u128::from(nanoseconds) * u128::from(self.per_minute) / u128::from(MINUTE_NS);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// How a client stands, for the headers of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Tokens of a full bucket.
    pub limit: u64,
    /// Tokens left.
    pub remaining: u64,
    /// Seconds until the bucket is full, rounded up.
    pub reset_secs: u64,
}

/// There is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Empty {
    /// Nanoseconds until the next one.
    pub wait_ns: u64,
}

impl Empty {
    /// Milliseconds until the next token, rounded up.
    #[must_use]
    pub fn wait_ms(self) -> u64 {
        self.wait_ns.div_ceil(1_000_000)
    }

    /// Seconds until the next token, rounded up.
    #[must_use]
    pub fn wait_secs(self) -> u64 {
        self.wait_ns.div_ceil(SECOND_NS)
    }
}

/// Who a bucket belongs to: a keyed hash, so that nobody can aim at another's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketId(pub(super) u64);

#[derive(Debug, Default)]
struct Slot {
    /// Zero while nobody has used it.
    owner: AtomicU64,
    full_at_ns: AtomicU64,
}

/// All buckets. Its memory is taken when the first token is.
#[derive(Debug, Default)]
pub struct Buckets {
    slots: OnceLock<Box<[Slot]>>,
    hasher: RandomState,
}

impl Buckets {
    /// Whose bucket this client takes from.
    #[must_use]
    pub fn id(&self, key: &ClientKey) -> BucketId {
        BucketId(self.hasher.hash_one(key).max(1))
    }

    fn places(&self, id: BucketId) -> impl Iterator<Item = &Slot> {
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| Slot::default()).collect());
        // The low bits choose the place in the table of a core.
        let first = (id.0 >> 32) as usize;
        (0..PROBES).map(move |step| &slots[(first + step) % SLOTS])
    }

    fn found(&self, id: BucketId) -> Option<&Slot> {
        self.places(id).find(|slot| slot.owner.load(Ordering::Relaxed) == id.0)
    }

    /// The bucket of a client. A new client gets one that nobody has used, or the one nearest to
    /// being full with all that it lacks: no token comes of changing hands.
    fn slot(&self, id: BucketId) -> &Slot {
        if let Some(slot) = self.found(id) {
            return slot;
        }
        let rank = |slot: &&Slot| match slot.owner.load(Ordering::Relaxed) {
            0 => 0,
            _ => slot.full_at_ns.load(Ordering::Relaxed).max(1),
        };
        let slot = self.places(id).min_by_key(rank).expect("there is more than one place");
        slot.owner.store(id.0, Ordering::Relaxed);
        // Two cores that see a client first at the same moment agree on the first place.
        self.found(id).unwrap_or(slot)
    }

    /// Takes up to `wanted` tokens, at least one, and returns how many.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&self, id: BucketId, rate: Rate, wanted: u64, now_ns: u64) -> Result<u64, Empty> {
        let slot = self.slot(id);
        let end_ns = now_ns.saturating_add(rate.time_of(rate.burst));
        let mut full_at_ns = slot.full_at_ns.load(Ordering::Relaxed);
        loop {
            let from_ns = full_at_ns.max(now_ns);
            let tokens = rate.tokens_in(end_ns.saturating_sub(from_ns)).min(wanted);
            if tokens == 0 {
                let next_ns = from_ns.saturating_add(rate.time_of(1));
                return Err(Empty { wait_ns: next_ns.saturating_sub(end_ns) });
            }
            let to_ns = from_ns.saturating_add(rate.time_of(tokens));
            let swapped = slot.full_at_ns.compare_exchange_weak(
                full_at_ns,
                to_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(tokens),
                Err(seen) => full_at_ns = seen,
            }
        }
    }

    /// Puts back tokens that were taken and not used.
    pub fn give_back(&self, id: BucketId, rate: Rate, tokens: u64) {
        let Some(slot) = self.found(id) else { return };
        let time_ns = rate.time_of(tokens);
        let earlier = |full_at_ns: u64| Some(full_at_ns.saturating_sub(time_ns));
        // It never refuses.
        let _always = slot.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    }

    /// How a client stands; `leased` tokens of it are with the core that asks.
    #[must_use]
    pub fn standing(&self, id: BucketId, rate: Rate, leased: u64, now_ns: u64) -> Standing {
        let full_at_ns = self.found(id).map_or(0, |slot| slot.full_at_ns.load(Ordering::Relaxed));
        let owed_ns = full_at_ns.saturating_sub(now_ns);
        let left = rate.tokens_in(rate.time_of(rate.burst).saturating_sub(owed_ns));
        Standing {
            limit: rate.burst,
            remaining: (left + leased).min(rate.burst),
            reset_secs: owed_ns.div_ceil(SECOND_NS),
        }
    }

    /// Clients that have a bucket that is not full, or was not a minute ago.
    #[must_use]
    pub fn in_use(&self, now_ns: u64) -> usize {
        let is_used = |slot: &&Slot| {
            let idle_at_ns = slot.full_at_ns.load(Ordering::Relaxed).saturating_add(IDLE_NS);
            slot.owner.load(Ordering::Relaxed) != 0 && idle_at_ns > now_ns
        };
        self.slots.get().map_or(0, |slots| slots.iter().filter(is_used).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(10, 5);
    const START_NS: u64 = 1_000 * SECOND_NS;

    fn key(number: u64) -> ClientKey {
        ClientKey::Principal(number)
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let buckets = Buckets::default();
        let id = buckets.id(&key(1));
        assert_eq!(buckets.take(id, RATE, 3, START_NS), Ok(3));
        assert_eq!(buckets.take(id, RATE, 3, START_NS), Ok(2), "what there is");
        let empty = buckets.take(id, RATE, 1, START_NS).expect_err("empty");
        assert_eq!((empty.wait_ns, empty.wait_ms(), empty.wait_secs()), (100_000_000, 100, 1));
        let later_ns = START_NS + 99_999_999;
        assert_eq!(buckets.take(id, RATE, 1, later_ns), Err(Empty { wait_ns: 1 }));
        assert_eq!(buckets.take(id, RATE, 9, START_NS + SECOND_NS / 5), Ok(2));
        let standing = buckets.standing(id, RATE, 0, START_NS + SECOND_NS / 2);
        assert_eq!(standing, Standing { limit: 5, remaining: 3, reset_secs: 1 });
        assert_eq!(buckets.take(id, RATE, 9, START_NS + 60 * SECOND_NS), Ok(5), "never more");
    }

    #[test]
    fn a_rate_by_the_minute_grows_all_the_minute() {
        let (buckets, rate) = (Buckets::default(), Rate::per_minute(6));
        let id = buckets.id(&key(1));
        assert_eq!(buckets.take(id, rate, 9, START_NS), Ok(6));
        let empty = buckets.take(id, rate, 1, START_NS).expect_err("empty");
        assert_eq!(empty.wait_secs(), 10);
        assert_eq!(buckets.take(id, rate, 9, START_NS + 30 * SECOND_NS), Ok(3));
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let buckets = Buckets::default();
        let id = buckets.id(&key(1));
        assert_eq!(buckets.take(id, RATE, 5, START_NS), Ok(5));
        buckets.give_back(id, RATE, 2);
        assert_eq!(buckets.take(id, RATE, 5, START_NS), Ok(2));
    }

    #[test]
    fn odd_rates_give_nothing_away() {
        for (per_second, burst) in [(3, 7), (9_999_991, 1)] {
            let rate = Rate::per_second(per_second, burst);
            let buckets = Buckets::default();
            let id = buckets.id(&key(1));
            let mut taken = 0;
            for step in 0..1000 {
                let now_ns = START_NS + step * SECOND_NS / 1000;
                while buckets.take(id, rate, 1, now_ns).is_ok() {
                    taken += 1;
                }
            }
            assert!(taken <= burst + per_second, "{rate:?} {taken}");
        }
    }

    #[test]
    fn more_clients_than_places_gain_nothing() {
        let buckets = Buckets::default();
        // Ten clients whose buckets can only be in the same places.
        let ids: Vec<BucketId> = (1..=10).map(|low| BucketId(7 << 32 | low)).collect();
        let mut taken = 0;
        for _ in 0..100 {
            for id in &ids {
                taken += buckets.take(*id, RATE, 1, START_NS).unwrap_or(0);
            }
        }
        assert_eq!(taken, PROBES as u64 * RATE.burst);
        assert_eq!(buckets.in_use(START_NS), PROBES);
    }

    #[test]
    fn buckets_of_idle_clients_are_forgotten_after_a_minute() {
        let buckets = Buckets::default();
        buckets.take(buckets.id(&key(1)), RATE, 5, START_NS).expect("tokens");
        let full_ns = START_NS + SECOND_NS / 2;
        assert_eq!(buckets.in_use(full_ns + IDLE_NS - 1), 1);
        assert_eq!(buckets.in_use(full_ns + IDLE_NS), 0);
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        let (buckets, rate) = (Buckets::default(), Rate::per_second(1, 1000));
        let id = buckets.id(&key(1));
        let take = || (0..2000).filter(|_| buckets.take(id, rate, 1, START_NS).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 1000);
    }
}
