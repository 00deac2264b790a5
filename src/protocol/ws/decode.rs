//! From bytes to messages. Takes the input as it comes, in pieces of any size: what is taken is
//! never asked for again, so a message is unmasked and checked once however it is cut.
//!
//! Bounded by the caller's limit: memory grows with the bytes that came, never with a length that a
//! header promises.

use super::close::{self, Close, CloseCode};
use super::frame::{Header, Opcode, unmask};

/// What came whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// An answer to a ping, or a sign of life that nobody asked for.
    Pong(Vec<u8>),
    /// The peer ends the connection.
    Close(Close),
}

/// What the input held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A message; more may follow.
    Message(Message),
    /// Nothing whole. What was not taken is the start of a header.
    Incomplete,
    /// The peer broke the rules: send this code and close. Nothing that follows is read.
    Broken(CloseCode),
}

/// The frame whose body is coming.
#[derive(Debug)]
struct Current {
    header: Header,
    taken: u64,
}

/// Decodes the messages of one client.
#[derive(Debug, Default)]
pub struct Decoder {
    current: Option<Current>,
    /// What the message is whose frames are coming; nothing between messages.
    kind: Option<Opcode>,
    message: Vec<u8>,
    /// Bytes of a text message that are known to be whole characters.
    checked: usize,
    control: Vec<u8>,
}

impl Decoder {
    /// Takes bytes from the start of `input`, how many is said, until something is whole.
    /// `bytes_max` bounds a message over all of its frames.
    pub fn decode(&mut self, input: &[u8], bytes_max: usize) -> (usize, Decoded) {
        let mut used = 0;
        loop {
            if self.current.is_none() {
                match self.enter(&input[used..], bytes_max) {
                    Ok(Some(length)) => used += length,
                    Ok(None) => return (used, Decoded::Incomplete),
                    Err(code) => return (used, Decoded::Broken(code)),
                }
            }
            used += match self.take(&input[used..]) {
                Ok(taken) => taken,
                Err(code) => return (used, Decoded::Broken(code)),
            };
            let current = self.current.as_ref().expect("a frame was entered");
            if current.taken < current.header.length {
                return (used, Decoded::Incomplete);
            }
            let header = current.header;
            self.current = None;
            match self.finish(header) {
                Ok(Some(message)) => return (used, Decoded::Message(message)),
                Ok(None) => {}
                Err(code) => return (used, Decoded::Broken(code)),
            }
        }
    }

    /// Whether a frame or a message has begun and is not whole.
    pub fn is_inside_message(&self) -> bool {
        self.current.is_some() || self.kind.is_some()
    }

    /// Reads a header; how many bytes it took.
    fn enter(&mut self, input: &[u8], bytes_max: usize) -> Result<Option<usize>, CloseCode> {
        let Some((header, length)) = Header::read(input)? else { return Ok(None) };
        match header.opcode {
            Opcode::Continuation if self.kind.is_none() => return Err(CloseCode::PROTOCOL),
            Opcode::Text | Opcode::Binary if self.kind.is_some() => {
                return Err(CloseCode::PROTOCOL);
            }
            Opcode::Text | Opcode::Binary => self.kind = Some(header.opcode),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        let left = bytes_max.saturating_sub(self.message.len()) as u64;
        if !header.opcode.is_control() && header.length > left {
            return Err(CloseCode::TOO_BIG);
        }
        self.current = Some(Current { header, taken: 0 });
        Ok(Some(length))
    }

    /// Takes what is there of the body.
    fn take(&mut self, input: &[u8]) -> Result<usize, CloseCode> {
        let Current { header, taken } = self.current.as_mut().expect("a frame was entered");
        let left = header.length - *taken;
        let piece = &input[..input.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let is_control = header.opcode.is_control();
        let out = if is_control { &mut self.control } else { &mut self.message };
        unmask(out, piece, header.mask, *taken);
        *taken += piece.len() as u64;
        if !is_control && self.kind == Some(Opcode::Text) {
            self.check_text()?;
        }
        Ok(piece.len())
    }

    /// Checks what has come of a text; the last character may still be on its way.
    fn check_text(&mut self) -> Result<(), CloseCode> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(CloseCode::NOT_UTF8),
        }
        Ok(())
    }

    fn finish(&mut self, header: Header) -> Result<Option<Message>, CloseCode> {
        match header.opcode {
            Opcode::Ping => Ok(Some(Message::Ping(std::mem::take(&mut self.control)))),
            Opcode::Pong => Ok(Some(Message::Pong(std::mem::take(&mut self.control)))),
            Opcode::Close => {
                let body = std::mem::take(&mut self.control);
                close::read(&body).map(|close| Some(Message::Close(close)))
            }
            _ if !header.is_last => Ok(None),
            _ => self.end_message().map(Some),
        }
    }

    fn end_message(&mut self) -> Result<Message, CloseCode> {
        let message = std::mem::take(&mut self.message);
        let checked = std::mem::take(&mut self.checked);
        let kind = self.kind.take();
        if kind != Some(Opcode::Text) {
            return Ok(Message::Binary(message));
        }
        if checked < message.len() {
            return Err(CloseCode::NOT_UTF8);
        }
        let text = String::from_utf8(message).expect("every byte of it was checked");
        Ok(Message::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

    fn frame(first: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match body.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        unmask(&mut out, body, MASK, 0);
        out
    }

    /// Everything decided about `input`, which comes in pieces of `step` bytes.
    fn all(input: &[u8], step: usize) -> Vec<Decoded> {
        let mut decoder = Decoder::default();
        let (mut held, mut said) = (Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            held.extend_from_slice(piece);
            loop {
                let (used, decoded) = decoder.decode(&held, 1000);
                held.drain(..used);
                match decoded {
                    Decoded::Incomplete => break,
                    Decoded::Broken(_) => {
                        said.push(decoded);
                        return said;
                    }
                    Decoded::Message(_) => said.push(decoded),
                }
            }
            assert!(held.len() < super::super::frame::HEADER_BYTES_MAX, "bodies are taken");
        }
        said
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let mut input = frame(0x01, "caf".as_bytes());
        input.extend(frame(0x89, b"are you there"));
        input.extend(frame(0x00, &"é €".as_bytes()[..1]));
        input.extend(frame(0x8a, b""));
        input.extend(frame(0x80, &"é €".as_bytes()[1..]));
        input.extend(frame(0x82, &[0xff; 300]));
        input.extend(frame(0x88, b"\x03\xe8"));
        let close = Close { code: Some(CloseCode::NORMAL), reason: String::new() };
        let expected: Vec<Decoded> = [
            Message::Ping(b"are you there".to_vec()),
            Message::Pong(Vec::new()),
            Message::Text("café €".to_owned()),
            Message::Binary(vec![0xff; 300]),
            Message::Close(close),
        ]
        .into_iter()
        .map(Decoded::Message)
        .collect();
        for step in 1..input.len() {
            assert_eq!(all(&input, step), expected, "{step}");
        }
    }

    #[test]
    fn what_is_wrong_ends_the_connection() {
        let cases = [
            (frame(0x80, b"x"), CloseCode::PROTOCOL),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), CloseCode::PROTOCOL),
            (frame(0x81, b"\xce\xba\xed\xa0\x80"), CloseCode::NOT_UTF8),
            (frame(0x81, b"\xce"), CloseCode::NOT_UTF8),
            ([frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 401])].concat(), CloseCode::TOO_BIG),
            (frame(0x88, b"\x03\xec"), CloseCode::PROTOCOL),
        ];
        for (input, code) in cases {
            assert_eq!(all(&input, 1), [Decoded::Broken(code)], "{input:?}");
        }
    }

    #[test]
    fn bad_text_is_refused_before_its_end() {
        let whole = frame(0x01, b"ok \xf4\x90 and a lot more");
        let header = 6;
        let mut decoder = Decoder::default();
        let (used, decoded) = decoder.decode(&whole[..header + 4], 1000);
        assert_eq!((used, decoded), (header + 4, Decoded::Incomplete));
        let (_, decoded) = decoder.decode(&whole[header + 4..header + 5], 1000);
        assert_eq!(decoded, Decoded::Broken(CloseCode::NOT_UTF8));
    }
}
