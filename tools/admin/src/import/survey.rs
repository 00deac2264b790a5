//! The first reading of an input: what it holds, and whether it may be imported at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::input::{Input, Step};
use super::send::Sender;
use crate::args::{ImportArgs, Mode};
use crate::entry::{Entry, now_ms};
use crate::error::AdminError;
use crate::progress::Progress;

/// What an input holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The database that is imported.
    pub(super) db: u64,
    /// Bytes of its files.
    pub(super) bytes: u64,
    /// Steps of any kind.
    pub(super) steps: u64,
    /// Keys.
    pub(super) keys: u64,
    /// Those of them whose deadline has passed.
    pub(super) expired: u64,
    /// Commands to run, by name.
    pub(super) commands: BTreeMap<String, u64>,
    /// Keys of other types, by type.
    pub(super) others: BTreeMap<String, u64>,
    /// Things that belong to no key, by what they are.
    pub(super) sections: BTreeMap<String, u64>,
    /// Keys and commands of databases that are not imported.
    pub(super) elsewhere: BTreeMap<u64, u64>,
    /// An append-only file that ends within a command, and where.
    pub(super) cut: Option<(PathBuf, u64)>,
    /// There was no checksum to compare.
    pub(super) unchecked: bool,
    /// Names of commands that the server does not have.
    pub(super) unknown: BTreeSet<String>,
    /// The server has MULTI; else the commands of a transaction are run one after the other.
    pub(super) transactions: bool,
}

/// Sections that are left out whatever was asked: they hold no keys.
const NO_KEYS: [&str; 1] = ["module data"];

/// A command's name as the server lists it.
pub(super) fn name_of(command: &[Vec<u8>]) -> String {
    let word = command.first().map_or(&[] as &[u8], |word| word.as_slice());
    String::from_utf8_lossy(word).to_lowercase()
}

impl Survey {
    /// Reads the whole input.
    pub(super) fn of(input: &Input, args: &ImportArgs, quiet: bool) -> Result<Self, AdminError> {
        let (db, bytes) = (args.db.unwrap_or(0), input.bytes()?);
        let mut survey = Self { db, bytes, ..Self::default() };
        let mut progress = Progress::new("check ", bytes, quiet);
        let now_ms = now_ms();
        let found = input.walk(&mut |step, place| {
            survey.note(step, now_ms);
            progress.tell(place, survey.keys);
            Ok(())
        })?;
        progress.end();
        (survey.cut, survey.unchecked) = (found.cut, found.unchecked);
        Ok(survey)
    }

    fn note(&mut self, step: Step, now_ms: u64) {
        self.steps += 1;
        match step {
            Step::Entry { db, .. } | Step::Container { db, .. } | Step::Other { db, .. }
                if db != self.db =>
            {
                *self.elsewhere.entry(db).or_default() += 1;
            }
            Step::Entry { entry: Entry { deadline_ms, .. }, .. }
            | Step::Container { deadline_ms, .. } => {
                self.keys += 1;
                self.expired += u64::from(deadline_ms.is_some_and(|due| due <= now_ms));
            }
            Step::Library(_) => *self.commands.entry("function".to_owned()).or_default() += 1,
            Step::Other { kind, .. } => *self.others.entry(kind.to_owned()).or_default() += 1,
            Step::Section(name, count) => *self.sections.entry(name).or_default() += count,
            Step::Commands(commands) => {
                for (db, command) in commands {
                    if db == self.db {
                        *self.commands.entry(name_of(&command)).or_default() += 1;
                    } else {
                        *self.elsewhere.entry(db).or_default() += 1;
                    }
                }
            }
        }
    }

    /// Asks the server which of the commands it has.
    pub(super) fn ask(&mut self, sender: &mut Sender) -> Result<(), AdminError> {
        if self.commands.is_empty() {
            return Ok(());
        }
        let known = sender.command_names()?;
        self.transactions = known.contains("multi") && known.contains("exec");
        self.unknown =
            self.commands.keys().filter(|name| !known.contains(*name)).cloned().collect();
        Ok(())
    }

    /// Why the input may not be imported as asked; empty when it may.
    pub(super) fn refusals(&self, args: &ImportArgs) -> Vec<String> {
        let mut reasons = Vec::new();
        if args.db.is_none() && !self.elsewhere.is_empty() {
            reasons.push(format!(
                "databases other than 0 hold something ({}); choose one with --db N",
                list(self.elsewhere.iter().map(|(db, count)| format!("{db}: {count}")))
            ));
        }
        if !args.skip_unsupported {
            reasons.extend(self.unsupported());
        }
        let clears = ["flushall", "flushdb"].iter().any(|name| self.commands.contains_key(*name));
        if clears && args.mode == Mode::Merge {
            let text = "the log has FLUSHALL or FLUSHDB, which would remove the server's own keys; \
                        import it with --mode replace";
            reasons.push(text.to_owned());
        }
        reasons
    }

    fn unsupported(&self) -> Option<String> {
        let types = self.others.iter().map(|(kind, count)| format!("{count} keys of type {kind}"));
        let sections = self
            .sections
            .iter()
            .filter(|(name, count)| **count > 0 && !NO_KEYS.contains(&name.as_str()));
        let sections = sections.map(|(name, count)| format!("{count} values of {name}"));
        let commands = self
            .unknown
            .iter()
            .map(|name| format!("{} commands {}", self.commands[name], name.to_uppercase()));
        let all: Vec<String> = types.chain(sections).chain(commands).collect();
        (!all.is_empty()).then(|| {
            format!(
                "the server does not have {}; leave them out with --skip-unsupported",
                list(all.into_iter())
            )
        })
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
