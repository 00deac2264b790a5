//! What a seed decides before its run begins: how many cores, which faults and how often, which
//! kinds of work. Most seeds switch some kinds off, so that the others meet more often.

use crate::dice::Dice;
use synap_shards::engine::event::Acknowledge;
use synap_shards::shard::evict::EvictionPolicy;

/// Bugs that can be planted in the simulated surroundings, to see that the checkers see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plant {
    /// Replies leave before what they depend on is in the log.
    AckBeforeAppend,
    /// The disk says durable and keeps nothing.
    SkipFsync,
    /// A crash takes one shard's part out of a batch of several shards.
    LostPart,
}

impl Plant {
    /// Every plant, by the name it has on the command line.
    pub(crate) const ALL: [(&'static str, Self); 3] = [
        ("ack-before-append", Self::AckBeforeAppend),
        ("skip-fsync", Self::SkipFsync),
        ("lost-part", Self::LostPart),
    ];
}

/// How a seed's keys may come to vanish without being deleted; keeps the checkers' rules simple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Regime {
    /// Keys without a deadline stay.
    Lasting,
    /// `FLUSHALL` now and then.
    Flushing,
    /// A memory limit with this policy.
    Evicting(EvictionPolicy),
}

/// Kinds of keys; each kind has its own rules, see the checkers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Register,
    Log,
    Counter,
    Group,
    OnceGroup,
    Token,
    Volatile,
    Junk,
    Listing,
    Private,
}

/// The mix of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) acknowledge: Acknowledge,
    pub(crate) regime: Regime,
    /// Kinds of work; one that stands twice is twice as frequent.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) requests: usize,
    pub(crate) crashes: usize,
    pub(crate) cores_max: usize,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    /// Distinct keys of each kind.
    pub(crate) keys: usize,
    /// Beats that a parcel may take beyond the first.
    pub(crate) parcel_delay: usize,
    /// Beats that a commit may take beyond the first.
    pub(crate) commit_delay: usize,
    /// Per 1000 turns: a ring is full.
    pub(crate) ring_full: usize,
    /// Per 1000 turns: the engine is ticked.
    pub(crate) ticks: usize,
    /// Per 1000 beats: the clock leaps ahead by seconds.
    pub(crate) leaps: usize,
    /// Events of one source that a turn takes at most.
    pub(crate) burst: usize,
    /// Each start writes logs of its own instead of going on with those of the core's number.
    pub(crate) fresh_logs: bool,
    /// Values are padded up to this many bytes.
    pub(crate) padding: usize,
}

impl Mix {
    /// Draws the mix of a seed.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let regime = match dice.below(8) {
            0 => Regime::Flushing,
            1 => Regime::Evicting(dice.pick(&[
                EvictionPolicy::AllKeysLru,
                EvictionPolicy::AllKeysLfu,
                EvictionPolicy::AllKeysRandom,
                EvictionPolicy::VolatileTtl,
                EvictionPolicy::NoEviction,
            ])),
            _ => Regime::Lasting,
        };
        Self {
            acknowledge: match dice.below(4) {
                0 => Acknowledge::OnAppend,
                _ => Acknowledge::OnDisk,
            },
            regime,
            kinds: kinds(dice, regime),
            requests: dice.between(40, 300),
            crashes: dice.pick(&[0, 1, 1, 2, 3]),
            cores_max: dice.between(1, 5),
            connections: dice.between(1, 4),
            pipeline: dice.pick(&[1, 2, 8, 32]),
            keys: dice.pick(&[1, 2, 3, 8, 40]),
            parcel_delay: dice.pick(&[0, 1, 4, 30]),
            commit_delay: dice.pick(&[0, 3, 20, 120]),
            ring_full: dice.pick(&[0, 0, 100, 500]),
            ticks: dice.pick(&[0, 5, 50, 300]),
            leaps: dice.pick(&[0, 0, 2, 20]),
            burst: dice.pick(&[1, 3, 100]),
            fresh_logs: dice.chance(300),
            padding: dice.pick(&[0, 0, 50, 1500]),
        }
    }
}

fn kinds(dice: &mut Dice, regime: Regime) -> Vec<Kind> {
    use Kind::{Counter, Group, Junk, Listing, Log, OnceGroup, Private, Register, Token, Volatile};
    let possible: &[Kind] = match regime {
        Regime::Lasting => {
            &[Register, Log, Counter, Group, OnceGroup, Token, Volatile, Junk, Listing, Private]
        }
        Regime::Flushing | Regime::Evicting(_) => &[Register, Volatile, Junk],
    };
    let mut kinds: Vec<Kind> = Vec::new();
    for kind in possible {
        let weight = dice.pick(&[0, 1, 1, 4]);
        kinds.extend(std::iter::repeat_n(*kind, weight));
    }
    if kinds.is_empty() { possible.to_vec() } else { kinds }
}
