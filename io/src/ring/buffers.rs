//! The receive buffers of one core: a ring of equal buffers the kernel picks from when data
//! arrives, so that an idle connection owns no buffer at all.
//!
//! Every buffer belongs to the kernel or is held by us, never both; the table of held ones is what
//! makes reading a buffer safe.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::Mapping;

/// Buffer group of all receives.
pub(crate) const BUFFER_GROUP: u16 = 0;

pub(crate) struct Buffers {
    entries: Mapping,
    memory: Mapping,
    buffer_bytes: usize,
    held: Vec<bool>,
    held_count: usize,
    tail: u16,
}

impl Buffers {
    /// Registers `count` (a power of two up to 32768) buffers of `buffer_bytes` each.
    pub(crate) fn new(uring: &IoUring, count: u16, buffer_bytes: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two() && count <= 1 << 15, "{count} is no size of a buffer ring");
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * buffer_bytes)?;
        let held = vec![true; usize::from(count)];
        let held_count = held.len();
        let mut buffers = Self { entries, memory, buffer_bytes, held, held_count, tail: 0 };
        let address = buffers.entries.start() as u64;
        // SAFETY: `entries` holds `count` entries, is page aligned, and outlives the ring: the
        // reactor drops its ring first, or leaks both.
        #[expect(unsafe_code, reason = "the kernel reads the entries from then on")]
        unsafe {
            uring.submitter().register_buf_ring_with_flags(address, count, BUFFER_GROUP, 0)?;
        }
        for id in 0..count {
            buffers.give(id);
        }
        Ok(buffers)
    }

    /// Buffers the kernel may fill.
    pub(crate) fn available(&self) -> usize {
        self.held.len() - self.held_count
    }

    /// Notes that the kernel handed us buffer `id`.
    pub(crate) fn take(&mut self, id: u16) {
        let held = &mut self.held[usize::from(id)];
        assert!(!*held, "the kernel filled buffer {id}, which it did not have");
        *held = true;
        self.held_count += 1;
    }

    /// The first `bytes` of a held buffer.
    pub(crate) fn read(&self, id: u16, bytes: usize) -> &[u8] {
        assert!(self.held[usize::from(id)], "buffer {id} belongs to the kernel");
        assert!(bytes <= self.buffer_bytes, "a buffer holds at most {}", self.buffer_bytes);
        // SAFETY: the offset is inside `memory`, and the kernel writes no held buffer.
        #[expect(unsafe_code, reason = "other parts of the memory are being written by the kernel")]
        unsafe {
            let start = self.memory.start().add(usize::from(id) * self.buffer_bytes);
            std::slice::from_raw_parts(start, bytes)
        }
    }

    /// Gives a held buffer back to the kernel.
    pub(crate) fn give(&mut self, id: u16) {
        let held = &mut self.held[usize::from(id)];
        assert!(*held, "buffer {id} was given back before");
        *held = false;
        self.held_count -= 1;
        let index = usize::from(self.tail) & (self.held.len() - 1);
        // SAFETY: `index` is below the entry count; the kernel reads an entry only once the tail
        // has passed it. The tail lies in the first entry's reserved field, which `set_*` leave
        // alone, and is an aligned u16 that only this thread writes.
        #[expect(unsafe_code, reason = "entries and tail are shared with the kernel")]
        unsafe {
            let base = self.entries.start().cast::<BufRingEntry>();
            let entry = &mut *base.add(index);
            let address = self.memory.start().add(usize::from(id) * self.buffer_bytes);
            entry.set_addr(address as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
