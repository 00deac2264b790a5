//! What edits of a hash come to, for those who capture changes.

use std::collections::BTreeMap;

use super::record::{Edit, Edits};
use super::view::HashView;
use crate::capture::json::List;
use crate::shard::Entry;

/// Tells edits of the hash in `entry`, or of one without fields: `field`, `old`, `new` (null where
/// it is not there), `expires_at` where it has a deadline from now on, in Unix milliseconds.
pub(crate) fn tell(entry: Option<&Entry<'_>>, edits: &[u8], now_ms: u64, list: &mut List<'_>) {
    let view = HashView::of(entry, now_ms);
    // What this run has said of a field already.
    let mut said: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    for edit in Edits::over(edits) {
        let (Edit::Set { field, .. } | Edit::Deadline { field, .. } | Edit::Delete { field }) =
            edit;
        let standing = view.standing(field);
        let old = match said.get(field) {
            Some(said) => *said,
            None => standing.map(|field| field.value),
        };
        let (new, deadline_ms) = match edit {
            Edit::Set { value, deadline_ms, .. } => (Some(value), deadline_ms),
            Edit::Deadline { deadline_ms, .. } => (old, deadline_ms),
            Edit::Delete { .. } => (None, None),
        };
        if old.is_none() && new.is_none() {
            continue;
        }
        list.object(|object| {
            object.bytes("field", field);
            object.bytes_or_null("old", old);
            object.bytes_or_null("new", new);
            if let Some(deadline_ms) = deadline_ms {
                object.number("expires_at", deadline_ms);
            }
            if new.is_none() && standing.is_some_and(|field| field.is_due(now_ms)) {
                object.raw("cause", "\"expired\"");
            }
        });
        said.insert(field, new);
    }
}
