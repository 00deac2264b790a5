//! A plain HTTP client over a socket: it sends what it is told, byte for byte, and takes answers
//! apart strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and header fields.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One connection.
pub struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        Self { stream: super::connect(port), buffer: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes; a server that has closed is no failure.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a request with a body of known length.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Answer {
        self.send(request(method, path, body));
        self.answer(method)
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}; so far {:?}", self.buffer),
        }
    }

    /// The next answer; `method` is that of its request.
    pub fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).expect("an answer before the connection ends")
    }

    /// The next answer, or nothing when the server has closed.
    pub fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            match self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at,
                None if !self.read_more() => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("text");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let mut answer = Answer { status, head, body: Vec::new() };
        if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            return Some(answer);
        }
        let length: usize =
            answer.field("content-length").expect("a length").parse().expect("a number");
        while self.buffer.len() < length {
            assert!(self.read_more(), "the server closed within a body");
        }
        answer.body = self.buffer.drain(..length).collect();
        Some(answer)
    }

    /// Whether the server closes without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.read_more()
    }

    /// No more will be sent.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the socket is open");
    }
}

/// A request with a body of known length.
pub fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
}
