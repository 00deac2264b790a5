//! `ZREM` and the removal of ranges.

use super::bounds::{By, Ends};
use super::change::Changes;
use super::view::{Ranks, ZsetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const MEMBERS: Arg = Arg(1);

/// `ZREM`.
pub(crate) const ZREM: CommandSpec = CommandSpec {
    id: "sortedset.zrem",
    resp: "ZREM",
    family: Family::SortedSet,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("members", "the members").repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/sortedset/{key}/zrem", JsonReply::Shape("zset_removed"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Removes members, and answers how many were there",
    complexity: "O(log N) for each member of a set of N",
    run: Run::Write(zrem),
};

fn zrem(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let set = ZsetView::of_any(plan.peek_typed(key, ValueType::SortedSet)?);
    let mut changes = Changes::new(set);
    let members = args.rest(MEMBERS);
    let several = members.len() > 1;
    let removed = members.iter().filter(|member| changes.remove(member, several)).count();
    changes.record(plan, key, "zrem")?;
    Ok(Reply::count(removed))
}

const LOWER: Arg = Arg(1);
const UPPER: Arg = Arg(2);

/// `ZREMRANGEBYRANK`.
pub(crate) const ZREMRANGEBYRANK: CommandSpec = CommandSpec {
    id: "sortedset.zremrangebyrank",
    resp: "ZREMRANGEBYRANK",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::integer("start", "rank of the first, from the end if negative"),
        ArgSpec::integer("stop", "rank of the last, from the end if negative"),
    ],
    http: &[HttpRoute::post("/sortedset/{key}/zremrangebyrank", JsonReply::Shape("zset_removed"))],
    flags: Flags::NONE,
    summary: "Removes the members of a range of ranks, and answers how many",
    complexity: "O(log N + M log N) for M members of a set of N",
    run: Run::Write(|plan, args| remove_range(plan, args, By::Rank, "zremrangebyrank")),
    ..ZREM
};

/// `ZREMRANGEBYSCORE`.
pub(crate) const ZREMRANGEBYSCORE: CommandSpec = CommandSpec {
    id: "sortedset.zremrangebyscore",
    resp: "ZREMRANGEBYSCORE",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("min", "the lowest score, exclusive behind a parenthesis"),
        ArgSpec::bytes("max", "the highest score, exclusive behind a parenthesis"),
    ],
    http: &[HttpRoute::post("/sortedset/{key}/zremrangebyscore", JsonReply::Shape("zset_removed"))],
    summary: "Removes the members of a range of scores, and answers how many",
    run: Run::Write(|plan, args| remove_range(plan, args, By::Score, "zremrangebyscore")),
    ..ZREMRANGEBYRANK
};

/// `ZREMRANGEBYLEX`.
pub(crate) const ZREMRANGEBYLEX: CommandSpec = CommandSpec {
    id: "sortedset.zremrangebylex",
    resp: "ZREMRANGEBYLEX",
    args: &[
        ArgSpec::key("key", "the sorted set, whose members have one score"),
        ArgSpec::bytes("min", "the first member behind [ or (, or -"),
        ArgSpec::bytes("max", "the last member behind [ or (, or +"),
    ],
    http: &[],
    summary: "Removes the members between two, and answers how many",
    run: Run::Write(|plan, args| remove_range(plan, args, By::Member, "zremrangebylex")),
    ..ZREMRANGEBYRANK
};

fn remove_range(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    by: By,
    event: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let [lower, upper] = [LOWER, UPPER].map(|Arg(at)| args.words()[at + 1]);
    let ends = Ends::read(by, lower, upper)?;
    let set = ZsetView::of_any(plan.peek_typed(key, ValueType::SortedSet)?);
    let (start, count) = ends.span(&set, false);
    let mut changes = Changes::new(set);
    for (_, member) in set.run(Ranks { start, count, reverse: false }) {
        changes.gone(member);
    }
    changes.record(plan, key, event)?;
    Ok(Reply::count(count))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn members_are_removed() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 3 c", "3"),
            ("ZREM z a none a b", "2"),
            ("ZREM z c", "1"),
            ("EXISTS z", "0"),
            ("ZREM z c", "0"),
            ("ZREM z", "ERR wrong number of arguments for 'zrem' command"),
            ("SET s v", "OK"),
            ("ZREM s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn ranges_are_removed() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", "6"),
            ("ZREMRANGEBYRANK z 4 -1", "2"),
            ("ZREMRANGEBYRANK z 9 10", "0"),
            ("ZREMRANGEBYSCORE z (1 2", "1"),
            ("ZRANGE z 0 -1", "[\"a\", \"c\", \"d\"]"),
            ("ZREMRANGEBYSCORE z -inf +inf", "3"),
            ("EXISTS z", "0"),
            ("ZADD z 0 a 0 b 0 c", "3"),
            ("ZREMRANGEBYLEX z [b +", "2"),
            ("ZREMRANGEBYLEX z - +", "1"),
            ("EXISTS z", "0"),
            ("ZREMRANGEBYRANK z x 1", "ERR value is not an integer or out of range"),
            ("ZREMRANGEBYSCORE z x 1", "ERR min or max is not a float"),
            ("ZREMRANGEBYSCORE z nan 1", "ERR min or max is not a float"),
            ("ZREMRANGEBYLEX z a b", "ERR min or max not valid string range item"),
        ]);
    }
}
