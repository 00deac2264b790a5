//! From checked values to the typed [`Config`]: the one place that reads the table by path.
//!
//! A path that is not in the table, or has another kind there, is a mistake of this program and
//! found by the first test that builds a default configuration; so it panics with the path.

use super::error::Origin;
use super::settings::{Names, Settings};
use super::value::{Value, from_text};
use super::{
    ClientAuth, CommitPath, Config, Cors, Dss, EvictionPolicy, FsyncMode, KvStore, LogFormat,
    LogOutput, Logging, Monitoring, Network, Persistence, Protocols, Pubsub, RateLimit, Recovery,
    Resp3, Rest, Scripting, Server, ShardPorts, SlowConsumer, Snapshot, SnapshotCodec,
    StreamableHttp, Tls, Topics, Wal, access,
};
use crate::cidr::Cidr;
use crate::limits::{OutputLimits, Rate};
use crate::session::config::memory;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use synap_shards::pubsub::Limits as SubscriptionLimits;
use synap_shards::types::Defaults;
use synap_shards::types::Thresholds;
use synap_shards::types::group::Strategy;
use synap_shards::types::queue::Settings as QueueSettings;
use synap_shards::types::topic::Retention;

/// Reads values by path, and remembers which paths were read.
pub(super) struct Reader<'a> {
    names: &'a Names,
    settings: &'a Settings,
    read: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    /// Over some settings.
    pub(super) fn new(names: &'a Names, settings: &'a Settings) -> Self {
        Self { names, settings, read: RefCell::default() }
    }

    /// Canonical paths read so far.
    #[cfg(test)]
    fn read(&self) -> BTreeSet<&'static str> {
        self.read.borrow().clone()
    }

    /// The value set, else the default, else `None`.
    pub(super) fn value(&self, path: &'static str) -> Option<Value> {
        let found = self.names.find(path);
        let (index, _) = found.unwrap_or_else(|| panic!("`{path}` is not in the table"));
        let key = self.names.keys[index];
        self.read.borrow_mut().insert(key.path);
        match self.settings.get(index) {
            Some(entry) => Some(entry.value.clone()),
            None => key.default.map(|text| {
                let value = from_text(key.kind, text);
                value.unwrap_or_else(|_| panic!("`{path}` has a default outside its own range"))
            }),
        }
    }

    /// Where the value was set; the default where it was not.
    pub(super) fn origin(&self, path: &'static str) -> Origin {
        let entry = self.names.find(path).and_then(|(index, _)| self.settings.get(index));
        entry.map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// The value was set, not left at its default.
    pub(super) fn is_set(&self, path: &'static str) -> bool {
        self.names.find(path).is_some_and(|(index, _)| self.settings.get(index).is_some())
    }

    pub(super) fn flag(&self, path: &'static str) -> bool {
        match self.value(path) {
            Some(Value::Bool(value)) => value,
            other => panic!("`{path}` is declared a flag, holds {other:?}"),
        }
    }

    pub(super) fn opt_int<T: TryFrom<u64>>(&self, path: &'static str) -> Option<T> {
        match self.value(path)? {
            Value::Int(value) => {
                Some(T::try_from(value).unwrap_or_else(|_| panic!("`{path}` outgrows its type")))
            }
            other => panic!("`{path}` is declared a number, holds {other:?}"),
        }
    }

    fn int<T: TryFrom<u64>>(&self, path: &'static str) -> T {
        self.opt_int(path).unwrap_or_else(|| panic!("`{path}` needs a default"))
    }

    pub(super) fn opt_text(&self, path: &'static str) -> Option<String> {
        match self.value(path)? {
            Value::Text(text) => Some(text),
            other => panic!("`{path}` is declared text, holds {other:?}"),
        }
    }

    pub(super) fn text(&self, path: &'static str) -> String {
        self.opt_text(path).unwrap_or_else(|| panic!("`{path}` needs a default"))
    }

    pub(super) fn list(&self, path: &'static str) -> Option<Vec<Value>> {
        match self.value(path)? {
            Value::List(items) => Some(items),
            other => panic!("`{path}` is declared a list, holds {other:?}"),
        }
    }

    fn named<T: Copy>(&self, path: &'static str, names: &[(&str, T)]) -> T {
        let text = self.text(path);
        let found = names.iter().find(|(name, _)| *name == text);
        found.unwrap_or_else(|| panic!("`{path}` allows `{text}`, which has no meaning here")).1
    }

    fn server(&self) -> Server {
        let origins = self.list("server.cors.allowed_origins").unwrap_or_default();
        Server {
            host: self.text("server.host"),
            port: self.int("server.port"),
            workers: self.int("server.workers"),
            cpu_list: self.list("server.cpu_list").map(|items| cpus(&items)),
            shard_ports: ShardPorts {
                plain: self.opt_int("server.shard_port_base"),
                tls: self.opt_int("server.shard_tls_port_base"),
            },
            echo_prefix: self.opt_text("server.echo_prefix"),
            websocket_enabled: self.flag("server.websocket_enabled"),
            websocket_echo_path: self.opt_text("server.websocket_echo_path"),
            websocket_ping_secs: self.int("server.websocket_ping_secs"),
            websocket_pong_timeout_secs: self.int("server.websocket_pong_timeout_secs"),
            max_connections: self.int("server.max_connections"),
            max_connections_per_address: self.int("server.max_connections_per_address"),
            max_request_size_mb: self.int("server.max_request_size_mb"),
            request_timeout_secs: self.int("server.request_timeout_secs"),
            read_only: self.flag("server.read_only"),
            notify_keyspace_events: self.text("server.notify_keyspace_events"),
            tracking_table_max_keys: self.int("server.tracking_table_max_keys"),
            cors: Cors { allowed_origins: origins.iter().map(Value::to_string).collect() },
            tls: self.tls(),
        }
    }

    fn tls(&self) -> Tls {
        let path = |key| self.opt_text(key).map(PathBuf::from);
        Tls {
            enabled: self.flag("server.tls.enabled"),
            port: self.opt_int("server.tls.port"),
            cert_path: path("server.tls.cert_path"),
            key_path: path("server.tls.key_path"),
            client_ca_path: path("server.tls.client_ca_path"),
            client_auth: self.named("server.tls.client_auth", ClientAuth::NAMES),
        }
    }

    fn network(&self) -> Network {
        Network {
            idle_timeout_secs: self.int("network.idle_timeout_secs"),
            output_limits: self.output_limits().expect("the configuration was checked"),
            write_timeout_secs: self.int("network.write_timeout_secs"),
            query_buffer_limit_mb: self.int("network.query_buffer_limit_mb"),
        }
    }

    /// Nothing where the text is none of limits.
    pub(super) fn output_limits(&self) -> Option<OutputLimits> {
        let mib: usize = self.int("network.output_buffer_limit_mb");
        let limits = OutputLimits::new(mib.saturating_mul(1 << 20));
        limits.with(&self.text("network.client_output_buffer_limit"), |word| {
            memory(word.as_bytes(), 0).ok()
        })
    }

    fn pubsub(&self) -> Pubsub {
        Pubsub {
            enabled: self.flag("pubsub.enabled"),
            channel_capacity: self.int("pubsub.channel_capacity"),
            keep_last_value: self.flag("pubsub.keep_last_value"),
            slow_consumer: self.named("pubsub.slow_consumer", SlowConsumer::NAMES),
            limits: SubscriptionLimits {
                names: self.int("pubsub.max_topics"),
                subscribers: self.int("pubsub.max_subscribers_per_topic"),
                patterns: self.int("pubsub.max_wildcard_subscriptions"),
            },
        }
    }

    fn topics_dir(&self, data_dir: &Path) -> PathBuf {
        let moved = self.opt_text("topics.base_dir");
        moved.map_or_else(|| crate::cold::directory(data_dir), PathBuf::from)
    }

    fn rate_limit(&self) -> RateLimit {
        let per_second = self.int("rate_limit.requests_per_second");
        let rate = Rate::per_second(per_second, self.int("rate_limit.burst_size"));
        let trusted = self.list("rate_limit.trust_forwarded_for").unwrap_or_default();
        let block = |value: &Value| Cidr::parse(&value.to_string()).expect("the kind checks it");
        RateLimit {
            rate: self.flag("rate_limit.enabled").then_some(rate),
            trust_forwarded_for: trusted.iter().map(block).collect(),
        }
    }

    fn resp3(&self) -> Resp3 {
        Resp3 {
            enabled: self.flag("resp3.enabled"),
            host: self.text("resp3.host"),
            port: self.int("resp3.port"),
            tls_port: self.opt_int("resp3.tls_port"),
            port_is_explicit: self.is_set("resp3.port"),
        }
    }

    fn dss(&self) -> Dss {
        let origins = self.list("dss.allowed_origins").unwrap_or_default();
        Dss {
            host: self.opt_text("dss.host").unwrap_or_else(|| self.text("server.host")),
            queue_port: self.opt_int("dss.queue_port"),
            tls_enabled: self.flag("dss.tls_enabled"),
            node_id: self.text("dss.node_id"),
            allowed_origins: origins.iter().map(Value::to_string).collect(),
        }
    }

    fn protocols(&self) -> Protocols {
        Protocols {
            rest: Rest { enabled: self.flag("protocols.rest.enabled") },
            streamable_http: StreamableHttp {
                enabled: self.flag("protocols.streamable_http.enabled"),
                path: self.text("protocols.streamable_http.path"),
            },
        }
    }

    fn kv_store(&self) -> KvStore {
        KvStore {
            max_memory_mb: self.int("kv_store.max_memory_mb"),
            eviction_policy: self.named("kv_store.eviction_policy", EvictionPolicy::NAMES),
            eviction_sample_size: self.int("kv_store.eviction_sample_size"),
            lfu_log_factor: self.int("kv_store.lfu_log_factor"),
            lfu_decay_time: self.int("kv_store.lfu_decay_time"),
            ttl_cleanup_interval_ms: self.int("kv_store.ttl_cleanup_interval_ms"),
            allow_flush_commands: self.flag("kv_store.allow_flush_commands"),
            queues: self.flag("queue.enabled"),
            max_queues: self.int("queue.max_queues"),
            streams: self.flag("streams.enabled"),
            max_rooms: self.int("streams.max_rooms"),
            max_value_size_bytes: self.int("kv_store.max_value_size_bytes"),
            max_keys: self.opt_int("kv_store.max_keys"),
            thresholds: self.thresholds(),
        }
    }

    fn thresholds(&self) -> Thresholds {
        let list_size = self.text("kv_store.list_max_listpack_size");
        Thresholds {
            hash_max_listpack_entries: self.int("kv_store.hash_max_listpack_entries"),
            hash_max_listpack_value: self.int("kv_store.hash_max_listpack_value"),
            set_max_intset_entries: self.int("kv_store.set_max_intset_entries"),
            set_max_listpack_entries: self.int("kv_store.set_max_listpack_entries"),
            set_max_listpack_value: self.int("kv_store.set_max_listpack_value"),
            zset_max_listpack_entries: self.int("kv_store.zset_max_listpack_entries"),
            zset_max_listpack_value: self.int("kv_store.zset_max_listpack_value"),
            stream_node_max_bytes: self.int("kv_store.stream_node_max_bytes"),
            stream_node_max_entries: self.int("kv_store.stream_node_max_entries"),
            hll_sparse_max_bytes: self.int("kv_store.hll_sparse_max_bytes"),
            list_max_listpack_size: list_size.parse().expect("the key's names are numbers"),
            queue: self.queue(),
            queue_auto_create: self.flag("queue.auto_create"),
            partition_hot_kb: self.hot_kb(),
            read_elements_max: match self.int("kv_store.max_read_elements") {
                0 => usize::MAX,
                most => most,
            },
            defaults: self.defaults(),
        }
    }

    /// Of a partition; without a log no file could stand for events.
    fn hot_kb(&self) -> u32 {
        let is_logged = self.flag("persistence.enabled") && self.flag("persistence.wal.enabled");
        if is_logged { self.int("topics.hot_kb") } else { 0 }
    }

    fn defaults(&self) -> Defaults {
        let strategy = self.text("consumer_groups.strategy");
        let session_secs: u32 = self.int("consumer_groups.session_timeout_secs");
        let visible_secs: u64 = self.int("dss.visibility_timeout_secs");
        Defaults {
            room_events: self.int("streams.max_buffer_size"),
            room_secs: self.int("streams.retention_secs"),
            room_readers: self.int("streams.max_subscribers_per_room"),
            partitions: self.int("topics.default_partitions"),
            replication_factor: self.int("topics.replication_factor"),
            segment_bytes: self.int("topics.segment_bytes"),
            retention: self.retention(),
            read_max: self.int("topics.max_batch_size"),
            strategy: Strategy::named(strategy.as_bytes()).expect("the key's names are strategies"),
            session_ms: session_secs * 1000,
            dss_visible_ms: visible_secs * 1000,
            ..Defaults::DEFAULT
        }
    }

    /// Limits that do not belong to the type of retention do not count.
    fn retention(&self) -> Retention {
        let kind = self.text("topics.retention.type");
        let of = |own: &str| kind == own || kind == "combined";
        let secs: Option<u64> = self.opt_int("topics.retention.retention_secs");
        Retention {
            time_ms: secs.filter(|_| of("time")).map(|secs| secs * 1000),
            bytes: self.opt_int("topics.retention.max_bytes").filter(|_| of("size")),
            messages: self.opt_int("topics.retention.max_messages").filter(|_| of("messages")),
        }
    }

    fn queue(&self) -> QueueSettings {
        let keeps_dead = self.flag("queue.dead_letter.enabled");
        let retention_hours: u64 = self.int("queue.dead_letter.retention_hours");
        let deadline_secs: u64 = self.int("queue.ack_deadline_secs");
        QueueSettings {
            max_depth: self.int("queue.max_depth"),
            ack_deadline_ms: deadline_secs * 1000,
            max_retries: self.int("queue.default_max_retries"),
            priority: self.int("queue.default_priority"),
            prefetch: self.int("queue.prefetch_limit"),
            dead_max: if keeps_dead { self.int("queue.dead_letter.max_size") } else { 0 },
            dead_retention_ms: retention_hours * 3_600_000,
            ..QueueSettings::DEFAULT
        }
    }

    fn persistence(&self, data_dir: &Path) -> Persistence {
        let enabled = self.flag("persistence.enabled");
        let logged = self.flag("persistence.wal.enabled");
        let (wal, snapshot) = (self.wal(data_dir), self.snapshot(data_dir));
        let recovery = Recovery {
            verify_checksums: self.flag("persistence.recovery.verify_checksums"),
            skip_corrupted: self.flag("persistence.recovery.skip_corrupted"),
            repair_mode: self.flag("persistence.recovery.repair_mode"),
        };
        Persistence { enabled: enabled && logged, wal, snapshot, recovery }
    }

    fn snapshot(&self, data_dir: &Path) -> Snapshot {
        let directory = self.opt_text("persistence.snapshot.directory");
        Snapshot {
            enabled: self.flag("persistence.snapshot.enabled"),
            directory: directory.map_or_else(|| data_dir.join("snapshots"), PathBuf::from),
            interval_secs: self.int("persistence.snapshot.interval_secs"),
            operation_threshold: self.int("persistence.snapshot.operation_threshold"),
            max_snapshots: self.int("persistence.snapshot.max_snapshots"),
            max_total_percent: self.int("persistence.snapshot.max_total_percent"),
            compression: self.flag("persistence.snapshot.compression"),
            codec: self.named("persistence.snapshot.codec", SnapshotCodec::NAMES),
            compression_level: self.int("persistence.snapshot.compression_level"),
            auto_snapshot: self.flag("persistence.snapshot.auto_snapshot"),
        }
    }

    fn wal(&self, data_dir: &Path) -> Wal {
        let path = self.opt_text("persistence.wal.path");
        Wal {
            path: path.map_or_else(|| data_dir.join("wal"), |path| log_directory(&path)),
            buffer_size_kb: self.int("persistence.wal.buffer_size_kb"),
            fsync_mode: self.named("persistence.wal.fsync_mode", FsyncMode::NAMES),
            fsync_interval_ms: self.int("persistence.wal.fsync_interval_ms"),
            segment_size_mb: self.int("persistence.wal.segment_size_mb"),
            commit_path: self.named("persistence.wal.commit_path", CommitPath::NAMES),
            max_size_mb: self.int("persistence.wal.max_size_mb"),
        }
    }

    fn logging(&self) -> Logging {
        Logging {
            level: self.text("logging.level"),
            format: self.named("logging.format", LogFormat::NAMES),
            output: match self.text("logging.output").as_str() {
                "stdout" => LogOutput::Stdout,
                "stderr" => LogOutput::Stderr,
                path => LogOutput::File(PathBuf::from(path)),
            },
        }
    }

    fn monitoring(&self) -> Monitoring {
        Monitoring {
            enabled: self.flag("monitoring.enabled"),
            slowlog_threshold_ms: self.int("monitoring.slowlog_threshold_ms"),
            slowlog_max_entries: self.int("monitoring.slowlog_max_entries"),
        }
    }

    fn scripting(&self) -> Scripting {
        Scripting {
            time_limit_ms: self.int("scripting.time_limit_ms"),
            memory_limit_mb: self.int("scripting.memory_limit_mb"),
        }
    }

    fn config(&self) -> Config {
        let data_dir = PathBuf::from(self.text("data_dir"));
        Config {
            server: self.server(),
            network: self.network(),
            resp3: self.resp3(),
            protocols: self.protocols(),
            dss: self.dss(),
            kv_store: self.kv_store(),
            persistence: self.persistence(&data_dir),
            logging: self.logging(),
            monitoring: self.monitoring(),
            scripting: self.scripting(),
            pubsub: self.pubsub(),
            topics: Topics { base_dir: self.topics_dir(&data_dir) },
            access: access::plan(self).0,
            rate_limit: self.rate_limit(),
            data_dir,
            settings: self.settings.clone(),
        }
    }
}

impl Config {
    /// The typed form of checked settings.
    pub(super) fn from_settings(settings: Settings) -> Self {
        let names = Names::new();
        Reader::new(&names, &settings).config()
    }
}

impl EvictionPolicy {
    /// Canonical names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] = &[
        ("lru", Self::Lru),
        ("lfu", Self::Lfu),
        ("ttl", Self::Ttl),
        ("none", Self::None),
        ("volatile-lru", Self::VolatileLru),
        ("volatile-lfu", Self::VolatileLfu),
        ("allkeys-random", Self::AllkeysRandom),
        ("volatile-random", Self::VolatileRandom),
    ];
}

impl FsyncMode {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] =
        &[("always", Self::Always), ("periodic", Self::Periodic), ("never", Self::Never)];
}

impl CommitPath {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] =
        &[("auto", Self::Auto), ("ring", Self::Ring), ("thread", Self::Thread)];
}

impl SnapshotCodec {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] = &[("zstd", Self::Zstd), ("lz4", Self::Lz4)];
}

impl SlowConsumer {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] = &[("disconnect", Self::Disconnect), ("drop", Self::Drop)];
}

impl ClientAuth {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional)];
}

impl LogFormat {
    /// Names in the file, with their meaning.
    pub const NAMES: &[(&str, Self)] = &[("json", Self::Json), ("pretty", Self::Pretty)];
}

/// A path with an extension is the seed's file form, whose directory is meant.
fn log_directory(path: &str) -> PathBuf {
    let path = Path::new(path);
    match (path.extension(), path.parent()) {
        (Some(_), Some(parent)) if parent.as_os_str().is_empty() => PathBuf::from("."),
        (Some(_), Some(parent)) => parent.to_owned(),
        (Some(_), None) | (None, _) => path.to_owned(),
    }
}

fn cpus(items: &[Value]) -> Vec<usize> {
    let number = |item: &Value| match item {
        Value::Int(cpu) => usize::try_from(*cpu).ok(),
        Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    };
    items.iter().filter_map(number).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::key::{Kind, State};
    use super::*;

    #[test]
    fn every_live_key_is_read_and_no_other() {
        let (names, settings) = (Names::new(), Settings::default());
        let reader = Reader::new(&names, &settings);
        let _config = reader.config();
        let is = |path: &str, wanted: fn(State) -> bool| {
            names.find(path).is_some_and(|(index, _)| wanted(names.keys[index].state))
        };
        // What the start is refused with may be read all the same: to say more about it.
        let mut read = reader.read();
        read.retain(|path| !is(path, |state| matches!(state, State::Refused { .. })));
        let live = names.keys.iter().filter(|key| key.state == State::Live).map(|key| key.path);
        assert_eq!(read, live.collect());
    }

    #[test]
    fn every_default_lies_in_its_range() {
        let (names, settings) = (Names::new(), Settings::default());
        let reader = Reader::new(&names, &settings);
        for key in &names.keys {
            assert_eq!(reader.value(key.path).is_some(), key.default.is_some(), "{}", key.path);
        }
    }

    #[test]
    fn every_enum_name_has_a_meaning() {
        let check = |path: &str, meant: Vec<&str>| {
            let names = Names::new();
            let (index, _) = names.find(path).expect("in the table");
            let Kind::Enum(rows) = names.keys[index].kind else { panic!("{path} is an enum") };
            assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), meant, "{path}");
        };
        let first = |(name, _): &(&'static str, _)| *name;
        check("kv_store.eviction_policy", EvictionPolicy::NAMES.iter().map(first).collect());
        check("persistence.wal.fsync_mode", FsyncMode::NAMES.iter().map(|n| n.0).collect());
        check("persistence.wal.commit_path", CommitPath::NAMES.iter().map(|n| n.0).collect());
        check("persistence.snapshot.codec", SnapshotCodec::NAMES.iter().map(|n| n.0).collect());
        check("pubsub.slow_consumer", SlowConsumer::NAMES.iter().map(|n| n.0).collect());
        check("server.tls.client_auth", ClientAuth::NAMES.iter().map(|n| n.0).collect());
        check("logging.format", LogFormat::NAMES.iter().map(|n| n.0).collect());
    }

    #[test]
    fn a_log_path_with_a_file_name_means_its_parent() {
        let cases = [
            ("./data/wal/synap.wal", "./data/wal"),
            ("/data/wal", "/data/wal"),
            ("synap.wal", "."),
            ("/srv/v1.2/wal", "/srv/v1.2/wal"),
        ];
        for (path, directory) in cases {
            assert_eq!(log_directory(path), PathBuf::from(directory), "{path}");
        }
    }
}
