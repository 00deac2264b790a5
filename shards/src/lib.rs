//! The pure core of Synap: everything that decides, nothing that touches the world.
//!
//! Given an event and the time, an engine answers with actions. Nothing in this crate can reach a
//! clock, a socket, a file, a thread or a source of randomness, so a simulator can run a whole
//! cluster in one thread from one seed. Modules in reading order:

#![allow(clippy::vec_box, reason = "shards change hands as one pointer, they are never copied")]

pub mod id;
pub mod limits;
pub mod seq;

pub mod double;
pub mod glob;
pub mod key;
pub mod rng;

pub mod batch;
pub mod capture;
pub mod shard;

pub mod command;
pub mod rdb;
pub mod script;
pub mod types;

pub mod pubsub;

pub mod engine;
mod history;
pub mod recovery;
pub mod snapshot;

// The tests inside this crate and those beside it share one small executor.
#[cfg(test)]
extern crate self as synap_shards;
#[cfg(test)]
#[path = "../tests/one_table/mod.rs"]
mod one_table;
