//! Blocks that were read from files, kept for a short while so that the command that waits for
//! them, and whoever reads on from there, finds them. Not data: nothing of it is logged, and it is
//! forgotten at any time.

use std::collections::VecDeque;

use super::block::Block;
use super::cold::{Fetch, FetchBlock};
use super::event::outline;

/// Bytes of events that a shard keeps; what one reading brought is kept whole in any case.
const WARM_BYTES_MAX: usize = 1024 * 1024;
/// Ticks of upkeep for which a block is kept: some seconds.
const TICKS_MAX: u8 = 32;
/// Readings that are asked for while the shard is away from home; more are not noted.
const WISHES_MAX: usize = 16;

/// What reading a block came to.
#[derive(Debug)]
pub(super) enum Read {
    /// Its events.
    Events(Block),
    /// It cannot be read, and why.
    Failed(Box<str>),
}

/// Blocks of the partitions of a shard.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    blocks: VecDeque<WarmBlock>,
    bytes: usize,
    /// What a transaction has asked for that had borrowed the shard, by key.
    wishes: Vec<(Box<[u8]>, Fetch)>,
}

#[derive(Debug)]
struct WarmBlock {
    file: u64,
    base: u64,
    ticks: u8,
    read: Read,
}

impl WarmBlock {
    fn bytes(&self) -> usize {
        match &self.read {
            Read::Events(block) => block.len_bytes(),
            Read::Failed(_) => 0,
        }
    }
}

impl Warm {
    /// The block of a file that begins at this offset, if it was read lately.
    pub(super) fn get(&self, file: u64, base: u64) -> Option<&Read> {
        let found = self.blocks.iter().rev().find(|it| it.file == file && it.base == base);
        found.map(|it| &it.read)
    }

    /// Takes in what one reading brought. Bytes that are not the events expected are a failure.
    pub(crate) fn put(&mut self, file: u64, blocks: &[(FetchBlock, Vec<u8>)]) {
        let incoming: usize = blocks.iter().map(|(_, bytes)| bytes.len()).sum();
        while self.bytes + incoming > WARM_BYTES_MAX && self.drop_oldest() {}
        for (wanted, bytes) in blocks {
            let read = match rebuild(wanted, bytes) {
                Some(block) => Read::Events(block),
                None => Read::Failed("it holds other events than were written".into()),
            };
            self.push(file, wanted.base, read);
        }
    }

    /// Notes that a block cannot be read.
    pub(crate) fn put_failure(&mut self, file: u64, base: u64, why: &str) {
        self.push(file, base, Read::Failed(why.into()));
    }

    /// Notes a reading for when the shard is at home.
    pub(crate) fn wish(&mut self, key: &[u8], fetch: &Fetch) {
        if self.wishes.len() < WISHES_MAX {
            self.wishes.push((key.into(), fetch.clone()));
        }
    }

    /// The readings that were noted since the last call.
    pub(crate) fn take_wishes(&mut self) -> Vec<(Box<[u8]>, Fetch)> {
        std::mem::take(&mut self.wishes)
    }

    /// Forgets what could not be read: the next one who wants it tries again.
    pub(crate) fn forget_failures(&mut self) {
        self.blocks.retain(|it| matches!(it.read, Read::Events(_)));
    }

    /// Forgets what came some seconds ago.
    pub(crate) fn tick(&mut self) {
        for block in &mut self.blocks {
            block.ticks += 1;
        }
        while self.blocks.front().is_some_and(|block| block.ticks >= TICKS_MAX) {
            self.drop_oldest();
        }
    }

    fn push(&mut self, file: u64, base: u64, read: Read) {
        let block = WarmBlock { file, base, ticks: 0, read };
        self.bytes += block.bytes();
        self.blocks.push_back(block);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(block) = self.blocks.pop_front() else { return false };
        self.bytes -= block.bytes();
        true
    }
}

/// The block that bytes of a file are, if they hold just the offsets that they should.
fn rebuild(wanted: &FetchBlock, bytes: &[u8]) -> Option<Block> {
    super::event::check_items(bytes).filter(|count| *count == wanted.next - wanted.base)?;
    let mut block = Block::new(wanted.base, bytes.len());
    let mut rest = bytes;
    while let Some(found) = outline(rest) {
        let (item, after) = rest.split_at(found.bytes);
        block.push(item, found);
        rest = after;
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::super::cold::ColdPlace;
    use super::super::event::NewEvent;
    use super::*;

    fn block(base: u64, bytes: usize) -> (FetchBlock, Vec<u8>) {
        let mut out = Vec::new();
        NewEvent { data: &vec![1; bytes], ..NewEvent::default() }.write(7, &mut out);
        let place = ColdPlace { at: 0, bytes: out.len() as u32, crc: 0 };
        (FetchBlock { base, next: base + 1, place }, out)
    }

    #[test]
    fn the_oldest_make_room_and_time_ends_all() {
        let mut warm = Warm::default();
        for base in 0..5 {
            warm.put(1, &[block(base, WARM_BYTES_MAX / 4)]);
        }
        let there = |warm: &Warm| (0..5).map(|at| warm.get(1, at).is_some()).collect::<Vec<_>>();
        assert_eq!(there(&warm), [false, false, true, true, true]);
        warm.put(1, &[block(9, 3 * WARM_BYTES_MAX)]);
        assert!(matches!(warm.get(1, 9), Some(Read::Events(_))), "what was wanted is kept");
        assert_eq!(there(&warm), [false; 5]);
        (0..TICKS_MAX).for_each(|_| warm.tick());
        assert!(warm.get(1, 9).is_none() && warm.bytes == 0);
    }

    #[test]
    fn what_is_not_the_events_is_a_failure() {
        let mut warm = Warm::default();
        let (mut wanted, bytes) = block(3, 10);
        wanted.next += 1;
        warm.put(1, &[(wanted, bytes)]);
        assert!(matches!(warm.get(1, 3), Some(Read::Failed(_))));
        warm.put_failure(2, 3, "why");
        warm.forget_failures();
        assert!(warm.get(1, 3).is_none() && warm.get(2, 3).is_none());
    }
}
