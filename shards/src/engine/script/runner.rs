//! What a running script asks for: its commands, over the shards it was given and as part of one
//! open batch, and what has to be kept so that they can be taken back.

use super::super::event::{Outbound, Reads};
use super::super::open::Open;
use super::super::route::Request;
use super::super::route::spread_words;
use super::super::tx::shards_of_command;
use super::super::{Engine, ReplyTo};
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::names;
use crate::command::reply::Reply;
use crate::command::spec::{Access, CommandSpec, Flags, Run};
use crate::command::table;
use crate::id::ConnId;
use crate::key::shard_of;
use crate::script::gauge::Gauge;
use crate::script::link::Stop;
use crate::script::vm::Host;
use crate::shard::plan::Now;
use crate::shard::undo::Before;

/// Bytes of a value that a script which runs over few shards may change.
const UNDO_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of all of them together; each key counts for some more.
const UNDO_BYTES_MAX: usize = 1024 * 1024;
const UNDO_KEY_BYTES: usize = 512;

const UNKNOWN: CommandError = CommandError::Invalid("Unknown Redis command called from script");
const WRONG_ARITY: CommandError =
    CommandError::Invalid("Wrong number of args calling Redis command from script");
const NOT_ALLOWED: CommandError =
    CommandError::Invalid("This Redis command is not allowed from script");
const READ_ONLY: CommandError =
    CommandError::Invalid("Write commands are not allowed from read-only scripts.");

/// The script has to run again, with every shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Again;

/// What keys were before a script changed them.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) kept: Vec<Before>,
    bytes: usize,
}

/// What a run of a script works in.
pub(super) struct Frame<'a> {
    pub(super) now: Now,
    pub(super) reply_to: ReplyTo,
    pub(super) reads: Reads,
    pub(super) has_room: bool,
    /// Shards it may use.
    pub(super) allowed: u64,
    pub(super) open: &'a mut Open,
    /// Nothing for a script that has every shard and need not be taken back.
    pub(super) undo: &'a mut Option<Undo>,
}

/// Carries out what a script asks for.
pub(super) struct Runner<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) frame: Frame<'a>,
    pub(super) out: &'a mut dyn Outbound,
    pub(super) gauge: &'a Gauge,
    pub(super) may_write: bool,
    pub(super) allow_flush: bool,
    /// Shards that it used.
    pub(super) used: u64,
}

impl Host for Runner<'_> {
    fn command(&mut self, words: &[&[u8]]) -> Result<Reply<'static>, Stop> {
        self.checked(words).unwrap_or_else(|error| Ok(Reply::Error(error)))
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.out.script_log(level, text);
    }
}

impl Runner<'_> {
    fn checked(&mut self, words: &[&[u8]]) -> Result<Result<Reply<'static>, Stop>, CommandError> {
        let command = table::lookup(words).map_err(|_| UNKNOWN)?;
        if self.frame.reads.bound {
            self.ask(command, words)?;
        }
        match names::qualify(command.spec(), words)? {
            Some(names) => self.spread(command, &names.over(words)),
            None => self.run(command, words),
        }
    }

    /// Asks whether whoever runs the script may do this.
    fn ask(&mut self, command: table::CommandId, words: &[&[u8]]) -> Result<(), CommandError> {
        let ReplyTo::Client { conn, .. } = self.frame.reply_to else { return Err(NOT_ALLOWED) };
        self.out.permits(conn, command, words)
    }

    /// Carries out a command, on a partition where it names a topic of several.
    fn spread(
        &mut self,
        command: table::CommandId,
        words: &[&[u8]],
    ) -> Result<Result<Reply<'static>, Stop>, CommandError> {
        let spec = command.spec();
        let args = spec.flags.has(Flags::SPREADS).then(|| Args::parse(spec, words));
        if let Some(Ok(args)) = args
            && let Some(key) = self.partition(spec, &args)
        {
            return self.run(command, &spread_words(&args, &key));
        }
        self.run(command, words)
    }

    fn partition(&mut self, spec: &CommandSpec, args: &Args<'_>) -> Option<Vec<u8>> {
        match self.engine.partition_at_hand(spec, args) {
            Some(found) => found,
            None => self.engine.partition_for(spec, args),
        }
    }

    /// Carries out a command whose names are keys already.
    fn run(
        &mut self,
        command: table::CommandId,
        words: &[&[u8]],
    ) -> Result<Result<Reply<'static>, Stop>, CommandError> {
        let spec = command.spec();
        let args = Args::parse(spec, words).map_err(|error| match error {
            CommandError::WrongArity { .. } => WRONG_ARITY,
            other => other,
        })?;
        let has_no_place =
            matches!(spec.run, Run::EveryCore(_) | Run::Transaction | Run::Script(_));
        if spec.flags.has(Flags::NO_SCRIPT) || has_no_place {
            return Err(NOT_ALLOWED);
        }
        if spec.flags.has(Flags::FLUSH) && !self.allow_flush {
            return Err(CommandError::Disabled { key: "kv_store.allow_flush_commands" });
        }
        if let Run::Session = spec.run {
            let ReplyTo::Client { conn, .. } = self.frame.reply_to else {
                return Err(NOT_ALLOWED);
            };
            return Ok(Ok(self.session(conn, command, &args)));
        }
        let shards = shards_of_command(spec, words, u64::MAX);
        if shards & !self.frame.allowed != 0 {
            return Ok(Err(Stop::Again));
        }
        self.used |= shards;
        if writes(spec) {
            if !self.may_write {
                return Err(READ_ONLY);
            }
            if !self.keep(spec, words) {
                return Ok(Err(Stop::Again));
            }
            if !self.gauge.writes() {
                return Ok(Err(Stop::Killed));
            }
        }
        let Frame { now, reply_to, reads, .. } = self.frame;
        if let (true, ReplyTo::Client { conn, .. }) = (spec.flags.has(Flags::FLUSH), reply_to) {
            self.out.flushes(conn, command);
        }
        let args = &args;
        let request = Request { reply_to, caller: 0, reads, command, args, target: None };
        Ok(Ok(self.engine.run_inside(now, self.frame.open, request)))
    }

    fn session(
        &mut self,
        conn: ConnId,
        command: table::CommandId,
        args: &Args<'_>,
    ) -> Reply<'static> {
        self.out.run_session(conn, command, args)
    }

    /// Takes down what the keys of a command are now, so that it can be taken back; false when
    /// that would be too much.
    fn keep(&mut self, spec: &CommandSpec, words: &[&[u8]]) -> bool {
        let Some(undo) = self.frame.undo else { return true };
        for at in spec.key_positions(words) {
            let key = words[at];
            if undo.kept.iter().any(|before| before.key() == key) {
                continue;
            }
            let shard = self.engine.shards[shard_of(key).index()].as_deref();
            let shard = shard.expect("a script uses shards that are here");
            let Some(before) = shard.keep(key, UNDO_VALUE_BYTES_MAX) else { return false };
            undo.bytes += before.held_bytes() + UNDO_KEY_BYTES;
            if undo.bytes > UNDO_BYTES_MAX {
                return false;
            }
            undo.kept.push(before);
        }
        true
    }
}

fn writes(spec: &CommandSpec) -> bool {
    spec.access == Access::Write || matches!(spec.run, Run::Write(_) | Run::Block(_))
}
