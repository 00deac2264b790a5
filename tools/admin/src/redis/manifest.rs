//! The manifest of an append-only directory (Redis 7): which files make up the log, in order.
//!
//! A line is pairs of name and value, `file NAME seq N type b|i|h`: the base, what was appended
//! since, and history that no longer counts. Names with blanks are quoted.

use std::path::{Component, Path, PathBuf};

/// Bytes of a manifest.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// Why a manifest cannot be used; the text of the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine(pub(crate) String);

/// The files of the log, base first, in `directory`.
pub(crate) fn files(text: &str, directory: &Path) -> Result<Vec<PathBuf>, BadLine> {
    let mut base = None;
    let mut appended: Vec<(u64, PathBuf)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let bad = || BadLine(line.to_owned());
        let words = words(line).ok_or_else(bad)?;
        let field = |name: &str| {
            words.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
        };
        let file = field("file").filter(|file| is_plain(file)).ok_or_else(bad)?;
        let number: u64 = field("seq").and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        match field("type") {
            Some("b") if base.is_none() => base = Some(directory.join(file)),
            Some("i") => appended.push((number, directory.join(file))),
            Some("h") => {}
            Some(_) | None => return Err(bad()),
        }
    }
    appended.sort();
    Ok(base.into_iter().chain(appended.into_iter().map(|(_, path)| path)).collect())
}

/// Whether a name is that of a file in the directory itself.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_and_appended_come_in_order() {
        let text = "file a.aof.2.incr.aof seq 10 type i\nfile a.aof.1.base.rdb seq 1 type b\n\
            file \"a b.aof\" seq 9 type i\nfile old seq 0 type h\n";
        let found = files(text, Path::new("/d")).unwrap();
        let expected = ["/d/a.aof.1.base.rdb", "/d/a b.aof", "/d/a.aof.2.incr.aof"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn strange_lines_are_refused() {
        for bad in ["file ../x seq 1 type b", "file x seq 1 type z", "file x type b", "seq 1"] {
            assert_eq!(files(bad, Path::new("/d")), Err(BadLine(bad.to_owned())));
        }
    }
}
