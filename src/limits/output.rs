//! How much may wait for a client that does not read, by what kind of client it is: the
//! `client-output-buffer-limit` of Redis.

use std::fmt::Write as _;

/// Kinds of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Who asks and is answered.
    Normal,
    /// Copies of this server. Kept for the setting's sake while there are none.
    Replica,
    /// Who listens: subscribers, WebSockets, streams of events.
    Pubsub,
}

/// The limits of a class; zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OutputLimit {
    /// Bytes at which a connection is closed at once.
    pub hard: usize,
    /// Bytes at which it is closed if they stay above for `soft_secs`.
    pub soft: usize,
    /// Seconds.
    pub soft_secs: u64,
}

/// The limits of all classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputLimits {
    limits: [OutputLimit; 3],
    /// The lowest of all: nothing below it has to be looked at.
    least: usize,
}

const CLASSES: [(&str, Class); 4] = [
    ("normal", Class::Normal),
    ("slave", Class::Replica),
    ("replica", Class::Replica),
    ("pubsub", Class::Pubsub),
];

/// What is wrong with a text of limits.
pub const EXPECTED: &str = "groups of four words: normal, replica or pubsub, the hard limit, the \
                            soft limit (bytes, or with kb, mb, gb) and its seconds";

impl OutputLimits {
    /// Redis's, with this hard limit for answers.
    #[must_use]
    pub fn new(normal_bytes: usize) -> Self {
        let mut limits = [OutputLimit { hard: normal_bytes, ..OutputLimit::default() }; 3];
        let (mib, soft_secs) = (1 << 20, 60);
        limits[Class::Replica as usize] =
            OutputLimit { hard: 256 * mib, soft: 64 * mib, soft_secs };
        limits[Class::Pubsub as usize] = OutputLimit { hard: 32 * mib, soft: 8 * mib, soft_secs };
        Self::of_all(limits)
    }

    fn of_all(limits: [OutputLimit; 3]) -> Self {
        let all = limits.iter().flat_map(|limit| [limit.hard, limit.soft]);
        let least = all.filter(|bytes| *bytes > 0).min().unwrap_or(usize::MAX);
        Self { limits, least }
    }

    /// The limits of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> OutputLimit {
        self.limits[class as usize]
    }

    /// Bytes at which a connection of a class is closed at once.
    #[must_use]
    pub fn hard(&self, class: Class) -> usize {
        match self.of(class).hard {
            0 => usize::MAX,
            hard => hard,
        }
    }

    /// Whether so many bytes can be more than some class may have waiting.
    #[must_use]
    pub fn may_exceed(&self, bytes: usize) -> bool {
        bytes > self.least
    }

    /// These limits with those that a text names, such as `normal 0 0 0 pubsub 32mb 8mb 60`, read
    /// by `bytes`; nothing where it is no such text.
    #[must_use]
    pub fn with(self, text: &str, bytes: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (groups, rest) = words.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        let mut limits = self.limits;
        for [name, hard, soft, secs] in groups {
            let found = CLASSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, class) = found?;
            let soft_secs = secs.parse::<u32>().ok()?.into();
            limits[*class as usize] =
                OutputLimit { hard: bytes(hard)?, soft: bytes(soft)?, soft_secs };
        }
        Some(Self::of_all(limits))
    }

    /// As Redis shows them.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        for (name, class) in CLASSES.iter().filter(|(name, _)| *name != "replica") {
            let OutputLimit { hard, soft, soft_secs } = self.of(*class);
            let space = if text.is_empty() { "" } else { " " };
            write!(text, "{space}{name} {hard} {soft} {soft_secs}").expect("text takes all");
        }
        text
    }
}

/// Why a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exceeded {
    /// The hard limit.
    Hard,
    /// The soft one, for too long.
    Soft,
}

impl Exceeded {
    /// In words.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Hard => "replies exceed the output buffer limit",
            Self::Soft => "replies exceed the output buffer limit for too long",
        }
    }
}

impl OutputLimit {
    /// Whether a connection with so many bytes waiting has to go. `since_ms` is when it came to be
    /// above the soft limit, in Unix milliseconds, zero while it is not; kept by the connection.
    pub fn check(&self, bytes: usize, since_ms: &mut u64, now_ms: u64) -> Option<Exceeded> {
        if self.hard > 0 && bytes > self.hard {
            return Some(Exceeded::Hard);
        }
        if self.soft == 0 || bytes <= self.soft {
            *since_ms = 0;
            return None;
        }
        if *since_ms == 0 {
            *since_ms = now_ms.max(1);
        }
        let is_over = now_ms.saturating_sub(*since_ms) >= self.soft_secs.saturating_mul(1000);
        is_over.then_some(Exceeded::Soft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<usize> {
        text.strip_suffix("mb").map_or_else(
            || text.parse().ok(),
            |number| number.parse::<usize>().ok().map(|number| number << 20),
        )
    }

    #[test]
    fn they_are_read_and_shown_as_redis_does() {
        let limits = OutputLimits::new(0);
        let shown = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(limits.show(), shown);
        assert_eq!(limits.with(shown, bytes), Some(limits));
        let changed = limits.with("pubsub 1mb 0 5 Normal 9 8 7", bytes).expect("limits");
        assert_eq!(changed.of(Class::Pubsub), OutputLimit { hard: 1 << 20, soft: 0, soft_secs: 5 });
        assert_eq!(changed.of(Class::Replica), limits.of(Class::Replica));
        assert!(changed.may_exceed(9) && !changed.may_exceed(8));
        assert_eq!((changed.hard(Class::Normal), limits.hard(Class::Normal)), (9, usize::MAX));
        for bad in ["normal 1 2", "other 1 2 3", "normal x 2 3", "normal 1 2 -3"] {
            assert_eq!(limits.with(bad, bytes), None, "{bad}");
        }
        assert_eq!(limits.with("", bytes), Some(limits));
    }

    #[test]
    fn the_soft_limit_has_patience() {
        let limit = OutputLimit { hard: 100, soft: 10, soft_secs: 2 };
        let mut since_ms = 0;
        let mut check = |bytes, now_ms| limit.check(bytes, &mut since_ms, now_ms);
        assert_eq!(check(11, 1000), None);
        assert_eq!(check(11, 2999), None);
        assert_eq!(check(10, 2999), None, "it starts anew below");
        assert_eq!(check(11, 3000), None);
        assert_eq!(check(11, 5000), Some(Exceeded::Soft));
        assert_eq!(check(101, 5000), Some(Exceeded::Hard));
        assert_eq!(OutputLimit::default().check(usize::MAX, &mut 0, 1), None);
    }
}
