//! Page-aligned anonymous memory: what the kernel and direct I/O need. Zero when made, and not
//! resident before it is touched.

use std::io;
use std::ptr::NonNull;

/// Owned mapping of private anonymous memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory owned by this value alone.
#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `bytes` (more than zero) of zeroes.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        assert!(bytes > 0, "an empty mapping has no address");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping at an address the kernel picks touches nothing of ours.
        #[expect(unsafe_code, reason = "allocators touch memory and promise less alignment")]
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap without a hint never maps page zero");
        Ok(Self { start, bytes })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Address of the first byte; page aligned.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The memory. Not for mappings the kernel may be writing.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self` and is initialised; callers own it whole.
        #[expect(unsafe_code, reason = "view of owned memory")]
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.bytes)
        }
    }

    /// The memory, writable. Not for mappings the kernel may be reading or writing.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes the view unique.
        #[expect(unsafe_code, reason = "view of owned memory")]
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped; nobody can hold a view of it any more.
        #[expect(unsafe_code, reason = "counterpart of mmap")]
        let status = unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
        assert_eq!(status, 0, "a mapping we made can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_zero_aligned_and_writable() {
        let mut mapping = Mapping::new(8192).expect("memory");
        assert_eq!(mapping.start() as usize % 4096, 0);
        assert!(mapping.as_slice().iter().all(|byte| *byte == 0));
        mapping.as_mut_slice()[8191] = 7;
        assert_eq!(mapping.as_slice()[8191], 7);
        assert_eq!(mapping.bytes(), 8192);
    }
}
