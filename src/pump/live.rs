//! Connections that stay open and are pushed to: WebSockets and streams of events. What they are
//! told of waits in a bounded line of messages, which all of a core's connections share, and goes
//! to the socket in portions; a peer that does not read costs that line and one portion.

use std::collections::VecDeque;
use std::sync::Arc;

use synap_shards::id::ConnId;
use synap_shards::pubsub::WATCH_PREFIX;

use super::Core;
use super::connection::{Connection, Decoder, Style};
use super::fed::Feed;
use super::live_style::{LiveStyle, Request, What};
use super::serve::{Host, Stop};
use crate::protocol::http::live::Live as Wanted;
use crate::protocol::push::Form;
use crate::protocol::ws::{self, CloseCode, Decoded, Message, Opcode, close, frame};
use crate::transactions;

/// Bytes of a message of a client, but for those that are echoed.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// What a stream of events says so that who is gone is noticed; clients ignore it.
const EVENT_COMMENT: &[u8] = b":\n\n";
const SUBSCRIBE: &str = "SYNAP.SUBSCRIBE";
const UNSUBSCRIBE: &str = "SYNAP.UNSUBSCRIBE";
/// Bytes of messages that are on their way to one socket at a time, about.
const PORTION_BYTES: usize = 64 * 1024;
/// Places for messages that are kept when none waits.
const QUEUE_KEPT: usize = 64;

/// What is known of a connection that is pushed to.
#[derive(Debug)]
pub(super) struct Live {
    kind: Kind,
    /// Unix milliseconds of the last ping, at first of the start.
    pinged_ms: u64,
    /// Unix milliseconds of the ping whose answer is missing; zero without one.
    awaited_since_ms: u64,
    /// Unix milliseconds at which its end was noticed; zero before that.
    closing_since_ms: u64,
    /// Messages that wait for the socket, shared with everyone they are for.
    queue: VecDeque<Arc<[u8]>>,
    /// Their bytes.
    queued: usize,
    /// What it is fed with from a queue, a room or a partition; nothing of others.
    pub(super) feed: Option<Box<Feed>>,
}

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Echo,
    Topics,
    Keys,
    /// It consumes a queue.
    Consumer,
    /// It reads a room or a partition.
    Reader,
    /// A stream of events: nothing is read from it.
    Events,
    /// A WebSocket that is told changes.
    Changes,
    /// A stream of events that are changes.
    ChangeEvents,
}

impl Live {
    fn new(wanted: &Wanted, now_ms: u64) -> Self {
        let kind = match wanted {
            Wanted::Echo => Kind::Echo,
            Wanted::Topics(_) => Kind::Topics,
            Wanted::Keys(_) => Kind::Keys,
            Wanted::Queue(_) => Kind::Consumer,
            Wanted::Stream(_) if wanted.is_websocket() => Kind::Reader,
            Wanted::Events(_) | Wanted::Stream(_) | Wanted::Audit(_) => Kind::Events,
            Wanted::Changes { form: Form::Event, .. } => Kind::ChangeEvents,
            Wanted::Changes { .. } => Kind::Changes,
        };
        Self {
            kind,
            pinged_ms: now_ms,
            awaited_since_ms: 0,
            closing_since_ms: 0,
            queue: VecDeque::new(),
            queued: 0,
            feed: None,
        }
    }

    /// The form in which it takes messages.
    pub(super) fn form(&self) -> Form {
        match self.kind {
            Kind::Events | Kind::ChangeEvents => Form::Event,
            _ => Form::Frame,
        }
    }

    /// Whether it is a WebSocket.
    pub(super) fn is_websocket(&self) -> bool {
        self.form() == Form::Frame
    }

    /// Lets a message wait for the socket; false when too many do.
    pub(super) fn enqueue(
        &mut self,
        message: Arc<[u8]>,
        messages_max: usize,
        bytes_max: usize,
    ) -> bool {
        if self.queue.back().is_some_and(|last| Arc::ptr_eq(last, &message)) {
            // It matched another of its subscriptions already.
            return true;
        }
        if self.queue.len() >= messages_max || self.queued + message.len() > bytes_max {
            return false;
        }
        self.queued += message.len();
        self.queue.push_back(message);
        true
    }

    /// Whether more is to be sent when what is being sent has gone: who is fed asks for it then,
    /// unless a request is on its way already.
    pub(super) fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.feed.as_ref().is_some_and(|feed| !feed.is_asked)
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
    }

    /// Moves a portion of what waits to the output.
    pub(super) fn pour(&mut self, output: &mut Vec<u8>) {
        while output.len() < PORTION_BYTES {
            let Some(message) = self.queue.pop_front() else {
                if self.queue.capacity() > QUEUE_KEPT {
                    self.queue = VecDeque::new();
                }
                return;
            };
            self.queued -= message.len();
            output.extend_from_slice(&message);
        }
    }
}

impl Connection {
    /// Whether what is published may be told to it: nothing comes behind the end of one that is
    /// pushed to (RFC 6455, 5.5.1).
    pub(super) fn hears(&self) -> bool {
        !self.closing || self.live.is_none()
    }

    /// Ends a connection whose peer gives no sign of life. Where something is still on its way,
    /// nobody takes it, and so nobody would take a goodbye.
    fn end_silent(&mut self) {
        if self.sending || !self.output.is_empty() {
            self.abandon();
        } else {
            self.close_live(CloseCode::POLICY, "no pong");
        }
    }

    /// Says why the connection ends, where the protocol has words for it, and that it does.
    pub(super) fn close_live(&mut self, code: CloseCode, reason: &str) {
        if self.live.as_ref().is_some_and(|live| live.is_websocket()) {
            let mut bytes = Vec::new();
            close::write(&mut bytes, Some(code), reason);
            self.say(&bytes);
        }
        self.close();
    }
}

impl Host<'_> {
    /// Makes a connection that its request turned into something else just that.
    pub(super) fn go_live(&mut self, id: ConnId, wanted: &Wanted) -> Decoder {
        let now_ms = self.outlet.now.unix_ms;
        let live = Box::new(Live::new(wanted, now_ms));
        let (is_websocket, form) = (live.is_websocket(), live.form());
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            connection.live = Some(live);
            if is_websocket {
                let metrics = &self.outlet.shared.metrics[self.outlet.core.index()];
                metrics.websocket_connections.add(1);
            }
        }
        let subscriber = transactions::new_client_id();
        match wanted {
            Wanted::Echo => {}
            Wanted::Topics(topics) | Wanted::Events(topics) => {
                let style = LiveStyle { form, what: What::Connected(subscriber) };
                self.live_subscribe(id, SUBSCRIBE, topics, style);
            }
            Wanted::Keys(keys) => self.watch_keys(id, keys, subscriber),
            Wanted::Queue(_) | Wanted::Stream(_) => self.begin_feed(id, wanted),
            Wanted::Changes { capture, from, form } => self.follow(id, capture, from, *form),
            Wanted::Audit(after) => drop(self.outlet.readers.insert(id, *after)),
        }
        if is_websocket { Decoder::WebSocket(Box::default()) } else { Decoder::Deaf }
    }

    fn begin_feed(&mut self, id: ConnId, wanted: &Wanted) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let feed = match wanted {
            Wanted::Queue(wanted) => Feed::of_queue(wanted.clone(), connection.client.id),
            Wanted::Stream(wanted) => Feed::of_stream(wanted.clone()),
            _ => return,
        };
        if let Some(live) = &mut connection.live {
            live.feed = Some(Box::new(feed));
        }
        self.outlet.hunger(id);
    }

    /// Has the engine subscribe a connection, or end that.
    fn live_subscribe(&mut self, id: ConnId, verb: &str, names: &[String], style: LiveStyle) {
        let mut words: Vec<&[u8]> = vec![verb.as_bytes()];
        words.extend(names.iter().map(String::as_bytes));
        self.dispatch(id, &words, Some(Style::Live(Box::new(style))), None);
    }

    /// Subscribes to the channels of changes of keys; those with wildcards are patterns.
    fn watch_keys(&mut self, id: ConnId, keys: &[String], subscriber: Box<str>) {
        let prefix = std::str::from_utf8(WATCH_PREFIX).expect("it is text");
        let channels = keys.iter().map(|key| format!("{prefix}{key}"));
        let is_pattern = |name: &String| name.contains(['*', '?', '[', '\\']);
        let (patterns, plain): (Vec<String>, Vec<String>) = channels.partition(is_pattern);
        let told = What::Watching(subscriber, keys.into());
        let told = LiveStyle { form: Form::Frame, what: told };
        let quiet = LiveStyle { form: Form::Frame, what: What::Nothing };
        match (plain.is_empty(), patterns.is_empty()) {
            (_, true) => self.live_subscribe(id, "SUBSCRIBE", &plain, told),
            (true, false) => self.live_subscribe(id, "PSUBSCRIBE", &patterns, told),
            (false, false) => {
                self.live_subscribe(id, "SUBSCRIBE", &plain, quiet);
                self.live_subscribe(id, "PSUBSCRIBE", &patterns, told);
            }
        }
    }

    /// Carries out what a WebSocket of topics asks for.
    fn live_command(&mut self, id: ConnId, text: &str) {
        let (verb, names, what) = match Request::read(text) {
            Ok(Request::Subscribe(names)) => (SUBSCRIBE, names, What::Subscribed),
            Ok(Request::Unsubscribe(names)) => (UNSUBSCRIBE, names, What::Unsubscribed),
            other => {
                let why = other.err().unwrap_or("`command` is subscribe or unsubscribe");
                return self.answer_websocket(id, |out| LiveStyle::refuse(why, Form::Frame, out));
            }
        };
        self.live_subscribe(id, verb, &names, LiveStyle { form: Form::Frame, what });
    }

    /// Serves what a WebSocket says.
    pub(super) fn serve_websocket(
        &mut self,
        id: ConnId,
        input: &[u8],
        decoder: &mut ws::Decoder,
    ) -> (usize, Stop) {
        let Some(kind) = self.kind_of(id) else { return (input.len(), Stop::Closed) };
        let bytes_max = match kind {
            Kind::Echo => self.outlet.settings.http_body_bytes_max,
            _ => MESSAGE_BYTES_MAX,
        };
        let mut used = 0;
        loop {
            if !self.may_start(id) {
                return (used, Stop::Blocked);
            }
            let (taken, decoded) = decoder.decode(&input[used..], bytes_max);
            used += taken;
            let goes_on = match decoded {
                Decoded::Incomplete => return (used, Stop::Incomplete(input.len() - used + 1)),
                Decoded::Broken(code) => {
                    self.outlet.shared.metrics[self.outlet.core.index()].protocol_errors.add(1);
                    self.answer_websocket(id, |out| close::write(out, Some(code), ""));
                    false
                }
                Decoded::Message(message) => self.websocket_message(id, kind, message),
            };
            if !goes_on {
                return (used, Stop::Closed);
            }
        }
    }

    fn kind_of(&mut self, id: ConnId) -> Option<Kind> {
        Some(self.outlet.connections.get_mut(id)?.live.as_ref()?.kind)
    }

    pub(super) fn answer_websocket(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let mut bytes = Vec::new();
        write(&mut bytes);
        connection.say(&bytes);
        self.outlet.mark_dirty(id);
    }

    /// Whether the client has no token for another message; it is told.
    fn refuses(&mut self, id: ConnId) -> bool {
        let Err(error) = self.admit(id) else { return false };
        let why = error.to_string();
        self.answer_websocket(id, |out| LiveStyle::refuse(&why, Form::Frame, out));
        true
    }

    /// Carries out what came; false when the connection ends.
    fn websocket_message(&mut self, id: ConnId, kind: Kind, message: Message) -> bool {
        match message {
            Message::Ping(body) => {
                self.answer_websocket(id, |out| frame::write(out, Opcode::Pong, &body));
            }
            Message::Pong(_) => {
                let connection = self.outlet.connections.get_mut(id);
                if let Some(live) = connection.and_then(|connection| connection.live.as_mut()) {
                    live.awaited_since_ms = 0;
                }
            }
            Message::Close(close) => {
                self.answer_websocket(id, |out| close::write(out, close.code, ""));
                return false;
            }
            Message::Text(_) if self.outlet.leases.is_on() && self.refuses(id) => {}
            Message::Text(text) => match kind {
                Kind::Echo => {
                    self.answer_websocket(id, |out| {
                        frame::write(out, Opcode::Text, text.as_bytes());
                    });
                }
                Kind::Topics => self.live_command(id, &text),
                Kind::Consumer => self.consumer_command(id, &text),
                Kind::Reader => self.reader_command(id, &text),
                Kind::Keys | Kind::Events | Kind::Changes | Kind::ChangeEvents => self
                    .answer_websocket(id, |out| {
                        LiveStyle::refuse("this connection takes no commands", Form::Frame, out);
                    }),
            },
            Message::Binary(bytes) => {
                if kind != Kind::Echo {
                    self.answer_websocket(id, |out| {
                        close::write(out, Some(CloseCode::UNSUPPORTED), "text is expected");
                    });
                    return false;
                }
                self.answer_websocket(id, |out| frame::write(out, Opcode::Binary, &bytes));
            }
        }
        true
    }
}

impl Core {
    /// Asks WebSockets for a sign of life, and closes those that give none. Those that end have as
    /// long to take what is left for them.
    pub(super) fn ping(&mut self) {
        let now_ms = self.outlet.now.unix_ms;
        let options = &self.outlet.shared.http;
        let ping_ms = options.websocket_ping_secs.saturating_mul(1000);
        let pong_ms = options.websocket_pong_timeout_secs.saturating_mul(1000);
        let mut spoken = Vec::new();
        for (id, connection) in self.outlet.connections.iter_mut() {
            let Some(live) = &mut connection.live else { continue };
            if connection.closing {
                if live.closing_since_ms == 0 {
                    live.closing_since_ms = now_ms;
                } else if now_ms.saturating_sub(live.closing_since_ms) >= pong_ms {
                    connection.abandon();
                    spoken.push(id);
                }
                continue;
            }
            let unanswered_ms = match live.awaited_since_ms {
                0 => 0,
                since_ms => now_ms.saturating_sub(since_ms),
            };
            if unanswered_ms >= pong_ms {
                connection.end_silent();
                spoken.push(id);
            } else if now_ms.saturating_sub(live.pinged_ms) >= ping_ms {
                live.pinged_ms = now_ms;
                if !live.is_websocket() {
                    connection.say(EVENT_COMMENT);
                } else {
                    if live.awaited_since_ms == 0 {
                        live.awaited_since_ms = now_ms;
                    }
                    let mut bytes = Vec::new();
                    frame::write(&mut bytes, Opcode::Ping, b"");
                    connection.say(&bytes);
                }
                spoken.push(id);
            }
        }
        for id in spoken {
            self.outlet.mark_dirty(id);
        }
    }
}
