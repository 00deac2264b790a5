//! Bugs that can be planted in the simulated surroundings, to see that the checkers see. They need
//! the feature `planted`; without it [`has`] is always false and nothing of them is built.
//!
//! What a plant breaks is what the server does around the engines: a simulated pump, log, snapshot
//! or start that forgets one of its duties. The engines are the ones that users get.

/// A planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plant {
    /// Replies leave before what they depend on is in the log.
    AckBeforeAppend,
    /// The disk says durable and keeps nothing.
    SkipFsync,
    /// A crash takes one shard's part out of a batch of several shards.
    LostPart,
    /// A transaction is logged as one batch per shard.
    SplitBatch,
    /// The stamps of entries in a snapshot are forgotten.
    NoStamps,
    /// Logs are let go before the snapshot is valid.
    EarlyRelease,
    /// A snapshot counts entries instead of walking by hash: what moves meanwhile is missed.
    CountedWalk,
    /// The Seqs that a snapshot begins with are taken before every core copies its log.
    EarlySeqs,
    /// The part of the log written while the snapshot was made is not in it.
    NoTails,
    /// A start writes in the epoch of the one before.
    SameEpoch,
    /// A start that cut something off does not remember where.
    ForgottenCut,
    /// Deadlines are logged as time to live.
    RelativeExpiry,
    /// Damage is taken for the end of the log.
    BlindReader,
    /// A start takes an older snapshot although logs were let go since.
    StaleSnapshot,
    /// A start does not sync what it has read before it builds on it.
    UnsyncedStart,
    /// A core settles transactions without waiting for its log.
    OpenGates,
}

/// Every plant, by the name it has on the command line.
pub(crate) const PLANTS: [(&str, Plant); 16] = [
    ("ack-before-append", Plant::AckBeforeAppend),
    ("skip-fsync", Plant::SkipFsync),
    ("lost-part", Plant::LostPart),
    ("split-batch", Plant::SplitBatch),
    ("no-stamps", Plant::NoStamps),
    ("early-release", Plant::EarlyRelease),
    ("counted-walk", Plant::CountedWalk),
    ("early-seqs", Plant::EarlySeqs),
    ("no-tails", Plant::NoTails),
    ("same-epoch", Plant::SameEpoch),
    ("forgotten-cut", Plant::ForgottenCut),
    ("relative-expiry", Plant::RelativeExpiry),
    ("blind-reader", Plant::BlindReader),
    ("stale-snapshot", Plant::StaleSnapshot),
    ("unsynced-start", Plant::UnsyncedStart),
    ("open-gates", Plant::OpenGates),
];

/// Whether the logs of a run hold other batches than its engines wrote.
pub(crate) fn rewrites_logs(planted: Option<Plant>) -> bool {
    let rewriting = [Plant::LostPart, Plant::SplitBatch, Plant::RelativeExpiry];
    planted.is_some_and(|plant| rewriting.contains(&plant))
}

/// Whether `bug` is planted in a run.
pub(crate) fn has(planted: Option<Plant>, bug: Plant) -> bool {
    cfg!(feature = "planted") && planted == Some(bug)
}

#[cfg(all(test, feature = "planted"))]
mod tests {
    use super::*;
    use crate::run::Plan;
    use crate::shrink::objection;

    /// Seeds within which a planted bug has to be caught.
    const CATCH_WITHIN: u64 = 1_000;

    #[test]
    fn each_is_caught_and_only_with_the_bug() {
        std::panic::set_hook(Box::new(|_| {}));
        let mut missed = Vec::new();
        for (name, plant) in PLANTS {
            let planted = |seed| Plan { seed, plant: Some(plant), ..Plan::default() };
            let found = (0..CATCH_WITHIN)
                .find_map(|seed| objection(&planted(seed)).map(|checker| (seed, checker)));
            let Some((seed, checker)) = found else {
                missed.push(name);
                continue;
            };
            println!("{name}: seed {seed}, {checker}");
            let sound = objection(&Plan { seed, ..Plan::default() });
            assert_eq!(sound, None, "seed {seed} fails without {name} as well");
        }
        assert!(missed.is_empty(), "not caught within {CATCH_WITHIN} seeds: {missed:?}");
    }
}
