//! Scores, ranks and counts: `ZSCORE`, `ZMSCORE`, `ZCARD`, `ZCOUNT`, `ZLEXCOUNT`, `ZRANK`,
//! `ZREVRANK`.

use super::answer;
use super::bounds::{By, Ends};
use super::view::ZsetView;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const MEMBER: Arg = Arg(1);
const MEMBERS: Arg = Arg(1);

/// The sorted set that the first argument names; one without members if there is none.
pub(super) fn set<'s>(view: &View<'s>, args: &Args<'_>) -> Result<ZsetView<'s>, CommandError> {
    Ok(ZsetView::of_any(view.typed(args.bytes(KEY), ValueType::SortedSet)?))
}

/// `ZSCORE`.
pub(crate) const ZSCORE: CommandSpec = CommandSpec {
    id: "sortedset.zscore",
    resp: "ZSCORE",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the sorted set"), ArgSpec::bytes("member", "the member")],
    reply: ReplySpec::Any,
    http: &[HttpRoute::get("/sortedset/{key}/{member}/zscore", JsonReply::Shape("zset_score"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the score of a member, nil if it is not there",
    complexity: "O(1)",
    run: Run::Read(zscore),
};

fn zscore<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(answer::score(set(view, args)?.score(args.bytes(MEMBER))))
}

/// `ZMSCORE`.
pub(crate) const ZMSCORE: CommandSpec = CommandSpec {
    id: "sortedset.zmscore",
    resp: "ZMSCORE",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("members", "the members").repeated(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/sortedset/{key}/zmscore", JsonReply::Shape("zset_scores"))],
    summary: "Answers the scores of members, nil for each that is not there",
    complexity: "O(N) for N members",
    run: Run::Read(zmscore),
    ..ZSCORE
};

fn zmscore<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = set(view, args)?;
    let scores = args.rest(MEMBERS).iter().map(|member| answer::score(set.score(member)));
    Ok(Reply::Array(scores.collect()))
}

/// `ZCARD`.
pub(crate) const ZCARD: CommandSpec = CommandSpec {
    id: "sortedset.zcard",
    resp: "ZCARD",
    args: &[ArgSpec::key("key", "the sorted set")],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/sortedset/{key}/zcard", JsonReply::Shape("zset_count"))],
    summary: "Answers the number of members",
    run: Run::Read(|view, args| Ok(Reply::count(set(view, args)?.len()))),
    ..ZSCORE
};

const LOWER: Arg = Arg(1);
const UPPER: Arg = Arg(2);

/// `ZCOUNT`.
pub(crate) const ZCOUNT: CommandSpec = CommandSpec {
    id: "sortedset.zcount",
    resp: "ZCOUNT",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("min", "the lowest score, exclusive behind a parenthesis"),
        ArgSpec::bytes("max", "the highest score, exclusive behind a parenthesis"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/sortedset/{key}/zcount", JsonReply::Shape("zset_count"))],
    summary: "Answers the number of members in a range of scores",
    complexity: "O(log N) for a set of N members",
    run: Run::Read(|view, args| count(view, args, By::Score)),
    ..ZSCORE
};

/// `ZLEXCOUNT`.
pub(crate) const ZLEXCOUNT: CommandSpec = CommandSpec {
    id: "sortedset.zlexcount",
    resp: "ZLEXCOUNT",
    args: &[
        ArgSpec::key("key", "the sorted set, whose members have one score"),
        ArgSpec::bytes("min", "the first member behind [ or (, or -"),
        ArgSpec::bytes("max", "the last member behind [ or (, or +"),
    ],
    http: &[],
    summary: "Answers the number of members between two",
    run: Run::Read(|view, args| count(view, args, By::Member)),
    ..ZCOUNT
};

fn count<'s>(view: &View<'s>, args: &Args<'_>, by: By) -> Result<Reply<'s>, CommandError> {
    let ends = Ends::read(by, args.bytes(LOWER), args.bytes(UPPER))?;
    let (_, count) = ends.span(&set(view, args)?, false);
    Ok(Reply::count(count))
}

const WITHSCORE: Arg = Arg(2);

/// `ZRANK`.
pub(crate) const ZRANK: CommandSpec = CommandSpec {
    id: "sortedset.zrank",
    resp: "ZRANK",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("member", "the member"),
        ArgSpec::flag("withscore", "WITHSCORE", "answer its score too"),
    ],
    http: &[HttpRoute::get("/sortedset/{key}/{member}/zrank", JsonReply::Shape("zset_rank"))],
    summary: "Answers how many members stand before one, nil if it is not there",
    complexity: "O(log N) for a set of N members",
    run: Run::Read(|view, args| rank(view, args, false)),
    ..ZSCORE
};

/// `ZREVRANK`.
pub(crate) const ZREVRANK: CommandSpec = CommandSpec {
    id: "sortedset.zrevrank",
    resp: "ZREVRANK",
    http: &[HttpRoute::get("/sortedset/{key}/{member}/zrevrank", JsonReply::Shape("zset_rank"))],
    summary: "Answers how many members stand behind one, nil if it is not there",
    run: Run::Read(|view, args| rank(view, args, true)),
    ..ZRANK
};

fn rank<'s>(view: &View<'s>, args: &Args<'_>, reverse: bool) -> Result<Reply<'s>, CommandError> {
    let set = set(view, args)?;
    let with_score = args.flag(WITHSCORE);
    let Some((rank, score)) = set.rank(args.bytes(MEMBER)) else {
        return Ok(if with_score { Reply::NilArray } else { Reply::Nil });
    };
    let rank = Reply::count(if reverse { set.len() - 1 - rank } else { rank });
    Ok(if with_score { Reply::Array(vec![rank, Reply::Double(score)]) } else { rank })
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn scores_and_ranks() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 2 c 3.25 d", "4"),
            ("ZSCORE z d", "3.25"),
            ("ZSCORE z none", "nil"),
            ("ZSCORE none a", "nil"),
            ("ZMSCORE z a none d", "[1, nil, 3.25]"),
            ("ZMSCORE none a", "[nil]"),
            ("ZCARD z", "4"),
            ("ZCARD none", "0"),
            ("ZRANK z c", "2"),
            ("ZREVRANK z c", "1"),
            ("ZRANK z none", "nil"),
            ("ZRANK z c WITHSCORE", "[2, 2]"),
            ("ZREVRANK z a WITHSCORE", "[3, 1]"),
            ("ZREVRANK none a WITHSCORE", "nil"),
            ("ZRANK z c WITHSCORES", "ERR syntax error"),
            ("SET s v", "OK"),
            ("ZSCORE s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZRANK s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn members_are_counted() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 2 c 3 d", "4"),
            ("ZCOUNT z 1 2", "3"),
            ("ZCOUNT z (1 2", "2"),
            ("ZCOUNT z 1 (2", "1"),
            ("ZCOUNT z -inf inf", "4"),
            ("ZCOUNT z 3 1", "0"),
            ("ZCOUNT none 1 2", "0"),
            ("ZCOUNT z x 1", "ERR min or max is not a float"),
            ("ZADD l 0 a 0 b 0 c 0 d", "4"),
            ("ZLEXCOUNT l - +", "4"),
            ("ZLEXCOUNT l [b (d", "2"),
            ("ZLEXCOUNT l (d [a", "0"),
            ("ZLEXCOUNT l b d", "ERR min or max not valid string range item"),
        ]);
    }
}
