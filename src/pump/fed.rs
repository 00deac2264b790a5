//! What a connection is fed with: messages of a queue that it consumes, or events of a room or a
//! partition that it reads. This file keeps the books of one; `feeding.rs` moves what it asks for.
//!
//! A fed connection asks for more while there is room for it: one request at a time, of a bounded
//! size. Nothing waits for it in memory but that: what it is not ready to take stays in the queue
//! or the stream, whatever its peer does.

use std::collections::{BTreeMap, VecDeque};

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::id::Ticket;

use crate::protocol::http::feed::{self, QueueWanted, Start, StreamWanted};
use crate::protocol::push::Form;

/// Messages or events that are asked for at a time, at most and at first.
const BATCH_MAX: usize = 64;
const BATCH_FIRST: usize = 8;
/// Bytes that the answer to one request should become: where it is more, fewer are asked for.
const TOLD_BYTES: usize = 128 * 1024;
/// Milliseconds that a request may wait for something to come.
const WAIT_MS: &[u8] = b"30000";
/// Milliseconds until what could not be done for now is tried again.
pub(super) const RETRY_MS: u64 = 100;
/// Milliseconds between looks whether a consumer that has all it may have still has it: its time
/// for it may be over.
const PROBE_MS: u64 = 1_000;
/// The offset that no event ever has.
const NEVER: &[u8] = b"9223372036854775807";

/// Words of a request.
pub(super) type Asked = Vec<Box<[u8]>>;

/// The books of one fed connection.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: Source,
    /// It was told that it is connected.
    is_open: bool,
    /// A request is on its way.
    pub(super) is_asked: bool,
    /// It stands in line to ask.
    pub(super) is_hungry: bool,
    /// Unix milliseconds before which it does not ask.
    pub(super) not_before_ms: u64,
    /// Messages or events that it asks for at a time.
    batch: usize,
}

/// Where it is fed from.
#[derive(Debug)]
pub(super) enum Source {
    Queue(Consumer),
    Stream(Reader),
}

/// A consumer of a queue.
#[derive(Debug)]
pub(super) struct Consumer {
    wanted: QueueWanted,
    /// The name under which this connection holds messages, and no other.
    pub(super) session: Box<[u8]>,
    /// Messages that it may have at a time.
    prefetch: usize,
    /// Messages that it was given and has not settled. Those whose time was over may still be here.
    held: VecDeque<Box<[u8]>>,
    /// Which message a request of the peer settles.
    pub(super) settling: BTreeMap<Ticket, Box<[u8]>>,
}

/// A reader of a room or a partition.
#[derive(Debug)]
pub(super) struct Reader {
    wanted: StreamWanted,
    next: u64,
    /// Where its peer wants it to go on, while a request is on its way.
    seek: Option<u64>,
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    GoesOn,
    Ends,
}

/// Whether something may be done later that is refused now.
pub(super) fn may_pass(error: &CommandError) -> bool {
    matches!(error.code(), "BUSY" | "MISCONF" | "OOM")
}

fn words(words: &[&[u8]]) -> Asked {
    words.iter().map(|word| Box::from(*word)).collect()
}

fn digits(number: usize) -> Box<[u8]> {
    number.to_string().into_bytes().into()
}

/// The names of messages in the answer to one who consumes.
pub(super) fn names_in<'r>(reply: &'r Reply<'_>) -> impl Iterator<Item = &'r [u8]> {
    let messages = if let Reply::Array(messages) = reply { &messages[..] } else { &[] };
    messages.iter().filter_map(|message| match value_of(message, b"message_id")? {
        Reply::Bytes(name) => Some(&**name),
        _ => None,
    })
}

fn value_of<'r, 'a>(map: &'r Reply<'a>, name: &[u8]) -> Option<&'r Reply<'a>> {
    let Reply::Map(pairs) = map else { return None };
    let is_it = |key: &Reply<'_>| matches!(key, Reply::Bytes(key) if **key == *name);
    pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
}

impl Feed {
    /// Of a consumer whose connection has this number in the process.
    pub(super) fn of_queue(wanted: QueueWanted, client: u64) -> Self {
        let session = [wanted.consumer.as_bytes(), b"\0", client.to_string().as_bytes()].concat();
        Self::of(Source::Queue(Consumer {
            wanted,
            session: session.into(),
            prefetch: 1,
            held: VecDeque::new(),
            settling: BTreeMap::new(),
        }))
    }

    /// Of a reader.
    pub(super) fn of_stream(wanted: StreamWanted) -> Self {
        let next = match wanted.from {
            Start::Offset(offset) => offset,
            Start::Behind(offset) => offset + 1,
            Start::Latest => 0,
        };
        Self::of(Source::Stream(Reader { wanted, next, seek: None }))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            is_open: false,
            is_asked: false,
            is_hungry: false,
            not_before_ms: 0,
            batch: BATCH_FIRST,
        }
    }

    /// What to ask for next; nothing before its time.
    pub(super) fn ask(&mut self, now_ms: u64) -> Option<Asked> {
        if self.is_asked || now_ms < self.not_before_ms {
            return None;
        }
        self.is_asked = true;
        Some(match &mut self.source {
            Source::Queue(consumer) if self.is_open => {
                if consumer.is_full() {
                    self.not_before_ms = now_ms + PROBE_MS;
                }
                consumer.ask(self.batch)
            }
            Source::Queue(consumer) => words(&[b"QSTATS", consumer.wanted.queue.as_bytes()]),
            Source::Stream(reader) => reader.ask(self.is_open, self.batch),
        })
    }

    /// Takes an answer, and appends what is to be told of it.
    pub(super) fn take(&mut self, reply: &Reply<'_>, now_ms: u64, out: &mut Vec<u8>) -> Then {
        self.is_asked = false;
        if let Reply::Error(error) = reply
            && may_pass(error)
        {
            self.not_before_ms = now_ms + RETRY_MS;
            return Then::GoesOn;
        }
        let then = match &mut self.source {
            Source::Queue(consumer) => {
                let then = consumer.take(reply, self.is_open, out);
                if consumer.is_full() {
                    self.not_before_ms = now_ms + PROBE_MS;
                }
                then
            }
            Source::Stream(reader) => reader.take(reply, self.is_open, out),
        };
        if out.len() > TOLD_BYTES {
            self.batch = (self.batch / 2).max(1);
        } else if out.len() < TOLD_BYTES / 4 {
            self.batch = (self.batch * 2).min(BATCH_MAX);
        }
        // A request that was given up before it was tried is answered with no list at all.
        self.is_open |= *reply != Reply::NilArray;
        then
    }

    /// What it leaves behind where it has messages, or may be given some by the request that is on
    /// its way.
    pub(super) fn leave(self) -> Option<Leaving> {
        let Source::Queue(consumer) = self.source else { return None };
        let Consumer { wanted, session, held, .. } = consumer;
        let is_asked = self.is_asked;
        (is_asked || !held.is_empty()).then_some(Leaving {
            queue: wanted.queue,
            session,
            names: held,
            is_asked,
            released: 0,
            not_before_ms: 0,
        })
    }

    /// The consumer that it is, if it is one.
    pub(super) fn consumer(&mut self) -> Option<&mut Consumer> {
        match &mut self.source {
            Source::Queue(consumer) => Some(consumer),
            Source::Stream(_) => None,
        }
    }

    /// A request of the peer about a message was answered.
    pub(super) fn settled(&mut self, ticket: Ticket, reply: &Reply<'_>) -> Then {
        let Source::Queue(consumer) = &mut self.source else { return Then::GoesOn };
        let Some(name) = consumer.settling.remove(&ticket) else { return Then::GoesOn };
        match reply {
            Reply::Error(error) if error.code() == "NOQUEUE" => return Then::Ends,
            // It still has the message.
            Reply::Error(error) if error.code() != "NOMESSAGE" => return Then::GoesOn,
            _ => {}
        }
        if let Some(at) = consumer.held.iter().position(|held| held.eq_ignore_ascii_case(&name)) {
            consumer.held.remove(at);
            self.not_before_ms = 0;
        }
        Then::GoesOn
    }

    /// Has a reader go on at an offset: at once (then true), or when the request that is on its way
    /// is answered.
    pub(super) fn seek(&mut self, offset: u64, out: &mut Vec<u8>) -> bool {
        let Source::Stream(reader) = &mut self.source else { return true };
        if self.is_asked {
            reader.seek = Some(offset);
            return false;
        }
        reader.next = offset;
        reader.wanted.sought(offset, out);
        true
    }
}

impl Consumer {
    fn is_full(&self) -> bool {
        self.held.len() >= self.prefetch
    }

    fn ask(&self, batch: usize) -> Asked {
        let prefetch = digits(self.prefetch);
        let room = self.prefetch.saturating_sub(self.held.len());
        let wanted = if room == 0 { self.prefetch } else { room };
        let count = digits(wanted.min(batch));
        let mut asked = words(&[
            b"QCONSUME",
            self.wanted.queue.as_bytes(),
            b"CONSUMER",
            &self.session,
            b"COUNT",
            &count,
            b"PREFETCH",
            &prefetch,
        ]);
        if room > 0 {
            asked.extend(words(&[b"WAIT", WAIT_MS]));
        }
        asked
    }

    fn take(&mut self, reply: &Reply<'_>, is_open: bool, out: &mut Vec<u8>) -> Then {
        if let Reply::Error(error) = reply {
            feed::refuse(error, Form::Frame, out);
            return Then::Ends;
        }
        if !is_open {
            let limit = match value_of(reply, b"prefetch_limit") {
                Some(Reply::Integer(limit)) if *limit > 0 => limit.unsigned_abs(),
                _ => 0,
            };
            let prefetch = match (self.wanted.prefetch, limit) {
                (None, 0) => 1,
                (None, limit) => limit.min(feed::PREFETCH_MAX),
                (Some(own), 0) => own,
                (Some(own), limit) => own.min(limit),
            };
            self.prefetch = usize::try_from(prefetch).expect("it is a thousand at most");
            self.wanted.connected(out);
            return Then::GoesOn;
        }
        if let Reply::Array(messages) = reply {
            messages.iter().for_each(|message| self.wanted.message(message, out));
        }
        self.held.extend(names_in(reply).map(Box::from));
        // Whoever is given more than it may have does not have all of what it was given before;
        // of that, what came first ends first.
        let over = self.held.len().saturating_sub(self.prefetch);
        self.held.drain(..over);
        Then::GoesOn
    }

    /// The words that settle one of its messages.
    pub(super) fn settle(&self, verb: &[u8], requeue: Option<bool>, name: &[u8]) -> Asked {
        let queue = self.wanted.queue.as_bytes();
        let mut asked = words(&[verb, queue, b"CONSUMER", &self.session]);
        if let Some(requeue) = requeue {
            asked.extend(words(&[b"REQUEUE", if requeue { b"true" } else { b"false" }]));
        }
        asked.push(name.into());
        asked
    }
}

impl Reader {
    fn ask(&self, is_open: bool, batch: usize) -> Asked {
        let StreamWanted { name, partition, reader, from, .. } = &self.wanted;
        let number = partition.unwrap_or(0).to_string();
        let name = name.as_bytes();
        if !is_open && !matches!(from, Start::Offset(_)) {
            return words(&[b"TOFFSET", name, number.as_bytes(), NEVER]);
        }
        let next = self.next.to_string();
        let mut asked = match partition {
            None => words(&[b"SREAD", name, next.as_bytes()]),
            Some(_) => words(&[b"TREAD", name, number.as_bytes(), next.as_bytes()]),
        };
        asked.extend([Box::from(&b"COUNT"[..]), digits(batch)]);
        if is_open {
            asked.extend(words(&[b"BLOCK", WAIT_MS]));
        }
        if let (None, Some(reader)) = (partition, reader) {
            asked.extend(words(&[b"READER", reader.as_bytes()]));
        }
        asked
    }

    fn take(&mut self, reply: &Reply<'_>, is_open: bool, out: &mut Vec<u8>) -> Then {
        match reply {
            Reply::Error(CommandError::OffsetGone { earliest, .. }) if is_open => {
                if self.seek.is_none() {
                    self.wanted.gap(self.next, *earliest, out);
                }
                self.next = *earliest;
            }
            Reply::Error(error) => {
                feed::refuse(error, self.wanted.form, out);
                return Then::Ends;
            }
            Reply::Integer(end) => self.begin(end.unsigned_abs(), out),
            Reply::Array(parts) => {
                if !is_open {
                    self.wanted.connected(self.next, out);
                }
                if self.seek.is_none() {
                    self.events(parts, out);
                }
            }
            _ => {}
        }
        if let Some(offset) = self.seek.take() {
            self.next = offset;
            self.wanted.sought(offset, out);
        }
        Then::GoesOn
    }

    /// Begins where its peer wants, now that the end of what is there is known.
    fn begin(&mut self, end: u64, out: &mut Vec<u8>) {
        if self.wanted.from == Start::Latest {
            self.next = end;
        }
        self.wanted.connected(self.next, out);
        if self.next > end {
            // Its peer has read more than there ever was: what it read has been deleted, and this
            // was made since.
            self.wanted.gap(self.next, 0, out);
            self.next = 0;
        }
    }

    /// `[next offset, first offset there is, events]`.
    fn events(&mut self, parts: &[Reply<'_>], out: &mut Vec<u8>) {
        let [Reply::Integer(next), Reply::Integer(start), Reply::Array(events)] = parts else {
            return;
        };
        let start = start.unsigned_abs();
        if self.next > 0 && start > self.next {
            self.wanted.gap(self.next, start, out);
        }
        events.iter().for_each(|event| self.wanted.event(event, out));
        self.next = next.unsigned_abs();
    }
}

/// What a consumer that is gone has left: messages that are to be given back.
#[derive(Debug)]
pub(super) struct Leaving {
    queue: Box<str>,
    session: Box<[u8]>,
    names: VecDeque<Box<[u8]>>,
    /// A request is on its way: its last for messages, or one that gives some back.
    pub(super) is_asked: bool,
    /// How many the request on its way gives back.
    released: usize,
    /// Unix milliseconds before which nothing is tried.
    pub(super) not_before_ms: u64,
}

impl Leaving {
    /// Messages that one request gives back at most.
    const RELEASE_MAX: usize = 1_000;

    /// Whether all is done.
    pub(super) fn is_over(&self) -> bool {
        !self.is_asked && self.names.is_empty()
    }

    /// The words that give messages back.
    pub(super) fn ask(&mut self) -> Asked {
        self.is_asked = true;
        self.released = self.names.len().min(Self::RELEASE_MAX);
        let mut asked =
            words(&[b"QRELEASE", self.queue.as_bytes(), b"CONSUMER", &self.session[..]]);
        asked.extend(self.names.iter().take(self.released).cloned());
        asked
    }

    /// Takes the answer to what was on its way. What cannot be given back now is tried again,
    /// unless the server `stops`: its next start gives back what is left.
    pub(super) fn take(&mut self, reply: &Reply<'_>, now_ms: u64, stops: bool) {
        self.is_asked = false;
        let released = std::mem::take(&mut self.released);
        match reply {
            Reply::Error(error) if released > 0 && may_pass(error) && !stops => {
                self.not_before_ms = now_ms + RETRY_MS;
            }
            _ if released > 0 => {
                self.names.drain(..released);
            }
            _ => self.names.extend(names_in(reply).map(Box::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str]) -> Reply<'static> {
        let message =
            |name: &&str| Reply::Map(vec![(Reply::string("message_id"), Reply::string(*name))]);
        Reply::Array(names.iter().map(message).collect())
    }

    fn leaving(names: usize) -> Leaving {
        Leaving {
            queue: "q".into(),
            session: b"c\x001"[..].into(),
            names: (0..names).map(digits).collect(),
            is_asked: false,
            released: 0,
            not_before_ms: 0,
        }
    }

    #[test]
    fn what_a_consumer_had_is_given_back_until_nothing_is_left() {
        let mut left = leaving(Leaving::RELEASE_MAX);
        left.is_asked = true;
        left.take(&given(&["last"]), 5, false);
        assert_eq!(left.ask().len(), 4 + Leaving::RELEASE_MAX);
        left.take(&Reply::Error(CommandError::Busy), 5, false);
        assert_eq!((left.not_before_ms, left.is_over()), (5 + RETRY_MS, false));
        left.ask();
        left.take(&Reply::Integer(3), 200, false);
        assert_eq!(left.ask().last().map(|name| &**name), Some(&b"last"[..]));
        assert!(!left.is_over(), "the last one is on its way");
        left.take(&Reply::Error(CommandError::Busy), 300, true);
        assert!(left.is_over());
    }
}
