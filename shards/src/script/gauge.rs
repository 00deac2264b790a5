//! Whether a core runs a script, as other cores see it, and the way to ask for its end.
//!
//! The core that runs a script hears of nothing until it is done, so the question comes through a
//! shared number instead of a message. A script that has written is past being killed: both sides
//! move the number by compare-and-swap, so it cannot be killed and write at once.

use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const RUNS: u8 = 1;
const HAS_WRITTEN: u8 = 2;
const KILLED: u8 = 3;
const RUNS_FUNCTION: u8 = 4;

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A script (`EVAL`).
    Script,
    /// A function of a library (`FCALL`).
    Function,
}

impl Kind {
    fn state(self) -> u8 {
        match self {
            Self::Script => RUNS,
            Self::Function => RUNS_FUNCTION,
        }
    }
}

/// What came of asking for a script's end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Killing {
    /// No script runs.
    Nothing,
    /// What runs is of the other kind and goes on.
    Other,
    /// It has written and goes on.
    Refused,
    /// It ends.
    Done,
}

/// The state of one core's script.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU8);

impl Gauge {
    /// Asks for the end of what runs now, if it is of this kind.
    pub fn kill(&self, kind: Kind) -> Killing {
        let (acquired, seen) = (Ordering::AcqRel, Ordering::Acquire);
        match self.0.compare_exchange(kind.state(), KILLED, acquired, seen) {
            Ok(_) | Err(KILLED) => Killing::Done,
            Err(HAS_WRITTEN) => Killing::Refused,
            Err(RUNS | RUNS_FUNCTION) => Killing::Other,
            Err(_) => Killing::Nothing,
        }
    }

    /// Whether a script runs now.
    pub fn runs(&self) -> bool {
        self.0.load(Ordering::Acquire) != IDLE
    }

    pub(crate) fn begin(&self, kind: Kind) {
        self.0.store(kind.state(), Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// The script is about to write; false when it was killed before.
    pub(crate) fn writes(&self) -> bool {
        let (acquired, seen) = (Ordering::AcqRel, Ordering::Acquire);
        [RUNS, RUNS_FUNCTION]
            .into_iter()
            .all(|state| self.0.compare_exchange(state, HAS_WRITTEN, acquired, seen) != Err(KILLED))
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.0.load(Ordering::Relaxed) == KILLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_killed_or_writes() {
        let gauge = Gauge::default();
        assert_eq!(gauge.kill(Kind::Script), Killing::Nothing);
        gauge.begin(Kind::Script);
        assert!(gauge.runs() && gauge.writes() && gauge.writes());
        assert_eq!(gauge.kill(Kind::Function), Killing::Refused);
        gauge.begin(Kind::Function);
        assert_eq!(gauge.kill(Kind::Script), Killing::Other);
        assert_eq!(gauge.kill(Kind::Function), Killing::Done);
        assert!(gauge.is_killed() && !gauge.writes());
        gauge.end();
        assert!(!gauge.runs());
    }
}
