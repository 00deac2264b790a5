//! Queues, rooms, topics, consumer groups, publish and subscribe; and the tool protocols, which are
//! checked so that files for complete installations load, while this build has no such subsystem.

use super::super::key::{Key, Kind, MANY, MILLIS, SECS, SOME, int, same};

const RETENTION: Kind =
    Kind::Enum(&[&["time"], &["size"], &["messages"], &["combined"], &["infinite"]]);
const SLOW: Kind = Kind::Enum(&[&["disconnect"], &["drop"]]);
const STRATEGY: Kind = Kind::Enum(&[&["round_robin"], &["range"], &["sticky"]]);
const COMMITS: &str = "offsets are committed explicitly";
const READERS: &str = "events stay until retention takes them, read or not";
const COMPACTION: &str = "retention is kept to with every event and every 5 s";
/// Seconds that events may be kept: at least one, up to ten years.
const LIFE: Kind = int(1, 315_360_000);

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, kind, doc).or(default).dormant()
}

const fn used(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, kind, doc).or(default)
}

pub(super) const KEYS: &[Key] = &[
    used("queue.enabled", Kind::Bool, "true", "Serve message queues."),
    used("queue.max_depth", SOME, "100000", "Ready messages per queue."),
    used(
        "queue.ack_deadline_secs",
        int(1, 315_360_000),
        "30",
        "Seconds until an unacknowledged message returns.",
    ),
    used("queue.default_max_retries", int(0, 1 << 20), "3", "Deliveries before dead-lettering."),
    used("queue.default_priority", int(0, 9), "5", "Priority of messages that name none."),
    used("queue.prefetch_limit", MANY, "0", "Messages in flight per consumer; 0 is unlimited."),
    used("queue.auto_create", Kind::Bool, "true", "Create a queue at its first message."),
    used(
        "queue.max_queues",
        SOME,
        "10000",
        "Queues there may be, before no further ones are made; counted once a second.",
    ),
    used("queue.dead_letter.enabled", Kind::Bool, "true", "Keep messages that failed for good."),
    used("queue.dead_letter.max_size", SOME, "10000", "Dead letters kept per queue."),
    used("queue.dead_letter.retention_hours", int(1, 87_600), "24", "Hours they are kept."),
    used("streams.enabled", Kind::Bool, "true", "Serve rooms, topics and consumer groups."),
    Key::new("streams.base_dir", Kind::Path, "Directory of rooms in earlier versions.")
        .no_effect("rooms are kept as topics are: in the log, snapshots and topics.base_dir"),
    used("streams.max_buffer_size", SOME, "10000", "Events that a new room keeps.")
        .alias(&[same("streams.max_events_per_room")]),
    Key::new("streams.max_unread_buffer_size", SOME, "Cap while readers lag.").no_effect(READERS),
    used("streams.retention_secs", LIFE, "3600", "Seconds that a new room keeps an event."),
    Key::new("streams.auto_compact", Kind::Bool, "Drop old events in the background.")
        .no_effect(COMPACTION),
    Key::new("streams.compact_interval_secs", SECS, "Seconds between compactions.")
        .no_effect(COMPACTION),
    used(
        "streams.max_rooms",
        SOME,
        "100000",
        "Rooms there may be, before no further ones are made; counted once a second.",
    ),
    used(
        "streams.max_subscribers_per_room",
        int(1, 1 << 20),
        "10000",
        "Readers that a room remembers, for its statistics.",
    ),
    Key::new("streams.room_inactive_timeout_hours", int(1, 87_600), "Hours until a room closes.")
        .no_effect("a room stays until it is deleted"),
    Key::new(
        "topics.base_dir",
        Kind::Path,
        "Directory of the files with older events of topics and rooms, of this server alone. Unset \
         is `topics` below data_dir. Where it is changed, the files have to be moved by hand.",
    ),
    used("topics.default_partitions", int(1, 1024), "3", "Partitions of a new topic.")
        .alias(&[same("topics.num_partitions")]),
    used("topics.replication_factor", int(1, 64), "1", "Of a new topic; kept and shown."),
    used(
        "topics.hot_kb",
        int(0, 1 << 30),
        "8192",
        "KiB of events that memory holds of each partition and room; older ones go to files in \
         topics.base_dir and are read from there. 0 keeps all in memory.",
    ),
    used("topics.segment_bytes", SOME, "104857600", "Of a new topic; kept and shown."),
    used("topics.max_batch_size", int(1, 1000), "1000", "Events that one read answers at most."),
    Key::new("topics.flush_interval_secs", SECS, "Seconds between flushes.")
        .no_effect("persistence.wal.fsync_mode says when events are on disk"),
    used("topics.retention.type", RETENTION, "time", "What ends the life of a new topic's events."),
    used("topics.retention.retention_secs", LIFE, "3600", "Seconds, for time and combined."),
    Key::new("topics.retention.max_bytes", SOME, "Bytes, for size and combined."),
    Key::new("topics.retention.max_messages", SOME, "Events, for messages and combined."),
    Key::new("topics.compression_enabled", Kind::Bool, "Compress segments.")
        .no_effect("producers pack batches, which are stored as they come"),
    used("consumer_groups.strategy", STRATEGY, "round_robin", "How partitions are dealt out."),
    used(
        "consumer_groups.session_timeout_secs",
        int(1, 86_400),
        "30",
        "Seconds without a heartbeat until a member is gone.",
    ),
    Key::new("consumer_groups.rebalance_timeout_secs", SECS, "Seconds a rebalance may take.")
        .no_effect("a rebalance is one write"),
    Key::new("consumer_groups.auto_commit", Kind::Bool, "Commit by itself.").no_effect(COMMITS),
    Key::new("consumer_groups.auto_commit_interval_secs", SECS, "Seconds between commits.")
        .no_effect(COMMITS),
    Key::new("pubsub.enabled", Kind::Bool, "Serve publish and subscribe over HTTP.").or("true"),
    Key::new(
        "pubsub.channel_capacity",
        int(1, 1 << 20),
        "Messages waiting for one subscriber over WebSocket, server-sent events or polling.",
    )
    .or("1024"),
    Key::new(
        "pubsub.keep_last_value",
        Kind::Bool,
        "Keep the last message to each topic, on every core up to 64 MiB, and tell it to whoever \
         subscribes to the topic. Every message then goes to every core.",
    )
    .or("false"),
    Key::new(
        "pubsub.slow_consumer",
        SLOW,
        "What happens to a subscriber over WebSocket or server-sent events for whom more would \
         wait: it is closed, or misses messages. One that polls misses the oldest.",
    )
    .or("disconnect"),
    used(
        "pubsub.max_topics",
        SOME,
        "1000000",
        "Channels and topics that clients may listen to by name, all together.",
    ),
    used(
        "pubsub.max_subscribers_per_topic",
        SOME,
        "10000",
        "Clients that may listen to one channel, topic or pattern.",
    ),
    used(
        "pubsub.max_wildcard_subscriptions",
        SOME,
        "10000",
        "Patterns that clients may listen to, all together.",
    ),
    Key::new("pubsub.inactive_topic_timeout_hours", int(1, 87_600), "Hours until forgotten.")
        .no_effect("a topic is forgotten with its last subscriber"),
    key("mcp.enable_kv_tools", Kind::Bool, "true", "Offer key-value tools to MCP clients."),
    key("mcp.enable_hash_tools", Kind::Bool, "true", "Offer hash tools."),
    key("mcp.enable_list_tools", Kind::Bool, "true", "Offer list tools."),
    key("mcp.enable_set_tools", Kind::Bool, "true", "Offer set tools."),
    key("mcp.enable_queue_tools", Kind::Bool, "true", "Offer queue tools."),
    key("mcp.enable_sortedset_tools", Kind::Bool, "false", "Offer sorted-set tools."),
    key("mcp.enable_transaction_tools", Kind::Bool, "false", "Offer transaction tools."),
    key("mcp.enable_extended_kv_tools", Kind::Bool, "false", "Offer further key-value tools."),
    key("mcp.enable_messaging_tools", Kind::Bool, "false", "Offer messaging tools."),
    key("umicp.enabled", Kind::Bool, "true", "Serve the UMICP protocol."),
    key("replication.heartbeat_interval_ms", MILLIS, "1000", "Milliseconds between heartbeats.")
        .alias(&[super::super::key::scaled("replication.heartbeat_interval_secs", 1000)]),
];
