//! Rules about packages, over `cargo metadata` without a network: who may depend on whom, which
//! runtimes may come near the product, licences, and a reason for every dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Findings;

/// Runtimes that only tools and tests may use.
const FOREIGN_RUNTIMES: [&str; 4] = ["tokio", "async-std", "mio", "smol"];
/// The runtime that only `synap-io` may name.
const OWN_RUNTIME: [&str; 2] = ["glommio", "glommio-ng"];
/// Packages that are the product.
const PRODUCT: [&str; 4] = ["synap", "synap-io", "synap-shards", "synap-replication"];
/// For packages of ours: which other packages of ours they may use, tests included.
const OURS_ALLOWED: [(&str, &[&str]); 4] = [
    ("synap-shards", &[]),
    ("synap-replication", &["synap-shards"]),
    ("synap-io", &["synap-shards"]),
    ("sim", &["synap-shards", "synap-replication"]),
];
const LICENCES: [&str; 15] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "MPL-2.0",
    "MPL-2.0+",
];

type Packages<'a> = BTreeMap<&'a str, &'a Value>;

pub(super) fn check(root: &Path, findings: &mut Findings) {
    let metadata = match metadata(root) {
        Ok(metadata) => metadata,
        Err(message) => return findings.error(format!("cargo metadata: {message}")),
    };
    let packages: Packages<'_> =
        list(&metadata, "packages").map(|package| (text(package, "id"), package)).collect();
    let members: BTreeSet<&str> =
        list(&metadata, "workspace_members").filter_map(Value::as_str).collect();
    for package in members.iter().filter_map(|id| packages.get(id)) {
        check_member(package, findings);
    }
    check_reach(&metadata, &packages, findings);
    for package in packages.values().filter(|p| !members.contains(text(p, "id"))) {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        if !is_allowed(licence) {
            findings.error(format!("{name}: its licence {licence:?} is not on the list"));
        }
    }
}

fn metadata(root: &Path) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// The rules for what a package of ours names in its manifest.
fn check_member(package: &Value, findings: &mut Findings) {
    let name = text(package, "name");
    let manifest = Path::new(text(package, "manifest_path"));
    // The root package explains itself beside its sources.
    let places = ["README.md", "src/README.md"].map(|place| manifest.with_file_name(place));
    let texts: Vec<String> =
        places.iter().filter_map(|place| std::fs::read_to_string(place).ok()).collect();
    let readme = (!texts.is_empty()).then(|| texts.concat());
    let ours = OURS_ALLOWED.iter().find(|(ours, _)| *ours == name);
    for dependency in list(package, "dependencies") {
        let used = text(dependency, "name");
        if OWN_RUNTIME.contains(&used) && name != "synap-io" {
            findings.error(format!("{name} names {used}; only synap-io may"));
        }
        let is_ours = dependency["path"].is_string();
        if let Some((_, allowed)) = ours.filter(|_| is_ours && used != name)
            && !allowed.contains(&used)
        {
            findings.error(format!("{name} must not depend on {used}"));
        }
        if name == "sim" && !is_ours {
            findings.error(format!("sim depends on nothing but the core, not on {used}"));
        }
        let reasoned = readme.as_ref().is_none_or(|text| explains(text, used));
        if !is_ours && !reasoned {
            findings.error(format!("the README of {name} says nothing of `{used}`: what for?"));
        }
    }
}

/// Whether a README has a line on a dependency: a row of a table that begins with it, or its name
/// as code.
fn explains(readme: &str, used: &str) -> bool {
    readme.contains(&format!("`{used}`"))
        || readme.lines().filter_map(|line| line.strip_prefix("| ")).any(|row| {
            let first = row.split('|').next().unwrap_or_default();
            first.split([' ', ',']).any(|word| word == used)
        })
}

/// Nothing that the product is built with may bring a foreign runtime in.
fn check_reach(metadata: &Value, packages: &Packages<'_>, findings: &mut Findings) {
    let nodes: Packages<'_> =
        list(&metadata["resolve"], "nodes").map(|node| (text(node, "id"), node)).collect();
    let is_product =
        |id: &&str| packages.get(id).is_some_and(|p| PRODUCT.contains(&text(p, "name")));
    let mut todo: Vec<&str> = nodes.keys().copied().filter(is_product).collect();
    let mut seen: BTreeSet<&str> = todo.iter().copied().collect();
    while let Some(id) = todo.pop() {
        let name = packages.get(id).map_or("", |package| text(package, "name"));
        if FOREIGN_RUNTIMES.contains(&name) {
            findings.error(format!("the product reaches {name}; only tools and tests may"));
        }
        let Some(node) = nodes.get(id) else { continue };
        for dependency in list(node, "deps") {
            let is_dev = list(dependency, "dep_kinds").all(|kind| text(kind, "kind") == "dev");
            let used = text(dependency, "pkg");
            if !is_dev && seen.insert(used) {
                todo.push(used);
            }
        }
    }
}

/// Whether a licence expression can be met with licences of the list.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    expression.split(" AND ").all(|group| {
        let group = group.trim_matches(['(', ')', ' ']);
        group.split(" OR ").any(|licence| {
            let licence = licence.trim_matches(['(', ')', ' ']);
            let plain = licence.split(" WITH ").next().unwrap_or_default();
            LICENCES.contains(&plain)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_read() {
        for good in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR X) AND Unicode-3.0"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "", "MIT AND GPL-3.0"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
