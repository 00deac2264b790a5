//! Writing a batch. Records are gathered first; sealing puts header and parts before them, when it
//! is known which shards they touch.

use super::{
    FLAG_CREATES, FLAG_DEADLINE, HEADER_BYTES, PART_BYTES, Record, TAG_CLEAR, TAG_DELETE,
    TAG_EXPIRE, TAG_PATCH, TAG_PUT, put_varint, u48_bytes,
};
use crate::id::{Epoch, ShardId};
use crate::limits::BATCH_BYTES_MAX;
use crate::seq::Seq;

/// A shard that a batch touches, and the Seq it takes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartSpec {
    /// The shard.
    pub shard: ShardId,
    /// The ordinal of the batch in it.
    pub seq: Seq,
}

/// Appends a sealed batch to `out`: header and `parts` (ascending by shard), then `records` as
/// [`push_record`] wrote them.
pub fn seal(out: &mut Vec<u8>, parts: &[PartSpec], records: &[u8], epoch: Epoch, time_ms: u64) {
    assert!(!parts.is_empty(), "a batch touches a shard");
    assert!(parts.is_sorted_by(|a, b| a.shard < b.shard), "parts ascend by shard");
    let bytes = HEADER_BYTES + parts.len() * PART_BYTES + records.len();
    assert!(bytes <= BATCH_BYTES_MAX, "a batch of {bytes} bytes passed the planner's check");
    let start = out.len();
    out.reserve(bytes);
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&epoch.0.to_le_bytes());
    out.extend_from_slice(&u48_bytes(time_ms));
    out.extend_from_slice(&[parts.len() as u8, 0]);
    for part in parts {
        out.push(part.shard.index() as u8);
        out.extend_from_slice(&part.seq.to_bytes());
    }
    out.extend_from_slice(records);
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a record that concerns `shard`.
pub fn push_record(out: &mut Vec<u8>, shard: ShardId, record: &Record<'_>) {
    let (tag, mut flags, deadline) = match record {
        Record::Put { deadline_ms, .. } => (TAG_PUT, 0, *deadline_ms),
        Record::Patch { .. } => (TAG_PATCH, 0, None),
        Record::Delete { .. } => (TAG_DELETE, 0, None),
        Record::Expire { deadline_ms, .. } => (TAG_EXPIRE, 0, *deadline_ms),
        Record::Clear => (TAG_CLEAR, 0, None),
    };
    if record.creates() {
        flags |= FLAG_CREATES;
    }
    if deadline.is_some() {
        flags |= FLAG_DEADLINE;
    }
    let key = record.key();
    out.extend_from_slice(&[tag, flags, shard.index() as u8]);
    put_varint(out, key.len());
    out.extend_from_slice(key);
    if let Some(deadline) = deadline {
        out.extend_from_slice(&u48_bytes(deadline));
    }
    match record {
        Record::Put { value, .. } => {
            put_varint(out, value.len());
            out.extend_from_slice(value);
        }
        Record::Patch { offset, bytes, .. } => {
            put_varint(out, *offset);
            put_varint(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        Record::Delete { .. } | Record::Expire { .. } | Record::Clear => {}
    }
}
