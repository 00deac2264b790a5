//! `synap-admin import`: reads the file once to its end, so that a damaged or unsuitable one
//! changes nothing, and then again to send what it holds.
//!
//! | input | told by |
//! |---|---|
//! | export, json or lines | `{`, and the format named in the first line |
//! | export, binary | `SYNAPEXP` |
//! | RDB | `REDIS` |
//! | AOF | `*` or `#`; or a directory or manifest of Redis 7 |
//!
//! Keys are sent with their absolute deadlines; keys whose deadline has passed are left out, as
//! Redis leaves them out of what it loads. So a second import of the same file changes nothing,
//! but for an AOF, whose commands are run again.

mod input;
mod report;
mod send;
mod survey;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{ImportArgs, Mode, Target};
use crate::error::AdminError;
use crate::export::Checkpoint;
use crate::server;
use input::Input;
use send::Sender;
use survey::Survey;

/// Name of the file in which an import notes how far it is, behind the name of its input.
const STATE: &str = ".import-state";

/// How far an import was, and of what.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    bytes: u64,
    modified_ms: u64,
    url: String,
    /// Steps of the input that were carried out.
    steps: u64,
}

impl State {
    fn of(input: &Input, target: &Target) -> Result<Self, AdminError> {
        let path = input.path();
        let facts = std::fs::metadata(path).map_err(AdminError::file("look at", path))?;
        let since =
            facts.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified_ms = since.map_or(0, |since| since.as_millis() as u64);
        Ok(Self { bytes: facts.len(), modified_ms, url: target.url.clone(), steps: 0 })
    }
}

/// Imports a file.
pub(crate) fn run(target: &Target, args: &ImportArgs, quiet: bool) -> Result<Value, AdminError> {
    let input = Input::detect(&args.input, args.format)?;
    if args.resume && input.is_log() {
        let text = "an append-only file cannot be resumed: some of its commands would run twice; \
                    import it again with --mode replace";
        return Err(AdminError::Usage(text.to_owned()));
    }
    let checkpoint = Checkpoint::beside(input.path(), STATE);
    let mut state = State::of(&input, target)?;
    if args.resume {
        let stored: State = checkpoint.load()?;
        let steps = stored.steps;
        if (State { steps: 0, ..stored }) != state {
            let text = "the interrupted import was of another file, or into another server";
            return Err(AdminError::Usage(text.to_owned()));
        }
        state.steps = steps;
    }
    let mut survey = Survey::of(&input, args, quiet)?;
    let mut sender = Sender::new(server::connect(target)?, checkpoint, state);
    survey.ask(&mut sender)?;
    let refusals = survey.refusals(args);
    if args.dry_run || !refusals.is_empty() {
        let report = report::report(&survey, None, &input);
        return if refusals.is_empty() { Ok(report) } else { Err(report::refuse(&refusals)) };
    }
    if args.mode == Mode::Replace && !args.resume {
        sender.clear()?;
    }
    let done = sender.run(&input, &survey, quiet)?;
    Ok(report::report(&survey, Some(&done), &input))
}
