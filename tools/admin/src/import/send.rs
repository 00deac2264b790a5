//! The second reading of an input: what it holds is sent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::State;
use super::input::{Input, Step};
use super::survey::{Survey, name_of};
use crate::entry::now_ms;
use crate::error::AdminError;
use crate::export::Checkpoint;
use crate::loader::Loader;
use crate::progress::Progress;
use crate::redis::aof::Command;
use crate::resp::{Connection, Reply};

/// How often the place is noted from which an interrupted import can go on.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Keys set.
    pub(super) keys: u64,
    /// Keys left out because their deadline had passed.
    pub(super) expired: u64,
    /// Commands run.
    pub(super) commands: u64,
    /// Commands left out because the server does not have them.
    pub(super) skipped: u64,
}

/// Sends an input to a server.
pub(super) struct Sender {
    loader: Loader,
    checkpoint: Checkpoint,
    state: State,
    done: Done,
    noted: Instant,
}

impl Sender {
    /// Steps that `state` counts are passed over.
    pub(super) fn new(connection: Connection, checkpoint: Checkpoint, state: State) -> Self {
        let (loader, done) = (Loader::new(connection), Done::default());
        Self { loader, checkpoint, state, done, noted: Instant::now() }
    }

    /// Names of the commands that the server has, in small letters.
    pub(super) fn command_names(&mut self) -> Result<BTreeSet<String>, AdminError> {
        let Reply::Array(names) = self.loader.demand(&[b"COMMAND", b"LIST"])? else {
            return Ok(BTreeSet::new());
        };
        let text = |name| match name {
            Reply::Bulk(name) => Some(String::from_utf8_lossy(&name).to_lowercase()),
            Reply::Status(name) => Some(name.to_lowercase()),
            _ => None,
        };
        Ok(names.into_iter().filter_map(text).collect())
    }

    /// Removes all keys of the server.
    pub(super) fn clear(&mut self) -> Result<(), AdminError> {
        self.loader.demand(&[b"FLUSHALL"]).map(drop)
    }

    /// Sends everything that the survey did not rule out.
    pub(super) fn run(
        mut self,
        input: &Input,
        survey: &Survey,
        quiet: bool,
    ) -> Result<Done, AdminError> {
        let mut progress = Progress::new("import", survey.bytes, quiet);
        let (mut step_number, before) = (0, self.state.steps);
        input.walk(&mut |step, place| {
            step_number += 1;
            if step_number > before {
                self.step(step, survey)?;
                self.note(step_number, input)?;
            }
            progress.tell(place, self.done.keys + self.done.commands);
            Ok(())
        })?;
        self.loader.drain()?;
        progress.end();
        self.checkpoint.remove();
        Ok(self.done)
    }

    fn step(&mut self, step: Step, survey: &Survey) -> Result<(), AdminError> {
        match step {
            Step::Entry { db, entry } if db == survey.db => match self.counts(entry.deadline_ms) {
                true => self.loader.set(&entry),
                false => Ok(()),
            },
            Step::Container { db, key, payload, deadline_ms } if db == survey.db => {
                match self.counts(deadline_ms) {
                    true => self.loader.restore(&key, &payload, deadline_ms),
                    false => Ok(()),
                }
            }
            Step::Commands(commands) => self.commands(commands, survey),
            Step::Library(code) => {
                let words = [&b"FUNCTION"[..], b"LOAD", b"REPLACE", &code];
                let command = words.map(<[u8]>::to_vec).into();
                self.commands(vec![(survey.db, command)], survey)
            }
            Step::Entry { .. }
            | Step::Container { .. }
            | Step::Other { .. }
            | Step::Section(..) => Ok(()),
        }
    }

    /// Counts a key that is about to be sent; false when its deadline has passed.
    fn counts(&mut self, deadline_ms: Option<u64>) -> bool {
        // By the clock of now: an import takes a while.
        let is_due = deadline_ms.is_some_and(|due| due <= now_ms());
        *(if is_due { &mut self.done.expired } else { &mut self.done.keys }) += 1;
        !is_due
    }

    fn commands(
        &mut self,
        commands: Vec<(u64, Command)>,
        survey: &Survey,
    ) -> Result<(), AdminError> {
        let ours = commands.into_iter().filter(|(db, _)| *db == survey.db);
        let (known, unknown): (Vec<_>, Vec<_>) =
            ours.partition(|(_, command)| !survey.unknown.contains(&name_of(command)));
        self.done.skipped += unknown.len() as u64;
        self.done.commands += known.len() as u64;
        let together = known.len() > 1 && survey.transactions;
        if together {
            self.loader.push(&[b"MULTI"])?;
        }
        for (_, command) in &known {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            self.loader.push(&words)?;
        }
        if together { self.loader.push(&[b"EXEC"]) } else { Ok(()) }
    }

    fn note(&mut self, steps: u64, input: &Input) -> Result<(), AdminError> {
        if input.is_log() || self.noted.elapsed() < CHECKPOINT_INTERVAL {
            return Ok(());
        }
        self.loader.drain()?;
        self.state.steps = steps;
        self.noted = Instant::now();
        self.checkpoint.store(&self.state)
    }
}
