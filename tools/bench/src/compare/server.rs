//! A server process under test: started on free ports in a directory of its own.
//!
//! Guarantees: the process inherits the CPU mask of the thread that starts it, so every thread it
//! makes is pinned; it is gone, and its directory with it, when the value is dropped. Its output
//! goes to a file that is quoted when the start fails. Must not build anything.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::CompareError;
use super::scenario::Setup;
use crate::load;

/// How long a server may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two questions whether the server is up.
const POLL: Duration = Duration::from_millis(1);
/// How much of the server's output is quoted when the start fails.
const LOG_TAIL: usize = 2_000;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    /// The local `redis-server`.
    Redis,
    /// `synap-server`.
    Synap,
}

impl Who {
    /// The name in tables and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Synap => "synap",
        }
    }
}

/// What is needed to start one server.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) who: Who,
    pub(crate) binary: PathBuf,
    pub(crate) setup: Setup,
    /// CPUs the process may use.
    pub(crate) cpus: Vec<usize>,
    /// Where data directories are made.
    pub(crate) root: PathBuf,
    /// Further environment of Synap.
    pub(crate) env: Vec<(String, String)>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    launch: Launch,
    child: Child,
    dir: TempDir,
    resp: SocketAddr,
    http: SocketAddr,
}

impl Server {
    /// Starts the server in a new directory and waits until it answers PING (and `/health`).
    pub(crate) fn start(launch: Launch) -> Result<Self, CompareError> {
        let failed = |source| CompareError::Client { what: "data directory", source };
        let dir = tempfile::Builder::new().prefix("synap-bench-").tempdir_in(&launch.root);
        let dir = dir.map_err(failed)?;
        let ports = free_ports().map_err(|e| CompareError::Client { what: "ports", source: e })?;
        let child = spawn(&launch, dir.path(), ports)?;
        let mut server = Self { launch, child, dir, resp: ports.0, http: ports.1 };
        server
            .wait_until(|server| matches!(server.ask(&[b"PING"]), Ok(reply) if reply == "+PONG"))?;
        if server.launch.who == Who::Synap {
            server.wait_until(|server| server.healthy().unwrap_or(false))?;
        }
        Ok(server)
    }

    /// The address of the RESP listener.
    pub(crate) fn resp(&self) -> SocketAddr {
        self.resp
    }

    /// The address of the HTTP listener; nobody listens there for Redis.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process, starts it on the same data, and measures the time until a GET of `key`
    /// finds a value.
    pub(crate) fn kill_and_restart(&mut self, key: &[u8]) -> Result<Duration, CompareError> {
        let failed = |source| CompareError::Client { what: "kill", source };
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        let started = Instant::now();
        self.child = spawn(&self.launch, self.dir.path(), (self.resp, self.http))?;
        let mut last = String::new();
        self.wait_until(|server| match server.ask(&[b"GET", key]) {
            Ok(reply) => {
                last = reply;
                last.starts_with('$')
            }
            Err(_) => false,
        })?;
        let elapsed = started.elapsed();
        if last == "$-1" {
            let key = String::from_utf8_lossy(key).into_owned();
            return Err(CompareError::KeyLost { who: self.launch.who, key });
        }
        Ok(elapsed)
    }

    /// Ends the process in the orderly way.
    pub(crate) fn stop(mut self) -> Result<(), CompareError> {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // An error means that it is gone already, which the wait below finds out.
            let _ = kill_process(pid, Signal::TERM);
        }
        let started = Instant::now();
        while started.elapsed() < STOP_TIMEOUT {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => thread::sleep(POLL * 5),
                Err(source) => return Err(CompareError::Client { what: "wait", source }),
            }
        }
        Err(CompareError::NoStop { who: self.launch.who, waited: STOP_TIMEOUT })
    }

    fn wait_until(&mut self, mut up: impl FnMut(&Self) -> bool) -> Result<(), CompareError> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if up(self) {
                return Ok(());
            }
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            thread::sleep(POLL);
        }
        let log = fs::read(self.dir.path().join("output.log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        let output = String::from_utf8_lossy(tail).into_owned();
        Err(CompareError::NoStart { who: self.launch.who, output })
    }

    /// The first line of the reply to one RESP command, on a connection of its own.
    fn ask(&self, args: &[&[u8]]) -> io::Result<String> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        exchange(self.resp, &request)
    }

    fn healthy(&self) -> io::Result<bool> {
        let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        Ok(exchange(self.http, request)?.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and returns the first line of the answer.
fn exchange(addr: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request)?;
    let mut reply = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let count = stream.read(&mut chunk)?;
        reply.extend_from_slice(&chunk[..count]);
        if let Some(end) = memchr::memchr(b'\r', &reply) {
            return Ok(String::from_utf8_lossy(&reply[..end]).into_owned());
        }
        if count == 0 || reply.len() > 8 * 1_024 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Two ports that were free a moment ago. Both servers get their ports this way because only one
/// of them can be told to choose.
fn free_ports() -> io::Result<(SocketAddr, SocketAddr)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((first.local_addr()?, second.local_addr()?))
}

fn spawn(
    launch: &Launch,
    dir: &Path,
    ports: (SocketAddr, SocketAddr),
) -> Result<Child, CompareError> {
    let log = File::options().create(true).append(true).open(dir.join("output.log"));
    let log = log.map_err(|source| CompareError::Client { what: "log file", source })?;
    let copy = log.try_clone().map_err(|source| CompareError::Client { what: "log", source })?;
    let mut command = match launch.who {
        Who::Redis => redis_command(launch, dir, ports.0.port()),
        Who::Synap => synap_command(launch, dir, ports),
    };
    command.current_dir(dir).stdin(Stdio::null()).stdout(log).stderr(copy);
    // A thread of its own, because the mask is inherited and the caller keeps its own.
    let spawned = thread::scope(|scope| {
        let spawn = || load::pin_thread(&launch.cpus).map(|()| command.spawn());
        scope.spawn(spawn).join()
    });
    let spawned = spawned.map_err(|_| CompareError::Load(load::LoadError::Thread))?;
    let binary = launch.binary.clone();
    spawned.map_err(CompareError::Load)?.map_err(|source| CompareError::Spawn {
        who: launch.who,
        binary,
        source,
    })
}

fn redis_command(launch: &Launch, dir: &Path, port: u16) -> Command {
    let fsync = match launch.setup {
        Setup::Memory | Setup::TwoCores => None,
        Setup::Always => Some("always"),
        Setup::Periodic | Setup::Restart => Some("everysec"),
    };
    let mut command = Command::new(&launch.binary);
    command.args(["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]);
    // What is measured is the log. Rewrites of the file are left out, as automatic snapshots of
    // Synap are: whether one falls into a run of seconds is luck, and it costs more than the log.
    command.args(["--auto-aof-rewrite-percentage", "0", "--daemonize", "no"]);
    command.args(["--appendonly", if fsync.is_some() { "yes" } else { "no" }]);
    command.args(["--appendfsync", fsync.unwrap_or("no")]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
    command
}

fn synap_command(launch: &Launch, dir: &Path, ports: (SocketAddr, SocketAddr)) -> Command {
    let fsync = match launch.setup {
        Setup::Memory | Setup::TwoCores => None,
        Setup::Always => Some("always"),
        Setup::Periodic | Setup::Restart => Some("periodic"),
    };
    let mut command = Command::new(&launch.binary);
    command
        .env("SYNAP_HOST", "127.0.0.1")
        .env("SYNAP_PORT", ports.1.port().to_string())
        .env("SYNAP_RESP3__HOST", "127.0.0.1")
        .env("SYNAP_RESP3__PORT", ports.0.port().to_string())
        .env("SYNAP_DATA_DIR", dir.join("data"))
        .env("SYNAP_WORKERS", launch.cpus.len().to_string())
        .env("SYNAP_PERSISTENCE_ENABLED", fsync.is_some().to_string())
        .env("SYNAP_PERSISTENCE__WAL__FSYNC_MODE", fsync.unwrap_or("never"))
        .env("SYNAP_PERSISTENCE__SNAPSHOT__AUTO_SNAPSHOT", "false")
        .env("SYNAP_KV_STORE__MAX_MEMORY_MB", "4096")
        .env("SYNAP_LOG_LEVEL", "warn");
    command.envs(launch.env.iter().map(|(key, value)| (key, value)));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let (first, second) = free_ports().unwrap();
        assert_ne!(first.port(), second.port());
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_output() {
        let launch = Launch {
            who: Who::Redis,
            binary: "false".into(),
            setup: Setup::Memory,
            cpus: vec![],
            root: std::env::temp_dir(),
            env: vec![],
        };
        let error = Server::start(launch).unwrap_err();
        assert!(matches!(error, CompareError::NoStart { who: Who::Redis, .. }), "{error}");
    }
}
