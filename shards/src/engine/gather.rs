//! Requests whose parts run on several cores, and how their replies become one.

use super::ReplyTo;
use super::answers::bounded;
use super::event::Outbound;
use super::run::sum;
use crate::command::reply::Reply;
use crate::command::spec::{Fold, PerKey};
use crate::id::{ConnId, CoreId};
use crate::rng::Rng;

/// What a scattered request still waits for. Small, because thousands are open at a time and most
/// wait for one reply.
#[derive(Debug)]
pub(super) enum Gather {
    /// One reply, passed on as it comes.
    Single { reply_to: ReplyTo },
    /// The logs of so many cores, for a waiter that wants to know when all are on disk.
    Disks { waiter: u64, missing: usize },
    /// One reply per core.
    Parts(Box<Parts>),
}

#[derive(Debug)]
pub(super) struct Parts {
    reply_to: ReplyTo,
    join: Join,
    replies: Vec<Reply<'static>>,
    missing: usize,
}

/// How the replies of several cores become one.
#[derive(Debug)]
enum Join {
    /// Each has one item per key of its core.
    PerKey {
        fold: PerKey,
        /// Positions of the keys, by core; empty for cores that have answered or have no key.
        positions: Vec<Vec<usize>>,
    },
    All(Fold),
}

impl Gather {
    pub(super) fn per_key(
        reply_to: ReplyTo,
        fold: PerKey,
        keys: usize,
        by_core: Vec<Vec<usize>>,
    ) -> Self {
        let missing = by_core.iter().filter(|keys| !keys.is_empty()).count();
        let replies = match fold {
            PerKey::Array => vec![Reply::Nil; keys],
            PerKey::Sum => Vec::new(),
        };
        let join = Join::PerKey { fold, positions: by_core };
        Self::Parts(Box::new(Parts { reply_to, join, replies, missing }))
    }

    pub(super) fn all(reply_to: ReplyTo, fold: Fold, cores: usize) -> Self {
        let (join, replies) = (Join::All(fold), Vec::with_capacity(cores));
        Self::Parts(Box::new(Parts { reply_to, join, replies, missing: cores }))
    }
}

/// The scattered requests of one core, by number.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    slots: Vec<Option<Gather>>,
    free: Vec<u32>,
}

impl Gathers {
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    pub(super) fn open(&mut self, gather: Gather) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(gather);
        slot
    }

    /// The client that waits for the one reply of a gather.
    pub(super) fn client(&self, slot: u32) -> Option<ConnId> {
        match self.slots.get(slot as usize) {
            Some(Some(Gather::Single { reply_to: ReplyTo::Client { conn, .. } })) => Some(*conn),
            _ => None,
        }
    }

    fn close(&mut self, slot: u32) -> Gather {
        self.free.push(slot);
        self.slots[slot as usize].take().expect("a gather is closed once")
    }

    /// A part's reply has come. The last one completes the request. Answers the waiter for which
    /// all logs are on disk now.
    pub(super) fn fill(
        &mut self,
        slot: u32,
        from: CoreId,
        reply: Reply<'_>,
        rng: &mut Rng,
        out: &mut dyn Outbound,
    ) -> Option<u64> {
        let gather = self.slots[slot as usize].as_mut().expect("its replies are outstanding");
        let done = match gather {
            Gather::Single { reply_to } => {
                let reply_to = *reply_to;
                self.close(slot);
                to_client(reply_to, reply, out);
                return None;
            }
            Gather::Disks { waiter, missing } => {
                let waiter = *waiter;
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                self.close(slot);
                return Some(waiter);
            }
            Gather::Parts(parts) => {
                parts.fill(from, reply.into_owned());
                parts.missing == 0
            }
        };
        if done && let Gather::Parts(parts) = self.close(slot) {
            let Parts { reply_to, join, replies, .. } = *parts;
            to_client(reply_to, join.complete(replies, rng), out);
        }
        None
    }
}

impl Parts {
    fn fill(&mut self, from: CoreId, reply: Reply<'static>) {
        self.missing -= 1;
        let Join::PerKey { fold, positions } = &mut self.join else {
            self.replies.push(reply);
            return;
        };
        let keys = std::mem::take(&mut positions[from.index()]);
        match (fold, reply) {
            (PerKey::Array, Reply::Array(items)) if items.len() == keys.len() => {
                for (at, item) in keys.into_iter().zip(items) {
                    self.replies[at] = item;
                }
            }
            // An error of one core stands for each of its keys.
            (PerKey::Array, other) => {
                keys.into_iter().for_each(|at| self.replies[at] = other.clone());
            }
            (PerKey::Sum, other) => self.replies.push(other),
        }
    }
}

fn to_client(reply_to: ReplyTo, reply: Reply<'_>, out: &mut dyn Outbound) {
    match reply_to {
        ReplyTo::Client { conn, ticket } => out.reply(conn, ticket, reply),
        ReplyTo::Nobody => {}
        ReplyTo::Core { .. } => unreachable!("other cores' requests are not scattered again"),
    }
}

impl Join {
    fn complete(self, replies: Vec<Reply<'static>>, rng: &mut Rng) -> Reply<'static> {
        match self {
            Self::PerKey { fold: PerKey::Array, .. } => bounded(Reply::Array(replies)),
            Self::PerKey { fold: PerKey::Sum, .. } => sum(replies),
            Self::All(fold) => fold_all(fold, replies, rng),
        }
    }
}

fn fold_all(fold: Fold, mut replies: Vec<Reply<'static>>, rng: &mut Rng) -> Reply<'static> {
    if let Some(at) = replies.iter().position(|reply| matches!(reply, Reply::Error(_))) {
        return replies.swap_remove(at);
    }
    match fold {
        Fold::Sum => sum(replies),
        Fold::First => replies.swap_remove(0),
        Fold::AnyNonNil => {
            replies.retain(|reply| *reply != Reply::Nil);
            if replies.is_empty() {
                return Reply::Nil;
            }
            replies.swap_remove(rng.below(replies.len()))
        }
        Fold::Concat => {
            let mut all = Vec::new();
            for reply in replies {
                match reply {
                    Reply::Array(items) => all.extend(items),
                    other => all.push(other),
                }
            }
            Reply::Array(all)
        }
        Fold::Text => {
            let texts = replies.into_iter().map(|reply| match reply {
                Reply::Text(text) => text,
                other => unreachable!("texts are joined, not {other:?}"),
            });
            Reply::Text(texts.collect())
        }
    }
}
