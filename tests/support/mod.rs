//! A real server process for black-box tests: free ports, a directory of its own, its log at hand
//! when something goes wrong, killed when it goes out of scope.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]

pub mod disk;
pub mod faulty;
pub mod history;
pub mod http;
pub mod load;
pub mod redis_server;
pub mod resp;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use resp::Resp;

/// How long a start, a stop, or any awaited condition may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a port of this machine, whose calls end after [`PATIENCE`].
pub fn connect(port: u16) -> TcpStream {
    try_connect(port).expect("the server accepts")
}

fn try_connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true).expect("a socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    Ok(stream)
}

/// Ports are taken below the range the kernel gives to outgoing connections, so that no client of
/// a test running beside takes one between its choice and its use.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A port on which nothing listens, and whose `after` followers are free as well.
pub fn free_ports(after: u32) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = PORTS.end - PORTS.start - after;
    for _ in 0..span {
        let step = NEXT.fetch_add(1 + after, Ordering::Relaxed);
        let base = PORTS.start + (std::process::id() * 97 + step) % span;
        let is_free = |port: u32| {
            let port = u16::try_from(port).expect("the range ends below 65536");
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        };
        if (base..=base + after).all(is_free) {
            return u16::try_from(base).expect("the range ends below 65536");
        }
    }
    panic!("no free port");
}

/// How a server is to be started.
#[derive(Clone)]
pub struct Plan {
    root: Arc<tempfile::TempDir>,
    program: PathBuf,
    user: Option<u32>,
    data: PathBuf,
    env: BTreeMap<String, String>,
    config: Option<PathBuf>,
    /// Port of HTTP.
    pub http: u16,
    /// Port of RESP.
    pub resp: u16,
}

impl Plan {
    /// Two cores, a fresh directory, fresh ports.
    pub fn new() -> Self {
        let root = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let data = root.path().join("data");
        let (http, resp) = (free_ports(0), free_ports(0));
        let given = std::env::var_os("SYNAP_TEST_BINARY").map(PathBuf::from);
        let program = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_synap-server").into());
        let (env, config, user) = (BTreeMap::new(), None, None);
        let plan = Self { root, program, user, data, env, config, http, resp };
        plan.env("SYNAP_WORKERS", "2")
            .env("SYNAP_LOG_FORMAT", "pretty")
            .env("SYNAP_HOST", "127.0.0.1")
            .env("SYNAP_KV_STORE__ALLOW_FLUSH_COMMANDS", "true")
            .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", "8")
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Another program than the server as it is built for the tests.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// As another user; only root can do that.
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// Without a variable set before.
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// With this many cores.
    pub fn workers(self, count: usize) -> Self {
        self.env("SYNAP_WORKERS", count)
    }

    /// Acknowledging in this way.
    pub fn fsync(self, mode: &str) -> Self {
        self.env("SYNAP_PERSISTENCE__WAL__FSYNC_MODE", mode)
    }

    /// With its data elsewhere.
    pub fn data_at(mut self, directory: &Path) -> Self {
        self.data = directory.to_owned();
        self
    }

    /// With a configuration file.
    pub fn config(mut self, text: &str) -> Self {
        let path = self.root.path().join("config.yml");
        std::fs::write(&path, text).expect("the file is written");
        self.config = Some(path);
        self
    }

    /// On other ports.
    pub fn fresh_ports(mut self) -> Self {
        (self.http, self.resp) = (free_ports(0), free_ports(0));
        self
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Directory of its log.
    pub fn wal(&self) -> PathBuf {
        self.data.join("wal")
    }

    fn log_path(&self) -> PathBuf {
        self.root.path().join(format!("log-{}", self.http))
    }

    /// What it wrote to its standard streams.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        self.try_spawn().expect("the server's binary runs")
    }

    fn try_spawn(&self) -> std::io::Result<Child> {
        let log = std::fs::File::create(self.log_path()).expect("a log file");
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNAP_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        if let Some(user) = self.user {
            command.uid(user);
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
            .current_dir(self.root.path())
            .env("SYNAP_PORT", self.http.to_string())
            .env("SYNAP_RESP3__PORT", self.resp.to_string())
            .env("SYNAP_DATA_DIR", &self.data)
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
    }

    /// Starts it and waits until it serves.
    pub fn start(&self) -> Server {
        match self.try_start() {
            (Some(server), _) => server,
            (None, code) => panic!("the server ended with {code:?}:\n{}", self.log()),
        }
    }

    /// Starts it and waits until it serves, or has ended with an exit code.
    pub fn try_start(&self) -> (Option<Server>, Option<i32>) {
        let mut server = Server { child: self.spawn(), plan: self.clone() };
        let mut ended = None;
        wait_for("the server to serve", || {
            ended = server.child.try_wait().expect("it can be waited for");
            // Not a connection: the listener of a server killed a moment ago may still take one.
            ended.is_some() || self.log().contains("is ready")
        });
        match ended {
            Some(status) => (None, status.code()),
            None => (Some(server), None),
        }
    }

    /// As [`Plan::run_to_end`]; nothing when it cannot be started at all.
    pub fn try_run_to_end(&self) -> Option<ExitStatus> {
        let mut server = Server { child: self.try_spawn().ok()?, plan: self.clone() };
        Some(server.wait())
    }

    /// Starts it, and waits until it ends of its own accord.
    pub fn run_to_end(&self) -> ExitStatus {
        let mut server = Server { child: self.spawn(), plan: self.clone() };
        server.wait()
    }
}

/// A server at work.
pub struct Server {
    child: Child,
    /// How it was started.
    pub plan: Plan,
}

impl Server {
    /// A server as [`Plan::new`] describes it.
    pub fn start() -> Self {
        Plan::new().start()
    }

    /// A raw RESP connection.
    pub fn resp(&self) -> Resp {
        Resp::connect(self.plan.resp)
    }

    /// A connection of the `redis` crate.
    pub fn redis(&self) -> redis::Connection {
        let url = format!("redis://127.0.0.1:{}/", self.plan.resp);
        let client = redis::Client::open(url).expect("a valid address");
        client.get_connection().expect("the server accepts")
    }

    /// A raw connection to the HTTP port.
    pub fn http(&self) -> http::Http {
        http::Http::connect(self.plan.http)
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.plan.http)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
        let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kib * 1024
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the server to end", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("the wait is over")
    }

    /// Asks it to stop, and waits until it has; panics unless it ends well.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.plan.log());
    }

    /// Waits until its log has this text.
    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log to have `{text}`"), || self.plan.log().contains(text));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.plan.log());
        }
    }
}

/// Runs a job of the server's program, in an environment that says nothing to it.
pub fn job(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synap-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SYNAP_") {
            command.env_remove(name);
        }
    }
    command.args(args).output().expect("the program runs")
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// Polls until a condition holds.
pub fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "waited too long for {what}");
}

/// Polls a condition, and says whether it came to hold.
pub fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Whether a tool is installed; says so when not, because the test that asks then shows less.
pub fn installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: {tool} is not installed; install it to run this check");
    }
    found
}

/// A loop of work in a thread of its own, until it is asked to stop.
pub struct Beside {
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Beside {
    /// An ordinary client that sets and gets, and fails when a reply is wrong or late.
    pub fn client(server: &Server) -> Self {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (stopped, port) = (Arc::clone(&stop), server.plan.resp);
        let thread = std::thread::spawn(move || {
            let mut client = Resp::connect(port);
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) || rounds == 0 {
                let (key, value) = (format!("beside:{}", rounds % 100), format!("v{rounds}"));
                assert_eq!(client.call(&["SET", &key, &value]), "+OK");
                assert_eq!(client.call(&["GET", &key]), value);
                rounds += 1;
            }
            rounds
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; panics if it saw anything wrong.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        thread.join().expect("the client beside saw nothing wrong")
    }
}
