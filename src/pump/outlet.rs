//! What the engine's requests to the outside become: replies in the right connection's output, and
//! commands that concern this core itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use synap_io::clock;
use synap_io::doorbell::Doorbell;
use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::Family;
use synap_shards::command::table::CommandId;
use synap_shards::engine::event::Outbound;
use synap_shards::id::{ConnId, CoreId, Ticket};
use synap_shards::shard::plan::Now;

use super::audited::Readers;
use super::buffers::Buffers;
use super::connection::{Connection, Connections, Noted, Style};
use super::fed::Leaving;
use super::feed::Feeds;
use super::feeding::is_aside;
use super::gate::{NO_IDENTITY, admit};
use super::login::note_flush;
use super::poll::Polls;
use super::share::Turn;
use super::tracking::Trackers;
use super::upkeep::Message;
use crate::auth::Desk;
use crate::latency::LatencyLog;
use crate::limits::Leases;
use crate::session::authorize::Place;
use crate::session::client::Client;
use crate::session::last_values::LastValues;
use crate::session::pubsub::Pubsub;
use crate::session::{self, Clients, CoreContext, Effects, SessionContext, Then};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slowlog::SlowLog;

/// The request that is being handed to the engine right now. Its reply usually comes before the
/// engine returns, and is then written at once.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) conn: ConnId,
    pub(super) ticket: Ticket,
    /// Taken when the reply has to wait in line.
    pub(super) style: Option<Style>,
    pub(super) outcome: Option<Answered>,
}

/// How a request was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    Well,
    WithNothing,
    WithError,
}

/// The connections of a core, and what commands about the core itself work with.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) core: CoreId,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Settings,
    pub(super) now: Now,
    pub(super) connections: Connections,
    /// Who listens to what, and messages on their way.
    pub(super) pubsub: Pubsub,
    /// Requests for messages of subscribers without a connection.
    pub(super) polls: Polls,
    /// Fed connections that may ask for more, and those who left something behind.
    pub(super) hungry: Vec<ConnId>,
    /// What consumers that are gone have left, by their second ids.
    pub(super) leaving: BTreeMap<ConnId, Leaving>,
    /// The server stops.
    pub(super) stops: bool,
    /// Readers of security events.
    pub(super) readers: Readers,
    /// Readers of captures that wait for changes.
    pub(super) feeds: Feeds,
    /// Who the request that is being handed in speaks for, where that is not its connection.
    pub(super) speaker: Option<u64>,
    /// Clients that want to be told of changes, and what they are to be told.
    pub(super) trackers: Trackers,
    /// For output.
    pub(super) spare: Buffers,
    /// Connections with output to be sent.
    pub(super) dirty: Vec<ConnId>,
    /// Connections whose barrier has opened, or that may go on for another reason.
    pub(super) resumed: Vec<ConnId>,
    /// Connections that go on in the next turn, their share of this one being used up.
    pub(super) put_off: Vec<ConnId>,
    /// What was begun in this turn.
    pub(super) turn: Turn,
    pub(super) current: Option<Current>,
    /// Watches of HTTP callers that the engine has not answered yet.
    pub(super) http_watches: BTreeMap<(ConnId, Ticket), Box<str>>,
    /// Tokens of clients whose requests are limited.
    pub(super) leases: Leases,
    pub(super) slowlog: SlowLog,
    pub(super) latency: LatencyLog,
    /// A request could not start because a peer has too much unanswered work.
    pub(super) congested: bool,
    /// The log cannot keep up; no request is started until it has.
    pub(super) backlogged: bool,
    /// No request is started once the engine's log has come this far: with one turn's work alone
    /// a large pipeline could fill memory.
    pub(super) log_end_max: u64,
    /// The disk of some core's log is full; writes are refused until it is not.
    pub(super) disk_full: bool,
    /// Connections that were closed by a command; what they wait for is to be given up.
    pub(super) killed: Vec<ConnId>,
    /// Who has subscribed to what just now and is to be told last messages behind the confirmation.
    pub(super) late: Vec<(u64, Vec<Box<[u8]>>)>,
    /// Somebody watches keys, so the engine tells of all changes.
    pub(super) watching: bool,
    /// Whether there are as many queues, and rooms, as there may be.
    pub(super) full: (bool, bool),
    /// Settings were changed by a command and have to be brought to the engine.
    pub(super) settings_changed: bool,
    /// Counters are to be set back.
    pub(super) stats_reset: bool,
    /// Who may do what.
    pub(super) desk: Desk,
    /// The way for messages from elsewhere to this core.
    pub(super) mail: (Sender<Message>, Doorbell),
}

impl Outlet {
    /// No connections yet.
    pub(super) fn new(
        core: CoreId,
        shared: Arc<Shared>,
        settings: Settings,
        now: Now,
        mail: (Sender<Message>, Doorbell),
    ) -> Self {
        let cores = shared.shard_map.cores();
        let desk = Desk::new(Arc::clone(&shared.authority));
        let slowlog = SlowLog::new(core, cores);
        let mut pubsub = Pubsub::new(cores, clock::entropy());
        pubsub.last = shared.http.keeps_last_values.then(LastValues::default);
        Self {
            core,
            shared,
            settings,
            now,
            connections: Connections::default(),
            pubsub,
            polls: Polls::default(),
            hungry: Vec::new(),
            leaving: BTreeMap::new(),
            stops: false,
            full: (false, false),
            feeds: Feeds::default(),
            readers: Readers::new(),
            speaker: None,
            late: Vec::new(),
            watching: false,
            trackers: Trackers::default(),
            spare: Buffers::default(),
            dirty: Vec::new(),
            resumed: Vec::new(),
            put_off: Vec::new(),
            turn: Turn::default(),
            http_watches: BTreeMap::new(),
            current: None,
            leases: Leases::default(),
            slowlog,
            latency: LatencyLog::default(),
            congested: false,
            backlogged: false,
            log_end_max: u64::MAX,
            disk_full: false,
            killed: Vec::new(),
            settings_changed: true,
            stats_reset: false,
            desk,
            mail,
        }
    }

    pub(super) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Everybody has a share again, and those that were put off go on.
    pub(super) fn begin_turn(&mut self) {
        self.turn.begin();
        for id in self.put_off.drain(..) {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.is_put_off = false;
                self.resumed.push(id);
            }
        }
    }

    /// Has a connection go on in the next turn. However often it is tried in this one, it stands
    /// in the list once.
    #[cold]
    pub(super) fn put_off(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !std::mem::replace(&mut connection.is_put_off, true)
        {
            self.put_off.push(id);
            self.shared.metrics[self.core.index()].put_off.add(1);
        }
    }

    /// Counts an HTTP answer.
    pub(super) fn note(&self, noted: Option<Noted>) {
        if let Some(Noted { route, status, started_ns }) = noted {
            let routes = &self.shared.metrics[self.core.index()].routes;
            routes[route.index()].record(status, clock::monotonic_ns() - started_ns);
        }
    }

    /// A reply to the request that is being handed in, if `conn` and `ticket` say so.
    fn reply_now(&mut self, conn: ConnId, ticket: Ticket, reply: &Reply<'_>) -> bool {
        let Some(current) = &mut self.current else { return false };
        if current.conn != conn || current.ticket != ticket || current.outcome.is_some() {
            return false;
        }
        current.outcome = Some(match reply {
            Reply::Error(_) => Answered::WithError,
            Reply::Nil => Answered::WithNothing,
            _ => Answered::Well,
        });
        let style = current.style.take().expect("a request is answered once");
        let Some(connection) = self.connections.get_mut(conn) else { return true };
        let noted = if connection.is_in_order() {
            let noted = connection.write_now(&style, reply);
            connection.answered();
            noted
        } else {
            connection.issue(style);
            connection.complete(ticket, reply)
        };
        let is_live = connection.live.is_some();
        self.note(noted);
        if is_live {
            self.settled(conn, ticket, reply);
        }
        true
    }
}

impl Outbound for Outlet {
    fn reply(&mut self, conn: ConnId, ticket: Ticket, reply: Reply<'_>) {
        if is_aside(conn) {
            return self.fed(conn, &reply);
        }
        if !self.http_watches.is_empty()
            && let Some(caller) = self.http_watches.remove(&(conn, ticket))
        {
            // Also when the connection is gone: others may speak for the same caller.
            self.shared.transactions.watched(&caller);
        }
        let reply = if self.feeds.is_empty() {
            reply
        } else {
            match self.feed((conn, ticket), reply) {
                Some(reply) => reply,
                None => return,
            }
        };
        if !self.reply_now(conn, ticket, &reply) {
            // A connection that is gone does not stop its commands, it only misses the replies.
            let Some(connection) = self.connections.get_mut(conn) else { return };
            let could_not_start = !connection.may_start();
            if connection.output.capacity() == 0 {
                connection.output = self.spare.take();
            }
            let noted = connection.complete(ticket, &reply);
            if could_not_start && connection.may_start() {
                self.resumed.push(conn);
            }
            let is_live = connection.live.is_some();
            self.note(noted);
            if is_live {
                self.settled(conn, ticket, &reply);
            }
        }
        self.mark_dirty(conn);
    }

    fn run_on_core(&mut self, command: CommandId, args: &Args<'_>, caller: u64) -> Reply<'static> {
        let mut clients = Everyone {
            connections: &mut self.connections,
            dirty: &mut self.dirty,
            killed: &mut self.killed,
        };
        let mut context = CoreContext {
            clients: &mut clients,
            settings: &mut self.settings,
            pubsub: &mut self.pubsub,
            shared: &self.shared,
            slowlog: &mut self.slowlog,
            latency: &mut self.latency,
            now: self.now,
            core: self.core,
            caller,
            effects: Effects::default(),
        };
        let reply = session::run_on_core(&mut context, command, args);
        let Effects { settings_changed, stats_reset } = context.effects;
        self.settings_changed |= settings_changed;
        self.stats_reset |= stats_reset;
        if command.spec().family == Family::Pubsub {
            self.refresh_subscriptions(caller);
            self.refresh_watching();
            if command.spec().id == "pubsub.topic_subscribe" && !matches!(reply, Reply::Error(_)) {
                let patterns = args.rest(Arg(0)).iter().map(|name| (*name).into()).collect();
                self.late.push((caller, patterns));
            }
        }
        reply
    }

    fn run_session(&mut self, conn: ConnId, command: CommandId, args: &Args<'_>) -> Reply<'static> {
        let Some(connection) = self.connections.get_mut(conn) else { return Reply::Nil };
        let mut context = SessionContext {
            client: &mut connection.client,
            shared: &self.shared,
            settings: &self.settings,
            pubsub: &mut self.pubsub,
            now: self.now,
            core: self.core,
            then: Then::Continue,
            change: None,
        };
        let outcome = session::run(&mut context, command, args);
        assert_eq!(outcome.then, Then::Continue, "what ends something is not queued");
        outcome.reply.unwrap_or(Reply::Nil)
    }

    fn hear(&mut self, words: &[&[u8]]) {
        self.heard(words);
    }

    fn stale(&mut self, readers: &[u64], writer: u64, key: Option<&[u8]>) {
        self.trackers.note(readers, writer, key);
    }

    fn permits(
        &mut self,
        conn: ConnId,
        command: CommandId,
        words: &[&[u8]],
    ) -> Result<(), CommandError> {
        let is_required = self.desk.directory().is_required();
        match self.connections.get_mut(conn) {
            Some(connection) => {
                admit(&connection.client, is_required, command, words, Place::Inside)
            }
            // Nobody can say any more who asked.
            None => Err(NO_IDENTITY),
        }
    }

    fn flushes(&mut self, conn: ConnId, command: CommandId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            note_flush(&connection.client, command.spec().resp);
        }
    }

    fn script_log(&mut self, level: u8, text: &[u8]) {
        let (core, text) = (self.core.index(), String::from_utf8_lossy(text));
        match level {
            0 => tracing::trace!(core, "script: {text}"),
            1 => tracing::debug!(core, "script: {text}"),
            2 => tracing::info!(core, "script: {text}"),
            _ => tracing::warn!(core, "script: {text}"),
        }
    }
}

/// The clients of this core, as commands about clients see them.
struct Everyone<'a> {
    connections: &'a mut Connections,
    dirty: &'a mut Vec<ConnId>,
    killed: &'a mut Vec<ConnId>,
}

impl Clients for Everyone<'_> {
    fn each(&self, visit: &mut dyn FnMut(&Client)) {
        for connection in self.connections.iter() {
            visit(&connection.client);
        }
    }

    fn kill(&mut self, id: u64) {
        let found = self.connections.iter_mut().find(|(_, c)| c.client.id == id);
        let Some((conn, connection)) = found else { return };
        connection.close();
        self.killed.push(conn);
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(conn);
        }
    }
}

impl Connection {
    /// Brings the sizes that `CLIENT LIST` shows up to date.
    pub(super) fn refresh_sizes(&mut self) {
        self.client.query_bytes = self.input.len();
        self.client.query_capacity = self.input.capacity();
        self.client.output_bytes = self.output.len();
        self.client.output_capacity = self.output.capacity();
    }

    /// No further request is read; the connection goes when it is drained.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.input = Vec::new();
        self.underway = None;
        self.parked = None;
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }
}
