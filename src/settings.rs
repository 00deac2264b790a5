//! What can change while the server runs. Every core has its own copy; `CONFIG SET` and a reload
//! bring the new values to each core as a message, so reading them needs no lock.

use std::sync::Arc;

use synap_shards::pubsub::Limits;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::types::Thresholds;

use crate::cidr::Cidr;
use crate::limits::{OutputLimits, Rate};

/// The changeable settings of one core.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of data that the whole process may hold; zero is no limit.
    pub max_memory_bytes: usize,
    /// Keys that the whole process may hold; zero is no limit.
    pub max_keys: usize,
    /// Which keys give way at a limit.
    pub eviction_policy: EvictionPolicy,
    /// Keys looked at for each eviction, 1..=64.
    pub eviction_sample_size: usize,
    /// How rarely the frequency counter grows, for the frequency policies.
    pub lfu_log_factor: u32,
    /// Minutes after which an unused frequency counter loses one.
    pub lfu_decay_minutes: u32,
    /// Milliseconds between two rounds of active expiry.
    pub expiry_interval_ms: u64,
    /// Whether `FLUSHDB` and `FLUSHALL` are allowed.
    pub allow_flush_commands: bool,
    /// Whether message queues are served.
    pub queues: bool,
    /// Queues there may be before no more are made.
    pub max_queues: u64,
    /// Whether rooms, topics and consumer groups are served.
    pub streams: bool,
    /// Rooms there may be before no more are made.
    pub max_rooms: u64,
    /// How many may listen, and to how much.
    pub subscriptions: Limits,
    /// Whether every command that writes is refused.
    pub read_only: bool,
    /// When containers leave their packed form.
    pub thresholds: Thresholds,
    /// Classes of changes of keys that clients are told of, a bit each by
    /// [`synap_shards::shard::plan::Notice`].
    pub notices: u16,
    /// Keys that readers are kept of (`CLIENT TRACKING`), in the whole process; zero is no limit.
    pub tracking_keys_max: usize,
    /// Milliseconds after which a script is stopped.
    pub script_time_limit_ms: u64,
    /// Bytes that the interpreter may take for one run of a script.
    pub script_memory_bytes: usize,
    /// Bytes of a string value that a client may store.
    pub max_value_bytes: usize,
    /// Microseconds from which on a command is noted in the slow log; negative is never.
    pub slowlog_threshold_us: i64,
    /// Entries that the slow log of one core keeps.
    pub slowlog_max_entries: usize,
    /// Milliseconds from which on an event is noted by the latency monitor; zero is never.
    pub latency_threshold_ms: u64,
    /// Seconds of silence after which a connection is closed; zero is never.
    pub idle_timeout_secs: u64,
    /// Seconds that a client may take to send one HTTP request completely.
    pub request_timeout_secs: u64,
    /// Connections of the whole process.
    pub max_connections: usize,
    /// Connections of one address; zero is no limit.
    pub max_connections_per_address: usize,
    /// Bytes of replies that may wait for one connection before it is closed.
    pub output_limits: OutputLimits,
    /// Seconds after which a connection is closed that takes nothing of what waits; zero is never.
    pub write_timeout_secs: u64,
    /// Bytes of one request that may wait for its end before the connection is closed.
    pub query_buffer_bytes_max: usize,
    /// Bytes of an HTTP request body.
    pub http_body_bytes_max: usize,
    /// Requests that one client may make; nothing is no limit.
    pub rate: Option<Rate>,
    /// Proxies that are believed who the client is.
    pub trusted_proxies: Arc<[Cidr]>,
}

impl Settings {
    /// How the access bits of entries are kept under the policy in force.
    pub fn access_mode(&self) -> AccessMode {
        if self.eviction_policy.counts_uses() {
            AccessMode::Frequency {
                log_factor: self.lfu_log_factor,
                decay_minutes: self.lfu_decay_minutes,
            }
        } else {
            AccessMode::Recency
        }
    }
}
