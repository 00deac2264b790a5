//! A real `redis-server` to compare replies with, ended when it goes out of scope.

use std::process::{Child, Command, Stdio};

use super::{free_ports, wait_for};

/// A Redis of its own that keeps nothing.
pub struct Redis {
    child: Child,
    /// Where it listens.
    pub port: u16,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let port = free_ports(0);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        let redis = Self { child, port };
        wait_for("Redis to serve", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
