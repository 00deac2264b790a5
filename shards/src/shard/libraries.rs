//! Libraries of functions: their code by name. They belong to shard 0, whose batches change them,
//! so that they are as durable as keys; no other shard ever has any. What a library registers when
//! its code runs is not kept: each core finds out by running it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::ShardId;
use crate::seq::Seq;

/// The code of libraries by name. Shared, so that the holder of the shard can hand it out.
pub type LibrarySet = BTreeMap<Box<[u8]>, Arc<[u8]>>;

/// Bytes that a library takes beside its name and code, about.
const ENTRY_BYTES: usize = 96;

/// The libraries of a shard.
#[derive(Debug, Default)]
pub struct Libraries {
    set: Arc<LibrarySet>,
    bytes: usize,
    /// Seq of the last batch that changed them.
    changed: Seq,
}

impl Libraries {
    /// The shard that has them.
    pub const SHARD: usize = 0;

    /// The shard that has them, as a bit.
    pub const MASK: u64 = 1 << Self::SHARD;

    /// Its id.
    pub fn shard() -> ShardId {
        ShardId::new(Self::SHARD)
    }

    /// Their code.
    pub fn set(&self) -> &Arc<LibrarySet> {
        &self.set
    }

    /// Seq of the last batch that changed them: what every answer about them depends on.
    pub fn changed(&self) -> Seq {
        self.changed
    }

    /// Bytes they take, about.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// The library of this name now has this code, or is gone.
    pub(super) fn put(&mut self, name: &[u8], code: Option<&[u8]>, seq: Seq) {
        let bytes_of = |code: &[u8]| ENTRY_BYTES + name.len() + code.len();
        let set = Arc::make_mut(&mut self.set);
        let old = match code {
            Some(code) => {
                self.bytes += bytes_of(code);
                set.insert(name.into(), code.into())
            }
            None => set.remove(name),
        };
        self.bytes -= old.map_or(0, |old| bytes_of(&old));
        self.changed = self.changed.max(seq);
    }
}

/// Whether this may be the name of a library or function: letters, digits and `_` of ASCII.
pub fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_what_is_held() {
        let mut libraries = Libraries::default();
        libraries.put(b"a", Some(b"code"), Seq::new(3));
        let one = libraries.held_bytes();
        libraries.put(b"b", Some(b"code"), Seq::new(4));
        assert_eq!(libraries.held_bytes(), 2 * one);
        libraries.put(b"b", Some(b"co"), Seq::new(5));
        assert_eq!(libraries.held_bytes(), 2 * one - 2);
        libraries.put(b"b", None, Seq::new(6));
        libraries.put(b"b", None, Seq::new(6));
        assert_eq!((libraries.held_bytes(), libraries.changed()), (one, Seq::new(6)));
        assert_eq!(libraries.set().get(&b"a"[..]).map(|code| &code[..]), Some(&b"code"[..]));
    }

    #[test]
    fn names() {
        assert!(is_name(b"a_B9") && !is_name(b"") && !is_name(b"a-b") && !is_name(b"\xc3\xa4"));
    }
}
