//! Tokens that one core has leased of its clients' buckets, so that it shares a write with the
//! other cores once in many commands.
//!
//! All leases of a client together are at most a tenth of a full bucket, however many cores there
//! are; where that is less than a token for each core, tokens are taken one by one. So a client
//! gets what its rate says, a tenth of the burst more or less.

use super::bucket::{BucketId, Buckets, Empty, Rate, Standing};
use super::client::ClientKey;

/// Clients of one core whose leases are kept, a power of two; one beyond takes another's place.
const PLACES: usize = 4096;
/// What part of a full bucket all cores together may lease.
const PART: u64 = 10;

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: BucketId,
    tokens: u64,
}

/// The leases of one core.
#[derive(Debug, Default)]
pub struct Leases {
    /// Nothing while there is no limit.
    rate: Option<Rate>,
    /// Tokens leased at once.
    batch: u64,
    places: Vec<Lease>,
}

impl Leases {
    /// Limits by this rate from now on, on one of so many cores; nothing is no limit.
    pub fn set_rate(&mut self, rate: Option<Rate>, cores: usize) {
        if rate == self.rate {
            return;
        }
        self.rate = rate;
        self.batch = rate.map_or(0, |rate| (rate.burst / (PART * cores.max(1) as u64)).max(1));
        let nothing = Lease { id: BucketId(0), tokens: 0 };
        self.places = vec![nothing; if rate.is_some() { PLACES } else { 0 }];
    }

    /// Whether requests are limited.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.rate.is_some()
    }

    /// A token of this client.
    ///
    /// # Errors
    /// It has none left.
    pub fn take(&mut self, buckets: &Buckets, key: &ClientKey, now_ns: u64) -> Result<(), Empty> {
        let Some(rate) = self.rate else { return Ok(()) };
        let id = buckets.id(key);
        let place = &mut self.places[id.0 as usize % PLACES];
        if place.id != id {
            if place.tokens > 0 {
                buckets.give_back(place.id, rate, place.tokens);
            }
            *place = Lease { id, tokens: 0 };
        }
        if place.tokens == 0 {
            place.tokens = buckets.take(id, rate, self.batch, now_ns)?;
        }
        place.tokens -= 1;
        Ok(())
    }

    /// How this client stands; nothing without a limit.
    #[must_use]
    pub fn standing(&self, buckets: &Buckets, key: &ClientKey, now_ns: u64) -> Option<Standing> {
        let rate = self.rate?;
        let id = buckets.id(key);
        let place = &self.places[id.0 as usize % PLACES];
        let leased = if place.id == id { place.tokens } else { 0 };
        Some(buckets.standing(id, rate, leased, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Tokens that a client gets of so many cores, asking all of them all the time.
    fn taken(rate: Rate, cores: usize, seconds: u64) -> u64 {
        let buckets = Buckets::default();
        let mut all: Vec<Leases> = (0..cores).map(|_| Leases::default()).collect();
        all.iter_mut().for_each(|leases| leases.set_rate(Some(rate), cores));
        let mut taken = 0;
        for step in 0..=seconds * 100 {
            let now_ns = 1_000 * SECOND_NS + step * SECOND_NS / 100;
            for leases in &mut all {
                while leases.take(&buckets, &ClientKey::Principal(7), now_ns).is_ok() {
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
                let rate = Rate { per_second, burst };
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
        let (buckets, rate, cores) = (Buckets::default(), Rate { per_second: 1, burst: 1000 }, 8);
        let key = ClientKey::Principal(7);
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
        let (buckets, rate) = (Buckets::default(), Rate { per_second: 1, burst: 100 });
        let mut leases = Leases::default();
        leases.set_rate(Some(rate), 1);
        let first = ClientKey::Principal(0);
        leases.take(&buckets, &first, SECOND_NS).expect("a token");
        let place = buckets.id(&first).0 as usize % PLACES;
        let shares_place = |key: &ClientKey| buckets.id(key).0 as usize % PLACES == place;
        let other = (1..).map(ClientKey::Principal).find(shares_place).expect("one of many");
        leases.take(&buckets, &other, SECOND_NS).expect("a token");
        let standing = leases.standing(&buckets, &first, SECOND_NS).expect("limited");
        assert_eq!(standing.remaining, 99);
        leases.set_rate(None, 1);
        assert_eq!(leases.standing(&buckets, &first, SECOND_NS), None);
    }
}
