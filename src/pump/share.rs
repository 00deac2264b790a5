//! How much one connection may have done in one turn of its core, so that whoever sends a long
//! pipeline or fetches large values does not keep the others waiting: what is beyond its share is
//! put off to the next turn, behind what others have sent meanwhile.
//!
//! A client with one request under way so waits for at most one share of each connection that has
//! more to do, not for all that they have; and where many have, shares are small.

/// Commands that one connection may begin in one turn, as a rule.
pub(super) const COMMANDS: u32 = 512;
/// Bytes of requests and answers with which its share of a turn is used up. The request that
/// passes the line is still carried out, so a share is this and one answer.
pub(super) const BYTES: usize = 256 * 1024;
/// Commands or bytes of all connections together after which a turn should end: from there on each
/// may begin [`COMMANDS_LATE`] only.
const TURN_COMMANDS: u32 = 4096;
const TURN_BYTES: usize = 2 * 1024 * 1024;
const COMMANDS_LATE: u32 = 16;

/// What was begun in the present turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    number: u64,
    commands: u32,
    bytes: usize,
    /// The most commands that one connection began in one turn, ever.
    pub(super) most: u32,
}

impl Turn {
    /// The next turn begins.
    pub(super) fn begin(&mut self) {
        self.number += 1;
        (self.commands, self.bytes) = (0, 0);
    }

    fn share(&self) -> u32 {
        let is_late = self.commands >= TURN_COMMANDS || self.bytes >= TURN_BYTES;
        if is_late { COMMANDS_LATE } else { COMMANDS }
    }
}

/// What one connection had of its last turn.
#[derive(Debug, Default)]
pub(super) struct Share {
    turn: u64,
    commands: u32,
    bytes: usize,
    /// Bytes that waited to be sent when it was last counted.
    output: usize,
}

impl Share {
    /// Counts a command that is to begin; false when the share is used up. `output` is the bytes
    /// that wait to be sent.
    #[inline]
    pub(super) fn take(&mut self, turn: &mut Turn, output: usize) -> bool {
        if self.turn != turn.number {
            *self = Self { turn: turn.number, commands: 0, bytes: 0, output };
        }
        let produced = output.saturating_sub(self.output);
        if self.commands >= turn.share() || self.bytes + produced >= BYTES {
            return false;
        }
        self.commands += 1;
        turn.commands += 1;
        turn.most = turn.most.max(self.commands);
        true
    }

    /// Notes bytes of requests that were carried out, and what waits to be sent after them.
    pub(super) fn note(&mut self, turn: &mut Turn, read: usize, output: usize) {
        let bytes = read + output.saturating_sub(self.output);
        self.output = output;
        self.bytes += bytes;
        turn.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(share: &mut Share, turn: &mut Turn) -> u32 {
        (0..10_000).take_while(|_| share.take(turn, 0)).count() as u32
    }

    #[test]
    fn a_long_pipeline_takes_many_turns() {
        let (mut share, mut turn) = (Share::default(), Turn::default());
        let mut turns = 0;
        let mut left = 10_000_u32;
        while left > 0 {
            turn.begin();
            left = left.saturating_sub(begun(&mut share, &mut turn));
            turns += 1;
        }
        assert_eq!((turns, turn.most), (10_000_u32.div_ceil(COMMANDS), COMMANDS));
    }

    #[test]
    fn bytes_use_a_share_up() {
        let (mut share, mut turn) = (Share::default(), Turn::default());
        turn.begin();
        assert!(share.take(&mut turn, 500));
        assert!(!share.take(&mut turn, 500 + BYTES), "a large answer is enough for a turn");
        turn.begin();
        assert!(share.take(&mut turn, 500 + BYTES), "what waits from before does not count");
        share.note(&mut turn, BYTES, 500 + BYTES);
        assert!(!share.take(&mut turn, 0), "large requests count");
    }

    #[test]
    fn many_with_much_to_do_get_little_each() {
        let mut turn = Turn::default();
        turn.begin();
        let mut shares: Vec<Share> = (0..100).map(|_| Share::default()).collect();
        let all: Vec<u32> = shares.iter_mut().map(|share| begun(share, &mut turn)).collect();
        assert_eq!(all[..8], [COMMANDS; 8]);
        assert!(all[8..].iter().all(|count| *count == COMMANDS_LATE));
        turn.begin();
        let (first, rest) = shares.split_at_mut(1);
        assert!(first[0].take(&mut turn, 0));
        first[0].note(&mut turn, TURN_BYTES, 0);
        assert_eq!(begun(&mut rest[0], &mut turn), COMMANDS_LATE);
    }
}
