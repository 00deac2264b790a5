//! The file of what was changed while the server ran: `<data>/auth/access`.
//!
//! One line says what it is, the rest is JSON:
//!
//! ```text
//! synap-access 2 crc32c=0a1b2c3d bytes=1234
//! {"users":[…],"keys":[…],"roles":[…],"rules":[…],"seen":[…],"uses":[…]}
//! ```
//!
//! Format 2 adds rules of Redis (`acl`) to users; while nobody has any, format 1 is written, which
//! older programs can read.
//!
//! It is always written whole, beside the old one, synced and renamed, so a crash leaves one or the
//! other. Only the server's user may read it: it holds hashes of passwords. A file that is not what
//! was written is refused, never repaired: a server that forgot its users would let nobody in, or
//! everybody.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::record::Records;

/// The directory below the data directory.
pub const DIRECTORY: &str = "auth";
/// The file in it.
pub const FILE: &str = "access";
/// The file with the password of the first administrator, until it is changed.
pub const PASSWORD_FILE: &str = "admin-password";
/// The newest format of the file that this program reads and writes; it reads all before.
pub const FORMAT: u32 = 2;
/// Bytes of the file: ten times what the most identities need.
const BYTES_MAX: u64 = 64 << 20;
const MAGIC: &str = "synap-access";

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
        source: io::Error,
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
    /// There is more to write than the file may hold.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes there are.
        found: usize,
    },
    /// The file was written by a newer program.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
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
            Self::TooLarge { path, found } => {
                let most = BYTES_MAX / 2;
                write!(f, "{}: expected at most {most} bytes, found {found}", path.display())
            }
            Self::Newer { path, found } => {
                write!(f, "{}: expected format {FORMAT} or older, found {found}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged { .. } | Self::TooLarge { .. } | Self::Newer { .. } => None,
        }
    }
}

/// Where the file is.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// That of a data directory; nothing is touched yet.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { directory: data.join(DIRECTORY) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// The file with the password of the first administrator.
    #[must_use]
    pub fn password_path(&self) -> PathBuf {
        self.directory.join(PASSWORD_FILE)
    }

    /// What the file says; nothing where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub(super) fn load(&self) -> Result<Option<Records>, StoreError> {
        let path = self.path();
        match read(&path)? {
            Some(bytes) => decode(&path, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the file is what was written; `false` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn verify(&self) -> Result<bool, StoreError> {
        self.load().map(|found| found.is_some())
    }

    /// Replaces the file; it is on disk when this returns.
    pub(super) fn save(&self, records: &Records) -> Result<(), StoreError> {
        let body = serde_json::to_vec(records).expect("texts, numbers and lists are JSON");
        if body.len() as u64 > BYTES_MAX / 2 {
            // What could not be read again must not be written.
            return Err(StoreError::TooLarge { path: self.path(), found: body.len() });
        }
        let mut bytes = head(records.format(), &body).into_bytes();
        bytes.extend_from_slice(&body);
        self.replace(FILE, &bytes)
    }

    /// Writes the password of the first administrator down.
    pub(super) fn save_password(&self, password: &[u8]) -> Result<(), StoreError> {
        self.replace(PASSWORD_FILE, &[password, b"\n"].concat())
    }

    /// Removes it; it may be gone already.
    pub(super) fn remove_password(&self) -> Result<(), StoreError> {
        let path = self.password_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let directory = &self.directory;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed("create", directory))?;
        let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
        // What a crash left may have other permissions.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &new)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
        let mut file = opened.map_err(failed("create", &new))?;
        file.write_all(bytes).map_err(failed("write", &new))?;
        file.sync_all().map_err(failed("sync", &new))?;
        fs::rename(&new, &path).map_err(failed("rename", &new))?;
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(failed("sync", directory))
    }
}

/// Whether a file of a backup is what was written.
///
/// # Errors
/// As [`Store::verify`].
pub fn verify(path: &Path) -> Result<(), StoreError> {
    match read(path)? {
        Some(bytes) => decode(path, &bytes).map(|_| ()),
        None => Err(failed("open", path)(io::ErrorKind::NotFound.into())),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

fn head(format: u32, body: &[u8]) -> String {
    format!("{MAGIC} {format} crc32c={:08x} bytes={}\n", crc32c::crc32c(body), body.len())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > BYTES_MAX {
        let (expected, found) = (format!("at most {BYTES_MAX} bytes"), "more".to_owned());
        return Err(StoreError::Damaged { path: path.to_owned(), expected, found });
    }
    Ok(Some(bytes))
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Records, StoreError> {
    let damaged = |expected: &str, found: String| StoreError::Damaged {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let body = bytes.get(end + 1..).unwrap_or_default();
    let format = line.strip_prefix(MAGIC).and_then(|rest| rest.split_whitespace().next());
    let format = match format.and_then(|format| format.parse::<u32>().ok()) {
        Some(format @ 1..=FORMAT) => format,
        Some(found) if found > FORMAT => {
            return Err(StoreError::Newer { path: path.to_owned(), found });
        }
        Some(_) | None => {
            return Err(damaged("a line that starts with `synap-access`", "another".to_owned()));
        }
    };
    let expected = head(format, body);
    if expected.trim_end() != line {
        return Err(damaged(
            "the checksum and length in its first line",
            format!("crc32c={:08x} bytes={}", crc32c::crc32c(body), body.len()),
        ));
    }
    serde_json::from_slice(body)
        .map_err(|error| damaged("records of users, keys, roles and rules", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_comes_back_and_only_its_owner_can_read_it() {
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::of(data.path());
        assert!(store.load().expect("readable").is_none());
        assert!(!store.verify().expect("readable"));
        let records = Records::example();
        store.save(&records).expect("written");
        store.save(&records).expect("written again");
        assert_eq!(store.load().expect("readable"), Some(records));
        verify(&store.path()).expect("sound");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&store.path()), 0o600);
        assert_eq!(mode(&data.path().join(DIRECTORY)), 0o700);
        store.save_password(b"secret").expect("written");
        assert_eq!(fs::read(store.password_path()).expect("there"), b"secret\n");
        store.remove_password().expect("removed");
        store.remove_password().expect("gone already");
        assert_eq!(fs::read_dir(data.path().join(DIRECTORY)).expect("there").count(), 1);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::of(data.path());
        store.save(&Records::example()).expect("written");
        let sound = fs::read(store.path()).expect("there");
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            assert!(decode(Path::new("x"), &bytes).is_err(), "bit flipped in byte {at}");
            assert!(decode(Path::new("x"), &sound[..at]).is_err(), "cut at {at}");
        }
        let newer = b"synap-access 3 whatever\n{}";
        assert!(matches!(decode(Path::new("x"), newer), Err(StoreError::Newer { found: 3, .. })));
    }
}
