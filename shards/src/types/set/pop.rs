//! `SPOP`. What was drawn is recorded by name.

use super::BASE;
use super::change::plan_removal;
use super::record::Edits;
use super::view::{Member, SetView};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, CommandSpec, Flags, HttpRoute, JsonReply, ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const COUNT: Arg = Arg(1);
const NOT_POSITIVE: &str = "value is out of range, must be positive";

/// `SPOP`.
pub(super) const SPOP: CommandSpec = CommandSpec {
    id: "set.spop",
    resp: "SPOP",
    access: Access::Write,
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::integer("count", "how many").optional().refused_as(NOT_POSITIVE),
    ],
    reply: ReplySpec::Any,
    http: &[HttpRoute::post("/set/{key}/pop", JsonReply::Shape("set_members"))],
    flags: Flags::FAST.and(Flags::RANDOM),
    summary: "Removes random members and answers them; one, nil if there is none, without count",
    complexity: "O(N) for N members removed",
    run: Run::Write(spop),
    ..BASE
};

fn spop(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let mut rng = plan.rng();
    let Some(count) = args.opt_integer(COUNT) else {
        let set = SetView::read(plan, key)?;
        let Some(member) = set.random(&mut rng) else { return Ok(Reply::Nil) };
        pop(plan, key, set, &[member])?;
        return Ok(member.reply().into_owned());
    };
    let count = usize::try_from(count).map_err(|_| CommandError::Invalid(NOT_POSITIVE))?;
    let set = SetView::read(plan, key)?;
    let members = set.sample(count, &mut rng);
    if !members.is_empty() {
        pop(plan, key, set, &members)?;
    }
    Ok(Reply::Set(members.into_iter().map(|member| member.reply().into_owned()).collect()))
}

fn pop(
    plan: &mut Plan<'_>,
    key: &[u8],
    set: SetView<'_>,
    members: &[Member<'_>],
) -> Result<(), CommandError> {
    let mut edits = Edits::default();
    let all = members.len() == set.len();
    if !all {
        members.iter().for_each(|member| edits.remove(&member.bytes()));
    }
    plan_removal(plan, key, set, members.len(), &edits)?;
    plan.notify(Notice::Set, "spop", key);
    if all {
        plan.notify(Notice::Generic, "del", key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::BTreeSet;

    #[test]
    fn members_leave_at_random() {
        let mut db = OneTable::new();
        for (count, extra) in [(50, ""), (100, "word"), (3_000, "word")] {
            let members: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            db.ask(format!("SADD s {} {extra}", members.join(" ")).trim_end());
            let total = count + usize::from(!extra.is_empty());
            let mut seen = BTreeSet::new();
            for _ in 0..10 {
                assert!(seen.insert(db.ask("SPOP s")));
            }
            for number in [0, 1, total / 10, total / 2] {
                let line = number.to_string();
                let reply = db.run(&[b"SPOP", b"s", line.as_bytes()]);
                let Reply::Set(members) = reply else { panic!("{reply:?}") };
                assert_eq!(members.len(), number);
                seen.extend(members.iter().map(show));
            }
            assert_eq!(db.ask("SCARD s"), (total - seen.len()).to_string());
            let left = db.run(&[b"SPOP", b"s", b"100000"]);
            let Reply::Set(left) = left else { panic!("{left:?}") };
            seen.extend(left.iter().map(show));
            assert_eq!(seen.len(), total);
            assert_eq!(db.ask("EXISTS s"), "0");
        }
    }

    #[test]
    fn every_member_is_drawn_about_as_often() {
        let mut db = OneTable::new();
        let mut first = [0; 10];
        for _ in 0..2_000 {
            db.ask("SADD s 0 1 2 3 4 5 6 7 8 9");
            let drawn: usize = db.ask("SPOP s").trim_matches('"').parse().expect("it is a number");
            first[drawn] += 1;
        }
        assert!(first.iter().all(|times| (130..270).contains(times)), "{first:?}");
    }

    #[test]
    fn refusals() {
        OneTable::new().expect(&[
            ("SPOP none", "nil"),
            ("SPOP none 3", "[]"),
            ("SADD s a", "1"),
            ("SPOP s 0", "[]"),
            ("SPOP s -1", "ERR value is out of range, must be positive"),
            ("SPOP s x", "ERR value is out of range, must be positive"),
            ("SPOP s", "\"a\""),
            ("EXISTS s", "0"),
            ("SET t v", "OK"),
            ("SPOP t", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SPOP t 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
