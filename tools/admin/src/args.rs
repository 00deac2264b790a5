//! Options, environment and URLs. Must not connect.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use synap_dial::TlsFlags;

use crate::error::AdminError;

/// Port of the server's HTTP listener.
const HTTP_PORT: u16 = 15_500;

/// Operator's tool of Synap: backup, export and import, the move from Redis, health
#[derive(Debug, Parser)]
#[command(name = "synap-admin", version, max_term_width = 100)]
#[command(after_help = "Exit code: 0 done; 1 something is wrong; 2 it could not begin.")]
pub(crate) struct Options {
    /// HTTP address of the server
    #[arg(long, env = "SYNAP_URL", default_value = "http://127.0.0.1:15500", global = true)]
    url: String,
    /// API key
    #[arg(long, env = "SYNAP_API_KEY", hide_env_values = true, global = true)]
    api_key: Option<String>,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", conflicts_with = "api_key", global = true)]
    user: Option<String>,
    #[command(flatten)]
    tls: TlsFlags,
    /// RESP address of the server, under TLS when the URL is https
    /// [default: host of the URL, port as the server says]
    #[arg(long, value_name = "HOST:PORT", global = true)]
    resp: Option<String>,
    /// One JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) job: Job,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Write a snapshot now, and say what was written
    Snapshot,
    /// Copy a running server's data: a snapshot, and the log since; again into the same directory,
    /// only what is new
    Backup(BackupArgs),
    /// Write all keys to a file
    Export(ExportArgs),
    /// Write the keys of a file into the server: an export, or an RDB or AOF of Redis
    Import(ImportArgs),
    /// Check every file of a data directory, without a server
    Verify {
        /// The data directory
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Figures of the server
    Stats,
    /// Health of the server and its parts; exit 1 unless healthy
    Health,
    /// Ask the server to shut down cleanly
    Stop,
}

/// Of `backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Data directory of the running server, on this machine
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The backup; created if need be
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Only check the backup: every file against its checksum and its format
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) verify: bool,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON document
    Json,
    /// One JSON object per line
    Lines,
    /// Binary, the smallest and fastest
    Binary,
}

/// Of `export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The file; - is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    pub(crate) format: ExportFormat,
    /// Go on where an interrupted export to this file ended
    #[arg(long)]
    pub(crate) resume: bool,
}

/// What a file to import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// Look at its first bytes
    Auto,
    /// Export, one JSON document
    Json,
    /// Export, one JSON object per line
    Lines,
    /// Export, binary
    Binary,
    /// Snapshot of Redis
    Rdb,
    /// Append-only file of Redis, its manifest, or the directory it lies in
    Aof,
}

/// What happens to keys that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// They stay, unless the file has the same key
    Merge,
    /// They are removed first
    Replace,
}

/// Of `import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The file or directory
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// What it is
    #[arg(long, value_enum, default_value_t = ImportFormat::Auto)]
    pub(crate) format: ImportFormat,
    /// What happens to keys that the server has
    #[arg(long, value_enum, default_value_t = Mode::Merge)]
    pub(crate) mode: Mode,
    /// Check the file and say what would be imported, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The database of Redis to import [default: 0, and no other may hold keys]
    #[arg(long, value_name = "N")]
    pub(crate) db: Option<u64>,
    /// Leave out values of types that the server does not have, instead of refusing the file
    #[arg(long)]
    pub(crate) skip_unsupported: bool,
    /// Go on where an interrupted import of this file ended
    #[arg(long)]
    pub(crate) resume: bool,
}

/// Who the client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody.
    None,
    /// A key.
    Key(String),
    /// User and password.
    User(String, String),
}

/// Which server, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `http://HOST:PORT` or `https://HOST:PORT`, without a slash at the end.
    pub(crate) url: String,
    /// The host in it.
    pub(crate) host: String,
    /// RESP address, where it was given.
    pub(crate) resp: Option<String>,
    /// As whom.
    pub(crate) credentials: Credentials,
    /// Everything goes under TLS, with these files.
    pub(crate) tls: Option<TlsFlags>,
}

impl Options {
    /// Where to connect.
    ///
    /// # Errors
    /// The URL or `--user` has the wrong form.
    pub(crate) fn target(&self) -> Result<Target, AdminError> {
        let bad = || {
            let expected = "expected http[s]://[USER:PASSWORD@]HOST[:PORT]";
            AdminError::Usage(format!("--url: {expected}, found {:?}", self.url))
        };
        let plain = self.url.strip_prefix("http://");
        let rest = plain.or_else(|| self.url.strip_prefix("https://")).ok_or_else(bad)?;
        let rest = rest.trim_end_matches('/');
        if plain.is_some() && self.tls != TlsFlags::default() {
            let why = "--cacert, --cert and --key need a URL of https://";
            return Err(AdminError::Usage(why.to_owned()));
        }
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let (host, port) = split_port(address).ok_or_else(bad)?;
        let pair = |text: &str| {
            let (user, password) = text.split_once(':')?;
            Some(Credentials::User(user.to_owned(), password.to_owned()))
        };
        let credentials = match (&self.user, &self.api_key, user) {
            (Some(text), _, _) => pair(text)
                .ok_or_else(|| AdminError::Usage("--user: expected USER:PASSWORD".to_owned()))?,
            (None, Some(key), _) => Credentials::Key(key.clone()),
            (None, None, Some(text)) => pair(text).ok_or_else(bad)?,
            (None, None, None) => Credentials::None,
        };
        let scheme = if plain.is_some() { "http" } else { "https" };
        let (url, host) = (format!("{scheme}://{host}:{port}"), host.to_owned());
        let tls = plain.is_none().then(|| self.tls.clone());
        Ok(Target { url, host, resp: self.resp.clone(), credentials, tls })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; the host keeps its brackets.
fn split_port(address: &str) -> Option<(&str, u16)> {
    let bracket = address.find(']').map_or(0, |at| at + 1);
    let (host, port) = match address[bracket..].find(':') {
        Some(at) => (&address[..bracket + at], address[bracket + at + 1..].parse().ok()?),
        None => (address, HTTP_PORT),
    };
    (!host.is_empty() && !host.contains('/')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(args: &[&str]) -> Result<Target, AdminError> {
        let words = [&["synap-admin"], args, &["stats"]].concat();
        Options::try_parse_from(words).unwrap().target()
    }

    #[test]
    fn the_definition_is_consistent() {
        <Options as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn urls_name_host_port_and_user() {
        let found = target(&["--url", "http://u:p@[::1]:7000/"]).unwrap();
        assert_eq!((found.url.as_str(), found.host.as_str()), ("http://[::1]:7000", "[::1]"));
        assert_eq!(found.credentials, Credentials::User("u".into(), "p".into()));
        assert_eq!(target(&["--url", "http://box"]).unwrap().url, "http://box:15500");
        let keyed = target(&["--url", "http://box", "--api-key", "k"]).unwrap();
        assert_eq!(keyed.credentials, Credentials::Key("k".into()));
        let sealed = target(&["--url", "https://box", "--cacert", "ca"]).unwrap();
        assert_eq!(sealed.url, "https://box:15500");
        assert_eq!(sealed.tls.unwrap().cacert, Some("ca".into()));
        assert!(target(&["--url", "http://box", "--cacert", "ca"]).is_err());
        for bad in ["box:1", "ftp://box", "http://", "http://a:x", "http://u@a", "http://a/b"] {
            assert!(target(&["--url", bad]).is_err(), "{bad}");
        }
        assert!(target(&["--user", "nobody"]).is_err());
    }
}
