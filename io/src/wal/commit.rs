//! One commit: write a group, sync, or both. The seam between the writer's decisions and the two
//! ways to carry them out, the core's ring and a thread of the log's own.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use super::buffer::GroupBuffer;
use crate::disk;
use crate::doorbell::Doorbell;
use crate::executor;

/// A sealed group and where it goes.
#[derive(Debug)]
pub(crate) struct GroupWrite {
    pub(super) buffer: GroupBuffer,
    pub(crate) bytes: usize,
    pub(crate) offset: u64,
}

impl GroupWrite {
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer.as_slice()[..self.bytes]
    }
}

/// What is to be done to one segment: the write first, then the sync.
#[derive(Debug)]
pub(crate) struct LogJob {
    pub(crate) file: Arc<File>,
    pub(crate) write: Option<GroupWrite>,
    pub(crate) sync: bool,
}

/// Outcome of a commit on its way back to the writer; hand it to
/// [`Writer::on_completion`](super::Writer::on_completion).
#[derive(Debug)]
pub struct LogDone {
    pub(crate) job: LogJob,
    pub(crate) outcome: Result<(), LogFailure>,
}

/// Which half failed.
#[derive(Debug)]
pub(crate) struct LogFailure {
    pub(crate) action: &'static str,
    pub(crate) source: io::Error,
}

pub(crate) const WRITE: &str = "write to";
pub(crate) const SYNC: &str = "sync";

impl LogJob {
    /// Does the job on the calling thread.
    pub(super) fn run(self) -> LogDone {
        let written = self
            .write
            .as_ref()
            .map_or(Ok(()), |write| disk::write_all_at(&self.file, write.data(), write.offset));
        let outcome = written.map_err(|source| LogFailure { action: WRITE, source });
        let outcome = outcome.and_then(|()| {
            let synced = if self.sync { disk::sync_data(&self.file) } else { Ok(()) };
            synced.map_err(|source| LogFailure { action: SYNC, source })
        });
        LogDone { job: self, outcome }
    }
}

/// A thread that commits for one core, so that the core sleeps or works meanwhile.
#[derive(Debug)]
pub(super) struct CommitThread {
    jobs: Option<Sender<LogJob>>,
    done: Receiver<LogDone>,
    thread: Option<JoinHandle<()>>,
}

impl CommitThread {
    pub(super) fn start(core: u16, doorbell: Doorbell) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<LogJob>();
        let (outbox, done) = mpsc::channel();
        let body = move || {
            executor::unpin_thread();
            for job in inbox {
                if outbox.send(job.run()).is_err() {
                    return;
                }
                doorbell.ring();
            }
        };
        let thread = thread::Builder::new().name(format!("synap-wal-{core}")).spawn(body)?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread) })
    }

    pub(super) fn submit(&self, job: LogJob) {
        let jobs = self.jobs.as_ref().expect("only dropping takes the sender");
        jobs.send(job).expect("the commit thread lives as long as its inbox");
    }

    pub(super) fn try_collect(&self) -> Option<LogDone> {
        match self.done.try_recv() {
            Ok(done) => Some(done),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the commit thread ended early"),
        }
    }

    pub(super) fn wait(&self) -> LogDone {
        self.done.recv().expect("the commit thread answers every job")
    }
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the commit thread panicked");
        }
    }
}
