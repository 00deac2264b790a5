//! Intersections, unions and differences of sets, answered or stored.
//!
//! An intersection walks the smallest set and asks the others, the next smaller first; a difference
//! walks the first. So an answer never costs more memory than it takes. A destination is replaced
//! whatever it held, and is no key when the result has no members.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::BASE;
use super::record::push_add;
use super::view::{Member, SetView};
use crate::command::args::{Arg, Args, NUMKEYS, NUMKEYS_REFUSAL};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Flags, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan, View};

const KEYS: Arg = Arg(0);
const DESTINATION: Arg = Arg(0);
const SOURCES: Arg = Arg(1);

const STORE_ARGS: &[ArgSpec] = &[
    ArgSpec::key("destination", "where the result goes"),
    ArgSpec::key("keys", "the sets").repeated(),
];

/// `SINTER`.
pub(super) const SINTER: CommandSpec = CommandSpec {
    id: "set.sinter",
    resp: "SINTER",
    keys: Keys::ALL,
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::key("keys", "the sets").repeated()],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/set/inter", JsonReply::Field("members"))],
    summary: "Answers the members that all sets have",
    complexity: "O(N*M) for M sets of which the smallest has N members",
    run: Run::Read(|view, args| answer(view, args, Operation::Intersection)),
    ..BASE
};

/// `SUNION`.
pub(super) const SUNION: CommandSpec = CommandSpec {
    id: "set.sunion",
    resp: "SUNION",
    http: &[HttpRoute::post("/set/union", JsonReply::Field("members"))],
    summary: "Answers the members that any of the sets has",
    complexity: "O(N) for N members of all sets",
    run: Run::Read(|view, args| answer(view, args, Operation::Union)),
    ..SINTER
};

/// `SDIFF`.
pub(super) const SDIFF: CommandSpec = CommandSpec {
    id: "set.sdiff",
    resp: "SDIFF",
    http: &[HttpRoute::post("/set/diff", JsonReply::Field("members"))],
    summary: "Answers the members of the first set that no other has",
    complexity: "O(N*M) for M sets of which the first has N members",
    run: Run::Read(|view, args| answer(view, args, Operation::Difference)),
    ..SINTER
};

/// `SINTERSTORE`.
pub(super) const SINTERSTORE: CommandSpec = CommandSpec {
    id: "set.sinterstore",
    resp: "SINTERSTORE",
    access: Access::Write,
    args: STORE_ARGS,
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/set/interstore", JsonReply::Shape("set_stored"))],
    flags: Flags::DENY_OOM,
    summary: "Makes a set of the members that all sets have, and answers its size",
    run: Run::Write(|plan, args| store(plan, args, Operation::Intersection)),
    ..SINTER
};

/// `SUNIONSTORE`.
pub(super) const SUNIONSTORE: CommandSpec = CommandSpec {
    id: "set.sunionstore",
    resp: "SUNIONSTORE",
    http: &[HttpRoute::post("/set/unionstore", JsonReply::Shape("set_stored"))],
    summary: "Makes a set of the members that any of the sets has, and answers its size",
    complexity: SUNION.complexity,
    run: Run::Write(|plan, args| store(plan, args, Operation::Union)),
    ..SINTERSTORE
};

/// `SDIFFSTORE`.
pub(super) const SDIFFSTORE: CommandSpec = CommandSpec {
    id: "set.sdiffstore",
    resp: "SDIFFSTORE",
    http: &[HttpRoute::post("/set/diffstore", JsonReply::Shape("set_stored"))],
    summary: "Makes a set of the members of the first that no other has, and answers its size",
    complexity: SDIFF.complexity,
    run: Run::Write(|plan, args| store(plan, args, Operation::Difference)),
    ..SINTERSTORE
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// The event of storing a result.
    fn event(self) -> &'static str {
        match self {
            Self::Intersection => "sinterstore",
            Self::Union => "sunionstore",
            Self::Difference => "sdiffstore",
        }
    }

    /// The sets of these keys, where so many members may be looked at.
    fn sources<'s>(
        self,
        view: &View<'s>,
        keys: &[&[u8]],
    ) -> Result<Vec<SetView<'s>>, CommandError> {
        let sets = read_all(view, keys)?;
        let lengths = || sets.iter().map(|set| set.len());
        view.may_read(match self {
            Self::Intersection => lengths().min().unwrap_or(0),
            Self::Union => lengths().sum(),
            Self::Difference => lengths().next().unwrap_or(0),
        })?;
        Ok(sets)
    }

    fn each<'s>(self, sets: Vec<SetView<'s>>, mut visit: impl FnMut(Member<'s>)) {
        match self {
            Self::Intersection => intersection(sets, |member| {
                visit(member);
                true
            }),
            Self::Union => union(sets, visit),
            Self::Difference => difference(sets, visit),
        }
    }
}

fn read_all<'s>(view: &View<'s>, keys: &[&[u8]]) -> Result<Vec<SetView<'s>>, CommandError> {
    keys.iter().map(|key| SetView::read(view, key)).collect()
}

/// Calls `visit` with the members of all `sets`, until it says false.
fn intersection<'s>(mut sets: Vec<SetView<'s>>, mut visit: impl FnMut(Member<'s>) -> bool) {
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        if others.iter().all(|set| set.has(member)) && !visit(member) {
            return;
        }
    }
}

fn union<'s>(mut sets: Vec<SetView<'s>>, mut visit: impl FnMut(Member<'s>)) {
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let Some((largest, others)) = sets.split_first() else { return };
    largest.iter().for_each(&mut visit);
    let mut seen: BTreeSet<Cow<'s, [u8]>> = BTreeSet::new();
    for (index, set) in others.iter().enumerate() {
        let is_last = index + 1 == others.len();
        for member in set.iter().filter(|member| !largest.has(*member)) {
            let is_new = match is_last {
                true => !seen.contains(&*member.bytes()),
                false => seen.insert(member.bytes()),
            };
            if is_new {
                visit(member);
            }
        }
    }
}

fn difference<'s>(mut sets: Vec<SetView<'s>>, mut visit: impl FnMut(Member<'s>)) {
    let Some((first, others)) = sets.split_first_mut() else { return };
    // The largest is the likeliest to have a member.
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    for member in first.iter().filter(|member| !others.iter().any(|set| set.has(*member))) {
        visit(member);
    }
}

fn answer<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    operation: Operation,
) -> Result<Reply<'s>, CommandError> {
    let sets = operation.sources(view, args.rest(KEYS))?;
    let mut members = Vec::new();
    operation.each(sets, |member| members.push(member.reply()));
    Ok(Reply::Set(members))
}

fn store(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    operation: Operation,
) -> Result<Reply<'static>, CommandError> {
    let destination = args.bytes(DESTINATION);
    let sets = operation.sources(plan, args.rest(SOURCES))?;
    let (mut edits, mut count) = (Vec::new(), 0);
    operation.each(sets, |member| {
        push_add(&mut edits, &member.bytes());
        count += 1;
    });
    if count > 0 {
        plan.store(destination, ValueType::Set, &edits, None)?;
        plan.notify(Notice::Set, operation.event(), destination);
    } else if plan.delete(destination) {
        plan.notify(Notice::Generic, "del", destination);
    }
    Ok(Reply::count(count))
}

/// `SINTERCARD`.
pub(super) const SINTERCARD: CommandSpec = CommandSpec {
    id: "set.sintercard",
    resp: "SINTERCARD",
    keys: Keys::Counted { count_at: 1, also: 0 },
    args: &[
        ArgSpec::integer(NUMKEYS, "number of sets").refused_as(NUMKEYS_REFUSAL),
        ArgSpec::key("keys", "the sets").repeated().refused_as(TOO_MANY_KEYS),
        ArgSpec::integer("limit", "count no further than this; 0 is no limit")
            .with_token("LIMIT")
            .optional()
            .refused_as(NEGATIVE_LIMIT),
    ],
    reply: ReplySpec::Integer,
    http: &[],
    summary: "Answers how many members all sets have, or the limit if there are more",
    run: Run::Read(sintercard),
    ..SINTER
};

const TOO_MANY_KEYS: &str = "Number of keys can't be greater than number of args";
const NEGATIVE_LIMIT: &str = "LIMIT can't be negative";

fn sintercard<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    const KEYS: Arg = Arg(1);
    const LIMIT: Arg = Arg(2);
    let limit = args.opt_integer(LIMIT).unwrap_or(0);
    let limit = usize::try_from(limit).map_err(|_| CommandError::Invalid(NEGATIVE_LIMIT))?;
    let sets = read_all(view, args.rest(KEYS))?;
    let mut count = 0;
    intersection(sets, |_| {
        count += 1;
        count != limit
    });
    Ok(Reply::count(count))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    /// The answer of a line, its members sorted.
    fn sorted(db: &mut OneTable, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let Reply::Set(members) = db.run(&words) else { panic!("{line}") };
        let mut members: Vec<String> = members.iter().map(show).collect();
        members.sort();
        members.join(" ").replace('"', "")
    }

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        db.ask("SADD a 1 2 3 4");
        db.ask("SADD b 3 4 5 x");
        db.ask("SADD c 4 x y");
        for number in 0..1_000 {
            db.ask(&format!("SADD large {number}"));
        }
        db.ask("SET t v");
        db
    }

    #[test]
    fn answers() {
        let mut db = filled();
        for (line, members) in [
            ("SINTER a", "1 2 3 4"),
            ("SINTER a b", "3 4"),
            ("SINTER b a c", "4"),
            ("SINTER a b none", ""),
            ("SINTER large b", "3 4 5"),
            ("SINTER b b", "3 4 5 x"),
            ("SUNION a b c", "1 2 3 4 5 x y"),
            ("SUNION none c", "4 x y"),
            ("SUNION none", ""),
            ("SUNION c c", "4 x y"),
            ("SDIFF a b", "1 2"),
            ("SDIFF b a c", "5"),
            ("SDIFF b large", "x"),
            ("SDIFF a none", "1 2 3 4"),
            ("SDIFF none a", ""),
            ("SDIFF a a", ""),
        ] {
            assert_eq!(sorted(&mut db, line), members, "{line}");
        }
        assert_eq!(sorted(&mut db, "SUNION a b c large").split(' ').count(), 1_002);
        db.expect(&[
            ("SINTER a t", WRONG_TYPE),
            ("SINTER none t", WRONG_TYPE),
            ("SUNION a t", WRONG_TYPE),
            ("SDIFF a t", WRONG_TYPE),
            ("SINTER", "ERR wrong number of arguments for 'sinter' command"),
        ]);
    }

    #[test]
    fn results_are_stored_over_anything() {
        let mut db = filled();
        db.expect(&[
            ("EXPIRE t 100", "1"),
            ("SINTERSTORE t a b", "2"),
            ("SMEMBERS t", r#"["3", "4"]"#),
            ("TTL t", "-1"),
            ("SUNIONSTORE a a b", "6"),
            ("SDIFFSTORE a a b", "2"),
            ("SMEMBERS a", r#"["1", "2"]"#),
            ("SINTERSTORE a b none", "0"),
            ("EXISTS a", "0"),
            ("SINTERSTORE a none", "0"),
            ("SUNIONSTORE big large b", "1001"),
            ("SCARD big", "1001"),
            ("SDIFFSTORE big b large", "1"),
            ("SMEMBERS big", r#"["x"]"#),
            ("SET t v", "OK"),
            ("SUNIONSTORE big b t", WRONG_TYPE),
            ("SUNIONSTORE big", "ERR wrong number of arguments for 'sunionstore' command"),
        ]);
    }

    #[test]
    fn counts_may_be_limited() {
        filled().expect(&[
            ("SINTERCARD 2 a b", "2"),
            ("SINTERCARD 2 a b LIMIT 1", "1"),
            ("SINTERCARD 2 a b LIMIT 0", "2"),
            ("SINTERCARD 2 a b limit 9", "2"),
            ("SINTERCARD 2 a none", "0"),
            ("SINTERCARD 1 large", "1000"),
            ("SINTERCARD 2 a b LIMIT -1", "ERR LIMIT can't be negative"),
            ("SINTERCARD 2 a b LIMIT x", "ERR LIMIT can't be negative"),
            ("SINTERCARD 0 a", "ERR numkeys should be greater than 0"),
            ("SINTERCARD x a", "ERR numkeys should be greater than 0"),
            ("SINTERCARD 3 a b", "ERR Number of keys can't be greater than number of args"),
            ("SINTERCARD 2 a b NOPE", "ERR syntax error"),
            ("SINTERCARD 1 t", WRONG_TYPE),
            ("SINTERCARD 1", "ERR wrong number of arguments for 'sintercard' command"),
        ]);
    }
}
