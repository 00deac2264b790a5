//! Who reads which partition. Pure: members and what they had, in; what they have, out. Every
//! partition belongs to exactly one member as long as there is one, and nobody has more than one
//! partition more than another (range and round-robin) or than the even share (sticky).

use std::collections::{BTreeMap, BTreeSet};

/// How partitions are spread over members.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Strategy {
    /// Partition p belongs to member p mod m, members sorted by id.
    #[default]
    RoundRobin,
    /// Neighbouring partitions belong together; the first members have one more.
    Range,
    /// Who had a partition keeps it, up to the even share rounded up; the rest goes to whoever has
    /// least.
    Sticky,
}

impl Strategy {
    const ALL: [(Self, &'static str); 3] =
        [(Self::RoundRobin, "round_robin"), (Self::Range, "range"), (Self::Sticky, "sticky")];

    /// Its name in requests and answers.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The strategy of this name, in any case.
    pub fn named(word: &[u8]) -> Option<Self> {
        let named = |(_, name): &&(Self, &str)| word.eq_ignore_ascii_case(name.as_bytes());
        Self::ALL.iter().find(named).map(|(strategy, _)| *strategy)
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).map(|(strategy, _)| *strategy)
    }
}

/// The owner of each partition, as a position among `members`, which are in the order of their
/// ids; nothing when there are none. `before` are the owners so far, by partition.
pub(crate) fn assign(
    strategy: Strategy,
    partitions: usize,
    members: &[&[u8]],
    before: &BTreeMap<u16, &[u8]>,
) -> Vec<usize> {
    let count = members.len();
    if count == 0 {
        return Vec::new();
    }
    match strategy {
        Strategy::RoundRobin => (0..partitions).map(|partition| partition % count).collect(),
        Strategy::Range => {
            let (share, more) = (partitions / count, partitions % count);
            let sizes = (0..count).map(|member| share + usize::from(member < more));
            sizes.enumerate().flat_map(|(member, size)| std::iter::repeat_n(member, size)).collect()
        }
        Strategy::Sticky => sticky(partitions, members, before),
    }
}

fn sticky(partitions: usize, members: &[&[u8]], before: &BTreeMap<u16, &[u8]>) -> Vec<usize> {
    let most = partitions.div_ceil(members.len());
    let mut load = vec![0usize; members.len()];
    let mut owners: Vec<Option<usize>> = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        let had = u16::try_from(partition).ok().and_then(|partition| before.get(&partition));
        let owner = had.and_then(|id| members.binary_search(id).ok());
        let owner = owner.filter(|member| load[*member] < most);
        if let Some(member) = owner {
            load[member] += 1;
        }
        owners.push(owner);
    }
    let mut queue: BTreeSet<(usize, usize)> =
        load.iter().enumerate().map(|(member, load)| (*load, member)).collect();
    let mut least = || {
        let (load, member) = queue.pop_first().expect("there are members");
        queue.insert((load + 1, member));
        member
    };
    owners.into_iter().map(|owner| owner.unwrap_or_else(&mut least)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn names(count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> =
            (0..count).map(|_| format!("m{:03}", rng.below(200)).into_bytes()).collect();
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn the_examples_of_the_contract() {
        let members: &[&[u8]] = &[b"a", b"b", b"c"];
        let none = BTreeMap::new();
        assert_eq!(assign(Strategy::RoundRobin, 5, members, &none), [0, 1, 2, 0, 1]);
        assert_eq!(assign(Strategy::Range, 8, members, &none), [0, 0, 0, 1, 1, 1, 2, 2]);
        assert_eq!(assign(Strategy::Sticky, 4, members, &none), [0, 1, 2, 0]);
        let before: BTreeMap<u16, &[u8]> = [(0, &b"c"[..]), (1, b"c"), (2, b"gone")].into();
        assert_eq!(assign(Strategy::Sticky, 4, members, &before), [2, 2, 0, 1]);
        assert!(assign(Strategy::Range, 8, &[], &none).is_empty());
        assert_eq!(Strategy::named(b"Round_Robin"), Some(Strategy::RoundRobin));
        assert_eq!(Strategy::named(b"other"), None);
    }

    #[test]
    fn every_partition_has_one_owner_and_loads_are_even() {
        let mut rng = Rng::new(21);
        for _ in 0..2_000 {
            let partitions = rng.below(40);
            let members = names(1 + rng.below(12), &mut rng);
            let ids: Vec<&[u8]> = members.iter().map(|id| &**id).collect();
            let had = names(1 + rng.below(12), &mut rng);
            let before: BTreeMap<u16, &[u8]> =
                (0..40).map(|partition| (partition, &*had[rng.below(had.len())])).collect();
            for (strategy, _) in Strategy::ALL {
                let owners = assign(strategy, partitions, &ids, &before);
                assert_eq!(owners.len(), partitions, "each has an owner");
                let mut load = vec![0; ids.len()];
                owners.iter().for_each(|owner| load[*owner] += 1);
                let (most, least) = (load.iter().max(), load.iter().min());
                assert!(most <= Some(&partitions.div_ceil(ids.len())), "{strategy:?} {load:?}");
                if strategy != Strategy::Sticky {
                    assert!(most.unwrap() - least.unwrap() <= 1, "{strategy:?} {load:?}");
                }
                assert_eq!(owners, assign(strategy, partitions, &ids, &before));
            }
        }
    }

    #[test]
    fn sticky_moves_only_what_it_must() {
        let mut rng = Rng::new(4);
        for _ in 0..500 {
            let partitions = 1 + rng.below(40);
            let members = names(2 + rng.below(10), &mut rng);
            let ids: Vec<&[u8]> = members.iter().map(|id| &**id).collect();
            let first = assign(Strategy::Sticky, partitions, &ids, &BTreeMap::new());
            let before: BTreeMap<u16, &[u8]> =
                first.iter().enumerate().map(|(at, owner)| (at as u16, ids[*owner])).collect();
            assert_eq!(assign(Strategy::Sticky, partitions, &ids, &before), first);
            // Without one of them, the others keep all they had.
            let gone = rng.below(ids.len());
            let rest: Vec<&[u8]> = ids.iter().filter(|id| **id != ids[gone]).copied().collect();
            let second = assign(Strategy::Sticky, partitions, &rest, &before);
            for (partition, owner) in first.iter().enumerate() {
                if *owner != gone {
                    assert_eq!(rest[second[partition]], ids[*owner]);
                }
            }
        }
    }
}
