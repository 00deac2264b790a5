//! Rates of one core for `INFO` (`instantaneous_ops_per_sec` and its like).

use crate::metrics::CoreMetrics;

/// Turns the counters of a core into rates. The pump calls [`RateSampler::sample`] about ten times
/// a second, from the core that owns the counters.
#[derive(Debug, Default)]
pub struct RateSampler {
    before: Option<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic_ns: u64,
    commands: u64,
    received: u64,
    sent: u64,
}

/// Time over which a rate is taken, in nanoseconds.
const WINDOW_NS: u64 = 1_000_000_000;

impl RateSampler {
    /// Refreshes the rates in `metrics` if a second has passed since they were.
    pub fn sample(&mut self, metrics: &CoreMetrics, monotonic_ns: u64) {
        let passed = self.before.map(|before| monotonic_ns.saturating_sub(before.monotonic_ns));
        if passed.is_some_and(|passed| passed < WINDOW_NS) {
            return;
        }
        let now = Reading {
            monotonic_ns,
            commands: metrics.commands.iter().map(|stat| stat.calls.get()).sum(),
            received: metrics.bytes_received.get(),
            sent: metrics.bytes_sent.get(),
        };
        if let (Some(before), Some(passed)) = (self.before, passed) {
            let rate = |now: u64, before: u64| {
                let wide = u128::from(now.saturating_sub(before)) * u128::from(WINDOW_NS);
                u64::try_from(wide / u128::from(passed)).unwrap_or(u64::MAX)
            };
            metrics.commands_per_second.set(rate(now.commands, before.commands));
            metrics.bytes_received_per_second.set(rate(now.received, before.received));
            metrics.bytes_sent_per_second.set(rate(now.sent, before.sent));
        }
        self.before = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let (metrics, mut sampler) = (CoreMetrics::default(), RateSampler::default());
        sampler.sample(&metrics, 0);
        (0..300).for_each(|_| metrics.commands[0].record(1, false));
        sampler.sample(&metrics, WINDOW_NS / 2);
        assert_eq!(metrics.commands_per_second.get(), 0);
        sampler.sample(&metrics, 3 * WINDOW_NS);
        assert_eq!(metrics.commands_per_second.get(), 100);
    }
}
