//! A client's walk with `SCAN`: step after step until the cursor is 0.

use synap_shards::command::reply::Reply;

use crate::checkers::Violation;
use crate::dice::Dice;
use crate::workload::{Intent, Wish, walk};

/// What follows a reply.
pub(crate) enum Step {
    /// It was no step of a walk.
    Other,
    /// The walk is over; what it saw.
    Ended(Intent),
    /// The next step.
    Next(Wish),
}

/// Looks at a reply to `intent`.
pub(crate) fn step(intent: &Intent, reply: &Reply<'_>, dice: &mut Dice) -> Result<Step, Violation> {
    let Intent::Walk { seen, since } = intent else { return Ok(Step::Other) };
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
