//! Log lines: one subscriber for the process, pretty or JSON, to a stream or a file.
//!
//! The filter can be changed while the server runs. JSON lines have the members `timestamp`,
//! `level`, `target` and `message`, and the event's own fields beside them. Nothing here may be
//! given values, passwords, keys or query strings to write.

use crate::config::{LogFormat, LogOutput, Logging};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry, reload};

/// Why logging could not be set up or changed.
#[derive(Debug)]
pub enum LogError {
    /// The level or filter is not one.
    Filter {
        /// As configured.
        found: String,
        /// What the parser said.
        source: ParseError,
    },
    /// The log file cannot be opened.
    Open {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process already has a subscriber.
    Twice,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter { found, source } => {
                write!(f, "`{found}` is not a log level or filter: {source}")
            }
            Self::Open { path, source } => {
                write!(f, "cannot open log file {}: {source}", path.display())
            }
            Self::Twice => write!(f, "logging is already set up"),
        }
    }
}

impl std::error::Error for LogError {}

/// Checks a level (`info`) or filter (`info,synap=debug`).
///
/// # Errors
/// The parser's, for anything else.
pub fn check_filter(filter: &str) -> Result<Targets, ParseError> {
    filter.trim().parse()
}

/// Handle on the process's logging. Clones share it.
#[derive(Clone)]
pub struct Logs {
    filter: reload::Handle<Targets, Registry>,
    file: Option<LogFile>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Logs {
    /// Sets the process's subscriber. Once per process, before the first line.
    ///
    /// # Errors
    /// A filter that is none, a file that cannot be opened, a second call.
    pub fn install(logging: &Logging) -> Result<Self, LogError> {
        let filter = parse(&logging.level)?;
        let (filter, handle) = reload::Layer::new(filter);
        let (sink, file) = match &logging.output {
            LogOutput::Stdout => (Sink::Stdout, None),
            LogOutput::Stderr => (Sink::Stderr, None),
            LogOutput::File(path) => {
                let file = LogFile::open(path)?;
                (Sink::File(file.clone()), Some(file))
            }
        };
        let lines = tracing_subscriber::fmt::layer();
        let layer = match logging.format {
            LogFormat::Json => {
                let json = lines.json().flatten_event(true).with_current_span(false);
                json.with_span_list(false).with_writer(sink).with_filter(filter).boxed()
            }
            LogFormat::Pretty => {
                let colours = sink.is_terminal();
                lines.with_ansi(colours).with_writer(sink).with_filter(filter).boxed()
            }
        };
        tracing::subscriber::set_global_default(Registry::default().with(layer))
            .map_err(|_| LogError::Twice)?;
        Ok(Self { filter: handle, file })
    }

    /// Changes the filter from now on.
    ///
    /// # Errors
    /// [`LogError::Filter`]; the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        let targets = parse(filter)?;
        // The subscriber lives as long as the process, so the handle cannot be stale.
        self.filter.reload(targets).map_err(|_| LogError::Twice)
    }

    /// Opens the log file again under its path, so that a rotated one is let go.
    ///
    /// # Errors
    /// [`LogError::Open`]; lines go on to the old file.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }
}

fn parse(filter: &str) -> Result<Targets, LogError> {
    check_filter(filter).map_err(|source| LogError::Filter { found: filter.to_owned(), source })
}

/// A file lines are appended to; clones share it.
#[derive(Debug, Clone)]
struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        let file = Arc::new(Mutex::new(append(path)?));
        Ok(Self { path: path.to_owned(), file })
    }

    fn reopen(&self) -> Result<(), LogError> {
        let fresh = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn append(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| LogError::Open { path: path.to_owned(), source })
}

/// Where lines go.
enum Sink {
    Stdout,
    Stderr,
    File(LogFile),
}

impl Sink {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
            Self::File(_) => false,
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Writes one formatted line, whole.
struct Line<'a>(&'a Sink);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.0 {
            Sink::Stdout => io::stdout().lock().write_all(line)?,
            Sink::Stderr => io::stderr().lock().write_all(line)?,
            Sink::File(LogFile { file, .. }) => {
                file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line)?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {
            Sink::Stdout => io::stdout().flush(),
            Sink::Stderr | Sink::File(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_told_from_nonsense() {
        for good in ["info", "INFO", "info,synap=debug", "off", "synap_io=trace"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["synap=loud", "a=b=c"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }
}
