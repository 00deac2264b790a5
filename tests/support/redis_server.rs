//! A real Redis to compare with, killed when it goes out of scope.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::resp::Resp;
use super::{free_ports, wait_for};

/// A Redis that keeps nothing.
pub struct Redis {
    child: Child,
    /// Where it listens.
    pub port: u16,
    _directory: tempfile::TempDir,
}

impl Redis {
    /// Starts a plain one and waits until it serves.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that is a cluster of its own, with all slots.
    pub fn start_cluster() -> Self {
        // Its bus would listen 10,000 above the other port, in the range of outgoing connections.
        let bus = free_ports(0).to_string();
        let redis = Self::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
        let mut client = redis.resp();
        assert_eq!(client.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "+OK");
        wait_for("the slots", || client.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        redis
    }

    fn start_with(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_ports(0);
        let child = Command::new("redis-server")
            .current_dir(directory.path())
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        let redis = Self { child, port, _directory: directory };
        wait_for("Redis to serve", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        redis
    }

    /// A connection.
    pub fn resp(&self) -> Resp {
        Resp::connect(self.port)
    }

    /// The first two numbers of its version.
    pub fn version(&self) -> (u32, u32) {
        let info = self.resp().call(&["INFO", "server"]);
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        let mut numbers = version.expect("it tells its version").split('.').map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).expect("numbers and dots");
        (next(), next())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
