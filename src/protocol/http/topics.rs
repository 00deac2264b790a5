//! Rooms, topics and consumer groups over HTTP: inputs that no argument has by itself, and the
//! bodies of answers.
//!
//! The data of an event is JSON: a string is kept as its bytes, any other value as its compact text
//! with a mark, and comes back as what it was. `?data=bytes` has the bytes of its JSON text
//! instead.

use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{ArgSpec, Family};

use super::arguments::Writer;
use super::context::{HttpContext, ValueForm};
use super::error::HttpError;
use super::input::{Given, members, missing, unexpected};
use super::shape::{items, member};
use crate::protocol::json::{self, Kind};

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// It was done; the name under this member.
    Done(&'static str),
    /// It was deleted; the name.
    Deleted,
    Ensured,
    RoomPublished,
    RoomEvents,
    /// Names under this member, and how many.
    List(&'static str),
    Created,
    Published,
    Batch,
    Events,
    Taken,
    Dead,
    GroupCreated,
    Joined,
    Left,
    Heartbeat,
    Rebalanced,
    Assignment,
    Committed,
    Offset,
}

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "room_done" => Self::Done("room"),
            "room_ensured" => Self::Ensured,
            "room_published" => Self::RoomPublished,
            "room_events" => Self::RoomEvents,
            "room_list" => Self::List("rooms"),
            "topic_list" => Self::List("topics"),
            "group_list" => Self::List("groups"),
            "topic_created" => Self::Created,
            "topic_deleted" | "group_deleted" => Self::Deleted,
            "topic_published" => Self::Published,
            "topic_batch" => Self::Batch,
            "topic_events" => Self::Events,
            "topic_taken" => Self::Taken,
            "topic_dead" => Self::Dead,
            "group_created" => Self::GroupCreated,
            "group_joined" => Self::Joined,
            "group_left" => Self::Left,
            "group_heartbeat" => Self::Heartbeat,
            "group_rebalanced" => Self::Rebalanced,
            "group_assignment" => Self::Assignment,
            "group_committed" => Self::Committed,
            "group_offset" => Self::Offset,
            _ => return None,
        })
    }

    /// How many leading arguments the answer repeats.
    pub(super) fn echoes(self) -> usize {
        match self {
            Self::List(_) | Self::Heartbeat | Self::Rebalanced | Self::Committed => 0,
            Self::Done(_)
            | Self::Deleted
            | Self::Ensured
            | Self::RoomPublished
            | Self::RoomEvents
            | Self::Created
            | Self::Published
            | Self::Batch
            | Self::Joined => 1,
            Self::Events
            | Self::Taken
            | Self::Dead
            | Self::GroupCreated
            | Self::Left
            | Self::Assignment
            | Self::Offset => 2,
        }
    }

    /// Members of the body, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Done(_) => &[("success", "boolean"), ("room", "string")],
            Self::Deleted => &[("success", "boolean"), ("deleted", "string")],
            Self::Ensured => &[("success", "boolean"), ("room", "string"), ("created", "boolean")],
            Self::RoomPublished => &[("offset", "integer"), ("room", "string")],
            Self::RoomEvents => &[("events", "array"), ("next_offset", "integer")],
            Self::List("rooms") => &[("rooms", "array"), ("count", "integer")],
            Self::List("topics") => &[("topics", "array"), ("count", "integer")],
            Self::List(_) => &[("groups", "array"), ("count", "integer")],
            Self::Created => &[
                ("success", "boolean"),
                ("topic", "string"),
                ("num_partitions", "integer"),
                ("replication_factor", "integer"),
            ],
            Self::Published => {
                &[("partition_id", "integer"), ("offset", "integer"), ("topic", "string")]
            }
            Self::Batch => &[
                ("partition_id", "integer"),
                ("offset", "integer"),
                ("topic", "string"),
                ("count", "integer"),
            ],
            Self::Events => &[
                ("topic", "string"),
                ("partition_id", "integer"),
                ("events", "array"),
                ("next_offset", "integer"),
                ("earliest", "integer"),
                ("count", "integer"),
            ],
            Self::Taken | Self::Dead => &[("events", "array"), ("count", "integer")],
            Self::GroupCreated => {
                &[("success", "boolean"), ("group_id", "string"), ("topic", "string")]
            }
            Self::Joined => &[
                ("member_id", "string"),
                ("group_id", "string"),
                ("generation", "integer"),
                ("partitions", "array"),
            ],
            Self::Left => {
                &[("success", "boolean"), ("member_id", "string"), ("generation", "integer")]
            }
            Self::Heartbeat => {
                &[("success", "boolean"), ("generation", "integer"), ("rebalance", "boolean")]
            }
            Self::Rebalanced => &[("success", "boolean"), ("generation", "integer")],
            Self::Assignment => &[
                ("member_id", "string"),
                ("group_id", "string"),
                ("partitions", "array"),
                ("generation", "integer"),
            ],
            Self::Committed => {
                &[("success", "boolean"), ("partition_id", "integer"), ("offset", "integer")]
            }
            Self::Offset => {
                &[("group_id", "string"), ("partition_id", "integer"), ("offset", "integer")]
            }
        }
    }

    /// Appends the body that `reply` makes.
    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let parts = items(reply);
        let part = |at: usize| parts.get(at).unwrap_or(&Reply::Nil);
        match self {
            Self::Done(what) => success(what, context.key(), out),
            Self::Deleted => success("deleted", context.key(), out),
            Self::Ensured => {
                success("room", context.key(), out);
                flag("created", *reply == Reply::Integer(1), out);
            }
            Self::RoomPublished => {
                open("offset", reply, out);
                text("room", context.key(), out);
            }
            Self::RoomEvents => {
                member(out, b'{', "events");
                list(items(part(2)), out, |event, out| room_event(context, event, out));
                field("next_offset", part(0), out);
            }
            Self::List(what) => {
                open(what, reply, out);
                field("count", &Reply::count(parts.len()), out);
            }
            Self::Created => {
                success("topic", context.key(), out);
                field("num_partitions", part(0), out);
                field("replication_factor", part(1), out);
            }
            Self::Published | Self::Batch => {
                open("partition_id", part(0), out);
                field("offset", part(1), out);
                text("topic", context.key(), out);
                if self == Self::Batch {
                    field("count", part(2), out);
                }
            }
            Self::Events => {
                let events = items(part(2));
                member(out, b'{', "topic");
                json::write_bytes(out, context.key());
                number("partition_id", context.destination(), out);
                member(out, b',', "events");
                list(events, out, |event, out| topic_event(context, event, out));
                field("next_offset", part(0), out);
                field("earliest", part(1), out);
                field("count", &Reply::count(events.len()), out);
            }
            Self::Taken => {
                member(out, b'{', "events");
                list(parts, out, |given, out| taken(context, given, out));
                field("count", &Reply::count(parts.len()), out);
            }
            Self::Dead => {
                member(out, b'{', "events");
                list(parts, out, dead);
                field("count", &Reply::count(parts.len()), out);
            }
            _ => self.write_group(context, reply, out),
        }
        out.push(b'}');
    }

    /// Those of consumer groups, without the brace at the end.
    fn write_group(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let parts = items(reply);
        let part = |at: usize| parts.get(at).unwrap_or(&Reply::Nil);
        match self {
            Self::GroupCreated => {
                success("group_id", context.key(), out);
                text("topic", context.destination(), out);
            }
            Self::Joined => {
                open("member_id", part(0), out);
                text("group_id", context.key(), out);
                field("generation", part(1), out);
                field("partitions", part(2), out);
            }
            Self::Left => {
                success("member_id", context.destination(), out);
                field("generation", reply, out);
            }
            Self::Assignment => {
                member(out, b'{', "member_id");
                json::write_bytes(out, context.destination());
                text("group_id", context.key(), out);
                field("partitions", part(1), out);
                field("generation", part(0), out);
            }
            Self::Committed => {
                open("success", &Reply::Boolean(true), out);
                field("partition_id", part(0), out);
                field("offset", part(1), out);
            }
            Self::Offset => {
                member(out, b'{', "group_id");
                json::write_bytes(out, context.key());
                number("partition_id", context.destination(), out);
                field("offset", reply, out);
            }
            _ => {
                open("success", &Reply::Boolean(true), out);
                field("generation", reply, out);
                if self == Self::Heartbeat {
                    flag("rebalance", false, out);
                }
            }
        }
    }
}

fn success(name: &str, value: &[u8], out: &mut Vec<u8>) {
    open("success", &Reply::Boolean(true), out);
    text(name, value, out);
}

fn open(name: &str, value: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b'{', name);
    json::write_reply(out, value);
}

fn field(name: &str, value: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b',', name);
    json::write_reply(out, value);
}

fn flag(name: &str, value: bool, out: &mut Vec<u8>) {
    member(out, b',', name);
    json::write_bool(out, value);
}

fn text(name: &str, value: &[u8], out: &mut Vec<u8>) {
    member(out, b',', name);
    json::write_bytes(out, value);
}

/// A number that was sent, and was understood as one.
fn number(name: &str, digits: &[u8], out: &mut Vec<u8>) {
    member(out, b',', name);
    out.extend_from_slice(digits);
}

fn list(parts: &[Reply<'_>], out: &mut Vec<u8>, mut write: impl FnMut(&[Reply<'_>], &mut Vec<u8>)) {
    out.push(b'[');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(items(part), out);
    }
    out.push(b']');
}

/// Milliseconds as whole seconds.
fn seconds(time: &Reply<'_>) -> Reply<'static> {
    match time {
        Reply::Integer(time_ms) => Reply::Integer(time_ms / 1000),
        _ => Reply::Nil,
    }
}

/// `[offset, id, time, key, name, data, is JSON, metadata]`.
pub(super) fn room_event(context: &HttpContext, event: &[Reply<'_>], out: &mut Vec<u8>) {
    let [offset, id, time, _, name, data, is_json, metadata] = event else {
        return out.extend_from_slice(b"null");
    };
    open("id", id, out);
    field("offset", offset, out);
    text("room", context.key(), out);
    field("event", name, out);
    field("event_type", name, out);
    member(out, b',', "data");
    write_data(context, data, is_json, out);
    field("timestamp", &seconds(time), out);
    write_metadata(metadata, out);
    out.push(b'}');
}

pub(super) fn topic_event(context: &HttpContext, event: &[Reply<'_>], out: &mut Vec<u8>) {
    open_topic_event(context, event, out);
    out.push(b'}');
}

fn open_topic_event(context: &HttpContext, event: &[Reply<'_>], out: &mut Vec<u8>) {
    let [offset, id, time, key, name, data, is_json, metadata] = event else {
        return packed(context, event, out);
    };
    open("id", id, out);
    number("partition_id", context.destination(), out);
    field("offset", offset, out);
    text("topic", context.key(), out);
    field("event_type", name, out);
    field("key", key, out);
    member(out, b',', "data");
    write_data(context, data, is_json, out);
    field("timestamp", &seconds(time), out);
    let size = if let Reply::Bytes(data) = data { data.len() } else { 0 };
    field("size_bytes", &Reply::count(size), out);
    write_metadata(metadata, out);
}

/// `[offset, id, time, codec, events, unpacked bytes, packed events]`.
fn packed(context: &HttpContext, batch: &[Reply<'_>], out: &mut Vec<u8>) {
    let [offset, id, time, codec, count, unpacked_bytes, Reply::Bytes(data)] = batch else {
        return out.extend_from_slice(b"{\"id\":null");
    };
    open("id", id, out);
    number("partition_id", context.destination(), out);
    field("offset", offset, out);
    text("topic", context.key(), out);
    field("codec", codec, out);
    field("count", count, out);
    field("unpacked_bytes", unpacked_bytes, out);
    member(out, b',', "data_base64");
    out.push(b'"');
    json::write_base64(out, data);
    out.push(b'"');
    field("timestamp", &seconds(time), out);
}

/// `[how often it was given, event]`.
fn taken(context: &HttpContext, given: &[Reply<'_>], out: &mut Vec<u8>) {
    let [count, event] = given else { return out.extend_from_slice(b"null") };
    open_topic_event(context, items(event), out);
    field("delivery_count", count, out);
    out.push(b'}');
}

/// `[offset, time, how often it was given]`.
fn dead(event: &[Reply<'_>], out: &mut Vec<u8>) {
    let [offset, time, count] = event else { return out.extend_from_slice(b"null") };
    open("offset", offset, out);
    field("dead_at", &seconds(time), out);
    field("delivery_count", count, out);
    out.push(b'}');
}

fn write_data(context: &HttpContext, data: &Reply<'_>, is_json: &Reply<'_>, out: &mut Vec<u8>) {
    let Reply::Bytes(bytes) = data else { return json::write_reply(out, data) };
    // What was marked by another protocol may be none.
    let value = std::str::from_utf8(bytes).ok().filter(|_| *is_json == Reply::Integer(1));
    let value = value.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    match (value, context.form) {
        (Some(text), ValueForm::Numbers) => json::write_numbers(out, text.as_bytes()),
        (Some(text), _) => out.extend_from_slice(text.as_bytes()),
        (None, ValueForm::Numbers) if std::str::from_utf8(bytes).is_ok() => {
            let mut quoted = Vec::with_capacity(bytes.len() + 2);
            json::write_bytes(&mut quoted, bytes);
            json::write_numbers(out, &quoted);
        }
        (None, ValueForm::Numbers) => json::write_numbers(out, bytes),
        (None, _) => json::write_bytes(out, bytes),
    }
}

/// Names and values one after the other, as an object.
fn write_metadata(metadata: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b',', "metadata");
    out.push(b'{');
    for (index, pair) in items(metadata).chunks(2).enumerate() {
        let [Reply::Bytes(name), Reply::Bytes(value)] = pair else { continue };
        if index > 0 {
            out.push(b',');
        }
        json::write_str(out, &String::from_utf8_lossy(name));
        out.push(b':');
        json::write_bytes(out, value);
    }
    out.push(b'}');
}

/// Inputs of rooms and topics that no argument has by itself. Whether this was one.
pub(super) fn argument(
    writer: &mut Writer<'_, '_>,
    arg: &'static ArgSpec,
) -> Result<bool, HttpError> {
    if writer.spec.family != Family::Topic {
        return Ok(false);
    }
    match arg.name {
        "json" => {
            if is_json(writer) {
                writer.words.push(arg.token.as_bytes());
            }
            Ok(true)
        }
        // The short form makes the room.
        "create" => {
            if !writer.inputs.is_in_path("room") {
                writer.words.push(arg.token.as_bytes());
            }
            Ok(true)
        }
        "metadata" => match writer.inputs.get("metadata") {
            Some(Given::Json(text)) if Kind::of(text) == Kind::Object => {
                Ok(members(text.as_bytes())?.is_empty())
            }
            Some(Given::Json(text)) => {
                Err(unexpected("metadata", "an object", Kind::of(text).name()))
            }
            Some(Given::Text(_)) => Err(unexpected("metadata", "an object", "text")),
            None => Ok(true),
        },
        "max_events" | "max_bytes" | "retention_secs" | "forever" => {
            let Some(given) = writer.inputs.get("retention_policy") else { return Ok(false) };
            if arg.name == "max_events" {
                policy(writer, &given)?;
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Whether the data of what is published is JSON other than a string. Of several events all are, or
/// they are taken for text.
fn is_json(writer: &Writer<'_, '_>) -> bool {
    let other = |text: &str| Kind::of(text) != Kind::String;
    match (writer.inputs.of("data"), writer.inputs.get("events")) {
        (Some((_, Given::Json(text))), _) => other(text),
        (None, Some(Given::Json(text))) => {
            let events = json::array(text).unwrap_or_default();
            let is_json = |event: &&str| {
                let members = members(event.as_bytes()).unwrap_or_default();
                members.iter().any(|(name, data)| name == "data" && other(data))
            };
            !events.is_empty() && events.iter().all(is_json)
        }
        _ => false,
    }
}

/// `{"type": "Combined", "retention_secs": 60, "max_bytes": 1000, "max_messages": 10}`.
fn policy(writer: &mut Writer<'_, '_>, given: &Given<'_>) -> Result<(), HttpError> {
    let text = match given {
        Given::Json(text) if Kind::of(text) == Kind::Object => text,
        Given::Json(_) | Given::Text(_) => {
            return Err(unexpected("retention_policy", "an object", "something else"));
        }
    };
    let members = members(text.as_bytes())?;
    let find = |name: &str| members.iter().rev().find(|(known, _)| known == name);
    let (_, kind) = find("type").ok_or_else(|| missing("retention_policy.type"))?;
    let kind = json::string(kind).unwrap_or_default().to_ascii_lowercase();
    const LIMITS: [(&str, &str, &str); 3] = [
        ("time", "retention_secs", "RETENTION"),
        ("size", "max_bytes", "MAXBYTES"),
        ("messages", "max_messages", "MAXEVENTS"),
    ];
    match &*kind {
        "infinite" => writer.words.push(b"FOREVER"),
        "combined" | "time" | "size" | "messages" => {
            for (own, name, token) in LIMITS {
                let given = find(name).filter(|(_, value)| *value != "null");
                match given {
                    Some((_, value)) if kind == own || kind == "combined" => {
                        writer.words.push(token.as_bytes());
                        writer.words.push(value.as_bytes());
                    }
                    None if kind == own => return Err(missing(name)),
                    Some(_) | None => {}
                }
            }
        }
        _ => {
            let expected = "Time, Size, Messages, Combined or Infinite";
            return Err(unexpected("retention_policy.type", expected, "something else"));
        }
    }
    Ok(())
}
