//! Work that needs several shards at once and runs over them in one go: a command over many keys,
//! or the commands of a transaction. Here when the shards are this core's, over borrowed shards
//! ([`super::loan`]) when they are not; what runs does not see the difference.

use super::answers::bounded;
use super::event::{Flow, Outbound, Reads};
use super::parcel::OwnedWords;
use super::route::Request;
use super::run::Job;
#[cfg(feature = "lua")]
use super::script::Invocation;
use super::tx::Transaction;
use super::{Engine, ReplyTo, Waiting};
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Access, Family, Flags, Keys, Run};
use crate::command::table::CommandId;
use crate::shard::plan::{Now, View};

/// Work for several shards, and who waits for its reply.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) reply_to: ReplyTo,
    /// Whose lookups it makes, and what they leave behind.
    pub(super) reads: Reads,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// One command.
    Command { command: CommandId, words: OwnedWords },
    /// The commands of a transaction.
    Exec(Transaction),
    /// A waiter of this core, by number, whose keys belong to several cores.
    Wait { number: u64, command: CommandId },
    /// A script.
    #[cfg(feature = "lua")]
    Script(Invocation),
}

/// What work came to. Its batch, if it wrote one, is sealed and applied; nobody has taken note yet
/// of what has to become durable.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) reply: Reply<'static>,
    /// Shards that it changed, a bit each.
    pub(super) touched: u64,
    /// Shards in which it saw something that is not stable yet.
    pub(super) unstable: u64,
    pub(super) fate: Fate,
}

/// What happens to work that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its reply goes out when what it says is settled.
    Answers,
    /// There is no reply yet: the command goes on waiting.
    Waits,
    /// It has come to nothing, and has to run again with every shard.
    Again,
}

impl Task {
    /// Whether it is refused when memory is short.
    pub(super) fn denies_oom(&self) -> bool {
        match &self.work {
            Work::Command { command, .. } | Work::Wait { command, .. } => {
                command.spec().flags.has(Flags::DENY_OOM)
            }
            Work::Exec(transaction) => transaction.denies_oom(),
            #[cfg(feature = "lua")]
            Work::Script(invocation) => invocation.denies_oom(),
        }
    }

    /// Whether it may borrow together with others. What may have to run again, or goes on waiting,
    /// does so alone.
    pub(super) fn travels(&self) -> bool {
        match &self.work {
            Work::Command { .. } | Work::Exec(_) => true,
            Work::Wait { .. } => false,
            #[cfg(feature = "lua")]
            Work::Script(_) => false,
        }
    }

    /// Whether what it does is bounded by the bytes that it holds.
    pub(super) fn is_light(&self) -> bool {
        match &self.work {
            Work::Command { command, .. } => is_light(*command),
            Work::Exec(transaction) => transaction.commands().all(is_light),
            Work::Wait { .. } => false,
            #[cfg(feature = "lua")]
            Work::Script(_) => false,
        }
    }

    /// Bytes that it holds while it waits.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.work {
            Work::Command { words, .. } => words.held_bytes(),
            Work::Exec(transaction) => transaction.held_bytes(),
            Work::Wait { .. } => 0,
            #[cfg(feature = "lua")]
            Work::Script(_) => 0,
        }
    }

    /// The same task with every shard.
    pub(super) fn widened(self) -> Self {
        let work = match self.work {
            #[cfg(feature = "lua")]
            Work::Script(invocation) => Work::Script(invocation.widened()),
            other => other,
        };
        Self { work, ..self }
    }
}

/// Whether a command takes about constant time, or time by its words.
fn is_light(command: CommandId) -> bool {
    let spec = command.spec();
    let writes_values = spec.family == Family::Kv && spec.access == Access::Write;
    spec.flags.has(Flags::FAST) || (writes_values && matches!(spec.keys, Keys::ONE | Keys::PAIRS))
}

impl Engine {
    /// Runs a task over `wanted` shards: now when they are this core's and here, later when they
    /// are away, over borrowed ones when they are others'.
    pub(super) fn start_task(
        &mut self,
        now: Now,
        task: Task,
        wanted: u64,
        out: &mut dyn Outbound,
    ) -> Flow {
        if wanted & !self.owned_mask() != 0 {
            self.begin_loan(now, task, wanted, out);
            return Flow::Barrier;
        }
        if wanted & self.unavailable() == 0 {
            return self.run_task_here(now, task, out);
        }
        // Not refused when many wait: a connection has one transaction under way at most.
        self.waiting.push_back(Waiting { shards: wanted, job: Job::Task(task) });
        Flow::Barrier
    }

    /// Runs a task over shards of this core, which are here.
    pub(super) fn run_task_here(&mut self, now: Now, task: Task, out: &mut dyn Outbound) -> Flow {
        let has_room = !task.denies_oom() || self.make_room(now);
        let Ran { reply, touched, unstable, fate } = self.run_task(now, &task, has_room, out);
        if fate == Fate::Again {
            return self.start_task(now, task.widened(), u64::MAX, out);
        }
        let needs =
            if touched == 0 { self.needs_of(unstable) } else { self.committed(touched, unstable) };
        self.answer_when(needs, task.reply_to, reply, out);
        self.serve(now, out);
        Flow::Continue
    }

    /// Runs a task over the shards in the table. `has_room`: memory is not short, or nothing in
    /// the task minds.
    pub(super) fn run_task(
        &mut self,
        now: Now,
        task: &Task,
        has_room: bool,
        out: &mut dyn Outbound,
    ) -> Ran {
        let Task { reply_to, reads, work } = task;
        self.trackers.writer = reads.client;
        match work {
            Work::Command { .. } if !has_room => {
                let reply = Reply::Error(CommandError::OutOfMemory);
                Ran { reply, touched: 0, unstable: 0, fate: Fate::Answers }
            }
            Work::Command { command, words } => {
                let words = words.get();
                let args = Args::parse(command.spec(), &words)
                    .expect("the words were decoded before the shards were asked for");
                let (reply_to, reads, command) = (*reply_to, *reads, *command);
                let args = &args;
                let request = Request { reply_to, caller: 0, reads, command, args, target: None };
                self.run_command(now, request)
            }
            Work::Wait { number, .. } => self.run_afar(now, *number, has_room),
            Work::Exec(transaction) => {
                self.run_exec(now, transaction, (*reply_to, *reads), has_room, out)
            }
            #[cfg(feature = "lua")]
            Work::Script(invocation) => {
                self.run_script(now, invocation, (*reply_to, *reads), has_room, out)
            }
        }
    }

    fn run_command(&mut self, now: Now, request: Request<'_>) -> Ran {
        if let Run::Read(read) = request.command.spec().run {
            self.remember(request);
            let rules = self.settings.memory.rules();
            let view = View::new(&self.shards, now, &self.tally, rules, 0, None);
            let reply = read(&view, request.args).unwrap_or_else(Reply::Error);
            let reply = bounded(reply).into_owned();
            return Ran { reply, touched: 0, unstable: view.unstable(), fate: Fate::Answers };
        }
        self.run_whole(now, request)
    }
}
