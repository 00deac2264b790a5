//! Files of data seen from outside a server: copying them while it runs, going back to a moment,
//! and saving what is sound of a damaged directory.
//!
//! | module | what |
//! |---|---|
//! | [`files`] | where logs, snapshots and the manifest lie, and walking their batches |
//! | [`keep`] | which batches make a prefix per shard with whole transactions |
//! | [`rebuild`] | writing a new data directory of what is kept |
//! | [`restore`], [`salvage`] | the two ways to choose what is kept |
//! | [`copy`], [`index`] | the backup of a running server, and its list of files |
//! | [`time`] | moments as text |
//!
//! Guarantees: nothing here changes the directory it reads; a new directory gets its name only when
//! it is whole and durable. Must not be used by a core.

mod access;
pub mod copy;
pub mod files;
pub mod index;
pub mod keep;
pub mod rebuild;
pub mod restore;
pub mod salvage;
pub mod time;
