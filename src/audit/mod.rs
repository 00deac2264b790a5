//! Security events: who could not log in, was refused, changed accounts or settings, emptied or
//! stopped the server. They go to the log, target `audit`, and into a bounded list in memory that
//! administrators can read.
//!
//! [`record`] is cheap and never waits: it asks a throttle of atomics, and hands the event to a
//! thread of its own; what the throttle or a full queue leaves out is counted and said with the
//! next event of its kind. No secret can get in: an event is made of fixed words, numbers,
//! addresses and [`Name`]s.

pub mod event;
mod journal;
pub mod show;
mod throttle;

use std::sync::LazyLock;
use std::time::Duration;

use synap_io::clock;

pub use event::{Event, Kind, Name, Who};
pub use journal::{Journal, Page, Recorded};

/// Numbers of events begin with the time of the start, so none is given again after a restart.
static JOURNAL: LazyLock<Journal> = LazyLock::new(|| Journal::start(clock::unix_ms() * 1000));

/// Notes an event.
pub fn record(event: Event) {
    JOURNAL.record(event);
}

/// Events after the one of this number, oldest first, `most` of them.
#[must_use]
pub fn read(after: u64, most: usize) -> Page {
    JOURNAL.read(after, most)
}

/// How many events of each kind were recorded and left out since the start.
#[must_use]
pub fn counts() -> Vec<(Kind, u64, u64)> {
    JOURNAL.counts()
}

/// Waits until what was recorded before is in the log, a second at most: before the process ends.
pub fn settle() {
    JOURNAL.settle(Duration::from_secs(1));
}
