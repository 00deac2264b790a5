//! Writing a batch. Records are gathered first; sealing puts header and parts before them, when it
//! is known which shards they touch.

use super::{
    FLAG_CREATES, FLAG_DEADLINE, HEADER_BYTES, PART_BYTES, Record, TAG_CLEAR, TAG_DELETE, TAG_EDIT,
    TAG_EXPIRE, TAG_LIBRARY, TAG_PATCH, TAG_PUT, TAG_STORE, put_varint, u48_bytes,
};
use crate::id::{Epoch, ShardId};
use crate::limits::BATCH_BYTES_MAX;
use crate::seq::Seq;
use crate::shard::ValueType;

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
    let start = out.len();
    assemble(out, parts, records, epoch, time_ms);
    set_checksum(&mut out[start..]);
}

/// As [`seal`], without the checksum.
pub(crate) fn assemble(
    out: &mut Vec<u8>,
    parts: &[PartSpec],
    records: &[u8],
    epoch: Epoch,
    time_ms: u64,
) {
    assert!(!parts.is_empty(), "a batch touches a shard");
    assert!(parts.is_sorted_by(|a, b| a.shard < b.shard), "parts ascend by shard");
    let bytes = HEADER_BYTES + parts.len() * PART_BYTES + records.len();
    assert!(bytes <= BATCH_BYTES_MAX, "a batch of {bytes} bytes passed the planner's check");
    out.reserve(bytes);
    out.extend_from_slice(&header(bytes, parts.len(), epoch, time_ms));
    for part in parts {
        out.extend_from_slice(&part_bytes(part));
    }
    out.extend_from_slice(records);
}

/// Leaves room at the end of `out` for what [`assemble_single`] writes before the records that
/// follow.
#[inline]
pub(crate) fn open_single(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; HEADER_BYTES + PART_BYTES]);
}

/// Makes a batch of one part of the records that were appended to `out` since [`open_single`] left
/// room at `start`. The bytes are those of [`assemble`].
#[inline]
pub(crate) fn assemble_single(
    out: &mut [u8],
    start: usize,
    part: PartSpec,
    epoch: Epoch,
    time_ms: u64,
) {
    let batch = &mut out[start..];
    let bytes = batch.len();
    assert!(bytes <= BATCH_BYTES_MAX, "a batch of {bytes} bytes passed the planner's check");
    batch[..HEADER_BYTES].copy_from_slice(&header(bytes, 1, epoch, time_ms));
    batch[HEADER_BYTES..HEADER_BYTES + PART_BYTES].copy_from_slice(&part_bytes(&part));
}

/// The header of a batch of `bytes` bytes, its checksum still zero.
#[inline]
fn header(bytes: usize, parts: usize, epoch: Epoch, time_ms: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
    header[8..12].copy_from_slice(&epoch.0.to_le_bytes());
    header[12..18].copy_from_slice(&u48_bytes(time_ms));
    header[18] = parts as u8;
    header
}

fn part_bytes(part: &PartSpec) -> [u8; PART_BYTES] {
    let [a, b, c, d, e, f] = part.seq.to_bytes();
    [part.shard.index() as u8, a, b, c, d, e, f]
}

/// Writes the checksum of a batch into its header.
pub(crate) fn set_checksum(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[8..]);
    batch[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a record that concerns `shard`.
pub fn push_record(out: &mut Vec<u8>, shard: ShardId, record: &Record<'_>) {
    let (tag, mut flags, deadline) = match record {
        Record::Put { deadline_ms, .. } => (TAG_PUT, 0, *deadline_ms),
        Record::Patch { .. } => (TAG_PATCH, 0, None),
        Record::Delete { .. } => (TAG_DELETE, 0, None),
        Record::Expire { deadline_ms, .. } => (TAG_EXPIRE, 0, *deadline_ms),
        Record::Clear => (TAG_CLEAR, 0, None),
        Record::Library { code, .. } => {
            (TAG_LIBRARY, if code.is_some() { FLAG_CREATES } else { 0 }, None)
        }
        Record::Edit { value_type, .. } => (TAG_EDIT | *value_type as u8, 0, None),
        Record::Store { value_type, deadline_ms, .. } => {
            (TAG_STORE | *value_type as u8, 0, *deadline_ms)
        }
    };
    if record.creates() {
        flags |= FLAG_CREATES;
    }
    if deadline.is_some() {
        flags |= FLAG_DEADLINE;
    }
    let key = match record {
        Record::Library { name, .. } => name,
        other => other.key(),
    };
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
        Record::Edit { edits, .. } | Record::Store { edits, .. } => {
            put_varint(out, edits.len());
            out.extend_from_slice(edits);
        }
        Record::Library { code: Some(code), .. } => {
            put_varint(out, code.len());
            out.extend_from_slice(code);
        }
        Record::Library { code: None, .. }
        | Record::Delete { .. }
        | Record::Expire { .. }
        | Record::Clear => {}
    }
}

/// Appends a [`Record::Edit`] whose edits `write` appends: they are written once, where they stay.
#[inline]
pub(crate) fn push_edit(
    out: &mut Vec<u8>,
    shard: ShardId,
    (key, value_type, creates): (&[u8], ValueType, bool),
    write: impl FnOnce(&mut Vec<u8>),
) {
    let flags = if creates { FLAG_CREATES } else { 0 };
    out.extend_from_slice(&[TAG_EDIT | value_type as u8, flags, shard.index() as u8]);
    put_varint(out, key.len());
    out.extend_from_slice(key);
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
    } else {
        // The length needs more than the byte that was left for it.
        let mut varint = Vec::with_capacity(5);
        put_varint(&mut varint, length);
        out.splice(at..=at, varint);
    }
}
