//! Transactions over the shards of several cores: the shards come here, the command runs as if the
//! machine had one core, one batch in one log records it, the shards go home. Several commands may
//! come and go with the same shards ([`super::convoy`]).
//!
//! Borrowing is ordered: owners ascending, all shards of one owner granted together and first come
//! first served, the next owner asked only after the grant. The transaction's own core takes its
//! turn in that order. So nobody waits in a circle. Nothing waits for a disk while it holds a
//! borrowed shard.
//!
//! Stability, only where replies wait for the disk: the batch lies in the log of the borrower, what
//! the lent shards held before lies in the logs of their owners. The batch is stable when both are.
//! Until then its shards are *gated* at their owners: later batches of them are logged meanwhile,
//! their replies wait. A later batch over several shards, of which one is gated, gates the others
//! too.

use std::collections::{BTreeMap, VecDeque};

use super::convoy::Convoy;
use super::event::{Acknowledge, Outbound};
use super::parcel::Envelope;
use super::run::Job;
use super::task::{Fate, Ran};
use super::{Engine, ReplyTo, Waiting, shards_in};
use crate::command::reply::Reply;
use crate::id::{CoreId, ShardId};
use crate::limits::SHARDS;
use crate::seq::Seq;
use crate::shard::Shard;
use crate::shard::plan::Now;

/// A transaction of this core that is gathering shards, or waits to become stable.
#[derive(Debug)]
enum Loan {
    Gathering(Gathering),
    /// Ran. Its reply leaves, and its shards open, when everything below has come true.
    Settling(Settling),
}

#[derive(Debug)]
struct Gathering {
    convoy: Convoy,
    held: Vec<Box<Shard>>,
    /// Shards whose content at the time of lending is not stable yet.
    unsettled: u64,
}

#[derive(Debug)]
struct Settling {
    log_end: u64,
    /// Shards whose earlier content is not stable yet and matters.
    unsettled: u64,
    /// Shards that its batches changed, with the Seq of the last one there.
    parts: Vec<(ShardId, Seq)>,
    /// Replies that are kept here, in order.
    answers: Vec<(ReplyTo, Reply<'static>)>,
}

/// What the tasks of a convoy came to.
#[derive(Debug, Default)]
struct Totals {
    /// Shards that they changed, and in which they saw something unstable.
    touched: u64,
    unstable: u64,
    answers: Vec<(ReplyTo, Reply<'static>)>,
}

/// The transactions of one core, by number. Numbers are never used again: news about a shard may
/// come after its transaction has ended, and must not be taken for news to a later one.
#[derive(Debug, Default)]
pub(super) struct Loans {
    open: BTreeMap<u64, Loan>,
    next: u64,
    /// Convoys that have not departed, in the order in which they began.
    pub(super) forming: VecDeque<Convoy>,
}

impl Loans {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.forming.is_empty()
    }

    /// Shards that are being gathered, a bit each.
    pub(super) fn gathering_now(&self) -> u64 {
        self.open.values().fold(0, |mask, loan| match loan {
            Loan::Gathering(gathering) => mask | gathering.convoy.wanted(),
            Loan::Settling(_) => mask,
        })
    }

    fn open(&mut self, loan: Loan) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, loan);
        number
    }

    fn gathering(&mut self, loan: u64) -> &mut Gathering {
        match self.open.get_mut(&loan) {
            Some(Loan::Gathering(gathering)) => gathering,
            other => unreachable!("loan {loan} is gathering shards, not {other:?}"),
        }
    }

    fn close(&mut self, loan: u64) -> Loan {
        self.open.remove(&loan).expect("a loan is closed once")
    }

    /// A transaction that has run and waits for nothing but the log, which has come that far.
    fn settled(&self, durable: u64) -> Option<u64> {
        let is_settled = |loan: &Loan| match loan {
            Loan::Settling(settling) => settling.unsettled == 0 && settling.log_end <= durable,
            Loan::Gathering(_) => false,
        };
        self.open.iter().find(|(_, loan)| is_settled(loan)).map(|(number, _)| *number)
    }
}

/// What a core knows about the stability of its own shards where other logs have a say.
#[derive(Debug)]
pub(super) struct Gates {
    shards: Box<[Gate; SHARDS]>,
    /// Shards with a pending transaction, a bit each.
    mask: u64,
}

#[derive(Clone, Debug, Default)]
struct Gate {
    /// First and last Seqs of loans that are not stable yet, ascending.
    pending: VecDeque<(Seq, Seq)>,
    /// What the shard had come to when it was last handed over.
    lent: Seq,
    /// Durable in this core's own log.
    durable: Seq,
    stable: Seq,
    /// Who wants to know when a Seq is stable.
    watchers: Vec<(Seq, CoreId, u64)>,
}

impl Default for Gates {
    fn default() -> Self {
        let shards = vec![Gate::default(); SHARDS].into_boxed_slice();
        Self { shards: shards.try_into().expect("one gate per shard"), mask: 0 }
    }
}

impl Gates {
    pub(super) fn mask(&self) -> u64 {
        self.mask
    }

    pub(super) fn stable(&self, shard: ShardId) -> Seq {
        self.shards[shard.index()].stable
    }

    /// What the shard became between these Seqs, the second included, is not stable yet.
    fn shut(&mut self, shard: ShardId, before: Seq, last: Seq) {
        let gate = &mut self.shards[shard.index()];
        let first = before.next();
        assert!(gate.pending.back().is_none_or(|(_, last)| *last < first), "loans ascend");
        assert!(first <= last, "a loan that is pending has changed the shard");
        gate.pending.push_back((first, last));
        self.mask |= 1 << shard.index();
    }

    /// The same for a shard that was handed over.
    fn shut_behind(&mut self, shard: ShardId, last: Seq) {
        self.shut(shard, self.shards[shard.index()].lent, last);
    }
}

impl Gate {
    /// Recomputes what is stable: what is durable here or settled elsewhere, below the first
    /// transaction that is still pending.
    fn advance(&mut self, settled: Seq) {
        let known = settled.max(self.durable);
        let stable = match self.pending.front() {
            Some((first, _)) => known.min(Seq::new(first.get() - 1)),
            None => known,
        };
        self.stable = self.stable.max(stable);
    }
}

impl Engine {
    /// Starts gathering the shards of a convoy.
    pub(super) fn depart(&mut self, now: Now, convoy: Convoy, out: &mut dyn Outbound) {
        let gathering = Gathering { convoy, held: Vec::new(), unsettled: 0 };
        let loan = self.loans.open(Loan::Gathering(gathering));
        self.ask_next(now, loan, out);
    }

    /// Asks the next owner, or runs the transaction when every shard is here.
    fn ask_next(&mut self, now: Now, loan: u64, out: &mut dyn Outbound) {
        let gathering = self.loans.gathering(loan);
        let here = gathering.held.iter().fold(0u64, |mask, shard| mask | 1 << shard.id().index());
        let missing = gathering.convoy.wanted() & !here;
        let Some(first) = shards_in(missing).next() else {
            self.run_loan(now, loan, out);
            return;
        };
        let owner = self.map.owner(first);
        let theirs = shards_in(missing)
            .filter(|shard| self.map.owner(*shard) == owner)
            .fold(0, |mask, shard| mask | 1 << shard.index());
        if owner != self.core {
            let peer = &mut self.peers[owner.index()];
            peer.requests.envelopes.push(Envelope::Borrow { loan, shards: theirs });
            peer.outstanding += 1;
        } else if theirs & self.unavailable() == 0 {
            self.take_own(now, loan, theirs, out);
        } else {
            self.waiting.push_back(Waiting { shards: theirs, job: Job::Take { loan } });
        }
    }

    /// Another core asks for shards of this one.
    pub(super) fn asked_to_lend(&mut self, to: CoreId, loan: u64, shards: u64) {
        if shards & self.unavailable() == 0 {
            self.lend(to, loan, shards);
        } else {
            self.waiting.push_back(Waiting { shards, job: Job::Lend { to, loan } });
        }
    }

    pub(super) fn lend(&mut self, to: CoreId, loan: u64, mask: u64) {
        let (shards, unsettled) = self.hand_over(to, loan, mask);
        self.stats.lent += shards.len() as u64;
        let envelope = Envelope::Lent { loan, shards, unsettled };
        self.peers[to.index()].completions.envelopes.push(envelope);
    }

    pub(super) fn take_own(&mut self, now: Now, loan: u64, mask: u64, out: &mut dyn Outbound) {
        let (shards, unsettled) = self.hand_over(self.core, loan, mask);
        self.received(now, loan, shards, unsettled, out);
    }

    /// Takes shards out of the table, and promises to tell when their content is stable where it
    /// is not yet.
    fn hand_over(&mut self, to: CoreId, loan: u64, mask: u64) -> (Vec<Box<Shard>>, u64) {
        self.away |= mask;
        let mut unsettled = 0;
        let mut shards = Vec::new();
        for id in shards_in(mask) {
            let shard = self.shards[id.index()].take().expect("only shards at home are lent");
            self.used_bytes -= shard.live_bytes();
            let gate = &mut self.gates.shards[id.index()];
            gate.lent = shard.seq();
            if shard.stable() < shard.seq() {
                unsettled |= 1 << id.index();
                gate.watchers.push((shard.seq(), to, loan));
            }
            shards.push(shard);
        }
        (shards, unsettled)
    }

    /// Shards that were asked for have come.
    pub(super) fn lent(
        &mut self,
        now: Now,
        loan: u64,
        shards: Vec<Box<Shard>>,
        unsettled: u64,
        out: &mut dyn Outbound,
    ) {
        self.received(now, loan, shards, unsettled, out);
    }

    fn received(
        &mut self,
        now: Now,
        loan: u64,
        shards: Vec<Box<Shard>>,
        unsettled: u64,
        out: &mut dyn Outbound,
    ) {
        let gathering = self.loans.gathering(loan);
        gathering.held.extend(shards);
        gathering.unsettled |= unsettled;
        self.ask_next(now, loan, out);
    }

    /// Runs a convoy whose shards are all here, and sends them home.
    fn run_loan(&mut self, now: Now, loan: u64, out: &mut dyn Outbound) {
        let Loan::Gathering(gathering) = self.loans.close(loan) else {
            unreachable!("loan {loan} has just gathered its last shards")
        };
        let Gathering { mut convoy, held, unsettled } = gathering;
        let wanted = convoy.wanted();
        let (own, borrowed): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|shard| self.map.owner(shard.id()) == self.core);
        self.place(own);
        // Before the borrowed shards are here: a core evicts what is its own.
        let has_room = convoy.tasks().all(|task| !task.denies_oom() || self.make_room(now));
        for id in shards_in(wanted & self.owned_mask()) {
            self.gates.shards[id.index()].lent = self.seq_of(id);
        }
        self.place(borrowed);
        let Some(totals) = self.run_convoy(now, &mut convoy, has_room, out) else { return };
        let Totals { touched, unstable, answers } = totals;
        let settled_at_once = self.settings.acknowledge != Acknowledge::OnDisk;
        if touched != 0 || !answers.is_empty() {
            if settled_at_once {
                for (reply_to, reply) in answers {
                    self.answer(reply_to, reply, out);
                }
            } else {
                let parts = shards_in(touched).map(|shard| (shard, self.seq_of(shard))).collect();
                let unsettled = unsettled & (touched | unstable);
                let log_end = self.log_end;
                let settling = Settling { log_end, unsettled, parts, answers };
                self.loans.open.insert(loan, Loan::Settling(settling));
            }
        }
        if !convoy.is_empty() {
            let rest = convoy.narrowed(|shards| self.owners_of(shards));
            self.loans.forming.push_front(rest);
        }
        self.send_home(wanted, if settled_at_once { 0 } else { touched });
        self.settle_transactions(out);
        self.catch_up_waiters(wanted);
        self.serve(now, out);
        self.run_waiting(now, out);
    }

    /// Runs the tasks of a convoy over its shards, which are here, until somebody who waits for
    /// a change has to be served first. Nothing, with the shards sent home, where a task needs
    /// others: such a task is alone.
    fn run_convoy(
        &mut self,
        now: Now,
        convoy: &mut Convoy,
        has_room: bool,
        out: &mut dyn Outbound,
    ) -> Option<Totals> {
        let mut totals = Totals::default();
        while let Some((task, wanted)) = convoy.next() {
            let may_run = has_room || !task.denies_oom();
            let Ran { reply, touched, unstable, fate } = self.run_task(now, &task, may_run, out);
            assert_eq!(touched & !wanted, 0, "it writes to the shards it asked for");
            match fate {
                Fate::Again => {
                    self.send_home(wanted, 0);
                    self.start_task(now, task.widened(), u64::MAX, out);
                    self.run_waiting(now, out);
                    return None;
                }
                // Whoever waits is answered another time.
                Fate::Waits => {}
                Fate::Answers => {
                    totals.touched |= touched;
                    totals.unstable |= unstable;
                    totals.answers.push((task.reply_to, reply));
                }
            }
            if self.fired != 0 {
                break;
            }
        }
        Some(totals)
    }

    fn place(&mut self, shards: Vec<Box<Shard>>) {
        for shard in shards {
            self.used_bytes += shard.live_bytes();
            let at = shard.id().index();
            assert!(self.shards[at].replace(shard).is_none(), "the shard was away until now");
        }
    }

    /// Returns the shards of a mask to their owners, this core among them. `pending` marks those
    /// whose new content is not stable yet.
    fn send_home(&mut self, mask: u64, pending: u64) {
        let own = self.owned_mask();
        for id in shards_in(mask & own & pending) {
            let seq = self.seq_of(id);
            self.gates.shut_behind(id, seq);
        }
        self.away &= !(mask & own);
        for id in shards_in(mask & own & !pending) {
            self.catch_up(id);
        }
        for owner in (0..self.map.cores()).map(CoreId::new).filter(|core| *core != self.core) {
            let theirs: Vec<ShardId> =
                shards_in(mask).filter(|shard| self.map.owner(*shard) == owner).collect();
            if theirs.is_empty() {
                continue;
            }
            let mut shards = Vec::with_capacity(theirs.len());
            for id in theirs {
                let shard = self.shards[id.index()].take().expect("it was borrowed until now");
                self.used_bytes -= shard.live_bytes();
                shards.push(shard);
            }
            let envelope = Envelope::Return { shards, pending };
            self.peers[owner.index()].completions.envelopes.push(envelope);
        }
    }

    /// Shards of this core have come home.
    pub(super) fn returned(
        &mut self,
        now: Now,
        shards: Vec<Box<Shard>>,
        pending: u64,
        out: &mut dyn Outbound,
    ) {
        let mut home = 0;
        for shard in shards {
            let id = shard.id();
            home |= 1 << id.index();
            if pending & (1 << id.index()) != 0 {
                self.gates.shut_behind(id, shard.seq());
            }
            self.used_bytes += shard.live_bytes();
            self.away &= !(1 << id.index());
            self.shards[id.index()] = Some(shard);
            self.catch_up(id);
        }
        self.catch_up_waiters(home);
        self.serve(now, out);
        self.run_waiting(now, out);
    }

    /// A batch that this core wrote over several of its own shards, of which some wait for another
    /// core's transaction: if that is lost so is the batch, and with it its part in the others. So
    /// all of them wait together.
    pub(super) fn gate_together(&mut self, touched: u64) {
        let waits = touched & self.gates.mask();
        let parts: Vec<(ShardId, Seq)> =
            shards_in(touched).map(|shard| (shard, self.seq_of(shard))).collect();
        let log_end = self.log_end;
        let settling =
            Settling { log_end, unsettled: waits, parts: parts.clone(), answers: Vec::new() };
        let loan = self.loans.open(Loan::Settling(settling));
        for (shard, seq) in parts {
            let before = Seq::new(seq.get() - 1);
            if waits & (1 << shard.index()) != 0 {
                self.gates.shards[shard.index()].watchers.push((before, self.core, loan));
            }
            self.gates.shut(shard, before, seq);
        }
    }

    /// Tells a shard that is home again what became stable while it was away.
    fn catch_up(&mut self, id: ShardId) {
        if self.settings.acknowledge == Acknowledge::OnDisk {
            let stable = self.gates.stable(id);
            let shard = self.shards[id.index()].as_deref_mut().expect("it has just come home");
            shard.set_stable(stable.min(shard.seq()));
        }
    }

    /// A batch of this core's own log is durable in one of its own shards.
    pub(super) fn part_is_durable(&mut self, shard: ShardId, seq: Seq, out: &mut dyn Outbound) {
        let gate = &mut self.gates.shards[shard.index()];
        gate.durable = gate.durable.max(seq);
        gate.advance(Seq::ZERO);
        self.tell_watchers(shard, out);
    }

    /// The transaction that took this Seq of a shard of this core is stable.
    pub(super) fn became_stable(&mut self, shard: ShardId, seq: Seq, out: &mut dyn Outbound) {
        let gate = &mut self.gates.shards[shard.index()];
        let last = gate.pending.pop_front().map(|(_, last)| last);
        assert_eq!(last, Some(seq), "loans of a shard settle in order");
        gate.advance(seq);
        if gate.pending.is_empty() {
            self.gates.mask &= !(1 << shard.index());
        }
        self.tell_watchers(shard, out);
        self.release_gated(out);
    }

    fn tell_watchers(&mut self, shard: ShardId, out: &mut dyn Outbound) {
        let stable = self.gates.stable(shard);
        if let Some(home) = self.shards[shard.index()].as_deref_mut()
            && self.map.owner(shard) == self.core
        {
            home.set_stable(stable.min(home.seq()));
        }
        let gate = &mut self.gates.shards[shard.index()];
        let (met, unmet): (Vec<_>, Vec<_>) =
            std::mem::take(&mut gate.watchers).into_iter().partition(|(seq, ..)| *seq <= stable);
        gate.watchers = unmet;
        for (_, core, loan) in met {
            if core == self.core {
                self.settled(loan, shard, out);
            } else {
                let envelope = Envelope::Settled { loan, shard };
                self.peers[core.index()].completions.envelopes.push(envelope);
            }
        }
    }

    /// What a shard held when it was lent to a transaction of this core is stable now.
    pub(super) fn settled(&mut self, loan: u64, shard: ShardId, out: &mut dyn Outbound) {
        let bit = 1u64 << shard.index();
        match self.loans.open.get_mut(&loan) {
            Some(Loan::Gathering(gathering)) => gathering.unsettled &= !bit,
            Some(Loan::Settling(settling)) => settling.unsettled &= !bit,
            // It read nothing unstable and wrote nothing there, so it did not wait.
            None => {}
        }
        self.settle_transactions(out);
    }

    /// Completes transactions that have run and are stable now.
    pub(super) fn settle_transactions(&mut self, out: &mut dyn Outbound) {
        while let Some(loan) = self.loans.settled(self.durable) {
            let Loan::Settling(settling) = self.loans.close(loan) else {
                unreachable!("the search found one that settles")
            };
            for (reply_to, reply) in settling.answers {
                self.answer(reply_to, reply, out);
            }
            for (shard, seq) in settling.parts {
                let owner = self.map.owner(shard);
                if owner == self.core {
                    self.became_stable(shard, seq, out);
                } else {
                    let envelope = Envelope::Stable { shard, seq };
                    self.peers[owner.index()].completions.envelopes.push(envelope);
                }
            }
        }
    }
}
