//! The log on real files: what is durable comes back, what is torn is cut, what is damaged is
//! refused.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use synap_io::clock::monotonic_ns;
use synap_io::reactor::{Completion, Reactor, ReactorError, ReactorOptions};
use synap_io::wal::{
    CommitPath, FsyncMode, LogEnd, LogOffset, LogReader, LogStart, WalError, WalMetrics,
    WalOptions, Writer, scan_dir,
};

const BLOCK: u64 = 4096;
const SEGMENT_BYTES: u64 = 16 * BLOCK;
const PATHS: [CommitPath; 2] = [CommitPath::Ring, CommitPath::Thread];

struct Log {
    reactor: Reactor,
    writer: Writer,
}

fn options(directory: &Path, path: CommitPath) -> WalOptions {
    let mut options = WalOptions::new(directory.to_owned(), 0, 1);
    options.segment_bytes = SEGMENT_BYTES;
    options.path = path;
    options
}

fn reactor() -> Option<Reactor> {
    match Reactor::new(&ReactorOptions::default()) {
        Ok(reactor) => Some(reactor),
        Err(error @ ReactorError::Setup(_)) => {
            println!("SKIPPED, NOTHING TESTED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

impl Log {
    fn open(options: WalOptions, start: LogStart) -> Option<Self> {
        let reactor = reactor()?;
        let writer = Writer::open(options, start, &reactor).expect("open");
        Some(Self { reactor, writer })
    }

    /// One turn as the pump does it.
    fn turn(&mut self, wait: Duration) -> Result<(), WalError> {
        self.writer.turn_end(monotonic_ns(), &mut self.reactor)?;
        self.reactor.turn(wait).expect("turn");
        self.writer.collect(monotonic_ns())?;
        while let Some(completion) = self.reactor.next() {
            if let Completion::Log(done) = completion {
                self.writer.on_completion(done, monotonic_ns())?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), WalError> {
        while self.writer.durable() < self.writer.appended() {
            self.turn(Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn commit(&mut self, run: &[u8]) {
        let offset = self.writer.append(run);
        self.settle().expect("commit");
        assert!(self.writer.durable() >= offset);
    }

    /// Commits until there is no room. That there is none is found out beside the commits, so the
    /// last run may have to wait for it.
    fn fill(&mut self) {
        while !self.writer.lacks_room() {
            self.writer.append(&run(1, 30_000));
            while self.writer.durable() < self.writer.appended() && !self.writer.lacks_room() {
                self.turn(Duration::from_millis(20)).expect("turn");
            }
        }
    }

    fn close(mut self) -> WalMetrics {
        self.writer.close(&mut self.reactor).expect("close")
    }

    /// Ends as a crash does: nothing more is written.
    fn crash(self) {
        drop(self.writer);
    }
}

fn run(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (number * 31 + at * 7) as u8).collect()
}

fn read(directory: &Path) -> Result<(Vec<Vec<u8>>, LogEnd), WalError> {
    let files = scan_dir(directory)?.into_iter().next().expect("one core's log");
    let mut reader = LogReader::open(files)?;
    let mut runs = Vec::new();
    while let Some(run) = reader.next_run()? {
        runs.push(run.bytes.to_vec());
    }
    Ok((runs, reader.end().clone()))
}

fn segment_file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("synap.wal.0.{number}"))
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("open");
    file.write_all_at(bytes, offset).expect("write");
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("write");
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

#[test]
fn what_was_committed_comes_back_over_reopens_and_rotations() {
    for path in PATHS {
        let directory = tempfile::tempdir().expect("directory");
        let (mut expected, mut start) = (Vec::new(), LogStart::fresh());
        for round in 0..4 {
            let Some(mut log) = Log::open(options(directory.path(), path), start) else { return };
            for number in 0..25 {
                let bytes = run(round * 100 + number, 100 + number * 700);
                log.commit(&bytes);
                expected.push(bytes);
            }
            if round % 2 == 0 {
                assert!(log.close().segments > 1, "the test is meant to rotate");
            } else {
                log.crash();
            }
            let (runs, end) = read(directory.path()).expect("read");
            assert!(runs == expected, "round {round} over {path:?}");
            assert_eq!(end.torn, None);
            start = end.start;
        }
    }
}

#[test]
fn runs_appended_together_share_a_group_in_order() {
    let directory = tempfile::tempdir().expect("directory");
    let options = options(directory.path(), CommitPath::Ring);
    let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
    let offsets: Vec<_> = (0..10).map(|number| log.writer.append(&run(number, 10))).collect();
    assert_eq!((offsets[0], offsets[9]), (LogOffset(10), LogOffset(100)));
    assert_eq!(log.writer.backlog_bytes(), 100);
    log.settle().expect("commit");
    let metrics = log.close();
    assert_eq!((metrics.appends, metrics.groups), (10, 2), "one group and the closing one");
    let (runs, _) = read(directory.path()).expect("read");
    let whole: Vec<u8> = (0..10).flat_map(|number| run(number, 10)).collect();
    assert_eq!(runs, [whole]);
}

#[test]
fn a_run_larger_than_a_segment_is_kept_whole() {
    for path in PATHS {
        let directory = tempfile::tempdir().expect("directory");
        let options = options(directory.path(), path);
        let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
        let runs = [run(1, 50), run(2, 3 * SEGMENT_BYTES as usize + 5), run(3, 50)];
        for run in &runs {
            log.commit(run);
        }
        log.close();
        assert!(read(directory.path()).expect("read").0 == runs);
    }
}

/// A log of three commits and the bytes of its segment, crashed.
fn three_commits(directory: &Path, mode: FsyncMode) -> Option<Vec<Vec<u8>>> {
    let mut options = options(directory, CommitPath::Ring);
    options.fsync = mode;
    options.buffer_bytes = 1;
    let mut log = Log::open(options, LogStart::fresh())?;
    let runs: Vec<_> = (0..3).map(|number| run(number, 5000)).collect();
    for run in &runs {
        log.writer.append(run);
        while log.writer.written() < log.writer.appended() {
            log.turn(Duration::from_millis(20)).expect("turn");
        }
    }
    log.crash();
    Some(runs)
}

#[test]
fn a_torn_last_group_is_cut_wherever_it_tore() {
    let directory = tempfile::tempdir().expect("directory");
    let Some(runs) = three_commits(directory.path(), FsyncMode::Always) else { return };
    // Header block and three groups of two blocks each: the last lies in blocks 5 and 6.
    let last = 5 * BLOCK;
    let whole = fs::read(segment_file(directory.path(), 1)).expect("read");
    let cuts = [0, 3, 4, 8, 20, 44, 48, 49, 1000, 4095, 4096, 4097, 5000, 5047];
    for cut in cuts {
        let torn = tempfile::tempdir().expect("directory");
        copy_dir(directory.path(), torn.path());
        let group = 5048;
        let zeroes = vec![0; group - cut];
        overwrite(&segment_file(torn.path(), 1), last + cut as u64, &zeroes);
        let (found, end) = read(torn.path()).expect("a torn tail is no damage");
        assert!(found == runs[..2], "cut at {cut}");
        assert_eq!(end.start.previous.expect("a segment").end_offset, last);
        assert_eq!(end.start.last_group, 2);
        if cut >= 48 {
            let torn = end.torn.expect("the header shows that there was a group");
            assert_eq!((torn.segment, torn.offset, torn.bytes), (1, last, 2 * BLOCK));
        }
        // The log goes on behind the cut, and what was cut never comes back.
        let options = options(torn.path(), CommitPath::Ring);
        let mut log = Log::open(options, end.start).expect("opened before");
        log.commit(b"after");
        log.close();
        fs::write(torn.path().join("unrelated"), b"").expect("write");
        overwrite(&segment_file(torn.path(), 1), last, &whole[last as usize..]);
        let (found, _) = read(torn.path()).expect("read");
        assert_eq!(found.len(), 3);
        assert_eq!(found[2], b"after");
    }
}

#[test]
fn damage_to_durable_data_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("directory");
    if three_commits(directory.path(), FsyncMode::Always).is_none() {
        return;
    }
    for (group, at) in [(BLOCK, 0), (BLOCK, 5), (BLOCK, 30), (BLOCK, 43), (BLOCK, 3000)] {
        let damaged = tempfile::tempdir().expect("directory");
        copy_dir(directory.path(), damaged.path());
        flip(&segment_file(damaged.path(), 1), group + at);
        match read(damaged.path()) {
            Err(WalError::Corrupt { segment, offset, path, .. }) => {
                assert_eq!((segment, offset), (1, group));
                assert!(path.ends_with("synap.wal.0.1"));
            }
            other => panic!("a flip at {at} gave {other:?}"),
        }
    }
    let damaged = tempfile::tempdir().expect("directory");
    copy_dir(directory.path(), damaged.path());
    flip(&segment_file(damaged.path(), 1), 20);
    let refused = read(damaged.path());
    assert!(matches!(refused, Err(WalError::Corrupt { segment: 1, offset: 0, .. })), "{refused:?}");
}

#[test]
fn groups_behind_a_hole_that_were_never_synced_are_cut() {
    let directory = tempfile::tempdir().expect("directory");
    let Some(runs) = three_commits(directory.path(), FsyncMode::Never) else { return };
    flip(&segment_file(directory.path(), 1), 3 * BLOCK + 100);
    let (found, end) = read(directory.path()).expect("nothing says that it was durable");
    assert!(found == runs[..1]);
    let torn = end.torn.expect("something was cut");
    assert_eq!((torn.offset, torn.bytes), (3 * BLOCK, 4 * BLOCK));
}

#[test]
fn a_missing_segment_in_the_middle_is_named_and_a_missing_front_is_not() {
    let directory = tempfile::tempdir().expect("directory");
    let options = options(directory.path(), CommitPath::Thread);
    let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
    while log.writer.metrics().segments < 4 {
        log.commit(&run(1, 9000));
    }
    log.close();
    let files = scan_dir(directory.path()).expect("scan").remove(0);
    let begun: Vec<_> = files.segments.keys().copied().collect();
    let trimmed = tempfile::tempdir().expect("directory");
    copy_dir(directory.path(), trimmed.path());
    fs::remove_file(segment_file(trimmed.path(), begun[0])).expect("remove");
    read(trimmed.path()).expect("a trimmed front is no damage");
    fs::remove_file(segment_file(directory.path(), begun[1])).expect("remove");
    match read(directory.path()) {
        Err(WalError::Missing { segment, wanted_by, .. }) => {
            assert!(segment == begun[1] && wanted_by > segment);
        }
        other => panic!("expected Missing, got {other:?}"),
    }
}

#[test]
fn released_segments_are_recycled_and_their_old_contents_never_read() {
    for path in PATHS {
        let directory = tempfile::tempdir().expect("directory");
        let options = options(directory.path(), path);
        let Some(mut log) = Log::open(options.clone(), LogStart::fresh()) else { return };
        let mut last = Vec::new();
        for number in 0..60 {
            last = run(number, 9000);
            log.commit(&last);
            let current = log.writer.segment();
            if number % 5 == 0 && current > 1 {
                log.writer.release_through(current - 1).expect("release");
            }
        }
        log.crash();
        let (runs, end) = read(directory.path()).expect("old contents are not ours");
        assert!(runs.last() == Some(&last), "the log ends with its last commit");
        assert!(runs.len() < 60 && end.torn.is_none());
        let files = scan_dir(directory.path()).expect("scan").remove(0);
        assert!(files.segments.len() + files.spares.len() < 20, "files are reused: {files:?}");
        let mut log = Log::open(options, end.start).expect("opened before");
        log.commit(b"on a recycled file");
        log.crash();
        let (runs, _) = read(directory.path()).expect("read");
        assert_eq!(runs.last().expect("a run"), b"on a recycled file");
    }
}

#[test]
fn periodic_and_never_lose_at_most_one_interval_also_after_a_burst() {
    let interval = Duration::from_millis(15);
    for mode in [FsyncMode::Periodic { interval }, FsyncMode::Never] {
        for path in PATHS {
            let directory = tempfile::tempdir().expect("directory");
            let mut options = options(directory.path(), path);
            options.fsync = mode;
            let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
            for number in 0..50 {
                log.writer.append(&run(number, 20));
                log.turn(Duration::ZERO).expect("turn");
            }
            let deadline = log.writer.next_deadline();
            let started = monotonic_ns();
            assert!(deadline.is_none_or(|at| at <= started + 15_000_000), "a bounded sleep");
            log.settle().expect("the deadline is kept");
            assert!(log.writer.next_deadline().is_none(), "nothing to do, nothing to wake for");
            assert!(log.writer.metrics().groups < 20, "small runs are gathered");
            log.crash();
            assert_eq!(read(directory.path()).expect("read").1.bytes, 1000);
        }
    }
}

#[test]
fn works_in_memory_backed_directories() {
    let directory = tempfile::tempdir_in("/dev/shm").expect("directory");
    for (round, path) in PATHS.into_iter().enumerate() {
        let start = if round == 0 {
            LogStart::fresh()
        } else {
            read(directory.path()).expect("read").1.start
        };
        let Some(mut log) = Log::open(options(directory.path(), path), start) else { return };
        log.commit(b"in memory");
        log.close();
    }
    assert_eq!(read(directory.path()).expect("read").0.len(), 2);
}

/// A tmpfs of one mebibyte, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOTHING TESTED: mounting a small disk needs root");
        return;
    };
    for path in PATHS {
        let directory = tempfile::tempdir_in(disk.0.path()).expect("directory");
        let ballast = directory.path().join("ballast");
        fs::write(&ballast, vec![1; 400 * 1024]).expect("there is room for it");
        let mut options = options(directory.path(), path);
        options.segment_bytes = 64 * BLOCK;
        let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
        log.fill();
        // What is appended all the same is kept, and not durable until there is room.
        for _ in 0..12 {
            log.writer.append(&run(2, 30_000));
        }
        for _ in 0..50 {
            log.turn(Duration::from_millis(20)).expect("it waits");
        }
        assert!(log.writer.durable() < log.writer.appended());
        assert!(log.writer.lacks_room());
        fs::remove_file(&ballast).expect("it is there");
        log.settle().expect("there is room");
        let durable = log.writer.durable();
        assert_eq!(durable, log.writer.appended());
        log.crash();
        let (_, end) = read(directory.path()).expect("what was durable is readable");
        assert_eq!(end.bytes, durable.0);
    }
}

#[test]
fn a_run_larger_than_a_segment_gets_the_room_of_one_that_stands_ready() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOTHING TESTED: mounting a small disk needs root");
        return;
    };
    let mut options = options(disk.0.path(), CommitPath::Thread);
    options.segment_bytes = 64 * BLOCK;
    let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
    let stands_ready = || segment_file(disk.0.path(), 2).exists();
    while !stands_ready() {
        log.turn(Duration::from_millis(1)).expect("turn");
    }
    log.commit(&run(1, 600_000));
    log.close();
    assert_eq!(read(disk.0.path()).expect("read").0.len(), 1);
}

#[test]
fn jobs_that_release_at_once_do_not_meet() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().expect("directory");
        let options = options(directory.path(), CommitPath::Thread);
        let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
        while log.writer.segment() < 12 {
            log.commit(&run(1, 50_000));
        }
        for through in 4..log.writer.segment() {
            log.writer.release_through(through).expect("release");
        }
        log.close();
    }
}

#[test]
fn a_log_that_cannot_end_on_a_full_disk_says_so() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOTHING TESTED: mounting a small disk needs root");
        return;
    };
    let mut options = options(disk.0.path(), CommitPath::Thread);
    options.segment_bytes = 64 * BLOCK;
    let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
    log.fill();
    let durable = log.writer.durable();
    for _ in 0..12 {
        log.writer.append(&run(2, 30_000));
    }
    let error = log.writer.close(&mut log.reactor).expect_err("it does not fit");
    assert!(error.is_out_of_space(), "{error}");
    let (_, end) = read(disk.0.path()).expect("what was durable is readable");
    assert!(end.bytes >= durable.0);
}

/// Deletes every file of a directory. The segment for later is made meanwhile and changes its name
/// when it is ready, so a name that was read can be gone: looked again until nothing is left.
fn delete_all(directory: &Path) {
    let names = || -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).expect("it can be read");
        entries.map(|entry| entry.expect("it can be read").path()).collect()
    };
    for name in std::iter::repeat_with(names).take_while(|left| !left.is_empty()).flatten() {
        match fs::remove_file(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            Ok(()) | Err(_) => {}
        }
    }
}

#[test]
fn a_log_whose_file_was_deleted_promises_nothing_more() {
    for path in PATHS {
        let directory = tempfile::tempdir().expect("directory");
        let Some(mut log) = Log::open(options(directory.path(), path), LogStart::fresh()) else {
            return;
        };
        log.commit(&[1]);
        delete_all(directory.path());
        log.writer.append(&[2]);
        let error = log.settle().expect_err("nothing is left of it");
        assert!(error.to_string().contains("deleted"), "{error}");
        assert_eq!(log.writer.durable(), LogOffset(1));
        assert!(matches!(log.settle(), Err(WalError::Failed)), "nothing is retried");
    }
}

#[test]
fn logs_of_several_cores_are_found_apart() {
    let directory = tempfile::tempdir().expect("directory");
    for core in [0, 1] {
        let mut options = options(directory.path(), CommitPath::Ring);
        options.core = core;
        let Some(mut log) = Log::open(options, LogStart::fresh()) else { return };
        log.commit(&[core as u8 + 1]);
        log.close();
    }
    let logs = scan_dir(directory.path()).expect("scan");
    for (core, files) in logs.into_iter().enumerate() {
        assert_eq!(usize::from(files.core), core);
        let mut reader = LogReader::open(files).expect("open");
        assert_eq!(reader.next_run().expect("read").expect("a run").bytes, [core as u8 + 1]);
    }
}
