//! Which clients there are, for those who name another by its number (`CLIENT TRACKING REDIRECT`).
//! Asked at such a command only; each core keeps its own part up to date, so its lock is free
//! nearly always. Whoever is told that a client is there has to expect that it goes meanwhile.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The numbers of all clients of the process, by core.
#[derive(Debug)]
pub struct Alive(Vec<Mutex<BTreeSet<u64>>>);

impl Alive {
    /// Nobody yet, on so many cores.
    pub fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| Mutex::default()).collect())
    }

    fn of(&self, client: u64) -> MutexGuard<'_, BTreeSet<u64>> {
        let core = client % self.0.len() as u64;
        self.0[core as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has come.
    pub fn add(&self, client: u64) {
        self.of(client).insert(client);
    }

    /// A client is gone.
    pub fn remove(&self, client: u64) {
        self.of(client).remove(&client);
    }

    /// Whether a client is there.
    pub fn has(&self, client: u64) -> bool {
        self.of(client).contains(&client)
    }
}
