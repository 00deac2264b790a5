//! A node of a large list: some elements in a row, with room at both ends.

use super::Limit;
use super::record::End;
use super::run::{self, Elements};

/// Some elements of a large list; never none while the list holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// The elements are a run from `start` on; what is before is room for more.
    bytes: Vec<u8>,
    start: usize,
    count: usize,
}

impl Node {
    /// A node of a run of `count` elements.
    pub(super) fn of_run(run: &[u8], count: usize) -> Self {
        Self { bytes: run.to_vec(), start: 0, count }
    }

    /// Number of elements.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The elements as a run.
    #[inline]
    pub(super) fn run(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The elements.
    pub(super) fn elements(&self) -> Elements<'_> {
        Elements(self.run())
    }

    /// The elements from the one of this number on.
    pub(super) fn elements_from(&self, number: usize) -> Elements<'_> {
        let run = self.run();
        Elements(&run[run::offset_of(run, self.count, number)..])
    }

    /// Bytes taken from the allocator.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        // Behind the node's pointer stand two counters of who holds it.
        size_of::<Self>() + 2 * size_of::<usize>() + self.bytes.capacity()
    }

    /// Whether one more element of `length` bytes keeps the node within the limit.
    #[inline]
    pub(super) fn has_room(&self, length: usize, limit: Limit) -> bool {
        self.run().len() + run::element_bytes(length) <= limit.bytes && self.count < limit.count
    }

    /// Whether it holds more than it should and can be split.
    pub(super) fn is_over(&self, limit: Limit) -> bool {
        self.count > 1 && (self.run().len() > limit.bytes || self.count > limit.count)
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        let bytes = run::element_bytes(element.len());
        match end {
            End::Left => {
                if self.start < bytes {
                    self.slide_up(bytes, limit);
                }
                let place = self.start - bytes..self.start;
                run::write(&mut self.bytes[place], element);
                self.start -= bytes;
            }
            End::Right => {
                let used = self.bytes.len();
                if used + bytes > self.bytes.capacity() {
                    self.bytes.drain(..self.start);
                    self.start = 0;
                    let wanted = limit.bytes.max(self.bytes.len() + bytes);
                    self.bytes.reserve_exact(wanted - self.bytes.len());
                }
                let used = self.bytes.len();
                self.bytes.resize(used + bytes, 0);
                run::write(&mut self.bytes[used..], element);
            }
        }
        self.count += 1;
    }

    /// Moves the elements to the end of the memory that the node may take, at least `bytes` bytes
    /// from its start.
    fn slide_up(&mut self, bytes: usize, limit: Limit) {
        let used = self.run().len();
        let total = limit.bytes.max(used + bytes);
        let old = self.start..self.bytes.len();
        if self.bytes.len() < total {
            self.bytes.reserve_exact(total - self.bytes.len());
            self.bytes.resize(total, 0);
        }
        let end = self.bytes.len();
        self.bytes.copy_within(old, end - used);
        self.start = end - used;
    }

    /// Drops `count` elements at an end; the node has more.
    pub(super) fn pop(&mut self, end: End, count: usize) {
        let run = self.run();
        match end {
            End::Left => self.start += run::offset_of(run, self.count, count),
            End::Right => {
                let keep = self.start + run::offset_of(run, self.count, self.count - count);
                self.bytes.truncate(keep);
            }
        }
        self.count -= count;
    }

    /// Replaces an element.
    pub(super) fn set(&mut self, number: usize, element: &[u8]) {
        let run = self.run();
        let first = self.start + run::offset_of(run, self.count, number);
        let old = Elements(&self.bytes[first..]).next().map_or(0, <[u8]>::len);
        let (before, after) = (run::element_bytes(old), run::element_bytes(element.len()));
        if before > after {
            self.bytes.drain(first..first + (before - after));
        } else {
            run::open(&mut self.bytes, first, after - before);
        }
        run::write(&mut self.bytes[first..first + after], element);
    }

    /// Puts an element before the one of this number.
    pub(super) fn insert(&mut self, number: usize, element: &[u8]) {
        let at = self.start + run::offset_of(self.run(), self.count, number);
        run::insert(&mut self.bytes, at, element);
        self.count += 1;
    }

    /// Adds the elements of another node behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(other.run());
        self.count += other.count;
    }

    /// Nodes with the same elements, of about half its size each; an element beyond the limit
    /// stands alone.
    pub(super) fn split(&self, limit: Limit) -> Vec<Self> {
        let (half_bytes, half_count) = (self.run().len().div_ceil(2), self.count.div_ceil(2));
        let mut parts = vec![Self::default()];
        for element in self.elements() {
            let bytes = run::element_bytes(element.len());
            let last = parts.last().expect("it begins with one part");
            let is_full = last.bytes.len() >= half_bytes.min(limit.bytes)
                || last.count >= half_count
                || bytes > limit.bytes;
            if last.count > 0 && is_full {
                parts.push(Self::default());
            }
            let last = parts.last_mut().expect("it begins with one part");
            let end = last.bytes.len();
            run::insert(&mut last.bytes, end, element);
            last.count += 1;
        }
        parts
    }
}
