//! Which files the rules look at.

use std::fs;
use std::path::Path;

/// A file of text.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path below the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", ".git", "data", "node_modules"];
const EXTENSIONS: [&str; 8] = ["rs", "toml", "md", "yml", "yaml", "sh", "js", "service"];
/// Files without such an extension that the rules are for.
const NAMES: [&str; 1] = ["run"];

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|part| part == "tests") || name == "tests.rs"
    }

    /// Its lines up to its test module.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = &str> {
        let mut previous = "";
        self.text.lines().take_while(move |line| {
            let begins_tests = previous == "#[cfg(test)]" && line.starts_with("mod tests");
            previous = line;
            !begins_tests
        })
    }
}

/// Every file of text below `root`, in order of their paths.
pub(crate) fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("the folder was just seen");
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_ref()) {
                collect(root, &path, found);
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let wanted = match extension {
            Some(extension) => EXTENSIONS.contains(&extension),
            None => NAMES.contains(&name.as_ref()),
        };
        if let (true, Ok(text)) = (wanted, fs::read_to_string(&path)) {
            let below = path.strip_prefix(root).expect("it was found below the root");
            found.push(Source { path: below.to_string_lossy().replace('\\', "/"), text });
        }
    }
}
