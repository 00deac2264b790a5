//! The program under TLS, against a local redis-server.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server that asks for certificates; `None` where there is none that speaks TLS.
fn redis(port: u16, folder: &Path, [cert, key]: &[PathBuf; 2]) -> Option<Ended> {
    let spawned = Command::new("redis-server")
        .args(["--port", "0", "--bind", "127.0.0.1", "--save", "", "--tls-port"])
        .arg(port.to_string())
        .args(["--dir".as_ref(), folder, "--tls-cert-file".as_ref(), cert])
        .args(["--tls-key-file".as_ref(), key.as_path(), "--tls-ca-cert-file".as_ref(), cert])
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => Ended(child),
        Err(error) => {
            eprintln!("SKIPPED: redis-server cannot be started: {error}");
            return None;
        }
    };
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    if !lines.any(|line| line.unwrap().contains("Ready to accept connections")) {
        eprintln!("SKIPPED: this redis-server does not speak TLS");
        return None;
    }
    Some(child)
}

#[test]
fn commands_go_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = ["cert", "key"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], cert.pem()).unwrap();
    std::fs::write(&files[1], signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(_server) = redis(port, folder.path(), &files) else { return };
    let [cert, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let port = port.to_string();
    let cli = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synap-cli"));
        for name in ["SYNAP_HOST", "SYNAP_PORT", "SYNAP_URL", "SYNAP_API_KEY"] {
            command.env_remove(name);
        }
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let known = ["-h", "localhost", "-p", &port, "--tls", "--cacert", cert];
    let shown = ["--cert", cert, "--key", key];
    let all = [&known[..], &shown].concat();
    let large = "v".repeat(100_000);
    assert_eq!(cli(&[&all[..], &["SET", "k", &large]].concat()), (true, "OK\n".to_owned()));
    let (ended, said) = cli(&[&all[..], &["--raw", "GET", "k"]].concat());
    assert!(ended && said.trim_end() == large);
    let url = format!("rediss://localhost:{port}");
    let by_url = [&["-u", &url, "--cacert", cert][..], &shown, &["PING"]].concat();
    assert_eq!(cli(&by_url), (true, "PONG\n".to_owned()));
    // It asks for a certificate; and 127.0.0.1 is not whom its own is for.
    assert!(!cli(&[&known[..], &["PING"]].concat()).0);
    let elsewhere = ["-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", cert];
    let (ended, said) = cli(&[&elsewhere[..], &shown, &["PING"]].concat());
    assert!(!ended && said.contains("not valid for name"), "{said}");
}
