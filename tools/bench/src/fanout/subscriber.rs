//! A subscriber's connection: how it subscribes, and how deliveries are told apart in what comes.
//!
//! Must not be used for untrusted servers: lengths that a server names are believed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::Kind;

pub(super) struct Subscriber {
    pub(super) stream: TcpStream,
    counter: Counter,
}

enum Counter {
    /// All messages have this many bytes; bytes of the one that is not complete.
    Fixed { each: usize, open: usize },
    /// Frames of RFC 6455: bytes of the header that have come, payload bytes that are missing.
    Frames { header: Vec<u8>, missing: usize },
    /// Events end with an empty line: whether the byte before was a line feed.
    Events { after_line: bool },
}

impl Subscriber {
    pub(super) fn connect(
        kind: Kind,
        at: SocketAddr,
        channel: &str,
        size: usize,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        let counter = match kind {
            Kind::Resp => {
                let bulk = format!("${}\r\n{channel}\r\n", channel.len());
                let ask = format!("*2\r\n$9\r\nSUBSCRIBE\r\n{bulk}");
                stream.write_all(ask.as_bytes())?;
                let answer = format!("*3\r\n$9\r\nsubscribe\r\n{bulk}:1\r\n");
                stream.read_exact(&mut vec![0; answer.len()])?;
                let head = format!("*3\r\n$7\r\nmessage\r\n{bulk}${size}\r\n");
                Counter::Fixed { each: head.len() + size + 2, open: 0 }
            }
            Kind::Websocket => {
                let ask = format!(
                    "GET /pubsub/ws?topics={channel} HTTP/1.1\r\nHost: {at}\r\n\
                     Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                stream.write_all(ask.as_bytes())?;
                read_head(&mut stream, "101")?;
                let mut first = Counter::Frames { header: Vec::new(), missing: 0 };
                // The frame that says "connected".
                let mut byte = [0];
                while first.count(&byte_of(&mut stream, &mut byte)?) == 0 {}
                first
            }
            Kind::Sse => {
                let ask =
                    format!("GET /pubsub/sse?topics={channel} HTTP/1.1\r\nHost: {at}\r\n\r\n");
                stream.write_all(ask.as_bytes())?;
                read_head(&mut stream, "200")?;
                Counter::Events { after_line: false }
            }
        };
        Ok(Self { stream, counter })
    }

    /// How many deliveries these bytes complete.
    pub(super) fn count(&mut self, bytes: &[u8]) -> u64 {
        self.counter.count(bytes)
    }
}

fn byte_of(stream: &mut TcpStream, byte: &mut [u8; 1]) -> io::Result<[u8; 1]> {
    stream.read_exact(byte).map(|()| *byte)
}

fn read_head(stream: &mut TcpStream, status: &str) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&byte_of(stream, &mut byte)?);
    }
    let text = String::from_utf8_lossy(&head);
    if text.split(' ').nth(1) == Some(status) {
        return Ok(());
    }
    Err(io::Error::other(format!("expected status {status}, found {text:?}")))
}

impl Counter {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        match self {
            Self::Fixed { each, open } => {
                let all = *open + bytes.len();
                *open = all % *each;
                (all / *each) as u64
            }
            Self::Frames { header, missing } => frames(header, missing, bytes),
            Self::Events { after_line } => {
                let mut events = 0;
                for byte in bytes {
                    events += u64::from(*after_line && *byte == b'\n');
                    *after_line = *byte == b'\n';
                }
                events
            }
        }
    }
}

/// Counts text frames; those of control are passed over.
fn frames(header: &mut Vec<u8>, missing: &mut usize, mut bytes: &[u8]) -> u64 {
    let mut done = 0;
    while !bytes.is_empty() {
        if *missing > 0 {
            let taken = bytes.len().min(*missing);
            *missing -= taken;
            bytes = &bytes[taken..];
        } else {
            header.push(bytes[0]);
            bytes = &bytes[1..];
            match payload_bytes(header) {
                Some(payload) => *missing = payload,
                None => continue,
            }
        }
        if *missing == 0 {
            done += u64::from(header.first().is_some_and(|first| first & 0x0F == 1));
            header.clear();
        }
    }
    done
}

/// The length that a complete header names.
fn payload_bytes(header: &[u8]) -> Option<usize> {
    let short = usize::from(header.get(1)? & 0x7F);
    match short {
        126 => header.get(2..4).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]]))),
        127 => {
            let eight = header.get(2..)?.first_chunk::<8>()?;
            usize::try_from(u64::from_be_bytes(*eight)).ok()
        }
        bytes => Some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_however_they_are_cut() {
        let mut stream = vec![0x81, 3, b'a', b'b', b'c', 0x89, 0, 0x81, 126, 1, 0];
        stream.resize(stream.len() + 256, b'x');
        for cut in 0..stream.len() {
            let mut counter = Counter::Frames { header: Vec::new(), missing: 0 };
            let found = counter.count(&stream[..cut]) + counter.count(&stream[cut..]);
            assert_eq!(found, 2, "cut at {cut}");
        }
        let mut events = Counter::Events { after_line: false };
        assert_eq!(events.count(b"id: 1\ndata: x\n") + events.count(b"\ndata: y\n\n"), 2);
        let mut fixed = Counter::Fixed { each: 10, open: 0 };
        assert_eq!(fixed.count(&[0; 25]) + fixed.count(&[0; 5]), 3);
    }
}
