//! Replies to bytes, in both versions of the protocol.
//!
//! Guarantees: what is written is one whole reply, nothing but byte strings can contain a line
//! end, and no allocation is made but the growth of the output. It knows no command.

use std::fmt::{self, Write};

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::double;

use super::decode::ProtocolError;

/// Version of the protocol that a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// Strings, integers, arrays and errors.
    #[default]
    Resp2,
    /// With nil, booleans, doubles, maps, sets and verbatim text.
    Resp3,
}

impl Protocol {
    /// Its number in `HELLO`.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Appends `reply` to `out`.
pub fn encode(reply: &Reply<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    let resp3 = protocol == Protocol::Resp3;
    match reply {
        Reply::Nil if resp3 => out.extend_from_slice(b"_\r\n"),
        Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
        Reply::NilArray if resp3 => out.extend_from_slice(b"_\r\n"),
        Reply::NilArray => out.extend_from_slice(b"*-1\r\n"),
        Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
        Reply::Status(word) => line(b'+', word, out),
        Reply::Line(text) => line(b'+', text, out),
        Reply::Integer(number) => integer_line(b':', *number, out),
        Reply::Double(number) => write_double(*number, resp3, out),
        Reply::Decimal(number) => decimal(*number, resp3, out),
        Reply::Boolean(true) if resp3 => out.extend_from_slice(b"#t\r\n"),
        Reply::Boolean(false) if resp3 => out.extend_from_slice(b"#f\r\n"),
        Reply::Boolean(truth) => integer_line(b':', i64::from(*truth), out),
        Reply::Bytes(bytes) => bulk(bytes, out),
        Reply::Text(text) if resp3 => verbatim(b"txt", text.as_bytes(), out),
        Reply::Text(text) => bulk(text.as_bytes(), out),
        Reply::Verbatim { format, bytes } if resp3 => verbatim(format, bytes, out),
        Reply::Verbatim { bytes, .. } => bulk(bytes, out),
        Reply::BigNumber(digits) if resp3 => line(b'(', digits, out),
        Reply::BigNumber(digits) => bulk(digits.as_bytes(), out),
        Reply::Array(items) => sequence(b'*', items, protocol, out),
        Reply::Set(items) => sequence(if resp3 { b'~' } else { b'*' }, items, protocol, out),
        Reply::Map(pairs) => {
            let (kind, count) = if resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
            head(kind, count, out);
            for (name, value) in pairs {
                encode(name, protocol, out);
                encode(value, protocol, out);
            }
        }
        Reply::Push(items) => sequence(if resp3 { b'>' } else { b'*' }, items, protocol, out),
        Reply::Several(replies) => {
            replies.iter().for_each(|reply| encode(reply, protocol, out));
        }
        Reply::Named(pairs) => {
            head(if resp3 { b'%' } else { b'*' }, pairs.len(), out);
            for (name, value) in pairs {
                if !resp3 {
                    head(b'*', 2, out);
                }
                encode(name, protocol, out);
                encode(value, protocol, out);
            }
        }
        Reply::Pairs(pairs) => {
            head(b'*', if resp3 { pairs.len() } else { pairs.len() * 2 }, out);
            for (first, second) in pairs {
                if resp3 {
                    head(b'*', 2, out);
                }
                encode(first, protocol, out);
                encode(second, protocol, out);
            }
        }
        Reply::Error(error) => command_error(error, out),
    }
}

/// Appends the answer to a request that broke the protocol; nothing for one that gets no answer.
pub fn protocol_error(error: ProtocolError, out: &mut Vec<u8>) {
    if error != ProtocolError::CrossProtocol {
        error_line("ERR", &error, out);
    }
}

fn command_error(error: &CommandError, out: &mut Vec<u8>) {
    error_line(error.code(), error, out);
}

fn error_line(code: &str, text: &dyn fmt::Display, out: &mut Vec<u8>) {
    out.push(b'-');
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    write!(OneLine(out), "{text}").expect("a vector takes all that is written to it");
    out.extend_from_slice(b"\r\n");
}

/// Replaces what would end the line early.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let clean = |byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        self.0.extend(text.bytes().map(clean));
        Ok(())
    }
}

fn line(kind: u8, word: &str, out: &mut Vec<u8>) {
    debug_assert!(!word.contains(['\r', '\n']), "a status is one line");
    out.push(kind);
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + NUMBER_BYTES_MAX + 5);
    head(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn verbatim(format: &[u8; 3], text: &[u8], out: &mut Vec<u8>) {
    head(b'=', text.len() + 4, out);
    out.extend_from_slice(format);
    out.push(b':');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn sequence(kind: u8, items: &[Reply<'_>], protocol: Protocol, out: &mut Vec<u8>) {
    head(kind, items.len(), out);
    for item in items {
        encode(item, protocol, out);
    }
}

/// Digits of the longest 64-bit integer, with its sign.
const NUMBER_BYTES_MAX: usize = 20;

/// A line with a kind and a length.
fn head(kind: u8, count: usize, out: &mut Vec<u8>) {
    number_line(kind, false, count as u64, out);
}

fn integer_line(kind: u8, number: i64, out: &mut Vec<u8>) {
    number_line(kind, number < 0, number.unsigned_abs(), out);
}

/// Written backwards into a small buffer and appended once.
fn number_line(kind: u8, negative: bool, magnitude: u64, out: &mut Vec<u8>) {
    let mut buffer = [0u8; NUMBER_BYTES_MAX + 3];
    let mut at = buffer.len() - 2;
    buffer[at..].copy_from_slice(b"\r\n");
    let mut rest = magnitude;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if negative {
        at -= 1;
        buffer[at] = b'-';
    }
    at -= 1;
    buffer[at] = kind;
    out.extend_from_slice(&buffer[at..]);
}

fn decimal(number: f64, resp3: bool, out: &mut Vec<u8>) {
    let text = double::places(number);
    if resp3 { line(b',', &text, out) } else { bulk(text.as_bytes(), out) }
}

fn write_double(number: f64, resp3: bool, out: &mut Vec<u8>) {
    let mut buffer = Small::default();
    double::write(number, &mut buffer).expect("the buffer has room for every double");
    if resp3 {
        out.push(b',');
        out.extend_from_slice(buffer.bytes());
        out.extend_from_slice(b"\r\n");
    } else {
        bulk(buffer.bytes(), out);
    }
}

/// Longest text of a double: 17 digits, a sign, a point, zeros or an exponent.
const DOUBLE_BYTES_MAX: usize = 32;

#[derive(Default)]
struct Small {
    bytes: [u8; DOUBLE_BYTES_MAX],
    length: usize,
}

impl Small {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Small {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply<'_>, protocol: Protocol) -> String {
        let mut out = Vec::new();
        encode(reply, protocol, &mut out);
        String::from_utf8(out).expect("the replies here are text")
    }

    #[test]
    fn every_kind_of_reply_in_both_versions() {
        let one = || Reply::Integer(1);
        for (reply, resp2, resp3) in [
            (Reply::Nil, "$-1\r\n", "_\r\n"),
            (Reply::NilArray, "*-1\r\n", "_\r\n"),
            (Reply::Ok, "+OK\r\n", "+OK\r\n"),
            (Reply::Status("PONG"), "+PONG\r\n", "+PONG\r\n"),
            (Reply::Integer(0), ":0\r\n", ":0\r\n"),
            (Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (Reply::Integer(i64::MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
            (Reply::Boolean(false), ":0\r\n", "#f\r\n"),
            (Reply::borrowed(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
            (Reply::borrowed(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Reply::Text("hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
            (Reply::Array(vec![one(), Reply::Nil]), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n"),
            (Reply::Map(vec![(Reply::Ok, one())]), "*2\r\n+OK\r\n:1\r\n", "%1\r\n+OK\r\n:1\r\n"),
            (Reply::Pairs(vec![(one(), one())]), "*2\r\n:1\r\n:1\r\n", "*1\r\n*2\r\n:1\r\n:1\r\n"),
            (Reply::Named(vec![(one(), one())]), "*1\r\n*2\r\n:1\r\n:1\r\n", "%1\r\n:1\r\n:1\r\n"),
            (Reply::Set(vec![one()]), "*1\r\n:1\r\n", "~1\r\n:1\r\n"),
            (Reply::Error(CommandError::Syntax), "-ERR syntax error\r\n", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(text(&reply, Protocol::Resp2), resp2, "{reply:?}");
            assert_eq!(text(&reply, Protocol::Resp3), resp3, "{reply:?}");
        }
    }

    #[test]
    fn errors_stay_on_one_line() {
        let error = CommandError::Quoted { before: "a", found: "\r\n+OK\r\n".into(), after: "b" };
        assert_eq!(text(&Reply::Error(error), Protocol::Resp2), "-ERR a  +OK  b\r\n");
        let mut out = Vec::new();
        protocol_error(ProtocolError::InvalidBulkLength, &mut out);
        assert_eq!(out, b"-ERR Protocol error: invalid bulk length\r\n");
        out.clear();
        protocol_error(ProtocolError::CrossProtocol, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn doubles_are_short_and_read_back() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.1"),
            (-2.25, "-2.25"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (1e-7, "1e-7"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text(&Reply::Double(number), Protocol::Resp3), format!(",{expected}\r\n"));
        }
        let mut widest = Small::default();
        double::write(-1.234_567_890_123_456_7e-6, &mut widest).expect("the buffer has room");
        double::write(-1.797_693_134_862_315_7e308, &mut Small::default()).expect("it has room");
    }
}
