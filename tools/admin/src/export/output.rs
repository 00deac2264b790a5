//! Where an export goes: a file that gets its name when it is whole, or the standard output; with
//! a count and a checksum of what was written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc32c::crc32c_append;

use super::checkpoint::beside;
use crate::error::AdminError;

const BUFFER_BYTES: usize = 256 * 1024;

enum Sink {
    File(BufWriter<File>),
    Stdout(BufWriter<io::Stdout>),
}

/// An export under way.
pub(super) struct Output {
    sink: Sink,
    /// What it is called until it is whole.
    path: PathBuf,
    bytes: u64,
    crc: u32,
}

impl Output {
    /// Begins at `bytes` (with the checksum of what is before), cutting off what lies behind; `-`
    /// is the standard output.
    pub(super) fn open(output: &Path, bytes: u64, crc: u32) -> Result<Self, AdminError> {
        if output == Path::new("-") {
            let sink = Sink::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()));
            return Ok(Self { sink, path: output.to_owned(), bytes, crc });
        }
        let path = beside(output, ".part");
        let begin = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(bytes == 0).open(&path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            Ok(file)
        };
        let file = begin().map_err(AdminError::file("create", &path))?;
        let sink = Sink::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { sink, path, bytes, crc })
    }

    /// Whether an interrupted export could go on here.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.sink, Sink::File(_))
    }

    /// Bytes before the end, and their checksum.
    pub(super) fn place(&self) -> (u64, u32) {
        (self.bytes, self.crc)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), AdminError> {
        let written = match &mut self.sink {
            Sink::File(file) => file.write_all(bytes),
            Sink::Stdout(stdout) => stdout.write_all(bytes),
        };
        written.map_err(AdminError::file("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        self.crc = crc32c_append(self.crc, bytes);
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&mut self) -> Result<(), AdminError> {
        let synced = match &mut self.sink {
            Sink::File(file) => file.flush().and_then(|()| file.get_ref().sync_data()),
            Sink::Stdout(stdout) => stdout.flush(),
        };
        synced.map_err(AdminError::file("write", &self.path))
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self, output: &Path) -> Result<(), AdminError> {
        self.sync()?;
        if self.is_file() {
            fs::rename(&self.path, output).map_err(AdminError::file("rename", &self.path))?;
        }
        Ok(())
    }
}
