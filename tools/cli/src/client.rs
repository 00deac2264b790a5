//! One blocking RESP connection.
//!
//! Guarantees: speaks RESP3 when the server has it and RESP2 otherwise; out-of-band pushes never
//! pass for the answer to a command. A failed connection stays failed; the caller opens another.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use synap_dial::{DialError, Stream, Tls};

use crate::args::{Credentials, Target};
use crate::resp::{self, Parser, RespError, Value};

/// How long the server may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection or a request failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The host has no address or does not accept.
    Connect { address: String, source: io::Error },
    /// TLS is asked for and cannot be had.
    Tls(DialError),
    /// The connection broke.
    Io(io::Error),
    /// The server closed the connection.
    Closed,
    /// What came back is not RESP.
    Protocol(RespError),
    /// The server refused the credentials.
    Refused(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, source } => {
                write!(f, "could not connect to {address}: {source}")
            }
            Self::Tls(e) => e.fmt(f),
            Self::Io(e) => write!(f, "connection lost: {e}"),
            Self::Closed => f.write_str("connection closed by the server"),
            Self::Protocol(e) => e.fmt(f),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ClientError {}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    parser: Parser,
}

impl Client {
    /// Connects, authenticates and asks for RESP3.
    ///
    /// # Errors
    /// When nobody accepts, or the credentials are refused.
    pub(crate) fn open(target: &Target) -> Result<Self, ClientError> {
        let address = format!("{}:{}", target.host, target.port);
        let failed = |source| ClientError::Connect { address: address.clone(), source };
        let tls = match &target.tls {
            Some(flags) => Some(Tls::load(flags).map_err(ClientError::Tls)?),
            None => None,
        };
        let found = (target.host.as_str(), target.port).to_socket_addrs().map_err(failed)?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in found {
            match TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    let stream = match &tls {
                        Some(tls) => tls.wrap(stream, &target.host).map_err(failed)?,
                        None => Stream::Plain(stream),
                    };
                    let mut client = Self { stream, parser: Parser::default() };
                    client.greet(&target.credentials)?;
                    return Ok(client);
                }
                Err(e) => last = e,
            }
        }
        Err(failed(last))
    }

    fn greet(&mut self, credentials: &Credentials) -> Result<(), ClientError> {
        let auth: &[&str] = match credentials {
            Credentials::None => &[],
            Credentials::Key(key) => &["AUTH", key],
            Credentials::User(user, password) => &["AUTH", user, password],
        };
        if !auth.is_empty()
            && let Value::Error(text) = self.call(&words(auth))?
        {
            return Err(ClientError::Refused(text));
        }
        // A server without HELLO answers with an error and goes on in RESP2, which is read too.
        self.call(&words(&["HELLO", "3"])).map(|_| ())
    }

    /// Sends a request and waits for its reply.
    pub(crate) fn call(&mut self, args: &[Vec<u8>]) -> Result<Value, ClientError> {
        self.send(args)?;
        loop {
            match self.receive()? {
                Value::Push(_) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, args: &[Vec<u8>]) -> Result<(), ClientError> {
        let sent = self.stream.write_all(&resp::encode(args)).and_then(|()| self.stream.flush());
        sent.map_err(ClientError::Io)
    }

    /// Waits for the next value, pushes included.
    pub(crate) fn receive(&mut self) -> Result<Value, ClientError> {
        let mut chunk = [0; 64 * 1_024];
        loop {
            if let Some(value) = self.parser.next().map_err(ClientError::Protocol)? {
                return Ok(value);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.parser.feed(&chunk[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ClientError::Io(e)),
            }
        }
    }
}

/// Words as arguments.
pub(crate) fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
