//! Who listens to what. Every core has the whole index, so that each knows at once how many hear a
//! message and which cores it has to go to; a subscription is confirmed when all of them have it.
//!
//! Subscribers are process-wide numbers of clients; the core of a client is its number modulo the
//! number of cores. The index holds no message and no connection.

use std::collections::{BTreeMap, BTreeSet};

use crate::glob;
use crate::id::CoreId;

/// What a subscription names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A channel (`SUBSCRIBE`).
    Channel = 0,
    /// Channels by pattern (`PSUBSCRIBE`).
    Pattern = 1,
    /// A channel of the sharded kind, a name space of its own (`SSUBSCRIBE`).
    Shard = 2,
}

const KINDS: usize = 3;

type Name = Box<[u8]>;

/// Subscribers of one name, by core.
type Audience = BTreeMap<CoreId, BTreeSet<u64>>;

/// Subscriptions of all clients of the process.
#[derive(Debug)]
pub struct Index {
    cores: usize,
    names: [BTreeMap<Name, Audience>; KINDS],
    /// What each client is subscribed to.
    clients: BTreeMap<u64, [BTreeSet<Name>; KINDS]>,
}

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reach {
    /// How many subscriptions match, on all cores.
    pub receivers: usize,
    /// Cores with at least one.
    pub cores: BTreeSet<CoreId>,
}

impl Index {
    /// An empty index of a process with so many cores.
    pub fn new(cores: usize) -> Self {
        Self { cores, names: Default::default(), clients: BTreeMap::new() }
    }

    fn core_of(&self, client: u64) -> CoreId {
        CoreId::new((client % self.cores as u64) as usize)
    }

    /// Subscribes a client; how many subscriptions it has now, see [`Index::count`].
    pub fn subscribe(&mut self, kind: Kind, name: &[u8], client: u64) -> usize {
        let core = self.core_of(client);
        let audience = self.names[kind as usize].entry(name.into()).or_default();
        audience.entry(core).or_default().insert(client);
        self.clients.entry(client).or_default()[kind as usize].insert(name.into());
        self.count(kind, client)
    }

    /// Ends a subscription, if there is one; how many the client has left.
    pub fn unsubscribe(&mut self, kind: Kind, name: &[u8], client: u64) -> usize {
        if let Some(theirs) = self.clients.get_mut(&client) {
            theirs[kind as usize].remove(name);
            if theirs.iter().all(BTreeSet::is_empty) {
                self.clients.remove(&client);
            }
        }
        self.leave(kind, name, client);
        self.count(kind, client)
    }

    fn leave(&mut self, kind: Kind, name: &[u8], client: u64) {
        let core = self.core_of(client);
        let names = &mut self.names[kind as usize];
        let Some(audience) = names.get_mut(name) else { return };
        if let Some(theirs) = audience.get_mut(&core) {
            theirs.remove(&client);
            if theirs.is_empty() {
                audience.remove(&core);
            }
        }
        if audience.is_empty() {
            names.remove(name);
        }
    }

    /// Forgets a client.
    pub fn forget(&mut self, client: u64) {
        let Some(theirs) = self.clients.remove(&client) else { return };
        for (kind, names) in [Kind::Channel, Kind::Pattern, Kind::Shard].into_iter().zip(theirs) {
            for name in names {
                self.leave(kind, &name, client);
            }
        }
    }

    /// What a client is subscribed to, in the order of the names.
    pub fn names_of(&self, kind: Kind, client: u64) -> Vec<Name> {
        let theirs = self.clients.get(&client);
        theirs.map_or_else(Vec::new, |theirs| theirs[kind as usize].iter().cloned().collect())
    }

    /// Subscriptions of a client as a confirmation counts them: to channels and patterns together,
    /// or to sharded channels.
    pub fn count(&self, kind: Kind, client: u64) -> usize {
        let [channels, patterns, shards] = self.counts(client);
        match kind {
            Kind::Channel | Kind::Pattern => channels + patterns,
            Kind::Shard => shards,
        }
    }

    /// Subscriptions of a client by kind.
    pub fn counts(&self, client: u64) -> [usize; KINDS] {
        let theirs = self.clients.get(&client);
        theirs.map_or([0; KINDS], |theirs| [theirs[0].len(), theirs[1].len(), theirs[2].len()])
    }

    /// Where a message to a channel goes; `sharded` tells the two name spaces apart.
    pub fn reach(&self, channel: &[u8], sharded: bool) -> Reach {
        let mut reach = Reach::default();
        self.matching(channel, sharded, |_, _, audience| {
            for (core, clients) in audience {
                reach.receivers += clients.len();
                reach.cores.insert(*core);
            }
        });
        reach
    }

    /// Calls `visit` for each subscription on `core` that a message to a channel is for: the
    /// client, and the pattern where it is one.
    pub fn hearers(
        &self,
        (channel, sharded): (&[u8], bool),
        core: CoreId,
        mut visit: impl FnMut(u64, Option<&[u8]>),
    ) {
        self.matching(channel, sharded, |kind, name, audience| {
            let pattern = (kind == Kind::Pattern).then_some(name);
            for client in audience.get(&core).into_iter().flatten() {
                visit(*client, pattern);
            }
        });
    }

    fn matching(
        &self,
        channel: &[u8],
        sharded: bool,
        mut visit: impl FnMut(Kind, &[u8], &Audience),
    ) {
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        if let Some(audience) = self.names[kind as usize].get(channel) {
            visit(kind, channel, audience);
        }
        if sharded {
            return;
        }
        for (pattern, audience) in &self.names[Kind::Pattern as usize] {
            if glob::matches(pattern, channel) {
                visit(Kind::Pattern, pattern, audience);
            }
        }
    }

    /// Names with at least one subscriber, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names[kind as usize].keys().map(|name| &name[..])
    }

    /// Number of subscribers of a name.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        let audience = self.names[kind as usize].get(name);
        audience.map_or(0, |audience| audience.values().map(BTreeSet::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(index: &Index, channel: &[u8], core: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut all = Vec::new();
        index.hearers((channel, false), CoreId::new(core), |client, pattern| {
            all.push((client, pattern.map(<[u8]>::to_vec)));
        });
        all
    }

    #[test]
    fn messages_reach_channels_and_patterns_on_their_cores() {
        let mut index = Index::new(2);
        assert_eq!(index.subscribe(Kind::Channel, b"news", 4), 1);
        assert_eq!(index.subscribe(Kind::Channel, b"news", 4), 1, "twice is once");
        assert_eq!(index.subscribe(Kind::Pattern, b"n*", 4), 2);
        assert_eq!(index.subscribe(Kind::Pattern, b"n?ws", 7), 1);
        assert_eq!(index.subscribe(Kind::Shard, b"news", 7), 1);
        let reach = index.reach(b"news", false);
        assert_eq!((reach.receivers, reach.cores.len()), (3, 2));
        assert_eq!(heard(&index, b"news", 0), [(4, None), (4, Some(b"n*".to_vec()))]);
        assert_eq!(heard(&index, b"news", 1), [(7, Some(b"n?ws".to_vec()))]);
        assert_eq!(index.reach(b"news", true).receivers, 1);
        assert_eq!(index.reach(b"other", false), Reach::default());
        assert_eq!(index.subscribers(Kind::Channel, b"news"), 1);
    }

    #[test]
    fn what_has_no_subscriber_is_forgotten() {
        let mut index = Index::new(3);
        index.subscribe(Kind::Channel, b"a", 1);
        index.subscribe(Kind::Channel, b"b", 1);
        index.subscribe(Kind::Pattern, b"*", 1);
        assert_eq!(index.unsubscribe(Kind::Channel, b"a", 1), 2);
        assert_eq!(index.unsubscribe(Kind::Channel, b"a", 1), 2);
        assert_eq!(index.names(Kind::Channel).collect::<Vec<_>>(), [b"b"]);
        assert_eq!(index.names_of(Kind::Channel, 1).len(), 1);
        index.forget(1);
        index.forget(1);
        assert!(index.clients.is_empty() && index.names.iter().all(BTreeMap::is_empty));
        assert_eq!(index.counts(1), [0, 0, 0]);
    }
}
