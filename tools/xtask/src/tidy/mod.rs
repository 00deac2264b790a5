//! The house rules as checks over files and over `cargo metadata`. Rules are ratcheted: what was
//! worse when a rule came is listed with its size, and may only shrink.

mod commands;
mod dependencies;
mod files;
mod functions;
mod text;

use std::path::Path;

pub(crate) use files::{Source, sources};

/// What a rule has to say.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, message: String) {
        self.errors.push(message);
    }

    fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }
}

/// Checks everything.
fn check(root: &Path) -> Findings {
    let mut findings = Findings::default();
    let all = sources(root);
    for source in &all {
        text::check(source, &mut findings);
        functions::check(source, &mut findings);
    }
    commands::check(&all, &mut findings);
    dependencies::check(root, &mut findings);
    findings
}

/// Prints what is wrong; whether nothing is.
pub(crate) fn run(root: &Path) -> bool {
    let findings = check(root);
    findings.warnings.iter().for_each(|line| println!("warning: {line}"));
    findings.errors.iter().for_each(|line| eprintln!("error: {line}"));
    findings.errors.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let findings = check(&crate::root());
        assert!(findings.errors.is_empty(), "{}", findings.errors.join("\n"));
    }
}
