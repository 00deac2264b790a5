//! Totals over all counters, for HTTP.

use super::BASE;
use super::counter::Counter;
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Access, CommandSpec, Fold, HttpRoute, JsonReply, Keys, ReplySpec, Run};
use crate::shard::ValueType;
use crate::shard::plan::View;

/// `SYNAP.PFSTATS`.
pub(super) const STATS: CommandSpec = CommandSpec {
    id: "hll.stats",
    resp: "SYNAP.PFSTATS",
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    args: &[],
    http: &[HttpRoute::get("/hyperloglog/stats", JsonReply::Shape("hll_stats"))],
    reply: ReplySpec::Array,
    summary: "Answers the number of counters and the sum of their cardinalities, by shard group",
    complexity: "O(N) for N keys of all",
    run: Run::Read(stats),
    ..BASE
};

fn stats<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let now_ms = view.now().unix_ms;
    let (mut counters, mut total) = (0usize, 0u64);
    for shard in view.shards() {
        view.saw_all(shard);
        let mut position = Some(0);
        while let Some(at) = position {
            // A step may show an entry again, but only when the index grows between two steps.
            position = shard.walk(at, |entry| {
                let is_string = entry.value_type() == ValueType::String;
                let counter = (is_string && !entry.is_expired(now_ms))
                    .then(|| Counter::read(entry.value()).ok())
                    .flatten();
                if let Some(counter) = counter
                    && let Some(count) = counter.cached().or_else(|| counter.count().ok())
                {
                    counters += 1;
                    total = total.saturating_add(count);
                }
            });
        }
    }
    Ok(Reply::Array(vec![Reply::count(counters), Reply::Integer(total.cast_signed())]))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn counters_are_found_among_strings() {
        OneTable::new().expect(&[
            ("PFADD a x y z", "1"),
            ("PFADD b z w", "1"),
            ("SET s text", "OK"),
            ("SYNAP.PFSTATS", "[2, 5]"),
        ]);
    }
}
