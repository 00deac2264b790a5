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
    http: &[HttpRoute::post("/kv/flushall", JsonReply::Shape("flush"))],
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
    http: &[HttpRoute::post("/kv/flushdb", JsonReply::Shape("flush"))],
    summary: "Deletes every key of the database, which is the only one",
    ..FLUSHALL
};

fn flush(plan: &mut Plan<'_>, _: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    // Where there is nothing to clear, the answer depends on what made it so.
    let seen = plan.shards().inspect(|shard| plan.saw_all(shard));
    let filled: Vec<ShardId> =
        seen.filter(|shard| shard.key_count() > 0).map(|shard| shard.id()).collect();
    for shard in filled {
        plan.clear(shard);
    }
    Ok(Reply::Ok)
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
