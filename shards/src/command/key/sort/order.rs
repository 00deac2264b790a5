//! The order of elements.

use std::cmp::Ordering;

use super::Bytes;
use super::options::{By, Options};
use crate::command::error::CommandError;
use crate::shard::ValueType;
use crate::shard::plan::View;

/// What an element is compared by.
#[derive(Debug)]
enum Weight<'s> {
    Number(f64),
    /// Nothing when the key it names is not there: that comes first.
    Bytes(Option<Bytes<'s>>),
}

/// The elements that are wanted, in the order that is wanted.
pub(super) fn sorted<'s>(
    view: &View<'s>,
    mut elements: Vec<Bytes<'s>>,
    value_type: ValueType,
    options: &Options<'_>,
) -> Result<Vec<Bytes<'s>>, CommandError> {
    // What is stored must not depend on how a set happens to be held.
    let must_sort = value_type == ValueType::Set && options.store.is_some();
    let range = options.range(elements.len());
    match options.by {
        Some(By::Nothing) if must_sort => {
            elements.sort();
            if options.descending {
                elements.reverse();
            }
        }
        Some(By::Nothing) => {
            if value_type != ValueType::Set && options.descending {
                elements.reverse();
            }
        }
        Some(By::Pattern(_)) | None => elements = weighed(view, elements, options)?,
    }
    elements.truncate(range.end);
    elements.drain(..range.start);
    Ok(elements)
}

fn weighed<'s>(
    view: &View<'s>,
    elements: Vec<Bytes<'s>>,
    options: &Options<'_>,
) -> Result<Vec<Bytes<'s>>, CommandError> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = match options.by {
            Some(By::Pattern(pattern)) => pattern.value(view, &element)?,
            Some(By::Nothing) | None => Some(element.clone()),
        };
        let weight = match weight {
            bytes if options.alpha => Weight::Bytes(bytes),
            Some(bytes) => Weight::Number(number(&bytes)?),
            None => Weight::Number(0.0),
        };
        weighed.push((weight, element));
    }
    weighed.sort_by(|a, b| {
        let order = compare(&a.0, &b.0).then_with(|| match a.0 {
            Weight::Number(_) => a.1.cmp(&b.1),
            Weight::Bytes(_) => Ordering::Equal,
        });
        if options.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn compare(a: &Weight<'_>, b: &Weight<'_>) -> Ordering {
    match (a, b) {
        (Weight::Number(a), Weight::Number(b)) => {
            a.partial_cmp(b).expect("what is no number is refused before")
        }
        (Weight::Bytes(a), Weight::Bytes(b)) => a.cmp(b),
        _ => unreachable!("all weights of one command are of one kind"),
    }
}

/// A number as C reads it, as far as clients rely on it: nothing is zero, blanks may lead.
fn number(bytes: &[u8]) -> Result<f64, CommandError> {
    if bytes.is_empty() {
        return Ok(0.0);
    }
    crate::command::args::float(bytes.trim_ascii_start())
        .map_err(|_| CommandError::Invalid("One or more scores can't be converted into double"))
}
