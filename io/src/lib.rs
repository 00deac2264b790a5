//! Everything of Synap that touches the world: executors, sockets, the log, clocks, locks.
//!
//! Nothing in here knows a command, a protocol or a batch's contents: bytes come in, bytes go out.
//! No type of glommio or of `io_uring` crosses the boundary of this crate, so either can be
//! replaced at the cost of this crate alone. Modules in reading order:

pub mod clock;
pub mod cpus;
pub mod executor;
pub mod probe;
pub mod signal;

mod disk;
mod file_error;
mod ring;

pub mod doorbell;
pub mod mesh;
pub mod net;
pub mod reactor;

pub mod cold;
pub mod lock;
pub mod snapshot;
pub mod wal;

#[cfg(feature = "fault-injection")]
pub use disk::fault;
