//! Access control of the process: the directory in force, changes of it, and slow hashing.
//!
//! No core ever waits here: what is slow is asked for and answered later, on a thread of the pool,
//! by a closure that must only hand the answer over and ring a bell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::change::{Change, ChangeRefused, Changed};
use super::desk::{Answer, Question};
use super::directory::Directory;
use super::identity::Identity;
use super::verified::{Fingerprint, Hasher};

/// So much is waiting to be hashed that no more is taken: answer 503 or `-ERR` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Access control of the process.
#[derive(Debug)]
pub struct Authority {
    generation: AtomicU64,
    directory: Mutex<Arc<Directory>>,
    hasher: Hasher,
}

impl Authority {
    /// Access control that is off: everyone may do everything.
    #[must_use]
    pub fn off() -> Arc<Self> {
        let directory = Arc::new(Directory::off());
        Arc::new(Self {
            generation: AtomicU64::new(directory.generation()),
            directory: Mutex::new(directory),
            hasher: Hasher::new(),
        })
    }

    /// The number of the directory in force; one relaxed load.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The directory in force, and its number.
    #[must_use]
    pub fn current(&self) -> (u64, Arc<Directory>) {
        let directory = Arc::clone(&self.directory.lock().expect("nobody panics holding it"));
        (directory.generation(), directory)
    }

    pub(super) fn fingerprint(&self, user: &[u8], password: &[u8]) -> Fingerprint {
        self.hasher.of(user, password)
    }

    /// Has a password verified; `done` gets the answer on another thread.
    ///
    /// # Errors
    /// Too much is waiting; `done` is dropped.
    pub fn ask(
        &self,
        _question: Question,
        _now_ms: u64,
        _done: impl FnOnce(Answer) + Send + 'static,
    ) -> Result<(), Busy> {
        unimplemented!()
    }

    /// Has a change made; `done` gets what came of it on another thread.
    ///
    /// # Errors
    /// Too much is waiting; `done` is dropped.
    pub fn submit(
        self: &Arc<Self>,
        _by: Identity,
        _change: Change,
        _done: impl FnOnce(Result<Changed, ChangeRefused>) + Send + 'static,
    ) -> Result<(), Busy> {
        unimplemented!()
    }

    /// Makes a change: checked, written to disk, in force. Slow; not for cores.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub fn change(&self, _by: &Identity, _change: Change) -> Result<Changed, ChangeRefused> {
        unimplemented!()
    }

    /// Passwords verified since the start, whatever came of them.
    #[must_use]
    pub fn verifications(&self) -> u64 {
        unimplemented!()
    }
}
