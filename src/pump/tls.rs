//! Connections under TLS on their core. What comes from the wire goes through the session into the
//! same input as that of a plain connection, what is answered through it to the wire; nothing
//! behind knows the difference.
//!
//! Handshakes cost up to a thousand times a request, so they wait in a line of their own: a turn
//! works on it for [`TURN_NS`], then everybody else has a turn. There are [`HANDSHAKES_MAX`] at a
//! time, and each has [`DEADLINE_NS`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::Error;
use synap_io::clock;
use synap_io::reactor::Chunk;
use synap_shards::id::ConnId;

use super::{Core, take_input};
use crate::session::client::Listener;
use crate::tls::Tls;
use crate::tls::session::Session;

/// Handshakes under way on a core; further connections are refused until some are over.
const HANDSHAKES_MAX: usize = 512;
/// How long a client may take over its handshake.
const DEADLINE_NS: u64 = 5_000_000_000;
/// Work on handshakes in one turn: the step that passes this is the last. A signature with RSA of
/// 2048 bits takes about as long.
const TURN_NS: u64 = 1_000_000;
/// Bytes of one client that wait for its turn before its socket rests.
const WAITING_PAUSE_BYTES: usize = 16 * 1024;
/// Nanoseconds between two log lines about failed handshakes.
const LOG_NS: u64 = 1_000_000_000;

/// A connection under TLS.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) session: Session,
    /// Bytes of the wire that wait for their turn of the handshake.
    pub(super) waiting: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Since this time of the monotonic clock; whether it stands in the line.
    Handshake {
        since_ns: u64,
        is_queued: bool,
    },
    Open,
    /// The peer broke the protocol, or was not let in; only the alert is still sent.
    Failed,
}

impl Sealed {
    /// Whether its handshake is not over.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake { .. })
    }
}

/// What a core keeps for all of them.
#[derive(Debug)]
pub(super) struct Handshakes {
    tls: Option<Arc<Tls>>,
    /// Connections whose bytes wait for a step of their handshake.
    line: VecDeque<ConnId>,
    underway: usize,
    /// Bytes that were just opened; kept to keep its memory.
    plain: Vec<u8>,
    next_log_ns: u64,
    unlogged: u64,
}

impl Handshakes {
    pub(super) fn new(tls: Option<Arc<Tls>>) -> Self {
        Self {
            tls,
            line: VecDeque::new(),
            underway: 0,
            plain: Vec::new(),
            next_log_ns: 0,
            unlogged: 0,
        }
    }

    /// From now on, new connections see these certificates.
    pub(super) fn change(&mut self, tls: Arc<Tls>) {
        self.tls = Some(tls);
    }

    /// Whether there is work that does not wait for anything to happen.
    pub(super) fn has_waiting(&self) -> bool {
        !self.line.is_empty()
    }
}

impl Core {
    /// The TLS half of a connection that was just accepted; nothing where it is refused.
    pub(super) fn begin_handshake(
        &mut self,
        peer: SocketAddr,
        kind: Listener,
    ) -> Option<Box<Sealed>> {
        if self.handshakes.underway >= HANDSHAKES_MAX {
            self.note_failure("too_many", peer, &"too many handshakes are under way");
            return None;
        }
        let tls = self.handshakes.tls.as_ref().expect("without certificates no port is under TLS");
        let config = if kind == Listener::Http { &tls.http } else { &tls.resp };
        let session = match Session::new(Arc::clone(config)) {
            Ok(session) => session,
            Err(error) => {
                self.note_failure("internal", peer, &error);
                return None;
            }
        };
        self.handshakes.underway += 1;
        let stat = &self.outlet.shared.metrics[self.id.index()].tls;
        stat.connections.add(1);
        stat.underway.set(self.handshakes.underway as u64);
        let since_ns = self.outlet.now.monotonic_ns;
        let stage = Stage::Handshake { since_ns, is_queued: false };
        Some(Box::new(Sealed { session, waiting: Vec::new(), stage }))
    }

    /// Bytes came over the wire.
    pub(super) fn received_sealed(&mut self, conn: ConnId, chunk: &Chunk) {
        let bytes = self.reactor.bytes(chunk);
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let Some(tls) = &mut connection.tls else { return };
        match &mut tls.stage {
            Stage::Handshake { is_queued, .. } => {
                tls.waiting.extend_from_slice(bytes);
                if !std::mem::replace(is_queued, true) {
                    self.handshakes.line.push_back(conn);
                }
                if tls.waiting.len() >= WAITING_PAUSE_BYTES && !connection.reading_paused {
                    connection.reading_paused = true;
                    self.reactor.pause_reading(conn);
                }
            }
            Stage::Open if !connection.closing => {
                self.handshakes.plain.clear();
                let opened = tls.session.open(bytes, &mut self.handshakes.plain);
                self.opened(conn);
                if let Err(error) = opened {
                    self.break_off(conn, &error);
                }
            }
            Stage::Open | Stage::Failed => {}
        }
    }

    /// Serves what was opened, and notes when it was the last.
    fn opened(&mut self, conn: ConnId) {
        let plain = &self.handshakes.plain;
        if !plain.is_empty() {
            take_input(&mut self.engine, &mut self.outlet, &mut self.stop, conn, plain);
        }
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let Some(tls) = &connection.tls else { return };
        let (ended, speaks) = (tls.session.has_ended(), tls.session.wants_write());
        if speaks || ended {
            let first = ended && !connection.read_ended;
            if first {
                connection.end_reading();
            }
            self.outlet.mark_dirty(conn);
            if first {
                self.give_up_waiting(conn);
            }
        }
    }

    /// The peer broke the protocol after its handshake.
    fn break_off(&mut self, conn: ConnId, error: &Error) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let peer = connection.client.peer;
        tracing::debug!(%peer, %error, "closed: TLS broken");
        connection.close();
        if let Some(tls) = &mut connection.tls {
            tls.stage = Stage::Failed;
        }
        self.outlet.shared.metrics[self.id.index()].protocol_errors.add(1);
        self.outlet.mark_dirty(conn);
        self.give_up_waiting(conn);
    }

    /// Works on the line of handshakes for a while.
    pub(super) fn shake_hands(&mut self) {
        if !self.handshakes.has_waiting() {
            return;
        }
        let began_ns = clock::monotonic_ns();
        let mut now_ns = began_ns;
        while now_ns < began_ns + TURN_NS
            && let Some(conn) = self.handshakes.line.pop_front()
        {
            self.shake_hand(conn);
            now_ns = clock::monotonic_ns();
        }
        let stat = &self.outlet.shared.metrics[self.id.index()].tls;
        stat.nanoseconds.add(now_ns - began_ns);
    }

    /// One step of one handshake.
    fn shake_hand(&mut self, conn: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let is_paused = connection.reading_paused;
        let Some(tls) = &mut connection.tls else { return };
        let Stage::Handshake { is_queued, .. } = &mut tls.stage else { return };
        *is_queued = false;
        let waiting = std::mem::take(&mut tls.waiting);
        self.handshakes.plain.clear();
        let opened = tls.session.open(&waiting, &mut self.handshakes.plain);
        let is_over = !tls.session.is_handshaking();
        match opened {
            Err(error) => self.fail_handshake(conn, reason_of(&error), &error),
            Ok(()) if is_over => self.finish_handshake(conn),
            Ok(()) => {}
        }
        if is_paused {
            self.outlet.resumed.push(conn);
        }
        self.outlet.mark_dirty(conn);
    }

    fn finish_handshake(&mut self, conn: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let Some(tls) = &mut connection.tls else { return };
        let facts = tls.session.certificate();
        let resumed = tls.session.is_resumed();
        let now_secs = self.outlet.now.unix_ms / 1000;
        // When a session is taken up, nobody looks at the certificate it began with.
        if resumed && facts.as_ref().is_some_and(|facts| facts.not_after < now_secs) {
            self.fail_handshake(conn, "certificate", &"the client's certificate has expired");
            return;
        }
        tls.stage = Stage::Open;
        connection.client.certificate = facts.and_then(|facts| facts.name);
        self.outlet.enter_by_certificate(conn);
        self.handshakes.underway -= 1;
        let stat = &self.outlet.shared.metrics[self.id.index()].tls;
        stat.underway.set(self.handshakes.underway as u64);
        let count = if resumed { &stat.resumed } else { &stat.full };
        count.add(1);
        self.opened(conn);
    }

    /// Refuses a client whose handshake is under way; an alert still goes out.
    fn fail_handshake(&mut self, conn: ConnId, reason: &str, why: &dyn std::fmt::Display) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        connection.close();
        let peer = connection.client.peer;
        if let Some(tls) = &mut connection.tls {
            tls.stage = Stage::Failed;
        }
        self.end_handshake(reason, peer, why);
        self.outlet.mark_dirty(conn);
    }

    fn end_handshake(&mut self, reason: &str, peer: SocketAddr, why: &dyn std::fmt::Display) {
        self.handshakes.underway -= 1;
        let stat = &self.outlet.shared.metrics[self.id.index()].tls;
        stat.underway.set(self.handshakes.underway as u64);
        self.note_failure(reason, peer, why);
    }

    /// Counts a failed handshake, and says so in the log where that was not just done.
    fn note_failure(&mut self, reason: &str, peer: SocketAddr, why: &dyn std::fmt::Display) {
        self.outlet.shared.metrics[self.id.index()].tls.fail(reason);
        let now_ns = self.outlet.now.monotonic_ns;
        if reason == "closed" || now_ns < self.handshakes.next_log_ns {
            self.handshakes.unlogged += u64::from(reason != "closed");
            tracing::debug!(%peer, reason, %why, "TLS handshake failed");
            return;
        }
        self.handshakes.next_log_ns = now_ns + LOG_NS;
        let others = std::mem::take(&mut self.handshakes.unlogged);
        tracing::warn!(%peer, reason, %why, others, "TLS handshake failed");
    }

    /// Gives up clients that take too long over their handshake.
    pub(super) fn close_slow_handshakes(&mut self) {
        if self.handshakes.underway == 0 {
            return;
        }
        let now_ns = self.outlet.now.monotonic_ns;
        let is_late = |tls: &Sealed| match tls.stage {
            Stage::Handshake { since_ns, .. } => now_ns.saturating_sub(since_ns) > DEADLINE_NS,
            Stage::Open | Stage::Failed => false,
        };
        let late: Vec<ConnId> = self
            .outlet
            .connections
            .iter_mut()
            .filter(|(_, connection)| connection.tls.as_deref().is_some_and(is_late))
            .map(|(conn, _)| conn)
            .collect();
        for conn in late {
            self.fail_handshake(conn, "timeout", &"it took longer than 5 s");
            if let Some(connection) = self.outlet.connections.get_mut(conn) {
                connection.abandon();
            }
        }
    }

    /// Sends what a connection has to say, or closes it when all is said.
    pub(super) fn flush_sealed(&mut self, conn: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let is_done = connection.is_done();
        let is_abandoned = connection.is_abandoned();
        let Some(tls) = &mut connection.tls else { return };
        if !connection.sending && !is_abandoned {
            if !connection.output.is_empty() && tls.stage == Stage::Open {
                let fresh = self.outlet.spare.take();
                tls.session.take(std::mem::replace(&mut connection.output, fresh));
            } else if is_done && tls.stage == Stage::Open {
                tls.session.say_goodbye();
            }
            if tls.session.has_unsealed() || tls.session.wants_write() {
                connection.sending = true;
                let now_ms = self.outlet.now.unix_ms;
                (connection.taken_ms, connection.taken_bytes) = (now_ms, u64::MAX);
                let buffer = self.outlet.spare.take();
                self.send_sealed(conn, buffer);
                return;
            }
            if connection.output.is_empty() && connection.output.capacity() > 0 {
                self.outlet.spare.keep(std::mem::take(&mut connection.output));
            }
        }
        if is_done {
            self.reactor.shutdown(conn);
        }
    }

    /// Seals the next portion into an empty buffer and sends it.
    pub(super) fn send_sealed(&mut self, conn: ConnId, mut buffer: Vec<u8>) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let Some(tls) = &mut connection.tls else { return };
        tls.session.seal(&mut buffer);
        if let Some(spent) = tls.session.take_spent() {
            self.outlet.spare.keep(spent);
        }
        let is_last = !tls.session.has_unsealed() && connection.output.is_empty();
        if is_last && connection.holds_nothing_back() {
            self.reactor.send_lazily(conn, buffer);
        } else {
            self.reactor.send(conn, buffer);
        }
    }

    /// A connection is gone.
    pub(super) fn closed_sealed(&mut self, tls: &Sealed, peer: SocketAddr) {
        let connections = &self.outlet.shared.metrics[self.id.index()].tls.connections;
        connections.set(connections.get() - 1);
        if tls.is_handshaking() {
            self.end_handshake("closed", peer, &"the client closed the connection");
        }
    }
}

/// The word for a failed handshake in metrics and log.
fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => "incompatible",
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "certificate",
        Error::AlertReceived(_) => "alert",
        Error::General(_) | Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes => {
            "internal"
        }
        _ => "protocol",
    }
}
