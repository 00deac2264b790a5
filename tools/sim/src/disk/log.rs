//! Writing one log: runs gather while a commit is under way, each commit writes one group and syncs
//! it, segments follow one another. Promises of the server's log that recovery builds on: a group
//! is begun only when the one before is durable, a segment only when the one before is durable to
//! its end, and each group says up to where the log was durable when it was written.

use super::format::{GroupHeader, SegmentHeader, group_bytes};
use super::{BLOCK, Disk, Name};

/// Where a log goes on after a start has read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogStart {
    pub(crate) next_segment: u64,
    pub(crate) previous: Option<(u64, u64)>,
    pub(crate) last_group: u64,
}

impl LogStart {
    pub(crate) fn fresh() -> Self {
        Self { next_segment: 1, previous: None, last_group: 0 }
    }
}

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) group: u64,
    pub(crate) segment: u64,
    pub(crate) at: usize,
    pub(crate) bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Commit {
    /// Bytes appended that it holds the end of.
    end: usize,
    place: Place,
    done_at: u64,
}

/// The writer of one log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    log: usize,
    epoch: u64,
    segment: u64,
    segment_bytes: usize,
    /// Bytes of the segment in use.
    offset: usize,
    room: usize,
    next_group: u64,
    synced_group: u64,
    /// Appended and not yet part of a commit.
    buffer: Vec<u8>,
    appended: usize,
    synced: usize,
    commit: Option<Commit>,
    /// Groups that are durable, as far as this writer knows.
    pub(crate) durable: Vec<Place>,
}

impl LogWriter {
    /// Begins a segment behind `start`.
    pub(crate) fn open(
        disk: &mut Disk,
        log: usize,
        epoch: u64,
        segment_bytes: usize,
        start: LogStart,
    ) -> Self {
        let mut writer = Self {
            log,
            epoch,
            segment: 0,
            segment_bytes,
            offset: 0,
            room: 0,
            next_group: start.last_group + 1,
            synced_group: start.last_group,
            buffer: Vec::new(),
            appended: 0,
            synced: 0,
            commit: None,
            durable: Vec::new(),
        };
        writer.begin(disk, start.next_segment, start.previous, 0);
        disk.sync(writer.name());
        writer
    }

    fn name(&self) -> Name {
        Name::Segment { log: self.log, number: self.segment }
    }

    fn begin(&mut self, disk: &mut Disk, number: u64, previous: Option<(u64, u64)>, bytes: usize) {
        self.segment = number;
        self.offset = BLOCK;
        self.room = self.segment_bytes.max(BLOCK + bytes);
        disk.create_segment(self.name(), self.room);
        let header = SegmentHeader {
            log: self.log as u64,
            number,
            epoch: self.epoch,
            previous,
            first_group: self.next_group,
        };
        disk.write(self.name(), 0, header.encode());
    }

    pub(crate) fn log(&self) -> usize {
        self.log
    }

    /// The segment that groups go to now.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    pub(crate) fn append(&mut self, run: &[u8]) {
        self.buffer.extend_from_slice(run);
        self.appended += run.len();
    }

    /// Bytes appended since it was opened.
    pub(crate) fn appended(&self) -> usize {
        self.appended
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.commit.is_some()
    }

    /// Whether everything is durable.
    pub(crate) fn is_quiet(&self) -> bool {
        self.commit.is_none() && self.synced == self.appended
    }

    /// Writes what has gathered as one group, if there is anything and no commit is under way;
    /// whether it did.
    pub(crate) fn start_commit(&mut self, disk: &mut Disk, done_at: u64) -> bool {
        if self.commit.is_some() || self.buffer.is_empty() {
            return false;
        }
        let payload = std::mem::take(&mut self.buffer);
        let bytes = group_bytes(payload.len());
        if self.offset + bytes > self.room {
            let previous = (self.segment, self.offset as u64);
            self.begin(disk, self.segment + 1, Some(previous), bytes);
        }
        let header = GroupHeader {
            log: self.log as u32,
            epoch: self.epoch,
            segment: self.segment,
            group: self.next_group,
            synced_through: self.synced_group,
            payload_bytes: payload.len() as u32,
        };
        let place = Place { group: self.next_group, segment: self.segment, at: self.offset, bytes };
        disk.write(self.name(), self.offset, header.encode(&payload));
        self.offset += bytes;
        self.next_group += 1;
        self.commit = Some(Commit { end: self.appended, place, done_at });
        true
    }

    /// The file that a commit due by now wants synced.
    pub(crate) fn due(&self, beat: u64) -> Option<Name> {
        self.commit.filter(|commit| commit.done_at <= beat).map(|_| self.name())
    }

    /// The commit is over; bytes durable since the log was opened.
    pub(crate) fn committed(&mut self) -> usize {
        let commit = self.commit.take().expect("a commit was due");
        self.synced = commit.end;
        self.synced_group = commit.place.group;
        self.durable.push(commit.place);
        self.synced
    }
}
