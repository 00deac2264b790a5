//! What a queue is set to, and how it is written: its numbers in the order of the fields.

use crate::rng::Rng;
use crate::types::codec::{put_number, take_number};

/// Longest pause before a message that failed is ready again, in milliseconds.
const PAUSE_MS_MAX: u64 = 3_600_000;

/// How pauses before further deliveries grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Backoff {
    /// There are none.
    #[default]
    None = 0,
    /// The n-th is n times the first.
    Linear = 1,
    /// Each is twice the one before.
    Exponential = 2,
}

/// Settings of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Messages that may wait; more are refused.
    pub max_depth: u64,
    /// Milliseconds that a consumer has for a message.
    pub ack_deadline_ms: u64,
    /// How often a message may fail and is delivered again, where it does not say.
    pub max_retries: u32,
    /// Priority of a message that does not say.
    pub priority: u8,
    /// Messages that one consumer may have at a time; zero is any number.
    pub prefetch: u64,
    /// Milliseconds that a message may wait; zero is for ever.
    pub ttl_ms: u64,
    /// Dead letters kept; the oldest give way.
    pub dead_max: u64,
    /// Milliseconds that a dead letter is kept; zero is for ever.
    pub dead_retention_ms: u64,
    /// Milliseconds that an idempotency key stands for its message.
    pub dedup_ms: u64,
    /// How pauses grow.
    pub backoff: Backoff,
    /// The first pause, in milliseconds.
    pub backoff_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Settings {
    /// Those of a queue of a server that was not configured.
    pub const DEFAULT: Self = Self {
        max_depth: 100_000,
        ack_deadline_ms: 30_000,
        max_retries: 3,
        priority: 5,
        prefetch: 0,
        ttl_ms: 0,
        dead_max: 10_000,
        dead_retention_ms: 24 * 3_600_000,
        dedup_ms: 300_000,
        backoff: Backoff::None,
        backoff_ms: 1_000,
    };

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let numbers = [
            self.max_depth,
            self.ack_deadline_ms,
            u64::from(self.max_retries),
            u64::from(self.priority),
            self.prefetch,
            self.ttl_ms,
            self.dead_max,
            self.dead_retention_ms,
            self.dedup_ms,
            self.backoff as u64,
            self.backoff_ms,
        ];
        numbers.into_iter().for_each(|number| put_number(out, number));
    }

    /// Reads them; nothing for bytes that are none.
    pub(super) fn read(mut input: &[u8]) -> Option<Self> {
        let mut next = || take_number(&mut input);
        let settings = Self {
            max_depth: next()?,
            ack_deadline_ms: next()?,
            max_retries: u32::try_from(next()?).ok()?,
            priority: u8::try_from(next()?).ok()?,
            prefetch: next()?,
            ttl_ms: next()?,
            dead_max: next()?,
            dead_retention_ms: next()?,
            dedup_ms: next()?,
            backoff: match next()? {
                0 => Backoff::None,
                1 => Backoff::Linear,
                2 => Backoff::Exponential,
                _ => return None,
            },
            backoff_ms: next()?,
        };
        input.is_empty().then_some(settings)
    }

    /// Milliseconds before a message that has failed so often is ready again. Half of it is by
    /// chance, so that what failed together does not come back together ("equal jitter", M.
    /// Brooker, "Exponential backoff and jitter", 2015).
    pub(super) fn pause_ms(&self, failures: u32, rng: &mut Rng) -> u64 {
        let grown = match self.backoff {
            Backoff::None => 0,
            Backoff::Linear => self.backoff_ms.saturating_mul(u64::from(failures)),
            Backoff::Exponential => {
                let doublings = failures.saturating_sub(1).min(32);
                self.backoff_ms.saturating_mul(1 << doublings)
            }
        };
        let pause = grown.min(PAUSE_MS_MAX);
        let half = pause / 2;
        pause - half + if half == 0 { 0 } else { rng.below(half as usize + 1) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_and_read() {
        let settings = Settings { backoff: Backoff::Linear, prefetch: 9, ..Settings::default() };
        let mut out = Vec::new();
        settings.write(&mut out);
        assert_eq!(Settings::read(&out), Some(settings));
        assert!((0..out.len()).all(|end| Settings::read(&out[..end]).is_none()));
        out.push(0);
        assert_eq!(Settings::read(&out), None);
    }

    #[test]
    fn pauses_grow_as_they_are_set_to() {
        let mut rng = Rng::new(1);
        let mut bounds = |backoff, failures| {
            let settings = Settings { backoff, backoff_ms: 100, ..Settings::default() };
            let pauses: Vec<u64> =
                (0..200).map(|_| settings.pause_ms(failures, &mut rng)).collect();
            let (least, most) = (pauses.iter().min(), pauses.iter().max());
            (*least.expect("there are some"), *most.expect("there are some"))
        };
        assert_eq!(bounds(Backoff::None, 3), (0, 0));
        for (backoff, failures, most) in [
            (Backoff::Linear, 3, 300),
            (Backoff::Exponential, 1, 100),
            (Backoff::Exponential, 4, 800),
            (Backoff::Exponential, 60, PAUSE_MS_MAX),
        ] {
            let (low, high) = bounds(backoff, failures);
            assert!(low >= most / 2 && high <= most && high > low, "{low} {high} of {most}");
        }
    }
}
