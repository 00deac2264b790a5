//! The JSON bodies of routes: what clients of each route rely on, written straight into the answer.

use std::borrow::Cow;

use synap_shards::command::reply::Reply;

use super::captures::Told;
use super::containers::Body as Container;
use super::context::{Condition, HttpContext, ValueForm};
use super::error::HttpError;
use super::table::Shape;
use super::transaction;
use crate::protocol::json;

/// What the protocol of Redis answers for a deadline: the key is missing, or has none.
const MISSING: i64 = -2;

/// The refusal that a reply amounts to on this route, if it does.
pub(super) fn absence(shape: Shape, context: &HttpContext, reply: &Reply<'_>) -> Option<HttpError> {
    match (shape, reply) {
        (Shape::KvGet, Reply::Nil) if !context.full => Some(HttpError::new(404, "Key not found")),
        (Shape::HashGet, Reply::Nil) => Some(HttpError::new(404, "Field not found")),
        (Shape::Ttl, Reply::Integer(MISSING)) => Some(key_not_found(context)),
        (
            Shape::MemoryUsage | Shape::Container(Container::ListMoved | Container::HllCount),
            Reply::Nil,
        ) => Some(key_not_found(context)),
        (Shape::RenameNx, Reply::Integer(0)) => {
            let key = String::from_utf8_lossy(context.destination());
            Some(HttpError::with(409, format!("Key already exists: {key}")))
        }
        _ => None,
    }
}

/// 404 for the key that the request names.
pub(super) fn key_not_found(context: &HttpContext) -> HttpError {
    match context.key() {
        [] => HttpError::new(404, "Key not found"),
        key => HttpError::with(404, format!("Key not found: {}", String::from_utf8_lossy(key))),
    }
}

/// Appends the body that `reply` makes in `shape`.
pub(super) fn write(shape: Shape, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    match shape {
        Shape::KvGet if context.full => full(context, reply, out),
        Shape::KvGet | Shape::HashGet | Shape::Bare | Shape::Own => value(context, reply, out),
        Shape::Field(name) => {
            member(out, b'{', name);
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shape::Flag(name) => object_flag(out, name, truth(reply)),
        Shape::KvSet => kv_set(context, reply, out),
        Shape::Mset => mset(context, out),
        Shape::Deleted => keyed_flag(context, "deleted", truth(reply), out),
        Shape::KeyedFlag(name) => {
            key_and(context, name, out);
            json::write_bool(out, truth(reply));
            out.push(b'}');
        }
        Shape::Keyed(name) => {
            key_and(context, name, out);
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shape::BitGet => {
            key_and(context, "offset", out);
            out.extend_from_slice(context.destination());
            member(out, b',', "value");
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shape::BitPosition => bit_position(context, reply, out),
        Shape::BitOperation => {
            member(out, b'{', "destination");
            json::write_bytes(out, context.destination());
            member(out, b',', "length");
            json::write_reply(out, reply);
            out.push(b'}');
        }
        Shape::Rename | Shape::RenameNx | Shape::Copy => moved(context, reply, out),
        Shape::Ttl => {
            member(out, b'{', "ttl");
            seconds(out, reply);
            out.push(b'}');
        }
        Shape::MemoryUsage => memory_usage(context, reply, out),
        Shape::Keys => keys(context, items(reply), None, out),
        Shape::Scan => scan(context, reply, out),
        Shape::Slowlog => slowlog(reply, out),
        Shape::SlowlogReset => object_flag(out, "success", true),
        Shape::Clients => clients(reply, out),
        Shape::Snapshot => snapshot(reply, out),
        Shape::KeyedSuccess => {
            key_and(context, "success", out);
            json::write_bool(out, true);
            out.push(b'}');
        }
        Shape::Container(body) => body.write(context, reply, out),
        Shape::Sorted(body) => body.write(context, reply, out),
        Shape::Topic(body) => body.write(context, reply, out),
        Shape::Transaction(message) => transaction::done(context, message, out),
        Shape::TransactionExec => transaction::executed(context, reply, out),
        Shape::Geo(body) => body.write(context, reply, out),
        Shape::Queue(body) => body.write(context, reply, out),
        Shape::Pubsub(body) => body.write(context, reply, out),
        Shape::Changes => changes(reply, out),
        Shape::Dss(body) => body.write(context, reply, out),
    }
}

fn changes(reply: &Reply<'_>, out: &mut Vec<u8>) {
    if let Some(told) = Told::of(reply) {
        told.write(out);
    }
}

/// Appends what was written, behind the two members that callers rely on.
fn snapshot(reply: &Reply<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"success\":true,\"message\":\"Snapshot written\"");
    if let Reply::Map(pairs) = reply {
        for (name, value) in pairs {
            let Reply::Bytes(name) = name else { continue };
            member(out, b',', &String::from_utf8_lossy(name));
            json::write_reply(out, value);
        }
    }
    out.push(b'}');
}

/// Appends `{"name":` or `,"name":`; names are ours and need no escapes.
pub(super) fn member(out: &mut Vec<u8>, before: u8, name: &str) {
    out.push(before);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `{"key":k,"name":`.
pub(super) fn key_and(context: &HttpContext, name: &str, out: &mut Vec<u8>) {
    member(out, b'{', "key");
    json::write_bytes(out, context.key());
    member(out, b',', name);
}

fn object_flag(out: &mut Vec<u8>, name: &str, flag: bool) {
    member(out, b'{', name);
    json::write_bool(out, flag);
    out.push(b'}');
}

fn keyed_flag(context: &HttpContext, name: &str, flag: bool, out: &mut Vec<u8>) {
    member(out, b'{', name);
    json::write_bool(out, flag);
    member(out, b',', "key");
    json::write_bytes(out, context.key());
    out.push(b'}');
}

pub(super) fn truth(reply: &Reply<'_>) -> bool {
    match reply {
        Reply::Ok | Reply::Boolean(true) => true,
        Reply::Integer(number) => *number > 0,
        _ => false,
    }
}

pub(super) fn items<'r, 'a>(reply: &'r Reply<'a>) -> &'r [Reply<'a>] {
    match reply {
        Reply::Array(items) | Reply::Set(items) => items,
        _ => &[],
    }
}

/// A reply alone, its bytes in the form that was asked for.
pub(super) fn value(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let Reply::Bytes(bytes) = reply else { return json::write_reply(out, reply) };
    match context.form {
        ValueForm::Text => json::write_bytes(out, bytes),
        ValueForm::Numbers => json::write_numbers(out, bytes),
        ValueForm::Base64 => base64(out, bytes),
        // Only a bare answer can be raw: inside of JSON the nearest thing is base64.
        ValueForm::Json => match std::str::from_utf8(bytes) {
            Ok(text) if json::is_valid(text) => json::compact(text, out),
            _ => json::write_bytes(out, bytes),
        },
        ValueForm::Raw if context.full => base64(out, bytes),
        ValueForm::Raw => out.extend_from_slice(bytes),
    }
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::write_base64(out, bytes);
    out.push(b'"');
}

/// `[value, milliseconds to live or nil]`, or nil.
fn full(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let [found, left] = items(reply) else {
        out.extend_from_slice(b"{\"found\":false,\"value\":null,\"ttl\":null}");
        return;
    };
    member(out, b'{', "found");
    json::write_bool(out, true);
    member(out, b',', "value");
    value(context, found, out);
    member(out, b',', "ttl");
    seconds(out, left);
    out.push(b'}');
}

/// Milliseconds as seconds, rounded as Redis rounds them; no deadline is `null`.
fn seconds(out: &mut Vec<u8>, reply: &Reply<'_>) {
    match reply {
        Reply::Integer(left) if *left >= 0 => {
            json::write_integer(out, left.saturating_add(500) / 1000)
        }
        _ => out.extend_from_slice(b"null"),
    }
}

fn kv_set(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    // With `get` the reply is the old value, so whether the new one was written follows from it.
    let found = matches!(reply, Reply::Bytes(_));
    let written = match (context.with_old_value, context.condition) {
        (false, _) => matches!(reply, Reply::Ok),
        (true, Condition::None) => true,
        (true, Condition::IfAbsent) => !found,
        (true, Condition::IfPresent) => found,
    };
    out.extend_from_slice(b"{\"success\":true,\"key\":");
    json::write_bytes(out, context.key());
    member(out, b',', "written");
    json::write_bool(out, written);
    if context.with_old_value {
        member(out, b',', "old_value");
        json::write_reply(out, reply);
    }
    out.push(b'}');
}

/// A position, or nothing where no bit is like that.
fn bit_position(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    key_and(context, "position", out);
    match reply {
        Reply::Integer(position) if *position < 0 => out.extend_from_slice(b"null"),
        _ => json::write_reply(out, reply),
    }
    out.push(b'}');
}

fn mset(context: &HttpContext, out: &mut Vec<u8>) {
    member(out, b'{', "success");
    json::write_bool(out, true);
    member(out, b',', "count");
    json::write_usize(out, context.pairs);
    out.push(b'}');
}

fn moved(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b'{', "success");
    json::write_bool(out, truth(reply));
    source_and_destination(context, out);
}

pub(super) fn source_and_destination(context: &HttpContext, out: &mut Vec<u8>) {
    member(out, b',', "source");
    json::write_bytes(out, context.key());
    member(out, b',', "destination");
    json::write_bytes(out, context.destination());
    out.push(b'}');
}

fn memory_usage(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let bytes = match reply {
        Reply::Integer(bytes) => u64::try_from(*bytes).unwrap_or(0),
        _ => 0,
    };
    key_and(context, "bytes", out);
    json::write_u64(out, bytes);
    member(out, b',', "human");
    json::write_str(out, &human_bytes(bytes));
    out.push(b'}');
}

/// A size for people, in the units of Redis: `1.50M`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    let scaled = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_024 => format!("{bytes}B"),
        1_024..1_048_576 => format!("{:.2}K", scaled(1_024.0)),
        1_048_576..1_073_741_824 => format!("{:.2}M", scaled(1_048_576.0)),
        _ => format!("{:.2}G", scaled(1_073_741_824.0)),
    }
}

fn keys(context: &HttpContext, all: &[Reply<'_>], cursor: Option<&Reply<'_>>, out: &mut Vec<u8>) {
    let shown = match context.limit {
        0 => all,
        limit => &all[..all.len().min(limit)],
    };
    member(out, b'{', "keys");
    json::write_replies(out, shown);
    if let Some(cursor) = cursor {
        member(out, b',', "cursor");
        json::write_reply(out, cursor);
    }
    member(out, b',', "count");
    json::write_usize(out, shown.len());
    out.push(b'}');
}

fn scan(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    match items(reply) {
        [cursor, found] => keys(context, items(found), Some(cursor), out),
        _ => keys(context, &[], Some(&Reply::borrowed(b"0")), out),
    }
}

/// Entries of `SLOWLOG GET`: id, Unix seconds, microseconds, words, client's address and name.
fn slowlog(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let entries = items(reply);
    member(out, b'{', "entries");
    out.push(b'[');
    for (index, entry) in entries.iter().enumerate() {
        let [id, timestamp, duration, words, ..] = items(entry) else { continue };
        if index > 0 {
            out.push(b',');
        }
        let (command, args) = items(words).split_first().unwrap_or((&Reply::Nil, &[]));
        for (before, name, value) in
            [(b'{', "id", id), (b',', "timestamp", timestamp), (b',', "duration_us", duration)]
        {
            member(out, before, name);
            json::write_reply(out, value);
        }
        member(out, b',', "command");
        json::write_reply(out, command);
        member(out, b',', "args");
        json::write_replies(out, args);
        out.push(b'}');
    }
    out.push(b']');
    member(out, b',', "total");
    json::write_usize(out, entries.len());
    out.push(b'}');
}

/// Members of a client that are numbers in JSON, and their names where those differ.
const CLIENT_NUMBERS: &[(&str, &str)] = &[
    ("id", "id"),
    ("age", "age"),
    ("idle", "idle"),
    ("db", "db"),
    ("sub", "sub"),
    ("psub", "psub"),
    ("multi", "multi"),
    ("qbuf", "qbuf"),
    ("qbuf-free", "qbuf_free"),
    ("obl", "obl"),
    ("oll", "oll"),
    ("omem", "omem"),
];

/// Lines of `CLIENT LIST`: `name=value` with blanks between.
fn clients(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let text: Cow<'_, str> = match reply {
        Reply::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Reply::Text(text) => Cow::Borrowed(text),
        _ => Cow::Borrowed(""),
    };
    let mut count = 0;
    member(out, b'{', "clients");
    out.push(b'[');
    for line in text.lines().filter(|line| !line.is_empty()) {
        if count > 0 {
            out.push(b',');
        }
        count += 1;
        client(line, out);
    }
    out.push(b']');
    member(out, b',', "count");
    json::write_usize(out, count);
    out.push(b'}');
}

fn client(line: &str, out: &mut Vec<u8>) {
    let mut before = b'{';
    for (name, value) in line.split(' ').filter_map(|field| field.split_once('=')) {
        let known = CLIENT_NUMBERS.iter().find(|(sent, _)| *sent == name);
        member(out, before, known.map_or(name, |(_, shown)| shown));
        before = b',';
        match value.parse::<i64>() {
            Ok(number) if known.is_some() => json::write_integer(out, number),
            Ok(_) | Err(_) => json::write_str(out, value),
        }
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}
