//! The command line of the server: what it says about the configuration, and the small jobs that
//! end without serving.

use crate::config::{Config, Flag, Loaded, Sources};
use crate::fatal::Fatal;
use crate::jobs::{Job, say};
use crate::tls::client::connect_unverified;
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Time a health check may take for each step.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Synap server: a durable key-value store, one core per CPU, over HTTP and RESP
#[derive(Debug, Default, Parser)]
#[command(name = "synap-server", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file [default: config.yml, then /etc/synap/config.yml, then none]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Address the HTTP port binds to
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// HTTP port
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// What this server is to others: master, replica or standalone
    #[arg(long)]
    pub role: Option<String>,
    /// Server to copy from, as a replica
    #[arg(long, value_name = "HOST:PORT")]
    pub master_address: Option<String>,
    /// Where replicas connect to, as a master
    #[arg(long, value_name = "HOST:PORT")]
    pub replica_listen: Option<String>,
    /// Reconnect to a lost master
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub auto_reconnect: Option<String>,
    /// Cores to run; 0 is one per allowed CPU
    #[arg(long, global = true, value_name = "N")]
    pub workers: Option<String>,
    /// Directory of everything the server keeps
    #[arg(long, global = true, value_name = "PATH")]
    pub data_dir: Option<String>,
    /// Log level or filter; RUST_LOG wins over it
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Refuse unknown configuration keys instead of warning
    #[arg(long, global = true)]
    pub strict_config: bool,
    /// Ask a running server whether it is healthy (SYNAP_HEALTH_ADDR, with https:// under TLS, or
    /// the configured address; SYNAP_HEALTH_CERT and SYNAP_HEALTH_KEY where it asks for
    /// certificates); exit 0 or 1
    #[arg(long)]
    pub health_check: bool,
    /// Check the configuration and exit 0 or 1
    #[arg(long)]
    pub validate: bool,
    /// Print the effective configuration, secrets masked, and exit
    #[arg(long)]
    pub show_config: bool,
    /// A job other than serving
    #[command(subcommand)]
    pub job: Option<Job>,
}

impl Cli {
    /// The sources of the configuration, with this process's environment.
    #[must_use]
    pub fn sources(&self) -> Sources {
        // Variables that are not text cannot be settings of ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Sources {
            file: self.config.clone(),
            env: std::env::vars_os().filter_map(text).collect(),
            flags: self.flags(),
            strict: self.strict_config,
        }
    }

    /// The settings among the flags.
    fn flags(&self) -> Vec<Flag> {
        let given = [
            ("server.host", "--host", &self.host),
            ("server.port", "--port", &self.port),
            ("replication.role", "--role", &self.role),
            ("replication.master_address", "--master-address", &self.master_address),
            ("replication.replica_listen_address", "--replica-listen", &self.replica_listen),
            ("replication.auto_reconnect", "--auto-reconnect", &self.auto_reconnect),
            ("server.workers", "--workers", &self.workers),
            ("data_dir", "--data-dir", &self.data_dir),
            ("logging.level", "--log-level", &self.log_level),
        ];
        let mut flags = Vec::new();
        for (key, name, value) in given {
            if let Some(text) = value {
                flags.push(Flag { key, name, text: text.clone() });
            }
        }
        // As with the environment: naming a role means there is replication.
        if self.role.as_deref().is_some_and(|role| !role.eq_ignore_ascii_case("standalone")) {
            let (key, name) = ("replication.enabled", "--role");
            flags.push(Flag { key, name, text: "true".to_owned() });
        }
        flags
    }

    /// Does the job asked for, if it is not to serve; the exit code is for `main` to return.
    #[must_use]
    pub fn run_job(&self) -> Option<ExitCode> {
        let loaded = || Config::load(&self.sources()).map_err(Fatal::Config);
        let done = |result: Result<ExitCode, Fatal>| result.unwrap_or_else(|f| f.report());
        if let Some(job) = &self.job {
            Some(done(loaded().and_then(|loaded| job.run(&loaded))))
        } else if self.health_check {
            Some(done(loaded().map(|loaded| health(&loaded.config))))
        } else if self.show_config {
            Some(done(loaded().map(|loaded| say(&loaded.config.show()))))
        } else if self.validate {
            Some(done(loaded().map(|loaded| validate(&loaded))))
        } else {
            None
        }
    }
}

fn validate(loaded: &Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    for unsupported in loaded.config.unsupported() {
        eprintln!("warning: the server will not start: {unsupported}");
    }
    match &loaded.file {
        Some(path) => say(&format!("OK: {}\n", path.display())),
        None => say("OK\n"),
    }
}

/// Variables that name what a health check shows to a server that asks for certificates.
const HEALTH_CERT: &str = "SYNAP_HEALTH_CERT";
const HEALTH_KEY: &str = "SYNAP_HEALTH_KEY";

fn health(config: &Config) -> ExitCode {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
    let named = variable("SYNAP_HEALTH_ADDR");
    let (target, is_tls) = match named.as_deref() {
        Some(address) => {
            let bare = address.strip_prefix("https://");
            let found = bare.unwrap_or(address).to_socket_addrs().and_then(|mut found| {
                found.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
            });
            (found, bare.is_some() || config.http_is_tls())
        }
        None => (config.http_addr().map(reachable), config.http_is_tls()),
    };
    let identity = variable(HEALTH_CERT).zip(variable(HEALTH_KEY));
    let asked = target.and_then(|address| {
        let stream = connect(address)?;
        if !is_tls {
            return ask(stream, address);
        }
        let files = identity.as_ref().map(|(cert, key)| (Path::new(cert), Path::new(key)));
        ask(connect_unverified(stream, files)?, address)
    });
    match asked {
        Ok(200..=299) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("unhealthy: HTTP status {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("unhealthy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where to connect to reach a listener bound to every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTH_TIMEOUT))?;
    stream.set_write_timeout(Some(HEALTH_TIMEOUT))?;
    Ok(stream)
}

/// The status of `GET /health`.
fn ask(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<u16> {
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.flush()?;
    let mut bounded = stream.take(ANSWER_BYTES_MAX);
    // The status line is enough; a server that keeps the connection open must not keep us.
    while !answer.contains(&b'\n') {
        let mut chunk = [0; 512];
        match bounded.read(&mut chunk)? {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
    }
    status(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::DoctorArgs;
    use std::net::TcpListener;

    #[test]
    fn the_definition_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let cli = Cli::parse_from([
            "synap-server",
            "--host",
            "127.0.0.1",
            "--port",
            "1",
            "--auto-reconnect",
            "--workers",
            "2",
            "--data-dir",
            "/d",
            "--role",
            "replica",
            "--master-address",
            "m:1",
        ]);
        let sources = Sources { flags: cli.flags(), ..Sources::default() };
        let config = Config::from_text("", &sources).expect("valid").config;
        assert_eq!((config.server.port, config.server.workers), (1, 2));
        let refused: Vec<&str> = config.unsupported().iter().map(|u| u.key).collect();
        assert_eq!(refused, ["replication.enabled", "replication.role"]);
        assert!(config.show().contains("auto_reconnect: true"));
        let off = Cli::parse_from(["synap-server", "--auto-reconnect=no"]);
        assert_eq!(off.auto_reconnect.as_deref(), Some("no"));
    }

    #[test]
    fn a_wrong_flag_is_an_error_that_names_it() {
        let cli = Cli::parse_from(["synap-server", "--port", "x"]);
        let sources = Sources { flags: cli.flags(), ..Sources::default() };
        let message = Config::from_text("", &sources).expect_err("refused").to_string();
        assert!(message.starts_with("flag --port: `server.port`: expected"), "{message}");
    }

    #[test]
    fn doctor_takes_the_common_flags_after_it() {
        let cli = Cli::parse_from(["synap-server", "doctor", "--data-dir", "/d", "-c", "/c"]);
        assert_eq!(cli.job, Some(Job::Doctor(DoctorArgs::default())));
        assert_eq!(cli.data_dir.as_deref(), Some("/d"));
    }

    #[test]
    fn the_status_line_is_read() {
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Some(200));
        assert_eq!(status(b"+PONG\r\n"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn a_server_is_asked_for_its_health() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 512];
            let count = stream.read(&mut request).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("answered");
            request[..count].to_vec()
        });
        let stream = connect(address).expect("it listens");
        assert_eq!(ask(stream, address).expect("answered"), 200);
        assert!(server.join().expect("served").starts_with(b"GET /health HTTP/1.1\r\n"));
    }
}
