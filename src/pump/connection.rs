//! A connection on its core: bytes that wait to be understood, replies that wait for their turn,
//! bytes that wait to be sent.

use std::collections::VecDeque;

use synap_shards::command::reply::Reply;
use synap_shards::id::{ConnId, Ticket};

use super::envelope::Underway;
use super::gate::{Held, Parked, Waiting};
use super::live::Live;
use super::live_style::LiveStyle;
use super::share::Share;
use super::tls::Sealed;
use crate::limits::output::{Class, Exceeded};
use crate::limits::{ClientKey, OutputLimits, Payer};
use crate::protocol::http::decode::HttpDecoder;
use crate::protocol::http::table::RouteId;
use crate::protocol::http::{HttpContext, envelope, respond};
use crate::protocol::resp::decode;
use crate::protocol::resp::encode::{self, Protocol};
use crate::protocol::ws;
use crate::session::client::Client;
use crate::session::finish::Finish;
use crate::session::visible::Sight;

/// Input that may pile up while a connection may not go on, before its socket is not read any more.
const INPUT_PAUSE_BYTES: usize = 64 * 1024;
/// Bytes of replies, sent for or expected, beyond which no further requests of the connection are
/// started.
const OUTPUT_PAUSE_BYTES: usize = 1024 * 1024;
/// Requests of one connection that may wait for their replies before no further ones are started.
const SLOTS_PAUSE: usize = 1024;
/// This many may wait however large their replies are expected to be.
const SLOTS_MIN: usize = 4;
/// What a reply is expected to have before any has come: deep pipelines begin slowly, because
/// nothing else tells a thousand small values on another core from a thousand large ones.
const FIRST_EXPECTED_BYTES: usize = 16 * 1024;

/// How the reply to one request is to be written.
#[derive(Clone, Debug)]
pub(super) enum Style {
    /// RESP in this version.
    Resp(Protocol),
    /// After a last step on the folded answers of all cores.
    Finished(Finish, Box<Self>),
    /// Without the names that its client may not see.
    Seen(Sight, Box<Self>),
    /// The reply is the answer, byte for byte.
    Ready,
    /// Not at all (`CLIENT REPLY OFF`).
    Silent,
    /// As one that is pushed to is told.
    Live(Box<LiveStyle>),
    /// In an envelope.
    Envelope(Box<envelope::Style>),
    /// As this route answers; also when the work on the request began.
    Http(Box<HttpContext>, u64),
}

/// What an HTTP answer came to, for the route's counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) route: RouteId,
    pub(super) status: u16,
    pub(super) started_ns: u64,
}

impl Style {
    fn write(&self, reply: &Reply<'_>, out: &mut Vec<u8>) -> Option<Noted> {
        match self {
            Self::Resp(protocol) => encode::encode(reply, *protocol, out),
            Self::Finished(finish, style) => {
                return style.write(&finish.apply(reply.clone().into_owned()), out);
            }
            Self::Seen(sight, style) => {
                return style.write(&sight.apply(reply.clone().into_owned()), out);
            }
            Self::Ready => {
                if let Reply::Bytes(answer) = reply {
                    out.extend_from_slice(answer);
                }
            }
            Self::Silent => {}
            Self::Live(style) => style.write(reply, out),
            Self::Envelope(style) => style.write(reply, out),
            Self::Http(context, started_ns) => {
                let status = respond::respond(context, reply, out);
                return Some(Noted { route: context.route, status, started_ns: *started_ns });
            }
        }
        None
    }
}

/// A request whose reply could not be written yet, because it or an earlier one is not there.
#[derive(Debug)]
struct Slot {
    style: Style,
    bytes: Option<Vec<u8>>,
}

/// How the bytes of a connection are understood.
#[derive(Debug)]
pub(super) enum Decoder {
    Resp(decode::Decoder),
    Http(HttpDecoder),
    WebSocket(Box<ws::Decoder>),
    /// Not at all.
    Deaf,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::Resp(decode::Decoder::default())
    }
}

/// Everything this core knows about a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) decoder: Decoder,
    /// Bytes that came and are not consumed.
    pub(super) input: Vec<u8>,
    /// Unix milliseconds at which the request began that is not complete yet; zero without one.
    pub(super) incomplete_since_ms: u64,
    /// Bytes the decoder wants at least before it is worth asking it again.
    pub(super) input_wanted: usize,
    /// Replies that are complete and in order.
    pub(super) output: Vec<u8>,
    slots: VecDeque<Slot>,
    /// Bytes of replies that wait in `slots` for an earlier one.
    held: usize,
    /// Bytes the next late reply is expected to have: the recent peak, fading.
    expected: usize,
    first: Ticket,
    next: Ticket,
    /// No further request may start before the reply to this one.
    pub(super) barrier: Option<Ticket>,
    pub(super) sending: bool,
    pub(super) reading_paused: bool,
    pub(super) read_ended: bool,
    /// Close as soon as everything is answered and sent.
    pub(super) closing: bool,
    pub(super) is_dirty: bool,
    /// What it had of the present turn.
    pub(super) share: Share,
    /// More of it is to be done in the next turn.
    pub(super) is_put_off: bool,
    /// It was accepted only to be told that it may not be.
    pub(super) is_refused: bool,
    /// The address it is counted for, while those have limits.
    pub(super) counted: Option<ClientKey>,
    /// Unix milliseconds since when more waits to be sent than the soft limit; zero while not.
    pub(super) over_since_ms: u64,
    /// Unix milliseconds at which the other end was last seen to take something.
    pub(super) taken_ms: u64,
    /// Bytes it had taken then; not looked at yet when this is the largest number.
    pub(super) taken_bytes: u64,
    /// It is closed without sending what is left, and without waiting for what is being sent.
    is_abandoned: bool,
    /// Commands of an HTTP request that are not begun; nothing of most.
    pub(super) underway: Option<Box<Underway>>,
    /// Whom what the last HTTP request still begins is counted for.
    pub(super) paying: Option<Payer>,
    /// What it is when it stays open and is pushed to; nothing of most.
    pub(super) live: Option<Box<Live>>,
    /// What waits until it is known who asks; nothing of most.
    pub(super) parked: Option<Box<Parked>>,
    /// The command it waits for, where its rights may end meanwhile.
    pub(super) waiting: Option<Box<Waiting>>,
    /// The rights that it goes on using since it is pushed to.
    pub(super) granted: Vec<Held>,
    /// What it is under TLS; nothing of a plain one.
    pub(super) tls: Option<Box<Sealed>>,
}

impl Connection {
    pub(super) fn new(client: Client, decoder: Decoder) -> Self {
        Self {
            client,
            decoder,
            input: Vec::new(),
            incomplete_since_ms: 0,
            input_wanted: 0,
            output: Vec::new(),
            slots: VecDeque::new(),
            held: 0,
            expected: FIRST_EXPECTED_BYTES,
            first: Ticket(0),
            next: Ticket(0),
            barrier: None,
            sending: false,
            reading_paused: false,
            read_ended: false,
            closing: false,
            is_dirty: false,
            share: Share::default(),
            is_put_off: false,
            is_refused: false,
            counted: None,
            over_since_ms: 0,
            taken_ms: 0,
            taken_bytes: 0,
            is_abandoned: false,
            underway: None,
            paying: None,
            live: None,
            parked: None,
            waiting: None,
            granted: Vec::new(),
            tls: None,
        }
    }

    /// The ticket of the next request; [`Connection::issue`] takes it.
    pub(super) fn next_ticket(&self) -> Ticket {
        self.next
    }

    /// Whether the reply to the next request can be written at once, when it comes.
    pub(super) fn is_in_order(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes the next ticket for a request whose reply was written at once.
    pub(super) fn answered(&mut self) {
        debug_assert!(self.slots.is_empty(), "an earlier reply is missing");
        self.next = self.next.next();
        self.first = self.next;
    }

    /// Takes the next ticket for a request whose reply comes later.
    pub(super) fn issue(&mut self, style: Style) {
        self.slots.push_back(Slot { style, bytes: None });
        self.next = self.next.next();
    }

    /// The reply to an issued request has come; it is written when its turn has come too.
    pub(super) fn complete(&mut self, ticket: Ticket, reply: &Reply<'_>) -> Option<Noted> {
        if ticket < self.first {
            // The connection was given up meanwhile.
            return None;
        }
        let at = (ticket.0 - self.first.0) as usize;
        let noted = if at == 0 {
            let slot = self.slots.pop_front().expect("the reply's request was issued");
            let before = self.output.len();
            let noted = slot.style.write(reply, &mut self.output);
            self.expect_like(self.output.len() - before);
            self.first = self.first.next();
            self.write_ready();
            noted
        } else {
            let slot = &mut self.slots[at];
            let mut bytes = Vec::new();
            let noted = slot.style.write(reply, &mut bytes);
            let length = bytes.len();
            slot.bytes = Some(bytes);
            self.held += length;
            self.expect_like(length);
            noted
        };
        if self.barrier == Some(ticket) {
            self.barrier = None;
            self.client.is_blocked = false;
            self.waiting = None;
        }
        noted
    }

    fn expect_like(&mut self, length: usize) {
        self.expected = length.max(self.expected - self.expected.div_ceil(8));
    }

    fn write_ready(&mut self) {
        while let Some(bytes) = self.slots.front_mut().and_then(|slot| slot.bytes.take()) {
            self.held -= bytes.len();
            self.output.extend_from_slice(&bytes);
            self.slots.pop_front();
            self.first = self.first.next();
        }
    }

    /// Writes a reply to the request that is being handled and was not issued.
    pub(super) fn write_now(&mut self, style: &Style, reply: &Reply<'_>) -> Option<Noted> {
        style.write(reply, &mut self.output)
    }

    /// Bytes for the client that belong to no reply (`100 Continue`, a protocol error). They keep
    /// their place behind the replies that are still missing.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        if self.slots.is_empty() {
            self.output.extend_from_slice(bytes);
        } else {
            self.held += bytes.len();
            self.slots.push_back(Slot { style: Style::Silent, bytes: Some(bytes.to_vec()) });
            self.next = self.next.next();
        }
    }

    /// The same for what has to come behind the replies to what was asked before, but not behind a
    /// command that waits for others, perhaps for ever.
    pub(super) fn say_aside(&mut self, bytes: &[u8]) {
        if self.client.is_blocked && self.slots.len() == 1 {
            self.output.extend_from_slice(bytes);
        } else {
            self.say(bytes);
        }
    }

    /// Whether the next request may be started.
    pub(super) fn may_start(&self) -> bool {
        self.barrier.is_none()
            && !self.closing
            && !self.parked.as_deref().is_some_and(Parked::waits)
            && self.output.len() + self.held < OUTPUT_PAUSE_BYTES
            && self.may_wait_for_another()
    }

    fn may_wait_for_another(&self) -> bool {
        let waiting = self.slots.len();
        waiting < SLOTS_MIN
            || (waiting < SLOTS_PAUSE && waiting.saturating_mul(self.expected) < OUTPUT_PAUSE_BYTES)
    }

    /// Nothing more is read; what has come is still answered, then the connection ends.
    pub(super) fn end_reading(&mut self) {
        self.read_ended = true;
    }

    /// Whether a peer that sends no more can be let go: everything it sent is answered, but for a
    /// request that it did not finish.
    pub(super) fn is_done(&self) -> bool {
        let unstarted = (self.input.len() >= self.input_wanted && !self.input.is_empty())
            || self.underway.is_some()
            || self.parked.is_some()
            || self.tls.as_ref().is_some_and(|tls| !tls.waiting.is_empty());
        let ended = self.closing || (self.read_ended && !unstarted);
        self.is_abandoned || (ended && self.is_drained())
    }

    /// Whether there is something to go on with.
    pub(super) fn has_unstarted(&self) -> bool {
        !self.input.is_empty() || self.underway.is_some() || self.parked.is_some()
    }

    /// Whether so much input waits that the socket should rest.
    pub(super) fn has_too_much_input(&self) -> bool {
        self.input.len() >= INPUT_PAUSE_BYTES
    }

    /// Whether it is closed without sending what is left.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    /// Closes without sending what is left.
    pub(super) fn abandon(&mut self) {
        self.close();
        self.is_abandoned = true;
        self.output = Vec::new();
        self.slots.clear();
        self.held = 0;
        self.first = self.next;
    }

    /// Which limits of output hold for it.
    pub(super) fn class(&self) -> Class {
        let listens = self.live.is_some() || self.client.is_subscribed();
        if listens { Class::Pubsub } else { Class::Normal }
    }

    /// Whether more waits to be sent than may, and why.
    pub(super) fn exceeds(&mut self, limits: &OutputLimits, now_ms: u64) -> Option<Exceeded> {
        let bytes = self.output.len();
        if !limits.may_exceed(bytes) {
            self.over_since_ms = 0;
            return None;
        }
        limits.of(self.class()).check(bytes, &mut self.over_since_ms, now_ms)
    }

    /// Moves messages to the output where nothing that came before them is missing.
    pub(super) fn pour(&mut self) {
        if let Some(live) = &mut self.live
            && self.slots.is_empty()
            && !self.sending
        {
            live.pour(&mut self.output);
        }
    }

    /// Whether nothing is left to be answered or sent.
    pub(super) fn is_drained(&self) -> bool {
        self.slots.is_empty() && self.output.is_empty() && !self.sending
    }

    /// Whether nothing is left to be done when what is sent now has gone.
    pub(super) fn holds_nothing_back(&self) -> bool {
        let pours = self.live.as_ref().is_some_and(|live| live.has_more());
        self.slots.is_empty() && !self.closing && !pours
    }
}

/// The connections of one core, found by the slot in their id.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<(ConnId, Box<Connection>)>>,
    count: usize,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(&mut self, id: ConnId, connection: Connection) {
        let slot = synap_io::net::slot_of(id);
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let before = self.slots[slot].replace((id, Box::new(connection)));
        assert!(before.is_none(), "a slot is free before it is taken again");
        self.count += 1;
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        match self.slots.get_mut(synap_io::net::slot_of(id)) {
            Some(Some((found, connection))) if *found == id => Some(connection),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(synap_io::net::slot_of(id))?;
        if slot.as_ref().is_none_or(|(found, _)| *found != id) {
            return None;
        }
        self.count -= 1;
        slot.take().map(|(_, connection)| connection)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(|(_, connection)| connection.as_ref())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Connection)> {
        self.slots.iter_mut().flatten().map(|(id, connection)| (*id, connection.as_mut()))
    }

    /// Connections whose input waits, though it may be complete.
    pub(super) fn with_input(&mut self) -> Vec<ConnId> {
        self.iter_mut().filter(|(_, c)| c.has_unstarted()).map(|(id, _)| id).collect()
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.slots.iter().flatten().map(|(id, _)| *id).collect()
    }
}
