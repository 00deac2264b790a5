//! Taking the lowest or highest members: `ZPOPMIN`, `ZPOPMAX`, `ZMPOP`, and the forms that wait for
//! members. Records name the members that were taken.

use super::change::Changes;
use super::view::{Ranks, ZsetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys,
    Pause, ReplySpec, Run,
};
use crate::command::timeout;
use crate::shard::ValueType;
use crate::shard::plan::Plan;

/// Which end of a set members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Min,
    Max,
}

impl Side {
    fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

/// A member that was taken, and its score.
type Taken = (Vec<u8>, f64);

/// Takes up to `count` members of a set that has some.
fn take(
    plan: &mut Plan<'_>,
    (key, set): (&[u8], &ZsetView<'_>),
    count: usize,
    side: Side,
) -> Result<Vec<Taken>, CommandError> {
    let count = count.min(set.len());
    let reverse = side == Side::Max;
    let start = if reverse { set.len() - count } else { 0 };
    let mut changes = Changes::new(*set);
    let mut taken = Vec::with_capacity(count);
    for (score, member) in set.run(Ranks { start, count, reverse }) {
        changes.gone(member);
        taken.push((member.to_vec(), score));
    }
    changes.record(plan, key, side.event())?;
    Ok(taken)
}

/// The set of a key, if it has members.
fn filled<'s>(plan: &Plan<'s>, key: &[u8]) -> Result<Option<ZsetView<'s>>, CommandError> {
    let entry = plan.peek_typed(key, ValueType::SortedSet)?;
    Ok(entry.map(|entry| ZsetView::of(&entry)))
}

const KEY: Arg = Arg(0);
const COUNT: Arg = Arg(1);
const NOT_POSITIVE: &str = "value is out of range, must be positive";

/// `ZPOPMIN`.
pub(crate) const ZPOPMIN: CommandSpec = CommandSpec {
    id: "sortedset.zpopmin",
    resp: "ZPOPMIN",
    family: Family::SortedSet,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::integer("count", "how many, one if absent").optional().refused_as(NOT_POSITIVE),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/sortedset/{key}/zpopmin", JsonReply::Shape("zset_popped"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Removes the members of the lowest scores, and answers them with their scores",
    complexity: "O(M log N) for M members of a set of N",
    run: Run::Write(|plan, args| zpop(plan, args, Side::Min)),
};

/// `ZPOPMAX`.
pub(crate) const ZPOPMAX: CommandSpec = CommandSpec {
    id: "sortedset.zpopmax",
    resp: "ZPOPMAX",
    http: &[HttpRoute::post("/sortedset/{key}/zpopmax", JsonReply::Shape("zset_popped"))],
    summary: "Removes the members of the highest scores, and answers them with their scores",
    run: Run::Write(|plan, args| zpop(plan, args, Side::Max)),
    ..ZPOPMIN
};

fn zpop(plan: &mut Plan<'_>, args: &Args<'_>, side: Side) -> Result<Reply<'static>, CommandError> {
    let count = args.opt_integer(COUNT);
    let wanted = usize::try_from(count.unwrap_or(1));
    let wanted = wanted.map_err(|_| CommandError::Invalid(NOT_POSITIVE))?;
    let key = args.bytes(KEY);
    let taken = match filled(plan, key)? {
        Some(set) => take(plan, (key, &set), wanted, side)?,
        None => Vec::new(),
    };
    let pairs =
        taken.into_iter().map(|(member, score)| (Reply::owned(member), Reply::Double(score)));
    if count.is_some() {
        return Ok(Reply::Pairs(pairs.collect()));
    }
    // One member is not an array of its own in either version of the protocol.
    Ok(Reply::Array(pairs.flat_map(|(member, score)| [member, score]).collect()))
}

const SIDE: ArgSpec = ArgSpec::one_of(
    "where",
    &[
        ArgSpec::flag("min", "MIN", "the lowest scores"),
        ArgSpec::flag("max", "MAX", "the highest scores"),
    ],
    "which members",
);
const NO_COUNT: &str = "count should be greater than 0";
const HOW_MANY: ArgSpec = ArgSpec::integer("count", "how many, one if absent")
    .with_token("COUNT")
    .optional()
    .refused_as(NO_COUNT);
const KEYS: ArgSpec =
    ArgSpec::key("keys", "the sorted sets, the first with members counts").repeated();

/// `ZMPOP`.
pub(crate) const ZMPOP: CommandSpec = CommandSpec {
    id: "sortedset.zmpop",
    resp: "ZMPOP",
    keys: Keys::Counted { count_at: 1, also: 0 },
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::numkeys(), KEYS, SIDE, HOW_MANY],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::NONE,
    summary: "Removes members of the first set that has some, and answers its key and them, or nil",
    run: Run::Write(|plan, args| Ok(zmpop(plan, args, 1)?.unwrap_or(Reply::NilArray))),
    ..ZPOPMIN
};

/// `ZMPOP`, whose keys are argument `at`; nothing when no set has members.
fn zmpop(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    at: usize,
) -> Result<Option<Reply<'static>>, CommandError> {
    let count = usize::try_from(args.opt_integer(Arg(at + 2)).unwrap_or(1)).unwrap_or(0);
    if count == 0 {
        return Err(CommandError::Invalid(NO_COUNT));
    }
    let side = if matches!(args.choice(Arg(at + 1)), Some((0, _))) { Side::Min } else { Side::Max };
    for key in args.rest(Arg(at)) {
        if let Some(set) = filled(plan, key)? {
            let taken = take(plan, (key, &set), count, side)?;
            let pair =
                |(member, score)| Reply::Array(vec![Reply::owned(member), Reply::Double(score)]);
            let members = Reply::Array(taken.into_iter().map(pair).collect());
            return Ok(Some(Reply::Array(vec![Reply::owned(key.to_vec()), members])));
        }
    }
    Ok(None)
}

const TIMEOUT: ArgSpec = ArgSpec::bytes("timeout", "seconds to wait, for ever if 0");

/// `BZMPOP`.
pub(crate) const BZMPOP: CommandSpec = CommandSpec {
    id: "sortedset.bzmpop",
    resp: "BZMPOP",
    keys: Keys::Counted { count_at: 2, also: 0 },
    args: &[TIMEOUT, ArgSpec::numkeys(), KEYS, SIDE, HOW_MANY],
    flags: Flags::BLOCKING,
    summary: "As ZMPOP, but waits for a set that has members",
    run: Run::Block(|plan, args| {
        let timeout_ms = timeout::seconds(args.bytes(Arg(0)))?;
        Ok(match zmpop(plan, args, 2)? {
            Some(reply) => Blocked::Done(reply),
            None => Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray)),
        })
    }),
    ..ZMPOP
};

/// `BZPOPMIN`.
pub(crate) const BZPOPMIN: CommandSpec = CommandSpec {
    id: "sortedset.bzpopmin",
    resp: "BZPOPMIN",
    keys: Keys::Range { first: 1, last: -2, step: 1 },
    args: &[KEYS, TIMEOUT],
    flags: Flags::BLOCKING.and(Flags::FAST),
    summary: "Removes the lowest member of the first set that has some, and answers key, member \
              and score; waits for one, nil when the time is over",
    complexity: "O(log N) for a set of N members",
    run: Run::Block(|plan, args| bzpop(plan, args, Side::Min)),
    ..ZMPOP
};

/// `BZPOPMAX`.
pub(crate) const BZPOPMAX: CommandSpec = CommandSpec {
    id: "sortedset.bzpopmax",
    resp: "BZPOPMAX",
    summary: "Removes the highest member of the first set that has some, and answers key, member \
              and score; waits for one, nil when the time is over",
    run: Run::Block(|plan, args| bzpop(plan, args, Side::Max)),
    ..BZPOPMIN
};

fn bzpop(plan: &mut Plan<'_>, args: &Args<'_>, side: Side) -> Result<Blocked, CommandError> {
    let timeout_ms = timeout::seconds(args.bytes(Arg(1)))?;
    for key in args.rest(Arg(0)) {
        if let Some(set) = filled(plan, key)? {
            let mut answer = vec![Reply::owned(key.to_vec())];
            for (member, score) in take(plan, (key, &set), 1, side)? {
                answer.extend([Reply::owned(member), Reply::Double(score)]);
            }
            return Ok(Blocked::Done(Reply::Array(answer)));
        }
    }
    Ok(Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray)))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn ends_are_taken() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", "5"),
            ("ZPOPMIN z", "[\"a\", 1]"),
            ("ZPOPMAX z", "[\"e\", 5]"),
            ("ZPOPMIN z 2", "[[\"b\", 2], [\"c\", 3]]"),
            ("ZPOPMIN z 0", "[]"),
            ("ZPOPMAX z 9", "[[\"d\", 4]]"),
            ("EXISTS z", "0"),
            ("ZPOPMIN z", "[]"),
            ("ZPOPMIN z -1", "ERR value is out of range, must be positive"),
            ("ZPOPMIN z x", "ERR value is out of range, must be positive"),
            ("SET s v", "OK"),
            ("ZPOPMIN s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn the_first_set_with_members_gives() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 3 c", "3"),
            ("ZMPOP 2 none z MIN", "[\"z\", [[\"a\", 1]]]"),
            ("ZMPOP 1 z MAX COUNT 5", "[\"z\", [[\"c\", 3], [\"b\", 2]]]"),
            ("ZMPOP 1 z MAX", "nil"),
            ("ZMPOP 0 z MIN", "ERR numkeys should be greater than 0"),
            ("ZMPOP 3 z MIN", "ERR syntax error"),
            ("ZMPOP 1 z MID", "ERR syntax error"),
            ("ZMPOP 1 z MIN COUNT 0", "ERR count should be greater than 0"),
            ("ZMPOP 1 z MIN COUNT x", "ERR count should be greater than 0"),
        ]);
    }

    #[test]
    fn waiting_forms_take_what_is_there() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b 3 c", "3"),
            ("BZPOPMIN none z 0", "[\"z\", \"a\", 1]"),
            ("BZPOPMAX z 1.5", "[\"z\", \"c\", 3]"),
            ("BZMPOP 0 1 z MIN COUNT 2", "[\"z\", [[\"b\", 2]]]"),
            ("BZPOPMIN z 0", "nil"),
            ("BZMPOP 1 2 z none MAX", "nil"),
            ("BZPOPMIN z x", "ERR timeout is not a float or out of range"),
            ("BZPOPMIN z -1", "ERR timeout is negative"),
            ("BZMPOP 0 0 z MIN", "ERR numkeys should be greater than 0"),
            ("SET s v", "OK"),
            ("BZPOPMIN s z 0", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
