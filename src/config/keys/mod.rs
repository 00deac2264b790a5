//! Every key, by section, in the order of the reference file.

mod broker;
mod data;
mod dss;
mod security;
mod server;

use super::key::Key;

/// The sections of the table, in the order of the reference file.
const PARTS: [&[Key]; 5] = [server::KEYS, data::KEYS, broker::KEYS, dss::KEYS, security::KEYS];

/// Other names of whole sections: (accepted, canonical).
pub(super) const SECTION_ALIASES: &[(&str, &str)] =
    &[("stream", "streams"), ("event_stream", "streams"), ("partitioned_streams", "topics")];

/// Sections of other versions that have no counterpart here, and why.
pub(super) const FOREIGN_SECTIONS: &[(&str, &str)] = &[
    ("cluster", "this server does not take part in a slot-sharded cluster of machines"),
    ("hub", "it configures a hosted product"),
    ("watch", "key watching over HTTP is not offered"),
    ("limits", "use `rate_limit`"),
];

/// Every key, in the order of the reference file.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    PARTS.into_iter().flatten()
}
