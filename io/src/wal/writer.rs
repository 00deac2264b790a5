//! Gathers runs into groups and decides when a group is written and when it is synced.
//!
//! Use per turn: any number of [`Writer::append`], then [`Writer::turn_end`]; completions of the
//! reactor that carry a log outcome go to [`Writer::on_completion`]; [`Writer::next_deadline`]
//! bounds the sleep. One commit is under way at a time; what is appended meanwhile gathers in the
//! next group, so groups grow with the load. At the end [`Writer::close`].
//!
//! A full disk is found out when the next segment is made, never in the middle of a commit: room
//! for a segment is set aside before it is begun. Then the log waits, with what was appended kept
//! in memory and unacknowledged, and [`Writer::lacks_room`] asks the caller to append no more.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use synap_shards::limits::BATCH_BYTES_MAX;

use super::buffer::GroupBuffer;
use super::commit::{CommitThread, GroupWrite, LogDone, LogJob};
use super::error::WalError;
use super::files;
use super::format::{BLOCK, Chain, GroupHeader, SegmentHeader, group_bytes};
use super::metrics::WalMetrics;
use super::options::{CommitPath, FsyncMode, LogOffset, LogStart, WalOptions};
use super::prepare::Preparer;
use super::segment::Segment;
use crate::clock;
use crate::disk;
use crate::reactor::Reactor;

/// A group is not added to beyond this, or what a segment holds; a single run may exceed both.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most that modes other than `Always` gather, unless they were told to gather more: each write
/// costs the processor the same 40 µs or so up to 128 KiB, and two and a half times that at 1 MiB,
/// which a core's cache does not hold beside what it works on.
const GATHERED_BYTES_MAX: usize = 512 * 1024;
/// Group buffers kept for reuse.
const BUFFERS_KEPT: usize = 2;
/// Mode `Never` writes at least this often, so that a kill loses no more.
const NEVER_INTERVAL: Duration = Duration::from_millis(10);
/// How often a full disk is asked again for room.
const ROOM_RETRY_NS: u64 = 200_000_000;
/// On a full disk, this part of the last segment is kept for what is on its way already.
const RESERVE_DIVISOR: u64 = 4;

const _: () = assert!(BATCH_BYTES_MAX <= u32::MAX as usize, "a run fits the payload field");

#[derive(Debug)]
enum Committer {
    Ring,
    Thread(CommitThread),
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    started_ns: u64,
    payload_bytes: u64,
    sync: bool,
}

enum Step {
    Write { sync: bool },
    Sync,
}

/// The writer of one core's log.
pub struct Writer {
    options: WalOptions,
    segment: Segment,
    preparer: Preparer,
    committer: Committer,
    pending: VecDeque<GroupBuffer>,
    kept: Vec<GroupBuffer>,
    in_flight: Option<InFlight>,
    next_group: u64,
    synced_group: u64,
    appended: u64,
    written: u64,
    synced: u64,
    /// What a finished or running settling commit covers.
    claimed: u64,
    /// Since when something lies beyond `claimed` (ns).
    unsettled_since: Option<u64>,
    /// When the last group was begun (ns), and how much is to gather before the next.
    group_begun_ns: u64,
    gather_bytes: usize,
    /// The next group waits for the sync that lets it begin a new segment.
    rotating: bool,
    /// The next group waits for room on the disk.
    starved: bool,
    /// When the disk may be asked for room again (ns): by the preparer, by the writer itself.
    retry_prepare_ns: u64,
    retry_grow_ns: u64,
    failed: bool,
    metrics: WalMetrics,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("core", &self.options.core)
            .field("segment", &self.segment.number)
            .field("appended", &self.appended)
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Begins a new segment behind `start`. Blocks; meant for start-up.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn open(options: WalOptions, start: LogStart, reactor: &Reactor) -> Result<Self, WalError> {
        let block = BLOCK as u64;
        let bytes = options.segment_bytes;
        assert!(bytes.is_multiple_of(block) && bytes >= 3 * block, "{bytes} is no segment size");
        let (directory, core) = (options.directory.clone(), options.core);
        for (number, path) in &start.unused {
            files::rename(path, &files::spare_path(&directory, core, *number))?;
        }
        if let Some(previous) = &start.previous {
            // The header about to be written says that all before it is durable. What a killed
            // writer left may be in memory only.
            let path = files::segment_path(&directory, core, previous.segment);
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map_err(WalError::io("sync", &path))?;
        }
        let mut preparer = Preparer::new(directory.clone(), core, bytes, start.next_segment);
        let (number, bytes) = preparer.place().prepare_first()?;
        let first_group = start.last_group + 1;
        let header = header(&options, number, bytes, start.previous, first_group);
        let segment = Segment::begin(&preparer.place().path(number), header)?;
        let synced = disk::sync_data(&segment.file);
        synced.map_err(WalError::io("sync", &preparer.place().path(number)))?;
        let committer = match options.path {
            CommitPath::Ring if disk::RING_IS_OPEN => Committer::Ring,
            CommitPath::Ring | CommitPath::Thread => {
                let thread = CommitThread::start(core, reactor.doorbell());
                let failed = WalError::io("start the commit thread for", &directory);
                Committer::Thread(thread.map_err(failed)?)
            }
        };
        preparer.request();
        let gather_bytes = options.buffer_bytes;
        Ok(Self {
            options,
            segment,
            preparer,
            committer,
            pending: VecDeque::new(),
            kept: Vec::new(),
            in_flight: None,
            next_group: first_group,
            synced_group: start.last_group,
            appended: 0,
            written: 0,
            synced: 0,
            claimed: 0,
            unsettled_since: None,
            group_begun_ns: 0,
            gather_bytes,
            rotating: false,
            starved: false,
            retry_prepare_ns: 0,
            retry_grow_ns: 0,
            failed: false,
            metrics: WalMetrics { segments: 1, ..WalMetrics::default() },
        })
    }

    /// Adds `run` (not empty, at most [`BATCH_BYTES_MAX`]) to the log; the offset behind it. It is
    /// kept whole: a group, and a segment, holds all of it or none. Panics when memory runs out,
    /// as pushing to a vector does.
    pub fn append(&mut self, run: &[u8]) -> LogOffset {
        assert!(!run.is_empty() && run.len() <= BATCH_BYTES_MAX, "a run of {} bytes", run.len());
        let most = GROUP_BYTES_MAX.min(self.options.segment_bytes as usize - 2 * BLOCK);
        let fits = |group: &GroupBuffer| group.payload_bytes() + run.len() <= most;
        if !self.pending.back().is_some_and(fits) {
            let kept = self.kept.pop().map_or_else(GroupBuffer::new, Ok);
            self.pending.push_back(kept.expect("memory for a group of the log"));
        }
        let group = self.pending.back_mut().expect("made above");
        group.append(run).expect("memory for a group of the log");
        self.appended += run.len() as u64;
        self.metrics.appends += 1;
        self.metrics.appended_bytes += run.len() as u64;
        LogOffset(self.appended)
    }

    /// Starts a commit if the mode says so and none is under way. `now_ns` is monotonic.
    ///
    /// # Errors
    /// Any error is final: the log takes nothing more.
    pub fn turn_end(&mut self, now_ns: u64, reactor: &mut Reactor) -> Result<(), WalError> {
        self.collect(now_ns)?;
        self.ask_for_room(now_ns);
        if self.appended > self.claimed && self.unsettled_since.is_none() {
            self.unsettled_since = Some(now_ns);
        }
        if self.in_flight.is_some() {
            return Ok(());
        }
        let Some(step) = self.decide(now_ns) else { return Ok(()) };
        let started = match step {
            Step::Write { sync } => self.write_job(sync, now_ns),
            Step::Sync => Ok(Some(self.sync_job())),
        };
        let Some(job) = started.inspect_err(|_| self.failed = true)? else { return Ok(()) };
        self.begin_commit(&job, now_ns);
        match &self.committer {
            Committer::Ring => reactor.start_log_job(job),
            Committer::Thread(thread) => thread.submit(job),
        }
        Ok(())
    }

    /// Takes the outcome of a commit from the reactor.
    ///
    /// # Errors
    /// The write or the sync failed: final, never to be retried.
    pub fn on_completion(&mut self, done: LogDone, now_ns: u64) -> Result<(), WalError> {
        let commit = self.in_flight.take().expect("an outcome belongs to a commit under way");
        if let Err(failure) = done.outcome {
            self.failed = true;
            let path = self.preparer.place().path(self.segment.number);
            return Err(WalError::Io { action: failure.action, path, source: failure.source });
        }
        self.segment.check_presence().inspect_err(|_| self.failed = true)?;
        if commit.sync {
            self.metrics.observe_sync(now_ns.saturating_sub(commit.started_ns));
        }
        if let Some(mut write) = done.job.write {
            self.written += commit.payload_bytes;
            write.buffer.clear();
            if write.buffer.is_reusable() && self.kept.len() < BUFFERS_KEPT {
                self.kept.push(write.buffer);
            }
        }
        if commit.sync {
            self.synced = self.written;
            self.synced_group = self.next_group - 1;
        }
        Ok(())
    }

    /// Takes the outcome of a commit from the commit thread, if there is one. Cheap; the pump calls
    /// it at the start of each turn so that what became durable is told in the same turn.
    ///
    /// # Errors
    /// As [`Writer::on_completion`].
    pub fn collect(&mut self, now_ns: u64) -> Result<(), WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        if let Committer::Thread(thread) = &self.committer
            && let Some(done) = thread.try_collect()
        {
            self.on_completion(done, now_ns)?;
        }
        self.preparer.collect()
    }

    /// Everything up to here survives a crash of the machine; in mode `Never`: of the process.
    pub fn durable(&self) -> LogOffset {
        match self.options.fsync {
            FsyncMode::Always | FsyncMode::Periodic { .. } => LogOffset(self.synced),
            FsyncMode::Never => LogOffset(self.written),
        }
    }

    /// Everything up to here is with the kernel.
    pub fn written(&self) -> LogOffset {
        LogOffset(self.written)
    }

    /// Everything appended.
    pub fn appended(&self) -> LogOffset {
        LogOffset(self.appended)
    }

    /// Bytes appended and not yet written: what to bound by reading less from clients.
    pub fn backlog_bytes(&self) -> u64 {
        self.appended - self.written
    }

    /// Whether the disk is full and the log close to its end: what is appended now may wait for
    /// room for ever. Ends by itself once there is room.
    pub fn lacks_room(&self) -> bool {
        let room = self.segment.bytes.saturating_sub(self.segment.offset + self.backlog_bytes());
        let reserve = self.options.segment_bytes / RESERVE_DIVISOR;
        self.starved || (self.preparer.is_out_of_space() && room < reserve)
    }

    /// When the pump must call [`Writer::turn_end`] at the latest (monotonic ns); nothing when a
    /// completion will wake it or there is nothing to do.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.in_flight.is_some() {
            return None;
        }
        let interval = self.interval()?;
        self.unsettled_since.map(|since| since + interval.as_nanos() as u64)
    }

    /// Number of the segment being written. What is appended from now on lies in it or behind it.
    pub fn segment(&self) -> u64 {
        self.segment.number
    }

    /// Whether writes go around the page cache; some file systems do not let them.
    pub fn is_direct(&self) -> bool {
        self.segment.direct
    }

    /// Lets the segments up to and including `segment` go, in the background: their files are
    /// recycled. The caller no longer needs what they hold.
    ///
    /// # Errors
    /// [`WalError::Io`] when the job cannot start; its own errors come from a later turn.
    pub fn release_through(&mut self, segment: u64) -> Result<(), WalError> {
        assert!(segment < self.segment.number, "segment {segment} is still being written");
        self.preparer.release(move |number| number <= segment)
    }

    /// Counters.
    pub fn metrics(&self) -> WalMetrics {
        self.metrics
    }

    /// Writes and syncs everything and ends. Blocks. Leaves an empty group behind the last, which
    /// testifies that all before it was durable.
    ///
    /// # Errors
    /// As [`Writer::turn_end`].
    pub fn close(mut self, reactor: &mut Reactor) -> Result<WalMetrics, WalError> {
        self.wait(reactor)?;
        loop {
            let job =
                if self.pending.is_empty() { self.sync_job() } else { self.last_write_job()? };
            self.run_here(job)?;
            if self.pending.is_empty() && self.synced == self.appended {
                break;
            }
        }
        if self.segment.offset + BLOCK as u64 <= self.segment.bytes {
            let empty = self.kept.pop().map_or_else(GroupBuffer::new, Ok);
            let failed = WalError::io("get memory for", &self.options.directory);
            self.pending.push_back(empty.map_err(failed)?);
            let job = self.write_job(true, clock::monotonic_ns())?;
            self.run_here(job.expect("it was seen to fit"))?;
        }
        self.preparer.finish()?;
        Ok(self.metrics)
    }

    fn interval(&self) -> Option<Duration> {
        match self.options.fsync {
            FsyncMode::Always => None,
            FsyncMode::Periodic { interval } => Some(interval),
            FsyncMode::Never => Some(NEVER_INTERVAL),
        }
    }

    fn decide(&self, now_ns: u64) -> Option<Step> {
        let has_pending = !self.pending.is_empty();
        let Some(interval) = self.interval() else {
            return has_pending.then_some(Step::Write { sync: true });
        };
        let interval_ns = interval.as_nanos() as u64;
        let due = self.unsettled_since.is_some_and(|since| now_ns >= since + interval_ns);
        let syncs = self.options.fsync != FsyncMode::Never;
        let gathered = self.pending.front().map_or(0, GroupBuffer::payload_bytes);
        if has_pending && (due || self.rotating || gathered >= self.gather_bytes) {
            return Some(Step::Write { sync: due && syncs });
        }
        (due && syncs).then_some(Step::Sync)
    }

    /// The job that writes the oldest pending group; first a sync alone, when the group must begin
    /// a new segment and the old one is not durable yet; nothing when there is no room for one.
    fn write_job(&mut self, sync: bool, now_ns: u64) -> Result<Option<LogJob>, WalError> {
        let payload_bytes = self.pending.front().expect("the caller looked").payload_bytes();
        let bytes = group_bytes(payload_bytes) as u64;
        if self.segment.offset + bytes > self.segment.bytes {
            self.rotating = self.synced < self.written;
            if self.rotating {
                return Ok(Some(self.sync_job()));
            }
            self.starved = !self.rotate(bytes, now_ns)?;
            if self.starved {
                return Ok(None);
            }
        }
        let mut buffer = self.pending.pop_front().expect("seen above");
        let group = GroupHeader {
            core: self.options.core,
            epoch: self.options.epoch,
            segment: self.segment.number,
            group: self.next_group,
            synced_through: self.synced_group,
            payload_bytes: payload_bytes as u32,
        };
        let bytes = buffer.seal(|bytes| group.encode(bytes));
        let write = GroupWrite { buffer, bytes, offset: self.segment.offset };
        self.next_group += 1;
        self.segment.offset += bytes as u64;
        self.gather_for(payload_bytes, now_ns);
        Ok(Some(LogJob { file: Arc::clone(&self.segment.file), write: Some(write), sync }))
    }

    /// Lets as much gather as an interval brings at the pace at which the group just begun came:
    /// fewer, larger writes, and none is put off beyond the interval it may wait anyway.
    fn gather_for(&mut self, payload_bytes: usize, now_ns: u64) {
        let Some(interval) = self.interval() else { return };
        let took_ns = now_ns.saturating_sub(self.group_begun_ns).max(1);
        self.group_begun_ns = now_ns;
        let brought = payload_bytes as u128 * interval.as_nanos() / u128::from(took_ns);
        let brought = brought.min(GATHERED_BYTES_MAX as u128) as usize;
        self.gather_bytes = brought.max(self.options.buffer_bytes);
    }

    /// As [`Writer::write_job`] for a log that is being closed: there is one more try to have room.
    fn last_write_job(&mut self) -> Result<LogJob, WalError> {
        if let Some(job) = self.write_job(true, clock::monotonic_ns())? {
            return Ok(job);
        }
        self.retry_grow_ns = 0;
        self.preparer.request();
        self.preparer.finish()?;
        self.write_job(true, clock::monotonic_ns())?.ok_or_else(|| self.no_room())
    }

    fn sync_job(&self) -> LogJob {
        LogJob { file: Arc::clone(&self.segment.file), write: None, sync: true }
    }

    /// Notes a job as under way.
    fn begin_commit(&mut self, job: &LogJob, now_ns: u64) {
        let write = job.write.as_ref();
        let payload_bytes = write.map_or(0, |write| write.buffer.payload_bytes() as u64);
        let end = self.written + payload_bytes;
        if job.sync || self.options.fsync == FsyncMode::Never {
            self.claimed = end;
            self.unsettled_since = (self.appended > end).then_some(now_ns);
        }
        self.metrics.commits += 1;
        self.metrics.syncs += u64::from(job.sync);
        self.metrics.groups += u64::from(write.is_some());
        self.metrics.written_bytes += write.map_or(0, |write| write.bytes as u64);
        self.in_flight = Some(InFlight { started_ns: now_ns, payload_bytes, sync: job.sync });
    }

    fn run_here(&mut self, job: LogJob) -> Result<(), WalError> {
        self.begin_commit(&job, clock::monotonic_ns());
        self.on_completion(job.run(), clock::monotonic_ns())
    }

    /// Waits for the commit under way.
    fn wait(&mut self, reactor: &mut Reactor) -> Result<(), WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        if self.in_flight.is_none() {
            return Ok(());
        }
        let done = match &self.committer {
            Committer::Thread(thread) => thread.wait(),
            Committer::Ring => {
                let finished = reactor.finish_log_job();
                finished.map_err(WalError::io("wait for", &self.options.directory))?
            }
        };
        self.on_completion(done, clock::monotonic_ns())
    }

    /// Begins a new segment that has room for a group of `bytes`. Everything written so far is
    /// durable, so a valid header proves that the segment before is complete. False when the disk
    /// has no room for one.
    fn rotate(&mut self, bytes: u64, now_ns: u64) -> Result<bool, WalError> {
        assert_eq!(self.synced, self.written, "the old segment is durable before the new begins");
        let needed = BLOCK as u64 + bytes;
        let segment_bytes = self.options.segment_bytes.max(needed);
        let prepared = if needed > self.options.segment_bytes {
            None
        } else {
            self.preparer.take(self.segment.number)?
        };
        let number = match prepared {
            Some(number) => number,
            // Two that try at once would take the last room from one another.
            None if needed <= self.options.segment_bytes && self.preparer.is_out_of_space() => {
                return Ok(false);
            }
            None => match self.grow(segment_bytes, now_ns)? {
                Some(number) => number,
                None => {
                    if needed > self.options.segment_bytes {
                        self.preparer.give_back()?;
                    }
                    return Ok(false);
                }
            },
        };
        let previous = Chain { segment: self.segment.number, end_offset: self.segment.offset };
        let group = self.next_group;
        let header = header(&self.options, number, segment_bytes, Some(previous), group);
        self.segment = Segment::begin(&self.preparer.place().path(number), header)?;
        self.metrics.segments += 1;
        self.preparer.request();
        Ok(true)
    }

    /// A file for a segment of `bytes` that nobody has prepared, or nothing when the disk is full.
    fn grow(&mut self, bytes: u64, now_ns: u64) -> Result<Option<u64>, WalError> {
        if now_ns < self.retry_grow_ns {
            return Ok(None);
        }
        match self.preparer.place().create_reserved(bytes) {
            Ok(number) => {
                self.metrics.unprepared_segments += 1;
                Ok(Some(number))
            }
            Err(error) if error.is_out_of_space() => {
                self.retry_grow_ns = now_ns + ROOM_RETRY_NS;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// On a full disk, tries now and then whether the next segment can be prepared.
    fn ask_for_room(&mut self, now_ns: u64) {
        if self.preparer.is_out_of_space() && now_ns >= self.retry_prepare_ns {
            self.retry_prepare_ns = now_ns + ROOM_RETRY_NS;
            self.preparer.request();
        }
    }

    fn no_room(&self) -> WalError {
        let failed = WalError::io("begin a segment in", &self.options.directory);
        failed(io::ErrorKind::StorageFull.into())
    }
}

fn header(
    options: &WalOptions,
    segment: u64,
    segment_bytes: u64,
    previous: Option<Chain>,
    first_group: u64,
) -> SegmentHeader {
    SegmentHeader {
        core: options.core,
        segment,
        segment_bytes,
        epoch: options.epoch,
        is_whole: true,
        created_ms: clock::unix_ms(),
        previous,
        first_group,
    }
}
