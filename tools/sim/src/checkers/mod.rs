//! The checkers: each knows one promise and is told everything that could break it. [`Checkers`]
//! tells them what clients asked and were answered, and what a start found in the shards.

pub(crate) mod atomicity;
pub(crate) mod durability;
pub(crate) mod order;
pub(crate) mod prefix;
pub(crate) mod replay;
pub(crate) mod replies;
pub(crate) mod states;

use std::collections::BTreeMap;

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::engine::event::Acknowledge;

use crate::faults::clock::Clock;
use crate::value::Value;
use crate::workload::{Intent, Wish};

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) checker: &'static str,
    pub(crate) message: String,
}

/// What checkers answer.
pub(crate) type Verdict = Result<(), Violation>;

/// When a request was made and answered: beats of the run, and its clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// The least reading of the clock in between, and the greatest until the end.
    pub(crate) low_ms: u64,
    pub(crate) high_ms: u64,
}

/// A value in the shards, with its deadline.
pub(crate) type Found = (Value, Option<u64>);
/// All keys that are alive.
pub(crate) type Dump = BTreeMap<Vec<u8>, Found>;

/// What a start, or the end of a run, found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) dump: &'a Dump,
    pub(crate) at: u64,
    pub(crate) now_ms: u64,
    /// The greatest reading of the clock so far.
    pub(crate) high_ms: u64,
    /// Whether what was acknowledged may be missing, since acknowledging did not wait for a disk.
    pub(crate) may_lose: bool,
}

/// The checkers that judge what clients see.
#[derive(Debug)]
pub(crate) struct Checkers {
    durability: durability::Durability,
    order: order::Order,
    atomicity: atomicity::Atomicity,
    states: states::States,
    acknowledge: Acknowledge,
}

impl Checkers {
    /// `may_vanish`: keys without a deadline may be evicted. `sets_back`: the clock may go back, so
    /// that what had expired is there again.
    pub(crate) fn new(acknowledge: Acknowledge, may_vanish: bool, sets_back: bool) -> Self {
        Self {
            durability: durability::Durability::new(may_vanish, sets_back),
            order: order::Order::default(),
            atomicity: atomicity::Atomicity::default(),
            states: states::States::new(sets_back),
            acknowledge,
        }
    }

    /// A client has made a request. The number by which the model of states knows it.
    pub(crate) fn asked(&mut self, wish: &Wish, at: u64) -> u64 {
        self.durability.asked(&wish.intent, at);
        self.order.asked(&wish.intent, at);
        self.states.asked(wish)
    }

    /// A client has got a reply.
    pub(crate) fn answered(
        &mut self,
        intent: &Intent,
        id: u64,
        span: Span,
        reply: &Reply<'_>,
    ) -> Verdict {
        match intent {
            Intent::Exact { expected } => return order::exact(expected, reply),
            Intent::Modelled => return self.states.answered(id, reply),
            Intent::Audit => return self.atomicity.audited(reply),
            _ => {}
        }
        if let Reply::Error(error) = reply {
            return self.refused(intent, error);
        }
        self.durability.answered(intent, span, reply)?;
        self.order.answered(intent, span, reply)
    }

    /// The clock reads something else now.
    pub(crate) fn clock(&mut self, now_ms: u64) {
        self.states.clock(now_ms);
    }

    /// Whether the model of states can follow another request.
    pub(crate) fn can_follow(&self) -> bool {
        self.states.open() < states::OPEN_MAX
    }

    /// Replies that the model of states has judged.
    pub(crate) fn judged(&self) -> u64 {
        self.states.judged
    }

    fn refused(&mut self, intent: &Intent, error: &CommandError) -> Verdict {
        self.durability.refused(intent);
        match (intent, error) {
            (Intent::Other | Intent::Dump { .. }, _) | (_, CommandError::OutOfMemory) => Ok(()),
            _ => Err(Violation { checker: "replies", message: format!("{intent:?}: {error}") }),
        }
    }

    /// What was dealt is durable: from now on the token has to be somewhere, and the money too.
    pub(crate) fn dealt(&mut self, token: bool, paid: bool) {
        if token {
            self.atomicity.dealt();
        }
        if paid {
            self.atomicity.paid();
        }
    }

    /// All cores have crashed at a beat; the clock never read more than `highest_ms`.
    pub(crate) fn crashed(&mut self, at: u64, highest_ms: u64) {
        self.durability.crashed(at, highest_ms);
    }

    /// This is what there is after a crash. Everything unanswered is decided by it. `lost`: damage
    /// has taken the end of a log.
    pub(crate) fn recovered(&mut self, dump: &Dump, at: u64, clock: &Clock, lost: bool) -> Verdict {
        let may_lose = lost || self.acknowledge == Acknowledge::OnAppend;
        self.judge(Finding {
            dump,
            at,
            now_ms: clock.now_ms(),
            high_ms: clock.highest_ms(),
            may_lose,
        })
    }

    /// This is what there is at the end, when everything is answered.
    pub(crate) fn ended(&mut self, dump: &Dump, at: u64, clock: &Clock) -> Verdict {
        self.judge(Finding {
            dump,
            at,
            now_ms: clock.now_ms(),
            high_ms: clock.highest_ms(),
            may_lose: false,
        })
    }

    fn judge(&mut self, finding: Finding<'_>) -> Verdict {
        self.atomicity.found(finding)?;
        self.durability.found(finding)?;
        self.order.found(finding)?;
        self.states.found(finding)
    }
}
