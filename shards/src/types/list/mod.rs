//! Lists: how they are stored, their edits, and their commands.
//!
//! A short list is a run of elements in its entry (`packed`), a longer one a queue of nodes that
//! are such runs (`large`). Planners read either form through `ListView`, and record what they
//! decide with the functions of `record`.

mod change;
mod large;
mod locate;
mod node;
mod packed;
mod pop;
mod push;
mod range;
mod record;
mod run;
mod told;
mod transfer;
mod view;
mod wait;

use crate::command::error::CommandError;
use crate::command::spec::{ArgSpec, CommandSpec};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan, View};
use crate::types::Thresholds;

pub(crate) use large::{Large, Pinned};
pub(crate) use packed::{apply_packed, packed_edits, packed_len};
pub(crate) use record::{End, check, push as push_edit};
pub(crate) use told::tell;
pub(crate) use view::ListView;

/// Commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &push::LPUSH,
    &push::RPUSH,
    &push::LPUSHX,
    &push::RPUSHX,
    &pop::LPOP,
    &pop::RPOP,
    &pop::LMPOP,
    &range::LLEN,
    &range::LRANGE,
    &range::LINDEX,
    &range::INDEX,
    &locate::LPOS,
    &change::LSET,
    &change::LINSERT,
    &change::LREM,
    &change::LTRIM,
    &transfer::LMOVE,
    &transfer::RPOPLPUSH,
    &wait::BLPOP,
    &wait::BRPOP,
    &wait::BLMOVE,
    &wait::BRPOPLPUSH,
    &wait::BLMPOP,
];

/// How much a packed list, and a node of a large one, may hold.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Bytes of elements.
    bytes: usize,
    /// Elements.
    count: usize,
}

impl Limit {
    /// Redis numbers sizes downwards from -1, and counts elements upwards from 1; even then it
    /// keeps to this many bytes.
    const COUNTED_BYTES: usize = 8 * 1024;

    fn of(thresholds: &Thresholds) -> Self {
        let bytes = |kilobytes: usize| Self { bytes: kilobytes * 1024, count: usize::MAX };
        match thresholds.list_max_listpack_size {
            -1 => bytes(4),
            -2 => bytes(8),
            -3 => bytes(16),
            -4 => bytes(32),
            i64::MIN..-4 => bytes(64),
            count => Self {
                bytes: Self::COUNTED_BYTES,
                count: usize::try_from(count).unwrap_or(usize::MAX).max(1),
            },
        }
    }
}

/// The ends as arguments.
const ENDS: &[ArgSpec] =
    &[ArgSpec::flag("left", "LEFT", "the start"), ArgSpec::flag("right", "RIGHT", "the end")];

/// The end of an alternative among [`ENDS`].
fn end_of(choice: usize) -> End {
    if choice == 0 { End::Left } else { End::Right }
}

/// The list of a key, counted as a lookup.
#[inline]
fn list_at<'s>(view: &View<'s>, key: &[u8]) -> Result<Option<ListView<'s>>, CommandError> {
    Ok(view.typed(key, ValueType::List)?.map(|entry| ListView::of(&entry)))
}

/// The same without counting, for a command that is about to change it.
#[inline]
fn list_for<'s>(plan: &Plan<'s>, key: &[u8]) -> Result<Option<ListView<'s>>, CommandError> {
    Ok(plan.peek_typed(key, ValueType::List)?.map(|entry| ListView::of(&entry)))
}

/// The elements from `start` to `stop`, both counted from the end when negative: number of the
/// first, and how many.
fn span(length: usize, start: i64, stop: i64) -> (usize, usize) {
    let from_start = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => {
            let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
            length.saturating_sub(back)
        }
    };
    let beyond = stop < 0 && stop.unsigned_abs() > length as u64;
    let (first, end) = (from_start(start), from_start(stop).saturating_add(1).min(length));
    if beyond || first >= end { (0, 0) } else { (first, end - first) }
}

/// The number of the element of this index, counted from the end when negative.
fn number_of(length: usize, index: i64) -> Option<usize> {
    let number = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (number < length).then_some(number)
}

/// Records that `count` elements at an end of a list of `length` are gone, and with the last of
/// them the list.
fn take(
    plan: &mut Plan<'_>,
    key: &[u8],
    (length, count): (usize, usize),
    end: End,
) -> Result<(), CommandError> {
    if count == 0 {
        return Ok(());
    }
    plan.notify(Notice::List, if end == End::Left { "lpop" } else { "rpop" }, key);
    if count == length {
        return remove(plan, key);
    }
    plan.edit_with(key, ValueType::List, true, |out| record::pop(out, end, count))
}

/// Records that a list is gone because nothing is left in it.
fn remove(plan: &mut Plan<'_>, key: &[u8]) -> Result<(), CommandError> {
    plan.delete(key);
    plan.notify(Notice::Generic, "del", key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped() {
        for (start, stop, found) in [
            (0, -1, (0, 5)),
            (1, 2, (1, 2)),
            (-2, -1, (3, 2)),
            (-100, 100, (0, 5)),
            (3, 1, (0, 0)),
            (5, 9, (0, 0)),
            (0, -6, (0, 0)),
            (0, -5, (0, 1)),
            (i64::MIN, i64::MAX, (0, 5)),
        ] {
            assert_eq!(span(5, start, stop), found, "{start} to {stop}");
        }
        assert_eq!(span(0, 0, -1), (0, 0));
        assert_eq!(number_of(3, -3), Some(0));
        assert_eq!(number_of(3, -4), None);
        assert_eq!(number_of(3, 3), None);
    }
}
