//! Readers of captures that wait for changes: streams of events and WebSockets that are told them
//! as they come, and single requests that wait for the next.
//!
//! A reader asks every core, like anybody who sends `CDC.READ`, and asks again when the socket has
//! taken the answer; when there was nothing it sleeps until a core that captured something rings.
//! So a reader costs its position and one answer, whatever it is behind, and a slow one holds
//! nobody up.

use std::collections::BTreeMap;

use synap_shards::capture::{Merge, is_idle};
use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table;
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Event, Flow, Outbound as _};
use synap_shards::id::{ConnId, Ticket};

use super::Core;
use super::connection::Style;
use super::live_style::{LiveStyle, What};
use super::outlet::Outlet;
use super::serve::Host;
use crate::protocol::push::Form;
use crate::protocol::ws::CloseCode;

/// To cores with readers that wait: something was captured.
pub(super) const CAPTURED: &[u8] = b"captured";

const READ: &str = "CDC.READ";
/// Changes of one message.
const MESSAGE_CHANGES: &str = "500";
/// Longest wait of a request.
const WAIT_MS_MAX: u64 = 30_000;
const ARG_WAIT: Arg = Arg(3);

/// The readers of a core's connections.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    open: BTreeMap<ConnId, Feed>,
    /// Those that are to look.
    ready: Vec<ConnId>,
    /// The same, but their sockets have not taken what came before.
    slow: Vec<ConnId>,
    /// Those that were refused: their connections end.
    refused: Vec<ConnId>,
}

#[derive(Debug)]
struct Feed {
    capture: Box<[u8]>,
    from: Vec<u8>,
    count: Vec<u8>,
    kind: Kind,
    state: State,
    /// Something was captured while it looked.
    is_rung: bool,
}

#[derive(Debug)]
enum Kind {
    /// Told everything from its position on.
    Stream { form: Form, has_begun: bool },
    /// Told once, at the latest then; what it is told if nothing comes.
    Once { ticket: Ticket, until_ms: u64, nothing: Option<Reply<'static>> },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ready,
    Looking,
    Waiting,
}

impl Feeds {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether some reader is to look at once.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn add(&mut self, conn: ConnId, feed: Feed) {
        if feed.state == State::Ready {
            self.ready.push(conn);
        }
        self.open.insert(conn, feed);
    }

    /// A connection is gone.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.open.remove(&conn);
    }

    /// Has those that wait look.
    fn ring(&mut self) {
        for (conn, feed) in &mut self.open {
            match feed.state {
                State::Waiting => {
                    feed.state = State::Ready;
                    self.ready.push(*conn);
                }
                State::Looking => feed.is_rung = true,
                State::Ready => {}
            }
        }
    }
}

impl Feed {
    fn words(&self) -> [&[u8]; 5] {
        [READ.as_bytes(), &self.capture, &self.from, b"COUNT", &self.count]
    }

    /// What it makes of an answer, and what its client is told; nothing if it goes on waiting.
    fn answered(&mut self, reply: Reply<'static>) -> Option<Reply<'static>> {
        let words = self.words();
        let command = table::lookup(&words).expect("the table has it");
        let args = Args::parse(command.spec(), &words).expect("they were checked");
        let merge = Merge::of(&args).expect("a reader that is refused looks no more");
        let answer = merge.apply(reply);
        let is_idle = is_idle(&answer);
        if let Reply::Array(items) = &answer
            && let Some(Reply::Bytes(position)) = items.first()
        {
            self.from = position.to_vec();
        }
        let goes_on = !is_idle || std::mem::take(&mut self.is_rung);
        self.state = if goes_on { State::Ready } else { State::Waiting };
        match &mut self.kind {
            Kind::Stream { .. } => Some(answer),
            Kind::Once { nothing, .. } if is_idle => {
                *nothing = Some(answer);
                None
            }
            Kind::Once { .. } => Some(answer),
        }
    }
}

impl Host<'_> {
    /// Has a connection told changes from a position on.
    pub(super) fn follow(&mut self, conn: ConnId, capture: &str, from: &str, form: Form) {
        let feed = Feed {
            capture: capture.as_bytes().into(),
            from: from.into(),
            count: MESSAGE_CHANGES.into(),
            kind: Kind::Stream { form, has_begun: false },
            state: State::Ready,
            is_rung: false,
        };
        self.outlet.feeds.add(conn, feed);
    }

    /// `CDC.READ` that may wait: answers what there is, or waits. Nothing if it is none.
    pub(super) fn read_changes(&mut self, conn: ConnId, args: &Args<'_>) -> Option<Flow> {
        let wait_ms = args.opt_integer(ARG_WAIT).filter(|wait_ms| *wait_ms > 0)? as u64;
        let connection = self.outlet.connections.get_mut(conn)?;
        if connection.read_ended || connection.closing || Merge::of(args).is_none() {
            return None;
        }
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        let until_ms = self.outlet.now.unix_ms + wait_ms.min(WAIT_MS_MAX);
        let count = args.opt_integer(Arg(2)).map(|count| count.to_string());
        let feed = Feed {
            capture: args.bytes(Arg(0)).into(),
            from: args.bytes(Arg(1)).to_vec(),
            count: count.unwrap_or_else(|| "100".to_owned()).into_bytes(),
            kind: Kind::Once { ticket, until_ms, nothing: None },
            state: State::Looking,
            is_rung: false,
        };
        self.outlet.feeds.add(conn, feed);
        look(self.engine, self.outlet, conn, ticket);
        Some(Flow::Barrier)
    }

    /// Has a stream look for changes, unless its socket has not taken what came before; whether it
    /// is done with.
    fn look_on(&mut self, conn: ConnId) -> bool {
        let Some(feed) = self.outlet.feeds.open.get_mut(&conn) else { return true };
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return true };
        if feed.state != State::Ready || connection.closing {
            return true;
        }
        match feed.kind {
            Kind::Once { ticket, .. } => look(self.engine, self.outlet, conn, ticket),
            Kind::Stream { .. } if !connection.is_drained() => return false,
            Kind::Stream { form, ref mut has_begun } => {
                let always = !std::mem::replace(has_begun, true);
                feed.state = State::Looking;
                let words = feed.words().map(<[u8]>::to_vec);
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                self.outlet.shared.captures.wait(self.outlet.core);
                let what = What::Changes { always };
                let style = Style::Live(Box::new(LiveStyle { form, what }));
                self.dispatch(conn, &words, Some(style), None);
            }
        }
        true
    }
}

/// Asks every core for a request that waits.
fn look(engine: &mut Engine, outlet: &mut Outlet, conn: ConnId, ticket: Ticket) {
    let Some(feed) = outlet.feeds.open.get_mut(&conn) else { return };
    let Some(connection) = outlet.connections.get_mut(conn) else { return };
    feed.state = State::Looking;
    let words = feed.words().map(<[u8]>::to_vec);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let command = table::lookup(&words).expect("the table has it");
    let args = Args::parse(command.spec(), &words).expect("they were checked");
    let (caller, reads) = (connection.client.id, connection.client.reads());
    outlet.shared.captures.wait(outlet.core);
    let (args, here, place) = (&args, false, None);
    let event = Event::Request { conn, ticket, caller, reads, here, command, args, place };
    engine.step(outlet.now, event, outlet);
}

impl Outlet {
    /// What a reply comes to for a reader that waits for changes; nothing if it goes on waiting.
    pub(super) fn feed<'r>(
        &mut self,
        (conn, answered): (ConnId, Ticket),
        reply: Reply<'r>,
    ) -> Option<Reply<'r>> {
        let looking = |feed: &&mut Feed| {
            let is_other = matches!(feed.kind, Kind::Once { ticket, .. } if ticket != answered);
            feed.state == State::Looking && !is_other
        };
        let Some(feed) = self.feeds.open.get_mut(&conn).filter(looking) else {
            return Some(reply);
        };
        if let Reply::Error(_) = reply {
            self.refuse_feed(conn);
            return Some(reply);
        }
        let answer = feed.answered(reply.into_owned());
        if feed.state == State::Ready {
            self.feeds.ready.push(conn);
        }
        let is_once = matches!(feed.kind, Kind::Once { .. });
        match &answer {
            Some(Reply::Error(_)) => self.refuse_feed(conn),
            Some(_) if is_once => self.feeds.remove(conn),
            Some(_) | None => {}
        }
        answer
    }

    fn refuse_feed(&mut self, conn: ConnId) {
        let feed = self.feeds.open.remove(&conn);
        if feed.is_some_and(|feed| matches!(feed.kind, Kind::Stream { .. })) {
            self.feeds.refused.push(conn);
        }
    }

    /// Rings the readers of all cores if something was captured.
    pub(super) fn ring_feeds(&mut self, engine: &mut Engine) {
        if !engine.take_has_captured() {
            return;
        }
        for core in self.shared.captures.ring() {
            if core == self.core {
                self.feeds.ring();
            } else {
                engine.tell(core, &[CAPTURED]);
            }
        }
    }

    /// Another core has captured something.
    pub(super) fn hear_captured(&mut self) {
        self.feeds.ring();
    }

    /// Answers requests that have waited long enough, and those of a connection whose peer may be
    /// gone.
    fn end_feeds_where(&mut self, ends: impl Fn(ConnId, u64) -> bool) {
        let over: Vec<ConnId> = self
            .feeds
            .open
            .iter()
            .filter(|(conn, feed)| match feed.kind {
                Kind::Once { until_ms, .. } => {
                    feed.state == State::Waiting && ends(**conn, until_ms)
                }
                Kind::Stream { .. } => false,
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in over {
            let Some(Feed { kind: Kind::Once { ticket, nothing, .. }, .. }) =
                self.feeds.open.remove(&conn)
            else {
                continue;
            };
            let busy = || Reply::Error(CommandError::Busy);
            self.reply(conn, ticket, nothing.unwrap_or_else(busy));
        }
    }

    /// The peer of a connection sends no more, and may be gone.
    pub(super) fn give_up_feed(&mut self, gone: ConnId) {
        self.end_feeds_where(|conn, _| conn == gone);
    }
}

impl Core {
    /// Has readers look that are to, and whose sockets have taken what came before.
    pub(super) fn serve_feeds(&mut self) {
        self.outlet.ring_feeds(&mut self.engine);
        let slow = std::mem::take(&mut self.outlet.feeds.slow);
        let ready = std::mem::take(&mut self.outlet.feeds.ready);
        for conn in slow.into_iter().chain(ready) {
            let mut host = super::host(&mut self.engine, &mut self.outlet, &mut self.stop);
            if !host.look_on(conn) {
                self.outlet.feeds.slow.push(conn);
            }
        }
        for conn in std::mem::take(&mut self.outlet.feeds.refused) {
            if let Some(connection) = self.outlet.connections.get_mut(conn) {
                connection.close_live(CloseCode::POLICY, "refused");
            }
            self.outlet.mark_dirty(conn);
        }
    }

    /// Ends waits that are over.
    pub(super) fn end_feeds(&mut self) {
        let (now_ms, stops) = (self.outlet.now.unix_ms, self.stopping_since_ns.is_some());
        self.outlet.end_feeds_where(|_, until_ms| stops || until_ms <= now_ms);
    }
}
