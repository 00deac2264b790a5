//! Request line and headers. Parsing is httparse's; what it lets pass and this server does not is
//! refused here: two readings of how long a body is, more than one host, unknown codings.

use std::mem::MaybeUninit;

use smallvec::SmallVec;

use super::error::HttpError;

/// Bytes of a request line.
pub(super) const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request line and its headers.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request.
pub(super) const HEADERS_MAX: usize = 100;
/// Digits of a Content-Length; more would not fit 64 bits.
const LENGTH_DIGITS_MAX: usize = 18;

/// Methods that the server tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// Anything else that is a token.
    Other,
}

/// One header; its value as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Name in the case it was sent.
    pub name: &'a str,
    /// Value without the blanks around it.
    pub value: &'a [u8],
}

/// How the length of the body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

/// A parsed head.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) verb: Verb,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: SmallVec<[Header<'a>; 8]>,
    pub(super) http_1_0: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) framing: Framing,
}

impl<'a> Head<'a> {
    /// Parses `bytes`, which end with the blank line.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, HttpError> {
        let mut storage = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut storage) {
            Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
            Ok(_) => return Err(HttpError::bad("the request's head is malformed")),
            Err(error) => return Err(refusal(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(HttpError::bad("the request line is malformed"));
        };
        let verb = verb(method);
        let (path, query) = split_target(verb, target)?;
        let mut facts = Facts::default();
        let mut headers = SmallVec::new();
        for header in request.headers.iter() {
            facts.note(header.name, header.value)?;
            headers.push(Header { name: header.name, value: header.value });
        }
        let http_1_0 = minor == 0;
        Ok(Self {
            verb,
            method,
            path,
            query,
            headers,
            http_1_0,
            keep_alive: if http_1_0 {
                facts.asks_keep && !facts.asks_close
            } else {
                !facts.asks_close
            },
            expects_continue: facts.expects_continue && !http_1_0,
            framing: facts.framing(http_1_0)?,
        })
    }
}

/// What the headers say that concerns the connection.
#[derive(Default)]
struct Facts {
    hosts: usize,
    length: Option<usize>,
    codings: usize,
    chunked_last: bool,
    asks_close: bool,
    asks_keep: bool,
    expects_continue: bool,
}

impl Facts {
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        // Told apart by length first: most headers concern nobody here.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.host(value),
            6 if name.eq_ignore_ascii_case("expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                for token in list(value) {
                    self.asks_close |= token.eq_ignore_ascii_case(b"close");
                    self.asks_keep |= token.eq_ignore_ascii_case(b"keep-alive");
                }
                Ok(())
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), HttpError> {
        self.hosts += 1;
        let odd = |byte: &u8| byte.is_ascii_whitespace() || b"/,@?#\\".contains(byte);
        if value.iter().any(odd) {
            return Err(HttpError::bad("the Host header is malformed"));
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HttpError::new(417, "only Expect: 100-continue is known"));
        }
        self.expects_continue = true;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.length.is_some() {
            return Err(HttpError::bad("more than one Content-Length"));
        }
        let digits = !value.is_empty()
            && value.len() <= LENGTH_DIGITS_MAX
            && value.iter().all(u8::is_ascii_digit);
        if !digits {
            return Err(HttpError::bad("Content-Length is not a decimal number"));
        }
        let number = value.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        self.length = Some(number);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HttpError> {
        for coding in list(value) {
            if self.chunked_last {
                return Err(HttpError::bad("chunked must be the last transfer coding"));
            }
            self.codings += 1;
            self.chunked_last = coding.eq_ignore_ascii_case(b"chunked");
        }
        if self.codings == 0 {
            return Err(HttpError::bad("Transfer-Encoding is empty"));
        }
        Ok(())
    }

    fn framing(&self, http_1_0: bool) -> Result<Framing, HttpError> {
        if self.hosts > 1 || (self.hosts == 0 && !http_1_0) {
            return Err(HttpError::bad("exactly one Host header is needed"));
        }
        match (self.codings, self.length) {
            (0, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (_, Some(_)) => Err(HttpError::bad("both Content-Length and Transfer-Encoding")),
            (_, None) if http_1_0 => Err(HttpError::bad("Transfer-Encoding in HTTP/1.0")),
            (1, None) if self.chunked_last => Ok(Framing::Chunked),
            (_, None) => Err(HttpError::new(501, "chunked is the only known transfer coding")),
        }
    }
}

/// The elements of a comma-separated header value, without blanks and empty ones.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn verb(method: &str) -> Verb {
    match method {
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        "POST" => Verb::Post,
        "PUT" => Verb::Put,
        "DELETE" => Verb::Delete,
        "OPTIONS" => Verb::Options,
        _ => Verb::Other,
    }
}

/// Path and query of a request target in any form that a server has to know (RFC 9112, 3.2).
fn split_target(verb: Verb, target: &str) -> Result<(&str, &str), HttpError> {
    if verb == Verb::Options && target == "*" {
        return Ok(("*", ""));
    }
    let local = if target.starts_with('/') { target } else { absolute(target)? };
    if memchr::memchr(b'#', local.as_bytes()).is_some() {
        return Err(HttpError::bad("the request target has a fragment"));
    }
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// What follows scheme and host of `http://host/path`.
fn absolute(target: &str) -> Result<&str, HttpError> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    });
    let rest = rest.ok_or(HttpError::bad("the request target is neither a path nor a URL"))?;
    let host = rest.find(['/', '?']).unwrap_or(rest.len());
    if host == 0 {
        return Err(HttpError::bad("the request target has no host"));
    }
    Ok(&rest[host..])
}

fn refusal(error: httparse::Error, head: &[u8]) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::new(431, "more than 100 headers"),
        httparse::Error::Version if names_other_version(head) => {
            HttpError::new(505, "HTTP/1.0 and HTTP/1.1 are known")
        }
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => HttpError::bad("the request's head is malformed"),
    }
}

/// Whether the request line ends in a version of the right form, so that only its number is wrong.
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}
