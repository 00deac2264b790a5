//! A blocking connection with buffers for both ways.
//!
//! Guarantees: what was written is sent before anything is waited for. Must not be used for
//! untrusted servers: lengths that a server names are believed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one wait for a server lasts.
const WAIT: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 256 * 1024;

pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    /// Where what was not taken yet begins.
    start: usize,
    pub(super) output: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT))?;
        Ok(Self { stream, input: Vec::new(), start: 0, output: Vec::new() })
    }

    /// What has come and was not taken.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.input[self.start..]
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
    }

    /// Sends what was written and waits for more; false when nothing came for a while.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        self.flush()?;
        self.input.drain(..self.start);
        self.start = 0;
        let held = self.input.len();
        self.input.resize(held + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[held..]);
        self.input.truncate(held + read.as_ref().map_or(0, |bytes| *bytes));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Waits until at least `bytes` are there.
    pub(super) fn need(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffered().len() < bytes {
            self.fill()?;
        }
        Ok(())
    }

    /// The bytes before the next CR LF, which is taken with them; nothing when there is none.
    pub(super) fn line(&mut self) -> Option<String> {
        let end = memchr::memmem::find(self.buffered(), b"\r\n")?;
        let line = String::from_utf8_lossy(&self.buffered()[..end]).into_owned();
        self.take(end + 2);
        Some(line)
    }

    /// Whether a whole line has come.
    pub(super) fn has_line(&self) -> bool {
        memchr::memmem::find(self.buffered(), b"\r\n").is_some()
    }

    /// The next line, waiting for it.
    pub(super) fn need_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(line) = self.line() {
                return Ok(line);
            }
            self.fill()?;
        }
    }
}

/// A server said something else than was expected.
pub(super) fn unexpected(expected: &str, found: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("expected {expected}, found {found:?}"))
}
