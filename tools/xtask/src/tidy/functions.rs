//! Functions of product code are at most 70 lines. The source is formatted by rustfmt, so a
//! function ends at the closing brace that stands under its first word.

use super::{Findings, Source};

const LINES_MAX: usize = 70;

/// Functions that were longer when the rule came, with their lines then. They may only shrink.
const RATCHET: [(&str, &str, usize); 0] = [];

pub(super) fn check(source: &Source, findings: &mut Findings) {
    if !source.is_rust() || source.is_test() {
        return;
    }
    let lines: Vec<&str> = source.product_lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let is_end = |line: &&str| *line == end || (line.starts_with(indent) && ends_early(line));
        let Some(length) = lines[at..].iter().position(is_end) else { continue };
        let length = length + 1;
        let known = RATCHET.iter().find(|(path, f, _)| *path == source.path && *f == name);
        let allowed = known.map_or(LINES_MAX, |(_, _, lines)| *lines);
        if length > allowed {
            let (path, line) = (&source.path, at + 1);
            findings.error(format!("{path}:{line}: {name} has {length} lines, {allowed} at most"));
        }
    }
}

/// Whether a declaration ends on this line, without a body or with one on a line of its own.
fn ends_early(line: &str) -> bool {
    let is_declaration = function_name(line).is_some() || line.trim_start().starts_with(')');
    is_declaration && (line.ends_with(';') || line.ends_with("{}") || line.ends_with(" }"))
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    loop {
        let (word, rest) = words.split_once(' ')?;
        match word {
            "fn" => return rest.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" => words = rest,
            _ if word.starts_with("pub(") => words = rest,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(lines: usize) -> usize {
        let body = "    work();\n".repeat(lines);
        let text =
            format!("//! x\npub(crate) fn long<T>(\n    a: T,\n) {{\n{body}}}\nfn b() {{}}\n");
        let mut findings = Findings::default();
        check(&Source { path: "a/b.rs".to_owned(), text }, &mut findings);
        findings.errors.len()
    }

    #[test]
    fn long_functions_are_found() {
        assert_eq!(lengths(LINES_MAX - 4), 0);
        assert_eq!(lengths(LINES_MAX - 3), 1);
        assert_eq!(function_name("    pub(super) const fn a<'s>(x: u8)"), Some("a"));
        assert_eq!(function_name("let f = fn_of(x);"), None);
    }
}
