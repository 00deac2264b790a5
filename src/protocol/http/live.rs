//! Requests whose connection stays open and is pushed to: upgrades to WebSocket, and streams of
//! events (`text/event-stream`).

use synap_shards::pubsub::topic;

use super::context::HttpContext;
use super::decode::HttpRequest;
use super::error::HttpError;
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
}

impl Live {
    /// Whether it is a stream of events.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Events(_) | Self::Changes { form: Form::Event, .. })
    }
}

/// Routes of such requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LiveRoute {
    Topics,
    Keys,
    Events,
    Changes,
    ChangeEvents,
}

impl LiveRoute {
    /// For people.
    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Topics => "A WebSocket that is told messages to topics",
            Self::Keys => "A WebSocket that is told of changes of keys",
            Self::Events => "A stream of messages to topics (server-sent events)",
            Self::Changes => "A WebSocket that is told changes of keys from a position on",
            Self::ChangeEvents => {
                "Changes of keys as server-sent events, from `Last-Event-ID` or `from` on"
            }
        }
    }

    /// The content type of its answer.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Topics | Self::Keys | Self::Changes => "application/json",
            Self::Events | Self::ChangeEvents => "text/event-stream",
        }
    }

    /// The query parameter that it needs.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::Topics | Self::Events => "topics",
            Self::Keys => "keys",
            Self::Changes | Self::ChangeEvents => "from",
        }
    }

    /// What the connection becomes, and the answer that says so.
    ///
    /// # Errors
    /// 400 for names that are missing or none, and what [`upgrade`] refuses with.
    pub(super) fn open(
        self,
        inputs: &Inputs<'_>,
        request: &HttpRequest<'_>,
        context: &HttpContext,
        options: &HttpOptions,
    ) -> Result<(Live, Vec<u8>), HttpError> {
        let response = match self {
            Self::Topics | Self::Keys | Self::Changes => upgrade(request, context, options)?,
            Self::Events | Self::ChangeEvents if context.head_only => {
                return Err(HttpError::new(405, "Method not allowed"));
            }
            Self::Events | Self::ChangeEvents => events(context),
        };
        if let Self::Changes | Self::ChangeEvents = self {
            return Ok((self.changes(inputs, request)?, response));
        }
        let names = self.names(inputs)?;
        let live = match self {
            Self::Topics => Live::Topics(names),
            Self::Keys => Live::Keys(names),
            _ => Live::Events(names),
        };
        Ok((live, response))
    }

    /// A stream that broke off goes on behind the last event that its reader has seen.
    fn changes(self, inputs: &Inputs<'_>, request: &HttpRequest<'_>) -> Result<Live, HttpError> {
        let capture = inputs.text("capture").ok_or_else(|| missing("capture"))?.into_owned();
        let last = request.header("last-event-id").filter(|id| !id.is_empty());
        let last = last.map(|id| String::from_utf8_lossy(id).into_owned());
        let from = last.or_else(|| inputs.text("from").map(|from| from.into_owned()));
        let from = from.ok_or_else(|| missing("from"))?;
        let form = if self == Self::Changes { Form::Frame } else { Form::Event };
        Ok(Live::Changes { capture, from, form })
    }

    fn names(self, inputs: &Inputs<'_>) -> Result<Vec<String>, HttpError> {
        let parameter = self.parameter();
        let text = inputs.text(parameter).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| missing(parameter))?;
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        if names.len() > NAMES_MAX {
            let found = names.len().to_string();
            return Err(unexpected(parameter, "at most 1024 names", &found));
        }
        for name in &names {
            match self {
                Self::Keys if name.is_empty() => {
                    return Err(unexpected(parameter, "keys", "an empty one"));
                }
                Self::Keys => {}
                _ => topic::check_pattern(name.as_bytes())
                    .map_err(|error| HttpError::with(400, format!("Invalid request: {error}")))?,
            }
        }
        Ok(names)
    }
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
