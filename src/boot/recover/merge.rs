//! Logs into shards, on as many threads as are of use. Each takes a log, reads and checks it and
//! applies it at once, while it is in the cache, to shards taken out of the common pool; it puts
//! the log aside when it waits for another one, and everything back after a few megabytes.
//!
//! When no log can go on and nobody works, some batch was lost: then one head is set aside, as
//! [`synap_shards::recovery`] explains.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use synap_shards::batch::BatchError;
use synap_shards::recovery::{Hand, Moved, Pool, Stop};

use super::progress::{Progress, Teller};
use crate::boot::start;
use crate::fatal::Fatal;

/// Bytes applied before the shards go back to the pool, so that others get at them.
const QUANTUM_BYTES: usize = 4 * 1024 * 1024;
/// Bytes gathered before they are applied: enough for cache misses to overlap.
const PIECE_BYTES: usize = 64 * 1024;

/// Where batches come from, in their order.
pub(super) trait Source: Send {
    /// The next run of whole batches, whose bytes were checked; nothing at the end.
    fn next_run(&mut self) -> Result<Option<&[u8]>, Fatal>;
    /// The file and the place in it that the last run came from.
    fn place(&self) -> (PathBuf, u64);
    /// Bytes of files that lie behind it.
    fn passed_bytes(&self) -> u64;
}

/// A log that is being merged.
struct Task<S> {
    number: usize,
    source: S,
    /// What was read and is not yet applied begins at `at`.
    piece: Vec<u8>,
    at: usize,
    told_bytes: u64,
}

enum Outcome {
    /// All of it is applied.
    Ended,
    /// It can go on.
    Yielded,
    /// Its head waits for a predecessor.
    Gap,
    /// Its head needs shards that somebody had when this many hands had been taken back.
    Denied(u64),
}

struct Desk<S> {
    pool: Pool,
    ready: VecDeque<Task<S>>,
    /// Waiting for a predecessor of their head.
    blocked: Vec<Task<S>>,
    /// Waiting for a shard that somebody works on.
    denied: Vec<Task<S>>,
    done: Vec<Task<S>>,
    working: usize,
    /// Hands taken back so far.
    returns: u64,
    failed: Option<Fatal>,
}

impl<S> Desk<S> {
    fn is_over(&self) -> bool {
        let waiting = self.blocked.len() + self.denied.len();
        let idle = self.ready.is_empty() && waiting == 0 && self.working == 0;
        idle || self.failed.is_some()
    }
}

struct Office<'a, S> {
    desk: Mutex<Desk<S>>,
    changed: Condvar,
    progress: &'a Progress,
}

/// Merges `sources` into the shards of `pool` on up to `workers` threads. Returns the pool, what
/// is cut still aside in it, and the sources, each at its end.
pub(super) fn merge<S: Source>(
    pool: Pool,
    sources: Vec<S>,
    workers: usize,
    progress: &Progress,
    teller: &mut Teller<'_>,
) -> Result<(Pool, Vec<S>), Fatal> {
    let threads = workers.min(sources.len()).max(1);
    let ready = sources.into_iter().enumerate().map(|(number, source)| Task {
        number,
        source,
        piece: Vec::new(),
        at: 0,
        told_bytes: 0,
    });
    let desk = Desk {
        pool,
        ready: ready.collect(),
        blocked: Vec::new(),
        denied: Vec::new(),
        done: Vec::new(),
        working: 0,
        returns: 0,
        failed: None,
    };
    let office = Office { desk: Mutex::new(desk), changed: Condvar::new(), progress };
    thread::scope(|scope| {
        let office = &office;
        for number in 0..threads {
            let thread = thread::Builder::new().name(format!("recovery-{number}"));
            if let Err(error) = thread.spawn_scoped(scope, move || office.work()) {
                office.give_up(start("start a recovery thread")(error));
            }
        }
        office.watch(teller);
    });
    let mut desk = office.desk.into_inner().expect("nobody panics holding it");
    if let Some(fatal) = desk.failed {
        return Err(fatal);
    }
    desk.done.sort_by_key(|task| task.number);
    Ok((desk.pool, desk.done.into_iter().map(|task| task.source).collect()))
}

impl<S: Source> Office<'_, S> {
    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        self.desk.lock().expect("nobody panics holding it")
    }

    fn wait<'g>(&self, desk: MutexGuard<'g, Desk<S>>) -> MutexGuard<'g, Desk<S>> {
        self.changed.wait(desk).expect("nobody panics holding it")
    }

    fn give_up(&self, fatal: Fatal) {
        self.desk().failed.get_or_insert(fatal);
        self.changed.notify_all();
    }

    /// Tells of progress until everything is done.
    fn watch(&self, teller: &mut Teller<'_>) {
        let mut desk = self.desk();
        while !desk.is_over() {
            let waited = self.changed.wait_timeout(desk, teller.pause());
            desk = waited.expect("nobody panics holding it").0;
            teller.tell();
        }
    }

    /// The life of one thread.
    fn work(&self) {
        let _alarm = Alarm(self);
        let mut desk = self.desk();
        let mut hand = desk.pool.hand();
        while !desk.is_over() {
            let Some(mut task) = desk.ready.pop_front() else {
                desk = if desk.working == 0 { Self::unblock(desk) } else { self.wait(desk) };
                continue;
            };
            desk.working += 1;
            drop(desk);
            let result = task.go_on(&mut hand, self);
            desk = self.desk();
            self.put_back(&mut desk, task, &mut hand, result);
        }
        self.changed.notify_all();
    }

    /// No log can go on: one head is taken out of the way of what follows it.
    fn unblock(mut desk: MutexGuard<'_, Desk<S>>) -> MutexGuard<'_, Desk<S>> {
        desk.blocked.sort_by_key(|task| task.number);
        let mut task = desk.blocked.remove(0);
        match desk.pool.set_aside(&task.piece[task.at..]) {
            Ok(bytes) => task.at += bytes,
            Err(error) => desk.failed = Some(task.not_a_batch(error)),
        }
        desk.ready.push_back(task);
        desk
    }

    fn put_back(
        &self,
        desk: &mut Desk<S>,
        task: Task<S>,
        hand: &mut Hand,
        result: Result<Outcome, Fatal>,
    ) {
        let moved = desk.pool.take_back(hand);
        let as_seen = desk.returns;
        desk.returns += 1;
        desk.working -= 1;
        desk.ready.extend(desk.denied.drain(..));
        if moved != Moved::Nothing {
            desk.ready.extend(desk.blocked.drain(..));
        }
        match result {
            Err(fatal) => {
                desk.failed.get_or_insert(fatal);
            }
            Ok(Outcome::Ended) => desk.done.push(task),
            Ok(Outcome::Yielded) => desk.ready.push_back(task),
            // What was set aside may have been the predecessor.
            Ok(Outcome::Gap) if moved == Moved::Aside => desk.ready.push_back(task),
            Ok(Outcome::Gap) => desk.blocked.push(task),
            // Whoever had the shard still has it only if no hand was taken back since.
            Ok(Outcome::Denied(seen)) if seen == as_seen => desk.denied.push(task),
            Ok(Outcome::Denied(_)) => desk.ready.push_back(task),
        }
        if desk.ready.len() > 1 || desk.is_over() {
            self.changed.notify_all();
        }
    }
}

impl<S: Source> Task<S> {
    /// Reads and applies, until the log ends, waits, or has had its share of time.
    fn go_on(&mut self, hand: &mut Hand, office: &Office<'_, S>) -> Result<Outcome, Fatal> {
        let mut bytes = 0;
        while bytes < QUANTUM_BYTES {
            if self.at == self.piece.len() && !self.refill(office.progress)? {
                return Ok(Outcome::Ended);
            }
            let before = self.at;
            if let Some(outcome) = self.apply(hand, office)? {
                return Ok(outcome);
            }
            bytes += self.at - before;
        }
        Ok(Outcome::Yielded)
    }

    /// Reads the next piece; false when there is none.
    fn refill(&mut self, progress: &Progress) -> Result<bool, Fatal> {
        self.piece.clear();
        self.at = 0;
        while self.piece.len() < PIECE_BYTES
            && let Some(run) = self.source.next_run()?
        {
            self.piece.extend_from_slice(run);
        }
        let passed = self.source.passed_bytes();
        progress.pass(passed - self.told_bytes);
        self.told_bytes = passed;
        Ok(!self.piece.is_empty())
    }

    /// Applies the piece; why it could not be applied to its end.
    fn apply(&mut self, hand: &mut Hand, office: &Office<'_, S>) -> Result<Option<Outcome>, Fatal> {
        loop {
            let (taken, stop) = match hand.apply(&self.piece[self.at..]) {
                Ok(applied) => applied,
                Err((_, error)) => return Err(self.not_a_batch(error)),
            };
            self.at += taken;
            match stop {
                Stop::Done => return Ok(None),
                Stop::Gap => return Ok(Some(Outcome::Gap)),
                Stop::Wants(shards) => {
                    let mut desk = office.desk();
                    if !desk.pool.grant(hand, shards) {
                        return Ok(Some(Outcome::Denied(desk.returns)));
                    }
                }
            }
        }
    }

    fn not_a_batch(&self, error: BatchError) -> Fatal {
        let (path, offset) = self.source.place();
        let what = format!("not a batch, in what was read up to here: {error}");
        Fatal::Corrupt { path, offset: Some(offset), what }
    }
}

/// Ends the merge when a thread panics: the others would wait for it for ever.
struct Alarm<'a, 'o, S: Source>(&'a Office<'o, S>);

impl<S: Source> Drop for Alarm<'_, '_, S> {
    fn drop(&mut self) {
        if thread::panicking() {
            let what = "a recovery thread panicked".to_owned();
            self.0.give_up(Fatal::Core { core: 0, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use synap_shards::batch::{PartSpec, Record, push_record, seal};
    use synap_shards::id::{Epoch, ShardId};
    use synap_shards::recovery::{Recovery, Wanted};
    use synap_shards::rng::Rng;
    use synap_shards::seq::Seq;
    use synap_shards::shard::Shard;
    use synap_shards::shard::evict::AccessMode;
    use synap_shards::types::Thresholds;

    use super::*;
    use crate::boot::recover::empty_shards;

    const LOGS: usize = 5;
    const SPREAD: usize = 8;

    /// Batches from memory, a few at a time.
    struct Memory {
        runs: VecDeque<Vec<u8>>,
        run: Vec<u8>,
    }

    impl Source for Memory {
        fn next_run(&mut self) -> Result<Option<&[u8]>, Fatal> {
            let Some(run) = self.runs.pop_front() else { return Ok(None) };
            self.run = run;
            Ok(Some(&self.run))
        }

        fn place(&self) -> (PathBuf, u64) {
            (PathBuf::from("memory"), 0)
        }

        fn passed_bytes(&self) -> u64 {
            0
        }
    }

    fn batch(seqs: &mut [u64; SPREAD], first: usize, count: usize) -> Vec<u8> {
        let (mut parts, mut records, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for (at, seq) in seqs.iter_mut().enumerate().skip(first).take(count) {
            *seq += 1;
            let part = PartSpec { shard: ShardId::new(at), seq: Seq::new(*seq) };
            let (key, value) = (format!("{at}:{}", *seq % 100), seq.to_string());
            let (key, value) = (key.as_bytes(), value.as_bytes());
            let put = Record::Put { key, value, deadline_ms: None, creates: *seq <= 100 };
            push_record(&mut records, part.shard, &put);
            parts.push(part);
        }
        seal(&mut out, &parts, &records, Epoch(1), 1);
        out
    }

    /// Logs whose batches lie across each other, with some of them lost.
    fn logs(seed: u64, count: usize, lost_per_mille: usize) -> Vec<VecDeque<Vec<u8>>> {
        let mut rng = Rng::new(seed);
        let mut seqs = [0; SPREAD];
        let mut logs = vec![VecDeque::new(); LOGS];
        for _ in 0..count {
            let bytes = batch(&mut seqs, rng.below(SPREAD), 1 + rng.below(4));
            let log = rng.below(LOGS);
            if rng.below(1000) >= lost_per_mille {
                logs[log].push_back(bytes);
            }
        }
        logs
    }

    /// A key and its value.
    type Pair = (Vec<u8>, Vec<u8>);

    /// The Seq of each shard, and what it holds.
    fn state(shards: &[Box<Shard>]) -> Vec<(u64, Vec<Pair>)> {
        let keys = |shard: &Shard| {
            let (mut keys, mut position) = (Vec::new(), Some(0));
            while let Some(at) = position {
                position = shard.walk(at, |entry| {
                    keys.push((entry.key().to_vec(), entry.image()));
                });
            }
            keys.sort();
            keys
        };
        shards.iter().map(|shard| (shard.seq().get(), keys(shard))).collect()
    }

    fn by_threads(logs: &[VecDeque<Vec<u8>>], workers: usize) -> Result<Pool, Fatal> {
        let sources = logs.iter().map(|runs| Memory { runs: runs.clone(), run: Vec::new() });
        let progress = Progress::new();
        let mut teller = Teller::new(&progress, None);
        let pool =
            Pool::new(empty_shards(AccessMode::Recency, &Thresholds::default()), Arc::new([]));
        let (pool, ended) = merge(pool, sources.collect(), workers, &progress, &mut teller)?;
        assert!(ended.iter().all(|source| source.runs.is_empty()));
        Ok(pool)
    }

    #[test]
    fn threads_bring_what_one_after_the_other_brings() {
        for (seed, lost) in [(1, 0), (2, 0), (3, 2), (4, 5), (5, 20), (6, 0)] {
            let logs = logs(seed, 1500, lost);
            let mut serial = Recovery::new(
                empty_shards(AccessMode::Recency, &Thresholds::default()),
                Vec::new(),
                LOGS,
            );
            for (number, log) in logs.iter().enumerate() {
                serial.feed(number, &log.iter().flatten().copied().collect::<Vec<u8>>());
                serial.end(number);
            }
            assert_eq!(serial.advance(), Ok(Wanted::Nothing));
            let (shards, cut) = serial.finish();
            for workers in [1, 2, 4] {
                let pool = by_threads(&logs, workers).expect("whole batches");
                assert_eq!(pool.cut(), cut, "seed {seed}, {workers} workers");
                assert!(state(&pool.into_shards()) == state(&shards), "seed {seed}, {workers}");
            }
        }
    }

    #[test]
    fn what_is_no_batch_ends_the_merge() {
        let mut logs = logs(7, 50, 0);
        logs[2].push_back(vec![1; 40]);
        match by_threads(&logs, 3) {
            Err(Fatal::Corrupt { path, offset: Some(0), .. }) => {
                assert_eq!(path, PathBuf::from("memory"));
            }
            other => panic!("expected damage, got {other:?}"),
        }
    }

    #[test]
    fn no_logs_are_merged_at_once() {
        let pool = by_threads(&[], 4).expect("nothing to do");
        assert_eq!(pool.applied(), 0);
    }
}
