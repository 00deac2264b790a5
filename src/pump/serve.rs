//! From the bytes of a connection to commands: decode, check, hand to the engine or the session.

use smallvec::SmallVec;
use synap_io::clock;
use synap_shards::command::args::{Arg, Args, Words};
use synap_shards::command::error::CommandError;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{Access, CommandSpec, Family, Flags, Keys, Run};
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::event::{Event, Flow, Place};
use synap_shards::engine::{Engine, Places};
use synap_shards::id::ConnId;
use synap_shards::key::slot_of;
use synap_shards::limits::{PREFETCH_MAX, SLOTS_PER_SHARD};
use synap_shards::pubsub::Kind as Subscription;

use super::connection::{Connection, Decoder, Style};
use super::gate::admit;
use super::outlet::{Answered, Current, Outlet};
use crate::audit::Kind;
use crate::protocol::resp::decode::{Decoded, RespLimits};
use crate::protocol::resp::encode::{Protocol, protocol_error};
use crate::session::authorize::{self, Place as Where};
use crate::session::client::{Client, Listener};
use crate::session::finish::Finish;
use crate::session::transaction::{Inside, Pending};
use crate::session::{self, SessionContext, Then};
use crate::snapshot::{Waiter, Wanted};

/// Requests of a pipeline that are decoded before the first of them runs, so that the cache misses
/// of their lookups overlap.
const LOOKAHEAD: usize = PREFETCH_MAX;
/// Below this many, looking ahead costs more than it saves.
const AHEAD_FROM: usize = 3;

/// Why a write is refused. Redis's code for a log that cannot be written.
const DISK_FULL: &str =
    "Errors writing to the log: the disk is full. Writes are refused until there is room";

/// What serving works on.
pub(super) struct Host<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) outlet: &'a mut Outlet,
    /// Set when a client asked the server to stop.
    pub(super) stop: &'a mut bool,
    /// When the work on the present request began.
    pub(super) started_ns: u64,
}

/// Why decoding stopped.
pub(super) enum Stop {
    /// More bytes are needed, at least this many in all.
    Incomplete(usize),
    /// The connection may not go on now.
    Blocked,
    /// The input does not follow the protocol, or the connection closes.
    Closed,
    /// What follows is of another protocol.
    Switched(Decoder),
}

/// Requests of a pipeline that were decoded.
#[derive(Default)]
struct Batch<'a> {
    /// The words of all of them.
    words: SmallVec<[&'a [u8]; 3 * LOOKAHEAD]>,
    /// Of each, the end of its words and the end of its bytes in the input.
    ends: SmallVec<[(usize, usize); LOOKAHEAD]>,
}

impl<'a> Batch<'a> {
    /// The words of each, and the end of its bytes.
    fn requests(&self) -> impl ExactSizeIterator<Item = (&[&'a [u8]], usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, after)| {
            let words = &self.words[std::mem::replace(&mut start, *end)..*end];
            (words, *after)
        })
    }
}

impl Host<'_> {
    /// Serves what `input` holds, and returns how many bytes of it are done with.
    pub(super) fn serve(&mut self, id: ConnId, input: &[u8]) -> usize {
        let mut before = 0;
        let (used, stop) = loop {
            let Some(connection) = self.outlet.connections.get_mut(id) else { return input.len() };
            let decoder = std::mem::take(&mut connection.decoder);
            let (used, decoder, stop) = self.serve_with(id, &input[before..], decoder);
            let Some(connection) = self.outlet.connections.get_mut(id) else { return input.len() };
            before += used;
            match stop {
                Stop::Switched(decoder) => connection.decoder = decoder,
                stop => {
                    connection.decoder = decoder;
                    break (before, stop);
                }
            }
        };
        let Some(connection) = self.outlet.connections.get_mut(id) else { return input.len() };
        connection.share.note(&mut self.outlet.turn, used, connection.output.len());
        match stop {
            Stop::Switched(_) => unreachable!("what it was switched to was served"),
            Stop::Incomplete(needs) => {
                connection.input_wanted = needs;
                let goes_on = used == 0 && connection.incomplete_since_ms > 0;
                if used == input.len() {
                    connection.incomplete_since_ms = 0;
                } else if !goes_on {
                    connection.incomplete_since_ms = self.outlet.now.unix_ms;
                }
                used
            }
            Stop::Blocked => {
                connection.input_wanted = 0;
                connection.incomplete_since_ms = 0;
                used
            }
            Stop::Closed => {
                connection.close();
                self.outlet.hunger(id);
                self.outlet.mark_dirty(id);
                input.len()
            }
        }
    }

    fn serve_with(&mut self, id: ConnId, input: &[u8], decoder: Decoder) -> (usize, Decoder, Stop) {
        match decoder {
            Decoder::Resp(mut decoder) => {
                let (used, stop) = self.serve_resp(id, input, &mut decoder);
                (used, Decoder::Resp(decoder), stop)
            }
            Decoder::Http(mut decoder) => {
                let (used, stop) = self.serve_http(id, input, &mut decoder);
                (used, Decoder::Http(decoder), stop)
            }
            Decoder::Deaf => (input.len(), Decoder::Deaf, Stop::Blocked),
            Decoder::WebSocket(mut decoder) => {
                let (used, stop) = self.serve_websocket(id, input, &mut decoder);
                (used, Decoder::WebSocket(decoder), stop)
            }
        }
    }

    pub(super) fn may_start(&mut self, id: ConnId) -> bool {
        if self.outlet.backlogged
            || self.engine.log_end() > self.outlet.log_end_max
            || self.engine.is_congested()
        {
            // Those it stops go on when that is over.
            self.outlet.congested = true;
            return false;
        }
        let Some(connection) = self.outlet.connections.get_mut(id) else { return false };
        if !connection.may_start() {
            return false;
        }
        if connection.share.take(&mut self.outlet.turn, connection.output.len()) {
            return true;
        }
        self.outlet.put_off(id);
        false
    }

    fn serve_resp(
        &mut self,
        id: ConnId,
        input: &[u8],
        decoder: &mut crate::protocol::resp::decode::Decoder,
    ) -> (usize, Stop) {
        let limits = RespLimits::default();
        let mut used = 0;
        loop {
            if !self.may_start(id) {
                return (used, Stop::Blocked);
            }
            if self.unpark_words(id) {
                continue;
            }
            let mut batch = Batch::default();
            let mut ahead = used;
            let end = loop {
                if batch.ends.len() == LOOKAHEAD {
                    break None;
                }
                let rest = &input[ahead..];
                ahead += match decoder.decode_short(rest, &limits, &mut batch.words) {
                    Some(consumed) => consumed,
                    None => match decoder.decode(rest, &limits) {
                        Decoded::Request { words, consumed } => {
                            batch.words.extend_from_slice(&words);
                            consumed
                        }
                        other => break Some(other),
                    },
                };
                batch.ends.push((batch.words.len(), ahead));
            };
            let places = self.look_ahead(&batch);
            let count = batch.ends.len();
            for (at, (words, after)) in batch.requests().enumerate() {
                self.dispatch(id, words, None, places[at]);
                used = after;
                if at + 1 < count && !self.may_start(id) {
                    // What was decoded behind it is decoded again when the connection goes on.
                    *decoder = Default::default();
                    return (used, Stop::Blocked);
                }
            }
            match end {
                None | Some(Decoded::Request { .. }) => {}
                Some(Decoded::Quoted { words, consumed }) => {
                    if !self.may_start(id) {
                        return (used, Stop::Blocked);
                    }
                    let words: Words<'_> = words.iter().map(Vec::as_slice).collect();
                    self.dispatch(id, &words, None, None);
                    used += consumed;
                }
                Some(Decoded::Empty { consumed }) => used += consumed,
                Some(Decoded::Incomplete { needs }) => return (used, Stop::Incomplete(needs)),
                Some(Decoded::Broken(error)) => {
                    let mut bytes = Vec::new();
                    protocol_error(error, &mut bytes);
                    if let Some(connection) = self.outlet.connections.get_mut(id) {
                        connection.say(&bytes);
                    }
                    self.outlet.shared.metrics[self.outlet.core.index()].protocol_errors.add(1);
                    return (used, Stop::Closed);
                }
            }
        }
    }

    fn look_ahead(&self, batch: &Batch<'_>) -> Places {
        if batch.ends.len() < AHEAD_FROM {
            return Places::default();
        }
        self.engine.prefetch(batch.requests().map(|(words, _)| words.get(1).copied()))
    }

    /// Carries out one request. Its reply is written in `style`, or as a RESP client wants it.
    /// `place` is where its second word lives, if the engine was asked.
    pub(super) fn dispatch(
        &mut self,
        id: ConnId,
        words: &[&[u8]],
        style: Option<Style>,
        place: Option<Place>,
    ) {
        let mut found = table::lookup(words);
        if style.is_none() && self.outlet.leases.is_on() {
            found = self.admit(id).and(found);
        }
        let found = match found {
            Ok(command)
                if command.spec().flags.has(Flags::NO_AUTH) && self.parks(id, command, words) =>
            {
                return;
            }
            Ok(command) if names::may_be_among(command.spec(), words) => {
                return self.dispatch_named(id, command, words, style, place);
            }
            Ok(command) => Ok(command),
            Err(error) => Err((None, error)),
        };
        self.begin(id, found, (words, words), style, place);
    }

    /// The same for a command with names among its words, which become keys.
    fn dispatch_named(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
        style: Option<Style>,
        place: Option<Place>,
    ) {
        match names::qualify(command.spec(), words) {
            Ok(None) => self.begin(id, Ok(command), (words, words), style, place),
            Ok(Some(names)) => {
                self.begin(id, Ok(command), (&names.over(words), words), style, None);
            }
            Err(error) => {
                self.begin(id, Err((Some(command), error)), (words, words), style, None);
            }
        }
    }

    /// Carries a request out, or refuses it: an unknown command, or a known one with a name that is
    /// none. `sent` is the words as they came.
    #[inline]
    fn begin(
        &mut self,
        id: ConnId,
        found: Result<CommandId, (Option<CommandId>, CommandError)>,
        (words, sent): (&[&[u8]], &[&[u8]]),
        style: Option<Style>,
        place: Option<Place>,
    ) {
        let now_ms = self.outlet.now.unix_ms;
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let ticket = connection.next_ticket();
        let begun = match &found {
            Ok(command) => Some(*command),
            Err((command, _)) => *command,
        };
        let heard = connection.client.begin(begun, now_ms);
        let in_multi = connection.client.pending.as_deref().is_some_and(Pending::is_open);
        let protocol = connection.client.protocol;
        let style = match style {
            Some(style) => style,
            None if heard => Style::Resp(protocol),
            None => Style::Silent,
        };
        self.outlet.current = Some(Current { conn: id, ticket, style: Some(style), outcome: None });
        let (ran, flow) = match found {
            Ok(command) => self.start(id, command, words, in_multi, place),
            Err((command, error)) => self.reject(id, command, error),
        };
        let mut current = self.outlet.current.take().expect("it was set above");
        self.await_reply(id, &mut current, begun, (ran, sent), flow);
        self.outlet.tell_late();
        if let Some(command) = ran {
            self.note_run(id, command, sent, current.outcome);
        }
    }

    /// Checks a request, and runs or queues it. Answers with the command if that was run.
    #[inline]
    fn start(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
        in_multi: bool,
        place: Option<Place>,
    ) -> (Option<CommandId>, Flow) {
        let parsed = Args::parse(command.spec(), words);
        let args = match &parsed {
            Ok(args) => args,
            Err(error) => return self.reject(id, Some(command), error.clone()),
        };
        if let Err(error) = self.checked(id, command, args) {
            return self.reject(id, Some(command), error);
        }
        if in_multi && Inside::of(command.spec()) != Inside::AtOnce {
            return (None, self.queue(id, command, words));
        }
        if self.queues_http(id, command) {
            return (None, self.queue_http(id, command, words));
        }
        (Some(command), self.run(id, command, args, place))
    }

    #[cold]
    fn reject(
        &mut self,
        id: ConnId,
        command: Option<CommandId>,
        error: CommandError,
    ) -> (Option<CommandId>, Flow) {
        if let Some(command) = command {
            self.stat(command, |stat| stat.rejected.add(1));
        }
        self.fail_transaction(id, command);
        self.reply(id, Reply::Error(error));
        (None, Flow::Continue)
    }

    /// After a request was begun: makes room for a reply that is not there yet, and holds what
    /// follows where that must wait for it.
    #[inline]
    fn await_reply(
        &mut self,
        id: ConnId,
        current: &mut Current,
        begun: Option<CommandId>,
        (ran, sent): (Option<CommandId>, &[&[u8]]),
        flow: Flow,
    ) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        connection.client.has_begun(begun);
        if connection.client.verdict.is_some() {
            // It was for this command alone, whatever became of that.
            connection.client.verdict = None;
        }
        let Some(style) = current.style.take() else { return };
        connection.issue(style);
        if flow == Flow::Barrier {
            connection.barrier = Some(current.ticket);
            let waits = |command: &CommandId| command.spec().flags.has(Flags::BLOCKING);
            let waiting = ran.filter(waits);
            connection.client.is_blocked = waiting.is_some();
            let is_enabled = self.outlet.desk.directory().is_enabled();
            if let (Some(command), true) = (waiting, is_enabled) {
                let words = sent.iter().map(|word| Box::from(*word)).collect();
                connection.waiting = Some(Box::new((command, words)));
            }
        }
    }

    /// Counts a request that was run, and ends its time.
    fn note_run(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
        outcome: Option<Answered>,
    ) {
        // One reading ends this request and begins the next.
        let ended_ns = clock::monotonic_ns();
        let elapsed = ended_ns - std::mem::replace(&mut self.started_ns, ended_ns);
        let failed = outcome == Some(Answered::WithError);
        let missed =
            outcome == Some(Answered::WithNothing) && command.spec().access == Access::Read;
        self.stat(command, |stat| {
            stat.record(elapsed, failed);
            stat.missed.add(u64::from(missed));
        });
        self.note_slow(id, command, words, elapsed);
    }

    pub(super) fn stat(&self, command: CommandId, note: impl FnOnce(&crate::metrics::CommandStat)) {
        note(&self.outlet.shared.metrics[self.outlet.core.index()].commands[command.index()]);
    }

    fn note_slow(&mut self, id: ConnId, command: CommandId, words: &[&[u8]], elapsed_ns: u64) {
        let settings = &self.outlet.settings;
        let (elapsed_us, unix_ms) = (elapsed_ns / 1000, self.outlet.now.unix_ms);
        let latency_threshold = settings.latency_threshold_ms;
        self.outlet.latency.note("command", elapsed_us / 1000, latency_threshold, unix_ms);
        let is_slow = u64::try_from(settings.slowlog_threshold_us)
            .is_ok_and(|threshold| elapsed_us >= threshold);
        if !is_slow || command.spec().flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let entries_max = settings.slowlog_max_entries;
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        self.outlet.slowlog.note(elapsed_us, words, &connection.client, unix_ms, entries_max);
    }

    pub(super) fn reply(&mut self, id: ConnId, reply: Reply<'_>) {
        use synap_shards::engine::event::Outbound;
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        self.outlet.reply(id, ticket, reply);
    }

    /// Checks what does not depend on data.
    #[inline]
    pub(super) fn checked(
        &mut self,
        id: ConnId,
        command: CommandId,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let (spec, words) = (command.spec(), args.words());
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            if connection.client.is_bound {
                let is_required = self.outlet.desk.directory().is_required();
                admit(&connection.client, is_required, command, words, place_of(connection))?;
            }
            check_subscribed(&connection.client, spec)?;
        }
        let settings = &self.outlet.settings;
        if spec.flags.has(Flags::FLUSH) && !settings.allow_flush_commands {
            return Err(CommandError::Disabled { key: "kv_store.allow_flush_commands" });
        }
        match spec.family {
            Family::Queue if !settings.queues => return Err(switched_off("Queue system disabled")),
            Family::Topic | Family::Group if !settings.streams => {
                return Err(switched_off("Stream system disabled"));
            }
            Family::Pubsub => self.admit_subscriptions(id, spec, args)?,
            _ => {}
        }
        let settings = &self.outlet.settings;
        if spec.id == "server.waitaof"
            && args.integer(Arg(0)) > 0
            && !self.outlet.shared.persistence
        {
            return Err(CommandError::Invalid(
                "WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        if spec.access == Access::Write {
            if self.outlet.disk_full {
                let metrics = &self.outlet.shared.metrics[self.outlet.core.index()];
                metrics.wal_refused.add(1);
                return Err(CommandError::Coded { code: "MISCONF", message: DISK_FULL });
            }
            if settings.read_only {
                return Err(CommandError::Coded {
                    code: "READONLY",
                    message: "You can't write against a read only server.",
                });
            }
            let limit = settings.max_value_bytes;
            if words.iter().any(|word| word.len() > limit) {
                return Err(CommandError::StringTooLong { limit });
            }
        }
        if matches!(spec.keys, Keys::Range { .. }) {
            self.check_slots(id, command, words)?;
        }
        Ok(())
    }

    /// Whether there may be as many subscriptions as a command asks for.
    fn admit_subscriptions(
        &mut self,
        id: ConnId,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let kind = match spec.id {
            "pubsub.subscribe" => Subscription::Channel,
            "pubsub.psubscribe" => Subscription::Pattern,
            "pubsub.ssubscribe" => Subscription::Shard,
            "pubsub.topic_subscribe" => Subscription::Topic,
            _ => return Ok(()),
        };
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let client = self.outlet.speaker.unwrap_or(connection.client.id);
        let limits = &self.outlet.settings.subscriptions;
        self.outlet.pubsub.index.admit(kind, args.rest(Arg(0)), client, limits)
    }

    /// On a shard-aware port, sends the client to the core that owns the keys.
    fn check_slots(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
    ) -> Result<(), CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        if connection.client.listener != Listener::RespShard {
            return Ok(());
        }
        let host = connection.client.local.ip();
        let spec = command.spec();
        let mut slots = spec.key_positions(words).into_iter().map(|at| slot_of(words[at]));
        let Some(slot) = slots.next() else { return Ok(()) };
        if slots.any(|other| other != slot) {
            return Err(CommandError::Coded {
                code: "CROSSSLOT",
                message: "Keys in request don't hash to the same slot",
            });
        }
        let shard = synap_shards::id::ShardId::new(usize::from(slot) / SLOTS_PER_SHARD);
        let owner = self.outlet.shared.shard_map.owner(shard);
        let base = self.outlet.shared.shard_port_base;
        match base {
            Some(base) if owner != self.outlet.core => {
                let port = usize::from(base) + owner.index();
                let address = if host.is_ipv6() {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                };
                Err(CommandError::Moved { slot, address })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn run(
        &mut self,
        id: ConnId,
        command: CommandId,
        args: &Args<'_>,
        place: Option<Place>,
    ) -> Flow {
        let spec = command.spec();
        match spec.run {
            Run::Session => return self.run_session(id, command, args),
            Run::Transaction => return self.run_transaction(id, command, args),
            Run::Write(_) if spec.flags.has(Flags::FLUSH) => {
                self.note_event(id, Kind::Flushed, spec.resp);
            }
            Run::Read(_)
            | Run::Write(_)
            | Run::Block(_)
            | Run::Script(_)
            | Run::EveryCore(_)
            | Run::Unblock => {}
        }
        if spec.id == "cdc.read"
            && let Some(flow) = self.read_changes(id, args)
        {
            return flow;
        }
        let current = self.outlet.current.as_mut().expect("a request is being handled");
        let (conn, ticket) = (current.conn, current.ticket);
        if (matches!(spec.run, Run::EveryCore(_)) || spec.family == Family::Capture)
            && !matches!(current.style, Some(Style::Live(_)))
            && let Some(finish) = Finish::of(command, args)
            && let Some(style) = current.style.take()
        {
            current.style = Some(Style::Finished(finish, Box::new(style)));
        }
        if let Some(kind) = authorize::lists(command)
            && let Some(sight) = self.outlet.sight(conn, kind)
        {
            let current = self.outlet.current.as_mut().expect("a request is being handled");
            let style = current.style.take();
            current.style = style.map(|style| Style::Seen(sight, Box::new(style)));
        }
        let speaker = self.outlet.speaker;
        if spec.family == Family::Pubsub && speaker.is_none() {
            self.outlet.note_subscriber(id);
        }
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Flow::Continue };
        let (caller, reads) = (connection.client.id, connection.client.reads());
        let caller = speaker.unwrap_or(caller);
        let here = connection.client.listener == Listener::RespShard;
        let now = self.outlet.now;
        let is_ending = connection.read_ended || connection.closing;
        let event = Event::Request { conn, ticket, caller, reads, here, command, args, place };
        let flow = self.engine.step(now, event, self.outlet);
        if is_ending && spec.flags.has(Flags::BLOCKING) {
            // Nobody would notice when the peer is gone.
            self.engine.step(now, Event::Gone { conn }, self.outlet);
        }
        flow
    }

    fn run_session(&mut self, id: ConnId, command: CommandId, args: &Args<'_>) -> Flow {
        if command.spec().id == "connection.reset" {
            self.drop_transaction(id);
            self.drop_subscriptions(id);
            self.drop_tracking(id);
        }
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Flow::Continue };
        let mut context = SessionContext {
            client: &mut connection.client,
            shared: &self.outlet.shared,
            settings: &self.outlet.settings,
            pubsub: &mut self.outlet.pubsub,
            now: self.outlet.now,
            core: self.outlet.core,
            then: Then::Continue,
            change: None,
        };
        let outcome = session::run(&mut context, command, args);
        if let Some(change) = context.change.take() {
            return self.change_over_resp(id, *change);
        }
        if let Then::Snapshot(answer) = outcome.then {
            return self.wait_for_snapshot(id, answer);
        }
        if let Then::Track | Then::Untrack = outcome.then {
            return self.track(id);
        }
        if outcome.then == Then::Poll {
            return self.poll(args);
        }
        let protocol = connection.client.protocol;
        if let Some(current) = &mut self.outlet.current {
            match (&current.style, &outcome.reply) {
                (Some(Style::Http(..) | Style::Envelope(_)), _) => {}
                // HELLO answers in the version it switches to.
                (_, Some(_)) => current.style = Some(Style::Resp(protocol)),
                (_, None) => current.style = Some(Style::Silent),
            }
        }
        let sight = authorize::lists(command).and_then(|kind| self.outlet.sight(id, kind));
        let reply = outcome.reply.unwrap_or(Reply::Nil);
        let reply = match sight {
            Some(sight) => sight.apply(reply),
            None => reply,
        };
        self.reply(id, reply);
        match outcome.then {
            Then::Continue => {}
            Then::Close => {
                if let Some(connection) = self.outlet.connections.get_mut(id) {
                    connection.close();
                }
            }
            Then::Shutdown => {
                self.note_event(id, Kind::ShutDown, command.spec().resp);
                *self.stop = true;
            }
            Then::Snapshot(_) | Then::Track | Then::Untrack | Then::Poll | Then::Change => {
                unreachable!("seen above")
            }
        }
        Flow::Continue
    }

    /// The reply comes from the coordinator of snapshots.
    fn wait_for_snapshot(&mut self, conn: ConnId, answer: Wanted) -> Flow {
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        if let Some(snapshots) = &self.outlet.shared.snapshots {
            snapshots.ask(Some(Waiter { core: self.outlet.core, conn, ticket, answer }));
        }
        Flow::Barrier
    }
}

/// Where a command of this connection is run.
fn place_of(connection: &Connection) -> Where {
    let is_open = connection.client.pending.as_deref().is_some_and(Pending::is_open);
    if is_open { Where::Inside } else { Where::Alone }
}

fn switched_off(message: &'static str) -> CommandError {
    CommandError::Coded { code: "DISABLED", message }
}

/// In the second version of the protocol a client that listens may send little else: it could not
/// tell replies from messages.
fn check_subscribed(client: &Client, spec: &CommandSpec) -> Result<(), CommandError> {
    const ALLOWED: [&str; 3] = ["PING", "QUIT", "RESET"];
    if client.protocol == Protocol::Resp3 || !client.is_subscribed() {
        return Ok(());
    }
    let subscribes = spec.family == Family::Pubsub && matches!(spec.run, Run::EveryCore(_));
    if subscribes || ALLOWED.contains(&spec.resp) {
        return Ok(());
    }
    Err(CommandError::Quoted {
        before: "Can't execute '",
        found: spec.resp.to_ascii_lowercase().replace(' ', "|"),
        after: "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                this context",
    })
}
