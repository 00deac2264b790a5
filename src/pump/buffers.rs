//! Buffers of output that were sent, kept for the next replies.

/// Buffers that are kept.
const BUFFERS_MAX: usize = 256;
/// A buffer with more memory than this is given back.
const BYTES_MAX: usize = 64 * 1024;

/// The spare buffers of a core; all empty.
#[derive(Default, Debug)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// A spare one, or a new one without memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps an empty buffer, unless there are enough or it is large.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        if self.0.len() < BUFFERS_MAX && buffer.capacity() <= BYTES_MAX {
            self.0.push(buffer);
        }
    }
}
