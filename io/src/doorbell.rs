//! Wakes a core that sleeps in its reactor, from any thread.
//!
//! Guarantee: whatever a thread published before [`Doorbell::ring`] is seen by the core in a turn
//! that starts after the ring, and that turn is not delayed by sleep. Rings coalesce: while one is
//! not yet noticed, further ones cost a fence and a load. Only a sleeping core costs a system call.
//!
//! Why no wake is lost: the ringer writes `rung`, fences, then reads `parked`; the core writes
//! `parked`, fences, then reads `rung`. Of two such threads at least one sees the other's write.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

#[derive(Debug)]
struct Shared {
    /// Set by ringers, cleared by the core when it looks.
    rung: AtomicBool,
    /// Set by the core while it may be asleep; cleared by whoever wakes it, or by itself.
    parked: AtomicBool,
    event: File,
}

/// Handle to wake one core. Clones ring the same core.
#[derive(Clone, Debug)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

impl Doorbell {
    /// Makes sure the core starts a turn after everything this thread did before the call.
    pub fn ring(&self) {
        let shared = &*self.shared;
        fence(Ordering::SeqCst);
        if shared.rung.load(Ordering::Relaxed) {
            // An earlier ring is still unnoticed; its noticing comes after our fence.
            return;
        }
        shared.rung.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if shared.parked.load(Ordering::Relaxed) && shared.parked.swap(false, Ordering::Relaxed) {
            let written = (&shared.event).write(&1u64.to_ne_bytes());
            assert!(
                matches!(&written, Ok(8)) || written.is_err_and(|e| e.kind() == WOULD_BLOCK),
                "an eventfd takes eight bytes or is full"
            );
        }
    }
}

const WOULD_BLOCK: io::ErrorKind = io::ErrorKind::WouldBlock;

/// The core's end: not clonable, one per reactor.
#[derive(Debug)]
pub(crate) struct Bell {
    shared: Arc<Shared>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked before use.
        #[expect(unsafe_code, reason = "std cannot make an eventfd")]
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nothing else owns.
        #[expect(unsafe_code, reason = "takes ownership of the descriptor made above")]
        let event = unsafe { File::from_raw_fd(fd) };
        let (rung, parked) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { shared: Arc::new(Shared { rung, parked, event }) })
    }

    pub(crate) fn handle(&self) -> Doorbell {
        Doorbell { shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }

    /// Whether somebody rang since the last look.
    pub(crate) fn take(&self) -> bool {
        if !self.shared.rung.load(Ordering::Relaxed) {
            return false;
        }
        self.shared.rung.store(false, Ordering::Relaxed);
        // What ringers published before their fences is visible after this one.
        fence(Ordering::SeqCst);
        true
    }

    /// Announces sleep. False when somebody rang meanwhile: then the core must not sleep.
    pub(crate) fn park(&self) -> bool {
        self.shared.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.rung.load(Ordering::Relaxed) {
            self.unpark();
            return false;
        }
        true
    }

    pub(crate) fn unpark(&self) {
        self.shared.parked.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_awake_core_is_rung_without_a_system_call_and_will_not_park() {
        let bell = Bell::new().expect("eventfd");
        let doorbell = bell.handle();
        assert!(!bell.take());
        doorbell.ring();
        doorbell.ring();
        assert!(!bell.park(), "an unnoticed ring forbids sleep");
        assert!(bell.take());
        assert!(!bell.take(), "two rings are one notice");
        assert!(bell.park());
        bell.unpark();
    }
}
