//! One client connection: bytes to send, requests in flight, replies scanned.
//!
//! Guarantees: writes what the socket takes and keeps the rest; never blocks once open. A failed
//! connection is given up, it does not reconnect. Must not decide when to send.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::LoadError;
use super::reply::{HttpScanner, RespScanner, Scanner};
use super::request::{Op, Protocol};
use super::tally::Tally;

/// How often a connection is made anew to land on the wanted core.
const CORE_ATTEMPTS: usize = 400;
/// How long the server may take to accept a connection or to answer CLIENT INFO.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct Pending {
    op: Op,
    /// Nanoseconds on the worker's clock from which its latency counts.
    since: u64,
}

/// An open, non-blocking connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    scanner: Scanner,
    /// Bytes not yet written; `written` of them are already gone.
    pub(crate) out: Vec<u8>,
    written: usize,
    pending: VecDeque<Pending>,
}

impl Connection {
    /// Connects; with `only_core`, tries until that core of the server has the connection.
    ///
    /// # Errors
    /// When the server cannot be reached or no attempt lands on the core.
    pub(crate) fn open(
        addr: SocketAddr,
        protocol: Protocol,
        only_core: Option<usize>,
    ) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Connect { addr, source };
        let mut stream = TcpStream::connect_timeout(&addr, SET_UP_TIMEOUT).map_err(failed)?;
        if let Some(wanted) = only_core {
            stream = Self::land_on(wanted, stream, addr)?;
        }
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let scanner = match protocol {
            Protocol::Resp => Scanner::Resp(RespScanner::default()),
            Protocol::Http => Scanner::Http(HttpScanner::default()),
        };
        let (out, pending) = (Vec::with_capacity(4_096), VecDeque::new());
        Ok(Self { stream, scanner, out, written: 0, pending })
    }

    fn land_on(
        wanted: usize,
        mut stream: TcpStream,
        addr: SocketAddr,
    ) -> Result<TcpStream, LoadError> {
        let failed = |source| LoadError::Connect { addr, source };
        let mut found = String::new();
        for _ in 0..CORE_ATTEMPTS {
            found = client_info(&mut stream).map_err(failed)?.trim().to_owned();
            let core = found.split_ascii_whitespace().find_map(|f| f.strip_prefix("core="));
            match core.and_then(|core| core.parse::<usize>().ok()) {
                Some(core) if core == wanted => return Ok(stream),
                Some(_) => {}
                None => break,
            }
            stream = TcpStream::connect_timeout(&addr, SET_UP_TIMEOUT).map_err(failed)?;
        }
        Err(LoadError::Core { wanted, found })
    }

    /// The socket, for registration.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Requests without reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Notes that a request was appended to `out`.
    pub(crate) fn expect_reply(&mut self, op: Op, since: u64) {
        self.pending.push_back(Pending { op, since });
    }

    /// Writes what the socket takes; true when nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// Reads once and counts the replies completed; their number.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        clock: impl Fn() -> u64,
        tally: &mut Tally,
    ) -> io::Result<usize> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(e) => return Err(e),
        };
        let now = clock();
        let pending = &mut self.pending;
        let before = pending.len();
        let scanned = self.scanner.feed(&buffer[..count], |reply| match pending.pop_front() {
            Some(request) => tally.reply(request.op, reply, now.saturating_sub(request.since)),
            None => tally.error("reply without request", 1),
        });
        scanned.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
        Ok(before - pending.len())
    }
}

/// Asks a RESP server for the description of this connection.
fn client_info(stream: &mut TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(SET_UP_TIMEOUT))?;
    stream.write_all(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n")?;
    let mut reply = Vec::new();
    let mut chunk = [0; 1_024];
    // The reply is one bulk or verbatim string; its text ends with a line feed of its own.
    while !(reply.starts_with(b"-") || reply.len() > 16) || !reply.ends_with(b"\r\n") {
        let count = stream.read(&mut chunk)?;
        if count == 0 || reply.len() > 16 * 1_024 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&chunk[..count]);
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
