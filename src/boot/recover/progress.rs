//! How far a recovery has come: counted by the threads that work on it, told to the log, to the
//! service manager, and to whoever asks the HTTP port meanwhile.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::notify::{Notifier, State};

/// How often progress is told.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time asked of the service manager beyond each telling.
const EXTEND: Duration = Duration::from_secs(30);

/// What is done, out of what is to be done. In bytes of files, because these are known before.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    total_bytes: AtomicU64,
    done_bytes: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Nothing to do, as far as is known.
    #[must_use]
    pub fn new() -> Self {
        let (total_bytes, done_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { started: Instant::now(), total_bytes, done_bytes }
    }

    /// More was found that is to be read.
    pub(super) fn expect(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// These bytes, the first that were read, turned out to be of no use.
    pub(super) fn forget(&self, bytes: u64) {
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.done_bytes.store(0, Ordering::Relaxed);
    }

    /// So much more was read.
    pub(super) fn pass(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Bytes read, bytes to be read, bytes per second, seconds left.
    fn figures(&self) -> (u64, u64, f64, f64) {
        let done = self.done_bytes.load(Ordering::Relaxed);
        let total = self.total_bytes.load(Ordering::Relaxed).max(done);
        let rate = done as f64 / self.elapsed().as_secs_f64().max(0.001);
        let left = if done == 0 { 0.0 } else { (total - done) as f64 / rate };
        (done, total, rate, left)
    }

    /// The same as an object of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let (done, total, rate, left) = self.figures();
        format!(
            r#"{{"bytes":{done},"bytes_total":{total},"bytes_per_second":{rate:.0},"remaining_seconds":{left:.0}}}"#
        )
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        let (done, total, rate, left) = self.figures();
        let percent = if total == 0 { 0.0 } else { done as f64 * 100.0 / total as f64 };
        let (done, total, rate) = (done as f64 / MIB, total as f64 / MIB, rate / MIB);
        write!(
            f,
            "recovering: {done:.0} of {total:.0} MiB ({percent:.0} %), {rate:.0} MiB/s, \
             {left:.0} s left"
        )
    }
}

/// Tells of progress, now and then.
pub(super) struct Teller<'a> {
    progress: &'a Progress,
    notifier: Option<&'a Notifier>,
    next: Instant,
}

impl<'a> Teller<'a> {
    pub(super) fn new(progress: &'a Progress, notifier: Option<&'a Notifier>) -> Self {
        Self { progress, notifier, next: Instant::now() + INTERVAL }
    }

    /// How long nothing is to be told.
    pub(super) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Tells, if it is time.
    pub(super) fn tell(&mut self) {
        if !self.pause().is_zero() {
            return;
        }
        self.next = Instant::now() + INTERVAL;
        let line = self.progress.to_string();
        tracing::info!("{line}");
        if let Some(notifier) = self.notifier {
            notifier.tell(State::Extend(EXTEND));
            notifier.tell(State::Status(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_done_and_what_is_left() {
        let progress = Progress::new();
        assert!(progress.to_string().starts_with("recovering: 0 of 0 MiB (0 %)"));
        progress.expect(8 << 20);
        progress.pass(2 << 20);
        assert!(progress.to_string().starts_with("recovering: 2 of 8 MiB (25 %)"), "{progress}");
        let json: serde_json::Value = serde_json::from_str(&progress.json()).expect("JSON");
        assert_eq!(json["bytes_total"], 8 << 20);
        assert_eq!(json["bytes"], 2 << 20);
    }
}
