//! A request from its connection to the engine or the session: looked up, its names made keys,
//! begun, checked, run or refused, and counted.

use synap_io::clock;
use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{Access, Family, Flags, Run};
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Event, Flow, Place};
use synap_shards::id::ConnId;

use super::connection::{Decoder, Style};
use super::outlet::{Answered, Current, Outlet};
use crate::audit::Kind;
use crate::session::authorize;
use crate::session::client::Listener;
use crate::session::finish::Finish;
use crate::session::transaction::{Inside, Pending};
use crate::session::{self, SessionContext, Then};
use crate::snapshot::{Waiter, Wanted};

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
