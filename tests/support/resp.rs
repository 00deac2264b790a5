//! A plain RESP client over a socket: it sends what it is told, byte for byte, and hands back whole
//! replies as they came.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// One connection.
pub struct Resp {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Resp {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        Self { stream: super::connect(port), buffer: Vec::new() }
    }

    /// The same; nothing when nobody listens.
    pub fn try_connect(port: u16) -> Option<Self> {
        let stream = super::try_connect(port).ok()?;
        Some(Self { stream, buffer: Vec::new() })
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends bytes; a server that has closed is no failure.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends one command.
    pub fn command(&mut self, words: &[&str]) {
        let bytes = encode(words);
        self.send(&bytes);
    }

    /// Sends one command and shows its reply, as [`show`] does.
    pub fn call(&mut self, words: &[&str]) -> String {
        self.command(words);
        show(&self.reply())
    }

    /// The next whole reply, as it came.
    pub fn reply(&mut self) -> Vec<u8> {
        self.try_reply().expect("a reply before the connection ends")
    }

    /// The next whole reply, or nothing when the server has closed.
    pub fn try_reply(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = frame(&self.buffer) {
                return Some(self.buffer.drain(..length).collect());
            }
            let mut chunk = vec![0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}; so far {:?}", self.buffer),
            }
        }
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
                Err(error) => panic!("the server neither answers nor closes: {error}"),
            }
        }
    }

    /// No more will be sent.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the socket is open");
    }
}

/// A command as clients send it.
pub fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Length of the first whole reply in `bytes`, RESP2 or RESP3.
pub fn frame(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = || -> Option<i64> { std::str::from_utf8(&bytes[1..line]).ok()?.parse().ok() };
    let mut end = line + 2;
    let members = match bytes[0] {
        b'$' | b'=' | b'!' => {
            let length = usize::try_from(number()?).ok();
            let whole = length.map_or(end, |length| end + length + 2);
            return (bytes.len() >= whole).then_some(whole);
        }
        b'*' | b'~' | b'>' => number()?.max(0),
        b'%' | b'|' => number()? * 2,
        _ => 0,
    };
    for _ in 0..members {
        end += frame(&bytes[end..])?;
    }
    Some(end)
}

/// A reply as text: simple replies and numbers with their mark, bulks and texts bare, nothing as
/// `(nil)`, arrays in brackets.
pub fn show(reply: &[u8]) -> String {
    let line = reply.windows(2).position(|pair| pair == b"\r\n").expect("a whole reply");
    let head = String::from_utf8_lossy(&reply[..line]).into_owned();
    match reply[0] {
        _ if head == "$-1" || head == "*-1" || head == "_" => "(nil)".to_owned(),
        b'$' => String::from_utf8_lossy(&reply[line + 2..reply.len() - 2]).into_owned(),
        // The first four bytes tell the kind of text.
        b'=' => String::from_utf8_lossy(&reply[line + 6..reply.len() - 2]).into_owned(),
        b'*' | b'%' | b'~' | b'>' => {
            let mut at = line + 2;
            let mut members = Vec::new();
            while at < reply.len() {
                let length = frame(&reply[at..]).expect("a whole reply");
                members.push(show(&reply[at..at + length]));
                at += length;
            }
            format!("[{}]", members.join(", "))
        }
        _ => head,
    }
}
