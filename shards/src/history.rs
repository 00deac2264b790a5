//! What a data directory remembers beside its logs: the epoch in force, where epochs began that cut
//! something off, and up to where logs may have been let go because a snapshot holds what they
//! said.

use std::fmt;

use crate::id::{Epoch, ShardId};
use crate::limits::SHARDS;
use crate::seq::{Seq, ShardSeqs};

/// Where an epoch began: the last Seq of each shard that it took over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: Epoch,
    /// What it continued from.
    pub seqs: ShardSeqs,
}

/// What a data directory remembers beside its logs.
///
/// Bytes, little endian: format u32 (2), epoch u32, number of starts u32; then what was released:
/// the 64 Seqs as u64 each, length of the snapshot's name u32, the name; then number of logs u32,
/// per log its core u16 and segment u64; then per start its epoch u32 and the 64 Seqs as u64 each.
/// Format 1, still read, has nothing between the number of starts and the starts. The store around
/// them is checksummed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// The epoch in force.
    pub epoch: Epoch,
    /// Where epochs began that cut something off, oldest first.
    pub starts: Vec<EpochStart>,
    /// What the logs need not hold any more.
    pub released: Released,
    /// Logs that must be there, ascending by core.
    pub logs: Vec<LogFront>,
}

/// The oldest that must still be there of the log of one core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogFront {
    /// The core.
    pub core: u16,
    /// Number of the segment; none before it is needed.
    pub segment: u64,
}

/// Up to where logs may be gone, because a snapshot holds what they said. Stored before the first
/// file of a log is let go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Released {
    /// Where the snapshot begins: batches up to these Seqs may be in no log any more.
    pub seqs: ShardSeqs,
    /// Name of the snapshot, without directory and extension; empty when there never was one.
    pub snapshot: String,
}

const HISTORY_FORMAT: u32 = 2;
const HISTORY_HEADER_BYTES: usize = 12;
const SEQS_BYTES: usize = SHARDS * 8;
const START_BYTES: usize = 4 + SEQS_BYTES;
const LOG_BYTES: usize = 2 + 8;
/// Bytes of a snapshot's name.
const NAME_BYTES_MAX: usize = 255;

/// Why bytes are not a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistoryError {
    /// Written in a format that this version does not know.
    Format {
        /// The newest format this version knows.
        expected: u32,
        /// The format found.
        found: u32,
    },
    /// Too short, too long, or a Seq beyond 48 bits.
    Malformed,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { expected, found } => {
                write!(f, "epoch history has format {found}, this version reads {expected}")
            }
            Self::Malformed => f.write_str("epoch history is malformed"),
        }
    }
}

impl std::error::Error for HistoryError {}

impl History {
    /// The history of a data directory that was never used.
    pub fn empty() -> Self {
        Self {
            epoch: Epoch(0),
            starts: Vec::new(),
            released: Released::default(),
            logs: Vec::new(),
        }
    }

    /// The bytes to be stored.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.released.snapshot.as_bytes();
        assert!(name.len() <= NAME_BYTES_MAX, "a snapshot's name is a file name");
        let mut out = Vec::with_capacity(
            HISTORY_HEADER_BYTES + SEQS_BYTES + 4 + name.len() + self.starts.len() * START_BYTES,
        );
        out.extend_from_slice(&HISTORY_FORMAT.to_le_bytes());
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&(self.starts.len() as u32).to_le_bytes());
        push_seqs(&mut out, &self.released.seqs);
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(&(self.logs.len() as u32).to_le_bytes());
        for log in &self.logs {
            out.extend_from_slice(&log.core.to_le_bytes());
            out.extend_from_slice(&log.segment.to_le_bytes());
        }
        for start in &self.starts {
            out.extend_from_slice(&start.epoch.0.to_le_bytes());
            push_seqs(&mut out, &start.seqs);
        }
        out
    }

    /// Reads what [`History::encode`] wrote, or an earlier version.
    ///
    /// # Errors
    /// The bytes are of another format, or not a history at all.
    pub fn decode(bytes: &[u8]) -> Result<Self, HistoryError> {
        let (header, mut rest) =
            bytes.split_first_chunk::<HISTORY_HEADER_BYTES>().ok_or(HistoryError::Malformed)?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let known = match word(0) {
            1 => Some((Released::default(), Vec::new())),
            HISTORY_FORMAT => {
                take_released(&mut rest).and_then(|known| Some((known, take_logs(&mut rest)?)))
            }
            found => return Err(HistoryError::Format { expected: HISTORY_FORMAT, found }),
        };
        let (released, logs) = known.ok_or(HistoryError::Malformed)?;
        let (starts, tail) = rest.as_chunks::<START_BYTES>();
        if starts.len() != word(8) as usize || !tail.is_empty() {
            return Err(HistoryError::Malformed);
        }
        let starts = starts.iter().map(read_start).collect::<Option<Vec<_>>>();
        let starts = starts.ok_or(HistoryError::Malformed)?;
        Ok(Self { epoch: Epoch(word(4)), starts, released, logs })
    }
}

fn push_seqs(out: &mut Vec<u8>, seqs: &ShardSeqs) {
    for shard in ShardId::all() {
        out.extend_from_slice(&seqs.get(shard).get().to_le_bytes());
    }
}

fn take_seqs(bytes: &mut &[u8]) -> Option<ShardSeqs> {
    let (seqs, rest) = bytes.split_first_chunk::<SEQS_BYTES>()?;
    *bytes = rest;
    let mut out = ShardSeqs::zero();
    for (shard, seq) in ShardId::all().zip(seqs.as_chunks::<8>().0) {
        let number = u64::from_le_bytes(*seq);
        if number > Seq::MAX.get() {
            return None;
        }
        out.set(shard, Seq::new(number));
    }
    Some(out)
}

fn take_released(bytes: &mut &[u8]) -> Option<Released> {
    let seqs = take_seqs(bytes)?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > NAME_BYTES_MAX {
        return None;
    }
    let (name, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(Released { seqs, snapshot: std::str::from_utf8(name).ok()?.to_owned() })
}

fn take_logs(bytes: &mut &[u8]) -> Option<Vec<LogFront>> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let length = (u32::from_le_bytes(*count) as usize).checked_mul(LOG_BYTES)?;
    let (logs, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    let log = |[a, b, segment @ ..]: &[u8; LOG_BYTES]| LogFront {
        core: u16::from_le_bytes([*a, *b]),
        segment: u64::from_le_bytes(*segment),
    };
    Some(logs.as_chunks::<LOG_BYTES>().0.iter().map(log).collect())
}

fn read_start(bytes: &[u8; START_BYTES]) -> Option<EpochStart> {
    let (epoch, mut seqs) = bytes.split_first_chunk::<4>()?;
    let seqs = take_seqs(&mut seqs)?;
    Some(EpochStart { epoch: Epoch(u32::from_le_bytes(*epoch)), seqs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> History {
        let mut seqs = ShardSeqs::zero();
        seqs.set(ShardId::new(63), Seq::MAX);
        let start = EpochStart { epoch: Epoch(3), seqs: seqs.clone() };
        let released = Released { seqs, snapshot: "snapshot_1_2".to_owned() };
        let logs = vec![LogFront { core: 0, segment: 7 }, LogFront { core: 3, segment: 1 }];
        History { epoch: Epoch(9), starts: vec![start], released, logs }
    }

    #[test]
    fn it_survives_being_stored() {
        let bytes = sample().encode();
        assert_eq!(History::decode(&bytes), Ok(sample()));
        for end in 0..bytes.len() {
            assert!(History::decode(&bytes[..end]).is_err());
        }
        let mut newer = bytes;
        newer[0] = 3;
        let expected = HistoryError::Format { expected: 2, found: 3 };
        assert_eq!(History::decode(&newer), Err(expected));
    }

    #[test]
    fn the_format_before_is_still_read() {
        let mut bytes = sample().encode();
        bytes[0] = 1;
        let later = SEQS_BYTES + 4 + 12 + 4 + 2 * LOG_BYTES;
        bytes.drain(HISTORY_HEADER_BYTES..HISTORY_HEADER_BYTES + later);
        let released = Released::default();
        let expected = History { released, logs: Vec::new(), ..sample() };
        assert_eq!(History::decode(&bytes), Ok(expected));
    }
}
