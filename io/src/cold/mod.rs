//! Files of events: what topics and rooms hold beyond what memory keeps, written once and read back
//! block by block.
//!
//! Guarantees: a file that [`write()`] has returned is durable, its name included; any damage is an
//! error that names the file and the offset; nothing that a file claims is allocated before it was
//! checked against what the file holds and what the caller knows of it.
//!
//! Must not: look into the events, or decide which files are needed. Everything here blocks; none
//! of it belongs on a core.

mod files;
mod format;
mod verify;

pub use crate::file_error::FileError;
pub use files::{
    ColdRead, NewBlock, NewFile, Place, Written, list, path, read, remove, sweep, write,
};
pub use format::COLD_FORMAT;
pub use verify::{Known, check, verify, write_hollow};
