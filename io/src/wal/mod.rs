//! The log of one core: batches in commit order, in segments, durable by one write and one
//! fdatasync per group.
//!
//! Guarantees: what [`Writer::durable`] covers survives a crash of the machine (mode `Always`);
//! a block once written is never written again before its segment is recycled, so a torn write
//! cannot reach acknowledged data; damage to data known to be durable is an error naming the place,
//! never silently a shorter log. Any failed write or sync is final: nothing is retried after a
//! failed sync, because the kernel may have dropped the dirty pages it failed to write. Only a disk
//! without room for another segment is waited for.
//!
//! Must not: look into the bytes it stores.

mod buffer;
mod build;
pub(crate) mod commit;
mod error;
mod files;
pub mod format;
mod inspect;
pub mod manifest;
mod metrics;
mod options;
mod prepare;
mod reader;
mod segment;
mod writer;

pub use build::LogBuilder;
pub use commit::LogDone;
pub use error::WalError;
pub use files::{LogFiles, log_bytes, remove_logs_from, scan_dir, sync_segment};
pub use inspect::{Group, Head, SegmentFile};
pub use metrics::{SYNC_BUCKETS_US, WalMetrics};
pub use options::{CommitPath, FsyncMode, LogOffset, LogStart, WalOptions};
pub use reader::{LogEnd, LogReader, ReadOptions, Run, Torn};
pub use writer::Writer;
