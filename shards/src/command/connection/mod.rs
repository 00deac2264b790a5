//! Commands of this family.

use super::spec::CommandSpec;

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[];
