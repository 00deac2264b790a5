//! What travels between cores: one parcel per turn, pair of cores and lane, with everything the
//! turn produced for that peer. Words and byte strings lie in one buffer per parcel, so forwarding
//! a command allocates nothing of its own.

use std::borrow::Cow;

use super::Lane;
use super::event::Reads;
use super::waiters::Why;
use crate::command::args::Words;
use crate::command::reply::Reply;
use crate::command::table::CommandId;
use crate::id::ShardId;
use crate::seq::Seq;
use crate::shard::Shard;

/// Opened parcels that a core keeps: few, for each is looked at when one is wanted, and a core may
/// open more than it ever sends.
const SPARE_MAX: usize = 32;
/// Bytes of memory that it keeps in them.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Envelopes and the bytes they refer to.
#[derive(Debug, Default)]
pub struct Parcel {
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) bytes: Vec<u8>,
}

/// A range of a parcel's bytes.
pub(crate) type Span = (u32, u32);

/// How a command runs on the core it is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Once, as it is; its keys are in one shard.
    Single,
    /// Once per key.
    PerKey,
    /// Once, over all shards of the core.
    AllShards,
    /// By the outside, for the core itself.
    OnCore,
    /// Notes that the caller watches the keys.
    Watch,
    /// Nothing but wait until the log of the core is on disk as far as it has come.
    OnDisk,
    /// Notes that the caller wants to be told of changes, or does not any more.
    Track,
    /// Forgets what the caller watches in the shards.
    Unwatch,
}

/// A message from core to core.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// Run this command and answer with `Done`.
    Execute {
        gather: u32,
        command: CommandId,
        words: Span,
        caller: u64,
        reads: Reads,
        manner: Manner,
        /// The shards that it needs (a bit each), where the manner does not say it.
        shards: u64,
    },
    /// Words for the outside of the core, answered with `Heard`.
    Tell { words: Span },
    /// The words of a `Tell` were handed over.
    Heard,
    /// The answer to `Execute`, stable under the rule in force.
    Done { gather: u32, reply: Packed },
    /// The command of an `Execute` waits for somebody's change; it does not count as unanswered.
    Parked { gather: u32 },
    /// The command of an `Execute` shall wait no longer.
    GiveUp { gather: u32, why: Why },
    /// To the owner of keys: this command of the sender waits for their changes.
    Wait { number: u64, command: CommandId, keys: Span },
    /// It does so no more.
    Unwait { number: u64 },
    /// To the sender of `Wait`: it is its turn, until it says `Pass` or `Unwait`.
    Wake { number: u64 },
    /// It has tried in vain, and goes on waiting.
    Pass { number: u64 },
    /// To the core of clients who want to be told: the numbers of the clients, then the key that
    /// was changed, or nothing where all were.
    Stale { writer: u64, words: Span },
    /// Lend these shards (a bit each) to the sender's transaction.
    Borrow { loan: u64, shards: u64 },
    /// The shards asked for. `unsettled` marks those whose last batch is not stable yet; the owner
    /// says `Settled` when it is.
    Lent { loan: u64, shards: Vec<Box<Shard>>, unsettled: u64 },
    /// The shards go home. `pending` marks those whose new last batch is not stable yet; the
    /// borrower says `Stable` when it is.
    Return { shards: Vec<Box<Shard>>, pending: u64 },
    /// To the borrower: what the shard held when it was lent is stable now.
    Settled { loan: u64, shard: ShardId },
    /// To the owner: the batch of the transaction is stable, up to this Seq of the shard.
    Stable { shard: ShardId, seq: Seq },
}

/// A reply as it travels; plain byte strings lie in the parcel's buffer. Small, because what is
/// written on one core and read on another costs by the cache line.
#[derive(Debug)]
pub(crate) enum Packed {
    Bytes(Span),
    Ok,
    Nil,
    Integer(i64),
    Other(Box<Reply<'static>>),
}

const _: () = assert!(size_of::<Envelope>() <= 48, "envelopes share cache lines");

impl Parcel {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// Number of envelopes.
    pub fn len(&self) -> usize {
        self.envelopes.len()
    }

    fn span_from(&self, start: usize) -> Span {
        let end = u32::try_from(self.bytes.len()).expect("credits bound the bytes of a parcel");
        (start as u32, end)
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.0 as usize..span.1 as usize]
    }

    /// Adds words, each with its length before it.
    pub(crate) fn pack_words<'w>(&mut self, words: impl Iterator<Item = &'w [u8]>) -> Span {
        let start = self.bytes.len();
        for word in words {
            self.bytes.extend_from_slice(&(word.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(word);
        }
        self.span_from(start)
    }

    pub(crate) fn words(&self, span: Span) -> Words<'_> {
        unpack_words(self.slice(span))
    }

    /// The second word of a request about one shard, and the shard: mostly its key, worth looking
    /// ahead for. Who uses what comes of it checks that it is.
    pub(crate) fn key_of(&self, envelope: &Envelope) -> Option<(ShardId, &[u8])> {
        let Envelope::Execute { words, shards, .. } = envelope else { return None };
        if !shards.is_power_of_two() {
            return None;
        }
        let (_, rest) = first_word(self.slice(*words))?;
        let (key, _) = first_word(rest)?;
        Some((ShardId::new(shards.trailing_zeros() as usize), key))
    }

    fn held_bytes(&self) -> usize {
        self.envelopes.capacity() * size_of::<Envelope>() + self.bytes.capacity()
    }

    pub(crate) fn pack_reply(&mut self, reply: Reply<'_>) -> Packed {
        match reply {
            Reply::Bytes(bytes) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&bytes);
                Packed::Bytes(self.span_from(start))
            }
            Reply::Ok => Packed::Ok,
            Reply::Nil => Packed::Nil,
            Reply::Integer(number) => Packed::Integer(number),
            other => Packed::Other(Box::new(other.into_owned())),
        }
    }

    pub(crate) fn unpack_reply(&self, packed: Packed) -> Reply<'_> {
        match packed {
            Packed::Bytes(span) => Reply::Bytes(Cow::Borrowed(self.slice(span))),
            Packed::Ok => Reply::Ok,
            Packed::Nil => Reply::Nil,
            Packed::Integer(number) => Reply::Integer(number),
            Packed::Other(reply) => *reply,
        }
    }
}

/// Opened parcels, to be filled again; all empty.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    parcels: Vec<Parcel>,
    held_bytes: usize,
}

impl Spares {
    /// Gives memory to a parcel that has none. Answers are longer than requests, and more of them
    /// are gathered before a sleepy core takes them.
    pub(crate) fn fit_out(&mut self, parcel: &mut Parcel, lane: Lane) {
        if parcel.held_bytes() > 0 {
            return;
        }
        let all = self.parcels.iter().enumerate();
        let found = match lane {
            Lane::Requests => all.min_by_key(|(_, parcel)| parcel.held_bytes()),
            Lane::Completions => all.max_by_key(|(_, parcel)| parcel.held_bytes()),
        };
        if let Some((at, _)) = found {
            *parcel = self.parcels.swap_remove(at);
            self.held_bytes -= parcel.held_bytes();
        }
    }

    /// Keeps a parcel that nobody needs, as far as there is room for its memory.
    pub(crate) fn keep(&mut self, mut parcel: Parcel) {
        let held_bytes = parcel.held_bytes();
        let has_room = self.parcels.len() < SPARE_MAX;
        if has_room && held_bytes > 0 && self.held_bytes + held_bytes <= SPARE_BYTES_MAX {
            parcel.envelopes.clear();
            parcel.bytes.clear();
            self.held_bytes += held_bytes;
            self.parcels.push(parcel);
        }
    }
}

fn unpack_words(mut bytes: &[u8]) -> Words<'_> {
    let mut words = Words::new();
    while let Some((word, rest)) = first_word(bytes) {
        words.push(word);
        bytes = rest;
    }
    words
}

fn first_word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some(rest.split_at(u32::from_le_bytes(*length) as usize))
}

/// Words that belong to themselves, for commands that have to wait.
#[derive(Debug)]
pub(crate) struct OwnedWords(Vec<u8>);

impl OwnedWords {
    pub(crate) fn new(words: &[&[u8]]) -> Self {
        let mut parcel = Parcel::default();
        parcel.pack_words(words.iter().copied());
        Self(parcel.bytes)
    }

    pub(crate) fn get(&self) -> Words<'_> {
        unpack_words(&self.0)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.0.capacity()
    }
}
