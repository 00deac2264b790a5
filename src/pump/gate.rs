//! Who is behind a connection, and whether it may do what it asks for. Every way in passes here:
//! commands of RESP and of HTTP when they are checked, requests before they are carried out,
//! streams before they begin, and everything that goes on when rights change.
//!
//! What cannot be decided at once is parked: it is begun when the verdict is there, and nothing of
//! its connection before that, so the order of requests and replies stays what it is.

use synap_shards::command::args::Words;
use synap_shards::command::error::CommandError;
use synap_shards::command::spec::Flags;
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::tx::Queued;
use synap_shards::id::ConnId;
use synap_shards::pubsub::{Index, Kind};
use zeroize::Zeroizing;

use super::connection::Connection;
use super::login::{Shown, note_denied};
use super::outlet::Outlet;
use super::serve::Host;
use crate::auth::{Action, Check, Identity, Question, Refusal, ResourceKind, Rights, Verdict};
use crate::protocol::http::credential;
use crate::protocol::http::decode::HttpRequest;
use crate::protocol::http::head::Verb;
use crate::protocol::http::live::Live;
use crate::protocol::http::route::{Builtin, Routed};
use crate::session::authorize::{self, EVERYTHING, Glob, Missing, Need, Place, Touch};
use crate::session::client::{Client, Listener};
use crate::session::topics::NO_SUBSCRIBER;
use crate::session::visible::Sight;

/// What a caller is told who has to say first who it is.
pub(super) const NO_IDENTITY: CommandError =
    CommandError::Denied { code: "NOAUTH", message: "Authentication required." };
const WRONG_IDENTITY: CommandError =
    CommandError::Denied { code: "WRONGPASS", message: "the credentials are not valid" };
pub(super) const TOO_MANY_ASK: CommandError = CommandError::Coded {
    code: "BUSY",
    message: "too many passwords are being verified, try again",
};

/// What waits for a verdict.
#[derive(Debug)]
pub(super) struct Parked {
    work: Work,
    verdict: Option<Verdict>,
}

/// What is begun then.
#[derive(Debug)]
pub(super) enum Work {
    /// A command that carries a password.
    Words(Vec<Zeroizing<Vec<u8>>>),
    /// A request.
    Request(Box<Routed>),
    /// A request that is answered with the verdict itself.
    Login(Box<Routed>),
}

impl Parked {
    /// Whether the verdict is missing.
    pub(super) fn waits(&self) -> bool {
        self.verdict.is_none()
    }

    /// Takes it.
    pub(super) fn take(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

/// A right that a connection was let in with and goes on using, as part of a command.
#[derive(Clone, Debug)]
pub(super) struct Held {
    command: CommandId,
    action: Action,
    kind: ResourceKind,
    name: Box<[u8]>,
}

impl Held {
    /// That right, as part of the command of this name, which the table has.
    fn new(command: &[u8], action: Action, kind: ResourceKind, name: &[u8]) -> Self {
        let command = table::by_name(command).expect("the table has it");
        Self { command, action, kind, name: Box::from(name) }
    }

    fn is_granted(&self, rights: &Rights) -> bool {
        let (action, kind, name) = (self.action, self.kind, &*self.name);
        let touch = if action == Action::Read { Touch::Reads } else { Touch::Both };
        authorize::grants(rights, self.command, Need { action, kind, name, touch })
    }
}

/// A command that waits for others, with its words.
pub(super) type Waiting = (CommandId, Vec<Box<[u8]>>);

/// What becomes of a request whose sender was looked for.
pub(super) enum Asked {
    /// It goes on.
    GoesOn,
    /// It is refused.
    Refused(CommandError),
    /// A password is to be verified first.
    Unsure(Box<Question>),
    /// It is to be parked.
    Waits,
    /// It is answered with this.
    LoggedIn(Verdict),
}

/// Whether the caller behind a connection may run a command, which it has sent; that it may not is
/// noted.
///
/// # Errors
/// It may not, or has to say first who it is.
pub(super) fn admit(
    client: &Client,
    is_required: bool,
    command: CommandId,
    words: &[&[u8]],
    place: Place,
) -> Result<(), CommandError> {
    let admitted = may(client, is_required, command, words, place);
    if admitted.is_err() {
        note_denied(client, command.spec().resp);
    }
    admitted
}

/// Whether the caller behind a connection may run a command.
///
/// # Errors
/// It may not, or has to say first who it is.
fn may(
    client: &Client,
    is_required: bool,
    command: CommandId,
    words: &[&[u8]],
    place: Place,
) -> Result<(), CommandError> {
    let spec = command.spec();
    if spec.flags.has(Flags::NO_AUTH) {
        return Ok(());
    }
    let identity = known(client, is_required)?;
    authorize::admits(identity.rights(), command, words, place)
        .map_err(|missing| refusal(identity, missing, spec.resp))
}

/// What a caller is told whose credential was not taken.
fn wrong(refusal: Refusal) -> CommandError {
    match refusal {
        Refusal::HeldOff { wait_ms } => CommandError::HeldOff { wait_ms },
        _ => WRONG_IDENTITY,
    }
}

/// Who is behind a connection, where that is enough to be asked about rights.
fn known(client: &Client, is_required: bool) -> Result<&Identity, CommandError> {
    let is_nobody = !client.identity.who().is_authenticated();
    if is_nobody && is_required { Err(NO_IDENTITY) } else { Ok(&client.identity) }
}

/// Whether the caller behind a connection has all of these rights; what it is told where not.
fn holds(
    client: &Client,
    is_required: bool,
    needs: &[Held],
    (missing, what): (Missing, &str),
) -> Result<(), CommandError> {
    let identity = known(client, is_required)?;
    let rights = identity.rights();
    match needs.iter().all(|held| held.is_granted(rights)) {
        true => Ok(()),
        false => Err(refusal(identity, missing, what)),
    }
}

/// Who has not said who it is may be allowed more when it does.
fn refusal(identity: &Identity, missing: Missing, name: &str) -> CommandError {
    match identity.who().is_authenticated() {
        true => missing.refusal(identity.label(), name),
        false => NO_IDENTITY,
    }
}

/// The rights that a stream needs to begin and to go on.
fn needs_of(live: &Live) -> Vec<Held> {
    let held = Held::new;
    match live {
        Live::Echo => Vec::new(),
        Live::Topics(topics) | Live::Events(topics) => {
            let cover = |topic: &String| authorize::cover(topic.as_bytes(), Glob::Topic);
            let topics = topics.iter().map(cover);
            let kind = ResourceKind::PubSub;
            topics.map(|name| held(b"SYNAP.SUBSCRIBE", Action::Read, kind, &name)).collect()
        }
        Live::Keys(keys) => {
            let cover = |key: &String| authorize::cover(key.as_bytes(), Glob::Redis);
            let keys = keys.iter().map(cover);
            let kind = ResourceKind::Kv;
            keys.map(|name| held(b"PSUBSCRIBE", Action::Read, kind, &name)).collect()
        }
        Live::Changes { .. } => {
            vec![held(b"CDC.READ", Action::Read, ResourceKind::Kv, EVERYTHING)]
        }
        Live::Audit(_) => vec![held(b"ACL LIST", Action::Admin, ResourceKind::Admin, b"audit")],
        Live::Queue(wanted) => {
            let queue = wanted.queue.as_bytes();
            vec![held(b"QCONSUME", Action::Consume, ResourceKind::Queue, queue)]
        }
        Live::Stream(wanted) => {
            let (command, kind) = match wanted.partition {
                None => (&b"SREAD"[..], ResourceKind::Stream),
                Some(_) => (&b"TREAD"[..], ResourceKind::Topic),
            };
            vec![held(command, Action::Read, kind, wanted.name.as_bytes())]
        }
    }
}

/// Whether a request is answered whoever asks.
fn is_open(request: &HttpRequest<'_>, has_public_metrics: bool) -> bool {
    let is_metrics = request.path == "/metrics" || request.path.starts_with("/health/");
    // What a browser asks before it asks, it asks without credentials.
    request.verb == Verb::Options
        || request.path == "/health"
        || (request.path == "/auth/login" && request.verb == Verb::Post)
        || (is_metrics && has_public_metrics)
}

impl Outlet {
    /// Who is behind a connection that says nothing: whom its certificate names, or nobody.
    pub(super) fn unsaid(&mut self, conn: ConnId) -> Identity {
        let Some(connection) = self.connections.get_mut(conn) else {
            return self.desk.directory().anonymous();
        };
        let identity = connection.client.unsaid(self.desk.directory(), self.now.unix_ms);
        self.desk.count(&identity, self.now.unix_ms);
        identity
    }

    /// Nobody has to be let in here without saying who it is.
    fn stays_out(&mut self, conn: ConnId, nobody: Identity) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.client.becomes(nobody);
        note_denied(&connection.client, "request");
    }

    /// What the client of a connection sees of a list of names; nothing where that is all.
    pub(super) fn sight(&mut self, conn: ConnId, kind: ResourceKind) -> Option<Sight> {
        let client = &self.connections.get_mut(conn)?.client;
        if !client.is_bound {
            return None;
        }
        Sight::of(client.identity.rights(), kind)
    }

    /// Brings what connections may do up to date when there is a newer directory.
    pub(super) fn refresh_rights(&mut self) {
        if !self.desk.refresh() {
            return;
        }
        self.leases.set_own(self.desk.directory().has_rate_limits());
        for conn in self.connections.ids() {
            self.look_again(conn);
        }
    }

    /// Finds out anew who is behind a connection; one that goes on with something it may not do
    /// any more ends.
    fn look_again(&mut self, conn: ConnId) {
        let now_ms = self.now.unix_ms;
        let directory = self.desk.directory().clone();
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let client = &mut connection.client;
        let found = directory.resolve(client.identity.who(), client.from, now_ms);
        // Connections of a user end with it; over HTTP each request says who it is.
        let is_over = matches!(found, Err(Refusal::Credential))
            && client.identity.who().user().is_some()
            && client.listener != Listener::Http;
        client.becomes(found.unwrap_or_else(|_| directory.anonymous()));
        let may_go_on =
            !is_over && (!client.is_bound || self.may_go_on(conn, directory.is_required()));
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if !may_go_on {
            connection.close();
            self.killed.push(conn);
            self.hunger(conn);
            self.mark_dirty(conn);
        }
    }

    fn may_go_on(&mut self, conn: ConnId, is_required: bool) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return true };
        let goes_on = connection.live.is_some()
            || connection.client.is_subscribed()
            || connection.client.tracking.is_some()
            || connection.waiting.is_some();
        if !goes_on {
            return true;
        }
        let Ok(identity) = known(&connection.client, is_required) else { return false };
        let rights = identity.rights();
        let may_wait = connection.waiting.as_deref().is_none_or(|(command, words)| {
            let words: Words<'_> = words.iter().map(|word| &**word).collect();
            may(&connection.client, is_required, *command, &words, Place::Alone).is_ok()
        });
        may_wait
            && connection.granted.iter().all(|held| held.is_granted(rights))
            && may_listen(&self.pubsub.index, &connection.client)
    }
}

/// Whether a client may listen to all that it listens to, and be told of what it tracks.
fn may_listen(index: &Index, client: &Client) -> bool {
    const LISTENS: [(Kind, &str); 4] = [
        (Kind::Channel, "SUBSCRIBE"),
        (Kind::Pattern, "PSUBSCRIBE"),
        (Kind::Shard, "SSUBSCRIBE"),
        (Kind::Topic, "SYNAP.SUBSCRIBE"),
    ];
    let can = |words: &[&[u8]]| {
        let command = table::lookup(words).expect("the table has it");
        may(client, false, command, words, Place::Alone).is_ok()
    };
    let prefixes = client.tracking.iter().flat_map(|tracking| &tracking.prefixes);
    let mut told =
        prefixes.map(|prefix| can(&[b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix]));
    LISTENS.iter().all(|(kind, verb)| {
        let names = index.names_of(*kind, client.id);
        names.iter().all(|name| can(&[verb.as_bytes(), name]))
    }) && told.all(|can| can)
}

impl Host<'_> {
    /// Sees to a command that carries credentials. Whether it was parked.
    pub(super) fn parks(&mut self, conn: ConnId, command: CommandId, words: &[&[u8]]) -> bool {
        let has_verdict = |connection: &mut Connection| {
            connection.client.verdict.is_some()
                || connection.client.pending.as_deref().is_some_and(|pending| pending.is_open())
        };
        if !self.outlet.desk.directory().is_enabled()
            || self.outlet.connections.get_mut(conn).is_none_or(has_verdict)
        {
            return false;
        }
        let Some((user, secret)) = crate::session::credentials(command, words) else {
            return false;
        };
        let verdict = match self.try_in_turn(conn, user, secret) {
            Shown::Known(verdict) => Some(verdict),
            Shown::Later => None,
            Shown::Busy => return false,
        };
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return true };
        if verdict.is_some() {
            connection.client.verdict = verdict;
            return false;
        }
        let words = words.iter().map(|word| Zeroizing::new(word.to_vec())).collect();
        connection.parked = Some(Box::new(Parked { work: Work::Words(words), verdict }));
        true
    }

    /// Begins what was parked and has its verdict now. Whether there was something.
    pub(super) fn unpark_words(&mut self, conn: ConnId) -> bool {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return false };
        let Some(parked) = connection.parked.take() else { return false };
        let Parked { work: Work::Words(words), verdict } = *parked else { return false };
        connection.client.verdict = verdict;
        let words: Words<'_> = words.iter().map(|word| word.as_slice()).collect();
        self.dispatch(conn, &words, None, None);
        true
    }

    /// The same of a request; what is to be done, or the refusal.
    pub(super) fn unpark_request(&mut self, conn: ConnId) -> Option<(Routed, Asked)> {
        let connection = self.outlet.connections.get_mut(conn)?;
        let Parked { work, verdict } = *connection.parked.take()?;
        let verdict = verdict.unwrap_or(Verdict::Refused(Refusal::Credential));
        match (work, verdict) {
            (Work::Words(_), _) => None,
            (Work::Login(routed), verdict) => Some((*routed, Asked::LoggedIn(verdict))),
            (Work::Request(routed), Verdict::Granted(identity)) => {
                connection.client.becomes(identity);
                Some((*routed, Asked::GoesOn))
            }
            (Work::Request(routed), Verdict::Refused(refusal)) => {
                Some((*routed, Asked::Refused(wrong(refusal))))
            }
        }
    }

    /// Parks a request.
    pub(super) fn park_request(&mut self, conn: ConnId, routed: Routed) {
        self.park(conn, Work::Request(Box::new(routed)));
    }

    /// Parks a request to log in.
    pub(super) fn park_login(&mut self, conn: ConnId, routed: Routed) {
        self.park(conn, Work::Login(Box::new(routed)));
    }

    fn park(&mut self, conn: ConnId, work: Work) {
        if let Some(connection) = self.outlet.connections.get_mut(conn) {
            connection.parked = Some(Box::new(Parked { work, verdict: None }));
        }
    }

    /// Finds out who sent a request.
    pub(super) fn identify(&mut self, conn: ConnId, request: &HttpRequest<'_>) -> Asked {
        let directory = self.outlet.desk.directory().clone();
        if !directory.is_enabled() {
            return Asked::GoesOn;
        }
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Asked::GoesOn };
        let from = connection.client.from;
        let identity = match credential::of(request) {
            Err(_) => {
                self.note_unreadable(conn);
                return Asked::Refused(WRONG_IDENTITY);
            }
            Ok(None) => {
                let identity = self.outlet.unsaid(conn);
                let is_open = is_open(request, directory.has_public_metrics());
                if directory.is_required() && !identity.who().is_authenticated() && !is_open {
                    self.outlet.stays_out(conn, identity);
                    return Asked::Refused(NO_IDENTITY);
                }
                identity
            }
            Ok(Some(credential)) => match self.outlet.look(conn, &credential, from) {
                Check::Decided(Verdict::Granted(identity)) => identity,
                Check::Decided(Verdict::Refused(refusal)) => {
                    return Asked::Refused(wrong(refusal));
                }
                Check::Ask(question) => return Asked::Unsure(Box::new(question)),
            },
        };
        if let Some(connection) = self.outlet.connections.get_mut(conn) {
            connection.client.becomes(identity);
        }
        Asked::GoesOn
    }

    /// Has the password verified that a request shows.
    pub(super) fn verify(&mut self, conn: ConnId, question: Question) -> Asked {
        match self.outlet.ask(conn, question) {
            Shown::Busy => Asked::Refused(TOO_MANY_ASK),
            Shown::Known(_) | Shown::Later => Asked::Waits,
        }
    }

    /// Lets a stream begin, if its caller may hear it.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn admit_live(&mut self, conn: ConnId, live: &Live) -> Result<(), CommandError> {
        let is_required = self.outlet.desk.directory().is_required();
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Ok(()) };
        let needs = needs_of(live);
        if connection.client.is_bound {
            let missing = match live {
                Live::Topics(_) | Live::Events(_) => Missing::Channel,
                _ => Missing::Name,
            };
            let admitted = holds(&connection.client, is_required, &needs, (missing, ""));
            if admitted.is_err() {
                note_denied(&connection.client, "stream");
            }
            admitted?;
        }
        if self.outlet.desk.directory().is_enabled() {
            connection.granted = needs;
        }
        Ok(())
    }

    /// Whether the caller of a connection may see one of the server's own answers.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn admit_builtin(
        &mut self,
        conn: ConnId,
        builtin: &Builtin,
    ) -> Result<(), CommandError> {
        let directory = self.outlet.desk.directory();
        let (is_required, is_public) = (directory.is_required(), directory.has_public_metrics());
        let (part_of, action, kind, name) = match builtin {
            Builtin::Health | Builtin::DssHealth => return Ok(()),
            Builtin::Metrics | Builtin::DssMetrics | Builtin::HealthOf(_) if is_public => {
                return Ok(());
            }
            Builtin::Metrics | Builtin::DssMetrics | Builtin::HealthOf(_) => {
                (&b"INFO"[..], Action::Read, ResourceKind::Admin, &b"metrics"[..])
            }
            Builtin::Info(_) => {
                (&b"INFO"[..], Action::Admin, ResourceKind::Admin, &b"server.info"[..])
            }
            Builtin::Audit(..) => {
                (&b"ACL LIST"[..], Action::Admin, ResourceKind::Admin, &b"audit"[..])
            }
            Builtin::KvStats | Builtin::TypeStats(_) => {
                (&b"SYNAP.KVSTATS"[..], Action::Read, ResourceKind::Kv, EVERYTHING)
            }
        };
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Ok(()) };
        if !connection.client.is_bound {
            return Ok(());
        }
        let what = match builtin {
            Builtin::Audit(..) => "audit",
            _ => "info",
        };
        let need = [Held::new(part_of, action, kind, name)];
        let admitted = holds(&connection.client, is_required, &need, (Missing::Command, what));
        if admitted.is_err() {
            note_denied(&connection.client, what);
        }
        admitted
    }

    /// Whether the caller of a connection may run all of these, which were queued: rights may have
    /// changed since, and others may have queued them.
    ///
    /// # Errors
    /// One of them it may not.
    pub(super) fn admit_queued(
        &mut self,
        conn: ConnId,
        commands: &[Queued],
    ) -> Result<(), CommandError> {
        let is_required = self.outlet.desk.directory().is_required();
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Ok(()) };
        let client = &connection.client;
        if !client.is_bound {
            return Ok(());
        }
        commands.iter().try_for_each(|queued| {
            admit(client, is_required, queued.command(), &queued.words(), Place::Inside)
        })
    }

    /// Whether the caller may take the messages of a subscriber without a connection.
    ///
    /// # Errors
    /// It may not, or nobody can say what messages those are.
    pub(super) fn admit_poll(&mut self, conn: ConnId, number: u64) -> Result<(), CommandError> {
        let is_bound = |connection: &mut Connection| connection.client.is_bound;
        if self.outlet.connections.get_mut(conn).is_some_and(is_bound)
            && self.outlet.pubsub.index.names_of(Kind::Topic, number).is_empty()
        {
            return Err(CommandError::Invalid(NO_SUBSCRIBER));
        }
        self.admit_speaker(conn, number)
    }

    /// Whether the caller may speak for a subscriber without a connection: it may hear all that
    /// the subscriber listens to.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn admit_speaker(&mut self, conn: ConnId, number: u64) -> Result<(), CommandError> {
        let names = self.outlet.pubsub.index.names_of(Kind::Topic, number);
        let is_required = self.outlet.desk.directory().is_required();
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Ok(()) };
        if !connection.client.is_bound {
            return Ok(());
        }
        names.iter().try_for_each(|name| {
            let words: [&[u8]; 2] = [b"SYNAP.SUBSCRIBE", name];
            let command = table::lookup(&words).expect("the table has it");
            admit(&connection.client, is_required, command, &words, Place::Alone)
        })
    }
}
