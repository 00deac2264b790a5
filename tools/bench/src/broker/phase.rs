//! One phase of a run: threads that publish or consume until the messages are done.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Consumer, Kind, Producer};
use crate::procfs;

/// Where the messages go.
pub(super) struct Phase<'a> {
    pub(super) kind: Kind,
    pub(super) at: SocketAddr,
    pub(super) queue: &'a str,
    pub(super) server_pid: Option<u32>,
}

/// What came out.
pub(super) struct PhaseOutcome {
    pub(super) done: u64,
    pub(super) elapsed: Duration,
    /// Nanoseconds per message, or per round of a consumer.
    pub(super) latency: Histogram<u64>,
    pub(super) cpu: Option<Duration>,
    pub(super) rss: Option<u64>,
}

/// Times a consumer may find nothing before it takes the rest for lost.
const IDLE_MAX: u32 = 40;

/// What one thread did.
struct Share {
    done: u64,
    latency: Histogram<u64>,
    /// When its last message was done.
    last: Instant,
}

impl Share {
    fn new() -> Self {
        Self { done: 0, latency: histogram(), last: Instant::now() }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

impl Phase<'_> {
    pub(super) fn publish(
        &self,
        producers: usize,
        in_flight: usize,
        messages: u64,
        size: usize,
    ) -> io::Result<PhaseOutcome> {
        let left = AtomicU64::new(messages);
        self.run(producers, || {
            let mut producer = self.kind.producer(self.at, self.queue)?;
            let left = &left;
            Ok(move || publish(producer.as_mut(), left, in_flight, &vec![b'x'; size]))
        })
    }

    pub(super) fn consume(
        &self,
        consumers: usize,
        prefetch: usize,
        messages: u64,
    ) -> io::Result<PhaseOutcome> {
        let left = AtomicU64::new(messages);
        self.run(consumers, || {
            let mut consumer = self.kind.consumer(self.at, self.queue, prefetch)?;
            let left = &left;
            Ok(move || consume(consumer.as_mut(), left))
        })
    }

    fn run<J>(
        &self,
        threads: usize,
        connect: impl Fn() -> io::Result<J>,
    ) -> io::Result<PhaseOutcome>
    where
        J: FnOnce() -> io::Result<Share> + Send,
    {
        let jobs: Vec<J> = (0..threads).map(|_| connect()).collect::<io::Result<_>>()?;
        let barrier = Barrier::new(threads + 1);
        let cpu = self.server_pid.map(procfs::cpu_time).transpose()?;
        let (mut done, mut latency) = (0, histogram());
        let mut started = Instant::now();
        let mut ended = started;
        thread::scope(|scope| -> io::Result<()> {
            let work = |job: J| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    job()
                })
            };
            let running: Vec<_> = jobs.into_iter().map(work).collect();
            barrier.wait();
            started = Instant::now();
            for thread in running {
                let share = thread.join().expect("a worker does not panic")?;
                done += share.done;
                ended = ended.max(share.last);
                latency.add(share.latency).map_err(io::Error::other)?;
            }
            Ok(())
        })?;
        let elapsed = ended.saturating_duration_since(started);
        let cpu_after = self.server_pid.map(procfs::cpu_time).transpose()?;
        let cpu = cpu.zip(cpu_after).map(|(before, after)| after.since(before).total());
        let rss = self.server_pid.map(procfs::rss_bytes).transpose()?;
        Ok(PhaseOutcome { done, elapsed, latency, cpu, rss })
    }
}

/// Takes one of what is left.
fn claim(left: &AtomicU64) -> bool {
    let less = |left: u64| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

fn publish(
    producer: &mut dyn Producer,
    left: &AtomicU64,
    in_flight: usize,
    body: &[u8],
) -> io::Result<Share> {
    let (mut share, mut sent) = (Share::new(), VecDeque::new());
    loop {
        while sent.len() < in_flight && claim(left) {
            sent.push_back(Instant::now());
            producer.publish(body)?;
        }
        if sent.is_empty() {
            return Ok(share);
        }
        let confirmed = producer.confirmed()?;
        share.last = Instant::now();
        for began in sent.drain(..confirmed) {
            share.latency.saturating_record((share.last - began).as_nanos() as u64);
        }
        share.done += confirmed as u64;
    }
}

fn consume(consumer: &mut dyn Consumer, left: &AtomicU64) -> io::Result<Share> {
    let (mut share, mut idle) = (Share::new(), 0);
    while left.load(Ordering::Relaxed) > 0 && idle < IDLE_MAX {
        let began = Instant::now();
        let taken = consumer.take()? as u64;
        if taken == 0 {
            idle += 1;
            continue;
        }
        idle = 0;
        share.last = Instant::now();
        share.latency.saturating_record((share.last - began).as_nanos() as u64);
        share.done += taken;
        let less = |left: u64| Some(left.saturating_sub(taken));
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_default();
    }
    Ok(share)
}
