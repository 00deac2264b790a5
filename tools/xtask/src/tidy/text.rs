//! Rules about lines: width, length of files, the word at the top, words that must not stand, and
//! names that a folder must not use.

use super::{Findings, Source};

const WIDTH_MAX: usize = 100;
const LINES_AIM: usize = 600;
const LINES_MAX: usize = 1000;

/// Words that must not stand anywhere; written in two parts, so that this file may hold them.
const FORBIDDEN: [(&str, &str); 9] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("todo", "!("),
    ("unimplemented", "!("),
    ("dbg", "!("),
    ("#[ign", "ore"),
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
];

/// Names that files below a folder must not use, and why.
const NOT_BELOW: [(&str, &[&str], &str); 2] = [
    (
        "shards/src/",
        &[
            "std::fs",
            "std::net",
            "std::thread",
            "std::env",
            "std::process",
            "std::io",
            "std::time",
            "SystemTime",
            "Instant",
            "HashMap::new",
            "HashSet::new",
            "getrandom",
        ],
        "the core is pure",
    ),
    ("src/protocol/", &["synap_io"], "protocols know bytes, not sockets"),
];

/// Where unsafe code may be: in `io`, in the module that lays out entries, and, as words, here.
const UNSAFE_IN: [&str; 3] = ["io/", "shards/src/shard/entry.rs", "tools/xtask/src/tidy/text.rs"];

pub(super) fn check(source: &Source, findings: &mut Findings) {
    let path = &source.path;
    for (first, second) in FORBIDDEN {
        let word = format!("{first}{second}");
        for (at, _) in source.text.lines().enumerate().filter(|(_, line)| line.contains(&word)) {
            findings.error(format!("{path}:{}: {word} must not stand here", at + 1));
        }
    }
    if !source.is_rust() {
        return;
    }
    if !source.text.starts_with("//!") {
        findings.error(format!("{path}: does not begin with what the file is (//!)"));
    }
    for (at, line) in source.text.lines().enumerate() {
        let width = line.chars().count();
        // Raw strings cannot be broken, and rustfmt lets the brace of a signature hang over.
        let excused = line.contains("r#\"") || (width == WIDTH_MAX + 1 && line.ends_with('{'));
        if width > WIDTH_MAX && !excused {
            findings.error(format!("{path}:{}: {width} columns, {WIDTH_MAX} at most", at + 1));
        }
    }
    let lines = source.product_lines().count();
    if lines > LINES_MAX {
        findings.error(format!("{path}: {lines} lines without tests, {LINES_MAX} at most"));
    } else if lines > LINES_AIM {
        findings.warn(format!("{path}: {lines} lines without tests, aim at {LINES_AIM}"));
    }
    check_names(source, findings);
}

fn check_names(source: &Source, findings: &mut Findings) {
    let path = &source.path;
    for (at, line) in source.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (folder, names, why) in NOT_BELOW.iter().filter(|rule| path.starts_with(rule.0)) {
            for name in names.iter().filter(|name| code.contains(**name)) {
                findings.error(format!("{path}:{}: {name} below {folder}: {why}", at + 1));
            }
        }
        if is_unsafe(code) && !UNSAFE_IN.iter().any(|place| path.starts_with(place)) {
            findings.error(format!("{path}:{}: unsafe code where none may be", at + 1));
        }
    }
}

fn is_unsafe(code: &str) -> bool {
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "unsafe("]
        .iter()
        .any(|form| code.contains(form))
}
