//! A stream of bytes with a position and a running checksum: what every reader of Redis's files
//! stands on.
//!
//! Guarantees: no allocation grows beyond what was really read, and what is kept of it has a bound.
//! Must not interpret.

use std::io::{self, BufRead, Read};

use synap_shards::limits::VALUE_BYTES_MAX;
use synap_shards::rdb::crc64_append;

use super::FileError;

/// Bytes that are kept: a value that, with type and footer, is an argument of a command.
const KEPT_BYTES_MAX: u64 = VALUE_BYTES_MAX as u64 - 16;

/// Input that knows where it is.
pub(crate) struct Source<R> {
    inner: R,
    offset: u64,
    crc: u64,
    /// What was read since [`Source::keep`].
    kept: Option<Vec<u8>>,
}

impl<R: BufRead> Source<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, offset: 0, crc: 0, kept: None }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// CRC64 of everything read so far.
    pub(crate) fn crc(&self) -> u64 {
        self.crc
    }

    /// Begins to keep everything that is read or passed over.
    pub(crate) fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// What was read since [`Source::keep`]; nothing more is kept.
    pub(crate) fn take_kept(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }

    fn failed(&self, source: io::Error) -> FileError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => FileError::Cut { offset: self.offset },
            _ => FileError::Io(source),
        }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.note(&bytes);
        self.check_kept()?;
        Ok(bytes)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, FileError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(count).read_to_end(&mut bytes);
        let read = read.map_err(FileError::Io)? as u64;
        self.note(&bytes);
        if read < count { Err(FileError::Cut { offset: self.offset }) } else { Ok(bytes) }
    }

    /// Passes over `count` bytes.
    pub(crate) fn skip(&mut self, mut count: u64) -> Result<(), FileError> {
        while count > 0 {
            let here = self.inner.fill_buf().map_err(FileError::Io)?;
            let step = here.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            if step == 0 {
                return Err(FileError::Cut { offset: self.offset });
            }
            self.crc = crc64_append(self.crc, &here[..step]);
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(&here[..step]);
            }
            self.offset += step as u64;
            self.inner.consume(step);
            count -= step as u64;
            self.check_kept()?;
        }
        Ok(())
    }

    /// Bytes up to and without the next line feed, at most `bytes_max`; nothing at the end.
    pub(crate) fn line(&mut self, bytes_max: u64) -> Result<Option<Vec<u8>>, FileError> {
        let mut line = Vec::new();
        let read = self.inner.by_ref().take(bytes_max).read_until(b'\n', &mut line);
        if read.map_err(FileError::Io)? == 0 {
            return Ok(None);
        }
        let start = self.offset;
        self.note(&line);
        if line.pop() != Some(b'\n') {
            return Err(FileError::Cut { offset: start });
        }
        Ok(Some(line))
    }

    /// Whether there is nothing more.
    pub(crate) fn is_at_end(&mut self) -> Result<bool, FileError> {
        Ok(self.inner.fill_buf().map_err(FileError::Io)?.is_empty())
    }

    /// What is kept is one value; it fits a request to the server.
    fn check_kept(&self) -> Result<(), FileError> {
        let found = self.kept.as_ref().map_or(0, Vec::len) as u64;
        let (offset, expected) = (self.offset, KEPT_BYTES_MAX);
        if found > expected {
            return Err(FileError::TooLong { offset, expected, found });
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        self.crc = crc64_append(self.crc, bytes);
        self.offset += bytes.len() as u64;
    }
}
