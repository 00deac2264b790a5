//! How many snapshots stay. Pure: it is told their sizes.

/// Snapshots up to this size together are too small to be worth deleting early.
const BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What bounds the snapshots that stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Retention {
    /// At most so many; at least one.
    pub(super) count: usize,
    /// At most so many bytes together, percent of the live data; zero for no such bound.
    pub(super) percent: u64,
}

impl Retention {
    /// How many of the snapshots of these sizes, newest first, stay. The newest always does: the
    /// log before it is gone.
    pub(super) fn keeps(self, live_bytes: u64, newest_first: impl Iterator<Item = u64>) -> usize {
        let bytes_max = match self.percent {
            0 => u64::MAX,
            percent => BYTES_MIN.max((live_bytes / 100).saturating_mul(percent)),
        };
        let mut bytes = 0u64;
        let fits = newest_first.take(self.count).take_while(|size| {
            bytes = bytes.saturating_add(*size);
            bytes <= bytes_max
        });
        fits.count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn kept(count: usize, percent: u64, live_mib: u64, sizes_mib: &[u64]) -> usize {
        let sizes = sizes_mib.iter().map(|size| size * MIB);
        Retention { count, percent }.keeps(live_mib * MIB, sizes)
    }

    #[test]
    fn the_number_bounds() {
        assert_eq!(kept(5, 100, 4000, &[100; 7]), 5);
        assert_eq!(kept(5, 100, 4000, &[100; 3]), 3);
        assert_eq!(kept(1, 0, 4000, &[100; 7]), 1);
    }

    #[test]
    fn the_bytes_bound_whatever_the_number() {
        assert_eq!(kept(5, 100, 1000, &[400; 5]), 2);
        assert_eq!(kept(5, 120, 1000, &[400; 5]), 3);
        assert_eq!(kept(5, 0, 1000, &[400; 5]), 5);
        // Sizes differ: what is older than one that does not fit goes too.
        assert_eq!(kept(5, 100, 1000, &[400, 700, 10]), 1);
    }

    #[test]
    fn the_newest_stays_and_little_is_no_matter() {
        assert_eq!(kept(5, 100, 1000, &[1200, 1]), 1);
        assert_eq!(kept(5, 100, 1, &[12; 5]), 5);
        assert_eq!(kept(5, 100, 1, &[20; 5]), 3);
        assert_eq!(kept(5, 100, 0, &[u64::MAX / MIB; 2]), 1);
    }
}
