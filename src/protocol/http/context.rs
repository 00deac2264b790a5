//! What is remembered of a request until its reply arrives.

use smallvec::SmallVec;

use super::containers::Body as Container;
use super::decode::HttpRequest;
use super::dss::Surface;
use super::head::Verb;
use super::pubsub::Subscriber;
use super::stats::HLL_OPERATIONS;
use super::table::{RouteId, Shape};
use crate::limits::Standing;

/// How a stored value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum ValueForm {
    /// A JSON string; a placeholder when the bytes are not UTF-8.
    #[default]
    Text,
    /// A JSON array of numbers.
    Numbers,
    /// A JSON string in base64.
    Base64,
    /// The bytes themselves.
    Raw,
    /// The JSON that they are, else a JSON string.
    Json,
}

/// Which option of a conditional set was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Condition {
    /// Neither: the value is set.
    #[default]
    None,
    /// Only if the key does not exist.
    IfAbsent,
    /// Only if it exists.
    IfPresent,
}

/// The part of a request that its answer depends on. Small; kept by the caller until the reply is
/// there, then given to [`super::respond::respond`].
#[derive(Clone, Debug)]
pub struct HttpContext {
    /// The route, for counters.
    pub route: RouteId,
    /// Whether the connection stays open after the answer; the answer says the same. May be set to
    /// false when the server is about to stop.
    pub keep_alive: bool,
    pub(crate) http_1_0: bool,
    pub(super) head_only: bool,
    pub(super) gzip: bool,
    pub(super) full: bool,
    pub(super) with_old_value: bool,
    /// Changed elements are counted.
    pub(super) with_changed: bool,
    pub(super) form: ValueForm,
    pub(super) condition: Condition,
    /// Most elements to answer; zero is no limit.
    pub(super) limit: usize,
    /// Calls of the commands in [`HttpContext::counted`], where the answer tells them.
    pub calls: SmallVec<[u64; 3]>,
    /// Pairs that were sent to be set.
    pub(super) pairs: usize,
    /// Keys that the answer repeats: the first ends at `echo_split`, the second is the rest.
    pub(super) echo: SmallVec<[u8; 40]>,
    pub(super) echo_split: usize,
    /// Who the caller of transactions says it is.
    pub(crate) client_id: Option<Box<str>>,
    /// Of each command that `exec` runs, whether it removes keys.
    pub(crate) deletes: Option<Box<[bool]>>,
    /// The subscriber without a connection that the request is about, until that is seen to.
    pub(crate) subscriber: Option<Subscriber>,
    /// Its name.
    pub(crate) subscriber_name: Option<Box<str>>,
    /// Subscriptions that the request ends.
    pub(crate) ended: usize,
    /// The allowed origin that asks, when there is one.
    pub(super) origin: Option<Box<str>>,
    /// It may send what its browser knows of the user.
    pub(super) with_credentials: bool,
    /// Whose form the answer has.
    pub(super) surface: Surface,
    /// How the client stands where requests are limited.
    pub(super) standing: Option<Standing>,
}

impl HttpContext {
    /// The context of `request`; nothing but the connection's needs is known yet.
    pub(super) fn new(route: RouteId, request: &HttpRequest<'_>, origins: &[String]) -> Self {
        Self {
            keep_alive: request.keep_alive,
            http_1_0: request.http_1_0,
            head_only: request.verb == Verb::Head,
            gzip: request.header("accept-encoding").is_some_and(accepts_gzip),
            origin: allowed_origin(request, origins),
            standing: request.standing,
            surface: request.surface,
            ..Self::closing(route)
        }
    }

    /// The context of a part of a request that asks for nothing.
    pub(crate) fn nothing() -> Self {
        Self::closing(RouteId::NONE)
    }

    /// The context of what could not be decoded: answer and close.
    pub(super) fn closing(route: RouteId) -> Self {
        Self {
            route,
            keep_alive: false,
            http_1_0: false,
            head_only: false,
            gzip: false,
            full: false,
            with_old_value: false,
            with_changed: false,
            form: ValueForm::Text,
            condition: Condition::None,
            limit: 0,
            calls: SmallVec::new(),
            pairs: 0,
            echo: SmallVec::new(),
            echo_split: 0,
            client_id: None,
            deletes: None,
            subscriber: None,
            subscriber_name: None,
            ended: 0,
            origin: None,
            with_credentials: false,
            surface: Surface::Synap,
            standing: None,
        }
    }

    /// Groups of commands whose calls the answer tells; the caller adds them up into `calls`
    /// before it answers.
    pub fn counted(&self) -> impl Iterator<Item = &'static [&'static str]> + use<> {
        let told = self
            .route
            .route()
            .is_some_and(|route| route.shape == Shape::Container(Container::HllStats));
        HLL_OPERATIONS.iter().map(|(_, commands)| *commands).filter(move |_| told)
    }

    /// Remembers a key that the answer repeats; two at most.
    pub(super) fn remember(&mut self, word: &[u8]) {
        let first = self.echo.is_empty();
        self.echo.extend_from_slice(word);
        if first {
            self.echo_split = self.echo.len();
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.echo[..self.echo_split]
    }

    pub(super) fn destination(&self) -> &[u8] {
        &self.echo[self.echo_split..]
    }
}

/// Whether an `Accept-Encoding` names gzip without refusing it.
fn accepts_gzip(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|part| {
        let mut fields = part.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let named = fields.next().is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
        let refused = |field: &[u8]| {
            field.strip_prefix(b"q=").is_some_and(|q| q.iter().all(|c| matches!(c, b'0' | b'.')))
        };
        named && !fields.any(refused)
    })
}

fn allowed_origin(request: &HttpRequest<'_>, origins: &[String]) -> Option<Box<str>> {
    if origins.is_empty() {
        return None;
    }
    let origin = std::str::from_utf8(request.header("origin")?).ok()?;
    origins.iter().any(|allowed| allowed == "*" || allowed == origin).then(|| origin.into())
}
