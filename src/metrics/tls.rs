//! How connections under TLS fare on one core.

use super::Cell;

/// Why handshakes fail, in the order of [`TlsStat::failed`].
pub const FAILURES: [&str; 8] = [
    "protocol",
    "incompatible",
    "certificate",
    "alert",
    "closed",
    "timeout",
    "too_many",
    "internal",
];

/// One core's counts.
#[derive(Debug, Default)]
pub struct TlsStat {
    /// Handshakes from nothing that succeeded.
    pub full: Cell,
    /// Handshakes that took up an earlier session.
    pub resumed: Cell,
    /// Handshakes that failed, by [`FAILURES`].
    pub failed: [Cell; FAILURES.len()],
    /// Nanoseconds of work on handshakes.
    pub nanoseconds: Cell,
    /// Connections now, handshakes under way included.
    pub connections: Cell,
    /// Handshakes under way now.
    pub underway: Cell,
}

impl TlsStat {
    /// Notes a handshake that failed for a reason among [`FAILURES`].
    pub fn fail(&self, reason: &str) {
        let place = FAILURES.iter().position(|known| *known == reason);
        self.failed[place.expect("reasons are taken from the list")].add(1);
    }
}
