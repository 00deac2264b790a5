//! Transactions: the commands between `MULTI` and `EXEC` run one after the other over every shard
//! they need, as one batch; watches say beforehand which changes by others make that pointless.
//!
//! A watch lives in the shard of its key (`shard::watches`) and so is checked where the
//! transaction runs, with the shard in hand: there is no moment between check and run.

use super::answers::weight;
use super::event::{Flow, Outbound, Reads};
use super::gather::Gather;
use super::open::Open;
use super::parcel::{Envelope, Manner, OwnedWords};
use super::route::{Request, spread_words};
use super::task::{Fate, Ran, Task, Work};
use super::{Engine, ReplyTo, shards_in};
use crate::command::args::{Args, Words};
use crate::command::error::CommandError;
use crate::command::key::cursor_shard;
use crate::command::reply::Reply;
use crate::command::spec::{Access, CommandSpec, Family, Flags, Fold, Keys, Run};
use crate::command::table::{self, CommandId};
use crate::id::CoreId;
use crate::key::shard_of;
use crate::limits::TRANSACTION_REPLY_BYTES_MAX;
use crate::shard::libraries::Libraries;
use crate::shard::plan::Now;

/// Refuses a transaction as a whole because memory is short.
const ABORTED_OOM: CommandError = CommandError::Coded {
    code: "EXECABORT",
    message: "Transaction discarded because of: OOM command not allowed when used memory > \
              'maxmemory'.",
};
/// Stands for a reply that there is no room for.
const REPLIES_TOO_LARGE: CommandError = CommandError::Invalid(
    "the replies of the transaction are too large together; this command ran, its reply is dropped",
);

/// A command of a transaction; its arguments were decoded once and are good.
#[derive(Debug)]
pub struct Queued {
    command: CommandId,
    words: OwnedWords,
}

impl Queued {
    /// A command that is to run later. `words` have been decoded for it without an error.
    pub fn new(command: CommandId, words: &[&[u8]]) -> Self {
        Self { command, words: OwnedWords::new(words) }
    }

    /// Which command.
    pub fn command(&self) -> CommandId {
        self.command
    }

    /// Its words, with keys in the place of names.
    pub fn words(&self) -> Words<'_> {
        self.words.get()
    }

    /// Bytes it takes while it waits.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.words.held_bytes()
    }
}

/// What `EXEC` hands over.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The commands in order.
    pub commands: Vec<Queued>,
    /// Who watches; what it watches is forgotten in any case.
    pub watcher: u64,
    /// Shards of watched keys, a bit each. A watched shard that does not know the watcher counts
    /// as changed.
    pub watched: u64,
}

impl Transaction {
    /// Whether one of its commands is refused when memory is short.
    pub(super) fn denies_oom(&self) -> bool {
        self.commands().any(|command| command.spec().flags.has(Flags::DENY_OOM))
    }

    /// Whether one of its commands makes or deletes topics.
    fn changes_topics(&self) -> bool {
        let changes = |spec: &CommandSpec| {
            spec.family == Family::Topic
                && spec.access == Access::Write
                && spec.flags.has(Flags::EVERYWHERE)
        };
        self.commands().any(|command| changes(command.spec()))
    }

    /// Which commands, in order.
    pub(super) fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.commands.iter().map(|queued| queued.command)
    }

    /// Bytes that its commands take while they wait.
    pub(super) fn held_bytes(&self) -> usize {
        self.commands.iter().map(Queued::held_bytes).sum()
    }
}

/// The shards of keys, a bit each.
pub fn shards_of_keys<'k>(keys: impl Iterator<Item = &'k [u8]>) -> u64 {
    keys.fold(0, |mask, key| mask | 1 << shard_of(key).index())
}

impl Engine {
    /// `EXEC`.
    pub(super) fn exec(
        &mut self,
        now: Now,
        mut transaction: Transaction,
        (reply_to, reads, here): (ReplyTo, Reads, bool),
        out: &mut dyn Outbound,
    ) -> Flow {
        // Where topics are made or deleted first, every shard is needed, and what comes behind is
        // spread when it runs.
        if !transaction.changes_topics() {
            for queued in &mut transaction.commands {
                self.spread_queued(queued);
            }
        }
        let all = if here { self.owned_mask() } else { u64::MAX };
        let wanted = transaction.commands.iter().fold(transaction.watched, |mask, queued| {
            mask | shards_of_command(queued.command.spec(), &queued.words.get(), all)
        });
        let task = Task { reply_to, reads, work: Work::Exec(transaction) };
        self.start_task(now, task, wanted, out)
    }

    /// Puts the partition in the place of a topic that a command names.
    fn spread_queued(&mut self, queued: &mut Queued) {
        let spec = queued.command.spec();
        if !spec.flags.has(Flags::SPREADS) {
            return;
        }
        let spread = {
            let words = queued.words.get();
            let args = Args::parse(spec, &words).expect("it was decoded when it was queued");
            let key = self.partition_for(spec, &args);
            key.map(|key| OwnedWords::new(&spread_words(&args, &key)))
        };
        if let Some(words) = spread {
            queued.words = words;
        }
    }

    /// A command with the partition in the place of a topic, as the topic is now.
    fn spread_now(&mut self, queued: &Queued) -> Option<Queued> {
        let spec = queued.command.spec();
        let words = queued.words.get();
        let args = Args::parse(spec, &words).expect("it was decoded when it was queued");
        let key = self.partition_at_hand(spec, &args)??;
        Some(Queued::new(queued.command, &spread_words(&args, &key)))
    }

    /// Runs a transaction over the shards in the table.
    pub(super) fn run_exec(
        &mut self,
        now: Now,
        transaction: &Transaction,
        (reply_to, reads): (ReplyTo, Reads),
        has_room: bool,
        out: &mut dyn Outbound,
    ) -> Ran {
        let Transaction { commands, watcher, watched } = transaction;
        if !self.end_watches(*watcher, *watched, now) {
            self.stats.transactions_aborted += 1;
            // The refusal tells that something was changed, so it waits for that.
            let (reply, unstable) = (Reply::NilArray, self.unstable(*watched));
            return Ran { reply, touched: 0, unstable, fate: Fate::Answers };
        }
        if !has_room {
            let reply = Reply::Error(ABORTED_OOM);
            return Ran { reply, touched: 0, unstable: 0, fate: Fate::Answers };
        }
        self.stats.transactions += 1;
        let mut open = Open::default();
        let (mut replies, mut bytes) = (Vec::with_capacity(commands.len()), 0);
        let changes_topics = transaction.changes_topics();
        for queued in commands {
            let spread = if changes_topics { self.spread_now(queued) } else { None };
            let queued = spread.as_ref().unwrap_or(queued);
            let reply = self.run_queued(now, &mut open, queued, (reply_to, reads), out);
            bytes += weight(&reply);
            replies.push(if bytes > TRANSACTION_REPLY_BYTES_MAX {
                Reply::Error(REPLIES_TOO_LARGE)
            } else {
                reply
            });
        }
        let (touched, unstable) = self.close(now, open);
        Ran { reply: Reply::Array(replies), touched, unstable, fate: Fate::Answers }
    }

    fn run_queued(
        &mut self,
        now: Now,
        open: &mut Open,
        queued: &Queued,
        (reply_to, reads): (ReplyTo, Reads),
        out: &mut dyn Outbound,
    ) -> Reply<'static> {
        let spec = queued.command.spec();
        let words = queued.words.get();
        let args = Args::parse(spec, &words).expect("they were decoded when they were queued");
        match (spec.run, reply_to) {
            (Run::Session, ReplyTo::Client { conn, .. }) => {
                out.run_session(conn, queued.command, &args)
            }
            // What was watched is forgotten already.
            (Run::Transaction, _) => Reply::Ok,
            (Run::Session | Run::EveryCore(_) | Run::Unblock, _) => {
                unreachable!("{} is refused when it is queued", spec.resp)
            }
            (Run::Read(_) | Run::Write(_) | Run::Block(_) | Run::Script(_), _) => {
                let command = queued.command;
                let args = &args;
                let request = Request { reply_to, caller: 0, reads, command, args, target: None };
                match spec.run {
                    Run::Script(_) => self.script_inside(now, open, request, out),
                    _ => self.run_inside(now, open, request),
                }
            }
        }
    }

    /// Ends the watches of a watcher in these shards, which are here; whether nothing that it
    /// watched has changed.
    pub(super) fn end_watches(&mut self, watcher: u64, shards: u64, now: Now) -> bool {
        shards_in(shards).fold(true, |clean, id| {
            let shard = self.shards[id.index()].as_deref_mut().expect("the shard is here");
            shard.end_watch(watcher, now.unix_ms) && clean
        })
    }

    /// Of these shards, which are here, those with a last change that is not stable yet.
    fn unstable(&self, shards: u64) -> u64 {
        shards_in(shards).fold(0, |mask, id| {
            let shard = self.shards[id.index()].as_deref().expect("the shard is here");
            if shard.seq() > shard.stable() { mask | 1 << id.index() } else { mask }
        })
    }

    /// `WATCH`: each core notes the keys that are its own.
    pub(super) fn watch(
        &mut self,
        now: Now,
        reply_to: ReplyTo,
        watcher: u64,
        keys: &[&[u8]],
        out: &mut dyn Outbound,
    ) -> Flow {
        let mut by_core = vec![Vec::new(); self.map.cores()];
        for key in keys {
            by_core[self.map.owner(shard_of(key)).index()].push(*key);
        }
        let parts: Vec<Part<'_>> = (0..self.map.cores())
            .map(CoreId::new)
            .zip(by_core)
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(core, keys)| {
                let shards = shards_of_keys(keys.iter().copied());
                Part { core, manner: Manner::Watch, shards, keys }
            })
            .collect();
        self.spread(now, ("WATCH", reply_to, watcher), parts, out)
    }

    /// Each core forgets the watcher in those of these shards that are its own. Nobody waits for
    /// that: what the same core says about the watcher later comes later everywhere.
    pub(super) fn unwatch(
        &mut self,
        now: Now,
        watcher: u64,
        shards: u64,
        out: &mut dyn Outbound,
    ) -> Flow {
        let parts: Vec<Part<'_>> = (0..self.map.cores())
            .map(CoreId::new)
            .map(|core| (core, shards & self.mask_of(core)))
            .filter(|(_, theirs)| *theirs != 0)
            .map(|(core, shards)| Part { core, manner: Manner::Unwatch, shards, keys: Vec::new() })
            .collect();
        self.spread(now, ("UNWATCH", ReplyTo::Nobody, watcher), parts, out);
        Flow::Continue
    }

    /// Hands the parts of a command about watches to their cores. Nobody is refused for want of
    /// room in a queue: a connection has one such command under way at most, and one at its end.
    fn spread(
        &mut self,
        now: Now,
        (name, reply_to, watcher): (&str, ReplyTo, u64),
        parts: Vec<Part<'_>>,
        out: &mut dyn Outbound,
    ) -> Flow {
        if parts.is_empty() {
            self.answer(reply_to, Reply::Ok, out);
            return Flow::Continue;
        }
        let gather = self.gathers.open(Gather::all(reply_to, Fold::First, parts.len()));
        let command = table::by_name(name.as_bytes()).expect("the table has it");
        for Part { core, manner, shards, keys } in parts {
            let words: Words<'_> = std::iter::once(name.as_bytes()).chain(keys).collect();
            if core == self.core {
                let args = Args::parse(command.spec(), &words).expect("they suit the command");
                let reply_to = ReplyTo::Core { core, gather };
                let reads = Reads::default();
                let args = &args;
                let request =
                    Request { reply_to, caller: watcher, reads, command, args, target: None };
                self.start(now, request, manner, shards, out);
                continue;
            }
            let peer = &mut self.peers[core.index()];
            let words = peer.requests.pack_words(words.into_iter());
            let (caller, reads) = (watcher, Reads::default());
            let envelope =
                Envelope::Execute { gather, command, words, caller, reads, manner, shards };
            peer.requests.envelopes.push(envelope);
            peer.outstanding += 1;
        }
        Flow::Barrier
    }

    /// The part of a command about watches that concerns shards of this core, which are here.
    pub(super) fn run_watch(&mut self, now: Now, request: Request<'_>) {
        for key in &request.args.words()[1..] {
            let shard = self.shards[shard_of(key).index()].as_deref_mut();
            shard.expect("the shard is here").watch(request.caller, key, now.unix_ms);
        }
    }
}

/// What one core has to do about watches.
struct Part<'k> {
    core: CoreId,
    manner: Manner,
    shards: u64,
    keys: Vec<&'k [u8]>,
}

/// The shards that a command needs, of which `all` are those that one about every shard covers.
pub(super) fn shards_of_command(spec: &CommandSpec, words: &[&[u8]], all: u64) -> u64 {
    if let Run::Script(verb) = spec.run {
        // A script may reach for any key.
        return if verb.is_about_libraries() { Libraries::MASK } else { u64::MAX };
    }
    match spec.keys {
        Keys::None => 0,
        Keys::AllShards(_) => all,
        // A cursor that is none is refused when the command runs.
        Keys::Cursor => cursor_shard(words[1]).map_or(0, |shard| 1 << shard.index()),
        Keys::Range { .. } | Keys::Counted { .. } | Keys::Tokened { .. } | Keys::Streams => {
            spec.shards(words)
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
