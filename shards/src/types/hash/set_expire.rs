//! `HSETEX`: sets fields and when they expire, if they are there, or if none is.

use super::change::Changing;
use super::expire::of_option;
use super::fields::{self, NOT_POSITIVE};
use crate::command::args::{Arg, Args};
use crate::command::deadline::{Due, EX, EXAT, PX, PXAT};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgKind, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const CONDITION: Arg = Arg(1);
const EXPIRY: Arg = Arg(2);
const FIELDS: Arg = Arg(3);

const CONDITIONS: &[ArgSpec] = &[
    ArgSpec::flag("fnx", "FNX", "only if none of the fields is there"),
    ArgSpec::flag("fxx", "FXX", "only if all of them are"),
];
const IF_NONE: usize = 0;

const EXPIRIES: &[ArgSpec] =
    &[EX, PX, EXAT, PXAT, ArgSpec::flag("keepttl", "KEEPTTL", "their deadlines stay")];
const KEEPTTL: usize = 4;

const PAIR: &[ArgSpec] =
    &[ArgSpec::bytes("field", "a field"), ArgSpec::bytes("value", "its new value")];
const FIELDS_AND_VALUES: &[ArgSpec] = &[
    ArgSpec::integer("numfields", "how many fields follow"),
    ArgSpec::block("pairs", PAIR, "fields and their values").repeated(),
];

/// `HSETEX`.
pub(crate) const HSETEX: CommandSpec = CommandSpec {
    id: "hash.setex",
    resp: "HSETEX",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::one_of("condition", CONDITIONS, "when to set them").optional(),
        ArgSpec::one_of("expiry", EXPIRIES, "their deadline; none, if absent").optional(),
        ArgSpec {
            kind: ArgKind::Block(FIELDS_AND_VALUES),
            doc: "the fields and their values",
            ..fields::FIELDS
        },
    ],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.2.0",
    summary: "Sets fields of a hash and when they expire; 1 if they were set, 0 otherwise",
    complexity: "O(N) for N fields",
    run: Run::Write(hsetex),
};

fn hsetex(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let words = fields::parse(args.rest(FIELDS), 2, NOT_POSITIVE)?;
    let (pairs, _) = words.as_chunks::<2>();
    let time = of_option(args, EXPIRY, plan.now().unix_ms, "hsetex")?;
    let keeps = matches!(args.choice(EXPIRY), Some((KEEPTTL, _)));
    if let Some((condition, _)) = args.choice(CONDITION) {
        let wanted = condition != IF_NONE;
        let mut there = pairs.iter().map(|[name, _]| change.view().get(name).is_some());
        if there.any(|there| there != wanted) {
            return Ok(Reply::Integer(0));
        }
    }
    for [name, value] in pairs {
        let deadline_ms = match time {
            Some(Due::Past) => {
                change.remove(name);
                continue;
            }
            Some(Due::At(deadline)) => Some(deadline),
            None if keeps => change.view().get(name).and_then(|field| field.deadline_ms),
            None => None,
        };
        change.set(name, value, deadline_ms)?;
    }
    let events: &[&'static str] = match time {
        Some(Due::Past) => &["hdel"],
        Some(Due::At(_)) => &["hset", "hexpire"],
        None => &["hset"],
    };
    change.commit(plan, events)?;
    Ok(Reply::Integer(1))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn fields_are_set_with_their_deadline() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HSETEX h EX 10 FIELDS 2 a 1 b 2", "1"),
            ("HTTL h FIELDS 2 a b", "[10, 10]"),
            ("HSETEX h KEEPTTL FIELDS 2 a 3 c 4", "1"),
            ("HTTL h FIELDS 3 a b c", "[10, 10, -1]"),
            ("HSETEX h FIELDS 1 a 5", "1"),
            ("HTTL h FIELDS 1 a", "[-1]"),
            ("HSETEX h FNX PX 5 FIELDS 2 d 1 a 9", "0"),
            ("HSETEX h FXX PX 5 FIELDS 2 d 1 a 9", "0"),
            ("HSETEX h PX 5 FXX FIELDS 2 a 6 b 7", "1"),
            ("HPTTL h FIELDS 3 a b c", "[5, 5, -1]"),
            ("HSETEX h FNX FIELDS 1 d 8", "1"),
            ("HGETALL h", "{\"a\": \"6\", \"b\": \"7\", \"c\": \"4\", \"d\": \"8\"}"),
            ("HSETEX h PXAT 1 FIELDS 3 a 1 b 1 new 1", "1"),
            ("HKEYS h", "[\"c\", \"d\"]"),
            ("HSETEX h EXAT 1 FIELDS 2 c 1 d 1", "1"),
            ("EXISTS h", "0"),
            ("HSETEX h EXAT 1 FIELDS 1 c 1", "1"),
            ("EXISTS h", "0"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SET s v", "OK"),
            (
                "HSETEX s FIELDS 1 a 1",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("HSETEX h EX -1 FIELDS 1 a 1", "ERR invalid expire time, must be >= 0"),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "ERR syntax error"),
            (
                "HSETEX h FIELDS 2 a 1",
                "ERR The `numfields` parameter must match the number of arguments",
            ),
            ("HSETEX h FIELDS 1 a", "ERR wrong number of arguments for 'hsetex' command"),
        ]);
    }
}
