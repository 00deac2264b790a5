//! A WebSocket client that sends what it is told, byte for byte, and reads frames strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::support::PATIENCE;

/// A frame of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With the code it has.
    Close(Option<u16>),
}

impl Reply {
    /// For messages; long bodies are cut.
    pub(crate) fn show(&self) -> String {
        let mut text = format!("{self:?}");
        if text.len() > 80 {
            text.truncate(text.floor_char_boundary(60));
            text.push('…');
        }
        text
    }
}

/// A masked frame: its first byte, then length, mask and body.
pub(crate) fn frame(first: u8, body: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = vec![first];
    match body.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// The same with a mask of the test's.
pub(crate) fn masked(first: u8, body: &[u8]) -> Vec<u8> {
    frame(first, body, [0xa5, 0x5a, 0x13, 0x37])
}

/// One connection behind its upgrade.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Connects and upgrades.
    pub(crate) fn open(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let mut socket = Self { stream, buffer: Vec::new() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert!(socket.try_send(request.as_bytes()));
        let end = loop {
            match socket.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(socket.read_more(), "closed within the answer"),
            }
        };
        let head: Vec<u8> = socket.buffer.drain(..end).collect();
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        socket
    }

    /// Sends bytes; a server that has closed is no failure.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    fn need(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes {
            if !self.read_more() {
                assert!(self.buffer.is_empty(), "closed within a frame");
                return false;
            }
        }
        true
    }

    /// The next frame; nothing when the server has closed.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        if !self.need(2) {
            return None;
        }
        let (first, short) = (self.buffer[0], self.buffer[1]);
        assert_eq!(first & 0xf0, 0x80, "whole frames without reserved bits");
        assert!(short < 128, "a server masks nothing");
        let header = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        self.need(header);
        let length = match short {
            126 => usize::from(u16::from_be_bytes(self.buffer[2..4].try_into().expect("two"))),
            127 => u64::from_be_bytes(self.buffer[2..10].try_into().expect("eight")) as usize,
            short => usize::from(short),
        };
        self.need(header + length);
        let body: Vec<u8> = self.buffer.drain(..header + length).skip(header).collect();
        Some(match first & 0x0f {
            1 => Reply::Text(String::from_utf8(body).expect("text is UTF-8")),
            2 => Reply::Binary(body),
            9 => Reply::Ping(body),
            10 => Reply::Pong(body),
            8 => Reply::Close(body.first_chunk().map(|code| u16::from_be_bytes(*code))),
            other => panic!("opcode {other}"),
        })
    }

    /// Every frame until the server closes.
    pub(crate) fn all(&mut self) -> Vec<Reply> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
