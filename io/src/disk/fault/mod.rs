//! Faults on demand, for tests with a real server process. Only in builds with the feature
//! `fault-injection`.
//!
//! The variable [`PLAN_VARIABLE`] names a file of rules (see [`rule`]), one a line, read before
//! every call, so that a test changes its mind while the server runs. Everything written and not
//! honestly synced is remembered with what it replaced; a rule `power …` puts that back and ends
//! the process, as a power cut behind a write cache does. Not modelled: loss of renames, creations
//! and deletions of files.
//!
//! Guarantees: without the variable, or with an empty file, every call does what it says.

mod journal;
mod rule;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::plain;
use journal::Journal;
use rule::{Effect, Op, Rule, Step};

/// Names the file of rules.
pub const PLAN_VARIABLE: &str = "SYNAP_FAULT_PLAN";

/// Blocks that a file opened around the page cache takes.
const BLOCK: usize = 4096;

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

/// What the process knows of its faults.
#[derive(Debug, Default)]
struct State {
    /// Calls that a rule looked at, and bytes it let through, by the rule's text.
    seen: HashMap<String, Seen>,
    journal: Journal,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    calls: u64,
    bytes: u64,
}

/// What becomes of one call.
enum Verdict {
    Proceed,
    Refuse(io::Error),
    /// Only this many bytes are written at first.
    Short(usize),
    /// This many bytes are written, then the process ends.
    Tear(usize),
    /// The sync is answered and not done.
    Lie,
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    match decide(Op::Write, file, bytes.len() as u64) {
        Verdict::Refuse(error) => Err(error),
        Verdict::Tear(torn) => {
            let torn = torn.min(bytes.len());
            let _nothing_beside = remember(file, bytes.len(), offset)?;
            let written =
                buffered(file).and_then(|file| plain::write_all_at(&file, &bytes[..torn], offset));
            end("a torn write", &written);
        }
        Verdict::Short(first) => {
            let _nothing_beside = remember(file, bytes.len(), offset)?;
            let first = first.min(bytes.len()) / BLOCK * BLOCK;
            plain::write_all_at(file, &bytes[..first], offset)?;
            plain::write_all_at(file, &bytes[first..], offset + first as u64)
        }
        Verdict::Proceed | Verdict::Lie => {
            let _nothing_beside = remember(file, bytes.len(), offset)?;
            plain::write_all_at(file, bytes, offset)
        }
    }
}

pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    sync(file, plain::sync_data)
}

pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    sync(file, plain::sync_all)
}

pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match decide(Op::Reserve, file, bytes) {
        Verdict::Refuse(error) => Err(error),
        Verdict::Proceed | Verdict::Short(_) | Verdict::Tear(_) | Verdict::Lie => {
            plain::reserve(file, bytes)
        }
    }
}

fn sync(file: &File, honest: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    match decide(Op::Sync, file, 0) {
        Verdict::Refuse(error) => Err(error),
        Verdict::Lie => Ok(()),
        Verdict::Proceed | Verdict::Short(_) | Verdict::Tear(_) => {
            let mut state = state();
            honest(file)?;
            state.journal.settle(file)
        }
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what a write replaces. Nothing else may come between the note and the write, a power cut
/// least of all: the caller holds on to what it is given until it has written.
fn remember(file: &File, bytes: usize, offset: u64) -> io::Result<MutexGuard<'static, State>> {
    let mut state = state();
    state.journal.note(file, bytes, offset)?;
    Ok(state)
}

/// The same file through the page cache, where writes of any length are possible.
fn buffered(file: &File) -> io::Result<File> {
    journal::reopen(file)
}

fn end(what: &str, outcome: &io::Result<()>) -> ! {
    eprintln!("fault injection: {what} ({outcome:?}), the process ends");
    process::abort()
}

/// What the rules of this moment make of a call.
fn decide(op: Op, file: &File, bytes: u64) -> Verdict {
    let rules = rules();
    let path = journal::path_of(file);
    let mut verdict = Verdict::Proceed;
    let mut delay = Duration::ZERO;
    for (text, rule) in &rules {
        let step = match rule {
            Rule::Power { keep_one_in } => {
                // Held to the end: what is finished behind the cut must not be told to anybody.
                let mut state = state();
                let outcome = state.journal.roll_back(*keep_one_in);
                end("the power is cut", &outcome);
            }
            Rule::Calls(step) if step.concerns(op, &path) => step,
            Rule::Calls(_) => continue,
        };
        if let Some(found) = apply(text, step, bytes, &mut delay) {
            verdict = found;
            break;
        }
    }
    thread::sleep(delay);
    verdict
}

fn apply(text: &str, step: &Step, bytes: u64, delay: &mut Duration) -> Option<Verdict> {
    let mut state = state();
    let seen = state.seen.entry(text.to_owned()).or_default();
    seen.calls += 1;
    if seen.calls <= step.after || seen.calls - step.after > step.times {
        return None;
    }
    match step.effect {
        Effect::Delay(time) => {
            *delay += time;
            None
        }
        Effect::Error(number) => Some(Verdict::Refuse(io::Error::from_raw_os_error(number))),
        Effect::Room(room) if seen.bytes + bytes > room => {
            Some(Verdict::Refuse(io::Error::from_raw_os_error(libc::ENOSPC)))
        }
        Effect::Room(_) => {
            seen.bytes += bytes;
            None
        }
        Effect::Short(first) => Some(Verdict::Short(first)),
        Effect::Tear(torn) => Some(Verdict::Tear(torn)),
        Effect::Lie => Some(Verdict::Lie),
        Effect::Crash => end("a crash at a call", &Ok(())),
    }
}

/// The rules of this moment. A line that is no rule ends the process: a test with a typo would
/// test nothing.
fn rules() -> Vec<(String, Rule)> {
    let Some(path) = std::env::var_os(PLAN_VARIABLE).map(PathBuf::from) else { return Vec::new() };
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let parsed = lines.map(|line| match Rule::parse(line) {
        Ok(rule) => (line.to_owned(), rule),
        Err(error) => {
            eprintln!("fault injection: {}: {error}", path.display());
            process::abort()
        }
    });
    parsed.collect()
}
