//! Strings as arrays of bits. Bit 0 is the most significant bit of the first byte.

use crate::command::spec::CommandSpec;

/// Commands on the bits of strings.
pub const COMMANDS: &[&CommandSpec] = &[];
