//! What a seed decides before its run begins: how many cores, which faults and how often, which
//! kinds of work. Most seeds switch some kinds off, so that the others meet more often.
//! [`Limits`] cut a mix down, which is how a failing seed becomes small.

use crate::dice::Dice;
use crate::faults::{Fault, Rates};
use crate::model::workload as modelled;
use crate::workload::families::FAMILIES;
use synap_shards::engine::event::Acknowledge;
use synap_shards::shard::evict::EvictionPolicy;

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
    Modelled,
    Bulk,
    Family,
    Money,
}

/// Every kind, by the name it has on the command line.
pub(crate) const KINDS: [(&str, Kind); 14] = [
    ("register", Kind::Register),
    ("log", Kind::Log),
    ("counter", Kind::Counter),
    ("group", Kind::Group),
    ("once-group", Kind::OnceGroup),
    ("token", Kind::Token),
    ("volatile", Kind::Volatile),
    ("junk", Kind::Junk),
    ("listing", Kind::Listing),
    ("private", Kind::Private),
    ("modelled", Kind::Modelled),
    ("bulk", Kind::Bulk),
    ("family", Kind::Family),
    ("money", Kind::Money),
];

/// What cuts a mix down. Nothing set: the mix as drawn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) requests: Option<usize>,
    pub(crate) crashes: Option<usize>,
    pub(crate) cores: Option<usize>,
    pub(crate) connections: Option<usize>,
    pub(crate) pipeline: Option<usize>,
    pub(crate) keys: Option<usize>,
    pub(crate) without: Vec<Fault>,
    pub(crate) without_kinds: Vec<Kind>,
    pub(crate) without_snapshots: bool,
}

/// The mix of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) acknowledge: Acknowledge,
    pub(crate) regime: Regime,
    pub(crate) rates: Rates,
    /// Kinds of work; one that stands twice is twice as frequent.
    pub(crate) kinds: Vec<Kind>,
    /// Families of commands that [`Kind::Family`] asks for, by their place in the list of them.
    pub(crate) families: Vec<usize>,
    /// Kinds of keys that the model follows.
    pub(crate) modelled: Vec<usize>,
    /// Containers leave their packed form early.
    pub(crate) small_forms: bool,
    pub(crate) requests: usize,
    pub(crate) crashes: usize,
    /// Per 1000: a start crashes, at each of its steps.
    pub(crate) start_crashes: usize,
    pub(crate) cores_max: usize,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    /// Distinct keys of each kind.
    pub(crate) keys: usize,
    /// Beats that a slow parcel may take beyond the first.
    pub(crate) parcel_delay: usize,
    /// Beats that a slow commit may take beyond the first.
    pub(crate) commit_delay: usize,
    /// Per 1000 turns: the engine is ticked.
    pub(crate) ticks: usize,
    /// Events of one source that a turn takes at most.
    pub(crate) burst: usize,
    /// Each start writes logs of its own instead of going on with those of the core's number.
    pub(crate) fresh_logs: bool,
    /// Values are padded up to this many bytes.
    pub(crate) padding: usize,
    pub(crate) segment_blocks: usize,
    /// Per 1000 beats without one: a snapshot begins.
    pub(crate) snapshots: usize,
    pub(crate) snapshots_kept: usize,
    /// Per 1000 turns: a core does its next part of a snapshot.
    pub(crate) snapshot_pace: usize,
    /// Steps that a slice of its walk takes.
    pub(crate) slice_buckets: usize,
}

impl Mix {
    /// Draws the mix of a seed. Where a bug is planted replies wait for the disk, and there is a
    /// crash at least.
    pub(crate) fn draw(dice: &mut Dice, limits: &Limits, planted: bool) -> Self {
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
        let mut mix = Self {
            acknowledge: match dice.below(4) {
                0 => Acknowledge::OnAppend,
                _ => Acknowledge::OnDisk,
            },
            regime,
            rates: Rates::draw(dice),
            kinds: kinds(dice, regime),
            families: some_of(dice, FAMILIES.len()),
            modelled: some_of(dice, modelled::KINDS),
            small_forms: dice.chance(700),
            requests: dice.between(40, 300),
            crashes: dice.pick(&[0, 1, 1, 2, 3, 5]),
            start_crashes: dice.pick(&[0, 0, 100, 300]),
            cores_max: dice.between(1, 5),
            connections: dice.between(1, 4),
            pipeline: dice.pick(&[1, 2, 8, 32]),
            keys: dice.pick(&[1, 2, 3, 8, 40]),
            parcel_delay: dice.pick(&[1, 4, 30]),
            commit_delay: dice.pick(&[3, 20, 120]),
            ticks: dice.pick(&[0, 5, 50, 300]),
            burst: dice.pick(&[1, 3, 100]),
            fresh_logs: dice.chance(300),
            padding: dice.pick(&[0, 0, 50, 1500]),
            segment_blocks: dice.pick(&[4, 8, 40, 400]),
            snapshots: dice.pick(&[0, 5, 50, 300]),
            snapshots_kept: dice.between(1, 3),
            snapshot_pace: dice.pick(&[50, 300, 900]),
            slice_buckets: dice.pick(&[1, 3, 30, 500]),
        };
        if planted {
            mix.acknowledge = Acknowledge::OnDisk;
            mix.crashes = mix.crashes.max(1);
        }
        mix.cut(limits);
        mix
    }

    fn cut(&mut self, limits: &Limits) {
        let cut = |value: &mut usize, limit: Option<usize>| {
            *value = limit.map_or(*value, |limit| limit.min(*value));
        };
        cut(&mut self.requests, limits.requests);
        cut(&mut self.crashes, limits.crashes);
        cut(&mut self.cores_max, limits.cores);
        cut(&mut self.connections, limits.connections);
        cut(&mut self.pipeline, limits.pipeline);
        cut(&mut self.keys, limits.keys);
        limits.without.iter().for_each(|fault| self.rates.switch_off(*fault));
        let kept = |kind: &Kind| !limits.without_kinds.contains(kind);
        if self.kinds.iter().any(kept) {
            self.kinds.retain(kept);
        }
        if limits.without_snapshots {
            self.snapshots = 0;
        }
    }
}

fn kinds(dice: &mut Dice, regime: Regime) -> Vec<Kind> {
    use Kind::{Family, Junk, Register, Volatile};
    let possible: Vec<Kind> = match regime {
        Regime::Lasting => KINDS.iter().map(|(_, kind)| *kind).collect(),
        Regime::Flushing | Regime::Evicting(_) => vec![Register, Volatile, Junk, Family],
    };
    let mut kinds: Vec<Kind> = Vec::new();
    for kind in &possible {
        let weight = match kind {
            // Heavy, so rare.
            Kind::Bulk => dice.pick(&[0, 0, 0, 1]),
            Kind::Modelled => dice.pick(&[0, 0, 1, 4, 20]),
            Family => dice.pick(&[0, 1, 4, 20]),
            _ => dice.pick(&[0, 1, 1, 4]),
        };
        kinds.extend(std::iter::repeat_n(*kind, weight));
    }
    if kinds.is_empty() { possible } else { kinds }
}

/// One to all of so many things.
fn some_of(dice: &mut Dice, count: usize) -> Vec<usize> {
    let mut some: Vec<usize> = (0..count).collect();
    dice.shuffle(&mut some);
    some.truncate(dice.pick(&[1, 2, 3, count]));
    some
}
