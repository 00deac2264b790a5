//! What all cores may look at: facts that never change after start-up, and counters that each core
//! writes for itself. Nothing in the way of a request has a lock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use synap_shards::key::ShardMap;
use synap_shards::script::gauge::Gauge;

use crate::alive::Alive;
use crate::auth::Authority;
use crate::captures::Captures;
use crate::cold::Cold;
use crate::config::ShardPorts;
use crate::limits::{Addresses, Buckets};
use crate::mailboxes::Mailboxes;
use crate::metrics::CoreMetrics;
use crate::protocol::http::route::HttpOptions;
use crate::scripts::Scripts;
use crate::snapshot::Snapshots;
use crate::topics::Topics;
use crate::transactions::HttpTransactions;

/// Facts about this process, and everyone's counters.
#[derive(Debug)]
pub struct Shared {
    /// Unix milliseconds at which the process started.
    pub started_unix_ms: u64,
    /// 40 hexadecimal digits that name this run.
    pub run_id: String,
    /// The configuration file in use, absolute; empty when there is none.
    pub config_file: String,
    /// Where the data is kept.
    pub data_directory: PathBuf,
    /// Where HTTP is served.
    pub http_address: SocketAddr,
    /// Where RESP is served, if it is.
    pub resp_address: Option<SocketAddr>,
    /// Whether `http_address` is served under TLS.
    pub http_is_tls: bool,
    /// Where HTTP is served under TLS besides, if it is.
    pub https_address: Option<SocketAddr>,
    /// Where RESP is served under TLS, if it is.
    pub resp_tls_address: Option<SocketAddr>,
    /// Where the queue service of distributed-sync-system is served, if it is.
    pub dss_queue_address: Option<SocketAddr>,
    /// Ports for cluster-aware clients.
    pub shard_ports: ShardPorts,
    /// Which core owns which shard.
    pub shard_map: ShardMap,
    /// Whether writes are logged.
    pub persistence: bool,
    /// The word of `persistence.wal.fsync_mode`.
    pub fsync_mode: &'static str,
    /// What of HTTP is fixed at start-up.
    pub http: HttpOptions,
    /// Set once the process is shutting down.
    pub stopping: AtomicBool,
    /// Set when it was told twice: requests are not waited for any more.
    pub hurry: AtomicBool,
    /// Cores that have nothing left to answer while the process shuts down.
    pub drained: AtomicUsize,
    /// Cores whose log has no room for further writes because the disk is full.
    pub logs_full: AtomicUsize,
    /// The coordinator of snapshots; nothing where none are taken.
    pub snapshots: Option<Snapshots>,
    /// Files of events; nothing where nothing is kept on disk.
    pub cold: Option<Cold>,
    /// Transactions of HTTP callers.
    pub transactions: HttpTransactions,
    /// Subscribers without a connection.
    pub mailboxes: Mailboxes,
    /// Cores with readers of captures that wait.
    pub captures: Captures,
    /// The last security event that `ACL LOG` does not show any more.
    pub acl_log_hidden: AtomicU64,
    /// Who callers are and what they may do.
    pub authority: Arc<Authority>,
    /// Tokens of clients whose requests are limited.
    pub buckets: Buckets,
    /// How many connections each address has.
    pub addresses: Addresses,
    /// Which clients there are.
    pub alive: Alive,
    /// The scripts that the process knows.
    pub scripts: Arc<Scripts>,
    /// Topics of several partitions.
    pub topics: Arc<Topics>,
    /// Where each core shows that it runs a script, by core.
    pub script_gauges: Vec<Arc<Gauge>>,
    /// One set of counters per core, written by that core only.
    pub metrics: Vec<CoreMetrics>,
}

impl Shared {
    /// Batches appended since the start that the last snapshot does not stand for.
    pub fn changes_since_snapshot(&self) -> u64 {
        let appended: u64 = self.metrics.iter().map(|core| core.wal_appends.get()).sum();
        let covered = self.snapshots.as_ref().map_or(0, |all| all.facts.covered_batches.get());
        appended.saturating_sub(covered)
    }

    /// Bytes of log that stand, about.
    pub fn log_bytes(&self) -> u64 {
        match &self.snapshots {
            Some(snapshots) => snapshots.facts.log_bytes.get(),
            None => self.metrics.iter().map(|core| core.wal_size_bytes.get()).sum(),
        }
    }
}
