//! Removing fields of hashes whose deadline has passed, when nobody asks for them.

use super::Engine;
use crate::id::ShardId;
use crate::limits::EXPIRY_FIELDS_PER_TICK;
use crate::shard::plan::{Now, Plan, View};
use crate::types::hash::expire_due;

impl Engine {
    /// Removes fields that are due, each hash by a batch of its own; whether there may be more.
    pub(super) fn expire_fields(&mut self, now: Now) -> bool {
        let mut left = EXPIRY_FIELDS_PER_TICK;
        for id in ShardId::all() {
            while let Some(key) = self.due_hash(id, now) {
                if left == 0 {
                    return true;
                }
                left -= self.expire_fields_of(&key, now, left);
            }
        }
        false
    }

    fn due_hash(&self, id: ShardId, now: Now) -> Option<Vec<u8>> {
        let shard = self.shards[id.index()].as_deref()?;
        shard.due_hash(now.unix_ms).map(<[u8]>::to_vec)
    }

    /// How many fields were removed, `most` of them at most.
    fn expire_fields_of(&mut self, key: &[u8], now: Now, most: usize) -> usize {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let rules = self.settings.memory.rules();
        let view = View::new(&self.shards, now, &self.tally, rules, 0, None);
        let mut plan = Plan::new(view, &mut records);
        let removed = expire_due(&mut plan, key, most);
        let (touched, told) = (plan.touched(), plan.take_told());
        self.records = records;
        self.told.extend(told);
        // Nobody waits for it; what later replies depend on is noted by the commit.
        let _needs = self.commit(now, touched, 0);
        removed
    }
}
