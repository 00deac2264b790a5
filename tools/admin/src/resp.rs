//! One blocking RESP2 connection with pipelining.
//!
//! Guarantees: replies come in the order of the requests; nothing is allocated for an announced
//! length before its bytes are there. A connection that failed is not used again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use synap_dial::{Stream, Tls};

use crate::args::{Credentials, Target};
use crate::error::AdminError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
const LINE_BYTES_MAX: u64 = 64 * 1024;
const STRING_BYTES_MAX: i64 = 512 * 1024 * 1024;
const ITEMS_MAX: i64 = 16 * 1024 * 1024;
const DEPTH_MAX: usize = 8;
const BUFFER_BYTES: usize = 256 * 1024;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status.
    Status(String),
    /// An error with its code word.
    Error(String),
    /// A number.
    Integer(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// Nothing.
    Nil,
    /// Several.
    Array(Vec<Self>),
}

impl Reply {
    /// The first error in it.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            Self::Array(items) => items.iter().find_map(Self::error),
            Self::Status(_) | Self::Integer(_) | Self::Bulk(_) | Self::Nil => None,
        }
    }
}

/// Appends a request.
pub(crate) fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// An open connection.
pub(crate) struct Connection {
    address: String,
    reader: BufReader<Stream>,
}

impl Connection {
    /// Connects to `HOST:PORT`, under TLS if the target asks for it, and authenticates.
    pub(crate) fn open(address: &str, target: &Target) -> Result<Self, AdminError> {
        let tls = match &target.tls {
            Some(flags) => Some(Tls::load(flags)?),
            None => None,
        };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let failed = |error: std::io::Error| AdminError::Connection {
            address: address.to_owned(),
            what: format!("cannot connect: {error}"),
        };
        let mut last = std::io::ErrorKind::AddrNotAvailable.into();
        for found in address.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&found, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    stream.set_read_timeout(Some(REPLY_TIMEOUT)).map_err(failed)?;
                    stream.set_write_timeout(Some(REPLY_TIMEOUT)).map_err(failed)?;
                    let stream = match &tls {
                        Some(tls) => tls.wrap(stream, host).map_err(failed)?,
                        None => Stream::Plain(stream),
                    };
                    let reader = BufReader::with_capacity(BUFFER_BYTES, stream);
                    let mut connection = Self { address: address.to_owned(), reader };
                    connection.authenticate(&target.credentials)?;
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    fn authenticate(&mut self, credentials: &Credentials) -> Result<(), AdminError> {
        match credentials {
            Credentials::None => Ok(()),
            Credentials::Key(key) => self.demand(&[b"AUTH", key.as_bytes()]).map(drop),
            Credentials::User(user, password) => {
                self.demand(&[b"AUTH", user.as_bytes(), password.as_bytes()]).map(drop)
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Result<Reply, AdminError> {
        let mut bytes = Vec::new();
        push_command(&mut bytes, words);
        self.send(&bytes)?;
        self.receive()
    }

    /// As [`Connection::call`], with an error reply as an error.
    pub(crate) fn demand(&mut self, words: &[&[u8]]) -> Result<Reply, AdminError> {
        let reply = self.call(words)?;
        let Some(answer) = reply.error() else { return Ok(reply) };
        let request = String::from_utf8_lossy(words[0]).into_owned();
        Err(AdminError::Refused { request, answer: answer.to_owned() })
    }

    /// Sends requests made by [`push_command`].
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), AdminError> {
        let stream = self.reader.get_mut();
        let sent = stream.write_all(bytes).and_then(|()| stream.flush());
        sent.map_err(|error| self.broken(error.to_string()))
    }

    /// Waits for the next reply.
    pub(crate) fn receive(&mut self) -> Result<Reply, AdminError> {
        self.reply(0)
    }

    fn reply(&mut self, depth: usize) -> Result<Reply, AdminError> {
        let line = self.line()?;
        let (kind, text) = line.split_at_checked(1).unwrap_or(("", ""));
        Ok(match kind {
            "+" => Reply::Status(text.to_owned()),
            "-" => Reply::Error(text.to_owned()),
            ":" => Reply::Integer(self.number(text)?),
            "$" => match self.number(text)? {
                ..0 => Reply::Nil,
                length @ 0..=STRING_BYTES_MAX => Reply::Bulk(self.body(length as u64)?),
                _ => return Err(self.broken("a reply beyond the limit".to_owned())),
            },
            "*" => match self.number(text)? {
                ..0 => Reply::Nil,
                count @ 0..=ITEMS_MAX if depth < DEPTH_MAX => {
                    let items = (0..count).map(|_| self.reply(depth + 1));
                    Reply::Array(items.collect::<Result<_, _>>()?)
                }
                _ => return Err(self.broken("a reply beyond the limit".to_owned())),
            },
            _ => return Err(self.broken(format!("no RESP: {line:?}"))),
        })
    }

    fn line(&mut self) -> Result<String, AdminError> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|error| self.broken(error.to_string()))?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None => Err(self.broken("the server closed the connection".to_owned())),
        }
    }

    fn number(&self, text: &str) -> Result<i64, AdminError> {
        text.parse().map_err(|_| self.broken(format!("no number: {text:?}")))
    }

    fn body(&mut self, length: u64) -> Result<Vec<u8>, AdminError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(length + 2).read_to_end(&mut bytes);
        read.map_err(|error| self.broken(error.to_string()))?;
        if bytes.len() as u64 != length + 2 || !bytes.ends_with(b"\r\n") {
            return Err(self.broken("a reply is cut off".to_owned()));
        }
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    fn broken(&self, what: String) -> AdminError {
        AdminError::Connection { address: self.address.clone(), what }
    }
}
