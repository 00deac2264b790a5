//! Queues; and streams, topics, publish/subscribe and the tool protocols, which are checked so that
//! files for complete installations load, while this build has no such subsystem.

use super::super::key::{Key, Kind, MANY, MILLIS, SECS, SOME, int, same};

const RETENTION: Kind =
    Kind::Enum(&[&["time"], &["size"], &["messages"], &["combined"], &["infinite"]]);
const SLOW: Kind = Kind::Enum(&[&["disconnect"], &["drop"]]);
const STRATEGY: Kind = Kind::Enum(&[&["round_robin"], &["range"], &["sticky"]]);
const COMMITS: &str = "offsets are committed explicitly";

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
    key("queue.max_queues", SOME, "10000", "Queues."),
    used("queue.dead_letter.enabled", Kind::Bool, "true", "Keep messages that failed for good."),
    used("queue.dead_letter.max_size", SOME, "10000", "Dead letters kept per queue."),
    used("queue.dead_letter.retention_hours", int(1, 87_600), "24", "Hours they are kept."),
    key("streams.enabled", Kind::Bool, "true", "Serve event rooms."),
    Key::new(
        "streams.base_dir",
        Kind::Path,
        "Directory of rooms. Unset is `streams` below data_dir.",
    )
    .dormant(),
    key("streams.max_buffer_size", SOME, "10000", "Events kept in memory per room.")
        .alias(&[same("streams.max_events_per_room")]),
    key("streams.max_unread_buffer_size", SOME, "100000", "Cap while readers lag."),
    key("streams.retention_secs", SECS, "3600", "Seconds an event is kept."),
    key("streams.auto_compact", Kind::Bool, "true", "Drop old events in the background."),
    key("streams.compact_interval_secs", SECS, "60", "Seconds between compactions."),
    key("streams.max_rooms", SOME, "100000", "Rooms."),
    key("streams.max_subscribers_per_room", SOME, "10000", "Subscribers per room."),
    key("streams.room_inactive_timeout_hours", int(1, 87_600), "24", "Hours until a room closes."),
    Key::new(
        "topics.base_dir",
        Kind::Path,
        "Directory of topics. Unset is `topics` below data_dir.",
    )
    .dormant(),
    key("topics.default_partitions", int(1, 65_536), "3", "Partitions of a new topic.")
        .alias(&[same("topics.num_partitions")]),
    key("topics.replication_factor", int(1, 64), "1", "Copies of a partition."),
    used(
        "topics.hot_kb",
        int(0, 1 << 30),
        "8192",
        "KiB of events that memory holds of each partition and room; older ones go to files in \
         `topics` below data_dir and are read from there. 0 keeps all in memory.",
    ),
    key("topics.segment_bytes", SOME, "104857600", "Bytes of a segment file."),
    key("topics.max_batch_size", SOME, "1000", "Messages per read."),
    key("topics.flush_interval_secs", SECS, "5", "Seconds between flushes."),
    key("topics.retention.type", RETENTION, "time", "What ends a message's life."),
    key("topics.retention.retention_secs", SECS, "3600", "Seconds, for time and combined."),
    Key::new("topics.retention.max_bytes", SOME, "Bytes, for size and combined.").dormant(),
    Key::new("topics.retention.max_messages", SOME, "Messages, for messages and combined.")
        .dormant(),
    key("topics.compression_enabled", Kind::Bool, "false", "Compress segments."),
    key("consumer_groups.strategy", STRATEGY, "round_robin", "How partitions are dealt out."),
    key("consumer_groups.session_timeout_secs", SECS, "30", "Seconds until a member is gone."),
    key("consumer_groups.rebalance_timeout_secs", SECS, "60", "Seconds a rebalance may take."),
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
    key("pubsub.max_topics", SOME, "1000000", "Topics."),
    key("pubsub.max_subscribers_per_topic", SOME, "10000", "Subscribers per topic."),
    key("pubsub.max_wildcard_subscriptions", SOME, "10000", "Pattern subscriptions."),
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
