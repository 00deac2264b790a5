//! What can go wrong, and with which exit code it ends.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use synap::fatal::Fatal;
use synap_dial::DialError;

use crate::redis::FileError;

/// Why a command of this program ended without doing all it was asked for.
#[derive(Debug)]
pub(crate) enum AdminError {
    /// A file or directory could not be used.
    File {
        /// What was being done.
        action: &'static str,
        /// To which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of Redis cannot be read.
    Redis {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// A file is not what it should be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        what: String,
    },
    /// The server cannot be reached or breaks off.
    Connection {
        /// Its address.
        address: String,
        /// What happened.
        what: String,
    },
    /// The server answered with a refusal.
    Refused {
        /// What was asked.
        request: String,
        /// Its answer.
        answer: String,
    },
    /// What was asked for makes no sense here; nothing was done.
    Usage(String),
    /// Something was found to be wrong.
    Found(String),
    /// Files of data are damaged or cannot be used.
    Data(Box<Fatal>),
}

impl AdminError {
    /// Wraps what the system said, with what was tried.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// 1: it was tried and something is wrong; 2: it could not begin.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Found(_) | Self::Damaged { .. } | Self::Redis { .. } => 1,
            Self::Data(fatal) if matches!(**fatal, Fatal::Corrupt { .. }) => 1,
            Self::File { .. } | Self::Connection { .. } | Self::Usage(_) | Self::Data(_) => 2,
        }
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::Redis { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Damaged { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Connection { address, what } => write!(f, "{address}: {what}"),
            Self::Refused { request, answer } => {
                write!(f, "the server refused {request}: {answer}")
            }
            Self::Usage(text) | Self::Found(text) => f.write_str(text),
            Self::Data(fatal) => f.write_str(&fatal.what()),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<DialError> for AdminError {
    fn from(error: DialError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<Fatal> for AdminError {
    fn from(fatal: Fatal) -> Self {
        Self::Data(Box::new(fatal))
    }
}
