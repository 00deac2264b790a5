//! One simulated core: an engine, its clients, and the turn in which everything happens.

use std::collections::{BTreeSet, VecDeque};

use synap_shards::command::args::Args;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{Family, Fold, Run};
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Event, Flow, Outbound, Reads};
use synap_shards::engine::tx::{Queued, Transaction, shards_of_keys};
use synap_shards::id::{ConnId, Ticket};
use synap_shards::shard::plan::Now;

use crate::disk::log::LogWriter;
use crate::workload::Wish;

/// A request that a client has made, and when.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) wish: Wish,
    /// The family of its command.
    pub(crate) family: Family,
    /// Number of the request for the model of states.
    pub(crate) id: u64,
    pub(crate) at: u64,
    pub(crate) at_ms: u64,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    next_ticket: u64,
    /// Made, and not yet handed to the engine.
    pub(crate) queue: VecDeque<Asked>,
    /// Requests handed in that have no reply.
    unanswered: BTreeSet<u64>,
    /// Nothing may be handed in before the reply to this one.
    barrier: Option<u64>,
    /// Shards of keys that it watches.
    watched: u64,
    /// It is in the middle of something that takes several requests, and makes no others.
    pub(crate) is_talking: bool,
}

impl Connection {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            next_ticket: 0,
            queue: VecDeque::new(),
            unanswered: BTreeSet::new(),
            barrier: None,
            watched: 0,
            is_talking: false,
        }
    }

    /// Requests that wait for the engine or for a reply.
    pub(crate) fn open(&self) -> usize {
        self.queue.len() + self.unanswered.len()
    }

    fn answered(&mut self, ticket: u64) {
        self.unanswered.remove(&ticket);
        if self.barrier == Some(ticket) {
            self.barrier = None;
        }
    }
}

/// A reply on its way to a client.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) connection: u64,
    pub(crate) ticket: u64,
    pub(crate) reply: Reply<'static>,
}

/// Collects what an engine asks for during a turn.
#[derive(Debug, Default)]
struct Collector {
    answers: Vec<Answer>,
}

impl Outbound for Collector {
    fn reply(&mut self, conn: ConnId, ticket: Ticket, reply: Reply<'_>) {
        let reply = reply.into_owned();
        self.answers.push(Answer { connection: conn.0, ticket: ticket.0, reply });
    }

    fn run_on_core(&mut self, command: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        match command.spec().run {
            Run::EveryCore(Fold::Sum) => Reply::Integer(1),
            Run::EveryCore(Fold::Concat) => Reply::Array(vec![Reply::Integer(1)]),
            Run::EveryCore(Fold::Text) => Reply::Text(String::new()),
            Run::EveryCore(Fold::First | Fold::AnyNonNil)
            | Run::Read(_)
            | Run::Write(_)
            | Run::Block(_)
            | Run::Transaction
            | Run::Unblock
            | Run::Script(_)
            | Run::Session => Reply::Ok,
        }
    }

    fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
        Reply::Ok
    }

    fn hear(&mut self, _: &[&[u8]]) {}
}

/// A core.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) connections: Vec<Connection>,
    pub(crate) writer: LogWriter,
    /// Shards that it owns, a bit each.
    pub(crate) owned: u64,
    /// While a snapshot is made: everything appended since its beginning.
    pub(crate) tail: Option<Vec<u8>>,
    /// The tail after its end, until it is written.
    pub(crate) closed: Option<Vec<u8>>,
    /// The segment that its log was in when the copying began.
    pub(crate) began: u64,
    collector: Collector,
}

impl Core {
    pub(crate) fn new(
        engine: Engine,
        connections: Vec<Connection>,
        writer: LogWriter,
        owned: u64,
    ) -> Self {
        let collector = Collector::default();
        let began = writer.segment();
        Self { engine, connections, writer, owned, tail: None, closed: None, began, collector }
    }

    /// Whether a shard of its own is away.
    pub(crate) fn has_lent(&self) -> bool {
        self.engine.shards().count() < self.owned.count_ones() as usize
    }

    /// Gives a run of batches to the log, and to the tail if there is one.
    pub(crate) fn append(&mut self, run: &[u8], copies: bool) {
        self.writer.append(run);
        if let Some(tail) = &mut self.tail
            && copies
        {
            tail.extend_from_slice(run);
        }
    }

    /// Whether a connection has a request that may be handed in now.
    pub(crate) fn is_ready(&self, at: usize) -> bool {
        let connection = &self.connections[at];
        !connection.queue.is_empty() && connection.barrier.is_none() && !self.engine.is_congested()
    }

    /// Hands in the next request of a connection. Its ticket, and the request.
    pub(crate) fn hand_in(&mut self, now: Now, at: usize) -> Option<(u64, Asked)> {
        let connection = &mut self.connections[at];
        let asked = connection.queue.pop_front()?;
        let ticket = connection.next_ticket;
        connection.next_ticket += 1;
        connection.unanswered.insert(ticket);
        let sent = asked.wish.words.clone();
        let words: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let (conn, number) = (ConnId(connection.number), connection.number);
        if words[0] == b"WATCH" || words[0] == b"EXEC" {
            let flow = self.hand_in_transaction(now, at, ticket, &words);
            self.hold_back(at, ticket, flow);
            return Some((ticket, asked));
        }
        let command = match table::lookup(&words) {
            Ok(command) => command,
            Err(error) => {
                self.collector.reply(conn, Ticket(ticket), Reply::Error(error));
                return Some((ticket, asked));
            }
        };
        let names = match names::qualify(command.spec(), &words) {
            Ok(names) => names,
            Err(error) => {
                self.collector.reply(conn, Ticket(ticket), Reply::Error(error));
                return Some((ticket, asked));
            }
        };
        let over = names.as_ref().map(|names| names.over(&words));
        let words = over.as_deref().unwrap_or(&words);
        let args = match Args::parse(command.spec(), words) {
            Ok(args) => args,
            Err(error) => {
                self.collector.reply(conn, Ticket(ticket), Reply::Error(error));
                return Some((ticket, asked));
            }
        };
        // Every other request comes as out of a pipeline, its key looked up ahead.
        let ahead = words.get(1).copied().filter(|_| ticket.is_multiple_of(2));
        let [place, ..] = self.engine.prefetch(std::iter::once(ahead));
        let event = Event::Request {
            conn,
            ticket: Ticket(ticket),
            caller: number,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place,
        };
        let flow = self.engine.step(now, event, &mut self.collector);
        self.hold_back(at, ticket, flow);
        Some((ticket, asked))
    }

    /// `WATCH`, or the commands of a transaction, each with a `;` behind it.
    fn hand_in_transaction(&mut self, now: Now, at: usize, ticket: u64, words: &[&[u8]]) -> Flow {
        let connection = &mut self.connections[at];
        let (watcher, conn) = (connection.number, ConnId(connection.number));
        let ticket = Ticket(ticket);
        if words[0] == b"WATCH" {
            connection.watched |= shards_of_keys(words[1..].iter().copied());
            let event = Event::Watch { conn, ticket, watcher, keys: &words[1..] };
            return self.engine.step(now, event, &mut self.collector);
        }
        let lines = words[1..].split(|word| *word == b";").filter(|line| !line.is_empty());
        let queued = |line: &[&[u8]]| {
            let command = table::lookup(line).ok()?;
            let names = names::qualify(command.spec(), line).ok()?;
            let over = names.as_ref().map(|names| names.over(line));
            let line = over.as_deref().unwrap_or(line);
            Args::parse(command.spec(), line).ok()?;
            Some(Queued::new(command, line))
        };
        let commands = lines.filter_map(queued).collect();
        let watched = std::mem::take(&mut connection.watched);
        let transaction = Transaction { commands, watcher, watched };
        let event = Event::Exec { conn, ticket, reads: Reads::default(), here: false, transaction };
        self.engine.step(now, event, &mut self.collector)
    }

    /// Where the engine says so, the connection waits for the reply before it goes on.
    fn hold_back(&mut self, at: usize, ticket: u64, flow: Flow) {
        let number = self.connections[at].number;
        let is_reply = |a: &Answer| a.connection == number && a.ticket == ticket;
        if flow == Flow::Barrier && !self.collector.answers.iter().any(is_reply) {
            self.connections[at].barrier = Some(ticket);
        }
    }

    /// Clients that wait for a reply leave.
    pub(crate) fn hang_up(&mut self, now: Now) {
        let waits = self.connections.iter().filter(|connection| connection.barrier.is_some());
        let waits: Vec<u64> = waits.map(|connection| connection.number).collect();
        for number in waits {
            self.step(now, Event::Gone { conn: ConnId(number) });
        }
    }

    /// Tells the engine when the time of somebody who waits is over; whether it was.
    pub(crate) fn ring(&mut self, now: Now) -> bool {
        let rings = self.engine.next_deadline().is_some_and(|due| due <= now.monotonic_ns);
        if rings {
            self.step(now, Event::Alarm);
        }
        rings
    }

    /// Hands in any other event.
    pub(crate) fn step(&mut self, now: Now, event: Event<'_>) {
        self.engine.step(now, event, &mut self.collector);
    }

    /// Nothing more happens in this turn.
    pub(crate) fn end_turn(&mut self, now: Now) {
        self.engine.end_turn(now, &mut self.collector);
    }

    /// The replies of this turn.
    pub(crate) fn take_answers(&mut self) -> Vec<Answer> {
        let answers = std::mem::take(&mut self.collector.answers);
        for answer in &answers {
            if let Some(connection) =
                self.connections.iter_mut().find(|c| c.number == answer.connection)
            {
                connection.answered(answer.ticket);
            }
        }
        answers
    }
}
