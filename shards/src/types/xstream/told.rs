//! What edits of a stream come to, for those who capture changes.

use super::Large as Stream;
use super::find::stream_in;
use super::record::{Edit, take};
use crate::capture::json::{List, Object};
use crate::shard::Entry;

/// Tells edits of the stream in `entry`, or of one without entries. Entries have `id`, and `old`
/// and `new` fields; what else a stream knows is told as it is now.
pub(crate) fn tell(entry: Option<&Entry<'_>>, edits: &[u8], list: &mut List<'_>) {
    let stream = entry.map(stream_in);
    let mut rest = edits;
    while let Some(edit) = take(&mut rest) {
        list.object(|object| one(stream, edit, object));
    }
}

fn one(stream: Option<&Stream>, edit: Edit<'_>, object: &mut Object<'_>) {
    match edit {
        Edit::Add { id, entries_added, fields } => {
            object.bytes("id", id.to_string().as_bytes());
            object.null("old");
            object.pairs("new", fields.iter());
            object.number("entries_added", entries_added);
        }
        Edit::Entry { id, fields } => {
            object.bytes("id", id.to_string().as_bytes());
            object.null("old");
            object.pairs("new", fields.iter());
        }
        Edit::Delete(id) => {
            object.bytes("id", id.to_string().as_bytes());
            match stream.and_then(|stream| stream.get(id)) {
                Some(old) => object.pairs("old", old.fields()),
                None => object.null("old"),
            }
            object.null("new");
        }
        Edit::Trim(id) => object.bytes("trimmed_through", id.to_string().as_bytes()),
        Edit::Meta { last_id, entries_added, max_deleted } => {
            object.bytes("last_id", last_id.to_string().as_bytes());
            object.number("entries_added", entries_added);
            object.bytes("max_deleted_id", max_deleted.to_string().as_bytes());
        }
        Edit::Group { name, last_id, entries_read } => {
            object.bytes("group", name);
            object.bytes("delivered_through", last_id.to_string().as_bytes());
            object.number_or_null("entries_read", entries_read);
        }
        Edit::Ungroup(name) => {
            object.bytes("group", name);
            object.null("new");
        }
        Edit::Consumer { group, name, seen_ms, active_ms } => {
            object.bytes("group", group);
            object.bytes("consumer", name);
            object.number("seen_at", seen_ms);
            object.number_or_null("active_at", active_ms);
        }
        Edit::Unconsumer { group, name } => {
            object.bytes("group", group);
            object.bytes("consumer", name);
            object.null("new");
        }
        Edit::Pending { group, consumer, time_ms, count, ids } => {
            object.bytes("group", group);
            object.bytes("consumer", consumer);
            object.number("delivered_at", time_ms);
            object.number("delivery_count", count);
            tell_ids("pending", ids, object);
        }
        Edit::Ack { group, ids } => {
            object.bytes("group", group);
            tell_ids("acknowledged", ids, object);
        }
    }
}

fn tell_ids(name: &str, ids: super::record::Ids<'_>, object: &mut Object<'_>) {
    object.list(name, |list| {
        ids.for_each(|id| list.object(|object| object.bytes("id", id.to_string().as_bytes())));
    });
}
