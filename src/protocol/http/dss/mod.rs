//! The queue service of distributed-sync-system on a listener of its own: requests to commands
//! (`read`), replies to bodies (`show`), what it says of itself (`facts`, `openapi`).
//!
//! Everything before and behind that is the HTTP port's: decoding, limits, credentials, TLS. Its
//! queues live in a namespace of their own. Every error has one body, in which clients of either
//! style find theirs: `error` and `status_code`, or `detail`.

mod accept;
pub(crate) mod facts;
mod openapi;
mod read;
pub(super) mod show;

use std::borrow::Cow;
use std::sync::LazyLock;

use smallvec::SmallVec;
use synap_shards::command::spec::Method;
use synap_shards::types::queue::QueueNumber;

use super::context::HttpContext;
use super::cors;
use super::decode::HttpRequest;
use super::error::HttpError;
use super::head::Verb;
use super::input::percent_decode;
use super::respond;
use super::route::{Builtin, HttpOptions, Routed, method, refuse};
use super::table::{ROUTES as ALL, RouteId, Target};
use super::words::OwnedWords;
use show::Body;

/// What a listener serves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Surface {
    /// Every interface of this server.
    #[default]
    Synap,
    /// The queue service of distributed-sync-system.
    DssQueue,
}

/// Settings of the service; fixed at start-up.
#[derive(Clone, Default, Debug)]
pub struct DssOptions {
    /// The name of this node, in answers and before the numbers of messages.
    pub node_id: String,
    /// Origins that a browser may call from; `*` is any.
    pub origins: Vec<String>,
    /// Clients say who they are: a browser may only add what it knows of that (certificates,
    /// passwords) where its origin is listed by name.
    pub asks_who: bool,
}

/// Routes of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DssRoute {
    Health,
    Enqueue,
    Dequeue,
    Ack,
    Status,
    All,
    Settings,
    Metrics,
    Openapi,
}

impl DssRoute {
    /// The body that the reply to its command makes.
    pub(super) fn body(self) -> Option<Body> {
        match self {
            Self::Enqueue => Some(Body::Enqueued),
            Self::Dequeue => Some(Body::Dequeued),
            Self::Ack => Some(Body::Acknowledged),
            Self::Status => Some(Body::Status),
            Self::All => Some(Body::All),
            Self::Settings => Some(Body::Set),
            Self::Health | Self::Metrics | Self::Openapi => None,
        }
    }
}

/// Method, path behind [`LABEL`], what it is. Labels of metrics and paths are told apart so that
/// those of two listeners are.
pub(super) const ROUTES: &[(Method, &str, DssRoute)] = &[
    (Method::Get, "/dss-queue/health", DssRoute::Health),
    (Method::Post, "/dss-queue/queue/enqueue", DssRoute::Enqueue),
    (Method::Post, "/dss-queue/queue/dequeue", DssRoute::Dequeue),
    (Method::Post, "/dss-queue/queue/ack", DssRoute::Ack),
    (Method::Get, "/dss-queue/queue/status/{queue_name}", DssRoute::Status),
    (Method::Get, "/dss-queue/queue/all", DssRoute::All),
    (Method::Put, "/dss-queue/queue/settings/{queue_name}", DssRoute::Settings),
    (Method::Get, "/dss-queue/metrics", DssRoute::Metrics),
    (Method::Get, "/dss-queue/openapi.json", DssRoute::Openapi),
];
const LABEL: &str = "/dss-queue";
const PARAMETER: &str = "{queue_name}";

/// Position of the service's first route among all.
static FIRST: LazyLock<usize> = LazyLock::new(|| {
    let first = ALL.iter().position(|route| matches!(route.target, Target::Dss(_)));
    first.expect("its routes are among all")
});

/// Who knows which queue has which number.
pub type Owner<'o> = &'o dyn Fn(QueueNumber) -> Option<Box<[u8]>>;

/// What a request asks for that could be read.
enum Work {
    Command(OwnedWords),
    Builtin(Builtin),
    /// A message that no queue of this node has.
    Unknown,
    Document(&'static str),
}

/// Decides what has to be done for `request`; `owner` tells whose a message is.
pub fn route(request: &HttpRequest<'_>, options: &HttpOptions, owner: Owner<'_>) -> Routed {
    let path: &str = request.path;
    if request.verb == Verb::Options {
        let methods = methods(path);
        return cors::options(request, methods, context(RouteId::NONE, request, options));
    }
    let found = method(request.verb).and_then(|method| find(method, path));
    let is_on = |route| route != DssRoute::Metrics || !options.without_metrics;
    let Some((id, route, name)) = found.filter(|(_, route, _)| is_on(*route)) else {
        return unmatched(request, options);
    };
    let mut context = context(id, request, options);
    let name = match percent_decode(name, false) {
        Ok(name) => name,
        Err(error) => return refuse(&error, context),
    };
    match work(route, &name, request, options, &mut context, owner) {
        Ok(Work::Command(words)) => Routed::Command { words, context },
        Ok(Work::Builtin(builtin)) => Routed::Builtin { builtin, context },
        Ok(Work::Unknown) => direct(context, 200, show::UNKNOWN_MESSAGE),
        Ok(Work::Document(text)) => direct(context, 200, text),
        Err(problems) => {
            let body = show::invalid(&problems);
            direct(context, 422, &body)
        }
    }
}

fn work(
    route: DssRoute,
    name: &str,
    request: &HttpRequest<'_>,
    options: &HttpOptions,
    context: &mut HttpContext,
    owner: Owner<'_>,
) -> Result<Work, Vec<read::Problem>> {
    let body = &request.body;
    let (words, about) = match route {
        DssRoute::Health => return Ok(Work::Builtin(Builtin::DssHealth)),
        DssRoute::Metrics => {
            let as_text = request.header("accept").is_some_and(accept::prefers_text);
            return Ok(Work::Builtin(if as_text { Builtin::Metrics } else { Builtin::DssMetrics }));
        }
        DssRoute::Openapi => return Ok(Work::Document(openapi::json())),
        DssRoute::Enqueue => read::enqueue(body)?,
        DssRoute::Dequeue => read::dequeue(body)?,
        DssRoute::Ack => match read::ack(body, &options.dss.node_id, owner)? {
            Some(words) => words,
            None => return Ok(Work::Unknown),
        },
        DssRoute::Status => read::status(name)?,
        DssRoute::All => read::all(request.query),
        DssRoute::Settings => read::settings(name, body)?,
    };
    if let Some(queue) = about {
        context.remember(queue.as_bytes());
        context.remember(options.dss.node_id.as_bytes());
    }
    Ok(Work::Command(words))
}

/// What the answer to `request` depends on, whatever that is.
pub(super) fn context(
    id: RouteId,
    request: &HttpRequest<'_>,
    options: &HttpOptions,
) -> HttpContext {
    let DssOptions { origins, asks_who, .. } = &options.dss;
    let mut context = HttpContext::new(id, request, origins);
    context.surface = Surface::DssQueue;
    let is_listed = |origin: &str| !*asks_who || origins.iter().any(|listed| listed == origin);
    context.with_credentials = context.origin.as_deref().is_some_and(is_listed);
    context
}

/// The route of a path, its number, and what stands in the path for the queue.
fn find(method: Method, path: &str) -> Option<(RouteId, DssRoute, &str)> {
    ROUTES.iter().enumerate().find_map(|(at, (known, label, route))| {
        let name = parameter(path, &label[LABEL.len()..]).filter(|_| *known == method)?;
        // Numbers of routes begin with 1.
        Some((RouteId::at(*FIRST + at + 1), *route, name))
    })
}

/// What a path has in place of the parameter of a declared one; empty where that has none.
fn parameter<'p>(path: &'p str, declared: &str) -> Option<&'p str> {
    match declared.strip_suffix(PARAMETER) {
        None => (path == declared).then_some(""),
        Some(before) => {
            path.strip_prefix(before).filter(|name| !name.is_empty() && !name.contains('/'))
        }
    }
}

fn methods(path: &str) -> SmallVec<[Method; 4]> {
    let all = [Method::Get, Method::Post, Method::Put, Method::Delete];
    all.into_iter().filter(|method| path == "*" || find(*method, path).is_some()).collect()
}

fn unmatched(request: &HttpRequest<'_>, options: &HttpOptions) -> Routed {
    let context = context(RouteId::NONE, request, options);
    let allowed = methods(request.path);
    if allowed.is_empty() {
        return refuse(&HttpError::new(404, "Not Found"), context);
    }
    let allow = cors::method_list(&allowed);
    let mut response = Vec::with_capacity(256);
    let headers = [("Allow", allow.as_str())];
    respond::write_error_with(&context, 405, "Method Not Allowed", &headers, &mut response);
    Routed::Direct { response, status: 405, context }
}

fn direct(context: HttpContext, status: u16, body: &str) -> Routed {
    let mut response = Vec::with_capacity(body.len() + 256);
    respond::write_json(&context, status, body.as_bytes(), &mut response);
    Routed::Direct { response, status, context }
}

/// The body of an error.
pub fn error(status: u16, message: &str) -> String {
    let mut body = Vec::new();
    show::error(status, message, &mut body);
    String::from_utf8(body).expect("JSON of text is text")
}

/// The headers that a browser asks to send: any may be.
pub(super) fn asked_headers<'r>(request: &'r HttpRequest<'_>) -> Option<Cow<'r, str>> {
    let asked = request.header("access-control-request-headers")?;
    asked.is_ascii().then(|| String::from_utf8_lossy(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_their_own_numbers() {
        for (method, label, _) in ROUTES {
            let path = label[LABEL.len()..].replace(PARAMETER, "a%2Fb");
            let (id, _, name) = find(*method, &path).expect("it is a route");
            assert_eq!(id.label(), (method.name(), *label));
            assert_eq!(name, if path.contains('%') { "a%2Fb" } else { "" });
        }
        for path in ["/", "/queue/status/", "/queue/status/a/b", "/queue/list", "/dss-queue/health"]
        {
            assert!(methods(path).is_empty(), "{path}");
        }
    }
}
