//! The values of all keys with where each came from: layers laid over the defaults.
//!
//! A layer is one source (file, environment, flags). Laying a later one over replaces values;
//! within one layer a key may be given once, under whichever of its names.

use super::error::{ConfigError, Origin, Warning, WarningKind};
use super::key::{Key, Kind, State};
use super::keys;
use super::value::{Mismatch, Stray, Value, from_node, from_text};
use super::yaml::{Content, Node};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A key's place in the table.
pub(super) type Index = usize;

/// Every accepted path, to its key and the factor of its unit.
pub(super) struct Names {
    paths: HashMap<&'static str, (Index, u64)>,
    /// Every key, in table order.
    pub(super) keys: Vec<&'static Key>,
}

impl Names {
    /// Built from the table.
    pub(super) fn new() -> Self {
        let keys: Vec<&'static Key> = keys::all().collect();
        let mut paths = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            paths.insert(key.path, (index, 1));
            for alias in key.aliases {
                paths.insert(alias.path, (index, alias.scale));
            }
        }
        Self { paths, keys }
    }

    /// The key of a path, and the factor from the path's unit to the key's.
    pub(super) fn find(&self, path: &str) -> Option<(Index, u64)> {
        self.paths.get(path).copied()
    }

    /// Some key's path starts with these members.
    pub(super) fn is_section(&self, path: &str) -> bool {
        self.paths.keys().any(|known| is_below(known, path))
    }

    /// Names directly below a section (`""` is the root).
    pub(super) fn below<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        self.paths.keys().filter_map(move |known| {
            let rest = match section {
                "" => *known,
                _ if is_below(known, section) => known.get(section.len() + 1..)?,
                _ => return None,
            };
            rest.split('.').next()
        })
    }

    /// Every accepted path.
    pub(super) fn all_paths(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.paths.keys().copied()
    }
}

fn is_below(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// A value and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Checked against its key.
    pub(super) value: Value,
    /// Its source.
    pub(super) origin: Origin,
}

/// The values set over the defaults, by key index.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    entries: BTreeMap<Index, Entry>,
}

impl fmt::Debug for Settings {
    /// Says how many, never what: secrets are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({} set)", self.entries.len())
    }
}

impl Settings {
    /// What was set for a key, defaults not included.
    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(&index)
    }

    /// What was set, in table order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Index, &Entry)> {
        self.entries.iter().map(|(index, entry)| (*index, entry))
    }

    /// Sets or clears one key.
    pub(super) fn replace(&mut self, index: Index, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.entries.insert(index, entry),
            None => self.entries.remove(&index),
        };
    }

    /// Lays a layer over this one.
    pub(super) fn overlay(&mut self, layer: Self) {
        self.entries.extend(layer.entries);
    }
}

/// One source while it is read.
pub(super) struct Layer<'a> {
    names: &'a Names,
    env: &'a dyn Fn(&str) -> Option<String>,
    settings: Settings,
    /// Errors so far; reading goes on to find them all.
    pub(super) errors: Vec<ConfigError>,
    /// Warnings so far.
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Layer<'a> {
    /// An empty layer; `env` resolves `${NAME}`.
    pub(super) fn new(names: &'a Names, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let (errors, warnings) = (Vec::new(), Vec::new());
        Self { names, env, settings: Settings::default(), errors, warnings }
    }

    /// The values, warnings and errors collected.
    pub(super) fn finish(self) -> (Settings, Vec<Warning>, Vec<ConfigError>) {
        (self.settings, self.warnings, self.errors)
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, origin: Origin, key: &str, kind: WarningKind) {
        self.warnings.push(Warning { origin, key: key.to_owned(), kind });
    }

    /// Takes the text of a variable or flag.
    pub(super) fn set_text(&mut self, path: &str, text: &str, origin: Origin) {
        let Some((index, scale)) = self.names.find(path) else {
            let kind = WarningKind::Unknown { nearest: None };
            return self.warn(origin, path, kind);
        };
        let value = from_text(self.names.keys[index].kind, text);
        self.store(index, scale, path, value, origin);
    }

    /// Takes a node of the file.
    pub(super) fn set_node(&mut self, path: &str, index: Index, scale: u64, node: &Node) {
        let origin = Origin::File { line: node.line };
        let mut node = node.clone();
        if let Err(variable) = self.substitute(&mut node) {
            let key = path.to_owned();
            return self.errors.push(ConfigError::Unset { origin, key, variable });
        }
        let mut strays = Vec::new();
        let value = from_node(self.names.keys[index].kind, &node, &mut strays);
        for Stray { below, line, nearest } in strays {
            let kind = WarningKind::Unknown { nearest };
            self.warn(Origin::File { line }, &format!("{path}{below}"), kind);
        }
        self.store(index, scale, path, value, origin);
    }

    fn substitute(&self, node: &mut Node) -> Result<(), String> {
        match &mut node.content {
            Content::Scalar { text, .. } => {
                if text.contains("${") {
                    *text = super::env::expand(text, self.env)?;
                }
                Ok(())
            }
            Content::List(items) => items.iter_mut().try_for_each(|item| self.substitute(item)),
            Content::Map(members) => {
                members.iter_mut().try_for_each(|(_, child)| self.substitute(child))
            }
        }
    }

    fn store(
        &mut self,
        index: Index,
        scale: u64,
        path: &str,
        value: Result<Value, Mismatch>,
        origin: Origin,
    ) {
        let key = self.names.keys[index];
        let value = match value.and_then(|value| rescale(key, value, scale)) {
            Ok(value) => value,
            Err(mismatch) => return self.errors.push(invalid(key, path, mismatch, origin)),
        };
        if let State::NoEffect(why) = key.state {
            self.warn(origin.clone(), path, WarningKind::NoEffect(why));
        }
        if let Some(first) = self.settings.entries.get(&index) {
            if first.value != value {
                let with = format!("contradicts {}, which sets `{}`", first.origin, key.path);
                let key = path.to_owned();
                self.errors.push(ConfigError::Conflict { origin, key, with });
            }
            return;
        }
        self.settings.entries.insert(index, Entry { value, origin });
    }
}

fn rescale(key: &Key, value: Value, scale: u64) -> Result<Value, Mismatch> {
    match (value, key.kind) {
        (Value::Int(number), Kind::Int { max, .. }) if scale != 1 => {
            let scaled = number.saturating_mul(scale);
            if scaled <= max {
                return Ok(Value::Int(scaled));
            }
            let expected = format!("a whole number up to {}", max / scale);
            let (below, found) = (String::new(), format!("`{number}`"));
            Err(Mismatch { below, line: None, expected, found, secret: false })
        }
        (value, _) => Ok(value),
    }
}

fn invalid(key: &Key, path: &str, mismatch: Mismatch, origin: Origin) -> ConfigError {
    let origin = match (origin, mismatch.line) {
        (Origin::File { .. }, Some(line)) => Origin::File { line },
        (origin, _) => origin,
    };
    let found =
        if key.secret || mismatch.secret { "a masked value".into() } else { mismatch.found };
    let key = format!("{path}{}", mismatch.below);
    ConfigError::Invalid { origin, key, expected: mismatch.expected, found }
}
