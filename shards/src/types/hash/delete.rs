//! Removing fields: `HDEL`, `HGETDEL`. The key goes with its last field.

use super::change::Changing;
use super::fields::{self, NOT_POSITIVE};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const FIELDS: Arg = Arg(1);

/// `HDEL`.
pub(crate) const HDEL: CommandSpec = CommandSpec {
    id: "hash.del",
    resp: "HDEL",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("fields", "the fields").repeated()],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::delete("/hash/{key}/del", JsonReply::Shape("hash_del"))],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Removes fields of a hash and answers how many were there",
    complexity: "O(N) for N fields",
    run: Run::Write(hdel),
};

fn hdel(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let removed = args.rest(FIELDS).iter().filter_map(|name| change.remove(name)).count();
    change.commit(plan, &["hdel"])?;
    Ok(Reply::count(removed))
}

/// `HGETDEL`.
pub(crate) const HGETDEL: CommandSpec = CommandSpec {
    id: "hash.getdel",
    resp: "HGETDEL",
    args: &[ArgSpec::key("key", "the key"), fields::FIELDS],
    reply: ReplySpec::Array,
    http: &[],
    summary: "Answers the values of fields of a hash and removes the fields",
    run: Run::Write(hgetdel),
    ..HDEL
};

fn hgetdel(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let names = fields::parse(args.rest(FIELDS), 1, NOT_POSITIVE)?;
    let mut values = Vec::with_capacity(names.len());
    for name in names {
        let removed = change.remove(name);
        values.push(removed.map_or(Reply::Nil, |field| Reply::owned(field.value.to_vec())));
    }
    change.commit(plan, &["hdel"])?;
    Ok(Reply::Array(values))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn fields_go_and_the_key_with_the_last() {
        OneTable::new().expect(&[
            ("HDEL h a", "0"),
            ("HSET h a 1 b 2 c 3", "3"),
            ("HDEL h a none a", "1"),
            ("HGETALL h", "{\"b\": \"2\", \"c\": \"3\"}"),
            ("HDEL h b c", "2"),
            ("EXISTS h", "0"),
            ("TYPE h", "none"),
            ("SET s v", "OK"),
            ("HDEL s a", WRONG_TYPE),
            ("HDEL h", "ERR wrong number of arguments for 'hdel' command"),
        ]);
    }

    #[test]
    fn a_large_hash_goes_the_same_way() {
        let mut db = OneTable::new();
        (0..300).for_each(|number| {
            db.ask(&format!("HSET h f{number} v"));
        });
        (1..300).for_each(|number| {
            assert_eq!(db.ask(&format!("HDEL h f{number}")), "1");
        });
        db.expect(&[("HLEN h", "1"), ("HDEL h f0 f0", "1"), ("EXISTS h", "0")]);
    }

    #[test]
    fn values_are_answered_and_gone() {
        OneTable::new().expect(&[
            ("HGETDEL h FIELDS 1 a", "[nil]"),
            ("HSET h a 1 b 2", "2"),
            ("HGETDEL h fields 3 a none a", "[\"1\", nil, nil]"),
            ("HGETDEL h FIELDS 1 b", "[\"2\"]"),
            ("EXISTS h", "0"),
            ("SET s v", "OK"),
            ("HGETDEL s FIELDS 1 a", WRONG_TYPE),
            ("HGETDEL h FIELDS 1", "ERR wrong number of arguments for 'hgetdel' command"),
            (
                "HGETDEL h NOPE 1 a",
                "ERR Mandatory argument FIELDS is missing or not at the right position",
            ),
            ("HGETDEL h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
            ("HGETDEL h FIELDS x a", "ERR Number of fields must be a positive integer"),
            (
                "HGETDEL h FIELDS 2 a",
                "ERR The `numfields` parameter must match the number of arguments",
            ),
        ]);
    }
}
