//! The server built with faults on demand, and the file that tells it which.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::Plan;

/// Name of that program.
const NAME: &str = "synap-server-faulty";

static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(build);

/// Builds the program beside the others, from the same sources: only what depends on the feature
/// is compiled anew. A variable may name one that is built already.
fn build() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("SYNAP_FAULTY_BINARY") {
        return Some(given.into());
    }
    let target = Path::new(env!("CARGO_BIN_EXE_synap-server")).parent().expect("a directory");
    if target.file_name().is_none_or(|name| name != "debug") {
        eprintln!(
            "SKIPPED: faults on demand are for debug builds; run the tests without --release"
        );
        return None;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--offline", "--quiet", "--package", "synap", "--bin", NAME])
        .args(["--features", "fault-injection", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target.parent().expect("the target directory"))
        .status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: {NAME} cannot be built here; name one with SYNAP_FAULTY_BINARY");
        return None;
    }
    Some(target.join(NAME))
}

/// The rules that a server follows; see `io/src/disk/fault/rule.rs`.
pub struct Faults {
    directory: tempfile::TempDir,
}

impl Faults {
    /// A plan for a server that can be disturbed, not disturbed yet; nothing where no such server
    /// can be had.
    pub fn plan() -> Option<(Plan, Self)> {
        let program = PROGRAM.as_ref()?;
        let faults = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        faults.set("");
        let plan = Plan::new().program(program).env("SYNAP_FAULT_PLAN", faults.path().display());
        Some((plan, faults))
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("rules")
    }

    /// Puts rules in force from the next call on, in place of those before.
    pub fn set(&self, rules: &str) {
        let beside = self.directory.path().join("rules.new");
        std::fs::write(&beside, rules).expect("the rules are written");
        std::fs::rename(&beside, self.path()).expect("the rules are in place");
    }
}
