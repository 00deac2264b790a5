//! `MULTI`, `EXEC`, `DISCARD`, `WATCH` and `UNWATCH` of RESP clients: from the state of the
//! connection to events of the engine.

use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{Access, Flags};
use synap_shards::command::table::CommandId;
use synap_shards::engine::event::{Event, Flow, Reads};
use synap_shards::engine::tx::{Queued, Transaction};
use synap_shards::id::ConnId;

use super::serve::Host;
use crate::audit::Kind;
use crate::session::client::{Client, Listener};
use crate::session::transaction::{DISCARD_WITHOUT_MULTI, EXEC_WITHOUT_MULTI, Pending, QUEUED};

const ABORTED_READ_ONLY: CommandError = CommandError::Coded {
    code: "EXECABORT",
    message: "Transaction discarded because of: READONLY You can't write against a read only \
              server.",
};
const ABORTED_DISK_FULL: CommandError = CommandError::Coded {
    code: "EXECABORT",
    message: "Transaction discarded because of: MISCONF Errors writing to the log: the disk is \
              full. Writes are refused until there is room",
};

impl Host<'_> {
    /// Carries out a command of [`synap_shards::command::spec::Run::Transaction`].
    pub(super) fn run_transaction(
        &mut self,
        id: ConnId,
        command: CommandId,
        args: &Args<'_>,
    ) -> Flow {
        let connection = self.outlet.connections.get_mut(id);
        if connection.is_some_and(|connection| connection.client.listener == Listener::Http) {
            return self.run_http_transaction(id, command, args.words());
        }
        let result = match command.spec().id {
            "transaction.multi" => self.pending(id).open().map(|()| Reply::Ok),
            "transaction.exec" => return self.exec(id),
            "transaction.discard" => self.discard(id),
            "transaction.watch" => return self.watch(id, &args.words()[1..]),
            "transaction.unwatch" => {
                self.unwatch(id);
                Ok(Reply::Ok)
            }
            other => unreachable!("{other} is no command of transactions"),
        };
        self.reply(id, result.unwrap_or_else(Reply::Error));
        Flow::Continue
    }

    /// Queues a command for `EXEC`.
    pub(super) fn queue(&mut self, id: ConnId, command: CommandId, words: &[&[u8]]) -> Flow {
        let result = self.pending(id).queue(command, words);
        if result.is_err() {
            self.stat(command, |stat| stat.rejected.add(1));
        }
        self.reply(id, result.map_or_else(Reply::Error, |()| QUEUED));
        Flow::Continue
    }

    /// Notes that a command was refused that would have been queued.
    pub(super) fn fail_transaction(&mut self, id: ConnId, command: Option<CommandId>) {
        if let Some(connection) = self.outlet.connections.get_mut(id)
            && let Some(pending) = &mut connection.client.pending
        {
            pending.fail();
        }
        if command.is_some_and(|command| command.spec().access == Access::Write) {
            self.fail_http(id);
        }
    }

    /// Drops the queue and what is watched (`RESET`).
    pub(super) fn drop_transaction(&mut self, id: ConnId) {
        self.unwatch(id);
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            connection.client.pending = None;
        }
    }

    fn pending(&mut self, id: ConnId) -> &mut Pending {
        let connection = self.outlet.connections.get_mut(id);
        let client = &mut connection.expect("its request is being handled").client;
        client.pending.get_or_insert_default()
    }

    /// Takes what the client has begun; its shards are to be told.
    fn exec(&mut self, id: ConnId) -> Flow {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Flow::Continue };
        let here = connection.client.listener == Listener::RespShard;
        let (watcher, reads) = (connection.client.id, connection.client.reads());
        let Some(mut pending) = connection.client.pending.take() else {
            self.reply(id, Reply::Error(EXEC_WITHOUT_MULTI));
            return Flow::Continue;
        };
        if !pending.is_open() {
            // What is watched stays so.
            connection.client.pending = Some(pending);
            self.reply(id, Reply::Error(EXEC_WITHOUT_MULTI));
            return Flow::Continue;
        }
        let watched = pending.take_watched();
        let commands = pending
            .take_commands()
            .and_then(|commands| self.check_queued(id, &commands).map(|()| commands));
        match commands {
            Ok(commands) => self.hand_over(id, commands, (watcher, watched), reads, here),
            Err(error) => {
                self.forget_watches(watcher, watched);
                self.reply(id, Reply::Error(error));
                Flow::Continue
            }
        }
    }

    /// Gives a transaction to the engine.
    pub(super) fn hand_over(
        &mut self,
        conn: ConnId,
        commands: Vec<Queued>,
        (watcher, watched): (u64, u64),
        reads: Reads,
        here: bool,
    ) -> Flow {
        for queued in &commands {
            self.stat(queued.command(), |stat| stat.calls.add(1));
            let spec = queued.command().spec();
            if spec.flags.has(Flags::FLUSH) {
                // Whether what is watched lets it run, only the shards know.
                self.note_event(conn, Kind::Flushed, spec.resp);
            }
        }
        let ticket = self.outlet.current.as_ref().expect("a request is being handled").ticket;
        let transaction = Transaction { commands, watcher, watched };
        let event = Event::Exec { conn, ticket, reads, here, transaction };
        self.engine.step(self.outlet.now, event, self.outlet)
    }

    /// What may have changed since the commands were queued: whether the client may run them, and
    /// whether writes are served at all.
    pub(super) fn check_queued(
        &mut self,
        id: ConnId,
        commands: &[Queued],
    ) -> Result<(), CommandError> {
        self.admit_queued(id, commands)?;
        let writes = commands.iter().any(|queued| queued.command().spec().access == Access::Write);
        if writes && self.outlet.disk_full {
            let metrics = &self.outlet.shared.metrics[self.outlet.core.index()];
            metrics.wal_refused.add(1);
            return Err(ABORTED_DISK_FULL);
        }
        if writes && self.outlet.settings.read_only {
            return Err(ABORTED_READ_ONLY);
        }
        Ok(())
    }

    fn discard(&mut self, id: ConnId) -> Result<Reply<'static>, CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(Reply::Ok) };
        let pending = connection.client.pending.as_mut().ok_or(DISCARD_WITHOUT_MULTI)?;
        pending.discard()?;
        self.unwatch(id);
        Ok(Reply::Ok)
    }

    fn watch(&mut self, conn: ConnId, keys: &[&[u8]]) -> Flow {
        if let Err(error) = self.pending(conn).watch(keys) {
            self.reply(conn, Reply::Error(error));
            return Flow::Continue;
        }
        let current = self.outlet.current.as_ref().expect("a request is being handled");
        let ticket = current.ticket;
        let Some(connection) = self.outlet.connections.get_mut(conn) else { return Flow::Continue };
        let watcher = connection.client.id;
        let event = Event::Watch { conn, ticket, watcher, keys };
        self.engine.step(self.outlet.now, event, self.outlet)
    }

    fn unwatch(&mut self, id: ConnId) {
        if let Some(connection) = self.outlet.connections.get_mut(id)
            && let Some((watcher, shards)) = take_watches(&mut connection.client)
        {
            self.forget_watches(watcher, shards);
        }
    }

    /// Tells the shards that somebody watches nothing any more.
    pub(super) fn forget_watches(&mut self, watcher: u64, shards: u64) {
        if shards != 0 {
            let event = Event::Unwatch { watcher, shards };
            self.engine.step(self.outlet.now, event, self.outlet);
        }
    }
}

/// Takes what a client watches, as the engine wants to hear of it: who, and in which shards.
pub(super) fn take_watches(client: &mut Client) -> Option<(u64, u64)> {
    let pending = client.pending.as_mut()?;
    let shards = pending.take_watched();
    if pending.is_empty() {
        client.pending = None;
    }
    (shards != 0).then_some((client.id, shards))
}
