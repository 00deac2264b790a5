//! The Synap server: what joins the pure core to the world. In reading order:

pub mod cli;
pub mod config;
pub mod doctor;
pub mod fatal;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod process;
pub mod settings;
pub mod shared;

pub mod latency;
pub mod slowlog;

pub mod health;
pub mod protocol;
pub mod session;
