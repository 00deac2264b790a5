//! The ordinal of a batch in its shard. It grows by one per batch, for ever: over restarts, core
//! counts and leaders.

use crate::id::ShardId;
use crate::limits::SHARDS;

/// Ordinal of a batch in its shard; 48 bits on disk and in entries. Zero is "before the first".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seq(u64);

impl Seq {
    /// The state before any batch.
    pub const ZERO: Self = Self(0);
    /// The greatest Seq that the formats can hold; at 10 million batches a second and shard it is
    /// reached after ten months of nothing else, so it is asserted, never handled.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The Seq with this number. Panics above [`Seq::MAX`].
    pub fn new(number: u64) -> Self {
        assert!(number <= Self::MAX.0, "seq {number} does not fit 48 bits");
        Self(number)
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The Seq of the next batch.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.0 + 1)
    }

    /// The six little-endian bytes of formats and entries.
    pub fn to_bytes(self) -> [u8; 6] {
        let all = self.0.to_le_bytes();
        [all[0], all[1], all[2], all[3], all[4], all[5]]
    }

    /// Reads what [`Seq::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

/// One Seq per shard: where a log, a snapshot or an epoch begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardSeqs([Seq; SHARDS]);

impl ShardSeqs {
    /// All shards at [`Seq::ZERO`].
    pub fn zero() -> Self {
        Self([Seq::ZERO; SHARDS])
    }

    /// The Seq of one shard.
    pub fn get(&self, shard: ShardId) -> Seq {
        self.0[shard.index()]
    }

    /// Moves one shard to `seq`.
    pub fn set(&mut self, shard: ShardId, seq: Seq) {
        self.0[shard.index()] = seq;
    }
}

impl Default for ShardSeqs {
    fn default() -> Self {
        Self::zero()
    }
}
