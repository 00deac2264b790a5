//! Replaying the logs gives exactly the shards that wrote them: same keys, values, deadlines and
//! stamps. And one seed gives one run, whoever runs it and however often.

use std::collections::BTreeMap;

use synap_shards::seq::Seq;
use synap_shards::shard::Shard;

use super::{Verdict, Violation};

/// Everything a shard holds, also what has expired.
pub(crate) type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>, Seq)>;

/// Reads a shard.
pub(crate) fn contents(shard: &Shard) -> Contents {
    let mut all = Contents::new();
    let mut position = Some(0);
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            let content = (entry.image(), entry.deadline_ms(), entry.stamp());
            all.insert(entry.key().to_vec(), content);
        });
    }
    all
}

/// Live shards against those recovered from their logs, both in order of their numbers.
pub(crate) fn replay_is_live(live: &[Box<Shard>], replayed: &[Box<Shard>]) -> Verdict {
    for (live, replayed) in live.iter().zip(replayed) {
        let message = if live.seq() != replayed.seq() {
            format!("{:?} is at {:?}, its logs at {:?}", live.id(), live.seq(), replayed.seq())
        } else if contents(live) != contents(replayed) {
            format!("{:?} differs from what its logs say", live.id())
        } else {
            continue;
        };
        return Err(Violation { checker: "replay", message });
    }
    Ok(())
}

/// Hashes of two runs of one seed.
pub(crate) fn same_run(first: u64, second: u64) -> Verdict {
    if first == second {
        return Ok(());
    }
    let message = format!("two runs of the seed differ: {first:016x} and {second:016x}");
    Err(Violation { checker: "determinism", message })
}
