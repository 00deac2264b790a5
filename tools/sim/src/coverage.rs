//! Which faults struck in which states, and which families of commands were under way: what a
//! swarm of seeds has really tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use synap_shards::command::spec::Family;

use crate::faults::{FAULTS, Fault};

/// What was going on when a fault struck. Several may be true at once; each counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// None of the others.
    Idle,
    /// A commit of a log is under way.
    Committing,
    /// A shard is away from its owner.
    LoanOut,
    /// A snapshot begins: logs are copied, Seqs asked for.
    SnapshotBegins,
    /// A snapshot walks the shards.
    SnapshotWalks,
    /// The files of a snapshot are written.
    SnapshotWrites,
    /// The snapshot is valid, logs and old snapshots are being let go.
    SnapshotReleases,
    /// A start reads the data directory.
    Recovering,
    /// A start stores the manifest.
    Starting,
}

/// Every state, by its column.
const STATES: [(&str, State); 9] = [
    ("idle", State::Idle),
    ("commit", State::Committing),
    ("loan", State::LoanOut),
    ("snap:begin", State::SnapshotBegins),
    ("snap:walk", State::SnapshotWalks),
    ("snap:write", State::SnapshotWrites),
    ("snap:release", State::SnapshotReleases),
    ("recover", State::Recovering),
    ("start", State::Starting),
];

/// What a family of commands met.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// Faults that struck while a request of the family had no reply.
    faults: [u64; FAULTS.len()],
    /// Replies, and errors among replies.
    served: [u64; 2],
}

/// Counts of faults by state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    counts: [[u64; STATES.len()]; FAULTS.len()],
    families: BTreeMap<Family, Met>,
    /// Snapshots that became valid, and those given up.
    pub(crate) snapshots: [u64; 2],
    /// Starts that loaded a snapshot.
    pub(crate) loaded: u64,
    /// Starts, and those that were refused because of damage.
    pub(crate) starts: [u64; 2],
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Observations judged by the model of states.
    pub(crate) judged: u64,
}

impl Coverage {
    /// A fault struck.
    pub(crate) fn hit(&mut self, fault: Fault, states: &[State]) {
        for state in states {
            self.counts[fault as usize][*state as usize] += 1;
        }
    }

    /// A fault struck while requests of these families had no reply yet.
    pub(crate) fn met(&mut self, fault: Fault, families: impl Iterator<Item = Family>) {
        let families: BTreeSet<Family> = families.collect();
        for family in families {
            self.families.entry(family).or_default().faults[fault as usize] += 1;
        }
    }

    /// A request of a family was answered.
    pub(crate) fn served(&mut self, family: Family, is_error: bool) {
        self.families.entry(family).or_default().served[usize::from(is_error)] += 1;
    }

    /// Adds what another run covered.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = self.counts.iter_mut().flatten().zip(other.counts.iter().flatten());
        pairs.for_each(|(sum, count)| *sum += count);
        for (family, met) in &other.families {
            let sum = self.families.entry(*family).or_default();
            let pairs = sum.faults.iter_mut().chain(&mut sum.served);
            pairs.zip(met.faults.iter().chain(&met.served)).for_each(|(sum, n)| *sum += n);
        }
        for at in 0..2 {
            self.snapshots[at] += other.snapshots[at];
            self.starts[at] += other.starts[at];
        }
        self.loaded += other.loaded;
        self.answered += other.answered;
        self.judged += other.judged;
    }

    /// Faults that never struck.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let never = |(at, _): &(usize, &(&str, Fault))| self.counts[*at].iter().all(|n| *n == 0);
        FAULTS.iter().enumerate().filter(never).map(|(_, (name, _))| *name).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14}", "fault")?;
        for (name, _) in STATES {
            write!(f, "{name:>13}")?;
        }
        for (row, (name, _)) in self.counts.iter().zip(FAULTS) {
            write!(f, "\n{name:<14}")?;
            for count in row {
                write!(f, "{count:>13}")?;
            }
        }
        write!(f, "\n{:<14}", "family")?;
        for (name, _) in FAULTS {
            write!(f, "{name:>13}")?;
        }
        write!(f, "{:>13}{:>13}", "served", "errors")?;
        for (family, met) in &self.families {
            write!(f, "\n{:<14}", family.name())?;
            for count in met.faults.iter().chain(&met.served) {
                write!(f, "{count:>13}")?;
            }
        }
        writeln!(f)?;
        let [starts, refused] = self.starts;
        let [valid, given_up] = self.snapshots;
        write!(f, "starts {starts}, with a snapshot {}, refused {refused}; ", self.loaded)?;
        write!(f, "snapshots {valid}, given up {given_up}; ")?;
        write!(f, "replies {}, judged by the model {}", self.answered, self.judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, (_, state)) in STATES.iter().enumerate() {
            assert_eq!(*state as usize, at);
        }
    }
}
