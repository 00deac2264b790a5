//! Answers to OPTIONS: which methods a path has, and leave for browsers (the Fetch standard's CORS
//! protocol) where the origin is on the list.

use super::context::HttpContext;
use super::decode::HttpRequest;
use super::dss::{self, Surface};
use super::response;
use super::route::Routed;
use smallvec::SmallVec;
use synap_shards::command::spec::Method;

/// Seconds for which a browser may remember the answer.
const MAX_AGE_SECS: &str = "600";
/// Headers that a page may send.
const HEADERS: &str = "authorization, content-type, x-api-key, accept";

/// `GET, HEAD, POST, OPTIONS`: what `Allow` says.
pub(super) fn method_list(methods: &[Method]) -> String {
    let mut list = String::new();
    for method in methods {
        list.push_str(method.name());
        list.push_str(if *method == Method::Get { ", HEAD, " } else { ", " });
    }
    list.push_str("OPTIONS");
    list
}

pub(super) fn options(
    request: &HttpRequest<'_>,
    allowed: SmallVec<[Method; 4]>,
    context: HttpContext,
) -> Routed {
    if allowed.is_empty() {
        let message = if context.surface == Surface::Synap { "Not found" } else { "Not Found" };
        return super::route::refuse(&super::error::HttpError::new(404, message), context);
    }
    let allow = method_list(&allowed);
    let any = dss::asked_headers(request).filter(|_| context.surface == Surface::DssQueue);
    let mut headers: SmallVec<[(&str, &str); 7]> = SmallVec::new();
    headers.push(("Allow", &allow));
    let asks = request.header("access-control-request-method").is_some();
    if let (true, Some(origin)) = (asks, context.origin.as_deref()) {
        headers.push(("Access-Control-Allow-Origin", origin));
        headers.push(("Access-Control-Allow-Methods", &allow));
        headers.push(("Access-Control-Allow-Headers", any.as_deref().unwrap_or(HEADERS)));
        if context.with_credentials {
            headers.push(("Access-Control-Allow-Credentials", "true"));
        }
        headers.push(("Access-Control-Max-Age", MAX_AGE_SECS));
        headers.push(("Vary", "Origin"));
    }
    let mut out = Vec::with_capacity(256);
    response::without_body(&mut out, &context, &headers);
    drop(headers);
    Routed::Direct { response: out, status: 204, context }
}
