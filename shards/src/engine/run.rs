//! Running commands on shards that are here, and the queue of those whose shards are not.

use super::answers::{PerKeyAnswers, bounded};
use super::commit::Needs;
use super::event::Outbound;
use super::event::{Place, Reads, Spot};
use super::parcel::{Envelope, Manner, OwnedWords, Parcel};
use super::route::{Request, Target, keys_of, only_key, targeted};
use super::task::{Fate, Ran, Task};
use super::tracking::unpack_clients;
use super::{Engine, Lane, Places, ReplyTo, Waiting};
use crate::batch::{HEADER_BYTES, PART_BYTES, open_single};
use crate::capture::ROOM_BYTES;
use crate::command::args::{Args, Words};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Atomicity, Blocked, Flags, Keys, Pause, Run};
use crate::command::table::CommandId;
use crate::id::{CoreId, ShardId};
use crate::limits::{BATCH_BYTES_MAX, PREFETCH_MAX, SHARDS, WAITING_MAX};
use crate::shard::evict::AccessMode;
use crate::shard::plan::{Focus, Now, Plan, Used, View};

/// Bytes of records that fit one batch, whatever number of shards it touches.
pub(super) const RECORDS_BYTES_MAX: usize =
    BATCH_BYTES_MAX - HEADER_BYTES - SHARDS * PART_BYTES - ROOM_BYTES;

/// From so many keys on, asking for their memory beforehand saves more than it costs.
const WARM_FROM: usize = 4;

/// Work that waits for its shards.
#[derive(Debug)]
pub(super) enum Job {
    /// A command.
    Run {
        reply_to: ReplyTo,
        caller: u64,
        reads: Reads,
        command: CommandId,
        words: OwnedWords,
        manner: Manner,
    },
    /// A transaction over shards of this core.
    Task(Task),
    /// A waiter of this core that was woken, by number.
    Retry { number: u64 },
    /// Shards that another core's transaction wants.
    Lend { to: CoreId, loan: u64 },
    /// Shards that a transaction of this core wants of it.
    Take { loan: u64 },
}

impl Engine {
    /// Runs a request if its shards (a bit each) are here and nobody waits for them, else queues
    /// it.
    #[inline]
    pub(super) fn start(
        &mut self,
        now: Now,
        request: Request<'_>,
        manner: Manner,
        shards: u64,
        out: &mut dyn Outbound,
    ) {
        if shards & self.unavailable() == 0 {
            self.run(now, request, manner, shards, out);
            return;
        }
        let is_watch = matches!(manner, Manner::Watch | Manner::Unwatch);
        if self.waiting.len() >= WAITING_MAX && !is_watch {
            self.stats.busy += 1;
            self.answer(request.reply_to, Reply::Error(CommandError::Busy), out);
            return;
        }
        let Request { reply_to, caller, reads, command, args, .. } = request;
        let words = OwnedWords::new(args.words());
        let job = Job::Run { reply_to, caller, reads, command, words, manner };
        self.waiting.push_back(Waiting { shards, job });
    }

    /// Shards that are away, or that somebody who came earlier waits for.
    pub(super) fn unavailable(&self) -> u64 {
        if self.away == 0 && self.waiting.is_empty() {
            return 0;
        }
        self.waiting.iter().fold(self.away, |mask, waiting| mask | waiting.shards)
    }

    /// Runs what waited and can run now, in order: nobody overtakes somebody who waits for one of
    /// the same shards.
    pub(super) fn run_waiting(&mut self, now: Now, out: &mut dyn Outbound) {
        if self.running_waiting {
            // The loop below is on the stack and starts again.
            self.came_home = true;
            return;
        }
        self.running_waiting = true;
        let mut blocked = self.away;
        let mut at = 0;
        while at < self.waiting.len() {
            let shards = self.waiting[at].shards;
            if shards & blocked != 0 {
                blocked |= shards;
                at += 1;
                continue;
            }
            let waiting = self.waiting.remove(at).expect("the position was checked");
            self.run_job(now, waiting, out);
            if std::mem::take(&mut self.came_home) {
                // A transaction that ran gave shards back, also to those that were passed over.
                (blocked, at) = (self.away, 0);
            }
            // What ran may have taken or lent shards.
            blocked |= self.away;
        }
        self.running_waiting = false;
    }

    fn run_job(&mut self, now: Now, waiting: Waiting, out: &mut dyn Outbound) {
        match waiting.job {
            Job::Run { reply_to, caller, reads, command, words, manner } => {
                let words = words.get();
                let args = Args::parse(command.spec(), &words)
                    .expect("the words were decoded before the command was queued");
                let args = &args;
                let request = Request { reply_to, caller, reads, command, args, target: None };
                self.run(now, request, manner, waiting.shards, out);
            }
            Job::Task(task) => {
                self.run_task_here(now, task, out);
            }
            Job::Retry { number } => {
                self.retry(now, number, out);
                self.serve(now, out);
            }
            Job::Lend { to, loan } => self.lend(to, loan, waiting.shards),
            Job::Take { loan } => self.take_own(now, loan, waiting.shards, out),
        }
    }

    fn run(
        &mut self,
        now: Now,
        request: Request<'_>,
        manner: Manner,
        shards: u64,
        out: &mut dyn Outbound,
    ) {
        self.trackers.writer = request.reads.client;
        if let Run::Read(_) = request.command.spec().run {
            self.remember(request);
        }
        match manner {
            Manner::Single | Manner::AllShards => self.run_once(now, request, shards, out),
            Manner::PerKey => self.run_per_key(now, request, out),
            Manner::OnDisk => self.answer_on_disk(request.reply_to, out),
            Manner::OnCore if matches!(request.command.spec().run, Run::Unblock) => {
                let reply = self.unblock(request.args, out);
                self.answer(request.reply_to, reply, out);
            }
            Manner::OnCore => {
                let reply = out.run_on_core(request.command, request.args, request.caller);
                self.answer(request.reply_to, reply, out);
            }
            Manner::Track => {
                self.note_tracker(request.caller, request.args.words());
                self.answer(request.reply_to, Reply::Ok, out);
            }
            Manner::Watch => {
                self.run_watch(now, request);
                self.answer(request.reply_to, Reply::Ok, out);
            }
            Manner::Unwatch => {
                self.end_watches(request.caller, shards, now);
                self.answer(request.reply_to, Reply::Ok, out);
            }
        }
        self.serve(now, out);
    }

    fn run_once(&mut self, now: Now, request: Request<'_>, shards: u64, out: &mut dyn Outbound) {
        let spec = request.command.spec();
        let read = match spec.run {
            Run::Read(read) => read,
            Run::Block(_) => return self.run_block(now, request, shards, out),
            Run::Write(_) => {
                let (reply, needs) = self.run_write(now, request, shards);
                self.answer_when(needs, request.reply_to, reply, out);
                return;
            }
            Run::Session | Run::EveryCore(_) | Run::Transaction | Run::Unblock | Run::Script(_) => {
                unreachable!("{} runs elsewhere", spec.resp)
            }
        };
        let focus = self.focus(now, request, shards);
        let draw = self.draw_for(request.command);
        let rules = self.settings.memory.rules();
        let view = View::new(&self.shards, now, &self.tally, rules, draw, focus);
        let reply = bounded(read(&view, request.args).unwrap_or_else(Reply::Error));
        let unstable = view.unstable();
        match request.reply_to {
            ReplyTo::Client { conn, ticket } if unstable == 0 => out.reply(conn, ticket, reply),
            ReplyTo::Core { core, gather } if unstable == 0 && core != self.core => {
                // Not `answer`, which would need the shards that the reply borrows from.
                let peer = &mut self.peers[core.index()].completions;
                let reply = peer.pack_reply(reply);
                peer.envelopes.push(Envelope::Done { gather, reply });
            }
            reply_to => {
                let reply = reply.into_owned();
                let needs = self.needs_of(unstable);
                self.answer_when(needs, reply_to, reply, out);
            }
        }
    }

    /// Looks the command's one key up, so that neither the command nor its use as "recently used"
    /// has to do it again.
    #[inline]
    fn focus<'k>(&mut self, now: Now, request: Request<'k>, shards: u64) -> Option<Focus<'k>> {
        let spec = request.command.spec();
        if spec.atomicity != Atomicity::Single || !matches!(spec.keys, Keys::Range { .. }) {
            return None;
        }
        let shard = ShardId::new(shards.trailing_zeros() as usize);
        Some(self.focus_key(now, self.target(request, shard), request))
    }

    fn target<'k>(&self, request: Request<'k>, id: ShardId) -> Target<'k> {
        request.target.unwrap_or_else(|| {
            let key = only_key(request);
            let shard = self.shards[id.index()].as_deref().expect("the shard is here");
            Target { key, spot: Spot { shard: id, hash: shard.hash(key), likely: None } }
        })
    }

    #[inline]
    fn focus_key<'k>(&mut self, now: Now, target: Target<'k>, request: Request<'_>) -> Focus<'k> {
        let Target { key, spot } = target;
        let counts = !request.reads.quiet && !request.command.spec().flags.has(Flags::NO_TOUCH);
        let draw = match self.settings.memory.mode {
            AccessMode::Frequency { .. } if counts => self.rng.draw(),
            AccessMode::Frequency { .. } | AccessMode::Recency => 0,
        };
        let shard = self.shards[spot.shard.index()].as_deref_mut().expect("the shard is here");
        let located = shard.locate_at(key, &spot);
        if let (Some(located), true) = (located, counts) {
            shard.touch(located, now.unix_ms, draw);
        }
        Focus { key, spot, located }
    }

    #[inline]
    pub(super) fn draw_for(&mut self, command: CommandId) -> u64 {
        if command.spec().flags.has(Flags::RANDOM) { self.rng.draw() } else { 0 }
    }

    /// Runs a writing command and commits what it recorded. Returns what its reply waits for.
    fn run_write(
        &mut self,
        now: Now,
        request: Request<'_>,
        shards: u64,
    ) -> (Reply<'static>, Needs) {
        let spec = request.command.spec();
        if spec.flags.has(Flags::DENY_OOM) && !self.make_room(now) {
            return (Reply::Error(CommandError::OutOfMemory), Needs::default());
        }
        if let Some(focus) = self.focus(now, request, shards) {
            return self.write_single(now, request, &focus);
        }
        let planned = self.plan_records(now, request);
        let needs = if planned.touched == 0 {
            self.needs_of(planned.unstable)
        } else {
            self.commit(now, planned.touched, planned.unstable)
        };
        self.set_access(planned.access);
        (planned.reply, needs)
    }

    /// A command about one key: its records go straight to where the log wants them.
    #[inline]
    fn write_single(
        &mut self,
        now: Now,
        request: Request<'_>,
        focus: &Focus<'_>,
    ) -> (Reply<'static>, Needs) {
        let start = self.log.len();
        let mut log = std::mem::take(&mut self.log);
        open_single(&mut log);
        let planned = self.plan(now, request, Some(*focus), &mut log);
        self.log = log;
        let needs = if planned.touched == 0 {
            self.log.truncate(start);
            self.needs_of(planned.unstable)
        } else {
            assert_eq!(planned.touched, 1 << focus.spot.shard.index(), "it writes to its one key");
            self.commit_single(now, start, focus, planned.unstable)
        };
        self.set_access(planned.access);
        (planned.reply, needs)
    }

    /// The same for a command over borrowed shards; the caller keeps the account of what has to
    /// become stable.
    pub(super) fn run_whole(&mut self, now: Now, request: Request<'_>) -> Ran {
        let planned = self.plan_records(now, request);
        if planned.touched != 0 {
            self.seal_and_apply(now, planned.touched);
        }
        self.set_access(planned.access);
        let Planned { reply, touched, unstable, .. } = planned;
        Ran { reply, touched, unstable, fate: Fate::Answers }
    }

    /// Lets a writing command decide; its records are in `self.records` afterwards.
    pub(super) fn plan_records(&mut self, now: Now, request: Request<'_>) -> Planned {
        self.warm(request);
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let planned = self.plan(now, request, None, &mut records);
        self.records = records;
        planned
    }

    /// Brings the memory that lookups of many keys will read closer, all at once.
    fn warm(&self, request: Request<'_>) {
        let words = request.args.words();
        let keys = request.command.spec().key_positions(words);
        if keys.len() >= WARM_FROM {
            for ahead in keys.chunks(PREFETCH_MAX) {
                self.prefetch(ahead.iter().map(|at| Some(words[*at])));
            }
        }
    }

    /// Lets a writing command decide, and appends its records to `records`.
    #[inline]
    pub(super) fn plan(
        &mut self,
        now: Now,
        request: Request<'_>,
        focus: Option<Focus<'_>>,
        records: &mut Vec<u8>,
    ) -> Planned {
        let spec = request.command.spec();
        let draw = self.draw_for(request.command);
        self.remember(request);
        let rules = self.settings.memory.rules();
        let view = View::new(&self.shards, now, &self.tally, rules, draw, focus);
        let start = records.len();
        let mut plan = Plan::new(view, records);
        let mut pause = None;
        let result = match spec.run {
            Run::Write(write) => write(&mut plan, request.args),
            Run::Block(attempt) => attempt(&mut plan, request.args).map(|blocked| match blocked {
                Blocked::Done(reply) => reply,
                Blocked::Wait(wanted) => {
                    let reply = wanted.at_once.clone();
                    pause = Some(Box::new(wanted));
                    reply
                }
            }),
            Run::Read(_)
            | Run::Session
            | Run::Transaction
            | Run::Script(_)
            | Run::EveryCore(_)
            | Run::Unblock => {
                unreachable!("{} does not write", spec.resp)
            }
        };
        let unstable = plan.unstable();
        let (touched, access) = (plan.touched(), plan.take_access());
        let told = plan.take_told();
        if let Some(pause) = &pause {
            self.want_cold(pause);
        }
        let too_large = records.len() - start > RECORDS_BYTES_MAX;
        match result {
            Ok(_) if too_large => {
                let reply = Reply::Error(CommandError::Coded {
                    code: "ERR",
                    message: "the command changes more bytes than one batch of the log may hold",
                });
                Planned { reply, touched: 0, unstable, access: None, pause: None }
            }
            Ok(reply) => {
                if !told.is_empty() {
                    self.told.extend(told);
                }
                Planned { reply, touched, unstable, access, pause }
            }
            Err(error) => {
                Planned { reply: error.into(), touched: 0, unstable, access: None, pause: None }
            }
        }
    }

    #[inline]
    pub(super) fn set_access(&mut self, used: Option<Box<Used>>) {
        if let Some(Used { shard, key, access }) = used.as_deref()
            && let Some(shard) = self.shards[shard.index()].as_deref_mut()
        {
            shard.set_access(key, *access);
        }
    }

    /// Runs a command once per key, each an atomic step of its own.
    fn run_per_key(&mut self, now: Now, request: Request<'_>, out: &mut dyn Outbound) {
        let spec = request.command.spec();
        let Atomicity::PerKey(fold) = spec.atomicity else {
            unreachable!("{} does not run per key", spec.resp)
        };
        let name = request.args.words()[0];
        let keys = keys_of(request);
        let mut answers = PerKeyAnswers::new(keys.len());
        let mut needs = Needs::default();
        'keys: for keys in keys.chunks(PREFETCH_MAX) {
            let places = self.prefetch(keys.iter().copied().map(Some));
            for (key, place) in keys.iter().zip(places) {
                let words: Words<'_> = [name, key].into_iter().collect();
                let args = Args::parse(spec, &words)
                    .expect("a name and one key suit a command that runs per key");
                let (part, shard) =
                    targeted(Request { args: &args, target: None, ..request }, place);
                let (reply, more) = self.run_key(now, part, shard);
                needs.join(more);
                if !answers.take(reply) {
                    break 'keys;
                }
            }
        }
        let reply = answers.fold(fold);
        self.answer_when(needs, request.reply_to, reply, out);
    }

    fn run_key(
        &mut self,
        now: Now,
        request: Request<'_>,
        shard: ShardId,
    ) -> (Reply<'static>, Needs) {
        let Run::Read(read) = request.command.spec().run else {
            return self.run_write(now, request, 1 << shard.index());
        };
        let focus = self.focus_key(now, self.target(request, shard), request);
        let rules = self.settings.memory.rules();
        let view = View::new(&self.shards, now, &self.tally, rules, 0, Some(focus));
        let reply = read(&view, request.args).unwrap_or_else(Reply::Error).into_owned();
        let unstable = view.unstable();
        (reply, self.needs_of(unstable))
    }

    /// What another core sent.
    pub(super) fn parcel(
        &mut self,
        now: Now,
        from: CoreId,
        mut parcel: Parcel,
        out: &mut dyn Outbound,
    ) {
        let mut received = std::mem::take(&mut parcel.envelopes);
        if let Some(Envelope::Execute { .. }) = received.first() {
            self.spare.fit_out(&mut self.peers[from.index()].completions, Lane::Completions);
        }
        let mut envelopes = received.drain(..);
        while !envelopes.as_slice().is_empty() {
            let places = self.prefetch_parcel(&parcel, envelopes.as_slice());
            // In this order, or the pair would take an envelope that no place is left for.
            for (place, envelope) in places.into_iter().zip(envelopes.by_ref()) {
                self.open_envelope(now, (from, &parcel), (envelope, place), out);
            }
        }
        drop(envelopes);
        parcel.envelopes = received;
        self.spare.keep(parcel);
    }

    /// The same as [`Engine::prefetch`] for the first of these envelopes.
    fn prefetch_parcel(&self, parcel: &Parcel, envelopes: &[Envelope]) -> Places {
        let mut places = Places::default();
        for (place, envelope) in places.iter_mut().zip(envelopes) {
            *place = parcel.key_of(envelope).map(|(shard, key)| self.prefetch_in(shard, key));
        }
        self.prefetch_entries(&mut places);
        places
    }

    /// `place` is where the second word of a request lives, if it was looked up ahead.
    fn open_envelope(
        &mut self,
        now: Now,
        (from, parcel): (CoreId, &Parcel),
        (envelope, place): (Envelope, Option<Place>),
        out: &mut dyn Outbound,
    ) {
        match envelope {
            Envelope::Execute { gather, command, words, caller, reads, manner, shards } => {
                let words = parcel.words(words);
                let args = Args::parse(command.spec(), &words)
                    .expect("the sender has decoded the same words");
                let reply_to = ReplyTo::Core { core: from, gather };
                let args = &args;
                let request = Request { reply_to, caller, reads, command, args, target: None };
                let (request, shards) = self.as_sent(request, manner, (shards, place));
                self.start(now, request, manner, shards, out);
            }
            Envelope::Tell { words } => {
                out.hear(&parcel.words(words));
                self.peers[from.index()].completions.envelopes.push(Envelope::Heard);
            }
            Envelope::Heard => self.peers[from.index()].outstanding -= 1,
            Envelope::Done { gather, reply } => {
                if !self.was_parked(from, gather) {
                    self.peers[from.index()].outstanding -= 1;
                }
                let reply = parcel.unpack_reply(reply);
                if let Some(number) = self.gathers.fill(gather, from, reply, &mut self.rng, out) {
                    self.all_on_disk(number, out);
                }
            }
            Envelope::Parked { gather } => self.parked(from, gather),
            Envelope::GiveUp { gather, why } => self.given_up(from, gather, why, out),
            Envelope::Wait { number, command, keys } => {
                self.waiters.note(from, number, command, &parcel.words(keys));
            }
            Envelope::Unwait { number } => {
                self.unwait(from, number);
                self.serve(now, out);
            }
            Envelope::Wake { number } => self.wake(now, number, out),
            Envelope::Pass { number } => {
                self.waiters.pass_note(from, number);
                self.serve(now, out);
            }
            Envelope::Stale { writer, words } => {
                let words = parcel.words(words);
                let readers = unpack_clients(words[0]);
                out.stale(&readers, writer, words.get(1).copied());
            }
            Envelope::Borrow { loan, shards } => self.asked_to_lend(from, loan, shards),
            Envelope::Lent { loan, shards, unsettled } => {
                self.peers[from.index()].outstanding -= 1;
                self.lent(now, loan, shards, unsettled, out);
            }
            Envelope::Return { shards, pending } => self.returned(now, shards, pending, out),
            Envelope::Settled { loan, shard } => self.settled(loan, shard, out),
            Envelope::Stable { shard, seq } => self.became_stable(shard, seq, out),
        }
    }

    /// A request from another core with what is known of its key, and the shards it concerns.
    fn as_sent<'a>(
        &self,
        request: Request<'a>,
        manner: Manner,
        (shards, place): (u64, Option<Place>),
    ) -> (Request<'a>, u64) {
        let spec = request.command.spec();
        let is_about_one =
            spec.atomicity == Atomicity::Single && matches!(spec.keys, Keys::Range { .. });
        match manner {
            Manner::Single if is_about_one => (targeted(request, place).0, shards),
            Manner::AllShards => (request, self.owned_mask()),
            _ => (request, shards),
        }
    }
}

/// What a writing command has decided.
pub(super) struct Planned {
    pub(super) reply: Reply<'static>,
    pub(super) touched: u64,
    pub(super) unstable: u64,
    pub(super) access: Option<Box<Used>>,
    /// The command found nothing, and this is how it wants to wait.
    pub(super) pause: Option<Box<Pause>>,
}

pub(super) fn items(reply: Reply<'static>) -> Vec<Reply<'static>> {
    match reply {
        Reply::Array(items) => items,
        other => vec![other],
    }
}

/// The sum of integers; an error among them stands for all.
pub(super) fn sum(replies: Vec<Reply<'static>>) -> Reply<'static> {
    let mut total = 0i64;
    for reply in replies {
        match reply {
            Reply::Integer(number) => total = total.saturating_add(number),
            other => return other,
        }
    }
    Reply::Integer(total)
}
