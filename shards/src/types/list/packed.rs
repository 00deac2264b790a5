//! The packed form: a short list in one run of bytes, which stands in the entry of its key.
//!
//! ```text
//! count     u16
//! elements  a run, see [`super::run`]
//! ```

use super::Limit;
use super::large::Large;
use super::record::{self, Edit, Edits, End};
use super::run::{self, Elements};
use crate::types::Thresholds;

const COUNT_BYTES: usize = 2;
/// Elements that the count can name.
pub(super) const COUNT_MAX: usize = u16::MAX as usize;

/// Number of elements.
pub(crate) fn packed_len(value: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([value[0], value[1]]))
}

/// The elements.
pub(super) fn elements(value: &[u8]) -> &[u8] {
    &value[COUNT_BYTES..]
}

/// Appends edits that build the list from nothing.
pub(crate) fn packed_edits(value: &[u8], out: &mut Vec<u8>) {
    record::load(out, 0, packed_len(value), Elements(elements(value)));
}

/// Applies edits to the packed bytes in `value`, of which there are none for a new list. Answers
/// the large form when the list outgrew this one.
pub(crate) fn apply_packed(
    value: &mut Vec<u8>,
    edits: &[u8],
    thresholds: &Thresholds,
) -> Option<Large> {
    let limit = Limit::of(thresholds);
    if value.is_empty() {
        value.extend_from_slice(&[0; COUNT_BYTES]);
    }
    let mut large: Option<Large> = None;
    for edit in Edits(edits) {
        match &mut large {
            Some(large) => large.edit(edit, limit),
            None => large = apply(value, edit, limit),
        }
    }
    large
}

/// Applies one edit; answers the large form when that took it.
fn apply(value: &mut Vec<u8>, edit: Edit<'_>, limit: Limit) -> Option<Large> {
    let count = packed_len(value);
    match edit {
        Edit::Push(end, items) => return push(value, end, items, limit),
        Edit::Load(ordinal, items) if ordinal == count => {
            return push(value, End::Right, items, limit);
        }
        Edit::Load(..) => {}
        Edit::Pop(end, gone) => {
            let left = count.saturating_sub(gone);
            let (first, last) = if end == End::Left { (count - left, count) } else { (0, left) };
            keep(value, first, last);
        }
        Edit::Set(index, element) => {
            if index < count {
                return put(value, (index, index + 1), element, limit);
            }
        }
        Edit::Insert(index, element) => {
            if index <= count {
                return put(value, (index, index), element, limit);
            }
        }
        Edit::Remove(gaps) => {
            let mut kept = Vec::with_capacity(value.len());
            kept.extend_from_slice(&[0; COUNT_BYTES]);
            let mut rest = Elements(elements(value));
            let mut left = 0;
            let mut keep = |element: &[u8]| {
                let end = kept.len();
                run::insert(&mut kept, end, element);
                left += 1;
            };
            for gap in gaps {
                rest.by_ref().take(gap).for_each(&mut keep);
                rest.next();
            }
            rest.for_each(&mut keep);
            set_count(&mut kept, left);
            *value = kept;
        }
    }
    None
}

fn set_count(value: &mut [u8], count: usize) {
    let count = u16::try_from(count).expect("more elements make a list large");
    value[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Whether a list of this size has outgrown the packed form.
fn is_over(run_bytes: usize, count: usize, limit: Limit) -> bool {
    run_bytes > limit.bytes || count > limit.count.min(COUNT_MAX)
}

fn push<'a>(
    value: &mut Vec<u8>,
    end: End,
    mut items: impl Iterator<Item = &'a [u8]>,
    limit: Limit,
) -> Option<Large> {
    while let Some(element) = items.next() {
        let count = packed_len(value);
        let run_bytes = elements(value).len() + run::element_bytes(element.len());
        if is_over(run_bytes, count + 1, limit) {
            let mut large = Large::of_run(elements(value), count, limit);
            large.push(end, element, limit);
            items.for_each(|element| large.push(end, element, limit));
            return Some(large);
        }
        let at = if end == End::Left { COUNT_BYTES } else { value.len() };
        run::insert(value, at, element);
        set_count(value, count + 1);
    }
    None
}

/// Drops all but the elements from `first` up to `last`.
fn keep(value: &mut Vec<u8>, first: usize, last: usize) {
    let count = packed_len(value);
    let (start, end) = {
        let run = elements(value);
        (run::offset_of(run, count, first), run::offset_of(run, count, last))
    };
    value.truncate(COUNT_BYTES + end);
    value.drain(COUNT_BYTES..COUNT_BYTES + start);
    set_count(value, last - first);
}

/// Puts an element where those of a range of at most one stand.
fn put(
    value: &mut Vec<u8>,
    (first, last): (usize, usize),
    element: &[u8],
    limit: Limit,
) -> Option<Large> {
    let count = packed_len(value);
    let run = elements(value);
    let (start, end) = (run::offset_of(run, count, first), run::offset_of(run, count, last));
    let bytes = run::element_bytes(element.len());
    let count_after = count + 1 - (last - first);
    if is_over(run.len() + bytes - (end - start), count_after, limit) {
        let mut large = Large::of_run(run, count, limit);
        let edit =
            if first == last { Edit::Insert(first, element) } else { Edit::Set(first, element) };
        large.edit(edit, limit);
        return Some(large);
    }
    value.drain(COUNT_BYTES + start..COUNT_BYTES + end);
    run::insert(value, COUNT_BYTES + start, element);
    set_count(value, count_after);
    None
}
