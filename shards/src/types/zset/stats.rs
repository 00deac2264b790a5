//! Totals over all sorted sets, for HTTP.

use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::View;

/// `SYNAP.ZSTATS`.
pub(super) const STATS: CommandSpec = CommandSpec {
    id: "sortedset.stats",
    resp: "SYNAP.ZSTATS",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/sortedset/stats", JsonReply::Shape("zset_stats"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the number of sorted sets, their members and their bytes, by shard group",
    complexity: "O(N) for N keys of all",
    run: Run::Read(stats),
};

fn stats<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let now_ms = view.now().unix_ms;
    let (mut keys, mut members, mut bytes) = (0, 0, 0);
    for shard in view.shards() {
        view.saw_all(shard);
        // Most shards of most data have none.
        let has_some = shard.type_counts().keys[ValueType::SortedSet as usize] > 0;
        let mut position = has_some.then_some(0);
        while let Some(at) = position {
            position = shard.walk(at, |entry| {
                if entry.value_type() == ValueType::SortedSet && !entry.is_expired(now_ms) {
                    keys += 1;
                    members += entry.element_count();
                    bytes += entry.memory_bytes();
                }
            });
        }
    }
    Ok(Reply::Array([keys, members, bytes].map(Reply::count).to_vec()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn sorted_sets_are_counted() {
        let mut db = OneTable::new();
        db.expect(&[("SYNAP.ZSTATS", "[0, 0, 0]"), ("SET s v", "OK")]);
        db.expect(&[("ZADD a 1 x 2 y", "2"), ("ZADD b 1 x", "1")]);
        let answer = db.ask("SYNAP.ZSTATS");
        assert!(answer.starts_with("[2, 3, ") && answer != "[2, 3, 0]", "{answer}");
    }
}
