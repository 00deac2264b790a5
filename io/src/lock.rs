//! Exclusive use of a data directory: `SO_REUSEPORT` lets a second server share a port silently,
//! this is what stops it before it touches a file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Name of the lock file inside the directory.
pub const LOCK_FILE: &str = "LOCK";
/// More than a process id ever takes.
const HOLDER_BYTES_MAX: u64 = 32;

/// Why a directory could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote: its process id.
        holder: String,
    },
    /// The lock file cannot be opened, locked or written.
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { path, holder } => {
                write!(f, "{} is held by process {holder}", path.display())
            }
            Self::Io { path, source } => write!(f, "cannot lock {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

/// Proof that this process alone uses the directory; ends when dropped, or with the process.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl DirLock {
    /// Locks `directory`, which must exist, by flock(2) on [`LOCK_FILE`] in it.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder's process id, or what the system said.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(LOCK_FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder).map_err(failed)?;
                return Err(LockError::Held { holder: holder.trim().to_owned(), path });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let write_holder = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { file })
    }

    /// Gives the directory up. Dropping does the same, silently.
    ///
    /// # Errors
    /// What the system said.
    pub fn release(self) -> io::Result<()> {
        self.file.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let directory = tempfile::tempdir().expect("directory");
        let lock = DirLock::acquire(directory.path()).expect("nobody holds it");
        match DirLock::acquire(directory.path()) {
            Err(LockError::Held { holder, path }) => {
                assert_eq!(holder, std::process::id().to_string());
                assert!(path.ends_with(LOCK_FILE));
            }
            other => panic!("expected Held, got {other:?}"),
        }
        lock.release().expect("unlock");
        DirLock::acquire(directory.path()).expect("free again");
    }
}
