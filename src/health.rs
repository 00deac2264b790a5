//! What the server says about itself over HTTP: health, totals, facts by section. Made from what
//! all cores may look at, so any core can answer without asking another.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};
use synap_shards::command::table;

use crate::audit;
use crate::metrics::{Cell, CoreMetrics, prometheus};
use crate::process;
use crate::protocol::http::route::{Builtin, Component, Section};
use crate::protocol::http::stats::{TYPE_STATS, TypeStats};
use crate::protocol::http::{HttpContext, dss, human_bytes, respond};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::snapshot::Snapshots;

/// What an answer is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// Of the process.
    pub shared: &'f Shared,
    /// Of the core that answers.
    pub settings: &'f Settings,
    /// The time, Unix milliseconds.
    pub now_unix_ms: u64,
}

impl Facts<'_> {
    /// A cell, added up over all cores.
    pub fn sum(&self, cell: impl Fn(&CoreMetrics) -> &Cell) -> u64 {
        self.shared.metrics.iter().map(|core| cell(core).get()).sum()
    }

    /// Seconds since the start.
    pub fn uptime_secs(&self) -> u64 {
        self.now_unix_ms.saturating_sub(self.shared.started_unix_ms) / 1000
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }
}

/// Appends the answer to a request that [`crate::protocol::http::route::route`] left to the
/// server, and returns its status code.
pub fn answer(
    builtin: &Builtin,
    context: &HttpContext,
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) -> u16 {
    let (status, body) = match builtin {
        Builtin::Metrics => {
            respond::write_metrics(context, prometheus::text(facts).as_bytes(), out);
            return 200;
        }
        Builtin::Health => health(facts),
        Builtin::DssHealth => dss::facts::health(facts),
        Builtin::DssMetrics => (200, dss::facts::metrics(facts)),
        Builtin::HealthOf(component) => health_of(*component, facts),
        Builtin::Info(section) => (200, info(*section, facts)),
        Builtin::KvStats => (200, kv_stats(facts)),
        Builtin::Audit(after, most) => (200, audit::show::page(&audit::read(*after, *most))),
        Builtin::TypeStats(index) => (200, type_stats(&TYPE_STATS[*index], facts)),
    };
    respond::write_json(context, status, body.to_string().as_bytes(), out);
    status
}

fn state(facts: &Facts<'_>) -> (u16, &'static str) {
    if facts.is_stopping() { (503, "unhealthy") } else { (200, "healthy") }
}

fn health(facts: &Facts<'_>) -> (u16, Value) {
    let (code, status) = state(facts);
    let persistence = match facts.shared.persistence {
        false => "disabled",
        true if facts.sum(|core| &core.wal_full) > 0 => "disk_full",
        true => "operational",
    };
    let body = json!({
        "status": status,
        "service": "synap",
        "version": env!("CARGO_PKG_VERSION"),
        "role": "standalone",
        "uptime_secs": facts.uptime_secs(),
        "components": {
            "kv_store": "operational",
            "queue_system": "disabled",
            "event_stream": "disabled",
            "pubsub": "disabled",
            "persistence": persistence,
            "replication": "disabled",
        },
    });
    (code, body)
}

fn health_of(component: Component, facts: &Facts<'_>) -> (u16, Value) {
    let (code, status) = state(facts);
    match component {
        Component::Kv => (
            code,
            json!({
                "status": status,
                "component": "kv",
                "keys": facts.sum(|core| &core.keys),
                "memory_bytes": facts.sum(|core| &core.live_bytes),
                "memory_limit_bytes": facts.settings.max_memory_bytes,
                "expired_keys": facts.sum(|core| &core.expired_keys),
                "evicted_keys": facts.sum(|core| &core.evicted_keys),
            }),
        ),
        Component::Persistence => {
            let full = facts.sum(|core| &core.wal_full) > 0;
            let (code, status) = match (facts.shared.persistence, full) {
                (false, _) => (code, "disabled"),
                (true, true) => (503, "disk_full"),
                (true, false) => (code, status),
            };
            let snapshot = facts.shared.snapshots.as_ref().map(snapshot_health);
            (
                code,
                json!({
                    "status": status,
                    "component": "persistence",
                    "fsync_mode": facts.shared.fsync_mode,
                    "log_bytes": facts.shared.log_bytes(),
                    "appends": facts.sum(|core| &core.wal_appends),
                    "fsyncs": facts.sum(|core| &core.wal_fsyncs),
                    "changes_since_snapshot": facts.shared.changes_since_snapshot(),
                    "snapshot": snapshot,
                }),
            )
        }
        Component::Replication => (200, json!({ "role": "standalone", "status": "disabled" })),
    }
}

fn snapshot_health(snapshots: &Snapshots) -> Value {
    let known = &snapshots.facts;
    let taken = known.taken.get() > 0;
    json!({
        "in_progress": snapshots.is_running(),
        "last_status": if known.last_failed.get() == 0 { "ok" } else { "error" },
        "last_unix_secs": taken.then(|| known.last_success_secs.get()),
        "last_duration_ms": known.last_duration_ms.get(),
        "last_size_bytes": known.last_bytes.get(),
        "last_entries": known.last_entries.get(),
        "taken": known.taken.get(),
        "failed": known.failed.get(),
    })
}

/// Calls of the command of this name.
fn calls(facts: &Facts<'_>, name: &str) -> u64 {
    match table::by_name(name.as_bytes()) {
        Some(id) => facts.sum(|core| &core.commands[id.index()].calls),
        None => 0,
    }
}

fn kv_stats(facts: &Facts<'_>) -> Value {
    let (hits, misses) =
        (facts.sum(|core| &core.keyspace_hits), facts.sum(|core| &core.keyspace_misses));
    let lookups = hits + misses;
    let rate = if lookups == 0 { 0.0 } else { hits as f64 / lookups as f64 };
    json!({
        "total_keys": facts.sum(|core| &core.keys),
        "total_memory_bytes": facts.sum(|core| &core.live_bytes),
        "operations": {
            "gets": calls(facts, "GET") + calls(facts, "SYNAP.GETFULL"),
            "sets": calls(facts, "SET"),
            "dels": calls(facts, "DEL") + calls(facts, "UNLINK"),
            "hits": hits,
            "misses": misses,
        },
        "hit_rate": rate,
    })
}

fn type_stats(stats: &TypeStats, facts: &Facts<'_>) -> Value {
    let number = stats.value_type as usize;
    let operations: Map<String, Value> = stats
        .operations
        .iter()
        .map(|name| (format!("{name}_count"), Value::from(calls(facts, name))))
        .collect();
    let mut body = json!({
        stats.keys: facts.sum(|core| &core.types[number].keys),
        stats.elements: facts.sum(|core| &core.types[number].elements),
    });
    let members = body.as_object_mut().expect("it was made as an object");
    if stats.flat {
        members.extend(operations);
    } else {
        members.insert("operations".to_owned(), Value::Object(operations));
    }
    body
}

/// A section, its name, and what writes it.
type SectionOf = (Section, &'static str, fn(&Facts<'_>) -> Value);

fn info(section: Section, facts: &Facts<'_>) -> Value {
    let sections: [SectionOf; 6] = [
        (Section::Server, "server", info_server),
        (Section::Memory, "memory", info_memory),
        (Section::Stats, "stats", info_stats),
        (Section::Replication, "replication", info_replication),
        (Section::Keyspace, "keyspace", info_keyspace),
        (Section::Cluster, "cluster", |_| json!({ "cluster_enabled": 0 })),
    ];
    let mut body = Map::new();
    for (known, name, write) in sections {
        if section == Section::All || section == known {
            body.insert(name.to_owned(), write(facts));
        }
    }
    Value::Object(body)
}

fn info_server(facts: &Facts<'_>) -> Value {
    let uptime = facts.uptime_secs();
    let executable = std::env::current_exe().unwrap_or_default();
    json!({
        "redis_version": "7.4.0",
        "synap_version": env!("CARGO_PKG_VERSION"),
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": env!("CARGO_PKG_VERSION"),
        "redis_mode": "standalone",
        "os": process::system(),
        "arch_bits": usize::BITS,
        "multiplexing_api": "io_uring",
        "process_id": std::process::id(),
        "run_id": facts.shared.run_id,
        "tcp_port": facts.shared.http_address.port(),
        "resp_port": facts.shared.resp_address.map_or(0, |address| address.port()),
        "resp_tls_port": facts.shared.resp_tls_address.map_or(0, |address| address.port()),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86_400,
        "hz": 1000 / facts.settings.expiry_interval_ms.max(1),
        "executable": executable.to_string_lossy(),
        "config_file": facts.shared.config_file,
    })
}

fn info_memory(facts: &Facts<'_>) -> Value {
    let usage = process::usage();
    let used = facts.sum(|core| &core.held_bytes);
    let ratio = if used == 0 { 0.0 } else { usage.rss_bytes as f64 / used as f64 };
    json!({
        "used_memory": used,
        "used_memory_human": human_bytes(used),
        "used_memory_rss": usage.rss_bytes,
        "used_memory_peak": usage.rss_peak_bytes,
        "used_memory_peak_human": human_bytes(usage.rss_peak_bytes),
        "mem_fragmentation_ratio": ratio,
        "mem_allocator": "system",
    })
}

fn info_stats(facts: &Facts<'_>) -> Value {
    let commands: u64 =
        (0..table::count()).map(|index| facts.sum(|core| &core.commands[index].calls)).sum();
    json!({
        "total_commands_processed": commands,
        "instantaneous_ops_per_sec": facts.sum(|core| &core.commands_per_second),
        "total_connections_received": facts.sum(|core| &core.connections_received),
        "keyspace_hits": facts.sum(|core| &core.keyspace_hits),
        "keyspace_misses": facts.sum(|core| &core.keyspace_misses),
        "pubsub_channels": 0,
        "pubsub_patterns": 0,
    })
}

fn info_replication(_: &Facts<'_>) -> Value {
    json!({
        "role": "master",
        "connected_slaves": 0,
        "master_repl_offset": 0,
        "repl_backlog_active": 0,
        "repl_backlog_size": 0,
    })
}

fn info_keyspace(facts: &Facts<'_>) -> Value {
    let keys = facts.sum(|core| &core.keys);
    if keys == 0 {
        return json!({});
    }
    let sampled = facts.sum(|core| &core.sampled_ttl_keys).max(1);
    let average = facts.sum(|core| &core.sampled_ttl_ms) / sampled;
    let expires = facts.sum(|core| &core.volatile_keys);
    json!({ "db0": format!("keys={keys},expires={expires},avg_ttl={average}") })
}
