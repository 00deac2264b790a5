//! A few threads for what is too slow for a core: hashing passwords, and writing changes to disk.
//!
//! They start with the first job. What waits is bounded, and nobody ever waits for a place in it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use synap_io::executor;

/// Threads at most: each may need the memory of a hash, and half of the CPUs are left alone.
const THREADS_MAX: usize = 4;
/// Jobs that may wait: a few seconds of hashing.
const WAITING_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// So much is waiting that no more is taken: answer 503 or `-ERR` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The threads.
#[derive(Default)]
pub(super) struct Pool {
    jobs: OnceLock<Option<SyncSender<Job>>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// Has a job done soon.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let Some(jobs) = self.jobs.get_or_init(start) else { return Err(Busy) };
        jobs.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

/// Nothing where the system gives no threads: then it will not give any later either.
fn start() -> Option<SyncSender<Job>> {
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (jobs, inbox) = sync_channel(WAITING_MAX);
    let inbox = Arc::new(Mutex::new(inbox));
    let mut started = 0;
    for number in 0..(cpus / 2).clamp(1, THREADS_MAX) {
        let inbox = Arc::clone(&inbox);
        let body = move || work(&inbox);
        match thread::Builder::new().name(format!("synap-auth-{number}")).spawn(body) {
            Ok(_detached) => started += 1,
            Err(error) => tracing::error!(%error, "a thread that verifies passwords did not start"),
        }
    }
    (started > 0).then_some(jobs)
}

/// Ends when the pool is dropped.
fn work(inbox: &Mutex<Receiver<Job>>) {
    executor::settle_in_background();
    loop {
        let job = inbox.lock().expect("jobs do not run while it is held").recv();
        let Ok(job) = job else { return };
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_are_done_until_too_many_wait() {
        let pool = Pool::default();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (tell, done) = mpsc::channel();
        let mut taken = 0;
        loop {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            let job = move || {
                gate.lock().expect("held only here").recv().expect_err("closed to let them go");
                tell.send(()).expect("the test listens");
            };
            if pool.run(job).is_err() {
                break;
            }
            taken += 1;
            assert!(taken <= WAITING_MAX + THREADS_MAX, "what waits is bounded");
        }
        assert!(taken >= WAITING_MAX);
        drop((go, tell));
        assert_eq!(done.iter().count(), taken);
    }
}
