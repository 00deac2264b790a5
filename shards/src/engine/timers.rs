//! What lives in namespaces and has something to do at some time: each has one timer in its shard,
//! and upkeep carries out what is due as a batch like any other.

use super::Engine;
use crate::id::ShardId;
use crate::limits::TIMERS_PER_TICK;
use crate::shard::ValueType;
use crate::shard::plan::{Now, Plan, View};
use crate::types::{group, topic};

impl Engine {
    /// Carries out what is due; whether there may be more.
    pub(super) fn run_timers(&mut self, now: Now) -> bool {
        let mut left = TIMERS_PER_TICK;
        for id in ShardId::all() {
            while let Some(key) = self.due_timer(id, now) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                self.run_timer(now, id, &key);
            }
        }
        false
    }

    fn due_timer(&self, id: ShardId, now: Now) -> Option<Vec<u8>> {
        let shard = self.shards[id.index()].as_deref()?;
        shard.due_timer(now.unix_ms).map(<[u8]>::to_vec)
    }

    fn run_timer(&mut self, now: Now, id: ShardId, key: &[u8]) {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let rules = self.settings.memory.rules();
        let draw = self.rng.draw();
        let view = View::new(&self.shards, now, &self.tally, rules, draw, None);
        let mut plan = Plan::new(view, &mut records);
        match plan.peek(key).map(|entry| entry.value_type()) {
            Some(ValueType::Partition) => topic::keep_up(&mut plan, key),
            Some(ValueType::Group) => group::evict_due(&mut plan, key),
            Some(_) | None => {}
        }
        let touched = plan.touched();
        self.records = records;
        if touched == 0 {
            // It was armed too early.
            let shard = self.shards[id.index()].as_deref_mut().expect("its timer was seen");
            shard.rearm(key);
            return;
        }
        // Nobody waits for it; what later replies depend on is noted by the commit.
        let _needs = self.commit(now, touched, 0);
    }
}
