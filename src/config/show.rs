//! Writing a configuration out: the effective one for `--show-config`, and the reference file with
//! every key, its meaning, range and default.
//!
//! What is written loads again and means the same, once masked secrets are put back.

use super::Config;
use super::key::{Key, Kind, State};
use super::keys;
use super::settings::{Entry, Names};
use super::value::{Value, expectation};
use std::fmt::Write as _;

/// What stands for a secret.
const MASK: &str = "\"***\"";
/// Width of the text in the reference file.
const WIDTH: usize = 96;

impl Config {
    /// The effective configuration as YAML: every key this build acts on, and every other key
    /// that was set; secrets masked.
    #[must_use]
    pub fn show(&self) -> String {
        let names = Names::new();
        let shown = names.keys.iter().enumerate().filter_map(|(index, key)| {
            let entry = self.settings.get(index);
            let value = effective(key, entry);
            let wanted = (key.state == State::Live || entry.is_some()) && !value.is_empty();
            wanted.then_some((key.path, value))
        });
        let mut out = Tree::default();
        for (path, value) in grouped(shown.collect()) {
            out.line(path, &value, &[]);
        }
        out.text
    }
}

/// A key's value in file form, empty when it has none.
pub(super) fn effective(key: &Key, entry: Option<&Entry>) -> String {
    match (entry, key.default) {
        (Some(_), _) if key.secret => MASK.to_owned(),
        (Some(entry), _) => flow(&entry.value),
        (None, Some(default)) => default_form(key, default),
        (None, None) => String::new(),
    }
}

/// A default in file form, the same as if it had been set.
fn default_form(key: &Key, default: &str) -> String {
    let value = super::value::from_text(key.kind, default);
    value.map_or_else(|_| quoted(default), |value| flow(&value))
}

fn flow(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Text(text) => plain_or_quoted(text),
        Value::List(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Map(object) => {
            let member = |(member, _, value): &(&super::key::Member, usize, Value)| {
                let shown = if member.secret { MASK.to_owned() } else { flow(value) };
                format!("{}: {shown}", member.name)
            };
            format!("{{{}}}", object.members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Text that cannot be taken for anything else stands bare.
fn plain_or_quoted(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.');
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/' || text.starts_with("./"));
    let null = ["null", "Null", "NULL"].contains(&text);
    if starts && !null && text.bytes().all(safe) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.replace("${", "$${").chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The reference file: every key with meaning, range and default. Keys of subsystems that are not
/// in this build stand at the end, commented out.
#[must_use]
pub fn reference() -> String {
    let mut out = Tree { text: HEAD.to_owned(), ..Tree::default() };
    for key in keys::all().filter(|key| key.state == State::Live) {
        let notes = notes(key);
        let default = key.default.map(|default| default_form(key, default));
        match default {
            Some(default) if !key.presence_counts => out.line(key.path, &default, &notes),
            Some(default) => out.comment(key.path, &default, &notes),
            None => out.comment(key.path, "", &notes),
        }
    }
    out.text.push_str(DORMANT_HEAD);
    for key in keys::all().filter(|key| key.state != State::Live) {
        let default =
            key.default.map_or_else(|| "unset".to_owned(), |text| default_form(key, text));
        let state = match key.state {
            State::Refused { .. } => " The server will not start with it on.",
            State::NoEffect(_) => " Never has an effect.",
            State::Dormant | State::Live => "",
        };
        let _infallible = writeln!(out.text, "#   {}", key.path);
        let text = format!("{}{state}{} Default: {default}.", key.doc, range(key));
        wrap(&mut out.text, "#       ", &text);
    }
    out.text
}

const HEAD: &str = "\
# Reference configuration of synap-server: every key, its meaning, range and default.
#
# Generated from the server's own table of keys. Every key is optional. Flags win over environment
# variables, these over this file, this over the defaults. Any key can be set by a variable named
# after its path: kv_store.max_memory_mb is SYNAP_KV_STORE__MAX_MEMORY_MB. Values may use ${NAME}
# and ${NAME:-default}; write $${ for a plain ${. Keys marked [reload] take effect on SIGHUP.

";

const DORMANT_HEAD: &str = "
# ---------------------------------------------------------------------------------------------
# Keys that are checked, so that files for a complete installation load, while this build has no
# such subsystem. Setting one changes nothing, unless it says that the server will not start.
#
";

/// The range as a sentence, where the key's type has one worth saying.
fn range(key: &Key) -> String {
    match key.kind {
        Kind::Int { min, max } => format!(" Range {min}..{max}."),
        Kind::Enum(_) | Kind::Objects(_) => {
            let expected = expectation(key.kind);
            let mut rest = expected.chars();
            let first = rest.next().map(|c| c.to_ascii_uppercase());
            format!(" {}{}.", first.map_or_else(String::new, String::from), rest.as_str())
        }
        Kind::Bool
        | Kind::Text { .. }
        | Kind::Path
        | Kind::Host
        | Kind::HostPort
        | Kind::UrlPath
        | Kind::TextList
        | Kind::CidrList
        | Kind::CpuList => String::new(),
    }
}

fn notes(key: &Key) -> Vec<String> {
    let mut text = format!("{}{}", key.doc, range(key));
    if key.reload {
        text.push_str(" [reload]");
    }
    let mut notes = vec![text];
    if !key.aliases.is_empty() {
        let paths: Vec<&str> = key.aliases.iter().map(|alias| alias.path).collect();
        notes.push(format!("Also: {}.", paths.join(", ")));
    }
    notes
}

fn wrap(out: &mut String, prefix: &str, text: &str) {
    let mut line = String::from(prefix);
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH && line.len() > prefix.len() {
            let _infallible = writeln!(out, "{}", line.trim_end());
            line = String::from(prefix);
        }
        line.push_str(word);
        line.push(' ');
    }
    let _infallible = writeln!(out, "{}", line.trim_end());
}

/// Lines in an order that keeps every section in one piece: each where its first key comes.
fn grouped(mut lines: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let paths: Vec<&'static str> = lines.iter().map(|(path, _)| *path).collect();
    let first = |prefix: &str| paths.iter().position(|path| path.starts_with(prefix));
    lines.sort_by_cached_key(|(path, _)| {
        let dots = path.match_indices('.').map(|(at, _)| first(&path[..=at]));
        dots.chain([first(path)]).collect::<Vec<_>>()
    });
    lines
}

/// YAML under construction: opens sections as paths come by.
#[derive(Default)]
struct Tree {
    text: String,
    open: Vec<&'static str>,
}

impl Tree {
    /// Opens the sections of a path; returns its last member and the indent.
    fn enter(&mut self, path: &'static str) -> (&'static str, String) {
        let mut members: Vec<&'static str> = path.split('.').collect();
        let last = members.pop().unwrap_or(path);
        let shared = self.open.iter().zip(&members).take_while(|(a, b)| a == b).count();
        if shared < members.len() || self.open.len() > shared {
            for (depth, member) in members.iter().enumerate().skip(shared) {
                if depth == 0 && !self.text.is_empty() {
                    self.text.push('\n');
                }
                let _infallible = writeln!(self.text, "{}{member}:", "  ".repeat(depth));
            }
            self.open.clone_from(&members);
        }
        (last, "  ".repeat(members.len()))
    }

    fn line(&mut self, path: &'static str, value: &str, notes: &[String]) {
        let (name, indent) = self.enter(path);
        for note in notes {
            wrap(&mut self.text, &format!("{indent}# "), note);
        }
        let _infallible = writeln!(self.text, "{indent}{name}: {value}");
    }

    /// A key that is left out, ready to be put in.
    fn comment(&mut self, path: &'static str, value: &str, notes: &[String]) {
        let (name, indent) = self.enter(path);
        for note in notes {
            wrap(&mut self.text, &format!("{indent}# "), note);
        }
        let line = format!("{indent}# {name}: {value}");
        let _infallible = writeln!(self.text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_bare_only_when_it_cannot_be_mistaken() {
        assert_eq!(plain_or_quoted("./data/wal"), "./data/wal");
        assert_eq!(plain_or_quoted("0.0.0.0"), "\"0.0.0.0\"");
        assert_eq!(plain_or_quoted("null"), "\"null\"");
        assert_eq!(plain_or_quoted(""), "\"\"");
        assert_eq!(plain_or_quoted("a: b\n\"${x}"), "\"a: b\\n\\\"$${x}\"");
    }
}
