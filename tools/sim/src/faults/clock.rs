//! The clock: it goes on by itself, leaps ahead, and is set back. Checkers ask between which two
//! readings something happened.

/// The clock of a run, Unix milliseconds.
#[derive(Debug)]
pub(crate) struct Clock {
    now_ms: u64,
    highest_ms: u64,
    /// Each time that it was set back: the beat, and the readings before and after.
    setbacks: Vec<(u64, u64, u64)>,
}

impl Clock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { now_ms, highest_ms: now_ms, setbacks: Vec::new() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The greatest reading there ever was.
    pub(crate) fn highest_ms(&self) -> u64 {
        self.highest_ms
    }

    /// It goes on, or leaps ahead.
    pub(crate) fn advance(&mut self, milliseconds: u64) {
        self.now_ms += milliseconds;
        self.highest_ms = self.highest_ms.max(self.now_ms);
    }

    /// It is set back.
    pub(crate) fn set_back(&mut self, beat: u64, milliseconds: u64) {
        let before = self.now_ms;
        self.now_ms -= milliseconds;
        self.setbacks.push((beat, before, self.now_ms));
    }

    /// The least and the greatest reading since a beat at which it read `since_ms`.
    pub(crate) fn between(&self, since: u64, since_ms: u64) -> (u64, u64) {
        let (mut low, mut high) = (since_ms.min(self.now_ms), since_ms.max(self.now_ms));
        for (_, before, after) in self.setbacks.iter().filter(|(beat, ..)| *beat >= since) {
            (low, high) = (low.min(*after), high.max(*before));
        }
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_in_between_count() {
        let mut clock = Clock::new(1000);
        clock.advance(500);
        clock.set_back(7, 900);
        clock.advance(100);
        assert_eq!(clock.between(5, 1000), (600, 1500));
        assert_eq!(clock.between(8, 650), (650, 700));
        assert_eq!((clock.now_ms(), clock.highest_ms()), (700, 1500));
    }
}
