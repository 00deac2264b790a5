//! Requests whose connection stays open and is pushed to: upgrades to WebSocket, and streams of
//! events (`text/event-stream`).

use synap_shards::pubsub::topic;

use super::context::HttpContext;
use super::decode::HttpRequest;
use super::error::HttpError;
use super::feed::{QueueWanted, StreamWanted};
use super::input::{Inputs, missing, unexpected};
use super::route::HttpOptions;
use crate::protocol::push::Form;
use crate::protocol::ws::handshake::{self, Refusal};

/// Topics or keys that one request may name.
const NAMES_MAX: usize = 1024;

/// What a connection becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Live {
    /// A WebSocket that answers each message with itself.
    Echo,
    /// A WebSocket that is told messages to topics that match these patterns.
    Topics(Vec<String>),
    /// A WebSocket that is told of changes of these keys, or of those that match a glob pattern.
    Keys(Vec<String>),
    /// A stream of messages to topics that match these patterns.
    Events(Vec<String>),
    /// A WebSocket or a stream that is told what a capture captures.
    Changes {
        /// Its name.
        capture: String,
        /// The position to begin at.
        from: String,
        /// As events or as frames.
        form: Form,
    },
    /// A WebSocket that is given messages of a queue.
    Queue(QueueWanted),
    /// A WebSocket, or a stream of events, that is told events of a room or of a partition.
    Stream(StreamWanted),
    /// A stream of security events behind the one of this number.
    Audit(u64),
}

impl Live {
    /// Whether it is a WebSocket; a stream of events otherwise.
    pub fn is_websocket(&self) -> bool {
        match self {
            Self::Echo | Self::Topics(_) | Self::Keys(_) | Self::Queue(_) => true,
            Self::Events(_) | Self::Audit(_) => false,
            Self::Stream(wanted) => wanted.form == Form::Frame,
            Self::Changes { form, .. } => *form == Form::Frame,
        }
    }
}

/// Routes of such requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LiveRoute {
    Topics,
    Keys,
    Events,
    Queue,
    /// Of a room.
    Room(Form),
    /// Of a partition of a topic.
    Partition(Form),
    Changes,
    ChangeEvents,
    Audit,
}

impl LiveRoute {
    /// For people.
    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Topics => "A WebSocket that is told messages to topics",
            Self::Keys => "A WebSocket that is told of changes of keys",
            Self::Events => "A stream of messages to topics (server-sent events)",
            Self::Queue => "A WebSocket that is given messages of a queue, and settles them",
            Self::Room(Form::Event) => "A stream of events of a room (server-sent events)",
            Self::Room(_) => "A WebSocket that is told events of a room",
            Self::Partition(Form::Event) => {
                "A stream of events of a partition (server-sent events)"
            }
            Self::Partition(_) => "A WebSocket that is told events of a partition",
            Self::Audit => {
                "Security events as server-sent events, behind `Last-Event-ID` or `after`; for \
                 administrators"
            }
            Self::Changes => "A WebSocket that is told changes of keys from a position on",
            Self::ChangeEvents => {
                "Changes of keys as server-sent events, from `Last-Event-ID` or `from` on"
            }
        }
    }

    /// The content type of its answer.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Events
            | Self::ChangeEvents
            | Self::Audit
            | Self::Room(Form::Event)
            | Self::Partition(Form::Event) => "text/event-stream",
            _ => "application/json",
        }
    }

    /// The parameters of its query, and whether it needs each. A room is one where the path has
    /// none.
    pub(super) fn parameters(self, path: &str) -> &'static [(&'static str, bool)] {
        const FROM: &[(&str, bool)] = &[("from_offset", false), ("from", false), ("data", false)];
        const ROOM: &[(&str, bool)] =
            &[("room", true), ("from_offset", false), ("from", false), ("data", false)];
        match self {
            Self::Topics | Self::Events => &[("topics", true)],
            Self::Keys => &[("keys", true)],
            Self::Queue => &[("prefetch", false), ("encoding", false)],
            Self::Room(_) if !path.contains("{room}") => ROOM,
            Self::Room(_) | Self::Partition(_) => FROM,
            Self::Changes | Self::ChangeEvents => &[("from", true)],
            Self::Audit => &[("after", false)],
        }
    }

    /// What the connection becomes, and the answer that says so.
    ///
    /// # Errors
    /// 400 for inputs that are missing or none, and what [`upgrade`] refuses with.
    pub(super) fn open(
        self,
        inputs: &Inputs<'_>,
        request: &HttpRequest<'_>,
        context: &HttpContext,
        options: &HttpOptions,
    ) -> Result<(Live, Vec<u8>), HttpError> {
        let response = match self.media_type() {
            "text/event-stream" if context.head_only => {
                return Err(HttpError::new(405, "Method not allowed"));
            }
            "text/event-stream" => events(context),
            _ => upgrade(request, context, options)?,
        };
        let live = match self {
            Self::Topics => Live::Topics(names(inputs, "topics", check_topic)?),
            Self::Keys => Live::Keys(names(inputs, "keys", check_key)?),
            Self::Events => Live::Events(names(inputs, "topics", check_topic)?),
            Self::Changes => changes(inputs, request, Form::Frame)?,
            Self::ChangeEvents => changes(inputs, request, Form::Event)?,
            Self::Audit => Live::Audit(last_seen(inputs, request)?),
            Self::Queue => Live::Queue(QueueWanted::read(inputs)?),
            Self::Room(form) => Live::Stream(StreamWanted::read(inputs, request, true, form)?),
            Self::Partition(form) => {
                Live::Stream(StreamWanted::read(inputs, request, false, form)?)
            }
        };
        Ok((live, response))
    }
}

/// A stream that broke off goes on behind the last event that its reader has seen.
fn changes(inputs: &Inputs<'_>, request: &HttpRequest<'_>, form: Form) -> Result<Live, HttpError> {
    let capture = inputs.text("capture").ok_or_else(|| missing("capture"))?.into_owned();
    let last = request.header("last-event-id").filter(|id| !id.is_empty());
    let last = last.map(|id| String::from_utf8_lossy(id).into_owned());
    let from = last.or_else(|| inputs.text("from").map(|from| from.into_owned()));
    let from = from.ok_or_else(|| missing("from"))?;
    Ok(Live::Changes { capture, from, form })
}

/// The number of the last security event that a reader has seen; 0 is before all of them.
fn last_seen(inputs: &Inputs<'_>, request: &HttpRequest<'_>) -> Result<u64, HttpError> {
    let last = request.header("last-event-id").filter(|id| !id.is_empty());
    let last = last.map(String::from_utf8_lossy).or_else(|| inputs.text("after"));
    last.map_or(Ok(0), |text| {
        text.parse().map_err(|_| unexpected("after", "the number of an event", &text))
    })
}

fn names(
    inputs: &Inputs<'_>,
    parameter: &str,
    check: impl Fn(&str) -> Result<(), HttpError>,
) -> Result<Vec<String>, HttpError> {
    let text = inputs.text(parameter).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| missing(parameter))?;
    let names: Vec<String> = text.split(',').map(str::to_owned).collect();
    if names.len() > NAMES_MAX {
        let found = names.len().to_string();
        return Err(unexpected(parameter, "at most 1024 names", &found));
    }
    names.iter().try_for_each(|name| check(name))?;
    Ok(names)
}

fn check_topic(name: &str) -> Result<(), HttpError> {
    topic::check_pattern(name.as_bytes())
        .map_err(|error| HttpError::with(400, format!("Invalid request: {error}")))
}

fn check_key(name: &str) -> Result<(), HttpError> {
    if name.is_empty() { Err(unexpected("keys", "keys", "an empty one")) } else { Ok(()) }
}

/// The head of a stream of events, which ends with its connection.
fn events(context: &HttpContext) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Cache-Control: no-cache\r\nConnection: close\r\n"
        .to_vec();
    if let Some(origin) = &context.origin {
        for part in ["Access-Control-Allow-Origin: ", origin, "\r\nVary: Origin\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The answer that switches a connection to WebSocket.
///
/// # Errors
/// 404 where the server does not serve WebSocket, 426 where the request does not ask for it, 400
/// where it asks wrongly, 403 where a page of another origin asks.
pub(super) fn upgrade(
    request: &HttpRequest<'_>,
    context: &HttpContext,
    options: &HttpOptions,
) -> Result<Vec<u8>, HttpError> {
    if options.without_websocket {
        return Err(HttpError::new(404, "Not found"));
    }
    let key = handshake::key(request, context.origin.is_some()).map_err(|why| match why {
        Refusal::NotAsked => HttpError::new(426, "this path is a WebSocket"),
        Refusal::Version => HttpError::new(426, "WebSocket version 13 is known"),
        Refusal::Key => {
            HttpError::bad("Invalid request: Sec-WebSocket-Key is not 16 bytes in base64")
        }
        Refusal::Origin => HttpError::new(
            403,
            "Forbidden: the page's origin is not in server.cors.allowed_origins",
        ),
    })?;
    let mut response = Vec::with_capacity(160);
    handshake::write(&mut response, key);
    Ok(response)
}
