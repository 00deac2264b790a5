//! A command that is declared is in a table: otherwise it compiles, is tested, and nobody can call
//! it. A declaration that others are based on need not be.

use super::{Findings, Source};

const TABLE: &str = "COMMANDS: &[&CommandSpec] =";

pub(super) fn check(sources: &[Source], findings: &mut Findings) {
    let core: Vec<&Source> =
        sources.iter().filter(|s| s.path.starts_with("shards/src/") && s.is_rust()).collect();
    let mut listed: Vec<String> = Vec::new();
    for source in &core {
        let tables = source.text.split(TABLE).skip(1);
        for entry in tables.filter_map(|rest| rest.split(';').next()).flat_map(|t| t.split(',')) {
            let path = entry.trim().trim_matches(['&', '[', ']', ' ', '\n']);
            listed.push(path.rsplit("::").next().unwrap_or_default().trim().to_owned());
        }
    }
    for source in &core {
        for line in source.product_lines().filter(|line| line.contains(": CommandSpec =")) {
            let name = line.split(':').next().unwrap_or_default();
            let name = name.rsplit(' ').next().unwrap_or_default();
            let is_base = core.iter().any(|source| source.text.contains(&format!("..{name}\n")));
            if !is_base && !listed.iter().any(|listed| listed == name) {
                findings.error(format!("{}: {name} is in no COMMANDS table", source.path));
            }
        }
    }
}
