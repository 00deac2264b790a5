//! From a request to what has to be done: the words of a command, one of the server's own answers,
//! or an answer that is ready.
//!
//! Static segments win over parameters, and a route that has the method wins over one that has not.

use std::borrow::Cow;
use std::sync::LazyLock;

use smallvec::SmallVec;
use synap_shards::command::error::CommandError;
use synap_shards::command::spec::Method;

use super::access::Access;
use super::context::HttpContext;
use super::decode::HttpRequest;
use super::dss::{self, DssOptions, Surface};
use super::envelope::Envelopes;
use super::error::HttpError;
use super::head::Verb;
use super::input::{self, Inputs};
use super::live::{self, Live};
use super::respond;
use super::table::{Own, ROUTES, Route, RouteId, Target};
use super::words::OwnedWords;
use super::{arguments, caller, cors, echo, openapi, pubsub};
use crate::limits::bucket::Empty;

/// 503: publish and subscribe is switched off.
pub(super) const WITHOUT_PUBSUB: HttpError = HttpError::new(503, "Pub/sub system disabled");

/// Settings that concern HTTP alone; fixed at start-up.
#[derive(Clone, Default, Debug)]
pub struct HttpOptions {
    /// Any request below this path is answered with itself; none when absent. Begins with `/`.
    pub echo_prefix: Option<String>,
    /// A WebSocket at this path answers each message with itself; none when absent.
    pub websocket_echo_path: Option<String>,
    /// WebSocket is not served.
    pub without_websocket: bool,
    /// Seconds between two pings of a WebSocket.
    pub websocket_ping_secs: u64,
    /// Seconds after a ping without an answer at which a WebSocket is closed.
    pub websocket_pong_timeout_secs: u64,
    /// Command envelopes are taken at this path; nowhere when absent.
    pub command_path: Option<String>,
    /// Publish and subscribe is not served.
    pub without_pubsub: bool,
    /// Messages that may wait for one subscriber over HTTP.
    pub slow_messages_max: usize,
    /// A subscriber for whom more would wait is closed; otherwise it misses messages.
    pub slow_disconnects: bool,
    /// The last message to each topic is kept for who subscribes later.
    pub keeps_last_values: bool,
    /// Origins that a browser may call from; `*` is any. Empty: no cross-origin headers at all.
    pub cors_origins: Vec<String>,
    /// The routes of commands are not served.
    pub without_rest: bool,
    /// `/metrics` is not served.
    pub without_metrics: bool,
    /// Of the queue service of distributed-sync-system.
    pub dss: DssOptions,
}

/// What has to be done for a request. Every request is answered in order, whatever this is.
#[derive(Debug)]
pub enum Routed {
    /// Run this command and give its reply to [`respond::respond`].
    Command {
        /// Name and arguments.
        words: OwnedWords,
        /// For the answer.
        context: HttpContext,
    },
    /// The answer is written.
    Direct {
        /// Head and body.
        response: Vec<u8>,
        /// Its status code.
        status: u16,
        /// For the connection and the counters.
        context: HttpContext,
    },
    /// The connection is this from now on.
    Live {
        /// What it becomes.
        live: Live,
        /// The answer that says so.
        response: Vec<u8>,
        /// For the counters.
        context: HttpContext,
    },
    /// Carry out the commands in these one after the other.
    Envelopes {
        /// What is in them.
        envelopes: Envelopes,
        /// For the answer.
        context: HttpContext,
    },
    /// Ask access control.
    Access {
        /// What.
        asked: Box<Access>,
        /// For the answer.
        context: HttpContext,
    },
    /// Write the answer with [`crate::health::answer`].
    Builtin {
        /// Which, and what is asked of it.
        builtin: Builtin,
        /// For the answer.
        context: HttpContext,
    },
}

impl Routed {
    /// What its answer depends on.
    pub fn context(&self) -> &HttpContext {
        match self {
            Self::Command { context, .. }
            | Self::Direct { context, .. }
            | Self::Live { context, .. }
            | Self::Envelopes { context, .. }
            | Self::Access { context, .. }
            | Self::Builtin { context, .. } => context,
        }
    }
}

/// Answers that need nothing but what all cores may look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Builtin {
    /// Health of the server.
    Health,
    /// Health of a part of it.
    HealthOf(Component),
    /// Prometheus text.
    Metrics,
    /// Facts by section.
    Info(Section),
    /// Totals of the key-value store.
    KvStats,
    /// Security events after the one of this number, so many at most.
    Audit(u64, usize),
    /// Health of the queue service.
    DssHealth,
    /// Its metrics as JSON.
    DssMetrics,
    /// Totals of one type: its position in [`super::stats::TYPE_STATS`].
    TypeStats(usize),
}

/// Parts whose health can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Component {
    /// Keys and values.
    Kv,
    /// The log.
    Persistence,
    /// Copies on other machines.
    Replication,
}

/// Sections of `/info`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// All of them.
    All,
    /// The process.
    Server,
    /// Bytes.
    Memory,
    /// Totals since the start.
    Stats,
    /// Role and copies.
    Replication,
    /// Keys.
    Keyspace,
    /// Cluster mode.
    Cluster,
}

/// The route of command envelopes, for counters and documents: its path can be another.
static ENVELOPE: LazyLock<RouteId> = LazyLock::new(|| {
    let at = ROUTES.iter().position(|route| route.target == Target::Own(Own::Envelope));
    RouteId::at(at.expect("it is one of the routes") + 1)
});

/// Parameters of a path in order, percent-decoded.
pub(super) type Params<'a> = SmallVec<[(&'static str, Cow<'a, str>); 2]>;

/// Decides what has to be done for `request`.
pub fn route(request: &HttpRequest<'_>, options: &HttpOptions) -> Routed {
    if let Some(prefix) = &options.echo_prefix
        && echo::is_below(request.path, prefix)
    {
        let context = HttpContext::new(RouteId::NONE, request, &options.cors_origins);
        return echo::answer(request, context);
    }
    if options.websocket_echo_path.as_deref() == Some(request.path) {
        let context = HttpContext::new(RouteId::NONE, request, &options.cors_origins);
        return match live::upgrade(request, &context, options) {
            Ok(response) => Routed::Live { live: Live::Echo, response, context },
            Err(error) => refuse(&error, context),
        };
    }
    if options.command_path.as_deref() == Some(request.path) && request.verb == Verb::Post {
        let context = HttpContext::new(*ENVELOPE, request, &options.cors_origins);
        return match Envelopes::of(request) {
            Ok(envelopes) => Routed::Envelopes { envelopes, context },
            Err(error) => refuse(&error, context),
        };
    }
    if request.verb == Verb::Options {
        let context = HttpContext::new(RouteId::NONE, request, &options.cors_origins);
        return cors::options(request, allowed(request.path), context);
    }
    // The parameters live as long as the request itself, not as long as its input.
    let path: &str = request.path;
    let matched = method(request.verb).and_then(|method| find(method, path));
    let Some((id, route, raw)) = matched else {
        let context = HttpContext::new(RouteId::NONE, request, &options.cors_origins);
        return unmatched(request, context);
    };
    let mut context = HttpContext::new(id, request, &options.cors_origins);
    if is_off(route, options) {
        return refuse(&HttpError::new(404, "Not found"), context);
    }
    if options.without_pubsub && route.is_pubsub() {
        return refuse(&WITHOUT_PUBSUB, context);
    }
    match work(route, &raw, request, &mut context, options) {
        Ok(Work::Command(words)) => Routed::Command { words, context },
        Ok(Work::Builtin(builtin)) => Routed::Builtin { builtin, context },
        Ok(Work::Access(asked)) => Routed::Access { asked, context },
        Ok(Work::Live(live, response)) => Routed::Live { live, response, context },
        Ok(Work::Document(content_type, text)) => direct(context, content_type, text.as_bytes()),
        Err(error) => refuse(&error, context),
    }
}

/// Whether the configuration leaves a route out.
fn is_off(route: &Route, options: &HttpOptions) -> bool {
    match route.target {
        Target::Own(Own::Metrics) => options.without_metrics,
        Target::Command(_) | Target::Own(Own::KvStats | Own::TypeStats(_)) => options.without_rest,
        Target::Own(_) | Target::Dss(_) => false,
    }
}

/// Whether requests for this path are never limited: those who watch over the server make them.
pub fn is_exempt(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path == "/metrics"
}

/// The answer to a client that may make no request for so many seconds.
pub fn limited(request: &HttpRequest<'_>, options: &HttpOptions, wait: Empty) -> Routed {
    let context = match request.surface {
        Surface::Synap => HttpContext::new(RouteId::NONE, request, &options.cors_origins),
        Surface::DssQueue => dss::context(RouteId::NONE, request, options),
    };
    let mut response = Vec::with_capacity(384);
    let seconds = wait.wait_secs().to_string();
    let headers = [("Retry-After", seconds.as_str())];
    let message = CommandError::RateLimited { wait_ms: wait.wait_ms() }.to_string();
    respond::write_error_with(&context, 429, &message, &headers, &mut response);
    Routed::Direct { response, status: 429, context }
}

/// The answer to what [`super::decode`] could not read; the connection ends with it.
pub fn broken(error: &HttpError, surface: Surface) -> Routed {
    refuse(error, HttpContext { surface, ..HttpContext::closing(RouteId::NONE) })
}

/// What a matched route asks for.
enum Work {
    Command(OwnedWords),
    Builtin(Builtin),
    Document(&'static str, &'static str),
    Live(Live, Vec<u8>),
    Access(Box<Access>),
}

fn work<'a>(
    route: &'static Route,
    raw: &RawParams<'a>,
    request: &'a HttpRequest<'_>,
    context: &mut HttpContext,
    options: &HttpOptions,
) -> Result<Work, HttpError> {
    let params = decode_params(route, raw)?;
    match route.target {
        Target::Command(id) => {
            let inputs = Inputs::new(params, request.query, &request.body)?;
            if caller::matters(id.spec()) {
                context.client_id = caller::of(&inputs, request)?;
            }
            context.subscriber = pubsub::subscriber(id.spec().id, &inputs)?;
            arguments::words(route, id, &inputs, request, context).map(Work::Command)
        }
        Target::Own(Own::Live(live)) => {
            let inputs = Inputs::new(params, request.query, b"")?;
            let (live, response) = live.open(&inputs, request, context, options)?;
            Ok(Work::Live(live, response))
        }
        Target::Own(Own::Access(access)) => {
            access.read(&params, &request.body).map(|asked| Work::Access(Box::new(asked)))
        }
        Target::Own(own) => own_route(own, &Inputs::new(params, request.query, b"")?),
        Target::Dss(_) => Err(HttpError::new(404, "Not found")),
    }
}

fn own_route(own: Own, inputs: &Inputs<'_>) -> Result<Work, HttpError> {
    match own {
        Own::OpenapiJson => Ok(Work::Document("application/json", openapi::json())),
        Own::OpenapiYaml => Ok(Work::Document("application/yaml", openapi::yaml())),
        own => builtin(own, inputs).map(Work::Builtin),
    }
}

/// The answer that one of the server's own routes stands for.
pub(super) fn builtin(own: Own, inputs: &Inputs<'_>) -> Result<Builtin, HttpError> {
    Ok(match own {
        Own::Health => Builtin::Health,
        Own::HealthOf => Builtin::HealthOf(component(inputs)?),
        Own::Metrics => Builtin::Metrics,
        Own::Info => Builtin::Info(section(inputs)?),
        Own::KvStats => Builtin::KvStats,
        Own::Audit => Builtin::Audit(
            number(inputs, "after")?.unwrap_or(0),
            number(inputs, "limit")?.map_or(100, |most| usize::try_from(most).unwrap_or(100)),
        ),
        Own::TypeStats(index) => Builtin::TypeStats(index),
        Own::OpenapiJson | Own::OpenapiYaml | Own::Live(_) | Own::Envelope | Own::Access(_) => {
            return Err(HttpError::new(404, "Not found"));
        }
    })
}

fn number(inputs: &Inputs<'_>, name: &str) -> Result<Option<u64>, HttpError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| HttpError::with(400, format!("Invalid request: {name} is a whole number")))
    };
    inputs.query(name).map(parse).transpose()
}

fn component(inputs: &Inputs<'_>) -> Result<Component, HttpError> {
    match inputs.text("component").as_deref() {
        Some("kv") => Ok(Component::Kv),
        Some("persistence") => Ok(Component::Persistence),
        Some("replication") => Ok(Component::Replication),
        _ => Err(HttpError::new(404, "Not found")),
    }
}

fn section(inputs: &Inputs<'_>) -> Result<Section, HttpError> {
    match inputs.text("section").as_deref() {
        None | Some("all") => Ok(Section::All),
        Some("server") => Ok(Section::Server),
        Some("memory") => Ok(Section::Memory),
        Some("stats") => Ok(Section::Stats),
        Some("replication") => Ok(Section::Replication),
        Some("keyspace") => Ok(Section::Keyspace),
        Some("cluster") => Ok(Section::Cluster),
        Some(_) => Err(HttpError::bad(
            "Invalid request: section is one of all, server, memory, stats, replication, \
             keyspace, cluster",
        )),
    }
}

fn direct(context: HttpContext, content_type: &str, body: &[u8]) -> Routed {
    let mut response = Vec::with_capacity(body.len() + 256);
    respond::write(&context, 200, content_type, body, &mut response);
    Routed::Direct { response, status: 200, context }
}

pub(super) fn refuse(error: &HttpError, context: HttpContext) -> Routed {
    let mut response = Vec::with_capacity(256);
    respond::write_error(&context, error.status, &error.message, &mut response);
    Routed::Direct { response, status: error.status, context }
}

fn unmatched(request: &HttpRequest<'_>, context: HttpContext) -> Routed {
    let allowed = allowed(request.path);
    if allowed.is_empty() {
        return refuse(&HttpError::new(404, "Not found"), context);
    }
    let mut response = Vec::with_capacity(256);
    let allow = cors::method_list(&allowed);
    let headers = [("Allow", allow.as_str())];
    let message = "Method not allowed";
    respond::write_error_with(&context, 405, message, &headers, &mut response);
    Routed::Direct { response, status: 405, context }
}

/// The method of a command's route that a request asks for.
pub(super) fn method(verb: Verb) -> Option<Method> {
    match verb {
        Verb::Get | Verb::Head => Some(Method::Get),
        Verb::Post => Some(Method::Post),
        Verb::Delete => Some(Method::Delete),
        Verb::Put => Some(Method::Put),
        Verb::Options | Verb::Other => None,
    }
}

/// The methods that `path` is served with; `*` is served with all of them.
fn allowed(path: &str) -> SmallVec<[Method; 4]> {
    let all = [Method::Get, Method::Post, Method::Put, Method::Delete];
    all.into_iter().filter(|method| path == "*" || find(*method, path).is_some()).collect()
}

/// Parameters as they stand in the path.
type RawParams<'a> = SmallVec<[&'a str; 2]>;

fn decode_params<'a>(route: &'static Route, raw: &RawParams<'a>) -> Result<Params<'a>, HttpError> {
    let names = route.path.split('/').filter_map(parameter);
    names.zip(raw).map(|(name, text)| Ok((name, input::percent_decode(text, false)?))).collect()
}

/// The name in a segment `{name}` of a declared path.
pub(super) fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A node of the tree of segments.
#[derive(Default)]
struct Node {
    fixed: Vec<(&'static str, Self)>,
    parameter: Option<Box<Self>>,
    routes: [Option<usize>; 4],
}

static TREE: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    // Those of other listeners are looked for there.
    let ours = ROUTES.iter().enumerate().filter(|(_, route)| !route.is_elsewhere());
    for (index, route) in ours {
        root.add(index, route);
    }
    root
});

impl Node {
    fn add(&mut self, index: usize, route: &'static Route) {
        let mut node = self;
        for segment in route.path.split('/').skip(1) {
            node = if parameter(segment).is_some() {
                &mut **node.parameter.get_or_insert_default()
            } else {
                let at = node.fixed.iter().position(|(name, _)| *name == segment);
                let at = at.unwrap_or_else(|| {
                    node.fixed.push((segment, Self::default()));
                    node.fixed.len() - 1
                });
                &mut node.fixed[at].1
            };
        }
        node.routes[route.method as usize] = Some(index);
    }

    /// The depth of the recursion is that of the deepest route, not that of the path.
    fn find<'p>(&self, method: Method, path: &'p str, raw: &mut RawParams<'p>) -> Option<usize> {
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let enter = |node: &Self, raw: &mut RawParams<'p>| match rest {
            Some(rest) => node.find(method, rest, raw),
            None => node.routes[method as usize],
        };
        if let Some((_, node)) = self.fixed.iter().find(|(name, _)| *name == segment)
            && let Some(found) = enter(node, raw)
        {
            return Some(found);
        }
        if segment.is_empty() {
            return None;
        }
        raw.push(segment);
        let found = self.parameter.as_ref().and_then(|node| enter(node, raw));
        if found.is_none() {
            raw.pop();
        }
        found
    }
}

fn find(method: Method, path: &str) -> Option<(RouteId, &'static Route, RawParams<'_>)> {
    let mut raw = RawParams::new();
    let index = TREE.find(method, path.strip_prefix('/')?, &mut raw)?;
    Some((RouteId::at(index + 1), &ROUTES[index], raw))
}
