//! The loop of one core. It turns the world into events and actions into the world, and decides
//! nothing itself.
//!
//! A turn: take everything that happened (one system call, which also submits what the last turn
//! left), hand it to the engine, log what the engine wrote, send parcels to the other cores, then
//! let replies out. The order is the engine's ordering duty: append, send, reply.

mod access;
mod admit;
mod arrival;
mod audited;
mod buffers;
mod check;
mod connection;
mod envelope;
mod fed;
mod feed;
mod feeding;
mod gate;
mod live;
mod live_style;
mod login;
mod outlet;
mod poll;
mod pubsub;
mod serve;
mod serve_http;
mod serve_resp;
mod share;
mod snapshot;
mod tls;
mod tracking;
mod transaction;
mod transaction_http;
mod upkeep;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use smallvec::SmallVec;
use synap_io::clock;
use synap_io::mesh::{self, Endpoint};
use synap_io::reactor::{Chunk, Completion, ListenerTag, Reactor};
use synap_io::wal::{LogDone, LogOffset, Writer};
use synap_shards::engine::event::Event;
use synap_shards::engine::parcel::Parcel;
use synap_shards::engine::{Engine, Lane};
use synap_shards::id::{ConnId, CoreId};
use synap_shards::limits::PREFETCH_MAX;
use synap_shards::shard::plan::Now;

use crate::fatal::Fatal;
use crate::protocol::resp::decode;
use crate::session::rates::RateSampler;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tls::Tls;
use outlet::Outlet;
use serve::Host;
use snapshot::Snapshot;
use tls::Handshakes;

pub use upkeep::{Inbox, Message};

/// Longest sleep of an idle core.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Sleep of a core that waits for the others to drain.
const STOPPING_SLEEP: Duration = Duration::from_millis(5);
/// A turn that took longer than this is counted and logged.
const SLOW_TURN_NS: u64 = 10_000_000;
/// Bytes that may wait for the log before no further requests are started.
const BACKLOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long after a request a core counts as busy.
const BUSY_NS: u64 = 2_000_000;
/// How long a stopping core waits for requests to be answered.
const DRAIN_NS: u64 = 10_000_000_000;

/// Listeners of a core, by what they serve.
#[derive(Debug, Default)]
pub struct Listeners {
    /// HTTP.
    pub http: Option<TcpListener>,
    /// RESP.
    pub resp: Option<TcpListener>,
    /// RESP for cluster-aware clients, this core's slots only.
    pub shard: Option<TcpListener>,
    /// The same under TLS.
    pub shard_tls: Option<TcpListener>,
    /// HTTP under TLS.
    pub https: Option<TcpListener>,
    /// RESP under TLS.
    pub resp_tls: Option<TcpListener>,
    /// The queue service of distributed-sync-system.
    pub dss_queue: Option<TcpListener>,
    /// The same under TLS.
    pub dss_queue_tls: Option<TcpListener>,
}

const HTTP: ListenerTag = ListenerTag(0);
const RESP: ListenerTag = ListenerTag(1);
const SHARD: ListenerTag = ListenerTag(2);
const HTTPS: ListenerTag = ListenerTag(3);
const RESP_TLS: ListenerTag = ListenerTag(4);
const DSS_QUEUE: ListenerTag = ListenerTag(5);
const DSS_QUEUE_TLS: ListenerTag = ListenerTag(6);
const SHARD_TLS: ListenerTag = ListenerTag(7);

/// What a core is made of.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Parts {
    /// Its sockets, clock and ring.
    pub reactor: Reactor,
    /// Its end of the mesh.
    pub mesh: Endpoint<Parcel>,
    /// Its engine.
    pub engine: Engine,
    /// Its log, if there is one.
    pub wal: Option<Writer>,
    /// Facts and counters of the process.
    pub shared: Arc<Shared>,
    /// Its copy of what can change.
    pub settings: Settings,
    /// Certificates, where any port is under TLS.
    pub tls: Option<Arc<Tls>>,
    /// Messages from the main thread.
    pub inbox: Inbox,
    /// The other end of that, for those who are asked something and answer later.
    pub mail: Sender<Message>,
    /// Tells the main thread that a client asked the server to stop.
    pub ask_to_stop: Box<dyn Fn()>,
}

/// One core at work.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Core {
    id: CoreId,
    reactor: Reactor,
    mesh: Endpoint<Parcel>,
    engine: Engine,
    wal: Option<Writer>,
    durable: LogOffset,
    /// This core's log has said that the disk is full.
    log_full: bool,
    outlet: Outlet,
    inbox: Inbox,
    ask_to_stop: Box<dyn Fn()>,
    /// Bytes of the log on their way from the engine to the writer.
    log: Vec<u8>,
    /// Connections being gone through; kept to keep its memory.
    scratch: Vec<ConnId>,
    /// What happened in this turn; kept to keep its memory.
    happened: Vec<Completion>,
    clients_made: u64,
    /// Connections that were told that there are too many.
    refused: u64,
    next_tick_ns: u64,
    /// When queues are looked at next for their metrics.
    next_queues_ns: u64,
    next_round_ns: u64,
    rates: RateSampler,
    /// A client asked the server to stop.
    stop: bool,
    drained: bool,
    stopping_since_ns: Option<u64>,
    /// The snapshot that is being taken.
    snapshot: Option<Snapshot>,
    /// The core counts as busy until then: a turn without a request between two with one is a
    /// pause of its clients, and what the core does in it makes the next one wait.
    busy_until_ns: u64,
    /// What there is to do for connections under TLS.
    handshakes: Handshakes,
}

impl Core {
    /// Puts a core together on its own thread, and starts listening.
    pub fn new(id: CoreId, parts: Parts, listeners: Listeners) -> Self {
        let Parts { mut reactor, mesh, engine, wal, shared, settings, tls, .. } = parts;
        let Parts { inbox, mail, ask_to_stop, .. } = parts;
        let mail = (mail, reactor.doorbell());
        listen(&mut reactor, listeners);
        let outlet = Outlet::new(id, shared, settings, read_clocks(), mail);
        Self {
            id,
            reactor,
            mesh,
            engine,
            wal,
            durable: LogOffset(0),
            log_full: false,
            outlet,
            inbox,
            ask_to_stop,
            log: Vec::new(),
            scratch: Vec::new(),
            happened: Vec::new(),
            clients_made: 0,
            refused: 0,
            next_tick_ns: 0,
            next_queues_ns: 0,
            next_round_ns: 0,
            rates: RateSampler::default(),
            stop: false,
            drained: false,
            stopping_since_ns: None,
            snapshot: None,
            busy_until_ns: 0,
            handshakes: Handshakes::new(tls),
        }
    }

    /// Works until the server is told to stop and everything is answered.
    ///
    /// # Errors
    /// Whatever the process must not outlive.
    pub async fn run(mut self) -> Result<(), Fatal> {
        while !self.is_finished() {
            self.turn()?;
        }
        self.finish()
    }

    fn turn(&mut self) -> Result<(), Fatal> {
        let wait = self.sleep_for();
        self.reactor.turn(wait).map_err(|error| self.broken(&error))?;
        let started_ns = clock::monotonic_ns();
        self.outlet.now = Now { unix_ms: clock::unix_ms(), monotonic_ns: started_ns };
        self.outlet.disk_full = self.outlet.shared.logs_full.load(Ordering::Relaxed) > 0;
        let mut happened = std::mem::take(&mut self.happened);
        while let Some(completion) = self.reactor.next() {
            happened.push(completion);
        }
        // After what has come was taken: who was told of a change may have sent it.
        self.outlet.refresh_rights();
        self.outlet.begin_turn();
        self.look_ahead(&happened);
        if !happened.is_empty() || self.mesh.has_incoming() {
            self.busy_until_ns = started_ns + BUSY_NS;
        }
        for completion in happened.drain(..) {
            self.completed(completion)?;
        }
        self.happened = happened;
        self.receive_parcels();
        self.shake_hands();
        self.go_on_with_resumed();
        self.feed();
        self.upkeep()?;
        self.serve_feeds();
        self.outlet.deliver(&mut self.engine);
        self.log_and_send()?;
        self.send_cold_jobs();
        self.settle_files();
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        metrics.blocked_clients.set(self.engine.blocked());
        self.flush();
        self.go_on_with_snapshot(started_ns < self.busy_until_ns)?;
        self.count_turn(started_ns);
        if std::mem::take(&mut self.stop) {
            (self.ask_to_stop)();
        }
        Ok(())
    }

    /// Asks for the memory that the first request of each connection will read, so that the cache
    /// misses of a turn overlap. Pipelines look ahead for themselves.
    fn look_ahead(&self, happened: &[Completion]) {
        let mut keys = SmallVec::<[&[u8]; PREFETCH_MAX]>::new();
        for completion in happened {
            let Completion::Received { chunk, .. } = completion else { continue };
            if let Some(key) = decode::first_key(self.reactor.bytes(chunk)) {
                keys.push(key);
            }
            if keys.len() == PREFETCH_MAX {
                self.engine.prefetch(keys.iter().copied().map(Some));
                keys.clear();
            }
        }
        if keys.len() > 1 {
            self.engine.prefetch(keys.iter().copied().map(Some));
        }
    }

    fn broken(&self, error: &dyn std::error::Error) -> Fatal {
        Fatal::Core { core: self.id.index(), what: error.to_string() }
    }

    fn count_turn(&self, started_ns: u64) {
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        metrics.turns.add(1);
        let took_ns = clock::monotonic_ns() - started_ns;
        if took_ns > SLOW_TURN_NS {
            metrics.slow_turns.add(1);
            tracing::debug!(core = self.id.index(), took_us = took_ns / 1000, "slow turn");
        }
    }

    /// How long there is nothing to do, unless something happens.
    fn sleep_for(&self) -> Duration {
        let goes_on = self.outlet.congested && self.is_free();
        if goes_on
            || self.mesh.has_incoming()
            || !self.outlet.resumed.is_empty()
            || !self.outlet.put_off.is_empty()
            || self.outlet.feeds.has_ready()
            || self.has_unsent()
            || self.handshakes.has_waiting()
            || self.may_feed()
        {
            return Duration::ZERO;
        }
        if self.stopping_since_ns.is_some() {
            return STOPPING_SLEEP;
        }
        let mut until_ns = self.next_tick_ns.min(self.next_round_ns);
        if let Some(deadline_ns) = self.wal.as_ref().and_then(Writer::next_deadline) {
            until_ns = until_ns.min(deadline_ns);
        }
        for due_ns in [self.next_slice_ns(), self.engine.next_deadline()].into_iter().flatten() {
            until_ns = until_ns.min(due_ns);
        }
        let now_ns = clock::monotonic_ns();
        Duration::from_nanos(until_ns.saturating_sub(now_ns)).min(SLEEP_MAX)
    }

    /// Whether a parcel could not be sent because its ring was full.
    fn has_unsent(&self) -> bool {
        self.engine.has_parcels()
    }

    fn completed(&mut self, completion: Completion) -> Result<(), Fatal> {
        match completion {
            Completion::Accepted { conn, listener, .. } => self.accepted(conn, listener),
            Completion::Received { conn, chunk } => self.received(conn, chunk),
            Completion::ReadEnded { conn } => {
                if let Some(connection) = self.outlet.connections.get_mut(conn) {
                    connection.end_reading();
                    self.outlet.mark_dirty(conn);
                }
                self.give_up_waiting(conn);
            }
            Completion::Sent { conn, buffer } => self.sent(conn, buffer),
            Completion::Failed { conn, .. } => self.reactor.shutdown(conn),
            Completion::Closed { conn } => self.closed(conn),
            Completion::Log(done) => self.log_completed(done)?,
            Completion::Rung => self.read_messages()?,
        }
        Ok(())
    }

    fn received(&mut self, conn: ConnId, chunk: Chunk) {
        let bytes = self.reactor.bytes(&chunk);
        match self.outlet.connections.get_mut(conn) {
            Some(connection) if connection.tls.is_some() => self.received_sealed(conn, &chunk),
            Some(_) => take_input(&mut self.engine, &mut self.outlet, &mut self.stop, conn, bytes),
            None => {}
        }
        self.reactor.recycle(chunk);
        self.rest_reading(conn);
    }

    /// Stops reading a socket whose input piles up because the connection may not go on.
    fn rest_reading(&mut self, conn: ConnId) {
        let congested = self.outlet.backlogged || self.engine.is_congested();
        if let Some(connection) = self.outlet.connections.get_mut(conn)
            && !connection.reading_paused
            && connection.has_too_much_input()
            && (congested || connection.is_put_off || !connection.may_start())
        {
            connection.reading_paused = true;
            self.reactor.pause_reading(conn);
        }
    }

    /// Serves input that waited, of connections that may go on now.
    fn go_on_with_resumed(&mut self) {
        std::mem::swap(&mut self.outlet.resumed, &mut self.scratch);
        for at in 0..self.scratch.len() {
            self.go_on(self.scratch[at]);
        }
        self.scratch.clear();
        while let Some(conn) = self.outlet.killed.pop() {
            self.give_up_waiting(conn);
        }
    }

    fn go_on(&mut self, conn: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        if connection.has_unstarted() && connection.may_start() {
            let mut input = std::mem::take(&mut connection.input);
            let mut host = host(&mut self.engine, &mut self.outlet, &mut self.stop);
            let used = host.serve(conn, &input);
            let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
            if used < input.len() && !connection.closing {
                input.drain(..used);
                connection.input = input;
            }
        }
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        // While the log cannot keep up, or its share is used up, a socket whose input has piled up
        // stays unread.
        let congested =
            self.outlet.backlogged || self.engine.is_congested() || connection.is_put_off;
        if connection.reading_paused
            && !connection.read_ended
            && connection.may_start()
            && !(congested && connection.has_too_much_input())
        {
            connection.reading_paused = false;
            self.reactor.resume_reading(conn);
        }
        // Between being put off and going on it looked free, and may have been read all the while.
        self.rest_reading(conn);
        self.outlet.mark_dirty(conn);
    }

    fn sent(&mut self, conn: ConnId, mut buffer: Vec<u8>) {
        buffer.clear();
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        if connection.tls.as_ref().is_some_and(|tls| tls.session.has_unsealed()) {
            // What is left of a reply that is sealed in portions.
            self.send_sealed(conn, buffer);
            return;
        }
        connection.sending = false;
        self.outlet.spare.keep(buffer);
        if connection.has_unstarted() && connection.may_start() {
            self.outlet.resumed.push(conn);
        }
        self.outlet.hunger(conn);
        self.outlet.mark_dirty(conn);
    }

    fn closed(&mut self, conn: ConnId) {
        let Some(mut connection) = self.outlet.connections.remove(conn) else { return };
        if let Some((watcher, shards)) = transaction::take_watches(&mut connection.client) {
            let event = Event::Unwatch { watcher, shards };
            self.engine.step(self.outlet.now, event, &mut self.outlet);
        }
        self.outlet.feeds.remove(conn);
        self.give_up_waiting(conn);
        if let Some(feed) = connection.live.as_mut().and_then(|live| live.feed.take()) {
            host(&mut self.engine, &mut self.outlet, &mut self.stop).leave(conn, *feed);
        }
        self.outlet.forget_subscriber(&mut self.engine, connection.client.id);
        self.outlet.shared.alive.remove(connection.client.id);
        self.outlet.forget_tracker(&mut self.engine, connection.client.id);
        self.uncount(&connection);
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        if connection.live.as_ref().is_some_and(|live| live.is_websocket()) {
            let gauge = &metrics.websocket_connections;
            gauge.set(gauge.get() - 1);
        }
        if let Some(tls) = &connection.tls {
            self.closed_sealed(tls, connection.client.peer);
        }
    }

    /// A client that is gone, or sends no more, waits for nothing.
    fn give_up_waiting(&mut self, conn: ConnId) {
        self.outlet.give_up_polls(conn);
        self.outlet.give_up_feed(conn);
        self.engine.step(self.outlet.now, Event::Gone { conn }, &mut self.outlet);
    }

    fn receive_parcels(&mut self) {
        let now = self.outlet.now;
        for from in (0..self.mesh.cores()).map(CoreId::new).filter(|core| *core != self.id) {
            // Completions first: they free credits and bring shards home.
            for lane in [mesh::Lane::Completions, mesh::Lane::Requests] {
                while let Some(parcel) = self.mesh.receive(from, lane) {
                    self.engine.step(now, Event::Parcel { from, parcel }, &mut self.outlet);
                    self.outlet.tell_late();
                }
            }
        }
        if self.outlet.congested && self.is_free() {
            self.outlet.congested = false;
            let blocked = self.outlet.connections.with_input();
            self.outlet.resumed.extend(blocked);
        }
    }

    /// Whether nothing of this core keeps requests from being started.
    fn is_free(&self) -> bool {
        !self.engine.is_congested()
            && !self.outlet.backlogged
            && self.engine.log_end() <= self.outlet.log_end_max
    }

    /// Logs what the engine wrote, then sends what it has for other cores.
    fn log_and_send(&mut self) -> Result<(), Fatal> {
        self.outlet.congested |= self.engine.is_congested()
            || self.outlet.backlogged
            || self.engine.log_end() > self.outlet.log_end_max;
        self.engine.end_turn(self.outlet.now, &mut self.outlet);
        self.outlet.ring_feeds(&mut self.engine);
        self.engine.take_log(&mut self.log);
        let now_ns = self.outlet.now.monotonic_ns;
        if let Some(wal) = &mut self.wal {
            if !self.log.is_empty() {
                let end = wal.append(&self.log);
                assert_eq!(end.0, self.engine.log_end(), "the log holds what the engine wrote");
            }
            wal.turn_end(now_ns, &mut self.reactor)?;
            self.outlet.backlogged = wal.backlog_bytes() > BACKLOG_BYTES_MAX;
            self.outlet.log_end_max = wal.written().0 + BACKLOG_BYTES_MAX;
            let lacks_room = wal.lacks_room();
            self.note_room(lacks_room);
            self.became_durable();
        }
        if !self.log.is_empty() && self.wal.is_some() {
            self.copy_to_tail();
        }
        self.log.clear();
        self.send_parcels();
        Ok(())
    }

    /// Tells every core, and the operator, when this core's log runs out of room and when it has
    /// room again.
    fn note_room(&mut self, lacks_room: bool) {
        if lacks_room == self.log_full {
            return;
        }
        self.log_full = lacks_room;
        let logs_full = &self.outlet.shared.logs_full;
        let core = self.id.index();
        if lacks_room {
            logs_full.fetch_add(1, Ordering::Relaxed);
            tracing::error!(core, "the disk of the log is full: writes are refused, reads go on");
        } else {
            logs_full.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(core, "the log has room again");
        }
    }

    fn send_parcels(&mut self) {
        for to in (0..self.mesh.cores()).map(CoreId::new).filter(|core| *core != self.id) {
            for (lane, ring) in [
                (Lane::Requests, mesh::Lane::Requests),
                (Lane::Completions, mesh::Lane::Completions),
            ] {
                if let Some(parcel) = self.engine.take_parcel(to, lane)
                    && let Err(parcel) = self.mesh.try_send(to, ring, parcel)
                {
                    self.engine.untake_parcel(to, lane, parcel);
                }
            }
        }
        self.mesh.flush();
    }

    fn log_completed(&mut self, done: LogDone) -> Result<(), Fatal> {
        let wal = self.wal.as_mut().expect("only a log has log completions");
        wal.on_completion(done, self.outlet.now.monotonic_ns)?;
        self.became_durable();
        Ok(())
    }

    /// Tells the engine how far the log has come.
    fn became_durable(&mut self) {
        let Some(durable) = self.wal.as_ref().map(Writer::durable) else { return };
        if durable > self.durable {
            self.durable = durable;
            self.engine.step(self.outlet.now, Event::Durable(durable.0), &mut self.outlet);
        }
    }

    /// Sends what connections have to say, one send per connection, and closes those that are done.
    fn flush(&mut self) {
        let limits = self.outlet.settings.output_limits;
        let now_ms = self.outlet.now.unix_ms;
        std::mem::swap(&mut self.outlet.dirty, &mut self.scratch);
        for at in 0..self.scratch.len() {
            let conn = self.scratch[at];
            let Some(connection) = self.outlet.connections.get_mut(conn) else { continue };
            connection.is_dirty = false;
            connection.pour();
            if let Some(exceeded) = connection.exceeds(&limits, now_ms) {
                drop_connection(&mut self.outlet, conn, exceeded.why());
                self.reactor.shutdown(conn);
                continue;
            }
            if connection.tls.is_some() {
                self.flush_sealed(conn);
                continue;
            }
            if !connection.sending && !connection.output.is_empty() {
                connection.sending = true;
                (connection.taken_ms, connection.taken_bytes) = (now_ms, u64::MAX);
                let fresh = self.outlet.spare.take();
                let output = std::mem::replace(&mut connection.output, fresh);
                if connection.holds_nothing_back() {
                    self.reactor.send_lazily(conn, output);
                } else {
                    self.reactor.send(conn, output);
                }
            } else if connection.output.is_empty() && connection.output.capacity() > 0 {
                self.outlet.spare.keep(std::mem::take(&mut connection.output));
            }
            if connection.is_done() {
                self.reactor.shutdown(conn);
            }
        }
        self.scratch.clear();
    }

    fn is_finished(&mut self) -> bool {
        let Some(since_ns) = self.stopping_since_ns else { return false };
        let late = clock::monotonic_ns() - since_ns > DRAIN_NS;
        let hurry = self.outlet.shared.hurry.load(Ordering::Relaxed);
        self.all_drained() || late || hurry
    }

    /// The last thing a core does: everything in the log, on disk.
    fn finish(mut self) -> Result<(), Fatal> {
        self.outlet.desk.fold();
        if let Some(wal) = self.wal.take() {
            wal.close(&mut self.reactor)?;
        }
        Ok(())
    }
}

fn listen(reactor: &mut Reactor, listeners: Listeners) {
    let tagged = [
        (listeners.http, HTTP),
        (listeners.resp, RESP),
        (listeners.shard, SHARD),
        (listeners.shard_tls, SHARD_TLS),
        (listeners.https, HTTPS),
        (listeners.resp_tls, RESP_TLS),
        (listeners.dss_queue, DSS_QUEUE),
        (listeners.dss_queue_tls, DSS_QUEUE_TLS),
    ];
    for (listener, tag) in tagged {
        if let Some(listener) = listener {
            reactor.listen(listener, tag);
        }
    }
}

/// Serves bytes that came for a connection, or keeps them until it may go on.
fn take_input(
    engine: &mut Engine,
    outlet: &mut Outlet,
    stop: &mut bool,
    conn: ConnId,
    bytes: &[u8],
) {
    let now_ms = outlet.now.unix_ms;
    let limit = outlet.settings.query_buffer_bytes_max;
    let Some(connection) = outlet.connections.get_mut(conn) else { return };
    connection.client.active_ms = now_ms;
    if connection.closing {
        // Its requests are not read any more; what still arrives is dropped.
    } else if !connection.has_unstarted() && connection.may_start() {
        let used = host(engine, outlet, stop).serve(conn, bytes);
        if used < bytes.len()
            && let Some(connection) = outlet.connections.get_mut(conn)
        {
            connection.input.extend_from_slice(&bytes[used..]);
        }
    } else if connection.input.len() + bytes.len() > limit {
        drop_connection(outlet, conn, "request exceeds the query buffer limit");
    } else {
        connection.input.extend_from_slice(bytes);
        if connection.input.len() >= connection.input_wanted {
            outlet.resumed.push(conn);
        }
    }
}

fn host<'a>(engine: &'a mut Engine, outlet: &'a mut Outlet, stop: &'a mut bool) -> Host<'a> {
    Host { engine, outlet, stop, started_ns: clock::monotonic_ns() }
}

/// Gives a connection up whose peer does not keep to the limits.
fn drop_connection(outlet: &mut Outlet, conn: ConnId, why: &'static str) {
    let metrics = &outlet.shared.metrics[outlet.core.index()];
    metrics.connections_dropped.add(1);
    if let Some(connection) = outlet.connections.get_mut(conn) {
        let client = &connection.client;
        tracing::warn!(client = client.id, peer = %client.peer, why, "closed");
        connection.abandon();
    }
    outlet.give_up_polls(conn);
    outlet.mark_dirty(conn);
}

fn read_clocks() -> Now {
    Now { unix_ms: clock::unix_ms(), monotonic_ns: clock::monotonic_ns() }
}
