//! What a client has begun with `MULTI` and `WATCH`: the queue, its bounds, and what is watched.
//!
//! Nothing here reaches a shard. Who takes the watches out of here owes the engine an `EXEC` or an
//! `Unwatch` with them, or they stay in the shards for ever.

use std::collections::BTreeSet;

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{CommandSpec, Flags, Run};
use synap_shards::command::table::CommandId;
use synap_shards::engine::tx::{Queued, shards_of_keys};
use synap_shards::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX};

/// The reply to a command that waits for `EXEC`.
pub const QUEUED: Reply<'static> = Reply::Status("QUEUED");
/// `EXEC` and `DISCARD` need a `MULTI` before them.
pub const EXEC_WITHOUT_MULTI: CommandError = CommandError::Invalid("EXEC without MULTI");
/// See [`EXEC_WITHOUT_MULTI`].
pub const DISCARD_WITHOUT_MULTI: CommandError = CommandError::Invalid("DISCARD without MULTI");
/// Something went wrong while commands were queued.
pub const ABORTED: CommandError = CommandError::Coded {
    code: "EXECABORT",
    message: "Transaction discarded because of previous errors.",
};
const NESTED: CommandError = CommandError::Invalid("MULTI calls can not be nested");
const WATCH_INSIDE: CommandError = CommandError::Invalid("WATCH inside MULTI is not allowed");
const NOT_INSIDE: CommandError = CommandError::Invalid("Command not allowed inside a transaction");
const QUEUE_FULL: CommandError = CommandError::Invalid(
    "the transaction is too large: its commands or their bytes exceed what may be queued",
);
const TOO_MANY_WATCHED: CommandError =
    CommandError::Invalid("too many keys are watched, or too long ones; UNWATCH or EXEC first");

/// What becomes of a command that comes between `MULTI` and `EXEC`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inside {
    /// It is queued.
    Queued,
    /// It is carried out at once: it ends the transaction, or is refused by itself.
    AtOnce,
    /// It is refused, and `EXEC` will be.
    Refused,
}

/// Commands that are not queued. `UNWATCH` is, as in Redis.
const AT_ONCE: &[&str] = &[
    "transaction.multi",
    "transaction.exec",
    "transaction.discard",
    "transaction.watch",
    "connection.quit",
    "connection.reset",
];

impl Inside {
    /// What becomes of this command. Those about every core's clients and settings cannot be part
    /// of a batch of shards, and are refused.
    pub fn of(spec: &CommandSpec) -> Self {
        if AT_ONCE.contains(&spec.id) {
            Self::AtOnce
        } else if spec.flags.has(Flags::NO_MULTI) || matches!(spec.run, Run::EveryCore(_)) {
            Self::Refused
        } else {
            Self::Queued
        }
    }
}

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Queued>,
    bytes: usize,
    /// One could not be queued.
    has_failed: bool,
}

/// The transaction of one client.
#[derive(Debug, Default)]
pub struct Pending {
    /// There is one between `MULTI` and `EXEC`.
    queue: Option<Queue>,
    watched: BTreeSet<Box<[u8]>>,
    watched_bytes: usize,
}

impl Pending {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.queue.is_none() && self.watched.is_empty()
    }

    /// Whether commands are queued now.
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Number of queued commands, if commands are queued now.
    pub fn queued(&self) -> Option<usize> {
        self.queue.as_ref().map(|queue| queue.commands.len())
    }

    /// Bytes of the queue.
    pub fn queued_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Number of watched keys.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// `MULTI`.
    ///
    /// # Errors
    /// It is open already; that leaves the queue as it is.
    pub fn open(&mut self) -> Result<(), CommandError> {
        if self.is_open() {
            return Err(NESTED);
        }
        self.queue = Some(Queue::default());
        Ok(())
    }

    /// Queues a command whose arguments are good.
    ///
    /// # Errors
    /// It may not stand here, or the queue is full; `EXEC` will be refused.
    pub fn queue(&mut self, command: CommandId, words: &[&[u8]]) -> Result<(), CommandError> {
        let queue = self.queue.as_mut().expect("MULTI has opened the queue");
        if Inside::of(command.spec()) == Inside::Refused {
            queue.has_failed = true;
            return Err(NOT_INSIDE);
        }
        if queue.has_failed {
            // It will never run; nothing is kept for it.
            return Ok(());
        }
        let bytes: usize = words.iter().map(|word| word.len() + size_of::<u32>()).sum();
        let bytes = queue.bytes + bytes + size_of::<Queued>();
        if queue.commands.len() == TRANSACTION_COMMANDS_MAX || bytes > TRANSACTION_BYTES_MAX {
            self.fail();
            return Err(QUEUE_FULL);
        }
        queue.bytes = bytes;
        queue.commands.push(Queued::new(command, words));
        Ok(())
    }

    /// Something that was to be queued was refused: if commands are queued, `EXEC` will be too.
    pub fn fail(&mut self) {
        if let Some(queue) = &mut self.queue {
            *queue = Queue { has_failed: true, ..Queue::default() };
        }
    }

    /// `EXEC`: the commands.
    ///
    /// # Errors
    /// There was no `MULTI`, or one of the commands could not be queued.
    pub fn take_commands(&mut self) -> Result<Vec<Queued>, CommandError> {
        let queue = self.queue.take().ok_or(EXEC_WITHOUT_MULTI)?;
        if queue.has_failed { Err(ABORTED) } else { Ok(queue.commands) }
    }

    /// `DISCARD`: drops the commands.
    ///
    /// # Errors
    /// There was no `MULTI`.
    pub fn discard(&mut self) -> Result<(), CommandError> {
        self.queue.take().map(|_| ()).ok_or(DISCARD_WITHOUT_MULTI)
    }

    /// `WATCH`: notes keys.
    ///
    /// # Errors
    /// Commands are queued now, or there are too many keys; nothing is noted.
    pub fn watch(&mut self, keys: &[&[u8]]) -> Result<(), CommandError> {
        if self.is_open() {
            return Err(WATCH_INSIDE);
        }
        let bytes: usize = keys.iter().map(|key| key.len()).sum();
        if self.watched.len() + keys.len() > TRANSACTION_COMMANDS_MAX
            || self.watched_bytes + bytes > TRANSACTION_BYTES_MAX
        {
            return Err(TOO_MANY_WATCHED);
        }
        self.watched_bytes += bytes;
        self.watched.extend(keys.iter().map(|key| Box::from(*key)));
        Ok(())
    }

    /// Forgets what is watched: the shards of the keys, a bit each. The caller tells the engine.
    #[must_use]
    pub fn take_watched(&mut self) -> u64 {
        self.watched_bytes = 0;
        let watched = std::mem::take(&mut self.watched);
        shards_of_keys(watched.iter().map(|key| &**key))
    }
}

#[cfg(test)]
mod tests {
    use synap_shards::command::table::by_name;

    use super::*;

    fn id(name: &str) -> CommandId {
        by_name(name.as_bytes()).expect("the table has it")
    }

    #[test]
    fn a_transaction_is_opened_once_and_ends_once() {
        let mut pending = Pending::default();
        assert_eq!(pending.take_commands().unwrap_err(), EXEC_WITHOUT_MULTI);
        assert_eq!(pending.discard(), Err(DISCARD_WITHOUT_MULTI));
        assert_eq!(pending.open(), Ok(()));
        assert_eq!(pending.open(), Err(NESTED));
        assert_eq!(pending.watch(&[b"k"]), Err(WATCH_INSIDE));
        assert_eq!(pending.queue(id("GET"), &[b"GET", b"k"]), Ok(()));
        assert_eq!(pending.queued(), Some(1));
        assert_eq!(pending.take_commands().expect("nothing failed").len(), 1);
        assert!(pending.is_empty());
    }

    #[test]
    fn what_could_not_be_queued_fails_the_whole() {
        let mut pending = Pending::default();
        for name in ["CONFIG SET", "CLIENT KILL", "SAVE", "SHUTDOWN", "CLIENT REPLY"] {
            assert_eq!(pending.open(), Ok(()));
            assert_eq!(pending.queue(id(name), &[]), Err(NOT_INSIDE), "{name}");
            assert_eq!(pending.queue(id("GET"), &[b"GET", b"k"]), Ok(()));
            assert_eq!(pending.queued_bytes(), 0, "nothing is kept");
            assert_eq!(pending.take_commands().unwrap_err(), ABORTED);
        }
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut pending = Pending::default();
        assert_eq!(pending.open(), Ok(()));
        let large = vec![b'x'; TRANSACTION_BYTES_MAX / 4];
        let words: [&[u8]; 2] = [b"ECHO", &large];
        let results: Vec<_> = (0..5).map(|_| pending.queue(id("ECHO"), &words)).collect();
        assert_eq!(results[..3], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(results[3], Err(QUEUE_FULL));
        assert_eq!(pending.queued_bytes(), 0, "what was queued is dropped at once");
        assert_eq!(pending.take_commands().unwrap_err(), ABORTED);
    }

    #[test]
    fn a_key_that_is_watched_twice_counts_once() {
        let mut pending = Pending::default();
        assert_eq!(pending.watch(&[b"a", b"b", b"a"]), Ok(()));
        assert_eq!(pending.watch(&[b"b"]), Ok(()));
        assert_eq!(pending.watched(), 2);
        let shards = shards_of_keys([b"a".as_slice(), b"b"].into_iter());
        assert_eq!(pending.take_watched(), shards);
        assert_eq!(pending.take_watched(), 0);
        assert!(pending.is_empty());
    }
}
