//! What lives in namespaces and has something to do by the clock: deadlines of messages, messages
//! that are due, lifetimes, retention, sessions. Each has one timer in the agenda of its shard, and
//! what is due is recorded like a command.

use super::Engine;
use crate::id::ShardId;
use crate::limits::TIMED_PER_TICK;
use crate::shard::ValueType;
use crate::shard::plan::{Now, Plan, View};
use crate::types::queue::tick;
use crate::types::{group, topic};

impl Engine {
    /// Carries out what is due, each thing by a batch of its own; whether there may be more.
    pub(super) fn run_timers(&mut self, now: Now) -> bool {
        let mut left = TIMED_PER_TICK;
        for id in ShardId::all() {
            while let Some(key) = self.due_timer(id, now) {
                if left == 0 {
                    return true;
                }
                left -= self.run_timer(id, &key, now, left).min(left);
            }
        }
        false
    }

    fn due_timer(&self, id: ShardId, now: Now) -> Option<Vec<u8>> {
        let shard = self.shards[id.index()].as_deref()?;
        shard.due_timer(now.unix_ms).map(<[u8]>::to_vec)
    }

    /// About how many changes were made, `most` of them at most.
    fn run_timer(&mut self, id: ShardId, key: &[u8], now: Now, most: usize) -> usize {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let (rules, draw) = (self.settings.memory.rules(), self.rng.draw());
        let view = View::new(&self.shards, now, &self.tally, rules, draw, None);
        let mut plan = Plan::new(view, &mut records);
        let done = match plan.peek(key).map(|entry| entry.value_type()) {
            Some(ValueType::Partition) => topic::keep_up(&mut plan, key, most),
            Some(ValueType::Group) => group::evict_due(&mut plan, key),
            Some(_) | None => tick::due(&mut plan, key, most),
        };
        let touched = plan.touched();
        self.records = records;
        if touched == 0 {
            let shard = self.shards[id.index()].as_deref_mut();
            shard.expect("its timer was just found").rearm(key);
        } else {
            // Nobody waits for it; what later replies depend on is noted by the commit.
            let _needs = self.commit(now, touched, 0);
        }
        done
    }
}
