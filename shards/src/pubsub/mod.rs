//! Who listens to what. Every core has the whole index, so that each knows at once how many hear a
//! message and which cores it has to go to; a subscription is confirmed when all of them have it.
//!
//! Subscribers are process-wide numbers of clients; the core of a client is its number modulo the
//! number of cores. The index holds no message and no connection.

pub mod topic;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::command::error::CommandError;
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
    /// Topics, the channels by segments, by pattern ([`topic`]). Whoever subscribes to several
    /// patterns that match hears a message once.
    Topic = 3,
}

/// How many kinds there are.
pub const KINDS: usize = 4;

/// Channels that tell of changes of keys: this, then the key.
pub const WATCH_PREFIX: &[u8] = b"__watch@0__:";

type Name = Box<[u8]>;

/// Subscribers of one name, by core.
type Audience = BTreeMap<CoreId, BTreeSet<u64>>;

/// A name that has subscribers.
#[derive(Debug, Default)]
struct Listened {
    audience: Audience,
    /// Unix milliseconds at which its first subscriber came.
    since_ms: u64,
    /// Messages to it that this core was asked to publish.
    messages: Cell<u64>,
}

/// How a message reaches a subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How<'a> {
    /// By the channel's own name.
    Channel,
    /// By a glob pattern.
    Pattern(&'a [u8]),
    /// By a pattern of topics, or several.
    Topic,
}

/// What is known of a channel or a topic that somebody subscribes to by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameFacts {
    /// Subscribers by this name.
    pub subscribers: usize,
    /// Messages to it that this core was asked to publish.
    pub messages: u64,
    /// Unix milliseconds at which its first subscriber came.
    pub since_ms: u64,
}

/// How many may listen, and to how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Channels and topics by name.
    pub names: usize,
    /// Subscribers of one name or pattern.
    pub subscribers: usize,
    /// Patterns.
    pub patterns: usize,
}

fn limit(message: &'static str) -> CommandError {
    CommandError::Coded { code: "LIMIT", message }
}

fn is_pattern(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Pattern => true,
        Kind::Topic => topic::is_wildcard(name),
        Kind::Channel | Kind::Shard => false,
    }
}

/// Subscriptions of all clients of the process.
#[derive(Debug)]
pub struct Index {
    cores: usize,
    names: [BTreeMap<Name, Listened>; KINDS],
    /// The names of kind [`Kind::Topic`].
    topics: topic::Trie,
    /// Names and patterns that begin with [`WATCH_PREFIX`].
    watches: usize,
    /// Patterns of all kinds.
    patterns: usize,
    /// What each client is subscribed to.
    clients: BTreeMap<u64, [BTreeSet<Name>; KINDS]>,
}

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reach {
    /// How many subscriptions match, on all cores; of topics, how many subscribers.
    pub receivers: usize,
    /// Whether some of them are to topics.
    pub by_topic: bool,
    /// Cores with at least one.
    pub cores: BTreeSet<CoreId>,
}

impl Index {
    /// An empty index of a process with so many cores.
    pub fn new(cores: usize) -> Self {
        Self {
            cores,
            names: Default::default(),
            topics: topic::Trie::default(),
            watches: 0,
            patterns: 0,
            clients: BTreeMap::new(),
        }
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.cores
    }

    fn core_of(&self, client: u64) -> CoreId {
        CoreId::new((client % self.cores as u64) as usize)
    }

    /// Whether a client may subscribe to all of these names.
    ///
    /// # Errors
    /// Some limit would be passed.
    pub fn admit(
        &self,
        kind: Kind,
        names: &[&[u8]],
        client: u64,
        limits: &Limits,
    ) -> Result<(), CommandError> {
        let (mut plain, mut patterns) = (0, 0);
        for name in names {
            match self.names[kind as usize].get(*name) {
                Some(listened) => {
                    let subscribers: usize = listened.audience.values().map(BTreeSet::len).sum();
                    if subscribers >= limits.subscribers && !self.is_subscribed(kind, name, client)
                    {
                        return Err(limit("pubsub.max_subscribers_per_topic is reached"));
                    }
                }
                None if is_pattern(kind, name) => patterns += 1,
                None => plain += 1,
            }
        }
        let all: usize = self.names.iter().map(BTreeMap::len).sum();
        if plain > 0 && all - self.patterns + plain > limits.names {
            return Err(limit("pubsub.max_topics is reached"));
        }
        if patterns > 0 && self.patterns + patterns > limits.patterns {
            return Err(limit("pubsub.max_wildcard_subscriptions is reached"));
        }
        Ok(())
    }

    /// Subscribes a client; how many subscriptions it has now, see [`Index::count`]. A topic's
    /// pattern was checked.
    pub fn subscribe(&mut self, kind: Kind, name: &[u8], client: u64, now_ms: u64) -> usize {
        let core = self.core_of(client);
        let names = &mut self.names[kind as usize];
        if !names.contains_key(name) {
            names.insert(name.into(), Listened { since_ms: now_ms, ..Listened::default() });
            self.watches += usize::from(name.starts_with(WATCH_PREFIX));
            self.patterns += usize::from(is_pattern(kind, name));
            if kind == Kind::Topic {
                self.topics.add(name);
            }
        }
        let listened = self.names[kind as usize].get_mut(name).expect("it is there now");
        listened.audience.entry(core).or_default().insert(client);
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
        let Some(Listened { audience, .. }) = names.get_mut(name) else { return };
        if let Some(theirs) = audience.get_mut(&core) {
            theirs.remove(&client);
            if theirs.is_empty() {
                audience.remove(&core);
            }
        }
        if audience.is_empty() {
            names.remove(name);
            self.watches -= usize::from(name.starts_with(WATCH_PREFIX));
            self.patterns -= usize::from(is_pattern(kind, name));
            if kind == Kind::Topic {
                self.topics.remove(name);
            }
        }
    }

    /// Forgets a client.
    pub fn forget(&mut self, client: u64) {
        let Some(theirs) = self.clients.remove(&client) else { return };
        let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard, Kind::Topic];
        for (kind, names) in kinds.into_iter().zip(theirs) {
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
    /// to sharded channels, or to topics.
    pub fn count(&self, kind: Kind, client: u64) -> usize {
        let [channels, patterns, shards, topics] = self.counts(client);
        match kind {
            Kind::Channel | Kind::Pattern => channels + patterns,
            Kind::Shard => shards,
            Kind::Topic => topics,
        }
    }

    /// Whether somebody subscribes to topics.
    pub fn has_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Whether somebody wants to be told of changes of keys ([`WATCH_PREFIX`]).
    pub fn is_watching(&self) -> bool {
        self.watches > 0
    }

    /// Whether a client is subscribed to a name.
    pub fn is_subscribed(&self, kind: Kind, name: &[u8], client: u64) -> bool {
        self.clients.get(&client).is_some_and(|theirs| theirs[kind as usize].contains(name))
    }

    /// Subscriptions of a client by kind.
    pub fn counts(&self, client: u64) -> [usize; KINDS] {
        let theirs = self.clients.get(&client);
        theirs.map_or([0; KINDS], |theirs| theirs.each_ref().map(BTreeSet::len))
    }

    /// Where a message to a channel goes; `sharded` tells the two name spaces apart. Counts it
    /// where somebody subscribes to its very name.
    pub fn reach(&self, channel: &[u8], sharded: bool) -> Reach {
        let mut reach = Reach::default();
        self.matching(channel, sharded, |pattern, listened| {
            if pattern.is_none() {
                listened.messages.set(listened.messages.get() + 1);
            }
            for (core, clients) in &listened.audience {
                reach.receivers += clients.len();
                reach.cores.insert(*core);
            }
        });
        if !sharded && !self.topics.is_empty() {
            self.reach_topics(channel, &mut reach);
        }
        reach
    }

    fn reach_topics(&self, topic: &[u8], reach: &mut Reach) {
        if let Some(listened) = self.names[Kind::Topic as usize].get(topic) {
            listened.messages.set(listened.messages.get() + 1);
        }
        let audiences = self.topic_audiences(topic);
        reach.by_topic = !audiences.is_empty();
        let cores: BTreeSet<CoreId> =
            audiences.iter().flat_map(|audience| audience.keys().copied()).collect();
        for core in cores {
            reach.receivers += hearers_of(&audiences, core, |_| {});
            reach.cores.insert(core);
        }
    }

    /// Who subscribes to the patterns that match a topic.
    fn topic_audiences(&self, topic: &[u8]) -> Vec<&Audience> {
        let (mut found, names) = (Vec::new(), &self.names[Kind::Topic as usize]);
        self.topics.matching(topic, &mut |pattern| found.push(&names[pattern].audience));
        found
    }

    /// Calls `visit` for each subscription on `core` that a message to a channel is for, of topics
    /// for each subscriber.
    pub fn hearers(
        &self,
        (channel, sharded): (&[u8], bool),
        core: CoreId,
        mut visit: impl FnMut(u64, How<'_>),
    ) {
        self.matching(channel, sharded, |pattern, listened| {
            let how = pattern.map_or(How::Channel, How::Pattern);
            for client in listened.audience.get(&core).into_iter().flatten() {
                visit(*client, how);
            }
        });
        if !sharded && !self.topics.is_empty() {
            let audiences = self.topic_audiences(channel);
            hearers_of(&audiences, core, |client| visit(client, How::Topic));
        }
    }

    fn matching(
        &self,
        channel: &[u8],
        sharded: bool,
        mut visit: impl FnMut(Option<&[u8]>, &Listened),
    ) {
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        if let Some(listened) = self.names[kind as usize].get(channel) {
            visit(None, listened);
        }
        if sharded {
            return;
        }
        for (pattern, listened) in &self.names[Kind::Pattern as usize] {
            if glob::matches(pattern, channel) {
                visit(Some(pattern), listened);
            }
        }
    }

    /// How many names there are of a kind.
    pub fn name_count(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// How many clients subscribe to anything.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Channels and topics that somebody subscribes to by their names, in order and once each.
    pub fn topics(&self) -> BTreeSet<&[u8]> {
        let topics = self.names(Kind::Topic).filter(|name| !topic::is_wildcard(name));
        self.names(Kind::Channel).chain(topics).collect()
    }

    /// What is known of such a channel or topic.
    pub fn facts(&self, name: &[u8]) -> Option<NameFacts> {
        let kinds = [Kind::Channel, Kind::Topic].map(|kind| self.names[kind as usize].get(name));
        let found = || kinds.iter().flatten();
        let since_ms = found().map(|listened| listened.since_ms).min()?;
        let count =
            |listened: &&Listened| listened.audience.values().map(BTreeSet::len).sum::<usize>();
        let messages = found().map(|listened| listened.messages.get()).max()?;
        Some(NameFacts { subscribers: found().map(count).sum(), messages, since_ms })
    }

    /// Names with at least one subscriber, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names[kind as usize].keys().map(|name| &name[..])
    }

    /// Number of subscribers of a name.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        let listened = self.names[kind as usize].get(name);
        listened.map_or(0, |found| found.audience.values().map(BTreeSet::len).sum())
    }
}

/// Calls `visit` for each client on `core` that is in any of the audiences, once; how many that is.
fn hearers_of(audiences: &[&Audience], core: CoreId, mut visit: impl FnMut(u64)) -> usize {
    let mut theirs = audiences.iter().filter_map(|audience| audience.get(&core));
    let Some(first) = theirs.next() else { return 0 };
    let others: Vec<&BTreeSet<u64>> = theirs.collect();
    if others.is_empty() {
        first.iter().copied().for_each(visit);
        return first.len();
    }
    let all: BTreeSet<u64> = others.into_iter().flatten().chain(first).copied().collect();
    all.iter().copied().for_each(&mut visit);
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(index: &Index, channel: &[u8], core: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut all = Vec::new();
        index.hearers((channel, false), CoreId::new(core), |client, how| {
            all.push((
                client,
                match how {
                    How::Channel => None,
                    How::Pattern(pattern) => Some(pattern.to_vec()),
                    How::Topic => Some(b"topic".to_vec()),
                },
            ));
        });
        all
    }

    #[test]
    fn messages_reach_channels_and_patterns_on_their_cores() {
        let mut index = Index::new(2);
        assert_eq!(index.subscribe(Kind::Channel, b"news", 4, 0), 1);
        assert_eq!(index.subscribe(Kind::Channel, b"news", 4, 0), 1, "twice is once");
        assert_eq!(index.subscribe(Kind::Pattern, b"n*", 4, 0), 2);
        assert_eq!(index.subscribe(Kind::Pattern, b"n?ws", 7, 0), 1);
        assert_eq!(index.subscribe(Kind::Shard, b"news", 7, 0), 1);
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
        index.subscribe(Kind::Channel, b"a", 1, 0);
        index.subscribe(Kind::Channel, b"b", 1, 0);
        index.subscribe(Kind::Pattern, b"*", 1, 0);
        assert_eq!(index.unsubscribe(Kind::Channel, b"a", 1), 2);
        assert_eq!(index.unsubscribe(Kind::Channel, b"a", 1), 2);
        assert_eq!(index.names(Kind::Channel).collect::<Vec<_>>(), [b"b"]);
        assert_eq!(index.names_of(Kind::Channel, 1).len(), 1);
        index.forget(1);
        index.forget(1);
        assert!(index.clients.is_empty() && index.names.iter().all(BTreeMap::is_empty));
        assert_eq!(index.counts(1), [0, 0, 0, 0]);
    }

    #[test]
    fn topics_are_heard_once_however_many_patterns_match() {
        let mut index = Index::new(2);
        for pattern in [&b"a.*"[..], b"a.#", b"a.b"] {
            index.subscribe(Kind::Topic, pattern, 4, 9);
            index.subscribe(Kind::Topic, pattern, 5, 9);
        }
        index.subscribe(Kind::Topic, b"#", 6, 9);
        index.subscribe(Kind::Channel, b"a.b", 4, 10);
        let reach = index.reach(b"a.b", false);
        assert_eq!((reach.receivers, reach.by_topic, reach.cores.len()), (4, true, 2));
        let topic = || Some(b"topic".to_vec());
        assert_eq!(heard(&index, b"a.b", 0), [(4, None), (4, topic()), (6, topic())]);
        assert_eq!(heard(&index, b"a.b", 1), [(5, topic())]);
        assert_eq!(heard(&index, b"b", 0), [(6, topic())]);
        assert!(!index.reach(b"a..b", false).by_topic, "no topic");
        assert_eq!(index.reach(b"a.b", true), Reach::default());
        let facts = NameFacts { subscribers: 3, messages: 1, since_ms: 9 };
        assert_eq!(index.facts(b"a.b"), Some(facts));
        assert_eq!(index.topics().into_iter().collect::<Vec<_>>(), [b"a.b"]);
        index.forget(4);
        index.forget(5);
        assert_eq!(index.unsubscribe(Kind::Topic, b"#", 6), 0);
        assert!(index.topics.is_empty() && index.names.iter().all(BTreeMap::is_empty));
    }

    #[test]
    fn watches_are_counted() {
        let mut index = Index::new(1);
        index.subscribe(Kind::Channel, b"__watch@0__:a", 1, 0);
        index.subscribe(Kind::Pattern, b"__watch@0__:*", 1, 0);
        index.subscribe(Kind::Pattern, b"*", 1, 0);
        assert!(index.is_watching());
        index.forget(1);
        assert!(!index.is_watching());
    }
}
