//! The checkers: each knows one promise and is told everything that could break it. [`Checkers`]
//! tells them what clients asked and were answered, and what a start found in the shards.

pub(crate) mod atomicity;
pub(crate) mod durability;
pub(crate) mod order;
pub(crate) mod prefix;
pub(crate) mod replay;
pub(crate) mod replies;

use std::collections::BTreeMap;

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::engine::event::Acknowledge;

use crate::workload::Intent;

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
    pub(crate) asked_ms: u64,
    pub(crate) answered_ms: u64,
}

/// A value in the shards, with its deadline.
pub(crate) type Found = (Vec<u8>, Option<u64>);
/// All keys that are alive.
pub(crate) type Dump = BTreeMap<Vec<u8>, Found>;

/// What a start, or the end of a run, found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) dump: &'a Dump,
    pub(crate) at: u64,
    pub(crate) now_ms: u64,
    /// Whether what was acknowledged may be missing, since acknowledging did not wait for a disk.
    pub(crate) may_lose: bool,
}

/// The checkers that judge what clients see.
#[derive(Debug)]
pub(crate) struct Checkers {
    durability: durability::Durability,
    order: order::Order,
    atomicity: atomicity::Atomicity,
    acknowledge: Acknowledge,
}

impl Checkers {
    /// `may_vanish`: keys without a deadline may be evicted.
    pub(crate) fn new(acknowledge: Acknowledge, may_vanish: bool) -> Self {
        Self {
            durability: durability::Durability::new(may_vanish),
            order: order::Order::default(),
            atomicity: atomicity::Atomicity::default(),
            acknowledge,
        }
    }

    /// A client has made a request.
    pub(crate) fn asked(&mut self, intent: &Intent, at: u64) {
        self.durability.asked(intent, at);
        self.order.asked(intent, at);
    }

    /// A client has got a reply.
    pub(crate) fn answered(&mut self, intent: &Intent, span: Span, reply: &Reply<'_>) -> Verdict {
        if let Intent::Exact { expected } = intent {
            return order::exact(expected, reply);
        }
        if let Reply::Error(error) = reply {
            return self.refused(intent, error);
        }
        self.durability.answered(intent, span, reply)?;
        self.order.answered(intent, span, reply)
    }

    fn refused(&mut self, intent: &Intent, error: &CommandError) -> Verdict {
        self.durability.refused(intent);
        match (intent, error) {
            (Intent::Other, _) | (_, CommandError::OutOfMemory) => Ok(()),
            _ => Err(Violation { checker: "replies", message: format!("{intent:?}: {error}") }),
        }
    }

    /// The token game was dealt durably: from now on the token has to be somewhere.
    pub(crate) fn dealt(&mut self) {
        self.atomicity.dealt();
    }

    /// All cores have crashed; `at` and `now_ms` say when.
    pub(crate) fn crashed(&mut self, at: u64, now_ms: u64) {
        self.durability.crashed(at, now_ms);
    }

    /// This is what there is after a crash. Everything unanswered is decided by it.
    pub(crate) fn recovered(&mut self, dump: &Dump, at: u64, now_ms: u64) -> Verdict {
        let may_lose = self.acknowledge == Acknowledge::OnAppend;
        self.judge(Finding { dump, at, now_ms, may_lose })
    }

    /// This is what there is at the end, when everything is answered.
    pub(crate) fn ended(&mut self, dump: &Dump, at: u64, now_ms: u64) -> Verdict {
        self.judge(Finding { dump, at, now_ms, may_lose: false })
    }

    fn judge(&mut self, finding: Finding<'_>) -> Verdict {
        self.atomicity.found(finding)?;
        self.durability.found(finding)?;
        self.order.found(finding)
    }
}
