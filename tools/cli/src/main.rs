//! `synap-cli`: one command, a pipe of commands, or a prompt.
//!
//! Guarantees: exit code 0, or 1 when a command failed; replies on the output, failures on the
//! error stream. Talks RESP; knows no command by itself beyond its own short forms.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod args;
mod client;
mod commands;
mod format;
mod quoting;
mod repl;
mod resp;
mod rewrite;
mod session;
mod watch;

use std::io::{self, BufRead, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::Options;
use session::{Done, Session};

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.wants_help() {
        // Nothing useful can be done when the terminal does not take the help text.
        let _ = Options::command().print_help();
        return ExitCode::SUCCESS;
    }
    let target = match options.target() {
        Ok(target) => target,
        Err(e) => {
            eprintln!("synap-cli: {e}");
            return ExitCode::FAILURE;
        }
    };
    let command: Vec<_> = options.command.drain(..).map(OsStringExt::into_vec).collect();
    let mut session = Session::new(target.clone(), options.style());
    let done = if !command.is_empty() {
        session.run(command, &mut io::stdout().lock()).map(|done| done != Done::Failed)
    } else if io::stdin().is_terminal() {
        repl::run(&mut session, &target).map(|()| true).map_err(io::Error::other)
    } else {
        pipe(&mut session)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader of our output is gone, as in `synap-cli KEYS | head`.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("synap-cli: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the lines of the standard input; false when one of them failed.
fn pipe(session: &mut Session) -> io::Result<bool> {
    let mut clean = true;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        match session.line(&line?, &mut out)? {
            Done::Failed => clean = false,
            Done::Quit => break,
            Done::Answered(_) | Done::Nothing => {}
        }
    }
    Ok(clean)
}
