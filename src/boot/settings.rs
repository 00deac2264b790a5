//! The changeable settings as the configuration states them.

use synap_shards::shard::evict::EvictionPolicy;

use crate::config::{self, Config};
use crate::session::pubsub::parse_notices;
use crate::settings::Settings;

const MIB: usize = 1024 * 1024;

impl Settings {
    /// What the configuration says.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let kv = &config.kv_store;
        let threshold_us = config.monitoring.slowlog_threshold_ms.saturating_mul(1000);
        Self {
            max_memory_bytes: usize::try_from(kv.max_memory_mb)
                .unwrap_or(usize::MAX)
                .saturating_mul(MIB),
            max_keys: kv.max_keys.map_or(0, |keys| usize::try_from(keys).unwrap_or(usize::MAX)),
            eviction_policy: policy(kv.eviction_policy),
            eviction_sample_size: kv.eviction_sample_size,
            lfu_log_factor: kv.lfu_log_factor.into(),
            lfu_decay_minutes: kv.lfu_decay_time.into(),
            expiry_interval_ms: kv.ttl_cleanup_interval_ms,
            allow_flush_commands: kv.allow_flush_commands,
            queues: kv.queues,
            max_queues: kv.max_queues,
            streams: kv.streams,
            max_rooms: kv.max_rooms,
            subscriptions: config.pubsub.limits,
            read_only: config.server.read_only,
            thresholds: kv.thresholds,
            notices: parse_notices(config.server.notify_keyspace_events.as_bytes())
                .expect("the configuration was checked"),
            tracking_keys_max: config.server.tracking_table_max_keys,
            script_time_limit_ms: config.scripting.time_limit_ms,
            script_memory_bytes: config.scripting.memory_limit_mb.saturating_mul(MIB),
            max_value_bytes: kv.max_value_size_bytes,
            slowlog_threshold_us: i64::try_from(threshold_us).unwrap_or(i64::MAX),
            slowlog_max_entries: config.monitoring.slowlog_max_entries,
            latency_threshold_ms: 0,
            idle_timeout_secs: config.network.idle_timeout_secs,
            request_timeout_secs: config.server.request_timeout_secs,
            max_connections: config.server.max_connections,
            max_connections_per_address: config.server.max_connections_per_address,
            output_limits: config.network.output_limits,
            write_timeout_secs: config.network.write_timeout_secs,
            query_buffer_bytes_max: config.network.query_buffer_limit_mb.saturating_mul(MIB),
            http_body_bytes_max: config.server.max_request_size_mb.saturating_mul(MIB),
            rate: config.rate_limit.rate,
            trusted_proxies: config.rate_limit.trust_forwarded_for.as_slice().into(),
        }
    }
}

fn policy(policy: config::EvictionPolicy) -> EvictionPolicy {
    match policy {
        config::EvictionPolicy::Lru => EvictionPolicy::AllKeysLru,
        config::EvictionPolicy::Lfu => EvictionPolicy::AllKeysLfu,
        config::EvictionPolicy::Ttl => EvictionPolicy::VolatileTtl,
        config::EvictionPolicy::None => EvictionPolicy::NoEviction,
        config::EvictionPolicy::VolatileLru => EvictionPolicy::VolatileLru,
        config::EvictionPolicy::VolatileLfu => EvictionPolicy::VolatileLfu,
        config::EvictionPolicy::AllkeysRandom => EvictionPolicy::AllKeysRandom,
        config::EvictionPolicy::VolatileRandom => EvictionPolicy::VolatileRandom,
    }
}
