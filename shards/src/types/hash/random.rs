//! `HRANDFIELD`.

use std::collections::BTreeSet;

use super::get::hash;
use super::packed::Field;
use super::view::HashView;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::rng::Rng;
use crate::shard::plan::View;

const COUNT: Arg = Arg(1);
const WITHVALUES: Arg = Arg(2);

/// Most fields that a negative count may ask for.
const REPEATS_MAX: u64 = 1 << 20;
/// When more than one in so many fields are wanted, all are gathered to choose from.
const GATHER_FROM: usize = 3;

/// `HRANDFIELD`.
pub(crate) const HRANDFIELD: CommandSpec = CommandSpec {
    id: "hash.randfield",
    resp: "HRANDFIELD",
    family: Family::Hash,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("count", "how many; below zero, the same field may come again").optional(),
        ArgSpec::flag("withvalues", "WITHVALUES", "their values as well"),
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::RANDOM,
    since: "0.2.0",
    summary: "Answers a random field of a hash or nil; with a count an array, of pairs with values",
    complexity: "O(N) for N fields asked for",
    run: Run::Read(hrandfield),
};

fn hrandfield<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let with_values = args.flag(WITHVALUES);
    let hash = hash(view, args)?;
    let mut rng = view.rng();
    let Some(count) = args.opt_integer(COUNT) else {
        let drawn = hash.random(&mut rng);
        return Ok(drawn.map_or(Reply::Nil, |field| Reply::borrowed(field.name)));
    };
    if count == i64::MIN {
        return Err(CommandError::Invalid(
            "value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let in_range = -i64::MAX / 2..=i64::MAX / 2;
    if (with_values && !in_range.contains(&count))
        || (count < 0 && count.unsigned_abs() > REPEATS_MAX)
    {
        return Err(CommandError::Invalid("value is out of range"));
    }
    let drawn = match usize::try_from(count) {
        Ok(count) => distinct(&hash, count, &mut rng),
        Err(_) => repeated(&hash, count.unsigned_abs() as usize, &mut rng),
    };
    let name = |field: &Field<'s>| Reply::borrowed(field.name);
    Ok(if with_values {
        Reply::Pairs(drawn.iter().map(|f| (name(f), Reply::borrowed(f.value))).collect())
    } else {
        Reply::Array(drawn.iter().map(name).collect())
    })
}

/// `count` draws; the same field may come again.
fn repeated<'s>(hash: &HashView<'s>, count: usize, rng: &mut Rng) -> Vec<Field<'s>> {
    (0..count).map_while(|_| hash.random(rng)).collect()
}

/// `count` different fields, or all there are.
fn distinct<'s>(hash: &HashView<'s>, count: usize, rng: &mut Rng) -> Vec<Field<'s>> {
    let live = hash.len();
    if count >= live {
        return hash.iter().collect();
    }
    if count.saturating_mul(GATHER_FROM) > live || live <= 128 {
        let mut all: Vec<Field<'s>> = hash.iter().collect();
        // A shuffle that stops when enough are chosen (Fisher, Yates; Knuth, TAOCP 3.4.2, P).
        for place in 0..count {
            let other = place + rng.below(all.len() - place);
            all.swap(place, other);
        }
        all.truncate(count);
        return all;
    }
    let (mut seen, mut drawn) = (BTreeSet::new(), Vec::with_capacity(count));
    while drawn.len() < count {
        let Some(field) = hash.random(rng) else { break };
        if seen.insert(field.name) {
            drawn.push(field);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;
    use std::collections::{BTreeMap, BTreeSet};

    fn drawn(db: &mut OneTable, line: &str) -> Vec<String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let Reply::Array(items) = db.run(&words) else { panic!("{line}") };
        items.iter().map(crate::one_table::show).collect()
    }

    #[test]
    fn draws_are_distinct_or_repeated() {
        for fields in [1usize, 5, 40, 1000] {
            let mut db = OneTable::new();
            for number in 0..fields {
                db.ask(&format!("HSET h f{number} {number}"));
            }
            for count in [0, 1, fields / 10, fields / 2, fields, fields + 5] {
                let found = drawn(&mut db, &format!("HRANDFIELD h {count}"));
                let distinct: BTreeSet<_> = found.iter().collect();
                assert_eq!((found.len(), distinct.len()), (count.min(fields), count.min(fields)));
                let found = drawn(&mut db, &format!("HRANDFIELD h -{}", count + 1));
                assert_eq!(found.len(), count + 1);
            }
        }
    }

    #[test]
    fn every_field_has_the_same_chance() {
        for fields in [10usize, 300] {
            let mut db = OneTable::new();
            for number in 0..fields {
                db.ask(&format!("HSET h f{number} {number}"));
            }
            let mut times: BTreeMap<String, usize> = BTreeMap::new();
            for _ in 0..fields * 60 {
                *times.entry(db.ask("HRANDFIELD h")).or_default() += 1;
            }
            assert_eq!(times.len(), fields);
            assert!(times.values().all(|times| (20..120).contains(times)), "{times:?}");
        }
    }

    #[test]
    fn options_and_errors() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HRANDFIELD h", "nil"),
            ("HRANDFIELD h 5", "[]"),
            ("HRANDFIELD h -5 WITHVALUES", "[]"),
            ("HSET h a 1", "1"),
            ("HRANDFIELD h", "\"a\""),
            ("HRANDFIELD h 0", "[]"),
            ("HRANDFIELD h 2 WITHVALUES", "[[\"a\", \"1\"]]"),
            ("HRANDFIELD h -2 withvalues", "[[\"a\", \"1\"], [\"a\", \"1\"]]"),
            ("HRANDFIELD h x", "ERR value is not an integer or out of range"),
            ("HRANDFIELD h 1 x", "ERR syntax error"),
            ("HRANDFIELD h 1 WITHVALUES x", "ERR syntax error"),
            ("HRANDFIELD h -9223372036854775807 WITHVALUES", "ERR value is out of range"),
            ("HRANDFIELD h 9223372036854775807 WITHVALUES", "ERR value is out of range"),
            (
                "HRANDFIELD h -9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807",
            ),
            ("SET s v", "OK"),
            ("HRANDFIELD s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HRANDFIELD", "ERR wrong number of arguments for 'hrandfield' command"),
        ]);
    }

    #[test]
    fn what_is_due_is_not_drawn() {
        let mut db = OneTable::new();
        for number in 0..200 {
            db.ask(&format!("HSET h f{number} v"));
        }
        for number in 1..200 {
            db.ask(&format!("HPEXPIRE h 1 FIELDS 1 f{number}"));
        }
        db.now_ms += 1;
        db.expect(&[("HRANDFIELD h", "\"f0\""), ("HRANDFIELD h -2", "[\"f0\", \"f0\"]")]);
        db.expect(&[("HRANDFIELD h 9", "[\"f0\"]"), ("HLEN h", "1")]);
    }
}
