//! TCP: listening sockets and the table of connections. The [`crate::reactor`] moves the bytes.

use synap_shards::id::ConnId;

pub(crate) mod conn;
pub mod listener;
pub(crate) mod tcp;

/// Position of a connection in its core's table: small, and free again when it has closed. A table
/// beside ours can be indexed by it.
pub fn slot_of(id: ConnId) -> usize {
    conn::slot_of(id)
}
