//! How often an identity was used, and when last. Cores count for themselves and add up now and
//! then ([`super::Desk::fold`]), so these are exact but late.

use std::sync::atomic::{AtomicU64, Ordering};

/// Uses of a user or an API key; lives as long as it, through every directory.
#[derive(Debug, Default)]
pub struct Usage {
    count: AtomicU64,
    last_ms: AtomicU64,
}

impl Usage {
    /// As it was saved.
    pub(super) fn new(count: u64, last_ms: u64) -> Self {
        Self { count: AtomicU64::new(count), last_ms: AtomicU64::new(last_ms) }
    }

    /// Uses so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last one, Unix milliseconds; nothing where there was none.
    #[must_use]
    pub fn last_ms(&self) -> Option<u64> {
        Some(self.last_ms.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    pub(super) fn add(&self, count: u64, last_ms: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.last_ms.fetch_max(last_ms, Ordering::Relaxed);
    }
}
