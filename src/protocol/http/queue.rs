//! Message queues over HTTP: the bodies of their answers, what their errors are, and payloads.

use std::borrow::Cow;

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::context::{HttpContext, ValueForm};
use super::error::HttpError;
use super::input::{Inputs, unexpected};
use super::shape::{items, member, truth, value};
use crate::protocol::json::{self, Kind};

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// It is there.
    Created,
    /// It was there.
    Deleted,
    /// How many messages it had.
    Purged,
    /// The id of a message.
    Published,
    /// Ids of messages.
    Ids,
    /// A message, its payload as numbers unless asked for otherwise; or several.
    Message,
    /// The same with its payload as text, and once more as what it stands for.
    Decoded,
    /// Messages that were looked at, and how many there are.
    Messages,
    /// What a consumer said was done.
    Settled,
    /// Numbers by their names.
    Stats,
    /// How many messages it was about, under this name.
    Count(&'static str),
}

/// Members of a message, all of them null where there is none.
const MEMBERS: [&str; 6] =
    ["message_id", "payload", "priority", "retry_count", "max_retries", "headers"];

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "queue_created" => Self::Created,
            "queue_deleted" => Self::Deleted,
            "queue_purged" => Self::Purged,
            "queue_published" => Self::Published,
            "queue_ids" => Self::Ids,
            "queue_message" => Self::Message,
            "queue_message_text" => Self::Decoded,
            "queue_messages" => Self::Messages,
            "queue_settled" => Self::Settled,
            "queue_stats" => Self::Stats,
            "queue_requeued" => Self::Count("requeued"),
            "queue_cancelled" => Self::Count("cancelled"),
            "queue_dlq_purged" => Self::Count("purged"),
            _ => return None,
        })
    }

    /// Members of the body, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Created => &[("success", "boolean"), ("queue", "string")],
            Self::Deleted => &[("success", "boolean"), ("deleted", "boolean")],
            Self::Purged => &[("success", "boolean"), ("purged", "integer")],
            Self::Published => &[("message_id", "string")],
            Self::Ids => &[("message_ids", "array"), ("count", "integer")],
            Self::Message => &[
                ("message_id", "string"),
                ("payload", "array"),
                ("priority", "integer"),
                ("retry_count", "integer"),
                ("max_retries", "integer"),
                ("headers", "object"),
            ],
            Self::Decoded => &[
                ("message_id", "string"),
                ("payload", "string"),
                ("priority", "integer"),
                ("retry_count", "integer"),
                ("max_retries", "integer"),
                ("headers", "object"),
                ("message", "string"),
            ],
            Self::Messages => &[("messages", "array"), ("count", "integer"), ("total", "integer")],
            Self::Settled => &[("success", "boolean")],
            Self::Stats => &[
                ("depth", "integer"),
                ("consumers", "integer"),
                ("published", "integer"),
                ("consumed", "integer"),
                ("acked", "integer"),
                ("nacked", "integer"),
                ("dead_lettered", "integer"),
                ("dlq_count", "integer"),
                ("pending", "integer"),
            ],
            Self::Count("requeued") => &[("requeued", "integer")],
            Self::Count("cancelled") => &[("cancelled", "integer")],
            Self::Count(_) => &[("purged", "integer")],
        }
    }

    /// Appends the body that `reply` makes.
    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Created => {
                done_and("queue", out);
                json::write_bytes(out, context.key());
                out.push(b'}');
            }
            Self::Deleted => {
                done_and("deleted", out);
                json::write_bool(out, truth(reply));
                out.push(b'}');
            }
            Self::Purged => {
                done_and("purged", out);
                json::write_reply(out, reply);
                out.push(b'}');
            }
            Self::Published => object_of("message_id", reply, out),
            Self::Count(name) => object_of(name, reply, out),
            Self::Ids => {
                member(out, b'{', "message_ids");
                json::write_reply(out, reply);
                counted(items(reply).len(), out);
            }
            Self::Message | Self::Decoded => self.message(context, reply, out),
            Self::Messages => self.listed(context, reply, out),
            Self::Settled => out.extend_from_slice(br#"{"success":true}"#),
            Self::Stats => json::write_reply(out, reply),
        }
    }

    /// One message, none, or a list of them.
    fn message(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match reply {
            Reply::Array(messages) => {
                self.list(context, messages, out);
                counted(messages.len(), out);
            }
            Reply::Map(pairs) => self.members(context, pairs, out),
            _ => {
                let mut before = b'{';
                let decoded = (self == Self::Decoded).then_some("message");
                for name in MEMBERS.into_iter().chain(decoded) {
                    member(out, before, name);
                    out.extend_from_slice(b"null");
                    before = b',';
                }
                out.push(b'}');
            }
        }
    }

    fn members(self, context: &HttpContext, pairs: &[(Reply<'_>, Reply<'_>)], out: &mut Vec<u8>) {
        let mut before = b'{';
        let mut payload = None;
        for (name, held) in pairs {
            let Reply::Bytes(name) = name else { continue };
            member(out, before, &String::from_utf8_lossy(name));
            before = b',';
            match (&**name, held) {
                (b"payload", Reply::Bytes(bytes)) => {
                    payload = Some(bytes);
                    value(context, held, out);
                }
                _ => json::write_reply(out, held),
            }
        }
        if let (Self::Decoded, Some(payload)) = (self, payload) {
            member(out, b',', "message");
            let is_structure = matches!(payload.first(), Some(b'{' | b'['));
            match std::str::from_utf8(payload).ok().filter(|_| is_structure) {
                Some(text) if json::is_valid(text) => json::compact(text, out),
                _ => json::write_bytes(out, payload),
            }
        }
        out.push(b'}');
    }

    /// Appends `{"messages":[…]`.
    fn list(self, context: &HttpContext, messages: &[Reply<'_>], out: &mut Vec<u8>) {
        member(out, b'{', "messages");
        out.push(b'[');
        for (index, message) in messages.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.message(context, message, out);
        }
        out.push(b']');
    }

    fn listed(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let pairs = if let Reply::Map(pairs) = reply { &pairs[..] } else { &[] };
        let [(_, messages), (_, total)] = pairs else { return out.extend_from_slice(b"{}") };
        self.list(context, items(messages), out);
        member(out, b',', "count");
        json::write_usize(out, items(messages).len());
        member(out, b',', "total");
        json::write_reply(out, total);
        out.push(b'}');
    }
}

/// Appends `{"success":true,"name":`.
fn done_and(name: &str, out: &mut Vec<u8>) {
    member(out, b'{', "success");
    json::write_bool(out, true);
    member(out, b',', name);
}

fn object_of(name: &str, reply: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b'{', name);
    json::write_reply(out, reply);
    out.push(b'}');
}

/// Appends a count and the end of the object.
fn counted(count: usize, out: &mut Vec<u8>) {
    member(out, b',', "count");
    json::write_usize(out, count);
    out.push(b'}');
}

/// How payloads are shown.
pub(super) fn form(body: Body, inputs: &Inputs<'_>) -> Result<ValueForm, HttpError> {
    match inputs.text("encoding").as_deref() {
        None if body == Body::Decoded => Ok(ValueForm::Text),
        None | Some("bytes") => Ok(ValueForm::Numbers),
        Some("text") => Ok(ValueForm::Text),
        Some("base64") => Ok(ValueForm::Base64),
        Some("json") => Ok(ValueForm::Json),
        Some(_) => {
            Err(HttpError::bad("Invalid request: `encoding` must be bytes, text, base64 or json"))
        }
    }
}

/// The bytes that a JSON array of numbers stands for.
pub(super) fn payload(name: &str, text: &str) -> Result<Vec<u8>, HttpError> {
    let refused = || unexpected(name, "a string, an object or numbers from 0 to 255", "an array");
    let numbers = json::array(text).map_err(|_| refused())?;
    numbers.into_iter().map(|number| number.parse().map_err(|_| refused())).collect()
}

/// Whether an input is a payload, of which an array of numbers is the bytes.
pub(super) fn is_payload(name: &str, kind: Kind) -> bool {
    kind == Kind::Array && matches!(name, "payload" | "payloads" | "message" | "messages" | "data")
}

/// What the errors of queues are over HTTP.
pub(super) fn refusal(context: &HttpContext, error: &CommandError) -> Option<HttpError> {
    let named = |text: &str, name: &[u8]| match String::from_utf8_lossy(name) {
        Cow::Borrowed("") => text.to_owned(),
        name => format!("{text}: {name}"),
    };
    Some(match error.code() {
        "NOQUEUE" => HttpError::with(404, named("Queue not found", context.key())),
        "NOMESSAGE" => HttpError::with(404, named("Message not found", context.destination())),
        "DISABLED" => HttpError::with(503, error.to_string()),
        "QUEUEFULL" => HttpError::with(507, named("Queue is full", context.key())),
        _ => return None,
    })
}
