//! The simulator: the cores of one Synap process in one thread from one seed, with delays, full
//! rings, slow and torn disks, and crashes between any two actions; and checkers that see whether
//! what was promised was kept.
//!
//! It depends on the pure core alone, so that it compiles is the proof that the core is pure.
//!
//! ```text
//! sim --seeds N [--start S] [--plant BUG]     runs N seeds
//! sim --seed S [--plant BUG]                  runs one seed and tells its story when it fails
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]
#![allow(clippy::vec_box, reason = "shards change hands as the engine hands them over")]

mod checkers;
mod core;
mod dice;
mod disk;
mod hands;
mod mesh;
mod private;
mod restart;
mod run;
mod story;
mod swarm;
mod walk;
mod workload;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use swarm::Plant;

/// The seed that runs now, for the message of a panic.
static SEED: AtomicU64 = AtomicU64::new(0);

const USAGE: &str = "usage: sim [--seeds N] [--start S] [--seed S] \
                     [--plant ack-before-append|skip-fsync|lost-part]";

/// What was asked for on the command line.
struct Options {
    start: u64,
    seeds: u64,
    /// One seed, whose story is kept.
    single: bool,
    plant: Option<Plant>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { start: 0, seeds: 1000, single: false, plant: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is not a number"));
        match word.as_str() {
            "--seeds" => options.seeds = number()?,
            "--start" => options.start = number()?,
            "--seed" => (options.start, options.seeds, options.single) = (number()?, 1, true),
            "--plant" => {
                let found = Plant::ALL.iter().find(|(name, _)| *name == value);
                let (_, plant) = found.ok_or_else(|| format!("there is no plant {value}"))?;
                options.plant = Some(*plant);
            }
            _ => return Err(format!("{word} is unknown")),
        }
    }
    Ok(options)
}

fn plant_words(plant: Option<Plant>) -> String {
    let name = Plant::ALL.iter().find(|(_, each)| Some(*each) == plant).map(|(name, _)| *name);
    name.map_or_else(String::new, |name| format!(" --plant {name}"))
}

fn report(seed: u64, plant: Option<Plant>) {
    let tail = story::tail();
    if !tail.is_empty() {
        eprintln!("--- the end of the story of seed {seed}");
        tail.iter().for_each(|line| eprintln!("{line}"));
    }
    let plant = plant_words(plant);
    eprintln!("replay: cargo run --release -p sim -- --seed {seed}{plant}");
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let plant = options.plant;
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default_hook(panic);
        report(SEED.load(Ordering::Relaxed), plant);
    }));
    for seed in options.start..options.start.saturating_add(options.seeds) {
        SEED.store(seed, Ordering::Relaxed);
        let result =
            if options.single { run::once(seed, plant, true) } else { run::checked(seed, plant) };
        if let Err(violation) = result {
            // The same run once more, to have its story.
            let told = run::once(seed, plant, true).err().unwrap_or(violation);
            eprintln!("seed {seed} failed: {}: {}", told.checker, told.message);
            report(seed, plant);
            return ExitCode::FAILURE;
        }
    }
    println!("{} seeds from {} passed", options.seeds, options.start);
    ExitCode::SUCCESS
}
