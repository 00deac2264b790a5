//! What connections that are pushed to are told beside messages: that they are subscribed, and what
//! was wrong. And what WebSockets ask for.

use synap_shards::command::reply::Reply;

use crate::protocol::http::captures::Told;
use crate::protocol::http::pubsub;
use crate::protocol::json::{self, Kind, Members};
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
    /// What became of a message of a queue, by this word and its name.
    Settled(&'static str, Box<str>),
    /// Changes, and the position behind them; without any where that is said `always`.
    Changes { always: bool },
    /// Nothing, unless it failed.
    Nothing,
}

impl LiveStyle {
    /// Appends what a reply comes to.
    pub(super) fn write(&self, reply: &Reply<'_>, out: &mut Vec<u8>) {
        if let What::Settled(what, name) = &self.what {
            return self.settled(what, name, reply, out);
        }
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
            What::Nothing | What::Settled(..) => return,
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

    fn settled(&self, what: &str, name: &str, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let error = if let Reply::Error(error) = reply { Some(error.to_string()) } else { None };
        let kind = if error.is_some() { "error" } else { what };
        let mut object = b"{\"type\":".to_vec();
        json::write_str(&mut object, kind);
        if let Some(error) = error {
            object.extend_from_slice(b",\"error\":");
            json::write_str(&mut object, &error);
        }
        object.extend_from_slice(b",\"message_id\":");
        json::write_str(&mut object, name);
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

/// What a WebSocket asks for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Request {
    Subscribe(Vec<String>),
    /// From all without any.
    Unsubscribe(Vec<String>),
    /// The message of this name is done.
    Ack(String),
    /// It is not; whether it shall be delivered again.
    Nack(String, bool),
    /// Reading shall go on at this offset.
    Seek(u64),
}

/// Members of an object by their names.
struct Fields<'a>(Members<'a>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, text)| *text)
    }

    fn string(&self, name: &str) -> Option<String> {
        self.get(name).and_then(string)
    }

    fn topics(&self) -> Result<Vec<String>, &'static str> {
        let Some(list) = self.get("topics") else { return Ok(Vec::new()) };
        let items = json::array(list).map_err(|_| "`topics` is a list of strings")?;
        let topics: Option<Vec<String>> = items.into_iter().map(string).collect();
        topics.ok_or("`topics` is a list of strings")
    }

    fn message(&self) -> Result<String, &'static str> {
        self.string("message_id").ok_or("`message_id` is missing")
    }

    fn requeue(&self) -> Result<bool, &'static str> {
        match self.get("requeue") {
            None | Some("true" | "null") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err("`requeue` is true or false"),
        }
    }

    /// An offset that events can have.
    fn offset(&self) -> Result<u64, &'static str> {
        let offset: Option<u64> = self.get("offset").and_then(|text| text.parse().ok());
        let offset = offset.filter(|offset| *offset < i64::MAX.unsigned_abs());
        offset.ok_or("`offset` is a number")
    }
}

fn string(text: &str) -> Option<String> {
    match Kind::of(text) {
        Kind::String => json::string(text).ok().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

impl Request {
    /// Reads an object like `{"command":"subscribe","topics":[…]}`.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let fields = json::object(text.as_bytes()).map_err(|_| "a JSON object is expected")?;
        let fields = Fields(fields);
        match fields.string("command").as_deref() {
            Some("subscribe") => match fields.topics()? {
                topics if topics.is_empty() => Err("`topics` is missing"),
                topics => Ok(Self::Subscribe(topics)),
            },
            Some("unsubscribe") => Ok(Self::Unsubscribe(fields.topics()?)),
            Some("ack") => Ok(Self::Ack(fields.message()?)),
            Some("nack") => Ok(Self::Nack(fields.message()?, fields.requeue()?)),
            Some("seek") => Ok(Self::Seek(fields.offset()?)),
            _ => Err("`command` is unknown"),
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
            (r#"{"command":7}"#, Err("`command` is unknown")),
            (r#"{"command":"ack","message_id":"m"}"#, Ok(Request::Ack("m".into()))),
            (r#"{"command":"ack","message_id":7}"#, Err("`message_id` is missing")),
            (r#"{"command":"nack","message_id":"m"}"#, Ok(Request::Nack("m".into(), true))),
            (
                r#"{"command":"nack","message_id":"m","requeue":false}"#,
                Ok(Request::Nack("m".into(), false)),
            ),
            (
                r#"{"command":"nack","message_id":"m","requeue":"no"}"#,
                Err("`requeue` is true or false"),
            ),
            (r#"{"command":"seek","offset":7}"#, Ok(Request::Seek(7))),
            (r#"{"command":"seek","offset":-1}"#, Err("`offset` is a number")),
            (r#"{"command":"seek","offset":9223372036854775807}"#, Err("`offset` is a number")),
            ("[]", Err("a JSON object is expected")),
            ("", Err("a JSON object is expected")),
        ] {
            assert_eq!(Request::read(text), expected, "{text}");
        }
    }
}
