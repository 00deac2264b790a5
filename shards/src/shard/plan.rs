//! What a command works with: a [`View`] of the shards to read, and on top of it a [`Plan`] to
//! record what shall change. Neither can change anything; records are applied after the command
//! has returned without an error.

use std::cell::Cell;
use std::ops::Deref;

use super::evict::{AccessMode, EvictionPolicy};
use super::{Entry, Located, Shard, ShardTable, ValueType};
use crate::batch::{Record, push_edit, push_record};
use crate::command::error::CommandError;
use crate::engine::event::Spot;
use crate::id::ShardId;
use crate::key::{Namespace, shard_of};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::rng::Rng;
use crate::types::Thresholds;
use crate::types::topic::warm::Warm;

/// One reading of the clocks, taken at the start of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Wall clock, Unix milliseconds.
    pub unix_ms: u64,
    /// Monotonic clock, nanoseconds since some start.
    pub monotonic_ns: u64,
}

/// What is the same for every command of a core: settings that a command can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The eviction policy in force.
    pub policy: EvictionPolicy,
    /// What the access bits of entries mean.
    pub mode: AccessMode,
    /// Classes of changes that somebody wants to be told of, a bit each by [`Notice`].
    pub notices: u16,
    /// Elements that a command may look at or answer when it reads containers or keys whole.
    pub read_elements_max: usize,
}

/// Classes of changes that clients can ask to be told of (`notify-keyspace-events`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Notice {
    /// Commands for keys of any type.
    Generic = 0,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// A key expired.
    Expired,
    /// A key was evicted.
    Evicted,
    /// A key was made.
    New,
}

impl Notice {
    /// The bits of all classes but [`Notice::New`], which says nothing that another does not.
    pub const CHANGES: u16 = Self::New.bit() - 1;

    /// Its bit in [`Rules::notices`].
    pub const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A change that somebody wants to be told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its class.
    pub class: Notice,
    /// What happened, as Redis names it: `lpush`.
    pub event: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// Counters of lookups, kept by the engine and bumped through a view.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lookups that found a live key.
    pub hits: Cell<u64>,
    /// Lookups that did not.
    pub misses: Cell<u64>,
}

/// A key that was looked up before the command runs, because that is where its one key lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) spot: Spot,
    /// Where its entry stood; good until the shard changes.
    pub(crate) located: Option<Located>,
}

/// Read access to the shards that a command may see.
#[derive(Debug)]
pub struct View<'s> {
    shards: &'s ShardTable,
    now: Now,
    tally: &'s Tally,
    rules: Rules,
    draw: u64,
    focus: Option<Focus<'s>>,
    /// Shards in which it saw something that is not stable yet.
    unstable: Cell<u64>,
}

impl<'s> View<'s> {
    /// A view of `shards`. `draw` are 64 random bits for the command's own use.
    #[inline]
    pub(crate) fn new(
        shards: &'s ShardTable,
        now: Now,
        tally: &'s Tally,
        rules: Rules,
        draw: u64,
        focus: Option<Focus<'s>>,
    ) -> Self {
        Self { shards, now, tally, rules, draw, focus, unstable: Cell::new(0) }
    }

    /// A view for one command whose keys were not looked up beforehand.
    pub fn over(
        shards: &'s ShardTable,
        now: Now,
        tally: &'s Tally,
        rules: Rules,
        draw: u64,
    ) -> Self {
        Self::new(shards, now, tally, rules, draw, None)
    }

    /// The time of this turn.
    pub fn now(&self) -> Now {
        self.now
    }

    /// 64 random bits, the same at every call.
    pub fn draw(&self) -> u64 {
        self.draw
    }

    /// Elements that a command may look at.
    pub fn read_elements_max(&self) -> usize {
        self.rules.read_elements_max
    }

    /// Whether a command may look at so many elements, keys or members: to be asked before it
    /// does.
    ///
    /// # Errors
    /// They are more than one command may hold a core up for.
    pub fn may_read(&self, elements: usize) -> Result<(), CommandError> {
        let most = self.rules.read_elements_max;
        if elements <= most { Ok(()) } else { Err(CommandError::TooMany { elements, most }) }
    }

    /// The eviction policy in force.
    pub fn eviction_policy(&self) -> EvictionPolicy {
        self.rules.policy
    }

    /// What the access bits of entries mean.
    pub fn access_mode(&self) -> AccessMode {
        self.rules.mode
    }

    /// Bit set, by shard, of where something was seen that is not stable yet.
    #[inline]
    pub fn unstable(&self) -> u64 {
        self.unstable.get()
    }

    fn shard_id(&self, key: &[u8]) -> ShardId {
        self.focus_on(key).map_or_else(|| shard_of(key), |focus| focus.spot.shard)
    }

    /// The focus, if `key` is the very slice it was made for.
    fn focus_on(&self, key: &[u8]) -> Option<Focus<'s>> {
        self.focus.filter(|focus| std::ptr::eq(focus.key, key))
    }

    /// A shard that is here. Panics for one that is not: the router brought the command to where
    /// its keys are.
    pub fn shard(&self, id: ShardId) -> &'s Shard {
        self.shards[id.index()].as_deref().expect("a command runs where its shards are")
    }

    /// The shards that are here, for commands about all of them.
    pub fn shards(&self) -> impl Iterator<Item = &'s Shard> {
        self.shards.iter().filter_map(Option::as_deref)
    }

    /// Whether the shard of a key is here, for keys that nobody declared.
    pub fn is_here(&self, key: &[u8]) -> bool {
        self.shards[shard_of(key).index()].is_some()
    }

    /// Notes that the answer depends on a whole shard (a count, a walk), not on single keys.
    pub fn saw_all(&self, shard: &Shard) {
        if shard.seq > shard.stable {
            self.unstable.set(self.unstable.get() | 1 << shard.id.index());
        }
    }

    #[inline]
    fn raw(&self, key: &[u8]) -> Option<Entry<'s>> {
        let (shard, entry) = match self.focus_on(key) {
            Some(focus) => {
                let shard = self.shard(focus.spot.shard);
                (shard, focus.located.map(|at| shard.entry_at(at)))
            }
            None => {
                let shard = self.shard(shard_of(key));
                (shard, shard.get(key))
            }
        };
        let depends_on = entry.map_or(shard.removed, |entry| entry.stamp());
        if depends_on > shard.stable {
            self.unstable.set(self.unstable.get() | 1 << shard.id.index());
        }
        entry
    }

    /// The live entry of a key, without counting the lookup.
    #[inline]
    pub fn peek(&self, key: &[u8]) -> Option<Entry<'s>> {
        self.raw(key).filter(|entry| !entry.is_expired(self.now.unix_ms))
    }

    /// The thresholds of the shard of a key.
    pub fn thresholds(&self, key: &[u8]) -> Thresholds {
        self.shard(self.shard_id(key)).thresholds()
    }

    /// What was read lately of files with events of the shard of a key.
    pub(crate) fn warm(&self, key: &[u8]) -> &'s Warm {
        &self.shard(self.shard_id(key)).warm
    }

    /// A generator of random numbers for this command; the same at every call.
    pub fn rng(&self) -> Rng {
        Rng::new(self.draw)
    }

    /// The live entry of a key, which has to be of this type; counted as a hit or a miss.
    ///
    /// # Errors
    /// It is of another type.
    #[inline]
    pub fn typed(
        &self,
        key: &[u8],
        value_type: ValueType,
    ) -> Result<Option<Entry<'s>>, CommandError> {
        of_type(self.get(key), value_type)
    }

    /// The same without counting the lookup.
    ///
    /// # Errors
    /// It is of another type.
    #[inline]
    pub fn peek_typed(
        &self,
        key: &[u8],
        value_type: ValueType,
    ) -> Result<Option<Entry<'s>>, CommandError> {
        of_type(self.peek(key), value_type)
    }

    /// The live string of a key; counted as a hit or a miss.
    ///
    /// # Errors
    /// It is of another type.
    pub fn string(&self, key: &[u8]) -> Result<Option<Entry<'s>>, CommandError> {
        self.typed(key, ValueType::String)
    }

    /// The same without counting the lookup.
    ///
    /// # Errors
    /// It is of another type.
    pub fn peek_string(&self, key: &[u8]) -> Result<Option<Entry<'s>>, CommandError> {
        self.peek_typed(key, ValueType::String)
    }

    /// The live entry of a key; counted as a hit or a miss.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Entry<'s>> {
        let found = self.peek(key);
        let counter = if found.is_some() { &self.tally.hits } else { &self.tally.misses };
        counter.set(counter.get() + 1);
        found
    }
}

fn of_type(
    entry: Option<Entry<'_>>,
    value_type: ValueType,
) -> Result<Option<Entry<'_>>, CommandError> {
    match entry {
        Some(entry) if entry.value_type() != value_type => Err(CommandError::WrongType),
        other => Ok(other),
    }
}

/// The access bits that a command wants a key to have.
#[derive(Debug)]
pub struct Used {
    /// Its shard.
    pub shard: ShardId,
    /// The key.
    pub key: Box<[u8]>,
    /// The 24 bits, as [`super::evict`] interprets them.
    pub access: u32,
}

/// A view, and a place for the records of one command.
#[derive(Debug)]
pub struct Plan<'s> {
    view: View<'s>,
    records: &'s mut Vec<u8>,
    touched: u64,
    access: Option<Box<Used>>,
    told: Vec<Told>,
}

impl<'s> Deref for Plan<'s> {
    type Target = View<'s>;

    fn deref(&self) -> &View<'s> {
        &self.view
    }
}

impl<'s> Plan<'s> {
    /// A plan that writes its records to the end of `records`.
    pub fn new(view: View<'s>, records: &'s mut Vec<u8>) -> Self {
        Self { view, records, touched: 0, access: None, told: Vec::new() }
    }

    /// Bit set, by shard, of what the records touch.
    #[inline]
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Access bits to be set after the records are applied, if the command asked for that.
    #[inline]
    pub fn take_access(&mut self) -> Option<Box<Used>> {
        self.access.take()
    }

    /// Changes that somebody wants to be told of, in order.
    #[inline]
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Tells whoever asked for it of a change, once it is applied. `event` is Redis's name for it.
    #[inline]
    pub fn notify(&mut self, class: Notice, event: &'static str, key: &[u8]) {
        if self.view.rules.notices & class.bit() != 0 && !Namespace::has(key) {
            self.told.push(Told { class, event, key: key.into() });
        }
    }

    fn push(&mut self, shard: ShardId, record: &Record<'_>) {
        self.touched |= 1 << shard.index();
        push_record(self.records, shard, record);
    }

    /// Checks what every write checks of its key.
    fn check_key(key: &[u8]) -> Result<(), CommandError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(CommandError::KeyTooLong { limit: KEY_BYTES_MAX, found: key.len() });
        }
        Ok(())
    }

    /// Whether a record about `key` creates it. An expired entry that still stands is deleted by a
    /// record of its own first.
    #[inline]
    fn creates(&mut self, key: &[u8]) -> bool {
        if let Some(entry) = self.view.raw(key) {
            if !entry.is_expired(self.view.now.unix_ms) {
                return false;
            }
            let shard = self.view.shard_id(key);
            self.push(shard, &Record::Delete { key });
            self.notify(Notice::Expired, "expired", key);
        }
        self.notify(Notice::New, "new", key);
        true
    }

    /// Records that `key` is now the string `value`, with this deadline (Unix milliseconds) or
    /// none. A command records at most one change per
    /// key: what it recorded is not yet visible to its own lookups.
    pub fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        deadline_ms: Option<u64>,
    ) -> Result<(), CommandError> {
        Self::check_key(key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
        }
        let creates = self.creates(key);
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Put { key, value, deadline_ms, creates });
        Ok(())
    }

    /// Records that the bytes of the string `key` from `offset` on are now `bytes`; a shorter or
    /// absent string is extended with zeros. Its deadline stays.
    pub fn patch(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<(), CommandError> {
        Self::check_key(key)?;
        if offset.saturating_add(bytes.len()) > VALUE_BYTES_MAX {
            return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
        }
        let creates = self.creates(key);
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Patch { key, offset, bytes, creates });
        Ok(())
    }

    /// Records a further change of a string that this command has patched already.
    pub fn patch_more(
        &mut self,
        key: &[u8],
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), CommandError> {
        if offset.saturating_add(bytes.len()) > VALUE_BYTES_MAX {
            return Err(CommandError::StringTooLong { limit: VALUE_BYTES_MAX });
        }
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Patch { key, offset, bytes, creates: false });
        Ok(())
    }

    /// Records changes of the container `key`, which is of this type or absent; its deadline stays.
    /// The caller has looked at the key, and deletes it where this would leave it empty.
    pub fn edit(
        &mut self,
        key: &[u8],
        value_type: ValueType,
        edits: &[u8],
    ) -> Result<(), CommandError> {
        Self::check_key(key)?;
        let creates = self.creates(key);
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Edit { key, value_type, edits, creates });
        Ok(())
    }

    /// As [`Plan::edit`], for edits that `write` appends to where they stay. `stands` says whether
    /// the caller has seen the live container.
    #[inline]
    pub fn edit_with(
        &mut self,
        key: &[u8],
        value_type: ValueType,
        stands: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CommandError> {
        Self::check_key(key)?;
        let creates = !stands && self.creates(key);
        let shard = self.view.shard_id(key);
        self.touched |= 1 << shard.index();
        push_edit(self.records, shard, (key, value_type, creates), write);
        Ok(())
    }

    /// Records that `key` now is the container that these edits build from nothing, whatever it
    /// was before.
    pub fn store(
        &mut self,
        key: &[u8],
        value_type: ValueType,
        edits: &[u8],
        deadline_ms: Option<u64>,
    ) -> Result<(), CommandError> {
        Self::check_key(key)?;
        let creates = self.creates(key);
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Store { key, value_type, edits, deadline_ms, creates });
        Ok(())
    }

    /// Records that `key` now has value and type of an entry, with this deadline.
    pub fn store_copy(
        &mut self,
        key: &[u8],
        entry: &Entry<'_>,
        deadline_ms: Option<u64>,
    ) -> Result<(), CommandError> {
        let value_type = entry.value_type();
        if !value_type.is_container() {
            return self.put(key, entry.value(), deadline_ms);
        }
        let mut edits = Vec::new();
        entry.content().write_edits(value_type, &mut edits);
        self.store(key, value_type, &edits, deadline_ms)
    }

    /// Records that a live key is gone; false, and no record, when there was none. An expired entry
    /// that still stands is deleted as well, and still counts as absent.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.view.raw(key) else { return false };
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Delete { key });
        !entry.is_expired(self.view.now.unix_ms)
    }

    /// Records a new deadline (Unix milliseconds) for a live key, or that it has none. The caller
    /// has seen the key.
    pub fn expire(&mut self, key: &[u8], deadline_ms: Option<u64>) {
        let shard = self.view.shard_id(key);
        self.push(shard, &Record::Expire { key, deadline_ms });
    }

    /// Records that every key of a shard is gone.
    pub fn clear(&mut self, shard: ShardId) {
        self.push(shard, &Record::Clear);
    }

    /// Asks for the access bits of a key to be set once the records are applied. They are a hint
    /// for eviction and not part of the batch.
    pub fn set_access(&mut self, key: &[u8], access: u32) {
        let shard = self.view.shard_id(key);
        self.access = Some(Box::new(Used { shard, key: key.into(), access }));
    }
}
