//! How often and how recently an entry was used, in 24 bits, and which of several entries an
//! eviction policy would give up first.
//!
//! Recency: the low 24 bits of the Unix second of the last use. Frequency: 16 bits of the Unix
//! minute of the last decay, 8 bits of a logarithmic counter that starts at 5 and decays by one per
//! minute (the scheme of Redis 4, `evict.c`, described in its `redis.conf`).

use super::Entry;

/// Counter of a new entry, so that it is not the first victim before it was used at all.
const FREQUENCY_START: u32 = 5;
const MASK_24: u32 = (1 << 24) - 1;

/// What the access bits of entries mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessMode {
    /// The second of the last use.
    Recency,
    /// A decaying counter of uses.
    Frequency {
        /// How much rarer each increment of the counter gets; Redis's `lfu-log-factor`.
        log_factor: u32,
        /// Minutes after which an unused counter loses one; zero never.
        decay_minutes: u32,
    },
}

impl AccessMode {
    /// Access bits of an entry that was just created.
    pub fn fresh(self, now_ms: u64) -> u32 {
        match self {
            Self::Recency => seconds(now_ms),
            Self::Frequency { .. } => minutes(now_ms) << 8 | FREQUENCY_START,
        }
    }

    /// Access bits of an entry that was overwritten.
    pub fn rewritten(self, before: u32, now_ms: u64) -> u32 {
        match self {
            Self::Recency => seconds(now_ms),
            Self::Frequency { .. } => before,
        }
    }

    /// Access bits of an entry that was just used; `draw` is random.
    pub fn used(self, before: u32, now_ms: u64, draw: u64) -> u32 {
        match self {
            Self::Recency => seconds(now_ms),
            Self::Frequency { log_factor, .. } => {
                let counter = self.frequency(before, now_ms);
                let above = u64::from(counter.saturating_sub(FREQUENCY_START));
                let odds = above * u64::from(log_factor) + 1;
                let grows = counter < 255 && draw.is_multiple_of(odds);
                minutes(now_ms) << 8 | (counter + u32::from(grows))
            }
        }
    }

    /// Seconds since the last use; zero where frequency is counted.
    pub fn idle_seconds(self, access: u32, now_ms: u64) -> u32 {
        match self {
            Self::Recency => seconds(now_ms).wrapping_sub(access) & MASK_24,
            Self::Frequency { .. } => 0,
        }
    }

    /// The counter of uses, decayed to now; zero where recency is noted.
    pub fn frequency(self, access: u32, now_ms: u64) -> u32 {
        match self {
            Self::Recency => 0,
            Self::Frequency { decay_minutes, .. } => {
                let passed = minutes(now_ms).wrapping_sub(access >> 8) & 0xffff;
                let periods = passed.checked_div(decay_minutes).unwrap_or(0);
                (access & 0xff).saturating_sub(periods)
            }
        }
    }

    /// Access bits that say "last used `idle` seconds ago"; nothing where frequency is counted.
    pub fn with_idle(self, idle: u32, now_ms: u64) -> Option<u32> {
        match self {
            Self::Recency => Some(seconds(now_ms).wrapping_sub(idle) & MASK_24),
            Self::Frequency { .. } => None,
        }
    }

    /// Access bits that say "used this often"; nothing where recency is noted.
    pub fn with_frequency(self, frequency: u32, now_ms: u64) -> Option<u32> {
        match self {
            Self::Recency => None,
            Self::Frequency { .. } => Some(minutes(now_ms) << 8 | frequency.min(255)),
        }
    }
}

fn seconds(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32 & MASK_24
}

fn minutes(now_ms: u64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// Which entries give way when memory is short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvictionPolicy {
    /// None; writes that need memory are refused.
    NoEviction,
    /// The least recently used of a sample.
    AllKeysLru,
    /// The least frequently used of a sample.
    AllKeysLfu,
    /// Any.
    AllKeysRandom,
    /// As `AllKeysLru`, among keys with a deadline.
    VolatileLru,
    /// As `AllKeysLfu`, among keys with a deadline.
    VolatileLfu,
    /// Any key with a deadline.
    VolatileRandom,
    /// The nearest deadline of a sample.
    VolatileTtl,
}

impl EvictionPolicy {
    /// Whether only keys with a deadline may go.
    pub fn volatile_only(self) -> bool {
        match self {
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl => {
                true
            }
            Self::NoEviction | Self::AllKeysLru | Self::AllKeysLfu | Self::AllKeysRandom => false,
        }
    }

    /// Whether it counts uses.
    pub fn counts_uses(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    /// Redis's name of it, for `CONFIG GET maxmemory-policy` and `INFO`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
            Self::AllKeysLru => "allkeys-lru",
            Self::AllKeysLfu => "allkeys-lfu",
            Self::AllKeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }

    /// How willingly it would give an entry up: the greatest goes first.
    pub fn score(self, entry: &Entry<'_>, mode: AccessMode, now_ms: u64) -> u64 {
        match self {
            Self::NoEviction | Self::AllKeysRandom | Self::VolatileRandom => 0,
            Self::AllKeysLru | Self::VolatileLru => {
                u64::from(mode.idle_seconds(entry.access(), now_ms))
            }
            Self::AllKeysLfu | Self::VolatileLfu => {
                255 - u64::from(mode.frequency(entry.access(), now_ms).min(255))
            }
            Self::VolatileTtl => u64::MAX - entry.deadline_ms().unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recency_counts_seconds_over_the_wrap() {
        let mode = AccessMode::Recency;
        let before_wrap = ((1u64 << 24) - 10) * 1000;
        let access = mode.fresh(before_wrap);
        assert_eq!(mode.idle_seconds(access, before_wrap + 25_000), 25);
        let idle = mode.with_idle(90, 500_000).expect("recency has idle times");
        assert_eq!(mode.idle_seconds(idle, 500_000), 90);
    }

    #[test]
    fn frequency_grows_and_decays() {
        let mode = AccessMode::Frequency { log_factor: 0, decay_minutes: 1 };
        let mut access = mode.fresh(0);
        for draw in 0..20 {
            access = mode.used(access, 0, draw);
        }
        assert_eq!(mode.frequency(access, 0), 25);
        assert_eq!(mode.frequency(access, 10 * 60_000), 15);
        assert_eq!(mode.frequency(access, 600 * 60_000), 0);
    }
}
