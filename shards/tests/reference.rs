//! `COMMANDS.md` is made of the table of commands, and this test holds it to that.
//! `REWRITE=1 cargo test -p synap-shards --test reference` writes it anew.

use std::path::Path;

use synap_shards::command::spec::{Access, Atomicity, CommandSpec, Family, Flags};
use synap_shards::command::table::commands;
use synap_shards::command::usage::usage;

const PREFACE: &str = "# Commands

Made of the command table; do not edit. `REWRITE=1 cargo test -p synap-shards --test reference`
writes it anew. Square brackets mean optional, angle brackets a choice that has to be made.
";

fn access(spec: &CommandSpec) -> &'static str {
    match spec.access {
        Access::Open => "open",
        Access::Read => "read",
        Access::Write => "write",
        Access::Admin => "admin",
    }
}

fn atomicity(spec: &CommandSpec) -> &'static str {
    match spec.atomicity {
        Atomicity::Single => "atomic",
        Atomicity::PerKey(_) => "atomic per key",
        Atomicity::Whole => "atomic over all keys",
    }
}

fn entry(spec: &CommandSpec) -> String {
    let mut out = format!("\n### {}\n\n```\n{}\n```\n\n", spec.resp, usage(spec));
    out += &format!("{}.\n\n", spec.summary);
    let memory =
        if spec.flags.has(Flags::DENY_OOM) { ", refused when memory is short" } else { "" };
    let (access, atomicity, since) = (access(spec), atomicity(spec), spec.since);
    out += &format!("{}; {access}, {atomicity}{memory}; since {since}\n", spec.complexity);
    if !spec.http.is_empty() {
        out.push('\n');
    }
    for route in spec.http {
        out += &format!("- `{} {}`\n", route.method.name(), route.path);
    }
    out
}

fn reference() -> String {
    let mut families: Vec<Family> = commands().map(|spec| spec.family).collect();
    families.sort_unstable();
    families.dedup();
    let mut out = PREFACE.to_owned();
    for family in families {
        out += &format!("\n## {}\n", family.name());
        commands().filter(|spec| spec.family == family).for_each(|spec| out += &entry(spec));
    }
    out
}

#[test]
fn the_reference_is_made_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMMANDS.md");
    let made = reference();
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &made).expect("the reference can be written");
    }
    let found = std::fs::read_to_string(&path).expect("the reference is there");
    for (number, (line, expected)) in found.lines().zip(made.lines()).enumerate() {
        assert_eq!(line, expected, "COMMANDS.md, line {}; see the head of this test", number + 1);
    }
    assert_eq!(found.len(), made.len(), "COMMANDS.md ends too early or too late");
}
