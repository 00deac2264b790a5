//! The environment of distributed-sync-system's containers, so that one of its compose files or
//! manifests starts this server in place of a node. It counts only where `NODE_TYPE` names one of
//! its services: the other names are too common to be taken from any environment. The variables
//! of this server win over it.

use std::collections::BTreeMap;

use super::error::Origin;
use super::settings::Layer;

/// `NODE_TYPE`, the key of its port, and the port of its first node.
const SERVICES: [(&str, &str, &str); 3] = [
    ("queue", "dss.queue_port", "9000"),
    ("lock_manager", "dss.lock_port", "8080"),
    ("cache", "dss.cache_port", "7000"),
];

/// Variables that set a key as they are.
const SAME: &[(&str, &str)] = &[
    ("NODE_ID", "dss.node_id"),
    ("NODE_HOST", "dss.host"),
    ("LOG_FILE", "logging.output"),
    ("QUEUE_PERSISTENCE", "persistence.enabled"),
    ("ENABLE_AUTH", "authentication.enabled"),
    ("ENABLE_TLS", "dss.tls_enabled"),
    ("TLS_CERT", "server.tls.cert_path"),
    ("TLS_KEY", "server.tls.key_path"),
    ("ENABLE_METRICS", "monitoring.enabled"),
];

/// Adds what that environment says to a layer. An empty variable counts as absent.
pub(super) fn load(variables: &BTreeMap<String, String>, layer: &mut Layer<'_>) {
    let get = |name: &str| variables.get(name).filter(|text| !text.is_empty());
    let origin = |name: &str| Origin::Env(name.to_owned());
    let node_type = get("NODE_TYPE").map_or("", String::as_str);
    let Some((_, port, usual)) = SERVICES.iter().find(|(name, ..)| *name == node_type) else {
        return;
    };
    match get("API_PORT") {
        Some(given) => layer.set_text(port, given, origin("API_PORT")),
        None => layer.set_text(port, usual, origin("NODE_TYPE")),
    }
    for (name, key) in SAME {
        if let Some(text) = get(name) {
            layer.set_text(key, text, origin(name));
        }
    }
    if let Some(level) = get("LOG_LEVEL") {
        let level = level.to_ascii_lowercase();
        let level = if level == "warning" { "warn" } else { &level };
        layer.set_text("logging.level", level, origin("LOG_LEVEL"));
    }
    if let Some(peers) = get("PEER_NODES") {
        let peers = others(peers, get("NODE_ID").map_or("node_0", String::as_str));
        if !peers.is_empty() {
            layer.set_text("dss.peer_nodes", &peers.join(","), origin("PEER_NODES"));
        }
    }
}

/// The nodes of a list but for this one, which manifests with one list for all nodes name too.
fn others<'p>(peers: &'p str, own: &str) -> Vec<&'p str> {
    let is_own = |peer: &str| peer.split(':').next() == Some(own);
    let peers = peers.split(',').map(str::trim);
    peers.filter(|peer| !peer.is_empty() && !is_own(peer)).collect()
}
