//! A group being gathered: block-aligned memory with the header's room in front.

use std::io;

use super::format::{BLOCK, GROUP_HEADER, group_bytes};
use crate::ring::Mapping;

/// Memory of a fresh buffer.
const INITIAL_BYTES: usize = 128 * 1024;
/// A buffer that had to grow beyond this is not kept for reuse.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct GroupBuffer {
    memory: Mapping,
    payload_bytes: usize,
}

impl GroupBuffer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { memory: Mapping::new(INITIAL_BYTES)?, payload_bytes: 0 })
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Whether the buffer is worth keeping once it is empty.
    pub(super) fn is_reusable(&self) -> bool {
        self.memory.bytes() <= KEPT_BYTES_MAX
    }

    pub(super) fn clear(&mut self) {
        self.payload_bytes = 0;
    }

    pub(super) fn append(&mut self, run: &[u8]) -> io::Result<()> {
        let needed = group_bytes(self.payload_bytes + run.len());
        if needed > self.memory.bytes() {
            let mut grown = Mapping::new(needed.next_power_of_two())?;
            let used = GROUP_HEADER + self.payload_bytes;
            grown.as_mut_slice()[..used].copy_from_slice(&self.memory.as_slice()[..used]);
            self.memory = grown;
        }
        let start = GROUP_HEADER + self.payload_bytes;
        self.memory.as_mut_slice()[start..start + run.len()].copy_from_slice(run);
        self.payload_bytes += run.len();
        Ok(())
    }

    /// Zeroes the padding and lets `encode` fill in the header; the length to write.
    pub(super) fn seal(&mut self, encode: impl FnOnce(&mut [u8])) -> usize {
        let bytes = group_bytes(self.payload_bytes);
        let group = &mut self.memory.as_mut_slice()[..bytes];
        group[GROUP_HEADER + self.payload_bytes..].fill(0);
        encode(group);
        assert!(bytes.is_multiple_of(BLOCK), "groups are whole blocks");
        bytes
    }

    /// The sealed group and whatever memory lies behind it.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.memory.as_slice()
    }
}
