//! `cargo xtask tidy` checks the house rules, `cargo xtask ci` runs the whole gate. Nothing here
//! needs a network. What needs a tool that is missing says so loudly; it never passes silently.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]

mod ci;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the tool lies two folders below the root").to_path_buf()
}

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let passed = match task.as_deref() {
        Some("tidy") => tidy::run(&root()),
        Some("ci") => ci::run(&root()),
        Some(_) | None => {
            eprintln!("usage: cargo xtask tidy|ci");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
