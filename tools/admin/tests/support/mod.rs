//! Real servers for the tests: Synap, and Redis where it is installed; and `synap-admin` itself.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long any awaited condition may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Below the ports that the kernel gives to outgoing connections.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A port on which nothing listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = PORTS.end - PORTS.start;
    (0..span)
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            PORTS.start + (std::process::id() * 89 + step) % span
        })
        .map(|port| u16::try_from(port).expect("the range ends below 65536"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

/// Polls until a condition holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The server's binary, built where this test runs alone.
pub fn server_binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "synap", "--bin", "synap-server"])
            .current_dir(root)
            .status();
        assert!(built.expect("cargo runs").success());
        let admin = Path::new(env!("CARGO_BIN_EXE_synap-admin"));
        admin.with_file_name("synap-server")
    })
}

/// A Synap server with a directory of its own.
pub struct Synap {
    child: Option<Child>,
    root: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
    pub http: u16,
    pub resp: u16,
}

impl Synap {
    /// On a fresh directory.
    pub fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self { child: None, root, env: Vec::new(), http: 0, resp: 0 };
        let data = server.data();
        server.start_on(&data);
        server
    }

    /// On a fresh directory, with more in its environment.
    pub fn start_with(env: Vec<(&'static str, String)>) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self { child: None, root, env, http: 0, resp: 0 };
        let data = server.data();
        server.start_on(&data);
        server
    }

    /// On a directory of the test's.
    pub fn start_at(data: &Path) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self { child: None, root, env: Vec::new(), http: 0, resp: 0 };
        server.start_on(data);
        server
    }

    fn start_on(&mut self, data: &Path) {
        (self.http, self.resp) = (free_port(), free_port());
        let log = std::fs::File::create(self.log_path()).expect("a log file");
        let mut command = Command::new(server_binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNAP_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        let child = command
            .current_dir(self.root.path())
            .env("SYNAP_HOST", "127.0.0.1")
            .env("SYNAP_PORT", self.http.to_string())
            .env("SYNAP_RESP3__PORT", self.resp.to_string())
            .env("SYNAP_DATA_DIR", data)
            .env("SYNAP_WORKERS", "2")
            .env("SYNAP_LOG_FORMAT", "pretty")
            .env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", "1")
            .env("SYNAP_KV_STORE__ALLOW_FLUSH_COMMANDS", "true")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server's binary runs");
        self.child = Some(child);
        wait_for("the server to serve", || {
            let ended = self.child.as_mut().expect("just started").try_wait();
            assert!(matches!(ended, Ok(None)), "it ended:\n{}", self.log());
            self.log().contains("is ready")
        });
    }

    fn log_path(&self) -> PathBuf {
        self.root.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its data directory, unless it was started at another.
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.resp)
    }

    /// Runs `synap-admin` against it.
    pub fn admin(&self, args: &[&str]) -> Output {
        let url = format!("http://127.0.0.1:{}", self.http);
        admin(&[&["--url", &url], args].concat())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
        assert!(child.wait().expect("it ends").success(), "{}", self.log());
    }

    /// Waits until it has ended of its own accord.
    pub fn wait(&mut self) {
        let mut child = self.child.take().expect("it runs");
        assert!(child.wait().expect("it ends").success(), "{}", self.log());
    }
}

impl Drop for Synap {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ended = child.kill();
            let _ended = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// Runs `synap-admin`.
pub fn admin(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synap-admin"));
    command.args(args).env_remove("SYNAP_URL").env_remove("SYNAP_API_KEY");
    command.output().expect("synap-admin runs")
}

/// The output of a run that must have ended well, as JSON.
pub fn good(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The message of a run that must have ended with this code.
pub fn bad(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A Redis server, or nothing, loudly, where it is not installed.
pub struct Redis {
    child: Child,
    pub root: tempfile::TempDir,
    pub port: u16,
}

impl Redis {
    /// With these options.
    pub fn start(options: &[&str]) -> Option<Self> {
        let root = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(root.path())
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            eprintln!("SKIPPED: redis-server is not installed; install it to run this check");
            return None;
        };
        wait_for("redis-server", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        Some(Self { child, root, port })
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A plain RESP connection; replies are shown as text, bulk strings as they are.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream: BufReader::new(stream) }
    }

    /// Runs a command of any bytes.
    pub fn run(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes).expect("the server reads");
        self.reply()
    }

    /// Runs a command of words without blanks.
    pub fn ask(&mut self, command: &str) -> String {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.run(&words)).into_owned()
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a reply");
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        match text.split_at_checked(1) {
            Some(("$", "-1")) => b"(nil)".to_vec(),
            Some(("$", length)) => {
                let mut bytes = vec![0; length.parse::<usize>().expect("a length") + 2];
                self.stream.read_exact(&mut bytes).expect("a body");
                bytes.truncate(bytes.len() - 2);
                bytes
            }
            Some(("*", count)) => {
                let count: usize = count.parse().expect("a count");
                let items: Vec<Vec<u8>> = (0..count).map(|_| self.reply()).collect();
                items.join(&b' ')
            }
            _ => text.into_bytes(),
        }
    }
}
