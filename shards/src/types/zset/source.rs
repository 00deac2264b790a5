//! What unions, intersections and differences are made of: sorted sets, and sets, whose members
//! all have the score 1.

use std::borrow::Cow;

use super::view::ZsetView;
use crate::command::error::CommandError;
use crate::shard::ValueType;
use crate::shard::plan::View;
use crate::types::set::SetView;

/// A member and its score, as results are made of.
pub(super) type Scored<'s> = (f64, Cow<'s, [u8]>);

/// One input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'s> {
    Sorted(ZsetView<'s>),
    Plain(SetView<'s>),
}

impl<'s> Source<'s> {
    /// What a key holds; no members if there is no such key.
    pub(super) fn of(view: &View<'s>, key: &[u8]) -> Result<Self, CommandError> {
        let Some(entry) = view.get(key) else { return Ok(Self::Sorted(ZsetView::EMPTY)) };
        match entry.value_type() {
            ValueType::SortedSet => Ok(Self::Sorted(ZsetView::of(&entry))),
            ValueType::Set => Ok(Self::Plain(SetView::of(&entry))),
            _ => Err(CommandError::WrongType),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Sorted(set) => set.len(),
            Self::Plain(set) => set.len(),
        }
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Sorted(set) => set.score(member),
            Self::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = Scored<'s>> + 's> {
        match self {
            Self::Sorted(set) => {
                Box::new(set.iter().map(|(score, member)| (score, Cow::Borrowed(member))))
            }
            Self::Plain(set) => Box::new(set.iter().map(|member| (1.0, member.bytes()))),
        }
    }
}
