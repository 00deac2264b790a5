//! One client thread: an epoll loop over its connections.
//!
//! Guarantees: closed loop sends a batch of `pipeline` requests and the next one when all are
//! answered; open loop sends request i at start + i / rate and counts latency from that moment
//! even when every connection is busy (no coordinated omission). What is unanswered when the
//! drain time is over counts as an error. Must not open connections.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::keys::{KeySpace, Rng};
use super::request::{Op, RequestWriter};
use super::{Connection, Limit, Tally};

/// How long replies may come in after the last request was due.
const DRAIN: Duration = Duration::from_secs(10);
/// Longest sleep, so that the drain time is noticed.
const MAX_WAIT_NS: u64 = 50_000_000;
/// Bytes taken from a socket at once.
const READ_BUFFER: usize = 256 * 1_024;

/// Where requests come from.
pub(crate) enum Source<'a> {
    /// Random requests of the mix.
    Random { writer: &'a RequestWriter, keys: &'a KeySpace, rng: Rng },
    /// A SET of each key in turn.
    Sequence { writer: &'a RequestWriter, keys: &'a KeySpace, next: u64 },
}

impl Source<'_> {
    fn append(&mut self, out: &mut Vec<u8>) -> Op {
        match self {
            Self::Random { writer, keys, rng } => writer.random(keys, rng, out),
            Self::Sequence { writer, keys, next } => {
                writer.set(keys.at(*next % keys.len()), out);
                *next += 1;
                Op::Set
            }
        }
    }
}

/// A connection and what the loop knows about it.
struct Slot {
    connection: Connection,
    alive: bool,
    /// Registered for writability because the socket was full.
    wants_write: bool,
    /// Open loop: listed as able to take a request.
    listed: bool,
}

/// The loop of one thread.
pub(crate) struct Worker<'a> {
    poll: OwnedFd,
    slots: Vec<Slot>,
    source: Source<'a>,
    pipeline: usize,
    limit: Limit,
    started: Instant,
    tally: Tally,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
}

impl<'a> Worker<'a> {
    /// Registers the connections with an epoll instance.
    pub(crate) fn new(
        connections: Vec<Connection>,
        source: Source<'a>,
        pipeline: usize,
        limit: Limit,
    ) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (i, connection) in connections.iter().enumerate() {
            let data = epoll::EventData::new_u64(i as u64);
            epoll::add(&poll, connection.stream(), data, epoll::EventFlags::IN)?;
        }
        let new_slot =
            |connection| Slot { connection, alive: true, wants_write: false, listed: true };
        let slots: Vec<_> = connections.into_iter().map(new_slot).collect();
        let events = Vec::with_capacity(slots.len().max(1));
        let (tally, buffer) = (Tally::new(), vec![0; READ_BUFFER]);
        let (started, pipeline) = (Instant::now(), pipeline.max(1));
        Ok(Self { poll, slots, source, pipeline, limit, started, tally, buffer, events })
    }

    /// Runs until the limit with full batches on every connection.
    pub(crate) fn closed_loop(mut self) -> io::Result<(Tally, Vec<Connection>)> {
        let (mut budget, end) = match self.limit {
            Limit::Time(time) => (u64::MAX, nanos(time)),
            Limit::Count(count) => (count, u64::MAX),
        };
        let mut idle: Vec<usize> = (0..self.slots.len()).collect();
        let mut stopped_at = None;
        loop {
            let now = self.now();
            if now >= end {
                budget = 0;
            }
            if budget == 0 {
                stopped_at.get_or_insert(now);
            }
            for i in idle.drain(..) {
                let batch = budget.min(self.pipeline as u64);
                budget -= batch;
                (0..batch).for_each(|_| self.push(i, now));
                self.flush(i);
            }
            let drained = stopped_at.is_some_and(|at| now > at + nanos(DRAIN));
            if self.all_dead() || drained || (stopped_at.is_some() && self.in_flight() == 0) {
                return Ok(self.finish());
            }
            let wait = if budget == 0 { MAX_WAIT_NS } else { MAX_WAIT_NS.min(end - now) };
            self.wait(wait)?;
            for k in 0..self.events.len() {
                if let Some(i) = self.on_event(k)
                    && self.slots[i].connection.in_flight() == 0
                {
                    idle.push(i);
                }
            }
        }
    }

    /// Sends at `rate` requests per second until the limit.
    pub(crate) fn open_loop(mut self, rate: f64) -> io::Result<(Tally, Vec<Connection>)> {
        let total = match self.limit {
            Limit::Time(time) => (time.as_secs_f64() * rate) as u64,
            Limit::Count(count) => count,
        };
        let due = |index: u64| (index as f64 * 1e9 / rate) as u64;
        let end = due(total) + nanos(DRAIN);
        let mut ready: VecDeque<usize> = (0..self.slots.len()).collect();
        let mut dirty = Vec::new();
        let mut next = 0;
        loop {
            let now = self.now();
            while next < total && due(next) <= now {
                let Some(i) = ready.pop_front() else { break };
                self.slots[i].listed = false;
                if !self.slots[i].alive {
                    continue;
                }
                self.push(i, due(next));
                next += 1;
                dirty.push(i);
                self.relist(i, &mut ready);
            }
            dirty.drain(..).for_each(|i| self.flush(i));
            if self.all_dead() || now > end || (next == total && self.in_flight() == 0) {
                self.tally.unsent += total - next;
                return Ok(self.finish());
            }
            let wait = if next < total && !ready.is_empty() {
                due(next).saturating_sub(self.now())
            } else {
                MAX_WAIT_NS
            };
            self.wait(wait)?;
            for k in 0..self.events.len() {
                if let Some(i) = self.on_event(k) {
                    self.relist(i, &mut ready);
                }
            }
        }
    }

    fn relist(&mut self, i: usize, ready: &mut VecDeque<usize>) {
        let slot = &mut self.slots[i];
        if slot.alive && !slot.listed && slot.connection.in_flight() < self.pipeline {
            slot.listed = true;
            ready.push_back(i);
        }
    }

    fn now(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    fn all_dead(&self) -> bool {
        self.slots.iter().all(|slot| !slot.alive)
    }

    fn in_flight(&self) -> usize {
        let alive = self.slots.iter().filter(|slot| slot.alive);
        alive.map(|slot| slot.connection.in_flight()).sum()
    }

    /// Appends one request to connection `i`, its latency counting from `since`.
    fn push(&mut self, i: usize, since: u64) {
        let connection = &mut self.slots[i].connection;
        let op = self.source.append(&mut connection.out);
        connection.expect_reply(op, since);
        self.tally.sent += 1;
    }

    fn flush(&mut self, i: usize) {
        let slot = &mut self.slots[i];
        if !slot.alive {
            return;
        }
        match slot.connection.flush() {
            Ok(done) => {
                if done == slot.wants_write {
                    self.watch_write(i, !done);
                }
            }
            Err(e) => self.fail(i, &e),
        }
    }

    fn watch_write(&mut self, i: usize, on: bool) {
        let slot = &mut self.slots[i];
        slot.wants_write = on;
        let out = if on { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        let data = epoll::EventData::new_u64(i as u64);
        let flags = epoll::EventFlags::IN | out;
        if let Err(e) = epoll::modify(&self.poll, slot.connection.stream(), data, flags) {
            self.fail(i, &e.into());
        }
    }

    fn wait(&mut self, nanos: u64) -> io::Result<()> {
        let (tv_sec, tv_nsec) = ((nanos / 1_000_000_000) as i64, (nanos % 1_000_000_000) as i64);
        self.events.clear();
        let timeout = Timespec { tv_sec, tv_nsec };
        match epoll::wait(&self.poll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Handles event `k`; the connection when it got replies.
    fn on_event(&mut self, k: usize) -> Option<usize> {
        // Copied out: the kernel's event is a packed struct.
        let (data, flags) = (self.events[k].data, self.events[k].flags);
        let i = data.u64() as usize;
        if flags.contains(epoll::EventFlags::OUT) {
            self.flush(i);
        }
        let slot = &mut self.slots[i];
        if !slot.alive {
            return None;
        }
        let started = self.started;
        let clock = || nanos(started.elapsed());
        match slot.connection.receive(&mut self.buffer, clock, &mut self.tally) {
            Ok(0) => None,
            Ok(_) => Some(i),
            Err(e) => {
                self.fail(i, &e);
                None
            }
        }
    }

    /// Gives a connection up: one error for the cause, one per request that got lost with it.
    fn fail(&mut self, i: usize, cause: &io::Error) {
        let slot = &mut self.slots[i];
        slot.alive = false;
        let _ = epoll::delete(&self.poll, slot.connection.stream());
        self.tally.error(&format!("connection lost: {cause}"), 1);
        self.tally.error("request lost", slot.connection.in_flight() as u64);
    }

    /// The sums, and the connections that can go on.
    fn finish(mut self) -> (Tally, Vec<Connection>) {
        let mut usable = Vec::new();
        for slot in self.slots {
            let open = slot.connection.in_flight();
            if slot.alive && open > 0 {
                self.tally.error("timeout", open as u64);
            } else if slot.alive {
                usable.push(slot.connection);
            }
        }
        (self.tally, usable)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
