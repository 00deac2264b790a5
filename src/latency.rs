//! The latency monitor of one core: for each kind of event, the delays that reached a threshold.
//! At most one delay per second and kind is kept, the worst, and a fixed number of seconds.

use std::collections::{BTreeMap, VecDeque};

/// Seconds that one series keeps, as in Redis.
const SAMPLES_MAX: usize = 160;

/// The worst delay of one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Unix second.
    pub unix_secs: u64,
    /// Delay in milliseconds.
    pub milliseconds: u64,
}

/// The delays of one kind of event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    worst_ms: u64,
}

impl Series {
    /// The kept delays, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// The latest delay.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// The worst delay since the series began, in milliseconds.
    pub fn worst_ms(&self) -> u64 {
        self.worst_ms
    }
}

/// The delays of one core. Kinds of events are named in code, so there are few.
#[derive(Debug, Default)]
pub struct LatencyLog {
    series: BTreeMap<&'static str, Series>,
}

impl LatencyLog {
    /// Notes a delay of an event (`command`, `turn`, `wal-sync`) if it reaches the threshold; a
    /// threshold of zero notes nothing.
    #[inline]
    pub fn note(&mut self, event: &'static str, milliseconds: u64, threshold: u64, unix_ms: u64) {
        if threshold > 0 && milliseconds >= threshold {
            self.keep(event, milliseconds, unix_ms);
        }
    }

    #[cold]
    fn keep(&mut self, event: &'static str, milliseconds: u64, unix_ms: u64) {
        let series = self.series.entry(event).or_default();
        series.worst_ms = series.worst_ms.max(milliseconds);
        let unix_secs = unix_ms / 1000;
        match series.samples.back_mut() {
            Some(last) if last.unix_secs == unix_secs => {
                last.milliseconds = last.milliseconds.max(milliseconds);
            }
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { unix_secs, milliseconds });
            }
        }
    }

    /// Every series with its name.
    pub fn series(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.series.iter().map(|(name, series)| (*name, series))
    }

    /// The series of one kind of event.
    pub fn get(&self, event: &[u8]) -> Option<&Series> {
        let name = std::str::from_utf8(event).ok()?;
        self.series.get(name)
    }

    /// Forgets one series; answers whether there was one.
    pub fn forget(&mut self, event: &[u8]) -> bool {
        std::str::from_utf8(event).is_ok_and(|name| self.series.remove(name).is_some())
    }

    /// Forgets all; answers how many there were.
    pub fn forget_all(&mut self) -> usize {
        let count = self.series.len();
        self.series.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_each_second_is_kept() {
        let mut log = LatencyLog::default();
        log.note("command", 5, 0, 1000);
        log.note("command", 5, 10, 1000);
        assert_eq!(log.series().count(), 0);
        for second in 0..200 {
            log.note("command", 10, 10, second * 1000);
            log.note("command", 10 + second % 7, 10, second * 1000 + 5);
        }
        let series = log.get(b"command").expect("delays were noted");
        assert_eq!((series.samples().count(), series.worst_ms()), (SAMPLES_MAX, 16));
        assert_eq!(series.latest(), Some(Sample { unix_secs: 199, milliseconds: 13 }));
        assert!(log.forget(b"command") && !log.forget(b"command"));
    }
}
