//! The prompt: line editing, history, completion and hints from the server's command table.
//!
//! Guarantees: works without a table and without a home directory; lines with passwords are not
//! kept. Must not talk to the server itself.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::args::Target;
use crate::commands::Table;
use crate::session::{Done, Session};

/// Lines that the history keeps.
const HISTORY_LINES: usize = 10_000;
/// Commands whose arguments are secrets.
const SECRET: [&str; 3] = ["AUTH", "HELLO", "ACL"];

/// What the line editor asks while a line is typed.
struct Assistant {
    table: Table,
    colour: bool,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..at];
        let start = typed.len() - typed.trim_start().len();
        let candidates = self.table.starting_with(&typed[start..]).map(|command| Pair {
            display: command.name.clone(),
            replacement: format!("{} ", command.name),
        });
        Ok((start, candidates.collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        let hint = self.table.hint(line);
        (at == line.len() && !hint.is_empty()).then_some(hint)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(dim(hint, self.colour))
    }
}

/// Reads and runs lines until the user leaves.
///
/// # Errors
/// When the terminal cannot be read or written.
pub(crate) fn run(session: &mut Session, target: &Target) -> rustyline::Result<()> {
    let colour = std::env::var_os("NO_COLOR").is_none() && io::stdout().is_terminal();
    let address = format!("{}:{}", target.host, target.port);
    match session.server_version() {
        Ok(version) => println!("Connected to {address}, server version {version}"),
        Err(e) => eprintln!("{e}"),
    }
    println!("synap-cli {}; type HELP for the list of commands", env!("CARGO_PKG_VERSION"));
    let table = session.table().cloned().unwrap_or_default();
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant { table, colour }));
    let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".synap_history"));
    if let Some(path) = history.as_ref().filter(|path| path.exists())
        && let Err(e) = editor.load_history(path)
    {
        eprintln!("history {}: {e}", path.display());
    }
    let prompt = format!("synap {address}> ");
    loop {
        match editor.readline(&prompt) {
            Ok(line) => {
                if !is_secret(&line) {
                    editor.add_history_entry(line.as_str())?;
                }
                match session.line(&line, &mut io::stdout())? {
                    Done::Answered(taken) => println!("{}", dim(&timing(taken), colour)),
                    Done::Nothing | Done::Failed => {}
                    Done::Quit => break,
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e),
        }
    }
    if let Some(path) = history
        && let Err(e) = editor.save_history(&path)
    {
        eprintln!("history {}: {e}", path.display());
    }
    writeln!(io::stdout(), "Goodbye!")?;
    Ok(())
}

fn is_secret(line: &str) -> bool {
    let first = line.split_ascii_whitespace().next().unwrap_or_default();
    SECRET.iter().any(|name| name.eq_ignore_ascii_case(first))
}

fn timing(taken: Duration) -> String {
    format!("({taken:.2?})")
}

fn dim(text: &str, colour: bool) -> String {
    if colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_has_two_digits() {
        assert_eq!(timing(Duration::from_nanos(220_450)), "(220.45µs)");
    }

    #[test]
    fn passwords_stay_out_of_the_history() {
        assert!(is_secret(" auth secret") && is_secret("HELLO 3 AUTH u p"));
        assert!(!is_secret("GET auth") && !is_secret(""));
    }
}
