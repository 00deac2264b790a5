//! Housekeeping of segment files off the core: the next segment is made ready before it is needed,
//! released ones become spares or go.
//!
//! A segment is prepared completely, directory entry included, so that rotation only writes a
//! header. Numbers are drawn when a file gets its final name; a number that was overtaken by a
//! rotation that could not wait is given back to the spares. Jobs of one log take turns: each works
//! from a list of the files that it has read itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::WalError;
use super::files;
use crate::executor;

/// Spare files kept per core; more go back to the file system.
const SPARES_MAX: usize = 2;

/// Bytes of the segment that a start begins with when no spare is left. The next, of full size, is
/// filled in the meantime.
const FIRST_BYTES: u64 = 8 * 1024 * 1024;

/// Which log, and how its files are made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) core: u16,
    pub(super) segment_bytes: u64,
    numbers: Arc<AtomicU64>,
    turn: Arc<Mutex<()>>,
}

enum Outcome {
    Prepared(Result<u64, WalError>),
    Released(Result<(), WalError>),
}

pub(super) struct Preparer {
    place: Place,
    outbox: Sender<Outcome>,
    inbox: Receiver<Outcome>,
    jobs: usize,
    preparing: bool,
    ready: Option<u64>,
    /// The last attempt to prepare a segment found the disk full.
    out_of_space: bool,
}

impl Place {
    pub(super) fn path(&self, number: u64) -> PathBuf {
        files::segment_path(&self.directory, self.core, number)
    }

    /// What a job holds while it works: two at once would rename each other's files.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> Result<(BTreeMap<u64, PathBuf>, Vec<PathBuf>), WalError> {
        let logs = files::scan_dir(&self.directory)?;
        let log = logs.into_iter().find(|log| log.core == self.core);
        Ok(log.map(|log| (log.segments, log.spares)).unwrap_or_default())
    }

    /// A blank segment file under its final name, from a spare if there is one. Its number.
    fn prepare(&self) -> Result<u64, WalError> {
        let (number, _) = self.blank_of(self.segment_bytes)?;
        Ok(number)
    }

    /// As [`Place::prepare`], for a start that is waited for: without a spare it is a short one,
    /// which is filled in a few milliseconds. Its number and its bytes.
    pub(super) fn prepare_first(&self) -> Result<(u64, u64), WalError> {
        self.blank_of(self.segment_bytes.min(FIRST_BYTES))
    }

    /// A spare, or a new file of `bytes`, blank and under its final name. Its number and bytes.
    fn blank_of(&self, bytes: u64) -> Result<(u64, u64), WalError> {
        let _turn = self.turn();
        let (_, spares) = self.log()?;
        for spare in spares {
            if files::file_bytes(&spare)? == self.segment_bytes {
                files::blank(&spare)?;
                return Ok((self.publish(&spare)?, self.segment_bytes));
            }
            // Left from when segments had another size: it will never fit.
            files::remove(&spare)?;
        }
        let fresh = files::spare_path(&self.directory, self.core, 0);
        files::create_filled(&fresh, bytes)?;
        Ok((self.publish(&fresh)?, bytes))
    }

    /// A file of `bytes` under a final name, for a segment of unusual size or in a hurry.
    pub(super) fn create_reserved(&self, bytes: u64) -> Result<u64, WalError> {
        let fresh = files::unfinished_path(&self.directory, self.core);
        files::create_reserved(&fresh, bytes)?;
        self.publish(&fresh)
    }

    fn draw(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn publish(&self, source: &Path) -> Result<u64, WalError> {
        let number = self.draw();
        files::rename(source, &self.path(number))?;
        files::sync_dir(&self.directory)?;
        Ok(number)
    }

    /// Turns segments into spares, the oldest first so that a crash leaves no hole, or deletes
    /// them when there are enough spares or they are of another size.
    fn release(&self, mut wanted: impl FnMut(u64) -> bool) -> Result<(), WalError> {
        let _turn = self.turn();
        let (segments, spares) = self.log()?;
        let mut spares = spares.len();
        for (number, path) in segments {
            if !wanted(number) {
                continue;
            }
            if spares < SPARES_MAX && files::file_bytes(&path)? == self.segment_bytes {
                files::rename(&path, &files::spare_path(&self.directory, self.core, number))?;
                spares += 1;
            } else {
                files::remove(&path)?;
            }
        }
        files::sync_dir(&self.directory)
    }

    /// Gives the room of the spares and of the segment `ready`, not begun, back to the file system.
    fn give_back(&self, ready: Option<u64>) -> Result<(), WalError> {
        let _turn = self.turn();
        let (_, spares) = self.log()?;
        for path in spares.into_iter().chain(ready.map(|number| self.path(number))) {
            files::remove(&path)?;
        }
        Ok(())
    }
}

impl Preparer {
    /// For the log whose next segment has number `next`.
    pub(super) fn new(directory: PathBuf, core: u16, segment_bytes: u64, next: u64) -> Self {
        let numbers = Arc::new(AtomicU64::new(next));
        let turn = Arc::new(Mutex::new(()));
        let place = Place { directory, core, segment_bytes, numbers, turn };
        let (outbox, inbox) = mpsc::channel();
        Self { place, outbox, inbox, jobs: 0, preparing: false, ready: None, out_of_space: false }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether there was no room for the next segment at the last attempt.
    pub(super) fn is_out_of_space(&self) -> bool {
        self.out_of_space
    }

    /// Begins to prepare the next segment, unless that is under way or done. Failure is no error
    /// here: the rotation that finds nothing prepared meets the same obstacle and reports it.
    pub(super) fn request(&mut self) {
        if self.preparing || self.ready.is_some() {
            return;
        }
        let (place, outbox) = (self.place.clone(), self.outbox.clone());
        // The writer may be gone by then; nobody is left to tell.
        let job = move || outbox.send(Outcome::Prepared(place.prepare())).unwrap_or_default();
        if executor::run_blocking(job).is_ok() {
            self.preparing = true;
            self.jobs += 1;
        }
    }

    /// Releases the segments for which `wanted` says so.
    pub(super) fn release(
        &mut self,
        wanted: impl FnMut(u64) -> bool + Send + 'static,
    ) -> Result<(), WalError> {
        self.start(move |place| place.release(wanted))
    }

    /// Gives back what stands ready for segments of the usual size: one of another size needs the
    /// room.
    pub(super) fn give_back(&mut self) -> Result<(), WalError> {
        let ready = self.ready.take();
        self.start(move |place| place.give_back(ready))
    }

    fn start(
        &mut self,
        job: impl FnOnce(&Place) -> Result<(), WalError> + Send + 'static,
    ) -> Result<(), WalError> {
        let (place, outbox) = (self.place.clone(), self.outbox.clone());
        let job = move || outbox.send(Outcome::Released(job(&place))).unwrap_or_default();
        let started = executor::run_blocking(job);
        started.map_err(WalError::io("start a job in", &self.place.directory))?;
        self.jobs += 1;
        Ok(())
    }

    /// Looks what has been done meanwhile.
    pub(super) fn collect(&mut self) -> Result<(), WalError> {
        while let Ok(outcome) = self.inbox.try_recv() {
            self.on_outcome(outcome)?;
        }
        Ok(())
    }

    /// The prepared segment, if its number lies behind `current`.
    pub(super) fn take(&mut self, current: u64) -> Result<Option<u64>, WalError> {
        self.collect()?;
        match self.ready.take() {
            Some(number) if number < current => {
                self.release(move |candidate| candidate == number)?;
                Ok(None)
            }
            ready => Ok(ready),
        }
    }

    /// Waits for every job.
    pub(super) fn finish(&mut self) -> Result<(), WalError> {
        while self.jobs > 0 {
            let outcome = self.inbox.recv().expect("we hold a sender ourselves");
            self.on_outcome(outcome)?;
        }
        Ok(())
    }

    fn on_outcome(&mut self, outcome: Outcome) -> Result<(), WalError> {
        self.jobs -= 1;
        match outcome {
            Outcome::Prepared(result) => {
                self.preparing = false;
                self.out_of_space = result.as_ref().is_err_and(WalError::is_out_of_space);
                self.ready = result.ok();
                Ok(())
            }
            Outcome::Released(result) => result,
        }
    }
}

impl Drop for Preparer {
    /// Waits for the jobs: one that outlived its writer would meddle with the files of the next.
    fn drop(&mut self) {
        while self.jobs > 0 && self.inbox.recv().is_ok() {
            self.jobs -= 1;
        }
    }
}
