//! Counters and gauges. Each core writes its own set, with plain stores and no contention; whoever
//! wants to know (a scrape, `INFO`) reads and adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

use synap_io::wal::SYNC_BUCKETS_US;
use synap_shards::command::table;
use synap_shards::shard::ValueType;

use crate::protocol::http::table as routes;
use queues::Queues;
use streams::Streams;
use tls::TlsStat;

pub mod prometheus;
pub mod queues;
pub mod registry;
pub mod streams;
pub mod tls;

/// A number that one core writes and any thread may read.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds to it. Only the core that owns it may: there is no read-modify-write cycle here.
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Upper bounds of the latency buckets in nanoseconds; a last one without bound follows.
pub const LATENCY_BOUNDS_NS: [u64; 11] = [
    1_000,
    2_500,
    5_000,
    10_000,
    50_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// How one command fared on one core.
#[derive(Debug, Default)]
pub struct CommandStat {
    /// Calls that were carried out.
    pub calls: Cell,
    /// Nanoseconds spent on them.
    pub nanoseconds: Cell,
    /// Calls refused before they were started.
    pub rejected: Cell,
    /// Calls that ended in an error.
    pub failed: Cell,
    /// Calls that found nothing: reads that answered nil.
    pub missed: Cell,
    /// Calls by latency, see [`LATENCY_BOUNDS_NS`].
    pub buckets: [Cell; LATENCY_BOUNDS_NS.len() + 1],
}

impl CommandStat {
    /// Notes a call that was carried out.
    pub fn record(&self, nanoseconds: u64, failed: bool) {
        self.calls.add(1);
        self.nanoseconds.add(nanoseconds);
        self.failed.add(u64::from(failed));
        self.buckets[latency_bucket(nanoseconds)].add(1);
    }
}

/// Status codes that are counted one by one; any other shares the last place.
pub const HTTP_STATUSES: [u16; 23] = [
    200, 204, 301, 400, 401, 403, 404, 405, 408, 409, 413, 414, 417, 422, 429, 431, 500, 501, 503,
    505, 507, 101, 0,
];

/// How one HTTP route fared on one core.
#[derive(Debug, Default)]
pub struct RouteStat {
    /// Answers by status, see [`HTTP_STATUSES`].
    pub statuses: [Cell; HTTP_STATUSES.len()],
    /// Nanoseconds from a whole request to its answer.
    pub nanoseconds: Cell,
    /// Answers by latency, see [`LATENCY_BOUNDS_NS`].
    pub buckets: [Cell; LATENCY_BOUNDS_NS.len() + 1],
}

impl RouteStat {
    /// Notes an answer.
    pub fn record(&self, status: u16, nanoseconds: u64) {
        let place = HTTP_STATUSES.iter().position(|known| *known == status);
        self.statuses[place.unwrap_or(HTTP_STATUSES.len() - 1)].add(1);
        self.nanoseconds.add(nanoseconds);
        self.buckets[latency_bucket(nanoseconds)].add(1);
    }
}

/// The place of a duration among [`LATENCY_BOUNDS_NS`].
fn latency_bucket(nanoseconds: u64) -> usize {
    let bucket = LATENCY_BOUNDS_NS.iter().position(|bound| nanoseconds <= *bound);
    bucket.unwrap_or(LATENCY_BOUNDS_NS.len())
}

/// How much there is of one type on one core.
#[derive(Debug, Default)]
pub struct TypeStat {
    /// Keys.
    pub keys: Cell,
    /// Elements of all of them; none for strings.
    pub elements: Cell,
}

/// What one core counts. Gauges are refreshed about ten times a second.
#[derive(Debug)]
pub struct CoreMetrics {
    /// By [`table::CommandId`].
    pub commands: Vec<CommandStat>,
    /// By [`routes::RouteId`].
    pub routes: Vec<RouteStat>,
    /// Connections accepted.
    pub connections_received: Cell,
    /// Connections refused because there were too many.
    pub connections_refused: Cell,
    /// Connections closed because they did not read their replies, or sent an endless request.
    pub connections_dropped: Cell,
    /// Connections now, HTTP.
    pub http_connections: Cell,
    /// Of them, those that became a WebSocket.
    pub websocket_connections: Cell,
    /// Connections now, RESP.
    pub resp_connections: Cell,
    /// How connections under TLS fared.
    pub tls: TlsStat,
    /// Bytes read from sockets.
    pub bytes_received: Cell,
    /// Bytes written to sockets.
    pub bytes_sent: Cell,
    /// Commands carried out per second, lately.
    pub commands_per_second: Cell,
    /// Bytes read per second, lately.
    pub bytes_received_per_second: Cell,
    /// Bytes written per second, lately.
    pub bytes_sent_per_second: Cell,
    /// Times that a connection had more to do than its share of a turn.
    pub put_off: Cell,
    /// The most commands that one connection began in one turn.
    pub share_max: Cell,
    /// Requests refused because their client made too many.
    pub rate_limited: Cell,
    /// Requests that broke their protocol.
    pub protocol_errors: Cell,
    /// Lookups that found a key.
    pub keyspace_hits: Cell,
    /// Lookups that did not.
    pub keyspace_misses: Cell,
    /// Clients that wait for others' changes now.
    pub blocked_clients: Cell,
    /// Clients that want to be told of changes.
    pub tracking_clients: Cell,
    /// Keys of this core that such clients have read.
    pub tracking_keys: Cell,
    /// Their readers, each key counted.
    pub tracking_items: Cell,
    /// Prefixes that such clients have named, on all cores.
    pub tracking_prefixes: Cell,
    /// Keys removed because their deadline passed.
    pub expired_keys: Cell,
    /// Keys removed because memory was short.
    pub evicted_keys: Cell,
    /// Runs of scripts.
    pub scripts_run: Cell,
    /// Of those, runs that were taken back and repeated.
    pub scripts_rerun: Cell,
    /// Keys now.
    pub keys: Cell,
    /// Keys and elements now, by type of value.
    pub types: [TypeStat; ValueType::ALL.len()],
    /// Its queues, refreshed about once a second.
    pub queues: Queues,
    /// Those of the queue service of distributed-sync-system.
    pub dss_queues: Queues,
    /// Its rooms, partitions and consumer groups, likewise.
    pub streams: Streams,
    /// Keys with a deadline now.
    pub volatile_keys: Cell,
    /// Sum of the remaining lifetimes of sampled keys with a deadline, in milliseconds, and their
    /// number: for the average in `INFO`.
    pub sampled_ttl_ms: Cell,
    /// See [`CoreMetrics::sampled_ttl_ms`].
    pub sampled_ttl_keys: Cell,
    /// Bytes of live data.
    pub live_bytes: Cell,
    /// Bytes taken from the allocator for data.
    pub held_bytes: Cell,
    /// Turns of the core's loop.
    pub turns: Cell,
    /// Turns that took longer than 10 ms.
    pub slow_turns: Cell,
    /// Requests sent to other cores.
    pub forwarded: Cell,
    /// Messages that clients asked to be published.
    pub pubsub_published: Cell,
    /// Messages that a subscriber missed because too many waited for it, and subscribers that were
    /// closed for it.
    pub slow_consumers_dropped: Cell,
    /// Messages written to subscribers.
    pub pubsub_delivered: Cell,
    /// Shards lent to other cores.
    pub loans: Cell,
    /// Transactions that ran.
    pub transactions: Cell,
    /// Transactions that did nothing because a watched key had changed.
    pub transactions_aborted: Cell,
    /// Files of events written.
    pub cold_files: Cell,
    /// Their bytes.
    pub cold_bytes: Cell,
    /// Readings of files of events.
    pub cold_reads: Cell,
    /// Files of events that could not be written, and readings that failed.
    pub cold_failures: Cell,
    /// Batches appended to the log.
    pub wal_appends: Cell,
    /// Bytes appended to the log.
    pub wal_bytes: Cell,
    /// Log writes completed.
    pub wal_commits: Cell,
    /// Log writes that carry batches.
    pub wal_groups: Cell,
    /// Log syncs completed.
    pub wal_fsyncs: Cell,
    /// Nanoseconds spent in log syncs.
    pub wal_fsync_nanoseconds: Cell,
    /// Log syncs by their time; see [`SYNC_BUCKETS_US`].
    pub wal_fsync_buckets: [Cell; SYNC_BUCKETS_US.len() + 1],
    /// Bytes appended that wait for the disk now.
    pub wal_backlog_bytes: Cell,
    /// 1 while the disk of the log is full.
    pub wal_full: Cell,
    /// Writes refused because the disk of the log was full.
    pub wal_refused: Cell,
    /// Bytes of the log's segments now.
    pub wal_size_bytes: Cell,
    /// Slices of snapshots written.
    pub snapshot_slices: Cell,
    /// Nanoseconds spent on them.
    pub snapshot_slice_ns: Cell,
    /// Nanoseconds of the longest.
    pub snapshot_slice_max_ns: Cell,
}

impl Default for CoreMetrics {
    fn default() -> Self {
        Self {
            commands: (0..table::count()).map(|_| CommandStat::default()).collect(),
            routes: (0..routes::count()).map(|_| RouteStat::default()).collect(),
            connections_received: Cell::default(),
            connections_refused: Cell::default(),
            connections_dropped: Cell::default(),
            http_connections: Cell::default(),
            websocket_connections: Cell::default(),
            resp_connections: Cell::default(),
            tls: TlsStat::default(),
            bytes_received: Cell::default(),
            bytes_sent: Cell::default(),
            commands_per_second: Cell::default(),
            bytes_received_per_second: Cell::default(),
            bytes_sent_per_second: Cell::default(),
            put_off: Cell::default(),
            share_max: Cell::default(),
            rate_limited: Cell::default(),
            protocol_errors: Cell::default(),
            keyspace_hits: Cell::default(),
            keyspace_misses: Cell::default(),
            blocked_clients: Cell::default(),
            tracking_clients: Cell::default(),
            tracking_keys: Cell::default(),
            tracking_items: Cell::default(),
            tracking_prefixes: Cell::default(),
            expired_keys: Cell::default(),
            evicted_keys: Cell::default(),
            scripts_run: Cell::default(),
            scripts_rerun: Cell::default(),
            keys: Cell::default(),
            types: Default::default(),
            queues: Queues::default(),
            dss_queues: Queues::default(),
            streams: Streams::default(),
            volatile_keys: Cell::default(),
            sampled_ttl_ms: Cell::default(),
            sampled_ttl_keys: Cell::default(),
            live_bytes: Cell::default(),
            held_bytes: Cell::default(),
            turns: Cell::default(),
            slow_turns: Cell::default(),
            forwarded: Cell::default(),
            pubsub_published: Cell::default(),
            slow_consumers_dropped: Cell::default(),
            pubsub_delivered: Cell::default(),
            loans: Cell::default(),
            transactions: Cell::default(),
            transactions_aborted: Cell::default(),
            cold_files: Cell::default(),
            cold_bytes: Cell::default(),
            cold_reads: Cell::default(),
            cold_failures: Cell::default(),
            wal_appends: Cell::default(),
            wal_bytes: Cell::default(),
            wal_commits: Cell::default(),
            wal_groups: Cell::default(),
            wal_fsyncs: Cell::default(),
            wal_fsync_nanoseconds: Cell::default(),
            wal_fsync_buckets: Default::default(),
            wal_backlog_bytes: Cell::default(),
            wal_full: Cell::default(),
            wal_refused: Cell::default(),
            wal_size_bytes: Cell::default(),
            snapshot_slices: Cell::default(),
            snapshot_slice_ns: Cell::default(),
            snapshot_slice_max_ns: Cell::default(),
        }
    }
}
