//! Tokens that one core has leased of its clients' buckets, so that it shares a write with the
//! other cores once in many commands.
//!
//! All leases of a client together are at most a tenth of a full bucket, however many cores there
//! are; where that is less than a token for each core, tokens are taken one by one. So a client
//! gets what its rate says, a tenth of the burst more or less.

use super::bucket::{BucketId, Buckets, Empty, Rate, Standing};
use super::client::Payer;

/// Clients of one core whose leases are kept, a power of two; one beyond takes another's place.
const PLACES: usize = 4096;
/// What part of a full bucket all cores together may lease.
const PART: u64 = 10;

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: BucketId,
    rate: Rate,
    tokens: u64,
}

/// A place without a lease.
const NOTHING: Lease = Lease { id: BucketId(0), rate: Rate::per_minute(1), tokens: 0 };

/// The leases of one core.
#[derive(Debug, Default)]
pub struct Leases {
    /// Of everybody without a rate of its own; nothing while they have no limit.
    rate: Option<Rate>,
    /// Somebody has a rate of its own.
    has_own: bool,
    cores: u64,
    places: Vec<Lease>,
}

impl Leases {
    /// Limits by this rate from now on, on one of so many cores; nothing is no limit but for those
    /// who have a rate of their own.
    pub fn set_rate(&mut self, rate: Option<Rate>, cores: usize) {
        if rate != self.rate || cores as u64 != self.cores {
            (self.rate, self.cores) = (rate, cores as u64);
            self.places.clear();
        }
        self.settle();
    }

    /// Whether anybody has a rate of its own.
    pub fn set_own(&mut self, has_own: bool) {
        self.has_own = has_own;
        self.settle();
    }

    fn settle(&mut self) {
        let places = if self.is_on() { PLACES } else { 0 };
        self.places.resize(places, NOTHING);
    }

    /// Whether requests are limited, of some at least.
    #[must_use]
    #[inline]
    pub fn is_on(&self) -> bool {
        self.rate.is_some() || self.has_own
    }

    /// A token of this client.
    ///
    /// # Errors
    /// It has none left.
    pub fn take(&mut self, buckets: &Buckets, payer: &Payer, now_ns: u64) -> Result<(), Empty> {
        let Some(rate) = payer.rate.or(self.rate) else { return Ok(()) };
        let id = buckets.id(&payer.key);
        let Some(place) = self.places.get_mut(id.0 as usize % PLACES) else { return Ok(()) };
        if place.id != id || place.rate != rate {
            if place.tokens > 0 {
                buckets.give_back(place.id, place.rate, place.tokens);
            }
            *place = Lease { id, rate, tokens: 0 };
        }
        if place.tokens == 0 {
            let batch = (rate.burst() / (PART * self.cores.max(1))).max(1);
            place.tokens = buckets.take(id, rate, batch, now_ns)?;
        }
        place.tokens -= 1;
        Ok(())
    }

    /// How this client stands; nothing without a limit.
    #[must_use]
    pub fn standing(&self, buckets: &Buckets, payer: &Payer, now_ns: u64) -> Option<Standing> {
        let rate = payer.rate.or(self.rate)?;
        let id = buckets.id(&payer.key);
        let place = self.places.get(id.0 as usize % PLACES)?;
        let leased = if place.id == id { place.tokens } else { 0 };
        Some(buckets.standing(id, rate, leased, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ClientKey;

    const SECOND_NS: u64 = 1_000_000_000;

    fn payer(number: u64) -> Payer {
        Payer { key: ClientKey::Principal(number), rate: None }
    }

    /// Tokens that a client gets of so many cores, asking all of them all the time.
    fn taken(rate: Rate, cores: usize, seconds: u64) -> u64 {
        let buckets = Buckets::default();
        let mut all: Vec<Leases> = (0..cores).map(|_| Leases::default()).collect();
        all.iter_mut().for_each(|leases| leases.set_rate(Some(rate), cores));
        let mut taken = 0;
        for step in 0..=seconds * 100 {
            let now_ns = 1_000 * SECOND_NS + step * SECOND_NS / 100;
            for leases in &mut all {
                while leases.take(&buckets, &payer(7), now_ns).is_ok() {
                    taken += 1;
                }
            }
        }
        taken
    }

    #[test]
    fn cores_together_keep_to_the_rate() {
        for (per_second, burst) in [(1000, 100), (100, 10), (5000, 2000), (50, 1)] {
            for cores in [1, 2, 7, 64] {
                let rate = Rate::per_second(per_second, burst);
                let found = taken(rate, cores, 5);
                // In steps of 10 ms a bucket of less than their growth overflows.
                let expected = burst + 5 * per_second.min(burst * 100);
                let error = expected.abs_diff(found);
                assert!(error * 10 <= burst.max(10), "{rate:?} on {cores}: {found} of {expected}");
            }
        }
    }

    #[test]
    fn leases_that_nobody_uses_are_a_tenth_of_the_burst() {
        let (buckets, rate, cores) = (Buckets::default(), Rate::per_second(1, 1000), 8);
        let key = payer(7);
        let mut all: Vec<Leases> = (0..cores).map(|_| Leases::default()).collect();
        for leases in &mut all {
            leases.set_rate(Some(rate), cores);
            leases.take(&buckets, &key, SECOND_NS).expect("a token");
        }
        let mut more = 0;
        while all[0].take(&buckets, &key, SECOND_NS).is_ok() {
            more += 1;
        }
        assert!((900..=1000).contains(&(more + cores)), "{more}");
    }

    #[test]
    fn a_displaced_lease_goes_back() {
        let (buckets, rate) = (Buckets::default(), Rate::per_second(1, 100));
        let mut leases = Leases::default();
        leases.set_rate(Some(rate), 1);
        let first = payer(0);
        leases.take(&buckets, &first, SECOND_NS).expect("a token");
        let place = buckets.id(&first.key).0 as usize % PLACES;
        let shares_place = |one: &Payer| buckets.id(&one.key).0 as usize % PLACES == place;
        let other = (1..).map(payer).find(shares_place).expect("one of many");
        leases.take(&buckets, &other, SECOND_NS).expect("a token");
        let standing = leases.standing(&buckets, &first, SECOND_NS).expect("limited");
        assert_eq!(standing.remaining, 99);
        leases.set_rate(None, 1);
        assert_eq!(leases.standing(&buckets, &first, SECOND_NS), None);
    }

    #[test]
    fn a_rate_of_its_own_holds_also_where_others_have_none() {
        let (buckets, mut leases) = (Buckets::default(), Leases::default());
        leases.set_rate(None, 2);
        assert!(!leases.is_on());
        leases.set_own(true);
        assert!(leases.is_on());
        let own = Payer { rate: Some(Rate::per_minute(3)), ..payer(1) };
        let mut take = |payer: Payer| leases.take(&buckets, &payer, SECOND_NS).is_ok();
        assert_eq!((0..9).filter(|_| take(own)).count(), 3);
        assert_eq!((0..99).filter(|_| take(payer(2))).count(), 99);
        let standing = leases.standing(&buckets, &own, SECOND_NS).expect("limited");
        assert_eq!((standing.limit, standing.remaining), (3, 0));
        leases.set_own(false);
        assert!(leases.take(&buckets, &own, SECOND_NS).is_ok(), "no place, no limit");
    }
}
