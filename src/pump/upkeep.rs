//! What a core does by the clock: ticks of the engine, gauges, silent connections, messages from
//! the main thread, and stopping.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use synap_shards::command::reply::Reply;
use synap_shards::engine::cold::ColdDone;
use synap_shards::engine::event::{Event, MemorySettings, Outbound as _};
use synap_shards::engine::script::ScriptSettings;
use synap_shards::id::{ConnId, Ticket};
use synap_shards::limits::SHARDS;
use synap_shards::shard::plan::Notice;
use synap_shards::shard::{TypeCounts, ValueType};
use synap_shards::types::queue;

use super::access::Made;
use super::connection::Connection;
use super::login::Attempt;
use super::outlet::Outlet;
use super::{Core, drop_connection};
use crate::auth::Answer;
use crate::fatal::Fatal;
use crate::protocol::ws::CloseCode;
use crate::session::client::Listener;
use crate::settings::Settings;
use crate::snapshot::Order;
use crate::tls::Tls;

/// Nanoseconds between two rounds of gauges and messages.
const GAUGES_NS: u64 = 100_000_000;
/// Nanoseconds between looks at the queues for their metrics.
const QUEUES_NS: u64 = 1_000_000_000;
/// Nanoseconds until the next tick while the engine has upkeep left.
const BUSY_TICK_NS: u64 = 1_000_000;
/// Nanoseconds between ticks, at most, while queues have deadlines to keep.
const TIMER_TICK_NS: u64 = 50_000_000;
/// Keys with a deadline that are sampled for the average lifetime in `INFO`.
const TTL_SAMPLES: usize = 16;

/// The answer to a request that did not arrive in time.
const REQUEST_TIMEOUT: &[u8] = concat!(
    "HTTP/1.1 408 Request Timeout\r\n",
    "Content-Type: application/json\r\n",
    "Content-Length: 42\r\n",
    "Connection: close\r\n\r\n",
    r#"{"error":"Operation timed out","code":408}"#
)
.as_bytes();

/// The same over RESP.
const COMMAND_TIMEOUT: &[u8] = b"-ERR Protocol error: the command did not arrive in time\r\n";
/// Bytes of a command for which it may take a second longer.
const SECOND_BYTES: usize = 1024;

/// Milliseconds of a send after which it is looked at how far it has come.
const LOOK_MS: u64 = 1000;

/// Whether a command over RESP takes too long to arrive.
fn is_too_slow(connection: &Connection, now_ms: u64, request_ms: u64) -> bool {
    let since_ms = connection.incomplete_since_ms;
    let more_ms = (connection.input.len() / SECOND_BYTES) as u64 * 1000;
    connection.client.listener != Listener::Http
        && since_ms > 0
        && now_ms.saturating_sub(since_ms) > request_ms.saturating_add(more_ms)
}

/// What the main thread tells a core.
#[derive(Debug)]
pub enum Message {
    /// The configuration was read again.
    Settings(Box<Settings>),
    /// The certificates were read again.
    Tls(Arc<Tls>),
    /// Stop: no new connections, answer what has come, log it, end.
    Stop,
    /// What to do next about a snapshot.
    Snapshot(Order),
    /// What came of a job with a file of events.
    Cold(Box<ColdDone>),
    /// What came of credentials that a connection waits for.
    Verdict {
        /// The connection.
        conn: ConnId,
        /// The answer.
        answer: Box<Answer>,
        /// Whom it is about.
        attempt: Attempt,
    },
    /// What came of a change of access control.
    Changed {
        /// The connection.
        conn: ConnId,
        /// The request.
        ticket: Ticket,
        /// The answer.
        made: Box<Made>,
    },
    /// The answer to a request that waited for something outside the cores.
    Reply {
        /// The connection.
        conn: ConnId,
        /// The request.
        ticket: Ticket,
        /// The answer.
        reply: Box<Reply<'static>>,
    },
}

/// Where a core finds its messages. The sender rings the core's doorbell.
pub type Inbox = Receiver<Message>;

impl Outlet {
    /// Looks whether there are as many queues or rooms as there may be.
    fn count_named(&mut self) {
        let (mut queues, mut rooms) = (0, 0);
        for core in &self.shared.metrics {
            queues += core.types[ValueType::Queue as usize].keys.get();
            rooms += core.streams.rooms();
        }
        let full = (queues >= self.settings.max_queues, rooms >= self.settings.max_rooms);
        self.settings_changed |= full != self.full;
        self.full = full;
    }
}

impl Core {
    pub(super) fn upkeep(&mut self) -> Result<(), Fatal> {
        let now_ns = self.outlet.now.monotonic_ns;
        if self.engine.next_deadline().is_some_and(|deadline_ns| deadline_ns <= now_ns) {
            self.engine.step(self.outlet.now, Event::Alarm, &mut self.outlet);
        }
        if now_ns >= self.next_tick_ns {
            // Expiry writes to the log, and expired keys stay hidden without it.
            if !self.outlet.disk_full {
                self.engine.step(self.outlet.now, Event::Tick, &mut self.outlet);
            }
            let pause_ns = if self.engine.wants_tick() && !self.outlet.disk_full {
                BUSY_TICK_NS
            } else {
                let interval_ns = self.outlet.settings.expiry_interval_ms * 1_000_000;
                let has_timers = self.engine.has_timers();
                if has_timers { interval_ns.min(TIMER_TICK_NS) } else { interval_ns }
            };
            self.next_tick_ns = now_ns + pause_ns;
        }
        if now_ns >= self.next_round_ns {
            self.next_round_ns = now_ns + GAUGES_NS;
            self.read_messages()?;
            self.refresh_gauges();
            let metrics = &self.outlet.shared.metrics[self.id.index()];
            self.rates.sample(metrics, now_ns);
            for (_, connection) in self.outlet.connections.iter_mut() {
                connection.refresh_sizes();
            }
            self.close_silent();
            self.close_slow_handshakes();
            self.close_deaf();
            self.ping();
            self.wake_feeds();
            self.tell_readers();
            self.end_polls();
            self.end_feeds();
            self.forget_idle_callers();
        }
        if std::mem::take(&mut self.outlet.settings_changed) {
            self.bring_settings_to_engine();
        }
        if std::mem::take(&mut self.outlet.stats_reset) {
            self.engine.reset_stats();
        }
        Ok(())
    }

    pub(super) fn read_messages(&mut self) -> Result<(), Fatal> {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Settings(settings) => {
                    self.outlet.settings = *settings;
                    self.outlet.settings_changed = true;
                }
                Message::Tls(tls) => self.handshakes.change(tls),
                Message::Stop => self.begin_stop(),
                Message::Snapshot(order) => self.obey(order)?,
                Message::Cold(done) => {
                    self.engine.step(self.outlet.now, Event::Cold(done), &mut self.outlet);
                }
                Message::Verdict { conn, answer, attempt } => {
                    self.outlet.hear_verdict(conn, *answer, &attempt);
                }
                Message::Changed { conn, ticket, made } => {
                    self.outlet.hear_change(conn, ticket, &made);
                }
                Message::Reply { conn, ticket, reply } => self.outlet.reply(conn, ticket, *reply),
            }
        }
        Ok(())
    }

    /// Hands jobs with files of events to their threads.
    pub(super) fn send_cold_jobs(&mut self) {
        let jobs = self.engine.take_cold_jobs();
        if let Some(cold) = &self.outlet.shared.cold {
            jobs.into_iter().for_each(|job| cold.send(self.id, job));
        }
    }

    /// Files of events that are recorded now: snapshots know them from here on.
    pub(super) fn settle_files(&mut self) {
        let settled = self.engine.take_settled();
        if let Some(cold) = &self.outlet.shared.cold {
            settled.into_iter().for_each(|id| cold.settled(id));
        }
    }

    /// A core's part of the memory limit is its part of the shards.
    fn bring_settings_to_engine(&mut self) {
        let settings = &self.outlet.settings;
        let mut thresholds = settings.thresholds;
        (thresholds.defaults.queues_full, thresholds.defaults.rooms_full) = self.outlet.full;
        let owned = self.outlet.shared.shard_map.owned_by(self.id).count();
        self.engine.set_memory(MemorySettings {
            limit_bytes: settings.max_memory_bytes.div_ceil(SHARDS) * owned,
            limit_keys: settings.max_keys.div_ceil(SHARDS) * owned,
            policy: settings.eviction_policy,
            sample_size: settings.eviction_sample_size,
            mode: settings.access_mode(),
            notices: settings.notices | if self.outlet.watching { Notice::CHANGES } else { 0 },
            thresholds,
        });
        let cores = self.outlet.shared.shard_map.cores();
        self.outlet.leases.set_rate(settings.rate, cores);
        self.outlet.leases.set_own(self.outlet.desk.directory().has_rate_limits());
        self.engine.set_tracking_keys(settings.tracking_keys_max.div_ceil(cores));
        self.engine.set_scripts(ScriptSettings {
            time_limit_ms: settings.script_time_limit_ms,
            memory_limit_bytes: settings.script_memory_bytes,
            allow_flush: settings.allow_flush_commands,
        });
    }

    fn refresh_gauges(&mut self) {
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        let stats = self.engine.stats();
        metrics.keyspace_hits.set(stats.hits);
        metrics.keyspace_misses.set(stats.misses);
        let tracking = self.engine.tracking();
        metrics.tracking_clients.set(self.outlet.trackers.len() as u64);
        metrics.tracking_keys.set(tracking.keys as u64);
        metrics.tracking_items.set(tracking.items as u64);
        metrics.tracking_prefixes.set(tracking.prefixes as u64);
        metrics.expired_keys.set(stats.expired);
        metrics.evicted_keys.set(stats.evicted);
        metrics.forwarded.set(stats.forwarded);
        metrics.loans.set(stats.lent);
        metrics.transactions.set(stats.transactions);
        metrics.transactions_aborted.set(stats.transactions_aborted);
        metrics.cold_files.set(stats.cold_files);
        metrics.cold_bytes.set(stats.cold_bytes);
        metrics.cold_reads.set(stats.cold_reads);
        metrics.cold_failures.set(stats.cold_failures);
        metrics.scripts_run.set(stats.scripts_run);
        metrics.scripts_rerun.set(stats.scripts_rerun);
        let (mut keys, mut volatile, mut live, mut held) = (0, 0, 0, 0);
        let mut counts = TypeCounts::default();
        for shard in self.engine.shards() {
            keys += shard.key_count();
            volatile += shard.volatile_count();
            live += shard.live_bytes();
            held += shard.held_bytes();
            counts.add(&shard.type_counts());
        }
        let counts = counts.keys.into_iter().zip(counts.elements);
        for (cells, (keys, elements)) in metrics.types.iter().zip(counts) {
            cells.keys.set(keys as u64);
            cells.elements.set(elements as u64);
        }
        let looks = self.outlet.now.monotonic_ns >= self.next_queues_ns;
        if looks {
            self.next_queues_ns = self.outlet.now.monotonic_ns + QUEUES_NS;
            metrics.queues.refresh(self.engine.shards().flat_map(queue::gauges));
            metrics.dss_queues.refresh(self.engine.shards().flat_map(queue::dss_gauges));
            metrics.streams.refresh(self.engine.shards());
        }
        metrics.keys.set(keys as u64);
        metrics.volatile_keys.set(volatile as u64);
        metrics.live_bytes.set(live as u64);
        metrics.held_bytes.set(held as u64);
        let (sum_ms, count) = self.engine.sample_ttls(TTL_SAMPLES, self.outlet.now);
        metrics.sampled_ttl_ms.set(sum_ms);
        metrics.sampled_ttl_keys.set(count);
        let net = self.reactor.counters();
        metrics.bytes_received.set(net.received_bytes);
        metrics.bytes_sent.set(net.sent_bytes);
        metrics.connections_refused.set(net.refused + self.refused);
        metrics.share_max.set(self.outlet.turn.most.into());
        self.refresh_log();
        if looks {
            self.outlet.count_named();
            self.outlet.desk.fold();
        }
    }

    fn refresh_log(&self) {
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        if let Some(wal) = &self.wal {
            let log = wal.metrics();
            metrics.wal_bytes.set(log.appended_bytes);
            metrics.wal_commits.set(log.commits);
            metrics.wal_groups.set(log.groups);
            metrics.wal_fsyncs.set(log.syncs);
            metrics.wal_fsync_nanoseconds.set(log.sync_time_ns);
            for (cell, count) in metrics.wal_fsync_buckets.iter().zip(log.sync_time) {
                cell.set(count);
            }
            metrics.wal_backlog_bytes.set(wal.backlog_bytes());
            metrics.wal_full.set(u64::from(self.log_full));
            metrics.wal_size_bytes.set(log.written_bytes);
        }
    }

    /// Closes connections that have said nothing for too long and wait for nothing, and those that
    /// take too long over one HTTP request.
    fn close_silent(&mut self) {
        let idle_ms = self.outlet.settings.idle_timeout_secs.saturating_mul(1000);
        let request_ms = self.outlet.settings.request_timeout_secs.saturating_mul(1000);
        let now_ms = self.outlet.now.unix_ms;
        let mut closed = Vec::new();
        for (id, connection) in self.outlet.connections.iter_mut() {
            let silent_ms = now_ms.saturating_sub(connection.client.active_ms);
            let since_ms = connection.incomplete_since_ms;
            if connection.live.is_some() {
                // Pings tell whether anyone is there.
                continue;
            }
            // Whoever listens has nothing to say.
            let listens = connection.client.is_subscribed();
            if idle_ms > 0 && silent_ms > idle_ms && connection.is_drained() && !listens {
                connection.close();
                closed.push(id);
            } else if connection.client.listener == Listener::Http
                && since_ms > 0
                && now_ms.saturating_sub(since_ms) > request_ms
            {
                connection.say(REQUEST_TIMEOUT);
                connection.close();
                closed.push(id);
            } else if is_too_slow(connection, now_ms, request_ms) {
                connection.say(COMMAND_TIMEOUT);
                connection.close();
                closed.push(id);
            }
        }
        for id in closed {
            self.outlet.mark_dirty(id);
        }
    }

    /// Closes connections for which more has waited than may for too long, and those whose other
    /// end takes nothing of what waits for it.
    fn close_deaf(&mut self) {
        let limits = self.outlet.settings.output_limits;
        let timeout_ms = self.outlet.settings.write_timeout_secs.saturating_mul(1000);
        let now_ms = self.outlet.now.unix_ms;
        let mut deaf = Vec::new();
        for (id, connection) in self.outlet.connections.iter_mut() {
            if let Some(exceeded) = connection.exceeds(&limits, now_ms) {
                deaf.push((id, exceeded.why()));
                continue;
            }
            let still_ms = now_ms.saturating_sub(connection.taken_ms);
            if timeout_ms == 0 || !connection.sending || still_ms < LOOK_MS {
                continue;
            }
            // A large answer to a slow reader takes long; what counts is that it takes something.
            let taken_bytes = self.reactor.acknowledged(id).unwrap_or(connection.taken_bytes);
            if taken_bytes != connection.taken_bytes {
                (connection.taken_ms, connection.taken_bytes) = (now_ms, taken_bytes);
            } else if still_ms >= timeout_ms {
                deaf.push((id, "the client does not read its replies"));
            }
        }
        for (id, why) in deaf {
            drop_connection(&mut self.outlet, id, why);
            self.reactor.shutdown(id);
        }
    }

    /// One core does that for all.
    fn forget_idle_callers(&mut self) {
        if self.id.index() > 0 {
            return;
        }
        let idle = self.outlet.shared.transactions.forget_idle(self.outlet.now.unix_ms);
        for (watcher, shards) in idle {
            let event = Event::Unwatch { watcher, shards };
            self.engine.step(self.outlet.now, event, &mut self.outlet);
        }
    }

    fn begin_stop(&mut self) {
        if self.stopping_since_ns.is_some() {
            return;
        }
        self.stopping_since_ns = Some(self.outlet.now.monotonic_ns);
        self.outlet.stops = true;
        self.reactor.stop_listening();
        self.engine.step(self.outlet.now, Event::Stopping, &mut self.outlet);
        for id in self.outlet.connections.ids() {
            if let Some(connection) = self.outlet.connections.get_mut(id) {
                connection.end_reading();
                if connection.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
                    connection.abandon();
                }
                if connection.live.is_some() {
                    connection.close_live(CloseCode::GOING_AWAY, "the server stops");
                }
                if !std::mem::replace(&mut connection.reading_paused, true) {
                    self.reactor.pause_reading(id);
                }
            }
            self.outlet.mark_dirty(id);
        }
    }

    /// Whether this core has nothing left to do, and no other core has either: until then it
    /// answers what they still ask of it.
    pub(super) fn all_drained(&mut self) -> bool {
        let shared = &self.outlet.shared;
        let outlet = &self.outlet;
        let has_left = outlet.connections.len() == 0 && outlet.leaving.is_empty();
        if !self.drained && has_left && self.engine.is_idle() {
            self.drained = true;
            shared.drained.fetch_add(1, Ordering::AcqRel);
        }
        shared.drained.load(Ordering::Acquire) == shared.shard_map.cores()
    }
}
