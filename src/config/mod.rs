//! Configuration: one typed [`Config`] from built-in defaults, a YAML file, the environment and the
//! command line, the later winning over the earlier.
//!
//! Every key is declared once as data ([`key::Key`]); loading, environment names, the effective
//! listing, the reference file and the reload rules read that declaration. A field of [`Config`]
//! has the dotted path of its key: `config.kv_store.max_memory_mb`. Keys of subsystems this build
//! does not have are checked but have no field; [`Config::unsupported`] names those the server must
//! not start with. Nothing here opens a socket or touches the data directory.

mod access;
mod check;
mod env;
mod error;
mod file;
mod foreign;
pub mod key;
mod keys;
mod load;
mod read;
mod reload;
mod settings;
mod show;
mod value;
mod yaml;

pub use check::Unsupported;
pub use error::{ConfigError, ConfigErrors, Origin, Warning, WarningKind};
pub use load::{Flag, Loaded, Sources};
pub use reload::{Change, ReloadPlan};
pub use show::reference;
pub use value::{Object, Value};

use std::path::PathBuf;

use crate::auth::Plan;
use synap_shards::pubsub::Limits;
use synap_shards::types::Thresholds;

use crate::cidr::Cidr;
use crate::limits::{OutputLimits, Rate};

/// The effective configuration. Its fields are documented, with unit, range and default, in
/// `config/config.yml`; the notes here say what the types add.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Base of every path not set on its own. Default `./data`.
    pub data_dir: PathBuf,
    /// HTTP listener, cores, limits of requests.
    pub server: Server,
    /// Limits of connections.
    pub network: Network,
    /// RESP listener.
    pub resp3: Resp3,
    /// Which HTTP interfaces are served.
    pub protocols: Protocols,
    /// The services of distributed-sync-system.
    pub dss: Dss,
    /// Memory, eviction, expiry.
    pub kv_store: KvStore,
    /// The log.
    pub persistence: Persistence,
    /// Log lines for people and machines.
    pub logging: Logging,
    /// Metrics and slow log.
    pub monitoring: Monitoring,
    /// Lua.
    pub scripting: Scripting,
    /// Publish and subscribe over HTTP.
    pub pubsub: Pubsub,
    /// Rooms and topics.
    pub topics: Topics,
    /// Access control: sections `authentication`, `users`, `api_keys`, `roles`, `acl`.
    pub access: Plan,
    /// Requests per client.
    pub rate_limit: RateLimit,
    settings: settings::Settings,
}

/// Section `server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address or name the HTTP port binds to. Default `0.0.0.0`.
    pub host: String,
    /// HTTP port, 1..=65535. Default 15500.
    pub port: u16,
    /// Cores to run, 0..=64; 0 is one per CPU the process may use. Default 0.
    pub workers: usize,
    /// CPUs to pin cores to, ascending and distinct; `None` is every allowed one.
    pub cpu_list: Option<Vec<usize>>,
    /// Ports on which each core serves RESP for itself. Default off.
    pub shard_ports: ShardPorts,
    /// Path prefix of the conformance echo route, such as `/echo`. Default off.
    pub echo_prefix: Option<String>,
    /// Serve WebSocket. Default true.
    pub websocket_enabled: bool,
    /// Path of the WebSocket that echoes. Default off.
    pub websocket_echo_path: Option<String>,
    /// Seconds between pings of a WebSocket, 1..=86 400. Default 30.
    pub websocket_ping_secs: u64,
    /// Seconds a pong may take, 1..=86 400. Default 60.
    pub websocket_pong_timeout_secs: u64,
    /// Connections of all protocols, 1..=10^7. Default 100 000. Reloadable.
    pub max_connections: usize,
    /// Connections of one address, 0..=10^7; 0 is no limit, the default. Reloadable.
    pub max_connections_per_address: usize,
    /// MiB of one HTTP body, 1..=512. Default 10.
    pub max_request_size_mb: usize,
    /// Seconds for one request to arrive, 1..=86 400. Default 30.
    pub request_timeout_secs: u64,
    /// Refuse commands that write. Default false.
    pub read_only: bool,
    /// Changes of keys that are published, as letters. Default none. Reloadable.
    pub notify_keyspace_events: String,
    /// Keys that readers are kept of for CLIENT TRACKING; 0 is no limit. Default 1000000.
    /// Reloadable.
    pub tracking_table_max_keys: usize,
    /// Browser origins.
    pub cors: Cors,
    /// Certificates, and HTTPS.
    pub tls: Tls,
}

/// The first ports for cluster-aware clients: core `i` listens on each plus `i`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardPorts {
    /// In the clear.
    pub plain: Option<u16>,
    /// Under TLS.
    pub tls: Option<u16>,
}

impl ShardPorts {
    /// Whether there are any.
    pub fn are_on(&self) -> bool {
        self.plain.is_some() || self.tls.is_some()
    }

    /// Those that a client is sent to: of the kind that it came by, if there are such.
    pub fn for_client(&self, is_tls: bool) -> Option<u16> {
        if is_tls { self.tls.or(self.plain) } else { self.plain.or(self.tls) }
    }
}

/// Section `server.tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Serve HTTPS. Default false.
    pub enabled: bool,
    /// Where, when not on the HTTP port. Default off.
    pub port: Option<u16>,
    /// Certificates. Reloadable.
    pub cert_path: Option<PathBuf>,
    /// Private key. Reloadable.
    pub key_path: Option<PathBuf>,
    /// Authorities of client certificates. Default none. Reloadable.
    pub client_ca_path: Option<PathBuf>,
    /// Whether clients must have one. Default required. Reloadable.
    pub client_auth: ClientAuth,
}

/// Whether clients must show a certificate, where authorities for them are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Those without are refused.
    Required,
    /// Those without come in, and have no name.
    Optional,
}

/// Section `server.cors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins allowed to call; `*` is any; empty sends no header. Default empty.
    pub allowed_origins: Vec<String>,
}

/// Section `rate_limit`. All of it is reloadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests; `None` without a limit, the default.
    pub rate: Option<Rate>,
    /// Proxies that are believed who the client is. Default empty.
    pub trust_forwarded_for: Vec<Cidr>,
}

/// Section `pubsub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pubsub {
    /// Serve it over HTTP. Default true.
    pub enabled: bool,
    /// Messages that may wait for one subscriber, 1..=2^20. Default 1024.
    pub channel_capacity: usize,
    /// Keep the last message to each topic for who subscribes later. Default false.
    pub keep_last_value: bool,
    /// What happens to a subscriber that does not keep up. Default `disconnect`.
    pub slow_consumer: SlowConsumer,
    /// How many names, patterns and subscribers of each there may be.
    pub limits: Limits,
}

/// What happens to a subscriber that does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Its connection is closed.
    Disconnect,
    /// It misses messages.
    Drop,
}

/// Section `topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Where files of events are. Default `<data_dir>/topics`.
    pub base_dir: PathBuf,
}

/// Section `network`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Seconds until a silent connection is closed; 0 is never. Default 300.
    pub idle_timeout_secs: u64,
    /// What may wait for a slow reader. Default 256 MiB of answers, and what Redis says of others.
    /// Reloadable.
    pub output_limits: OutputLimits,
    /// Seconds without progress after which who does not read is closed; 0 is never. Default 60.
    /// Reloadable.
    pub write_timeout_secs: u64,
    /// MiB one unfinished command may occupy, 1..=2^20. Default 1024.
    pub query_buffer_limit_mb: usize,
}

/// Section `resp3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resp3 {
    /// Serve RESP. Default true.
    pub enabled: bool,
    /// Address or name it binds to. Default `127.0.0.1`.
    pub host: String,
    /// Its port, 0 for none. Default 6379.
    pub port: u16,
    /// Its port under TLS. Default off.
    pub tls_port: Option<u16>,
    /// The port was asked for by file, environment or flag, so it being taken is an error.
    pub port_is_explicit: bool,
}

/// Section `protocols`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocols {
    /// REST routes.
    pub rest: Rest,
    /// Command envelopes.
    pub streamable_http: StreamableHttp,
}

/// Section `protocols.streamable_http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamableHttp {
    /// Serve them. Default true.
    pub enabled: bool,
    /// Where. Default `/api/v1/command`.
    pub path: String,
}

/// Section `protocols.rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Serve them. Default true.
    pub enabled: bool,
}

/// Section `dss`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dss {
    /// Address or name its ports bind to. Default that of the HTTP port.
    pub host: String,
    /// Port of the queue service. Default off.
    pub queue_port: Option<u16>,
    /// Serve it under TLS. Default false.
    pub tls_enabled: bool,
    /// Name of this node. Default `node_0`.
    pub node_id: String,
    /// Origins allowed to call; `*` is any, the default.
    pub allowed_origins: Vec<String>,
}

/// Section `kv_store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvStore {
    /// MiB of all data together; 0 is no cap. Default 4096. Reloadable.
    pub max_memory_mb: u64,
    /// What is evicted at the cap. Default LRU over all keys. Reloadable.
    pub eviction_policy: EvictionPolicy,
    /// Keys sampled per eviction, 1..=64. Default 5. Reloadable.
    pub eviction_sample_size: usize,
    /// Saturation of LFU counters, 0..=255. Default 10. Reloadable.
    pub lfu_log_factor: u8,
    /// Minutes per decrement of LFU counters; 0 is never. Default 1. Reloadable.
    pub lfu_decay_time: u16,
    /// Milliseconds between expiry sweeps, 1..=60 000. Default 100.
    pub ttl_cleanup_interval_ms: u64,
    /// FLUSHDB and FLUSHALL allowed. Default false. Reloadable.
    pub allow_flush_commands: bool,
    /// `queue.enabled`.
    pub queues: bool,
    /// `queue.max_queues`.
    pub max_queues: u64,
    /// `streams.enabled`.
    pub streams: bool,
    /// `streams.max_rooms`.
    pub max_rooms: u64,
    /// Bytes of a value, 1..=512 MiB. Default 512 MiB.
    pub max_value_size_bytes: usize,
    /// Most keys; `None` is no limit.
    pub max_keys: Option<u64>,
    /// When containers leave their packed form. Defaults are Redis's. Reloadable.
    pub thresholds: Thresholds,
}

/// Section `persistence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// Keep data on disk: `persistence.enabled` and `persistence.wal.enabled`. Default true.
    pub enabled: bool,
    /// The log.
    pub wal: Wal,
    /// Images of the data that stand in for the log.
    pub snapshot: Snapshot,
    /// How the data is read at a start.
    pub recovery: Recovery,
}

/// Section `persistence.snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether snapshots can be taken at all. Default true.
    pub enabled: bool,
    /// Where they are. Default `<data_dir>/snapshots`.
    pub directory: PathBuf,
    /// Seconds between snapshots while something changes; 0 for never. Default 300.
    pub interval_secs: u64,
    /// Batches that trigger one; 0 for never. Default 10000.
    pub operation_threshold: u64,
    /// Snapshots kept, 1..=10000. Default 5.
    pub max_snapshots: usize,
    /// Bytes of those together, percent of the live data; 0 for no such bound. Default 100.
    pub max_total_percent: u64,
    /// Whether they are compressed. Default true.
    pub compression: bool,
    /// With what. Default zstd.
    pub codec: SnapshotCodec,
    /// Level of zstd, 1..=22. Default 3.
    pub compression_level: u8,
    /// Whether they are taken without being asked for. Default true.
    pub auto_snapshot: bool,
}

/// Section `persistence.recovery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Compare the checksums of all that is read, not only of the end of each log. Default true.
    pub verify_checksums: bool,
    /// Start without what is damaged, and what follows it in the same shards. Default false.
    pub skip_corrupted: bool,
    /// After damage was skipped: write down what was recovered, and put the damaged logs away.
    /// Default false.
    pub repair_mode: bool,
}

/// Section `persistence.wal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wal {
    /// Directory of the log, the file name of the seed's form already cut. Default
    /// `<data_dir>/wal`.
    pub path: PathBuf,
    /// KiB of buffer a core starts with, 4..=2^20. Default 64.
    pub buffer_size_kb: usize,
    /// When a write is answered. Default periodic.
    pub fsync_mode: FsyncMode,
    /// Milliseconds between syncs in mode periodic, 1..=86 400 000. Default 10.
    pub fsync_interval_ms: u64,
    /// MiB of one log file, 1..=1024. Default 64.
    pub segment_size_mb: u64,
    /// How commits reach the disk. Default auto.
    pub commit_path: CommitPath,
    /// MiB of log at which a snapshot is taken so that it can go. Default 1024.
    pub max_size_mb: u64,
}

/// Section `logging`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Level or filter, checked; RUST_LOG already applied. Default `info`. Reloadable.
    pub level: String,
    /// Form of a line. Default JSON.
    pub format: LogFormat,
    /// Where lines go. Default standard output.
    pub output: LogOutput,
}

/// Section `monitoring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitoring {
    /// Serve `/metrics`. Default true.
    pub enabled: bool,
    /// Milliseconds above which a command is slow. Default 10. Reloadable.
    pub slowlog_threshold_ms: u64,
    /// Entries of the slow log. Default 128. Reloadable.
    pub slowlog_max_entries: usize,
}

/// Section `scripting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scripting {
    /// Milliseconds after which a script is stopped. Default 5000. Reloadable.
    pub time_limit_ms: u64,
    /// MiB that the interpreter may take for one run. Default 64. Reloadable.
    pub memory_limit_mb: usize,
}

/// What is evicted when memory reaches its cap; the names in quotes are those of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Least recently used of all keys ("allkeys-lru").
    Lru,
    /// Least frequently used of all keys ("allkeys-lfu").
    Lfu,
    /// Nearest to its expiry ("volatile-ttl").
    Ttl,
    /// Nothing: writes are refused ("noeviction").
    None,
    /// Least recently used of those that expire.
    VolatileLru,
    /// Least frequently used of those that expire.
    VolatileLfu,
    /// Any.
    AllkeysRandom,
    /// Any that expires.
    VolatileRandom,
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncMode {
    /// When it is on disk.
    Always,
    /// When it is in the log; the log is synced at an interval.
    Periodic,
    /// When it is in the log; the system syncs when it likes.
    Never,
}

/// How a commit reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitPath {
    /// Chosen by what the file system supports.
    Auto,
    /// Through io_uring.
    Ring,
    /// Through a blocking thread per core.
    Thread,
}

/// What snapshots are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotCodec {
    /// Smaller.
    Zstd,
    /// Quicker.
    Lz4,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// Text for people.
    Pretty,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

impl Default for Config {
    /// Every key at its default, data below `./data`.
    fn default() -> Self {
        Self::from_settings(settings::Settings::default())
    }
}
