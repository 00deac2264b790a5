//! `SRANDMEMBER`.

use super::BASE;
use super::view::{Member, SetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{ArgSpec, CommandSpec, Flags, HttpRoute, JsonReply, ReplySpec, Run};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const COUNT: Arg = Arg(1);
/// Most members that are drawn with repeats: a request of a few bytes must not ask for an answer
/// of any size.
const REPEATS_MAX: u64 = 4 * 1024 * 1024;

/// `SRANDMEMBER`.
pub(super) const SRANDMEMBER: CommandSpec = CommandSpec {
    id: "set.srandmember",
    resp: "SRANDMEMBER",
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::integer("count", "how many; negative: with repeats, at most 4194304").optional(),
    ],
    reply: ReplySpec::Any,
    http: &[HttpRoute::get("/set/{key}/randmember", JsonReply::Shape("set_members"))],
    flags: Flags::RANDOM,
    summary: "Answers random members; one, nil if there is none, without count",
    complexity: "O(N) for N members asked for",
    run: Run::Read(srandmember),
    ..BASE
};

fn srandmember<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = SetView::read(view, args.bytes(KEY))?;
    let mut rng = view.rng();
    let Some(count) = args.opt_integer(COUNT) else {
        return Ok(set.random(&mut rng).map_or(Reply::Nil, Member::reply));
    };
    if let Ok(count) = usize::try_from(count) {
        let members = set.sample(count, &mut rng);
        return Ok(Reply::Array(members.into_iter().map(Member::reply).collect()));
    }
    if count.unsigned_abs() > REPEATS_MAX {
        return Err(CommandError::Invalid("value is out of range"));
    }
    let draws = (0..count.unsigned_abs()).map_while(|_| set.random(&mut rng));
    Ok(Reply::Array(draws.map(Member::reply).collect()))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::{BTreeMap, BTreeSet};

    fn draw(db: &mut OneTable, key: &str, count: &str) -> Vec<String> {
        let reply = db.run(&[b"SRANDMEMBER", key.as_bytes(), count.as_bytes()]);
        let Reply::Array(members) = reply else { panic!("{reply:?}") };
        members.iter().map(show).collect()
    }

    #[test]
    fn draws_differ_or_repeat() {
        let mut db = OneTable::new();
        for (key, extra, count) in [("i", "", 40), ("p", "word", 40), ("l", "word", 2_000)] {
            let members: Vec<String> = (1..count).map(|number| number.to_string()).collect();
            db.ask(format!("SADD {key} {} {extra}", members.join(" ")).trim_end());
            let total: usize = db.ask(&format!("SCARD {key}")).parse().expect("it is a number");
            for wanted in [1, total / 3, total - 1, total, total + 5] {
                let drawn = draw(&mut db, key, &wanted.to_string());
                assert_eq!(drawn.len(), wanted.min(total));
                assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
            }
            let drawn = draw(&mut db, key, "-5000");
            assert_eq!(drawn.len(), 5_000);
            assert!(drawn.iter().collect::<BTreeSet<_>>().len() > total * 4 / 5);
        }
    }

    #[test]
    fn each_subset_is_as_likely() {
        let mut db = OneTable::new();
        db.ask("SADD s a b c d e");
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..2_000 {
            for member in draw(&mut db, "s", "2") {
                *times.entry(member).or_default() += 1;
            }
        }
        assert_eq!(times.len(), 5);
        assert!(times.values().all(|times| (680..920).contains(times)), "{times:?}");
    }

    #[test]
    fn refusals() {
        OneTable::new().expect(&[
            ("SRANDMEMBER none", "nil"),
            ("SRANDMEMBER none 3", "[]"),
            ("SRANDMEMBER none -3", "[]"),
            ("SADD s a", "1"),
            ("SRANDMEMBER s", "\"a\""),
            ("SRANDMEMBER s -2", "[\"a\", \"a\"]"),
            ("SRANDMEMBER s 0", "[]"),
            ("SRANDMEMBER s -9223372036854775808", "ERR value is out of range"),
            ("SRANDMEMBER s x", "ERR value is not an integer or out of range"),
            ("SET t v", "OK"),
            ("SRANDMEMBER t", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
