//! Messages from who publishes to who listens: on this core straight into the connections' output,
//! to others over the mesh. A message is encoded once per form in which somebody wants it, and
//! those that wait for a WebSocket or an event stream share that one copy.

use synap_shards::command::reply::Reply;
use synap_shards::engine::Engine;
use synap_shards::id::{ConnId, CoreId};
use synap_shards::pubsub::{How, KINDS, WATCH_PREFIX};
use synap_shards::shard::plan::Told;

use super::feed::CAPTURED;
use super::outlet::Outlet;
use super::serve::Host;
use crate::limits::output::Class;
use crate::mailboxes::is_mailbox;
use crate::protocol::push::{self, Extra, Form, Forms};
use crate::protocol::resp::encode::{Protocol, encode};
use crate::session::last_values::{LOOKS_MAX, Last, LastValues};
use crate::session::pubsub::Message;

const MESSAGE: &[u8] = b"message";
const SHARDED: &[u8] = b"smessage";
const BY_TOPIC: &[u8] = b"tmessage";
const FORGET: &[u8] = b"forget";
/// To the core of a request that waits for messages of a subscriber.
pub(super) const POLLED: &[u8] = b"polled";
/// To the core of one in whose place another waits now.
pub(super) const REPLACED: &[u8] = b"replaced";

/// A push as both versions of the protocol have it, each encoded when first wanted.
struct Encoded<'a> {
    push: Reply<'a>,
    versions: [Option<Vec<u8>>; 2],
}

impl<'a> Encoded<'a> {
    fn new(words: &[&'a [u8]]) -> Self {
        let push = Reply::Push(words.iter().map(|word| Reply::borrowed(word)).collect());
        Self { push, versions: [None, None] }
    }

    fn bytes(&mut self, protocol: Protocol) -> &[u8] {
        let at = match protocol {
            Protocol::Resp2 => 0,
            Protocol::Resp3 => 1,
        };
        self.versions[at].get_or_insert_with(|| {
            let mut bytes = Vec::new();
            encode(&self.push, protocol, &mut bytes);
            bytes
        })
    }
}

impl Outlet {
    /// Sends on what was published and which keys changed since the last call.
    pub(super) fn deliver(&mut self, engine: &mut Engine) {
        self.tell_late();
        self.deliver_stale(engine);
        if self.settings.notices != 0 || self.watching {
            let told = engine.take_told();
            if self.watching {
                self.publish_watched(engine, &told);
            }
            self.pubsub.publish_changes(told, self.settings.notices, self.now.unix_ms);
        }
        self.refresh_watching();
        while self.pubsub.has_outgoing() {
            for message in self.pubsub.take_outgoing() {
                self.send_on(engine, &message);
            }
        }
        self.wake_polls(engine);
    }

    /// Has the engine tell of changes of keys while somebody wants to know.
    pub(super) fn refresh_watching(&mut self) {
        let watching = self.pubsub.index.is_watching();
        if watching != self.watching {
            self.watching = watching;
            self.settings_changed = true;
        }
    }

    /// Publishes changes of keys, with what became of them, to those who watch keys.
    fn publish_watched(&mut self, engine: &Engine, told: &[Told]) {
        for Told { event, key, .. } in told {
            let channel = [WATCH_PREFIX, key].concat();
            if self.pubsub.index.reach(&channel, false).receivers == 0 {
                continue;
            }
            let mut extra = self.pubsub.extra(self.now.unix_ms);
            extra.is_json = true;
            let payload = push::change(key, event, engine.look(key));
            self.pubsub.publish_with(&channel, &payload, extra);
        }
    }

    fn send_on(&mut self, engine: &mut Engine, message: &Message) {
        let Message { channel, payload, sharded, extra, cores } = message;
        let kind = if *sharded { SHARDED } else { MESSAGE };
        let packed = extra.as_ref().map(Extra::pack);
        for core in cores.iter().filter(|core| **core != self.core) {
            match &packed {
                None => engine.tell(*core, &[kind, channel, payload]),
                Some(packed) => engine.tell(*core, &[kind, channel, payload, packed]),
            }
        }
        if cores.contains(&self.core) {
            self.hand_out(channel, payload, *sharded, extra.as_ref());
        }
    }

    /// Tells a client of this core the last message to each topic that it has subscribed to just
    /// now, if those are kept.
    pub(super) fn tell_late(&mut self) {
        for (client, patterns) in std::mem::take(&mut self.late) {
            self.tell_last(client, &patterns);
        }
    }

    fn tell_last(&mut self, client: u64, patterns: &[Box<[u8]>]) {
        let cores = self.shared.shard_map.cores();
        let is_here = client % cores as u64 == self.core.index() as u64;
        let Some(last) = self.pubsub.last.as_ref().filter(|_| is_here) else { return };
        let options = &self.shared.http;
        let (mut found, mut looks) = (Vec::new(), LOOKS_MAX);
        for pattern in patterns {
            let left = options.slow_messages_max.saturating_sub(found.len());
            found.extend(last.matching(pattern, left, &mut looks));
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        found.dedup_by(|(one, _), (other, _)| one == other);
        let conn = self.pubsub.subscribers.get(&client).copied();
        for (topic, Last { payload, extra }) in found {
            let mut forms = Forms::new(&topic, &payload, &extra);
            if is_mailbox(client, cores) {
                let message = forms.get(Form::Object);
                let put = self.shared.mailboxes.put(client, message, options.slow_messages_max);
                self.shared.metrics[self.core.index()].slow_consumers_dropped.add(put.dropped);
                self.polls.woken.extend(put.wake.map(|waiter| (waiter, Some(client))));
                continue;
            }
            let connection = conn.and_then(|conn| self.connections.get_mut(conn));
            let Some(connection) = connection.filter(|connection| connection.hears()) else {
                return;
            };
            match &mut connection.live {
                Some(live) => {
                    let bytes_max = self.settings.output_limits.hard(Class::Pubsub);
                    let message = forms.get(live.form());
                    live.enqueue(message, options.slow_messages_max, bytes_max);
                }
                None => {
                    let protocol = connection.client.protocol;
                    let mut push = Encoded::new(&[BY_TOPIC, &topic, &payload]);
                    connection.say(push.bytes(protocol));
                }
            }
        }
        if let Some(conn) = conn {
            self.mark_dirty(conn);
        }
    }

    /// Writes a message to this core's subscribers.
    fn hand_out(&mut self, channel: &[u8], payload: &[u8], sharded: bool, extra: Option<&Extra>) {
        if let (Some(last), Some(extra), false) = (&mut self.pubsub.last, extra, sharded)
            && LastValues::are_kept_of(channel)
        {
            last.keep(channel, payload, extra);
        }
        let kind = if sharded { SHARDED } else { MESSAGE };
        let mut plain = Encoded::new(&[kind, channel, payload]);
        let mut by_topic = None;
        // Who subscribed just now may be known here before the publisher's core knows.
        let index = &self.pubsub.index;
        let may_be_wanted = !sharded && (index.has_topics() || index.is_watching());
        let own = (extra.is_none() && may_be_wanted).then(|| self.pubsub.extra(self.now.unix_ms));
        let mut forms = extra.or(own.as_ref()).map(|extra| Forms::new(channel, payload, extra));
        let metrics = &self.shared.metrics[self.core.index()];
        let cores = self.shared.shard_map.cores();
        let options = &self.shared.http;
        let bytes_max = self.settings.output_limits.hard(Class::Pubsub);
        let (me, connections, dirty) = (self.core, &mut self.connections, &mut self.dirty);
        let (subscribers, polls) = (&self.pubsub.subscribers, &mut self.polls);
        let mut delivered = 0;
        self.pubsub.index.hearers((channel, sharded), me, |client, how| {
            if let (How::Topic, Some(forms)) = (how, &mut forms)
                && is_mailbox(client, cores)
            {
                let message = forms.get(Form::Object);
                let put = self.shared.mailboxes.put(client, message, options.slow_messages_max);
                metrics.slow_consumers_dropped.add(put.dropped);
                polls.woken.extend(put.wake.map(|waiter| (waiter, Some(client))));
                delivered += 1;
                return;
            }
            let Some(conn) = subscribers.get(&client).copied() else { return };
            let Some(connection) = connections.get_mut(conn).filter(|c| c.hears()) else { return };
            let protocol = connection.client.protocol;
            let is_sent = match (how, &mut connection.live, &mut forms) {
                (_, Some(live), Some(forms)) => {
                    live.enqueue(forms.get(live.form()), options.slow_messages_max, bytes_max)
                }
                (How::Channel, ..) => {
                    connection.say(plain.bytes(protocol));
                    true
                }
                (How::Topic, ..) => {
                    let push = || Encoded::new(&[BY_TOPIC, channel, payload]);
                    connection.say(by_topic.get_or_insert_with(push).bytes(protocol));
                    true
                }
                (How::Pattern(pattern), ..) => {
                    let mut push = Encoded::new(&[b"pmessage", pattern, channel, payload]);
                    connection.say(push.bytes(protocol));
                    true
                }
            };
            if is_sent {
                delivered += 1;
            } else {
                metrics.slow_consumers_dropped.add(1);
                if options.slow_disconnects {
                    connection.abandon();
                }
            }
            if !connection.is_dirty {
                connection.is_dirty = true;
                dirty.push(conn);
            }
        });
        metrics.pubsub_delivered.add(delivered);
    }

    /// What another core said.
    pub(super) fn heard(&mut self, words: &[&[u8]]) {
        if self.trackers.hear(words) {
            return;
        }
        match words {
            [REPLACED, conn, ticket] => self.polled(conn, ticket, None),
            [kind, channel, payload] => self.hand_out(channel, payload, *kind == SHARDED, None),
            [POLLED, conn, ticket, number] => self.polled(conn, ticket, Some(number)),
            [kind, channel, payload, extra] => {
                let extra = Extra::unpack(extra);
                self.hand_out(channel, payload, *kind == SHARDED, Some(&extra));
            }
            [FORGET, client] => {
                let client = client.first_chunk::<8>().expect("a number of eight bytes");
                self.pubsub.index.forget(u64::from_le_bytes(*client));
            }
            [CAPTURED] => self.hear_captured(),
            other => unreachable!("no core says {} words", other.len()),
        }
    }

    /// A client is about to subscribe.
    pub(super) fn note_subscriber(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            self.pubsub.subscribers.insert(connection.client.id, conn);
        }
    }

    /// Brings what a client of this core is subscribed to up to date.
    pub(super) fn refresh_subscriptions(&mut self, client: u64) {
        let counts = self.pubsub.index.counts(client);
        let Some(conn) = self.pubsub.subscribers.get(&client).copied() else { return };
        if counts == [0; KINDS] {
            self.pubsub.subscribers.remove(&client);
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.client.subscriptions = counts;
        }
    }

    /// Ends every subscription of a client of this core.
    pub(super) fn forget_subscriber(&mut self, engine: &mut Engine, client: u64) {
        if self.pubsub.subscribers.remove(&client).is_none() {
            return;
        }
        self.forget_everywhere(engine, client);
    }

    /// Ends every subscription of whoever has this number.
    pub(super) fn forget_everywhere(&mut self, engine: &mut Engine, client: u64) {
        self.pubsub.index.forget(client);
        let cores = self.shared.shard_map.cores();
        for core in (0..cores).map(CoreId::new).filter(|core| *core != self.core) {
            engine.tell(core, &[FORGET, &client.to_le_bytes()]);
        }
    }
}

impl Host<'_> {
    /// Ends every subscription of a connection (`RESET`).
    pub(super) fn drop_subscriptions(&mut self, id: ConnId) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        connection.client.subscriptions = [0; KINDS];
        let client = connection.client.id;
        self.outlet.forget_subscriber(self.engine, client);
    }
}
