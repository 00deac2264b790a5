//! Placeholder.

pub mod config;
pub mod logging;
