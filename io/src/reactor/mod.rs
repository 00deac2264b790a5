//! The pull-style event loop of one core: sockets, the log's writes and the doorbell on one
//! private `io_uring`.
//!
//! Order of use, once per turn: [`Reactor::turn`] submits what was queued since the last one and
//! sleeps if nothing is there; then [`Reactor::next`] until it returns nothing; every received
//! chunk goes back with [`Reactor::recycle`]. Requests made meanwhile ([`Reactor::send`] and so on)
//! only queue. So a turn of a busy core is one system call.
//!
//! Guarantees: bytes of a connection arrive in order and once; a connection id is never reused; a
//! slot is freed, and `Closed` delivered, only after the kernel has let go of it. A reactor lives
//! and dies on the thread that made it.

mod dispatch;
mod log;
mod token;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{opcode, squeue, types::Fd};
use synap_shards::id::ConnId;

use crate::clock;
use crate::doorbell::{Bell, Doorbell};
use crate::net::conn::{Receive, Sending, Slots};
use crate::net::tcp;
use crate::ring::{Buffers, Ring};
use crate::wal::commit::LogDone;
use log::LogFlight;
use token::Op;

/// Connections that one reactor can have at most.
pub const CONNECTIONS_MAX: usize = crate::net::conn::CONNECTIONS_MAX;
/// How long accepting rests after the kernel refused to hand out a connection (no descriptors, no
/// memory): such errors come back at once, again and again.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of one SEND request; longer buffers take several. The kernel copies what a socket takes
/// while the request is submitted, and over loopback carries it to its receiver too: of a buffer of
/// 10 MiB that is several milliseconds, in which the core does nothing else.
const SEND_BYTES_MAX: usize = 256 * 1024;
/// How often dropping a reactor looks whether the kernel has let go, and for how long each time.
const DROP_TURNS_MAX: usize = 1000;
const DROP_WAIT: Duration = Duration::from_millis(10);

/// Sizes of a reactor.
#[derive(Clone, Debug)]
pub struct ReactorOptions {
    /// Submission queue entries, a power of two. The completion queue is eight times as long.
    pub ring_entries: u32,
    /// Receive buffers of the core, a power of two up to 32768.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer.
    pub receive_buffer_bytes: usize,
    /// Connections beyond this are closed as soon as they are accepted.
    pub connections_max: usize,
}

impl Default for ReactorOptions {
    fn default() -> Self {
        Self {
            ring_entries: 512,
            receive_buffers: 256,
            receive_buffer_bytes: 8 * 1024,
            connections_max: 10_000,
        }
    }
}

/// Why a reactor cannot work. All fatal for the core.
#[derive(Debug)]
pub enum ReactorError {
    /// The kernel refused to set up the ring.
    Setup(io::Error),
    /// The kernel refused memory or registration of the receive buffers.
    Buffers(io::Error),
    /// The doorbell could not be made.
    Doorbell(io::Error),
    /// The ring stopped working.
    Enter(io::Error),
}

impl fmt::Display for ReactorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => write!(f, "cannot set up io_uring (Linux 6.1 needed): {error}"),
            Self::Buffers(error) => write!(f, "cannot register receive buffers: {error}"),
            Self::Doorbell(error) => write!(f, "cannot make an eventfd: {error}"),
            Self::Enter(error) => write!(f, "io_uring_enter failed: {error}"),
        }
    }
}

impl std::error::Error for ReactorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setup(error) | Self::Buffers(error) => Some(error),
            Self::Doorbell(error) | Self::Enter(error) => Some(error),
        }
    }
}

/// What a listener is for (which protocol); chosen by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerTag(pub u8);

/// Received bytes, lying in a buffer of the core until recycled. A chunk that is dropped instead
/// takes its buffer with it for the life of the reactor.
#[derive(Debug)]
#[must_use = "recycle the chunk, or its buffer is lost"]
pub struct Chunk {
    buffer: u16,
    bytes: u32,
    /// Chunks stay on the thread of their reactor.
    here: PhantomData<*const ()>,
}

/// What happened.
#[derive(Debug)]
pub enum Completion {
    /// A connection was accepted and is being read.
    Accepted {
        /// Its id.
        conn: ConnId,
        /// The listener it came through.
        listener: ListenerTag,
        /// The other end.
        peer: SocketAddr,
    },
    /// Bytes arrived.
    Received {
        /// From this connection.
        conn: ConnId,
        /// The bytes: read with [`Reactor::bytes`], return with [`Reactor::recycle`].
        chunk: Chunk,
    },
    /// The peer finished sending (FIN); writing still works.
    ReadEnded {
        /// On this connection.
        conn: ConnId,
    },
    /// The whole buffer is with the kernel.
    Sent {
        /// On this connection.
        conn: ConnId,
        /// The buffer, for reuse; contents as they were.
        buffer: Vec<u8>,
    },
    /// The connection broke. Said once; nothing but [`Reactor::shutdown`] makes sense now. A
    /// buffer being sent is gone.
    Failed {
        /// This connection.
        conn: ConnId,
        /// Why.
        error: io::Error,
    },
    /// The slot is free; the last word about this connection.
    Closed {
        /// This connection.
        conn: ConnId,
    },
    /// A commit of the log ended; goes to [`Writer::on_completion`](crate::wal::Writer).
    Log(LogDone),
    /// Somebody rang the doorbell.
    Rung,
}

/// What a reactor has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetCounters {
    /// Connections accepted and kept.
    pub accepted: u64,
    /// Connections closed at once: over the maximum, or listening had stopped.
    pub refused: u64,
    /// Accepts that failed; each pauses its listener for [`ACCEPT_PAUSE`].
    pub accept_errors: u64,
    /// Connections whose slot was freed.
    pub closed: u64,
    /// Chunks received.
    pub receives: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Times a connection had to wait for a receive buffer.
    pub starved: u64,
    /// Sends completed.
    pub sends: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Calls of `io_uring_enter`.
    pub enters: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Accepting {
    Armed,
    /// Resumes at this time of the monotonic clock (ns).
    Paused(u64),
    Stopping,
    Stopped,
}

struct Listener {
    socket: Option<TcpListener>,
    tag: ListenerTag,
    state: Accepting,
}

/// The event loop of one core.
pub struct Reactor {
    // The ring goes first: dropping it ends the kernel's interest in the memory below.
    ring: Ring,
    buffers: Buffers,
    slots: Slots,
    listeners: Vec<Listener>,
    starved: VecDeque<ConnId>,
    /// Connections with a silent send that the kernel may not have seen yet.
    silent: Vec<ConnId>,
    ready: VecDeque<Completion>,
    bell: Bell,
    /// The commit of the log under way.
    log: Option<LogFlight>,
    /// Being dropped: nothing new is started.
    dropping: bool,
    /// Requests whose last completion is still to come.
    in_flight: usize,
    counters: NetCounters,
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("connections", &self.slots.count())
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl Reactor {
    /// A reactor for the calling thread.
    ///
    /// # Errors
    /// When the kernel lacks or forbids what it needs.
    pub fn new(options: &ReactorOptions) -> Result<Self, ReactorError> {
        let ring = Ring::new(options.ring_entries).map_err(ReactorError::Setup)?;
        let (count, bytes) = (options.receive_buffers, options.receive_buffer_bytes);
        let buffers = Buffers::new(ring.uring(), count, bytes).map_err(ReactorError::Buffers)?;
        let bell = Bell::new().map_err(ReactorError::Doorbell)?;
        let mut reactor = Self {
            ring,
            buffers,
            slots: Slots::new(options.connections_max),
            listeners: Vec::new(),
            starved: VecDeque::new(),
            silent: Vec::new(),
            ready: VecDeque::new(),
            bell,
            log: None,
            dropping: false,
            in_flight: 0,
            counters: NetCounters::default(),
        };
        reactor.arm_bell();
        Ok(reactor)
    }

    /// Accepts connections from `listener` from the next turn on.
    pub fn listen(&mut self, listener: TcpListener, tag: ListenerTag) {
        let index = self.listeners.len();
        self.listeners.push(Listener { socket: Some(listener), tag, state: Accepting::Stopped });
        self.arm_accept(index);
    }

    /// Closes every listener. Connections still in their queues are reset by the kernel.
    pub fn stop_listening(&mut self) {
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            match listener.state {
                Accepting::Armed => {
                    listener.state = Accepting::Stopping;
                    let target = Op::Accept.with(index as u64);
                    self.in_flight += 1;
                    self.ring.cancel(target, Op::CancelOther.with(index as u64));
                }
                Accepting::Paused(_) | Accepting::Stopped => {
                    listener.state = Accepting::Stopped;
                    listener.socket = None;
                }
                Accepting::Stopping => {}
            }
        }
    }

    /// Submits everything queued, and sleeps at most `wait` if nothing has completed or been rung.
    /// A `wait` of zero never sleeps. May return early with nothing.
    ///
    /// # Errors
    /// [`ReactorError::Enter`]: the ring is broken, the core cannot go on.
    pub fn turn(&mut self, wait: Duration) -> Result<(), ReactorError> {
        let wait = self.resume_accepting(wait);
        self.feed_starved();
        while !self.ring.fill() {
            self.ring.enter().map_err(ReactorError::Enter)?;
            self.reap();
        }
        let may_sleep = self.ready.is_empty() && !wait.is_zero();
        let entered = if may_sleep && self.bell.park() {
            let entered = self.ring.enter_and_sleep(wait);
            self.bell.unpark();
            entered
        } else {
            self.ring.enter()
        };
        entered.map_err(ReactorError::Enter)?;
        self.reap();
        self.settle_silent();
        if self.bell.take() {
            self.ready.push_back(Completion::Rung);
        }
        Ok(())
    }

    /// The next thing that happened, oldest first. Nothing about a connection is delivered after
    /// its [`Reactor::shutdown`] except `Closed`.
    #[expect(clippy::should_implement_trait, reason = "an iterator would borrow the reactor")]
    pub fn next(&mut self) -> Option<Completion> {
        while let Some(completion) = self.ready.pop_front() {
            match completion {
                Completion::Received { conn, chunk } if !self.is_open(conn) => {
                    self.recycle(chunk);
                }
                Completion::ReadEnded { conn }
                | Completion::Sent { conn, .. }
                | Completion::Failed { conn, .. }
                    if !self.is_open(conn) => {}
                completion => return Some(completion),
            }
        }
        None
    }

    /// The bytes of a chunk; never empty.
    pub fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.buffers.read(chunk.buffer, chunk.bytes as usize)
    }

    /// Gives the chunk's buffer back to the kernel.
    pub fn recycle(&mut self, chunk: Chunk) {
        self.buffers.give(chunk.buffer);
    }

    /// Hands `bytes` (not empty) to the kernel with the next turn. They come back with `Sent`.
    /// Bytes for a connection that has failed or was shut down are dropped.
    ///
    /// `Sent` counts as something that happened: the next turn does not sleep over it.
    ///
    /// Panics when a send of this connection is still under way.
    pub fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.begin_send(conn, bytes, false);
    }

    /// As [`Reactor::send`], for a caller that holds nothing back for this connection: a `Sent`
    /// that comes at once does not keep the next turn from sleeping, and is delivered when that
    /// turn ends. Saves the system call that would only fetch the `Sent`.
    pub fn send_lazily(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.begin_send(conn, bytes, true);
    }

    fn begin_send(&mut self, conn: ConnId, bytes: Vec<u8>, silent: bool) {
        assert!(!bytes.is_empty(), "there is nothing to send");
        let Some(slot) = self.slots.get_mut(conn) else { return };
        if slot.closing || slot.failed {
            return;
        }
        assert!(slot.sending.is_none(), "one send per connection at a time");
        // A buffer that takes several requests could not be silent about the first.
        let silent = silent && bytes.len() <= SEND_BYTES_MAX;
        slot.sending = Some(Sending { buffer: bytes, sent: 0, silent });
        if silent {
            self.silent.push(conn);
        }
        self.push_send(conn);
    }

    /// Stops reading. Bytes already received are still delivered.
    pub fn pause_reading(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        slot.want_read = false;
        if slot.receive == Receive::Armed {
            self.cancel_receive(conn);
        }
    }

    /// Reads again after [`Reactor::pause_reading`].
    pub fn resume_reading(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        slot.want_read = true;
        if slot.receive == Receive::Idle {
            self.arm_receive(conn);
        }
    }

    /// Ends the connection in both directions. What the kernel has accepted for sending still goes
    /// out; what is still with us does not: wait for `Sent` first. `Closed` follows.
    pub fn shutdown(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        if slot.closing {
            return;
        }
        slot.closing = true;
        // An error means that the peer was faster: there is nothing left to shut down.
        slot.stream.shutdown(Shutdown::Both).unwrap_or_default();
        if slot.in_flight == 0 {
            self.free(conn);
            return;
        }
        slot.in_flight += 1;
        self.in_flight += 1;
        let fd = Fd(slot.stream.as_raw_fd());
        self.ring.cancel_fd(fd, Op::Cancel.of(conn));
    }

    /// Address of the other end; nothing once the connection is closed.
    pub fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.slots.get(conn).map(|slot| slot.peer)
    }

    /// Address of our end; nothing once the connection is closed. Costs a system call.
    pub fn local(&self, conn: ConnId) -> Option<SocketAddr> {
        self.slots.get(conn)?.stream.local_addr().ok()
    }

    /// Bytes that the other end has confirmed so far; nothing once the connection is closed. Costs
    /// a system call.
    pub fn acknowledged(&self, conn: ConnId) -> Option<u64> {
        tcp::acknowledged(self.slots.get(conn)?.stream.as_raw_fd()).ok()
    }

    /// Whether the connection exists and was not shut down by us.
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.slots.get(conn).is_some_and(|slot| !slot.closing)
    }

    /// Connections whose slot is taken, those being closed included.
    pub fn connections(&self) -> usize {
        self.slots.count()
    }

    /// Ids of all connections, those being closed included.
    pub fn connection_ids(&self) -> Vec<ConnId> {
        self.slots.ids().collect()
    }

    /// A handle that wakes this core.
    pub fn doorbell(&self) -> Doorbell {
        self.bell.handle()
    }

    /// What has been done so far.
    pub fn counters(&self) -> NetCounters {
        NetCounters { enters: self.ring.enters(), ..self.counters }
    }

    fn arm_bell(&mut self) {
        self.in_flight += 1;
        self.ring.poll_readable(Fd(self.bell.fd()), Op::Bell.with(0));
    }

    fn arm_accept(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        let socket = listener.socket.as_ref().expect("a listener that is armed has its socket");
        let fd = Fd(socket.as_raw_fd());
        listener.state = Accepting::Armed;
        self.in_flight += 1;
        self.ring.accept(fd, Op::Accept.with(index as u64));
    }

    fn arm_receive(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        if !slot.may_receive() || slot.receive != Receive::Idle {
            return;
        }
        slot.receive = Receive::Armed;
        slot.in_flight += 1;
        self.in_flight += 1;
        let fd = Fd(slot.stream.as_raw_fd());
        self.ring.receive(fd, Op::Receive.of(conn));
    }

    fn cancel_receive(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        slot.receive = Receive::Cancelling;
        slot.in_flight += 1;
        self.in_flight += 1;
        self.ring.cancel(Op::Receive.of(conn), Op::Cancel.of(conn));
    }

    /// Submits what is left of the connection's send.
    fn push_send(&mut self, conn: ConnId) {
        let slot = self.slots.get_mut(conn).expect("the caller has just seen it");
        let sending = slot.sending.as_ref().expect("the caller has just set or seen it");
        let rest = &sending.buffer[sending.sent..];
        let bytes = rest.len().min(SEND_BYTES_MAX) as u32;
        // A silent send never waits: it ends inside the enter, and a full socket is a failure.
        let wait = if sending.silent { libc::MSG_DONTWAIT } else { 0 };
        let entry = opcode::Send::new(Fd(slot.stream.as_raw_fd()), rest.as_ptr(), bytes)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL | wait)
            .build()
            .user_data(Op::Send.of(conn));
        let entry = if sending.silent { entry.flags(squeue::Flags::SKIP_SUCCESS) } else { entry };
        slot.in_flight += 1;
        self.in_flight += 1;
        // SAFETY: the buffer is owned by the slot, which stays, untouched, until the completion of
        // this send clears it: a slot is freed only when nothing is in flight.
        #[expect(unsafe_code, reason = "the kernel reads the bytes")]
        unsafe {
            self.ring.push(entry);
        }
    }

    /// Re-arms listeners whose pause is over; the wait, cut to the next such moment.
    fn resume_accepting(&mut self, mut wait: Duration) -> Duration {
        for index in 0..self.listeners.len() {
            let Accepting::Paused(until_ns) = self.listeners[index].state else { continue };
            let now_ns = clock::monotonic_ns();
            if now_ns >= until_ns {
                self.arm_accept(index);
            } else {
                wait = wait.min(Duration::from_nanos(until_ns - now_ns));
            }
        }
        wait
    }

    /// Lets as many starved connections receive again as there are buffers.
    fn feed_starved(&mut self) {
        for _ in 0..self.buffers.available().min(self.starved.len()) {
            let conn = self.starved.pop_front().expect("the loop is bounded by the length");
            let Some(slot) = self.slots.get_mut(conn) else { continue };
            if slot.receive == Receive::Starved {
                slot.receive = Receive::Idle;
                self.arm_receive(conn);
            }
        }
    }

    fn free(&mut self, conn: ConnId) {
        self.slots.remove(conn);
        self.counters.closed += 1;
        self.ready.push_back(Completion::Closed { conn });
    }
}

impl Drop for Reactor {
    /// Waits until the kernel has let go of every buffer: memory it may still write must not be
    /// reused.
    fn drop(&mut self) {
        self.dropping = true;
        self.stop_listening();
        for conn in self.connection_ids() {
            self.shutdown(conn);
        }
        self.in_flight += 1;
        self.ring.cancel_all(Op::CancelOther.with(0));
        for _ in 0..DROP_TURNS_MAX {
            if self.in_flight == 0 {
                return;
            }
            self.ring.fill();
            let entered = self.ring.enter_and_sleep(DROP_WAIT);
            assert!(entered.is_ok(), "the ring broke with {} requests under way", self.in_flight);
            self.reap();
            self.settle_silent();
        }
        panic!("the kernel still holds {} requests of a reactor", self.in_flight);
    }
}
