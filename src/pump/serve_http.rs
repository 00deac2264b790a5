//! From the bytes of an HTTP connection to commands and to answers of the server's own.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::id::ConnId;

use super::connection::{Decoder, Noted, Style};
use super::gate::Asked;
use super::serve::{Host, Stop};
use crate::health::{self, Facts};
use crate::protocol::http::decode::{CONTINUE, Decoded, HttpDecoder, HttpRequest};
use crate::protocol::http::dss::{self, Surface};
use crate::protocol::http::live::Live;
use crate::protocol::http::route::{self, Builtin, Routed};
use crate::protocol::http::words::OwnedWords;
use crate::protocol::http::{HttpContext, respond};
use crate::session::server;
use crate::shared::Shared;

/// What comes behind a request.
enum After {
    /// The next one.
    Next,
    /// Nothing: the connection ends with its answer.
    Close,
    /// Something of another protocol.
    Switch(Decoder),
}

impl After {
    fn of(keep_alive: bool) -> Self {
        if keep_alive { Self::Next } else { Self::Close }
    }
}

impl Host<'_> {
    pub(super) fn serve_http(
        &mut self,
        id: ConnId,
        input: &[u8],
        decoder: &mut HttpDecoder,
    ) -> (usize, Stop) {
        let mut used = 0;
        loop {
            if !self.may_start(id) {
                return (used, Stop::Blocked);
            }
            match self.next_envelope(id) {
                None => {}
                Some(true) => continue,
                Some(false) => return (used, Stop::Closed),
            }
            if let Some((routed, asked)) = self.unpark_request(id) {
                match self.answer_asked(id, routed, asked) {
                    After::Next => continue,
                    After::Close => return (used, Stop::Closed),
                    After::Switch(decoder) => return (used, Stop::Switched(decoder)),
                }
            }
            let rest = &input[used..];
            let body_max = self.outlet.settings.http_body_bytes_max;
            let (routed, consumed, asked) = match decoder.decode(rest, body_max) {
                Decoded::Request(mut request) => {
                    let consumed = request.consumed;
                    let (routed, asked) = self.receive(id, &mut request);
                    (routed, consumed, asked)
                }
                Decoded::Incomplete { needs } => {
                    return (used, Stop::Incomplete(rest.len() + needs));
                }
                Decoded::SendContinue => {
                    if let Some(connection) = self.outlet.connections.get_mut(id) {
                        connection.say(CONTINUE);
                    }
                    self.outlet.mark_dirty(id);
                    continue;
                }
                Decoded::Broken(error) => {
                    self.outlet.shared.metrics[self.outlet.core.index()].protocol_errors.add(1);
                    (route::broken(&error, decoder.surface()), rest.len(), Asked::GoesOn)
                }
            };
            used += consumed;
            match self.answer_asked(id, routed, asked) {
                After::Next => {}
                After::Close => return (used, Stop::Closed),
                After::Switch(decoder) => return (used, Stop::Switched(decoder)),
            }
        }
    }

    /// What a request is, on the surface that it came to.
    pub(super) fn route(&self, request: &HttpRequest<'_>) -> Routed {
        let Shared { http: options, topics, .. } = &*self.outlet.shared;
        match request.surface {
            Surface::Synap => route::route(request, options),
            Surface::DssQueue => dss::route(request, options, &|number| topics.queue(number)),
        }
    }

    /// Carries out a request, unless its sender is not let in or not known yet.
    fn answer_asked(&mut self, id: ConnId, routed: Routed, asked: Asked) -> After {
        match asked {
            Asked::GoesOn => self.http_request(id, routed),
            Asked::Refused(error) => self.refuse_request(id, &routed, error),
            Asked::Unsure(_) => unreachable!("it was looked into"),
            Asked::Waits => {
                self.park_request(id, routed);
                After::Next
            }
            Asked::LoggedIn(verdict) => {
                self.answer_login(id, routed.context(), &verdict);
                After::of(routed.context().keep_alive)
            }
        }
    }

    fn refuse_request(&mut self, id: ConnId, routed: &Routed, error: CommandError) -> After {
        let (context, mut answer) = (routed.context(), Vec::new());
        let status = respond::respond(context, &Reply::Error(error), &mut answer);
        self.http_answer(id, context, status, &answer);
        After::of(context.keep_alive)
    }

    /// Carries out one request.
    fn http_request(&mut self, id: ConnId, routed: Routed) -> After {
        let admitted = match &routed {
            Routed::Live { live, .. } => self.admit_live(id, live),
            Routed::Builtin { builtin, .. } => self.admit_builtin(id, builtin),
            // Commands are looked at one by one when they are checked.
            Routed::Access { asked, .. } => self.admit_access(id, asked),
            Routed::Command { .. } | Routed::Envelopes { .. } | Routed::Direct { .. } => Ok(()),
        };
        if let Err(error) = admitted {
            return self.refuse_request(id, &routed, error);
        }
        match routed {
            Routed::Command { words, context } => self.http_command(id, &words, context),
            Routed::Envelopes { envelopes, context } => {
                self.begin_envelopes(id, envelopes, context);
                After::Next
            }
            Routed::Live { live, context, .. } if self.is_off(&live).is_some() => {
                let (why, mut answer) = (self.is_off(&live).unwrap_or_default(), Vec::new());
                respond::write_error(&context, 503, why, &mut answer);
                self.http_answer(id, &context, 503, &answer);
                After::of(context.keep_alive)
            }
            Routed::Live { live, response, context } => {
                let status = if live.is_websocket() { 101 } else { 200 };
                self.http_answer(id, &context, status, &response);
                After::Switch(self.go_live(id, &live))
            }
            Routed::Direct { response, status, context } => {
                if let Some(caller) = &context.client_id {
                    // It could not be made a command, so it was not queued.
                    self.outlet.shared.transactions.fail(caller);
                }
                self.http_answer(id, &context, status, &response);
                After::of(context.keep_alive)
            }
            Routed::Access { asked, context } => {
                let keep_alive = context.keep_alive;
                match self.access(id, asked, context) {
                    Some((asked, context)) => {
                        self.park_login(id, Routed::Access { asked, context });
                        After::Next
                    }
                    // What is answered later closes the connection then.
                    None if self.is_waiting(id) => After::Next,
                    None => After::of(keep_alive),
                }
            }
            Routed::Builtin { builtin, context } => {
                let (status, response) = self.builtin(&builtin, &context);
                self.http_answer(id, &context, status, &response);
                After::of(context.keep_alive)
            }
        }
    }

    fn http_command(&mut self, id: ConnId, words: &OwnedWords, mut context: HttpContext) -> After {
        let keep_alive = context.keep_alive;
        match self.speak_for(id, words, &mut context) {
            Some(Err(error)) => {
                let mut answer = Vec::new();
                let status = respond::respond(&context, &Reply::Error(error), &mut answer);
                self.http_answer(id, &context, status, &answer);
                return After::of(keep_alive);
            }
            number => self.outlet.speaker = number.and_then(Result::ok),
        }
        self.count_calls(&mut context);
        let style = Style::Http(Box::new(context), self.started_ns);
        self.dispatch(id, &words.as_words(), Some(style), None);
        self.outlet.speaker = None;
        After::of(keep_alive)
    }

    fn is_waiting(&mut self, id: ConnId) -> bool {
        let connection = self.outlet.connections.get_mut(id);
        connection.is_some_and(|connection| connection.barrier.is_some())
    }

    /// What a connection would be fed from that is switched off.
    fn is_off(&self, live: &Live) -> Option<&'static str> {
        let settings = &self.outlet.settings;
        match live {
            Live::Queue(_) if !settings.queues => Some("Queue system disabled"),
            Live::Stream(_) if !settings.streams => Some("Stream system disabled"),
            _ => None,
        }
    }

    /// Adds what the answer tells of calls so far.
    pub(super) fn count_calls(&self, context: &mut HttpContext) {
        let shared = &self.outlet.shared;
        let counted = context.counted().map(|names| server::calls(shared, names));
        context.calls.extend(counted);
    }

    pub(super) fn builtin(&self, builtin: &Builtin, context: &HttpContext) -> (u16, Vec<u8>) {
        let facts = Facts {
            shared: &self.outlet.shared,
            settings: &self.outlet.settings,
            now_unix_ms: self.outlet.now.unix_ms,
        };
        let mut response = Vec::new();
        let status = health::answer(builtin, context, &facts, &mut response);
        (status, response)
    }

    pub(super) fn http_answer(
        &mut self,
        id: ConnId,
        context: &HttpContext,
        status: u16,
        response: &[u8],
    ) {
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            connection.say(response);
        }
        let started_ns = self.started_ns;
        self.outlet.note(Some(Noted { route: context.route, status, started_ns }));
        self.outlet.mark_dirty(id);
    }
}
