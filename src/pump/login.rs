//! What becomes of a credential that a caller shows: held off where too many before it were wrong,
//! looked into, and noted.

use std::net::IpAddr;

use synap_shards::id::ConnId;

use super::outlet::Outlet;
use super::serve::Host;
use super::upkeep::Message;
use crate::audit::{self, Event, Kind, Name, Who};
use crate::auth::{Answer, Check, Credential, Guess, Identity, Question, Refusal, Verdict};
use crate::limits::client::client_address;
use crate::protocol::http::decode::HttpRequest;
use crate::session::client::Client;

/// What came of a credential.
pub(super) enum Shown {
    /// All is known.
    Known(Verdict),
    /// The verdict comes later.
    Later,
    /// There is no room to ask.
    Busy,
}

/// Whose password is being verified, and who showed it.
#[derive(Debug)]
pub struct Attempt {
    /// As sent, and so never told unless there is such a user.
    user: Vec<u8>,
    from: IpAddr,
}

/// How a credential was shown, for events.
#[derive(Clone, Copy)]
struct Way {
    method: &'static str,
    from: IpAddr,
}

/// Notes that a client was refused something for want of a right.
#[cold]
pub(super) fn note_denied(client: &Client, what: &'static str) {
    audit::record(Event::new(Kind::Denied, who_of(client), Some(client.from), what));
}

/// Notes that a script of a client removes every key.
#[cold]
pub(super) fn note_flush(client: &Client, what: &'static str) {
    audit::record(Event::new(Kind::Flushed, who_of(client), Some(client.from), what));
}

/// Who is behind a connection, for events.
pub(super) fn who_of(client: &Client) -> Who {
    Who::from(&client.identity)
}

impl Outlet {
    /// What is known of a credential; where that is not all, a verdict comes to `conn`.
    pub(super) fn show(&mut self, conn: ConnId, credential: &Credential, from: IpAddr) -> Shown {
        match self.look(conn, credential, from) {
            Check::Decided(verdict) => Shown::Known(verdict),
            Check::Ask(question) => self.ask(conn, question),
        }
    }

    /// What is known of a credential at once.
    pub(super) fn look(&mut self, conn: ConnId, credential: &Credential, from: IpAddr) -> Check {
        let (now_ms, way) = (self.now.unix_ms, Way { method: credential.method(), from });
        if let Some(wait_ms) = self.wait_of(conn, credential, from) {
            let object = self.name_of(credential);
            note(Kind::LoginHeldOff, Who::Anonymous, way.from, way.method, object);
            return Check::Decided(Verdict::Refused(Refusal::HeldOff { wait_ms }));
        }
        let checked = self.desk.check(credential, from, now_ms);
        if let Check::Decided(verdict) = &checked {
            let object = match verdict {
                Verdict::Granted(_) => None,
                Verdict::Refused(_) => self.name_of(credential),
            };
            self.decided(conn, credential.guess(), way, verdict, object);
        }
        checked
    }

    /// Has a password verified; the verdict comes to `conn`.
    pub(super) fn ask(&mut self, conn: ConnId, question: Question) -> Shown {
        let now_ms = self.now.unix_ms;
        let attempt = Attempt { user: question.user().to_vec(), from: question.from() };
        let (mail, bell) = self.mail.clone();
        let done = move |answer: Answer| {
            // A core that has ended needs no answer.
            let _ended = mail.send(Message::Verdict { conn, answer: Box::new(answer), attempt });
            bell.ring();
        };
        match self.desk.authority().ask(question, now_ms, done) {
            Ok(()) => Shown::Later,
            Err(_) => Shown::Busy,
        }
    }

    /// An answer to what was asked for a connection.
    pub(super) fn hear_verdict(&mut self, conn: ConnId, answer: Answer, attempt: &Attempt) {
        let verdict = self.desk.learn(answer, self.now.unix_ms);
        let way = Way { method: "password", from: attempt.from };
        let user = std::str::from_utf8(&attempt.user).ok();
        let user = user.and_then(|name| self.desk.directory().user(name));
        let object = user.map(|user| Name::of_existing(&user.name));
        self.decided(conn, Some(Guess::Password(&attempt.user)), way, &verdict, object);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if let Some(parked) = connection.parked.as_deref_mut() {
            parked.take(verdict);
            self.resumed.push(conn);
        }
    }

    /// Milliseconds that a caller has to wait before its credential is looked at; nothing where it
    /// need not. Whoever is that user on this very connection does not wait for others of its
    /// address.
    fn wait_of(&mut self, conn: ConnId, credential: &Credential, from: IpAddr) -> Option<u64> {
        let (guess, now_ms) = (credential.guess()?, self.now.unix_ms);
        let backoff = self.desk.authority().backoff();
        let wait_ms = backoff.wait_ms(from, guess, now_ms);
        if wait_ms == 0 {
            return None;
        }
        let Guess::Password(user) = guess else { return Some(wait_ms) };
        let connection = self.connections.get_mut(conn);
        let known = connection.and_then(|connection| connection.client.identity.who().user());
        let is_known = known.is_some_and(|name| name.as_bytes() == user);
        let is_trusted = is_known && !backoff.has_failed(from, user, now_ms);
        (!is_trusted).then_some(wait_ms)
    }

    fn name_of(&self, credential: &Credential) -> Option<Name> {
        self.desk.directory().named(credential).map(|name| Name::of_existing(name))
    }

    /// Notes what came of a credential.
    fn decided(
        &mut self,
        conn: ConnId,
        guess: Option<Guess<'_>>,
        way: Way,
        verdict: &Verdict,
        object: Option<Name>,
    ) {
        let (backoff, now_ms) = (self.desk.authority().backoff(), self.now.unix_ms);
        match verdict {
            Verdict::Granted(identity) => {
                if let Some(guess) = guess {
                    backoff.succeeded(way.from, guess, now_ms);
                }
                self.note_entry(conn, identity, way);
            }
            Verdict::Refused(refusal) => {
                if let Some(guess) = guess {
                    backoff.failed(way.from, guess, now_ms);
                }
                note(Kind::LoginFailed, Who::Anonymous, way.from, refusal.name(), object);
            }
        }
    }

    /// Notes that somebody has come in, unless it is who it was on this connection already.
    fn note_entry(&mut self, conn: ConnId, identity: &Identity, way: Way) {
        let connection = self.connections.get_mut(conn);
        let before = connection.map(|connection| &connection.client.identity);
        if before.is_none_or(|before| before.who() != identity.who()) {
            note(Kind::LoggedIn, Who::from(identity), way.from, way.method, None);
        }
    }

    /// Whoever has just finished a handshake is whom its certificate names, or nobody.
    pub(super) fn enter_by_certificate(&mut self, conn: ConnId) {
        let identity = self.unsaid(conn);
        let is_enabled = self.desk.directory().is_enabled();
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let client = &mut connection.client;
        let (from, named) = (client.from, client.certificate.clone());
        let is_somebody = identity.who().is_authenticated();
        let who = Who::from(&identity);
        client.becomes(identity);
        match named {
            Some(_) if is_somebody => note(Kind::LoggedIn, who, from, "certificate", None),
            Some(name) if is_enabled => {
                let user = self.desk.directory().user(&name);
                let object = user.map(|user| Name::of_existing(&user.name));
                note(Kind::LoginFailed, Who::Anonymous, from, "certificate", object);
            }
            Some(_) | None => {}
        }
    }
}

fn note(kind: Kind, who: Who, from: IpAddr, detail: &'static str, object: Option<Name>) {
    audit::record(Event { object, ..Event::new(kind, who, Some(from), detail) });
}

impl Host<'_> {
    /// A secret alone is an API key or the password of the default user; with a name it is a
    /// password.
    pub(super) fn try_in_turn(
        &mut self,
        conn: ConnId,
        user: Option<&[u8]>,
        secret: &[u8],
    ) -> Shown {
        let refused = Shown::Known(Verdict::Refused(Refusal::Credential));
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return refused };
        let (from, now_ms) = (connection.client.from, self.outlet.now.unix_ms);
        let password = Credential::from_password(user.unwrap_or(b"default"), secret);
        let key = Credential::from_key(secret).filter(|_| user.is_none());
        let waits = password.as_ref().and_then(|one| self.outlet.wait_of(conn, one, from));
        if let Some(key) = key
            && (waits.is_none() || key.guess().is_none())
            && let Check::Decided(verdict @ Verdict::Granted(_)) =
                self.outlet.desk.check(&key, from, now_ms)
        {
            let way = Way { method: key.method(), from };
            self.outlet.decided(conn, None, way, &verdict, None);
            return Shown::Known(verdict);
        }
        match password {
            Some(password) => self.outlet.show(conn, &password, from),
            None => {
                note(Kind::LoginFailed, Who::Anonymous, from, "unreadable", None);
                refused
            }
        }
    }

    /// Notes where a request comes from, if that is not where its connection comes from.
    pub(super) fn note_origin(&mut self, conn: ConnId, request: &HttpRequest<'_>) {
        let trusted = &self.outlet.settings.trusted_proxies;
        if trusted.is_empty() {
            return;
        }
        if let Some(connection) = self.outlet.connections.get_mut(conn) {
            let forwarded = request.header("x-forwarded-for");
            let peer = connection.client.peer.ip();
            let real = request.header("x-real-ip");
            connection.client.comes_from(client_address(peer, trusted, forwarded, real));
        }
    }

    /// Notes that a request shows a credential that cannot be read.
    pub(super) fn note_unreadable(&mut self, conn: ConnId) {
        if let Some(connection) = self.outlet.connections.get_mut(conn) {
            note(Kind::LoginFailed, Who::Anonymous, connection.client.from, "unreadable", None);
        }
    }
}
