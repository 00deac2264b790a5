//! Looking for members around a position.

use super::cell::Position;
use super::look::coordinates;
use super::options;
use super::shape::Shape;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::shard::plan::Plan;
use crate::types::zset::change::store;
use crate::types::zset::view::{Edge, Ranks, ZsetView};

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Search {
    pub(super) centre: Position,
    pub(super) shape: Shape,
    /// Metres of the unit in which distances are answered.
    pub(super) unit: f64,
    pub(super) order: Order,
}

/// Which of the members that are found are answered, and how they are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Order {
    /// The farthest first; nothing is no order.
    pub(super) descending: Option<bool>,
    /// At most so many.
    pub(super) count: Option<usize>,
    /// Those found first, whether they are near or not.
    pub(super) any: bool,
}

impl Order {
    /// Reads `COUNT`, `ANY` and the order, which are the arguments from `at` on.
    pub(super) fn read(args: &Args<'_>, at: usize) -> Result<Self, CommandError> {
        let refused = || CommandError::Invalid("COUNT must be > 0");
        let count = match args.opt_integer(Arg(at)) {
            None => None,
            Some(count) if count > 0 => Some(usize::try_from(count).unwrap_or(usize::MAX)),
            Some(_) => return Err(refused()),
        };
        let any = args.flag(Arg(at + 1));
        if any && count.is_none() {
            return Err(CommandError::Invalid("the ANY argument requires COUNT argument"));
        }
        let chosen = args.choice(Arg(at + 2)).map(|(index, _)| index == 1);
        // The first of many are the nearest.
        let descending = chosen.or_else(|| (count.is_some() && !any).then_some(false));
        Ok(Self { descending, count, any })
    }
}

/// A member that was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Found<'s> {
    member: &'s [u8],
    score: f64,
    /// Metres from the centre.
    distance: f64,
}

impl Search {
    /// The members that lie within, as asked for.
    pub(super) fn run<'s>(&self, set: &ZsetView<'s>) -> Vec<Found<'s>> {
        let enough = self.order.count.filter(|_| self.order.any).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for cell in self.shape.cells(self.centre) {
            let (low, high) = cell.scores();
            let start = set.before(&Edge::Score { score: low, behind: false });
            let end = set.before(&Edge::Score { score: high, behind: false });
            let ranks = Ranks { start, count: end - start, reverse: false };
            let within = set.run(ranks).filter_map(|(score, member)| {
                let position = Position::of_score(score);
                let distance = self.shape.distance_within(self.centre, position)?;
                Some(Found { member, score, distance })
            });
            found.extend(within.take(enough - found.len()));
            if found.len() == enough {
                break;
            }
        }
        match self.order.descending {
            Some(false) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(true) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        found.truncate(self.order.count.unwrap_or(usize::MAX));
        found
    }
}

/// What is answered besides members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct With {
    distance: bool,
    score: bool,
    position: bool,
}

impl With {
    /// Reads the flags for positions, distances and scores, which are the arguments from `at` on.
    pub(super) fn read(args: &Args<'_>, at: usize) -> Self {
        Self {
            position: args.flag(Arg(at)),
            distance: args.flag(Arg(at + 1)),
            score: args.flag(Arg(at + 2)),
        }
    }

    pub(super) fn is_anything(self) -> bool {
        self.distance || self.score || self.position
    }

    /// The answer about what was found.
    pub(super) fn answer<'s>(self, found: &[Found<'s>], unit: f64) -> Reply<'s> {
        let one = |found: &Found<'s>| {
            let member = Reply::borrowed(found.member);
            if !self.is_anything() {
                return member;
            }
            let mut parts = vec![member];
            if self.distance {
                parts.push(Reply::string(options::shown(found.distance, unit)));
            }
            if self.score {
                parts.push(Reply::Integer(found.score as i64));
            }
            if self.position {
                parts.push(coordinates(Position::of_score(found.score)));
            }
            Reply::Array(parts)
        };
        Reply::Array(found.iter().map(one).collect())
    }
}

/// Stores what was found, with their distances as scores if asked for; how many.
pub(super) fn keep(
    plan: &mut Plan<'_>,
    key: &[u8],
    found: &[Found<'_>],
    distances: Option<f64>,
    event: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let score = |found: &Found<'_>| match distances {
        Some(unit) => found.distance / unit,
        None => found.score,
    };
    let members = found.iter().map(|found| (score(found), found.member));
    store(plan, key, members, event).map(Reply::count)
}
