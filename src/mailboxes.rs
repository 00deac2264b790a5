//! Subscribers without a connection: those who subscribed over HTTP and fetch what came. They may
//! ask over any connection on any core, so their messages are kept here for all cores, behind a
//! lock that only they make anyone take.
//!
//! Bounded: so many of them, so many messages and bytes each, and none longer than a minute after
//! its last request. Beyond the bounds of one the oldest messages go, which is counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synap_shards::command::error::CommandError;
use synap_shards::id::{ConnId, CoreId, Ticket};

use crate::transactions;

/// Subscribers at one time.
const MAILBOXES_MAX: usize = 10_000;
/// Bytes that wait for one of them.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Milliseconds after its last request at which one is forgotten.
pub const LEASE_MS: u64 = 60_000;
/// Bytes of the name that a client gives one.
const ID_BYTES_MAX: usize = 256;
/// Numbers of clients are below this many times the number of cores; those of mailboxes are not.
const FIRST: u64 = 1 << 48;

const TOO_MANY: CommandError =
    CommandError::Coded { code: "BUSY", message: "too many subscribers without a connection" };

/// Who waits for a message to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// The core of its connection.
    pub core: CoreId,
    /// Its connection.
    pub conn: ConnId,
    /// Its request.
    pub ticket: Ticket,
}

/// Whether the number is that of a mailbox, not of a connection.
pub fn is_mailbox(number: u64, cores: usize) -> bool {
    number / cores as u64 >= FIRST
}

/// All subscribers without a connection.
#[derive(Debug, Default)]
pub struct Mailboxes {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    numbers: BTreeMap<Box<str>, u64>,
    boxes: BTreeMap<u64, Mailbox>,
    made: u64,
}

#[derive(Debug)]
struct Mailbox {
    id: Box<str>,
    seen_ms: u64,
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    waiter: Option<Waiter>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Put {
    /// Messages that had to give way.
    pub dropped: u64,
    /// Who is to be told that one has come.
    pub wake: Option<Waiter>,
}

/// Whether a wait has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// It has; who waited before does not any more.
    Begun(Option<Waiter>),
    /// A message is there, or the subscriber is not.
    Needless,
}

impl Mailboxes {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The subscriber of this name, made when there is none: its name and its number. A number is
    /// never used again; its remainder by the number of cores names a core, like a client's.
    ///
    /// # Errors
    /// There are too many, or the name is too long.
    pub fn open(
        &self,
        id: Option<&str>,
        (core, cores): (CoreId, usize),
        now_ms: u64,
    ) -> Result<(Box<str>, u64), CommandError> {
        if id.is_some_and(|id| id.is_empty() || id.len() > ID_BYTES_MAX) {
            return Err(CommandError::Invalid("`subscriber_id` has 1 to 256 bytes"));
        }
        let mut table = self.lock();
        if let Some(number) = id.and_then(|id| table.numbers.get(id).copied()) {
            let mailbox = table.boxes.get_mut(&number).expect("both maps hold the same");
            mailbox.seen_ms = now_ms;
            return Ok((mailbox.id.clone(), number));
        }
        if table.boxes.len() >= MAILBOXES_MAX {
            return Err(TOO_MANY);
        }
        let id: Box<str> = id.map_or_else(transactions::new_client_id, Into::into);
        let number = (FIRST + table.made) * cores as u64 + core.index() as u64;
        table.made += 1;
        table.numbers.insert(id.clone(), number);
        let (messages, waiter) = (VecDeque::new(), None);
        let mailbox = Mailbox { id: id.clone(), seen_ms: now_ms, messages, bytes: 0, waiter };
        table.boxes.insert(number, mailbox);
        Ok((id, number))
    }

    /// The number of the subscriber of this name, who has given a sign of life.
    pub fn find(&self, id: &str, now_ms: u64) -> Option<u64> {
        let mut table = self.lock();
        let number = *table.numbers.get(id)?;
        table.boxes.get_mut(&number).expect("both maps hold the same").seen_ms = now_ms;
        Some(number)
    }

    /// Ends a subscriber; who waited for its messages.
    pub fn remove(&self, number: u64) -> Option<Waiter> {
        let mut table = self.lock();
        let mailbox = table.boxes.remove(&number)?;
        table.numbers.remove(&mailbox.id);
        mailbox.waiter
    }

    /// Leaves a message for a subscriber; `messages_max` may wait.
    pub fn put(&self, number: u64, message: Arc<[u8]>, messages_max: usize) -> Put {
        let mut table = self.lock();
        let Some(mailbox) = table.boxes.get_mut(&number) else { return Put::default() };
        mailbox.bytes += message.len();
        mailbox.messages.push_back(message);
        let mut dropped = 0;
        while mailbox.messages.len() > messages_max
            || (mailbox.bytes > BYTES_MAX && mailbox.messages.len() > 1)
        {
            let oldest = mailbox.messages.pop_front().expect("there is more than one");
            mailbox.bytes -= oldest.len();
            dropped += 1;
        }
        Put { dropped, wake: mailbox.waiter.take() }
    }

    /// Takes messages, oldest first.
    pub fn take(&self, number: u64, limit: usize) -> Vec<Arc<[u8]>> {
        let mut table = self.lock();
        let Some(mailbox) = table.boxes.get_mut(&number) else { return Vec::new() };
        let count = limit.min(mailbox.messages.len());
        let taken: Vec<_> = mailbox.messages.drain(..count).collect();
        mailbox.bytes -= taken.iter().map(|message| message.len()).sum::<usize>();
        taken
    }

    /// Waits for a message, if none is there. One waits at a time.
    pub fn wait(&self, number: u64, waiter: Waiter) -> Wait {
        let mut table = self.lock();
        match table.boxes.get_mut(&number) {
            Some(mailbox) if mailbox.messages.is_empty() => {
                Wait::Begun(mailbox.waiter.replace(waiter))
            }
            Some(_) | None => Wait::Needless,
        }
    }

    /// Ends a wait, if it is still this one; also a sign of life.
    pub fn give_up(&self, number: u64, waiter: Waiter, now_ms: u64) {
        if let Some(mailbox) = self.lock().boxes.get_mut(&number)
            && mailbox.waiter == Some(waiter)
        {
            mailbox.waiter = None;
            mailbox.seen_ms = now_ms;
        }
    }

    /// Forgets those that have been silent for too long: their numbers, whose subscriptions the
    /// caller ends.
    pub fn forget_idle(&self, now_ms: u64) -> Vec<u64> {
        let mut table = self.lock();
        let Table { numbers, boxes, .. } = &mut *table;
        let is_idle = |mailbox: &mut Mailbox| {
            mailbox.waiter.is_none() && now_ms.saturating_sub(mailbox.seen_ms) > LEASE_MS
        };
        let idle: Vec<(u64, Mailbox)> =
            boxes.extract_if(.., |_, mailbox| is_idle(mailbox)).collect();
        for (_, mailbox) in &idle {
            numbers.remove(&mailbox.id);
        }
        idle.into_iter().map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(ticket: u64) -> Waiter {
        Waiter { core: CoreId::new(1), conn: ConnId(3), ticket: Ticket(ticket) }
    }

    fn message(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn messages_wait_in_order_and_the_oldest_give_way() {
        let all = Mailboxes::default();
        let place = (CoreId::new(1), 2);
        let (id, number) = all.open(None, place, 0).expect("room");
        assert!(is_mailbox(number, 2) && number % 2 == 1 && !is_mailbox(1 << 40, 2));
        assert_eq!(all.open(Some(&id), place, 0), Ok((id.clone(), number)));
        for text in ["a", "b", "c"] {
            let dropped = u64::from(text == "c");
            assert_eq!(all.put(number, message(text), 2), Put { dropped, wake: None });
        }
        assert_eq!(all.wait(number, waiter(1)), Wait::Needless);
        assert_eq!(all.take(number, 1), [message("b")]);
        assert_eq!(all.take(number, 9), [message("c")]);
        assert_eq!(all.wait(number, waiter(1)), Wait::Begun(None));
        assert_eq!(all.wait(number, waiter(2)), Wait::Begun(Some(waiter(1))));
        assert_eq!(all.put(number, message("d"), 2).wake, Some(waiter(2)));
        assert_eq!(all.put(number, message("e"), 2).wake, None);
    }

    #[test]
    fn silence_ends_a_subscriber() {
        let all = Mailboxes::default();
        let (_, number) = all.open(Some("me"), (CoreId::new(0), 1), 0).expect("room");
        assert!(all.forget_idle(LEASE_MS).is_empty());
        assert_eq!(all.find("me", 1), Some(number));
        assert_eq!(all.wait(number, waiter(1)), Wait::Begun(None));
        assert!(all.forget_idle(10 * LEASE_MS).is_empty(), "it waits");
        all.give_up(number, waiter(1), 5);
        assert_eq!(all.forget_idle(LEASE_MS + 6), [number]);
        assert_eq!(all.find("me", 1), None);
        assert_eq!(all.put(number, message("x"), 2), Put::default());
    }
}
