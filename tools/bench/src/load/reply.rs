//! Reply scanners: count complete RESP replies or HTTP responses and classify them.
//!
//! Guarantees: works at every split of the input; keeps at most one partial line or head, so a
//! reply of any size costs no memory. Must not keep or interpret values.
//! Formats: RESP protocol specification (RESP2 and RESP3), RFC 9112 for HTTP/1.1.

use std::fmt;

/// Longest line or response head that is kept while it is incomplete.
const MAX_LINE: usize = 64 * 1024;

/// What one complete reply was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// A status such as `+OK`, or a 2xx response.
    Status,
    /// An integer.
    Integer,
    /// A string or a number of another kind.
    Bulk,
    /// No such key: a null, or a 404 response.
    Missing,
    /// An array, map or set.
    Aggregate,
    /// A server error by its first word, such as `WRONGTYPE`, or by its HTTP status.
    Error(&'a str),
}

/// Bytes that are not a reply; the connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// The first byte of a RESP value is none of the known types.
    UnknownType(u8),
    /// A length or count that is not a number.
    BadNumber(String),
    /// A line or head beyond the bound.
    LineTooLong(usize),
    /// A response head without usable length.
    BadHead(&'static str),
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => write!(f, "unknown RESP type byte 0x{byte:02x}"),
            Self::BadNumber(text) => write!(f, "expected a length, found {text:?}"),
            Self::LineTooLong(len) => write!(f, "line of {len} bytes, at most {MAX_LINE}"),
            Self::BadHead(why) => write!(f, "bad response head: {why}"),
        }
    }
}

/// Scans either protocol.
#[derive(Debug)]
pub(crate) enum Scanner {
    /// RESP replies.
    Resp(RespScanner),
    /// HTTP responses.
    Http(HttpScanner),
}

impl Scanner {
    /// Feeds bytes in order of arrival; `on_reply` is called for each reply they complete.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        on_reply: impl FnMut(Reply<'_>),
    ) -> Result<(), ScanError> {
        match self {
            Self::Resp(scanner) => scanner.feed(input, on_reply),
            Self::Http(scanner) => scanner.feed(input, on_reply),
        }
    }
}

/// The kind of the outermost value of a reply that is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Bulk,
    Aggregate,
    /// A pushed message or attribute: not an answer to any request.
    Aside,
}

/// Resumable scanner of RESP replies.
#[derive(Debug, Default)]
pub(crate) struct RespScanner {
    partial: Vec<u8>,
    /// Bytes of a bulk body and its line end still to come.
    skip: u64,
    /// Values still to come until the outermost value is complete.
    values: u64,
    open: Option<Open>,
}

impl RespScanner {
    fn feed(
        &mut self,
        mut input: &[u8],
        mut on_reply: impl FnMut(Reply<'_>),
    ) -> Result<(), ScanError> {
        while !input.is_empty() {
            if self.skip > 0 {
                let step = self.skip.min(input.len() as u64);
                self.skip -= step;
                input = &input[step as usize..];
                if self.skip == 0 {
                    self.close_value(&mut on_reply);
                }
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', input) else {
                self.partial.extend_from_slice(input);
                return bounded(self.partial.len());
            };
            let (line, rest) = input.split_at(end + 1);
            input = rest;
            if self.partial.is_empty() {
                self.line(line, &mut on_reply)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, &mut on_reply)?;
                whole.clear();
                self.partial = whole;
            }
        }
        Ok(())
    }

    /// One line with its line end.
    fn line(&mut self, line: &[u8], on_reply: &mut impl FnMut(Reply<'_>)) -> Result<(), ScanError> {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let (&kind, text) = line.split_first().ok_or(ScanError::UnknownType(b'\n'))?;
        match kind {
            b'+' => self.simple(Reply::Status, on_reply),
            b':' => self.simple(Reply::Integer, on_reply),
            b',' | b'#' | b'(' => self.simple(Reply::Bulk, on_reply),
            b'_' => self.simple(Reply::Missing, on_reply),
            b'-' => self.simple(Reply::Error(first_word(text)), on_reply),
            b'$' | b'=' | b'!' => match length(text)? {
                None => self.simple(Reply::Missing, on_reply),
                Some(len) => {
                    self.open.get_or_insert(Open::Bulk);
                    self.skip = len.saturating_add(2);
                }
            },
            b'*' | b'~' => self.aggregate(length(text)?, 1, Open::Aggregate, on_reply),
            b'%' => self.aggregate(length(text)?, 2, Open::Aggregate, on_reply),
            b'>' => self.aggregate(length(text)?, 1, Open::Aside, on_reply),
            b'|' => self.aggregate(length(text)?, 2, Open::Aside, on_reply),
            other => return Err(ScanError::UnknownType(other)),
        }
        Ok(())
    }

    fn simple(&mut self, reply: Reply<'_>, on_reply: &mut impl FnMut(Reply<'_>)) {
        match self.open {
            None => on_reply(reply),
            Some(_) => self.close_value(on_reply),
        }
    }

    fn aggregate(
        &mut self,
        count: Option<u64>,
        per_item: u64,
        open: Open,
        on_reply: &mut impl FnMut(Reply<'_>),
    ) {
        match count {
            None => self.simple(Reply::Missing, on_reply),
            Some(count) => {
                if self.open.is_none() {
                    self.open = Some(open);
                    self.values = 1;
                }
                self.values = self.values.saturating_add(count.saturating_mul(per_item));
                self.close_value(on_reply);
            }
        }
    }

    /// One value is complete; reports the reply when it was the last.
    fn close_value(&mut self, on_reply: &mut impl FnMut(Reply<'_>)) {
        self.values = self.values.saturating_sub(1);
        if self.values > 0 {
            return;
        }
        match self.open.take() {
            Some(Open::Aggregate) => on_reply(Reply::Aggregate),
            Some(Open::Bulk) => on_reply(Reply::Bulk),
            Some(Open::Aside) | None => {}
        }
    }
}

/// Resumable scanner of HTTP/1.1 responses with Content-Length.
#[derive(Debug, Default)]
pub(crate) struct HttpScanner {
    head: Vec<u8>,
    skip: u64,
    status: u16,
}

impl HttpScanner {
    fn feed(
        &mut self,
        mut input: &[u8],
        mut on_reply: impl FnMut(Reply<'_>),
    ) -> Result<(), ScanError> {
        while !input.is_empty() {
            if self.skip > 0 {
                let step = self.skip.min(input.len() as u64);
                self.skip -= step;
                input = &input[step as usize..];
            } else if self.head.is_empty() {
                match memchr::memmem::find(input, b"\r\n\r\n") {
                    Some(end) => {
                        self.parse_head(&input[..end + 2])?;
                        input = &input[end + 4..];
                    }
                    None => {
                        self.head.extend_from_slice(input);
                        return bounded(self.head.len());
                    }
                }
            } else {
                input = self.continue_head(input)?;
                if !self.head.is_empty() {
                    return bounded(self.head.len());
                }
            }
            if self.skip == 0 && self.status >= 200 {
                report(self.status, &mut on_reply);
                self.status = 0;
            }
        }
        Ok(())
    }

    /// Goes on with a head that began in an earlier read; returns what follows it.
    fn continue_head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], ScanError> {
        let known = self.head.len();
        self.head.extend_from_slice(input);
        let from = known.saturating_sub(3);
        let Some(at) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else {
            return Ok(&[]);
        };
        let end = from + at;
        let head = std::mem::take(&mut self.head);
        self.parse_head(&head[..end + 2])?;
        Ok(&input[end + 4 - known..])
    }

    /// A head up to and including the line end of its last field.
    fn parse_head(&mut self, head: &[u8]) -> Result<(), ScanError> {
        let mut lines = head.split(|&byte| byte == b'\n');
        let status = lines.next().filter(|line| line.starts_with(b"HTTP/1."));
        let digits = status.and_then(|line| line.get(9..12)).and_then(number);
        self.status = digits.ok_or(ScanError::BadHead("no status line"))? as u16;
        let bodiless = self.status < 200 || self.status == 204 || self.status == 304;
        let mut length = bodiless.then_some(0);
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") && !bodiless {
                length = number(value);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err(ScanError::BadHead("chunked body, expected Content-Length"));
            }
        }
        self.skip = length.ok_or(ScanError::BadHead("no Content-Length"))?;
        Ok(())
    }
}

fn report(status: u16, on_reply: &mut impl FnMut(Reply<'_>)) {
    match status {
        200..=299 => on_reply(Reply::Status),
        404 => on_reply(Reply::Missing),
        _ => on_reply(Reply::Error(&format!("HTTP-{status}"))),
    }
}

fn bounded(len: usize) -> Result<(), ScanError> {
    if len > MAX_LINE { Err(ScanError::LineTooLong(len)) } else { Ok(()) }
}

fn first_word(text: &[u8]) -> &str {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len()).min(40);
    std::str::from_utf8(&text[..end]).unwrap_or("error not in UTF-8")
}

/// Digits only; `None` for anything else.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// A RESP length; `None` for the null length -1.
fn length(text: &[u8]) -> Result<Option<u64>, ScanError> {
    if text == b"-1" {
        return Ok(None);
    }
    let bad = || ScanError::BadNumber(String::from_utf8_lossy(text).into_owned());
    number(text).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(mut scanner: Scanner, input: &[u8], split: usize) -> Result<Vec<String>, ScanError> {
        let mut seen = Vec::new();
        let (head, tail) = input.split_at(split);
        scanner.feed(head, |reply| seen.push(format!("{reply:?}")))?;
        scanner.feed(tail, |reply| seen.push(format!("{reply:?}")))?;
        Ok(seen)
    }

    #[test]
    fn resp_replies_are_counted_at_every_split() {
        let input = b"+OK\r\n$5\r\nhe\nlo\r\n:12\r\n$-1\r\n_\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n\
            -MOVED 1 a:1\r\n%1\r\n+k\r\n*0\r\n*0\r\n>2\r\n+x\r\n+y\r\n#t\r\n$0\r\n\r\n*-1\r\n";
        let expected = [
            "Status",
            "Bulk",
            "Integer",
            "Missing",
            "Missing",
            "Aggregate",
            "Error(\"MOVED\")",
            "Aggregate",
            "Aggregate",
            "Bulk",
            "Bulk",
            "Missing",
        ];
        for split in 0..=input.len() {
            let seen = scan(Scanner::Resp(RespScanner::default()), input, split).unwrap();
            assert_eq!(seen, expected, "split {split}");
        }
    }

    #[test]
    fn resp_rejects_what_is_no_reply() {
        for bad in [&b"hello\r\n"[..], b"\r\n", b"$x\r\n", b"*-2\r\n"] {
            assert!(scan(Scanner::Resp(RespScanner::default()), bad, 0).is_err(), "{bad:?}");
        }
        let long = vec![b'+'; MAX_LINE + 1];
        assert!(scan(Scanner::Resp(RespScanner::default()), &long, 0).is_err());
    }

    #[test]
    fn http_responses_are_counted_at_every_split() {
        let input = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\r\n\r\nx\
            HTTP/1.1 404 Not Found\r\nContent-Length:0\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 507 Full\r\nX: y\r\nContent-Length: 2\r\n\r\n{}";
        let expected = ["Status", "Missing", "Status", "Error(\"HTTP-507\")"];
        for split in 0..=input.len() {
            let seen = scan(Scanner::Http(HttpScanner::default()), input, split).unwrap();
            assert_eq!(seen, expected, "split {split}");
        }
    }

    #[test]
    fn http_rejects_unknown_framing() {
        let heads: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"220 smtp\r\n\r\n",
        ];
        for bad in heads {
            assert!(scan(Scanner::Http(HttpScanner::default()), bad, 0).is_err(), "{bad:?}");
        }
    }
}
