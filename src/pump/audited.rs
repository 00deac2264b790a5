//! Streams of security events: each core looks for new ones in its rounds, where it has any reader.
//! A reader costs its position; one that does not take what it was sent is sent no more.

use std::collections::BTreeMap;

use synap_shards::id::ConnId;

use super::Core;
use super::outlet::Outlet;
use crate::audit;

/// Events of one look.
const EVENTS_MAX: usize = 100;
/// Bytes on their way to a reader beyond which it is told nothing more.
const OUTPUT_BYTES: usize = 64 * 1024;

/// The readers of a core's connections, and the last event that each has seen.
pub(super) type Readers = BTreeMap<ConnId, u64>;

impl Core {
    /// Tells readers what has happened since.
    pub(super) fn tell_readers(&mut self) {
        let mut readers = std::mem::take(&mut self.outlet.readers);
        readers.retain(|conn, seen| self.outlet.tell_reader(*conn, seen));
        self.outlet.readers = readers;
    }
}

impl Outlet {
    /// Whether there is such a reader any more.
    fn tell_reader(&mut self, conn: ConnId, seen: &mut u64) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        if connection.closing || connection.live.is_none() {
            return false;
        }
        if connection.output.len() >= OUTPUT_BYTES {
            return true;
        }
        let page = audit::read(*seen, EVENTS_MAX);
        *seen = page.last;
        if page.events.is_empty() && page.lost == 0 {
            return true;
        }
        let mut told = Vec::new();
        audit::show::stream(&page, &mut told);
        connection.say(&told);
        self.mark_dirty(conn);
        true
    }
}
