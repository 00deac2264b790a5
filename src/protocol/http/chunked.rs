//! The chunked transfer coding (RFC 9112, section 7.1), decoded as it arrives.
//!
//! Each call goes on where the last one stopped, so a body that comes in many pieces is scanned
//! once. Extensions are skipped and trailers dropped, both bounded. Lines end in CRLF, nothing
//! else: a lenient reader next to a strict one is how requests are smuggled.

use super::error::HttpError;

/// Bytes of a line with a chunk's size and its extensions.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// Bytes of all trailers.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of framing beyond what a body may have: sizes, extensions, line ends, trailers.
const FRAMING_SLACK_BYTES: usize = 16 * 1024;
/// Hexadecimal digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 15;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Size,
    Data { left: usize },
    DataEnd,
    Trailers { bytes: usize },
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Chunked {
    phase: Phase,
    position: usize,
    body: Vec<u8>,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Size, position: 0, body: Vec::new() }
    }

    /// Goes on in `input`, which begins right behind the head and only ever grows. The length of
    /// the coded body once it is whole.
    pub(super) fn advance(
        &mut self,
        input: &[u8],
        bytes_max: usize,
    ) -> Result<Option<usize>, HttpError> {
        loop {
            if self.position > bytes_max.saturating_mul(2).saturating_add(FRAMING_SLACK_BYTES) {
                return Err(HttpError::new(413, "too much framing for the chunks"));
            }
            let rest = &input[self.position..];
            match self.phase {
                Phase::Size => {
                    let Some(line) = line(rest, SIZE_LINE_BYTES_MAX)? else { return Ok(None) };
                    self.position += line.len() + 2;
                    self.phase = match chunk_size(line)? {
                        0 => Phase::Trailers { bytes: 0 },
                        size if size > bytes_max.saturating_sub(self.body.len()) => {
                            return Err(HttpError::new(413, "request body is too large"));
                        }
                        size => Phase::Data { left: size },
                    };
                }
                Phase::Data { left } => {
                    let taken = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..taken]);
                    self.position += taken;
                    if taken < left {
                        self.phase = Phase::Data { left: left - taken };
                        return Ok(None);
                    }
                    self.phase = Phase::DataEnd;
                }
                Phase::DataEnd => {
                    let Some(end) = rest.get(..2) else { return Ok(None) };
                    if end != b"\r\n" {
                        return Err(HttpError::bad("a chunk is longer than its size"));
                    }
                    self.position += 2;
                    self.phase = Phase::Size;
                }
                Phase::Trailers { bytes } => {
                    let Some(line) = line(rest, TRAILER_BYTES_MAX - bytes)? else {
                        return Ok(None);
                    };
                    self.position += line.len() + 2;
                    if line.is_empty() {
                        return Ok(Some(self.position));
                    }
                    self.phase = Phase::Trailers { bytes: bytes + trailer(line)? };
                }
            }
        }
    }

    /// The decoded body; what is left is empty.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }
}

/// The line at the start of `rest` without its CRLF, if it is all there.
fn line(rest: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, HttpError> {
    let window = &rest[..rest.len().min(bytes_max + 2)];
    match memchr::memchr(b'\n', window) {
        Some(end) if end > 0 && window[end - 1] == b'\r' => {
            let line = &window[..end - 1];
            if memchr::memchr(b'\r', line).is_some() {
                return Err(HttpError::bad("a bare carriage return between chunks"));
            }
            Ok(Some(line))
        }
        Some(_) => Err(HttpError::bad("a bare line feed between chunks")),
        None if window.len() == bytes_max + 2 => {
            Err(HttpError::bad("a line between chunks is too long"))
        }
        None => Ok(None),
    }
}

/// The size on a chunk's first line; extensions after a semicolon are ignored.
fn chunk_size(line: &[u8]) -> Result<usize, HttpError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = line[digits..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    if digits == 0 || digits > SIZE_DIGITS_MAX || !matches!(after, None | Some(b';')) {
        return Err(HttpError::bad("a chunk's size is not a hexadecimal number"));
    }
    if after.is_none() && digits < line.len() {
        return Err(HttpError::bad("blanks after a chunk's size"));
    }
    let text = std::str::from_utf8(&line[..digits]).expect("hexadecimal digits are ASCII");
    Ok(usize::from_str_radix(text, 16).expect("15 hexadecimal digits fit 64 bits"))
}

/// Checks the form of a trailer and answers its length with the line's end.
fn trailer(line: &[u8]) -> Result<usize, HttpError> {
    let name = line.iter().take_while(|byte| is_token(**byte)).count();
    if name == 0 || line.get(name) != Some(&b':') {
        return Err(HttpError::bad("a trailer is not a name and a value"));
    }
    Ok(line.len() + 2)
}

/// Whether `byte` may stand in a header's name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
