//! The server's command table as the client knows it: names, syntax, one line each.
//!
//! Guarantees: built from the reply to COMMAND DOCS (RESP3 maps or RESP2 lists of pairs); what has
//! an unknown form is left out, and without any table completion and hints are simply empty.

use crate::resp::Value;

/// Deepest nesting of argument blocks that is rendered.
const MAX_DEPTH: usize = 8;

/// One command or subcommand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// In capitals, a subcommand with its container: `CLIENT INFO`.
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) group: String,
    pub(crate) since: String,
    /// Its arguments, one piece each: `key`, `[NX | XX]`.
    pub(crate) syntax: Vec<String>,
}

/// All commands, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Command>);

impl Table {
    /// Reads the reply to COMMAND DOCS.
    pub(crate) fn from_docs(docs: &Value) -> Self {
        let mut commands = Vec::new();
        for (name, fields) in pairs(docs) {
            collect(&text(name).to_uppercase(), fields, &mut commands);
        }
        commands.sort_by(|a: &Command, b| a.name.cmp(&b.name));
        Self(commands)
    }

    /// The command with this name, in any letter case.
    pub(crate) fn find(&self, name: &str) -> Option<&Command> {
        let name = name.to_uppercase();
        self.0.iter().find(|command| command.name == name)
    }

    /// The commands whose names start with `prefix`, in any letter case.
    pub(crate) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = &Command> {
        let prefix = prefix.to_uppercase();
        self.0.iter().filter(move |command| command.name.starts_with(&prefix))
    }

    /// The longest command name that the words of a line start with, and how many words it has.
    pub(crate) fn of_line(&self, words: &[&str]) -> Option<(&Command, usize)> {
        let two = words.get(..2).and_then(|two| self.find(&two.join(" "))).map(|found| (found, 2));
        two.or_else(|| words.first().and_then(|one| self.find(one)).map(|found| (found, 1)))
    }

    /// What is still to be typed after `line`, empty when nothing is known.
    pub(crate) fn hint(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let Some((command, used)) = self.of_line(&words) else { return String::new() };
        let given = words.len() - used;
        let rest = command.syntax.get(given..).unwrap_or_default().join(" ");
        if rest.is_empty() || line.ends_with(' ') { rest } else { format!(" {rest}") }
    }

    /// The text of HELP without argument: names by group.
    pub(crate) fn overview(&self) -> String {
        let mut groups: Vec<&str> = self.0.iter().map(|command| command.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut out = String::new();
        for group in groups {
            let inside = |command: &&Command| command.group == group;
            let names: Vec<_> = self.0.iter().filter(inside).map(|c| c.name.as_str()).collect();
            out.push_str(&format!("{group}: {}\n", names.join(", ")));
        }
        out.push_str("HELP COMMAND shows one of them; QUIT or EXIT ends the session.");
        out
    }
}

impl Command {
    /// The text of HELP for this command.
    pub(crate) fn help(&self) -> String {
        let syntax = self.syntax.join(" ");
        let gap = if syntax.is_empty() { "" } else { " " };
        let mut out = format!("{}{gap}{syntax}\n  {}", self.name, self.summary);
        if !self.since.is_empty() {
            out.push_str(&format!("\n  group {}, since {}", self.group, self.since));
        }
        out
    }
}

fn collect(name: &str, fields: &Value, commands: &mut Vec<Command>) {
    let mut command = Command { name: name.to_owned(), ..Command::default() };
    for (field, value) in pairs(fields) {
        match text(field).as_str() {
            "summary" => command.summary = text(value),
            "group" => command.group = text(value),
            "since" => command.since = text(value),
            "arguments" => command.syntax = items(value).iter().map(|a| argument(a, 0)).collect(),
            "subcommands" => {
                for (inner, fields) in pairs(value) {
                    let inner = text(inner).to_uppercase().replace('|', " ");
                    let inner = match inner.strip_prefix(name) {
                        Some(_) => inner,
                        None => format!("{name} {inner}"),
                    };
                    // The table has two levels, deeper ones are no commands.
                    if !name.contains(' ') {
                        collect(&inner, fields, commands);
                    }
                }
            }
            _ => {}
        }
    }
    commands.push(command);
}

/// One argument as it is written in a syntax line.
fn argument(value: &Value, depth: usize) -> String {
    let (mut name, mut token, mut kind) = (String::new(), None, String::new());
    let (mut flags, mut inner) = (Vec::new(), Vec::new());
    for (field, value) in pairs(value) {
        match text(field).as_str() {
            "name" if name.is_empty() => name = text(value),
            "display_text" => name = text(value),
            "token" => token = Some(text(value)),
            "type" => kind = text(value),
            "flags" => flags = items(value).iter().map(text).collect(),
            "arguments" if depth < MAX_DEPTH => {
                inner = items(value).iter().map(|value| argument(value, depth + 1)).collect();
            }
            _ => {}
        }
    }
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    let body = match kind.as_str() {
        "oneof" => inner.join(" | "),
        "block" => inner.join(" "),
        "pure-token" => String::new(),
        _ => name,
    };
    let (optional, repeats) = (has("optional"), has("multiple"));
    // An alternative needs a bracket of its own unless the optional one serves.
    let body = match kind.as_str() {
        "oneof" if !optional || token.is_some() => format!("<{body}>"),
        _ => body,
    };
    let mut out = match token.filter(|token| !token.is_empty()) {
        Some(token) if body.is_empty() => token,
        Some(token) => format!("{token} {body}"),
        None => body,
    };
    if repeats {
        out = format!("{out} [{out} ...]");
    }
    if optional { format!("[{out}]") } else { out }
}

/// The entries of a map, or of a list that alternates keys and values.
fn pairs(value: &Value) -> Vec<(&Value, &Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
        Value::Array(items) => items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        _ => Vec::new(),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Status(text) => text.clone(),
        Value::Bulk(bytes) | Value::Verbatim(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(key, value)| (bulk(key), value.clone())).collect())
    }

    fn arg(name: &str, kind: &str, flags: &[&str]) -> Value {
        let flags = flags.iter().map(|flag| Value::Status((*flag).to_owned())).collect();
        map(&[("name", bulk(name)), ("type", bulk(kind)), ("flags", Value::Set(flags))])
    }

    fn table() -> Table {
        let token = |name: &str| {
            map(&[("name", bulk(name)), ("type", bulk("pure-token")), ("token", bulk(name))])
        };
        let condition = map(&[
            ("name", bulk("condition")),
            ("type", bulk("oneof")),
            ("flags", Value::Array(vec![bulk("optional")])),
            ("arguments", Value::Array(vec![token("NX"), token("XX")])),
        ]);
        let set = map(&[
            ("summary", bulk("Writes a key.")),
            ("group", bulk("string")),
            (
                "arguments",
                Value::Array(vec![arg("key", "key", &[]), arg("value", "string", &[]), condition]),
            ),
        ]);
        let info = map(&[("summary", bulk("This connection."))]);
        let client =
            map(&[("group", bulk("server")), ("subcommands", map(&[("client|info", info)]))]);
        let del = map(&[("arguments", Value::Array(vec![arg("key", "key", &["multiple"])]))]);
        Table::from_docs(&map(&[("set", set), ("client", client), ("del", del)]))
    }

    #[test]
    fn syntax_is_rendered() {
        let table = table();
        assert_eq!(table.find("set").unwrap().syntax, ["key", "value", "[NX | XX]"]);
        assert_eq!(table.find("DEL").unwrap().syntax, ["key [key ...]"]);
        assert_eq!(table.find("client info").unwrap().summary, "This connection.");
    }

    #[test]
    fn hints_shrink_as_arguments_are_typed() {
        let table = table();
        assert_eq!(table.hint("set"), " key value [NX | XX]");
        assert_eq!(table.hint("set "), "key value [NX | XX]");
        assert_eq!(table.hint("SET a"), " value [NX | XX]");
        assert_eq!(table.hint("SET a b c d e"), "");
        assert_eq!(table.hint(""), "");
        assert_eq!(table.hint("nosuch "), "");
    }

    #[test]
    fn resp2_lists_of_pairs_are_read_too() {
        let fields = Value::Array(vec![bulk("summary"), bulk("Reads a key.")]);
        let table = Table::from_docs(&Value::Array(vec![bulk("get"), fields]));
        assert_eq!(table.find("GET").unwrap().summary, "Reads a key.");
        assert!(Table::from_docs(&Value::Error("ERR unknown".into())).find("GET").is_none());
    }

    #[test]
    fn names_complete() {
        let names: Vec<_> = table().starting_with("cl").map(|c| c.name.clone()).collect();
        assert_eq!(names, ["CLIENT", "CLIENT INFO"]);
    }
}
