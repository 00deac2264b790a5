//! What edits of a set come to, for those who capture changes.

use std::collections::BTreeMap;

use super::record::{Edit, Reader};
use super::view::SetView;
use crate::capture::json::List;
use crate::shard::Entry;

/// Tells edits of the set in `entry`, or of one without members: `member`, and whether it is one,
/// `old` and `new`.
pub(crate) fn tell(entry: Option<&Entry<'_>>, edits: &[u8], list: &mut List<'_>) {
    let view = entry.map(SetView::of);
    let mut said: BTreeMap<&[u8], bool> = BTreeMap::new();
    for edit in Reader(edits) {
        let (member, new) = match edit {
            Edit::Add(member) => (member, true),
            Edit::Remove(member) => (member, false),
        };
        let old = match said.insert(member, new) {
            Some(said) => said,
            None => view.is_some_and(|view| view.contains(member)),
        };
        if old != new {
            list.object(|object| {
                object.bytes("member", member);
                object.truth("old", old);
                object.truth("new", new);
            });
        }
    }
}
