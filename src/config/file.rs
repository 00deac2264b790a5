//! The configuration file: finding it, reading it within a bound, matching its tree to the table.

use super::error::{ConfigError, Origin, WarningKind};
use super::keys::{FOREIGN_SECTIONS, SECTION_ALIASES};
use super::settings::{Layer, Names};
use super::yaml::{self, Content, Node};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where a file is looked for when none is named.
const USUAL_PLACES: [&str; 2] = ["config.yml", "/etc/synap/config.yml"];

/// The file to read: the one named, else the first of the usual places that exists.
///
/// # Errors
/// [`ConfigError::Missing`] when one was named and is not there.
pub(super) fn locate(named: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
    match named {
        Some(path) if path.exists() => Ok(Some(path.to_owned())),
        Some(path) => Err(ConfigError::Missing { path: path.to_owned() }),
        None => Ok(USUAL_PLACES.iter().map(PathBuf::from).find(|path| path.exists())),
    }
}

/// The text of a file.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::TooLarge`].
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let path = path.to_owned();
        return Err(ConfigError::TooLarge { path, expected_bytes_max: FILE_BYTES_MAX });
    }
    Ok(text)
}

/// Adds what a file's text says to a layer.
pub(super) fn load(text: &str, names: &Names, layer: &mut Layer<'_>) {
    match yaml::parse(text) {
        Ok(None) => {}
        Ok(Some(root)) if root.is_null() => {}
        Ok(Some(Node { content: Content::Map(members), .. })) => {
            for (name, child) in &members {
                section(name, child, names, layer);
            }
        }
        Ok(Some(node)) => layer.errors.push(ConfigError::Syntax {
            line: node.line,
            what: "expected sections such as `server:`".to_owned(),
        }),
        Err(error) => layer.errors.push(error),
    }
}

fn section(name: &str, node: &Node, names: &Names, layer: &mut Layer<'_>) {
    if let Some((_, why)) = FOREIGN_SECTIONS.iter().find(|(foreign, _)| *foreign == name) {
        let origin = Origin::File { line: node.line };
        return layer.warn(origin, name, WarningKind::NoEffect(why));
    }
    let canonical = SECTION_ALIASES.iter().find(|(alias, _)| *alias == name);
    let path = canonical.map_or(name, |(_, path)| path);
    walk(path, node, names, layer);
}

fn walk(path: &str, node: &Node, names: &Names, layer: &mut Layer<'_>) {
    let is_map = matches!(node.content, Content::Map(_));
    let is_section = names.is_section(path);
    match (names.find(path), &node.content) {
        (Some((index, scale)), _) if !(is_section && is_map) => {
            if !node.is_null() {
                layer.set_node(path, index, scale, node);
            }
        }
        (_, Content::Map(members)) if is_section => {
            for (name, child) in members {
                walk(&format!("{path}.{name}"), child, names, layer);
            }
        }
        (_, Content::Map(_) | Content::List(_) | Content::Scalar { .. }) if is_section => {
            if !node.is_null() {
                let known: Vec<&str> = names.below(path).collect();
                layer.errors.push(ConfigError::Invalid {
                    origin: Origin::File { line: node.line },
                    key: path.to_owned(),
                    expected: format!("a section with keys such as `{}`", known[0]),
                    found: if is_map { "a mapping" } else { "a plain value or list" }.to_owned(),
                });
            }
        }
        (_, Content::Map(_) | Content::List(_) | Content::Scalar { .. }) => {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let kind = WarningKind::Unknown { nearest: nearest(name, names.below(parent)) };
            layer.warn(Origin::File { line: node.line }, path, kind);
        }
    }
}

/// The candidate closest to a name, if it is close enough to be what was meant.
pub(super) fn nearest(
    name: &str,
    candidates: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let allowed = (name.len() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits from one name to the other: a byte more, less or different, or two neighbours swapped.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 0..from.len() {
        let mut row = vec![i + 1];
        for j in 0..to.len() {
            let replaced = last[j] + usize::from(from[i] != to[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i] == to[j - 1] && from[i - 1] == to[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = || ["max_memory_mb", "max_keys", "host", "port"].into_iter();
        assert_eq!(nearest("max_memmory_mb", known()), Some("max_memory_mb"));
        assert_eq!(nearest("prt", known()), Some("port"));
        assert_eq!(nearest("prot", known()), Some("port"));
        assert_eq!(nearest("completely_else", known()), None);
        assert_eq!(nearest(&"x".repeat(10_000), known()), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("same", "same"), 0);
    }
}
