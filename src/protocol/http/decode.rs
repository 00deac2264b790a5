//! HTTP/1.1 and 1.0 requests (RFC 9112): bytes in, requests out. Pure: it reads no socket and
//! writes nothing.
//!
//! The input is whatever the connection holds from the first byte of the current request on. A call
//! that cannot finish remembers how far it looked, so a request that comes in pieces is scanned
//! once. Whatever could be read in two ways is refused and the connection ends.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::chunked::Chunked;
use super::dss::Surface;
use super::error::HttpError;
use super::head::{Framing, HEAD_BYTES_MAX, Head, Header, REQUEST_LINE_BYTES_MAX, Verb};
use crate::limits::Standing;

/// Blank lines that may stand before a request (RFC 9112, section 2.2).
const LEADING_BLANK_LINES_MAX: usize = 2;

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request; everything but a chunked body is a slice of the input.
#[derive(Debug)]
pub struct HttpRequest<'a> {
    /// The method, as far as the server tells it apart.
    pub verb: Verb,
    /// The method as sent.
    pub method: &'a str,
    /// The path, still percent-encoded; begins with `/`, or is `*`.
    pub path: &'a str,
    /// What follows the question mark, still percent-encoded; empty when there is none.
    pub query: &'a str,
    /// The headers in order.
    pub headers: SmallVec<[Header<'a>; 8]>,
    /// The body, without its transfer coding.
    pub body: Cow<'a, [u8]>,
    /// Whether the client speaks HTTP/1.0.
    pub http_1_0: bool,
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// Bytes of the input that this request took.
    pub consumed: usize,
    /// How the client stands where requests are limited; the decoder does not know.
    pub standing: Option<Standing>,
    /// What the listener serves that it came to.
    pub surface: Surface,
}

impl<'a> HttpRequest<'a> {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    }
}

/// What the input holds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and never stored")]
pub enum Decoded<'a> {
    /// A whole request. Drop [`HttpRequest::consumed`] bytes and go on behind them.
    Request(HttpRequest<'a>),
    /// More is needed: at least this many bytes.
    Incomplete {
        /// Least number of bytes that are missing.
        needs: usize,
    },
    /// The client waits for leave to send its body: write [`CONTINUE`] and read on. Said once per
    /// request.
    SendContinue,
    /// Not a request: answer this and close.
    Broken(HttpError),
}

/// Where the current request stands.
#[derive(Debug)]
enum State {
    /// Its head is not there yet. `scanned` bytes hold no blank line; the line at their end began
    /// at `line`; the request begins at `begin`, behind blank lines.
    Head { scanned: usize, line: usize, begin: usize },
    /// The head, of `head` bytes, is known to be good; `length` bytes of body follow.
    Body { begin: usize, head: usize, length: usize },
    /// The same with a chunked body.
    Chunked { begin: usize, head: usize, body: Box<Chunked> },
}

const START: State = State::Head { scanned: 0, line: 0, begin: 0 };

/// Decodes the requests of one connection.
#[derive(Debug)]
pub struct HttpDecoder {
    state: State,
    /// The client waits for [`CONTINUE`].
    waits: bool,
    surface: Surface,
}

impl Default for HttpDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpDecoder {
    /// A decoder at the start of a connection.
    pub const fn new() -> Self {
        Self::of(Surface::Synap)
    }

    /// The same for a listener that serves something else.
    pub const fn of(surface: Surface) -> Self {
        Self { state: START, waits: false, surface }
    }

    /// What its listener serves.
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// Whether a request has begun and is not whole yet.
    pub fn is_inside_request(&self) -> bool {
        !matches!(self.state, State::Head { scanned: 0, .. })
    }

    /// Looks for a request at the start of `input`: everything received and not consumed, the same
    /// bytes as at the last call and more. `body_bytes_max` bounds the decoded body.
    pub fn decode<'a>(&mut self, input: &'a [u8], body_bytes_max: usize) -> Decoded<'a> {
        match self.step(input, body_bytes_max) {
            Ok(decoded) => decoded,
            Err(error) => Decoded::Broken(error),
        }
    }

    fn step<'a>(&mut self, input: &'a [u8], bytes_max: usize) -> Result<Decoded<'a>, HttpError> {
        let mut parsed = None;
        if matches!(self.state, State::Head { .. }) {
            let Some((begin, end)) = self.find_head(input)? else {
                return Ok(Decoded::Incomplete { needs: 1 });
            };
            let head = Head::parse(&input[begin..end])?;
            self.enter_body(&head, begin, end, bytes_max)?;
            parsed = Some(head);
        }
        let (begin, end, body, consumed) = match &mut self.state {
            State::Head { .. } => unreachable!("the head was just found"),
            State::Body { begin, head, length } => {
                let (begin, end, whole) = (*begin, *head, *head + *length);
                let Some(body) = input.get(end..whole) else {
                    return Ok(self.wait(input.len() == end, whole - input.len()));
                };
                (begin, end, Cow::Borrowed(body), whole)
            }
            State::Chunked { begin, head, body } => {
                let (begin, end) = (*begin, *head);
                let Some(length) = body.advance(&input[end..], bytes_max)? else {
                    return Ok(self.wait(input.len() == end, 1));
                };
                (begin, end, Cow::Owned(body.take_body()), end + length)
            }
        };
        // A body that came later: the head is parsed again, because what it yields is borrowed.
        let head = match parsed {
            Some(head) => head,
            None => Head::parse(&input[begin..end])?,
        };
        *self = Self::of(self.surface);
        Ok(Decoded::Request(HttpRequest {
            verb: head.verb,
            method: head.method,
            path: head.path,
            query: head.query,
            headers: head.headers,
            body,
            http_1_0: head.http_1_0,
            keep_alive: head.keep_alive,
            consumed,
            standing: None,
            surface: self.surface,
        }))
    }

    fn enter_body(
        &mut self,
        head: &Head<'_>,
        begin: usize,
        end: usize,
        bytes_max: usize,
    ) -> Result<(), HttpError> {
        self.waits = head.expects_continue;
        self.state = match head.framing {
            Framing::Length(length) if length > bytes_max => {
                return Err(HttpError::new(413, "request body is too large"));
            }
            Framing::Length(length) => State::Body { begin, head: end, length },
            Framing::Chunked => State::Chunked { begin, head: end, body: Box::new(Chunked::new()) },
        };
        Ok(())
    }

    fn wait<'a>(&mut self, nothing_yet: bool, needs: usize) -> Decoded<'a> {
        if std::mem::take(&mut self.waits) && nothing_yet {
            return Decoded::SendContinue;
        }
        Decoded::Incomplete { needs }
    }

    /// Start and end of the head, once its blank line is there.
    fn find_head(&mut self, input: &[u8]) -> Result<Option<(usize, usize)>, HttpError> {
        let State::Head { scanned, line, begin } = &mut self.state else {
            unreachable!("only called while the head is missing")
        };
        while let Some(found) = memchr::memchr(b'\n', &input[*scanned..]) {
            let feed = *scanned + found;
            if feed == *line || input[feed - 1] != b'\r' {
                return Err(HttpError::bad("a line ends in a bare line feed"));
            }
            let (blank, first) = (feed - 1 == *line, *line == *begin);
            check_head_size(feed + 1 - *begin, first)?;
            (*scanned, *line) = (feed + 1, feed + 1);
            if blank && first {
                *begin = feed + 1;
                if *begin > 2 * LEADING_BLANK_LINES_MAX {
                    return Err(HttpError::bad("blank lines instead of a request"));
                }
            } else if blank {
                return Ok(Some((*begin, feed + 1)));
            }
        }
        *scanned = input.len();
        check_head_size(input.len() - *begin, *line == *begin)?;
        Ok(None)
    }
}

fn check_head_size(bytes: usize, request_line: bool) -> Result<(), HttpError> {
    if request_line && bytes > REQUEST_LINE_BYTES_MAX {
        return Err(HttpError::new(414, "the request line is longer than 16 KiB"));
    }
    if bytes > HEAD_BYTES_MAX {
        return Err(HttpError::new(431, "the headers are longer than 64 KiB"));
    }
    Ok(())
}
