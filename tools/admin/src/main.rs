//! `synap-admin`: what an operator does to a server from outside: backup, export and import, the
//! move from Redis, health, who may come in.
//!
//! Guarantees: exit code 0 when everything asked for was done, 1 when something is wrong, 2 when it
//! could not begin; results on the output, failures on the error stream.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod access;
mod args;
mod backup;
mod entry;
mod error;
mod export;
mod http;
mod import;
mod loader;
mod progress;
mod redis;
mod resp;
mod server;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::{Value, json};

use args::{Job, Options};
use error::AdminError;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(Outcome { text, well }) => {
            // A reader that has gone takes nothing from what was done.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            if options.json {
                println!("{}", json!({ "error": error.to_string() }));
            }
            eprintln!("synap-admin: {error}");
            ExitCode::from(error.code())
        }
    }
}

/// What a command has to say, and whether all is well.
struct Outcome {
    text: String,
    well: bool,
}

fn run(options: &Options) -> Result<Outcome, AdminError> {
    let target = options.target()?;
    let (well, answer) = match &options.job {
        Job::Snapshot => (true, server::snapshot(&target)?),
        Job::Export(args) => {
            let answer = export::run::run(&target, args, options.json)?;
            if args.output.as_os_str() == "-" {
                return Ok(Outcome { text: String::new(), well: true });
            }
            (true, answer)
        }
        Job::Import(args) => (true, import::run(&target, args, options.json)?),
        Job::Stats => (true, server::stats(&target)?),
        Job::Health => server::health(&target)?,
        Job::Stop => (true, server::stop(&target)?),
        Job::Backup(args) => (true, backup::run(&target, args)?),
        Job::Access(job) => (true, access::run(&target, job)?),
        Job::Verify { data_dir } => return backup::verify(data_dir, options.json),
    };
    Ok(Outcome { text: shown(&answer, options.json), well })
}

fn shown(answer: &Value, as_json: bool) -> String {
    if as_json { format!("{answer}\n") } else { server::lines(answer) }
}
