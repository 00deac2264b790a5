//! `HGETEX`: reads fields and changes when they expire.

use super::change::Changing;
use super::expire::of_option;
use super::fields::{self, NOT_POSITIVE};
use crate::command::args::{Arg, Args};
use crate::command::deadline::{Due, EX, EXAT, PX, PXAT};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const EXPIRY: Arg = Arg(1);
const FIELDS: Arg = Arg(2);

const EXPIRIES: &[ArgSpec] =
    &[EX, PX, EXAT, PXAT, ArgSpec::flag("persist", "PERSIST", "they do not expire any more")];
const PERSIST: usize = 4;

/// `HGETEX`.
pub(crate) const HGETEX: CommandSpec = CommandSpec {
    id: "hash.getex",
    resp: "HGETEX",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::one_of("expiry", EXPIRIES, "their new deadline; unchanged, if absent").optional(),
        fields::FIELDS,
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Answers the values of fields of a hash and changes when they expire",
    complexity: "O(N) for N fields",
    run: Run::Write(hgetex),
};

/// What the option says about deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Unchanged,
    None,
    Some(Due),
}

fn hgetex(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let names = fields::parse(args.rest(FIELDS), 1, NOT_POSITIVE)?;
    let wanted = match args.choice(EXPIRY) {
        None => Wanted::Unchanged,
        Some((PERSIST, _)) => Wanted::None,
        Some(_) => of_option(args, EXPIRY, plan.now().unix_ms, "hgetex")?
            .map_or(Wanted::Unchanged, Wanted::Some),
    };
    let mut values = Vec::with_capacity(names.len());
    let mut event = None;
    for name in names {
        let is_gone = wanted == Wanted::Some(Due::Past) && change.has_seen(name);
        let Some(field) = change.view().get(name).filter(|_| !is_gone) else {
            values.push(Reply::Nil);
            continue;
        };
        values.push(Reply::owned(field.value.to_vec()));
        match wanted {
            Wanted::Unchanged => {}
            Wanted::None if field.deadline_ms.is_some() => {
                change.set_deadline(name, None);
                event = Some("hpersist");
            }
            Wanted::None => {}
            Wanted::Some(Due::At(deadline)) => {
                change.set_deadline(name, Some(deadline));
                event = Some("hexpire");
            }
            Wanted::Some(Due::Past) => {
                change.remove(name);
                event = Some("hdel");
            }
        }
    }
    change.commit(plan, event.as_slice())?;
    Ok(Reply::Array(values))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn deadlines_change_with_the_read() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HGETEX none EX 10 FIELDS 1 a", "[nil]"),
            ("HSET h a 1 b 2 c 3", "3"),
            ("HGETEX h FIELDS 2 a none", "[\"1\", nil]"),
            ("HGETEX h EX 10 FIELDS 1 a", "[\"1\"]"),
            ("HGETEX h PX 1500 FIELDS 1 b", "[\"2\"]"),
            ("HPTTL h FIELDS 3 a b c", "[10000, 1500, -1]"),
            ("HGETEX h FIELDS 1 a", "[\"1\"]"),
            ("HGETEX h PERSIST FIELDS 2 a c", "[\"1\", \"3\"]"),
            ("HPTTL h FIELDS 3 a b c", "[-1, 1500, -1]"),
            ("HGETEX h PXAT 1 FIELDS 3 a a b", "[\"1\", nil, \"2\"]"),
            ("HKEYS h", "[\"c\"]"),
            ("HGETEX h EXAT 1 FIELDS 1 c", "[\"3\"]"),
            ("EXISTS h", "0"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SET s v", "OK"),
            (
                "HGETEX s FIELDS 1 a",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("HGETEX h EX -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
            ("HGETEX h EX x FIELDS 1 a", "ERR value is not an integer or out of range"),
            ("HGETEX h EX 1 PERSIST FIELDS 1 a", "ERR syntax error"),
            ("HGETEX h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
            ("HGETEX h FIELDS 1", "ERR wrong number of arguments for 'hgetex' command"),
        ]);
    }
}
