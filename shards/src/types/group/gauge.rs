//! What metrics tell of consumer groups.

use super::find;
use crate::key::Namespace;
use crate::shard::Shard;

/// Who is in a group, and how far it has read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Gauge<'s> {
    /// The topic that it reads.
    pub topic: &'s [u8],
    /// Its members.
    pub members: u64,
    /// The committed offset of each partition that has one: the next to be read.
    pub commits: Vec<(u16, u64)>,
}

/// The groups of a shard by name.
pub fn gauges(shard: &Shard) -> impl Iterator<Item = (&[u8], Gauge<'_>)> {
    shard.named(Namespace::Group).filter_map(|key| {
        let group = find::group_in(shard.get(key)?.content());
        let commits = group.commits().iter().map(|(partition, commit)| (*partition, commit.offset));
        let gauge = Gauge {
            topic: &group.terms.topic,
            members: group.members().len() as u64,
            commits: commits.collect(),
        };
        Some((find::name_of(key), gauge))
    })
}
