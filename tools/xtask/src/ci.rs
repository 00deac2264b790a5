//! The gate, step by step. Every step runs, so that one run shows everything that is wrong; output
//! of a step that passes is left out, but for the results of its tests.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// Seeds of the simulator.
const SIM_SEEDS: &str = "2000";
/// Seconds of fuzzing, over all targets.
const FUZZ_SECONDS: &str = "30";
const SANITIZER_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the gate, with the tests unless they have been run already; whether everything passed.
pub(crate) fn run(root: &Path, tests: bool) -> bool {
    let mut gate = Gate { root, failed: Vec::new() };
    gate.cargo("format", &["fmt", "--all", "--check"], &[]);
    gate.cargo("clippy", &words("clippy --workspace --all-targets -- -D warnings"), &[]);
    gate.step("tidy", || crate::tidy::run(root));
    let doc = words("doc --no-deps --workspace");
    gate.cargo("doc", &doc, &[("RUSTDOCFLAGS", "-Dwarnings")]);
    if tests {
        gate.cargo("tests", &words("test --workspace --no-fail-fast"), &[]);
    }
    gate.cargo("sim", &["run", "--release", "-p", "sim", "--", "--seeds", SIM_SEEDS], &[]);
    gate.cargo("planted", &words("test --release -p sim --features planted plants"), &[]);
    gate.cargo("fuzz", &["run", "--release", "-p", "fuzz", "--", "--seconds", FUZZ_SECONDS], &[]);
    gate.sanitizer();
    if gate.failed.is_empty() {
        println!("gate: passed");
        return true;
    }
    eprintln!("gate: FAILED: {}", gate.failed.join(", "));
    false
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

struct Gate<'a> {
    root: &'a Path,
    failed: Vec<&'static str>,
}

impl Gate<'_> {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> bool) {
        let start = Instant::now();
        println!("== {name}");
        let passed = work();
        let seconds = start.elapsed().as_secs_f32();
        println!("== {name}: {} in {seconds:.1} s", if passed { "passed" } else { "FAILED" });
        if !passed {
            self.failed.push(name);
        }
    }

    fn cargo(&mut self, name: &'static str, args: &[&str], env: &[(&str, &str)]) {
        let root = self.root;
        self.step(name, || run_cargo(root, args, env));
    }

    /// The tests of `io`, where all unsafe code is, under the address sanitizer.
    fn sanitizer(&mut self) {
        let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
        if !nightly.is_ok_and(|output| output.status.success()) {
            println!("== sanitizer: SKIPPED, NOT CHECKED: there is no nightly toolchain");
            println!("   install it with: rustup toolchain install nightly --profile minimal");
            return;
        }
        let root = self.root;
        let folder = root.join("target").join("sanitizer");
        let folder = folder.to_string_lossy().into_owned();
        self.step("sanitizer", || {
            let args = ["+nightly", "test", "-p", "synap-io", "--target", SANITIZER_TARGET];
            let env = [
                ("RUSTFLAGS", "-Zsanitizer=address"),
                ("RUSTDOCFLAGS", "-Zsanitizer=address"),
                ("CARGO_TARGET_DIR", folder.as_str()),
                ("CARGO_BUILD_BUILD_DIR", folder.as_str()),
            ];
            run_program(Command::new("cargo").args(args).envs(env).current_dir(root))
        });
    }
}

fn run_cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run_program(Command::new(cargo).args(args).envs(env.iter().copied()).current_dir(root))
}

/// Runs a program to its end and shows what matters of its output.
fn run_program(command: &mut Command) -> bool {
    // Set by the `cargo` that runs this tool; a nightly `cargo` must not inherit them.
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "CARGO_MANIFEST_DIR"] {
        if command.get_args().next().is_some_and(|first| first == "+nightly") {
            command.env_remove(variable);
        }
    }
    match command.stdin(std::process::Stdio::null()).output() {
        Ok(output) => {
            show(&output);
            output.status.success()
        }
        Err(error) => {
            eprintln!("{:?}: {error}", command.get_program());
            false
        }
    }
}

fn show(output: &Output) {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        let noise = |line: &&str| {
            let line = line.trim_start();
            let progress = ["Compiling ", "Checking ", "Downloaded ", "Documenting ", "Running "];
            !progress.iter().any(|word| line.starts_with(word)) && !line.ends_with("... ok")
        };
        stderr.lines().filter(noise).for_each(|line| eprintln!("{line}"));
        stdout.lines().filter(noise).for_each(|line| println!("{line}"));
        return;
    }
    let matters = |line: &&str| {
        let loud = ["SKIPPED", "skipped"].iter().any(|word| line.contains(word));
        line.starts_with("test result:") || line.ends_with(" passed") || loud
    };
    stdout.lines().chain(stderr.lines()).filter(matters).for_each(|line| println!("{line}"));
    stdout.lines().filter(|line| line.ends_with(" inputs")).for_each(|line| println!("{line}"));
}
