//! Telling clients of this core that what they have read has changed (`CLIENT TRACKING`): on their
//! own connection, or on the one they name, which may be another core's.
//!
//! What there is to tell is collected during a turn and told at its end, behind the replies that
//! each connection still waits for: a client never hears of a change before it has got what the
//! change makes stale.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use synap_shards::command::reply::Reply;
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Event, Flow};
use synap_shards::id::{ConnId, CoreId};

use super::connection::Connection;
use super::outlet::Outlet;
use super::serve::Host;
use crate::protocol::resp::encode::{Protocol, encode};
use crate::session::tracking::Mode;

/// Where clients of the second version of the protocol hear of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";
const STALE: &[u8] = b"stale";
const BROKEN: &[u8] = b"broken";

type Key = Arc<[u8]>;

/// Something to tell at the end of the turn.
#[derive(Debug)]
enum News {
    /// A key was changed, or all: to clients of this core.
    Changed { readers: Vec<u64>, writer: u64, key: Option<Key> },
    /// Another core's client wants these to be told to one of this core; nothing is all keys.
    Redirected { source: u64, target: u64, keys: Option<Vec<Key>> },
    /// The client that one of this core has named is gone.
    Broken { source: u64 },
}

/// Clients of this core that want to be told, and what they are to be told.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    connections: HashMap<u64, ConnId>,
    /// Clients of this core that others have named, as they were found.
    targets: HashMap<u64, ConnId>,
    news: Vec<News>,
}

impl Trackers {
    /// Number of clients that want to be told.
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// The engine has seen a change.
    pub(super) fn note(&mut self, readers: &[u64], writer: u64, key: Option<&[u8]>) {
        let (readers, key) = (readers.to_vec(), key.map(Key::from));
        self.news.push(News::Changed { readers, writer, key });
    }

    /// What another core said, if it is for here.
    pub(super) fn hear(&mut self, words: &[&[u8]]) -> bool {
        let number = |word: &[u8]| {
            u64::from_le_bytes(*word.first_chunk::<8>().expect("a number of eight bytes"))
        };
        match words {
            [STALE, source, target, keys @ ..] => {
                let keys = (!keys.is_empty()).then(|| keys.iter().map(|key| Key::from(*key)));
                let keys = keys.map(Iterator::collect);
                let (source, target) = (number(source), number(target));
                self.news.push(News::Redirected { source, target, keys });
                true
            }
            [BROKEN, source] => {
                self.news.push(News::Broken { source: number(source) });
                true
            }
            _ => false,
        }
    }
}

/// The keys of a message, or nothing for all.
fn keys_of(keys: Option<&[Key]>) -> Reply<'_> {
    keys.map_or(Reply::Nil, |keys| {
        Reply::Array(keys.iter().map(|key| Reply::borrowed(key)).collect())
    })
}

fn push(connection: &mut Connection, words: Vec<Reply<'_>>) {
    let mut bytes = Vec::new();
    encode(&Reply::Push(words), connection.client.protocol, &mut bytes);
    connection.say_aside(&bytes);
}

impl Outlet {
    fn core_of(&self, client: u64) -> CoreId {
        CoreId::new((client % self.shared.shard_map.cores() as u64) as usize)
    }

    /// Tells what there is to tell.
    pub(super) fn deliver_stale(&mut self, engine: &mut Engine) {
        let mut broadcast: BTreeMap<u64, Vec<Key>> = BTreeMap::new();
        while !self.trackers.news.is_empty() {
            for news in std::mem::take(&mut self.trackers.news) {
                match news {
                    News::Changed { readers, writer, key } => {
                        for reader in readers {
                            self.tell(engine, (reader, writer), key.as_ref(), &mut broadcast);
                        }
                    }
                    News::Redirected { source, target, keys } => {
                        self.tell_target(engine, (source, target), keys.as_deref());
                    }
                    News::Broken { source } => self.tell_broken(source),
                }
            }
        }
        for (reader, keys) in broadcast {
            self.tell_keys(engine, reader, Some(&keys));
        }
    }

    /// Tells a client of this core of one change; keys of those that broadcast are collected.
    fn tell(
        &mut self,
        engine: &mut Engine,
        (reader, writer): (u64, u64),
        key: Option<&Key>,
        broadcast: &mut BTreeMap<u64, Vec<Key>>,
    ) {
        let Some(conn) = self.trackers.connections.get(&reader).copied() else { return };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some(tracking) = connection.client.tracking.as_deref() else { return };
        match key {
            None => self.tell_keys(engine, reader, None),
            Some(_) if tracking.spares_own && writer == reader => {}
            Some(key) if tracking.mode == Mode::Broadcast => {
                broadcast.entry(reader).or_default().push(Arc::clone(key));
            }
            Some(key) => self.tell_keys(engine, reader, Some(std::slice::from_ref(key))),
        }
    }

    fn tell_keys(&mut self, engine: &mut Engine, reader: u64, keys: Option<&[Key]>) {
        let Some(conn) = self.trackers.connections.get(&reader).copied() else { return };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let target = connection.client.tracking.as_deref().map_or(0, |tracking| tracking.redirect);
        if target == 0 {
            if connection.client.protocol == Protocol::Resp3 {
                push(connection, vec![Reply::borrowed(b"invalidate"), keys_of(keys)]);
                self.mark_dirty(conn);
            }
            return;
        }
        let core = self.core_of(target);
        if core == self.core {
            self.tell_target(engine, (reader, target), keys);
            return;
        }
        let (reader, target) = (reader.to_le_bytes(), target.to_le_bytes());
        let mut words: Vec<&[u8]> = vec![STALE, &reader, &target];
        words.extend(keys.unwrap_or_default().iter().map(|key| &**key));
        engine.tell(core, &words);
    }

    /// Tells the client of this core that another one has named.
    fn tell_target(
        &mut self,
        engine: &mut Engine,
        (source, target): (u64, u64),
        keys: Option<&[Key]>,
    ) {
        let Some(conn) = self.find_target(target) else {
            let core = self.core_of(source);
            if core == self.core {
                self.tell_broken(source);
            } else {
                engine.tell(core, &[BROKEN, &source.to_le_bytes()]);
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match connection.client.protocol {
            Protocol::Resp3 => {
                push(connection, vec![Reply::borrowed(b"invalidate"), keys_of(keys)]);
            }
            Protocol::Resp2 if connection.client.is_subscribed() => {
                let words = [b"message", CHANNEL].map(Reply::borrowed);
                push(connection, words.into_iter().chain([keys_of(keys)]).collect());
            }
            Protocol::Resp2 => return,
        }
        self.mark_dirty(conn);
    }

    /// The connection of a client of this core; the search is done once for each.
    fn find_target(&mut self, target: u64) -> Option<ConnId> {
        if let Some(conn) = self.trackers.targets.get(&target) {
            return Some(*conn);
        }
        let mut all = self.connections.iter_mut();
        let (conn, _) = all.find(|(_, connection)| connection.client.id == target)?;
        self.trackers.targets.insert(target, conn);
        Some(conn)
    }

    /// Tells a client that the one it has named is gone.
    fn tell_broken(&mut self, source: u64) {
        let Some(conn) = self.trackers.connections.get(&source).copied() else { return };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some(tracking) = connection.client.tracking.as_deref_mut() else { return };
        tracking.is_broken = true;
        let target = Reply::Integer(tracking.redirect.cast_signed());
        if connection.client.protocol == Protocol::Resp3 {
            push(connection, vec![Reply::borrowed(b"tracking-redir-broken"), target]);
            self.mark_dirty(conn);
        }
    }

    /// A client of this core is gone, or wants to be told no more.
    pub(super) fn forget_tracker(&mut self, engine: &mut Engine, client: u64) {
        self.trackers.targets.remove(&client);
        if self.trackers.connections.remove(&client).is_some() {
            engine.step(self.now, Event::Untrack { client, asked: None }, self);
        }
    }
}

impl Host<'_> {
    /// Tells every core what the client of a connection wants to be told of now.
    pub(super) fn track(&mut self, conn: ConnId) -> Flow {
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        let Some(connection) = self.outlet.connections.get_mut(conn) else {
            return Flow::Continue;
        };
        let client = connection.client.id;
        let now = self.outlet.now;
        let Some(tracking) = connection.client.tracking.as_deref() else {
            self.outlet.trackers.connections.remove(&client);
            let event = Event::Untrack { client, asked: Some((conn, ticket)) };
            return self.engine.step(now, event, self.outlet);
        };
        self.outlet.trackers.connections.insert(client, conn);
        let prefixes = tracking.prefixes.clone();
        let prefixes: Vec<&[u8]> = prefixes.iter().map(|prefix| &**prefix).collect();
        let event = Event::Track { conn, ticket, client, prefixes: &prefixes };
        self.engine.step(now, event, self.outlet)
    }

    /// Ends what a connection wants to be told of (`RESET`).
    pub(super) fn drop_tracking(&mut self, conn: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        if connection.client.tracking.take().is_some() {
            let client = connection.client.id;
            self.outlet.forget_tracker(self.engine, client);
        }
    }
}
