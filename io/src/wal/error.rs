//! What can go wrong with a log. Every one of these is fatal to the process that meets it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the log cannot be written or read.
#[derive(Debug)]
pub enum WalError {
    /// The system refused an operation; "no space left" is among these.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Data known to have been durable is damaged.
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Number of the segment.
        segment: u64,
        /// Where the damage begins, in bytes from the start of the file.
        offset: u64,
        /// What shows that it is damage and not a torn tail.
        evidence: &'static str,
    },
    /// A segment that a later one continues is not there.
    Missing {
        /// The directory of the log.
        directory: PathBuf,
        /// The core whose log it is.
        core: u16,
        /// Number of the absent segment.
        segment: u64,
        /// Number of the segment that continues it.
        wanted_by: u64,
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
    /// No manifest copy is valid although there are some.
    Manifest {
        /// The copies that exist.
        copies: Vec<PathBuf>,
    },
    /// The log failed before and takes nothing more.
    Failed,
}

impl WalError {
    /// Whether the disk, or a quota on it, is full.
    pub fn is_out_of_space(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    /// Wraps what the system said, with what was tried.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())?;
                if self.is_out_of_space() {
                    write!(f, " (the disk of the log is full; free some space and start again)")?;
                }
                Ok(())
            }
            Self::Corrupt { path, segment, offset, evidence } => {
                let path = path.display();
                write!(f, "segment {segment} ({path}) is damaged at byte {offset}: {evidence}")
            }
            Self::Missing { directory, core, segment, wanted_by } => write!(
                f,
                "segment {segment} of core {core} is missing from {}; segment {wanted_by} \
                 continues it",
                directory.display()
            ),
            Self::Version { path, found, supported } => write!(
                f,
                "{} has format {found}, this program understands up to {supported}",
                path.display()
            ),
            Self::Manifest { copies } => {
                write!(f, "no copy of the manifest is valid:")?;
                copies.iter().try_for_each(|copy| write!(f, " {}", copy.display()))
            }
            Self::Failed => write!(f, "the log has failed before"),
        }
    }
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Corrupt { .. } | Self::Missing { .. } | Self::Version { .. } => None,
            Self::Manifest { .. } | Self::Failed => None,
        }
    }
}
