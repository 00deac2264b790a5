//! The program as a user starts it, against a local redis-server.
//!
//! Guarantees: a free port and a directory of its own for each server; where redis-server is not
//! installed every test says that it was skipped.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

struct Redis {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Redis {
    /// A running server, `None` when there is none on this machine.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--requirepass", "", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(e) => {
                eprintln!("SKIPPED: redis-server cannot be started: {e}");
                return None;
            }
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().contains("Ready to accept connections"));
        assert!(ready, "redis-server ended before it was ready");
        Some(Self { child, port, _dir: dir })
    }

    fn cli(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synap-cli"));
        for name in ["SYNAP_HOST", "SYNAP_PORT", "SYNAP_URL", "SYNAP_API_KEY"] {
            command.env_remove(name);
        }
        command.args(["-p", &self.port.to_string()]).args(args).stdin(Stdio::null());
        command
    }

    fn stdout(&self, args: &[&str]) -> String {
        let output = self.cli(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn piped(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .cli(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn replies_of_the_contract() {
    let Some(redis) = Redis::start() else { return };
    let cases: [(&[&str], &str); 18] = [
        (&["PING"], "PONG\n"),
        (&["SET", "k", "Hello World"], "OK\n"),
        (&["GET", "k"], "\"Hello World\"\n"),
        (&["--raw", "GET", "k"], "Hello World\n"),
        (&["--json", "GET", "k"], "\"Hello World\"\n"),
        (&["GET", "none"], "(nil)\n"),
        (&["--json", "GET", "none"], "null\n"),
        (&["EXISTS", "k"], "(integer) 1\n"),
        (&["SET", "t", "v", "60"], "OK\n"),
        (&["PERSIST", "t"], "(integer) 1\n"),
        (&["TTL", "t"], "(integer) -1\n"),
        (&["INCR", "n", "5"], "(integer) 5\n"),
        (&["DECR", "n", "2"], "(integer) 3\n"),
        (&["MGET", "k", "none"], "1) \"Hello World\"\n2) (nil)\n"),
        (&["KEYS", "zz*"], "(empty list or set)\n"),
        (&["SCAN", "k"], "1) \"k\"\n"),
        (&["DELETE", "k", "t"], "(integer) 2\n"),
        (&["DBSIZE"], "(integer) 1\n"),
    ];
    for (args, expected) in cases {
        assert_eq!(redis.stdout(args), expected, "{args:?}");
    }
    redis.stdout(&["HSET", "h", "a", "1"]);
    assert_eq!(redis.stdout(&["--json", "HGETALL", "h"]), "{\"a\":\"1\"}\n");
    assert!(redis.stdout(&["INFO", "server"]).starts_with("# Server\r\n"));
    assert!(redis.stdout(&["STATS"]).starts_with("# Keyspace\nkeys: 2\n"));
    assert!(redis.stdout(&["HELP", "get"]).starts_with("GET key\n"));
    assert!(redis.stdout(&["HELP"]).contains("string: APPEND"));
}

#[test]
fn failures_are_on_the_error_stream_with_exit_code_1() {
    let Some(redis) = Redis::start() else { return };
    let output = redis.cli(&["GET"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("(error) ERR wrong number"));
    let output = redis.cli(&["--json", "NOSUCH"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("{\"error\":\"ERR unknown"));
    let output = redis.cli(&["-a", "wrong", "PING"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn pipes_run_line_by_line() {
    let Some(redis) = Redis::start() else { return };
    let output = redis.piped(&[], "SET \"a b\" 'x\"y'\n\nGET \"a b\"\nQUIT\nGET never\n");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "OK\n\"x\\\"y\"\n");
    let output = redis.piped(&["--json"], "SET n 1\nINCR n\nGET \"open\nLPUSH n x\nGET n\n");
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = output.stdout.split(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 6);
    assert_eq!((lines[0], lines[1], lines[4]), (&b"\"OK\""[..], &b"2"[..], &b"\"2\""[..]));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synap-cli"));
    let url = format!("resp://127.0.0.1:{port}");
    let output = command.args(["-u", &url, "PING"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with(&format!("could not connect to 127.0.0.1:{port}")), "{message}");
}
