//! The inputs of a request: path, query and JSON body under one roof.
//!
//! An input has one name wherever it stands, and the path comes before the body, the body before
//! the query. Nothing is converted here; a JSON value stays the text it was sent as.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::error::HttpError;
use super::route::Params;
use crate::protocol::json::{self, Kind, Members};

/// Further names of an argument, after its own.
const ALIASES: &[(&str, &[&str])] = &[
    ("amount", &["increment", "delta"]),
    ("increment", &["amount", "delta", "score"]),
    ("keys", &["key"]),
    ("more_keys", &["keys"]),
    ("fields", &["field"]),
    ("seconds", &["ttl"]),
    ("milliseconds", &["ttl_ms"]),
    ("ex", &["ttl"]),
    ("name", &["queue", "queue_name"]),
    ("payload", &["message", "data"]),
    ("payloads", &["messages"]),
    ("message_id", &["message_ids"]),
    ("max_depth", &["max_size"]),
];

/// Parameters of a query.
const QUERY_PARAMETERS_MAX: usize = 64;

/// One input.
#[derive(Clone, Debug)]
pub(super) enum Given<'a> {
    /// From the path or the query.
    Text(Cow<'a, str>),
    /// From the body: valid JSON text.
    Json(&'a str),
}

/// The inputs of a request.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    path: Params<'a>,
    query: SmallVec<[(Cow<'a, str>, Cow<'a, str>); 2]>,
    body: Members<'a>,
    /// The body where it is an array.
    list: Option<&'a str>,
}

impl<'a> Inputs<'a> {
    /// Splits query and body. An empty body is an object without members.
    pub(super) fn new(path: Params<'a>, query: &'a str, body: &'a [u8]) -> Result<Self, HttpError> {
        let query = parse_query(query)?;
        let body = body.trim_ascii();
        if body.first() == Some(&b'[')
            && let Ok(text) = std::str::from_utf8(body)
        {
            json::array(text).map_err(|error| not_json(&error))?;
            return Ok(Self { path, query, body: Members::new(), list: Some(text) });
        }
        let body = if body.is_empty() { Members::new() } else { members(body)? };
        Ok(Self { path, query, body, list: None })
    }

    /// Of members that were taken from a body already.
    pub(super) fn of_members(path: Params<'a>, body: Members<'a>) -> Self {
        Self { path, query: SmallVec::new(), body, list: None }
    }

    /// The body where it is an array: the one list that the route is about.
    pub(super) fn list(&self) -> Option<&'a str> {
        self.list
    }

    /// The input of this name; `null` is as good as nothing.
    pub(super) fn get(&self, name: &str) -> Option<Given<'a>> {
        self.find(name).filter(|given| !matches!(given, Given::Json("null")))
    }

    /// The input of this name, be it `null`.
    pub(super) fn find(&self, name: &str) -> Option<Given<'a>> {
        if let Some((_, text)) = self.path.iter().find(|(known, _)| *known == name) {
            return Some(Given::Text(text.clone()));
        }
        // Of members of the same name the last counts.
        if let Some((_, text)) = self.body.iter().rev().find(|(known, _)| known == name) {
            return Some(Given::Json(text));
        }
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| Given::Text(text.clone()))
    }

    /// The same under the argument's name or one of its aliases, with the name that was used.
    pub(super) fn of(&self, name: &'static str) -> Option<(&'static str, Given<'a>)> {
        if let Some(given) = self.get(name) {
            return Some((name, given));
        }
        let aliases = ALIASES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, a)| a);
        aliases.iter().find_map(|alias| Some((*alias, self.get(alias)?)))
    }

    /// An input as text.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.get(name)? {
            Given::Text(text) => Some(text),
            Given::Json(text) => json::string(text).ok(),
        }
    }

    /// Whether the input of this name is from the path.
    pub(super) fn is_in_path(&self, name: &str) -> bool {
        self.path.iter().any(|(known, _)| *known == name)
    }

    /// The members of the body.
    pub(super) fn members(&self) -> &Members<'a> {
        &self.body
    }

    /// Whether a switch is on.
    pub(super) fn flag(&self, name: &str) -> Result<bool, HttpError> {
        match self.get(name) {
            None => Ok(false),
            Some(Given::Json("true")) => Ok(true),
            Some(Given::Json("false")) => Ok(false),
            Some(Given::Json(text)) => Err(unexpected(name, "a boolean", Kind::of(text).name())),
            Some(Given::Text(text)) => match &*text {
                "true" | "1" | "" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(unexpected(name, "true or false", "other text")),
            },
        }
    }
}

/// The members of the object in `body`.
pub(super) fn members(body: &[u8]) -> Result<Members<'_>, HttpError> {
    json::object(body).map_err(
        |error| {
            if error.is_data() { NOT_AN_OBJECT } else { not_json(&error) }
        },
    )
}

/// 400: the route has inputs by name.
pub(super) const NOT_AN_OBJECT: HttpError =
    HttpError::bad("Invalid request: expected a JSON object as the body");

fn not_json(error: &serde_json::Error) -> HttpError {
    let place = format!("line {}, column {}", error.line(), error.column());
    HttpError::with(400, format!("Invalid request: the body is not JSON at {place}"))
}

/// 400: what an input has to be, and what it is.
pub(super) fn unexpected(name: &str, expected: &str, found: &str) -> HttpError {
    HttpError::with(400, format!("Invalid request: `{name}` must be {expected}, found {found}"))
}

/// 400: an input that the command needs.
pub(super) fn missing(name: &str) -> HttpError {
    HttpError::with(400, format!("Invalid request: `{name}` is missing"))
}

type Query<'a> = SmallVec<[(Cow<'a, str>, Cow<'a, str>); 2]>;

fn parse_query(query: &str) -> Result<Query<'_>, HttpError> {
    let mut parameters = SmallVec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if parameters.len() == QUERY_PARAMETERS_MAX {
            return Err(HttpError::bad("Invalid request: more than 64 query parameters"));
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        parameters.push((percent_decode(name, true)?, percent_decode(value, true)?));
    }
    Ok(parameters)
}

/// Percent-decodes one path segment or one half of a query parameter; `plus` says whether a plus
/// sign is a blank. The result has to be UTF-8.
pub(super) fn percent_decode(text: &str, plus: bool) -> Result<Cow<'_, str>, HttpError> {
    let special = |byte: u8| byte == b'%' || (plus && byte == b'+');
    let Some(first) = text.bytes().position(special) else { return Ok(Cow::Borrowed(text)) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text.as_bytes()[..first]);
    let mut bytes = text.as_bytes()[first..].iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(HttpError::bad("Invalid request: a malformed percent sequence"));
                };
                u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte")
            }
            b'+' if plus => b' ',
            byte => *byte,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| HttpError::bad("Invalid request: the URL does not decode to UTF-8"))
}
