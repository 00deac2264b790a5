//! Change data capture: what happens to keys that match patterns, as a stream of changes with old
//! and new values that can be read from any position on.
//!
//! A capture is a partition per shard, in a namespace of its own, that says which patterns it is
//! for. Whoever seals a batch first tells what its records change ([`Captured`]) while the shards
//! still hold what was before, and appends that to the partitions of the same shards, as records of
//! the same batch. So a change and what is told of it are durable together or not at all, replay
//! and images need to know nothing of it, and what a reader is shown waits for the disk like any
//! other read. A shard without a capture costs one look at an empty list.
//!
//! A position is an offset per shard (`position`). Readers ask every core (`read`) and join
//! what they answer (`merge`), so that the changes of a transaction over several shards come
//! together.

pub(crate) mod json;

mod batch;
mod find;
mod make;
mod merge;
mod note;
mod position;
mod read;
mod tell;

use crate::command::spec::CommandSpec;

pub(crate) use find::is_capture;
pub use merge::{Merge, is_idle};
pub use note::{Captured, ROOM_BYTES};
pub(crate) use tell::Cause;

/// Commands on captures.
pub const COMMANDS: &[&CommandSpec] =
    &[&make::CREATE, &make::DELETE, &make::LIST, &make::INFO, &read::READ];

/// Captures of a server.
const CAPTURES_MAX: usize = 16;
/// Patterns of a capture.
const PATTERNS_MAX: usize = 64;
/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 1024;
