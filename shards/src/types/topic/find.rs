//! Looking partitions up for commands.

use super::names::split_key;
use super::partition::Partition;
use crate::command::error::CommandError;
use crate::shard::plan::View;
use crate::shard::{Content, ValueType};
use crate::types::Large;

/// What the name in an error stands for.
pub(super) const TOPIC: &str = "Topic";
pub(super) const ROOM: &str = "Room";
pub(super) const PARTITION: &str = "Partition";

/// The partition that an entry holds.
pub(crate) fn partition_in<'s>(content: Content<'s>) -> &'s Partition {
    match content {
        Content::Large(Large::Partition(partition), _) => partition,
        Content::Large(..) | Content::Packed(_) => {
            unreachable!("the namespace of partitions holds partitions")
        }
    }
}

/// The partition of a key.
pub(crate) fn partition<'s>(
    view: &View<'s>,
    key: &[u8],
) -> Result<Option<&'s Partition>, CommandError> {
    let entry = view.peek_typed(key, ValueType::Partition)?;
    Ok(entry.map(|entry| partition_in(entry.content())))
}

/// The partition of a key, which has to be there.
pub(crate) fn existing<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Partition, CommandError> {
    partition(view, key)?.ok_or_else(|| match split_key(key) {
        (name, 0) => CommandError::not_found(TOPIC, name),
        (name, number) => {
            let name = [name, b"/", number.to_string().as_bytes()].concat();
            CommandError::not_found(PARTITION, &name)
        }
    })
}

/// The room of a key, which has to be there.
pub(super) fn room<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Partition, CommandError> {
    let found = partition(view, key)?.filter(|partition| partition.definition.room);
    found.ok_or_else(|| CommandError::not_found(ROOM, split_key(key).0))
}

/// The first partition of a topic, which has to be there and no room.
pub(super) fn topic<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Partition, CommandError> {
    let found = partition(view, key)?.filter(|partition| !partition.definition.room);
    found.ok_or_else(|| CommandError::not_found(TOPIC, split_key(key).0))
}
