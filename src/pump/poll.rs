//! Subscribers without a connection: requests that make one, end one, or fetch what came for one
//! and wait when nothing has.

use smallvec::SmallVec;
use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Flow, Outbound as _};
use synap_shards::id::{ConnId, Ticket};
use synap_shards::pubsub::Kind;

use super::Core;
use super::connection::{Connection, Connections};
use super::outlet::Outlet;
use super::pubsub::{POLLED, REPLACED};
use super::serve::Host;
use crate::mailboxes::{Wait, Waiter};
use crate::protocol::http::words::OwnedWords;
use crate::protocol::http::{HttpContext, Subscriber};
use crate::session::topics::NO_SUBSCRIBER;

/// Longest wait for a message.
const WAIT_MS_MAX: u64 = 30_000;
/// Messages of one answer unless told otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1024;

const ARG_SUBSCRIBER: Arg = Arg(0);
const ARG_WAIT: Arg = Arg(1);
const ARG_LIMIT: Arg = Arg(2);

/// Requests of this core's connections that wait, and waits of any core that have ended.
#[derive(Debug, Default)]
pub(super) struct Polls {
    waiting: Vec<Poll>,
    /// Who is to be told that messages came for which number, or that another request waits in its
    /// place.
    pub(super) woken: SmallVec<[(Waiter, Option<u64>); 2]>,
}

#[derive(Debug)]
struct Poll {
    waiter: Waiter,
    number: u64,
    limit: usize,
    until_ms: u64,
}

impl Host<'_> {
    /// Who a request speaks for where it is about a subscriber without a connection, who is made
    /// when there is none of that name. Nothing where it is not.
    pub(super) fn speak_for(
        &mut self,
        id: ConnId,
        words: &OwnedWords,
        context: &mut HttpContext,
    ) -> Option<Result<u64, CommandError>> {
        let subscriber = context.subscriber.take()?;
        let shared = &self.outlet.shared;
        let now_ms = self.outlet.now.unix_ms;
        let place = (self.outlet.core, shared.shard_map.cores());
        let number = match subscriber {
            Subscriber::Begin(name) => {
                match shared.mailboxes.open(name.as_deref(), place, now_ms) {
                    Ok((name, number)) => {
                        context.subscriber_name = Some(name);
                        number
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            Subscriber::End(name) => match shared.mailboxes.find(&name, now_ms) {
                Some(number) => number,
                None => return Some(Err(CommandError::Invalid(NO_SUBSCRIBER))),
            },
        };
        if let Err(error) = self.admit_speaker(id, number) {
            return Some(Err(error));
        }
        let index = &self.outlet.pubsub.index;
        context.ended = match words.as_words().get(1..) {
            None | Some([]) => index.names_of(Kind::Topic, number).len(),
            Some(names) => {
                let held = |name: &&&[u8]| index.is_subscribed(Kind::Topic, name, number);
                names.iter().filter(held).count()
            }
        };
        Some(Ok(number))
    }

    /// `SYNAP.POLL`: answers what is there, or waits.
    pub(super) fn poll(&mut self, args: &Args<'_>) -> Flow {
        let current = self.outlet.current.as_ref().expect("a request is being handled");
        let (conn, ticket) = (current.conn, current.ticket);
        match self.poll_now(conn, ticket, args) {
            Ok(None) => Flow::Barrier,
            Ok(Some(reply)) => {
                self.outlet.reply(conn, ticket, reply);
                Flow::Continue
            }
            Err(error) => {
                self.outlet.reply(conn, ticket, Reply::Error(error));
                Flow::Continue
            }
        }
    }

    fn poll_now(
        &mut self,
        conn: ConnId,
        ticket: Ticket,
        args: &Args<'_>,
    ) -> Result<Option<Reply<'static>>, CommandError> {
        let now_ms = self.outlet.now.unix_ms;
        let wait_ms = match args.opt_integer(ARG_WAIT).map(u64::try_from) {
            None => 0,
            Some(Ok(wait_ms)) if wait_ms <= WAIT_MS_MAX => wait_ms,
            Some(_) => return Err(CommandError::Invalid("`wait_ms` is 0 to 30000")),
        };
        let limit = match args.opt_integer(ARG_LIMIT).map(usize::try_from) {
            None => LIMIT,
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
            Some(_) => return Err(CommandError::Invalid("`limit` is 1 to 1024")),
        };
        let mailboxes = &self.outlet.shared.mailboxes;
        let name = std::str::from_utf8(args.bytes(ARG_SUBSCRIBER)).ok();
        let number = name.and_then(|name| mailboxes.find(name, now_ms));
        let number = number.ok_or(CommandError::Invalid(NO_SUBSCRIBER))?;
        self.admit_poll(conn, number)?;
        let mailboxes = &self.outlet.shared.mailboxes;
        let waiter = Waiter { core: self.outlet.core, conn, ticket };
        // Nobody waits for a peer that sends no more and may be gone.
        let may_wait = |connection: &mut Connection| !connection.read_ended;
        if wait_ms > 0
            && self.outlet.connections.get_mut(conn).is_some_and(may_wait)
            && let Wait::Begun(before) = mailboxes.wait(number, waiter)
        {
            self.outlet.polls.woken.extend(before.map(|waiter| (waiter, None)));
            let until_ms = now_ms + wait_ms;
            self.outlet.polls.waiting.push(Poll { waiter, number, limit, until_ms });
            return Ok(None);
        }
        Ok(Some(messages(mailboxes.take(number, limit))))
    }
}

fn messages(taken: Vec<std::sync::Arc<[u8]>>) -> Reply<'static> {
    Reply::Array(taken.into_iter().map(|message| Reply::owned(message.to_vec())).collect())
}

impl Outlet {
    /// Tells requests that waited for messages that some have come, or that they wait no more.
    pub(super) fn wake_polls(&mut self, engine: &mut Engine) {
        for (waiter, number) in std::mem::take(&mut self.polls.woken) {
            let [conn, ticket] = [waiter.conn.0, waiter.ticket.0].map(u64::to_le_bytes);
            match number {
                _ if waiter.core == self.core => {
                    self.answer_poll(waiter.conn, waiter.ticket, number);
                }
                Some(number) => {
                    engine.tell(waiter.core, &[POLLED, &conn, &ticket, &number.to_le_bytes()]);
                }
                None => engine.tell(waiter.core, &[REPLACED, &conn, &ticket]),
            }
        }
    }

    /// Another core has seen messages come for somebody that a connection of this core asks for, or
    /// without a number, another request wait in its place.
    pub(super) fn polled(&mut self, conn: &[u8], ticket: &[u8], number: Option<&[u8]>) {
        let read =
            |word: &[u8]| u64::from_le_bytes(*word.first_chunk().expect("a number of eight bytes"));
        self.answer_poll(ConnId(read(conn)), Ticket(read(ticket)), number.map(read));
    }

    fn answer_poll(&mut self, conn: ConnId, ticket: Ticket, number: Option<u64>) {
        let asked = |poll: &Poll| poll.waiter.conn == conn && poll.waiter.ticket == ticket;
        let Some(at) = self.polls.waiting.iter().position(asked) else { return };
        let poll = self.polls.waiting.swap_remove(at);
        if self.connections.get_mut(conn).is_none() {
            // Nobody would get them; they wait for the next request.
            return;
        }
        let taken =
            number.map_or_else(Vec::new, |number| self.shared.mailboxes.take(number, poll.limit));
        self.reply(conn, ticket, messages(taken));
    }

    /// Answers the waiting requests of a connection with nothing: its peer may be gone, and a
    /// message that is taken for it would be lost.
    pub(super) fn give_up_polls(&mut self, conn: ConnId) {
        self.end_polls_where(|poll, _| poll.waiter.conn == conn);
    }

    fn end_polls_where(&mut self, mut ends: impl FnMut(&Poll, &mut Connections) -> bool) {
        let Self { connections, polls, .. } = &mut *self;
        let ended: Vec<Poll> =
            polls.waiting.extract_if(.., |poll| ends(poll, connections)).collect();
        for Poll { waiter, number, .. } in ended {
            self.shared.mailboxes.give_up(number, waiter, self.now.unix_ms);
            self.reply(waiter.conn, waiter.ticket, Reply::Array(Vec::new()));
        }
    }
}

impl Core {
    /// Answers requests that have waited long enough, and ends subscribers that have been silent
    /// for too long. One core does that for all of those.
    pub(super) fn end_polls(&mut self) {
        let now_ms = self.outlet.now.unix_ms;
        let stops = self.stopping_since_ns.is_some();
        self.outlet.end_polls_where(|poll, connections| {
            let is_gone = connections.get_mut(poll.waiter.conn).is_none();
            stops || poll.until_ms <= now_ms || is_gone
        });
        if self.id.index() == 0 {
            for number in self.outlet.shared.mailboxes.forget_idle(now_ms) {
                self.outlet.forget_everywhere(&mut self.engine, number);
            }
        }
    }
}
