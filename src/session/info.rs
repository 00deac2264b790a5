//! `INFO`: sections of `name:value` lines under the names of Redis.
//!
//! Figures are those of the whole process. A figure that this server does not have is left out
//! unless clients are known to look for it.

use std::fmt::Write;

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table;

use super::client::{Listener, barred_name};
use super::memory::{Usage, ratio};
use super::server::sum;
use super::{Handler, REDIS_VERSION, SessionContext, VERSION};
use crate::metrics::LATENCY_BOUNDS_NS;
use crate::process;
use crate::snapshot::Facts;

pub(super) const HANDLERS: &[(&str, Handler)] = &[("server.info", info)];

/// The lines of a section are appended.
type Section = fn(&SessionContext<'_>, &mut Lines);

/// Name for choosing it, heading, whether it is shown by default, and its lines.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, server),
    ("clients", "Clients", true, clients),
    ("memory", "Memory", true, memory),
    ("persistence", "Persistence", true, persistence),
    ("stats", "Stats", true, stats),
    ("replication", "Replication", true, replication),
    ("cpu", "CPU", true, cpu),
    ("modules", "Modules", true, |_, _| {}),
    ("commandstats", "Commandstats", false, command_stats),
    ("errorstats", "Errorstats", true, error_stats),
    ("latencystats", "Latencystats", false, latency_stats),
    ("cluster", "Cluster", true, cluster),
    ("keyspace", "Keyspace", true, keyspace),
];

fn info(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let wanted = args.rest(Arg(0));
    let asks = |name: &str| wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let all = asks("all") || asks("everything");
    let usual = wanted.is_empty() || asks("default");
    let mut lines = Lines(String::with_capacity(4096));
    for (name, heading, by_default, section) in SECTIONS {
        if all || (usual && *by_default) || asks(name) {
            if !lines.0.is_empty() {
                lines.0.push_str("\r\n");
            }
            lines.0.push_str(&format!("# {heading}\r\n"));
            section(cx, &mut lines);
        }
    }
    Ok(Reply::Text(lines.0))
}

struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a string takes all that is written to it");
    }

    fn add_all(&mut self, pairs: &[(&str, u64)]) {
        pairs.iter().for_each(|(name, value)| self.add(name, value));
    }
}

fn server(cx: &SessionContext<'_>, lines: &mut Lines) {
    let shared = cx.shared;
    let uptime = cx.now.unix_ms.saturating_sub(shared.started_unix_ms) / 1000;
    let mode = match cx.client.listener {
        Listener::RespShard => "cluster",
        Listener::Resp | Listener::Http => "standalone",
    };
    lines.add("redis_version", REDIS_VERSION);
    lines.add("synap_version", VERSION);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("redis_mode", mode);
    lines.add("os", process::system());
    lines.add("arch_bits", usize::BITS);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    lines.add("multiplexing_api", "io_uring");
    lines.add("process_id", std::process::id());
    lines.add("run_id", &shared.run_id);
    // Where there is no plain port, Redis tells that of TLS here.
    let resp_address = shared.resp_address.or(shared.resp_tls_address);
    lines.add("tcp_port", resp_address.map_or(0, |address| address.port()));
    lines.add("http_port", shared.http_address.port());
    lines.add("server_time_usec", cx.now.unix_ms * 1000);
    lines.add("uptime_in_seconds", uptime);
    lines.add("uptime_in_days", uptime / 86_400);
    lines.add("hz", 10);
    lines.add("configured_hz", 10);
    lines.add("lru_clock", (cx.now.unix_ms / 1000) & 0xff_ffff);
    lines.add("config_file", &shared.config_file);
    lines.add("io_threads_active", u8::from(shared.shard_map.cores() > 1));
    lines.add("synap_cores", shared.shard_map.cores());
}

fn clients(cx: &SessionContext<'_>, lines: &mut Lines) {
    let (resp, http) = (
        sum(cx.shared, |core| &core.resp_connections),
        sum(cx.shared, |core| &core.http_connections),
    );
    lines.add_all(&[
        ("connected_clients", resp + http),
        ("resp_clients", resp),
        ("http_clients", http),
        ("cluster_connections", 0),
        ("maxclients", cx.settings.max_connections as u64),
        ("blocked_clients", sum(cx.shared, |core| &core.blocked_clients)),
        ("tracking_clients", sum(cx.shared, |core| &core.tracking_clients)),
    ]);
}

fn memory(cx: &SessionContext<'_>, lines: &mut Lines) {
    let usage = Usage::read(cx.shared);
    let (memory, limit) = (usage.process, cx.settings.max_memory_bytes as u64);
    let sized = |lines: &mut Lines, name: &str, bytes: u64| {
        lines.add(name, bytes);
        lines.add(&format!("{name}_human"), human(bytes));
    };
    sized(lines, "used_memory", usage.live);
    sized(lines, "used_memory_rss", memory.rss_bytes);
    sized(lines, "used_memory_peak", memory.rss_peak_bytes.max(usage.live));
    let of_peak = 100.0 * ratio(memory.rss_bytes, memory.rss_peak_bytes);
    lines.add("used_memory_peak_perc", format_args!("{of_peak:.2}%"));
    lines.add("used_memory_overhead", usage.overhead());
    lines.add("used_memory_dataset", usage.live);
    let of_process = 100.0 * ratio(usage.live, memory.rss_bytes);
    lines.add("used_memory_dataset_perc", format_args!("{of_process:.2}%"));
    lines.add("allocator_allocated", usage.live);
    lines.add("allocator_active", usage.held);
    lines.add("allocator_resident", memory.rss_bytes);
    sized(lines, "total_system_memory", process::machine_bytes());
    sized(lines, "maxmemory", limit);
    lines.add("maxmemory_policy", cx.settings.eviction_policy.name());
    lines.add("allocator_frag_ratio", format_args!("{:.2}", ratio(usage.held, usage.live)));
    lines.add("mem_fragmentation_ratio", format_args!("{:.2}", usage.fragmentation()));
    lines.add("mem_fragmentation_bytes", memory.rss_bytes.saturating_sub(usage.live));
    let (libraries, functions, _) = cx.shared.scripts.library_sizes();
    lines.add("number_of_cached_scripts", cx.shared.scripts.sizes().0);
    lines.add("number_of_functions", functions);
    lines.add("number_of_libraries", libraries);
    lines.add("mem_allocator", "synap-slab");
    lines.add("active_defrag_running", 0);
    lines.add("lazyfree_pending_objects", 0);
}

/// Bytes with a unit of 1024, as Redis writes them.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2}{}", UNITS[unit])
}

fn persistence(cx: &SessionContext<'_>, lines: &mut Lines) {
    let shared = cx.shared;
    lines.add("loading", 0);
    lines.add("async_loading", 0);
    snapshots(cx, lines);
    lines.add("aof_enabled", u8::from(shared.persistence));
    lines.add("aof_rewrite_in_progress", 0);
    lines.add("aof_last_bgrewrite_status", "ok");
    // A log that cannot be written for another reason than a full disk ends the process.
    let full = sum(shared, |core| &core.wal_full) > 0;
    lines.add("aof_last_write_status", if full { "err" } else { "ok" });
    lines.add("aof_current_size", shared.log_bytes());
    lines.add("wal_fsync_mode", shared.fsync_mode);
    lines.add_all(&[
        ("wal_appends", sum(shared, |core| &core.wal_appends)),
        ("wal_bytes", sum(shared, |core| &core.wal_bytes)),
        ("wal_commits", sum(shared, |core| &core.wal_commits)),
        ("wal_fsyncs", sum(shared, |core| &core.wal_fsyncs)),
    ]);
}

/// Snapshots, under the names that Redis has for its own.
fn snapshots(cx: &SessionContext<'_>, lines: &mut Lines) {
    let none = Facts::default();
    let (facts, running) = match &cx.shared.snapshots {
        Some(snapshots) => (&snapshots.facts, snapshots.is_running()),
        None => (&none, false),
    };
    let now_ms = cx.now.unix_ms;
    let began_ms = facts.running_since_ms.get();
    let running_secs = (began_ms > 0).then(|| now_ms.saturating_sub(began_ms) / 1000);
    let took = facts.taken.get() + facts.failed.get() > 0;
    let last_secs = took.then(|| facts.last_duration_ms.get() / 1000);
    let or_never = |secs: Option<u64>| secs.map_or_else(|| "-1".to_owned(), |s| s.to_string());
    let started_secs = cx.shared.started_unix_ms / 1000;
    let keys = if began_ms > 0 { sum(cx.shared, |core| &core.keys) } else { 0 };
    let status = if facts.last_failed.get() == 0 { "ok" } else { "err" };
    lines.add("current_save_keys_processed", facts.entries_done.get());
    lines.add("current_save_keys_total", keys);
    lines.add("rdb_changes_since_last_save", cx.shared.changes_since_snapshot());
    lines.add("rdb_bgsave_in_progress", u8::from(running));
    lines.add("rdb_last_save_time", facts.last_success_secs.get().max(started_secs));
    lines.add("rdb_last_bgsave_status", status);
    lines.add("rdb_last_bgsave_time_sec", or_never(last_secs));
    lines.add("rdb_current_bgsave_time_sec", or_never(running_secs));
    lines.add("rdb_saves", facts.taken.get());
    lines.add("snapshot_failures", facts.failed.get());
    lines.add("snapshot_last_size", facts.last_bytes.get());
    lines.add("snapshot_last_entries", facts.last_entries.get());
}

fn stats(cx: &SessionContext<'_>, lines: &mut Lines) {
    let shared = cx.shared;
    let every = |pick: fn(&crate::metrics::CommandStat) -> u64| -> u64 {
        shared.metrics.iter().flat_map(|core| &core.commands).map(pick).sum()
    };
    let kilobytes = |bytes: u64| bytes as f64 / 1024.0;
    let received = sum(shared, |core| &core.bytes_received_per_second);
    let sent = sum(shared, |core| &core.bytes_sent_per_second);
    lines.add_all(&[
        ("total_connections_received", sum(shared, |core| &core.connections_received)),
        ("total_commands_processed", every(|stat| stat.calls.get())),
        ("instantaneous_ops_per_sec", sum(shared, |core| &core.commands_per_second)),
        ("total_net_input_bytes", sum(shared, |core| &core.bytes_received)),
        ("total_net_output_bytes", sum(shared, |core| &core.bytes_sent)),
    ]);
    lines.add("instantaneous_input_kbps", format_args!("{:.2}", kilobytes(received)));
    lines.add("instantaneous_output_kbps", format_args!("{:.2}", kilobytes(sent)));
    lines.add_all(&[
        ("rejected_connections", sum(shared, |core| &core.connections_refused)),
        ("sync_full", 0),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        ("expired_keys", sum(shared, |core| &core.expired_keys)),
        ("evicted_keys", sum(shared, |core| &core.evicted_keys)),
        ("tracking_total_keys", sum(shared, |core| &core.tracking_keys)),
        ("tracking_total_items", sum(shared, |core| &core.tracking_items)),
        // Every core counts all of them.
        (
            "tracking_total_prefixes",
            shared.metrics.iter().map(|core| core.tracking_prefixes.get()).max().unwrap_or(0),
        ),
        ("keyspace_hits", sum(shared, |core| &core.keyspace_hits)),
        ("keyspace_misses", sum(shared, |core| &core.keyspace_misses)),
        ("pubsub_channels", 0),
        ("pubsub_patterns", 0),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("total_error_replies", every(|stat| stat.failed.get() + stat.rejected.get())),
        ("protocol_errors", sum(shared, |core| &core.protocol_errors)),
        (
            "client_output_buffer_limit_disconnections",
            sum(shared, |core| &core.connections_dropped),
        ),
        ("mesh_forwarded_requests", sum(shared, |core| &core.forwarded)),
        ("mesh_shard_loans", sum(shared, |core| &core.loans)),
        ("transactions", sum(shared, |core| &core.transactions)),
        ("transactions_aborted", sum(shared, |core| &core.transactions_aborted)),
    ]);
}

fn replication(cx: &SessionContext<'_>, lines: &mut Lines) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    lines.add("master_replid", &cx.shared.run_id);
    lines.add("master_replid2", "0".repeat(40));
    lines.add("master_repl_offset", 0);
    lines.add("second_repl_offset", -1);
    lines.add("repl_backlog_active", 0);
}

fn cpu(_: &SessionContext<'_>, lines: &mut Lines) {
    let usage = process::usage();
    let user = usage.cpu_seconds - usage.cpu_system_seconds;
    lines.add("used_cpu_sys", format_args!("{:.6}", usage.cpu_system_seconds));
    lines.add("used_cpu_user", format_args!("{user:.6}"));
}

/// Statistics of one command over all cores, when it was ever asked for.
struct Total {
    name: String,
    calls: u64,
    nanoseconds: u64,
    rejected: u64,
    failed: u64,
    buckets: Vec<u64>,
}

fn totals(cx: &SessionContext<'_>) -> impl Iterator<Item = Total> {
    table::commands().enumerate().filter_map(|(index, spec)| {
        let stats = || cx.shared.metrics.iter().map(|core| &core.commands[index]);
        let mut buckets = vec![0; LATENCY_BOUNDS_NS.len() + 1];
        stats().for_each(|stat| {
            buckets.iter_mut().zip(&stat.buckets).for_each(|(sum, cell)| *sum += cell.get());
        });
        let total = Total {
            name: barred_name(spec.resp),
            calls: stats().map(|stat| stat.calls.get()).sum(),
            nanoseconds: stats().map(|stat| stat.nanoseconds.get()).sum(),
            rejected: stats().map(|stat| stat.rejected.get()).sum(),
            failed: stats().map(|stat| stat.failed.get()).sum(),
            buckets,
        };
        (total.calls + total.rejected > 0).then_some(total)
    })
}

fn command_stats(cx: &SessionContext<'_>, lines: &mut Lines) {
    for total in totals(cx) {
        let usec = total.nanoseconds / 1000;
        let per_call = ratio(total.nanoseconds, total.calls) / 1000.0;
        lines.add(
            &format!("cmdstat_{}", total.name),
            format_args!(
                "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},\
                 failed_calls={}",
                total.calls, total.rejected, total.failed
            ),
        );
    }
}

/// Errors are counted per command, not per code; this is their sum under the general code.
fn error_stats(cx: &SessionContext<'_>, lines: &mut Lines) {
    let errors: u64 = totals(cx).map(|total| total.failed + total.rejected).sum();
    if errors > 0 {
        lines.add("errorstat_ERR", format_args!("count={errors}"));
    }
}

fn latency_stats(cx: &SessionContext<'_>, lines: &mut Lines) {
    for total in totals(cx).filter(|total| total.calls > 0) {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&total, share));
        lines.add(
            &format!("latency_percentiles_usec_{}", total.name),
            format_args!("p50={p50:.3},p99={p99:.3},p99.9={p999:.3}"),
        );
    }
}

/// Upper bound, in microseconds, of the bucket in which the call of this rank lies; of the last
/// bucket its lower bound, because it has no other.
fn percentile(total: &Total, share: f64) -> f64 {
    let rank = (total.calls as f64 * share).ceil() as u64;
    let mut seen = 0;
    let bucket = total.buckets.iter().position(|calls| {
        seen += calls;
        seen >= rank
    });
    let last = LATENCY_BOUNDS_NS.len() - 1;
    LATENCY_BOUNDS_NS[bucket.unwrap_or(last).min(last)] as f64 / 1000.0
}

fn cluster(cx: &SessionContext<'_>, lines: &mut Lines) {
    lines.add("cluster_enabled", u8::from(cx.shared.shard_ports.are_on()));
}

fn keyspace(cx: &SessionContext<'_>, lines: &mut Lines) {
    let shared = cx.shared;
    let (keys, volatile) =
        (sum(shared, |core| &core.keys), sum(shared, |core| &core.volatile_keys));
    let sampled = sum(shared, |core| &core.sampled_ttl_keys);
    let average = sum(shared, |core| &core.sampled_ttl_ms).checked_div(sampled).unwrap_or(0);
    if keys > 0 {
        lines.add("db0", format_args!("keys={keys},expires={volatile},avg_ttl={average}"));
    }
}
