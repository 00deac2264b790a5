//! Options, environment and URLs: where to connect and how to show replies.
//!
//! Guarantees: what the command line says beats the environment; `-h VALUE` is the host and `-h`
//! alone is a call for help; options end at the first word of the command. Must not connect.

use std::fmt;

use clap::{ArgAction, Parser, ValueEnum};
use synap_dial::TlsFlags;

use crate::format::Style;

/// Port of the server's RESP listener.
const DEFAULT_PORT: u16 = 6_379;

const URL_HELP: &str = "resp://[USER[:PASSWORD]@]HOST[:PORT]; redis:// and synap:// mean the same, \
                        rediss:// and resps:// TLS";

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// RESP, version 3 where the server has it.
    Resp3,
}

/// Command line client of Synap. Without a command: a prompt, or commands from a pipe.
#[derive(Debug, Parser)]
#[command(name = "synap-cli", version, disable_help_flag = true)]
#[command(after_help = "Exit code: 0, or 1 when a command failed.")]
pub(crate) struct Options {
    /// Host of the server; `-h` alone prints this help.
    #[arg(short = 'h', num_args = 0..=1, value_name = "HOST", allow_hyphen_values = false)]
    short_host: Option<Option<String>>,
    /// Host of the server.
    #[arg(short = 'H', long, env = "SYNAP_HOST", value_name = "HOST")]
    host: Option<String>,
    /// RESP port of the server.
    #[arg(short, long, env = "SYNAP_PORT")]
    port: Option<u16>,
    /// Where and as whom to connect, in one word.
    #[arg(short, long, env = "SYNAP_URL", help = URL_HELP)]
    url: Option<String>,
    /// API key, sent as AUTH KEY.
    #[arg(short, long, env = "SYNAP_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// User and password, sent as AUTH USER PASSWORD.
    #[arg(long, value_name = "USER:PASSWORD", conflicts_with = "api_key")]
    user: Option<String>,
    /// Speak under TLS, as with a URL of rediss:// or resps://.
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    tls_flags: TlsFlags,
    /// How the server is spoken to.
    #[arg(long, value_enum, default_value_t = Transport::Resp3)]
    transport: Transport,
    /// Print values as they are, without types and quotes.
    #[arg(long)]
    raw: bool,
    /// Print one JSON value per reply.
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print this help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Who the client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody.
    None,
    /// `AUTH key`
    Key(String),
    /// `AUTH user password`
    User(String, String),
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Credentials,
    /// Speak under TLS, with these files.
    pub(crate) tls: Option<TlsFlags>,
}

/// Why options were refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OptionError {
    /// The URL has a scheme or form that is not understood.
    BadUrl(String),
    /// `--user` without colon.
    BadUser,
    /// Files of TLS are named, but TLS is not asked for.
    PlainWithFiles,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(url) => write!(
                f,
                "expected resp://[USER[:PASSWORD]@]HOST[:PORT], found {url:?} \
                 (HTTP is not spoken here; the RESP port is {DEFAULT_PORT} by default)"
            ),
            Self::BadUser => f.write_str("--user: expected USER:PASSWORD"),
            Self::PlainWithFiles => {
                f.write_str("--cacert, --cert and --key need --tls: nothing is sent in the clear")
            }
        }
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// True for `-h` without value.
    pub(crate) fn wants_help(&self) -> bool {
        self.short_host == Some(None)
    }

    /// How replies are written.
    pub(crate) fn style(&self) -> Style {
        match (self.raw, self.json) {
            (true, _) => Style::Raw,
            (_, true) => Style::Json,
            _ => Style::Text,
        }
    }

    /// Where to connect: the URL, with host, port and credentials given apart in its place.
    ///
    /// # Errors
    /// When the URL or `--user` has the wrong form.
    pub(crate) fn target(&self) -> Result<Target, OptionError> {
        let Transport::Resp3 = self.transport;
        let mut target = match &self.url {
            Some(url) => parse_url(url)?,
            None => Target {
                host: "127.0.0.1".to_owned(),
                port: DEFAULT_PORT,
                credentials: Credentials::None,
                tls: None,
            },
        };
        if self.tls || target.tls.is_some() {
            target.tls = Some(self.tls_flags.clone());
        } else if self.tls_flags != TlsFlags::default() {
            return Err(OptionError::PlainWithFiles);
        }
        if let Some(host) = self.short_host.as_ref().and_then(Option::as_ref).or(self.host.as_ref())
        {
            target.host.clone_from(host);
        }
        target.port = self.port.unwrap_or(target.port);
        if let Some(user) = &self.user {
            let (name, password) = user.split_once(':').ok_or(OptionError::BadUser)?;
            target.credentials = Credentials::User(name.to_owned(), password.to_owned());
        } else if let Some(key) = &self.api_key {
            target.credentials = Credentials::Key(key.clone());
        }
        Ok(target)
    }
}

fn parse_url(url: &str) -> Result<Target, OptionError> {
    let bad = || OptionError::BadUrl(url.to_owned());
    let after = |schemes: &[&str]| schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let sealed = after(&["rediss://", "resps://"]);
    let tls = sealed.map(|_| TlsFlags::default());
    let plain = || after(&["resp://", "resp3://", "redis://", "synap://"]);
    let rest = sealed.or_else(plain).ok_or_else(bad)?;
    let rest = rest.trim_end_matches('/');
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, rest),
    };
    let credentials = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        None => Credentials::None,
        Some(("", key)) => Credentials::Key(key.to_owned()),
        Some((user, password)) => Credentials::User(user.to_owned(), password.to_owned()),
    };
    let (host, port) = split_port(address).ok_or_else(bad)?;
    Ok(Target { host: host.to_owned(), port, credentials, tls })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        Options::try_parse_from([&["synap-cli"], args].concat()).unwrap()
    }

    #[test]
    fn host_has_three_spellings_and_h_alone_is_help() {
        for args in [["-h", "box", "GET"], ["-H", "box", "GET"], ["--host", "box", "GET"]] {
            let options = options(&args);
            assert_eq!(options.target().unwrap().host, "box");
            assert_eq!(options.command, ["GET"]);
            assert!(!options.wants_help());
        }
        assert!(options(&["-h"]).wants_help());
    }

    #[test]
    fn options_end_at_the_command() {
        let options = options(&["-p", "7000", "SET", "-h", "--json"]);
        assert_eq!(options.command, ["SET", "-h", "--json"]);
        assert_eq!(options.target().unwrap().port, 7_000);
        assert_eq!(options.style(), Style::Text);
    }

    #[test]
    fn tls_is_asked_for_by_flag_or_url() {
        let files = ["--cacert", "ca", "--cert", "c", "--key", "k"];
        let with = |more: &[&str]| options(&[more, &files].concat()).target();
        for asked in [&["--tls"][..], &["-u", "rediss://box"], &["-u", "resps://box:1"]] {
            let tls = with(asked).unwrap().tls.unwrap();
            assert_eq!(tls.cacert, Some("ca".into()));
            assert_eq!((tls.cert, tls.key), (Some("c".into()), Some("k".into())));
        }
        assert_eq!(with(&[]), Err(OptionError::PlainWithFiles));
        assert_eq!(options(&[]).target().unwrap().tls, None);
        let half = Options::try_parse_from(["synap-cli", "--tls", "--cert", "c"]);
        assert!(half.is_err(), "a certificate needs its key");
    }

    #[test]
    fn urls_and_overrides() {
        let target = parse_url("redis://u:p@[::1]:7000/").unwrap();
        let user = Credentials::User("u".into(), "p".into());
        assert_eq!(
            target,
            Target { host: "::1".into(), port: 7_000, credentials: user, tls: None }
        );
        assert_eq!(parse_url("resp://box").unwrap().port, DEFAULT_PORT);
        assert_eq!(options(&["-u", "resp://a:1", "-p", "2"]).target().unwrap().port, 2);
        for bad in ["http://box:15500", "box", "resp://", "resp://a:x", "resp://[::1"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
