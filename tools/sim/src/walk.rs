//! What takes a client several requests, each made of the reply to the one before: a walk with
//! `SCAN` until the cursor is 0, a value carried from key to key, a watched transfer.

use synap_shards::command::reply::Reply;

use crate::checkers::Violation;
use crate::dice::Dice;
use crate::workload::{Intent, Wish, money, walk, wish};

/// What follows a reply.
pub(crate) enum Step {
    /// Nothing follows.
    Other,
    /// The walk is over; what it saw.
    Ended(Intent),
    /// The next step.
    Next(Wish),
}

/// Looks at a reply to `intent`.
pub(crate) fn step(intent: &Intent, reply: &Reply<'_>, dice: &mut Dice) -> Result<Step, Violation> {
    let (seen, since) = match intent {
        Intent::Walk { seen, since } => (seen, since),
        Intent::Dump { to } => return Ok(restored(to, reply)),
        Intent::Watch { from, to, amount } => {
            return Ok(Step::Next(money::read(*from, *to, *amount)));
        }
        Intent::Read { from, to, amount } => {
            return Ok(Step::Next(money::transfer(*from, *to, *amount, reply)));
        }
        _ => return Ok(Step::Other),
    };
    let parts = match reply {
        Reply::Array(parts) => parts.as_slice(),
        _ => &[],
    };
    let [Reply::Bytes(cursor), Reply::Array(keys)] = parts else {
        let message = format!("SCAN was answered with {reply:?}");
        return Err(Violation { checker: "replies", message });
    };
    let mut seen = seen.clone();
    for key in keys {
        if let Reply::Bytes(key) = key {
            seen.push(key.to_vec());
        }
    }
    if cursor.as_ref() == b"0" {
        return Ok(Step::Ended(Intent::Walk { seen, since: *since }));
    }
    Ok(Step::Next(walk(cursor, seen, *since, dice)))
}

/// A key is restored from what another one held.
fn restored(to: &[u8], reply: &Reply<'_>) -> Step {
    let Reply::Bytes(payload) = reply else { return Step::Other };
    let words = [to.to_vec(), b"0".to_vec(), payload.to_vec(), b"REPLACE".to_vec()];
    Step::Next(wish("RESTORE", words, Intent::Other))
}
