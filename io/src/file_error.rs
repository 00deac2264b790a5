//! What can go wrong with files that are written once: those of snapshots, and of events. None of
//! it is fatal to a running server; at a start it decides which snapshot is taken.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file that is written once cannot be written or read.
#[derive(Debug)]
pub enum FileError {
    /// The system refused an operation; "no space left" is among these.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it was when it was written, or not the one that is named.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it was noticed, in bytes from the start of the file: the beginning of the header,
        /// block or end that does not fit.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A file that is needed is not there.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a version of this program with another format.
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
        /// The newest format understood here.
        supported: u16,
    },
}

impl FileError {
    /// Wraps what the system said, with what was tried.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The same where a file that is not there is an answer of its own.
    pub(crate) fn io_or_missing(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: &'static str) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what }
    }

    /// The file it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Missing { path }
            | Self::Version { path, .. } => path,
        }
    }

    /// Where in the file the damage was noticed, if it is damage.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Corrupt { offset, .. } => Some(*offset),
            Self::Io { .. } | Self::Missing { .. } | Self::Version { .. } => None,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::Corrupt { path, offset, what } => {
                write!(f, "{} is damaged at byte {offset}: {what}", path.display())
            }
            Self::Missing { path } => write!(f, "{} is missing", path.display()),
            Self::Version { path, found, supported } => write!(
                f,
                "{} has format {found}, this program understands up to {supported}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Corrupt { .. } | Self::Missing { .. } | Self::Version { .. } => None,
        }
    }
}
