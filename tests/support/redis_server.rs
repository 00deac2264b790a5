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
}

impl Redis {
    /// Starts it and waits until it serves.
    pub fn start() -> Self {
        let port = free_ports(0);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        let redis = Self { child, port };
        wait_for("Redis to serve", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        redis
    }

    /// A connection.
    pub fn resp(&self) -> Resp {
        Resp::connect(self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
