//! Bounded fuzzing of every decoder, on stable Rust: no coverage, many mutators, and targets that
//! check more than that nothing panics. Input number N of a target is always the same bytes.
//!
//! ```text
//! fuzz [--seconds S] [--target NAME] [--seed N]     inputs N, N+1, … of the target, or of all
//! fuzz --target NAME --seed N --runs 1              one input again
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]
#![allow(clippy::vec_box, reason = "shards change hands as the engine hands them over")]

mod mutate;
mod targets;

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

/// An input that takes longer than this is reported like a panic.
const SLOW: Duration = Duration::from_secs(2);

thread_local! {
    /// What runs now, for the message of a panic.
    static CURRENT: RefCell<(&'static str, u64, Vec<u8>)> =
        const { RefCell::new(("", 0, Vec::new())) };
}

struct Options {
    seconds: u64,
    target: Option<String>,
    seed: u64,
    runs: u64,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 10, target: None, seed: 0, runs: u64::MAX };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is not a number"));
        match word.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--runs" => options.runs = number()?,
            "--target" => options.target = Some(value),
            _ => return Err(format!("{word} is unknown")),
        }
    }
    Ok(options)
}

fn report() {
    CURRENT.with_borrow(|(name, seed, input)| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("target {name}, input {seed}: {hex}");
        eprintln!("as text: {}", input.escape_ascii());
        eprintln!("replay: cargo run -p fuzz -- --target {name} --seed {seed} --runs 1");
    });
}

/// Feeds a target until its time is up; the number of inputs, or nothing when one took too long.
fn fire(target: &Target, options: &Options, time: Duration) -> Option<u64> {
    let seeds = (target.seeds)();
    let start = Instant::now();
    let mut done = 0;
    while done < options.runs && start.elapsed() < time {
        let number = options.seed.wrapping_add(done);
        let input = mutate::input(&mut mutate::dice(number), &seeds, target.dictionary);
        CURRENT.set((target.name, number, input.clone()));
        let begin = Instant::now();
        (target.run)(&input);
        if begin.elapsed() > SLOW {
            eprintln!("{} took {:?}", target.name, begin.elapsed());
            report();
            return None;
        }
        done += 1;
    }
    Some(done)
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\nusage: fuzz [--seconds S] [--target NAME] [--seed N] [--runs R]");
            return ExitCode::from(2);
        }
    };
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| options.target.as_ref().is_none_or(|name| name == target.name))
        .collect();
    if chosen.is_empty() {
        eprintln!("targets: {}", TARGETS.iter().map(|t| t.name).collect::<Vec<_>>().join(" "));
        return ExitCode::from(2);
    }
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default_hook(panic);
        report();
    }));
    let time = Duration::from_secs(options.seconds) / chosen.len() as u32;
    for target in chosen {
        let Some(done) = fire(target, &options, time) else { return ExitCode::FAILURE };
        println!("{}: {done} inputs", target.name);
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_its_seeds_and_some_inputs() {
        let options = Options { seconds: 0, target: None, seed: 0, runs: 200 };
        for target in TARGETS {
            for seed in (target.seeds)() {
                (target.run)(&seed);
            }
            assert!(fire(target, &options, Duration::from_secs(20)).is_some(), "{}", target.name);
        }
    }
}
