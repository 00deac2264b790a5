//! Replaying the logs gives exactly the shards that wrote them: same keys, values, deadlines and
//! stamps. And one seed gives one run, whoever runs it and however often.

use std::collections::BTreeMap;

use synap_shards::seq::Seq;
use synap_shards::shard::Shard;

use crate::value::Value;

use super::{Verdict, Violation};
use crate::story::show;

/// Everything a shard holds, also what has expired.
pub(crate) type Contents = BTreeMap<Vec<u8>, (Value, Option<u64>, Seq)>;

/// Reads a shard.
pub(crate) fn contents(shard: &Shard) -> Contents {
    let mut all = Contents::new();
    let mut position = Some(0);
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            let value = Value::read(entry.value_type(), entry.image());
            let content = (value, entry.deadline_ms(), entry.stamp());
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
            let (live_holds, logs_say) = (contents(live), contents(replayed));
            let differs = difference(&live_holds, &logs_say);
            format!("{:?} differs from what its logs say: {differs}", live.id())
        } else {
            continue;
        };
        return Err(Violation { checker: "replay", message });
    }
    Ok(())
}

/// The first key that differs, and what there is of it.
pub(super) fn difference(one: &Contents, other: &Contents) -> String {
    let keys = one.keys().chain(other.keys());
    let Some(key) = keys.into_iter().find(|key| one.get(*key) != other.get(*key)) else {
        return "nothing".to_owned();
    };
    let shown = |contents: &Contents| {
        contents.get(key).map_or_else(
            || "nothing".to_owned(),
            |(value, deadline, seq)| format!("{} until {deadline:?} of {seq:?}", value.show()),
        )
    };
    format!("{} is {}, not {}", show(key), shown(one), shown(other))
}

/// Hashes of two runs of one seed.
pub(crate) fn same_run(first: u64, second: u64) -> Verdict {
    if first == second {
        return Ok(());
    }
    let message = format!("two runs of the seed differ: {first:016x} and {second:016x}");
    Err(Violation { checker: "determinism", message })
}
