//! The thread that decides when a snapshot is taken, and tells who waits what came of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use synap_io::clock;
use synap_io::doorbell::Doorbell;
use synap_io::executor;
use synap_io::snapshot::{self, Codec, Compression, SnapshotName};
use synap_io::wal;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::id::Epoch;

use super::retention::Retention;
use super::run::{Failure, Taken};
use super::trigger::{Reason, Situation, Triggers};
use super::{Input, Order, Snapshots, Waiter, Wanted};
use crate::config::{Config, SnapshotCodec};
use crate::pump::Message;
use crate::shared::Shared;

/// How often triggers are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const MIB: u64 = 1024 * 1024;
/// From this share of the live data on, a snapshot is a bulky one.
const BULKY_PERCENT: u64 = 60;

/// What the coordinator works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where snapshots are.
    pub(super) directory: PathBuf,
    /// Where the log is.
    pub(super) log: PathBuf,
    /// Where the manifest is.
    pub(super) data: PathBuf,
    pub(super) epoch: Epoch,
    pub(super) images: Compression,
    pub(super) tails: Compression,
    pub(super) retention: Retention,
    pub(super) triggers: Triggers,
}

impl Options {
    /// As the configuration says; nothing when no snapshots are to be taken.
    pub fn from_config(config: &Config, epoch: Epoch) -> Option<Self> {
        let (wal, snapshot) = (&config.persistence.wal, &config.persistence.snapshot);
        if !config.persistence.enabled || !snapshot.enabled {
            return None;
        }
        let codec = match snapshot.codec {
            _ if !snapshot.compression => Codec::None,
            SnapshotCodec::Zstd => Codec::Zstd,
            SnapshotCodec::Lz4 => Codec::Lz4,
        };
        let images = Compression { codec, level: snapshot.compression_level.into() };
        // The clients' writes must not come faster than their copy is compressed.
        let tails = if snapshot.compression { Codec::Lz4 } else { Codec::None };
        Some(Self {
            directory: snapshot.directory.clone(),
            log: wal.path.clone(),
            data: config.data_dir.clone(),
            epoch,
            images,
            tails: Compression { codec: tails, ..images },
            retention: Retention {
                count: snapshot.max_snapshots,
                percent: snapshot.max_total_percent,
            },
            triggers: Triggers {
                interval: Duration::from_secs(snapshot.interval_secs),
                operations: snapshot.operation_threshold,
                log_bytes: wal.max_size_mb.saturating_mul(MIB),
                automatic: snapshot.auto_snapshot,
            },
        })
    }
}

/// Takes snapshots until told to stop.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    pub(super) cores: Vec<(Sender<Message>, Doorbell)>,
    pub(super) inbox: Receiver<Input>,
    pub(super) answers: Sender<Input>,
    /// Who waits for the snapshot that is running, or for the next one when none is.
    pub(super) waiting: Vec<Waiter>,
    /// Who came too late for the one that is running.
    pub(super) late: Vec<Waiter>,
    pub(super) asked: bool,
    pub(super) stopped: bool,
    pub(super) runs: u64,
    /// Of each snapshot, files of events that nothing from it on needs.
    pub(super) unneeded_files: Vec<(SnapshotName, BTreeSet<u64>)>,
    last: Last,
    /// Bytes of log found at the start; gone after the first snapshot.
    old_log_bytes: u64,
}

/// What is remembered of the last snapshot.
#[derive(Clone, Copy, Debug)]
struct Last {
    begin: Instant,
    end: Instant,
    failed: bool,
    /// Bytes of log that were written when the last good one began.
    covered_bytes: u64,
}

impl Coordinator {
    /// For cores reached through `cores`; `inbox` is where [`Snapshots`] sends, and `answers` leads
    /// there too.
    pub fn new(
        options: Options,
        shared: Arc<Shared>,
        cores: Vec<(Sender<Message>, Doorbell)>,
        (answers, inbox): (Sender<Input>, Receiver<Input>),
    ) -> Self {
        let now = Instant::now();
        let last = Last { begin: now, end: now, failed: false, covered_bytes: 0 };
        let old_log_bytes = wal::log_bytes(&options.log).unwrap_or_default();
        Self {
            options,
            shared,
            cores,
            inbox,
            answers,
            waiting: Vec::new(),
            late: Vec::new(),
            asked: false,
            stopped: false,
            runs: 0,
            unneeded_files: Vec::new(),
            last,
            old_log_bytes,
        }
    }

    /// Starts its thread.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("synap-snapshots".to_owned()).spawn(move || {
            // The threads it starts inherit its priority, and some may need that of the cores.
            executor::unpin_thread();
            self.work();
        })
    }

    fn work(mut self) {
        self.sweep();
        while !self.stopped {
            match self.inbox.recv_timeout(LOOK_INTERVAL) {
                Ok(input) => self.hear(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.refresh();
            let reason = if self.asked || !self.waiting.is_empty() {
                Some(Reason::Asked)
            } else {
                self.options.triggers.due(&self.situation())
            };
            if let Some(reason) = reason.filter(|_| !self.stopped) {
                self.take(reason);
            }
        }
        self.late.append(&mut self.waiting);
        for waiter in std::mem::take(&mut self.late) {
            self.reply(&waiter, failed(&Failure::Stopping));
        }
    }

    /// Input while nothing is running.
    fn hear(&mut self, input: Input) {
        match input {
            Input::Ask(Some(waiter)) => self.waiting.push(waiter),
            Input::Ask(None) => self.asked = true,
            Input::Stop => self.stopped = true,
            // News about a snapshot that was given up.
            Input::Answer(..) => {}
        }
    }

    pub(super) fn snapshots(&self) -> &Snapshots {
        self.shared.snapshots.as_ref().expect("there is a coordinator only with snapshots")
    }

    pub(super) fn sweep(&self) {
        match snapshot::sweep(&self.options.directory) {
            Ok(swept) if swept.files == 0 => {}
            Ok(swept) => tracing::info!(
                files = swept.files,
                bytes = swept.bytes,
                "removed what an unfinished snapshot had left"
            ),
            Err(error) => tracing::warn!(%error, "cannot tidy the snapshot directory"),
        }
    }

    fn batches(&self) -> u64 {
        self.shared.metrics.iter().map(|core| core.wal_appends.get()).sum()
    }

    fn log_written(&self) -> u64 {
        self.shared.metrics.iter().map(|core| core.wal_size_bytes.get()).sum()
    }

    /// Brings the size of the log up to date.
    pub(super) fn refresh(&self) {
        let log_bytes = self.old_log_bytes + self.log_written() - self.last.covered_bytes;
        self.snapshots().facts.log_bytes.set(log_bytes);
    }

    /// Bytes of live keys and values.
    pub(super) fn live_bytes(&self) -> u64 {
        self.shared.metrics.iter().map(|core| core.live_bytes.get()).sum()
    }

    fn situation(&self) -> Situation {
        let facts = &self.snapshots().facts;
        Situation {
            since_begin: self.last.begin.elapsed(),
            since_end: self.last.end.elapsed(),
            last_took: self.last.end - self.last.begin,
            last_failed: self.last.failed,
            changes: self.batches() - facts.covered_batches.get(),
            log_bytes: facts.log_bytes.get(),
            live_bytes: self.live_bytes(),
            is_bulky: self.is_bulky(),
        }
    }

    /// Whether snapshots take about as much disk as the data takes memory: they are not compressed,
    /// or the last one came to that.
    pub(super) fn is_bulky(&self) -> bool {
        let last_bytes = self.snapshots().facts.last_bytes.get();
        self.options.images.codec == Codec::None
            || last_bytes > self.live_bytes() / 100 * BULKY_PERCENT
    }

    fn take(&mut self, reason: Reason) {
        let (batches, written) = (self.batches(), self.log_written());
        let begin = Instant::now();
        self.asked = false;
        self.sweep();
        self.snapshots().begun(clock::unix_ms());
        tracing::info!(reason = reason.name(), "snapshot begins");
        let outcome = self.run();
        self.last = Last { begin, end: Instant::now(), failed: outcome.is_err(), ..self.last };
        if outcome.is_ok() {
            self.last.covered_bytes = written;
            self.old_log_bytes = 0;
        }
        self.note(&outcome, batches, begin.elapsed());
        for waiter in std::mem::take(&mut self.waiting) {
            let reply = match &outcome {
                Ok(taken) => answer(taken, waiter.answer, begin.elapsed()),
                Err(error) => failed(error),
            };
            self.reply(&waiter, reply);
        }
        self.waiting = std::mem::take(&mut self.late);
    }

    fn note(&self, outcome: &Result<Taken, Failure>, batches: u64, took: Duration) {
        let facts = &self.snapshots().facts;
        facts.last_duration_ms.set(took.as_millis() as u64);
        facts.last_failed.set(u64::from(outcome.is_err()));
        match outcome {
            Ok(taken) => {
                facts.last_success_secs.set(clock::unix_ms() / 1000);
                facts.last_bytes.set(taken.bytes);
                facts.last_entries.set(taken.entries);
                facts.covered_batches.set(batches);
                facts.taken.add(1);
                tracing::info!(
                    name = %taken.name,
                    entries = taken.entries,
                    bytes = taken.bytes,
                    milliseconds = took.as_millis() as u64,
                    "snapshot written"
                );
            }
            Err(Failure::Stopping) => tracing::info!("snapshot given up: the server is stopping"),
            Err(error) => {
                facts.failed.add(1);
                tracing::error!(%error, "snapshot failed; the server goes on, the log is kept");
            }
        }
        self.refresh();
        self.snapshots().ended(self.asked);
    }

    fn reply(&self, waiter: &Waiter, reply: Reply<'static>) {
        let (conn, ticket) = (waiter.conn, waiter.ticket);
        self.tell(waiter.core.index(), Message::Reply { conn, ticket, reply: Box::new(reply) });
    }

    pub(super) fn order(&self, order: impl Fn() -> Order) {
        for core in 0..self.cores.len() {
            self.tell(core, Message::Snapshot(order()));
        }
    }

    pub(super) fn tell(&self, core: usize, message: Message) {
        let (inbox, bell) = &self.cores[core];
        // A core that has ended needs no message.
        let _ended = inbox.send(message);
        bell.ring();
    }
}

fn failed(error: &Failure) -> Reply<'static> {
    CommandError::Failed { what: "the snapshot failed", why: error.to_string() }.into()
}

fn answer(taken: &Taken, wanted: Wanted, took: Duration) -> Reply<'static> {
    let number = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let name = |name: &str| Reply::string(name);
    match wanted {
        Wanted::Word => Reply::Ok,
        Wanted::Report => Reply::Map(vec![
            (name("name"), Reply::string(taken.name.to_string())),
            (name("path"), Reply::string(taken.path.display().to_string())),
            (name("offset"), number(taken.name.offset)),
            (name("size_bytes"), number(taken.bytes)),
            (name("entries"), number(taken.entries)),
            (name("duration_ms"), number(took.as_millis() as u64)),
        ]),
    }
}
