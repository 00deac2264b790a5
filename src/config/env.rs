//! Environment variables: the named ones, the generic `SYNAP_<SECTION>__<KEY>` form, and `${NAME}`
//! inside values of the file.

use super::error::{Origin, WarningKind};
use super::settings::{Layer, Names};
use std::collections::BTreeMap;

/// Variables with a name of their own, and the keys they set.
const NAMED: &[(&str, &str)] = &[
    ("SYNAP_HOST", "server.host"),
    ("SYNAP_PORT", "server.port"),
    ("SYNAP_WORKERS", "server.workers"),
    ("SYNAP_DATA_DIR", "data_dir"),
    ("SYNAP_LOG_LEVEL", "logging.level"),
    ("SYNAP_LOG_FORMAT", "logging.format"),
    ("SYNAP_PERSISTENCE_ENABLED", "persistence.enabled"),
    ("SYNAP_REPLICATION_ROLE", "replication.role"),
    ("SYNAP_ROLE", "replication.role"),
    ("SYNAP_MASTER", "replication.master_address"),
    ("SYNAP_MASTER_ADDRESS", "replication.master_address"),
    ("SYNAP_MASTER_HOST", "replication.master_host"),
    ("SYNAP_MASTER_PORT", "replication.master_port"),
    ("SYNAP_API_KEY", "authentication.api_key"),
    ("SYNAP_AUTH_ENABLED", "authentication.enabled"),
    ("SYNAP_AUTH_REQUIRE_AUTH", "authentication.require_auth"),
    ("SYNAP_AUTH_ROOT_USERNAME", "authentication.default_admin.username"),
    ("SYNAP_AUTH_ROOT_PASSWORD", "authentication.default_admin.password"),
    ("SYNAP_AUTH_ROOT_ENABLED", "authentication.default_admin.enabled"),
    ("SYNAP_AUTH_DEFAULT_KEY_TTL", "authentication.default_key_ttl"),
];

/// Variables that say a role also say that there is replication.
const ROLE_VARIABLES: [&str; 2] = ["SYNAP_ROLE", "SYNAP_REPLICATION_ROLE"];

/// Adds what the environment says to a layer. An empty variable counts as absent.
pub(super) fn load(variables: &BTreeMap<String, String>, names: &Names, layer: &mut Layer<'_>) {
    for (variable, path) in NAMED {
        let Some(text) = variables.get(*variable).filter(|text| !text.is_empty()) else { continue };
        let origin = Origin::Env((*variable).to_owned());
        // Orchestrators describe a service called "synap" with variables of the same name.
        if text.contains("://") {
            layer.warn(origin, path, WarningKind::NotASetting);
            continue;
        }
        layer.set_text(path, text, origin.clone());
        let joins = ["master", "replica"].iter().any(|role| role.eq_ignore_ascii_case(text));
        if ROLE_VARIABLES.contains(variable) && joins {
            layer.set_text("replication.enabled", "true", origin);
        }
    }
    generic(variables, names, layer);
}

fn generic(variables: &BTreeMap<String, String>, names: &Names, layer: &mut Layer<'_>) {
    let by_name: BTreeMap<String, &str> =
        names.all_paths().map(|path| (variable_of(path), path)).collect();
    for (variable, text) in variables {
        let sectioned = variable.strip_prefix("SYNAP_").is_some_and(|rest| rest.contains("__"));
        if !sectioned || text.is_empty() {
            continue;
        }
        let origin = Origin::Env(variable.clone());
        match by_name.get(variable) {
            Some(path) => layer.set_text(path, text, origin),
            None => {
                layer.warn(origin, variable, WarningKind::Unknown { nearest: None });
            }
        }
    }
}

/// `kv_store.max_keys` is `SYNAP_KV_STORE__MAX_KEYS`.
fn variable_of(path: &str) -> String {
    format!("SYNAP_{}", path.replace('.', "__").to_ascii_uppercase())
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${` itself. What a variable holds
/// is not looked into again. An empty variable takes the default, as in a shell.
///
/// # Errors
/// The name of a variable that is not set and has no default.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(kept) = before.strip_suffix('$') {
            out.push_str(kept);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        let Some(end) = from.find('}') else { break };
        out.push_str(before);
        out.push_str(&resolve(&from[2..end], env)?);
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(inner: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    match inner.split_once(":-") {
        Some((name, default)) => {
            Ok(env(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()))
        }
        None => env(inner).ok_or_else(|| inner.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_expand_once() {
        let cases = [
            ("${A}", "alpha"),
            ("x${A}y${A}", "xalphayalpha"),
            ("${B:-beta}", "beta"),
            ("${EMPTY:-beta}", "beta"),
            ("${EMPTY}", ""),
            ("${NESTED}", "${A}"),
            ("$${A}", "${A}"),
            ("$2b$12$abc", "$2b$12$abc"),
            ("${A", "${A"),
            ("${B:-}", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expand("${B}", &env), Err("B".to_owned()));
    }

    #[test]
    fn variable_names_follow_paths() {
        assert_eq!(variable_of("persistence.wal.path"), "SYNAP_PERSISTENCE__WAL__PATH");
    }
}
