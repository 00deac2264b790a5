//! Where captures are: one partition in every shard, found by the name.

use std::sync::LazyLock;

use crate::id::ShardId;
use crate::key::{Namespace, shard_of};
use crate::limits::SHARDS;
use crate::shard::Shard;
use crate::types::topic::{Partition, partition_in};

/// Hash tags, so that a key lies in the shard that it is about.
static TAGS: LazyLock<[String; SHARDS]> = LazyLock::new(|| {
    std::array::from_fn(|index| {
        let mut words = (0u32..).map(|number| number.to_string());
        let tag = words.find(|word| shard_of(word.as_bytes()).index() == index);
        tag.expect("every shard has numbers")
    })
});

/// The key of the partition of a capture in a shard.
pub(super) fn key_in(shard: ShardId, name: &[u8]) -> Vec<u8> {
    let tag = &TAGS[shard.index()];
    Namespace::Capture.key(&[b"{", tag.as_bytes(), b"}", name].concat())
}

/// The name of the capture that a partition belongs to.
pub(super) fn name_of(key: &[u8]) -> &[u8] {
    let tagged = key.get(Namespace::PREFIX_BYTES..).unwrap_or_default();
    let close = tagged.iter().position(|byte| *byte == b'}').map_or(0, |at| at + 1);
    &tagged[close..]
}

/// Whether a key is that of a partition of a capture.
pub(crate) fn is_capture(key: &[u8]) -> bool {
    key.starts_with(&Namespace::Capture.prefix())
}

/// The partition of this key in its shard.
pub(super) fn partition<'s>(shard: &'s Shard, key: &[u8]) -> Option<&'s Partition> {
    shard.get(key).map(|entry| partition_in(entry.content()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_lie_in_their_shards() {
        for shard in ShardId::all() {
            for name in [&b"all"[..], b"{x}y", b"}"] {
                let key = key_in(shard, name);
                assert_eq!((shard_of(&key), name_of(&key)), (shard, name));
                assert!(is_capture(&key) && Namespace::has(&key));
            }
        }
    }
}
