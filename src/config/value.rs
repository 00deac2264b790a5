//! Values: from the text of a file, variable or flag to something checked against a [`Kind`].
//!
//! A failure says what was expected and what was found; the caller knows where. Secrets are masked
//! by the caller, which knows the key.

use super::key::{Kind, Member};
use super::yaml::{Content, Node};
use crate::cidr::Cidr;
use std::fmt;
use std::net::IpAddr;

/// Entries of one list value.
const LIST_LEN_MAX: usize = 10_000;
/// CPUs a system can have by any count; keeps `0-4000000000` from becoming a list.
const CPU_MAX: u64 = 8191;

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// Whole number.
    Int(u64),
    /// Text; canonical name for an enum.
    Text(String),
    /// List.
    List(Vec<Self>),
    /// Members that were present.
    Map(Object),
}

/// A mapping: its members in the order of their declaration, and where it and they are. Two that
/// hold the same are equal wherever they are.
#[derive(Debug, Clone)]
pub struct Object {
    /// Line where it starts, from 1.
    pub line: usize,
    /// Members with their lines.
    pub members: Vec<(&'static Member, usize, Value)>,
}

impl Object {
    /// A member that was present.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(member, ..)| member.name == name).map(|(.., value)| value)
    }

    /// The line of a member; of the mapping where it is absent.
    #[must_use]
    pub fn line_of(&self, name: &str) -> usize {
        let found = self.members.iter().find(|(member, ..)| member.name == name);
        found.map_or(self.line, |(_, line, _)| *line)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        let same = |((a, _, x), (b, _, y)): (&(_, _, Value), &(_, _, Value))| a == b && x == y;
        self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(same)
    }
}

impl Eq for Object {}

/// Why a text is not a value of its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Path below the key, such as `[2].name`; empty for the key itself.
    pub(super) below: String,
    /// Line of the offending node, where it is below the key.
    pub(super) line: Option<usize>,
    /// What would have been right.
    pub(super) expected: String,
    /// What was there.
    pub(super) found: String,
    /// The offending member is secret.
    pub(super) secret: bool,
}

impl Mismatch {
    fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self { below: String::new(), line: None, expected, found, secret: false }
    }

    fn under(mut self, step: &str, line: usize) -> Self {
        self.below = format!("{step}{}", self.below);
        self.line.get_or_insert(line);
        self
    }
}

/// A name below a key that its declaration does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray {
    /// Path below the key.
    pub(super) below: String,
    /// Where.
    pub(super) line: usize,
    /// The nearest declared member.
    pub(super) nearest: Option<&'static str>,
}

/// The value a node holds; names no member declares are added to `strays`.
pub(super) fn from_node(
    kind: Kind,
    node: &Node,
    strays: &mut Vec<Stray>,
) -> Result<Value, Mismatch> {
    match (kind, &node.content) {
        (Kind::Objects(members), Content::List(items)) => {
            let object = |(index, item): (usize, &Node)| {
                let step = format!("[{index}]");
                from_map(members, item, &step, strays).map_err(|m| m.under(&step, item.line))
            };
            bounded(items.len())?;
            Ok(Value::List(items.iter().enumerate().map(object).collect::<Result<_, _>>()?))
        }
        (Kind::TextList | Kind::CidrList | Kind::CpuList, Content::List(items)) => {
            bounded(items.len())?;
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let Content::Scalar { text, .. } = &item.content else {
                    let found = Mismatch::new("plain text", shape(item));
                    return Err(found.under(&format!("[{index}]"), item.line));
                };
                let value = scalar(element(kind), text);
                list.push(value.map_err(|m| m.under(&format!("[{index}]"), item.line))?);
            }
            Ok(Value::List(list))
        }
        (_, Content::Scalar { text, .. }) => from_text(kind, text),
        (_, Content::List(_) | Content::Map(_)) => {
            Err(Mismatch::new(expectation(kind), shape(node)))
        }
    }
}

/// The value a text holds; lists are separated by commas.
pub(super) fn from_text(kind: Kind, text: &str) -> Result<Value, Mismatch> {
    match kind {
        Kind::CpuList => cpu_ranges(text),
        Kind::TextList | Kind::CidrList => {
            let items: Vec<&str> =
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            bounded(items.len())?;
            let list = items.into_iter().map(|item| scalar(element(kind), item));
            Ok(Value::List(list.collect::<Result<_, _>>()?))
        }
        Kind::Bool
        | Kind::Int { .. }
        | Kind::Text { .. }
        | Kind::Path
        | Kind::Host
        | Kind::HostPort
        | Kind::UrlPath
        | Kind::Enum(_)
        | Kind::Objects(_) => scalar(kind, text),
    }
}

fn bounded(len: usize) -> Result<(), Mismatch> {
    if len <= LIST_LEN_MAX {
        return Ok(());
    }
    Err(Mismatch::new(format!("at most {LIST_LEN_MAX} entries"), len.to_string()))
}

fn from_map(
    members: &'static [Member],
    node: &Node,
    step: &str,
    strays: &mut Vec<Stray>,
) -> Result<Value, Mismatch> {
    let Content::Map(given) = &node.content else {
        return Err(Mismatch::new("a mapping", shape(node)));
    };
    for (name, child) in given {
        if !members.iter().any(|member| member.name == name) {
            let nearest = super::file::nearest(name, members.iter().map(|member| member.name));
            strays.push(Stray { below: format!("{step}.{name}"), line: child.line, nearest });
        }
    }
    let mut values = Vec::new();
    for member in members {
        let found = given.iter().find(|(name, child)| name == member.name && !child.is_null());
        let Some((_, child)) = found else {
            if member.required {
                return Err(Mismatch::new(format!("a member `{}`", member.name), "none"));
            }
            continue;
        };
        let below = format!("{step}.{}", member.name);
        let mut inner = Vec::new();
        let value = from_node(member.kind, child, &mut inner).map_err(|mut mismatch| {
            mismatch.secret |= member.secret;
            mismatch.under(&format!(".{}", member.name), child.line)
        })?;
        strays.extend(
            inner
                .into_iter()
                .map(|stray| Stray { below: format!("{below}{}", stray.below), ..stray }),
        );
        values.push((member, child.line, value));
    }
    Ok(Value::Map(Object { line: node.line, members: values }))
}

const fn element(list: Kind) -> Kind {
    match list {
        Kind::CpuList => Kind::Int { min: 0, max: CPU_MAX },
        Kind::CidrList
        | Kind::TextList
        | Kind::Bool
        | Kind::Int { .. }
        | Kind::Text { .. }
        | Kind::Path
        | Kind::Host
        | Kind::HostPort
        | Kind::UrlPath
        | Kind::Enum(_)
        | Kind::Objects(_) => list,
    }
}

fn scalar(kind: Kind, text: &str) -> Result<Value, Mismatch> {
    let mismatch = || Mismatch::new(expectation(kind), format!("`{}`", excerpt(text)));
    let when = |good: bool| if good { Ok(Value::Text(text.to_owned())) } else { Err(mismatch()) };
    match kind {
        Kind::Bool => boolean(text).map(Value::Bool).ok_or_else(mismatch),
        Kind::Int { min, max } => match whole(text) {
            Some(number) if (min..=max).contains(&number) => Ok(Value::Int(number)),
            Some(_) | None => Err(mismatch()),
        },
        Kind::Text { min, max } => when((min..=max).contains(&text.len()) && !text.contains('\0')),
        Kind::TextList => when(!text.is_empty() && text.len() <= 4096),
        Kind::Path => when(!text.is_empty() && text.len() < 4096 && !text.contains('\0')),
        Kind::Host => when(is_host(text)),
        Kind::HostPort => when(is_host_port(text)),
        Kind::UrlPath => when(is_url_path(text)),
        Kind::CidrList => when(Cidr::parse(text).is_some()),
        Kind::Enum(rows) => {
            let known = |name: &&str| name.eq_ignore_ascii_case(text);
            let row = rows.iter().find(|row| row.iter().any(known));
            row.map(|row| Value::Text(row[0].to_owned())).ok_or_else(mismatch)
        }
        Kind::CpuList | Kind::Objects(_) => Err(mismatch()),
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    if is(&["true", "yes", "on", "1"]) {
        Some(true)
    } else if is(&["false", "no", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    bare.parse::<IpAddr>().is_ok()
        || (!text.is_empty() && text.len() <= 253 && text.bytes().all(label))
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') || !host.contains(':');
    bracketed && is_host(host) && whole(port).is_some_and(|port| (1..=65_535).contains(&port))
}

fn is_url_path(text: &str) -> bool {
    text.len() > 1
        && text.len() <= 256
        && text.starts_with('/')
        && !text.ends_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

fn cpu_ranges(text: &str) -> Result<Value, Mismatch> {
    let mismatch = || Mismatch::new(expectation(Kind::CpuList), format!("`{}`", excerpt(text)));
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let low = whole(low.trim()).ok_or_else(mismatch)?;
        let high = whole(high.trim()).ok_or_else(mismatch)?;
        if low > high || high > CPU_MAX || cpus.len() > LIST_LEN_MAX {
            return Err(mismatch());
        }
        cpus.extend((low..=high).map(Value::Int));
    }
    Ok(Value::List(cpus))
}

/// What a kind accepts, for messages and the reference file.
pub(super) fn expectation(kind: Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Text { min, max } => format!("text of {min} to {max} bytes"),
        Kind::Path => "a path".to_owned(),
        Kind::Host => "an IP address or host name".to_owned(),
        Kind::HostPort => "host:port".to_owned(),
        Kind::UrlPath => "a URL path such as /name, without a slash at the end".to_owned(),
        Kind::Enum(rows) => {
            let names: Vec<String> = rows.iter().map(|row| row.join(" = ")).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::TextList => "a list of texts".to_owned(),
        Kind::CidrList => "a list of IP addresses or CIDR blocks".to_owned(),
        Kind::CpuList => "a list of CPU numbers, or text such as \"0-3,8\"".to_owned(),
        Kind::Objects(members) => {
            let names: Vec<&str> = members.iter().map(|member| member.name).collect();
            format!("a list of mappings of {}", names.join(", "))
        }
    }
}

fn shape(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, .. } => format!("`{}`", excerpt(text)),
        Content::List(items) => format!("a list of {}", items.len()),
        Content::Map(members) => format!("a mapping of {}", members.len()),
    }
}

/// The first characters of a text, for messages.
fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut start: String = text.chars().take(CHARS_MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start.replace(char::is_control, "?")
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text}"),
            Self::List(items) => write!(f, "{} entries", items.len()),
            Self::Map(object) => write!(f, "{} members", object.members.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Result<Value, Mismatch> {
        from_text(Kind::Int { min: 1, max: 9 }, text)
    }

    #[test]
    fn numbers_are_digits_in_range() {
        assert_eq!(int("7"), Ok(Value::Int(7)));
        for bad in ["0", "10", "-1", "+7", "7.0", "", "99999999999999999999", "seven"] {
            let mismatch = int(bad).expect_err("refused");
            assert_eq!(mismatch.expected, "a whole number from 1 to 9");
            assert_eq!(mismatch.found, format!("`{bad}`"));
        }
    }

    #[test]
    fn enum_names_ignore_case_and_become_canonical() {
        const NAMES: Kind = Kind::Enum(&[&["lru", "allkeys-lru"], &["none"]]);
        assert_eq!(from_text(NAMES, "AllKeys-LRU"), Ok(Value::Text("lru".to_owned())));
        let mismatch = from_text(NAMES, "mru").expect_err("refused");
        assert_eq!(mismatch.expected, "one of lru = allkeys-lru, none");
    }

    #[test]
    fn cpu_lists_take_ranges() {
        let cpus = [0, 1, 2, 3, 8].map(Value::Int).to_vec();
        assert_eq!(from_text(Kind::CpuList, "0-3, 8"), Ok(Value::List(cpus)));
        for bad in ["3-0", "a", "0-", "", "0-4000000000", "0--1"] {
            assert!(from_text(Kind::CpuList, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for good in ["127.0.0.1:1", "master:15501", "[::1]:80", "a-b.c_d:65535"] {
            assert!(from_text(Kind::HostPort, good).is_ok(), "{good}");
        }
        for bad in ["master", ":1", "host:0", "host:65536", "::1:80", "a b:1"] {
            assert!(from_text(Kind::HostPort, bad).is_err(), "{bad}");
        }
    }
}
