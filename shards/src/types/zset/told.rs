//! What edits of a sorted set come to, for those who capture changes.

use std::collections::BTreeMap;

use super::record::{Edit, Edits};
use super::view::ZsetView;
use crate::capture::json::List;
use crate::shard::Entry;

/// Tells edits of the sorted set in `entry`, or of one without members: `member`, and its score,
/// `old` and `new`, null where it is none.
pub(crate) fn tell(entry: Option<&Entry<'_>>, edits: &[u8], list: &mut List<'_>) {
    let view = ZsetView::of_any(entry.copied());
    let mut said: BTreeMap<&[u8], Option<f64>> = BTreeMap::new();
    for edit in Edits(edits) {
        let (member, new) = match edit {
            Edit::Put { member, score } => (member, Some(score)),
            Edit::Gone { member } => (member, None),
        };
        let old = match said.insert(member, new) {
            Some(said) => said,
            None => view.score(member),
        };
        if old != new {
            list.object(|object| {
                object.bytes("member", member);
                object.score("old", old);
                object.score("new", new);
            });
        }
    }
}
