//! Status line, headers and the length of the body, around a body that is written in place.
//!
//! The length is known only afterwards: room for its digits is left by a guess, and a wrong guess
//! moves the body.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::context::HttpContext;
use crate::limits::Standing;
use crate::protocol::json;

/// Bodies below are not worth compressing.
const GZIP_BYTES_MIN: usize = 1024;
/// Bodies above would hold up everyone else on the core.
const GZIP_BYTES_MAX: usize = 256 * 1024;

/// The content type of nearly every answer.
pub(super) const JSON: &str = "application/json";

/// A response under way.
pub(super) struct Open {
    length_line: usize,
    digits: usize,
    body: usize,
}

const LENGTH: &[u8] = b"Content-Length: ";

/// The words of a status line.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}

/// Begins a response whose body will have about `hint` bytes; write the body behind it.
pub(super) fn open(
    out: &mut Vec<u8>,
    context: &HttpContext,
    status: u16,
    content_type: &str,
    headers: &[(&str, &str)],
    hint: usize,
) -> Open {
    out.reserve(192 + hint);
    out.extend_from_slice(b"HTTP/1.1 ");
    json::write_u64(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    header(out, "Content-Type", content_type);
    if !context.keep_alive {
        header(out, "Connection", "close");
    } else if context.http_1_0 {
        header(out, "Connection", "keep-alive");
    }
    allowed(out, context);
    standing(out, context);
    for (name, value) in headers {
        header(out, name, value);
    }
    let length_line = out.len();
    let digits = decimal_digits(hint);
    write_length(out, &[b'0'; 20][..digits]);
    Open { length_line, digits, body: out.len() }
}

/// Begins a response of unknown length: in chunks, or to HTTP/1.0 until the connection ends.
pub(super) fn open_stream(out: &mut Vec<u8>, context: &HttpContext, content_type: &str) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    header(out, "Content-Type", content_type);
    if !context.keep_alive {
        header(out, "Connection", "close");
    }
    allowed(out, context);
    standing(out, context);
    if !context.http_1_0 {
        header(out, "Transfer-Encoding", "chunked");
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends the response: fills the length in, compresses, and drops the body of an answer to `HEAD`.
pub(super) fn close(out: &mut Vec<u8>, context: &HttpContext, open: &Open) {
    let length = out.len() - open.body;
    if context.gzip && (GZIP_BYTES_MIN + 1..=GZIP_BYTES_MAX).contains(&length) {
        return close_compressed(out, context, open);
    }
    let digits = decimal_digits(length);
    let start = open.length_line + LENGTH.len();
    if digits != open.digits {
        out.splice(start..start + open.digits, std::iter::repeat_n(b'0', digits));
    }
    let mut text = Vec::with_capacity(20);
    json::write_usize(&mut text, length);
    out[start..start + digits].copy_from_slice(&text);
    if context.head_only {
        out.truncate(open.body + digits - open.digits);
    }
}

fn close_compressed(out: &mut Vec<u8>, context: &HttpContext, open: &Open) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&out[open.body..]).expect("memory takes every write");
    let packed = encoder.finish().expect("memory takes every write");
    out.truncate(open.length_line);
    header(out, "Content-Encoding", "gzip");
    header(out, "Vary", "Accept-Encoding");
    let mut text = Vec::with_capacity(20);
    json::write_usize(&mut text, packed.len());
    write_length(out, &text);
    if !context.head_only {
        out.extend_from_slice(&packed);
    }
}

/// A response without a body (204), for which no length may be stated.
pub(super) fn without_body(out: &mut Vec<u8>, context: &HttpContext, headers: &[(&str, &str)]) {
    out.extend_from_slice(b"HTTP/1.1 204 No Content\r\n");
    if !context.keep_alive {
        header(out, "Connection", "close");
    } else if context.http_1_0 {
        header(out, "Connection", "keep-alive");
    }
    standing(out, context);
    for (name, value) in headers {
        header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Leave for the page that asks to read the answer.
fn allowed(out: &mut Vec<u8>, context: &HttpContext) {
    let Some(origin) = &context.origin else { return };
    header(out, "Access-Control-Allow-Origin", origin);
    if context.with_credentials {
        header(out, "Access-Control-Allow-Credentials", "true");
    }
    header(out, "Vary", "Origin");
}

/// How the client stands where requests are limited.
fn standing(out: &mut Vec<u8>, context: &HttpContext) {
    let Some(Standing { limit, remaining, reset_secs }) = context.standing else { return };
    let lines: [(&[u8], u64); 3] = [
        (b"X-RateLimit-Limit: ", limit),
        (b"X-RateLimit-Remaining: ", remaining),
        (b"X-RateLimit-Reset: ", reset_secs),
    ];
    for (name, value) in lines {
        out.extend_from_slice(name);
        json::write_u64(out, value);
        out.extend_from_slice(b"\r\n");
    }
}

fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, digits: &[u8]) {
    out.extend_from_slice(LENGTH);
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n\r\n");
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}
