//! Every metric family that is exported: name, type, help and labels. A family stands here once;
//! [`super::prometheus`] writes them in this order, those without samples too.

/// Types of the text format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket, with a sum.
    Histogram,
}

impl Kind {
    /// The word behind `# TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// Name, with its unit at the end.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// One line for people.
    pub help: &'static str,
    /// Label names in the order they are written.
    pub labels: &'static [&'static str],
}

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind, help, labels }
}

use Kind::{Counter, Gauge, Histogram};

/// Version and role; always 1.
pub const BUILD_INFO: Family =
    family("synap_build_info", Gauge, &["version", "role"], "Version and role of this server");
/// Seconds since the start.
pub const UPTIME: Family =
    family("synap_uptime_seconds", Gauge, &[], "Seconds since the server started");
/// Ready messages of each queue.
pub const QUEUE_DEPTH: Family =
    family("synap_queue_depth", Gauge, &["queue"], "Messages that are ready, by queue");
/// Dead letters of each queue.
pub const QUEUE_DEAD: Family =
    family("synap_queue_dlq_messages", Gauge, &["queue"], "Dead letters now, by queue");
/// Messages of each queue that consumers have.
pub const QUEUE_PENDING: Family = family(
    "synap_queue_pending_messages",
    Gauge,
    &["queue"],
    "Messages with consumers now, by queue",
);
/// What queues have counted since they were created.
pub const QUEUE_OPERATIONS: Family = family(
    "synap_queue_operations_total",
    Counter,
    &["queue", "operation", "status"],
    "Messages published, delivered, acknowledged, given back and dead-lettered, by queue",
);
/// Durations of commands on queues.
pub const QUEUE_DURATION: Family = family(
    "synap_queue_operation_duration_seconds",
    Histogram,
    &["queue", "operation"],
    "Time to carry a queue operation out, over all queues; waiting is not counted",
);
/// Ready messages of each queue of the queue service of distributed-sync-system.
pub const DSS_QUEUE_DEPTH: Family =
    family("dss_queue_depth", Gauge, &["queue"], "Messages that are ready, by queue");
/// Messages of each of them that consumers have.
pub const DSS_IN_FLIGHT: Family = family(
    "dss_in_flight_messages",
    Gauge,
    &["queue"],
    "Messages that consumers have and have not acknowledged, by queue",
);
/// Dead letters of each of them.
pub const DSS_DEAD: Family =
    family("dss_dead_letters", Gauge, &["queue"], "Dead letters now, by queue");
/// What they have counted since they were created.
pub const DSS_OPERATIONS: Family = family(
    "dss_operations_total",
    Counter,
    &["queue", "operation"],
    "Messages enqueued, dequeued, acknowledged and dead-lettered, by queue",
);
/// Durations of adding a message.
pub const DSS_ENQUEUE_LATENCY: Family =
    family("dss_enqueue_latency_seconds", Histogram, &[], "Time to carry an enqueue out");
/// Durations of taking one.
pub const DSS_DEQUEUE_LATENCY: Family =
    family("dss_dequeue_latency_seconds", Histogram, &[], "Time to carry a dequeue out");
/// What rooms have counted.
pub const STREAM_OPERATIONS: Family = family(
    "synap_stream_operations_total",
    Counter,
    &["room", "operation", "status"],
    "Events published to rooms since they were made, and read from them since the start",
);
/// Readers of each room.
pub const STREAM_SUBSCRIBERS: Family = family(
    "synap_stream_subscribers",
    Gauge,
    &["room"],
    "Readers that have a name, by room, since the start",
);
/// Events of each room.
pub const STREAM_BUFFER: Family =
    family("synap_stream_buffer_size", Gauge, &["room"], "Events that are there, by room");
/// The end of each room.
pub const STREAM_LAST_OFFSET: Family =
    family("synap_stream_last_offset", Gauge, &["room"], "Offset of the last event, by room");
/// Events of each partition.
pub const PARTITION_MESSAGES: Family = family(
    "synap_partition_messages",
    Gauge,
    &["topic", "partition"],
    "Events that are there, by partition",
);
/// Bytes of each partition.
pub const PARTITION_BYTES: Family = family(
    "synap_partition_bytes",
    Gauge,
    &["topic", "partition"],
    "Bytes of the events that are there, by partition",
);
/// The end of each partition.
pub const PARTITION_END: Family = family(
    "synap_partition_end_offset",
    Gauge,
    &["topic", "partition"],
    "Offset of the next event, by partition",
);
/// Members of each group.
pub const GROUP_MEMBERS: Family = family(
    "synap_consumer_group_members",
    Gauge,
    &["group", "topic"],
    "Members now, by consumer group",
);
/// How far groups are.
pub const GROUP_COMMITTED: Family = family(
    "synap_consumer_group_committed_offset",
    Gauge,
    &["group", "topic", "partition"],
    "Next offset to read, by consumer group and partition, where one was committed",
);
/// How far groups have to go.
pub const GROUP_LAG: Family = family(
    "synap_consumer_group_lag",
    Gauge,
    &["group", "topic", "partition"],
    "Events between what was committed and the end, by consumer group and partition",
);
/// Calls of commands that are strings' or any key's.
pub const KV_OPERATIONS: Family = family(
    "synap_kv_operations_total",
    Counter,
    &["operation", "status"],
    "Key-value operations carried out, by outcome",
);
/// Their durations.
pub const KV_DURATION: Family = family(
    "synap_kv_operation_duration_seconds",
    Histogram,
    &["operation"],
    "Time to carry a key-value operation out",
);
/// Keys by core.
pub const KV_KEYS: Family = family(
    "synap_kv_keys_total",
    Gauge,
    &["shard"],
    "Keys now, by the core whose shards hold them",
);
/// Keys with a deadline, by core.
pub const KV_VOLATILE_KEYS: Family =
    family("synap_kv_volatile_keys", Gauge, &["shard"], "Keys with a deadline now");
/// Bytes of data.
pub const KV_MEMORY: Family =
    family("synap_kv_memory_bytes", Gauge, &["type"], "Bytes of live keys and values");
/// Limit of the same.
pub const KV_MEMORY_LIMIT: Family = family(
    "synap_kv_memory_limit_bytes",
    Gauge,
    &[],
    "Bytes of data that the server may hold; 0 is no limit",
);
/// Bytes of data under a second name.
pub const MEMORY: Family = family(
    "synap_memory_bytes",
    Gauge,
    &["type"],
    "Bytes of data: live, and held from the allocator",
);
/// Lookups that found a key.
pub const CACHE_HITS: Family =
    family("synap_cache_hits_total", Counter, &["tier"], "Lookups that found their key");
/// Lookups that did not.
pub const CACHE_MISSES: Family =
    family("synap_cache_misses_total", Counter, &["tier"], "Lookups that did not find their key");
/// Expired keys.
pub const EXPIRED: Family = family(
    "synap_kv_expired_keys_total",
    Counter,
    &[],
    "Keys removed because their deadline passed",
);
/// Evicted keys.
pub const EVICTED: Family =
    family("synap_kv_evicted_keys_total", Counter, &[], "Keys removed because memory was short");
/// Runs of scripts and functions.
pub const SCRIPTS: Family =
    family("synap_scripts_total", Counter, &[], "Runs of scripts and functions");
/// Runs that came to nothing.
pub const SCRIPTS_RERUN: Family = family(
    "synap_scripts_rerun_total",
    Counter,
    &[],
    "Runs of scripts that were repeated with every shard, because the script reached outside the \
     keys it declared or changed a large value",
);
/// Libraries of functions.
pub const LIBRARIES: Family =
    family("synap_libraries", Gauge, &[], "Libraries of functions that are kept");
/// Their functions.
pub const FUNCTIONS: Family =
    family("synap_functions", Gauge, &[], "Functions that the libraries have registered");
/// HTTP answers.
pub const HTTP_REQUESTS: Family = family(
    "synap_http_requests_total",
    Counter,
    &["method", "path", "status"],
    "HTTP requests answered, by route and status",
);
/// Their durations.
pub const HTTP_DURATION: Family = family(
    "synap_http_request_duration_seconds",
    Histogram,
    &["method", "path"],
    "Time from a whole HTTP request to its answer",
);
/// HTTP connections.
pub const HTTP_CONNECTIONS: Family =
    family("synap_http_connections", Gauge, &["type"], "HTTP connections now");
/// Messages of publish and subscribe.
pub const PUBSUB_OPERATIONS: Family = family(
    "synap_pubsub_operations_total",
    Counter,
    &["operation", "status"],
    "Messages published, delivered, and missed by subscribers that did not keep up",
);
/// Calls over RESP and HTTP.
pub const RESP_COMMANDS: Family = family(
    "synap_resp3_commands_total",
    Counter,
    &["command", "status"],
    "Commands carried out or rejected, on whatever protocol they came",
);
/// Their durations.
pub const RESP_DURATION: Family = family(
    "synap_resp3_command_duration_seconds",
    Histogram,
    &["command"],
    "Time to carry a command out",
);
/// RESP connections.
pub const RESP_CONNECTIONS: Family =
    family("synap_resp3_connections", Gauge, &["state"], "RESP connections now");
/// Bytes from clients.
pub const BYTES_READ: Family =
    family("synap_resp3_bytes_read_total", Counter, &[], "Bytes read from clients");
/// Bytes to clients.
pub const BYTES_WRITTEN: Family =
    family("synap_resp3_bytes_written_total", Counter, &[], "Bytes written to clients");
/// Accepted, refused and dropped connections.
pub const CONNECTIONS: Family = family(
    "synap_connections_total",
    Counter,
    &["outcome"],
    "Connections accepted, refused for their number, or dropped for not reading",
);
/// Requests beyond the rate of their client.
pub const RATE_LIMITED: Family = family(
    "synap_rate_limited_total",
    Counter,
    &[],
    "Requests refused because their client made too many",
);
/// Clients whose requests are limited.
pub const RATE_LIMIT_CLIENTS: Family = family(
    "synap_rate_limit_clients",
    Gauge,
    &[],
    "Clients whose requests are counted, until a minute after they last owed any",
);
/// Security events.
pub const AUDIT_EVENTS: Family = family(
    "synap_audit_events_total",
    Counter,
    &["event", "outcome"],
    "Security events recorded, and left out because there were too many of a kind",
);
/// Broken requests.
pub const PROTOCOL_ERRORS: Family =
    family("synap_protocol_errors_total", Counter, &[], "Requests that broke their protocol");
/// Handshakes that succeeded.
pub const TLS_HANDSHAKES: Family = family(
    "synap_tls_handshakes_total",
    Counter,
    &["kind"],
    "TLS handshakes that succeeded: full ones, and those that took up an earlier session",
);
/// Handshakes that failed.
pub const TLS_FAILURES: Family = family(
    "synap_tls_handshake_failures_total",
    Counter,
    &["reason"],
    "TLS handshakes that failed, and why",
);
/// Work on handshakes.
pub const TLS_TIME: Family = family(
    "synap_tls_handshake_seconds_total",
    Counter,
    &["core"],
    "Time that cores worked on TLS handshakes",
);
/// Handshakes now.
pub const TLS_UNDERWAY: Family =
    family("synap_tls_handshakes_underway", Gauge, &["core"], "TLS handshakes under way now");
/// Connections now.
pub const TLS_CONNECTIONS: Family = family(
    "synap_tls_connections",
    Gauge,
    &["core"],
    "Connections under TLS now, those in their handshake included",
);
/// Turns of the loops.
pub const TURNS: Family =
    family("synap_core_turns_total", Counter, &["core"], "Turns of the core's loop");
/// Long ones.
pub const SLOW_TURNS: Family =
    family("synap_core_slow_turns_total", Counter, &["core"], "Turns that took more than 10 ms");
/// Connections put off.
pub const PUT_OFF: Family = family(
    "synap_core_put_off_total",
    Counter,
    &["core"],
    "Times that a connection had more to do than its share of a turn",
);
/// The largest share of a turn.
pub const SHARE_MAX: Family = family(
    "synap_core_share_max_commands",
    Gauge,
    &["core"],
    "The most commands that one connection began in one turn since the start",
);
/// Requests sent to other cores.
pub const FORWARDED: Family =
    family("synap_core_forwarded_total", Counter, &["core"], "Requests sent to other cores");
/// Shards lent.
pub const LOANS: Family =
    family("synap_core_loans_total", Counter, &["core"], "Shards lent to other cores");
/// Transactions that ran.
pub const TRANSACTIONS: Family =
    family("synap_transactions_total", Counter, &["core"], "Transactions that ran");
/// Files of events.
pub const COLD_FILES: Family = family(
    "synap_event_files_written_total",
    Counter,
    &["core"],
    "Files that events of topics and rooms were moved to",
);
/// Their bytes.
pub const COLD_BYTES: Family = family(
    "synap_event_files_written_bytes_total",
    Counter,
    &["core"],
    "Bytes of files that events of topics and rooms were moved to",
);
/// Readings of files of events.
pub const COLD_READS: Family = family(
    "synap_event_files_reads_total",
    Counter,
    &["core"],
    "Readings of files of events, for consumers that are behind what memory holds",
);
/// What failed of those.
pub const COLD_FAILURES: Family = family(
    "synap_event_files_failures_total",
    Counter,
    &["core"],
    "Files of events that could not be written, and readings that failed",
);
/// Transactions that did nothing.
pub const TRANSACTIONS_ABORTED: Family = family(
    "synap_transactions_aborted_total",
    Counter,
    &["core"],
    "Transactions that did nothing because a watched key had changed",
);
/// Batches appended.
pub const WAL_APPENDS: Family =
    family("synap_wal_appends_total", Counter, &[], "Batches appended to the log");
/// Bytes appended.
pub const WAL_BYTES: Family =
    family("synap_wal_bytes_total", Counter, &[], "Bytes appended to the log");
/// Writes.
pub const WAL_COMMITS: Family =
    family("synap_wal_commits_total", Counter, &[], "Writes of the log completed");
/// Batches per write.
pub const WAL_BATCH: Family =
    family("synap_wal_batch_size", Histogram, &[], "Batches that a write of the log carries");
/// Syncs and their time.
pub const WAL_FSYNC: Family = family(
    "synap_wal_fsync_duration_seconds",
    Histogram,
    &[],
    "Syncs of the log and the time they took",
);
/// Bytes on their way.
pub const WAL_BACKLOG: Family =
    family("synap_wal_backlog_bytes", Gauge, &[], "Bytes appended that wait for the disk now");
/// Full disks.
pub const WAL_FULL: Family =
    family("synap_wal_full", Gauge, &[], "Logs that lack room now because the disk is full");
/// Writes refused.
pub const WAL_REFUSED: Family = family(
    "synap_wal_writes_refused_total",
    Counter,
    &[],
    "Writes refused because the disk of the log was full",
);
/// Size of the log.
pub const WAL_SIZE: Family =
    family("synap_wal_size_bytes", Gauge, &[], "Bytes of the log's segments now");
/// Snapshots by outcome.
pub const SNAPSHOTS: Family =
    family("synap_snapshot_total", Counter, &["status"], "Snapshots that ended, by outcome");
/// Duration of the last one.
pub const SNAPSHOT_DURATION: Family =
    family("synap_snapshot_duration_seconds", Gauge, &[], "How long the last snapshot took");
/// End of the last good one.
pub const SNAPSHOT_TIME: Family = family(
    "synap_snapshot_last_timestamp_seconds",
    Gauge,
    &[],
    "When the last good snapshot was written, Unix seconds; 0 before the first",
);
/// Size of the last good one.
pub const SNAPSHOT_SIZE: Family =
    family("synap_snapshot_last_size_bytes", Gauge, &[], "Bytes of the last good snapshot");
/// Entries of the last good one.
pub const SNAPSHOT_ENTRIES: Family =
    family("synap_snapshot_last_entries", Gauge, &[], "Entries in the last good snapshot");
/// Whether one is running.
pub const SNAPSHOT_RUNNING: Family =
    family("synap_snapshot_in_progress", Gauge, &[], "1 while a snapshot is being taken");
/// Slices between requests.
pub const SNAPSHOT_SLICES: Family =
    family("synap_snapshot_slices_total", Counter, &["core"], "Slices of snapshots written");
/// Their duration.
pub const SNAPSHOT_SLICE_TIME: Family = family(
    "synap_snapshot_slice_seconds_total",
    Counter,
    &["core"],
    "Time that the core spent on slices of snapshots",
);
/// The longest.
pub const SNAPSHOT_SLICE_MAX: Family = family(
    "synap_snapshot_slice_max_seconds",
    Gauge,
    &["core"],
    "The longest slice of a snapshot since the start",
);
/// What the next one would stand for.
pub const SNAPSHOT_CHANGES: Family = family(
    "synap_snapshot_changes",
    Gauge,
    &[],
    "Batches that the last good snapshot does not stand for",
);
/// Memory of the process.
pub const PROCESS_MEMORY: Family =
    family("synap_process_memory_bytes", Gauge, &["type"], "Memory of the process");
/// Processor time of the process.
pub const PROCESS_CPU: Family = family(
    "synap_process_cpu_seconds_total",
    Counter,
    &[],
    "Processor time of the process, user and system",
);
/// Mean use of processors.
pub const PROCESS_CPU_PERCENT: Family = family(
    "synap_process_cpu_usage_percent",
    Gauge,
    &["core"],
    "Processor time as a share of one processor, on average since the start",
);

/// Every family, in the order they are written.
pub const FAMILIES: &[Family] = &[
    BUILD_INFO,
    UPTIME,
    KV_OPERATIONS,
    KV_DURATION,
    KV_KEYS,
    KV_VOLATILE_KEYS,
    KV_MEMORY,
    KV_MEMORY_LIMIT,
    MEMORY,
    CACHE_HITS,
    CACHE_MISSES,
    EXPIRED,
    EVICTED,
    SCRIPTS,
    SCRIPTS_RERUN,
    LIBRARIES,
    FUNCTIONS,
    HTTP_REQUESTS,
    HTTP_DURATION,
    HTTP_CONNECTIONS,
    PUBSUB_OPERATIONS,
    QUEUE_DEPTH,
    QUEUE_DEAD,
    QUEUE_PENDING,
    QUEUE_OPERATIONS,
    QUEUE_DURATION,
    DSS_QUEUE_DEPTH,
    DSS_IN_FLIGHT,
    DSS_DEAD,
    DSS_OPERATIONS,
    DSS_ENQUEUE_LATENCY,
    DSS_DEQUEUE_LATENCY,
    STREAM_OPERATIONS,
    STREAM_SUBSCRIBERS,
    STREAM_BUFFER,
    STREAM_LAST_OFFSET,
    PARTITION_MESSAGES,
    PARTITION_BYTES,
    PARTITION_END,
    GROUP_MEMBERS,
    GROUP_COMMITTED,
    GROUP_LAG,
    RESP_COMMANDS,
    RESP_DURATION,
    RESP_CONNECTIONS,
    BYTES_READ,
    BYTES_WRITTEN,
    CONNECTIONS,
    RATE_LIMITED,
    RATE_LIMIT_CLIENTS,
    AUDIT_EVENTS,
    PROTOCOL_ERRORS,
    TLS_HANDSHAKES,
    TLS_FAILURES,
    TLS_TIME,
    TLS_UNDERWAY,
    TLS_CONNECTIONS,
    TURNS,
    SLOW_TURNS,
    PUT_OFF,
    SHARE_MAX,
    FORWARDED,
    LOANS,
    TRANSACTIONS,
    TRANSACTIONS_ABORTED,
    COLD_FILES,
    COLD_BYTES,
    COLD_READS,
    COLD_FAILURES,
    WAL_APPENDS,
    WAL_BYTES,
    WAL_COMMITS,
    WAL_BATCH,
    WAL_FSYNC,
    WAL_BACKLOG,
    WAL_FULL,
    WAL_REFUSED,
    WAL_SIZE,
    SNAPSHOTS,
    SNAPSHOT_DURATION,
    SNAPSHOT_TIME,
    SNAPSHOT_SIZE,
    SNAPSHOT_ENTRIES,
    SNAPSHOT_RUNNING,
    SNAPSHOT_CHANGES,
    SNAPSHOT_SLICES,
    SNAPSHOT_SLICE_TIME,
    SNAPSHOT_SLICE_MAX,
    PROCESS_MEMORY,
    PROCESS_CPU,
    PROCESS_CPU_PERCENT,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn families_are_unique_documented_and_well_named() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            assert!(names.insert(family.name), "{} stands twice", family.name);
            // The queue service keeps the names that its users know.
            let is_ours = ["synap_", "dss_"].iter().any(|ours| family.name.starts_with(ours));
            assert!(is_ours, "{}", family.name);
            assert!(!family.help.is_empty() && !family.help.contains('\n'), "{}", family.name);
            if family.kind == Counter {
                assert!(family.name.ends_with("_total"), "{}", family.name);
            }
        }
    }
}
