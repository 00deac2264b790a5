//! Strings: byte strings, counters and bitmaps.

use crate::command::spec::CommandSpec;

/// Commands on strings.
pub const COMMANDS: &[&CommandSpec] = &[];
/// Commands on the bits of strings.
pub const BITMAP_COMMANDS: &[&CommandSpec] = &[];
