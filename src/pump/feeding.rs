//! Feeding connections: asking for what they want under a second id, telling them what came, and
//! giving back what a consumer had that is gone.
//!
//! The second id is why nothing waits for anything else: a request that waits for messages for half
//! a minute is of another connection, as far as the engine can tell, than the acknowledgements of
//! the same peer.

use synap_io::clock;
use synap_shards::command::args::{Args, Words};
use synap_shards::command::error::CommandError;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::table;
use synap_shards::engine::event::Event;
use synap_shards::id::{ConnId, Ticket};

use super::Core;
use super::connection::{Connection, Style};
use super::fed::{Asked, Feed, Leaving, Then};
use super::host;
use super::live_style::{LiveStyle, Request, What};
use super::outlet::Outlet;
use super::serve::Host;
use crate::protocol::push::Form;
use crate::protocol::ws::CloseCode;

/// The bit that makes the second id of a connection; the network layer uses no more than 56.
const ASIDE: u64 = 1 << 63;
/// Bytes on their way to a peer beyond which no more is asked for.
const OUTPUT_BYTES: usize = 64 * 1024;
/// There is one request at a time under a second id.
const TICKET: Ticket = Ticket(0);

/// Whether this is a second id.
pub(super) fn is_aside(id: ConnId) -> bool {
    id.0 & ASIDE != 0
}

fn aside(id: ConnId) -> ConnId {
    ConnId(id.0 | ASIDE)
}

impl Connection {
    /// What it is fed with, if it is.
    pub(super) fn feed(&mut self) -> Option<&mut Feed> {
        self.live.as_mut()?.feed.as_deref_mut()
    }
}

impl Outlet {
    /// Lets a fed connection ask for more, or end, when its turn comes.
    pub(super) fn hunger(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let is_closing = connection.closing;
        if let Some(feed) = connection.feed()
            && !feed.is_hungry
            && (is_closing || !feed.is_asked)
        {
            feed.is_hungry = true;
            self.hungry.push(id);
        }
    }

    /// An answer to what was asked under a second id.
    pub(super) fn fed(&mut self, second: ConnId, reply: &Reply<'_>) {
        let now_ms = self.now.unix_ms;
        if let Some(leaving) = self.leaving.get_mut(&second) {
            leaving.take(reply, now_ms, self.stops);
            self.hungry.push(second);
            return;
        }
        let id = ConnId(second.0 & !ASIDE);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(feed) = connection.feed() else { return };
        let mut told = Vec::new();
        let then = feed.take(reply, now_ms, &mut told);
        if !connection.closing {
            connection.say(&told);
            if then == Then::Ends {
                connection.close_live(CloseCode::NORMAL, "");
            }
        }
        self.hunger(id);
        self.mark_dirty(id);
    }

    /// A request of a connection that is pushed to was answered.
    pub(super) fn settled(&mut self, id: ConnId, ticket: Ticket, reply: &Reply<'_>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(feed) = connection.feed() else { return };
        if feed.settled(ticket, reply) == Then::Ends {
            connection.close_live(CloseCode::NORMAL, "");
        }
        self.hunger(id);
    }
}

impl Host<'_> {
    /// Asks for what a fed connection wants next.
    fn ask(&mut self, id: ConnId) {
        let now_ms = self.outlet.now.unix_ms;
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let is_closing = connection.closing;
        let may_ask = !connection.read_ended && connection.output.len() < OUTPUT_BYTES;
        let Some(feed) = connection.feed() else { return };
        feed.is_hungry = false;
        if is_closing {
            return self.part(id);
        }
        if may_ask && let Some(words) = feed.ask(now_ms) {
            self.request_aside(aside(id), &words);
        }
    }

    /// Ends the feed of a connection that ends.
    fn part(&mut self, id: ConnId) {
        let connection = self.outlet.connections.get_mut(id);
        let live = connection.and_then(|connection| connection.live.as_mut());
        if let Some(feed) = live.and_then(|live| live.feed.take()) {
            self.leave(id, *feed);
        }
    }

    /// Gives back what a connection had that is gone.
    pub(super) fn leave(&mut self, id: ConnId, feed: Feed) {
        let second = aside(id);
        let is_asked = feed.is_asked;
        if let Some(leaving) = feed.leave() {
            self.outlet.leaving.insert(second, leaving);
        }
        if is_asked {
            // What it waits for is answered with nothing, or was given already.
            self.engine.step(self.outlet.now, Event::Gone { conn: second }, self.outlet);
        }
        self.release(second);
    }

    /// Goes on giving back.
    fn release(&mut self, second: ConnId) {
        let now_ms = self.outlet.now.unix_ms;
        let Some(leaving) = self.outlet.leaving.get_mut(&second) else { return };
        if leaving.is_over() {
            self.outlet.leaving.remove(&second);
        } else if !leaving.is_asked && leaving.not_before_ms <= now_ms {
            let words = leaving.ask();
            self.request_aside(second, &words);
        }
    }

    /// Hands a request in whose answer [`Outlet::fed`] gets.
    fn request_aside(&mut self, second: ConnId, words: &Asked) {
        let words: Words<'_> = words.iter().map(|word| &**word).collect();
        if let Err(error) = self.try_aside(second, &words) {
            self.outlet.fed(second, &Reply::Error(error));
        }
    }

    fn try_aside(&mut self, second: ConnId, words: &[&[u8]]) -> Result<(), CommandError> {
        let started_ns = clock::monotonic_ns();
        let id = ConnId(second.0 & !ASIDE);
        let command = table::lookup(words)?;
        let named = names::qualify(command.spec(), words)?;
        let over = named.as_ref().map(|names| names.over(words));
        let words = over.as_ref().map_or(words, |over| &over[..]);
        let args = &Args::parse(command.spec(), words)?;
        // What it gives back was given to it, whatever it may do now.
        if !self.outlet.leaving.contains_key(&second) {
            self.checked(id, command, args)?;
        }
        let client = self.outlet.connections.get_mut(id).map(|connection| &connection.client);
        let caller = client.as_ref().map_or(0, |client| client.id);
        let reads = client.map(|client| client.reads()).unwrap_or_default();
        let (here, place) = (false, None);
        let (conn, ticket) = (second, TICKET);
        let event = Event::Request { conn, ticket, caller, reads, here, command, args, place };
        self.engine.step(self.outlet.now, event, self.outlet);
        self.stat(command, |stat| stat.record(clock::monotonic_ns() - started_ns, false));
        Ok(())
    }

    /// Carries out what the peer of a consumer says.
    pub(super) fn consumer_command(&mut self, id: ConnId, text: &str) {
        let (verb, requeue, name, what) = match Request::read(text) {
            Ok(Request::Ack(name)) => (&b"QACK"[..], None, name, "acked"),
            Ok(Request::Nack(name, requeue)) => (&b"QNACK"[..], Some(requeue), name, "nacked"),
            Ok(_) => return self.refuse_command(id, "`command` is ack or nack"),
            Err(why) => return self.refuse_command(id, why),
        };
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let ticket = connection.next_ticket();
        let Some(consumer) = connection.feed().and_then(Feed::consumer) else { return };
        let words = consumer.settle(verb, requeue, name.as_bytes());
        consumer.settling.insert(ticket, name.as_bytes().into());
        let style = LiveStyle { form: Form::Frame, what: What::Settled(what, name.into()) };
        let words: Words<'_> = words.iter().map(|word| &**word).collect();
        self.dispatch(id, &words, Some(Style::Live(Box::new(style))), None);
    }

    /// Carries out what the peer of a reader says.
    pub(super) fn reader_command(&mut self, id: ConnId, text: &str) {
        let offset = match Request::read(text) {
            Ok(Request::Seek(offset)) => offset,
            Ok(_) => return self.refuse_command(id, "`command` is seek"),
            Err(why) => return self.refuse_command(id, why),
        };
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let Some(feed) = connection.feed() else { return };
        let mut told = Vec::new();
        if feed.seek(offset, &mut told) {
            connection.say(&told);
            self.outlet.mark_dirty(id);
            self.outlet.hunger(id);
        } else {
            let event = Event::Gone { conn: aside(id) };
            self.engine.step(self.outlet.now, event, self.outlet);
        }
    }

    fn refuse_command(&mut self, id: ConnId, why: &str) {
        self.answer_websocket(id, |out| LiveStyle::refuse(why, Form::Frame, out));
    }
}

impl Core {
    /// Asks for what fed connections want, and gives back what those had that are gone.
    pub(super) fn feed(&mut self) {
        if self.outlet.hungry.is_empty() || !self.is_free() {
            return;
        }
        let hungry = std::mem::take(&mut self.outlet.hungry);
        let mut host = host(&mut self.engine, &mut self.outlet, &mut self.stop);
        for id in hungry {
            if is_aside(id) { host.release(id) } else { host.ask(id) }
        }
    }

    /// Whether a fed connection could ask now.
    pub(super) fn may_feed(&self) -> bool {
        !self.outlet.hungry.is_empty() && self.is_free()
    }

    /// Lets everyone ask again whose time to do so has come.
    pub(super) fn wake_feeds(&mut self) {
        let now_ms = self.outlet.now.unix_ms;
        let is_due = |feed: &mut Feed| !feed.is_asked && feed.not_before_ms <= now_ms;
        let mut due = Vec::new();
        for (id, connection) in self.outlet.connections.iter_mut() {
            if connection.feed().is_some_and(is_due) {
                due.push(id);
            }
        }
        due.into_iter().for_each(|id| self.outlet.hunger(id));
        let is_due = |leaving: &Leaving| !leaving.is_asked && leaving.not_before_ms <= now_ms;
        let due = self.outlet.leaving.iter().filter(|(_, leaving)| is_due(leaving));
        self.outlet.hungry.extend(due.map(|(second, _)| *second));
    }
}
