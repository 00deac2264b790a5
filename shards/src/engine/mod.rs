//! The engine: everything one core decides. It is told events and the time, runs commands on its
//! shards, writes batches, and keeps replies back until what they depend on is stable.
//!
//! Kinds of methods: [`Engine::step`] takes an event in; `take_*` hand over what a turn produced;
//! the rest looks. Call order per turn: `step` for every event, [`Engine::end_turn`], then
//! [`Engine::take_log`] and append it, then [`Engine::take_parcel`] per peer and lane and send it,
//! then let replies out.
//!
//! It holds shards of its own and, for the length of one transaction, borrowed ones. Work that
//! cannot run because a shard is away waits in order behind the loan.

mod answers;
mod block;
mod capture;
pub mod cold;
mod commit;
mod convoy;
pub mod event;
mod expire_fields;
mod gather;
mod give_up;
mod loan;
#[cfg(not(feature = "lua"))]
mod no_script;
mod open;
pub mod parcel;
mod route;
mod run;
#[cfg(feature = "lua")]
pub mod script;
mod task;
mod timers;
pub mod topics;
mod tracking;
pub mod tx;
mod upkeep;
mod waiters;

use std::collections::VecDeque;

use crate::capture::Cause;
use crate::id::{ConnId, CoreId, ShardId, Ticket};
use crate::key::{ShardMap, shard_of};
use crate::limits::{CREDITS_PER_CORE, PREFETCH_MAX, SHARDS};
use crate::rng::Rng;
use crate::seq::Seq;
use crate::shard::plan::{Now, Tally, Told};
use crate::shard::{Shard, ShardTable, ValueType};
use commit::Held;
use event::{EngineSettings, EngineStats, Event, Flow, MemorySettings, Outbound, Place, Spot};
use gather::Gathers;
use loan::Loans;
use parcel::{Envelope, Parcel, Spares};
use route::Request;
use run::Job;
use tracking::Trackers;
use waiters::Waiters;

/// Where the keys of a pipeline live, by their position in it.
pub type Places = [Option<Place>; PREFETCH_MAX];

/// The two lanes of a pair of cores. Completions are never held back by requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Work for the other core.
    Requests,
    /// Answers to its requests, and shards going home.
    Completions,
}

/// Who waits for the reply of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReplyTo {
    Client { conn: ConnId, ticket: Ticket },
    Core { core: CoreId, gather: u32 },
    Nobody,
}

/// What is to be sent to one peer at the end of the turn.
#[derive(Debug, Default)]
struct Outgoing {
    requests: Parcel,
    completions: Parcel,
    /// Requests sent and not yet answered.
    outstanding: usize,
}

/// A batch that is appended and not yet known to be durable.
#[derive(Clone, Copy, Debug)]
struct Appended {
    log_end: u64,
    shard: ShardId,
    seq: Seq,
}

/// The state machine of one core.
#[derive(Debug)]
pub struct Engine {
    core: CoreId,
    map: ShardMap,
    /// The shards that are this core's, a bit each.
    owned: u64,
    settings: EngineSettings,
    shards: ShardTable,
    /// Shards of this core that are lent out or taken by a transaction, a bit each.
    away: u64,
    waiting: VecDeque<Waiting>,
    /// The queue is being worked off now, and whether shards came home meanwhile.
    running_waiting: bool,
    came_home: bool,
    rng: Rng,
    tally: Tally,
    stats: EngineStats,
    /// Records of the command that runs now.
    records: Vec<u8>,
    /// Why keys go that the batch in the making deletes.
    cause: Cause,
    /// Something was captured since somebody asked.
    has_captured: bool,
    /// Batches of this turn, not yet taken.
    log: Vec<u8>,
    log_end: u64,
    durable: u64,
    appended: VecDeque<Appended>,
    held: VecDeque<Held>,
    /// Replies that wait for a transaction of another core to become stable.
    gated: Vec<Held>,
    gates: loan::Gates,
    peers: Vec<Outgoing>,
    /// Parcels that were opened, to be filled again.
    spare: Spares,
    gathers: Gathers,
    loans: Loans,
    waiters: Waiters,
    trackers: Trackers,
    /// Shards whose keys may have been changed while somebody waited for them, a bit each.
    fired: u64,
    used_bytes: usize,
    upkeep: upkeep::Upkeep,
    cold: cold::Cold,
    topics: topics::Topics,
    /// Changes that somebody wants to be told of, in order.
    told: Vec<Told>,
    #[cfg(feature = "lua")]
    scripts: Option<Box<script::Scripts>>,
}

/// Work that waits for shards to come home.
#[derive(Debug)]
struct Waiting {
    shards: u64,
    job: Job,
}

impl Engine {
    /// An engine for `core` that owns `shards`, which are those that `map` gives it. `seed` drives
    /// sampling.
    pub fn new(
        core: CoreId,
        map: ShardMap,
        shards: Vec<Box<Shard>>,
        settings: EngineSettings,
        seed: u64,
    ) -> Self {
        let mut table: ShardTable = std::array::from_fn(|_| None);
        let mut used_bytes = 0;
        for mut shard in shards {
            shard.begin_service();
            assert_eq!(map.owner(shard.id()), core, "a core is given the shards it owns");
            used_bytes += shard.live_bytes();
            let at = shard.id().index();
            table[at] = Some(shard);
        }
        let count = map.owned_by(core).count();
        assert_eq!(table.iter().flatten().count(), count, "a core is given all its shards");
        let owned = map.owned_by(core).fold(0, |mask, shard| mask | 1 << shard.index());
        let peers = (0..map.cores()).map(|_| Outgoing::default()).collect();
        let mut engine = Self {
            core,
            map,
            owned,
            settings,
            shards: table,
            away: 0,
            waiting: VecDeque::new(),
            running_waiting: false,
            came_home: false,
            rng: Rng::new(seed),
            tally: Tally::default(),
            stats: EngineStats::default(),
            records: Vec::new(),
            cause: Cause::Usual,
            has_captured: false,
            log: Vec::new(),
            log_end: 0,
            durable: 0,
            appended: VecDeque::new(),
            held: VecDeque::new(),
            gated: Vec::new(),
            gates: loan::Gates::default(),
            peers,
            spare: Spares::default(),
            gathers: Gathers::default(),
            loans: Loans::default(),
            waiters: Waiters::default(),
            trackers: Trackers::default(),
            fired: 0,
            used_bytes,
            upkeep: upkeep::Upkeep::default(),
            cold: cold::Cold::default(),
            topics: topics::Topics::default(),
            told: Vec::new(),
            #[cfg(feature = "lua")]
            scripts: None,
        };
        engine.set_memory(settings.memory);
        engine.tell_topics(u64::MAX);
        engine
    }

    /// Handles one event. Only a request says anything but [`Flow::Continue`].
    pub fn step(&mut self, now: Now, event: Event<'_>, out: &mut dyn Outbound) -> Flow {
        match event {
            Event::Request { conn, ticket, caller, reads, here, command, args, place } => {
                let reply_to = ReplyTo::Client { conn, ticket };
                let request = Request { reply_to, caller, reads, command, args, target: None };
                self.request(now, request, place, here, out)
            }
            Event::Exec { conn, ticket, reads, here, transaction } => {
                let reply_to = ReplyTo::Client { conn, ticket };
                self.exec(now, transaction, (reply_to, reads, here), out)
            }
            Event::Watch { conn, ticket, watcher, keys } => {
                self.watch(now, ReplyTo::Client { conn, ticket }, watcher, keys, out)
            }
            Event::Unwatch { watcher, shards } => self.unwatch(now, watcher, shards, out),
            Event::Track { conn, ticket, client, prefixes } => {
                self.track(ReplyTo::Client { conn, ticket }, client, Some(prefixes), out)
            }
            Event::Untrack { client, asked } => {
                let reply_to = asked
                    .map_or(ReplyTo::Nobody, |(conn, ticket)| ReplyTo::Client { conn, ticket });
                self.track(reply_to, client, None, out)
            }
            Event::Parcel { from, parcel } => {
                self.parcel(now, from, parcel, out);
                Flow::Continue
            }
            Event::Durable(offset) => {
                self.became_durable(offset, out);
                Flow::Continue
            }
            Event::Alarm => {
                self.alarm(now, out);
                Flow::Continue
            }
            Event::Gone { conn } => {
                self.gone(now, conn, out);
                Flow::Continue
            }
            Event::Stopping => {
                self.stop_waiting(now, out);
                Flow::Continue
            }
            Event::Tick => {
                self.keep_up(now);
                self.serve(now, out);
                self.keep_cold(now, out);
                Flow::Continue
            }
            Event::Cold(done) => {
                self.cold_done(now, *done, out);
                Flow::Continue
            }
        }
    }

    /// Batches appended since the last call, in order; the caller logs them.
    pub fn take_log(&mut self, into: &mut Vec<u8>) {
        assert!(into.is_empty(), "the caller has logged what it took before");
        std::mem::swap(&mut self.log, into);
    }

    /// What is to be sent to a peer on a lane, if anything.
    pub fn take_parcel(&mut self, to: CoreId, lane: Lane) -> Option<Parcel> {
        let peer = &mut self.peers[to.index()];
        let parcel = match lane {
            Lane::Requests => &mut peer.requests,
            Lane::Completions => &mut peer.completions,
        };
        (!parcel.is_empty()).then(|| std::mem::take(parcel))
    }

    /// Gives a parcel back that could not be sent because the ring is full; it is offered again.
    pub fn untake_parcel(&mut self, to: CoreId, lane: Lane, parcel: Parcel) {
        let peer = &mut self.peers[to.index()];
        let place = match lane {
            Lane::Requests => &mut peer.requests,
            Lane::Completions => &mut peer.completions,
        };
        assert!(place.is_empty(), "a parcel is given back before more is produced");
        *place = parcel;
    }

    /// Whether a parcel waits to be taken.
    pub fn has_parcels(&self) -> bool {
        self.peers.iter().any(|peer| !peer.requests.is_empty() || !peer.completions.is_empty())
    }

    /// Has words handed to the outside of another core ([`Outbound::hear`]), in the order of the
    /// calls.
    pub fn tell(&mut self, to: CoreId, words: &[&[u8]]) {
        assert_ne!(to, self.core, "a core does not send to itself");
        let peer = &mut self.peers[to.index()];
        let words = peer.requests.pack_words(words.iter().copied());
        peer.requests.envelopes.push(Envelope::Tell { words });
        peer.outstanding += 1;
    }

    /// Changes of which somebody wants to be told, made since the last call, in order.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Draws up to `count` keys with a deadline; the sum of their remaining lifetimes in
    /// milliseconds, and how many were drawn.
    pub fn sample_ttls(&mut self, count: usize, now: Now) -> (u64, u64) {
        let (mut sum_ms, mut drawn) = (0, 0);
        for _ in 0..count {
            let start = self.rng.below(SHARDS);
            let mut shards = self.shards[start..].iter().chain(&self.shards[..start]).flatten();
            let Some(shard) = shards.find(|shard| shard.volatile_count() > 0) else {
                break;
            };
            if let Some(entry) = shard.sample(&mut self.rng, true, count)
                && let Some(deadline_ms) = entry.deadline_ms()
            {
                sum_ms += deadline_ms.saturating_sub(now.unix_ms);
                drawn += 1;
            }
        }
        (sum_ms, drawn)
    }

    /// Whether no further request may be handed in until parcels came in, because a peer has too
    /// much unanswered work of this core already.
    pub fn is_congested(&self) -> bool {
        self.peers.iter().any(|peer| peer.outstanding >= CREDITS_PER_CORE)
    }

    /// Whether there is upkeep left to do before the next regular tick.
    pub fn wants_tick(&self) -> bool {
        self.upkeep.wants_more()
    }

    /// Whether something has to be done by the clock sooner than keys expire: queues keep time to a
    /// tenth of a second.
    pub fn has_timers(&self) -> bool {
        self.shards().any(Shard::has_timers)
    }

    /// Whether nothing waits: no reply held back, no request unanswered, no shard away.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
            && self.gated.is_empty()
            && self.gathers.is_empty()
            && self.loans.is_empty()
            && self.waiters.is_empty()
            && self.waiting.is_empty()
            && self.away == 0
    }

    /// Bytes appended to the log since the start.
    pub fn log_end(&self) -> u64 {
        self.log_end
    }

    /// Counters since the start.
    pub fn stats(&self) -> EngineStats {
        EngineStats { hits: self.tally.hits.get(), misses: self.tally.misses.get(), ..self.stats }
    }

    /// Sets the counters of lookups, expiry and eviction back (`CONFIG RESETSTAT`).
    pub fn reset_stats(&mut self) {
        self.stats = EngineStats::default();
        self.tally = Tally::default();
    }

    /// What a key holds, where this core has its shard at hand: the Seq of its last change, and
    /// the value of a string. Of a key that is not there, the Seq of its shard.
    pub fn look(&self, key: &[u8]) -> Option<(u64, Option<&[u8]>)> {
        let shard = self.shards[shard_of(key).index()].as_deref()?;
        Some(match shard.get(key) {
            None => (shard.seq().get(), None),
            Some(entry) => {
                let is_string = entry.value_type() == ValueType::String;
                (entry.stamp().get(), is_string.then(|| entry.value()))
            }
        })
    }

    /// The shards that are at home.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter_map(Option::as_deref)
    }

    /// Ends the engine and hands its shards over.
    pub fn into_shards(self) -> Vec<Box<Shard>> {
        assert_eq!(self.away, 0, "every shard is at home");
        self.shards.into_iter().flatten().collect()
    }

    /// Changes limit and eviction.
    pub fn set_memory(&mut self, memory: MemorySettings) {
        self.settings.memory = memory;
        for shard in self.shards.iter_mut().flatten() {
            shard.set_access_mode(memory.mode);
            shard.set_thresholds(memory.thresholds);
        }
    }

    /// Brings the memory that lookups of `keys` will read closer, so that the cache misses of a
    /// pipeline overlap instead of following one another. Returns where they live, in order, but
    /// for those beyond [`PREFETCH_MAX`].
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = Option<&'k [u8]>>) -> Places {
        let mut places = Places::default();
        for (place, key) in places.iter_mut().zip(keys) {
            *place = key.map(|key| self.prefetch_index(key));
        }
        self.prefetch_entries(&mut places);
        places
    }

    /// The first half of [`Engine::prefetch`], for one key: asks for its place in the index. Where
    /// the key lives.
    #[inline]
    pub fn prefetch_index(&self, key: &[u8]) -> Place {
        self.prefetch_in(shard_of(key), key)
    }

    /// The same for a key whose shard is known.
    #[inline]
    fn prefetch_in(&self, id: ShardId, key: &[u8]) -> Place {
        let Some(shard) = self.shards[id.index()].as_deref() else { return Place::Elsewhere(id) };
        Place::Here(Spot { shard: id, hash: shard.prefetch_index(key), likely: None })
    }

    /// The second half, which best comes when there was other work after the first: asks for the
    /// entries.
    #[inline]
    pub fn prefetch_entries(&self, places: &mut [Option<Place>]) {
        for place in places.iter_mut().flatten() {
            if let Place::Here(spot) = place
                && let Some(shard) = self.shards[spot.shard.index()].as_deref()
            {
                spot.likely = shard.prefetch_entry(spot.hash);
            }
        }
    }

    fn owned_mask(&self) -> u64 {
        self.owned
    }

    /// The shards of a core, a bit each.
    fn mask_of(&self, core: CoreId) -> u64 {
        self.map.owned_by(core).fold(0, |mask, shard| mask | 1 << shard.index())
    }
}

/// The shards of a mask, ascending.
pub(crate) fn shards_in(mut mask: u64) -> impl Iterator<Item = ShardId> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let shard = ShardId::new(mask.trailing_zeros() as usize);
            mask &= mask - 1;
            shard
        })
    })
}

#[cfg(test)]
mod tests;
