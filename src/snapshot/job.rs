//! The thread that writes for a core: blocks come over a channel, it compresses, writes and syncs.
//!
//! It ends when it is told to, with an error, or when the core lets go of its [`Link`]; in the
//! latter two cases what it wrote is removed. Nobody ever waits for it: the core looks at what is
//! waiting and rests, or gives up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use synap_io::executor;
use synap_io::snapshot::{
    Compression, FileError, FinishedPart, NewPart, PartId, PartKind, PartWriter,
};
use synap_shards::id::{CoreId, ShardId};

/// What every part of a snapshot is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the files go.
    pub directory: PathBuf,
    /// The number drawn for the snapshot.
    pub snapshot: u64,
    /// How images are compressed.
    pub images: Compression,
    /// How tails are; they come at the speed of the clients' writes.
    pub tails: Compression,
    /// The epoch in force.
    pub epoch: u32,
    /// When it began, Unix milliseconds.
    pub created_ms: u64,
    /// Whether it takes about as much disk as the data takes memory, and shall be over soon.
    pub is_bulky: bool,
}

#[derive(Debug)]
enum Work {
    Entries { shard: ShardId, bytes: Vec<u8>, entries: u32 },
    ShardEnd,
    Tail { bytes: Vec<u8>, runs: u32 },
    End,
}

#[derive(Debug, Default)]
struct Gauge {
    image_bytes: AtomicU64,
    tail_bytes: AtomicU64,
    entries: AtomicU64,
    failed: AtomicBool,
}

/// A core's way to its thread.
#[derive(Debug)]
pub struct Link {
    work: Sender<Work>,
    gauge: Arc<Gauge>,
}

impl Link {
    /// Hands over a block of entries of a shard.
    pub fn entries(&self, shard: ShardId, bytes: Vec<u8>, entries: u32) {
        self.gauge.image_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.gauge.entries.fetch_add(entries.into(), Ordering::Relaxed);
        self.send(Work::Entries { shard, bytes, entries });
    }

    /// Says that the shard whose entries came last is complete.
    pub fn shard_end(&self) {
        self.send(Work::ShardEnd);
    }

    /// Hands over runs of the log.
    pub fn tail(&self, bytes: Vec<u8>, runs: u32) {
        self.gauge.tail_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.send(Work::Tail { bytes, runs });
    }

    /// Says that nothing more comes.
    pub fn end(self) {
        self.send(Work::End);
    }

    fn send(&self, work: Work) {
        // A thread that has ended has failed, and told the coordinator why.
        let _failed = self.work.send(work);
    }

    /// Bytes of images that wait.
    pub fn image_bytes(&self) -> u64 {
        self.gauge.image_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the tail that wait.
    pub fn tail_bytes(&self) -> u64 {
        self.gauge.tail_bytes.load(Ordering::Relaxed)
    }

    /// Whether the thread has failed, so that there is no point in going on.
    pub fn has_failed(&self) -> bool {
        self.gauge.failed.load(Ordering::Relaxed)
    }
}

/// The coordinator's end.
#[derive(Debug)]
pub struct Job {
    thread: JoinHandle<()>,
    gauge: Arc<Gauge>,
}

impl Job {
    /// Starts the thread that writes for `core`; `done` is called with what came of it, but not
    /// when the core let go.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(
        core: CoreId,
        plan: Plan,
        done: impl FnOnce(Result<Vec<FinishedPart>, FileError>) + Send + 'static,
    ) -> std::io::Result<(Link, Self)> {
        let (work, inbox) = mpsc::channel();
        let gauge = Arc::new(Gauge::default());
        let number = u16::try_from(core.index()).expect("fewer than 65536 cores");
        let is_bulky = plan.is_bulky;
        let writing = Writing { plan, core: number, shard: None, tail: None, finished: Vec::new() };
        let seen = Arc::clone(&gauge);
        let body = move || {
            if is_bulky {
                executor::unpin_thread();
            } else {
                executor::settle_in_background();
            }
            if let Some(outcome) = writing.run(&inbox, &seen) {
                seen.failed.store(outcome.is_err(), Ordering::Relaxed);
                done(outcome);
            }
        };
        let name = format!("synap-snap-{}", core.index());
        let thread = thread::Builder::new().name(name).spawn(body)?;
        Ok((Link { work, gauge: Arc::clone(&gauge) }, Self { thread, gauge }))
    }

    /// Entries handed to it so far.
    pub fn entries(&self) -> u64 {
        self.gauge.entries.load(Ordering::Relaxed)
    }

    /// Waits for its end; it ends soon after the core has let go of its link.
    pub fn join(self) {
        self.thread.join().expect("the thread handles every error");
    }
}

struct Writing {
    plan: Plan,
    core: u16,
    shard: Option<PartWriter>,
    tail: Option<PartWriter>,
    finished: Vec<FinishedPart>,
}

impl Writing {
    /// Nothing when the core let go.
    fn run(
        mut self,
        inbox: &Receiver<Work>,
        gauge: &Gauge,
    ) -> Option<Result<Vec<FinishedPart>, FileError>> {
        for work in inbox {
            let done = match work {
                Work::Entries { shard, bytes, entries } => {
                    let done = self.entries(shard, &bytes, entries);
                    gauge.image_bytes.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                    done
                }
                Work::ShardEnd => Self::finish(&mut self.shard, &mut self.finished),
                Work::Tail { bytes, runs } => {
                    let done = self.tail(&bytes, runs);
                    gauge.tail_bytes.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                    done
                }
                Work::End => {
                    let done = Self::finish(&mut self.tail, &mut self.finished);
                    return Some(done.map(|()| self.finished));
                }
            };
            if let Err(error) = done {
                return Some(Err(error));
            }
        }
        None
    }

    fn entries(&mut self, shard: ShardId, raw: &[u8], entries: u32) -> Result<(), FileError> {
        let writer = match &mut self.shard {
            Some(writer) => writer,
            none => {
                let number = shard.index() as u16;
                none.insert(create(&self.plan, PartKind::Shard, number, self.plan.images)?)
            }
        };
        writer.write_block(raw, entries)
    }

    fn tail(&mut self, raw: &[u8], runs: u32) -> Result<(), FileError> {
        let writer = match &mut self.tail {
            Some(writer) => writer,
            none => none.insert(create(&self.plan, PartKind::Tail, self.core, self.plan.tails)?),
        };
        writer.write_block(raw, runs)
    }

    fn finish(
        writer: &mut Option<PartWriter>,
        finished: &mut Vec<FinishedPart>,
    ) -> Result<(), FileError> {
        if let Some(writer) = writer.take() {
            finished.push(writer.finish()?);
        }
        Ok(())
    }
}

fn create(
    plan: &Plan,
    kind: PartKind,
    number: u16,
    compression: Compression,
) -> Result<PartWriter, FileError> {
    let id = PartId { snapshot: plan.snapshot, kind, number };
    let part = NewPart { id, compression, epoch: plan.epoch, created_ms: plan.created_ms };
    PartWriter::create(&plan.directory, &part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use synap_io::snapshot::{Codec, SnapshotName};

    fn start(
        directory: &std::path::Path,
    ) -> (Link, Job, Receiver<Result<Vec<FinishedPart>, FileError>>) {
        let plain = Compression { codec: Codec::None, level: 1 };
        let plan = Plan {
            directory: directory.to_owned(),
            snapshot: 7,
            images: plain,
            tails: plain,
            epoch: 1,
            created_ms: 9,
            is_bulky: false,
        };
        let (done, outcome) = mpsc::channel();
        let done = move |parts| done.send(parts).expect("the test waits");
        let (link, job) = Job::start(CoreId::new(0), plan, done).expect("a thread");
        (link, job, outcome)
    }

    fn files(directory: &std::path::Path) -> usize {
        std::fs::read_dir(directory).expect("readable").count()
    }

    #[test]
    fn parts_are_finished_shard_by_shard_and_the_tail_last() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, job, outcome) = start(directory.path());
        link.tail(b"run".to_vec(), 1);
        for shard in [3, 5] {
            link.entries(ShardId::new(shard), vec![1; 100], 4);
            link.entries(ShardId::new(shard), vec![2; 100], 5);
            link.shard_end();
        }
        link.shard_end();
        assert_eq!(job.entries(), 18);
        link.end();
        let parts = outcome.recv().expect("an outcome").expect("written");
        job.join();
        let facts = |part: &FinishedPart| (part.id().kind, part.id().number, part.facts().entries);
        let expected = [(PartKind::Shard, 3, 9), (PartKind::Shard, 5, 9), (PartKind::Tail, 0, 1)];
        assert_eq!(parts.iter().map(facts).collect::<Vec<_>>(), expected);
        let name = SnapshotName { unix_secs: 1, offset: 2 };
        parts.into_iter().for_each(|part| part.publish(name).expect("named"));
        assert_eq!(files(directory.path()), 3);
    }

    #[test]
    fn who_lets_go_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, job, outcome) = start(directory.path());
        link.entries(ShardId::new(0), vec![1; 100], 4);
        link.shard_end();
        link.tail(b"run".to_vec(), 1);
        drop(link);
        job.join();
        assert!(outcome.recv().is_err(), "nobody is told");
        assert_eq!(files(directory.path()), 0);
    }

    #[test]
    fn a_failure_is_told_and_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, job, outcome) = start(&directory.path().join("absent"));
        link.entries(ShardId::new(0), vec![1; 100], 4);
        let error = outcome.recv().expect("an outcome").expect_err("there is no such directory");
        assert!(matches!(error, FileError::Io { .. }), "{error}");
        assert!(link.has_failed());
        link.tail(b"more".to_vec(), 1);
        job.join();
    }
}
