//! Looking at events that lie in files. A command whose events were read lately finds them; one
//! whose events were not waits until they are, and is run again then.

use super::block::Block;
use super::cold::{ColdFile, Fetch};
use super::partition::Partition;
use super::warm::{Read, Warm};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Blocked, Pause};

/// Longest wait for a disk, milliseconds.
const WAIT_MS: u64 = 30_000;

/// Why events cannot be answered now.
#[derive(Debug)]
pub(super) enum Lack {
    /// They have to be read first.
    Unread(Fetch),
    /// They cannot be read.
    Failed {
        /// The first of them.
        offset: u64,
        why: String,
    },
}

impl Lack {
    /// What a command comes to for which there is nothing else.
    pub(super) fn blocked(self, key: &[u8]) -> Result<Blocked, CommandError> {
        match self {
            Self::Unread(fetch) => {
                let late = CommandError::Coded {
                    code: "ERR",
                    message: "the disk has not brought these events in time",
                };
                let at_once = CommandError::Coded {
                    code: "TRYAGAIN",
                    message: "these events are on disk, and nothing waits for a disk in here; they \
                              are being read, try again",
                };
                let pause = Pause::new(WAIT_MS, Reply::Error(late));
                Ok(Blocked::Wait(pause.at_once(Reply::Error(at_once)).for_cold(key, fetch)))
            }
            Self::Failed { offset, why } => Err(CommandError::Failed {
                what: "these events cannot be read",
                why: format!("from offset {offset}: {why}"),
            }),
        }
    }
}

/// A partition, and what was read of its files lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'s> {
    pub(super) partition: &'s Partition,
    pub(super) warm: &'s Warm,
}

impl<'s> Source<'s> {
    /// The block of a file that holds an offset; nothing where no file does.
    pub(super) fn cold_block(&self, offset: u64) -> Result<Option<&'s Block>, Lack> {
        let found = self.partition.cold_at(offset);
        found.map(|(file, at)| self.read(file, at)).transpose()
    }

    /// The offset of the first event at or behind a time; the end when there is none.
    pub(super) fn offset_at(&self, time_ms: u64) -> Result<u64, Lack> {
        let Some((file, at)) = self.partition.cold_at_time(time_ms) else {
            return Ok(self.partition.offset_at(time_ms));
        };
        let start = self.partition.start();
        if file.blocks[at].next <= start {
            return Ok(start);
        }
        Ok(self.read(file, at)?.place_of_time(time_ms).offset.max(start))
    }

    fn read(&self, file: &ColdFile, at: usize) -> Result<&'s Block, Lack> {
        let base = file.blocks[at].base;
        match self.warm.get(file.id, base) {
            Some(Read::Events(block)) => Ok(block),
            Some(Read::Failed(why)) => Err(Lack::Failed { offset: base, why: why.to_string() }),
            None => Err(Lack::Unread(file.fetch(at))),
        }
    }
}
