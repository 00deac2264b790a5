//! The log on the disk below the temporary directory (`TMPDIR` names another): appending alone, and
//! group commits of one, 64 and 1024 batches in mode `always`, through both commit paths. What is
//! written is recycled, so the disk does not fill up.

#[allow(clippy::vec_box, reason = "shards change hands as one pointer")]
mod support;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synap_io::clock::monotonic_ns;
use synap_io::reactor::{Completion, Reactor, ReactorError, ReactorOptions};
use synap_io::wal::{CommitPath, FsyncMode, LogStart, WalOptions, Writer};
use synap_shards::id::ShardId;
use synap_shards::seq::Seq;

/// Appended batches between two turns of the log, in the bench of appending alone.
const BATCHES_BETWEEN_TURNS: u32 = 1024;
/// What it lets wait for the disk.
const BACKLOG_BYTES: u64 = 1024 * 1024;

struct Log {
    reactor: Reactor,
    writer: Writer,
    // Removed when the log is dropped.
    _directory: tempfile::TempDir,
}

impl Log {
    /// Nothing where the kernel does not let us make a ring.
    fn open(mode: FsyncMode, path: CommitPath) -> Option<Self> {
        let reactor = match Reactor::new(&ReactorOptions::default()) {
            Ok(reactor) => reactor,
            Err(error @ ReactorError::Setup(_)) => {
                println!("wal_append: SKIPPED, NOTHING MEASURED: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = WalOptions::new(directory.path().to_owned(), 0, 1);
        options.fsync = mode;
        options.path = path;
        let writer = Writer::open(options, LogStart::fresh(), &reactor).expect("open");
        println!("wal_append: direct I/O: {}", writer.is_direct());
        Some(Self { reactor, writer, _directory: directory })
    }

    fn turn(&mut self) {
        self.writer.turn_end(monotonic_ns(), &mut self.reactor).expect("turn end");
        self.reactor.turn(Duration::from_millis(20)).expect("turn");
        self.writer.collect(monotonic_ns()).expect("collect");
        while let Some(completion) = self.reactor.next() {
            if let Completion::Log(done) = completion {
                self.writer.on_completion(done, monotonic_ns()).expect("commit");
            }
        }
    }

    /// Waits until no more than `backlog` bytes are on their way to the disk.
    fn settle(&mut self, backlog: u64) {
        while self.writer.durable().0 + backlog < self.writer.appended().0 {
            self.turn();
        }
        if self.writer.segment() > 2 {
            let before = self.writer.segment() - 1;
            self.writer.release_through(before).expect("recycle");
        }
    }
}

fn bench(c: &mut Criterion) {
    let mut batch = Vec::new();
    support::put(&mut batch, ShardId::new(0), Seq::new(1), &support::key(1));
    let mut group = c.benchmark_group("wal_append");

    if let Some(mut log) = Log::open(FsyncMode::Never, CommitPath::Thread) {
        let mut appended = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function("append", |b| {
            b.iter(|| {
                log.writer.append(&batch);
                appended += 1;
                if appended % BATCHES_BETWEEN_TURNS == 0 {
                    log.settle(BACKLOG_BYTES);
                }
            });
        });
    }
    for (name, path) in [("ring", CommitPath::Ring), ("thread", CommitPath::Thread)] {
        let Some(mut log) = Log::open(FsyncMode::Always, path) else { break };
        for batches in [1, 64, 1024] {
            let run = batch.repeat(batches);
            group.throughput(Throughput::Elements(batches as u64));
            group.bench_function(format!("commit_{name}/{batches}"), |b| {
                b.iter(|| {
                    log.writer.append(&run);
                    log.settle(0);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
