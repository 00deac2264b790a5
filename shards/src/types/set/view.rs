//! Reading a set, whatever form it has.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::store::{Form, Large, form};
use crate::command::args::integer;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::rng::Rng;
use crate::shard::memory::Memory;
use crate::shard::plan::View;
use crate::shard::slab::Handle;
use crate::shard::table::Table;
use crate::shard::{Content, Entry, ValueType};
use crate::types;

use super::ints::Ints;
use super::pack::Pack;

/// A member as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member<'s> {
    Bytes(&'s [u8]),
    Integer(i64),
}

impl<'s> Member<'s> {
    /// Its bytes, made of the integer if it is one.
    pub(crate) fn bytes(self) -> Cow<'s, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }

    pub(super) fn reply(self) -> Reply<'s> {
        Reply::Bytes(self.bytes())
    }
}

/// A set for reading; one without members where there is no key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetView<'s> {
    form: Shape<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Shape<'s> {
    None,
    Ints(Ints<'s>),
    Pack(Pack<'s>),
    Large(&'s Large, Memory<'s>),
}

impl<'s> SetView<'s> {
    /// The set of an entry of this type.
    pub(crate) fn of(entry: &Entry<'s>) -> Self {
        let form = match entry.content() {
            Content::Packed(value) => match form(value) {
                Form::None => Shape::None,
                Form::Ints(ints) => Shape::Ints(ints),
                Form::Pack(pack) => Shape::Pack(pack),
            },
            Content::Large(types::Large::Set(large), memory) => Shape::Large(large, memory),
            Content::Large(..) => unreachable!("an entry holds what its type says"),
        };
        Self { form }
    }

    /// The set of a key; counted as a hit or a miss.
    pub(super) fn read(view: &View<'s>, key: &[u8]) -> Result<Self, CommandError> {
        let entry = view.typed(key, ValueType::Set)?;
        Ok(entry.map_or(Self { form: Shape::None }, |entry| Self::of(&entry)))
    }

    pub(crate) fn len(self) -> usize {
        match self.form {
            Shape::None => 0,
            Shape::Ints(ints) => ints.len(),
            Shape::Pack(pack) => pack.len(),
            Shape::Large(large, _) => large.len(),
        }
    }

    pub(crate) fn contains(self, member: &[u8]) -> bool {
        match self.form {
            Shape::None => false,
            Shape::Ints(ints) => integer(member).is_ok_and(|number| ints.contains(number)),
            Shape::Pack(pack) => pack.contains(member),
            Shape::Large(large, memory) => large.table().handle(memory, member).is_some(),
        }
    }

    /// The same for a member of another set.
    pub(super) fn has(self, member: Member<'_>) -> bool {
        match (self.form, member) {
            (Shape::Ints(ints), Member::Integer(number)) => ints.contains(number),
            (_, Member::Bytes(bytes)) => self.contains(bytes),
            (_, Member::Integer(number)) => self.contains(number.to_string().as_bytes()),
        }
    }

    /// Every member; integers ascending, others in no particular order.
    pub(crate) fn iter(self) -> Box<dyn Iterator<Item = Member<'s>> + 's> {
        match self.form {
            Shape::None => Box::new(std::iter::empty()),
            Shape::Ints(ints) => Box::new(ints.iter().map(Member::Integer)),
            Shape::Pack(pack) => Box::new(pack.iter().map(Member::Bytes)),
            Shape::Large(large, memory) => {
                let name = move |handle| Member::Bytes(Table::name_of(memory, handle));
                Box::new(large.table().iter().map(name))
            }
        }
    }

    /// One member drawn at random; nothing when there is none.
    pub(super) fn random(self, rng: &mut Rng) -> Option<Member<'s>> {
        if self.len() == 0 {
            return None;
        }
        match self.form {
            Shape::None => None,
            Shape::Ints(ints) => Some(Member::Integer(ints.nth(rng.below(ints.len())))),
            Shape::Pack(pack) => pack.iter().nth(rng.below(pack.len())).map(Member::Bytes),
            Shape::Large(large, memory) => {
                let handle = large.table().random(rng)?;
                Some(Member::Bytes(Table::name_of(memory, handle)))
            }
        }
    }

    /// `count` different members drawn at random, all if there are no more.
    pub(super) fn sample(self, count: usize, rng: &mut Rng) -> Vec<Member<'s>> {
        if count >= self.len() {
            return self.iter().collect();
        }
        match self.form {
            // Below half, drawing again what was drawn before costs less than visiting all.
            Shape::Large(large, memory) if count <= large.len() / 2 => {
                let mut seen = BTreeSet::new();
                let mut drawn = Vec::with_capacity(count);
                while drawn.len() < count
                    && let Some(handle) = large.table().random(rng)
                {
                    let Handle(number) = handle;
                    if seen.insert(number) {
                        drawn.push(Member::Bytes(Table::name_of(memory, handle)));
                    }
                }
                drawn
            }
            _ => self.select(count, rng),
        }
    }

    /// Selection sampling (Knuth, "The Art of Computer Programming", 3.4.2, algorithm S): each
    /// member is taken with the chance of what is still wanted among what is left.
    fn select(self, count: usize, rng: &mut Rng) -> Vec<Member<'s>> {
        let (mut left, mut wanted) = (self.len(), count);
        let mut chosen = Vec::with_capacity(count);
        for member in self.iter() {
            if wanted == 0 {
                break;
            }
            if rng.below(left) < wanted {
                chosen.push(member);
                wanted -= 1;
            }
            left -= 1;
        }
        chosen
    }

    /// Calls `visit` with the members of one step of a walk that begins at zero, about `count` of
    /// them, and answers where it goes on: zero is the end. A member that is there all the time is
    /// visited at least once.
    pub(super) fn walk(self, cursor: u64, count: usize, mut visit: impl FnMut(Member<'s>)) -> u64 {
        /// Most buckets per member asked for, so that a step over a nearly empty table ends.
        const BUCKETS_PER_MEMBER: usize = 10;
        let Shape::Large(large, memory) = self.form else {
            self.iter().for_each(visit);
            return 0;
        };
        let mut position = Some(Table::position_at(cursor));
        let mut seen = 0;
        for _ in 0..count.saturating_mul(BUCKETS_PER_MEMBER) {
            let Some(at) = position.filter(|_| seen < count) else { break };
            position = large.table().walk(memory, at, |handle| {
                seen += 1;
                visit(Member::Bytes(Table::name_of(memory, handle)));
            });
        }
        Table::cursor_at(position)
    }
}
