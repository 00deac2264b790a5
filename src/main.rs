//! The server's process: flags, then either a small job or serving.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser as _;
use synap::boot;
use synap::cli::Cli;
use synap::fatal::Fatal;
use synap_io::signal;

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(code) = cli.run_job() {
        return code;
    }
    // Before any thread exists, so that every thread inherits the mask.
    let blocked = match signal::block() {
        Ok(blocked) => blocked,
        Err(source) => return Fatal::Start { what: "block signals", source }.report(),
    };
    match boot::run(blocked, cli.sources()) {
        Ok(()) => ExitCode::SUCCESS,
        // Cores may still be at work; none of them may acknowledge anything more.
        Err(fatal) => fatal.exit(),
    }
}
