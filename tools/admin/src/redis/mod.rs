//! Redis's files: snapshots (RDB), append-only files (AOF), and directories of the latter.
//!
//! Guarantees: a file is read front to back in constant memory, every length is checked against
//! what is really there, and what is not understood is an error that names its offset. Must not
//! talk to a server.

pub(crate) mod aof;
pub(crate) mod manifest;
pub(crate) mod rdb;
mod skip;
mod source;

use std::fmt;
use std::io;

pub(crate) use source::Source;

/// Why a file of Redis cannot be read.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The system refused.
    Io(io::Error),
    /// The file ends within something that began before this offset.
    Cut {
        /// Where it ends.
        offset: u64,
    },
    /// The bytes do not follow the format.
    Format {
        /// Where.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
    },
    /// A version this program does not know.
    Version {
        /// The newest one it knows.
        expected: u32,
        /// The file's.
        found: String,
    },
    /// The checksum at the end differs.
    Checksum {
        /// As the file states.
        expected: u64,
        /// As computed.
        found: u64,
    },
    /// A value above the limit of the server.
    TooLong {
        /// Where it begins.
        offset: u64,
        /// The limit in bytes.
        expected: u64,
        /// Its length.
        found: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Cut { offset } => write!(f, "the file is cut off at byte {offset}"),
            Self::Format { offset, expected } => {
                write!(f, "damaged at byte {offset}: expected {expected}")
            }
            Self::Version { expected, found } => {
                write!(f, "version {found} of the format; this program reads up to {expected}")
            }
            Self::Checksum { expected, found } => {
                write!(f, "damaged: its checksum is {found:016x}, expected {expected:016x}")
            }
            Self::TooLong { offset, expected, found } => {
                write!(f, "a value of {found} bytes at byte {offset}, the limit is {expected}")
            }
        }
    }
}

impl std::error::Error for FileError {}
