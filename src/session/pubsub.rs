//! `SUBSCRIBE` and its kin, `PUBLISH`, `PUBSUB`: what a core knows of subscriptions, and messages
//! on their way out. The pump brings them to the connections ([`crate::pump`]).

use std::collections::{BTreeSet, HashMap};

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::glob;
use synap_shards::id::{ConnId, CoreId};
use synap_shards::pubsub::{Index, Kind, Reach};
use synap_shards::rng::Rng;
use synap_shards::shard::plan::{Notice, Told};

use super::last_values::LastValues;
use super::{CoreContext, CoreHandler, Handler, SessionContext};
use crate::protocol::push::{self, Extra};

/// Bit of [`crate::settings::Settings::notices`]: changes are told on channels of the key.
pub const BY_KEY: u16 = 1 << 14;
/// Bit of it: changes are told on channels of the event.
pub const BY_EVENT: u16 = 1 << 15;

/// A message that was published and is not delivered yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its channel.
    pub channel: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
    /// The channel is of the sharded kind.
    pub sharded: bool,
    /// What those see of it who listen to topics; nothing where nobody does.
    pub extra: Option<Extra>,
    /// Cores with subscribers.
    pub cores: BTreeSet<CoreId>,
}

/// Subscriptions, as one core knows them.
#[derive(Debug)]
pub struct Pubsub {
    /// Who listens to what, on all cores.
    pub index: Index,
    /// Connections of this core's subscribers by the number of the client.
    pub subscribers: HashMap<u64, ConnId>,
    outgoing: Vec<Message>,
    /// The last message to each topic, where those are kept.
    pub last: Option<LastValues>,
    /// What ids of messages are made with.
    chance: Rng,
}

impl Pubsub {
    /// That of a process with so many cores; `seed` is chance from outside.
    pub fn new(cores: usize, seed: u64) -> Self {
        let (subscribers, outgoing, last) = (HashMap::new(), Vec::new(), None);
        Self { index: Index::new(cores), subscribers, outgoing, last, chance: Rng::new(seed) }
    }

    /// Every core is told of every message to a topic where the last ones are kept.
    fn cores_for(&self, reach: &Reach, is_kept: bool) -> BTreeSet<CoreId> {
        match is_kept {
            true => (0..self.index.cores()).map(CoreId::new).collect(),
            false => reach.cores.clone(),
        }
    }

    /// Publishes; how many subscriptions it is for.
    pub fn publish(&mut self, channel: &[u8], payload: &[u8], sharded: bool, now_ms: u64) -> usize {
        let reach = self.index.reach(channel, sharded);
        let is_kept = self.last.is_some() && !sharded && LastValues::are_kept_of(channel);
        if reach.receivers > 0 || is_kept {
            let cores = self.cores_for(&reach, is_kept);
            let (channel, payload) = (channel.to_vec(), payload.to_vec());
            let extra = (reach.by_topic || is_kept).then(|| self.extra(now_ms));
            self.outgoing.push(Message { channel, payload, sharded, extra, cores });
        }
        reach.receivers
    }

    /// Publishes with what a topic's subscribers see; how many subscribers and subscriptions of
    /// RESP it is for.
    pub fn publish_with(&mut self, channel: &[u8], payload: &[u8], extra: Extra) -> usize {
        let reach = self.index.reach(channel, false);
        let is_kept = self.last.is_some() && LastValues::are_kept_of(channel);
        if reach.receivers > 0 || is_kept {
            let cores = self.cores_for(&reach, is_kept);
            let (channel, payload) = (channel.to_vec(), payload.to_vec());
            let extra = Some(extra);
            self.outgoing.push(Message { channel, payload, sharded: false, extra, cores });
        }
        reach.receivers
    }

    /// The id and the time of a new message, which is text.
    pub fn extra(&mut self, now_ms: u64) -> Extra {
        let id = push::uuid(now_ms, [self.chance.draw(), self.chance.draw()]);
        Extra { id, unix_secs: now_ms / 1000, is_json: false, metadata: Vec::new() }
    }

    /// Publishes changes of keys as `flags` wants it.
    pub fn publish_changes(&mut self, told: Vec<Told>, flags: u16, now_ms: u64) {
        // More may be told than these flags want: watchers of keys want all of it.
        for Told { event, key, .. } in told.into_iter().filter(|told| flags & told.class.bit() != 0)
        {
            if flags & BY_KEY != 0 {
                let channel = [b"__keyspace@0__:", &key[..]].concat();
                self.publish(&channel, event.as_bytes(), false, now_ms);
            }
            if flags & BY_EVENT != 0 {
                let channel = format!("__keyevent@0__:{event}");
                self.publish(channel.as_bytes(), &key, false, now_ms);
            }
        }
    }

    /// Whether messages wait for [`Pubsub::take_outgoing`].
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Messages that were published since the last call, in order.
    pub fn take_outgoing(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.outgoing)
    }
}

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("pubsub.publish", |cx, args| publish(cx, args, false)),
    ("pubsub.spublish", |cx, args| publish(cx, args, true)),
    ("pubsub.channels", |cx, args| channels(cx, args, Kind::Channel)),
    ("pubsub.shardchannels", |cx, args| channels(cx, args, Kind::Shard)),
    ("pubsub.numsub", |cx, args| numsub(cx, args, Kind::Channel)),
    ("pubsub.shardnumsub", |cx, args| numsub(cx, args, Kind::Shard)),
    ("pubsub.numpat", |cx, _| Ok(Reply::count(cx.pubsub.index.names(Kind::Pattern).count()))),
];

pub(super) const CORE_HANDLERS: &[(&str, CoreHandler)] = &[
    ("pubsub.subscribe", |cx, args| Ok(subscribe(cx, args, Kind::Channel))),
    ("pubsub.psubscribe", |cx, args| Ok(subscribe(cx, args, Kind::Pattern))),
    ("pubsub.ssubscribe", |cx, args| Ok(subscribe(cx, args, Kind::Shard))),
    ("pubsub.unsubscribe", |cx, args| Ok(unsubscribe(cx, args, Kind::Channel))),
    ("pubsub.punsubscribe", |cx, args| Ok(unsubscribe(cx, args, Kind::Pattern))),
    ("pubsub.sunsubscribe", |cx, args| Ok(unsubscribe(cx, args, Kind::Shard))),
];

type Answer = Result<Reply<'static>, CommandError>;

fn publish(cx: &mut SessionContext<'_>, args: &Args<'_>, sharded: bool) -> Answer {
    let now_ms = cx.now.unix_ms;
    let count = cx.pubsub.publish(args.bytes(Arg(0)), args.bytes(Arg(1)), sharded, now_ms);
    cx.shared.metrics[cx.core.index()].pubsub_published.add(1);
    Ok(Reply::count(count))
}

fn channels(cx: &mut SessionContext<'_>, args: &Args<'_>, kind: Kind) -> Answer {
    let pattern = args.opt_bytes(Arg(0));
    let wanted = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names = cx.pubsub.index.names(kind).filter(wanted);
    Ok(Reply::Array(names.map(|name| Reply::owned(name.to_vec())).collect()))
}

fn numsub(cx: &mut SessionContext<'_>, args: &Args<'_>, kind: Kind) -> Answer {
    let index = &cx.pubsub.index;
    let names = args.rest(Arg(0)).iter().flat_map(|name| {
        [Reply::owned(name.to_vec()), Reply::count(index.subscribers(kind, name))]
    });
    Ok(Reply::Array(names.collect()))
}

pub(super) fn subscribe(cx: &mut CoreContext<'_>, args: &Args<'_>, kind: Kind) -> Reply<'static> {
    let (caller, index, now_ms) = (cx.caller, &mut cx.pubsub.index, cx.now.unix_ms);
    let confirmations = args.rest(Arg(0)).iter().map(|name| {
        let count = index.subscribe(kind, name, caller, now_ms);
        confirmation(verb(kind, true), Some(name), count)
    });
    Reply::Several(confirmations.collect())
}

pub(super) fn unsubscribe(cx: &mut CoreContext<'_>, args: &Args<'_>, kind: Kind) -> Reply<'static> {
    let (caller, index) = (cx.caller, &mut cx.pubsub.index);
    let named: Vec<Box<[u8]>> = match args.rest(Arg(0)) {
        [] => index.names_of(kind, caller),
        names => names.iter().map(|name| (*name).into()).collect(),
    };
    if named.is_empty() {
        return confirmation(verb(kind, false), None, index.count(kind, caller));
    }
    let confirmations = named.iter().map(|name| {
        let count = index.unsubscribe(kind, name, caller);
        confirmation(verb(kind, false), Some(name), count)
    });
    Reply::Several(confirmations.collect())
}

fn verb(kind: Kind, begins: bool) -> &'static str {
    match (kind, begins) {
        (Kind::Channel, true) => "subscribe",
        (Kind::Channel, false) => "unsubscribe",
        (Kind::Pattern, true) => "psubscribe",
        (Kind::Pattern, false) => "punsubscribe",
        (Kind::Shard, true) => "ssubscribe",
        (Kind::Shard, false) => "sunsubscribe",
        (Kind::Topic, true) => "tsubscribe",
        (Kind::Topic, false) => "tunsubscribe",
    }
}

fn confirmation(verb: &'static str, name: Option<&[u8]>, count: usize) -> Reply<'static> {
    let name = name.map_or(Reply::Nil, |name| Reply::owned(name.to_vec()));
    Reply::Push(vec![Reply::borrowed(verb.as_bytes()), name, Reply::count(count)])
}

/// The letters of `notify-keyspace-events`, as Redis has them, but for `m` (misses): reads change
/// nothing here and tell nobody.
const LETTERS: &[(u8, u16)] = &[
    (b'K', BY_KEY),
    (b'E', BY_EVENT),
    (b'g', Notice::Generic.bit()),
    (b'$', Notice::String.bit()),
    (b'l', Notice::List.bit()),
    (b's', Notice::Set.bit()),
    (b'h', Notice::Hash.bit()),
    (b'z', Notice::SortedSet.bit()),
    (b'x', Notice::Expired.bit()),
    (b'e', Notice::Evicted.bit()),
    (b't', Notice::Stream.bit()),
    (b'n', Notice::New.bit()),
];
/// What `A` stands for: every class but new keys.
const ALL_LETTERS: &[u8] = b"g$lshzxet";

fn bits_of(letters: &[u8]) -> u16 {
    let bit = |letter: &u8| LETTERS.iter().find(|(known, _)| known == letter).map(|(_, bit)| bit);
    letters.iter().filter_map(bit).fold(0, |all, bit| all | bit)
}

/// The classes that letters choose; nothing for a letter that is none. Without `K` and `E` there is
/// no channel to tell on, so nothing is told.
pub fn parse_notices(letters: &[u8]) -> Option<u16> {
    let known = |letter: &u8| *letter == b'A' || LETTERS.iter().any(|(known, _)| known == letter);
    if !letters.iter().all(known) {
        return None;
    }
    let all = if letters.contains(&b'A') { bits_of(ALL_LETTERS) } else { 0 };
    Some(bits_of(letters) | all)
}

/// The letters of these classes, in Redis's order.
pub fn show_notices(notices: u16) -> String {
    let all = bits_of(ALL_LETTERS);
    let mut text = String::new();
    let is_all = notices & all == all;
    if is_all {
        text.push('A');
    }
    let order = b"g$lshzxetKEn".iter();
    let shown = order.filter(|letter| {
        let bit = bits_of(&[**letter]);
        notices & bit != 0 && !(is_all && all & bit != 0)
    });
    text.extend(shown.map(|letter| char::from(*letter)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown() {
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kg$", "g$K"),
            ("Eln", "lEn"),
            ("Ex", "xE"),
            ("AKEn", "AKEn"),
        ] {
            let notices = parse_notices(given.as_bytes()).expect("known letters");
            assert_eq!(show_notices(notices), shown, "{given}");
        }
        assert_eq!(parse_notices(b"Kq"), None);
    }

    #[test]
    fn changes_go_to_the_channels_that_are_on() {
        let mut pubsub = Pubsub::new(1, 0);
        for name in [&b"__keyspace@0__:k"[..], b"__keyevent@0__:del"] {
            pubsub.index.subscribe(Kind::Channel, name, 1, 0);
        }
        let told = || vec![Told { class: Notice::Generic, event: "del", key: (*b"k").into() }];
        pubsub.publish_changes(told(), Notice::Generic.bit(), 0);
        assert!(!pubsub.has_outgoing());
        pubsub.publish_changes(told(), BY_KEY | BY_EVENT, 0);
        assert!(!pubsub.has_outgoing());
        pubsub.publish_changes(told(), BY_KEY | BY_EVENT | Notice::Generic.bit(), 0);
        let sent = pubsub.take_outgoing();
        let payloads: Vec<&[u8]> = sent.iter().map(|message| &message.payload[..]).collect();
        assert_eq!(payloads, [&b"del"[..], b"k"]);
    }
}
