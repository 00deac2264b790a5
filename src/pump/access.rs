//! Requests about users, keys, roles and rules: what can be told is told at once; a change is made
//! on another thread, and its answer comes when it is on disk.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::engine::event::{Flow, Outbound as _};
use synap_shards::id::{ConnId, Ticket};

use super::connection::{Noted, Style};
use super::gate::{NO_IDENTITY, TOO_MANY_ASK};
use super::login::{Shown, note_denied};
use super::outlet::Outlet;
use super::serve::Host;
use super::upkeep::Message;
use crate::auth::{
    Action, Asker, Change, ChangeRefused, Changed, Credential, Refusal, ResourceKind, Verdict,
};
use crate::protocol::http::access::{self, Access};
use crate::protocol::http::{HttpContext, respond};
use crate::session::acl;
use crate::session::authorize::Missing;

/// The name of the right to look at users, keys, roles and rules.
const NAME: &[u8] = b"auth";
const DISABLED: &str = "Access control is disabled (authentication.enabled)";
const TOO_MANY_CHANGES: CommandError =
    CommandError::Coded { code: "BUSY", message: "too many changes are being made, try again" };
const CHALLENGE: &[(&str, &str)] = &[("WWW-Authenticate", "Basic realm=\"synap\", Bearer")];

/// What came of a change that was asked for over HTTP.
#[derive(Debug)]
pub struct Made {
    context: HttpContext,
    started_ns: u64,
    said: &'static str,
    outcome: Result<Changed, ChangeRefused>,
}

impl Host<'_> {
    /// Whether the caller of a connection may ask that.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn admit_access(
        &mut self,
        conn: ConnId,
        asked: &Access,
    ) -> Result<(), CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Ok(()) };
        if matches!(asked, Access::Login(_) | Access::Me) || !connection.client.is_bound {
            return Ok(());
        }
        let client = &connection.client;
        let identity = &client.identity;
        let may = match asked {
            Access::Change(change, _) => match &**change {
                Change::SetPassword { name, .. } => identity.who().user() == Some(name.as_str()),
                _ => false,
            },
            _ => identity.rights().allows(Action::Admin, ResourceKind::Admin, NAME),
        };
        if !may {
            note_denied(client, "auth");
        }
        match (may, identity.who().is_authenticated()) {
            (true, _) => Ok(()),
            (false, true) => Err(Missing::Command.refusal(identity.label(), "auth")),
            (false, false) => Err(NO_IDENTITY),
        }
    }

    /// Carries out a request whose caller may ask it. Gives it back, where it has to wait for a
    /// verdict.
    pub(super) fn access(
        &mut self,
        conn: ConnId,
        asked: Box<Access>,
        context: HttpContext,
    ) -> Option<(Box<Access>, HttpContext)> {
        let directory = self.outlet.desk.directory().clone();
        let is_enabled = directory.is_enabled();
        match *asked {
            Access::Login(_) | Access::Change(..) if !is_enabled => {
                self.say_error(conn, &context, 503, DISABLED);
            }
            Access::Login(ref credential) => match self.show_login(conn, credential) {
                Shown::Known(verdict) => self.answer_login(conn, &context, &verdict),
                Shown::Later => return Some((asked, context)),
                Shown::Busy => self.say_error(conn, &context, 503, &TOO_MANY_ASK.to_string()),
            },
            Access::Me => {
                let connection = self.outlet.connections.get_mut(conn);
                if let Some(me) =
                    connection.map(|connection| access::me(&connection.client.identity))
                {
                    self.say_json(conn, &context, 200, &me, &[]);
                }
            }
            Access::List(what) => {
                self.say_json(conn, &context, 200, &access::listed(&directory, what), &[]);
            }
            Access::User(name) => match directory.user(&name) {
                Some(user) => {
                    self.say_json(conn, &context, 200, &access::user(&directory, user), &[]);
                }
                None => self.say_error(conn, &context, 404, "Not found: no such user"),
            },
            Access::Change(change, said) => self.change_over_http(conn, *change, said, context),
        }
        None
    }

    fn show_login(&mut self, conn: ConnId, credential: &Credential) -> Shown {
        let connection = self.outlet.connections.get_mut(conn);
        let from = connection.map(|connection| connection.client.from);
        from.map_or(Shown::Busy, |from| self.outlet.show(conn, credential, from))
    }

    /// Answers a log-in.
    pub(super) fn answer_login(&mut self, conn: ConnId, context: &HttpContext, verdict: &Verdict) {
        let directory = self.outlet.desk.directory().clone();
        match verdict {
            Verdict::Granted(identity) => {
                let user = identity.who().user().and_then(|name| directory.user(name));
                let user = user.map(|user| access::user(&directory, user));
                let message = "The credentials are valid; send them with every request";
                let body = serde_json::json!({ "success": true, "user": user, "message": message });
                self.say_json(conn, context, 200, &body, &[]);
            }
            Verdict::Refused(Refusal::HeldOff { wait_ms }) => {
                let (mut answer, error) = (Vec::new(), CommandError::HeldOff { wait_ms: *wait_ms });
                let status = respond::respond(context, &Reply::Error(error), &mut answer);
                self.http_answer(conn, context, status, &answer);
            }
            Verdict::Refused(refusal) => {
                self.say_json(conn, context, 401, &access::denied(*refusal), CHALLENGE);
            }
        }
    }

    fn change_over_http(
        &mut self,
        conn: ConnId,
        change: Change,
        said: &'static str,
        context: HttpContext,
    ) {
        let started_ns = self.started_ns;
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return };
        let client = &connection.client;
        let by = Asker::at(client.identity.clone(), client.from);
        let ticket = connection.next_ticket();
        let (mail, bell) = self.outlet.mail.clone();
        let kept = context.clone();
        let done = move |outcome| {
            let made = Box::new(Made { context, started_ns, said, outcome });
            // A core that has ended needs no answer.
            let _ended = mail.send(Message::Changed { conn, ticket, made });
            bell.ring();
        };
        if self.outlet.desk.authority().submit(by, change, done).is_err() {
            return self.say_error(conn, &kept, 503, "BUSY too many changes are being made");
        }
        if let Some(connection) = self.outlet.connections.get_mut(conn) {
            connection.issue(Style::Ready);
            connection.barrier = Some(ticket);
        }
    }

    /// The reply comes when the change is made.
    pub(super) fn change_over_resp(&mut self, conn: ConnId, change: Change) -> Flow {
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Flow::Continue };
        let by = Asker::at(connection.client.identity.clone(), connection.client.from);
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        let (mail, bell) = self.outlet.mail.clone();
        let done = move |outcome| {
            let reply = Box::new(acl::changed(outcome));
            // A core that has ended needs no answer.
            let _ended = mail.send(Message::Reply { conn, ticket, reply });
            bell.ring();
        };
        if self.outlet.desk.authority().submit(by, change, done).is_err() {
            self.reply(conn, Reply::Error(TOO_MANY_CHANGES));
            return Flow::Continue;
        }
        Flow::Barrier
    }

    fn say_json(
        &mut self,
        conn: ConnId,
        context: &HttpContext,
        status: u16,
        body: &serde_json::Value,
        headers: &[(&str, &str)],
    ) {
        let mut answer = Vec::new();
        respond::write_json_with(
            context,
            status,
            body.to_string().as_bytes(),
            headers,
            &mut answer,
        );
        self.http_answer(conn, context, status, &answer);
    }

    fn say_error(&mut self, conn: ConnId, context: &HttpContext, status: u16, why: &str) {
        let mut answer = Vec::new();
        respond::write_error(context, status, why, &mut answer);
        self.http_answer(conn, context, status, &answer);
    }
}

impl Outlet {
    /// A change that was asked for over HTTP was made, or not.
    pub(super) fn hear_change(&mut self, conn: ConnId, ticket: Ticket, made: &Made) {
        let Made { context, started_ns, said, outcome } = made;
        let mut answer = Vec::new();
        let status = match outcome {
            Ok(changed) => {
                let body = access::changed(changed, said).to_string();
                respond::write_json(context, 200, body.as_bytes(), &mut answer);
                200
            }
            Err(refused) => {
                let (status, why) = access::refused(refused);
                respond::write_error(context, status, &why, &mut answer);
                status
            }
        };
        self.note(Some(Noted { route: context.route, status, started_ns: *started_ns }));
        self.reply(conn, ticket, Reply::owned(answer));
        if !context.keep_alive
            && let Some(connection) = self.connections.get_mut(conn)
        {
            connection.close();
        }
    }
}
