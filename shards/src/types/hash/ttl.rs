//! Reading and dropping the deadlines of fields: `HTTL`, `HPTTL`, `HEXPIRETIME`, `HPEXPIRETIME`,
//! `HPERSIST`. The answer has one number per field: -2 it is not there, -1 it has no deadline.

use super::change::Changing;
use super::fields::{self, NOT_POSITIVE};
use super::get::hash;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::{Plan, View};

const KEY: Arg = Arg(0);
const FIELDS: Arg = Arg(1);

const ABSENT: i64 = -2;
const NO_DEADLINE: i64 = -1;
const DONE: i64 = 1;

/// `HTTL`.
pub(crate) const HTTL: CommandSpec = CommandSpec {
    id: "hash.ttl",
    resp: "HTTL",
    family: Family::Hash,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), fields::FIELDS],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Answers the seconds until fields of a hash expire, rounded up",
    complexity: "O(N) for N fields",
    run: Run::Read(|view, args| ttl(view, args, |at, now| (at - now).div_ceil(1000))),
};

/// `HPTTL`.
pub(crate) const HPTTL: CommandSpec = CommandSpec {
    id: "hash.pttl",
    resp: "HPTTL",
    summary: "Answers the milliseconds until fields of a hash expire",
    run: Run::Read(|view, args| ttl(view, args, |at, now| at - now)),
    ..HTTL
};

/// `HEXPIRETIME`.
pub(crate) const HEXPIRETIME: CommandSpec = CommandSpec {
    id: "hash.expiretime",
    resp: "HEXPIRETIME",
    summary: "Answers the Unix seconds at which fields of a hash expire, rounded up",
    run: Run::Read(|view, args| ttl(view, args, |at, _| at.div_ceil(1000))),
    ..HTTL
};

/// `HPEXPIRETIME`.
pub(crate) const HPEXPIRETIME: CommandSpec = CommandSpec {
    id: "hash.pexpiretime",
    resp: "HPEXPIRETIME",
    summary: "Answers the Unix milliseconds at which fields of a hash expire",
    run: Run::Read(|view, args| ttl(view, args, |at, _| at)),
    ..HTTL
};

fn ttl<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    shown: impl Fn(u64, u64) -> u64,
) -> Result<Reply<'s>, CommandError> {
    let hash = hash(view, args)?;
    let names = fields::parse(args.rest(FIELDS), 1, NOT_POSITIVE)?;
    let now_ms = view.now().unix_ms;
    let answer = |name: &&[u8]| {
        let Some(field) = hash.get(name) else { return Reply::Integer(ABSENT) };
        field.deadline_ms.map_or(Reply::Integer(NO_DEADLINE), |deadline| {
            Reply::count(usize::try_from(shown(deadline, now_ms)).expect("deadlines have 48 bits"))
        })
    };
    Ok(Reply::Array(names.iter().map(answer).collect()))
}

/// `HPERSIST`.
pub(crate) const HPERSIST: CommandSpec = CommandSpec {
    id: "hash.persist",
    resp: "HPERSIST",
    access: Access::Write,
    summary: "Drops the deadlines of fields of a hash; 1 for each that had one",
    run: Run::Write(hpersist),
    ..HTTL
};

fn hpersist(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let names = fields::parse(args.rest(FIELDS), 1, NOT_POSITIVE)?;
    let mut answers = Vec::with_capacity(names.len());
    for name in names {
        let answer = match change.view().get(name) {
            None => ABSENT,
            Some(field) if field.deadline_ms.is_none() || change.has_seen(name) => NO_DEADLINE,
            Some(_) => {
                change.set_deadline(name, None);
                DONE
            }
        };
        answers.push(Reply::Integer(answer));
    }
    change.commit(plan, &["hpersist"])?;
    Ok(Reply::Array(answers))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn deadlines_are_told_and_dropped() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HTTL none FIELDS 2 a b", "[-2, -2]"),
            ("HPERSIST none FIELDS 2 a b", "[-2, -2]"),
            ("HSET h a 1 b 2", "2"),
            ("HPEXPIRE h 1500 FIELDS 1 a", "[1]"),
            ("HTTL h FIELDS 3 a b c", "[2, -1, -2]"),
            ("HPTTL h FIELDS 3 a b c", "[1500, -1, -2]"),
            ("HEXPIRETIME h FIELDS 3 a b c", "[1700000002, -1, -2]"),
            ("HPEXPIRETIME h FIELDS 3 a b c", "[1700000001500, -1, -2]"),
            ("HPERSIST h FIELDS 4 a b c a", "[1, -1, -2, -1]"),
            ("HTTL h FIELDS 1 a", "[-1]"),
        ]);
        db.now_ms += 2000;
        db.expect(&[("HLEN h", "2")]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut db = OneTable::new();
        db.ask("SET s v");
        for name in ["httl", "hpttl", "hexpiretime", "hpexpiretime", "hpersist"] {
            db.expect(&[
                (
                    &format!("{name} s FIELDS 1 a"),
                    "WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                (
                    &format!("{name} h FIELDS 1"),
                    &format!("ERR wrong number of arguments for '{name}' command"),
                ),
                (
                    &format!("{name} h NOPE 1 a"),
                    "ERR Mandatory argument FIELDS is missing or not at the right position",
                ),
                (
                    &format!("{name} h FIELDS 0 a"),
                    "ERR Number of fields must be a positive integer",
                ),
                (
                    &format!("{name} h FIELDS 1 a b"),
                    "ERR The `numfields` parameter must match the number of arguments",
                ),
            ]);
        }
    }
}
