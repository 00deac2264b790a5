//! Hosts the cores: one pinned glommio executor per core, each on a thread of its own; and starts
//! background threads. glommio is named in this file only.
//!
//! Guarantees: the main function runs either on every core or, when one cannot start, on none; a
//! core that cannot be pinned runs unpinned and says so. Must not: be asked to cancel tasks. What
//! is spawned here ends by itself, because cancelling a suspended glommio task leaks it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use synap_shards::id::CoreId;

/// glommio registers this much memory per core for its own files, which we do not use; the least
/// it accepts.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// Entries of each of glommio's rings. Only background jobs pass through them.
const RING_DEPTH: usize = 128;
/// How long a task may hold the core before glommio wants to look at events: practically for ever,
/// because a core has one task that never yields. It must not be short: when the timer fires
/// between glommio's poll and its first run of the queues, which a busy machine brings about, the
/// executor parks without having begun the task, and nothing ever wakes it.
const PREEMPT: Duration = Duration::from_secs(3600);

/// Where a core runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CorePlan {
    /// The core.
    pub core: CoreId,
    /// The CPU it is pinned to; nothing leaves placement to the kernel.
    pub cpu: Option<usize>,
}

/// Why the cores could not be started. None is running.
#[derive(Debug)]
pub enum StartError {
    /// The thread of a core could not be made.
    Thread {
        /// The core.
        core: CoreId,
        /// What the system said.
        source: io::Error,
    },
    /// The executor of a core could not be made; the message names memlock, seccomp and the like.
    Executor {
        /// The core.
        core: CoreId,
        /// What the runtime said.
        message: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { core, source } => {
                write!(f, "cannot make the thread of core {}: {source}", core.index())
            }
            Self::Executor { core, message } => {
                write!(f, "cannot make the executor of core {}: {message}", core.index())
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread { source, .. } => Some(source),
            Self::Executor { .. } => None,
        }
    }
}

/// A core that runs, but not where it was planned to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinWarning {
    /// The core.
    pub core: CoreId,
    /// The CPU it should have been pinned to.
    pub cpu: usize,
    /// What the runtime said.
    pub reason: String,
}

/// The main function of a core panicked.
#[derive(Debug)]
pub struct CorePanic {
    /// What it said.
    pub message: String,
}

impl fmt::Display for CorePanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a core panicked: {}", self.message)
    }
}

impl std::error::Error for CorePanic {}

/// The running cores.
#[derive(Debug)]
pub struct Cores<R> {
    /// Give nothing only when a core failed to start, and then there is no `Cores`.
    threads: Vec<JoinHandle<Option<R>>>,
    warnings: Vec<PinWarning>,
}

impl<R> Cores<R> {
    /// Cores that could not be pinned.
    pub fn warnings(&self) -> &[PinWarning] {
        &self.warnings
    }

    /// Waits for every core; the results in the order of the plans.
    pub fn join(self) -> Vec<Result<R, CorePanic>> {
        let results = self.threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => Ok(result.expect("the gate of every core was opened")),
            Err(payload) => Err(panic_message(payload)),
        });
        results.collect()
    }
}

fn panic_message(payload: Box<dyn Any + Send>) -> CorePanic {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    CorePanic { message: text.unwrap_or_else(|| "no message".to_owned()) }
}

/// Starts one executor per plan and runs `main(core)` on each once all of them stand.
///
/// # Errors
/// When a core cannot start; then `main` has run nowhere.
pub fn start<F, Fut, R>(plans: &[CorePlan], main: F) -> Result<Cores<R>, StartError>
where
    F: Fn(CoreId) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = R> + 'static,
    R: Send + 'static,
{
    let (report, reports) = mpsc::channel();
    let mut threads = Vec::with_capacity(plans.len());
    let mut gates = Vec::with_capacity(plans.len());
    for plan in plans.iter().copied() {
        let (gate, go) = mpsc::channel::<()>();
        let (report, main) = (report.clone(), main.clone());
        let body = move || host(plan, &report, &go, main);
        let builder = thread::Builder::new().name(format!("synap-core-{}", plan.core.index()));
        let spawned = builder.spawn(body);
        threads.push(spawned.map_err(|source| StartError::Thread { core: plan.core, source })?);
        gates.push(gate);
    }
    drop(report);
    let mut warnings = Vec::new();
    for outcome in reports.iter().take(plans.len()) {
        warnings.extend(outcome?);
    }
    assert_eq!(threads.len(), plans.len(), "every core has reported");
    for gate in gates {
        gate.send(()).expect("a core that reported waits at its gate");
    }
    Ok(Cores { threads, warnings })
}

type Report = Result<Option<PinWarning>, StartError>;

/// Body of a core's thread: make the executor, report, wait for the others, run.
fn host<F, Fut, R>(
    plan: CorePlan,
    report: &mpsc::Sender<Report>,
    go: &mpsc::Receiver<()>,
    main: F,
) -> Option<R>
where
    F: Fn(CoreId) -> Fut,
    Fut: Future<Output = R> + 'static,
    R: 'static,
{
    let executor = match make(plan) {
        Ok((executor, warning)) => {
            report.send(Ok(warning)).ok()?;
            executor
        }
        Err(error) => {
            report.send(Err(error)).ok()?;
            return None;
        }
    };
    // A closed gate means that another core failed to start.
    go.recv().ok()?;
    Some(executor.run(main(plan.core)))
}

fn make(plan: CorePlan) -> Result<(LocalExecutor, Option<PinWarning>), StartError> {
    let failed = |message| StartError::Executor { core: plan.core, message };
    let Some(cpu) = plan.cpu else {
        let made = builder(Placement::Unbound).make();
        return made.map(|executor| (executor, None)).map_err(|e| failed(e.to_string()));
    };
    match builder(Placement::Fixed(cpu)).make() {
        Ok(executor) => Ok((executor, None)),
        Err(error) => {
            let warning = PinWarning { core: plan.core, cpu, reason: error.to_string() };
            let made = builder(Placement::Unbound).make();
            made.map(|executor| (executor, Some(warning))).map_err(|e| failed(e.to_string()))
        }
    }
}

fn builder(placement: Placement) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(placement)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT)
        // No threads at all for its blocking calls: nothing here makes any, see `run_blocking`.
        .blocking_thread_pool_placement(PoolPlacement::Custom(Vec::new()))
}

/// Runs `job` on a thread of its own, which may run on any CPU the process may use, whatever the
/// core is pinned to. The job tells its outcome itself, usually by a channel and a doorbell. For
/// jobs that are rare: a thread costs tens of microseconds.
///
/// The executor's own pool is not used: to collect what it has done a core would have to yield to
/// the executor, which parks, with the core's task ready to run, when its preemption timer has
/// fired between its poll and its run of the queues.
///
/// # Errors
/// When no thread can be made.
pub fn run_blocking(job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let job = move || {
        unpin_thread();
        job();
    };
    thread::Builder::new().name("synap-job".to_owned()).spawn(job).map(drop)
}

/// What a nice value of 10 leaves to a background thread: a tenth of a busy processor.
const BACKGROUND_NICE: libc::c_int = 10;

/// Makes the calling thread one of the background: not pinned, and behind the cores where there is
/// not enough processor for all. Failure leaves it as it is, which is only less polite.
pub fn settle_in_background() {
    unpin_thread();
    // SAFETY: no memory is involved; the id 0 means the calling thread.
    #[expect(unsafe_code, reason = "std knows nothing of priorities")]
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, BACKGROUND_NICE);
    }
}

/// Lets the calling thread run wherever the process may: threads made by a pinned core inherit its
/// pin, and would compete with it. Failure leaves the thread where it is, which is only slower.
pub fn unpin_thread() {
    let bytes = size_of::<libc::cpu_set_t>();
    // SAFETY: the set is plain data, valid when zero, and both calls get its true size. The main
    // thread, whose id is the process id, is never pinned by us, so its set is the process's.
    #[expect(unsafe_code, reason = "std knows nothing of affinity")]
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let process = libc::getpid();
        if libc::sched_getaffinity(process, bytes, &raw mut set) == 0 {
            libc::sched_setaffinity(0, bytes, &raw const set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(cpus: &[Option<usize>]) -> Vec<CorePlan> {
        let numbered = cpus.iter().enumerate();
        numbered.map(|(index, cpu)| CorePlan { core: CoreId::new(index), cpu: *cpu }).collect()
    }

    #[test]
    fn every_core_runs_its_main_and_its_background_jobs() {
        let main = |core: CoreId| async move {
            let (done, outcome) = mpsc::channel();
            run_blocking(move || done.send(21).expect("the core waits")).expect("a pool thread");
            let answer: usize = outcome.recv().expect("the job reports");
            answer * 2 + core.index()
        };
        let cores = start(&plans(&[None, None]), main).expect("two executors");
        let results: Vec<_> = cores.join().into_iter().map(|r| r.expect("no panic")).collect();
        assert_eq!(results, [42, 43]);
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_a_warning() {
        let cores = start(&plans(&[Some(100_000)]), |_| async {}).expect("runs unpinned");
        assert_eq!(cores.warnings().len(), 1);
        assert_eq!(cores.warnings()[0].cpu, 100_000);
        assert!(cores.join()[0].is_ok());
    }

    #[test]
    fn a_panic_is_told_by_join() {
        let cores = start(&plans(&[None]), |_| async { panic!("as planned") }).expect("starts");
        let results: Vec<Result<(), _>> = cores.join();
        assert_eq!(results[0].as_ref().expect_err("it panicked").message, "as planned");
    }
}
