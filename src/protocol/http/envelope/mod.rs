//! The command envelope: `{"command":"kv.set","request_id":"1","payload":{…}}`, alone, several in a
//! batch, or one per line. Commands, arguments and answers are those of the REST routes
//! (`names` says which route a name stands for), so there is one of each.

mod answer;
mod names;
mod payload;

use std::ops::Range;

use synap_shards::command::spec::Family;

use super::caller;
use super::context::HttpContext;
use super::decode::HttpRequest;
use super::dss::Surface;
use super::error::HttpError;
use super::head::Verb;
use super::input::{Inputs, missing};
use super::route::{self, Builtin, HttpOptions, Params};
use super::table::{RouteId, Target};
use super::words::OwnedWords;
use super::{arguments, pubsub};
use crate::protocol::json::{self, Kind, Members};
use crate::transactions;

pub use names::{AS_IS, Manner};

pub use answer::{
    ErrorCode, Failure, Framing, Style, batch_end, batch_head, built_in, lines_end, lines_head,
};

/// Envelopes of a batch.
const BATCH_MAX: usize = 1000;
/// Bytes of a name for a request.
const ID_BYTES_MAX: usize = 1024;

/// How envelopes came, and how their answers go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Alone.
    One,
    /// In a batch: `{"type":"batch","commands":[…]}`.
    Batch,
    /// One per line (`application/x-ndjson`).
    Lines,
}

/// Envelopes of one HTTP request, of which each is read when its turn comes.
#[derive(Clone, Debug)]
pub struct Envelopes {
    form: Form,
    text: Box<str>,
    /// Where those that were found stand, the next last.
    found: Vec<Range<usize>>,
    /// Of lines, where the rest begins.
    at: usize,
    /// The name of the batch.
    request_id: String,
}

/// What an envelope asks for.
#[derive(Debug)]
pub enum Work {
    /// A command, and how its reply becomes the answer.
    Command {
        /// Its words.
        words: OwnedWords,
        /// For its answer.
        context: HttpContext,
        /// How the reply is shown.
        shown: Manner,
    },
    /// One of the server's own answers.
    Builtin {
        /// Which.
        builtin: Builtin,
        /// For its answer.
        context: HttpContext,
    },
}

/// An envelope that was read.
#[derive(Debug)]
pub struct Planned {
    /// The name of the request.
    pub request_id: String,
    /// What is to be done, or why nothing is.
    pub work: Result<Work, Failure>,
}

impl Envelopes {
    /// Takes the body of a request apart.
    ///
    /// # Errors
    /// 400: not an envelope, nor a batch of them.
    pub fn of(request: &HttpRequest<'_>) -> Result<Self, HttpError> {
        let text = std::str::from_utf8(&request.body)
            .map_err(|_| HttpError::bad("Invalid request: the body is not UTF-8"))?;
        let whole = 0..text.len();
        let new = |form, found, request_id| {
            Ok(Self { form, text: text.into(), found, at: 0, request_id })
        };
        if request.header("content-type").is_some_and(is_lines) {
            return new(Form::Lines, Vec::new(), String::new());
        }
        let members = super::input::members(text.as_bytes())?;
        let kind = member(&members, "type").filter(|kind| Kind::of(kind) == Kind::String);
        if kind.and_then(|kind| json::string(kind).ok()).as_deref() != Some("batch") {
            text_member(&members, "command")
                .ok_or(HttpError::bad("Invalid request: `command` is missing"))?;
            return new(Form::One, vec![whole], String::new());
        }
        let request_id = request_id(&members).map_err(|failure| failure.refusal())?;
        let commands = member(&members, "commands").filter(|list| Kind::of(list) == Kind::Array);
        let commands = commands.and_then(|list| json::array(list).ok());
        let commands = commands.ok_or(HttpError::bad("Invalid request: `commands` is missing"))?;
        if commands.len() > BATCH_MAX {
            return Err(HttpError::bad("Invalid request: a batch has at most 1000 commands"));
        }
        let place = |part: &&str| {
            let start = part.as_ptr() as usize - text.as_ptr() as usize;
            start..start + part.len()
        };
        new(Form::Batch, commands.iter().rev().map(place).collect(), request_id)
    }

    /// How they came.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The name of the batch.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Reads the next one.
    pub fn read_next(&mut self, options: &HttpOptions) -> Option<Planned> {
        let range = match self.form {
            Form::One | Form::Batch => self.found.pop()?,
            Form::Lines => self.next_line()?,
        };
        Some(plan(&self.text[range], options))
    }

    /// The next line that has more than blanks.
    fn next_line(&mut self) -> Option<Range<usize>> {
        while self.at < self.text.len() {
            let start = self.at;
            let rest = &self.text[start..];
            let end = start + memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
            self.at = end + 1;
            if !self.text[start..end].trim_ascii().is_empty() {
                return Some(start..end);
            }
        }
        None
    }
}

/// Whether a content type is that of lines.
fn is_lines(value: &[u8]) -> bool {
    let named = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"application/x-ndjson"[..], b"application/ndjson", b"application/jsonl"]
        .iter()
        .any(|known| named.eq_ignore_ascii_case(known))
}

fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a str> {
    let found = members.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, text)| *text).filter(|text| *text != "null")
}

fn text_member(members: &Members<'_>, name: &str) -> Option<String> {
    let text = member(members, name).filter(|text| Kind::of(text) == Kind::String)?;
    json::string(text).ok().map(std::borrow::Cow::into_owned)
}

/// The name of a request: its own, a number as text, or a new one.
fn request_id(members: &Members<'_>) -> Result<String, Failure> {
    let Some(text) = member(members, "request_id") else {
        return Ok(transactions::new_client_id().into());
    };
    let id = match Kind::of(text) {
        Kind::Number => Some(text.to_owned()),
        Kind::String => json::string(text).ok().map(std::borrow::Cow::into_owned),
        _ => None,
    };
    id.filter(|id| id.len() <= ID_BYTES_MAX)
        .ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, "`request_id` is no short string"))
}

/// Reads one envelope.
fn plan(text: &str, options: &HttpOptions) -> Planned {
    let Ok(members) = json::object(text.as_bytes()) else {
        let why = Failure::new(ErrorCode::InvalidRequest, "the envelope is no JSON object");
        return Planned { request_id: String::new(), work: Err(why) };
    };
    match request_id(&members) {
        Ok(request_id) => Planned { request_id, work: work(&members, options) },
        Err(why) => Planned { request_id: String::new(), work: Err(why) },
    }
}

fn work(members: &Members<'_>, options: &HttpOptions) -> Result<Work, Failure> {
    let name = text_member(members, "command")
        .ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, "`command` is missing"))?;
    let payload = member(members, "payload").unwrap_or("{}");
    if Kind::of(payload) != Kind::Object {
        return Err(Failure::new(ErrorCode::InvalidPayload, "`payload` must be an object"));
    }
    let given = json::object(payload.as_bytes())
        .map_err(|_| Failure::new(ErrorCode::InvalidPayload, "`payload` must be an object"))?;
    let entry = names::find(&name, &given).ok_or_else(|| {
        let text = format!("Unknown command: {}", name.chars().take(128).collect::<String>());
        Failure::new(ErrorCode::InvalidCommand, text)
    })?;
    if options.without_pubsub && is_pubsub(entry) {
        return Err(Failure::of(ErrorCode::InvalidCommand, route::WITHOUT_PUBSUB));
    }
    let given = payload::renamed(entry.name, given);
    let request = HttpRequest {
        verb: Verb::Post,
        method: "POST",
        path: "",
        query: "",
        headers: smallvec::SmallVec::new(),
        body: payload.as_bytes().into(),
        http_1_0: false,
        keep_alive: true,
        consumed: 0,
        standing: None,
        surface: Surface::Synap,
    };
    let inputs = Inputs::of_members(Params::new(), given);
    prepare(entry, &inputs, &request).map_err(|error| Failure::of(ErrorCode::InvalidPayload, error))
}

/// Whether it is about publish and subscribe, by its route or, without one, by its command.
fn is_pubsub(entry: &names::Entry) -> bool {
    match entry.route.target {
        Target::Command(id) if id.spec().family == Family::Pubsub => true,
        _ => entry.route.is_pubsub(),
    }
}

fn prepare(
    entry: &'static names::Entry,
    inputs: &Inputs<'_>,
    request: &HttpRequest<'_>,
) -> Result<Work, HttpError> {
    let mut context = HttpContext::closing(RouteId::NONE);
    match entry.route.target {
        Target::Dss(_) => Err(HttpError::new(404, "Not found")),
        Target::Own(own) => {
            let builtin = route::builtin(own, inputs)?;
            Ok(Work::Builtin { builtin, context })
        }
        Target::Command(id) => {
            if caller::matters(id.spec()) {
                context.client_id = caller::of(inputs, request)?;
            }
            if entry.shown == names::Shown::Swapped && inputs.get("ifeq").is_none() {
                return Err(missing("expected"));
            }
            context.subscriber = pubsub::subscriber(id.spec().id, inputs)?;
            let words = arguments::words(&entry.route, id, inputs, request, &mut context)?;
            Ok(Work::Command { words, context, shown: Manner(entry.shown) })
        }
    }
}
