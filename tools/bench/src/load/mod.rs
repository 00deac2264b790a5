//! One load run: connects, warms up, measures, and merges what the threads saw.
//!
//! Guarantees: all connections stand before the clock and the CPU reading start; every request is
//! accounted for as done, as an error of a named kind, or as never sent. Talks over sockets only.

mod connection;
mod keys;
mod reply;
mod request;
mod tally;
mod worker;

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use rustix::thread::{CpuSet, sched_setaffinity};

pub(crate) use connection::Connection;
pub(crate) use keys::{Distribution, KeySpace, SlotRanges};
pub(crate) use request::{KeyShape, Mix, Op, Protocol, RequestSpec};
pub(crate) use tally::Tally;

use crate::procfs::{self, CpuTime};
use keys::Rng;
use request::RequestWriter;
use worker::{Source, Worker};

/// How many requests one connection keeps in flight while keys are loaded.
const PRELOAD_PIPELINE: usize = 64;
/// Connections that load keys.
const PRELOAD_CONNECTIONS: usize = 16;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// The next batch when the last is answered.
    Closed,
    /// At a fixed rate in requests per second over all threads, whatever the server does.
    Open(f64),
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// After this time.
    Time(Duration),
    /// After this many requests over all threads.
    Count(u64),
}

/// Everything that defines a run.
#[derive(Clone, Debug)]
pub(crate) struct LoadSpec {
    pub(crate) addr: SocketAddr,
    pub(crate) request: RequestSpec,
    pub(crate) keys: KeySpace,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    pub(crate) pace: Pace,
    pub(crate) limit: Limit,
    pub(crate) warmup: Duration,
    /// CPUs the client threads are pinned to, in turn; empty for no pinning.
    pub(crate) cpus: Vec<usize>,
    pub(crate) server_pid: Option<u32>,
    /// Keep only connections that this core of the server accepted.
    pub(crate) only_core: Option<usize>,
    pub(crate) seed: u64,
}

/// What a run measured.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Option<CpuTime>,
    pub(crate) rss: Option<u64>,
}

impl Outcome {
    /// Answered requests per second.
    pub(crate) fn throughput(&self) -> f64 {
        self.tally.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Server CPU microseconds per answered request.
    pub(crate) fn cpu_us_per_op(&self) -> Option<f64> {
        let done = self.tally.done.max(1) as f64;
        self.cpu.map(|cpu| cpu.total().as_secs_f64() * 1e6 / done)
    }

    /// A latency quantile in microseconds.
    pub(crate) fn latency_us(&self, quantile: f64) -> f64 {
        self.tally.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Why a run could not be made.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// No connection to the server.
    Connect { addr: SocketAddr, source: io::Error },
    /// A system call of the client failed.
    Client { what: &'static str, source: io::Error },
    /// `/proc` of the server could not be read.
    Server { pid: u32, source: io::Error },
    /// A CPU number beyond what the kernel's mask can hold.
    BadCpu { expected_below: usize, found: usize },
    /// CLIENT INFO names no core, or the wanted core never accepted a connection.
    Core { wanted: usize, found: String },
    /// A thread of the client panicked.
    Thread,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { addr, source } => write!(f, "cannot connect to {addr}: {source}"),
            Self::Client { what, source } => write!(f, "{what} failed: {source}"),
            Self::Server { pid, source } => write!(f, "cannot read /proc/{pid}: {source}"),
            Self::BadCpu { expected_below, found } => {
                write!(f, "expected a CPU number below {expected_below}, found {found}")
            }
            Self::Core { wanted, found } => {
                write!(f, "expected a connection with core={wanted} in CLIENT INFO, found {found}")
            }
            Self::Thread => f.write_str("a client thread panicked"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Restricts the calling thread, and what it spawns from now on, to `cpus`; no-op when empty.
pub(crate) fn pin_thread(cpus: &[usize]) -> Result<(), LoadError> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(LoadError::BadCpu { expected_below: CpuSet::MAX_CPU, found: cpu });
        }
        set.set(cpu);
    }
    sched_setaffinity(None, &set)
        .map_err(|e| LoadError::Client { what: "sched_setaffinity", source: e.into() })
}

/// Runs the load: warm-up first when asked for, then the measured part.
///
/// # Errors
/// When no connection can be made or the client itself fails; failures of single requests are
/// counted in the outcome instead.
pub(crate) fn run(spec: &LoadSpec) -> Result<Outcome, LoadError> {
    let connect = || Connection::open(spec.addr, spec.request.protocol, spec.only_core);
    let mut connections =
        (0..spec.connections).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
    let writer = RequestWriter::new(&spec.request);
    let source = |thread: u64, phase: u64| Source::Random {
        writer: &writer,
        keys: &spec.keys,
        rng: Rng::new(spec.seed.wrapping_add(thread << 32).wrapping_add(phase << 48)),
    };
    if !spec.warmup.is_zero() {
        let warmup = LoadSpec { limit: Limit::Time(spec.warmup), ..spec.clone() };
        (_, connections) = phase(&warmup, connections, |thread| source(thread, 0))?;
    }
    phase(spec, connections, |thread| source(thread, 1)).map(|(outcome, _)| outcome)
}

/// Writes every key of the key space once.
///
/// # Errors
/// As for [`run`].
pub(crate) fn preload(spec: &LoadSpec) -> Result<Outcome, LoadError> {
    let spec = LoadSpec {
        connections: PRELOAD_CONNECTIONS,
        pipeline: PRELOAD_PIPELINE,
        threads: 1,
        pace: Pace::Closed,
        limit: Limit::Count(spec.keys.len()),
        ..spec.clone()
    };
    let connect = || Connection::open(spec.addr, spec.request.protocol, None);
    let connections = (0..spec.connections).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
    let writer = RequestWriter::new(&spec.request);
    let source = |_| Source::Sequence { writer: &writer, keys: &spec.keys, next: 0 };
    phase(&spec, connections, source).map(|(outcome, _)| outcome)
}

/// One measured stretch over open connections, which are handed back.
fn phase<'a>(
    spec: &LoadSpec,
    connections: Vec<Connection>,
    source: impl Fn(u64) -> Source<'a>,
) -> Result<(Outcome, Vec<Connection>), LoadError> {
    let cpu_now = || spec.server_pid.map(|pid| read_proc(pid, procfs::cpu_time)).transpose();
    let threads = spec.threads.clamp(1, spec.connections.max(1));
    let mut shares: Vec<Vec<Connection>> = (0..threads).map(|_| Vec::new()).collect();
    for (i, connection) in connections.into_iter().enumerate() {
        shares[i % threads].push(connection);
    }
    let before = cpu_now()?;
    let started = Instant::now();
    let results = thread::scope(|scope| {
        let mut handles = Vec::new();
        for (i, share) in shares.into_iter().enumerate() {
            let source = source(i as u64);
            handles.push(scope.spawn(move || one_thread(spec, i, threads, share, source)));
        }
        handles.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let elapsed = started.elapsed();
    let cpu = cpu_now()?.zip(before).map(|(after, before)| after.since(before));
    let rss = spec.server_pid.map(|pid| read_proc(pid, procfs::rss_bytes)).transpose()?;
    let mut tally = Tally::new();
    let mut connections = Vec::new();
    for result in results {
        let (part, share) = result.map_err(|_| LoadError::Thread)??;
        tally.merge(&part);
        connections.extend(share);
    }
    Ok((Outcome { tally, elapsed, cpu, rss }, connections))
}

fn one_thread(
    spec: &LoadSpec,
    index: usize,
    threads: usize,
    connections: Vec<Connection>,
    source: Source<'_>,
) -> Result<(Tally, Vec<Connection>), LoadError> {
    if let Some(&cpu) = spec.cpus.get(index % spec.cpus.len().max(1)) {
        pin_thread(&[cpu])?;
    }
    let limit = match spec.limit {
        Limit::Time(time) => Limit::Time(time),
        Limit::Count(count) => {
            let extra = u64::from((index as u64) < count % threads as u64);
            Limit::Count(count / threads as u64 + extra)
        }
    };
    let worker = Worker::new(connections, source, spec.pipeline, limit)
        .map_err(|source| LoadError::Client { what: "epoll set-up", source })?;
    let done = match spec.pace {
        Pace::Closed => worker.closed_loop(),
        Pace::Open(rate) => worker.open_loop(rate / threads as f64),
    };
    done.map_err(|source| LoadError::Client { what: "epoll_wait", source })
}

fn read_proc<T>(pid: u32, read: impl Fn(u32) -> io::Result<T>) -> Result<T, LoadError> {
    read(pid).map_err(|source| LoadError::Server { pid, source })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

    /// A server for one connection: `answer` gets the number of requests read so far and returns
    /// the reply to the next one, or `None` to close.
    fn serve(
        mut answer: impl FnMut(usize) -> Option<&'static [u8]> + Send + 'static,
    ) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = vec![0; PING.len()];
            let mut seen = 0;
            while stream.read_exact(&mut request).is_ok() {
                assert_eq!(request, PING);
                match answer(seen) {
                    Some(reply) => stream.write_all(reply).unwrap(),
                    None => return,
                }
                seen += 1;
            }
        });
        addr
    }

    fn spec(addr: SocketAddr, pace: Pace, limit: Limit) -> LoadSpec {
        let keys = KeyShape { len: 20 };
        let mix = Mix::only(Op::Ping);
        LoadSpec {
            addr,
            request: RequestSpec { protocol: Protocol::Resp, keys, value_size: 1, mix },
            keys: KeySpace::new(1, Distribution::Uniform, 0.9, None, |id| keys.key(id)).unwrap(),
            connections: 1,
            pipeline: 4,
            threads: 1,
            pace,
            limit,
            warmup: Duration::ZERO,
            cpus: vec![],
            server_pid: None,
            only_core: None,
            seed: 1,
        }
    }

    #[test]
    fn a_stall_shows_in_every_request_that_it_delayed() {
        let stall = Duration::from_millis(200);
        let addr = serve(move |seen| {
            if seen == 100 {
                thread::sleep(stall);
            }
            Some(b"+PONG\r\n")
        });
        let outcome = run(&spec(addr, Pace::Open(1_000.0), Limit::Count(500))).unwrap();
        assert_eq!((outcome.tally.done, outcome.tally.unsent, outcome.tally.failed()), (500, 0, 0));
        // 1,000 requests a second came due for 200 ms; half of them waited for 100 ms or more.
        let slow = outcome.tally.latency.count_between(90_000_000, u64::MAX);
        assert!(slow >= 90, "{slow} of 500 waited");
    }

    #[test]
    fn a_closed_loop_sends_exactly_the_count() {
        let addr = serve(|_| Some(b"+PONG\r\n"));
        let outcome = run(&spec(addr, Pace::Closed, Limit::Count(1_001))).unwrap();
        assert_eq!((outcome.tally.sent, outcome.tally.done), (1_001, 1_001));
    }

    #[test]
    fn errors_wrong_replies_and_lost_requests_are_told_apart() {
        let replies: [&[u8]; 3] = [b"-BUSY try later\r\n", b":1\r\n", b"+PONG\r\n"];
        let addr = serve(move |seen| replies.get(seen).copied());
        let outcome = run(&spec(addr, Pace::Closed, Limit::Count(4))).unwrap();
        assert_eq!(outcome.tally.done, 1);
        assert_eq!(outcome.tally.errors["BUSY"], 1);
        assert_eq!(outcome.tally.errors["reply of the wrong type"], 1);
        assert_eq!(outcome.tally.errors["request lost"], 1);
    }
}
