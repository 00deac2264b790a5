//! Several commands as one batch: transactions and scripts.
//!
//! While a batch is open, each command runs over the shards in the table and is applied at once, so
//! that the next one sees its effects; nothing else runs meanwhile. Closing it seals one batch of
//! all of them, which is all that log, replay and followers ever see.

use smallvec::SmallVec;

use super::answers::{PerKeyAnswers, bounded};
use super::route::{Request, keys_of};
use super::run::RECORDS_BYTES_MAX;
use super::{Engine, shards_in};
use crate::batch::{PartSpec, assemble};
#[cfg(feature = "lua")]
use crate::batch::{Record, push_record};
use crate::capture::Captured;
use crate::command::args::{Args, Words};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Atomicity, Flags, Run};
#[cfg(feature = "lua")]
use crate::shard::libraries::Libraries;
use crate::shard::plan::{Now, View};

const TOO_LARGE: CommandError = CommandError::Coded {
    code: "ERR",
    message: "the transaction changes more bytes than one batch of the log may hold",
};

/// A batch that commands are being added to.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) records: Vec<u8>,
    /// What they change where that is captured.
    pub(super) captured: Captured,
    /// Its commands may write when memory is short.
    pub(super) ignores_oom: bool,
    /// Shards that it changes, a bit each.
    pub(super) touched: u64,
    /// Shards in which a command saw something that was not stable before it began.
    unstable: u64,
}

impl Open {
    /// Takes down that a command saw something in these shards that is not stable.
    #[cfg(feature = "lua")]
    pub(super) fn saw_unstable(&mut self, shards: u64) {
        self.unstable |= shards & !self.touched;
    }
}

impl Engine {
    /// Runs a command as part of an open batch. Its shards are in the table. A command that fails
    /// changes nothing; the batch stays open.
    pub(super) fn run_inside(
        &mut self,
        now: Now,
        open: &mut Open,
        request: Request<'_>,
    ) -> Reply<'static> {
        let Atomicity::PerKey(fold) = request.command.spec().atomicity else {
            return self.step_inside(now, open, request);
        };
        let name = request.args.words()[0];
        let keys = keys_of(request);
        let mut answers = PerKeyAnswers::new(keys.len());
        for key in keys {
            let words: Words<'_> = [name, key].into_iter().collect();
            let args = Args::parse(request.command.spec(), &words)
                .expect("a name and one key suit a command that runs per key");
            let part = Request { args: &args, target: None, ..request };
            if !answers.take(self.step_inside(now, open, part)) {
                break;
            }
        }
        answers.fold(fold)
    }

    fn step_inside(&mut self, now: Now, open: &mut Open, request: Request<'_>) -> Reply<'static> {
        let spec = request.command.spec();
        match spec.run {
            Run::Read(read) => {
                self.remember(request);
                let draw = self.draw_for(request.command);
                let rules = self.settings.memory.rules();
                let view = View::new(&self.shards, now, &self.tally, rules, draw, None);
                let reply = read(&view, request.args).unwrap_or_else(Reply::Error);
                let reply = bounded(reply).into_owned();
                open.unstable |= view.unstable() & !open.touched;
                reply
            }
            Run::Write(_) | Run::Block(_) => self.write_inside(now, open, request),
            Run::Session | Run::Transaction | Run::EveryCore(_) | Run::Unblock | Run::Script(_) => {
                unreachable!("{} is no command of the engine", spec.resp)
            }
        }
    }

    fn write_inside(&mut self, now: Now, open: &mut Open, request: Request<'_>) -> Reply<'static> {
        let minds = request.command.spec().flags.has(Flags::DENY_OOM) && !open.ignores_oom;
        if minds && self.is_over_limit() {
            return Reply::Error(CommandError::OutOfMemory);
        }
        let start = open.records.len();
        let planned = self.plan(now, request, None, &mut open.records);
        open.unstable |= planned.unstable & !open.touched;
        if planned.touched == 0 {
            open.records.truncate(start);
            return planned.reply;
        }
        if open.records.len() > RECORDS_BYTES_MAX {
            open.records.truncate(start);
            return Reply::Error(TOO_LARGE);
        }
        if self.captures(planned.touched) {
            self.note_open(now, open, start, planned.touched);
        }
        self.apply_since(now, open, start, planned.touched);
        self.set_access(planned.access);
        planned.reply
    }

    /// Applies the records of an open batch from `start` on, which concern these shards.
    pub(super) fn apply_since(&mut self, now: Now, open: &mut Open, start: usize, touched: u64) {
        let mut topic_news = 0;
        for id in shards_in(touched) {
            let shard = self.shards[id.index()].as_deref_mut();
            let shard = shard.expect("a command writes to shards that are here");
            self.used_bytes -= shard.live_bytes();
            shard.tracking.writer = self.trackers.writer;
            shard.apply_open(&open.records[start..], now.unix_ms);
            self.used_bytes += shard.live_bytes();
            self.fired |= u64::from(shard.has_news()) << id.index();
            topic_news |= u64::from(shard.has_topic_news()) << id.index();
        }
        self.tell_topics(topic_news);
        open.touched |= touched;
    }

    /// Changes libraries of functions as part of an open batch: each now has this code, or is
    /// gone. Their shard is in the table. All or none.
    #[cfg(feature = "lua")]
    pub(super) fn change_libraries<'a>(
        &mut self,
        now: Now,
        open: &mut Open,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), CommandError> {
        let start = open.records.len();
        for (name, code) in changes {
            let record = Record::Library { name, code };
            push_record(&mut open.records, Libraries::shard(), &record);
        }
        if open.records.len() > RECORDS_BYTES_MAX {
            open.records.truncate(start);
            return Err(TOO_LARGE);
        }
        if open.records.len() > start {
            self.apply_since(now, open, start, Libraries::MASK);
        }
        Ok(())
    }

    /// Seals an open batch and appends it to the log. Returns the shards it changed, and those in
    /// which it saw something that was not stable; the caller says what its reply waits for.
    pub(super) fn close(&mut self, now: Now, mut open: Open) -> (u64, u64) {
        if open.touched == 0 {
            return (0, open.unstable);
        }
        self.close_captures(now, &mut open);
        let parts: SmallVec<[PartSpec; 2]> = shards_in(open.touched)
            .map(|shard| {
                let at = self.shards[shard.index()].as_deref_mut();
                let seq = at.expect("a command writes to shards that are here").close();
                PartSpec { shard, seq }
            })
            .collect();
        let start = self.log.len();
        assemble(&mut self.log, &parts, &open.records, self.settings.epoch, now.unix_ms);
        self.applied(start);
        if self.settings.acknowledge != super::event::Acknowledge::OnDisk {
            for part in &parts {
                let shard = self.shards[part.shard.index()].as_deref_mut();
                shard.expect("it is here").set_stable(part.seq);
            }
        }
        (open.touched, open.unstable)
    }
}
