//! Who waits for what: the books of blocked commands of one core. The rules by which they are run
//! again are in [`super::block`].
//!
//! A command stands in line at the core that owns its keys, in the order of arrival. Where one core
//! owns them all the whole command waits there ([`Who::Here`]), and is run again on the spot when a
//! key changes, before anything else can run. A command over keys of several cores waits at its
//! client's core, and stands in line at each owner by a note ([`Who::There`]) that has it woken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ReplyTo;
use super::event::Reads;
use super::parcel::OwnedWords;
use crate::command::reply::Reply;
use crate::command::spec::{Disk, Family, Flags};
use crate::command::table::CommandId;
use crate::id::{ConnId, CoreId};
use crate::limits::{WAITERS_BYTES_MAX, WAITERS_MAX};
use crate::shard::ValueType;

/// A command that waits, on the core that runs it.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply_to: ReplyTo,
    /// Whose lookups it makes, and what they leave behind.
    pub(super) reads: Reads,
    pub(super) command: CommandId,
    pub(super) words: OwnedWords,
    /// The keys whose changes it waits for, each once.
    pub(super) keys: Vec<Box<[u8]>>,
    /// Bytes of its words and keys, as they came.
    pub(super) bytes: usize,
    /// The shards it runs over, a bit each.
    pub(super) shards: u64,
    /// When it is answered without having got anything, on the monotonic clock.
    pub(super) deadline_ns: Option<u64>,
    /// The answer then; nothing before it was tried for the first time.
    pub(super) nothing: Option<Reply<'static>>,
    /// It waits for the disk.
    pub(super) disk: Option<Disk>,
    /// Its keys belong to several cores, so it runs over borrowed shards.
    pub(super) spans: bool,
    /// It stands in line for its keys.
    pub(super) in_line: bool,
    pub(super) state: State,
}

/// What a waiter does.
#[derive(Debug)]
pub(super) enum State {
    /// Waits to be woken.
    Idle,
    /// Was woken; its shards are on their way.
    Trying,
    /// The same, but it has been given up meanwhile, and shall not take anything.
    GivenUp(Why),
}

/// Why a command no longer waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// Its time is over, or its client does not care any more.
    Time,
    /// Another client said so, and wants it to end with an error.
    Error,
}

/// Someone in line for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// A waiter of this core.
    Here,
    /// A waiter of another core, by its number there.
    There { core: CoreId, number: u64 },
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) who: Who,
    /// The type the key must have for it to be of use; any, if absent.
    wants: Option<ValueType>,
    /// It wants to know as well when the key is gone or of another type.
    wakes_when_gone: bool,
    /// It came while another had the turn and was never tried: it has to be, whatever the key
    /// holds, to learn how long it waits.
    pub(super) is_new: bool,
}

impl Entry {
    pub(super) fn of(who: Who, command: CommandId) -> Self {
        let spec = command.spec();
        let wants = match spec.family {
            Family::List => Some(ValueType::List),
            Family::SortedSet => Some(ValueType::SortedSet),
            Family::Stream => Some(ValueType::Stream),
            Family::Queue => Some(ValueType::Queue),
            Family::Topic => Some(ValueType::Partition),
            _ => None,
        };
        let wakes_when_gone = spec.flags.has(Flags::WAKES_WHEN_GONE);
        Self { who, wants, wakes_when_gone, is_new: false }
    }

    /// Whether it is worth trying when the key holds this, or nothing for those who wait.
    pub(super) fn suits(&self, value_type: Option<ValueType>, has_something: bool) -> bool {
        self.is_new || (has_something && self.wants(value_type))
    }

    fn wants(&self, value_type: Option<ValueType>) -> bool {
        let fits = value_type.is_some_and(|found| self.wants.is_none_or(|wanted| wanted == found));
        fits || self.wakes_when_gone
    }
}

/// The line for one key, by order of arrival.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) entries: BTreeMap<u64, Entry>,
    /// Whose turn it is, if that takes longer; nobody behind is tried meanwhile.
    pub(super) turn: Option<Turn>,
}

/// The time in which one waiter tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) order: u64,
    /// The key was changed meanwhile, so those before it are tried again as well.
    pub(super) again: bool,
}

/// A note of another core's waiter.
#[derive(Debug)]
struct Note {
    order: u64,
    keys: Vec<Box<[u8]>>,
}

/// Where the command of a blocked client of this core is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Here, by number.
    Here(u64),
    /// At the core that owns its keys. `parked`: that core has said that it waits.
    There { core: CoreId, gather: u32, parked: bool },
}

/// A client of this core that has sent a blocking command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// Its number in the process.
    pub(super) caller: u64,
    pub(super) place: Place,
}

/// All blocked commands that concern one core.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    pub(super) here: BTreeMap<u64, Waiter>,
    /// Bytes of those, words and keys.
    bytes: usize,
    /// Those of them that another core has sent: core and gather.
    sent: BTreeMap<(CoreId, u32), u64>,
    notes: BTreeMap<(CoreId, u64), Note>,
    pub(super) lines: BTreeMap<Box<[u8]>, Line>,
    deadlines: BTreeSet<(u64, u64)>,
    pub(super) clients: BTreeMap<ConnId, Client>,
    /// Those of them whose command stands in line by now.
    pub(super) standing: u64,
    /// Lines to be looked at, and from which place on.
    pub(super) fired: VecDeque<(Box<[u8]>, u64)>,
    /// Keys that one fewer waits for, whose shards were away when that was found.
    pub(super) stale: Vec<Box<[u8]>>,
    /// The server stops: nobody may begin to wait.
    pub(super) closed: bool,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.notes.is_empty() && self.clients.is_empty()
    }

    /// Whether so many wait, or for so many bytes of keys, that nobody else may.
    pub(super) fn is_full(&self) -> bool {
        self.here.len() >= WAITERS_MAX || self.bytes >= WAITERS_BYTES_MAX
    }

    /// As if those that wait had named as many bytes as there may be.
    #[cfg(test)]
    pub(super) fn fill_up(&mut self) {
        self.bytes += WAITERS_BYTES_MAX;
    }

    /// The number, and place in line, of the next one.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether somebody tries to take of this key.
    pub(super) fn has_turn(&self, key: &[u8]) -> bool {
        self.lines.get(key).is_some_and(|line| line.turn.is_some())
    }

    /// Puts somebody in line.
    pub(super) fn stand(&mut self, key: &[u8], order: u64, entry: Entry) {
        match self.lines.get_mut(key) {
            Some(line) => {
                line.entries.insert(order, entry);
            }
            None => {
                let line = Line { entries: [(order, entry)].into(), turn: None };
                self.lines.insert(key.into(), line);
            }
        }
    }

    /// Takes somebody out of line, and ends the turn if it was his.
    pub(super) fn leave(&mut self, key: &[u8], order: u64) {
        self.end_turn(key, order);
        if let Some(line) = self.lines.get_mut(key) {
            line.entries.remove(&order);
            if line.entries.is_empty() {
                self.lines.remove(key);
            }
        }
    }

    /// Ends a turn if it is of this place in line; the next are tried.
    pub(super) fn end_turn(&mut self, key: &[u8], order: u64) {
        let Some(line) = self.lines.get_mut(key) else { return };
        if let Some(turn) = line.turn.take_if(|turn| turn.order == order) {
            let from = if turn.again { 0 } else { order + 1 };
            self.fired.push_back((key.into(), from));
        }
    }

    /// A waiter was tried: from here on it is tried for what a key holds.
    pub(super) fn note_try(&mut self, key: &[u8], order: u64) {
        let line = self.lines.get_mut(key);
        if let Some(entry) = line.and_then(|line| line.entries.get_mut(&order)) {
            entry.is_new = false;
        }
    }

    /// Keeps a waiter under its number.
    pub(super) fn keep(&mut self, number: u64, waiter: Waiter) {
        if let Some(deadline_ns) = waiter.deadline_ns {
            self.deadlines.insert((deadline_ns, number));
        }
        match waiter.reply_to {
            ReplyTo::Core { core, gather } => {
                self.sent.insert((core, gather), number);
            }
            ReplyTo::Client { .. } | ReplyTo::Nobody => {}
        }
        self.bytes += waiter.bytes;
        let before = self.here.insert(number, waiter);
        assert!(before.is_none(), "numbers are used once, and whoever is kept again was taken");
    }

    /// Takes a waiter out, to be kept again.
    pub(super) fn take(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.here.remove(&number)?;
        self.bytes -= waiter.bytes;
        Some(waiter)
    }

    /// Takes a waiter out of the books that know it by number.
    pub(super) fn remove(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.take(number)?;
        if let Some(deadline_ns) = waiter.deadline_ns {
            self.deadlines.remove(&(deadline_ns, number));
        }
        match waiter.reply_to {
            ReplyTo::Core { core, gather } => {
                self.sent.remove(&(core, gather));
            }
            ReplyTo::Client { conn, .. } => {
                self.clients.remove(&conn);
                self.standing -= u64::from(waiter.in_line);
            }
            ReplyTo::Nobody => {}
        }
        Some(waiter)
    }

    /// The waiter that another core has sent with this gather.
    pub(super) fn sent_by(&self, core: CoreId, gather: u32) -> Option<u64> {
        self.sent.get(&(core, gather)).copied()
    }

    /// Puts another core's waiter in line.
    pub(super) fn note(&mut self, core: CoreId, number: u64, command: CommandId, keys: &[&[u8]]) {
        let order = self.number();
        for key in keys {
            self.stand(key, order, Entry::of(Who::There { core, number }, command));
        }
        let keys = keys.iter().map(|key| Box::from(*key)).collect();
        self.notes.insert((core, number), Note { order, keys });
    }

    /// Takes another core's waiter out of line; the keys it stood in line for.
    pub(super) fn forget_note(&mut self, core: CoreId, number: u64) -> Vec<Box<[u8]>> {
        let Some(Note { order, keys }) = self.notes.remove(&(core, number)) else {
            return Vec::new();
        };
        for key in &keys {
            self.leave(key, order);
        }
        keys
    }

    /// Another core's waiter has tried in vain.
    pub(super) fn pass_note(&mut self, core: CoreId, number: u64) {
        let Some(note) = self.notes.get(&(core, number)) else { return };
        let (order, keys) = (note.order, note.keys.clone());
        for key in &keys {
            self.end_turn(key, order);
        }
    }

    /// When the next waiter's time is over, on the monotonic clock.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ns, _)| *deadline_ns)
    }

    /// Takes a waiter off the clock whose time is over.
    pub(super) fn take_overdue(&mut self, now_ns: u64) -> Option<u64> {
        let first = self.deadlines.first().copied()?;
        (first.0 <= now_ns).then(|| {
            self.deadlines.remove(&first);
            first.1
        })
    }
}
