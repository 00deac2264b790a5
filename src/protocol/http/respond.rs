//! From a reply to the answer: status, headers, JSON body in the shape of the route.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::types::zset::NO_MEMBER;

use super::context::{HttpContext, ValueForm};
use super::dss::{self, Surface};
use super::error::HttpError;
use super::queue;
use super::response::{self, JSON};
use super::shape;
use super::table::Shape;
use super::transaction;
use crate::protocol::json;
use crate::session::topics::{NO_SUBSCRIBER, NO_TOPIC};
use crate::session::transaction::QUEUED;
use crate::snapshot::DISABLED;

/// Appends the answer to a request whose command replied `reply`, and returns its status code.
pub fn respond(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) -> u16 {
    if let Reply::Error(error) = reply {
        return refuse(context, error, out);
    }
    if *reply == QUEUED {
        write(context, 200, JSON, transaction::QUEUED_BODY, out);
        return 200;
    }
    let shape = context.route.route().map_or(Shape::Bare, |route| route.shape);
    if let Some(error) = shape::absence(shape, context, reply) {
        let found = (shape == Shape::HashGet).then_some(false);
        write_refusal(context, &error, found, &[], out);
        return error.status;
    }
    let content_type = match (reply, context.form) {
        (Reply::Bytes(_), ValueForm::Raw) if !context.full => "application/octet-stream",
        _ => JSON,
    };
    let open = response::open(out, context, 200, content_type, &[], hint(shape, reply));
    shape::write(shape, context, reply, out);
    response::close(out, context, &open);
    200
}

/// The likely length of the body; a wrong guess only costs a move of the body.
fn hint(shape: Shape, reply: &Reply<'_>) -> usize {
    match (shape, reply) {
        (_, Reply::Bytes(bytes)) => bytes.len() + 2,
        (Shape::Field(_) | Shape::Flag(_), _) => 16,
        _ => 50,
    }
}

/// Appends a whole answer.
pub(super) fn write(
    context: &HttpContext,
    status: u16,
    content_type: &str,
    body: &[u8],
    out: &mut Vec<u8>,
) {
    let open = response::open(out, context, status, content_type, &[], body.len());
    out.extend_from_slice(body);
    response::close(out, context, &open);
}

/// Appends an answer with a JSON body that the caller made.
pub(crate) fn write_json(context: &HttpContext, status: u16, body: &[u8], out: &mut Vec<u8>) {
    write(context, status, JSON, body, out);
}

/// The same with further headers.
pub(crate) fn write_json_with(
    context: &HttpContext,
    status: u16,
    body: &[u8],
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let open = response::open(out, context, status, JSON, headers, body.len());
    out.extend_from_slice(body);
    response::close(out, context, &open);
}

/// Appends an answer with a text body of the Prometheus format.
pub(crate) fn write_metrics(context: &HttpContext, body: &[u8], out: &mut Vec<u8>) {
    write(context, 200, "text/plain; version=0.0.4; charset=utf-8", body, out);
}

/// Appends a refusal.
pub fn write_error(context: &HttpContext, status: u16, message: &str, out: &mut Vec<u8>) {
    let headers: &[(&str, &str)] = match status {
        401 => &[("WWW-Authenticate", "Basic realm=\"synap\", Bearer")],
        426 => {
            &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        }
        429 | 503 => &[("Retry-After", "1")],
        _ => &[],
    };
    write_error_with(context, status, message, headers, out);
}

pub(super) fn write_error_with(
    context: &HttpContext,
    status: u16,
    message: &str,
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let error = HttpError::with(status, message.to_owned());
    write_refusal(context, &error, None, headers, out);
}

/// Appends a refusal; `found` is a member that some clients look for first.
fn write_refusal(
    context: &HttpContext,
    error: &HttpError,
    found: Option<bool>,
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let HttpError { status, message } = error;
    let open = response::open(out, context, *status, JSON, headers, message.len() + 40);
    if context.surface == Surface::DssQueue {
        dss::show::error(*status, message, out);
        return response::close(out, context, &open);
    }
    out.push(b'{');
    if let Some(found) = found {
        out.extend_from_slice(b"\"found\":");
        json::write_bool(out, found);
        out.push(b',');
    }
    out.extend_from_slice(b"\"error\":");
    json::write_str(out, message);
    out.extend_from_slice(b",\"code\":");
    json::write_u64(out, u64::from(*status));
    out.push(b'}');
    response::close(out, context, &open);
}

fn refuse(context: &HttpContext, error: &CommandError, out: &mut Vec<u8>) -> u16 {
    let HttpError { mut status, message } = of_command(context, error);
    if context.surface == Surface::DssQueue {
        status = dss::show::status_of(status);
    }
    if let CommandError::OffsetGone { earliest, .. } = error {
        let mut body = b"{\"error\":".to_vec();
        json::write_str(&mut body, &message);
        body.extend_from_slice(format!(",\"code\":{status},\"earliest\":{earliest}}}").as_bytes());
        write_json(context, status, &body, out);
        return status;
    }
    match error {
        CommandError::RateLimited { wait_ms } | CommandError::HeldOff { wait_ms } => {
            write_wait(context, &message, *wait_ms, out);
        }
        _ => write_error(context, status, &message, out),
    }
    status
}

/// Appends a refusal that says when to try again.
fn write_wait(context: &HttpContext, message: &str, wait_ms: u64, out: &mut Vec<u8>) {
    let seconds = wait_ms.div_ceil(1000).to_string();
    write_error_with(context, 429, message, &[("Retry-After", &seconds)], out);
}

/// Status and text of what a command refuses with.
pub(super) fn of_command(context: &HttpContext, error: &CommandError) -> HttpError {
    match error {
        CommandError::UnknownCommand { .. } | CommandError::UnknownSubcommand { .. } => {
            HttpError::with(400, format!("Unknown command: {error}"))
        }
        CommandError::WrongArity { .. } | CommandError::Syntax => {
            HttpError::with(400, format!("Invalid request: {error}"))
        }
        CommandError::NotInteger
        | CommandError::NotFloat
        | CommandError::Overflow
        | CommandError::NanOrInfinity
        | CommandError::StringTooLong { .. }
        | CommandError::KeyTooLong { .. } => {
            HttpError::with(400, format!("Invalid value: {error}"))
        }
        CommandError::InvalidExpire { .. } => HttpError::with(400, format!("Invalid TTL: {error}")),
        CommandError::WrongType => HttpError::with(400, format!("WRONGTYPE {error}")),
        CommandError::NoSuchKey => shape::key_not_found(context),
        CommandError::Invalid(NO_TOPIC) => HttpError::new(404, "Not found: the topic"),
        CommandError::Invalid(NO_SUBSCRIBER) => HttpError::new(404, "Not found: the subscriber"),
        // The member around which to look.
        CommandError::Invalid(NO_MEMBER) => HttpError::new(404, "Resource not found: the member"),
        CommandError::NoGroup { .. } => HttpError::with(404, format!("NOGROUP {error}")),
        CommandError::BusyKey => HttpError::with(409, format!("Key already exists: {error}")),
        CommandError::OutOfMemory => HttpError::new(507, "Memory limit exceeded"),
        CommandError::Busy => HttpError::with(503, error.to_string()),
        CommandError::Moved { .. } => HttpError::with(301, format!("MOVED {error}")),
        CommandError::Disabled { .. } => HttpError::with(403, format!("Forbidden: {error}")),
        CommandError::Forbidden { .. } => HttpError::with(403, format!("Forbidden: {error}")),
        CommandError::Denied { code, .. } => match *code {
            "NOPERM" => HttpError::with(403, format!("Forbidden: {error}")),
            _ => HttpError::with(401, format!("Unauthorized: {error}")),
        },
        CommandError::Coded { .. } if queue::refusal(context, error).is_some() => {
            queue::refusal(context, error).unwrap_or(HttpError::new(404, "Not found"))
        }
        CommandError::Coded { code, .. } => match *code {
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" => {
                HttpError::with(503, format!("{code} {error}"))
            }
            "GONE" => HttpError::with(410, error.to_string()),
            "NOSCRIPT" => HttpError::with(404, format!("{code} {error}")),
            "MISCONF" | "LIMIT" => HttpError::with(507, format!("Insufficient storage: {error}")),
            "BUSY" => HttpError::with(503, format!("{code} {error}")),
            "READONLY" => HttpError::new(403, "Forbidden: read-only replica"),
            _ => HttpError::with(400, format!("{code} {error}")),
        },
        CommandError::ScriptTimeout { .. } => HttpError::new(408, "Operation timed out"),
        CommandError::Scripted { code, .. } => HttpError::with(400, format!("{code} {error}")),
        CommandError::RateLimited { .. } | CommandError::HeldOff { .. } => {
            HttpError::with(429, error.to_string())
        }
        CommandError::NotFound { .. } => HttpError::with(404, error.to_string()),
        CommandError::Exists { .. } | CommandError::Rebalance { .. } => {
            HttpError::with(409, error.to_string())
        }
        CommandError::OffsetGone { .. } => HttpError::with(400, error.to_string()),
        CommandError::PositionGone { .. } => HttpError::with(410, error.to_string()),
        CommandError::Failed { .. } => HttpError::with(500, error.to_string()),
        disabled if *disabled == DISABLED => HttpError::with(400, error.to_string()),
        CommandError::Invalid(_) | CommandError::Quoted { .. } => {
            HttpError::with(400, format!("Invalid request: {error}"))
        }
    }
}
