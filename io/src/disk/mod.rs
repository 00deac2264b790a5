//! The calls through which bytes of log, manifest and snapshots reach a disk: write, sync, reserve.
//!
//! In builds with the feature `fault-injection` the same three go through `fault`, which can refuse
//! them, slow them down, pretend them, or cut the power. That feature is off by default and does
//! not compile without debug assertions, so no release build can have it.
//!
//! Must not: decide anything; what a failure means is the caller's business.

#[cfg(feature = "fault-injection")]
pub mod fault;
mod plain;

#[cfg(feature = "fault-injection")]
pub(crate) use fault::{reserve, sync_all, sync_data, write_all_at};
#[cfg(not(feature = "fault-injection"))]
pub(crate) use plain::{reserve, sync_all, sync_data, write_all_at};

#[cfg(all(feature = "fault-injection", not(debug_assertions)))]
compile_error!("the feature `fault-injection` is for tests: it is refused in release builds");

/// Whether commits may go through a core's ring: faults are injected on calls of threads only.
pub(crate) const RING_IS_OPEN: bool = cfg!(not(feature = "fault-injection"));
