//! Commands about every key: `DBSIZE`, `FLUSHDB`, `FLUSHALL`. Each core runs them over its shards.

use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
};
use crate::id::ShardId;
use crate::shard::plan::{Plan, View};

/// `DBSIZE`.
pub(crate) const DBSIZE: CommandSpec = CommandSpec {
    id: "server.dbsize",
    resp: "DBSIZE",
    family: Family::Server,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Sum),
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/kv/dbsize", JsonReply::Field("size"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the number of keys, those expired but not yet removed included",
    complexity: "O(1)",
    run: Run::Read(dbsize),
};

fn dbsize<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let count = view.shards().inspect(|shard| view.saw_all(shard)).map(|shard| shard.key_count());
    Ok(Reply::count(count.sum()))
}

const MODES: &[ArgSpec] = &[
    ArgSpec::flag("async", "ASYNC", "give memory back at once; the same here"),
    ArgSpec::flag("sync", "SYNC", "give memory back at once"),
];

/// `FLUSHALL`. How memory is given back is the same in both modes: by dropping a shard's pages.
pub(crate) const FLUSHALL: CommandSpec = CommandSpec {
    id: "server.flushall",
    resp: "FLUSHALL",
    family: Family::Server,
    access: Access::Admin,
    keys: Keys::AllShards(Fold::First),
    atomicity: Atomicity::Single,
    args: &[ArgSpec::one_of("mode", MODES, "when memory is given back").optional()],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::FLUSH,
    since: "0.1.0",
    summary: "Deletes every key",
    complexity: "O(N) for N pages of memory",
    run: Run::Write(flush),
};

/// `FLUSHDB`.
pub(crate) const FLUSHDB: CommandSpec = CommandSpec {
    id: "server.flushdb",
    resp: "FLUSHDB",
    summary: "Deletes every key of the database, which is the only one",
    ..FLUSHALL
};

/// `SYNAP.FLUSH`: the same, but says how many keys there were, which HTTP answers.
pub(crate) const FLUSH_COUNTED: CommandSpec = CommandSpec {
    id: "server.flush_counted",
    resp: "SYNAP.FLUSH",
    keys: Keys::AllShards(Fold::Sum),
    args: &[],
    reply: ReplySpec::Integer,
    http: &[
        HttpRoute::post("/kv/flushall", JsonReply::Field("flushed")),
        HttpRoute::post("/kv/flushdb", JsonReply::Field("flushed")),
    ],
    summary: "Deletes every key and answers how many there were",
    run: Run::Write(flush_counted),
    ..FLUSHALL
};

fn flush(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    flush_counted(plan, args).map(|_| Reply::Ok)
}

fn flush_counted(plan: &mut Plan<'_>, _: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let filled: Vec<(ShardId, usize)> = plan
        .shards()
        // Where there is nothing to clear, the answer depends on what made it so.
        .inspect(|shard| plan.saw_all(shard))
        .filter(|shard| shard.key_count() > 0)
        .map(|shard| (shard.id(), shard.key_count()))
        .collect();
    for (shard, _) in &filled {
        plan.clear(*shard);
    }
    Ok(Reply::count(filled.iter().map(|(_, keys)| keys).sum()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn everything_is_counted_and_deleted() {
        let mut db = OneTable::new();
        for number in 0..300 {
            db.ask(&format!("SET key:{number} {number}"));
        }
        db.expect(&[
            ("DBSIZE", "300"),
            ("FLUSHALL NOW", "ERR syntax error"),
            ("FLUSHALL ASYNC", "OK"),
            ("DBSIZE", "0"),
            ("FLUSHDB", "OK"),
            ("SET a 1", "OK"),
            ("FLUSHDB sync", "OK"),
            ("GET a", "nil"),
        ]);
        assert_eq!(db.replayed().iter().flatten().map(|shard| shard.key_count()).sum::<usize>(), 0);
    }
}
