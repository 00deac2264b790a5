//! The Synap server: what joins the pure core to the world. In reading order:

pub mod config;
pub mod logging;
pub mod metrics;
pub mod settings;
pub mod shared;

pub mod protocol;
pub mod session;
