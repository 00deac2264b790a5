//! Connections that are fed from a queue, a room or a partition of a topic: what their requests ask
//! for, and how they are told what there is.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::context::{HttpContext, ValueForm};
use super::decode::HttpRequest;
use super::error::HttpError;
use super::input::{Inputs, missing, unexpected};
use super::shape::items;
use super::{queue, topics};
use crate::protocol::json;
use crate::protocol::push::{self, Form};
use crate::protocol::ws::frame::{self, Opcode};

/// Messages that one connection may have at a time.
pub const PREFETCH_MAX: u64 = 1_000;
/// Digits of an offset, at most.
const DIGITS_MAX: usize = 20;

/// What a consumer of a queue asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueWanted {
    /// The queue.
    pub queue: Box<str>,
    /// Who consumes.
    pub consumer: Box<str>,
    /// Messages that it wants to have at a time, if it says.
    pub prefetch: Option<u64>,
    form: ValueForm,
}

/// Where a reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At this offset; 0 is the first event that is there.
    Offset(u64),
    /// Behind the last event that it has seen.
    Behind(u64),
    /// With the next event that comes.
    Latest,
}

/// What a reader of a room or a partition asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamWanted {
    /// The room or the topic.
    pub name: Box<str>,
    /// The number of the partition; nothing where it is a room.
    pub partition: Option<u16>,
    /// Who reads, if it says.
    pub reader: Option<Box<str>>,
    /// Where it begins.
    pub from: Start,
    /// In which form it is told.
    pub form: Form,
    data: ValueForm,
}

impl QueueWanted {
    /// What the inputs of a request ask for.
    pub(super) fn read(inputs: &Inputs<'_>) -> Result<Self, HttpError> {
        let prefetch = match inputs.query("prefetch") {
            None => None,
            Some(text) => match text.parse() {
                Ok(number) if (1..=PREFETCH_MAX).contains(&number) => Some(number),
                _ => return Err(unexpected("prefetch", "a number from 1 to 1000", "another")),
            },
        };
        Ok(Self {
            queue: name(inputs, "name")?,
            consumer: name(inputs, "consumer_id")?,
            prefetch,
            form: queue::form(queue::Body::Message, inputs)?,
        })
    }

    /// Appends a message.
    pub fn message(&self, message: &Reply<'_>, out: &mut Vec<u8>) {
        let context = HttpContext { form: self.form, ..HttpContext::nothing() };
        let mut object = b"{\"type\":\"message\"".to_vec();
        let at = object.len();
        queue::Body::Message.write(&context, message, &mut object);
        // It goes on with its members.
        object[at] = b',';
        tell(Form::Frame, "message", None, &object, out);
    }

    /// Appends that the connection consumes now.
    pub fn connected(&self, out: &mut Vec<u8>) {
        let mut object = b"{\"type\":\"connected\",\"queue\":".to_vec();
        json::write_str(&mut object, &self.queue);
        object.extend_from_slice(b",\"consumer_id\":");
        json::write_str(&mut object, &self.consumer);
        object.push(b'}');
        tell(Form::Frame, "connected", None, &object, out);
    }
}

impl StreamWanted {
    /// What a request asks for: of a room, if `of_room`, else of a partition.
    pub(super) fn read(
        inputs: &Inputs<'_>,
        request: &HttpRequest<'_>,
        of_room: bool,
        form: Form,
    ) -> Result<Self, HttpError> {
        let partition = match inputs.text("partition").filter(|_| !of_room) {
            None => None,
            Some(text) => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err(unexpected("partition", "a number", "something else")),
            },
        };
        let data = match inputs.query("data") {
            None | Some("json") => ValueForm::Text,
            Some("bytes") => ValueForm::Numbers,
            Some(_) => return Err(unexpected("data", "json or bytes", "something else")),
        };
        Ok(Self {
            name: name(inputs, if of_room { "room" } else { "topic" })?,
            partition,
            reader: inputs.text("subscriber_id").map(Into::into),
            from: from(inputs, request, form)?,
            form,
            data,
        })
    }

    /// Appends an event.
    pub fn event(&self, event: &Reply<'_>, out: &mut Vec<u8>) {
        let mut context = HttpContext { form: self.data, ..HttpContext::nothing() };
        context.remember(self.name.as_bytes());
        let mut object = b"{\"type\":\"event\"".to_vec();
        let at = object.len();
        match self.partition {
            None => topics::room_event(&context, items(event), &mut object),
            Some(partition) => {
                context.remember(partition.to_string().as_bytes());
                topics::topic_event(&context, items(event), &mut object);
                // Both kinds of events have the same names for the same things.
                if let [_, _, _, _, name, ..] = items(event) {
                    object.pop();
                    object.extend_from_slice(b",\"event\":");
                    json::write_reply(&mut object, name);
                    object.push(b'}');
                }
            }
        }
        // It goes on with its members.
        object[at] = b',';
        let offset = match items(event).first() {
            Some(Reply::Integer(offset)) => Some(offset.unsigned_abs()),
            _ => None,
        };
        tell(self.form, "message", offset, &object, out);
    }

    /// Appends that the connection reads now, from this offset on.
    pub fn connected(&self, from: u64, out: &mut Vec<u8>) {
        let mut object = b"{\"type\":\"connected\"".to_vec();
        self.names(&mut object);
        if let Some(reader) = &self.reader {
            object.extend_from_slice(b",\"subscriber_id\":");
            json::write_str(&mut object, reader);
        }
        object.extend_from_slice(b",\"from_offset\":");
        json::write_u64(&mut object, from);
        object.push(b'}');
        tell(self.form, "connected", None, &object, out);
    }

    /// Appends that reading went on elsewhere, as it was asked to.
    pub fn sought(&self, offset: u64, out: &mut Vec<u8>) {
        let mut object = b"{\"type\":\"seeked\",\"offset\":".to_vec();
        json::write_u64(&mut object, offset);
        object.push(b'}');
        tell(self.form, "seeked", None, &object, out);
    }

    /// Appends that events from `offset` on are gone, and reading goes on at `earliest`.
    pub fn gap(&self, offset: u64, earliest: u64, out: &mut Vec<u8>) {
        let mut object = b"{\"type\":\"gap\",\"from_offset\":".to_vec();
        json::write_u64(&mut object, offset);
        object.extend_from_slice(b",\"earliest\":");
        json::write_u64(&mut object, earliest);
        object.push(b'}');
        tell(self.form, "gap", None, &object, out);
    }

    fn names(&self, out: &mut Vec<u8>) {
        match self.partition {
            None => {
                out.extend_from_slice(b",\"room\":");
                json::write_str(out, &self.name);
            }
            Some(partition) => {
                out.extend_from_slice(b",\"topic\":");
                json::write_str(out, &self.name);
                out.extend_from_slice(b",\"partition_id\":");
                json::write_u64(out, partition.into());
            }
        }
    }
}

/// Appends why a connection that is fed ends.
pub fn refuse(error: &CommandError, form: Form, out: &mut Vec<u8>) {
    let mut object = b"{\"type\":\"error\",\"error\":".to_vec();
    json::write_str(&mut object, &error.to_string());
    if let CommandError::OffsetGone { earliest, .. } = error {
        object.extend_from_slice(b",\"earliest\":");
        json::write_u64(&mut object, *earliest);
    }
    object.push(b'}');
    tell(form, "error", None, &object, out);
}

fn tell(form: Form, name: &str, offset: Option<u64>, object: &[u8], out: &mut Vec<u8>) {
    match form {
        Form::Frame | Form::Object => frame::write(out, Opcode::Text, object),
        Form::Event => {
            let id = offset.map(|offset| offset.to_string());
            match std::str::from_utf8(object) {
                // JSON is kept as it came, and may have been laid out over lines.
                Ok(text) if object.contains(&b'\n') || object.contains(&b'\r') => {
                    let mut line = Vec::with_capacity(object.len());
                    json::compact(text, &mut line);
                    push::event(out, id.as_deref(), name, &line);
                }
                _ => push::event(out, id.as_deref(), name, object),
            }
        }
    }
}

fn name(inputs: &Inputs<'_>, name: &str) -> Result<Box<str>, HttpError> {
    let text = inputs.text(name).filter(|text| !text.is_empty());
    text.map(Into::into).ok_or_else(|| missing(name))
}

/// Where to begin. A stream of events that was interrupted goes on behind the last one.
fn from(inputs: &Inputs<'_>, request: &HttpRequest<'_>, form: Form) -> Result<Start, HttpError> {
    let seen = request.header("last-event-id").filter(|id| form == Form::Event && !id.is_empty());
    if let Some(seen) = seen {
        let offset = std::str::from_utf8(seen).ok().and_then(offset);
        let offset = offset.ok_or_else(|| unexpected("Last-Event-ID", "an offset", "another"))?;
        return Ok(Start::Behind(offset));
    }
    match (inputs.query("from"), inputs.query("from_offset").or_else(|| inputs.query("offset"))) {
        (None, None) => Ok(Start::Offset(0)),
        (Some("latest"), None) => Ok(Start::Latest),
        (Some("earliest"), None) => Ok(Start::Offset(0)),
        (Some(_), None) => Err(unexpected("from", "latest or earliest", "something else")),
        (Some(_), Some(_)) => {
            Err(HttpError::bad("Invalid request: both `from` and `from_offset` are given"))
        }
        (None, Some(text)) => {
            let offset = offset(text);
            offset
                .map(Start::Offset)
                .ok_or_else(|| unexpected("from_offset", "a number", "another"))
        }
    }
}

/// An offset that events can have.
fn offset(text: &str) -> Option<u64> {
    let is_number = text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset: Option<u64> = text.parse().ok().filter(|_| is_number);
    offset.filter(|offset| *offset < i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_numbers_that_events_can_have() {
        assert_eq!(offset("0"), Some(0));
        assert_eq!(offset("9223372036854775806"), Some(u64::MAX / 2 - 1));
        for bad in ["", "-1", "+1", "9223372036854775807", "99999999999999999999999", "1 "] {
            assert_eq!(offset(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_event_of_a_stream_is_one_line_whatever_its_data() {
        let wanted = StreamWanted {
            name: "r".into(),
            partition: None,
            reader: None,
            from: Start::Latest,
            form: Form::Event,
            data: ValueForm::Text,
        };
        let event = Reply::Array(vec![
            Reply::Integer(7),
            Reply::string("id"),
            Reply::Integer(2_000),
            Reply::Nil,
            Reply::string("e"),
            Reply::string("{\n \"a\": \"x\\ny\" }"),
            Reply::Integer(1),
            Reply::Array(Vec::new()),
        ]);
        let mut out = Vec::new();
        wanted.event(&event, &mut out);
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["id: 7", "event: message"]);
        assert_eq!((lines.len(), lines[3]), (4, ""), "{text}");
        let data = lines[2].strip_prefix("data: ").expect("data");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&data["type"], &data["data"]["a"]), (&"event".into(), &"x\ny".into()));
        assert_eq!((&data["offset"], &data["timestamp"]), (&7.into(), &2.into()));
    }
}
