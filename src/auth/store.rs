//! The file of what was changed while the server ran: `<data>/auth/access`.
use std::fmt;
use std::path::PathBuf;

/// What can go wrong with the file.
#[derive(Debug)]
pub enum StoreError {
    /// The system refused.
    Io {
        /// What was to be done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::Damaged { path, expected, found } => {
                write!(f, "{}: expected {expected}, found {found}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged { .. } => None,
        }
    }
}
