//! `PFCOUNT`. The cardinality of one counter is kept in it once it is computed, which is why this
//! is a command that writes: what it writes is derived, and any caller who may read may have it.

use super::counter::{COUNT_AT, Counter};
use super::estimate::{cardinality, histogram};
use super::{BASE, REGISTERS, stored};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::shard::plan::Plan;

const FIRST: Arg = Arg(0);
const KEYS: Arg = Arg(0);
const MORE: Arg = Arg(1);

/// `PFCOUNT`.
pub(super) const PFCOUNT: CommandSpec = CommandSpec {
    id: "hll.pfcount",
    resp: "PFCOUNT",
    access: Access::Read,
    keys: Keys::ALL,
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::key("keys", "the counters").repeated()],
    summary: "Answers how many distinct elements counters have seen, together",
    complexity: "O(1) for one key that did not change, else O(N) for N keys",
    run: Run::Write(pfcount),
    ..BASE
};

fn pfcount(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let count = match args.rest(KEYS) {
        [key] => count_one(plan, key)?,
        keys => count_union(plan, keys)?,
    };
    Ok(Reply::Integer(count.unwrap_or(0).cast_signed()))
}

/// `PFCOUNT` that tells a counter of nothing from none.
pub(super) const COUNT_OR_NIL: CommandSpec = CommandSpec {
    id: "hll.pfcount_or_nil",
    resp: "SYNAP.PFCOUNT",
    args: &[
        ArgSpec::key("key", "the counter"),
        ArgSpec::key("more_keys", "further ones").optional().repeated(),
    ],
    reply: ReplySpec::IntegerOrNil,
    http: &[HttpRoute::get("/hyperloglog/{key}/pfcount", JsonReply::Shape("hll_count"))],
    summary: "Answers how many distinct elements counters have seen, nil if there are none",
    run: Run::Write(count_or_nil),
    ..PFCOUNT
};

fn count_or_nil(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (first, more) = (args.bytes(FIRST), args.rest(MORE));
    let count = if more.is_empty() {
        count_one(plan, first)?
    } else {
        let keys: Vec<&[u8]> = std::iter::once(first).chain(more.iter().copied()).collect();
        count_union(plan, &keys)?
    };
    Ok(count.map_or(Reply::Nil, |count| Reply::Integer(count.cast_signed())))
}

/// The cardinality of one counter, which is kept in it from now on.
fn count_one(plan: &mut Plan<'_>, key: &[u8]) -> Result<Option<u64>, CommandError> {
    let Some((_, counter)) = stored(plan, key)? else { return Ok(None) };
    if let Some(count) = counter.cached() {
        return Ok(Some(count));
    }
    let count = counter.count()?;
    plan.patch(key, COUNT_AT, &count.to_le_bytes())?;
    Ok(Some(count))
}

/// The cardinality of the union; nothing when no key exists.
fn count_union(plan: &Plan<'_>, keys: &[&[u8]]) -> Result<Option<u64>, CommandError> {
    let mut counters: Vec<Counter<'_>> = Vec::with_capacity(keys.len());
    for key in keys {
        counters.extend(stored(plan, key)?.map(|(_, counter)| counter));
    }
    if counters.is_empty() {
        return Ok(None);
    }
    let mut all = Box::new([0; REGISTERS]);
    counters.iter().try_for_each(|counter| counter.merge_into(&mut all))?;
    Ok(Some(cardinality(&histogram(&all))))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn counters_are_counted_together() {
        OneTable::new().expect(&[
            ("PFADD a x y z", "1"),
            ("PFADD b z w", "1"),
            ("PFCOUNT a b", "4"),
            ("PFCOUNT a none", "3"),
            ("PFCOUNT none", "0"),
            ("PFCOUNT none other", "0"),
            ("SYNAP.PFCOUNT none", "nil"),
            ("SYNAP.PFCOUNT none other", "nil"),
            ("SYNAP.PFCOUNT a", "3"),
            ("SYNAP.PFCOUNT none a b", "4"),
            ("SET s text", "OK"),
            ("PFCOUNT s", "WRONGTYPE Key is not a valid HyperLogLog string value."),
            ("PFCOUNT a s", "WRONGTYPE Key is not a valid HyperLogLog string value."),
            ("PFCOUNT", "ERR wrong number of arguments for 'pfcount' command"),
        ]);
    }

    #[test]
    fn the_count_is_kept_until_a_register_changes() {
        let mut db = OneTable::new();
        db.expect(&[
            ("PFADD h a b c", "1"),
            ("GETRANGE h 8 15", r#""\x00\x00\x00\x00\x00\x00\x00\x80""#),
            ("PFCOUNT h", "3"),
            ("GETRANGE h 8 15", r#""\x03\x00\x00\x00\x00\x00\x00\x00""#),
        ]);
        let logged = db.log.len();
        db.expect(&[("PFCOUNT h", "3"), ("PFADD h a", "0")]);
        assert_eq!(db.log.len(), logged, "nothing changed");
        db.expect(&[
            ("PFADD h d", "1"),
            ("GETRANGE h 8 15", r#""\x03\x00\x00\x00\x00\x00\x00\x80""#),
        ]);
    }

    #[test]
    fn damaged_counters_are_told() {
        let mut db = OneTable::new();
        db.run(&[b"SET", b"h", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f"]);
        db.expect(&[
            ("PFCOUNT h", "INVALIDOBJ Corrupted HLL object detected"),
            ("PFCOUNT h h", "INVALIDOBJ Corrupted HLL object detected"),
            ("PFADD h a", "INVALIDOBJ Corrupted HLL object detected"),
            ("PFMERGE to h", "INVALIDOBJ Corrupted HLL object detected"),
        ]);
    }
}
