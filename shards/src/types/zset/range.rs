//! Ranges of members: `ZRANGE`, its older forms, and `ZRANGESTORE`.

use super::answer;
use super::bounds::{By, Ends, Limit};
use super::change::store;
use super::look;
use super::view::{Ranks, ZsetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

const KEY: ArgSpec = ArgSpec::key("key", "the sorted set");
const START: ArgSpec =
    ArgSpec::bytes("start", "the first: a rank, a score or a member, as the options say");
const STOP: ArgSpec = ArgSpec::bytes("stop", "the last: likewise");
const BY: ArgSpec = ArgSpec::one_of(
    "by",
    &[
        ArgSpec::flag("byscore", "BYSCORE", "ends are scores, exclusive behind a parenthesis"),
        ArgSpec::flag("bylex", "BYLEX", "ends are members behind [ or (, or - or +"),
    ],
    "what the ends are; ranks, if absent",
)
.optional();
const BYLEX: usize = 1;
const REV: ArgSpec = ArgSpec::flag("rev", "REV", "the last first; ends change places");
const LIMIT: ArgSpec = ArgSpec::block(
    "limit",
    &[
        ArgSpec::integer("offset", "members to leave out"),
        ArgSpec::integer("count", "members to answer, all if negative"),
    ],
    "a part of the range",
)
.with_token("LIMIT")
.optional();
const WITHSCORES: ArgSpec = ArgSpec::flag("withscores", "WITHSCORES", "answer scores too");

/// `ZRANGE`.
pub(crate) const ZRANGE: CommandSpec = CommandSpec {
    id: "sortedset.zrange",
    resp: "ZRANGE",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[KEY, START, STOP, BY, REV, LIMIT, WITHSCORES],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/sortedset/{key}/zrange", JsonReply::Shape("zset_members"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the members of a range of ranks, scores or members",
    complexity: "O(log N + M) for M members of a set of N",
    run: Run::Read(zrange),
};

fn zrange<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let with_scores = args.flag(Arg(6));
    let selection = selection(args, &args.words()[2..4], 3)?;
    if with_scores && matches!(args.choice(Arg(3)), Some((BYLEX, _))) {
        let message = "syntax error, WITHSCORES not supported in combination with BYLEX";
        return Err(CommandError::Invalid(message));
    }
    answer(view, args, &selection, with_scores)
}

/// `ZRANGESTORE`.
pub(crate) const ZRANGESTORE: CommandSpec = CommandSpec {
    id: "sortedset.zrangestore",
    resp: "ZRANGESTORE",
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("destination", "where the members go"),
        ArgSpec::key("source", "the sorted set"),
        START,
        STOP,
        BY,
        REV,
        LIMIT,
    ],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::DENY_OOM,
    summary: "Stores the members of a range, and answers how many",
    complexity: "O(log N + M log M) for M members of a set of N",
    run: Run::Write(zrangestore),
    ..ZRANGE
};

/// A range as it was asked for.
struct Selection<'a> {
    ends: Ends<'a>,
    limit: Limit,
    reverse: bool,
}

impl Selection<'_> {
    fn ranks(&self, set: &ZsetView<'_>) -> Ranks {
        self.limit.apply(self.ends.span(set, self.reverse), self.reverse)
    }
}

/// The ends in two words, and the options from argument `at` on.
fn selection<'a>(
    args: &Args<'a>,
    ends: &[&'a [u8]],
    at: usize,
) -> Result<Selection<'a>, CommandError> {
    let by = match args.choice(Arg(at)) {
        None => By::Rank,
        Some((BYLEX, _)) => By::Member,
        Some(_) => By::Score,
    };
    let reverse = args.flag(Arg(at + 1));
    let limit = args.rest(Arg(at + 2));
    let parsed = Limit::read(limit)?;
    if by == By::Rank && !limit.is_empty() {
        let message = "syntax error, LIMIT is only supported in combination with either BYSCORE \
                       or BYLEX";
        return Err(CommandError::Invalid(message));
    }
    let swapped = reverse && by != By::Rank;
    let (lower, upper) = if swapped { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
    Ok(Selection { ends: Ends::read(by, lower, upper)?, limit: parsed, reverse })
}

fn answer<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    selection: &Selection<'_>,
    with_scores: bool,
) -> Result<Reply<'s>, CommandError> {
    let set = look::set(view, args)?;
    let ranks = selection.ranks(&set);
    view.may_read(ranks.count.min(set.len()))?;
    Ok(answer::run(set.run(ranks), with_scores))
}

fn zrangestore(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (destination, source) = (args.bytes(Arg(0)), args.bytes(Arg(1)));
    let selection = selection(args, &args.words()[3..5], 4)?;
    let set = ZsetView::of_any(plan.typed(source, ValueType::SortedSet)?);
    let members = set.run(selection.ranks(&set));
    store(plan, destination, members, "zrangestore").map(Reply::count)
}

/// `ZREVRANGE`.
pub(crate) const ZREVRANGE: CommandSpec = CommandSpec {
    id: "sortedset.zrevrange",
    resp: "ZREVRANGE",
    args: &[
        KEY,
        ArgSpec::integer("start", "rank of the first from behind"),
        ArgSpec::integer("stop", "rank of the last from behind"),
        WITHSCORES,
    ],
    http: &[HttpRoute::get("/sortedset/{key}/zrevrange", JsonReply::Shape("zset_members"))],
    summary: "Answers the members of a range of ranks, the last first",
    run: Run::Read(|view, args| {
        let ends = Ends::Ranks(args.integer(Arg(1)), args.integer(Arg(2)));
        let selection = Selection { ends, limit: Limit::read(&[])?, reverse: true };
        answer(view, args, &selection, args.flag(Arg(3)))
    }),
    ..ZRANGE
};

const MIN_SCORE: ArgSpec =
    ArgSpec::bytes("min", "the lowest score, exclusive behind a parenthesis");
const MAX_SCORE: ArgSpec =
    ArgSpec::bytes("max", "the highest score, exclusive behind a parenthesis");
const MIN_MEMBER: ArgSpec = ArgSpec::bytes("min", "the first member behind [ or (, or -");
const MAX_MEMBER: ArgSpec = ArgSpec::bytes("max", "the last member behind [ or (, or +");

/// `ZRANGEBYSCORE`.
pub(crate) const ZRANGEBYSCORE: CommandSpec = CommandSpec {
    id: "sortedset.zrangebyscore",
    resp: "ZRANGEBYSCORE",
    args: &[KEY, MIN_SCORE, MAX_SCORE, WITHSCORES, LIMIT],
    http: &[HttpRoute::get("/sortedset/{key}/zrangebyscore", JsonReply::Shape("zset_members"))],
    summary: "Answers the members of a range of scores",
    run: Run::Read(|view, args| older(view, args, By::Score, false)),
    ..ZRANGE
};

/// `ZREVRANGEBYSCORE`.
pub(crate) const ZREVRANGEBYSCORE: CommandSpec = CommandSpec {
    id: "sortedset.zrevrangebyscore",
    resp: "ZREVRANGEBYSCORE",
    args: &[KEY, MAX_SCORE, MIN_SCORE, WITHSCORES, LIMIT],
    http: &[],
    summary: "Answers the members of a range of scores, the highest first",
    run: Run::Read(|view, args| older(view, args, By::Score, true)),
    ..ZRANGE
};

/// `ZRANGEBYLEX`.
pub(crate) const ZRANGEBYLEX: CommandSpec = CommandSpec {
    id: "sortedset.zrangebylex",
    resp: "ZRANGEBYLEX",
    args: &[KEY, MIN_MEMBER, MAX_MEMBER, LIMIT],
    http: &[],
    summary: "Answers the members between two, of a set whose members have one score",
    run: Run::Read(|view, args| older(view, args, By::Member, false)),
    ..ZRANGE
};

/// `ZREVRANGEBYLEX`.
pub(crate) const ZREVRANGEBYLEX: CommandSpec = CommandSpec {
    id: "sortedset.zrevrangebylex",
    resp: "ZREVRANGEBYLEX",
    args: &[KEY, MAX_MEMBER, MIN_MEMBER, LIMIT],
    http: &[],
    summary: "Answers the members between two, the last first",
    run: Run::Read(|view, args| older(view, args, By::Member, true)),
    ..ZRANGE
};

fn older<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    by: By,
    reverse: bool,
) -> Result<Reply<'s>, CommandError> {
    let (with_scores, limit) = match by {
        By::Score => (args.flag(Arg(3)), Arg(4)),
        By::Rank | By::Member => (false, Arg(3)),
    };
    let limit = Limit::read(args.rest(limit))?;
    let (first, second) = (args.bytes(Arg(1)), args.bytes(Arg(2)));
    let (lower, upper) = if reverse { (second, first) } else { (first, second) };
    let selection = Selection { ends: Ends::read(by, lower, upper)?, limit, reverse };
    answer(view, args, &selection, with_scores)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    /// A set in both forms: the second has members enough to be large.
    fn filled() -> OneTable {
        let mut db = OneTable::new();
        db.expect(&[("ZADD z 1 a 2 b 3 c 4 d 5 e", "5"), ("ZADD lex 0 a 0 b 0 c 0 d", "4")]);
        for number in 0..300 {
            db.ask(&format!("ZADD big {number} m{number}"));
        }
        db
    }

    #[test]
    fn ranges_of_ranks() {
        filled().expect(&[
            ("ZRANGE z 0 -1", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"),
            ("ZRANGE z 1 2 WITHSCORES", "[[\"b\", 2], [\"c\", 3]]"),
            ("ZRANGE z -2 -1 REV", "[\"b\", \"a\"]"),
            ("ZREVRANGE z 0 1 WITHSCORES", "[[\"e\", 5], [\"d\", 4]]"),
            ("ZRANGE z 3 1", "[]"),
            ("ZRANGE z 9 10", "[]"),
            ("ZRANGE none 0 -1", "[]"),
            ("ZRANGE big 150 152", "[\"m150\", \"m151\", \"m152\"]"),
            ("ZREVRANGE big 0 1", "[\"m299\", \"m298\"]"),
            ("ZREVRANGE big 298 400", "[\"m1\", \"m0\"]"),
            ("ZRANGE z x 1", "ERR value is not an integer or out of range"),
            ("ZRANGE z (1 2", "ERR value is not an integer or out of range"),
            ("ZREVRANGE z x 1", "ERR value is not an integer or out of range"),
            ("ZRANGE z 0 1 NOPE", "ERR syntax error"),
            (
                "ZRANGE z 0 1 LIMIT 0 1",
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ),
        ]);
    }

    #[test]
    fn ranges_of_scores() {
        filled().expect(&[
            ("ZRANGEBYSCORE z 2 4", "[\"b\", \"c\", \"d\"]"),
            ("ZRANGEBYSCORE z (2 (4", "[\"c\"]"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "[\"b\", \"c\"]"),
            (
                "ZRANGEBYSCORE z -inf +inf LIMIT 1 -1 WITHSCORES",
                "[[\"b\", 2], [\"c\", 3], [\"d\", 4], [\"e\", 5]]",
            ),
            ("ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 4 9", "[[\"e\", 5]]"),
            ("ZRANGEBYSCORE z 1 5 LIMIT -1 2", "[]"),
            ("ZREVRANGEBYSCORE z 4 2", "[\"d\", \"c\", \"b\"]"),
            ("ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2", "[\"d\", \"c\"]"),
            ("ZRANGE z 4 2 BYSCORE REV", "[\"d\", \"c\", \"b\"]"),
            ("ZRANGE z (1 3 BYSCORE LIMIT 0 1 WITHSCORES", "[[\"b\", 2]]"),
            ("ZRANGEBYSCORE big (100 103", "[\"m101\", \"m102\", \"m103\"]"),
            ("ZREVRANGEBYSCORE big 2 -inf", "[\"m2\", \"m1\", \"m0\"]"),
            ("ZRANGEBYSCORE big 5 1", "[]"),
            ("ZRANGEBYSCORE z x 4", "ERR min or max is not a float"),
            ("ZRANGEBYSCORE z 1 4 LIMIT x 1", "ERR value is not an integer or out of range"),
            ("ZRANGEBYSCORE z 1 4 LIMIT 1", "ERR syntax error"),
        ]);
    }

    #[test]
    fn ranges_of_members() {
        filled().expect(&[
            ("ZRANGEBYLEX lex - +", "[\"a\", \"b\", \"c\", \"d\"]"),
            ("ZRANGEBYLEX lex [b (d", "[\"b\", \"c\"]"),
            ("ZRANGEBYLEX lex (a + LIMIT 1 1", "[\"c\"]"),
            ("ZREVRANGEBYLEX lex + [c", "[\"d\", \"c\"]"),
            ("ZRANGE lex [c - BYLEX REV", "[\"c\", \"b\", \"a\"]"),
            ("ZRANGE lex - [b BYLEX", "[\"a\", \"b\"]"),
            ("ZRANGEBYLEX lex b +", "ERR min or max not valid string range item"),
            (
                "ZRANGE lex - + BYLEX WITHSCORES",
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ),
            ("ZRANGE lex - + BYLEX BYSCORE", "ERR syntax error"),
        ]);
    }

    #[test]
    fn ranges_are_stored() {
        filled().expect(&[
            ("SET to v", "OK"),
            ("ZRANGESTORE to z 1 2", "2"),
            ("ZRANGE to 0 -1 WITHSCORES", "[[\"b\", 2], [\"c\", 3]]"),
            ("ZRANGESTORE to z (4 (1 BYSCORE REV LIMIT 0 1", "1"),
            ("ZRANGE to 0 -1", "[\"c\"]"),
            ("ZRANGESTORE to z 9 10", "0"),
            ("EXISTS to", "0"),
            ("ZRANGESTORE z z 0 0", "1"),
            ("ZRANGE z 0 -1", "[\"a\"]"),
            ("ZRANGESTORE to big 0 199", "200"),
            ("OBJECT ENCODING to", "\"skiplist\""),
            ("ZRANGESTORE to z 0 1 WITHSCORES", "ERR syntax error"),
            ("SET s v", "OK"),
            (
                "ZRANGESTORE to s 0 1",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }
}
