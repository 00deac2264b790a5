//! `cargo xtask tidy` checks the house rules, `cargo xtask ci` runs the whole gate, and with
//! `--without-tests` the gate for those who have just run the tests. Nothing here needs a network.
//! What needs a tool that is missing says so loudly; it never passes silently.

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let passed = match words[..] {
        ["tidy"] => tidy::run(&root()),
        ["ci"] => ci::run(&root(), true),
        ["ci", "--without-tests"] => ci::run(&root(), false),
        _ => {
            eprintln!("usage: cargo xtask tidy|ci [--without-tests]");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
