//! Topics over HTTP: who is subscribed, what a message's body stands for, and answers.

use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{ArgKind, ArgSpec};

use super::arguments::Writer;
use super::context::HttpContext;
use super::error::HttpError;
use super::input::{Given, Inputs, missing, unexpected};
use super::shape::{items, member};
use crate::protocol::json::{self, Kind};

/// Ids of commands whose requests are about a subscriber without a connection.
const SUBSCRIBE: &str = "pubsub.topic_subscribe";
const UNSUBSCRIBE: &str = "pubsub.topic_unsubscribe";
const PUBLISH: &str = "pubsub.topic_publish";

/// A request about a subscriber without a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subscriber {
    /// Subscribes under this name, or a new one.
    Begin(Option<Box<str>>),
    /// Ends subscriptions of the one with this name.
    End(Box<str>),
}

/// What the request says of who subscribes, where the command is about that.
pub(super) fn subscriber(id: &str, inputs: &Inputs<'_>) -> Result<Option<Subscriber>, HttpError> {
    let name = || inputs.text("subscriber_id").or_else(|| inputs.text("subscription_id"));
    Ok(match id {
        SUBSCRIBE => Some(Subscriber::Begin(name().map(|name| name.as_ref().into()))),
        UNSUBSCRIBE => {
            let name = name().ok_or_else(|| missing("subscriber_id"))?;
            Some(Subscriber::End(name.as_ref().into()))
        }
        _ => None,
    })
}

/// Arguments of a message that are not what inputs usually are: whether its payload is JSON shows
/// in the body, and metadata is an object. Whether `arg` was one of these.
pub(super) fn argument(writer: &mut Writer<'_, '_>, arg: &ArgSpec) -> Result<bool, HttpError> {
    if writer.spec.id != PUBLISH {
        return Ok(false);
    }
    match (arg.name, &arg.kind) {
        ("json", ArgKind::Flag) => {
            let payload =
                ["payload", "message", "data"].iter().find_map(|name| writer.inputs.find(name));
            if let Some(Given::Json(text)) = payload
                && Kind::of(text) != Kind::String
            {
                writer.words.push(arg.token.as_bytes());
            }
        }
        ("metadata", _) => {
            let given = writer.inputs.get("metadata").or_else(|| writer.inputs.get("headers"));
            let text = match given {
                None => return Ok(true),
                Some(Given::Json(text)) if Kind::of(text) == Kind::Object => text,
                Some(_) => {
                    return Err(unexpected("metadata", "an object of strings", "something else"));
                }
            };
            writer.words.push(arg.token.as_bytes());
            writer.words.push(text.as_bytes());
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    Subscribed,
    Unsubscribed,
    Messages,
    Topics,
}

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "pubsub_subscribed" => Self::Subscribed,
            "pubsub_unsubscribed" => Self::Unsubscribed,
            "pubsub_messages" => Self::Messages,
            "pubsub_topics" => Self::Topics,
            _ => return None,
        })
    }

    /// Names and types of the members of the answer.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Subscribed => &[
                ("subscriber_id", "string"),
                ("subscription_id", "string"),
                ("topics", "array"),
                ("subscription_count", "integer"),
            ],
            Self::Unsubscribed => &[("unsubscribed", "integer")],
            Self::Messages => &[("messages", "array")],
            Self::Topics => &[("topics", "array"), ("count", "integer")],
        }
    }

    /// Names and types of inputs that are no arguments of the command.
    pub(super) fn inputs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Subscribed | Self::Unsubscribed => &[("subscriber_id", "string")],
            Self::Messages | Self::Topics => &[],
        }
    }

    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Subscribed => {
                let name = context.subscriber_name.as_deref().unwrap_or_default();
                for (before, member_name) in [(b'{', "subscriber_id"), (b',', "subscription_id")] {
                    member(out, before, member_name);
                    json::write_str(out, name);
                }
                subscriptions(reply, out);
                out.push(b'}');
            }
            Self::Unsubscribed => {
                member(out, b'{', "unsubscribed");
                json::write_usize(out, context.ended);
                out.push(b'}');
            }
            Self::Messages => {
                member(out, b'{', "messages");
                out.push(b'[');
                for (index, message) in items(reply).iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    if let Reply::Bytes(json) = message {
                        out.extend_from_slice(json);
                    }
                }
                out.extend_from_slice(b"]}");
            }
            Self::Topics => {
                member(out, b'{', "topics");
                json::write_replies(out, items(reply));
                member(out, b',', "count");
                json::write_usize(out, items(reply).len());
                out.push(b'}');
            }
        }
    }
}

/// Appends `,"topics":[…],"subscription_count":n` from the confirmations of subscriptions.
pub(crate) fn subscriptions(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let confirmations = match reply {
        Reply::Several(several) => &several[..],
        one => std::slice::from_ref(one),
    };
    let mut count = 0;
    member(out, b',', "topics");
    out.push(b'[');
    let mut is_first = true;
    for confirmation in confirmations {
        let Reply::Push(parts) = confirmation else { continue };
        let [_, name, Reply::Integer(now)] = &parts[..] else { continue };
        count = *now;
        if let Reply::Bytes(name) = name {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            json::write_bytes(out, name);
        }
    }
    out.push(b']');
    member(out, b',', "subscription_count");
    json::write_integer(out, count);
}
