//! Changes of captures as JSON: the body of a route, and what streams and WebSockets are told.

use std::borrow::Cow;

use synap_shards::command::reply::Reply;

use crate::protocol::json;

/// An answer of `CDC.READ`.
#[derive(Debug)]
pub struct Told<'a> {
    /// Where the reader stands behind the changes.
    pub position: Cow<'a, str>,
    /// The changes, each JSON.
    pub changes: &'a [Reply<'a>],
    /// There are more at once.
    has_more: bool,
    /// What there is has not been shown whole.
    is_snapshot: bool,
}

impl<'a> Told<'a> {
    /// Nothing where it is none.
    pub fn of(reply: &'a Reply<'a>) -> Option<Self> {
        let Reply::Array(items) = reply else { return None };
        let [
            Reply::Bytes(position),
            Reply::Array(changes),
            Reply::Integer(more),
            Reply::Integer(snapshot),
        ] = &items[..]
        else {
            return None;
        };
        Some(Self {
            position: String::from_utf8_lossy(position),
            changes,
            has_more: *more != 0,
            is_snapshot: *snapshot != 0,
        })
    }

    /// Appends it as an object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"position\":");
        json::write_str(out, &self.position);
        out.extend_from_slice(b",\"more\":");
        json::write_bool(out, self.has_more);
        out.extend_from_slice(b",\"snapshot\":");
        json::write_bool(out, self.is_snapshot);
        out.extend_from_slice(b",\"changes\":[");
        for (index, change) in self.changes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            if let Reply::Bytes(change) = change {
                out.extend_from_slice(change);
            }
        }
        out.extend_from_slice(b"]}");
    }
}
