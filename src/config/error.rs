//! What can be wrong with a configuration, and where.
//!
//! Every error names its place (file and line, environment variable or flag) so that an operator
//! can go there; values of secret keys never appear in one.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// Line of the configuration file, counted from 1.
    File {
        /// Line, counted from 1.
        line: usize,
    },
    /// Environment variable.
    Env(String),
    /// Command line flag, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "built-in default"),
            Self::File { line } => write!(f, "line {line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing wrong with the configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file named explicitly does not exist.
    Missing {
        /// As given.
        path: PathBuf,
    },
    /// The file exists but cannot be read.
    Read {
        /// As given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than a configuration can sensibly be.
    TooLarge {
        /// As given.
        path: PathBuf,
        /// Bytes allowed.
        expected_bytes_max: u64,
    },
    /// Not YAML, or YAML outside the supported subset and bounds.
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// What the parser expected or refused.
        what: String,
    },
    /// A value of the wrong type, outside its range or not in its list of names.
    Invalid {
        /// Where it was found.
        origin: Origin,
        /// Dotted path of the key.
        key: String,
        /// What would have been right.
        expected: String,
        /// What was there; masked for secrets.
        found: String,
    },
    /// Two settings that exclude each other.
    Conflict {
        /// Where the second one was found.
        origin: Origin,
        /// Dotted path of the key.
        key: String,
        /// What it contradicts, as a sentence fragment.
        with: String,
    },
    /// `${NAME}` without a default, and no such variable.
    Unset {
        /// Where it was used.
        origin: Origin,
        /// Dotted path of the key.
        key: String,
        /// The variable.
        variable: String,
    },
    /// A key nobody knows, under `--strict-config`.
    Unknown(Warning),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => {
                write!(f, "configuration file {} does not exist", path.display())
            }
            Self::Read { path, source } => {
                write!(f, "cannot read configuration file {}: {source}", path.display())
            }
            Self::TooLarge { path, expected_bytes_max } => write!(
                f,
                "configuration file {} is larger than {expected_bytes_max} bytes",
                path.display()
            ),
            Self::Syntax { line, what } => write!(f, "line {line}: {what}"),
            Self::Invalid { origin, key, expected, found } => {
                write!(f, "{origin}: `{key}`: expected {expected}, found {found}")
            }
            Self::Conflict { origin, key, with } => write!(f, "{origin}: `{key}` {with}"),
            Self::Unset { origin, key, variable } => write!(
                f,
                "{origin}: `{key}` uses ${{{variable}}}, which is not set; \
                 give it a default with ${{{variable}:-value}}"
            ),
            Self::Unknown(warning) => write!(f, "{warning}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Missing { .. }
            | Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::Invalid { .. }
            | Self::Conflict { .. }
            | Self::Unset { .. }
            | Self::Unknown(_) => None,
        }
    }
}

/// Everything wrong with one configuration; never empty.
#[derive(Debug)]
pub struct ConfigErrors {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let in_file = matches!(
                error,
                ConfigError::Syntax { .. }
                    | ConfigError::Unknown(Warning { origin: Origin::File { .. }, .. })
                    | ConfigError::Invalid { origin: Origin::File { .. }, .. }
                    | ConfigError::Conflict { origin: Origin::File { .. }, .. }
                    | ConfigError::Unset { origin: Origin::File { .. }, .. }
            );
            match (&self.file, in_file) {
                (Some(path), true) => write!(f, "{}: {error}", path.display())?,
                (Some(_) | None, _) => write!(f, "{error}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something in the configuration that has no effect or is unwise, but does not stop the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub origin: Origin,
    /// Dotted path of the key or section.
    pub key: String,
    /// What is the matter with it.
    pub kind: WarningKind,
}

/// Kinds of [`Warning`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningKind {
    /// No such key; the nearest known one, when there is a near one.
    Unknown {
        /// Last member of the nearest known path.
        nearest: Option<&'static str>,
    },
    /// A known key that never has an effect, and why.
    NoEffect(&'static str),
    /// An environment variable that looks like an orchestrator's link, not a setting.
    NotASetting,
    /// A password in clear text.
    ClearPassword,
    /// No file was given and none was found at the usual places.
    NoFile,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, kind } = self;
        match kind {
            WarningKind::Unknown { nearest } => {
                match origin {
                    Origin::File { line } => write!(f, "unknown key `{key}` at line {line}")?,
                    Origin::Default | Origin::Env(_) | Origin::Flag(_) => {
                        write!(f, "unknown key `{key}` from {origin}")?;
                    }
                }
                match nearest {
                    Some(name) => write!(f, "; did you mean `{name}`?"),
                    None => Ok(()),
                }
            }
            WarningKind::NoEffect(why) => write!(f, "`{key}` ({origin}) has no effect: {why}"),
            WarningKind::NotASetting => write!(
                f,
                "{origin} holds a service link, not a value; ignored (set `{key}` otherwise)"
            ),
            WarningKind::ClearPassword => {
                write!(f, "`{key}` ({origin}) holds a clear password; prefer password_hash")
            }
            WarningKind::NoFile => write!(f, "no configuration file found; using defaults"),
        }
    }
}
