//! A block of a queue: messages of consecutive numbers in one run of bytes, appended only. A
//! message that is done leaves its bytes behind until the whole block is; the queue moves the last
//! few of a block elsewhere, so that they do not hold the rest.
//!
//! Beside the bytes of a message a block takes five: where it ends, and its state.

use super::message::CLASSES;

/// Bytes of messages that a block takes; a larger message has one of its own.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// Messages that a block takes.
pub(super) const BLOCK_MESSAGES: usize = 4096;
/// Numbers without a message between two messages of a block, at most.
const GAP_MAX: u64 = 256;
/// A block of which less than one part in so many is in use is given up.
const USED_PART: usize = 8;

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Lot {
    /// It is done, or not in this block.
    Gone = 0,
    /// Ready, and never was anything else.
    Fresh = 1,
    /// Ready again, or at last.
    Returned = 2,
    /// Not to be delivered yet.
    Delayed = 3,
    /// With a consumer.
    Held = 4,
    /// A dead letter.
    Dead = 5,
}

const LOTS: [Lot; 6] = [Lot::Gone, Lot::Fresh, Lot::Returned, Lot::Delayed, Lot::Held, Lot::Dead];

/// Lot and priority of a message in a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(u8);

impl Mark {
    pub(super) const GONE: Self = Self(0);

    pub(super) fn new(lot: Lot, class: u8) -> Self {
        Self(lot as u8 | class << 4)
    }

    pub(super) fn lot(self) -> Lot {
        LOTS[usize::from(self.0 & 15)]
    }

    pub(super) fn class(self) -> usize {
        usize::from(self.0 >> 4)
    }
}

/// Messages from a number on, which is the block's key in the queue.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    marks: Vec<Mark>,
    live: u32,
    live_bytes: usize,
    fresh: [u16; CLASSES],
}

impl Block {
    /// A block with room for as much as it will take.
    pub(super) fn roomy() -> Self {
        Self { bytes: Vec::with_capacity(BLOCK_BYTES), ..Self::default() }
    }

    /// Number of its numbers, those without a message included.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Messages that are not gone.
    pub(super) fn live(&self) -> usize {
        self.live as usize
    }

    /// Fresh messages of a priority.
    pub(super) fn fresh(&self, class: usize) -> usize {
        usize::from(self.fresh[class])
    }

    /// Bytes taken from the allocator.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * 4
            + self.marks.capacity()
            + size_of::<(u64, Self)>()
    }

    /// Whether a message of so many bytes belongs here, `ahead` numbers behind the last one.
    pub(super) fn takes(&self, ahead: u64, bytes: usize) -> bool {
        ahead <= GAP_MAX
            && self.len() + (ahead as usize) < BLOCK_MESSAGES
            && (self.bytes.len() + bytes <= BLOCK_BYTES || self.bytes.is_empty())
    }

    /// Appends a fresh message, `ahead` numbers behind the last one. The block takes it.
    pub(super) fn push(&mut self, ahead: u64, class: u8, message: &[u8]) {
        for _ in 0..ahead {
            self.ends.push(self.bytes.len() as u32);
            self.marks.push(Mark::GONE);
        }
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len() as u32);
        self.marks.push(Mark::new(Lot::Fresh, class));
        self.live += 1;
        self.live_bytes += message.len();
        self.fresh[usize::from(class)] += 1;
    }

    /// Nothing will be appended any more.
    pub(super) fn seal(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// The mark of a message by its position; gone beyond the end.
    pub(super) fn mark(&self, at: usize) -> Mark {
        self.marks.get(at).copied().unwrap_or(Mark::GONE)
    }

    /// The bytes of a message by its position.
    pub(super) fn message(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }

    /// Sets the lot of a message.
    pub(super) fn set(&mut self, at: usize, lot: Lot) {
        let before = self.marks[at];
        if before.lot() == Lot::Fresh {
            self.fresh[before.class()] -= 1;
        }
        if lot == Lot::Fresh {
            self.fresh[before.class()] += 1;
        }
        if lot == Lot::Gone {
            self.live -= 1;
            self.live_bytes -= self.message(at).len();
            self.marks[at] = Mark::GONE;
        } else {
            self.marks[at] = Mark::new(lot, before.class() as u8);
        }
    }

    /// Whether what is left of it had better be elsewhere.
    pub(super) fn is_sparse(&self) -> bool {
        self.live_bytes * USED_PART < self.bytes.len()
    }

    /// Positions of messages from one on that have this mark.
    pub(super) fn find(&self, from: usize, mark: Mark) -> Option<usize> {
        let marks = self.marks.get(from..)?;
        marks.iter().position(|other| *other == mark).map(|at| from + at)
    }

    /// Positions and marks of messages that are not gone.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Mark)> {
        let marks = self.marks.iter().copied().enumerate();
        marks.filter(|(_, mark)| *mark != Mark::GONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_position() {
        let mut block = Block::roomy();
        block.push(0, 3, b"one");
        block.push(2, 3, b"two");
        block.push(0, 9, b"");
        assert_eq!((block.len(), block.live(), block.fresh(3)), (5, 3, 2));
        assert_eq!([0, 3, 4].map(|at| block.message(at)), [&b"one"[..], b"two", b""]);
        assert_eq!(block.mark(1), Mark::GONE);
        assert_eq!(block.find(1, Mark::new(Lot::Fresh, 3)), Some(3));
        block.set(0, Lot::Held);
        assert_eq!((block.mark(0).lot(), block.mark(0).class(), block.fresh(3)), (Lot::Held, 3, 1));
        block.set(0, Lot::Gone);
        block.set(3, Lot::Gone);
        assert!(block.is_sparse() && block.live() == 1);
        assert_eq!(block.iter().map(|(at, _)| at).collect::<Vec<_>>(), [4]);
        assert!(!block.takes(GAP_MAX + 1, 1) && !block.takes(0, BLOCK_BYTES));
    }
}
