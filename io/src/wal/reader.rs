//! Reads a log from its first segment to its end and finds that end.
//!
//! Guarantees: groups come in order without a gap, each checked; memory is bounded by the largest
//! group. A bad group ends the log only if nothing shows that it was durable: a later valid group
//! that says so, or a later segment that continues behind it, makes it [`WalError::Corrupt`] -
//! unless the reader was told to skip damage; then it is noted, and reading goes on behind it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::WalError;
use super::files::LogFiles;
use super::format::{
    BLOCK, Chain, FORMAT, GROUP_HEADER, GroupHeader, Invalid, SegmentHeader, group_bytes,
};
use super::options::LogStart;

/// Bytes asked from a file at once: few enough to be in the cache still when they are applied.
const READ_BYTES: usize = 256 * 1024;

/// The payload of one group: what was appended to it, in order.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The bytes; never empty.
    pub bytes: &'a [u8],
    /// Segment they were read from.
    pub segment: u64,
    /// Offset of the group in that file.
    pub offset: u64,
    /// Index of the group.
    pub group: u64,
    /// Epoch of its writer.
    pub epoch: u32,
}

/// A commit that a crash cut short; none of it was known to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// The last segment.
    pub segment: u64,
    /// Where the log was cut.
    pub offset: u64,
    /// Bytes given up behind the cut, as far as they are recognised.
    pub bytes: u64,
}

/// How a log is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadOptions {
    /// Compare the checksum of every group. Without, only those of the last segment are compared:
    /// they tell where the log ends.
    pub verify: bool,
    /// Go on behind damage, and note it, instead of ending with it.
    pub skip_damage: bool,
    /// Nobody reads it again soon: what was read leaves the page cache.
    pub once: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { verify: true, skip_damage: false, once: false }
    }
}

/// What a log comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEnd {
    /// Where a writer continues.
    pub start: LogStart,
    /// What was cut off, if anything.
    pub torn: Option<Torn>,
    /// Damage that was skipped, in words; each names file and offset.
    pub skipped: Vec<String>,
    /// Groups read.
    pub groups: u64,
    /// Payload bytes read.
    pub bytes: u64,
}

#[derive(Debug)]
struct Begun {
    header: SegmentHeader,
    path: PathBuf,
}

/// Reader of one core's log.
#[derive(Debug)]
pub struct LogReader {
    core: u16,
    options: ReadOptions,
    segments: Vec<Begun>,
    window: Option<Window>,
    /// Position in `segments`.
    index: usize,
    offset: u64,
    next_group: u64,
    end: LogEnd,
}

impl LogReader {
    /// Reads the headers of all segments and checks that they are one chain. The front may be
    /// absent (trimmed).
    ///
    /// # Errors
    /// [`WalError::Missing`], [`WalError::Corrupt`], [`WalError::Version`] or [`WalError::Io`].
    pub fn open(files: LogFiles) -> Result<Self, WalError> {
        Self::open_with(files, ReadOptions::default())
    }

    /// As [`LogReader::open`], to be read in this way.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn open_with(files: LogFiles, options: ReadOptions) -> Result<Self, WalError> {
        let mut segments: Vec<Begun> = Vec::new();
        let mut end = LogEnd {
            start: LogStart::fresh(),
            torn: None,
            skipped: Vec::new(),
            groups: 0,
            bytes: 0,
        };
        for (number, path) in &files.segments {
            end.start.next_segment = number + 1;
            let read = read_header(path, *number, files.core).and_then(|header| {
                let checked = header.map(|new| check_chain(&files, segments.last(), &new));
                checked.transpose().map(|_| header)
            });
            match read {
                Ok(Some(header)) => segments.push(Begun { header, path: path.clone() }),
                Ok(None) => end.start.unused.push((*number, path.clone())),
                Err(damage) => {
                    end.skipped.push(options.excuse(damage)?);
                    let header = read_header(path, *number, files.core).ok().flatten();
                    segments.extend(header.map(|header| Begun { header, path: path.clone() }));
                }
            }
        }
        let next_group = segments.first().map_or(1, |first| first.header.first_group);
        end.start.last_group = next_group - 1;
        let offset = BLOCK as u64;
        let core = files.core;
        Ok(Self { core, options, segments, window: None, index: 0, offset, next_group, end })
    }

    /// Number of the oldest segment, and of the one it continues, which is gone.
    pub fn front(&self) -> Option<(u64, Option<u64>)> {
        let header = &self.segments.first()?.header;
        Some((header.segment, header.previous.map(|chain| chain.segment)))
    }

    /// When the oldest segment was begun, Unix milliseconds by the clock of then.
    pub fn begun_ms(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.header.created_ms)
    }

    /// The highest epoch that any segment names; 0 when there is none.
    pub fn epoch(&self) -> u32 {
        self.segments.iter().map(|segment| segment.header.epoch).max().unwrap_or(0)
    }

    /// The file that is being read, and how far in it reading has come; the directory's last file
    /// at the end.
    pub fn place(&self) -> Option<(&Path, u64)> {
        let segment = self.segments.get(self.index).or_else(|| self.segments.last())?;
        Some((&segment.path, self.offset))
    }

    /// Bytes of files that lie behind the reader.
    pub fn passed_bytes(&self) -> u64 {
        let done = self.segments.iter().take(self.index);
        let whole: u64 = done.map(|segment| segment.header.segment_bytes).sum();
        if self.index == self.segments.len() { whole } else { whole + self.offset }
    }

    /// Bytes of all its files together.
    pub fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.header.segment_bytes).sum()
    }

    /// The next run, or nothing at the end of the log.
    ///
    /// # Errors
    /// [`WalError::Corrupt`] or [`WalError::Io`].
    pub fn next_run(&mut self) -> Result<Option<Run<'_>>, WalError> {
        let header = loop {
            if self.index == self.segments.len() {
                return Ok(None);
            }
            if self.follow_chain()? {
                continue;
            }
            match self.group_at(self.offset)? {
                Some(header) if header.group == self.next_group => {
                    let offset = self.offset;
                    self.pass(&header);
                    if header.payload_bytes > 0 {
                        break (header, offset);
                    }
                }
                _ => self.finish()?,
            }
        };
        let (header, offset) = header;
        let window = self.window.as_mut().expect("the group was read through it");
        let bytes = GROUP_HEADER + header.payload_bytes as usize;
        let group = window.read(offset, bytes)?.expect("the group was just read");
        let GroupHeader { segment, group: index, epoch, .. } = header;
        Ok(Some(Run { bytes: &group[GROUP_HEADER..], segment, offset, group: index, epoch }))
    }

    /// What the log came to; call it after [`LogReader::next_run`] returned nothing.
    pub fn end(&self) -> &LogEnd {
        assert_eq!(self.index, self.segments.len(), "the log has not been read to its end");
        &self.end
    }

    /// Goes on to the next segment where the chain says this one ends; whether it did.
    fn follow_chain(&mut self) -> Result<bool, WalError> {
        let Some(next) = self.segments.get(self.index + 1) else { return Ok(false) };
        let Some(chain) = next.header.previous.filter(|chain| chain.segment == self.number())
        else {
            // Noted as damage when the log was opened.
            return Ok(false);
        };
        if self.offset < chain.end_offset {
            return Ok(false);
        }
        if self.offset > chain.end_offset || next.header.first_group != self.next_group {
            let damage = self.corrupt("the next segment continues at another place");
            self.end.skipped.push(self.options.excuse(damage)?);
        }
        self.next_segment();
        Ok(true)
    }

    fn next_segment(&mut self) {
        self.window = None;
        self.index += 1;
        self.offset = BLOCK as u64;
        self.next_group = self.segments[self.index].header.first_group;
    }

    fn number(&self) -> u64 {
        self.segments[self.index].header.segment
    }

    fn pass(&mut self, header: &GroupHeader) {
        self.offset += group_bytes(header.payload_bytes as usize) as u64;
        self.next_group += 1;
        self.end.groups += 1;
        self.end.bytes += u64::from(header.payload_bytes);
    }

    /// The valid group of this segment at `offset`, if there is one.
    fn group_at(&mut self, offset: u64) -> Result<Option<GroupHeader>, WalError> {
        let segment = &self.segments[self.index];
        let (core, number, epoch) = (self.core, segment.header.segment, segment.header.epoch);
        let window = match &mut self.window {
            Some(window) => window,
            none => none.insert(Window::open(&segment.path, self.options.once)?),
        };
        let ours = |header: &GroupHeader| {
            header.segment == number && header.core == core && header.epoch == epoch
        };
        let verify = self.options.verify || self.index + 1 == self.segments.len();
        valid_group(window, offset, verify, ours)
    }

    /// As [`LogReader::group_at`], for going over blocks that nearly all begin no group: looks at
    /// the first bytes of the block before it reads a window.
    fn group_far_at(&mut self, offset: u64) -> Result<Option<GroupHeader>, WalError> {
        let window = self.window.as_ref().expect("a group was looked for");
        if window.begins_group(offset)? { self.group_at(offset) } else { Ok(None) }
    }

    /// Decides what the bad bytes at the current position are, and ends the log if it may.
    fn finish(&mut self) -> Result<(), WalError> {
        if self.index + 1 < self.segments.len() {
            return self.step_over("a later segment continues behind it");
        }
        let file_bytes = self.window.as_ref().expect("a group was looked for").file_bytes;
        let mut torn_end = self.claimed_end()?.unwrap_or(self.offset);
        let mut offset = self.offset + BLOCK as u64;
        while offset + BLOCK as u64 <= file_bytes {
            let Some(header) = self.group_far_at(offset)? else {
                offset += BLOCK as u64;
                continue;
            };
            if header.synced_through >= self.next_group {
                return self.step_over("a later group says that it was durable");
            }
            offset += group_bytes(header.payload_bytes as usize) as u64;
            torn_end = torn_end.max(offset);
        }
        let segment = self.number();
        let bytes = torn_end.min(file_bytes) - self.offset.min(file_bytes);
        self.end.torn = (bytes > 0).then_some(Torn { segment, offset: self.offset, bytes });
        self.end.start.previous = Some(Chain { segment, end_offset: self.offset });
        self.end.start.last_group = self.next_group - 1;
        self.window = None;
        self.index = self.segments.len();
        Ok(())
    }

    /// Ends with the damage at the current position, or notes it and goes on at the next group
    /// behind it, in this segment or a later one.
    fn step_over(&mut self, evidence: &'static str) -> Result<(), WalError> {
        let damage = self.corrupt(evidence);
        self.end.skipped.push(self.options.excuse(damage)?);
        let file_bytes = self.window.as_ref().expect("a group was looked for").file_bytes;
        let mut offset = self.offset + BLOCK as u64;
        while offset + BLOCK as u64 <= file_bytes {
            if let Some(header) = self.group_far_at(offset)?
                && header.group > self.next_group
            {
                (self.offset, self.next_group) = (offset, header.group);
                return Ok(());
            }
            offset += BLOCK as u64;
        }
        self.next_segment();
        Ok(())
    }

    /// Where the group would end that begins at the current position and is not valid.
    fn claimed_end(&mut self) -> Result<Option<u64>, WalError> {
        let number = self.number();
        let (offset, next_group) = (self.offset, self.next_group);
        let window = self.window.as_mut().expect("a group was looked for");
        let Some(block) = window.read(offset, GROUP_HEADER)? else { return Ok(None) };
        let claimed = GroupHeader::peek(block)
            .filter(|header| header.segment == number && header.group == next_group)
            .map(|header| offset + group_bytes(header.payload_bytes as usize) as u64);
        Ok(claimed)
    }

    fn corrupt(&self, evidence: &'static str) -> WalError {
        let segment = &self.segments[self.index];
        WalError::Corrupt {
            path: segment.path.clone(),
            segment: segment.header.segment,
            offset: self.offset,
            evidence,
        }
    }
}

impl ReadOptions {
    /// What to note of damage that may be skipped; other errors, and damage that may not, stay.
    fn excuse(self, error: WalError) -> Result<String, WalError> {
        match error {
            WalError::Corrupt { .. } | WalError::Missing { .. } if self.skip_damage => {
                Ok(error.to_string())
            }
            other => Err(other),
        }
    }
}

/// The header of a segment that was begun; nothing for a file that holds nothing of the log.
fn read_header(path: &Path, number: u64, core: u16) -> Result<Option<SegmentHeader>, WalError> {
    let mut window = Window::open(path, false)?;
    let cut = |offset, evidence| {
        let path = path.to_owned();
        Err(WalError::Corrupt { path, segment: number, offset, evidence })
    };
    let Some(block) = window.read(0, BLOCK)? else {
        return cut(window.file_bytes, "it is shorter than a header");
    };
    match SegmentHeader::decode(block) {
        Ok(header) if header.segment == number && header.core == core => {
            let file_bytes = window.file_bytes;
            if header.is_whole && file_bytes < header.segment_bytes {
                return cut(file_bytes, "the file ends before the bytes its header says it has");
            }
            Ok(Some(header))
        }
        Err(Invalid::Version(found)) => {
            Err(WalError::Version { path: path.to_owned(), found, supported: FORMAT })
        }
        Ok(_) | Err(Invalid::Blank | Invalid::Damaged) => {
            // Header and first group become durable together: a second group that knows of the
            // first proves that the header was there.
            let ours = |header: &GroupHeader| header.segment == number && header.core == core;
            let first = valid_group(&mut window, BLOCK as u64, true, ours)?;
            let Some(first) = first else { return Ok(None) };
            let behind = BLOCK as u64 + group_bytes(first.payload_bytes as usize) as u64;
            let second = valid_group(&mut window, behind, true, ours)?;
            if second.is_some_and(|second| second.synced_through >= first.group) {
                let evidence = "its header is unreadable although its groups are durable";
                let path = path.to_owned();
                return Err(WalError::Corrupt { path, segment: number, offset: 0, evidence });
            }
            Ok(None)
        }
    }
}

/// Checks that `header` continues the segment found before it.
fn check_chain(
    files: &LogFiles,
    before: Option<&Begun>,
    header: &SegmentHeader,
) -> Result<(), WalError> {
    let Some(before) = before else { return Ok(()) };
    let named = header.previous.map(|chain| chain.segment);
    if named == Some(before.header.segment) {
        return Ok(());
    }
    match named {
        Some(segment) if segment > before.header.segment => {
            if let Some(path) = files.segments.get(&segment) {
                let evidence = "its header is unreadable, and a later segment continues it";
                return Err(WalError::Corrupt { path: path.clone(), segment, offset: 0, evidence });
            }
            Err(WalError::Missing {
                directory: files.directory.clone(),
                core: files.core,
                segment,
                wanted_by: header.segment,
            })
        }
        Some(_) | None => {
            let segment = header.segment;
            let path = files.segments[&segment].clone();
            let evidence = "it does not continue the segment before it";
            Err(WalError::Corrupt { path, segment, offset: 0, evidence })
        }
    }
}

fn valid_group(
    window: &mut Window,
    offset: u64,
    verify: bool,
    ours: impl Fn(&GroupHeader) -> bool,
) -> Result<Option<GroupHeader>, WalError> {
    let Some(block) = window.read(offset, GROUP_HEADER)? else { return Ok(None) };
    let Some(header) = GroupHeader::peek(block).filter(ours) else { return Ok(None) };
    // The length is checked against the file before anything is allocated for it.
    let bytes = GROUP_HEADER + header.payload_bytes as usize;
    let Some(group) = window.read(offset, bytes)? else { return Ok(None) };
    Ok((!verify || header.verify(group)).then_some(header))
}

/// A piece of a file in memory that moves forward.
#[derive(Debug)]
struct Window {
    path: PathBuf,
    file: File,
    file_bytes: u64,
    once: bool,
    buffer: Vec<u8>,
    /// Offset in the file of the first byte of the buffer.
    start: u64,
    filled: usize,
}

impl Drop for Window {
    fn drop(&mut self) {
        self.forget(self.file_bytes);
    }
}

impl Window {
    fn open(path: &Path, once: bool) -> Result<Self, WalError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (file_bytes, file) = opened.map_err(WalError::io("open", path))?;
        let path = path.to_owned();
        Ok(Self { path, file, file_bytes, once, buffer: Vec::new(), start: 0, filled: 0 })
    }

    /// Takes the file up to `end` out of the page cache, if it is read once. From its start,
    /// because the cache lets go of what lies in the range as a whole only.
    fn forget(&self, end: u64) {
        if self.once && end > 0 {
            // SAFETY: the descriptor is open as long as the file, and no memory is passed.
            #[expect(unsafe_code, reason = "std has no advice about files")]
            let _advice_only = unsafe {
                let (file, end) = (self.file.as_raw_fd(), end as libc::off_t);
                libc::posix_fadvise(file, 0, end, libc::POSIX_FADV_DONTNEED)
            };
        }
    }

    /// Whether the bytes at `offset`, of which the file has a whole block, look like a group.
    fn begins_group(&self, offset: u64) -> Result<bool, WalError> {
        let mut bytes = [0; GROUP_HEADER];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map_err(WalError::io("read", &self.path))?;
        Ok(GroupHeader::peek(&bytes).is_some())
    }

    /// The `bytes` at `offset`, or nothing when the file ends before.
    fn read(&mut self, offset: u64, bytes: usize) -> Result<Option<&[u8]>, WalError> {
        if offset.saturating_add(bytes as u64) > self.file_bytes {
            return Ok(None);
        }
        let inside =
            offset >= self.start && offset + bytes as u64 <= self.start + self.filled as u64;
        if !inside {
            let moved = self.move_to(offset, bytes);
            moved.map_err(WalError::io("read", &self.path))?;
        }
        let at = (offset - self.start) as usize;
        Ok(Some(&self.buffer[at..at + bytes]))
    }

    fn move_to(&mut self, offset: u64, bytes: usize) -> io::Result<()> {
        if offset > self.start {
            self.forget(offset);
        }
        let end = self.start + self.filled as u64;
        let kept = if offset >= self.start && offset < end {
            let from = (offset - self.start) as usize;
            self.buffer.copy_within(from..self.filled, 0);
            self.filled - from
        } else {
            0
        };
        self.start = offset;
        self.filled = kept;
        let wanted = bytes.max(READ_BYTES).min((self.file_bytes - offset) as usize);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < bytes {
            let at = offset + self.filled as u64;
            match self.file.read_at(&mut self.buffer[self.filled..wanted], at) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
