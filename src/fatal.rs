//! Conditions the process must not outlive: what they are called, how they end the process.
//!
//! Every reason has an exit code of a fixed meaning, and one form of message: what happened, then
//! what to do. Nobody else calls `exit` for a failure.

use crate::auth::OpenError;
use crate::auth::plan::Problem;
use crate::auth::store::{self, StoreError};
use crate::config::{ConfigError, ConfigErrors, Unsupported};
use crate::doctor::{self, Check};
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use synap_io::cpus::PlacementError;
use synap_io::lock::LockError;
use synap_io::snapshot::FileError;
use synap_io::wal::WalError;

const PREFIX: &str = "synap-server: fatal: ";

/// Why the process ends.
#[derive(Debug)]
pub enum Fatal {
    /// The configuration is wrong.
    Config(ConfigErrors),
    /// The configuration asks for what this build does not have; never empty.
    Unsupported(Vec<Unsupported>),
    /// `server.cpu_list` or `server.workers` cannot be honoured.
    Placement(PlacementError),
    /// The files of `server.tls` cannot serve.
    Tls(TlsError),
    /// Log lines cannot be written where the configuration says.
    Logging(crate::logging::LogError),
    /// Data on disk is damaged in a way no crash leaves behind.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Byte offset of the first damage, where it is known.
        offset: Option<u64>,
        /// What was expected there and what was found.
        what: String,
    },
    /// A listener cannot be opened.
    Bind {
        /// The key that names its port.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The log cannot be written or synced. What was acknowledged is on disk; nothing more may be.
    LogWrite {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory of the data cannot be used.
    Data {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Data was written by a newer program.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this program reads.
        supported: u32,
    },
    /// The machine or its limits do not let the server run.
    Environment(Check),
    /// Something the start needs failed.
    Start {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A new directory is to be written where something is.
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A moment is asked for that a backup cannot give.
    Moment {
        /// Why not, and which it can give.
        what: String,
    },
    /// Another process uses the data directory.
    Locked {
        /// Its lock file.
        path: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// A core ended or stopped taking turns.
    Core {
        /// Its number.
        core: usize,
        /// What became of it.
        what: String,
    },
}

impl Fatal {
    /// The process's exit code; 1 to 3 are promised to operators.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Unsupported(_)
            | Self::Placement(_)
            | Self::Tls(_)
            | Self::Logging(_) => 1,
            Self::Corrupt { .. } | Self::Newer { .. } => 2,
            Self::Bind { .. } => 3,
            Self::LogWrite { .. } => 4,
            Self::Environment(_) | Self::Data { .. } | Self::Start { .. } | Self::Locked { .. } => {
                5
            }
            Self::Core { .. } => 6,
            Self::Occupied { .. } | Self::Moment { .. } => 7,
        }
    }

    /// Wraps what the system said of a file or directory of the data.
    pub(crate) fn data(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Data { action, path, source }
    }

    /// Why there is no access control to start with; `file` is the configuration's.
    pub(crate) fn access(file: Option<PathBuf>, error: OpenError) -> Self {
        match error {
            OpenError::Config(problems) => {
                let conflict = |problem: Problem| ConfigError::Conflict {
                    origin: problem.place.origin,
                    key: problem.place.key,
                    with: problem.with,
                };
                let errors = problems.into_iter().map(conflict).collect();
                Self::Config(ConfigErrors { file, errors })
            }
            OpenError::Store(error) => error.into(),
        }
    }

    /// What happened, in one line and without what to do.
    #[must_use]
    pub fn what(&self) -> String {
        let message = self.to_string();
        let line = message.lines().next().unwrap_or_default();
        line.strip_prefix(PREFIX).unwrap_or(line).to_owned()
    }

    /// Says it on standard error and gives the exit code to return from `main`.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(self.code())
    }

    /// Says it on standard error and ends the process at once, from any thread. Nothing is
    /// flushed: the log on disk is what counts.
    pub fn exit(&self) -> ! {
        eprintln!("{self}");
        std::process::exit(i32::from(self.code()))
    }

    /// What to do about it; empty where the message says it all.
    fn remedy(&self) -> String {
        match self {
            Self::Config(_) => "check the file with --validate".to_owned(),
            Self::Unsupported(_) => "remove the key or set it to false".to_owned(),
            Self::Placement(_) => "correct server.workers or server.cpu_list".to_owned(),
            Self::Logging(_) => "correct the section logging".to_owned(),
            Self::Tls(_) => "correct server.tls, or the file it names".to_owned(),
            Self::Corrupt { .. } => {
                "look at it with synap-server doctor --data DIR; then restore from a backup, or \
                 save what is sound with --salvage-to; nothing was changed"
                    .to_owned()
            }
            Self::Bind { key, source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => format!("stop what listens there or change `{key}`"),
                io::ErrorKind::PermissionDenied => {
                    format!("change `{key}` to a port above 1023 or grant CAP_NET_BIND_SERVICE")
                }
                io::ErrorKind::AddrNotAvailable => "bind to an address this machine has".to_owned(),
                _ => format!("change `{key}`"),
            },
            Self::LogWrite { .. } => {
                "check the disk and its free space, then start again".to_owned()
            }
            Self::Data { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "give it to the user that the server runs as".to_owned()
            }
            Self::Newer { .. } => {
                "start the version that wrote it, or a newer one; nothing was changed".to_owned()
            }
            Self::Locked { .. } => "stop it or use another data directory".to_owned(),
            Self::Occupied { .. } => "name a directory that is empty or not there".to_owned(),
            Self::Moment { .. } => "choose another moment or another backup".to_owned(),
            // The doctor's paragraph has its own advice.
            Self::Environment(_) | Self::Data { .. } | Self::Start { .. } | Self::Core { .. } => {
                String::new()
            }
        }
    }
}

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { action, path, source } => Self::Data { action, path, source },
            StoreError::Damaged { path, expected, found } => {
                let what = format!("expected {expected}, found {found}");
                Self::Corrupt { path, offset: None, what }
            }
            StoreError::TooLarge { path, found } => {
                let what = format!("expected a file that can be read again, found {found} bytes");
                Self::Corrupt { path, offset: None, what }
            }
            StoreError::Newer { path, found } => {
                Self::Newer { path, found, supported: store::FORMAT }
            }
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Config(errors) => write!(f, "{errors}")?,
            Self::Unsupported(keys) => {
                for (index, key) in keys.iter().enumerate() {
                    write!(f, "{}{key}", if index > 0 { "\n" } else { "" })?;
                }
            }
            Self::Placement(error) => write!(f, "cores cannot be placed: {error}")?,
            Self::Tls(error) => write!(f, "{error}")?,
            Self::Logging(error) => write!(f, "{error}")?,
            Self::Corrupt { path, offset, what } => {
                write!(f, "{} is damaged", path.display())?;
                if let Some(offset) = offset {
                    write!(f, " at byte {offset}")?;
                }
                write!(f, ": {what}")?;
            }
            Self::Bind { key, addr, source } => {
                write!(f, "cannot listen on {addr} (`{key}`): {source}")?;
            }
            Self::LogWrite { path, source } => {
                write!(f, "cannot write the log {}: {source}", path.display())?;
            }
            Self::Data { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())?;
            }
            Self::Newer { path, found, supported } => write!(
                f,
                "{} has format {found}, this program reads up to format {supported}",
                path.display()
            )?,
            Self::Occupied { path } => {
                write!(f, "{} holds something; nothing was written", path.display())?;
            }
            Self::Moment { what } => f.write_str(what)?,
            Self::Environment(check) => return write!(f, "{}", doctor::explain(check)),
            Self::Start { what, source } => write!(f, "{what}: {source}")?,
            Self::Locked { path, holder } => {
                write!(f, "process {holder} uses the data directory ({})", path.display())?;
            }
            Self::Core { core, what } => write!(f, "core {core} {what}")?,
        }
        let remedy = self.remedy();
        if remedy.is_empty() { Ok(()) } else { write!(f, "\n  what to do: {remedy}") }
    }
}

impl std::error::Error for Fatal {}

impl From<LockError> for Fatal {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { path, holder } => Self::Locked { path, holder },
            LockError::Io { source, .. } => Self::Start { what: "lock the data directory", source },
        }
    }
}

impl From<WalError> for Fatal {
    fn from(error: WalError) -> Self {
        let what = error.to_string();
        match error {
            // What the log's writer does; the rest is reading and housekeeping.
            WalError::Io { action: "write to" | "sync", path, source } => {
                Self::LogWrite { path, source }
            }
            WalError::Io { path, source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::LogWrite { path, source }
            }
            WalError::Io { action, path, source } => Self::Data { action, path, source },
            WalError::Corrupt { path, offset, evidence, .. } => {
                Self::Corrupt { path, offset: Some(offset), what: evidence.to_owned() }
            }
            WalError::Missing { directory: path, .. } => Self::Corrupt { path, offset: None, what },
            WalError::Version { path, found, supported } => {
                Self::Newer { path, found: found.into(), supported: supported.into() }
            }
            WalError::Manifest { copies } => {
                let path = copies.into_iter().next().unwrap_or_default();
                Self::Corrupt { path, offset: None, what }
            }
            WalError::Failed => Self::Core { core: 0, what },
        }
    }
}

impl From<FileError> for Fatal {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io { action, path, source } => Self::Data { action, path, source },
            FileError::Corrupt { path, offset, what } => {
                Self::Corrupt { path, offset: Some(offset), what: what.to_owned() }
            }
            FileError::Missing { path } => {
                let what = "it is missing, and a start needs it".to_owned();
                Self::Corrupt { path, offset: None, what }
            }
            FileError::Version { path, found, supported } => {
                Self::Newer { path, found: found.into(), supported: supported.into() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_key() {
        let addr = "127.0.0.1:15500".parse().expect("an address");
        let fatal =
            Fatal::Bind { key: "server.port", addr, source: io::ErrorKind::AddrInUse.into() };
        let message = fatal.to_string();
        assert!(message.starts_with("synap-server: fatal: cannot listen on 127.0.0.1:15500"));
        assert!(message.contains("change `server.port`"), "{message}");
        assert_eq!(fatal.code(), 3);
    }

    #[test]
    fn damage_names_file_and_offset() {
        let (path, what) = (PathBuf::from("/d/wal/0"), "a bad checksum".to_owned());
        let fatal = Fatal::Corrupt { path, offset: Some(4096), what };
        assert!(fatal.to_string().contains("/d/wal/0 is damaged at byte 4096: a bad checksum"));
        assert_eq!(fatal.code(), 2);
    }
}
