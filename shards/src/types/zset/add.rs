//! `ZADD` and `ZINCRBY`. Records state the resulting scores.

use smallvec::SmallVec;

use super::answer;
use super::bounds;
use super::change::Changes;
use super::view::ZsetView;
use crate::command::args::{Arg, Args, wrong_arity};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const NX: Arg = Arg(1);
const XX: Arg = Arg(2);
const GT: Arg = Arg(3);
const LT: Arg = Arg(4);
const CH: Arg = Arg(5);
const INCR: Arg = Arg(6);
const MEMBERS: Arg = Arg(7);
/// Words of the shortest `ZADD`.
const WORDS_MIN: usize = 4;

const SCORED: &[ArgSpec] =
    &[ArgSpec::float("score", "a score"), ArgSpec::bytes("member", "the member that gets it")];

/// `ZADD`.
pub(crate) const ZADD: CommandSpec = CommandSpec {
    id: "sortedset.zadd",
    resp: "ZADD",
    family: Family::SortedSet,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::flag("nx", "NX", "only members that are not there yet"),
        ArgSpec::flag("xx", "XX", "only members that are there"),
        ArgSpec::flag("gt", "GT", "of members that are there only those whose score grows"),
        ArgSpec::flag("lt", "LT", "of members that are there only those whose score shrinks"),
        ArgSpec::flag("ch", "CH", "count changed members too"),
        ArgSpec::flag("incr", "INCR", "add to the score, and answer it"),
        ArgSpec::block("members", SCORED, "scores and their members").repeated(),
    ],
    reply: ReplySpec::Any,
    http: &[HttpRoute::post("/sortedset/{key}/zadd", JsonReply::Shape("zadd"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Adds members or changes their scores, and answers how many are new; with INCR the \
              new score, nil if a condition fails",
    complexity: "O(log N) for each member of a set of N",
    run: Run::Write(zadd),
};

/// What has to hold for a member to be changed, and what is done with its score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Conditions {
    pub(super) absent: bool,
    pub(super) present: bool,
    pub(super) greater: bool,
    pub(super) less: bool,
    /// Scores are added to those that are there.
    pub(super) increment: bool,
}

impl Conditions {
    pub(super) const NONE: Self =
        Self { absent: false, present: false, greater: false, less: false, increment: false };

    fn read(args: &Args<'_>) -> Result<Self, CommandError> {
        let [absent, present] = [NX, XX].map(|flag| args.flag(flag));
        let [greater, less] = [GT, LT].map(|flag| args.flag(flag));
        if absent && present {
            let message = "XX and NX options at the same time are not compatible";
            return Err(CommandError::Invalid(message));
        }
        if greater && less || absent && (greater || less) {
            let message = "GT, LT, and/or NX options at the same time are not compatible";
            return Err(CommandError::Invalid(message));
        }
        Ok(Self { absent, present, greater, less, increment: args.flag(INCR) })
    }

    /// Whether a member may get a score in place of the one it has, if it is there.
    fn allow(self, before: Option<f64>, after: f64) -> bool {
        match before {
            None => !self.present,
            Some(before) => {
                !(self.absent || self.greater && after <= before || self.less && after >= before)
            }
        }
    }
}

/// What became of members that were added.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Done {
    /// How many are new.
    pub(super) added: usize,
    /// How many are new or have another score.
    pub(super) changed: usize,
    /// The score of the last that was allowed one.
    last: Option<f64>,
}

/// Gives members their scores, where the conditions hold.
pub(super) fn add(
    plan: &mut Plan<'_>,
    key: &[u8],
    members: &[(f64, &[u8])],
    conditions: Conditions,
) -> Result<Done, CommandError> {
    let set = ZsetView::of_any(plan.peek_typed(key, ValueType::SortedSet)?);
    let mut changes = Changes::new(set);
    let mut done = Done::default();
    for (score, member) in members {
        let before = changes.score(member);
        let base = before.filter(|_| conditions.increment).unwrap_or(0.0);
        let after = sum(base, *score)?;
        if !conditions.allow(before, after) {
            continue;
        }
        done.last = Some(after);
        if before != Some(after) {
            changes.put(member, after, before.is_some(), members.len() > 1);
            done.added += usize::from(before.is_none());
            done.changed += 1;
        }
    }
    changes.record(plan, key, if conditions.increment { "zincr" } else { "zadd" })?;
    Ok(done)
}

fn zadd(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (pairs, []) = args.rest(MEMBERS).as_chunks::<2>() else {
        let few = args.words().len() < WORDS_MIN;
        return Err(if few { wrong_arity(&ZADD) } else { CommandError::Syntax });
    };
    let conditions = Conditions::read(args)?;
    if conditions.increment && pairs.len() > 1 {
        let message = "INCR option supports a single increment-element pair";
        return Err(CommandError::Invalid(message));
    }
    let mut members: SmallVec<[(f64, &[u8]); 4]> = SmallVec::with_capacity(pairs.len());
    for [score, member] in pairs {
        members.push((bounds::score(score)?, member));
    }
    let done = add(plan, args.bytes(KEY), &members, conditions)?;
    if conditions.increment {
        return Ok(answer::score(done.last));
    }
    Ok(Reply::count(if args.flag(CH) { done.changed } else { done.added }))
}

fn sum(before: f64, increment: f64) -> Result<f64, CommandError> {
    let sum = before + increment;
    if sum.is_nan() {
        return Err(CommandError::Invalid("resulting score is not a number (NaN)"));
    }
    Ok(sum)
}

const AMOUNT_WORD: usize = 2;
const MEMBER: Arg = Arg(2);

/// `ZINCRBY`.
pub(crate) const ZINCRBY: CommandSpec = CommandSpec {
    id: "sortedset.zincrby",
    resp: "ZINCRBY",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::float("increment", "what to add"),
        ArgSpec::bytes("member", "the member"),
    ],
    reply: ReplySpec::Double,
    http: &[HttpRoute::post("/sortedset/{key}/zincrby", JsonReply::Shape("zincrby"))],
    summary: "Adds to the score of a member, 0 if it is not there, and answers the sum",
    complexity: "O(log N) for a set of N members",
    run: Run::Write(zincrby),
    ..ZADD
};

fn zincrby(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (key, member) = (args.bytes(KEY), args.bytes(MEMBER));
    let increment = bounds::score(args.words()[AMOUNT_WORD])?;
    let set = ZsetView::of_any(plan.peek_typed(key, ValueType::SortedSet)?);
    let before = set.score(member);
    let after = sum(before.unwrap_or(0.0), increment)?;
    if before != Some(after) {
        let mut changes = Changes::new(set);
        changes.put(member, after, before.is_some(), false);
        changes.record(plan, key, "zincr")?;
    }
    Ok(Reply::Double(after))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn members_are_added_and_changed() {
        OneTable::new().expect(&[
            ("ZADD z 1 a 2 b", "2"),
            ("ZADD z 3 a 4 c", "1"),
            ("ZADD z CH 3 a 5 c 6 d", "2"),
            ("ZADD z 1 e 2 e 3 e", "1"),
            ("ZSCORE z e", "3"),
            ("ZADD z CH 1 e 3 e", "2"),
            (
                "ZRANGE z 0 -1 WITHSCORES",
                "[[\"b\", 2], [\"a\", 3], [\"e\", 3], [\"c\", 5], [\"d\", 6]]",
            ),
            ("ZADD z inf top -inf bottom", "2"),
            ("ZSCORE z top", "inf"),
            ("ZSCORE z bottom", "-inf"),
            ("ZADD z -0 zero", "1"),
            ("ZSCORE z zero", "0"),
            ("OBJECT ENCODING z", "\"listpack\""),
            ("TYPE z", "zset"),
        ]);
    }

    #[test]
    fn conditions_decide() {
        OneTable::new().expect(&[
            ("ZADD z XX 1 a", "0"),
            ("EXISTS z", "0"),
            ("ZADD z NX 1 a", "1"),
            ("ZADD z NX 2 a 5 b", "1"),
            ("ZSCORE z a", "1"),
            ("ZADD z GT CH 0 a 6 b 7 c", "2"),
            ("ZADD z LT CH 0 a 7 b 9 d", "2"),
            ("ZADD z XX GT CH 1 a 8 e", "1"),
            ("ZRANGE z 0 -1 WITHSCORES", "[[\"a\", 1], [\"b\", 6], [\"c\", 7], [\"d\", 9]]"),
            ("ZADD z NX XX 1 a", "ERR XX and NX options at the same time are not compatible"),
            (
                "ZADD z GT LT 1 a",
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "ZADD z NX GT 1 a",
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
        ]);
    }

    #[test]
    fn scores_are_added_to() {
        OneTable::new().expect(&[
            ("ZADD z INCR 1.5 a", "1.5"),
            ("ZADD z INCR 1 a", "2.5"),
            ("ZADD z NX INCR 1 a", "nil"),
            ("ZADD z XX INCR 1 none", "nil"),
            ("ZADD z GT INCR -1 a", "nil"),
            ("ZADD z INCR 0 a", "2.5"),
            ("ZINCRBY z 2 a", "4.5"),
            ("ZINCRBY z -5 b", "-5"),
            ("ZINCRBY z inf i", "inf"),
            ("ZINCRBY z -inf i", "ERR resulting score is not a number (NaN)"),
            ("ZADD z INCR -inf i", "ERR resulting score is not a number (NaN)"),
            ("ZADD z INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
            ("ZINCRBY z x a", "ERR value is not a valid float"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        OneTable::new().expect(&[
            ("ZADD z", "ERR wrong number of arguments for 'zadd' command"),
            ("ZADD z 1", "ERR wrong number of arguments for 'zadd' command"),
            ("ZADD z 1 a 2", "ERR syntax error"),
            ("ZADD z NX XX CH", "ERR syntax error"),
            ("ZADD z 1 a x b", "ERR value is not a valid float"),
            ("ZADD z nan a", "ERR value is not a valid float"),
            ("EXISTS z", "0"),
            ("SET s v", "OK"),
            ("ZADD s 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZINCRBY s 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn a_large_set_has_a_structure_of_its_own() {
        let mut db = OneTable::new();
        for number in 0..129 {
            db.ask(&format!("ZADD z {number} m{number}"));
        }
        let long = "x".repeat(65);
        db.expect(&[
            ("OBJECT ENCODING z", "\"skiplist\""),
            ("ZCARD z", "129"),
            ("ZADD z 64 m0", "0"),
            ("ZRANK z m0", "63"),
            ("ZRANGE z 62 65", "[\"m63\", \"m0\", \"m64\", \"m65\"]"),
            (&format!("ZADD y 1 {long}"), "1"),
            ("OBJECT ENCODING y", "\"skiplist\""),
        ]);
    }
}
