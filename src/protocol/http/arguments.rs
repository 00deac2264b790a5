//! From inputs to the words of a command, as the command's [`ArgSpec`]s say.
//!
//! A JSON string is its bytes, any other JSON value its compact text. What has the wrong type is
//! refused with what was expected and found; what the command itself checks is left to it.

use std::borrow::Cow;

use synap_shards::command::args::NUMKEYS;
use synap_shards::command::spec::{ArgKind, ArgSpec, CommandSpec, Family};
use synap_shards::command::table::{self, CommandId};
use synap_shards::limits::ARGS_MAX;

use super::context::{Condition, HttpContext, ValueForm};
use super::decode::HttpRequest;
use super::error::HttpError;
use super::input::{Given, Inputs, NOT_AN_OBJECT, members, missing, unexpected};
use super::table::{Route, Shape};
use super::words::OwnedWords;
use super::{geo, pubsub, queue, sorted, topics};
use crate::protocol::json::{self, Kind, Members};

/// What an argument is when the request does not name it: command, argument, word.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("kv.incrby", "amount", "1"),
    ("kv.decrby", "amount", "1"),
    ("key.keys", "pattern", "*"),
    ("key.scan", "cursor", "0"),
    ("list.lrange", "start", "0"),
    ("list.lrange", "stop", "-1"),
    ("list.ltrim", "start", "0"),
    ("list.ltrim", "stop", "-1"),
    ("list.lrem", "count", "0"),
    ("sortedset.zrange", "start", "0"),
    ("sortedset.zrange", "stop", "-1"),
    ("sortedset.zrevrange", "start", "0"),
    ("sortedset.zrevrange", "stop", "-1"),
    ("sortedset.zcount", "min", "-inf"),
    ("sortedset.zcount", "max", "+inf"),
    ("sortedset.zrangebyscore", "min", "-inf"),
    ("sortedset.zrangebyscore", "max", "+inf"),
    ("sortedset.zrangebyscore", "offset", "0"),
    ("sortedset.zrangebyscore", "count", "-1"),
    ("sortedset.zpopmin", "count", "1"),
    ("sortedset.zpopmax", "count", "1"),
    ("geo.geodist", "unit", "m"),
    ("geo.georadius_ro", "unit", "m"),
    ("geo.georadiusbymember_ro", "unit", "m"),
    ("set.spop", "count", "1"),
    ("set.srandmember", "count", "1"),
    ("stream.consume", "from_offset", "0"),
    ("topic.consume", "from_offset", "0"),
    ("script.timed", "timeout_ms", "0"),
    ("script.timed_sha", "timeout_ms", "0"),
];

/// A request that names this input means another command: command, input, the other.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("key.expire", "ttl_ms", "PEXPIRE"),
    ("key.expire", "milliseconds", "PEXPIRE"),
    ("hll.pfadd_each", "ttl_secs", "SYNAP.PFADDEX"),
];

/// Words of `expiry.type`, and the option each stands for.
const EXPIRY_TYPES: &[(&str, &str)] = &[
    ("seconds", "EX"),
    ("milliseconds", "PX"),
    ("unix_seconds", "EXAT"),
    ("unix_milliseconds", "PXAT"),
];

/// The words of the command that `route` serves, and in `context` what its answer depends on.
pub(super) fn words(
    route: &Route,
    id: CommandId,
    inputs: &Inputs<'_>,
    request: &HttpRequest<'_>,
    context: &mut HttpContext,
) -> Result<OwnedWords, HttpError> {
    choose_form(route.shape, inputs, request, context)?;
    let spec = switched(id.spec(), inputs, context);
    if inputs.list().is_some() && !spec.args.iter().any(is_list_of_groups) {
        return Err(NOT_AN_OBJECT);
    }
    let capacity = request.body.len() + request.path.len() + 32;
    let mut writer = Writer { spec, inputs, words: OwnedWords::with_capacity(capacity) };
    for word in spec.resp.split(' ') {
        writer.words.push(word.as_bytes());
    }
    for arg in spec.args {
        writer.argument(arg)?;
    }
    let words = writer.words;
    if route.shape == Shape::Mset {
        context.pairs = (words.len() - spec.words()) / 2;
    }
    let echoed = spec.words()..words.len().min(spec.words() + route.shape.echoes());
    echoed.for_each(|index| context.remember(words.word(index)));
    let is_settled =
        matches!(route.shape, Shape::Queue(queue::Body::Settled | queue::Body::Count("cancelled")));
    if is_settled || route.shape == Shape::Geo(geo::Body::Distance) {
        context.remember(words.word(words.len() - 1));
    }
    Ok(words)
}

fn switched(
    spec: &'static CommandSpec,
    inputs: &Inputs<'_>,
    context: &HttpContext,
) -> &'static CommandSpec {
    let other = if context.full {
        Some("SYNAP.GETFULL")
    } else {
        let named =
            |(id, name, _): &&(&str, &str, &str)| *id == spec.id && inputs.get(name).is_some();
        SWITCHES.iter().find(named).map(|(_, _, other)| *other)
    };
    other.and_then(|name| table::by_name(name.as_bytes())).map_or(spec, CommandId::spec)
}

/// Reads the inputs that shape the answer rather than the command.
fn choose_form(
    shape: Shape,
    inputs: &Inputs<'_>,
    request: &HttpRequest<'_>,
    context: &mut HttpContext,
) -> Result<(), HttpError> {
    match shape {
        Shape::KvGet | Shape::HashGet | Shape::Bare => {
            context.form = match inputs.text("type").as_deref() {
                None | Some("string") => ValueForm::Text,
                Some("bytes") => ValueForm::Numbers,
                Some("base64") => ValueForm::Base64,
                Some("raw") => ValueForm::Raw,
                Some(_) => {
                    return Err(HttpError::bad(
                        "Invalid request: `type` must be string, bytes, base64 or raw",
                    ));
                }
            };
            context.full = shape == Shape::KvGet && wants_full(inputs, request)?;
        }
        Shape::KvSet => {
            context.with_old_value = inputs.flag("get")?;
            context.condition = match (inputs.flag("nx")?, inputs.flag("xx")?) {
                (true, _) => Condition::IfAbsent,
                (_, true) => Condition::IfPresent,
                (false, false) => Condition::None,
            };
        }
        Shape::Topic(_) if inputs.query("data") == Some("bytes") => {
            context.form = ValueForm::Numbers;
        }
        Shape::Queue(body) => context.form = queue::form(body, inputs)?,
        Shape::Sorted(_) => context.with_changed = inputs.flag("ch")?,
        Shape::Keys => {
            if let Some(given) = inputs.get("limit") {
                context.limit = integer("limit", &given)?.parse().map_err(|_| {
                    unexpected("limit", "an integer from 0 on", "a negative or too large one")
                })?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn wants_full(inputs: &Inputs<'_>, request: &HttpRequest<'_>) -> Result<bool, HttpError> {
    const MEDIA_TYPE: &[u8] = b"application/vnd.synap.full+json";
    match inputs.text("format").as_deref() {
        Some("full") => return Ok(true),
        Some("plain") => return Ok(false),
        Some(_) => return Err(HttpError::bad("Invalid request: `format` must be plain or full")),
        None => {}
    }
    let accepted = request.header("accept").is_some_and(|value| {
        let mut parts = value.split(|byte| matches!(byte, b',' | b';'));
        parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE))
    });
    Ok(accepted || inputs.flag("wrapped")?)
}

/// Whether a body that is an array is this argument.
fn is_list_of_groups(arg: &ArgSpec) -> bool {
    arg.repeated && !arg.optional && matches!(arg.kind, ArgKind::Block(_))
}

/// Writes the words of a command.
pub(super) struct Writer<'i, 'a> {
    pub(super) spec: &'static CommandSpec,
    pub(super) inputs: &'i Inputs<'a>,
    pub(super) words: OwnedWords,
}

impl Writer<'_, '_> {
    fn argument(&mut self, arg: &'static ArgSpec) -> Result<(), HttpError> {
        if sorted::argument(self, arg)?
            || geo::argument(self, arg)?
            || pubsub::argument(self, arg)?
            || topics::argument(self, arg)?
        {
            return Ok(());
        }
        if let ArgKind::OneOf(choices) = arg.kind {
            return self.one_of(arg, choices);
        }
        if let ArgKind::Block(parts) = arg.kind {
            return self.block(arg, parts);
        }
        if matches!(arg.kind, ArgKind::Flag) {
            if self.inputs.flag(arg.name)? {
                self.words.push(arg.token.as_bytes());
            }
            return Ok(());
        }
        // Where any value has to stand, `null` is one.
        let given = match arg.kind {
            ArgKind::Bytes if !arg.optional => {
                self.inputs.find(arg.name).map(|given| (arg.name, given))
            }
            _ => None,
        };
        if let Some((name, given)) = given.or_else(|| self.inputs.of(arg.name)) {
            self.token(arg);
            return match arg.repeated {
                true => self.each(arg, name, &given),
                false => self.value(arg, name, &given),
            };
        }
        self.absent(arg)
    }

    /// An argument that is not named as such.
    fn absent(&mut self, arg: &'static ArgSpec) -> Result<(), HttpError> {
        if arg.name == NUMKEYS {
            return self.key_count();
        }
        let default =
            DEFAULTS.iter().find(|(id, name, _)| *id == self.spec.id && *name == arg.name);
        if matches!(arg.kind, ArgKind::Bytes)
            && let Some(given) = self.inputs.get(&format!("{}_base64", arg.name))
        {
            return self.base64(arg, &given);
        }
        if matches!(arg.kind, ArgKind::Pattern)
            && let Some(prefix) = self.inputs.text("prefix")
        {
            self.token(arg);
            self.words.push(&prefix_pattern(&prefix));
            return Ok(());
        }
        // Half a range of bits goes to the end, or begins at the start.
        if self.spec.family == Family::Bitmap && arg.optional {
            match (arg.name, self.inputs.get("end").is_some(), self.inputs.get("start").is_some()) {
                ("start", true, _) => self.words.push(b"0"),
                ("end", _, true) => self.words.push(b"-1"),
                _ => {}
            }
            return Ok(());
        }
        match default {
            Some((_, _, word)) => self.words.push(word.as_bytes()),
            None if arg.optional => {}
            None => return Err(missing(arg.name)),
        }
        Ok(())
    }

    /// Over HTTP nobody counts keys: they are a list of their own.
    fn key_count(&mut self) -> Result<(), HttpError> {
        let count = match self.inputs.of("keys") {
            None => 0,
            Some((_, Given::Json(text))) if Kind::of(text) == Kind::Array => {
                json::array(text).map_err(|_| missing("keys"))?.len()
            }
            Some((_, Given::Text(text))) => text.split(',').count(),
            Some((_, Given::Json(_))) => 1,
        };
        self.words.push(count.to_string().as_bytes());
        Ok(())
    }

    fn token(&mut self, arg: &ArgSpec) {
        if !arg.token.is_empty() {
            self.words.push(arg.token.as_bytes());
        }
    }

    fn base64(&mut self, arg: &ArgSpec, given: &Given<'_>) -> Result<(), HttpError> {
        let text = match given {
            Given::Text(text) => Some(Cow::Borrowed(&**text)),
            Given::Json(text) if Kind::of(text) == Kind::String => json::string(text).ok(),
            Given::Json(_) => None,
        };
        let Some(bytes) = text.and_then(|text| json::base64(&text)) else {
            return Err(unexpected(arg.name, "a string in base64", "something else"));
        };
        self.token(arg);
        self.words.push(&bytes);
        Ok(())
    }

    /// Exactly one alternative. A deadline has forms of its own, and an order of precedence.
    fn one_of(
        &mut self,
        arg: &'static ArgSpec,
        choices: &'static [ArgSpec],
    ) -> Result<(), HttpError> {
        if arg.name == "expiry" && self.expiry(choices)? {
            return Ok(());
        }
        if self.named_choice(arg, choices)? || self.bit_unit(arg) || self.not_before(arg)? {
            return Ok(());
        }
        let mut chosen: Option<&'static ArgSpec> = None;
        for choice in choices {
            let given = match choice.kind {
                ArgKind::Flag => self.inputs.flag(choice.name)?,
                _ => self.inputs.of(choice.name).is_some(),
            };
            if !given {
                continue;
            }
            if let Some(other) = chosen {
                let names = (other.name, choice.name);
                let text =
                    format!("Invalid request: `{}` and `{}` exclude each other", names.0, names.1);
                return Err(HttpError::with(400, text));
            }
            chosen = Some(choice);
        }
        match chosen {
            Some(choice) => self.argument(choice),
            None if arg.optional => Ok(()),
            None => Err(missing(arg.name)),
        }
    }

    /// A choice by its word under the argument's name: `{"operation": "AND"}`.
    fn named_choice(
        &mut self,
        arg: &'static ArgSpec,
        choices: &'static [ArgSpec],
    ) -> Result<bool, HttpError> {
        if arg.name == "expiry" || self.inputs.get(arg.name).is_none() {
            return Ok(false);
        }
        let word = self.inputs.text(arg.name);
        let choice = word.and_then(|word| {
            let flags = choices.iter().filter(|choice| matches!(choice.kind, ArgKind::Flag));
            flags.into_iter().find(|choice| choice.token.eq_ignore_ascii_case(&word))
        });
        let Some(choice) = choice else {
            let words: Vec<&str> = choices.iter().map(|choice| choice.token).collect();
            return Err(unexpected(arg.name, &words.join(" or "), "something else"));
        };
        self.token(arg);
        self.words.push(choice.token.as_bytes());
        Ok(true)
    }

    /// A range of a bitmap counts bits over HTTP, unless the request says otherwise.
    fn bit_unit(&mut self, arg: &ArgSpec) -> bool {
        let applies = arg.name == "unit"
            && self.spec.family == Family::Bitmap
            && (self.inputs.get("start").is_some() || self.inputs.get("end").is_some());
        if applies {
            self.words.push(b"BIT");
        }
        applies
    }

    /// `"before": false` is behind the pivot.
    fn not_before(&mut self, arg: &ArgSpec) -> Result<bool, HttpError> {
        let applies = arg.name == "where"
            && self.inputs.get("before").is_some()
            && !self.inputs.flag("before")?;
        if applies {
            self.words.push(b"AFTER");
        }
        Ok(applies)
    }

    /// `keepttl` before `expiry` before `ttl`. Whether one of them was given.
    fn expiry(&mut self, choices: &'static [ArgSpec]) -> Result<bool, HttpError> {
        let keep = choices.iter().find(|choice| choice.name == "keepttl");
        if let Some(keep) = keep
            && self.inputs.flag(keep.name)?
        {
            self.words.push(keep.token.as_bytes());
            return Ok(true);
        }
        let Some(given) = self.inputs.get("expiry") else { return Ok(false) };
        let Given::Json(text) = given else {
            return Err(unexpected("expiry", "an object", "text"));
        };
        if Kind::of(text) != Kind::Object {
            return Err(unexpected("expiry", "an object", Kind::of(text).name()));
        }
        let members = members(text.as_bytes())?;
        let member = |name: &str| members.iter().rev().find(|(known, _)| known == name);
        let (_, kind) = member("type").ok_or_else(|| missing("expiry.type"))?;
        let (_, value) = member("value").ok_or_else(|| missing("expiry.value"))?;
        let token = (Kind::of(kind) == Kind::String)
            .then(|| json::string(kind).ok())
            .flatten()
            .and_then(|word| EXPIRY_TYPES.iter().find(|(known, _)| *known == word))
            .ok_or_else(|| {
                let known = "seconds, milliseconds, unix_seconds or unix_milliseconds";
                unexpected("expiry.type", known, "something else")
            })?
            .1;
        self.words.push(token.as_bytes());
        self.words.push(positive(value)?.as_bytes());
        Ok(true)
    }

    /// Several values: an array, one value, or in a query a list with commas.
    fn each(
        &mut self,
        arg: &'static ArgSpec,
        name: &str,
        given: &Given<'_>,
    ) -> Result<(), HttpError> {
        match given {
            Given::Json(text) if Kind::of(text) == Kind::Array => {
                let items = json::array(text).map_err(|_| missing(name))?;
                if items.is_empty() && !arg.optional {
                    return Err(unexpected(
                        name,
                        "a list with at least one element",
                        "an empty one",
                    ));
                }
                for item in items {
                    self.value(arg, name, &Given::Json(item))?;
                }
                Ok(())
            }
            Given::Text(text) if !self.inputs.is_in_path(name) => text
                .split(',')
                .try_for_each(|part| self.value(arg, name, &Given::Text(Cow::Borrowed(part)))),
            Given::Text(_) | Given::Json(_) => self.value(arg, name, given),
        }
    }

    /// A group of arguments; one that may repeat is a list of lists or of objects, or an object.
    fn block(&mut self, arg: &'static ArgSpec, parts: &'static [ArgSpec]) -> Result<(), HttpError> {
        if !arg.repeated {
            if arg.optional && parts.iter().all(|part| self.inputs.of(part.name).is_none()) {
                return Ok(());
            }
            self.token(arg);
            return parts.iter().try_for_each(|part| self.argument(part));
        }
        let list = self.inputs.list().filter(|_| is_list_of_groups(arg)).map(Given::Json);
        let text = match list.or_else(|| self.inputs.get(arg.name)) {
            Some(Given::Json(text)) => text,
            Some(Given::Text(_)) => return Err(unexpected(arg.name, "an array or object", "text")),
            None if arg.optional => return Ok(()),
            // Without the member itself, the body is the object.
            None if self.inputs.members().is_empty() => return Err(missing(arg.name)),
            None => return self.map(arg, parts, self.inputs.members()),
        };
        self.token(arg);
        match Kind::of(text) {
            Kind::Object => self.map(arg, parts, &members(text.as_bytes())?),
            Kind::Array => {
                let items = json::array(text).map_err(|_| missing(arg.name))?;
                if items.is_empty() {
                    return Err(unexpected(arg.name, "a list with at least one element", "none"));
                }
                items.into_iter().try_for_each(|item| self.group(arg, parts, item))
            }
            kind => Err(unexpected(arg.name, "an array or object", kind.name())),
        }
    }

    fn map(
        &mut self,
        arg: &ArgSpec,
        parts: &'static [ArgSpec],
        members: &Members<'_>,
    ) -> Result<(), HttpError> {
        let ([name, value], false) = (parts, members.is_empty()) else {
            return Err(unexpected(arg.name, "a list with at least one element", "an object"));
        };
        for (key, text) in members {
            self.value(name, name.name, &Given::Text(Cow::Borrowed(key)))?;
            self.value(value, value.name, &Given::Json(text))?;
        }
        Ok(())
    }

    /// One group of a repeated block: `[k, v]` or `{"key": k, "value": v}`.
    fn group(
        &mut self,
        arg: &ArgSpec,
        parts: &'static [ArgSpec],
        item: &str,
    ) -> Result<(), HttpError> {
        match Kind::of(item) {
            Kind::Array => {
                let values = json::array(item).map_err(|_| missing(arg.name))?;
                if values.len() != parts.len() {
                    let found = format!("{} elements", values.len());
                    let expected = format!("groups of {}", parts.len());
                    return Err(unexpected(arg.name, &expected, &found));
                }
                for (part, value) in parts.iter().zip(values) {
                    self.value(part, part.name, &Given::Json(value))?;
                }
            }
            Kind::Object => {
                let members = members(item.as_bytes())?;
                for part in parts {
                    let named = members.iter().rev().find(|(known, _)| *known == part.name);
                    let (_, value) = named.ok_or_else(|| missing(part.name))?;
                    self.value(part, part.name, &Given::Json(value))?;
                }
            }
            kind => return Err(unexpected(arg.name, "groups as arrays or objects", kind.name())),
        }
        Ok(())
    }

    /// One value as one word.
    pub(super) fn value(
        &mut self,
        arg: &ArgSpec,
        name: &str,
        given: &Given<'_>,
    ) -> Result<(), HttpError> {
        if self.words.len() >= ARGS_MAX {
            return Err(HttpError::bad("Invalid request: too many elements"));
        }
        match arg.kind {
            ArgKind::Key | ArgKind::Name(_) => self.string(name, given, false),
            ArgKind::Pattern => self.string(name, given, true),
            ArgKind::Bytes => self.bytes(name, given),
            ArgKind::Integer => {
                let text = match name {
                    "ttl" | "ttl_ms" => positive(text_of(given))?,
                    _ => integer(name, given)?,
                };
                self.words.push(text.as_bytes());
                Ok(())
            }
            ArgKind::Float => {
                let text = text_of(given);
                if let Given::Json(text) = given
                    && Kind::of(text) != Kind::Number
                {
                    return Err(unexpected(name, "a number", Kind::of(text).name()));
                }
                self.words.push(text.as_bytes());
                Ok(())
            }
            ArgKind::Flag | ArgKind::OneOf(_) | ArgKind::Block(_) => {
                unreachable!("options and groups are taken apart before")
            }
        }
    }

    fn string(&mut self, name: &str, given: &Given<'_>, empty: bool) -> Result<(), HttpError> {
        let text = match given {
            Given::Text(text) => Cow::Borrowed(&**text),
            Given::Json(text) if Kind::of(text) == Kind::String => unescape(name, text)?,
            Given::Json(text) => return Err(unexpected(name, "a string", Kind::of(text).name())),
        };
        if text.is_empty() && !empty {
            return Err(unexpected(name, "a key", "an empty string"));
        }
        self.words.push(text.as_bytes());
        Ok(())
    }

    fn bytes(&mut self, name: &str, given: &Given<'_>) -> Result<(), HttpError> {
        match given {
            Given::Text(text) => self.words.push(text.as_bytes()),
            Given::Json(text) if Kind::of(text) == Kind::String => {
                self.words.push(unescape(name, text)?.as_bytes());
            }
            Given::Json(text)
                if self.spec.family == Family::Queue && queue::is_payload(name, Kind::of(text)) =>
            {
                self.words.push(&queue::payload(name, text)?);
            }
            Given::Json(text) => self.words.push_with(|out| {
                json::compact(text, out);
                Ok::<(), HttpError>(())
            })?,
        }
        Ok(())
    }
}

fn unescape<'t>(name: &str, text: &'t str) -> Result<Cow<'t, str>, HttpError> {
    json::string(text).map_err(|_| unexpected(name, "a string", "one with a broken escape"))
}

fn text_of<'g>(given: &'g Given<'_>) -> &'g str {
    match given {
        Given::Text(text) => text,
        Given::Json(text) => text,
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer<'g>(name: &str, given: &'g Given<'_>) -> Result<&'g str, HttpError> {
    let text = text_of(given);
    if is_integer(text) {
        return Ok(text);
    }
    let found = match given {
        Given::Text(_) => "other text",
        Given::Json(text) if Kind::of(text) == Kind::Number => "a number that is none",
        Given::Json(text) => Kind::of(text).name(),
    };
    Err(unexpected(name, "an integer", found))
}

/// A lifetime or deadline: an integer from 1 on.
fn positive(text: &str) -> Result<&str, HttpError> {
    if is_integer(text) && !text.starts_with('-') && text.bytes().any(|digit| digit != b'0') {
        return Ok(text);
    }
    let shown: String = text.chars().take(40).collect();
    Err(HttpError::with(400, format!("Invalid TTL: expected an integer from 1 on, found {shown}")))
}

/// The glob pattern for keys that begin with `prefix`.
fn prefix_pattern(prefix: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}
