//! From replies to the bodies that clients of the service rely on, and the bodies of errors.

use synap_shards::command::reply::Reply;

use super::read::Problem;
use crate::backup::time::rfc3339;
use crate::protocol::http::context::HttpContext;
use crate::protocol::http::shape::{items, member};
use crate::protocol::json::{self, Kind};

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::protocol::http) enum Body {
    /// The id of a message.
    Enqueued,
    /// A message, or none.
    Dequeued,
    /// Whether a message was acknowledged.
    Acknowledged,
    /// What is in a queue.
    Status,
    /// What is in all of them.
    All,
    /// It is set.
    Set,
}

/// The answer about a message that nobody has.
pub(super) const UNKNOWN_MESSAGE: &str =
    r#"{"success":false,"message":"Message not found or its visibility timeout is over"}"#;
const ACKNOWLEDGED: &str = r#"{"success":true,"message":"Message acknowledged"}"#;
const NO_MESSAGE: &str = concat!(
    r#"{"success":false,"message":null,"message_id":null,"delivery_time":null,"#,
    r#""delivery_count":null}"#
);

type Pairs<'r> = &'r [(Reply<'r>, Reply<'r>)];

fn pairs<'r>(reply: &'r Reply<'r>) -> Pairs<'r> {
    if let Reply::Map(pairs) = reply { pairs } else { &[] }
}

fn get<'r>(pairs: Pairs<'r>, wanted: &str) -> Option<&'r Reply<'r>> {
    let is_it =
        |name: &Reply<'_>| matches!(name, Reply::Bytes(name) if **name == *wanted.as_bytes());
    pairs.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
}

fn number(pairs: Pairs<'_>, name: &str) -> u64 {
    match get(pairs, name) {
        Some(Reply::Integer(number)) => number.unsigned_abs(),
        _ => 0,
    }
}

fn bytes<'r>(pairs: Pairs<'r>, name: &str) -> &'r [u8] {
    match get(pairs, name) {
        Some(Reply::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn number_member(out: &mut Vec<u8>, before: u8, name: &str, number: u64) {
    member(out, before, name);
    json::write_u64(out, number);
}

/// The name that clients know a message by.
fn id(node: &[u8], number: &[u8], out: &mut Vec<u8>) {
    json::write_bytes(out, &[node, b"-", number].concat());
}

impl Body {
    /// Appends the body that `reply` makes.
    pub(in crate::protocol::http) fn write(
        self,
        context: &HttpContext,
        reply: &Reply<'_>,
        out: &mut Vec<u8>,
    ) {
        let (queue, node) = (context.key(), context.destination());
        match self {
            Self::Enqueued => {
                out.extend_from_slice(br#"{"success":true"#);
                member(out, b',', "message_id");
                let number = if let Reply::Bytes(number) = reply { &**number } else { &[] };
                id(node, number, out);
                member(out, b',', "queue_name");
                json::write_bytes(out, queue);
                member(out, b',', "node_id");
                json::write_bytes(out, node);
                out.push(b'}');
            }
            Self::Dequeued => match reply {
                Reply::Map(pairs) => dequeued(node, pairs, out),
                _ => out.extend_from_slice(NO_MESSAGE.as_bytes()),
            },
            Self::Acknowledged => {
                let is_done = matches!(reply, Reply::Integer(count) if *count > 0);
                let text = if is_done { ACKNOWLEDGED } else { UNKNOWN_MESSAGE };
                out.extend_from_slice(text.as_bytes());
            }
            Self::Status => status(queue, node, pairs(reply), out),
            Self::All => all(node, items(reply), out),
            Self::Set => {
                out.extend_from_slice(br#"{"success":true"#);
                member(out, b',', "queue_name");
                json::write_bytes(out, queue);
                member(out, b',', "node_id");
                json::write_bytes(out, node);
                out.push(b'}');
            }
        }
    }

    /// Members of the body with their types, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Enqueued => &[
                ("success", "boolean"),
                ("message_id", "string"),
                ("queue_name", "string"),
                ("node_id", "string"),
            ],
            Self::Dequeued => &[
                ("success", "boolean"),
                ("message", "object"),
                ("message_id", "string"),
                ("delivery_time", "string"),
                ("delivery_count", "integer"),
            ],
            Self::Acknowledged => &[("success", "boolean"), ("message", "string")],
            Self::Status => &[
                ("queue_name", "string"),
                ("size", "integer"),
                ("in_flight", "integer"),
                ("node_id", "string"),
                ("scheduled", "integer"),
                ("dead_letters", "integer"),
                ("visibility_timeout_seconds", "number"),
                ("max_retries", "integer"),
            ],
            Self::All => &[
                ("node_id", "string"),
                ("queues", "object"),
                ("total_queues", "integer"),
                ("total_messages", "integer"),
                ("total_in_flight", "integer"),
            ],
            Self::Set => &[("success", "boolean"), ("queue_name", "string"), ("node_id", "string")],
        }
    }
}

fn dequeued(node: &[u8], pairs: Pairs<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"success":true"#);
    member(out, b',', "message");
    payload(bytes(pairs, "payload"), out);
    member(out, b',', "message_id");
    id(node, bytes(pairs, "message_id"), out);
    member(out, b',', "delivery_time");
    json::write_str(out, &rfc3339(number(pairs, "delivered_ms")));
    number_member(out, b',', "delivery_count", number(pairs, "retry_count") + 1);
    out.push(b'}');
}

/// A message as it was sent; one that came another way and is no object is its text.
fn payload(body: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(body) {
        Ok(text) if Kind::of(text) == Kind::Object && json::is_valid(text) => {
            json::compact(text, out);
        }
        _ => json::write_bytes(out, body),
    }
}

fn status(queue: &[u8], node: &[u8], pairs: Pairs<'_>, out: &mut Vec<u8>) {
    member(out, b'{', "queue_name");
    json::write_bytes(out, queue);
    for name in ["size", "in_flight"] {
        number_member(out, b',', name, number(pairs, name));
    }
    member(out, b',', "node_id");
    json::write_bytes(out, node);
    for name in ["scheduled", "dead_letters"] {
        number_member(out, b',', name, number(pairs, name));
    }
    member(out, b',', "visibility_timeout_seconds");
    json::write_double(out, number(pairs, "visibility_timeout_ms") as f64 / 1000.0);
    number_member(out, b',', "max_retries", number(pairs, "max_retries"));
    out.push(b'}');
}

fn all(node: &[u8], queues: &[Reply<'_>], out: &mut Vec<u8>) {
    member(out, b'{', "node_id");
    json::write_bytes(out, node);
    member(out, b',', "queues");
    let (mut before, mut waiting, mut held) = (b'{', 0, 0);
    for queue in queues {
        let pairs = pairs(queue);
        out.push(before);
        before = b',';
        json::write_bytes(out, bytes(pairs, "queue_name"));
        out.push(b':');
        let (size, in_flight) = (number(pairs, "size"), number(pairs, "in_flight"));
        number_member(out, b'{', "size", size);
        number_member(out, b',', "in_flight", in_flight);
        (waiting, held) = (waiting + size, held + in_flight);
        if let Some(numbers) = get(pairs, "in_flight_ids") {
            member(out, b',', "in_flight_ids");
            ids(node, items(numbers), out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(if queues.is_empty() { b"{}" } else { b"}" });
    number_member(out, b',', "total_queues", queues.len() as u64);
    number_member(out, b',', "total_messages", waiting);
    number_member(out, b',', "total_in_flight", held);
    out.push(b'}');
}

fn ids(node: &[u8], numbers: &[Reply<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, number) in numbers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let number = if let Reply::Bytes(number) = number { &**number } else { &[] };
        id(node, number, out);
    }
    out.push(b']');
}

/// The status of a refusal here: clients know that a request cannot be read (422) and that it
/// cannot be served now (503).
pub(in crate::protocol::http) fn status_of(status: u16) -> u16 {
    match status {
        400 => 422,
        507 => 503,
        status => status,
    }
}

/// Appends the body of an error.
pub(in crate::protocol::http) fn error(status: u16, message: &str, out: &mut Vec<u8>) {
    member(out, b'{', "error");
    json::write_str(out, message);
    number_member(out, b',', "status_code", u64::from(status));
    member(out, b',', "detail");
    json::write_str(out, message);
    out.extend_from_slice(br#","details":null}"#);
}

/// The body of a request that cannot be read.
pub(super) fn invalid(problems: &[Problem]) -> String {
    let detail: Vec<serde_json::Value> = problems
        .iter()
        .map(|Problem { place: (place, name), message, kind }| {
            let place: Vec<&str> = std::iter::once(*place).chain(*name).collect();
            serde_json::json!({ "loc": place, "msg": message, "type": kind })
        })
        .collect();
    let body = serde_json::json!({
        "error": "Validation error", "status_code": 422, "detail": detail, "details": null,
    });
    body.to_string()
}
