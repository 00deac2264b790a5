//! Health, totals, sections and metrics, from the counters of several cores.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use synap::config::ShardPorts;
use synap::health::{Facts, answer};
use synap::metrics::CoreMetrics;
use synap::metrics::registry::FAMILIES;
use synap::protocol::http::decode::{Decoded, HttpDecoder};
use synap::protocol::http::route::{HttpOptions, Routed, route};
use synap::settings::Settings;
use synap::shared::Shared;
use synap::transactions::HttpTransactions;
use synap_shards::command::table;
use synap_shards::key::ShardMap;
use synap_shards::pubsub::Limits;
use synap_shards::shard::evict::EvictionPolicy;

fn settings() -> Settings {
    Settings {
        max_memory_bytes: 4096,
        max_keys: 0,
        eviction_policy: EvictionPolicy::AllKeysLru,
        eviction_sample_size: 5,
        lfu_log_factor: 10,
        lfu_decay_minutes: 1,
        expiry_interval_ms: 100,
        queues: true,
        max_queues: 10_000,
        streams: true,
        max_rooms: 10_000,
        subscriptions: Limits { names: 1_000, subscribers: 1_000, patterns: 1_000 },
        allow_flush_commands: false,
        read_only: false,
        thresholds: synap_shards::types::Thresholds::default(),
        notices: 0,
        tracking_keys_max: 1_000_000,
        script_time_limit_ms: 5000,
        script_memory_bytes: 1 << 26,
        max_value_bytes: 1024,
        slowlog_threshold_us: 10_000,
        slowlog_max_entries: 128,
        latency_threshold_ms: 0,
        idle_timeout_secs: 0,
        request_timeout_secs: 30,
        max_connections: 100,
        max_connections_per_address: 0,
        output_limits: synap::limits::OutputLimits::new(1024),
        write_timeout_secs: 60,
        query_buffer_bytes_max: 1024,
        http_body_bytes_max: 1024,
        rate: None,
        trusted_proxies: [].into(),
    }
}

fn shared() -> Shared {
    Shared {
        started_unix_ms: 1_000,
        run_id: "a".repeat(40),
        config_file: String::new(),
        data_directory: PathBuf::from("data"),
        http_address: ([127, 0, 0, 1], 15500).into(),
        resp_address: None,
        http_is_tls: false,
        https_address: None,
        resp_tls_address: None,
        dss_queue_address: None,
        shard_ports: ShardPorts::default(),
        shard_map: ShardMap::new(2),
        persistence: true,
        fsync_mode: "always",
        http: HttpOptions::default(),
        stopping: AtomicBool::new(false),
        hurry: AtomicBool::new(false),
        drained: AtomicUsize::new(0),
        logs_full: AtomicUsize::new(0),
        snapshots: None,
        cold: None,
        authority: synap::auth::Authority::off(),
        buckets: synap::limits::Buckets::default(),
        addresses: synap::limits::Addresses::default(),
        alive: synap::alive::Alive::new(2),
        transactions: HttpTransactions::default(),
        mailboxes: synap::mailboxes::Mailboxes::default(),
        acl_log_hidden: std::sync::atomic::AtomicU64::new(0),
        captures: synap::captures::Captures::new(1),
        scripts: Arc::default(),
        topics: Arc::default(),
        script_gauges: vec![Arc::default(), Arc::default()],
        metrics: vec![CoreMetrics::default(), CoreMetrics::default()],
    }
}

fn get(shared: &Shared, path: &str) -> (u16, String) {
    let settings = settings();
    let facts = Facts { shared, settings: &settings, now_unix_ms: 91_000 };
    let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let Decoded::Request(request) = HttpDecoder::new().decode(text.as_bytes(), 0) else {
        panic!("a request")
    };
    let Routed::Builtin { builtin, context } = route(&request, &HttpOptions::default()) else {
        panic!("{path} is not the server's own")
    };
    let mut out = Vec::new();
    let status = answer(&builtin, &context, &facts, &mut out);
    let text = String::from_utf8(out).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")));
    (status, body.to_owned())
}

fn json(shared: &Shared, path: &str) -> (u16, Value) {
    let (status, body) = get(shared, path);
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[test]
fn health_follows_the_process() {
    let shared = shared();
    let (status, body) = json(&shared, "/health");
    assert_eq!(
        (status, &body["status"], &body["service"]),
        (200, &"healthy".into(), &"synap".into())
    );
    assert_eq!(body["uptime_secs"], 90);
    assert_eq!(json(&shared, "/health/persistence").1["fsync_mode"], "always");
    assert_eq!(json(&shared, "/health/replication").1["status"], "disabled");
    shared.stopping.store(true, Ordering::Relaxed);
    let (status, body) = json(&shared, "/health");
    assert_eq!((status, &body["status"]), (503, &"unhealthy".into()));
    assert_eq!(json(&shared, "/health/kv").0, 503);
}

#[test]
fn totals_are_sums_over_cores() {
    let shared = shared();
    let set = table::by_name(b"SET").expect("a command").index();
    for core in &shared.metrics {
        core.keys.set(3);
        core.live_bytes.set(100);
        core.keyspace_hits.add(3);
        core.keyspace_misses.add(1);
        core.commands[set].record(1_500, false);
    }
    let (_, body) = json(&shared, "/kv/stats");
    assert_eq!((&body["total_keys"], &body["total_memory_bytes"]), (&6.into(), &200.into()));
    assert_eq!((&body["operations"]["sets"], &body["hit_rate"]), (&2.into(), &0.75.into()));
    let (_, info) = json(&shared, "/info");
    assert_eq!(info["keyspace"]["db0"], "keys=6,expires=0,avg_ttl=0");
    assert_eq!(info["server"]["tcp_port"], 15500);
    assert_eq!(info["stats"]["total_commands_processed"], 2);
    let (_, memory) = json(&shared, "/info?section=memory");
    assert_eq!(memory.as_object().expect("an object").len(), 1);
}

/// Every line is a comment or `name{labels} number`.
fn assert_text_format(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let bare = name.split('{').next().expect("a name");
        assert!(bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        assert_eq!(name.contains('{'), name.ends_with('}'), "{line}");
    }
}

#[test]
fn metrics_are_prometheus_text_with_every_family() {
    let shared = shared();
    let (_, empty) = get(&shared, "/metrics");
    assert_text_format(&empty);
    for family in FAMILIES {
        assert!(empty.contains(&format!("# HELP {} ", family.name)), "{}", family.name);
        assert!(empty.contains(&format!("# TYPE {} {}\n", family.name, family.kind.name())));
    }
    let index = |name: &[u8]| table::by_name(name).expect("a command").index();
    let core = &shared.metrics[1];
    core.commands[index(b"GET")].record(3_000, false);
    core.commands[index(b"GET")].record(30_000, false);
    core.commands[index(b"GET")].missed.add(1);
    core.commands[index(b"DEL")].record(1, true);
    core.keys.set(7);
    core.live_bytes.set(42);
    core.routes[0].record(404, 2_000_000);
    core.routes[0].record(418, 2_000_000);
    core.wal_appends.add(9);
    core.wal_groups.add(2);
    core.wal_fsyncs.add(2);
    core.wal_fsync_buckets[5].add(2);
    core.wal_fsync_nanoseconds.add(3_000_000);
    let (_, text) = get(&shared, "/metrics");
    assert_text_format(&text);
    for line in [
        "synap_kv_operations_total{operation=\"get\",status=\"ok\"} 1",
        "synap_kv_operations_total{operation=\"get\",status=\"miss\"} 1",
        "synap_kv_operations_total{operation=\"delete\",status=\"error\"} 1",
        "synap_kv_operation_duration_seconds_bucket{operation=\"get\",le=\"0.0000025\"} 0",
        "synap_kv_operation_duration_seconds_bucket{operation=\"get\",le=\"0.000005\"} 1",
        "synap_kv_operation_duration_seconds_bucket{operation=\"get\",le=\"+Inf\"} 2",
        "synap_kv_operation_duration_seconds_count{operation=\"get\"} 2",
        "synap_kv_keys_total{shard=\"1\"} 7",
        "synap_kv_memory_bytes{type=\"used\"} 42",
        "synap_kv_memory_limit_bytes 4096",
        "synap_http_requests_total{method=\"other\",path=\"unmatched\",status=\"404\"} 1",
        "synap_http_requests_total{method=\"other\",path=\"unmatched\",status=\"other\"} 1",
        "synap_wal_batch_size_bucket{le=\"+Inf\"} 2",
        "synap_wal_batch_size_sum 9",
        "synap_wal_batch_size_count 2",
        "synap_wal_fsync_duration_seconds_bucket{le=\"0.000512\"} 0",
        "synap_wal_fsync_duration_seconds_bucket{le=\"0.001024\"} 2",
        "synap_wal_fsync_duration_seconds_sum 0.003",
        "synap_wal_fsync_duration_seconds_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line}");
    }
}
