//! The list of events in memory, and the thread that writes them to it and to the log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synap_io::clock;

use super::event::{Event, Kind};
use super::throttle::Throttle;

/// Events that are kept; the oldest give way.
const KEPT_MAX: usize = 4096;
/// Events on their way to the thread; more are left out.
const QUEUE_MAX: usize = 1024;
/// Events that one reading gets at most.
const READ_MAX: usize = 1000;

/// An event as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its number, one more than that of the one before.
    pub id: u64,
    /// When, in Unix milliseconds.
    pub unix_ms: u64,
    /// What.
    pub event: Event,
    /// Events of this kind that were left out since the last one that was not.
    pub left_out: u64,
}

/// Events as one reading gets them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Oldest first.
    pub events: Vec<Recorded>,
    /// What to read after next.
    pub last: u64,
    /// Events between those wanted and these that are kept no more; those of earlier processes do
    /// not count.
    pub lost: u64,
}

enum Told {
    Event(u64, u64, Event),
    Settle(SyncSender<()>),
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<Recorded>,
    /// The number before that of the first event of this process.
    base: u64,
    last: u64,
}

#[derive(Debug, Default)]
struct Counts {
    recorded: [AtomicU64; Kind::ALL.len()],
    left_out: [AtomicU64; Kind::ALL.len()],
    /// Of `left_out`, those that no event has told of yet.
    untold: [AtomicU64; Kind::ALL.len()],
}

/// Events of one process.
#[derive(Debug)]
pub struct Journal {
    sender: SyncSender<Told>,
    kept: Arc<Mutex<Kept>>,
    throttle: Throttle,
    counts: Counts,
}

impl Journal {
    /// An empty one with its thread, whose events have numbers from behind `base` on. Without a
    /// thread every event is left out, and counted.
    pub(super) fn start(base: u64) -> Self {
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let kept = Arc::new(Mutex::new(Kept { events: VecDeque::new(), base, last: base }));
        let theirs = Arc::clone(&kept);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        if let Err(error) = thread.spawn(move || keep(&receiver, &theirs)) {
            tracing::error!(%error, "security events are not recorded: no thread for them");
        }
        Self { sender, kept, throttle: Throttle::new(), counts: Counts::default() }
    }

    pub(super) fn record(&self, event: Event) {
        let (at, unix_ms) = (event.kind as usize, clock::unix_ms());
        let untold = &self.counts.untold[at];
        // Only administrators change accounts, and no change may go unnoticed.
        let is_rare = event.kind == Kind::AccountChanged;
        if is_rare || self.throttle.admits(event.kind, event.address, unix_ms) {
            let left_out = untold.swap(0, Ordering::Relaxed);
            if self.sender.try_send(Told::Event(unix_ms, left_out, event)).is_ok() {
                self.counts.recorded[at].fetch_add(1, Ordering::Relaxed);
                return;
            }
            untold.fetch_add(left_out, Ordering::Relaxed);
        }
        untold.fetch_add(1, Ordering::Relaxed);
        self.counts.left_out[at].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, after: u64, most: usize) -> Page {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.events.front().map_or(kept.last + 1, |event| event.id);
        let after = after.clamp(kept.base, kept.last);
        let next = after + 1;
        let lost = first.saturating_sub(next);
        let skipped = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let wanted = kept.events.iter().skip(skipped).take(most.min(READ_MAX));
        let events: Vec<Recorded> = wanted.cloned().collect();
        let last = events.last().map_or(after, |event| event.id);
        Page { events, last, lost }
    }

    pub(super) fn counts(&self) -> Vec<(Kind, u64, u64)> {
        let of = |counts: &[AtomicU64], kind: Kind| counts[kind as usize].load(Ordering::Relaxed);
        let all = Kind::ALL.into_iter();
        let (recorded, left_out) = (&self.counts.recorded, &self.counts.left_out);
        all.map(|kind| (kind, of(recorded, kind), of(left_out, kind))).collect()
    }

    pub(super) fn settle(&self, patience: Duration) {
        let (sender, receiver) = mpsc::sync_channel(1);
        if self.sender.try_send(Told::Settle(sender)).is_ok() {
            // Late or gone: the process ends all the same.
            let _late = receiver.recv_timeout(patience);
        }
    }
}

fn keep(receiver: &Receiver<Told>, kept: &Mutex<Kept>) {
    for told in receiver {
        let (unix_ms, left_out, event) = match told {
            Told::Event(unix_ms, left_out, event) => (unix_ms, left_out, event),
            Told::Settle(done) => {
                // Whoever asked may have stopped waiting.
                let _gone = done.try_send(());
                continue;
            }
        };
        tracing::info!(
            target: "audit",
            event = event.kind.name(),
            who = %event.who,
            address = event.address.map(tracing::field::display),
            detail = event.detail,
            object = event.object.as_ref().map(tracing::field::display),
            left_out,
            "security event"
        );
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let id = kept.last;
        if kept.events.len() == KEPT_MAX {
            kept.events.pop_front();
        }
        kept.events.push_back(Recorded { id, unix_ms, event, left_out });
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Who;
    use super::*;
    use std::net::IpAddr;

    fn event(kind: Kind, address: u32) -> Event {
        Event::new(kind, Who::Anonymous, Some(IpAddr::from(address.to_be_bytes())), "test")
    }

    #[test]
    fn events_are_read_by_number() {
        let journal = Journal::start(0);
        for address in 0..10 {
            journal.record(event(Kind::Denied, address));
        }
        journal.settle(Duration::from_secs(30));
        let page = journal.read(0, 4);
        let ids: Vec<u64> = page.events.iter().map(|event| event.id).collect();
        assert_eq!((ids, page.last, page.lost), (vec![1, 2, 3, 4], 4, 0));
        assert_eq!(journal.read(4, 100).events.len(), 6);
        let none = journal.read(10, 100);
        assert_eq!((none.events.len(), none.last, none.lost), (0, 10, 0));
        assert_eq!(journal.read(u64::MAX, 1).last, 10);
    }

    #[test]
    fn positions_of_an_earlier_process_are_behind_everything() {
        let journal = Journal::start(5000);
        journal.record(event(Kind::Denied, 1));
        journal.settle(Duration::from_secs(30));
        for after in [0, 17, 5000] {
            let page = journal.read(after, 10);
            assert_eq!((page.events[0].id, page.last, page.lost), (5001, 5001, 0), "{after}");
        }
        assert_eq!(journal.read(9999, 10).last, 5001);
    }

    #[test]
    fn the_oldest_give_way_and_readers_are_told() {
        let journal = Journal::start(0);
        let all = KEPT_MAX as u32 + 50;
        for address in 0..all {
            journal.record(event(Kind::Denied, address));
            if address % 500 == 0 {
                journal.settle(Duration::from_secs(30));
            }
        }
        journal.settle(Duration::from_secs(30));
        let (_, recorded, left_out) = journal.counts()[Kind::Denied as usize];
        assert_eq!(recorded + left_out, u64::from(all));
        let page = journal.read(0, usize::MAX);
        assert_eq!((page.events.len(), page.lost), (READ_MAX, recorded - KEPT_MAX as u64));
    }

    #[test]
    fn what_is_left_out_is_counted_and_told() {
        let journal = Journal::start(0);
        for _ in 0..1000 {
            journal.record(event(Kind::LoginFailed, 7));
        }
        // Another address, whose place is most likely another.
        for address in 8..40 {
            journal.record(event(Kind::LoginFailed, address));
        }
        journal.settle(Duration::from_secs(30));
        let (kind, recorded, left_out) = journal.counts()[Kind::LoginFailed as usize];
        assert_eq!((kind, recorded + left_out), (Kind::LoginFailed, 1032));
        assert!(left_out >= 900, "{left_out}");
        let told: u64 = journal.read(0, 1000).events.iter().map(|event| event.left_out).sum();
        assert!(told >= 900 && told <= left_out, "{told} of {left_out}");
    }
}
