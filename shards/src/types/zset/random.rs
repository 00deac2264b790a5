//! `ZRANDMEMBER`.

use std::collections::BTreeSet;

use super::answer;
use super::look;
use super::view::{Ranks, ZsetView};
use crate::command::args::{self, Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::rng::Rng;
use crate::shard::plan::View;

/// Members that one command draws with repetition; the answer is made in memory.
const DRAWS_MAX: u64 = 1 << 20;

const OPTIONS: Arg = Arg(1);

/// `ZRANDMEMBER`.
pub(crate) const ZRANDMEMBER: CommandSpec = CommandSpec {
    id: "sortedset.zrandmember",
    resp: "ZRANDMEMBER",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::block(
            "options",
            &[
                ArgSpec::integer("count", "how many; with repetition if negative"),
                ArgSpec::flag("withscores", "WITHSCORES", "answer scores too"),
            ],
            "answer an array",
        )
        .optional(),
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::RANDOM,
    since: "0.1.0",
    summary: "Answers random members: one, nil if there is none, or an array of distinct ones",
    complexity: "O(M log N) for M members of a set of N",
    run: Run::Read(zrandmember),
};

fn zrandmember<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let mut rng = view.rng();
    let (count, with_scores) = match args.rest(OPTIONS) {
        [] => {
            let set = look::set(view, args)?;
            let drawn = (set.len() > 0).then(|| set.random(&mut rng));
            return Ok(drawn.map_or(Reply::Nil, |(_, member)| Reply::borrowed(member)));
        }
        [count] => (args::integer(count)?, false),
        [count, word] if word.eq_ignore_ascii_case(b"WITHSCORES") => (args::integer(count)?, true),
        _ => return Err(CommandError::Syntax),
    };
    let set = look::set(view, args)?;
    if count < 0 && count.unsigned_abs() > DRAWS_MAX {
        return Err(CommandError::Invalid("value is out of range"));
    }
    if set.len() == 0 {
        return Ok(Reply::Array(Vec::new()));
    }
    if count < 0 {
        let draws = (0..count.unsigned_abs()).map(|_| set.random(&mut rng));
        return Ok(answer::run(draws, with_scores));
    }
    let drawn = distinct(&set, usize::try_from(count).unwrap_or(usize::MAX), &mut rng);
    Ok(answer::run(drawn.into_iter(), with_scores))
}

/// Members of `count` distinct ranks, or all (Floyd's sampling: Bentley and Floyd, 1987).
fn distinct<'s>(set: &ZsetView<'s>, count: usize, rng: &mut Rng) -> Vec<(f64, &'s [u8])> {
    let len = set.len();
    if count >= len {
        return set.iter().collect();
    }
    let mut ranks = BTreeSet::new();
    for bound in len - count..len {
        let drawn = rng.below(bound + 1);
        if !ranks.insert(drawn) {
            ranks.insert(bound);
        }
    }
    let one = |start| set.run(Ranks { start, count: 1, reverse: false }).next();
    ranks.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::BTreeSet;

    #[test]
    fn members_are_drawn() {
        let mut db = OneTable::new();
        db.expect(&[
            ("ZRANDMEMBER none", "nil"),
            ("ZRANDMEMBER none 5", "[]"),
            ("ZADD z 1 a", "1"),
            ("ZRANDMEMBER z", "\"a\""),
            ("ZRANDMEMBER z 5", "[\"a\"]"),
            ("ZRANDMEMBER z 5 WITHSCORES", "[[\"a\", 1]]"),
            ("ZRANDMEMBER z -3", "[\"a\", \"a\", \"a\"]"),
            ("ZRANDMEMBER z -2 WITHSCORES", "[[\"a\", 1], [\"a\", 1]]"),
            ("ZRANDMEMBER z 0", "[]"),
            ("ZRANDMEMBER z x", "ERR value is not an integer or out of range"),
            ("ZRANDMEMBER z -9223372036854775807", "ERR value is out of range"),
            ("ZRANDMEMBER z 1 NOPE", "ERR syntax error"),
            ("ZRANDMEMBER z 1 WITHSCORES x", "ERR syntax error"),
        ]);
        for number in 0..400 {
            db.ask(&format!("ZADD big {number} m{number}"));
        }
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let Reply::Array(drawn) = db.run(&[b"ZRANDMEMBER", b"big", b"20"]) else { panic!() };
            let drawn: BTreeSet<String> = drawn.iter().map(show).collect();
            assert_eq!(drawn.len(), 20, "they are distinct");
            seen.extend(drawn);
        }
        assert!(seen.len() > 390, "{}", seen.len());
    }
}
