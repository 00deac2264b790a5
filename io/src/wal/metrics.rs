//! What a log writer has done, as plain numbers.

/// Upper bounds in microseconds of the sync time buckets; the last bucket takes the rest.
pub const SYNC_BUCKETS_US: [u64; 12] =
    [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 65_536, 262_144];

/// Counters since the writer was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WalMetrics {
    /// Runs appended.
    pub appends: u64,
    /// Bytes appended.
    pub appended_bytes: u64,
    /// Groups written.
    pub groups: u64,
    /// Bytes written, headers and padding included.
    pub written_bytes: u64,
    /// Commits handed to the disk: a write, a sync, or both.
    pub commits: u64,
    /// Commits that included a sync.
    pub syncs: u64,
    /// Segments begun.
    pub segments: u64,
    /// Segments begun without a prepared file at hand.
    pub unprepared_segments: u64,
    /// Commits with a sync by the time from handing over to completion; see [`SYNC_BUCKETS_US`].
    pub sync_time: [u64; SYNC_BUCKETS_US.len() + 1],
    /// Sum of those times, in nanoseconds.
    pub sync_time_ns: u64,
}

impl WalMetrics {
    pub(super) fn observe_sync(&mut self, elapsed_ns: u64) {
        let elapsed_us = elapsed_ns / 1000;
        let bucket = SYNC_BUCKETS_US.partition_point(|bound| *bound < elapsed_us);
        self.sync_time[bucket] += 1;
        self.sync_time_ns += elapsed_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_a_bound_belongs_below_it() {
        let mut metrics = WalMetrics::default();
        metrics.observe_sync(32_000);
        metrics.observe_sync(33_000);
        metrics.observe_sync(u64::MAX / 2);
        assert_eq!((metrics.sync_time[0], metrics.sync_time[1]), (1, 1));
        assert_eq!(metrics.sync_time[SYNC_BUCKETS_US.len()], 1);
    }
}
