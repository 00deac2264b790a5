//! Unions, intersections and differences of sorted sets and sets.
//!
//! Scores are added up in the order of the inputs' sizes, as Redis does, so that sums of doubles
//! come out the same. What would be NaN (infinity minus infinity) is zero.

use super::answer;
use super::bounds;
use super::change::store;
use super::packed::order;
use super::source::{Scored, Source};
use crate::command::args::{Arg, Args, NUMKEYS};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Plan, View};

const COUNT: ArgSpec = ArgSpec::integer(NUMKEYS, "the number of keys");

/// The inputs of a command, whose number is refused with its text.
const fn keys(refusal: &'static str) -> ArgSpec {
    ArgSpec::key("keys", "sorted sets and sets").repeated().refused_as(refusal)
}

const WEIGHTS: ArgSpec = ArgSpec::float("weights", "a factor for the scores of each input")
    .with_token("WEIGHTS")
    .optional()
    .repeated();
const AGGREGATE: ArgSpec = ArgSpec::one_of(
    "aggregate",
    &[
        ArgSpec::flag("sum", "SUM", "add them"),
        ArgSpec::flag("min", "MIN", "take the lowest"),
        ArgSpec::flag("max", "MAX", "take the highest"),
    ],
    "how scores of one member become one; they are added, if absent",
)
.with_token("AGGREGATE")
.optional();
const WITHSCORES: ArgSpec = ArgSpec::flag("withscores", "WITHSCORES", "answer scores too");
const DESTINATION: ArgSpec = ArgSpec::key("destination", "where the result goes");

/// `ZUNION`.
pub(crate) const ZUNION: CommandSpec = CommandSpec {
    id: "sortedset.zunion",
    resp: "ZUNION",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::Counted { count_at: 1, also: 0 },
    atomicity: Atomicity::Whole,
    args: &[
        COUNT,
        keys("at least 1 input key is needed for 'zunion' command"),
        WEIGHTS,
        AGGREGATE,
        WITHSCORES,
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the members that any of several sets has",
    complexity: "O(N log N) for N members of all inputs",
    run: Run::Read(|view, args| read(view, args, Operation::Union)),
};

/// `ZINTER`.
pub(crate) const ZINTER: CommandSpec = CommandSpec {
    id: "sortedset.zinter",
    resp: "ZINTER",
    args: &[
        COUNT,
        keys("at least 1 input key is needed for 'zinter' command"),
        WEIGHTS,
        AGGREGATE,
        WITHSCORES,
    ],
    summary: "Answers the members that all of several sets have",
    complexity: "O(N*K + M log M) for N members of the smallest of K inputs, and M of the result",
    run: Run::Read(|view, args| read(view, args, Operation::Intersection)),
    ..ZUNION
};

/// `ZDIFF`.
pub(crate) const ZDIFF: CommandSpec = CommandSpec {
    id: "sortedset.zdiff",
    resp: "ZDIFF",
    args: &[COUNT, keys("at least 1 input key is needed for 'zdiff' command"), WITHSCORES],
    summary: "Answers the members that the first of several sets has and no other",
    complexity: "O(N*K + M log M) for N members of the first of K inputs, and M of the result",
    run: Run::Read(|view, args| read(view, args, Operation::Difference)),
    ..ZUNION
};

/// `ZINTERCARD`.
pub(crate) const ZINTERCARD: CommandSpec = CommandSpec {
    id: "sortedset.zintercard",
    resp: "ZINTERCARD",
    args: &[
        COUNT,
        keys("at least 1 input key is needed for 'zintercard' command"),
        ArgSpec::integer("limit", "count no further than this, 0 is no limit")
            .with_token("LIMIT")
            .optional()
            .refused_as(NEGATIVE_LIMIT),
    ],
    reply: ReplySpec::Integer,
    summary: "Answers how many members all of several sets have",
    complexity: "O(N*K) for N members of the smallest of K inputs",
    run: Run::Read(zintercard),
    ..ZUNION
};
const NEGATIVE_LIMIT: &str = "LIMIT can't be negative";

/// `ZUNIONSTORE`.
pub(crate) const ZUNIONSTORE: CommandSpec = CommandSpec {
    id: "sortedset.zunionstore",
    resp: "ZUNIONSTORE",
    access: Access::Write,
    keys: Keys::Counted { count_at: 2, also: 1 },
    args: &[
        DESTINATION,
        COUNT,
        keys("at least 1 input key is needed for 'zunionstore' command"),
        WEIGHTS,
        AGGREGATE,
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/sortedset/zunionstore", JsonReply::Shape("zset_stored"))],
    flags: Flags::DENY_OOM,
    summary: "Stores the members that any of several sets has, and answers how many",
    run: Run::Write(|plan, args| write(plan, args, Operation::Union, "zunionstore")),
    ..ZUNION
};

/// `ZINTERSTORE`.
pub(crate) const ZINTERSTORE: CommandSpec = CommandSpec {
    id: "sortedset.zinterstore",
    resp: "ZINTERSTORE",
    args: &[
        DESTINATION,
        COUNT,
        keys("at least 1 input key is needed for 'zinterstore' command"),
        WEIGHTS,
        AGGREGATE,
    ],
    http: &[HttpRoute::post("/sortedset/zinterstore", JsonReply::Shape("zset_stored"))],
    summary: "Stores the members that all of several sets have, and answers how many",
    complexity: ZINTER.complexity,
    run: Run::Write(|plan, args| write(plan, args, Operation::Intersection, "zinterstore")),
    ..ZUNIONSTORE
};

/// `ZDIFFSTORE`.
pub(crate) const ZDIFFSTORE: CommandSpec = CommandSpec {
    id: "sortedset.zdiffstore",
    resp: "ZDIFFSTORE",
    args: &[DESTINATION, COUNT, keys("at least 1 input key is needed for 'zdiffstore' command")],
    http: &[HttpRoute::post("/sortedset/zdiffstore", JsonReply::Shape("zset_stored"))],
    summary: "Stores the members that the first of several sets has and no other, and answers how \
              many",
    complexity: ZDIFF.complexity,
    run: Run::Write(|plan, args| write(plan, args, Operation::Difference, "zdiffstore")),
    ..ZUNIONSTORE
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number(a + b),
            Self::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// Zero for what is no number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is to be done with the inputs.
struct Request<'s> {
    operation: Operation,
    /// With the factor of each.
    sources: Vec<(Source<'s>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl<'s> Request<'s> {
    /// Reads the inputs, which are argument `at`, and the options behind them.
    fn read(
        view: &View<'s>,
        args: &Args<'_>,
        at: usize,
        operation: Operation,
    ) -> Result<Self, CommandError> {
        let keys = args.rest(Arg(at));
        let source = |key: &&[u8]| Source::of(view, key).map(|source| (source, 1.0));
        let sources = keys.iter().map(source).collect::<Result<_, _>>()?;
        let aggregate = Aggregate::Sum;
        let mut request = Self { operation, sources, aggregate, with_scores: false };
        // Behind the name, the arguments before the keys, and the keys.
        request.options(&args.words()[1 + at + keys.len()..], at == 1)?;
        let lengths = || request.sources.iter().map(|(source, _)| source.len());
        view.may_read(match operation {
            Operation::Intersection => lengths().min().unwrap_or(0),
            Operation::Union => lengths().sum(),
            Operation::Difference => lengths().next().unwrap_or(0),
        })?;
        Ok(request)
    }

    fn options(&mut self, mut words: &[&[u8]], may_score: bool) -> Result<(), CommandError> {
        let weighted = self.operation != Operation::Difference;
        while let Some((word, rest)) = words.split_first() {
            words = if weighted && word.eq_ignore_ascii_case(b"WEIGHTS") {
                let split = rest.split_at_checked(self.sources.len());
                let (weights, rest) = split.ok_or(CommandError::Syntax)?;
                for ((_, weight), word) in self.sources.iter_mut().zip(weights) {
                    let refused = CommandError::Invalid("weight value is not a float");
                    *weight = bounds::score(word).map_err(|_| refused)?;
                }
                rest
            } else if weighted && word.eq_ignore_ascii_case(b"AGGREGATE") {
                let (name, rest) = rest.split_first().ok_or(CommandError::Syntax)?;
                let known = [
                    (&b"SUM"[..], Aggregate::Sum),
                    (b"MIN", Aggregate::Min),
                    (b"MAX", Aggregate::Max),
                ];
                let found = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
                self.aggregate = found.ok_or(CommandError::Syntax)?.1;
                rest
            } else if may_score && word.eq_ignore_ascii_case(b"WITHSCORES") {
                self.with_scores = true;
                rest
            } else {
                return Err(CommandError::Syntax);
            };
        }
        Ok(())
    }

    /// The members of the result in order.
    fn result(mut self) -> Vec<Scored<'s>> {
        let mut found = match self.operation {
            Operation::Difference => self.difference(),
            Operation::Intersection => {
                self.sources.sort_by_key(|(source, _)| source.len());
                self.intersection()
            }
            Operation::Union => {
                self.sources.sort_by_key(|(source, _)| source.len());
                self.union()
            }
        };
        found.sort_unstable_by(|a, b| order((a.0, &a.1), (b.0, &b.1)));
        found
    }

    fn union(&self) -> Vec<Scored<'s>> {
        let mut all = Vec::with_capacity(self.sources.iter().map(|(source, _)| source.len()).sum());
        for (source, weight) in &self.sources {
            all.extend(source.iter().map(|(score, member)| (number(score * weight), member)));
        }
        // Stable, so that scores of a member are joined in the order of the inputs.
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all.dedup_by(|later, first| {
            let same = later.1 == first.1;
            if same {
                first.0 = self.aggregate.join(first.0, later.0);
            }
            same
        });
        all
    }

    fn intersection(&self) -> Vec<Scored<'s>> {
        let Some(((smallest, weight), others)) = self.sources.split_first() else {
            return Vec::new();
        };
        let joined = smallest.iter().filter_map(|(score, member)| {
            let mut joined = number(score * weight);
            for (source, weight) in others {
                joined = self.aggregate.join(joined, source.score(&member)? * weight);
            }
            Some((joined, member))
        });
        joined.collect()
    }

    fn difference(&self) -> Vec<Scored<'s>> {
        let Some(((first, _), others)) = self.sources.split_first() else { return Vec::new() };
        let alone = |(_, member): &Scored<'_>| {
            others.iter().all(|(source, _)| source.score(member).is_none())
        };
        first.iter().filter(alone).collect()
    }
}

fn read<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    operation: Operation,
) -> Result<Reply<'s>, CommandError> {
    let request = Request::read(view, args, 1, operation)?;
    let with_scores = request.with_scores;
    Ok(answer::run(request.result().into_iter(), with_scores))
}

fn write(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    operation: Operation,
    event: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let result = Request::read(plan, args, 2, operation)?.result();
    let members = result.iter().map(|(score, member)| (*score, &member[..]));
    store(plan, args.bytes(Arg(0)), members, event).map(Reply::count)
}

fn zintercard<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let limit = match usize::try_from(args.opt_integer(Arg(2)).unwrap_or(0)) {
        Ok(0) => usize::MAX,
        Ok(limit) => limit,
        Err(_) => return Err(CommandError::Invalid(NEGATIVE_LIMIT)),
    };
    let sources: Result<Vec<_>, _> =
        args.rest(Arg(1)).iter().map(|key| Source::of(view, key)).collect();
    let mut sources = sources?;
    sources.sort_by_key(Source::len);
    let Some((smallest, others)) = sources.split_first() else { return Ok(Reply::Integer(0)) };
    let everywhere =
        |(_, member): &Scored<'_>| others.iter().all(|source| source.score(member).is_some());
    Ok(Reply::count(smallest.iter().filter(everywhere).take(limit).count()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        db.expect(&[("ZADD a 1 x 2 y 3 z", "3"), ("ZADD b 10 y 20 z 30 w", "3")]);
        db
    }

    #[test]
    fn unions() {
        filled().expect(&[
            ("ZUNION 2 a b", "[\"x\", \"y\", \"z\", \"w\"]"),
            ("ZUNION 2 a b WITHSCORES", "[[\"x\", 1], [\"y\", 12], [\"z\", 23], [\"w\", 30]]"),
            (
                "ZUNION 2 a b WEIGHTS 10 1 AGGREGATE MAX WITHSCORES",
                "[[\"x\", 10], [\"y\", 20], [\"w\", 30], [\"z\", 30]]",
            ),
            ("ZUNION 3 a none a AGGREGATE MIN WITHSCORES", "[[\"x\", 1], [\"y\", 2], [\"z\", 3]]"),
            ("ZADD i inf x", "1"),
            ("ZADD j -inf x", "1"),
            ("ZUNION 2 i j WITHSCORES", "[[\"x\", 0]]"),
            ("ZUNION 1 none", "[]"),
            ("ZUNIONSTORE to 2 a b WEIGHTS 2 -1", "4"),
            ("ZRANGE to 0 -1 WITHSCORES", "[[\"w\", -30], [\"z\", -14], [\"y\", -6], [\"x\", 2]]"),
            ("ZUNIONSTORE a 2 a b", "4"),
            ("ZCARD a", "4"),
            ("ZUNIONSTORE a 1 none", "0"),
            ("EXISTS a", "0"),
        ]);
    }

    #[test]
    fn intersections_and_differences() {
        filled().expect(&[
            ("ZINTER 2 a b", "[\"y\", \"z\"]"),
            ("ZINTER 2 a b WITHSCORES AGGREGATE MIN", "[[\"y\", 2], [\"z\", 3]]"),
            ("ZINTER 2 a none", "[]"),
            ("ZINTER 2 a a WITHSCORES WEIGHTS 1 2", "[[\"x\", 3], [\"y\", 6], [\"z\", 9]]"),
            ("ZINTERCARD 2 a b", "2"),
            ("ZINTERCARD 2 a b LIMIT 1", "1"),
            ("ZINTERCARD 2 a b LIMIT 0", "2"),
            ("ZINTERCARD 1 none", "0"),
            ("ZDIFF 2 a b WITHSCORES", "[[\"x\", 1]]"),
            ("ZDIFF 2 none a", "[]"),
            ("ZINTERSTORE to 2 a b", "2"),
            ("ZRANGE to 0 -1 WITHSCORES", "[[\"y\", 12], [\"z\", 23]]"),
            ("ZDIFFSTORE to 2 b a", "1"),
            ("ZRANGE to 0 -1 WITHSCORES", "[[\"w\", 30]]"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        filled().expect(&[
            ("ZUNION 0 a", "ERR at least 1 input key is needed for 'zunion' command"),
            ("ZUNIONSTORE to 0 a", "ERR at least 1 input key is needed for 'zunionstore' command"),
            ("ZUNION x a", "ERR value is not an integer or out of range"),
            ("ZUNION 3 a b", "ERR syntax error"),
            ("ZUNION 1 a WEIGHTS", "ERR syntax error"),
            ("ZUNION 2 a b WEIGHTS 1", "ERR syntax error"),
            ("ZUNION 1 a WEIGHTS x", "ERR weight value is not a float"),
            ("ZUNION 1 a AGGREGATE AVG", "ERR syntax error"),
            ("ZUNION 1 a NOPE", "ERR syntax error"),
            ("ZUNIONSTORE to 1 a WITHSCORES", "ERR syntax error"),
            ("ZDIFF 1 a WEIGHTS 1", "ERR syntax error"),
            ("ZINTERCARD 0 a", "ERR at least 1 input key is needed for 'zintercard' command"),
            ("ZINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative"),
            ("SET s v", "OK"),
            ("SADD plain y w", "2"),
            ("ZUNION 2 a plain WITHSCORES", "[[\"w\", 1], [\"x\", 1], [\"y\", 3], [\"z\", 3]]"),
            ("ZINTER 2 plain b WITHSCORES", "[[\"y\", 11], [\"w\", 31]]"),
            ("ZDIFF 2 plain a WITHSCORES", "[[\"w\", 1]]"),
            ("ZUNION 2 a s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
