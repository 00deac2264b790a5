//! When a snapshot is due without being asked for. Pure: it is told the time and the counts.

use std::time::Duration;

/// Time between two snapshots that nobody asked for.
const REST_MIN: Duration = Duration::from_secs(1);
/// Time after a failure before the next attempt.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// A log up to this size stands for no snapshot however little there is.
const LOG_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Beyond that, this many times the log may fit into the live data.
const LIVE_DIVISOR: u64 = 3;
/// The same where a snapshot and its successor alone take twice the live data.
const LIVE_DIVISOR_BULKY: u64 = 4;
/// After this part of its own duration the size of the log may trigger the next.
const LOG_REST_DIVISOR: u32 = 4;
/// After this many times its own duration the number of operations may trigger the next.
const OPERATIONS_REST: u32 = 10;

/// What triggers snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Triggers {
    /// This long after the last one, when something changed; zero for never.
    pub(super) interval: Duration,
    /// Batches since the last one; zero for never.
    pub(super) operations: u64,
    /// Bytes of log, at most; less where there is less live data.
    pub(super) log_bytes: u64,
    /// Whether any of these does.
    pub(super) automatic: bool,
}

/// What there is to decide on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Situation {
    /// Since the last one began, or the process started.
    pub(super) since_begin: Duration,
    /// Since the last one ended, or the process started.
    pub(super) since_end: Duration,
    /// How long it took.
    pub(super) last_took: Duration,
    /// Whether it failed.
    pub(super) last_failed: bool,
    /// Batches appended since the last good one began.
    pub(super) changes: u64,
    /// Bytes of log that stand.
    pub(super) log_bytes: u64,
    /// Bytes of live keys and values.
    pub(super) live_bytes: u64,
    /// Whether a snapshot takes about as many.
    pub(super) is_bulky: bool,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    Interval,
    Operations,
    LogSize,
    Asked,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Operations => "operation threshold",
            Self::LogSize => "log size",
            Self::Asked => "asked for",
        }
    }
}

impl Triggers {
    /// What makes a snapshot due, if anything does.
    pub(super) fn due(&self, now: &Situation) -> Option<Reason> {
        let rest = if now.last_failed { REST_AFTER_FAILURE } else { REST_MIN };
        if !self.automatic || now.since_end < rest {
            return None;
        }
        // The log of a busy server grows again while it is being dealt with.
        // A part of the live data: what stands on disk then stays in proportion to it.
        let divisor = if now.is_bulky { LIVE_DIVISOR_BULKY } else { LIVE_DIVISOR };
        let log_bytes_max = self.log_bytes.min(LOG_BYTES_MIN.max(now.live_bytes / divisor));
        if now.log_bytes > log_bytes_max && now.since_end >= now.last_took / LOG_REST_DIVISOR {
            return Some(Reason::LogSize);
        }
        if now.changes == 0 {
            return None;
        }
        if !self.interval.is_zero() && now.since_begin >= self.interval {
            return Some(Reason::Interval);
        }
        let rested = now.since_end >= now.last_took * OPERATIONS_REST;
        (self.operations > 0 && now.changes >= self.operations && rested)
            .then_some(Reason::Operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIGGERS: Triggers = Triggers {
        interval: Duration::from_secs(300),
        operations: 1000,
        log_bytes: 1 << 30,
        automatic: true,
    };
    const QUIET: Situation = Situation {
        since_begin: Duration::from_secs(60),
        since_end: Duration::from_secs(59),
        last_took: Duration::from_secs(1),
        last_failed: false,
        changes: 10,
        log_bytes: 1000,
        live_bytes: 4 << 30,
        is_bulky: false,
    };

    #[test]
    fn each_has_its_reason() {
        assert_eq!(TRIGGERS.due(&QUIET), None);
        let later = Situation { since_begin: Duration::from_secs(300), ..QUIET };
        assert_eq!(TRIGGERS.due(&later), Some(Reason::Interval));
        let busy = Situation { changes: 1000, ..QUIET };
        assert_eq!(TRIGGERS.due(&busy), Some(Reason::Operations));
        let long = Situation { log_bytes: (1 << 30) + 1, ..QUIET };
        assert_eq!(TRIGGERS.due(&long), Some(Reason::LogSize));
        for situation in [later, busy, long] {
            assert_eq!(Triggers { automatic: false, ..TRIGGERS }.due(&situation), None);
        }
        for situation in [later, busy] {
            assert_eq!(TRIGGERS.due(&Situation { changes: 0, ..situation }), None);
        }
        let never = Triggers { interval: Duration::ZERO, operations: 0, ..TRIGGERS };
        assert_eq!(never.due(&later), None);
        assert_eq!(never.due(&busy), None);
    }

    #[test]
    fn a_log_is_long_beside_what_it_stands_for() {
        let at =
            |log_bytes, live_bytes| TRIGGERS.due(&Situation { log_bytes, live_bytes, ..QUIET });
        assert_eq!(at(100 << 20, 300 << 20), None);
        assert_eq!(at((100 << 20) + 1, 300 << 20), Some(Reason::LogSize));
        let bulky = Situation { live_bytes: 400 << 20, is_bulky: true, ..QUIET };
        for (log_bytes, due) in [(100 << 20, None), ((100 << 20) + 1, Some(Reason::LogSize))] {
            assert_eq!(TRIGGERS.due(&Situation { log_bytes, ..bulky }), due);
        }
        assert_eq!(at(LOG_BYTES_MIN, 0), None);
        assert_eq!(at(LOG_BYTES_MIN + 1, 0), Some(Reason::LogSize));
    }

    #[test]
    fn it_rests_between_two() {
        let at = |since_end: u64, situation: Situation| {
            TRIGGERS.due(&Situation { since_end: Duration::from_millis(since_end), ..situation })
        };
        let busy = Situation { changes: 5000, last_took: Duration::from_secs(2), ..QUIET };
        assert_eq!(at(19_999, busy), None);
        assert_eq!(at(20_000, busy), Some(Reason::Operations));
        let long = Situation { log_bytes: u64::MAX, changes: 1, ..busy };
        let slow = Situation { last_took: Duration::from_secs(8), ..long };
        assert_eq!(at(1999, slow), None);
        assert_eq!(at(2000, slow), Some(Reason::LogSize));
        let failed = Situation { last_failed: true, last_took: Duration::ZERO, ..busy };
        assert_eq!(at(9_999, failed), None);
        assert_eq!(at(10_000, failed), Some(Reason::Operations));
    }
}
