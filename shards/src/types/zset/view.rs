//! Reading a sorted set in either form.
//!
//! Every range is a range of ranks: an [`Edge`] says where it begins or ends, [`ZsetView::before`]
//! how many members lie before it.

use super::large::Large;
use super::packed::{self, Packed};
use super::tree::{Walk, WalkBack};
use crate::rng::Rng;
use crate::shard::memory::Memory;
use crate::shard::table::Table;
use crate::shard::{Content, Entry};
use crate::types;

/// A sorted set, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ZsetView<'s> {
    Packed(Packed<'s>),
    Large(&'s Large, Memory<'s>),
}

/// A cut through the order of members.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Edge<'e> {
    /// Before all members.
    Start,
    /// Behind all members.
    End,
    /// Between members of other scores and those of this one, which lie before it if `behind`.
    Score { score: f64, behind: bool },
    /// The same for a member, where all have one score.
    Member { member: &'e [u8], behind: bool },
}

impl Edge<'_> {
    /// Whether a member lies before it.
    #[inline]
    fn is_behind<'m>(&self, found: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Self::Start => false,
            Self::End => true,
            Self::Score { score, behind } => found < score || behind && found == score,
            Self::Member { member: wanted, behind } => {
                let found = member();
                found < wanted || behind && found == wanted
            }
        }
    }
}

impl<'s> ZsetView<'s> {
    /// A set without members.
    pub(crate) const EMPTY: Self = Self::Packed(Packed::EMPTY);

    /// That of an entry, which is a sorted set.
    pub(crate) fn of(entry: &Entry<'s>) -> Self {
        match entry.content() {
            Content::Packed(value) => Self::Packed(Packed::new(value)),
            Content::Large(types::Large::SortedSet(large), memory) => Self::Large(large, memory),
            Content::Large(..) => unreachable!("the entry was checked to be a sorted set"),
        }
    }

    /// The same; without an entry a set without members.
    pub(crate) fn of_any(entry: Option<Entry<'s>>) -> Self {
        entry.map_or(Self::EMPTY, |entry| Self::of(&entry))
    }

    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.len(),
            Self::Large(large, _) => large.len(),
        }
    }

    /// The score of a member.
    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(packed) => packed.find(member).map(|(_, score)| score),
            Self::Large(large, memory) => large.score(*memory, member),
        }
    }

    /// Rank and score of a member.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed(packed) => packed.find(member),
            Self::Large(large, memory) => {
                let score = large.score(*memory, member)?;
                Some((large.place(*memory, (score, member)).rank, score))
            }
        }
    }

    /// Number of members before an edge.
    pub(super) fn before(&self, edge: &Edge<'_>) -> usize {
        match (self, edge) {
            (_, Edge::Start) => 0,
            (_, Edge::End) => self.len(),
            (Self::Packed(packed), _) => packed
                .iter()
                .take_while(|(score, member)| edge.is_behind(*score, || member))
                .count(),
            (Self::Large(large, memory), _) => {
                let is_behind =
                    |score, handle| edge.is_behind(score, || Table::name_of(*memory, handle));
                large.tree().partition(is_behind).rank
            }
        }
    }

    /// Members of these ranks; the last first if `reverse`.
    pub(super) fn run(&self, ranks: Ranks) -> Run<'s> {
        let Ranks { start, count, reverse } = ranks;
        match self {
            Self::Packed(packed) if reverse => {
                let all: Vec<_> = packed.iter().skip(start).take(count).collect();
                Run::Back(all.into_iter().rev())
            }
            Self::Packed(packed) => Run::Packed(packed.iter().skip(start).take(count)),
            Self::Large(large, memory) => {
                let tree = large.tree();
                if reverse {
                    let place = tree.by_rank(start.saturating_add(count));
                    Run::TreeBack(tree.walk_back(place, place.rank.saturating_sub(start)), *memory)
                } else {
                    Run::Tree(tree.walk(tree.by_rank(start), count), *memory)
                }
            }
        }
    }

    /// Every member in order.
    pub(crate) fn iter(&self) -> Run<'s> {
        self.run(Ranks { start: 0, count: usize::MAX, reverse: false })
    }

    /// A member drawn at random; there has to be one.
    pub(super) fn random(&self, rng: &mut Rng) -> (f64, &'s [u8]) {
        let start = rng.below(self.len());
        let mut drawn = self.run(Ranks { start, count: 1, reverse: false });
        drawn.next().expect("the rank is below the number of members")
    }

    /// One step of a walk in no particular order, as [`Table::walk`]; a packed set takes one step.
    pub(super) fn walk(&self, position: u64, mut visit: impl FnMut(f64, &'s [u8])) -> Option<u64> {
        match self {
            Self::Packed(packed) => {
                packed.iter().for_each(|(score, member)| visit(score, member));
                None
            }
            Self::Large(large, memory) => large.table().walk(*memory, position, |handle| {
                let member = Table::name_of(*memory, handle);
                visit(large.score_of(*memory, handle), member);
            }),
        }
    }
}

/// Which members a run is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ranks {
    /// The lowest rank.
    pub(super) start: usize,
    /// How many, at most.
    pub(super) count: usize,
    /// The highest rank first.
    pub(super) reverse: bool,
}

/// Scores and members of a run.
#[derive(Debug)]
pub(crate) enum Run<'s> {
    Packed(std::iter::Take<std::iter::Skip<packed::Iter<'s>>>),
    Back(std::iter::Rev<std::vec::IntoIter<(f64, &'s [u8])>>),
    Tree(Walk<'s>, Memory<'s>),
    TreeBack(WalkBack<'s>, Memory<'s>),
}

impl<'s> Iterator for Run<'s> {
    type Item = (f64, &'s [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(run) => run.next(),
            Self::Back(run) => run.next(),
            Self::Tree(run, memory) => {
                run.next().map(|(score, handle)| (score, Table::name_of(*memory, handle)))
            }
            Self::TreeBack(run, memory) => {
                run.next().map(|(score, handle)| (score, Table::name_of(*memory, handle)))
            }
        }
    }
}
