//! What connections that are pushed to are told beside messages: that they are subscribed, and what
//! was wrong. And what WebSockets of topics ask for.

use synap_shards::command::reply::Reply;

use crate::protocol::http::captures::Told;
use crate::protocol::http::pubsub;
use crate::protocol::json::{self, Kind};
use crate::protocol::push::{self, Form};
use crate::protocol::ws::frame::{self, Opcode};

/// How the reply to a subscription is told.
#[derive(Clone, Debug)]
pub(super) struct LiveStyle {
    /// As a frame or an event.
    pub(super) form: Form,
    /// What.
    pub(super) what: What,
}

/// What is told.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The connection is subscribed, under this name.
    Connected(Box<str>),
    /// The connection watches these keys, under this name.
    Watching(Box<str>, Box<[String]>),
    /// It is subscribed to more.
    Subscribed,
    /// It is subscribed to less.
    Unsubscribed,
    /// Changes, and the position behind them; without any where that is said `always`.
    Changes { always: bool },
    /// Nothing, unless it failed.
    Nothing,
}

impl LiveStyle {
    /// Appends what a reply comes to.
    pub(super) fn write(&self, reply: &Reply<'_>, out: &mut Vec<u8>) {
        if let Reply::Error(error) = reply {
            return Self::refuse(&error.to_string(), self.form, out);
        }
        let (kind, subscriber) = match &self.what {
            What::Connected(subscriber) | What::Watching(subscriber, _) => {
                ("connected", Some(subscriber))
            }
            What::Subscribed => ("subscribed", None),
            What::Unsubscribed => ("unsubscribed", None),
            What::Changes { always } => return self.changes(*always, reply, out),
            What::Nothing => return,
        };
        let mut object = b"{\"type\":\"".to_vec();
        object.extend_from_slice(kind.as_bytes());
        object.push(b'"');
        if let Some(subscriber) = subscriber {
            object.extend_from_slice(b",\"subscriber_id\":");
            json::write_str(&mut object, subscriber);
        }
        match &self.what {
            What::Watching(_, keys) => watched(keys, &mut object),
            _ => pubsub::subscriptions(reply, &mut object),
        }
        object.push(b'}');
        Self::tell(kind, &object, self.form, out);
    }

    fn changes(&self, always: bool, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let Some(told) = Told::of(reply).filter(|told| always || !told.changes.is_empty()) else {
            return;
        };
        let mut object = Vec::new();
        told.write(&mut object);
        match self.form {
            Form::Event => push::event(out, Some(&*told.position), "changes", &object),
            Form::Frame | Form::Object => frame::write(out, Opcode::Text, &object),
        }
    }

    /// Appends what was wrong.
    pub(super) fn refuse(why: &str, form: Form, out: &mut Vec<u8>) {
        let mut object = b"{\"type\":\"error\",\"error\":".to_vec();
        json::write_str(&mut object, why);
        object.push(b'}');
        Self::tell("error", &object, form, out);
    }

    fn tell(kind: &str, object: &[u8], form: Form, out: &mut Vec<u8>) {
        match form {
            Form::Event => push::event(out, None, kind, object),
            Form::Frame | Form::Object => frame::write(out, Opcode::Text, object),
        }
    }
}

fn watched(keys: &[String], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"keys\":[");
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_str(out, key);
    }
    out.push(b']');
}

/// What a WebSocket of topics asks for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Request {
    Subscribe(Vec<String>),
    /// From all without any.
    Unsubscribe(Vec<String>),
}

impl Request {
    /// Reads `{"command":"subscribe","topics":[…]}`.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let members = json::object(text.as_bytes()).map_err(|_| "a JSON object is expected")?;
        let member = |name: &str| members.iter().rev().find(|(known, _)| known == name);
        let string = |text: &str| match Kind::of(text) {
            Kind::String => json::string(text).ok().map(std::borrow::Cow::into_owned),
            _ => None,
        };
        let topics = match member("topics") {
            None => Vec::new(),
            Some((_, list)) => {
                let items = json::array(list).map_err(|_| "`topics` is a list of strings")?;
                let topics: Option<Vec<String>> = items.into_iter().map(string).collect();
                topics.ok_or("`topics` is a list of strings")?
            }
        };
        match member("command").and_then(|(_, text)| string(text)).as_deref() {
            Some("subscribe") if topics.is_empty() => Err("`topics` is missing"),
            Some("subscribe") => Ok(Self::Subscribe(topics)),
            Some("unsubscribe") => Ok(Self::Unsubscribe(topics)),
            _ => Err("`command` is subscribe or unsubscribe"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_or_refused() {
        let topics = || vec!["a".to_owned(), "b.*".to_owned()];
        for (text, expected) in [
            (r#"{"command":"subscribe","topics":["a","b.*"]}"#, Ok(Request::Subscribe(topics()))),
            (
                r#"{"topics":["a","b.*"],"command":"unsubscribe"}"#,
                Ok(Request::Unsubscribe(topics())),
            ),
            (r#"{"command":"unsubscribe"}"#, Ok(Request::Unsubscribe(Vec::new()))),
            (r#"{"command":"subscribe"}"#, Err("`topics` is missing")),
            (r#"{"command":"subscribe","topics":[1]}"#, Err("`topics` is a list of strings")),
            (r#"{"command":"subscribe","topics":"a"}"#, Err("`topics` is a list of strings")),
            (r#"{"command":7}"#, Err("`command` is subscribe or unsubscribe")),
            ("[]", Err("a JSON object is expected")),
            ("", Err("a JSON object is expected")),
        ] {
            assert_eq!(Request::read(text), expected, "{text}");
        }
    }
}
