//! Reading a whole hash: `HGETALL`, `HKEYS`, `HVALS`.

use super::get::hash;
use super::packed::Field;
use super::view::HashView;
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

/// `HGETALL`.
pub(crate) const HGETALL: CommandSpec = CommandSpec {
    id: "hash.getall",
    resp: "HGETALL",
    family: Family::Hash,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/hash/{key}/getall", JsonReply::Bare)],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "Answers the fields of a hash and their values",
    complexity: "O(N) for N fields",
    run: Run::Read(hgetall),
};

fn name_of<'s>(field: &Field<'s>) -> Reply<'s> {
    Reply::borrowed(field.name)
}

fn value_of<'s>(field: &Field<'s>) -> Reply<'s> {
    Reply::borrowed(field.value)
}

/// The hash, where all of it may be read.
fn whole<'s>(view: &View<'s>, args: &Args<'_>) -> Result<HashView<'s>, CommandError> {
    let hash = hash(view, args)?;
    view.may_read(hash.len())?;
    Ok(hash)
}

fn hgetall<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let fields = whole(view, args)?.iter();
    Ok(Reply::Map(fields.map(|field| (name_of(&field), value_of(&field))).collect()))
}

/// `HKEYS`.
pub(crate) const HKEYS: CommandSpec = CommandSpec {
    id: "hash.keys",
    resp: "HKEYS",
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/hash/{key}/keys", JsonReply::Bare)],
    summary: "Answers the fields of a hash",
    run: Run::Read(|view, args| {
        Ok(Reply::Array(whole(view, args)?.iter().map(|field| name_of(&field)).collect()))
    }),
    ..HGETALL
};

/// `HVALS`.
pub(crate) const HVALS: CommandSpec = CommandSpec {
    id: "hash.vals",
    resp: "HVALS",
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/hash/{key}/vals", JsonReply::Bare)],
    summary: "Answers the values of a hash",
    run: Run::Read(|view, args| {
        Ok(Reply::Array(whole(view, args)?.iter().map(|field| value_of(&field)).collect()))
    }),
    ..HGETALL
};

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    #[test]
    fn a_small_hash_keeps_its_order() {
        OneTable::new().expect(&[
            ("HGETALL h", "{}"),
            ("HKEYS h", "[]"),
            ("HVALS h", "[]"),
            ("HSET h b 1 a 2 c 3", "3"),
            ("HSET h b 4", "0"),
            ("HDEL h a", "1"),
            ("HGETALL h", "{\"b\": \"4\", \"c\": \"3\"}"),
            ("HKEYS h", "[\"b\", \"c\"]"),
            ("HVALS h", "[\"4\", \"3\"]"),
            ("SET s v", "OK"),
            ("HGETALL s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HKEYS s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HVALS s", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HGETALL h x", "ERR wrong number of arguments for 'hgetall' command"),
        ]);
    }

    #[test]
    fn a_large_hash_is_read_whole() {
        let mut db = OneTable::new();
        for number in 0..1000 {
            db.ask(&format!("HSET h f{number} v{number}"));
        }
        let Reply::Map(pairs) = db.run(&[b"HGETALL", b"h"]) else { panic!("it is a map") };
        let mut numbers: Vec<usize> = pairs
            .iter()
            .map(|(name, value)| {
                let (Reply::Bytes(name), Reply::Bytes(value)) = (name, value) else {
                    panic!("bytes")
                };
                assert_eq!(name[1..], value[1..]);
                String::from_utf8_lossy(&name[1..]).parse().expect("a number")
            })
            .collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..1000));
    }
}
