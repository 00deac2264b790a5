//! Transactions over HTTP: who the caller is, and from its requests to the shared table and to
//! events of the engine.
//!
//! The caller is who it says it is in `client_id` (body or query) or the header
//! `X-Synap-Client-Id`; else the connection stands for it, under the id that its `multi` or `watch`
//! was answered with. While its transaction is open its writes are queued; reads run at once.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::Access;
use synap_shards::command::table::CommandId;
use synap_shards::engine::event::{Event, Flow, Reads};
use synap_shards::id::ConnId;

use super::connection::Style;
use super::serve::Host;
use crate::protocol::http::HttpContext;
use crate::session::transaction::{DISCARD_WITHOUT_MULTI, EXEC_WITHOUT_MULTI, QUEUED};
use crate::transactions::{self, Taken};

impl Host<'_> {
    /// Carries out a command of [`synap_shards::command::spec::Run::Transaction`] that came over
    /// HTTP.
    pub(super) fn run_http_transaction(
        &mut self,
        id: ConnId,
        command: CommandId,
        words: &[&[u8]],
    ) -> Flow {
        let result = match command.spec().id {
            "transaction.multi" => self.http_multi(id),
            "transaction.exec" => return self.http_exec(id),
            "transaction.discard" => self.http_discard(id),
            "transaction.watch" => return self.http_watch(id, &words[1..]),
            "transaction.unwatch" => self.http_unwatch(id),
            other => unreachable!("{other} is no command of transactions"),
        };
        self.reply(id, result.unwrap_or_else(Reply::Error));
        Flow::Continue
    }

    /// Whether this request is to be queued: a write of a caller with an open transaction.
    pub(super) fn queues_http(&mut self, id: ConnId, command: CommandId) -> bool {
        command.spec().access == Access::Write
            && !self.outlet.shared.transactions.is_empty()
            && self
                .http_caller(id)
                .is_some_and(|caller| self.outlet.shared.transactions.is_open(&caller))
    }

    /// Queues a command for `exec`.
    pub(super) fn queue_http(&mut self, id: ConnId, command: CommandId, words: &[&[u8]]) -> Flow {
        let caller = self.http_caller(id).expect("its transaction is open");
        let now_ms = self.outlet.now.unix_ms;
        let result = self.outlet.shared.transactions.queue(&caller, command, words, now_ms);
        self.reply(id, result.map_or_else(Reply::Error, |()| QUEUED));
        Flow::Continue
    }

    /// Notes that a request was refused that its caller may have meant to be queued.
    pub(super) fn fail_http(&mut self, id: ConnId) {
        if !self.outlet.shared.transactions.is_empty()
            && let Some(caller) = self.http_caller(id)
        {
            self.outlet.shared.transactions.fail(&caller);
        }
    }

    fn context(&mut self) -> Option<&mut HttpContext> {
        match self.outlet.current.as_mut()?.style.as_mut()? {
            Style::Http(context, _) => Some(context),
            Style::Envelope(style) => Some(&mut style.context),
            Style::Resp(_)
            | Style::Finished(..)
            | Style::Seen(..)
            | Style::Ready
            | Style::Silent
            | Style::Live(_) => None,
        }
    }

    fn http_caller(&mut self, id: ConnId) -> Option<Box<str>> {
        if let Some(named) = self.context().and_then(|context| context.client_id.clone()) {
            return Some(named);
        }
        self.outlet.connections.get_mut(id)?.client.http_caller.clone()
    }

    /// The caller, under a new name if it has none. The answer will repeat it.
    fn named_caller(&mut self, id: ConnId) -> Box<str> {
        let caller = self.http_caller(id).unwrap_or_else(|| {
            let fresh = transactions::new_client_id();
            if let Some(connection) = self.outlet.connections.get_mut(id) {
                connection.client.http_caller = Some(fresh.clone());
            }
            fresh
        });
        if let Some(context) = self.context() {
            context.client_id = Some(caller.clone());
        }
        caller
    }

    fn http_multi(&mut self, id: ConnId) -> Result<Reply<'static>, CommandError> {
        let caller = self.named_caller(id);
        self.outlet.shared.transactions.open(&caller, self.outlet.now.unix_ms)?;
        Ok(Reply::Ok)
    }

    fn http_discard(&mut self, id: ConnId) -> Result<Reply<'static>, CommandError> {
        let caller = self.http_caller(id).ok_or(DISCARD_WITHOUT_MULTI)?;
        let (watcher, shards) = self.outlet.shared.transactions.discard(&caller)?;
        self.forget_watches(watcher, shards);
        Ok(Reply::Ok)
    }

    fn http_unwatch(&mut self, id: ConnId) -> Result<Reply<'static>, CommandError> {
        if let Some(caller) = self.http_caller(id)
            && let Some((watcher, shards)) = self.outlet.shared.transactions.unwatch(&caller)?
        {
            self.forget_watches(watcher, shards);
        }
        Ok(Reply::Ok)
    }

    fn http_watch(&mut self, conn: ConnId, keys: &[&[u8]]) -> Flow {
        let caller = self.named_caller(conn);
        let now_ms = self.outlet.now.unix_ms;
        let watcher = match self.outlet.shared.transactions.watch(&caller, keys, now_ms) {
            Ok(watcher) => watcher,
            Err(error) => {
                self.reply(conn, Reply::Error(error));
                return Flow::Continue;
            }
        };
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        self.outlet.http_watches.insert((conn, ticket), caller);
        let event = Event::Watch { conn, ticket, watcher, keys };
        self.engine.step(self.outlet.now, event, self.outlet)
    }

    fn http_exec(&mut self, id: ConnId) -> Flow {
        let taken = match self.http_caller(id) {
            Some(caller) => self.outlet.shared.transactions.take(&caller),
            None => Err(EXEC_WITHOUT_MULTI),
        };
        let (result, watches) = match taken {
            Ok(Taken { commands, watches }) => (commands, watches),
            Err(error) => (Err(error), (0, 0)),
        };
        match result.and_then(|commands| self.check_queued(id, &commands).map(|()| commands)) {
            Ok(commands) => {
                let deletes = |id: CommandId| matches!(id.spec().resp, "DEL" | "UNLINK");
                let deletes = commands.iter().map(|queued| deletes(queued.command())).collect();
                if let Some(context) = self.context() {
                    context.deletes = Some(deletes);
                }
                let connection = self.outlet.connections.get_mut(id);
                let bound = connection.is_none_or(|connection| connection.client.is_bound);
                let reads = Reads { bound, ..Reads::default() };
                self.hand_over(id, commands, watches, reads, false)
            }
            Err(error) => {
                self.forget_watches(watches.0, watches.1);
                self.reply(id, Reply::Error(error));
                Flow::Continue
            }
        }
    }
}
