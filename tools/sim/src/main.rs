//! The simulator: the cores of one Synap process in one thread from one seed, with delays, full
//! rings, a disk that tears, loses, misplaces and flips, snapshots, and crashes between any two
//! actions; and checkers that see whether what was promised was kept.
//!
//! It depends on the pure core alone, so that it compiles is the proof that the core is pure.
//! `README.md` says how to use it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]
#![allow(clippy::vec_box, reason = "shards change hands as the engine hands them over")]

mod checkers;
mod core;
mod coverage;
mod dice;
mod disk;
mod faults;
mod hands;
mod mesh;
mod model;
mod options;
mod plants;
mod restart;
mod run;
mod shrink;
mod snapshot;
mod story;
mod swarm;
mod value;
mod walk;
mod workload;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use coverage::Coverage;
use options::{Options, Task, USAGE};
use run::Plan;

/// The seed that runs now, for the message of a panic.
static SEED: AtomicU64 = AtomicU64::new(0);
/// While a seed is shrunk its many failures are nobody's business.
static QUIET: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !QUIET.load(Ordering::Relaxed) {
            default_hook(panic);
            eprintln!("in seed {}", SEED.load(Ordering::Relaxed));
        }
    }));
    let started = Instant::now();
    let mut coverage = Coverage::default();
    for seed in options.start..options.start.saturating_add(options.seeds) {
        SEED.store(seed, Ordering::Relaxed);
        let plan = Plan { seed, plant: options.plant, limits: options.limits.clone() };
        if !holds(&plan, &options, &mut coverage) {
            return ExitCode::FAILURE;
        }
    }
    println!("{coverage}");
    let missing = coverage.missing();
    if !missing.is_empty() {
        println!("never struck: {}", missing.join(", "));
    }
    let (seeds, start) = (options.seeds, options.start);
    println!("{seeds} seeds from {start} passed in {:.1} s", started.elapsed().as_secs_f32());
    ExitCode::SUCCESS
}

/// Runs a plan; when it fails, makes it small and tells its story.
fn holds(plan: &Plan, options: &Options, coverage: &mut Coverage) -> bool {
    let run = std::panic::AssertUnwindSafe(|| match options.task {
        Task::Check => run::checked(plan, coverage),
        Task::Twice => run::twice(plan, coverage),
        Task::Tell => run::once(plan, true, coverage),
    });
    let (checker, message) = match std::panic::catch_unwind(run) {
        Ok(Ok(_)) => return true,
        Ok(Err(violation)) => (violation.checker, violation.message),
        Err(_) => ("panic", "an assertion failed, see above".to_owned()),
    };
    eprintln!("seed {} failed: {checker}: {message}", plan.seed);
    QUIET.store(true, Ordering::Relaxed);
    let small = match options.shrinks && checker != "determinism" {
        true => shrink::shrink(plan, checker),
        false => plan.clone(),
    };
    // The same run once more, to have its story.
    let again = std::panic::AssertUnwindSafe(|| run::once(&small, true, &mut Coverage::default()));
    let told = std::panic::catch_unwind(again);
    QUIET.store(false, Ordering::Relaxed);
    let tail = story::tail();
    eprintln!("--- the end of its story{}", if small == *plan { "" } else { ", made small" });
    tail.iter().for_each(|line| eprintln!("{line}"));
    if let Ok(Err(violation)) = told {
        eprintln!("--- {}: {}", violation.checker, violation.message);
    }
    let features = if plan.plant.is_some() { " --features planted" } else { "" };
    eprintln!("replay: cargo run --release -p sim{features} -- {}", shrink::words(&small));
    false
}
