//! RESP2 and RESP3 as a client sees them: one request encoder, one resumable reply parser.
//!
//! Guarantees: works at every split of the input in time linear in the reply; nesting and lengths
//! are bounded and nothing is allocated for an announced length before its bytes are there.
//! Must not touch a socket. Source: the RESP protocol specification of Redis.

use std::fmt;

/// Deepest nesting of aggregates that is followed.
const MAX_DEPTH: usize = 64;
/// Longest string accepted: the protocol's own bound of 512 MiB.
const MAX_STRING: u64 = 512 * 1_024 * 1_024;
/// Longest line accepted.
const MAX_LINE: usize = 1_024 * 1_024;
/// Consumed bytes are thrown away once there are this many.
const COMPACT_AT: usize = 64 * 1_024;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `+`: a status.
    Status(String),
    /// `-` or `!`: an error with its code word.
    Error(String),
    /// `:`
    Integer(i64),
    /// `,` as the server wrote it, `inf` and `nan` included.
    Double(String),
    /// `(` as the server wrote it.
    BigNumber(String),
    /// `#`
    Bool(bool),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `$`
    Bulk(Vec<u8>),
    /// `=` without its three-letter format.
    Verbatim(Vec<u8>),
    /// `*`
    Array(Vec<Self>),
    /// `~`
    Set(Vec<Self>),
    /// `%`, in the order received.
    Map(Vec<(Self, Self)>),
    /// `>`: out of band.
    Push(Vec<Self>),
}

/// Bytes that are not RESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RespError {
    /// The first byte of a value is none of the known types.
    UnknownType(u8),
    /// A number that does not parse.
    BadNumber(String),
    /// A length or line beyond its bound.
    TooLong { at_most: u64, found: u64 },
    /// Aggregates nested beyond the bound.
    TooDeep,
    /// A string without line end behind it.
    NoLineEnd,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(b'H') => {
                f.write_str("the server answers HTTP; synap-cli talks RESP (port 6379 by default)")
            }
            Self::UnknownType(byte) => write!(f, "unknown RESP type byte 0x{byte:02x}"),
            Self::BadNumber(text) => write!(f, "expected a number, found {text:?}"),
            Self::TooLong { at_most, found } => {
                write!(f, "expected at most {at_most} bytes, found {found}")
            }
            Self::TooDeep => write!(f, "reply nested deeper than {MAX_DEPTH}"),
            Self::NoLineEnd => f.write_str("string without line end"),
        }
    }
}

impl std::error::Error for RespError {}

/// Encodes a request as an array of bulk strings.
pub(crate) fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// An aggregate whose items are still coming in.
#[derive(Debug)]
struct Frame {
    kind: u8,
    left: u64,
    items: Vec<Value>,
}

/// A string whose body is still coming in.
#[derive(Clone, Copy, Debug)]
struct Body {
    kind: u8,
    len: usize,
}

/// Turns bytes into values.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    at: usize,
    stack: Vec<Frame>,
    body: Option<Body>,
}

impl Parser {
    /// Adds received bytes.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        if self.at > COMPACT_AT {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(input);
    }

    /// The next complete value, `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Value>, RespError> {
        loop {
            let value = match self.body {
                Some(body) => match self.take_body(body)? {
                    Some(value) => value,
                    None => return Ok(None),
                },
                None => match self.take_line()? {
                    Some(line) => match self.start(&line)? {
                        Some(value) => value,
                        None => continue,
                    },
                    None => return Ok(None),
                },
            };
            if let Some(done) = self.settle(value) {
                return Ok(Some(done));
            }
        }
    }

    fn take_line(&mut self) -> Result<Option<Vec<u8>>, RespError> {
        let rest = &self.buffer[self.at..];
        let end = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n');
        let Some(end) = end else {
            // A wrong protocol need not send line ends: say so at its first byte.
            if let Some(&kind) = rest.first().filter(|kind| !b"+-:$*_,#!=(%~>|".contains(kind)) {
                return Err(RespError::UnknownType(kind));
            }
            if rest.len() >= MAX_LINE {
                let (at_most, found) = (MAX_LINE as u64, rest.len() as u64);
                return Err(RespError::TooLong { at_most, found });
            }
            return Ok(None);
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]).to_vec();
        self.at += end + 1;
        Ok(Some(line))
    }

    fn take_body(&mut self, body: Body) -> Result<Option<Value>, RespError> {
        let rest = &self.buffer[self.at..];
        if rest.len() < body.len + 2 {
            return Ok(None);
        }
        if &rest[body.len..body.len + 2] != b"\r\n" {
            return Err(RespError::NoLineEnd);
        }
        let bytes = rest[..body.len].to_vec();
        self.at += body.len + 2;
        self.body = None;
        Ok(Some(match body.kind {
            b'!' => Value::Error(text(&bytes)),
            b'=' => Value::Verbatim(bytes.get(4..).unwrap_or_default().to_vec()),
            _ => Value::Bulk(bytes),
        }))
    }

    /// Interprets one line: a whole value, or the start of one (`None`).
    fn start(&mut self, line: &[u8]) -> Result<Option<Value>, RespError> {
        let (&kind, rest) = line.split_first().ok_or(RespError::UnknownType(b'\n'))?;
        let value = match kind {
            b'+' => Value::Status(text(rest)),
            b'-' => Value::Error(text(rest)),
            b':' => Value::Integer(number(rest)?),
            b',' => Value::Double(text(rest)),
            b'(' => Value::BigNumber(text(rest)),
            b'#' => Value::Bool(rest == b"t"),
            b'_' => Value::Null,
            b'$' | b'!' | b'=' => return self.start_string(kind, number(rest)?),
            b'*' | b'~' | b'>' => return self.start_aggregate(kind, number(rest)?, 1),
            b'%' | b'|' => return self.start_aggregate(kind, number(rest)?, 2),
            other => return Err(RespError::UnknownType(other)),
        };
        Ok(Some(value))
    }

    fn start_string(&mut self, kind: u8, len: i64) -> Result<Option<Value>, RespError> {
        let Ok(len) = u64::try_from(len) else { return Ok(Some(Value::Null)) };
        if len > MAX_STRING {
            return Err(RespError::TooLong { at_most: MAX_STRING, found: len });
        }
        self.body = Some(Body { kind, len: len as usize });
        Ok(None)
    }

    fn start_aggregate(
        &mut self,
        kind: u8,
        count: i64,
        per_item: u64,
    ) -> Result<Option<Value>, RespError> {
        let Ok(count) = u64::try_from(count) else { return Ok(Some(Value::Null)) };
        if self.stack.len() >= MAX_DEPTH {
            return Err(RespError::TooDeep);
        }
        let left = count.saturating_mul(per_item);
        if left == 0 && kind != b'|' {
            return Ok(Some(aggregate(kind, Vec::new())));
        }
        if left > 0 {
            self.stack.push(Frame { kind, left, items: Vec::new() });
        }
        Ok(None)
    }

    /// Puts a value where it belongs; returns it when it belongs to no aggregate.
    fn settle(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(frame) = self.stack.last_mut() else { return Some(value) };
            frame.items.push(value);
            frame.left -= 1;
            if frame.left > 0 {
                return None;
            }
            let frame = self.stack.pop().expect("the frame was just looked at");
            if frame.kind == b'|' {
                return None; // attributes stand before a value and are no value themselves
            }
            value = aggregate(frame.kind, frame.items);
        }
    }
}

fn aggregate(kind: u8, items: Vec<Value>) -> Value {
    match kind {
        b'~' => Value::Set(items),
        b'>' => Value::Push(items),
        b'%' => {
            let mut items = items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        _ => Value::Array(items),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(bytes: &[u8]) -> Result<i64, RespError> {
    let parsed = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| RespError::BadNumber(text(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(parts: &[&[u8]]) -> Result<Vec<Value>, RespError> {
        let mut parser = Parser::default();
        let mut values = Vec::new();
        for part in parts {
            parser.feed(part);
            while let Some(value) = parser.next()? {
                values.push(value);
            }
        }
        Ok(values)
    }

    #[test]
    fn every_type_at_every_split() {
        let input: &[u8] = b"+OK\r\n-ERR no\r\n:-7\r\n,1.5\r\n(123\r\n#t\r\n_\r\n$-1\r\n*-1\r\n\
            $4\r\na\r\nb\r\n=7\r\ntxt:abc\r\n!5\r\nE bad\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n*0\r\n\
            ~1\r\n:1\r\n%1\r\n$1\r\nk\r\n*0\r\n>1\r\n+m\r\n|1\r\n+a\r\n+b\r\n:9\r\n";
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        let expected = vec![
            Value::Status("OK".into()),
            Value::Error("ERR no".into()),
            Value::Integer(-7),
            Value::Double("1.5".into()),
            Value::BigNumber("123".into()),
            Value::Bool(true),
            Value::Null,
            Value::Null,
            Value::Null,
            bulk("a\r\nb"),
            Value::Verbatim(b"abc".to_vec()),
            Value::Error("E bad".into()),
            Value::Array(vec![Value::Integer(1), Value::Array(vec![bulk("")])]),
            Value::Array(vec![]),
            Value::Set(vec![Value::Integer(1)]),
            Value::Map(vec![(bulk("k"), Value::Array(vec![]))]),
            Value::Push(vec![Value::Status("m".into())]),
            Value::Integer(9),
        ];
        for split in 0..=input.len() {
            let (head, tail) = input.split_at(split);
            assert_eq!(parse_all(&[head, tail]).unwrap(), expected, "split {split}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(parse_all(&bytes).unwrap(), expected);
    }

    #[test]
    fn garbage_is_refused() {
        for bad in ["HTTP/1.1 400 Bad\r\n", "H", "\r\n", "$x\r\n", "$9999999999\r\n", "$1\r\nabc"] {
            assert!(parse_all(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        assert_eq!(parse_all(&["*1\r\n".repeat(100).as_bytes()]), Err(RespError::TooDeep));
    }

    #[test]
    fn a_huge_announced_count_allocates_nothing() {
        assert_eq!(parse_all(&[b"*9223372036854775807\r\n:1\r\n"]).unwrap(), vec![]);
    }

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let args = vec![b"SET".to_vec(), b"a b".to_vec(), vec![]];
        assert_eq!(encode(&args), b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
    }
}
