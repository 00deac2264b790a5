//! Ending the waiting of a command before it got anything: its time is over, its client is gone,
//! another client or the end of the server wants it.
//!
//! Whoever is being tried at that moment is told when the try begins, and takes nothing then.

use super::event::Outbound;
use super::parcel::Envelope;
use super::run::Job;
use super::waiters::{Client, Place, State, Waiter, Why};
use super::{Engine, ReplyTo, Waiting};
use crate::command::args::Args;
use crate::command::connection::{UNBLOCK_ARGS, UNBLOCK_ERROR};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::Flags;
use crate::id::{ConnId, CoreId};
use crate::shard::plan::Now;

const UNBLOCKED: CommandError =
    CommandError::Coded { code: "UNBLOCKED", message: "client unblocked via CLIENT UNBLOCK" };

impl Waiter {
    /// What it is answered with.
    pub(super) fn answer_for(&self, why: Why) -> Reply<'static> {
        match why {
            Why::Time => self.nothing.clone().unwrap_or(Reply::NilArray),
            Why::Error => Reply::Error(UNBLOCKED),
        }
    }
}

impl Engine {
    /// Ends a waiter, now or, while it is tried, as soon as that is over.
    pub(super) fn end(&mut self, number: u64, why: Why, out: &mut dyn Outbound) {
        if let Some(waiter) = self.forget(number) {
            let reply = waiter.answer_for(why);
            self.answer(waiter.reply_to, reply, out);
        }
    }

    pub(super) fn give_up(&mut self, number: u64, why: Why, out: &mut dyn Outbound) {
        let Some(waiter) = self.waiters.here.get_mut(&number) else { return };
        match waiter.state {
            State::Idle => self.end(number, why, out),
            State::Trying => waiter.state = State::GivenUp(why),
            State::GivenUp(_) => {}
        }
    }

    fn give_up_client(&mut self, client: Client, why: Why, out: &mut dyn Outbound) {
        match client.place {
            Place::Here(number) => self.give_up(number, why, out),
            Place::There { core, gather, .. } => {
                let requests = &mut self.peers[core.index()].requests;
                requests.envelopes.push(Envelope::GiveUp { gather, why });
            }
        }
    }

    /// A core that has sent a command wants it back.
    pub(super) fn given_up(&mut self, from: CoreId, gather: u32, why: Why, out: &mut dyn Outbound) {
        match self.waiters.sent_by(from, gather) {
            Some(number) => self.give_up(number, why, out),
            None => self.give_up_queued(ReplyTo::Core { core: from, gather }, why, out),
        }
    }

    /// Drops a blocking command that waits for its shards.
    fn give_up_queued(&mut self, who: ReplyTo, why: Why, out: &mut dyn Outbound) {
        let is_it = |waiting: &Waiting| match &waiting.job {
            Job::Run { reply_to, command, .. } => {
                *reply_to == who && command.spec().flags.has(Flags::BLOCKING)
            }
            _ => false,
        };
        if let Some(at) = self.waiting.iter().position(is_it) {
            self.waiting.remove(at);
            let reply = match why {
                Why::Time => Reply::NilArray,
                Why::Error => Reply::Error(UNBLOCKED),
            };
            self.answer(who, reply, out);
        }
    }

    /// A connection of this core is gone, and with it whatever it waits for.
    pub(super) fn gone(&mut self, now: Now, conn: ConnId, out: &mut dyn Outbound) {
        if let Some(client) = self.waiters.clients.get(&conn).copied() {
            self.give_up_client(client, Why::Time, out);
        } else {
            let of_conn = self.waiting.iter().find_map(|waiting| match waiting.job {
                Job::Run { reply_to: ReplyTo::Client { conn: other, ticket }, .. }
                    if other == conn =>
                {
                    Some(ReplyTo::Client { conn, ticket })
                }
                _ => None,
            });
            if let Some(who) = of_conn {
                self.give_up_queued(who, Why::Time, out);
            }
        }
        self.serve(now, out);
    }

    /// `CLIENT UNBLOCK`, on every core: 1 where the client is blocked.
    pub(super) fn unblock(&mut self, args: &Args<'_>, out: &mut dyn Outbound) -> Reply<'static> {
        let (id, manner) = UNBLOCK_ARGS;
        let why = match args.choice(manner) {
            Some((UNBLOCK_ERROR, _)) => Why::Error,
            Some(_) | None => Why::Time,
        };
        let caller = args.integer(id).cast_unsigned();
        let found = self.waiters.clients.values().find(|client| client.caller == caller).copied();
        if let Some(client) = found {
            self.give_up_client(client, why, out);
        }
        Reply::Integer(i64::from(found.is_some()))
    }

    /// The server stops: every client of this core that waits is answered, and none begins to.
    pub(super) fn stop_waiting(&mut self, now: Now, out: &mut dyn Outbound) {
        self.waiters.closed = true;
        let clients: Vec<Client> = self.waiters.clients.values().copied().collect();
        for client in clients {
            self.give_up_client(client, Why::Time, out);
        }
        self.serve(now, out);
    }

    /// Answers those whose time is over.
    pub(super) fn alarm(&mut self, now: Now, out: &mut dyn Outbound) {
        while let Some(number) = self.waiters.take_overdue(now.monotonic_ns) {
            self.give_up(number, Why::Time, out);
        }
        self.serve(now, out);
    }
}
