//! The language of faults.
//!
//! ```text
//! OP EFFECT [VALUE] [after N] [times M] [in TEXT]
//! power cut
//! power scatter N
//! ```
//!
//! OP is `write`, `sync` or `reserve`. EFFECT is `error ERRNO` (a name such as `EIO`), `delay MS`,
//! `room BYTES` (no space left once so many have gone through), `short BYTES` (a write comes in two
//! pieces), `tear BYTES` (so much is written, then the process ends), `lie` (a sync is answered and
//! not done), `crash` (the process ends before the call). `after N` spares the first N calls,
//! `times M` ends the rule after M, `in TEXT` concerns only files whose path has the text.
//! `power cut` takes back everything unsynced and ends the process; `power scatter N` leaves every Nth block.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

/// A call that can be disturbed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    Write,
    Sync,
    Reserve,
}

/// How.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    Error(i32),
    Delay(Duration),
    Room(u64),
    Short(usize),
    Tear(usize),
    Lie,
    Crash,
}

/// A disturbance of some calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) effect: Effect,
    pub(super) after: u64,
    pub(super) times: u64,
    path_has: String,
}

/// One line of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    Calls(Step),
    /// Of the blocks not synced every so manieth stays; with none, none does.
    Power {
        keep_one_in: Option<NonZeroU64>,
    },
}

/// Why a line is no rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NoRule {
    line: String,
    wanted: &'static str,
}

impl fmt::Display for NoRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no rule: expected {}", self.line, self.wanted)
    }
}

const ERRORS: [(&str, i32); 6] = [
    ("EIO", libc::EIO),
    ("ENOSPC", libc::ENOSPC),
    ("EDQUOT", libc::EDQUOT),
    ("EROFS", libc::EROFS),
    ("EACCES", libc::EACCES),
    ("EINVAL", libc::EINVAL),
];

impl Step {
    pub(super) fn concerns(&self, op: Op, path: &str) -> bool {
        self.op == op && path.contains(&self.path_has)
    }
}

impl Rule {
    pub(super) fn parse(line: &str) -> Result<Self, NoRule> {
        let no = |wanted| NoRule { line: line.to_owned(), wanted };
        let mut words = line.split_whitespace();
        let op = match words.next() {
            Some("write") => Op::Write,
            Some("sync") => Op::Sync,
            Some("reserve") => Op::Reserve,
            Some("power") => return power(&mut words).ok_or_else(|| no("`cut` or `scatter N`")),
            _ => return Err(no("write, sync, reserve or power")),
        };
        let effect = effect(&mut words).ok_or_else(|| no("an effect and its value"))?;
        let mut step = Step { op, effect, after: 0, times: u64::MAX, path_has: String::new() };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| no("a value behind the last word"))?;
            let number = value.parse().map_err(|_| no("a number"));
            match word {
                "after" => step.after = number?,
                "times" => step.times = number?,
                "in" => value.clone_into(&mut step.path_has),
                _ => return Err(no("after, times or in")),
            }
        }
        Ok(Self::Calls(step))
    }
}

fn power<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Rule> {
    let keep_one_in = match words.next()? {
        "cut" => None,
        "scatter" => Some(words.next()?.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some(Rule::Power { keep_one_in })
}

fn effect<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Effect> {
    let name = words.next()?;
    match name {
        "lie" => return Some(Effect::Lie),
        "crash" => return Some(Effect::Crash),
        _ => {}
    }
    let value = words.next()?;
    Some(match name {
        "error" => Effect::Error(ERRORS.iter().find(|(name, _)| *name == value)?.1),
        "delay" => Effect::Delay(Duration::from_millis(value.parse().ok()?)),
        "room" => Effect::Room(value.parse().ok()?),
        "short" => Effect::Short(value.parse().ok()?),
        "tear" => Effect::Tear(value.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rules() {
        let Ok(Rule::Calls(step)) = Rule::parse("sync error EIO after 4 times 1 in synap.wal.0")
        else {
            panic!("it is a rule");
        };
        assert_eq!((step.op, step.effect), (Op::Sync, Effect::Error(libc::EIO)));
        assert_eq!((step.after, step.times), (4, 1));
        assert!(step.concerns(Op::Sync, "/d/wal/synap.wal.0.7"));
        assert!(!step.concerns(Op::Sync, "/d/wal/synap.wal.1.7"));
        assert!(!step.concerns(Op::Write, "/d/wal/synap.wal.0.7"));
        assert_eq!(Rule::parse("power cut"), Ok(Rule::Power { keep_one_in: None }));
        assert_eq!(
            Rule::parse("power scatter 3"),
            Ok(Rule::Power { keep_one_in: NonZeroU64::new(3) })
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "read lie", "write", "write error E", "sync lie after", "power scatter 0"]
        {
            assert!(Rule::parse(line).is_err(), "{line}");
        }
    }
}
