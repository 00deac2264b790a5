//! The only reader of clocks and entropy. Callers read once per turn and pass the value on, so
//! that everything that happens in a turn happens at one time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch by the wall clock, which an administrator may move. A clock
/// set before 1970 reads as zero.
pub fn unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds of `CLOCK_MONOTONIC`: never goes back, is not moved by anyone, has no meaning
/// outside this boot.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    #[expect(unsafe_code, reason = "std hides the number behind Instant")]
    let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(status, 0, "CLOCK_MONOTONIC exists on every Linux");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sixty-four bits from the kernel's generator (getrandom(2)), fit for seeds and keys. Blocks only
/// before the generator of a booting machine is seeded.
pub fn entropy() -> u64 {
    let mut bytes = [0u8; 8];
    loop {
        // SAFETY: `bytes` is writable for its whole length during the call.
        #[expect(unsafe_code, reason = "std offers no source of entropy")]
        let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // The manual promises requests of up to 256 bytes whole; only a signal before the
        // generator is seeded may interrupt one.
        if usize::try_from(count) == Ok(bytes.len()) {
            return u64::from_ne_bytes(bytes);
        }
        let error = std::io::Error::last_os_error();
        let interrupted = error.kind() == std::io::ErrorKind::Interrupted;
        assert!(interrupted, "getrandom failed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
        assert!(unix_ms() > 1_600_000_000_000, "the wall clock is after 2020");
    }

    #[test]
    fn entropy_differs_from_call_to_call() {
        assert_ne!(entropy(), entropy());
    }
}
