//! The echo route: answers a request with itself as JSON, to see what arrives behind proxies. Off
//! unless configured.

use super::context::HttpContext;
use super::decode::HttpRequest;
use super::respond;
use super::route::Routed;
use crate::protocol::json;

/// Whether `path` is `prefix` or lies below it.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn answer(request: &HttpRequest<'_>, context: HttpContext) -> Routed {
    let mut body = Vec::with_capacity(256 + request.body.len());
    for (before, name, value) in [
        ("{", "method", request.method),
        (",", "path", request.path),
        (",", "query", request.query),
    ] {
        body.extend_from_slice(before.as_bytes());
        json::write_str(&mut body, name);
        body.push(b':');
        json::write_str(&mut body, value);
    }
    body.extend_from_slice(b",\"headers\":[");
    for (index, header) in request.headers.iter().enumerate() {
        body.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        json::write_str(&mut body, header.name);
        body.push(b',');
        json::write_bytes(&mut body, header.value);
        body.push(b']');
    }
    body.extend_from_slice(b"],\"body\":");
    json::write_bytes(&mut body, &request.body);
    body.push(b'}');
    let mut response = Vec::with_capacity(body.len() + 192);
    respond::write_json(&context, 200, &body, &mut response);
    Routed::Direct { response, status: 200, context }
}
