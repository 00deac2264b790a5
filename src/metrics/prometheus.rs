//! The Prometheus text format 0.0.4, written from the counters of all cores. A sample that would be
//! zero in a family with many labels is left out; the family's head never is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use synap_io::clock;
use synap_io::wal::SYNC_BUCKETS_US;
use synap_shards::command::spec::Family as CommandFamily;
use synap_shards::command::table;

use super::queues;
use super::registry::{self as families, Family};
use super::streams::Seen;
use super::tls::FAILURES;
use super::{Cell, CoreMetrics, HTTP_STATUSES, LATENCY_BOUNDS_NS};
use crate::audit;
use crate::health::Facts;
use crate::process;
use crate::protocol::http::{dss, table as routes};

const NANOSECONDS: f64 = 1e9;

/// The whole text.
pub fn text(facts: &Facts<'_>) -> String {
    let mut streams = Seen::default();
    facts.shared.metrics.iter().for_each(|core| core.streams.add_to(&mut streams));
    let mut page = Page { out: String::with_capacity(64 * 1024), facts, streams };
    for family in families::FAMILIES {
        page.head(family);
        page.samples(family);
    }
    page.out
}

struct Page<'f> {
    out: String,
    facts: &'f Facts<'f>,
    /// Rooms, partitions and groups of all cores.
    streams: Seen,
}

impl Page<'_> {
    fn head(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes every write");
    }

    fn samples(&mut self, family: &Family) {
        match *family {
            families::BUILD_INFO => {
                self.sample(family, &[env!("CARGO_PKG_VERSION"), "standalone"], 1.0);
            }
            families::UPTIME => self.sample(family, &[], self.facts.uptime_secs() as f64),
            families::LIBRARIES | families::FUNCTIONS => self.libraries(family),
            families::KV_OPERATIONS => self.kv_operations(family),
            families::KV_DURATION => self.command_durations(family, true),
            families::RESP_COMMANDS => self.commands(family),
            families::RESP_DURATION => self.command_durations(family, false),
            families::HTTP_REQUESTS => self.http_requests(family),
            families::HTTP_DURATION => self.http_durations(family),
            families::KV_KEYS => self.per_core(family, |core| &core.keys),
            families::KV_VOLATILE_KEYS => self.per_core(family, |core| &core.volatile_keys),
            families::TURNS => self.per_core(family, |core| &core.turns),
            families::SLOW_TURNS => self.per_core(family, |core| &core.slow_turns),
            families::FORWARDED => self.per_core(family, |core| &core.forwarded),
            families::LOANS => self.per_core(family, |core| &core.loans),
            families::TRANSACTIONS | families::TRANSACTIONS_ABORTED => self.transactions(family),
            Family { name, .. } if name.starts_with("synap_tls_") => self.tls(family),
            families::COLD_FILES
            | families::COLD_BYTES
            | families::COLD_READS
            | families::COLD_FAILURES => self.cold(family),
            families::SNAPSHOT_SLICES => self.per_core(family, |core| &core.snapshot_slices),
            families::SNAPSHOT_SLICE_TIME => {
                self.seconds_per_core(family, |core| &core.snapshot_slice_ns);
            }
            families::SNAPSHOT_SLICE_MAX => {
                self.seconds_per_core(family, |core| &core.snapshot_slice_max_ns);
            }
            families::WAL_BATCH => self.batch_sizes(family),
            families::WAL_FSYNC => self.fsyncs(family),
            families::WAL_SIZE => self.sample(family, &[], self.facts.shared.log_bytes() as f64),
            families::SNAPSHOTS
            | families::SNAPSHOT_DURATION
            | families::SNAPSHOT_TIME
            | families::SNAPSHOT_SIZE
            | families::SNAPSHOT_ENTRIES
            | families::SNAPSHOT_RUNNING
            | families::SNAPSHOT_CHANGES => self.snapshots(family),
            families::KV_MEMORY_LIMIT => {
                self.sample(family, &[], self.facts.settings.max_memory_bytes as f64);
            }
            families::QUEUE_DEPTH
            | families::QUEUE_DEAD
            | families::QUEUE_PENDING
            | families::QUEUE_OPERATIONS => self.queues(family),
            families::QUEUE_DURATION => self.queue_durations(family),
            Family { name, .. } if name.starts_with("dss_") => self.dss(family),
            families::STREAM_OPERATIONS
            | families::STREAM_SUBSCRIBERS
            | families::STREAM_BUFFER
            | families::STREAM_LAST_OFFSET => self.rooms(family),
            families::PARTITION_MESSAGES | families::PARTITION_BYTES | families::PARTITION_END => {
                self.partitions(family)
            }
            families::GROUP_MEMBERS | families::GROUP_COMMITTED | families::GROUP_LAG => {
                self.groups(family);
            }
            families::PROCESS_MEMORY | families::PROCESS_CPU | families::PROCESS_CPU_PERCENT => {
                self.process(family);
            }
            _ => self.limits(family),
        }
    }

    /// What clients may take, and every family that is a sum.
    fn limits(&mut self, family: &Family) {
        match *family {
            families::RATE_LIMIT_CLIENTS => {
                let in_use = self.facts.shared.buckets.in_use(clock::monotonic_ns());
                self.sample(family, &[], in_use as f64);
            }
            families::AUDIT_EVENTS => {
                for (kind, recorded, left_out) in audit::counts() {
                    self.sample(family, &[kind.name(), "recorded"], recorded as f64);
                    self.sample(family, &[kind.name(), "left_out"], left_out as f64);
                }
            }
            families::PUT_OFF => self.per_core(family, |core| &core.put_off),
            families::SHARE_MAX => self.per_core(family, |core| &core.share_max),
            _ => self.sums(family),
        }
    }

    fn libraries(&mut self, family: &Family) {
        let (libraries, functions, _) = self.facts.shared.scripts.library_sizes();
        let is_first = *family == families::LIBRARIES;
        self.sample(family, &[], if is_first { libraries } else { functions } as f64);
    }

    fn transactions(&mut self, family: &Family) {
        let is_all = *family == families::TRANSACTIONS;
        let all: fn(&CoreMetrics) -> &Cell = |core| &core.transactions;
        self.per_core(family, if is_all { all } else { |core| &core.transactions_aborted });
    }

    /// Handshakes and connections under TLS.
    fn tls(&mut self, family: &Family) {
        match *family {
            families::TLS_HANDSHAKES => {
                let full = self.facts.sum(|core| &core.tls.full);
                let resumed = self.facts.sum(|core| &core.tls.resumed);
                self.sample(family, &["full"], full as f64);
                self.sample(family, &["resumed"], resumed as f64);
            }
            families::TLS_FAILURES => {
                for (at, reason) in FAILURES.iter().enumerate() {
                    let count = self.facts.sum(|core| &core.tls.failed[at]);
                    self.sample(family, &[reason], count as f64);
                }
            }
            families::TLS_TIME => self.seconds_per_core(family, |core| &core.tls.nanoseconds),
            families::TLS_UNDERWAY => self.per_core(family, |core| &core.tls.underway),
            _ => self.per_core(family, |core| &core.tls.connections),
        }
    }

    /// Files of events.
    fn cold(&mut self, family: &Family) {
        let cell: fn(&CoreMetrics) -> &Cell = match *family {
            families::COLD_FILES => |core| &core.cold_files,
            families::COLD_BYTES => |core| &core.cold_bytes,
            families::COLD_READS => |core| &core.cold_reads,
            _ => |core| &core.cold_failures,
        };
        self.per_core(family, cell);
    }

    /// Families that are sums of single cells.
    fn sums(&mut self, family: &Family) {
        type Sum = (Family, &'static [&'static str], fn(&CoreMetrics) -> &Cell);
        const SUMS: &[Sum] = &[
            (families::KV_MEMORY, &["used"], |core| &core.live_bytes),
            (families::MEMORY, &["used"], |core| &core.live_bytes),
            (families::MEMORY, &["held"], |core| &core.held_bytes),
            (families::CACHE_HITS, &["memory"], |core| &core.keyspace_hits),
            (families::CACHE_MISSES, &["memory"], |core| &core.keyspace_misses),
            (families::EXPIRED, &[], |core| &core.expired_keys),
            (families::EVICTED, &[], |core| &core.evicted_keys),
            (families::SCRIPTS, &[], |core| &core.scripts_run),
            (families::SCRIPTS_RERUN, &[], |core| &core.scripts_rerun),
            (families::HTTP_CONNECTIONS, &["http"], |core| &core.http_connections),
            (families::HTTP_CONNECTIONS, &["websocket"], |core| &core.websocket_connections),
            (families::PUBSUB_OPERATIONS, &["publish", "ok"], |core| &core.pubsub_published),
            (families::PUBSUB_OPERATIONS, &["deliver", "ok"], |core| &core.pubsub_delivered),
            (families::PUBSUB_OPERATIONS, &["deliver", "dropped"], |core| {
                &core.slow_consumers_dropped
            }),
            (families::RESP_CONNECTIONS, &["open"], |core| &core.resp_connections),
            (families::BYTES_READ, &[], |core| &core.bytes_received),
            (families::BYTES_WRITTEN, &[], |core| &core.bytes_sent),
            (families::CONNECTIONS, &["accepted"], |core| &core.connections_received),
            (families::CONNECTIONS, &["refused"], |core| &core.connections_refused),
            (families::CONNECTIONS, &["dropped"], |core| &core.connections_dropped),
            (families::RATE_LIMITED, &[], |core| &core.rate_limited),
            (families::PROTOCOL_ERRORS, &[], |core| &core.protocol_errors),
            (families::WAL_APPENDS, &[], |core| &core.wal_appends),
            (families::WAL_BYTES, &[], |core| &core.wal_bytes),
            (families::WAL_COMMITS, &[], |core| &core.wal_commits),
            (families::WAL_BACKLOG, &[], |core| &core.wal_backlog_bytes),
            (families::WAL_FULL, &[], |core| &core.wal_full),
            (families::WAL_REFUSED, &[], |core| &core.wal_refused),
        ];
        for (_, labels, cell) in SUMS.iter().filter(|(of, _, _)| of.name == family.name) {
            self.sample(family, labels, self.facts.sum(*cell) as f64);
        }
    }

    fn sample(&mut self, family: &Family, labels: &[&str], value: f64) {
        self.line(family, "", labels, &[], value);
    }

    fn line(
        &mut self,
        family: &Family,
        suffix: &str,
        labels: &[&str],
        more: &[(&str, &str)],
        value: f64,
    ) {
        assert_eq!(labels.len(), family.labels.len(), "{}: values and labels", family.name);
        self.push(format_args!("{}{suffix}", family.name));
        let all = family.labels.iter().copied().zip(labels.iter().copied());
        let mut before = '{';
        // Values are command names, route templates, our own words and what was escaped before.
        for (name, text) in all.chain(more.iter().copied()) {
            self.push(format_args!("{before}{name}=\"{text}\""));
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        self.push(format_args!("{end} {value}\n"));
    }

    fn per_core(&mut self, family: &Family, cell: fn(&CoreMetrics) -> &Cell) {
        for (core, metrics) in self.facts.shared.metrics.iter().enumerate() {
            self.sample(family, &[&core.to_string()], cell(metrics).get() as f64);
        }
    }

    fn seconds_per_core(&mut self, family: &Family, nanoseconds: fn(&CoreMetrics) -> &Cell) {
        for (core, metrics) in self.facts.shared.metrics.iter().enumerate() {
            let seconds = nanoseconds(metrics).get() as f64 / NANOSECONDS;
            self.sample(family, &[&core.to_string()], seconds);
        }
    }

    fn histogram(&mut self, family: &Family, labels: &[&str], counts: &[u64], nanoseconds: u64) {
        self.distribution(family, labels, &LATENCY_BOUNDS_NS, counts, nanoseconds);
    }

    /// Cumulative buckets, sum and count. `counts` ends with what is above every bound.
    fn distribution(
        &mut self,
        family: &Family,
        labels: &[&str],
        bounds_ns: &[u64],
        counts: &[u64],
        nanoseconds: u64,
    ) {
        let mut below = 0;
        for (bound, count) in bounds_ns.iter().zip(counts) {
            below += count;
            let le = (*bound as f64 / NANOSECONDS).to_string();
            self.line(family, "_bucket", labels, &[("le", &le)], below as f64);
        }
        let all: u64 = counts.iter().sum();
        self.line(family, "_bucket", labels, &[("le", "+Inf")], all as f64);
        self.line(family, "_sum", labels, &[], nanoseconds as f64 / NANOSECONDS);
        self.line(family, "_count", labels, &[], all as f64);
    }

    fn kv_operations(&mut self, family: &Family) {
        for (index, spec) in table::commands().enumerate() {
            if !is_kv(spec.family) {
                continue;
            }
            let operation = kv_operation(spec.resp);
            let failed = self.facts.sum(|core| &core.commands[index].failed);
            let calls = self.facts.sum(|core| &core.commands[index].calls);
            let misses = self.facts.sum(|core| &core.commands[index].missed);
            let ok = calls.saturating_sub(failed).saturating_sub(misses);
            for (status, count) in [("ok", ok), ("error", failed), ("miss", misses)] {
                if count > 0 {
                    self.sample(family, &[&operation, status], count as f64);
                }
            }
        }
    }

    fn commands(&mut self, family: &Family) {
        for (index, spec) in table::commands().enumerate() {
            let failed = self.facts.sum(|core| &core.commands[index].failed);
            let calls = self.facts.sum(|core| &core.commands[index].calls);
            let rejected = self.facts.sum(|core| &core.commands[index].rejected);
            let command = spec.resp.to_ascii_lowercase();
            let ok = calls.saturating_sub(failed);
            for (status, count) in [("ok", ok), ("error", failed), ("rejected", rejected)] {
                if count > 0 {
                    self.sample(family, &[&command, status], count as f64);
                }
            }
        }
    }

    fn command_durations(&mut self, family: &Family, kv: bool) {
        for (index, spec) in table::commands().enumerate() {
            let calls = self.facts.sum(|core| &core.commands[index].calls);
            if calls == 0 || (kv && !is_kv(spec.family)) {
                continue;
            }
            let name = if kv { kv_operation(spec.resp) } else { spec.resp.to_ascii_lowercase() };
            self.command_duration(family, &[&name], index);
        }
    }

    fn queues(&mut self, family: &Family) {
        let mut all = BTreeMap::new();
        self.facts.shared.metrics.iter().for_each(|core| core.queues.add_to(&mut all));
        for (name, gauge) in all {
            let name = &*queues::escaped(&name);
            match *family {
                families::QUEUE_DEPTH => self.sample(family, &[name], gauge.ready as f64),
                families::QUEUE_DEAD => self.sample(family, &[name], gauge.dead as f64),
                families::QUEUE_PENDING => self.sample(family, &[name], gauge.held as f64),
                _ => {
                    for (operation, count) in [
                        ("publish", gauge.published),
                        ("consume", gauge.consumed),
                        ("ack", gauge.acked),
                        ("nack", gauge.nacked),
                        ("dlq", gauge.dead_lettered),
                    ] {
                        self.sample(family, &[name, operation, "ok"], count as f64);
                    }
                }
            }
        }
    }

    fn dss(&mut self, family: &Family) {
        let command = match *family {
            families::DSS_ENQUEUE_LATENCY => Some("DSS.ENQUEUE"),
            families::DSS_DEQUEUE_LATENCY => Some("DSS.DEQUEUE"),
            _ => None,
        };
        if let Some(name) = command {
            let index = table::by_name(name.as_bytes()).expect("the table has it").index();
            if self.facts.sum(|core| &core.commands[index].calls) > 0 {
                self.command_duration(family, &[], index);
            }
            return;
        }
        for (name, gauge) in dss::facts::queues(self.facts) {
            let name = &*queues::escaped(&name);
            match *family {
                families::DSS_QUEUE_DEPTH => self.sample(family, &[name], gauge.ready as f64),
                families::DSS_IN_FLIGHT => self.sample(family, &[name], gauge.held as f64),
                families::DSS_DEAD => self.sample(family, &[name], gauge.dead as f64),
                _ => {
                    for (operation, count) in [
                        ("enqueue", gauge.published),
                        ("dequeue", gauge.consumed),
                        ("ack", gauge.acked),
                        ("dead_letter", gauge.dead_lettered),
                    ] {
                        self.sample(family, &[name, operation], count as f64);
                    }
                }
            }
        }
    }

    fn rooms(&mut self, family: &Family) {
        let seen = std::mem::take(&mut self.streams.rooms);
        for (name, sums) in &seen {
            let room = &*queues::escaped(name);
            match *family {
                families::STREAM_OPERATIONS => {
                    self.sample(family, &[room, "publish", "ok"], sums.end as f64);
                    self.sample(family, &[room, "consume", "ok"], sums.consumed as f64);
                }
                families::STREAM_SUBSCRIBERS => self.sample(family, &[room], sums.readers as f64),
                families::STREAM_BUFFER => self.sample(family, &[room], sums.events as f64),
                // Before the first event there is none, and of several rooms it says nothing.
                _ if sums.end == 0 || name == queues::OTHER => {}
                _ => self.sample(family, &[room], (sums.end - 1) as f64),
            }
        }
        self.streams.rooms = seen;
    }

    fn partitions(&mut self, family: &Family) {
        let seen = std::mem::take(&mut self.streams.partitions);
        for ((topic, number), sums) in &seen {
            let topic = &*queues::escaped(topic);
            let partition = number.map_or_else(|| queues::OTHER.to_owned(), |n| n.to_string());
            let value = match *family {
                families::PARTITION_MESSAGES => sums.events,
                families::PARTITION_BYTES => sums.bytes,
                _ if number.is_none() => continue,
                _ => sums.end,
            };
            self.sample(family, &[topic, &partition], value as f64);
        }
        self.streams.partitions = seen;
    }

    fn groups(&mut self, family: &Family) {
        let seen = std::mem::take(&mut self.streams);
        for (name, group) in &seen.groups {
            let (name, topic) = (&*queues::escaped(name), &*queues::escaped(&group.topic));
            if *family == families::GROUP_MEMBERS {
                self.sample(family, &[name, topic], group.members as f64);
                continue;
            }
            for (partition, offset) in &group.commits {
                let value = match *family {
                    families::GROUP_COMMITTED => Some(*offset),
                    _ => seen.lag(group, *partition),
                };
                if let Some(value) = value {
                    self.sample(family, &[name, topic, &partition.to_string()], value as f64);
                }
            }
        }
        self.streams = seen;
    }

    /// Over all queues: a histogram for each would be as many series as users please.
    fn queue_durations(&mut self, family: &Family) {
        for (index, spec) in table::commands().enumerate() {
            let calls = self.facts.sum(|core| &core.commands[index].calls);
            if calls == 0 || spec.family != CommandFamily::Queue {
                continue;
            }
            let operation = spec.id.strip_prefix("queue.").unwrap_or(spec.id);
            self.command_duration(family, &["all", operation], index);
        }
    }

    fn command_duration(&mut self, family: &Family, labels: &[&str], index: usize) {
        let counts: Vec<u64> = (0..=LATENCY_BOUNDS_NS.len())
            .map(|bucket| self.facts.sum(|core| &core.commands[index].buckets[bucket]))
            .collect();
        let nanoseconds = self.facts.sum(|core| &core.commands[index].nanoseconds);
        self.histogram(family, labels, &counts, nanoseconds);
    }

    fn http_requests(&mut self, family: &Family) {
        for route in routes::ids() {
            let (method, path) = route.label();
            for (place, status) in HTTP_STATUSES.iter().enumerate() {
                let count = self.facts.sum(|core| &core.routes[route.index()].statuses[place]);
                if count == 0 {
                    continue;
                }
                let text = if *status == 0 { "other".to_owned() } else { status.to_string() };
                self.sample(family, &[method, path, &text], count as f64);
            }
        }
    }

    fn http_durations(&mut self, family: &Family) {
        for route in routes::ids() {
            let (method, path) = route.label();
            let counts: Vec<u64> = (0..=LATENCY_BOUNDS_NS.len())
                .map(|bucket| self.facts.sum(|core| &core.routes[route.index()].buckets[bucket]))
                .collect();
            if counts.iter().any(|count| *count > 0) {
                let nanoseconds = self.facts.sum(|core| &core.routes[route.index()].nanoseconds);
                self.histogram(family, &[method, path], &counts, nanoseconds);
            }
        }
    }

    /// One bucket: a core counts neither batches by write nor writes by size, but their means show.
    fn batch_sizes(&mut self, family: &Family) {
        let batches = self.facts.sum(|core| &core.wal_appends) as f64;
        let writes = self.facts.sum(|core| &core.wal_groups) as f64;
        self.line(family, "_bucket", &[], &[("le", "+Inf")], writes);
        self.line(family, "_sum", &[], &[], batches);
        self.line(family, "_count", &[], &[], writes);
    }

    fn fsyncs(&mut self, family: &Family) {
        let counts: Vec<u64> = (0..=SYNC_BUCKETS_US.len())
            .map(|bucket| self.facts.sum(|core| &core.wal_fsync_buckets[bucket]))
            .collect();
        let nanoseconds = self.facts.sum(|core| &core.wal_fsync_nanoseconds);
        let bounds_ns = SYNC_BUCKETS_US.map(|bound_us| bound_us * 1000);
        self.distribution(family, &[], &bounds_ns, &counts, nanoseconds);
    }

    fn snapshots(&mut self, family: &Family) {
        let Some(snapshots) = &self.facts.shared.snapshots else { return };
        let known = &snapshots.facts;
        let value = match *family {
            families::SNAPSHOTS => {
                self.sample(family, &["ok"], known.taken.get() as f64);
                self.sample(family, &["error"], known.failed.get() as f64);
                return;
            }
            families::SNAPSHOT_DURATION => known.last_duration_ms.get() as f64 / 1000.0,
            families::SNAPSHOT_TIME if known.taken.get() == 0 => 0.0,
            families::SNAPSHOT_TIME => known.last_success_secs.get() as f64,
            families::SNAPSHOT_SIZE => known.last_bytes.get() as f64,
            families::SNAPSHOT_ENTRIES => known.last_entries.get() as f64,
            families::SNAPSHOT_RUNNING => f64::from(u8::from(snapshots.is_running())),
            _ => self.facts.shared.changes_since_snapshot() as f64,
        };
        self.sample(family, &[], value);
    }

    fn process(&mut self, family: &Family) {
        let usage = process::usage();
        if family.name == families::PROCESS_MEMORY.name {
            self.sample(family, &["rss"], usage.rss_bytes as f64);
            self.sample(family, &["virtual"], usage.virtual_bytes as f64);
        } else if family.name == families::PROCESS_CPU.name {
            self.sample(family, &[], usage.cpu_seconds);
        } else {
            let uptime = self.facts.uptime_secs().max(1) as f64;
            self.sample(family, &["process"], usage.cpu_seconds / uptime * 100.0);
        }
    }
}

fn is_kv(family: CommandFamily) -> bool {
    match family {
        CommandFamily::Kv | CommandFamily::Bitmap | CommandFamily::Key => true,
        CommandFamily::List
        | CommandFamily::Set
        | CommandFamily::SortedSet
        | CommandFamily::Geo
        | CommandFamily::Hash
        | CommandFamily::Stream
        | CommandFamily::Queue
        | CommandFamily::Topic
        | CommandFamily::Group
        | CommandFamily::Capture
        | CommandFamily::HyperLogLog
        | CommandFamily::Transaction
        | CommandFamily::Scripting
        | CommandFamily::Pubsub
        | CommandFamily::Connection
        | CommandFamily::Server
        | CommandFamily::Cluster => false,
    }
}

/// The word dashboards know an operation by.
fn kv_operation(resp: &str) -> String {
    match resp {
        "DEL" => "delete".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}
