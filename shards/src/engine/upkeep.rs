//! What an engine does when nobody asks: removing what has expired and, where memory is short,
//! what the eviction policy gives up. Everything here is bounded per call, and every removal is a
//! batch like any other change.

use super::Engine;
use crate::id::ShardId;
use crate::limits::{EVICTIONS_PER_COMMAND, EXPIRY_KEYS_PER_TICK, EXPIRY_LOOKS_PER_TICK, SHARDS};
use crate::shard::Shard;
use crate::shard::evict::EvictionPolicy;
use crate::shard::plan::{Notice, Now};

/// Buckets looked at in one go; the share of expired entries among them decides whether to go on.
const SWEEP_BUCKETS: usize = 16;
/// A tick sweeps at least this part of a shard's index, so that a full round takes 64 ticks.
const SWEEP_PART: usize = 64;
/// Draws until a sample counts as "hard to find".
const SAMPLE_TRIES: usize = 16;
/// Buckets searched for a key with a deadline when sampling did not find one.
const SEARCH_BUCKETS: usize = 4096;

/// Elements of deleted containers whose memory one tick gives back, per shard.
const FREED_PER_TICK: usize = 2_000;

/// Where upkeep goes on.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    next_shard: usize,
    more: bool,
}

impl Upkeep {
    pub(super) fn wants_more(&self) -> bool {
        self.more
    }
}

impl Engine {
    /// One round of upkeep.
    pub(super) fn keep_up(&mut self, now: Now) {
        self.upkeep.more = false;
        self.free_some();
        self.expire_some(now);
        self.upkeep.more |= self.expire_fields(now);
        self.upkeep.more |= self.run_timers(now);
        if self.is_over_limit() && !self.make_room(now) {
            // Nothing more can be evicted now; writes are refused until that changes.
            return;
        }
        self.upkeep.more |= self.is_over_limit();
    }

    /// Gives memory of large containers back that were deleted.
    fn free_some(&mut self) {
        for shard in self.shards.iter_mut().flatten().filter(|shard| shard.has_graves()) {
            self.used_bytes -= shard.live_bytes();
            self.upkeep.more |= shard.free_some(FREED_PER_TICK);
            self.used_bytes += shard.live_bytes();
        }
    }

    fn expire_some(&mut self, now: Now) {
        let (mut looks, mut removed) = (0, 0);
        for step in 0..SHARDS {
            let id = ShardId::new((self.upkeep.next_shard + step) % SHARDS);
            let mut quota = self.sweep_quota(id);
            while quota > 0 {
                let (seen, expired) = self.sweep(now, id);
                looks += seen + SWEEP_BUCKETS;
                removed += expired;
                quota = quota.saturating_sub(SWEEP_BUCKETS);
                if expired * 4 > seen {
                    // More than a quarter was due, so more is; as in Redis's active expiry.
                    quota = quota.max(SWEEP_BUCKETS);
                }
                if looks >= EXPIRY_LOOKS_PER_TICK || removed >= EXPIRY_KEYS_PER_TICK {
                    self.upkeep.next_shard = id.index();
                    self.upkeep.more = true;
                    return;
                }
            }
        }
        self.upkeep.next_shard = 0;
    }

    /// Buckets that a tick owes to a shard.
    fn sweep_quota(&self, id: ShardId) -> usize {
        match self.shards[id.index()].as_deref() {
            Some(shard) if shard.volatile_count() > 0 => {
                (shard.bucket_count() / SWEEP_PART).max(SWEEP_BUCKETS)
            }
            Some(_) | None => 0,
        }
    }

    /// Removes what has expired in the next buckets of a shard; returns how many entries with a
    /// deadline it saw and how many it removed.
    fn sweep(&mut self, now: Now, id: ShardId) -> (usize, usize) {
        let shard = self.shards[id.index()].as_deref_mut().expect("its quota was not zero");
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let seen = shard.sweep(SWEEP_BUCKETS, now.unix_ms, |key| keys.push(key.to_vec()));
        if !keys.is_empty() {
            self.delete_keys(now, id, &keys, (Notice::Expired, "expired"));
            self.stats.expired += keys.len() as u64;
        }
        (seen, keys.len())
    }

    pub(super) fn is_over_limit(&self) -> bool {
        let memory = self.settings.memory;
        (memory.limit_bytes > 0
            && self.used_bytes > memory.limit_bytes
            && self.used_bytes - self.guest_bytes() > memory.limit_bytes)
            || (memory.limit_keys > 0 && self.key_count() > memory.limit_keys)
    }

    /// Bytes of shards that a transaction has borrowed; they count where they live.
    fn guest_bytes(&self) -> usize {
        let guests =
            self.shards.iter().flatten().filter(|shard| self.map.owner(shard.id()) != self.core);
        guests.map(|shard| shard.live_bytes()).sum()
    }

    fn key_count(&self) -> usize {
        let own =
            self.shards.iter().flatten().filter(|shard| self.map.owner(shard.id()) == self.core);
        own.map(|shard| shard.key_count()).sum()
    }

    /// Evicts until memory is below the limit; false when that is not possible now.
    #[inline]
    pub(super) fn make_room(&mut self, now: Now) -> bool {
        let memory = &self.settings.memory;
        (memory.limit_bytes == 0 && memory.limit_keys == 0) || self.make_room_below_limit(now)
    }

    fn make_room_below_limit(&mut self, now: Now) -> bool {
        for _ in 0..EVICTIONS_PER_COMMAND {
            if !self.is_over_limit() {
                return true;
            }
            let Some((shard, key)) = self.victim(now) else { return false };
            self.delete_keys(now, shard, &[key], (Notice::Evicted, "evicted"));
            self.stats.evicted += 1;
        }
        !self.is_over_limit()
    }

    /// The key that the policy gives up first, of a sample.
    fn victim(&mut self, now: Now) -> Option<(ShardId, Vec<u8>)> {
        let memory = self.settings.memory;
        if memory.policy == EvictionPolicy::NoEviction {
            return None;
        }
        let volatile_only = memory.policy.volatile_only();
        let home: Vec<&Shard> = self.shards.iter().flatten().map(Box::as_ref).collect();
        let start = self.rng.below(home.len().max(1));
        let mut best: Option<(u64, ShardId, Vec<u8>)> = None;
        let mut rest = memory.sample_size;
        for shard in home[start..].iter().chain(&home[..start]) {
            while rest > 0 {
                let Some(entry) = shard.sample(&mut self.rng, volatile_only, SAMPLE_TRIES) else {
                    break;
                };
                rest -= 1;
                let score = memory.policy.score(&entry, memory.mode, now.unix_ms);
                if best.as_ref().is_none_or(|(least, ..)| score > *least) {
                    best = Some((score, shard.id(), entry.key().to_vec()));
                }
            }
        }
        if best.is_none() {
            // Keys that may go are rare; look for one instead of drawing.
            best = home[start..].iter().chain(&home[..start]).find_map(|shard| {
                if shard.volatile_count() == 0 && volatile_only {
                    return None;
                }
                let from = self.rng.below(shard.bucket_count());
                let entry = shard.any_volatile(from, SEARCH_BUCKETS)?;
                Some((0, shard.id(), entry.key().to_vec()))
            });
        }
        best.map(|(_, shard, key)| (shard, key))
    }
}
