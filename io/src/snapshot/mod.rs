//! Files of snapshots: parts written block by block and read back verified, and the index that
//! makes parts a snapshot.
//!
//! Guarantees: a snapshot exists from the moment its index has its name, and everything the index
//! states is durable by then; any damage to a part or an index is an error that names the file and
//! the offset; nothing that a file claims is allocated before it was checked against what the file
//! holds, the index and a bound.
//!
//! Must not: look into the entries and batches it stores. Everything here blocks; none of it
//! belongs on a core.

mod codec;
mod files;
mod format;
mod index;
mod reader;
mod writer;

pub use crate::file_error::FileError;
pub use codec::{Codec, Compression};
pub use files::{SnapshotName, Swept, list, remove, sweep};
pub use format::{PartFacts, PartId, PartKind, SNAPSHOT_FORMAT};
pub use index::{Index, ShardImage, Tail};
pub use reader::{Block, PartReader};
pub use writer::{BLOCK_RAW_BYTES, FinishedPart, NewPart, PartWriter};
