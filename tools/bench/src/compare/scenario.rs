//! The list of what is compared, and the server set-up each item needs.
//!
//! Guarantees: names are unique and stable, they are what `--scenario` takes. Pure data.

use crate::load::{Mix, Op, Protocol};

/// How the servers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// One core, nothing on disk.
    Memory,
    /// Both cores, nothing on disk.
    TwoCores,
    /// One core, every write synced before its reply.
    Always,
    /// One core, the log synced in the background.
    Periodic,
    /// As `Periodic`, killed and started again.
    Restart,
}

impl Setup {
    /// Every set-up, in the order they are run.
    pub(crate) const ALL: [Self; 5] =
        [Self::Memory, Self::TwoCores, Self::Always, Self::Periodic, Self::Restart];
}

/// What is done to a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests of one operation.
    Load { op: Op, pipeline: usize, protocol: Protocol, paced: bool },
    /// Synap only: GETs through core 0 of keys that core 0 (`remote: false`) or core 1 owns.
    OneCore { remote: bool },
    /// Resident memory that loading the keys added, per key.
    MemoryAdded,
    /// Whole resident memory with the keys loaded, per key.
    MemoryTotal,
    /// Seconds from start to the first GET that finds its key.
    Restart,
}

/// One line of the comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// What `--scenario` and the table call it.
    pub(crate) name: &'static str,
    /// How the servers are started.
    pub(crate) setup: Setup,
    /// What is measured.
    pub(crate) kind: Kind,
}

const fn load(name: &'static str, setup: Setup, op: Op, pipeline: usize) -> Scenario {
    let kind = Kind::Load { op, pipeline, protocol: Protocol::Resp, paced: false };
    Scenario { name, setup, kind }
}

const fn http(name: &'static str, op: Op) -> Scenario {
    let kind = Kind::Load { op, pipeline: 1, protocol: Protocol::Http, paced: false };
    Scenario { name, setup: Setup::Memory, kind }
}

const fn other(name: &'static str, setup: Setup, kind: Kind) -> Scenario {
    Scenario { name, setup, kind }
}

/// Every scenario. Counters come last in their set-up: they add keys.
pub(crate) const ALL: [Scenario; 21] = [
    other("memory-added", Setup::Memory, Kind::MemoryAdded),
    other("memory-total", Setup::Memory, Kind::MemoryTotal),
    load("get-p1", Setup::Memory, Op::Get, 1),
    load("set-p1", Setup::Memory, Op::Set, 1),
    load("get-p16", Setup::Memory, Op::Get, 16),
    load("set-p16", Setup::Memory, Op::Set, 16),
    load("mset10-p1", Setup::Memory, Op::Mset10, 1),
    http("http-get-p1", Op::Get),
    http("http-set-p1", Op::Set),
    other(
        "get-p1-paced",
        Setup::Memory,
        Kind::Load { op: Op::Get, pipeline: 1, protocol: Protocol::Resp, paced: true },
    ),
    load("incr-p16", Setup::Memory, Op::Incr, 16),
    load("2core-get-p16", Setup::TwoCores, Op::Get, 16),
    load("2core-set-p16", Setup::TwoCores, Op::Set, 16),
    other("2core-get-local", Setup::TwoCores, Kind::OneCore { remote: false }),
    other("2core-get-remote", Setup::TwoCores, Kind::OneCore { remote: true }),
    load("always-set-p1", Setup::Always, Op::Set, 1),
    load("always-set-p16", Setup::Always, Op::Set, 16),
    load("periodic-set-p1", Setup::Periodic, Op::Set, 1),
    load("periodic-set-p16", Setup::Periodic, Op::Set, 16),
    load("periodic-get-p16", Setup::Periodic, Op::Get, 16),
    other("restart", Setup::Restart, Kind::Restart),
];

impl Kind {
    /// The requests of a load.
    pub(crate) fn mix(self) -> Mix {
        match self {
            Self::Load { op, .. } => Mix::only(op),
            _ => Mix::only(Op::Get),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
