//! Answers in envelopes, and what is around them: one HTTP answer for one, a stream of chunks for a
//! batch or for lines, each sent when its command is done.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::names::{Manner, Shown};
use crate::protocol::http::context::HttpContext;
use crate::protocol::http::error::HttpError;
use crate::protocol::http::response::{self, JSON};
use crate::protocol::http::shape::{self, items, member};
use crate::protocol::http::table::Shape;
use crate::protocol::http::{respond, transaction};
use crate::protocol::json;
use crate::session::transaction::QUEUED;

/// What went wrong, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ErrorCode {
    InvalidRequest,
    InvalidCommand,
    InvalidPayload,
    KeyNotFound,
    KeyExists,
    QueueNotFound,
    QueueFull,
    MessageNotFound,
    RoomNotFound,
    TopicNotFound,
    OffsetOutOfRange,
    WrongType,
    MemoryLimit,
    Timeout,
    Unauthorized,
    Forbidden,
    ReadOnly,
    RateLimitExceeded,
    InternalError,
}

impl ErrorCode {
    /// As clients see it.
    pub fn text(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidCommand => "INVALID_COMMAND",
            Self::InvalidPayload => "INVALID_PAYLOAD",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::KeyExists => "KEY_EXISTS",
            Self::QueueNotFound => "QUEUE_NOT_FOUND",
            Self::QueueFull => "QUEUE_FULL",
            Self::MessageNotFound => "MESSAGE_NOT_FOUND",
            Self::RoomNotFound => "ROOM_NOT_FOUND",
            Self::TopicNotFound => "TOPIC_NOT_FOUND",
            Self::OffsetOutOfRange => "OFFSET_OUT_OF_RANGE",
            Self::WrongType => "WRONG_TYPE",
            Self::MemoryLimit => "MEMORY_LIMIT",
            Self::Timeout => "TIMEOUT",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::ReadOnly => "READ_ONLY",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// By what REST would answer.
    fn of_status(status: u16, message: &str) -> Self {
        const MISSING: &[(&str, ErrorCode)] = &[
            ("Queue not found", ErrorCode::QueueNotFound),
            ("Message not found", ErrorCode::MessageNotFound),
            ("Room not found", ErrorCode::RoomNotFound),
            ("Not found: the room", ErrorCode::RoomNotFound),
            ("Topic not found", ErrorCode::TopicNotFound),
            ("Not found: the topic", ErrorCode::TopicNotFound),
            ("Queue is full", ErrorCode::QueueFull),
            ("Stream offset", ErrorCode::OffsetOutOfRange),
        ];
        let named = MISSING.iter().find(|(start, _)| message.starts_with(start));
        if let Some((_, code)) = named {
            return *code;
        }
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::KeyNotFound,
            408 => Self::Timeout,
            409 => Self::KeyExists,
            429 => Self::RateLimitExceeded,
            507 => Self::MemoryLimit,
            500.. => Self::InternalError,
            _ => Self::InvalidRequest,
        }
    }

    fn of_error(error: &CommandError, refusal: &HttpError) -> Self {
        match error {
            CommandError::WrongType => Self::WrongType,
            CommandError::UnknownCommand { .. } | CommandError::UnknownSubcommand { .. } => {
                Self::InvalidCommand
            }
            CommandError::WrongArity { .. }
            | CommandError::Syntax
            | CommandError::NotInteger
            | CommandError::NotFloat
            | CommandError::InvalidExpire { .. } => Self::InvalidPayload,
            CommandError::Coded { code: "READONLY", .. } => Self::ReadOnly,
            _ => Self::of_status(refusal.status, &refusal.message),
        }
    }
}

/// Why nothing was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl Failure {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The caller has made more requests than it may.
    pub fn limited(error: &CommandError) -> Self {
        Self::new(ErrorCode::RateLimitExceeded, error.to_string())
    }

    /// A refusal of the payload, or of something else that REST knows.
    pub(super) fn of(code: ErrorCode, error: HttpError) -> Self {
        let found = ErrorCode::of_status(error.status, &error.message);
        let code = if found == ErrorCode::InvalidRequest { code } else { found };
        Self { code, message: error.message.into_owned() }
    }

    /// As the answer to the whole request.
    pub(super) fn refusal(&self) -> HttpError {
        HttpError::with(400, format!("Invalid request: {}", self.message))
    }
}

/// What is around an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// A whole HTTP answer.
    Whole,
    /// A chunk of a batch; whether it is the first.
    Part(bool),
    /// A chunk with a line.
    Line,
}

/// How the reply to a command in an envelope is written.
#[derive(Clone, Debug)]
pub struct Style {
    /// The name of the request.
    pub request_id: String,
    /// What is around it.
    pub framing: Framing,
    /// How the reply is shown.
    pub shown: Manner,
    /// For the answer of the command.
    pub context: HttpContext,
    /// For the answer of the request.
    pub request: HttpContext,
}

impl Style {
    /// Appends the answer that a reply makes.
    pub fn write(&self, reply: &Reply<'_>, out: &mut Vec<u8>) {
        self.frame(out, |out| {
            if let Reply::Error(error) = reply {
                let refusal = respond::of_command(&self.context, error);
                let code = ErrorCode::of_error(error, &refusal);
                return self.failed(code, &refusal.message, out);
            }
            if let Some(refusal) = self.absence(reply) {
                let code = ErrorCode::of_status(refusal.status, &refusal.message);
                return self.failed(code, &refusal.message, out);
            }
            self.head(true, out);
            if *reply == QUEUED {
                out.extend_from_slice(transaction::QUEUED_BODY);
            } else {
                show(self.shown.0, &self.context, reply, out);
            }
            out.extend_from_slice(b",\"error\":null}");
        });
    }

    /// Appends the answer to what could not be done.
    pub fn fail(&self, failure: &Failure, out: &mut Vec<u8>) {
        self.frame(out, |out| self.failed(failure.code, &failure.message, out));
    }

    /// Appends the answer whose payload is this JSON.
    pub fn payload(&self, json: &[u8], out: &mut Vec<u8>) {
        self.frame(out, |out| {
            self.head(true, out);
            out.extend_from_slice(json);
            out.extend_from_slice(b",\"error\":null}");
        });
    }

    fn absence(&self, reply: &Reply<'_>) -> Option<HttpError> {
        match self.shown.0 {
            Shown::AsRoute(shape) => shape::absence(shape, &self.context, reply),
            Shown::Swapped if *reply == Reply::Nil => {
                Some(HttpError::new(409, "CAS failed - the key does not hold what was expected"))
            }
            _ => None,
        }
    }

    fn head(&self, success: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"success\":");
        json::write_bool(out, success);
        member(out, b',', "request_id");
        json::write_str(out, &self.request_id);
        member(out, b',', "payload");
    }

    fn failed(&self, code: ErrorCode, message: &str, out: &mut Vec<u8>) {
        self.head(false, out);
        out.extend_from_slice(b"null");
        member(out, b',', "error");
        json::write_str(out, message);
        member(out, b',', "error_code");
        json::write_str(out, code.text());
        out.push(b'}');
    }

    fn frame(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match self.framing {
            Framing::Whole => {
                let open = response::open(out, &self.request, 200, JSON, &[], 100);
                write(out);
                response::close(out, &self.request, &open);
            }
            Framing::Part(is_first) => {
                let mut part = Vec::with_capacity(128);
                if !is_first {
                    part.push(b',');
                }
                write(&mut part);
                chunk(&self.request, &part, out);
            }
            Framing::Line => {
                let mut line = Vec::with_capacity(128);
                write(&mut line);
                line.push(b'\n');
                chunk(&self.request, &line, out);
            }
        }
    }
}

/// Appends what a reply makes of a payload.
fn show(shown: Shown, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    match shown {
        Shown::AsRoute(shape) | Shown::Value(shape) => shape::write(shape, context, reply, out),
        Shown::Member(name) => {
            member(out, b'{', name);
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shown::Keyed(name) => {
            shape::key_and(context, name, out);
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shown::Listed(name) => {
            member(out, b'{', name);
            json::write_reply(out, reply);
            count(length(reply), out);
        }
        Shown::Named => {
            for (before, name) in [(b'{', "keys"), (b',', "fields")] {
                member(out, before, name);
                json::write_reply(out, reply);
            }
            count(length(reply), out);
        }
        Shown::Found => match reply {
            Reply::Nil => out.extend_from_slice(b"{\"found\":false}"),
            reply => {
                out.extend_from_slice(b"{\"found\":true,\"value\":");
                json::write_reply(out, reply);
                out.push(b'}');
            }
        },
        Shown::Size => {
            for (before, name) in [(b'{', "size"), (b',', "cardinality"), (b',', "count")] {
                member(out, before, name);
                json::write_reply(out, reply);
            }
            out.push(b'}');
        }
        Shown::Message(shape) => message(shape, context, reply, out),
        Shown::Swapped => out.extend_from_slice(b"{\"success\":true}"),
        Shown::Popped => match items(reply) {
            [key, value] => {
                member(out, b'{', "key");
                json::write_reply(out, key);
                member(out, b',', "value");
                json::write_reply(out, value);
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        },
    }
}

/// One message or none; several where more than one was asked for.
fn message(shape: Shape, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let pairs = match reply {
        Reply::Map(pairs) | Reply::Named(pairs) => pairs,
        Reply::Array(_) => return shape::write(shape, context, reply, out),
        _ => return out.extend_from_slice(b"{\"message\":null}"),
    };
    let id = pairs.iter().find(|(name, _)| *name == Reply::borrowed(b"message_id"));
    let mut object = Vec::new();
    shape::write(shape, context, reply, &mut object);
    out.extend_from_slice(b"{\"message\":{\"id\":");
    json::write_reply(out, id.map_or(&Reply::Nil, |(_, id)| id));
    out.push(b',');
    out.extend_from_slice(object.strip_prefix(b"{").unwrap_or(b"}"));
    out.push(b'}');
}

fn length(reply: &Reply<'_>) -> usize {
    match reply {
        Reply::Map(pairs) | Reply::Named(pairs) => pairs.len(),
        reply => items(reply).len(),
    }
}

fn count(count: usize, out: &mut Vec<u8>) {
    member(out, b',', "count");
    json::write_usize(out, count);
    out.push(b'}');
}

/// The JSON of one of the server's own answers, which comes as a whole HTTP answer.
pub fn built_in(response: &[u8]) -> &[u8] {
    let head = response.windows(4).position(|four| four == b"\r\n\r\n");
    head.map_or(&b"null"[..], |at| &response[at + 4..])
}

/// Appends the start of the answer to a batch.
pub fn batch_head(request: &HttpContext, request_id: &str, out: &mut Vec<u8>) {
    response::open_stream(out, request, JSON);
    let mut part = b"{\"type\":\"batch_response\",\"request_id\":".to_vec();
    json::write_str(&mut part, request_id);
    part.extend_from_slice(b",\"results\":[");
    chunk(request, &part, out);
}

/// Appends its end.
pub fn batch_end(request: &HttpContext, out: &mut Vec<u8>) {
    chunk(request, b"]}", out);
    lines_end(request, out);
}

/// Appends the start of an answer in lines.
pub fn lines_head(request: &HttpContext, out: &mut Vec<u8>) {
    response::open_stream(out, request, "application/x-ndjson");
}

/// Appends its end.
pub fn lines_end(request: &HttpContext, out: &mut Vec<u8>) {
    if !request.http_1_0 {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Appends a chunk (RFC 9112, section 7.1); to HTTP/1.0, which has none, the bytes alone.
fn chunk(request: &HttpContext, bytes: &[u8], out: &mut Vec<u8>) {
    if request.http_1_0 {
        return out.extend_from_slice(bytes);
    }
    out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
