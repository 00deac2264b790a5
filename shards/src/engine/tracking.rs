//! Telling clients that what they have read has changed (`CLIENT TRACKING`).
//!
//! Every core knows who wants to be told. What they have read stands in the shards
//! ([`crate::shard::tracking`]), noted in the step in which it was read, and changes are taken from
//! there when a batch is done, by the owner of the shard: so nothing is told before it can be seen,
//! and whatever is read before a change is told of it. Clients are told by their own core
//! ([`Outbound::stale`]), which keeps what it has to say behind the replies they wait for.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Flow, Outbound, Reads};
use super::gather::Gather;
use super::parcel::{Envelope, Manner};
use super::route::{Request, keys_of};
use super::{Engine, ReplyTo, shards_in};
use crate::command::args::Words;
use crate::command::reply::Reply;
use crate::command::spec::{Access, Fold};
use crate::command::table;
use crate::id::CoreId;
use crate::key::shard_of;
use crate::limits::SHARDS;
use crate::shard::tracking::Change;

/// Who wants to be told, on all cores, as each of them knows it.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    /// By number, with the prefixes of keys that they want to hear about without having read them.
    clients: BTreeMap<u64, Vec<Box<[u8]>>>,
    /// The same by prefix.
    prefixes: BTreeMap<Box<[u8]>, BTreeSet<u64>>,
    /// Those who are gone, and shards (a bit each) that were away then and have not heard of it.
    gone: Vec<(u64, u64)>,
    /// Keys that this core keeps readers of at most; zero is no limit.
    keys_max: usize,
    /// The client whose request is being carried out; zero is nobody.
    pub(super) writer: u64,
}

impl Trackers {
    fn set(&mut self, client: u64, prefixes: Option<Vec<Box<[u8]>>>) {
        for prefix in self.clients.remove(&client).unwrap_or_default() {
            let theirs = self.prefixes.get_mut(&prefix).expect("both maps name it");
            theirs.remove(&client);
            if theirs.is_empty() {
                self.prefixes.remove(&prefix);
            }
        }
        let Some(prefixes) = prefixes else { return };
        for prefix in &prefixes {
            self.prefixes.entry(prefix.clone()).or_default().insert(client);
        }
        self.clients.insert(client, prefixes);
    }

    /// Who is to be told of a change.
    fn audience(&self, change: &Change) -> BTreeSet<u64> {
        let Some(key) = &change.key else { return self.clients.keys().copied().collect() };
        let readers = change.readers.iter().copied();
        let mut all: BTreeSet<u64> =
            readers.filter(|reader| self.clients.contains_key(reader)).collect();
        for (prefix, clients) in &self.prefixes {
            if key.starts_with(prefix) {
                all.extend(clients);
            }
        }
        all
    }
}

/// What clients want to be told of, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TrackingStats {
    /// Keys of this core that somebody has read.
    pub keys: usize,
    /// Their readers, each key counted.
    pub items: usize,
    /// Prefixes that are named, on all cores.
    pub prefixes: usize,
}

impl Engine {
    /// Tells every core that a client wants to be told of changes, or does not.
    pub(super) fn track(
        &mut self,
        reply_to: ReplyTo,
        client: u64,
        prefixes: Option<&[&[u8]]>,
        out: &mut dyn Outbound,
    ) -> Flow {
        let mut words: Words<'_> = [&b"CLIENT"[..], b"TRACKING"].into_iter().collect();
        words.push(if prefixes.is_some() { b"ON" } else { b"OFF" });
        for prefix in prefixes.unwrap_or_default() {
            words.extend([&b"PREFIX"[..], prefix]);
        }
        let command = table::lookup(&words).expect("the table has it");
        let (me, cores) = (self.core, self.map.cores());
        let gather = self.gathers.open(Gather::all(reply_to, Fold::First, cores));
        for core in (0..cores).map(CoreId::new).filter(|core| *core != me) {
            let peer = &mut self.peers[core.index()];
            let words = peer.requests.pack_words(words.iter().copied());
            let (caller, reads, manner) = (client, Reads::default(), Manner::Track);
            let shards = 0;
            let envelope =
                Envelope::Execute { gather, command, words, caller, reads, manner, shards };
            peer.requests.envelopes.push(envelope);
            peer.outstanding += 1;
        }
        self.note_tracker(client, &words);
        self.answer(ReplyTo::Core { core: me, gather }, Reply::Ok, out);
        Flow::Barrier
    }

    /// Notes what a core says of one of its clients.
    pub(super) fn note_tracker(&mut self, client: u64, words: &[&[u8]]) {
        let is_on = words[2] == b"ON";
        let prefixes = || words[3..].iter().skip(1).step_by(2).map(|word| Box::from(*word));
        self.trackers.set(client, is_on.then(|| prefixes().collect()));
        let tells_all = !self.trackers.prefixes.is_empty();
        for shard in self.shards.iter_mut().flatten() {
            shard.tracking.tells_all = tells_all;
            if !is_on {
                shard.tracking.forget(client);
            }
        }
        if !is_on && self.away != 0 {
            self.trackers.gone.push((client, self.away));
        }
    }

    /// Shards of this core that are home again hear of what was said meanwhile.
    pub(super) fn catch_up_trackers(&mut self, shards: u64) {
        let tells_all = !self.trackers.prefixes.is_empty();
        for id in shards_in(shards & self.owned_mask()) {
            let Some(shard) = self.shards[id.index()].as_deref_mut() else { continue };
            shard.tracking.tells_all = tells_all;
            for (client, waits) in &mut self.trackers.gone {
                if *waits & 1 << id.index() != 0 {
                    *waits &= !(1 << id.index());
                    shard.tracking.forget(*client);
                }
            }
        }
        self.trackers.gone.retain(|(_, waits)| *waits != 0);
    }

    /// Notes what a request reads, if its client wants to be told.
    #[inline]
    pub(super) fn remember(&mut self, request: Request<'_>) {
        let Reads { client, tracked, .. } = request.reads;
        if !tracked || request.command.spec().access != Access::Read {
            return;
        }
        // One that is gone would never be forgotten again.
        if !self.trackers.clients.contains_key(&client) {
            return;
        }
        for key in keys_of(request) {
            let shard = self.shards[shard_of(key).index()].as_deref_mut();
            if shard.is_some_and(|shard| shard.tracking.add(client, key)) {
                self.bound_tracking();
            }
        }
    }

    /// Gives a key up where there are too many; its readers are told as if it had changed.
    fn bound_tracking(&mut self) {
        let keys_max = self.trackers.keys_max;
        let keys: usize = self.shards.iter().flatten().map(|shard| shard.tracking.keys()).sum();
        if keys_max == 0 || keys <= keys_max {
            return;
        }
        let start = self.rng.below(SHARDS);
        let (before, behind) = self.shards.split_at_mut(start);
        let mut shards = behind.iter_mut().chain(before).flatten();
        if let Some(shard) = shards.find(|shard| shard.tracking.keys() > 0) {
            shard.tracking.give_up_oldest();
            self.fired |= 1 << shard.id().index();
        }
    }

    /// Tells whoever wants to know of the changes in shards of this core that are here.
    pub(super) fn tell_changes(&mut self, out: &mut dyn Outbound) {
        let mut flushed = false;
        for id in shards_in(self.fired & self.owned_mask()) {
            let Some(shard) = self.shards[id.index()].as_deref_mut() else { continue };
            if !shard.tracking.has_changes() {
                continue;
            }
            for change in shard.tracking.take_changes() {
                // The shards are emptied one by one; that is told once.
                if change.key.is_some() || !std::mem::replace(&mut flushed, true) {
                    self.tell_change(&change, out);
                }
            }
        }
    }

    fn tell_change(&mut self, change: &Change, out: &mut dyn Outbound) {
        let cores = self.map.cores() as u64;
        let mut by_core: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for client in self.trackers.audience(change) {
            by_core.entry(client % cores).or_default().push(client);
        }
        let (writer, key) = (change.writer, change.key.as_deref());
        for (core, clients) in by_core {
            let core = CoreId::new(core as usize);
            if core == self.core {
                out.stale(&clients, writer, key);
                continue;
            }
            let parcel = &mut self.peers[core.index()].completions;
            let clients: Vec<u8> =
                clients.into_iter().flat_map(|client| client.to_le_bytes()).collect();
            let words = parcel.pack_words([&*clients].into_iter().chain(key));
            parcel.envelopes.push(Envelope::Stale { writer, words });
        }
    }

    /// Keys that this core keeps readers of at most; zero is no limit.
    pub fn set_tracking_keys(&mut self, keys_max: usize) {
        self.trackers.keys_max = keys_max;
    }

    /// What clients want to be told of.
    pub fn tracking(&self) -> TrackingStats {
        let tables = self.shards().map(|shard| &shard.tracking);
        let (keys, items) = tables
            .fold((0, 0), |(keys, items), table| (keys + table.keys(), items + table.items()));
        TrackingStats { keys, items, prefixes: self.trackers.prefixes.len() }
    }
}

/// The numbers of clients as they travel.
pub(super) fn unpack_clients(bytes: &[u8]) -> Vec<u64> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()
}
