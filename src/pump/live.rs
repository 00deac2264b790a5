//! Connections that stay open and are pushed to: WebSockets. What they are told of waits in a
//! bounded line of messages that all of a core's connections share, and goes to the socket in
//! portions; a peer that does not read costs that line, one portion and nothing more.

use std::collections::VecDeque;
use std::sync::Arc;

use synap_shards::id::ConnId;

use super::Core;
use super::connection::Connection;
use super::serve::{Host, Stop};
use crate::protocol::http::live::Live as Wanted;
use crate::protocol::push::Form;
use crate::protocol::ws::{self, CloseCode, Decoded, Message, Opcode, close, frame};

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
    /// Messages that wait for the socket, shared with everyone they are for.
    queue: VecDeque<Arc<[u8]>>,
    /// Their bytes.
    queued: usize,
}

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Echo,
}

impl Live {
    fn new(wanted: &Wanted, now_ms: u64) -> Self {
        let kind = match wanted {
            Wanted::Echo => Kind::Echo,
        };
        Self { kind, pinged_ms: now_ms, awaited_since_ms: 0, queue: VecDeque::new(), queued: 0 }
    }

    /// The form in which it takes messages.
    pub(super) fn form(&self) -> Form {
        match self.kind {
            Kind::Echo => Form::Frame,
        }
    }

    /// Lets a message wait for the socket; false when too many do.
    pub(super) fn enqueue(
        &mut self,
        message: Arc<[u8]>,
        messages_max: usize,
        bytes_max: usize,
    ) -> bool {
        if self.queue.len() >= messages_max || self.queued + message.len() > bytes_max {
            return false;
        }
        self.queued += message.len();
        self.queue.push_back(message);
        true
    }

    /// Whether messages wait for the socket.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
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
    /// Says why the connection ends, and that it does.
    pub(super) fn close_websocket(&mut self, code: CloseCode, reason: &str) {
        let mut bytes = Vec::new();
        close::write(&mut bytes, Some(code), reason);
        self.say(&bytes);
        self.close();
    }
}

impl Host<'_> {
    /// Makes a connection that its request turned into something else just that.
    pub(super) fn go_live(&mut self, id: ConnId, wanted: &Wanted) {
        let now_ms = self.outlet.now.unix_ms;
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        connection.live = Some(Box::new(Live::new(wanted, now_ms)));
        let metrics = &self.outlet.shared.metrics[self.outlet.core.index()];
        metrics.websocket_connections.add(1);
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

    fn answer_websocket(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let mut bytes = Vec::new();
        write(&mut bytes);
        connection.say(&bytes);
        self.outlet.mark_dirty(id);
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
            Message::Text(text) => match kind {
                Kind::Echo => {
                    self.answer_websocket(id, |out| {
                        frame::write(out, Opcode::Text, text.as_bytes());
                    });
                }
            },
            Message::Binary(bytes) => match kind {
                Kind::Echo => {
                    self.answer_websocket(id, |out| frame::write(out, Opcode::Binary, &bytes));
                }
            },
        }
        true
    }
}

impl Core {
    /// Asks WebSockets for a sign of life, and closes those that give none.
    pub(super) fn ping(&mut self) {
        let now_ms = self.outlet.now.unix_ms;
        let options = &self.outlet.shared.http;
        let ping_ms = options.websocket_ping_secs.saturating_mul(1000);
        let pong_ms = options.websocket_pong_timeout_secs.saturating_mul(1000);
        let mut spoken = Vec::new();
        for (id, connection) in self.outlet.connections.iter_mut() {
            if connection.closing {
                continue;
            }
            let Some(live) = &mut connection.live else { continue };
            let unanswered_ms = match live.awaited_since_ms {
                0 => 0,
                since_ms => now_ms.saturating_sub(since_ms),
            };
            if unanswered_ms >= pong_ms {
                connection.close_websocket(CloseCode::POLICY, "no pong");
                spoken.push(id);
            } else if now_ms.saturating_sub(live.pinged_ms) >= ping_ms {
                live.pinged_ms = now_ms;
                if live.awaited_since_ms == 0 {
                    live.awaited_since_ms = now_ms;
                }
                let mut bytes = Vec::new();
                frame::write(&mut bytes, Opcode::Ping, b"");
                connection.say(&bytes);
                spoken.push(id);
            }
        }
        for id in spoken {
            self.outlet.mark_dirty(id);
        }
    }
}
