//! Commands that wait for somebody else's change ([`Run::Block`]): trying, standing in line, being
//! woken, giving up.
//!
//! A change of a key with a line is noted by its shard ([`crate::shard::interest`]). When the batch
//! is done, those in line are tried in order, each as a command of its own, until the key holds
//! nothing for them. Whoever needs shards of other cores for that has the *turn* until the try is
//! over: nobody behind is tried meanwhile, and whoever comes newly stands in line.
//!
//! Deadlines are those of the core that keeps the waiter; a client that is gone, and
//! `CLIENT UNBLOCK`, are passed on to it.
//!
//! [`Run::Block`]: crate::command::spec::Run::Block

use super::commit::Needs;
use super::event::{Flow, Outbound};
use super::gather::Gather;
use super::parcel::{Envelope, Manner, OwnedWords};
use super::route::{Request, keys_of};
use super::run::{Job, Planned};
use super::task::{Fate, Ran, Task, Work};
use super::tx::shards_of_keys;
use super::waiters::{Client, Entry, Place, State, Turn, Waiter, Who, Why};
use super::{Engine, ReplyTo, Waiting, shards_in};
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Flags, Keys, Pause};
use crate::id::CoreId;
use crate::key::shard_of;
use crate::shard::plan::Now;
use crate::shard::{Content, ValueType};

/// What a try came to.
enum Tried {
    /// The answer, and what it waits for.
    Done(Reply<'static>, Needs),
    /// There is nothing to take.
    Wait(Pause),
}

/// The keys whose changes a command waits for: of one that moves something, where that comes from.
fn awaited_keys<'a>(request: Request<'a>) -> Vec<&'a [u8]> {
    let mut keys = keys_of(request);
    if request.command.spec().keys == Keys::TWO {
        keys.truncate(1);
    }
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

impl Waiter {
    /// A command that was not tried yet.
    fn of(request: Request<'_>, shards: u64, spans: bool) -> Self {
        let Request { reply_to, reads, command, args, .. } = request;
        let words = OwnedWords::new(args.words());
        let keys: Vec<Box<[u8]>> = awaited_keys(request).into_iter().map(Box::from).collect();
        let bytes = words.held_bytes() + keys.iter().map(|key| key.len()).sum::<usize>();
        Self {
            reply_to,
            reads,
            command,
            words,
            keys,
            bytes,
            shards,
            deadline_ns: None,
            nothing: None,
            disk: None,
            spans,
            in_line: false,
            state: State::Idle,
        }
    }

    /// Begins to wait as the first try wants it; later ones change nothing.
    fn wait(&mut self, now: Now, pause: Pause) {
        if self.nothing.is_some() {
            return;
        }
        let Pause { timeout_ms, nothing, again, disk, .. } = pause;
        (self.nothing, self.disk) = (Some(nothing), disk);
        self.deadline_ns = (timeout_ms > 0)
            .then(|| now.monotonic_ns.saturating_add(timeout_ms.saturating_mul(1_000_000)));
        if let Some(words) = again {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            self.words = OwnedWords::new(&words);
        }
    }
}

impl Engine {
    /// A command that may wait, from a client of this core.
    pub(super) fn block(&mut self, now: Now, request: Request<'_>, out: &mut dyn Outbound) -> Flow {
        let shards = shards_of_keys(keys_of(request).into_iter());
        let ReplyTo::Client { conn, .. } = request.reply_to else {
            unreachable!("only clients' requests come this way")
        };
        let caller = request.caller;
        if self.waiters.closed {
            self.answer(request.reply_to, Reply::NilArray, out);
            return Flow::Continue;
        }
        if shards & !self.owned_mask() == 0 {
            self.start(now, request, Manner::Single, shards, out);
            return Flow::Barrier;
        }
        let owner = self.map.owner(shards_in(shards).next().expect("it is not empty"));
        let place = if shards & !self.mask_of(owner) == 0 {
            let gather = self.gathers.open(Gather::Single { reply_to: request.reply_to });
            let words = request.args.words().iter().copied();
            self.execute_on(owner, gather, request, words, (Manner::Single, shards));
            Place::There { core: owner, gather, parked: false }
        } else if self.waiters.is_full() {
            return self.refuse_waiter(request, out);
        } else {
            let number = self.waiters.number();
            let mut waiter = Waiter::of(request, shards, true);
            waiter.state = State::Trying;
            self.waiters.keep(number, waiter);
            self.try_afar(now, number, out);
            Place::Here(number)
        };
        self.waiters.clients.insert(conn, Client { caller, place });
        Flow::Barrier
    }

    /// Too many wait already.
    fn refuse_waiter(&mut self, request: Request<'_>, out: &mut dyn Outbound) -> Flow {
        self.stats.busy += 1;
        self.answer(request.reply_to, Reply::Error(CommandError::Busy), out);
        Flow::Continue
    }

    /// Runs a command that may wait, over shards that are here.
    pub(super) fn run_block(
        &mut self,
        now: Now,
        request: Request<'_>,
        shards: u64,
        out: &mut dyn Outbound,
    ) {
        let mut waiter = Waiter::of(request, shards, false);
        // Whoever has the turn came earlier.
        if !waiter.keys.iter().any(|key| self.waiters.has_turn(key)) {
            match self.attempt(now, request) {
                Tried::Done(reply, needs) => {
                    self.answer_when(needs, request.reply_to, reply, out);
                    return;
                }
                Tried::Wait(pause) if self.waiters.closed => {
                    self.answer(request.reply_to, pause.nothing, out);
                    return;
                }
                Tried::Wait(pause) => waiter.wait(now, pause),
            }
        }
        if self.waiters.is_full() {
            self.refuse_waiter(request, out);
            return;
        }
        let number = self.waiters.number();
        self.stand_in_line(number, &mut waiter);
        match request.reply_to {
            ReplyTo::Client { conn, .. } => {
                let client = Client { caller: request.caller, place: Place::Here(number) };
                self.waiters.clients.insert(conn, client);
            }
            ReplyTo::Core { core, gather } => {
                let peer = &mut self.peers[core.index()].completions;
                peer.envelopes.push(Envelope::Parked { gather });
            }
            ReplyTo::Nobody => {}
        }
        let for_disk = waiter.disk.is_some();
        self.waiters.keep(number, waiter);
        if for_disk {
            self.ask_for_disks(now, number, request, out);
        }
    }

    /// Asks every core to say when its log is on disk as far as it has come.
    fn ask_for_disks(
        &mut self,
        now: Now,
        waiter: u64,
        request: Request<'_>,
        out: &mut dyn Outbound,
    ) {
        let (me, cores) = (self.core, self.map.cores());
        let gather = self.gathers.open(Gather::Disks { waiter, missing: cores });
        for core in (0..cores).map(CoreId::new).filter(|core| *core != me) {
            let words = request.args.words().iter().copied();
            self.execute_on(core, gather, request, words, (Manner::OnDisk, 0));
        }
        let reply_to = ReplyTo::Core { core: me, gather };
        self.start(now, Request { reply_to, ..request }, Manner::OnDisk, 0, out);
    }

    /// Every log is on disk as far as it had come when the waiter asked.
    pub(super) fn all_on_disk(&mut self, number: u64, out: &mut dyn Outbound) {
        let Some(waiter) = self.waiters.here.get_mut(&number) else { return };
        let Some(disk) = waiter.disk.take() else { return };
        waiter.nothing = Some(disk.then);
        if disk.is_enough {
            self.give_up(number, Why::Time, out);
        }
    }

    /// Tries a command, and commits what it took.
    fn attempt(&mut self, now: Now, request: Request<'_>) -> Tried {
        if request.command.spec().flags.has(Flags::DENY_OOM) && !self.make_room(now) {
            return Tried::Done(Reply::Error(CommandError::OutOfMemory), Needs::default());
        }
        let planned = self.plan_records(now, request);
        if let Some(pause) = planned.pause {
            return Tried::Wait(*pause);
        }
        let needs = if planned.touched == 0 {
            self.needs_of(planned.unstable)
        } else {
            self.commit(now, planned.touched, planned.unstable)
        };
        self.set_access(planned.access);
        Tried::Done(planned.reply, needs)
    }

    /// Puts a waiter in line for its keys, whose shards are in the table. Owners elsewhere are
    /// told; their shards go home behind that.
    fn stand_in_line(&mut self, number: u64, waiter: &mut Waiter) {
        waiter.in_line = true;
        if let ReplyTo::Client { .. } = waiter.reply_to {
            self.waiters.standing += 1;
        }
        for key in &waiter.keys {
            let id = shard_of(key);
            let shard = self.shards[id.index()].as_deref_mut();
            shard.expect("a command runs where its shards are").interest.add(key);
            if self.map.owner(id) == self.core {
                let mut entry = Entry::of(Who::Here, waiter.command);
                entry.is_new = waiter.nothing.is_none();
                self.waiters.stand(key, number, entry);
            }
        }
        for owner in self.other_owners(waiter) {
            let keys = waiter.keys.iter().map(|key| &**key);
            let keys = keys.filter(|key| self.map.owner(shard_of(key)) == owner);
            let parcel = &mut self.peers[owner.index()].completions;
            let keys = parcel.pack_words(keys);
            let command = waiter.command;
            parcel.envelopes.push(Envelope::Wait { number, command, keys });
        }
    }

    /// The other cores that own keys it waits for.
    fn other_owners(&self, waiter: &Waiter) -> Vec<CoreId> {
        let mut owners: Vec<CoreId> =
            waiter.keys.iter().map(|key| self.map.owner(shard_of(key))).collect();
        owners.sort_unstable();
        owners.dedup();
        owners.retain(|owner| *owner != self.core);
        owners
    }

    /// Tells the other owners of a waiter's keys something.
    fn tell_owners(&mut self, waiter: &Waiter, envelope: impl Fn() -> Envelope) {
        for owner in self.other_owners(waiter) {
            self.peers[owner.index()].completions.envelopes.push(envelope());
        }
    }

    /// Takes a waiter out of all books.
    pub(super) fn forget(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(number)?;
        if waiter.in_line {
            for key in &waiter.keys {
                if self.map.owner(shard_of(key)) == self.core {
                    self.waiters.leave(key, number);
                    self.lose_interest(key);
                }
            }
            self.tell_owners(&waiter, || Envelope::Unwait { number });
        }
        Some(waiter)
    }

    /// One fewer waits for a key of this core.
    fn lose_interest(&mut self, key: &[u8]) {
        match self.shards[shard_of(key).index()].as_deref_mut() {
            Some(shard) => shard.interest.remove(key),
            None => self.waiters.stale.push(key.into()),
        }
    }

    /// Notes what was changed in shards of this core that are here.
    fn take_fired(&mut self) {
        let own = self.owned_mask();
        for id in shards_in(std::mem::take(&mut self.fired) & own) {
            let Some(shard) = self.shards[id.index()].as_deref_mut() else { continue };
            for key in shard.interest.take_fired() {
                let known =
                    self.waiters.fired.iter().any(|(other, from)| *other == key && *from == 0);
                if !known && self.waiters.lines.contains_key(&key) {
                    self.waiters.fired.push_back((key, 0));
                }
            }
        }
    }

    /// Tries those who wait for what was changed. To be called when a batch is done and before
    /// anything else runs.
    #[inline]
    pub(super) fn serve(&mut self, now: Now, out: &mut dyn Outbound) {
        if self.fired != 0 || !self.waiters.fired.is_empty() {
            self.serve_lines(now, out);
        }
    }

    fn serve_lines(&mut self, now: Now, out: &mut dyn Outbound) {
        loop {
            self.tell_changes(out);
            self.take_fired();
            let shards = &self.shards;
            let is_here = |(key, _): &(Box<[u8]>, u64)| shards[shard_of(key).index()].is_some();
            let Some(at) = self.waiters.fired.iter().position(is_here) else { return };
            let (key, from) = self.waiters.fired.remove(at).expect("it was just found");
            self.serve_line(now, &key, from, out);
        }
    }

    /// Tries those in line for a key, from a place on, while the key holds something for them.
    fn serve_line(&mut self, now: Now, key: &[u8], from: u64, out: &mut dyn Outbound) {
        let mut next = from;
        loop {
            let (value_type, has_something) = (self.type_now(now, key), self.has_something(key));
            let Some(line) = self.waiters.lines.get_mut(key) else { return };
            if let Some(turn) = &mut line.turn {
                turn.again |= next == 0;
                return;
            }
            let found = line
                .entries
                .range(next..)
                .find(|(_, entry)| entry.suits(value_type, has_something));
            let Some((order, entry)) = found.map(|(order, entry)| (*order, *entry)) else { return };
            next = order + 1;
            line.turn = Some(Turn { order, again: false });
            match entry.who {
                Who::There { core, number } => {
                    let completions = &mut self.peers[core.index()].completions;
                    completions.envelopes.push(Envelope::Wake { number });
                    return;
                }
                Who::Here if self.try_again(now, order, out) => {
                    // It is over already, and with it the turn.
                }
                Who::Here => return,
            }
        }
    }

    /// Whether there is something in a key, or no key, which some wait for as well.
    fn has_something(&self, key: &[u8]) -> bool {
        let shard = self.shards[shard_of(key).index()].as_deref();
        match shard.and_then(|shard| shard.get(key)).map(|entry| entry.content()) {
            Some(Content::Large(large, _)) => large.has_something(),
            Some(Content::Packed(_)) | None => true,
        }
    }

    fn type_now(&self, now: Now, key: &[u8]) -> Option<ValueType> {
        let shard = self.shards[shard_of(key).index()].as_deref()?;
        let entry = shard.get(key).filter(|entry| !entry.is_expired(now.unix_ms))?;
        Some(entry.value_type())
    }

    /// Tries a waiter of this core again; false when that takes longer.
    fn try_again(&mut self, now: Now, number: u64, out: &mut dyn Outbound) -> bool {
        let waiter = self.waiters.here.get_mut(&number).expect("who stands in line waits");
        match waiter.state {
            State::Trying | State::GivenUp(_) => return false,
            State::Idle => {}
        }
        if waiter.spans {
            waiter.state = State::Trying;
            self.try_afar(now, number, out);
            return false;
        }
        if waiter.shards & self.away != 0 {
            waiter.state = State::Trying;
            let shards = waiter.shards;
            self.waiting.push_back(Waiting { shards, job: Job::Retry { number } });
            return false;
        }
        let (keys, order) = (waiter.keys.clone(), number);
        // Turns end by serving who is next; here that is the caller's own loop.
        for key in &keys {
            if let Some(line) = self.waiters.lines.get_mut(key) {
                line.turn.take_if(|turn| turn.order == order);
            }
        }
        self.retry(now, number, out);
        true
    }

    /// Tries a waiter over shards of this core, which are here.
    pub(super) fn retry(&mut self, now: Now, number: u64, out: &mut dyn Outbound) {
        let Some(waiter) = self.waiters.here.get_mut(&number) else { return };
        if let State::GivenUp(why) = waiter.state {
            self.end(number, why, out);
            return;
        }
        let reply_to = waiter.reply_to;
        match self.attempt_of(now, number) {
            Tried::Done(reply, needs) => {
                self.forget(number);
                self.answer_when(needs, reply_to, reply, out);
            }
            Tried::Wait(pause) => self.goes_on_waiting(now, number, pause),
        }
    }

    fn attempt_of(&mut self, now: Now, number: u64) -> Tried {
        let waiter = self.waiters.here.get_mut(&number).expect("the caller has seen it");
        let owned = std::mem::replace(&mut waiter.words, OwnedWords::new(&[]));
        let (reply_to, reads, command) = (waiter.reply_to, waiter.reads, waiter.command);
        self.trackers.writer = reads.client;
        let tried = {
            let words = owned.get();
            let args = Args::parse(command.spec(), &words)
                .expect("the words were decoded before the command waited");
            let args = &args;
            self.attempt(now, Request { reply_to, caller: 0, reads, command, args, target: None })
        };
        let waiter = self.waiters.here.get_mut(&number).expect("a try removes no waiter");
        waiter.words = owned;
        tried
    }

    /// A try was in vain.
    fn goes_on_waiting(&mut self, now: Now, number: u64, pause: Pause) {
        let Some(mut waiter) = self.waiters.take(number) else { return };
        waiter.state = State::Idle;
        waiter.wait(now, pause);
        if waiter.in_line {
            for key in &waiter.keys {
                self.waiters.note_try(key, number);
                self.waiters.end_turn(key, number);
            }
            self.tell_owners(&waiter, || Envelope::Pass { number });
        } else {
            self.stand_in_line(number, &mut waiter);
        }
        self.waiters.keep(number, waiter);
    }

    /// Asks for the shards of a waiter whose keys belong to several cores.
    fn try_afar(&mut self, now: Now, number: u64, out: &mut dyn Outbound) {
        let waiter = &self.waiters.here[&number];
        let (reply_to, reads, command) = (waiter.reply_to, waiter.reads, waiter.command);
        let shards = waiter.shards;
        let task = Task { reply_to, reads, work: Work::Wait { number, command } };
        self.begin_loan(now, task, shards, out);
    }

    /// Tries a waiter over borrowed shards, which are in the table.
    pub(super) fn run_afar(&mut self, now: Now, number: u64, has_room: bool) -> Ran {
        let closed = self.waiters.closed;
        let waiter = self.waiters.here.get_mut(&number).expect("it waits until it was tried");
        if let State::GivenUp(why) = waiter.state {
            let reply = waiter.answer_for(why);
            self.forget(number);
            return Ran { reply, touched: 0, unstable: 0, fate: Fate::Answers };
        }
        if !has_room {
            self.forget(number);
            let reply = Reply::Error(CommandError::OutOfMemory);
            return Ran { reply, touched: 0, unstable: 0, fate: Fate::Answers };
        }
        let owned = std::mem::replace(&mut waiter.words, OwnedWords::new(&[]));
        let (reply_to, reads, command) = (waiter.reply_to, waiter.reads, waiter.command);
        self.trackers.writer = reads.client;
        let planned = {
            let words = owned.get();
            let args = Args::parse(command.spec(), &words)
                .expect("the words were decoded before the command waited");
            let args = &args;
            let request = Request { reply_to, caller: 0, reads, command, args, target: None };
            self.plan_records(now, request)
        };
        let waiter = self.waiters.here.get_mut(&number).expect("a try removes no waiter");
        waiter.words = owned;
        if let Some(pause) = planned.pause
            && !closed
        {
            self.goes_on_waiting(now, number, *pause);
            return Ran { reply: Reply::Nil, touched: 0, unstable: 0, fate: Fate::Waits };
        }
        if planned.touched != 0 {
            self.seal_and_apply(now, planned.touched);
        }
        self.set_access(planned.access);
        self.forget(number);
        let Planned { reply, touched, unstable, .. } = planned;
        Ran { reply, touched, unstable, fate: Fate::Answers }
    }

    /// Another core's waiter no longer waits.
    pub(super) fn unwait(&mut self, from: CoreId, number: u64) {
        for key in self.waiters.forget_note(from, number) {
            self.lose_interest(&key);
        }
    }

    /// It is the turn of a waiter of this core, whose keys belong to several.
    pub(super) fn wake(&mut self, now: Now, number: u64, out: &mut dyn Outbound) {
        if let Some(waiter) = self.waiters.here.get_mut(&number) {
            // Where it is being tried already, that try sees what it is woken for, or its end
            // gives the turn back.
            if let State::Idle = waiter.state {
                waiter.state = State::Trying;
                self.try_afar(now, number, out);
            }
        }
    }

    /// The core that a command was sent to has said that it waits there.
    pub(super) fn parked(&mut self, from: CoreId, gather: u32) {
        self.peers[from.index()].outstanding -= 1;
        if let Some(client) = self.sent_client(from, gather)
            && let Place::There { parked, .. } = &mut client.place
        {
            *parked = true;
            self.waiters.standing += 1;
        }
    }

    /// The client whose blocking command was sent to a core with this gather.
    fn sent_client(&mut self, from: CoreId, gather: u32) -> Option<&mut Client> {
        let conn = self.gathers.client(gather)?;
        let client = self.waiters.clients.get_mut(&conn)?;
        let is_it = matches!(client.place, Place::There { core, gather: sent, .. }
            if core == from && sent == gather);
        is_it.then_some(client)
    }

    /// A command that was sent to a core has been answered; whether that core had taken it off the
    /// account of what is outstanding.
    pub(super) fn was_parked(&mut self, from: CoreId, gather: u32) -> bool {
        if self.waiters.clients.is_empty() {
            return false;
        }
        let Some(client) = self.sent_client(from, gather).copied() else { return false };
        if let Some(conn) = self.gathers.client(gather) {
            self.waiters.clients.remove(&conn);
        }
        let parked = matches!(client.place, Place::There { parked: true, .. });
        self.waiters.standing -= u64::from(parked);
        parked
    }

    /// Shards of this core that are home again: what was changed in them, and what had to wait for
    /// them in the books.
    pub(super) fn catch_up_waiters(&mut self, shards: u64) {
        self.fired |= shards;
        self.catch_up_trackers(shards);
        if self.waiters.stale.is_empty() {
            return;
        }
        for key in std::mem::take(&mut self.waiters.stale) {
            self.lose_interest(&key);
        }
    }

    /// Clients of this core that wait for others' changes now: whoever comes from here on stands
    /// behind them.
    pub fn blocked(&self) -> u64 {
        self.waiters.standing
    }

    /// When [`Event::Alarm`] is due, in nanoseconds of the monotonic clock.
    ///
    /// [`Event::Alarm`]: super::event::Event::Alarm
    pub fn next_deadline(&self) -> Option<u64> {
        self.waiters.next_deadline_ns()
    }
}

#[cfg(test)]
mod tests;
