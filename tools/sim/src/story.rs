//! What happened in a run: a hash of all of it, to compare two runs of one seed, and the last lines
//! of it as text, to understand one.

use std::cell::RefCell;
use std::collections::VecDeque;

const LINES_MAX: usize = 400;

thread_local! {
    /// The tail of the run of this thread, where a panic can still find it.
    static TAIL: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

/// The story of one run.
#[derive(Debug)]
pub(crate) struct Story {
    hash: u64,
    telling: bool,
}

impl Story {
    /// A story; `telling` also keeps lines of text.
    pub(crate) fn new(telling: bool) -> Self {
        TAIL.with_borrow_mut(VecDeque::clear);
        Self { hash: 0xcbf2_9ce4_8422_2325, telling }
    }

    /// Adds bytes to the hash (FNV-1a, eight bytes at a time).
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            self.note_number(word);
        }
    }

    /// Adds a number to the hash.
    pub(crate) fn note_number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    /// Adds a line; it is only made when somebody will read it.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        if self.telling {
            TAIL.with_borrow_mut(|tail| {
                if tail.len() == LINES_MAX {
                    tail.pop_front();
                }
                tail.push_back(line());
            });
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

/// The last lines of the latest run of this thread.
pub(crate) fn tail() -> Vec<String> {
    TAIL.with_borrow(|tail| tail.iter().cloned().collect())
}

/// Bytes as readable text, cut.
pub(crate) fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(40)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}
