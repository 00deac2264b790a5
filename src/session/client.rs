//! One connection: who it is and how it speaks. Kept on the core that accepted it.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};

use synap_shards::command::table::CommandId;
use synap_shards::engine::event::Reads;
use synap_shards::id::CoreId;
use synap_shards::pubsub::KINDS;

use super::tracking::{Mode, Tracking};
use super::transaction::Pending;
use crate::auth::{Directory, Identity, Verdict, Who};
use crate::limits::{ClientKey, Payer, Rate};
use crate::protocol::resp::encode::Protocol;

/// The kind of port that a connection came in on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listener {
    /// The RESP port that all cores share.
    Resp,
    /// The RESP port of one core, for cluster-aware clients.
    RespShard,
    /// HTTP.
    Http,
}

/// Whether a client wants replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// To every command.
    #[default]
    On,
    /// To none.
    Off,
    /// To every command but the next.
    SkipNext,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    /// Number, unique in the life of the process.
    pub id: u64,
    /// The core that serves it.
    pub core: CoreId,
    /// Name given by the client; empty without.
    pub name: String,
    /// Name of the client library; empty when unknown.
    pub lib_name: String,
    /// Version of the client library; empty when unknown.
    pub lib_ver: String,
    /// Address of the other side.
    pub peer: SocketAddr,
    /// Address of this side.
    pub local: SocketAddr,
    /// Where its requests come from: its peer, or who is behind a trusted proxy that is its peer.
    pub from: IpAddr,
    /// Whom its requests are counted for where they are limited. Whoever has shown who it is may
    /// be counted by that.
    pub payer: Payer,
    /// Unix milliseconds at which it was accepted.
    pub created_ms: u64,
    /// Unix milliseconds of the last request.
    pub active_ms: u64,
    /// Version of RESP it speaks.
    pub protocol: Protocol,
    /// The port it came in on.
    pub listener: Listener,
    /// Whether that is one under TLS.
    pub is_tls: bool,
    /// Whether it wants replies.
    pub reply_mode: ReplyMode,
    /// Whether the request being carried out gets no reply.
    pub(super) skipping: bool,
    /// `CLIENT NO-EVICT`; connections are never closed to save memory, so it is only shown.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH`: its lookups do not count as uses.
    pub no_touch: bool,
    /// It waits for the answer to a command that waits for others.
    pub is_blocked: bool,
    /// Who is behind it.
    pub identity: Identity,
    /// It may not do everything, so each of its requests is looked at.
    pub is_bound: bool,
    /// What came of the credentials of the command that is about to be carried out.
    pub verdict: Option<Verdict>,
    /// What it wants to be told of; nothing of most.
    pub tracking: Option<Box<Tracking>>,
    /// Channels, patterns, sharded channels and topics that it listens to.
    pub subscriptions: [usize; KINDS],
    /// The transaction it has begun, and what it watches; nothing of most.
    pub pending: Option<Box<Pending>>,
    /// Of an HTTP connection: the caller of its transactions when requests do not name one.
    pub http_caller: Option<Box<str>>,
    /// The name in the certificate that it showed under TLS; nothing without one.
    pub certificate: Option<String>,
    /// Requests so far.
    pub commands: u64,
    /// The last command.
    pub last_command: Option<CommandId>,
    /// Bytes received that are not carried out yet.
    pub query_bytes: usize,
    /// Bytes of the buffer for them.
    pub query_capacity: usize,
    /// Bytes of replies that are not written yet.
    pub output_bytes: usize,
    /// Bytes of the buffer for them.
    pub output_capacity: usize,
}

/// The number of the client that a core accepted as its `nth`, counted from 1: unique in the
/// process without asking anyone.
pub fn client_id(nth: u64, core: CoreId, cores: usize) -> u64 {
    nth * cores as u64 + core.index() as u64
}

impl Client {
    /// A connection that was just accepted, of someone who is looked at from its first request on.
    pub fn new(
        id: u64,
        core: CoreId,
        peer: SocketAddr,
        local: SocketAddr,
        listener: Listener,
        identity: Identity,
        now_ms: u64,
    ) -> Self {
        Self {
            id,
            core,
            name: String::new(),
            lib_name: String::new(),
            lib_ver: String::new(),
            peer,
            local,
            from: peer.ip(),
            payer: payer(peer.ip(), &identity),
            created_ms: now_ms,
            active_ms: now_ms,
            protocol: Protocol::default(),
            listener,
            is_tls: false,
            reply_mode: ReplyMode::On,
            skipping: false,
            no_evict: false,
            no_touch: false,
            is_blocked: false,
            is_bound: !identity.is_admin(),
            identity,
            verdict: None,
            tracking: None,
            subscriptions: [0; KINDS],
            pending: None,
            http_caller: None,
            certificate: None,
            commands: 0,
            last_command: None,
            query_bytes: 0,
            query_capacity: 0,
            output_bytes: 0,
            output_capacity: 0,
        }
    }

    /// Notes that a request begins; of an unknown command there is no `command`. Answers whether
    /// its reply is to be sent. [`super::run`] knows that too and answers accordingly.
    #[inline]
    pub fn begin(&mut self, command: Option<CommandId>, now_ms: u64) -> bool {
        self.commands += 1;
        self.active_ms = now_ms;
        if command.is_some() {
            self.last_command = command;
        }
        match self.reply_mode {
            ReplyMode::On => {
                self.skipping = false;
                true
            }
            ReplyMode::Off => false,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                self.skipping = true;
                false
            }
        }
    }

    /// From now on it is this one.
    pub fn becomes(&mut self, identity: Identity) {
        self.is_bound = !identity.is_admin();
        self.payer = payer(self.from, &identity);
        self.identity = identity;
    }

    /// Who is behind it where it says nothing: whom its certificate names, or nobody.
    pub fn unsaid(&self, directory: &Directory, now_ms: u64) -> Identity {
        let certified = self.certificate.as_deref().filter(|_| directory.is_enabled());
        let found = certified.map(|name| {
            let who = Who::Certificate(name.into());
            directory.resolve(&who, self.from, now_ms)
        });
        match found {
            Some(Ok(identity)) => identity,
            Some(Err(_)) | None => directory.anonymous(),
        }
    }

    /// Its next request comes from there.
    pub fn comes_from(&mut self, address: IpAddr) {
        self.from = address;
        self.payer = payer(address, &self.identity);
    }

    /// A name of who is behind it.
    pub fn user(&self) -> &str {
        self.identity.label()
    }

    /// What its lookups leave behind.
    #[inline]
    pub fn reads(&self) -> Reads {
        let tracked = self.tracking.as_deref().is_some_and(Tracking::wants_reads);
        Reads { client: self.id, quiet: self.no_touch, tracked, bound: self.is_bound }
    }

    /// A request of it was begun: what `CLIENT CACHING` said held for that one, or holds until the
    /// end of its transaction.
    #[inline]
    pub fn has_begun(&mut self, command: Option<CommandId>) {
        let Some(tracking) = self.tracking.as_deref_mut() else { return };
        let in_multi = self.pending.as_deref().is_some_and(Pending::is_open);
        let is_about_clients = command.is_some_and(|id| id.spec().container() == "CLIENT");
        if !in_multi && !is_about_clients {
            tracking.caching = false;
        }
    }

    /// Whether it listens to anything.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions != [0; KINDS]
    }

    /// Back to the state of a new connection (`RESET`).
    pub(super) fn reset(&mut self) {
        self.name.clear();
        self.protocol = Protocol::default();
        self.reply_mode = ReplyMode::On;
        self.skipping = false;
        self.no_evict = false;
        self.no_touch = false;
    }

    /// Facts on one line, without its end, under the names of Redis.
    pub fn describe(&self, now_ms: u64) -> String {
        let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
        let mut line = String::with_capacity(320);
        let mut add = |text: std::fmt::Arguments<'_>| {
            line.write_fmt(text).expect("a string takes all that is written to it");
        };
        add(format_args!("id={} addr={} laddr={} fd=-1", self.id, self.peer, self.local));
        add(format_args!(" name={} age={}", self.name, seconds(self.created_ms)));
        add(format_args!(" idle={} flags={} db=0", seconds(self.active_ms), self.flags()));
        let pending = self.pending.as_deref();
        let queued = pending.and_then(Pending::queued).map_or(-1, |count| count as i64);
        let watched = pending.map_or(0, Pending::watched);
        let [channels, patterns, shards, topics] = self.subscriptions;
        add(format_args!(" sub={channels} psub={patterns} ssub={shards} tsub={topics}"));
        add(format_args!(" multi={queued} watch={watched}"));
        add(format_args!(" qbuf={}", self.query_bytes));
        add(format_args!(" qbuf-free={}", self.query_capacity.saturating_sub(self.query_bytes)));
        let multi_mem = pending.map_or(0, Pending::queued_bytes);
        add(format_args!(" argv-mem=0 multi-mem={multi_mem} rbs={}", self.output_capacity));
        add(format_args!(" rbp=0 obl={} oll=0 omem=0", self.output_bytes));
        add(format_args!(" tot-mem={} events=r", self.query_capacity + self.output_capacity));
        add(format_args!(" cmd={} user={}", self.last_command_name(), self.user()));
        let redirect = self.tracking.as_deref().map(|tracking| tracking.redirect.cast_signed());
        add(format_args!(" redir={}", redirect.unwrap_or(-1)));
        add(format_args!(" resp={} lib-name={}", self.protocol.number(), self.lib_name));
        add(format_args!(" lib-ver={} tot-cmds={}", self.lib_ver, self.commands));
        add(format_args!(" core={}", self.core.index()));
        if let Some(name) = &self.certificate {
            // Blanks part the fields of the line.
            let name: String =
                name.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
            add(format_args!(" cert={name}"));
        }
        line
    }

    fn flags(&self) -> String {
        let tracking = self.tracking.as_deref();
        let in_multi = self.pending.as_deref().is_some_and(Pending::is_open);
        let letters = [
            (self.is_subscribed(), 'P'),
            (in_multi, 'x'),
            (self.is_blocked, 'b'),
            (tracking.is_some(), 't'),
            (tracking.is_some_and(|tracking| tracking.is_broken), 'R'),
            (tracking.is_some_and(|tracking| tracking.mode == Mode::Broadcast), 'B'),
            (self.no_evict, 'e'),
            (self.no_touch, 'T'),
        ];
        let flags: String =
            letters.into_iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect();
        if flags.is_empty() { "N".into() } else { flags }
    }

    fn last_command_name(&self) -> String {
        self.last_command.map_or_else(|| "NULL".into(), |id| barred_name(id.spec().resp))
    }
}

/// Who pays for the requests of a caller.
fn payer(from: IpAddr, identity: &Identity) -> Payer {
    match identity.who() {
        who if who.is_authenticated() => Payer {
            key: ClientKey::Principal(number_of(who)),
            rate: identity.rate_limit().map(Rate::per_minute),
        },
        _ => Payer::of(from),
    }
}

/// The same number for the same caller on every core.
fn number_of(who: &Who) -> u64 {
    let mut hasher = DefaultHasher::new();
    who.hash(&mut hasher);
    hasher.finish()
}

/// A command's name as Redis shows it: lower case, subcommands behind a bar.
pub(super) fn barred_name(resp: &str) -> String {
    resp.to_ascii_lowercase().replace(' ', "|")
}
