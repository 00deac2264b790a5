//! The clock: it goes on by itself, leaps ahead, and is set back. Checkers ask for the
//! readings between which something happened.

/// The clock of a run, Unix milliseconds.
#[derive(Debug)]
pub(crate) struct Clock {
    now_ms: u64,
    highest_ms: u64,
    /// Each time that it was set back: the beat, and the reading after.
    setbacks: Vec<(u64, u64)>,
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
        self.now_ms -= milliseconds;
        self.setbacks.push((beat, self.now_ms));
    }

    /// The least reading since a beat at which it read `since_ms`.
    pub(crate) fn lowest_since(&self, since: u64, since_ms: u64) -> u64 {
        let after = self.setbacks.iter().filter(|(beat, _)| *beat >= since).map(|(_, ms)| *ms);
        after.fold(since_ms.min(self.now_ms), u64::min)
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
        assert_eq!((clock.lowest_since(5, 1000), clock.lowest_since(8, 650)), (600, 650));
        assert_eq!((clock.now_ms(), clock.highest_ms()), (700, 1500));
    }
}
