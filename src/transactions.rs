//! Transactions of HTTP callers. A caller is known by the client id it sends, and may come over any
//! connection on any core, so what it has begun is kept here for all cores, behind a lock that only
//! requests of transactions take.
//!
//! Bounded: so many callers, so many queued bytes over all of them, and nobody longer than a minute
//! without a sign of life. Who takes watches out of here owes the engine an `Unwatch` or an `EXEC`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synap_io::clock;
use synap_shards::command::error::CommandError;
use synap_shards::command::table::CommandId;
use synap_shards::engine::tx::Queued;
use synap_shards::limits::TRANSACTION_BYTES_MAX;

use crate::session::transaction::{DISCARD_WITHOUT_MULTI, EXEC_WITHOUT_MULTI, Pending};

/// Callers with something begun.
const CALLERS_MAX: usize = 10_000;
/// Bytes that are queued for all of them together.
const QUEUED_BYTES_MAX: usize = 2 * TRANSACTION_BYTES_MAX;
/// Milliseconds after its last request of a transaction at which a caller is forgotten.
pub const IDLE_MS: u64 = 60_000;
/// Bytes of a client id.
pub const CLIENT_ID_BYTES_MAX: usize = 256;
/// Set in numbers of watchers here, and in no number of a connection.
const WATCHER_BIT: u64 = 1 << 63;

const TOO_MANY: CommandError = CommandError::Coded {
    code: "BUSY",
    message: "too many transactions are open over HTTP, or too much is queued in them",
};
const STILL_WATCHING: CommandError =
    CommandError::Invalid("an earlier watch of this client_id is not answered yet");

/// Who watches, and shards of the keys, a bit each.
pub type Watches = (u64, u64);

/// What all HTTP callers have begun.
#[derive(Debug, Default)]
pub struct HttpTransactions {
    /// Number of callers, to be looked at without the lock.
    callers: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    callers: BTreeMap<Box<str>, Caller>,
    watchers_made: u64,
    queued_bytes: usize,
}

#[derive(Debug)]
struct Caller {
    pending: Pending,
    /// The number under which it watches; another one after each `EXEC` and `UNWATCH`, because
    /// what cores say of it may come in any order.
    watcher: u64,
    /// Watches that are not answered yet.
    watching: u32,
    seen_ms: u64,
}

/// What an `EXEC` takes.
#[derive(Debug)]
pub struct Taken {
    /// The commands, or why there are none to be run.
    pub commands: Result<Vec<Queued>, CommandError>,
    /// What was watched.
    pub watches: Watches,
}

/// A new client id, unlike any other and not to be guessed.
pub fn new_client_id() -> Box<str> {
    format!("{:016x}{:016x}", clock::entropy(), clock::entropy()).into_boxed_str()
}

impl HttpTransactions {
    /// Whether nobody has begun anything. Takes no lock.
    pub fn is_empty(&self) -> bool {
        self.callers.load(Ordering::Acquire) == 0
    }

    /// Whether this caller's writes are queued now.
    pub fn is_open(&self, client: &str) -> bool {
        !self.is_empty()
            && self.lock().callers.get(client).is_some_and(|caller| caller.pending.is_open())
    }

    /// `MULTI`.
    ///
    /// # Errors
    /// It is open already, or there are too many.
    pub fn open(&self, client: &str, now_ms: u64) -> Result<(), CommandError> {
        self.with(client, now_ms, |caller| caller.pending.open())
    }

    /// `WATCH`: the number to watch under. [`HttpTransactions::watched`] has to follow when the
    /// engine has answered.
    ///
    /// # Errors
    /// The transaction is open already, or there is too much.
    pub fn watch(&self, client: &str, keys: &[&[u8]], now_ms: u64) -> Result<u64, CommandError> {
        self.with(client, now_ms, |caller| {
            caller.pending.watch(keys)?;
            caller.watching += 1;
            Ok(caller.watcher)
        })
    }

    /// A watch was answered.
    pub fn watched(&self, client: &str) {
        if let Some(caller) = self.lock().callers.get_mut(client) {
            caller.watching -= 1;
        }
    }

    /// Queues a command of a caller with an open transaction.
    ///
    /// # Errors
    /// There is no room, and `EXEC` will be refused.
    pub fn queue(
        &self,
        client: &str,
        command: CommandId,
        words: &[&[u8]],
        now_ms: u64,
    ) -> Result<(), CommandError> {
        let mut table = self.lock();
        let is_full = table.queued_bytes > QUEUED_BYTES_MAX;
        let Some(caller) = table.callers.get_mut(client) else { return Err(EXEC_WITHOUT_MULTI) };
        caller.seen_ms = now_ms;
        let before = caller.pending.queued_bytes();
        let result = if is_full {
            caller.pending.fail();
            Err(TOO_MANY)
        } else {
            caller.pending.queue(command, words)
        };
        let after = caller.pending.queued_bytes();
        table.queued_bytes = table.queued_bytes + after - before;
        result
    }

    /// Something that was to be queued was refused: `EXEC` will be too.
    pub fn fail(&self, client: &str) {
        if self.is_empty() {
            return;
        }
        let mut table = self.lock();
        let Some(caller) = table.callers.get_mut(client) else { return };
        let before = caller.pending.queued_bytes();
        caller.pending.fail();
        table.queued_bytes -= before;
    }

    /// `UNWATCH`: what was watched.
    ///
    /// # Errors
    /// A watch is under way.
    pub fn unwatch(&self, client: &str) -> Result<Option<Watches>, CommandError> {
        let mut table = self.lock();
        let Some(caller) = table.callers.get_mut(client) else { return Ok(None) };
        if caller.watching > 0 {
            return Err(STILL_WATCHING);
        }
        let watches = (caller.watcher, caller.pending.take_watched());
        let is_open = caller.pending.is_open();
        let watcher = table.new_watcher();
        match table.callers.get_mut(client) {
            Some(caller) if is_open => caller.watcher = watcher,
            _ => self.remove(&mut table, client),
        }
        Ok(Some(watches))
    }

    /// `DISCARD`: what was watched.
    ///
    /// # Errors
    /// There was no `MULTI`, or a watch is under way.
    pub fn discard(&self, client: &str) -> Result<Watches, CommandError> {
        match self.take(client) {
            Err(error) if error == EXEC_WITHOUT_MULTI => Err(DISCARD_WITHOUT_MULTI),
            other => other.map(|taken| taken.watches),
        }
    }

    /// `EXEC`.
    ///
    /// # Errors
    /// There was no `MULTI`, or a watch is under way. What else may keep it from running stands in
    /// what is taken, with the watches that have to be ended.
    pub fn take(&self, client: &str) -> Result<Taken, CommandError> {
        let mut table = self.lock();
        let caller = table.callers.get_mut(client).ok_or(EXEC_WITHOUT_MULTI)?;
        if !caller.pending.is_open() {
            return Err(EXEC_WITHOUT_MULTI);
        }
        if caller.watching > 0 {
            return Err(STILL_WATCHING);
        }
        let bytes = caller.pending.queued_bytes();
        let watches = (caller.watcher, caller.pending.take_watched());
        let commands = caller.pending.take_commands();
        table.queued_bytes -= bytes;
        self.remove(&mut table, client);
        Ok(Taken { commands, watches })
    }

    /// Forgets callers that have not been heard of for [`IDLE_MS`]: what they watched.
    pub fn forget_idle(&self, now_ms: u64) -> Vec<Watches> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut table = self.lock();
        let is_idle = |caller: &Caller| {
            caller.watching == 0 && now_ms.saturating_sub(caller.seen_ms) > IDLE_MS
        };
        let idle: Vec<Box<str>> = table
            .callers
            .iter()
            .filter(|(_, caller)| is_idle(caller))
            .map(|(client, _)| client.clone())
            .collect();
        let mut watches = Vec::new();
        for client in idle {
            if let Some(caller) = table.callers.get_mut(&client) {
                watches.push((caller.watcher, caller.pending.take_watched()));
                let bytes = caller.pending.queued_bytes();
                table.queued_bytes -= bytes;
            }
            self.remove(&mut table, &client);
        }
        watches
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics halfway; if it did, the process would be gone.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a caller, who is made if unknown, and forgotten again if nothing came of
    /// it.
    fn with<T>(
        &self,
        client: &str,
        now_ms: u64,
        act: impl FnOnce(&mut Caller) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let mut table = self.lock();
        if !table.callers.contains_key(client) {
            if table.callers.len() >= CALLERS_MAX {
                return Err(TOO_MANY);
            }
            let watcher = table.new_watcher();
            let pending = Pending::default();
            let caller = Caller { pending, watcher, watching: 0, seen_ms: now_ms };
            table.callers.insert(client.into(), caller);
        }
        let caller = table.callers.get_mut(client).expect("it was made if it was not there");
        caller.seen_ms = now_ms;
        let result = act(caller);
        if caller.pending.is_empty() && caller.watching == 0 {
            self.remove(&mut table, client);
        }
        self.callers.store(table.callers.len(), Ordering::Release);
        result
    }

    fn remove(&self, table: &mut Table, client: &str) {
        table.callers.remove(client);
        self.callers.store(table.callers.len(), Ordering::Release);
    }
}

impl Table {
    fn new_watcher(&mut self) -> u64 {
        self.watchers_made += 1;
        WATCHER_BIT | self.watchers_made
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
    fn callers_do_not_see_each_other() {
        let all = HttpTransactions::default();
        assert_eq!(all.open("one", 0), Ok(()));
        assert!(all.is_open("one") && !all.is_open("two"));
        assert_eq!(all.queue("one", id("DEL"), &[b"DEL", b"k"], 0), Ok(()));
        assert!(all.queue("two", id("DEL"), &[b"DEL", b"k"], 0).is_err());
        assert_eq!(all.take("two").map(|_| ()), Err(EXEC_WITHOUT_MULTI));
        let taken = all.take("one").expect("it is open");
        assert_eq!(taken.commands.expect("nothing failed").len(), 1);
        assert!(all.is_empty());
        assert_eq!(all.lock().queued_bytes, 0);
    }

    #[test]
    fn a_caller_watches_under_a_new_number_each_time() {
        let all = HttpTransactions::default();
        let first = all.watch("one", &[b"k"], 0).expect("there is room");
        assert_eq!(all.unwatch("one"), Err(STILL_WATCHING));
        assert_eq!(all.open("one", 0), Ok(()));
        assert_eq!(all.take("one").map(|_| ()), Err(STILL_WATCHING));
        all.watched("one");
        let taken = all.take("one").expect("it is open");
        assert_eq!(taken.watches.0, first);
        assert_eq!(taken.watches.1.count_ones(), 1);
        assert_ne!(all.watch("one", &[b"k"], 0), Ok(first));
        all.watched("one");
        assert!(all.unwatch("one").expect("it is answered").is_some());
        assert_eq!(all.unwatch("one"), Ok(None));
        assert!(all.is_empty());
    }

    #[test]
    fn who_is_silent_for_a_minute_is_forgotten() {
        let all = HttpTransactions::default();
        assert_eq!(all.open("one", 0), Ok(()));
        assert_eq!(all.queue("one", id("DEL"), &[b"DEL", b"k"], 500), Ok(()));
        all.watch("two", &[b"k"], 0).expect("there is room");
        all.watched("two");
        assert_eq!(all.forget_idle(IDLE_MS), []);
        let forgotten = all.forget_idle(IDLE_MS + 1);
        assert_eq!(forgotten.len(), 1, "two has watched at the time 0");
        assert_eq!(all.forget_idle(IDLE_MS + 501).len(), 1);
        assert!(all.is_empty());
        assert_eq!(all.lock().queued_bytes, 0);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let all = HttpTransactions::default();
        for number in 0..CALLERS_MAX {
            assert_eq!(all.open(&number.to_string(), 0), Ok(()));
        }
        assert_eq!(all.open("another", 0), Err(TOO_MANY));
        let again = all.open("0", 0).expect_err("it is open");
        assert_eq!(again.code(), "ERR");
        all.fail("0");
        assert!(all.take("0").expect("it is open").commands.is_err());
        assert_eq!(all.open("another", 0), Ok(()));
    }
}
