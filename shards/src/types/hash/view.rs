//! A hash as commands see it, whatever its form: fields whose deadline has passed are not there.

use super::large::Large;
use super::packed::{Field, Packed};
use crate::rng::Rng;
use crate::shard::memory::Memory;
use crate::shard::{Content, Entry};
use crate::types;

/// Draws that may hit fields that are due before all live ones are gathered to draw from.
const DRAWS_MAX: usize = 16;

/// A hash, for reading at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashView<'s> {
    form: Form<'s>,
    now_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Form<'s> {
    Packed(Packed<'s>),
    Large(&'s Large, Memory<'s>),
}

impl<'s> HashView<'s> {
    /// The hash of an entry, or one without fields.
    #[inline]
    pub(crate) fn of(entry: Option<&Entry<'s>>, now_ms: u64) -> Self {
        let form = match entry.map(Entry::content) {
            None => Form::Packed(Packed::over(&[])),
            Some(Content::Packed(bytes)) => Form::Packed(Packed::over(bytes)),
            Some(Content::Large(types::Large::Hash(large), memory)) => Form::Large(large, memory),
            Some(Content::Large(..)) => unreachable!("the caller has seen that it is a hash"),
        };
        Self { form, now_ms }
    }

    /// The moment, Unix milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The field of this name.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<Field<'s>> {
        self.standing(name).filter(|field| !field.is_due(self.now_ms))
    }

    /// The same, also when it is due.
    #[inline]
    pub(super) fn standing(&self, name: &[u8]) -> Option<Field<'s>> {
        match self.form {
            Form::Packed(packed) => packed.get(name),
            Form::Large(large, memory) => large.get(memory, name),
        }
    }

    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        let due = if self.has_due() { self.due().count() } else { 0 };
        self.standing_len() - due
    }

    /// Number of fields, those that are due included.
    pub(super) fn standing_len(&self) -> usize {
        match self.form {
            Form::Packed(packed) => packed.len(),
            Form::Large(large, _) => large.len(),
        }
    }

    /// The nearest deadline of a field, be it in the past.
    pub(crate) fn least_deadline(&self) -> Option<u64> {
        match self.form {
            Form::Packed(packed) => packed.least_deadline(),
            Form::Large(large, _) => large.least_deadline(),
        }
    }

    /// Whether a field is due.
    #[inline]
    pub(super) fn has_due(&self) -> bool {
        self.least_deadline().is_some_and(|least| least <= self.now_ms)
    }

    /// The fields whose deadline has passed.
    pub(super) fn due(&self) -> impl Iterator<Item = Field<'s>> + use<'s> {
        let (packed, large) = self.forms();
        let now_ms = self.now_ms;
        let packed = packed.into_iter().flat_map(Packed::fields);
        let packed = packed.filter(move |field| field.is_due(now_ms));
        packed.chain(large.into_iter().flat_map(move |(large, memory)| large.due(memory, now_ms)))
    }

    /// The fields; in the order in which they came while the hash is packed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'s>> + use<'s> {
        let (packed, large) = self.forms();
        let now_ms = self.now_ms;
        let packed = packed.into_iter().flat_map(Packed::fields);
        let large = large.into_iter().flat_map(|(large, memory)| large.fields(memory));
        packed.chain(large).filter(move |field| !field.is_due(now_ms))
    }

    fn forms(&self) -> (Option<Packed<'s>>, Option<(&'s Large, Memory<'s>)>) {
        match self.form {
            Form::Packed(packed) => (Some(packed), None),
            Form::Large(large, memory) => (None, Some((large, memory))),
        }
    }

    /// A field drawn at random with about equal weight.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Field<'s>> {
        if let Form::Large(large, memory) = self.form {
            for _ in 0..DRAWS_MAX {
                let drawn = large.random(memory, rng)?;
                if !drawn.is_due(self.now_ms) {
                    return Some(drawn);
                }
            }
        }
        match self.len() {
            0 => None,
            live => self.iter().nth(rng.below(live)),
        }
    }

    /// As [`crate::shard::table::Table::walk`]; a packed hash is one step.
    pub(super) fn walk(&self, position: u64, mut visit: impl FnMut(Field<'s>)) -> Option<u64> {
        match self.form {
            Form::Packed(_) => {
                self.iter().for_each(visit);
                None
            }
            Form::Large(large, memory) => large.walk(memory, position, |field| {
                if !field.is_due(self.now_ms) {
                    visit(field);
                }
            }),
        }
    }
}
