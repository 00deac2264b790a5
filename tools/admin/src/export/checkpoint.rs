//! What a long job needs to go on after an interruption: a small JSON file beside the data,
//! replaced whole.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::AdminError;

/// A file that holds where a job is.
pub(crate) struct Checkpoint {
    path: PathBuf,
}

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

impl Checkpoint {
    /// The file beside `data` with this suffix.
    pub(crate) fn beside(data: &Path, suffix: &str) -> Self {
        Self { path: beside(data, suffix) }
    }

    /// What was stored, if anything.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        let text = fs::read(&self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => AdminError::Usage(format!(
                "there is nothing to resume: {} is not there",
                self.path.display()
            )),
            _ => AdminError::file("read", &self.path)(error),
        })?;
        serde_json::from_slice(&text).map_err(|error| AdminError::Damaged {
            path: self.path.clone(),
            what: error.to_string(),
        })
    }

    /// Stores where the job is.
    pub(crate) fn store<T: Serialize>(&self, state: &T) -> Result<(), AdminError> {
        let text = serde_json::to_vec(state).expect("a state is plain numbers and text");
        let new = beside(&self.path, ".tmp");
        fs::write(&new, text).map_err(AdminError::file("write", &new))?;
        fs::rename(&new, &self.path).map_err(AdminError::file("rename", &new))
    }

    /// The job is done.
    pub(crate) fn remove(&self) {
        // It may never have been stored, and a leftover only offers to resume what is done.
        let _ = fs::remove_file(&self.path);
    }
}
