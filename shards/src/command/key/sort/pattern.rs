//! Patterns of `BY` and `GET`: `#` is the element itself; the first star of anything else is the
//! element, and `->field` behind it a field of a hash.

use std::borrow::Cow;

use super::Bytes;
use crate::command::error::CommandError;
use crate::shard::ValueType;
use crate::shard::plan::View;

/// A pattern, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    Element,
    /// No star: it names nothing.
    Nothing,
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    pub(super) fn of(word: &'a [u8]) -> Self {
        if word == b"#" {
            return Self::Element;
        }
        let Some(star) = word.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (before, behind) = (&word[..star], &word[star + 1..]);
        // An arrow with nothing behind it is part of the key.
        let arrow = behind.windows(2).position(|pair| pair == b"->");
        match arrow.filter(|at| at + 2 < behind.len()) {
            Some(at) => Self::Key { before, after: &behind[..at], field: Some(&behind[at + 2..]) },
            None => Self::Key { before, after: behind, field: None },
        }
    }

    pub(super) fn has_star(self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// The value that an element names with this pattern.
    pub(super) fn value<'s>(
        self,
        view: &View<'s>,
        element: &Bytes<'s>,
    ) -> Result<Option<Bytes<'s>>, CommandError> {
        let (before, after, field) = match self {
            Self::Element => return Ok(Some(element.clone())),
            Self::Nothing => return Ok(None),
            Self::Key { before, after, field } => (before, after, field),
        };
        let key = [before, element, after].concat();
        if !view.is_here(&key) {
            return Err(CommandError::Invalid(
                "BY and GET of SORT reach keys that were not declared",
            ));
        }
        let Some(entry) = view.peek(&key) else { return Ok(None) };
        let value = match (field, entry.value_type()) {
            (None, ValueType::String) => Some(entry.value()),
            (Some(field), ValueType::Hash) => super::field(view, &entry, field),
            _ => None,
        };
        Ok(value.map(Cow::Borrowed))
    }
}
