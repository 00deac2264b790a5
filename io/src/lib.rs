//! Placeholder.

pub mod cpus;
pub mod probe;
pub mod signal;
