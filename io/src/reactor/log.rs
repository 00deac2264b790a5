//! Commits of the log on the core's ring: one linked pair, write then fdatasync, per commit.
//!
//! A short write is continued; a sync that ran before its write was complete does not count and is
//! repeated. (That is not the retry of a failed sync, which never happens.)

use std::io;
use std::os::fd::AsRawFd;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};

use super::token::Op;
use super::{Completion, DROP_WAIT, Reactor};
use crate::ring::Event;
use crate::wal::commit::{LogDone, LogFailure, LogJob, SYNC, WRITE};

/// The commit under way.
#[derive(Debug)]
pub(super) struct LogFlight {
    job: LogJob,
    written: usize,
    /// Requests of it whose completion is still to come.
    requests: u32,
    synced: bool,
    failure: Option<LogFailure>,
}

impl LogFlight {
    fn is_written(&self) -> bool {
        self.job.write.as_ref().is_none_or(|write| self.written == write.bytes)
    }
}

impl Reactor {
    /// Starts a commit; `Completion::Log` tells its outcome. One at a time.
    pub(crate) fn start_log_job(&mut self, job: LogJob) {
        assert!(self.log.is_none(), "one commit per core at a time");
        let (written, requests) = (0, 0);
        self.log = Some(LogFlight { job, written, requests, synced: false, failure: None });
        self.push_log();
    }

    /// Waits for the commit under way, leaving everything else for later turns.
    pub(crate) fn finish_log_job(&mut self) -> io::Result<LogDone> {
        loop {
            let done = self.ready.iter().position(|done| matches!(done, Completion::Log(_)));
            if let Some(Completion::Log(done)) = done.and_then(|at| self.ready.remove(at)) {
                return Ok(done);
            }
            assert!(self.log.is_some(), "a commit is under way");
            self.ring.fill();
            self.ring.enter_and_sleep(DROP_WAIT)?;
            self.reap();
            self.settle_silent();
        }
    }

    /// Submits what is left of the commit.
    fn push_log(&mut self) {
        let flight = self.log.as_mut().expect("a commit is under way");
        let fd = Fd(flight.job.file.as_raw_fd());
        let sync = flight.job.sync.then(|| {
            let entry = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build();
            entry.user_data(Op::LogSync.with(0))
        });
        let write = flight.job.write.as_ref().map(|write| &write.data()[flight.written..]);
        let write = write.filter(|rest| !rest.is_empty()).map(|rest| {
            let at = flight.job.write.as_ref().map_or(0, |write| write.offset);
            let entry = opcode::Write::new(fd, rest.as_ptr(), rest.len() as u32);
            entry.offset(at + flight.written as u64).build().user_data(Op::LogWrite.with(0))
        });
        let requests = u32::from(write.is_some()) + u32::from(sync.is_some());
        assert!(requests > 0, "a commit writes, or syncs, or both");
        flight.requests = requests;
        self.in_flight += requests as usize;
        // SAFETY: the buffer is owned by `self.log`, untouched, until the completions of all its
        // requests have been reaped; dropping the reactor waits for them.
        #[expect(unsafe_code, reason = "the kernel reads the group")]
        unsafe {
            match (write, sync) {
                (Some(write), Some(sync)) => {
                    self.ring.push_chain(write.flags(squeue::Flags::IO_LINK), sync);
                }
                (Some(only), None) | (None, Some(only)) => self.ring.push(only),
                (None, None) => {}
            }
        }
    }

    pub(super) fn on_log_write(&mut self, event: Event) {
        let flight = self.log.as_mut().expect("a commit outlives its requests");
        flight.requests -= 1;
        // Whatever was synced so far did not cover this write.
        flight.synced = false;
        match event.outcome() {
            Ok(0) => {
                let source = io::ErrorKind::WriteZero.into();
                flight.failure = Some(LogFailure { action: WRITE, source });
            }
            Ok(bytes) => flight.written += bytes as usize,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN) => {}
                _ => flight.failure = Some(LogFailure { action: WRITE, source: error }),
            },
        }
        self.settle_log();
    }

    pub(super) fn on_log_sync(&mut self, event: Event) {
        let flight = self.log.as_mut().expect("a commit outlives its requests");
        flight.requests -= 1;
        match event.outcome() {
            Ok(_) => flight.synced = true,
            Err(error) => match error.raw_os_error() {
                // The link broke because the write before it was short or failed.
                Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => flight.synced = false,
                _ => {
                    let failure = LogFailure { action: SYNC, source: error };
                    flight.failure.get_or_insert(failure);
                }
            },
        }
        self.settle_log();
    }

    /// Ends the commit when it is complete or has failed; submits the rest otherwise.
    fn settle_log(&mut self) {
        let flight = self.log.as_ref().expect("a commit is under way");
        if flight.requests > 0 {
            return;
        }
        let complete = flight.is_written() && (flight.synced || !flight.job.sync);
        if flight.failure.is_none() && !complete && !self.dropping {
            self.push_log();
            return;
        }
        let flight = self.log.take().expect("seen above");
        let outcome = flight.failure.map_or(Ok(()), Err);
        self.ready.push_back(Completion::Log(LogDone { job: flight.job, outcome }));
    }
}
