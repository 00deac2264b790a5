//! What a topic or a room was made as. Every partition keeps all of it, so that each can be written
//! and read without looking at another.

use super::codec::{put_number, put_time, take_byte, take_number, take_time};
use crate::limits::PARTITIONS_MAX;

const TIME: u8 = 1;
const BYTES: u8 = 2;
const MESSAGES: u8 = 4;
const ROOM: u8 = 8;

/// How long events stay. What is not given does not limit; several limits apply together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Retention {
    /// Older ones go, milliseconds.
    pub time_ms: Option<u64>,
    /// Bytes of the newest that stay.
    pub bytes: Option<u64>,
    /// Number of the newest that stay.
    pub messages: Option<u64>,
}

/// What one partition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Definition {
    /// The simple form: one partition, and its readers are remembered.
    pub(crate) room: bool,
    /// Which partition this is, below `partitions`.
    pub(crate) number: u16,
    /// How many the topic has.
    pub(crate) partitions: u16,
    /// Drawn when the topic was made; tells it from one of the same name before or after.
    pub(crate) incarnation: u64,
    /// When, Unix milliseconds.
    pub(crate) created_ms: u64,
    /// What was asked for; kept to be shown.
    pub(crate) replication_factor: u16,
    /// The same.
    pub(crate) segment_bytes: u64,
    pub(crate) retention: Retention,
}

/// The only partition of its topic: what edits build that do not say, so that whatever they build
/// has an image.
impl Default for Definition {
    fn default() -> Self {
        Self {
            room: false,
            number: 0,
            partitions: 1,
            incarnation: 0,
            created_ms: 0,
            replication_factor: 0,
            segment_bytes: 0,
            retention: Retention::default(),
        }
    }
}

impl Definition {
    /// Appends its bytes: flags (1 time, 2 bytes, 4 messages limit; 8 room), number, partitions,
    /// incarnation u64, creation u48, replication factor, segment bytes, and the limits there are.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Retention { time_ms, bytes, messages } = self.retention;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out.push(
            flag(time_ms.is_some(), TIME)
                | flag(bytes.is_some(), BYTES)
                | flag(messages.is_some(), MESSAGES)
                | flag(self.room, ROOM),
        );
        put_number(out, self.number.into());
        put_number(out, self.partitions.into());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        put_time(out, self.created_ms);
        put_number(out, self.replication_factor.into());
        put_number(out, self.segment_bytes);
        let limits = [time_ms, bytes, messages];
        limits.iter().flatten().for_each(|limit| put_number(out, *limit));
    }

    pub(crate) fn take(input: &mut &[u8]) -> Option<Self> {
        let flags = take_byte(input).filter(|flags| *flags < 16)?;
        let number = u16::try_from(take_number(input)?).ok()?;
        let partitions = u16::try_from(take_number(input)?).ok()?;
        if partitions > PARTITIONS_MAX || number >= partitions {
            return None;
        }
        let (incarnation, rest) = input.split_first_chunk::<8>()?;
        *input = rest;
        let created_ms = take_time(input)?;
        let replication_factor = u16::try_from(take_number(input)?).ok()?;
        let segment_bytes = take_number(input)?;
        let mut limit = |bit: u8| -> Option<Option<u64>> {
            if flags & bit == 0 { Some(None) } else { take_number(input).map(Some) }
        };
        let retention =
            Retention { time_ms: limit(TIME)?, bytes: limit(BYTES)?, messages: limit(MESSAGES)? };
        Some(Self {
            room: flags & ROOM != 0,
            number,
            partitions,
            incarnation: u64::from_le_bytes(*incarnation),
            created_ms,
            replication_factor,
            segment_bytes,
            retention,
        })
    }

    /// The id of an event: a UUID of version 8 (RFC 9562, 5.8) made of the topic's incarnation, the
    /// partition and the offset, so that it is stable without being stored.
    pub(crate) fn event_id(&self, offset: u64) -> String {
        let low = u64::from(self.number) << 48 | (offset & 0xffff_ffff_ffff);
        // 48 bits, version, 12 bits, variant, 62 bits.
        let first = self.incarnation >> 16;
        let second = 0x8000 | (self.incarnation >> 4 & 0xfff);
        let third = 1 << 63 | (self.incarnation & 0xf) << 58 | low;
        format!(
            "{:08x}-{:04x}-{second:04x}-{:04x}-{:012x}",
            first >> 16,
            first & 0xffff,
            third >> 48,
            third & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_survive_and_no_cut_of_one_is_one() {
        for limits in 0..8u64 {
            let limit = |bit: u64| (limits & bit != 0).then_some(bit * 1000);
            let definition = Definition {
                room: limits == 7,
                number: 3,
                partitions: 16,
                incarnation: 0xfeed_beef_0123_4567,
                created_ms: 1_700_000_000_000,
                replication_factor: 1,
                segment_bytes: 104_857_600,
                retention: Retention { time_ms: limit(1), bytes: limit(2), messages: limit(4) },
            };
            let mut out = Vec::new();
            definition.write(&mut out);
            assert_eq!(Definition::take(&mut &out[..]), Some(definition));
            for cut in 0..out.len() {
                assert_eq!(Definition::take(&mut &out[..cut]), None);
            }
        }
    }

    #[test]
    fn ids_are_uuids_of_version_8_and_differ() {
        let definition =
            Definition { incarnation: u64::MAX, number: 1023, ..Definition::default() };
        assert_eq!(definition.event_id(0xffff_ffff_ffff), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        let definition = Definition { incarnation: 0x0123_4567_89ab_cdef, ..definition };
        let id = definition.event_id(1);
        assert_eq!(id, "01234567-89ab-8cde-bfff-000000000001");
    }
}
