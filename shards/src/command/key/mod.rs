//! Commands of this family.

use super::spec::CommandSpec;

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[];

/// placeholder
pub fn cursor_shard(
    word: &[u8],
) -> Result<crate::id::ShardId, crate::command::error::CommandError> {
    let _ = word;
    Err(crate::command::error::CommandError::Syntax)
}
