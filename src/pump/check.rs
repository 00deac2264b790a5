//! What can be said against a command before any data is looked at: the caller's rights, what is
//! switched off, limits, and whether the disk takes writes.

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::spec::{Access, CommandSpec, Family, Flags, Keys, Run};
use synap_shards::command::table::CommandId;
use synap_shards::id::ConnId;
use synap_shards::key::slot_of;
use synap_shards::limits::SLOTS_PER_SHARD;
use synap_shards::pubsub::Kind as Subscription;

use super::connection::Connection;
use super::gate::admit;
use super::serve::Host;
use crate::protocol::resp::encode::Protocol;
use crate::session::authorize::Place;
use crate::session::client::{Client, Listener};
use crate::session::transaction::Pending;

/// Why a write is refused. Redis's code for a log that cannot be written.
const DISK_FULL: &str =
    "Errors writing to the log: the disk is full. Writes are refused until there is room";

impl Host<'_> {
    /// Checks what does not depend on data.
    #[inline]
    pub(super) fn checked(
        &mut self,
        id: ConnId,
        command: CommandId,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let (spec, words) = (command.spec(), args.words());
        let mut is_slotted = false;
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            is_slotted = connection.client.listener == Listener::RespShard;
            if connection.client.is_bound {
                let is_required = self.outlet.desk.directory().is_required();
                admit(&connection.client, is_required, command, words, place_of(connection))?;
            }
            check_subscribed(&connection.client, spec)?;
        }
        let settings = &self.outlet.settings;
        if spec.flags.has(Flags::FLUSH) && !settings.allow_flush_commands {
            return Err(CommandError::Disabled { key: "kv_store.allow_flush_commands" });
        }
        match spec.family {
            Family::Queue if !settings.queues => return Err(switched_off("Queue system disabled")),
            Family::Topic | Family::Group if !settings.streams => {
                return Err(switched_off("Stream system disabled"));
            }
            Family::Pubsub => self.admit_subscriptions(id, spec, args)?,
            _ => {}
        }
        let settings = &self.outlet.settings;
        if spec.id == "server.waitaof"
            && args.integer(Arg(0)) > 0
            && !self.outlet.shared.persistence
        {
            return Err(CommandError::Invalid(
                "WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        if spec.access == Access::Write {
            if self.outlet.disk_full {
                let metrics = &self.outlet.shared.metrics[self.outlet.core.index()];
                metrics.wal_refused.add(1);
                return Err(CommandError::Coded { code: "MISCONF", message: DISK_FULL });
            }
            if settings.read_only {
                return Err(CommandError::Coded {
                    code: "READONLY",
                    message: "You can't write against a read only server.",
                });
            }
            let limit = settings.max_value_bytes;
            if words.iter().any(|word| word.len() > limit) {
                return Err(CommandError::StringTooLong { limit });
            }
        }
        if is_slotted && matches!(spec.keys, Keys::Range { .. }) {
            self.check_slots(id, command, words)?;
        }
        Ok(())
    }

    /// Whether there may be as many subscriptions as a command asks for.
    fn admit_subscriptions(
        &mut self,
        id: ConnId,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let kind = match spec.id {
            "pubsub.subscribe" => Subscription::Channel,
            "pubsub.psubscribe" => Subscription::Pattern,
            "pubsub.ssubscribe" => Subscription::Shard,
            "pubsub.topic_subscribe" => Subscription::Topic,
            _ => return Ok(()),
        };
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let client = self.outlet.speaker.unwrap_or(connection.client.id);
        let limits = &self.outlet.settings.subscriptions;
        self.outlet.pubsub.index.admit(kind, args.rest(Arg(0)), client, limits)
    }

    /// Of a client on a shard-aware port: sends it to the core that owns the keys.
    fn check_slots(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
    ) -> Result<(), CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let (host, is_tls) = (connection.client.local.ip(), connection.client.is_tls);
        let spec = command.spec();
        let mut slots = spec.key_positions(words).into_iter().map(|at| slot_of(words[at]));
        let Some(slot) = slots.next() else { return Ok(()) };
        if slots.any(|other| other != slot) {
            return Err(CommandError::Coded {
                code: "CROSSSLOT",
                message: "Keys in request don't hash to the same slot",
            });
        }
        let shard = synap_shards::id::ShardId::new(usize::from(slot) / SLOTS_PER_SHARD);
        let owner = self.outlet.shared.shard_map.owner(shard);
        let base = self.outlet.shared.shard_ports.for_client(is_tls);
        match base {
            Some(base) if owner != self.outlet.core => {
                let port = usize::from(base) + owner.index();
                let address = if host.is_ipv6() {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                };
                Err(CommandError::Moved { slot, address })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Where a command of this connection is run.
fn place_of(connection: &Connection) -> Place {
    let is_open = connection.client.pending.as_deref().is_some_and(Pending::is_open);
    if is_open { Place::Inside } else { Place::Alone }
}

fn switched_off(message: &'static str) -> CommandError {
    CommandError::Coded { code: "DISABLED", message }
}

/// In the second version of the protocol a client that listens may send little else: it could not
/// tell replies from messages.
fn check_subscribed(client: &Client, spec: &CommandSpec) -> Result<(), CommandError> {
    const ALLOWED: [&str; 3] = ["PING", "QUIT", "RESET"];
    if client.protocol == Protocol::Resp3 || !client.is_subscribed() {
        return Ok(());
    }
    let subscribes = spec.family == Family::Pubsub && matches!(spec.run, Run::EveryCore(_));
    if subscribes || ALLOWED.contains(&spec.resp) {
        return Ok(());
    }
    Err(CommandError::Quoted {
        before: "Can't execute '",
        found: spec.resp.to_ascii_lowercase().replace(' ', "|"),
        after: "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                this context",
    })
}
