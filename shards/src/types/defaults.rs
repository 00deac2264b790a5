//! What rooms, topics and consumer groups are made as where a request does not say, what one read
//! of them answers at most, and whether more of them and of queues may be made at all.

use super::group::Strategy;
use super::topic::Retention;
use crate::command::error::CommandError;
use crate::limits::{ROOM_READERS_MAX, TOPIC_READ_MAX};

/// Seconds that events stay.
const SECS: u32 = 3_600;

/// See above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Defaults {
    /// Events that a room keeps.
    pub room_events: u64,
    /// Seconds that it keeps them.
    pub room_secs: u32,
    /// Readers of a room that are remembered.
    pub room_readers: u32,
    /// Partitions of a topic, 1 to 1024.
    pub partitions: u16,
    /// Kept and shown.
    pub replication_factor: u16,
    /// The same.
    pub segment_bytes: u64,
    /// How long events of a topic stay.
    pub retention: Retention,
    /// Events of a partition that one read answers, 1 to 1000.
    pub read_max: u16,
    /// How partitions are spread over a group.
    pub strategy: Strategy,
    /// Milliseconds without a heartbeat after which a member is out.
    pub session_ms: u32,
    /// Milliseconds that a consumer has for a message of a queue of the interface of
    /// distributed-sync-system: its visibility timeout.
    pub dss_visible_ms: u64,
    /// There are as many queues as there may be. Not a setting: whoever counts them says so.
    pub queues_full: bool,
    /// The same of rooms.
    pub rooms_full: bool,
}

impl Defaults {
    /// Where nothing is configured.
    pub const DEFAULT: Self = Self {
        room_events: 10_000,
        room_secs: SECS,
        room_readers: ROOM_READERS_MAX as u32,
        partitions: 3,
        replication_factor: 1,
        segment_bytes: 104_857_600,
        retention: Retention { time_ms: Some(SECS as u64 * 1000), bytes: None, messages: None },
        read_max: TOPIC_READ_MAX as u16,
        strategy: Strategy::RoundRobin,
        session_ms: 30_000,
        dss_visible_ms: 30_000,
        queues_full: false,
        rooms_full: false,
    };

    /// Whether another queue may be made.
    pub(crate) fn admit_queue(&self) -> Result<(), CommandError> {
        refuse_if(self.queues_full, "there are as many queues as queue.max_queues allows")
    }

    /// Whether another room may be made.
    pub(crate) fn admit_room(&self) -> Result<(), CommandError> {
        refuse_if(self.rooms_full, "there are as many rooms as streams.max_rooms allows")
    }
}

fn refuse_if(is_full: bool, message: &'static str) -> Result<(), CommandError> {
    if is_full { Err(CommandError::Coded { code: "LIMIT", message }) } else { Ok(()) }
}
